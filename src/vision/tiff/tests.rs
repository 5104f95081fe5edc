//! TIFF files that the tests write themselves, tag by tag, and what their pixels must be.

use std::io::{Cursor, Write};

use image::ImageFormat;

use super::*;
use crate::vision::Picture;

const LIMITS: PixelLimits = PixelLimits { max_pixels: 10_000 };

/// A TIFF of one page in the making.
struct Tiff {
    big_endian: bool,
    wide: bool,
    /// Tag, type, values.
    entries: Vec<(u16, u16, Vec<u64>)>,
    chunks: Vec<Vec<u8>>,
    tiled: bool,
}

const BYTE: u16 = 1;
const SHORT: u16 = 3;
const LONG: u16 = 4;
const RATIONAL: u16 = 5;
const UNDEFINED: u16 = 7;

impl Tiff {
    fn new(width: u64, height: u64, bits: u64, samples: u64, photometric: u64) -> Self {
        let entries = vec![
            (256, SHORT, vec![width]),
            (257, SHORT, vec![height]),
            (258, SHORT, vec![bits; samples as usize]),
            (259, SHORT, vec![1]),
            (262, SHORT, vec![photometric]),
            (277, SHORT, vec![samples]),
        ];
        Self { big_endian: false, wide: false, entries, chunks: Vec::new(), tiled: false }
    }

    fn with(mut self, tag: u16, kind: u16, values: &[u64]) -> Self {
        self.entries.retain(|entry| entry.0 != tag);
        self.entries.push((tag, kind, values.to_vec()));
        self
    }

    fn strips(mut self, rows: u64, chunks: &[&[u8]]) -> Self {
        self.chunks = chunks.iter().map(|chunk| chunk.to_vec()).collect();
        self.with(278, LONG, &[rows])
    }

    fn strip(self, data: &[u8]) -> Self {
        self.strips(1000, &[data])
    }

    fn number(&self, value: u64, bytes: usize) -> Vec<u8> {
        if self.big_endian {
            value.to_be_bytes()[8 - bytes..].to_vec()
        } else {
            value.to_le_bytes()[..bytes].to_vec()
        }
    }

    /// Header, directory, values that do not fit in it, chunks.
    fn bytes(mut self) -> Vec<u8> {
        let (header, long) = if self.wide { (16, 8) } else { (8, 4) };
        let (offset_tag, length_tag) = if self.tiled { (324, 325) } else { (273, 279) };
        self.entries.push((
            offset_tag,
            if self.wide { 16 } else { LONG },
            vec![0; self.chunks.len()],
        ));
        self.entries.push((
            length_tag,
            LONG,
            self.chunks.iter().map(|chunk| chunk.len() as u64).collect(),
        ));
        self.entries.sort_by_key(|entry| entry.0);
        let size = |kind: u16| match kind {
            BYTE | UNDEFINED => 1,
            SHORT => 2,
            LONG => 4,
            _ => 8,
        };
        let counter = if self.wide { 8 } else { 2 };
        let after = header + counter + self.entries.len() * (4 + 2 * long) + long;
        let outside = |entry: &(u16, u16, Vec<u64>)| match entry.2.len() * size(entry.1) {
            length if length > long => length,
            _ => 0,
        };
        let mut place = (after + self.entries.iter().map(outside).sum::<usize>()) as u64;
        let mut offsets = Vec::new();
        for chunk in &self.chunks {
            offsets.push(place);
            place += chunk.len() as u64;
        }
        self.entries
            .iter_mut()
            .filter(|entry| entry.0 == offset_tag)
            .for_each(|entry| entry.2 = offsets.clone());

        let order = if self.big_endian { b"MM" } else { b"II" };
        let mut bytes = order.to_vec();
        if self.wide {
            bytes.extend(
                [self.number(43, 2), self.number(8, 2), self.number(0, 2), self.number(16, 8)]
                    .concat(),
            );
        } else {
            bytes.extend([self.number(42, 2), self.number(8, 4)].concat());
        }
        bytes.extend(self.number(self.entries.len() as u64, counter));
        let mut values = Vec::new();
        for (tag, kind, numbers) in &self.entries {
            bytes.extend(
                [
                    self.number(u64::from(*tag), 2),
                    self.number(u64::from(*kind), 2),
                    self.number(numbers.len() as u64, long),
                ]
                .concat(),
            );
            let number = |value: &u64| match *kind {
                // Whole numbers over one.
                RATIONAL => {
                    [self.number(value >> 32, 4), self.number(value & 0xFFFF_FFFF, 4)].concat()
                }
                kind => self.number(*value, size(kind)),
            };
            let mut content: Vec<u8> = numbers.iter().flat_map(number).collect();
            if content.len() <= long {
                content.resize(long, 0);
                bytes.extend(content);
            } else {
                bytes.extend(self.number((after + values.len()) as u64, long));
                values.extend(content);
            }
        }
        bytes.extend(self.number(0, long));
        bytes.extend(values);
        bytes.extend(self.chunks.concat());
        bytes
    }

    fn pixels(self) -> Vec<u8> {
        decode(&self.bytes(), LIMITS).unwrap().into_raw()
    }

    #[track_caller]
    fn must_be_named(self, named: &str) {
        match decode(&self.bytes(), LIMITS) {
            Err(DecodeError::Unreadable(reason)) => assert!(reason.contains(named), "{reason}"),
            other => panic!("{other:?}"),
        }
    }
}

fn deflated(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn ratio(over: u64, under: u64) -> u64 {
    over << 32 | under
}

#[test]
fn grey_of_every_width_and_both_polarities_is_read() {
    assert_eq!(
        Tiff::new(9, 1, 1, 1, 1).strip(&[0b1010_0000, 0b1000_0000]).pixels()[..9],
        [255, 255, 255, 0, 0, 0, 255, 255, 255]
    );
    assert_eq!(
        Tiff::new(9, 1, 1, 1, 0).strip(&[0b1010_0000, 0b1000_0000]).pixels()[24..],
        [0, 0, 0]
    );
    assert_eq!(
        Tiff::new(4, 1, 2, 1, 1).strip(&[0b00_01_10_11]).pixels(),
        [0, 0, 0, 85, 85, 85, 170, 170, 170, 255, 255, 255]
    );
    assert_eq!(
        Tiff::new(3, 1, 4, 1, 1).strip(&[0x0F, 0x80]).pixels(),
        [0, 0, 0, 255, 255, 255, 136, 136, 136]
    );
    assert_eq!(Tiff::new(2, 1, 8, 1, 0).strip(&[0, 200]).pixels(), [255, 255, 255, 55, 55, 55]);
    assert_eq!(
        Tiff::new(2, 1, 12, 1, 1).strip(&[0xFF, 0xF8, 0x08]).pixels(),
        [255, 255, 255, 128, 128, 128]
    );
    for big_endian in [false, true] {
        let samples = [0_u16, 0x80FF, 0xFFFF]
            .map(|value| if big_endian { value.to_be_bytes() } else { value.to_le_bytes() });
        let tiff = Tiff { big_endian, ..Tiff::new(3, 1, 16, 1, 1) };
        assert_eq!(
            tiff.strip(samples.as_flattened()).pixels(),
            [0, 0, 0, 128, 128, 128, 255, 255, 255]
        );
    }
    // Grey with alpha.
    assert_eq!(
        Tiff::new(2, 1, 8, 2, 1).with(338, SHORT, &[2]).strip(&[10, 0, 20, 255]).pixels(),
        [10, 10, 10, 20, 20, 20]
    );
}

#[test]
fn fractions_are_read_from_zero_to_one() {
    let float = |bits: u64| Tiff::new(3, 1, bits, 1, 1).with(339, SHORT, &[3]);
    let expected = [0, 0, 0, 128, 128, 128, 255, 255, 255];
    let numbers = [-0.01_f32, 0.5, 1.0];
    assert_eq!(float(32).strip(numbers.map(f32::to_le_bytes).as_flattened()).pixels(), expected);
    assert_eq!(
        float(64)
            .strip(numbers.map(|number| f64::from(number).to_le_bytes()).as_flattened())
            .pixels(),
        expected
    );
    assert_eq!(
        float(16)
            .strip(numbers.map(|number| half::f16::from_f32(number).to_le_bytes()).as_flattened())
            .pixels(),
        expected
    );
    // 0, 0.5 and 1 are 00000000, 3F000000 and 3F800000: bytes by significance, then differences.
    let differences = [0, 0x3F, 0, 0_u8.wrapping_sub(0x3F), 0, 0x80, 0x80, 0, 0, 0, 0, 0];
    assert_eq!(
        float(32)
            .with(259, SHORT, &[8])
            .with(317, SHORT, &[3])
            .strip(&deflated(&differences))
            .pixels(),
        expected
    );
    for beyond in [255.0_f32, -3.0, f32::NAN] {
        float(32)
            .strip([0.0, beyond, 1.0].map(f32::to_le_bytes).as_flattened())
            .must_be_named("beyond 0 to 1");
    }
    Tiff::new(3, 1, 32, 1, 1).strip(&[0; 12]).must_be_named("32 bits");
}

#[test]
fn rgb_is_read_in_strips_tiles_planes_and_big_tiff() {
    let rows: [[u8; 9]; 3] = [
        [1, 2, 3, 4, 5, 6, 7, 8, 9],
        [11, 12, 13, 14, 15, 16, 17, 18, 19],
        [21, 22, 23, 24, 25, 26, 27, 28, 29],
    ];
    let whole = rows.as_flattened();
    let rgb = || Tiff::new(3, 3, 8, 3, 2);
    assert_eq!(rgb().strip(whole).pixels(), whole);
    assert_eq!(rgb().strips(2, &[&whole[..18], &whole[18..]]).pixels(), whole);
    for (big_endian, wide) in [(true, false), (false, true), (true, true)] {
        let tiff = Tiff { big_endian, wide, ..rgb() };
        assert_eq!(
            tiff.strips(1, &[&rows[0], &rows[1], &rows[2]]).pixels(),
            whole,
            "{big_endian} {wide}"
        );
    }
    let plane = |sample: usize| whole.iter().skip(sample).step_by(3).copied().collect::<Vec<u8>>();
    let planes = [plane(0), plane(1), plane(2)];
    let planes: Vec<&[u8]> = planes.iter().flat_map(|plane| [&plane[..6], &plane[6..]]).collect();
    assert_eq!(rgb().with(284, SHORT, &[2]).strips(2, &planes).pixels(), whole);
    // Tiles of 16x16 reach beyond the image.
    let wide = Tiff::new(18, 3, 8, 1, 1).with(322, SHORT, &[16]).with(323, SHORT, &[16]);
    let tile = |first: u8| {
        (0..=255)
            .map(|place: u8| if place / 16 < 3 { first + place % 16 } else { 99 })
            .collect::<Vec<u8>>()
    };
    let tiled = Tiff { tiled: true, chunks: vec![tile(0), tile(16)], ..wide };
    let expected: Vec<u8> = (0..3).flat_map(|_| (0..18).flat_map(|grey| [grey; 3])).collect();
    assert_eq!(tiled.pixels(), expected);
    // Alpha is dropped.
    assert_eq!(
        Tiff::new(1, 1, 8, 4, 2).with(338, SHORT, &[2]).strip(&[1, 2, 3, 0]).pixels(),
        [1, 2, 3]
    );
}

#[test]
fn compressed_strips_are_read_with_and_without_a_predictor() {
    let plain = [10, 20, 30, 11, 22, 33, 12, 24, 36, 10, 10, 10];
    let differences = [10, 20, 30, 1, 2, 3, 1, 2, 3, 254, 242, 230];
    let lzw = |data: &[u8]| {
        weezl::encode::Encoder::with_tiff_size_switch(weezl::BitOrder::Msb, 8).encode(data).unwrap()
    };
    let rgb = |compression: u64| Tiff::new(4, 1, 8, 3, 2).with(259, SHORT, &[compression]);
    for compression in [8, 32946] {
        assert_eq!(rgb(compression).strip(&deflated(&plain)).pixels(), plain);
        assert_eq!(
            rgb(compression).with(317, SHORT, &[2]).strip(&deflated(&differences)).pixels(),
            plain
        );
    }
    assert_eq!(rgb(5).strip(&lzw(&plain)).pixels(), plain);
    assert_eq!(rgb(5).with(317, SHORT, &[2]).strip(&lzw(&differences)).pixels(), plain);
    let packed = [&[8_u8][..], &plain[..9], &[254, 10]].concat();
    assert_eq!(rgb(32773).strip(&packed).pixels(), plain);
    // Without compression there is no predictor, whatever the tag says; bits may be in reverse
    // order.
    assert_eq!(rgb(1).with(317, SHORT, &[2]).strip(&plain).pixels(), plain);
    assert_eq!(rgb(1).with(266, SHORT, &[2]).strip(&plain.map(u8::reverse_bits)).pixels(), plain);
}

#[test]
fn a_palette_is_looked_up_in_sixteen_bits_or_in_eight() {
    let map = |scale: u64| {
        let part =
            |first: u64| (0..16).map(move |index| (first + index) * scale).collect::<Vec<u64>>();
        [part(0), part(100), part(200)].concat()
    };
    for scale in [1, 257, 256] {
        let tiff = Tiff::new(3, 1, 4, 1, 3).with(320, SHORT, &map(scale)).strip(&[0x0F, 0x30]);
        assert_eq!(tiff.pixels(), [0, 100, 200, 15, 115, 215, 3, 103, 203], "{scale}");
    }
    Tiff::new(3, 1, 8, 1, 3).with(320, SHORT, &map(1)).strip(&[0; 3]).must_be_named("palette");
}

#[test]
fn ycbcr_is_read_with_subsampled_chroma_and_its_own_coefficients() {
    // Two units of 2x2 pixels, the second half outside of the 3x2 image. Chroma of the first is
    // neutral, of the second red.
    let units = [10, 20, 30, 40, 128, 128, 76, 0, 76, 0, 85, 255];
    let expected = [10, 10, 10, 20, 20, 20, 254, 0, 0, 30, 30, 30, 40, 40, 40, 254, 0, 0];
    let tiff = Tiff::new(3, 2, 8, 3, 6).strip(&units);
    let pixels = tiff.pixels();
    assert!(pixels.iter().zip(expected).all(|(a, b)| a.abs_diff(b) <= 1), "{pixels:?}");
    let whole =
        Tiff::new(2, 1, 8, 3, 6).with(530, SHORT, &[1, 1]).strip(&[100, 128, 128, 29, 255, 107]);
    assert_eq!(whole.pixels(), [100, 100, 100, 0, 0, 254]);
    // BT.709: a pure green has luma 0.7152.
    let of_709 = [ratio(2126, 10000), ratio(7152, 10000), ratio(722, 10000)];
    let green = Tiff::new(1, 1, 8, 3, 6).with(530, SHORT, &[1, 1]).with(529, RATIONAL, &of_709);
    let pixels = green.strip(&[182, 30, 12]).pixels();
    assert!(pixels[0] <= 1 && pixels[1] >= 254 && pixels[2] <= 1, "{pixels:?}");
    // The range of video: black is 16, white 235.
    let video = [16, 235, 128, 240, 128, 240].map(|value| ratio(value, 1));
    let grey = Tiff::new(2, 1, 8, 3, 6).with(530, SHORT, &[1, 1]).with(532, RATIONAL, &video);
    assert_eq!(grey.strip(&[16, 128, 128, 235, 128, 128]).pixels(), [0, 0, 0, 255, 255, 255]);
}

#[test]
fn lab_is_read_in_both_encodings_and_white_is_white() {
    // sRGB's corners in L*a*b* of D50: red 54.29, 80.80, 69.89; green 87.82, -79.27, 80.99; blue
    // 29.57, 68.30, -112.03 (Lindbloom).
    let lab = [
        [100.0, 0.0, 0.0],
        [0.0, 0.0, 0.0],
        [54.29, 80.80, 69.89],
        [87.82, -79.27, 80.99],
        [29.57, 68.30, -112.03],
    ];
    let expected = [255, 255, 255, 0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0, 255];
    let signed = lab.map(|[l, a, b]: [f64; 3]| {
        [(l * 2.55).round() as u8, a.round() as i8 as u8, b.round() as i8 as u8]
    });
    let unsigned = lab.map(|[l, a, b]| {
        [(l * 2.55).round() as u8, (a + 128.0).round() as u8, (b + 128.0).round() as u8]
    });
    let wide = lab.map(|[l, a, b]| {
        [
            (l * 655.35).round() as u16,
            (a * 256.0).round() as i16 as u16,
            (b * 256.0).round() as i16 as u16,
        ]
    });
    let wide: Vec<u8> = wide.as_flattened().iter().flat_map(|value| value.to_le_bytes()).collect();
    for (photometric, bits, data, most) in [
        (8, 8, signed.as_flattened(), 16),
        (9, 8, unsigned.as_flattened(), 16),
        (8, 16, &wide[..], 2),
    ] {
        let pixels = Tiff::new(5, 1, bits, 3, photometric).strip(data).pixels();
        // The corners of the gamut are where rounding shows most.
        let worst = pixels.iter().zip(expected).map(|(a, b)| a.abs_diff(b)).max().unwrap();
        assert!(worst <= most, "{photometric} of {bits} bits: {pixels:?}");
        assert_eq!(pixels[..6], [255, 255, 255, 0, 0, 0]);
    }
}

#[test]
fn ink_is_read_without_a_profile() {
    let pixels = Tiff::new(4, 1, 8, 4, 5)
        .strip(&[0, 0, 0, 0, 0, 0, 0, 255, 255, 0, 0, 0, 0, 51, 102, 127])
        .pixels();
    assert_eq!(pixels, [255, 255, 255, 0, 0, 0, 0, 255, 255, 128, 102, 77]);
    Tiff::new(1, 1, 8, 4, 5).with(332, SHORT, &[2]).strip(&[0; 4]).must_be_named("inks");
}

/// A JPEG of a gradient, and its pixels as the decoder gives them.
fn jpeg(width: u32, height: u32) -> (Vec<u8>, Vec<u8>) {
    let image = RgbImage::from_fn(width, height, |x, y| Rgb([(x * 9) as u8, (y * 11) as u8, 90]));
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, ImageFormat::Jpeg).unwrap();
    let pixels = jpeg::decode(bytes.get_ref(), LIMITS).unwrap().into_raw();
    (bytes.into_inner(), pixels)
}

/// The tables of a JPEG, and the JPEG without them.
fn apart(jpeg: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let (mut tables, mut without) = (vec![0xFF, 0xD8], vec![0xFF, 0xD8]);
    let mut rest = &jpeg[2..];
    while let [0xFF, code @ (0xC0..=0xCF | 0xDB..=0xEF), high, low, ..] = *rest {
        let (segment, after) = rest.split_at(2 + usize::from(u16::from_be_bytes([high, low])));
        if matches!(code, 0xC4 | 0xDB) { &mut tables } else { &mut without }.extend(segment);
        rest = after;
    }
    ([tables, vec![0xFF, 0xD9]].concat(), [&without, rest].concat())
}

#[test]
fn jpeg_strips_are_read_with_their_tables_apart_and_the_colours_that_the_tiff_names() {
    let (upper, first) = jpeg(20, 16);
    let (lower, second) = jpeg(20, 8);
    let ycbcr = |photometric: u64| Tiff::new(20, 20, 8, 3, photometric).with(259, SHORT, &[7]);
    // The last strip is encoded beyond the image's end.
    let expected = [&first[..], &second[..20 * 4 * 3]].concat();
    assert_eq!(ycbcr(6).strips(16, &[&upper, &lower]).pixels(), expected);
    let ((tables, upper), (_, lower)) = (apart(&upper), apart(&lower));
    let table_bytes: Vec<u64> = tables.iter().map(|&byte| byte.into()).collect();
    assert_eq!(
        ycbcr(6).with(347, UNDEFINED, &table_bytes).strips(16, &[&upper, &lower]).pixels(),
        expected
    );
    let short = ycbcr(6)
        .with(347, UNDEFINED, &table_bytes)
        .strips(16, &[&upper, &lower[..lower.len() - 20]]);
    assert!(matches!(decode(&short.bytes(), LIMITS), Err(DecodeError::Unreadable(_))));
    Tiff::new(20, 20, 8, 4, 5).with(259, SHORT, &[7]).strip(&upper).must_be_named("CMYK");
}

#[test]
fn a_jpeg_strip_that_is_much_larger_than_the_tiff_says_is_not_decoded() {
    let (large, _) = jpeg(100, 80);
    let two = |chunk: &[u8]| {
        let tiff = Tiff::new(32, 16, 8, 3, 6).with(259, SHORT, &[7]).with(322, SHORT, &[16]).with(
            323,
            SHORT,
            &[16],
        );
        Tiff { tiled: true, chunks: vec![chunk.to_vec(); 2], ..tiff }
    };
    two(&large).must_be_named("a part of 16x16 pixels is a JPEG of more than 1024 pixels");
    two(&jpeg(8, 16).0).must_be_named("a part of 16x16 pixels is a JPEG of 8x16");
    // Units of 32x16 pixels; and a single strip, encoded in full.
    assert_eq!(two(&jpeg(32, 16).0).pixels().len(), 32 * 16 * 3);
    let (strip, pixels) = jpeg(20, 64);
    assert_eq!(
        Tiff::new(20, 10, 8, 3, 6).with(259, SHORT, &[7]).strip(&strip).pixels(),
        pixels[..20 * 10 * 3]
    );
    let tables = [&[0xFF_u8, 0xD8, 0xFF, 0xFE, 0x50, 0][..], &[0; 0x4FFE], &[0xFF, 0xD9]].concat();
    let tables: Vec<u64> = tables.into_iter().map(u64::from).collect();
    two(&jpeg(16, 16).0).with(347, UNDEFINED, &tables).must_be_named("JPEG tables are 20486 bytes");
}

#[test]
fn padding_before_a_marker_hides_no_colours_of_a_jpeg_strip() {
    let (strip, _) = jpeg(16, 16);
    let rgb =
        |strip: &[u8]| Tiff::new(16, 16, 8, 3, 2).with(259, SHORT, &[7]).strip(strip).pixels();
    // JFIF says YCbCr, the TIFF RGB.
    assert_eq!(strip[2..4], [0xFF, 0xE0]);
    assert_eq!(rgb(&[&strip[..2], &[0xFF, 0xFF], &strip[2..]].concat()), rgb(&strip));
}

/// A TIFF of 100 strips, 2,000 bytes each; its pixels are 0 to 99, a strip each.
fn many_strips() -> Vec<u8> {
    let strips: Vec<Vec<u8>> = (0..100).map(|row| vec![row; 2000]).collect();
    Tiff::new(2000, 100, 8, 1, 1)
        .strips(1, &strips.iter().map(Vec::as_slice).collect::<Vec<_>>())
        .bytes()
}

/// Where the entry of `StripByteCounts` is.
fn entry_of_lengths(bytes: &[u8]) -> usize {
    bytes.windows(4).position(|entry| entry == [0x17, 1, 4, 0]).unwrap()
}

#[test]
fn strips_without_lengths_end_where_the_next_ones_begin() {
    let mut bytes = many_strips();
    let limits = PixelLimits { max_pixels: 200_000 };
    let whole = decode(&bytes, limits).unwrap();
    assert_eq!((whole.get_pixel(1999, 0), whole.get_pixel(0, 99)), (&Rgb([0; 3]), &Rgb([99; 3])));
    // A private tag in place of it.
    let at = entry_of_lengths(&bytes);
    bytes[at + 1] = 0xFE;
    assert!(decode(&bytes, limits).unwrap() == whole);
    assert_eq!(lengths_between(&[50, 10, 50, 30]), [u64::MAX, 20, u64::MAX, 20]);
}

#[test]
fn strips_that_are_all_the_same_large_part_of_the_file_are_not_read() {
    let mut bytes = many_strips();
    let at = entry_of_lengths(&bytes);
    let values = u32::from_le_bytes(bytes[at + 8..at + 12].try_into().unwrap()) as usize;
    bytes[values..values + 400].fill(0xFF);
    match decode(&bytes, PixelLimits { max_pixels: 200_000 }) {
        Err(DecodeError::Unreadable(reason)) => {
            assert!(reason.contains("its 100 strips overlap"), "{reason}")
        }
        other => panic!("{:?}", other.map(|image| image.dimensions())),
    }
}

#[test]
fn a_tile_is_bounded_by_what_it_takes_and_not_by_a_small_image() {
    let tiled = |bits: u64, samples: u64, (width, height): (u64, u64), chunk: Vec<u8>| {
        let tiff = Tiff::new(100, 100, bits, samples, if samples == 3 { 2 } else { 1 });
        Tiff {
            tiled: true,
            chunks: vec![chunk],
            ..tiff.with(322, LONG, &[width]).with(323, LONG, &[height])
        }
        .bytes()
    };
    let small = decode(&tiled(8, 1, (512, 512), vec![7; 512 * 512]), LIMITS).unwrap();
    assert!(small.dimensions() == (100, 100) && small.iter().all(|&value| value == 7));
    let limits = PixelLimits { max_pixels: 1 << 20 };
    // Too many pixels; too many bytes a pixel.
    for (bits, samples, side) in [(1, 1, 1536), (16, 3, 1280)] {
        let refused = decode(&tiled(bits, samples, (side, side), vec![0]), limits);
        assert!(
            matches!(&refused, Err(DecodeError::TooLarge(reason)) if reason.contains("limits.max_pixels = 1048576")),
            "{side}"
        );
    }
    assert!(matches!(
        decode(&tiled(8, 3, (1280, 1280), vec![0]), limits),
        Err(DecodeError::Unreadable(_))
    ));
}

#[test]
fn what_is_not_read_is_named() {
    let grey = || Tiff::new(2, 1, 8, 1, 1).strip(&[0, 0]);
    grey().with(259, SHORT, &[50000]).must_be_named("Zstandard compression (50000)");
    grey().with(259, SHORT, &[34925]).must_be_named("LZMA");
    grey().with(259, SHORT, &[6]).must_be_named("old-style JPEG");
    grey().with(262, SHORT, &[32845]).must_be_named("LogLuv");
    grey().with(262, SHORT, &[10]).must_be_named("ITU L*a*b*");
    grey().with(339, SHORT, &[2]).must_be_named("1 signed samples of 8 bits");
    grey().with(50706, BYTE, &[1, 4, 0, 0]).must_be_named("DNG");
    grey().with(262, SHORT, &[32803]).must_be_named("camera raw");
    Tiff::new(2, 1, 8, 2, 2).strip(&[0; 4]).must_be_named("3 samples");
    let empty = [&b"II*\0\x08\0\0\0"[..], &[0; 20]].concat();
    assert!(
        matches!(decode(&empty, LIMITS), Err(DecodeError::Unreadable(reason)) if reason.contains("DNG"))
    );
}

#[test]
fn a_small_preview_is_no_substitute_for_the_raw_image_below_it() {
    let preview =
        Tiff::new(2, 1, 8, 1, 1).with(254, LONG, &[1]).with(330, LONG, &[0]).strip(&[7, 9]);
    let mut bytes = preview.bytes();
    let below = bytes.len() as u32;
    let at = bytes.windows(4).position(|entry| entry == [0x4A, 0x01, 4, 0]).unwrap();
    bytes[at + 8..at + 12].copy_from_slice(&below.to_le_bytes());
    let directory_of =
        |photometric: u8| [1, 0, 6, 1, 3, 0, 1, 0, 0, 0, photometric, 0x80, 0, 0, 0, 0, 0, 0];
    let raw = [&bytes[..], &directory_of(0x23)].concat();
    assert!(
        matches!(decode(&raw, LIMITS), Err(DecodeError::Unreadable(reason)) if reason.contains("camera raw"))
    );
    let layers = [&bytes[..], &directory_of(0x00)].concat();
    assert_eq!(decode(&layers, LIMITS).unwrap().into_raw(), [7, 7, 7, 9, 9, 9]);
}

#[test]
fn a_cut_tiff_is_unreadable_wherever_it_is_cut() {
    let data: Vec<u8> = (0..120).collect();
    let bytes = Tiff { wide: true, ..Tiff::new(4, 10, 8, 3, 2) }
        .strips(4, &[&data[..48], &data[48..96], &data[96..]])
        .bytes();
    assert!(decode(&bytes, LIMITS).is_ok());
    for cut in 0..bytes.len() {
        assert!(
            matches!(decode(&bytes[..cut], LIMITS), Err(DecodeError::Unreadable(_))),
            "cut at {cut}"
        );
    }
}

#[test]
fn sizes_are_checked_before_memory_is_asked_for() {
    let size = |width: u64, height: u64| {
        Tiff::new(1, 1, 8, 1, 1).with(256, LONG, &[width]).with(257, LONG, &[height]).strip(&[0])
    };
    for (width, height) in [(101, 100), (0xFFFF_FFFF, 1), (0xFFFF_FFFF, 0xFFFF_FFFF)] {
        assert!(
            matches!(decode(&size(width, height).bytes(), LIMITS), Err(DecodeError::TooLarge(_))),
            "{width}x{height}"
        );
    }
    let tile = Tiff::new(10, 10, 8, 1, 1).with(322, LONG, &[1]).with(323, LONG, &[0xFFFF_FFFF]);
    let tile = Tiff { tiled: true, chunks: vec![vec![0]; 10], ..tile };
    assert!(matches!(decode(&tile.bytes(), LIMITS), Err(DecodeError::TooLarge(_))));
    assert!(matches!(decode(&size(0, 5).bytes(), LIMITS), Err(DecodeError::Unreadable(_))));
}

#[test]
fn a_tiff_is_turned_as_its_own_tag_says() {
    for wide in [false, true] {
        let tiff =
            Tiff { wide, ..Tiff::new(3, 1, 8, 1, 1) }.with(274, SHORT, &[6]).strip(&[1, 2, 3]);
        assert_eq!(Picture::decode(&tiff.bytes(), LIMITS).unwrap().size(), (1, 3));
    }
}
