//! Sample formats, strips, tiles, planes and compressions.

use super::builder::{SHORT, Tiff, deflated};
use super::*;
use crate::vision::Picture;

#[test]
fn grey_of_every_width_and_both_polarities_is_decoded() {
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
fn floating_point_samples_are_decoded_from_zero_to_one() {
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
fn rgb_is_decoded_in_strips_tiles_planes_and_big_tiff() {
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
    // Tiles of 16x16 extend beyond the image.
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
fn compressed_strips_are_decoded_with_and_without_a_predictor() {
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
    // Without compression the predictor tag is ignored. Bits may be in reverse order.
    assert_eq!(rgb(1).with(317, SHORT, &[2]).strip(&plain).pixels(), plain);
    assert_eq!(rgb(1).with(266, SHORT, &[2]).strip(&plain.map(u8::reverse_bits)).pixels(), plain);
}

#[test]
fn a_tiff_is_turned_by_its_orientation_tag() {
    for wide in [false, true] {
        let tiff =
            Tiff { wide, ..Tiff::new(3, 1, 8, 1, 1) }.with(274, SHORT, &[6]).strip(&[1, 2, 3]);
        assert_eq!(Picture::decode(&tiff.bytes(), LIMITS).unwrap().size(), (1, 3));
    }
}
