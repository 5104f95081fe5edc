//! Strips and tiles in JPEG compression.

use std::io::Cursor;

use super::builder::{SHORT, Tiff, UNDEFINED};
use super::*;

/// A JPEG of a gradient, and its decoded pixels.
fn jpeg(width: u32, height: u32) -> (Vec<u8>, Vec<u8>) {
    let image = RgbImage::from_fn(width, height, |x, y| Rgb([(x * 9) as u8, (y * 11) as u8, 90]));
    let mut bytes = Cursor::new(Vec::new());
    image.write_to(&mut bytes, ImageFormat::Jpeg).unwrap();
    let pixels = jpeg::decode(bytes.get_ref(), LIMITS).unwrap().into_raw();
    (bytes.into_inner(), pixels)
}

/// Splits a JPEG into its tables and the JPEG without them.
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
fn jpeg_strips_are_decoded_with_separate_tables_and_the_colours_of_the_tiff() {
    let (upper, first) = jpeg(20, 16);
    let (lower, second) = jpeg(20, 8);
    let ycbcr = |photometric: u64| Tiff::new(20, 20, 8, 3, photometric).with(259, SHORT, &[7]);
    // The last strip is longer than the image.
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
    // Units of 32x16 pixels are decoded, and a single strip that is longer than the image.
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
fn padding_before_a_marker_does_not_change_the_colours_of_a_jpeg_strip() {
    let (strip, _) = jpeg(16, 16);
    let rgb =
        |strip: &[u8]| Tiff::new(16, 16, 8, 3, 2).with(259, SHORT, &[7]).strip(strip).pixels();
    // The JFIF marker says YCbCr, the TIFF says RGB.
    assert_eq!(strip[2..4], [0xFF, 0xE0]);
    assert_eq!(rgb(&[&strip[..2], &[0xFF, 0xFF], &strip[2..]].concat()), rgb(&strip));
}
