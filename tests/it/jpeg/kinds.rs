//! Sampling factors, scans, restart intervals and colour spaces in all their combinations.

use image::RgbImage;
use turbojpeg::{Compressor, Image, PixelFormat, Subsamp};

use super::{decode, reason};
use crate::support::jpeg::{Colour, Scans, Spec};

/// Horizontal 1 to 4 times vertical 1 to 2.
const FACTORS: [(usize, usize); 8] =
    [(1, 1), (2, 1), (3, 1), (4, 1), (1, 2), (2, 2), (3, 2), (4, 2)];

/// Values of a component: slopes that are gentle enough for any way of upsampling, but steep enough
/// to detect exchanged blocks. Components with a sample for each pixel also have a texture.
fn value(spec: &Spec) -> impl Fn(usize, f64, f64) -> f64 {
    let full: Vec<bool> =
        (0..spec.sampling.len()).map(|component| spec.is_full(component)).collect();
    move |component, x, y| {
        let slope = match component {
            0 => 70.0 + 0.4 * x + 0.5 * y,
            1 => 100.0 + 0.25 * x - 0.2 * y,
            2 => 150.0 - 0.25 * x + 0.3 * y,
            _ => 250.0 - 0.3 * x - 0.4 * y,
        };
        let texture = if full[component] {
            7.0 * (1.1 * x + component as f64).sin() * (0.9 * y).cos()
        } else {
            0.0
        };
        slope + texture
    }
}

fn mean_error(a: &RgbImage, b: &RgbImage) -> f64 {
    assert_eq!(a.dimensions(), b.dimensions());
    let sum: u64 = a.as_raw().iter().zip(b.as_raw()).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    sum as f64 / a.as_raw().len() as f64
}

fn spec(colour: Colour, sampling: Vec<(usize, usize)>, scans: Scans, restart: Option<u16>) -> Spec {
    // Not a multiple of a unit in either direction.
    Spec { size: (75, 43), colour, sampling, scans, restart, quantisation: 1 }
}

/// All factors for one component, all triples for three components; for four, the first and the
/// last are equal.
fn samplings(components: usize) -> Vec<Vec<(usize, usize)>> {
    match components {
        1 => FACTORS.iter().map(|&factors| vec![factors]).collect(),
        3 => (0..512)
            .map(|index| vec![FACTORS[index / 64], FACTORS[index / 8 % 8], FACTORS[index % 8]])
            .collect(),
        _ => (0..64)
            .map(|index| {
                vec![
                    FACTORS[index / 8],
                    FACTORS[index % 8],
                    FACTORS[(index + index / 8) % 8],
                    FACTORS[index / 8],
                ]
            })
            .collect(),
    }
}

/// The number of refused and of decoded kinds, and the largest mean error of a decoded one.
fn read_all(colour: Colour) -> (usize, usize, f64) {
    let (mut refused, mut read, mut worst) = (0, 0, 0.0_f64);
    for sampling in samplings(colour.components()) {
        for scans in Scans::ALL {
            for restart in [None, Some(3)] {
                let spec = spec(colour, sampling.clone(), scans, restart);
                let value = value(&spec);
                let bytes = spec.encode(&value);
                if spec.is_fractional() {
                    assert!(
                        reason(&bytes).contains("sampling factors"),
                        "{spec:?}: {}",
                        reason(&bytes)
                    );
                    refused += 1;
                } else if spec.has_too_large_a_unit() {
                    assert!(
                        reason(&bytes).contains("blocks a unit"),
                        "{spec:?}: {}",
                        reason(&bytes)
                    );
                    refused += 1;
                } else {
                    let picture =
                        decode(&bytes).unwrap_or_else(|error| panic!("{spec:?}: {error}"));
                    let error = mean_error(&picture, &spec.picture(&value));
                    assert!(error <= 1.0, "{spec:?}: mean error {error}");
                    worst = worst.max(error);
                    read += 1;
                }
            }
        }
    }
    println!("{colour:?}: {read} read, worst mean error {worst:.2}; {refused} refused");
    (refused, read, worst)
}

#[test]
fn grey_jpegs_are_decoded_correctly() {
    assert_eq!(read_all(Colour::Grey).0, 0);
}

#[test]
fn ycbcr_jpegs_are_decoded_correctly_or_refused_by_name() {
    assert!(read_all(Colour::YCbCr).1 > 1000);
}

#[test]
fn rgb_jpegs_are_decoded_correctly_or_refused_by_name() {
    assert!(read_all(Colour::Rgb).1 > 1000);
}

#[test]
fn cmyk_jpegs_are_decoded_correctly_or_refused_by_name() {
    assert!(read_all(Colour::Cmyk).1 > 100);
}

#[test]
fn ycck_jpegs_are_decoded_correctly_or_refused_by_name() {
    assert!(read_all(Colour::Ycck).1 > 100);
}

fn usual() -> Spec {
    spec(Colour::YCbCr, vec![(2, 2), (1, 1), (1, 1)], Scans::Interleaved, None)
}

/// `bytes` with another value at offset `at` after the marker of the frame: 2 is the precision, 3
/// the height, 7 the number of components.
fn with_frame_byte(mut bytes: Vec<u8>, at: usize, value: u8) -> Vec<u8> {
    let frame = bytes.windows(2).position(|pair| pair == [0xFF, 0xC0]).unwrap();
    bytes[frame + 2 + at] = value;
    bytes
}

#[test]
fn the_reason_names_what_is_not_supported() {
    let spec = usual();
    let bytes = spec.encode(&value(&spec));
    for (bytes, named) in [
        (with_frame_byte(bytes.clone(), 2, 12), "12 bits a sample"),
        (with_frame_byte(with_frame_byte(bytes.clone(), 3, 0), 4, 0), "DNL"),
        (with_frame_byte(bytes.clone(), 7, 2), "components"),
    ] {
        assert!(reason(&bytes).contains(named), "{}", reason(&bytes));
    }
    // A frame and a scan of two components.
    let two = Spec { sampling: vec![(1, 1), (1, 1)], colour: Colour::YCbCr, ..spec };
    let bytes = two.encode(&|_, x, _| x);
    assert!(reason(&bytes).contains("2 components"), "{}", reason(&bytes));
}

#[test]
fn oddities_that_lose_no_part_of_the_picture_are_decoded() {
    let spec = usual();
    let bytes = spec.encode(&value(&spec));
    let expected = decode(&bytes).unwrap();
    let end = bytes.len() - 2;
    let insert = |at: usize, inserted: &[u8]| [&bytes[..at], inserted, &bytes[at..]].concat();
    let with_byte = |at: usize, value: u8| [&bytes[..at], &[value], &bytes[at + 1..]].concat();
    let scan = bytes.windows(2).position(|pair| pair == [0xFF, 0xDA]).unwrap();
    for (name, odd) in [
        ("one byte before the end", insert(end, &[0x31])),
        ("thirteen bytes before the end, all but the last four zeros", insert(end, &[0; 9])),
        ("padding before the end", insert(end, &[0; 300])),
        ("fill bytes before the end", insert(end, &[0xFF; 20])),
        ("bytes after the end", [&bytes[..], b"and more"].concat()),
        ("bytes between two segments", insert(scan, b"between")),
        ("JFIF of revision 2", with_byte(2 + 4 + 5, 2)),
        ("an unknown transform of Adobe's", insert(2, b"\xFF\xEE\0\x0EAdobe\0\x64\0\0\0\0\x07")),
        ("a comment", insert(scan, b"\xFF\xFE\0\x05abc")),
        ("a restart marker before the end", insert(end, &[0xFF, 0xD0])),
    ] {
        assert_eq!(
            decode(&odd).unwrap_or_else(|error| panic!("{name}: {error}")),
            expected,
            "{name}"
        );
    }
}

#[test]
fn arithmetic_coding_and_lossless_jpegs_are_decoded() {
    let spec = usual();
    let picture = spec.picture(&value(&spec));
    let (width, height) = spec.size;
    let image = Image {
        pixels: &picture.as_raw()[..],
        width,
        pitch: width * 3,
        height,
        format: PixelFormat::RGB,
    };
    for (arithmetic, progressive, lossless) in
        [(true, false, false), (true, true, false), (false, false, true)]
    {
        let mut compressor = Compressor::new().unwrap();
        compressor.set_quality(100).unwrap();
        compressor.set_subsamp(Subsamp::None).unwrap();
        compressor.set_arithmetic(arithmetic).unwrap();
        compressor.set_progressive(progressive).unwrap();
        compressor.set_lossless(lossless).unwrap();
        let decoded = decode(&compressor.compress_to_vec(image).unwrap()).unwrap();
        let error = mean_error(&decoded, &picture);
        assert!(
            error <= if lossless { 0.0 } else { 1.0 },
            "{arithmetic} {progressive} {lossless}: {error}"
        );
    }
}

#[test]
fn a_large_jpeg_is_refused_from_its_header() {
    let spec = usual();
    let bytes = spec.encode(&value(&spec));
    let huge = with_frame_byte(with_frame_byte(bytes, 3, 0xFF), 5, 0xFF);
    let error = decode(&huge).unwrap_err().to_string();
    assert!(error.contains("limits.max_pixels = 100000000"), "{error}");
}
