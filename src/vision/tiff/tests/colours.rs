//! Colour spaces.

use super::builder::{RATIONAL, SHORT, Tiff, ratio};

#[test]
fn a_palette_has_sixteen_bits_or_eight() {
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
fn ycbcr_is_decoded_with_subsampled_chroma_and_its_own_coefficients() {
    // Two units of 2x2 pixels; half of the second is outside the 3x2 image. The chroma of the first
    // is neutral, that of the second is red.
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
fn lab_is_decoded_in_both_encodings_and_white_is_white() {
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
        // Rounding has the largest effect at the corners of the gamut.
        let worst = pixels.iter().zip(expected).map(|(a, b)| a.abs_diff(b)).max().unwrap();
        assert!(worst <= most, "{photometric} of {bits} bits: {pixels:?}");
        assert_eq!(pixels[..6], [255, 255, 255, 0, 0, 0]);
    }
}

#[test]
fn cmyk_is_decoded_without_a_profile() {
    let pixels = Tiff::new(4, 1, 8, 4, 5)
        .strip(&[0, 0, 0, 0, 0, 0, 0, 255, 255, 0, 0, 0, 0, 51, 102, 127])
        .pixels();
    assert_eq!(pixels, [255, 255, 255, 0, 0, 0, 0, 255, 255, 128, 102, 77]);
    Tiff::new(1, 1, 8, 4, 5).with(332, SHORT, &[2]).strip(&[0; 4]).must_be_named("inks");
}
