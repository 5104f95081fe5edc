//! Damaged files: parts cut out or overwritten with zeros.

use std::sync::LazyLock;

use image::imageops::FilterType;
use image::{ImageFormat, RgbImage};
use turbojpeg::{Compressor, Image, PixelFormat, Subsamp};

use super::{decode, reason};
use crate::support::jpeg::{Colour, Scans, Spec};
use crate::support::sample;

/// Reproducible random numbers.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % bound
    }
}

static PHOTOS: LazyLock<Vec<RgbImage>> = LazyLock::new(|| {
    ["biden.jpg", "obama.jpg", "obama2.jpg", "astronaut.png", "chelsea.png"]
        .map(|name| {
            image::load_from_memory(&sample(name))
                .unwrap()
                .resize_to_fill(250, 250, FilterType::Triangle)
                .into_rgb8()
        })
        .to_vec()
});

struct Make {
    quality: i32,
    progressive: bool,
    optimised: bool,
    chroma: Subsamp,
}

fn compress(photo: &RgbImage, make: &Make) -> Vec<u8> {
    let (width, height) = (photo.width() as usize, photo.height() as usize);
    let image = Image {
        pixels: &photo.as_raw()[..],
        width,
        pitch: width * 3,
        height,
        format: PixelFormat::RGB,
    };
    let mut compressor = Compressor::new().unwrap();
    compressor.set_quality(make.quality).unwrap();
    compressor.set_progressive(make.progressive).unwrap();
    compressor.set_optimize(make.optimised).unwrap();
    compressor.set_subsamp(make.chroma).unwrap();
    compressor.compress_to_vec(image).unwrap()
}

/// The photo with restart markers, or with a scan for each component.
fn with_own_encoder(photo: &RgbImage, scans: Scans, restart: Option<u16>) -> Vec<u8> {
    let size = (photo.width() as usize, photo.height() as usize);
    let spec = Spec {
        size,
        colour: Colour::YCbCr,
        sampling: vec![(2, 2), (1, 1), (1, 1)],
        scans,
        restart,
        quantisation: 12,
    };
    spec.encode(&|component, x, y| {
        let [r, g, b] = photo.get_pixel(x.round() as u32, y.round() as u32).0.map(f64::from);
        let luma = 0.299 * r + 0.587 * g + 0.114 * b;
        [luma, 128.0 + (b - luma) / 1.772, 128.0 + (r - luma) / 1.402][component]
    })
}

/// Every photo in every encoding.
fn files() -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for (index, photo) in PHOTOS.iter().enumerate() {
        for quality in [60, 85, 95] {
            for (progressive, optimised) in [(false, false), (false, true), (true, true)] {
                for chroma in [Subsamp::Sub2x2, Subsamp::None] {
                    let name = format!(
                        "photo {index}, quality {quality}, progressive {progressive}, \
                         optimised {optimised}, {chroma:?}"
                    );
                    files.push((
                        name,
                        compress(photo, &Make { quality, progressive, optimised, chroma }),
                    ));
                }
            }
        }
        for scans in Scans::ALL {
            for restart in [None, Some(4), Some(16)] {
                files.push((
                    format!("photo {index}, {scans:?}, restart {restart:?}"),
                    with_own_encoder(photo, scans, restart),
                ));
            }
        }
    }
    files
}

/// The range from the first byte of the first scan's data to the end marker.
fn coded_data(bytes: &[u8]) -> std::ops::Range<usize> {
    let scan = bytes.windows(2).position(|pair| pair == [0xFF, 0xDA]).unwrap();
    let header = usize::from(u16::from_be_bytes([bytes[scan + 2], bytes[scan + 3]]));
    scan + 2 + header..bytes.len() - 2
}

/// A random part of the coded data: 100 bytes, or a share of the data.
fn part(bytes: &[u8], share: Option<f64>, random: &mut Random) -> std::ops::Range<usize> {
    let data = coded_data(bytes);
    let length = share
        .map_or(100, |share| ((data.len() as f64 * share) as usize).max(100))
        .min(data.len() - 1);
    let start = data.start + random.below(data.len() - length);
    start..start + length
}

fn cut(bytes: &[u8], part: std::ops::Range<usize>) -> Vec<u8> {
    [&bytes[..part.start], &bytes[part.end..]].concat()
}

fn zeroed(bytes: &[u8], part: std::ops::Range<usize>) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[part].fill(0);
    bytes
}

/// The percentage of damaged copies that are unreadable. Prints the others.
fn caught(
    files: &[(String, Vec<u8>)],
    damage: fn(&[u8], std::ops::Range<usize>) -> Vec<u8>,
) -> f64 {
    let mut random = Random(9);
    let (mut copies, mut caught) = (0, 0);
    for (name, bytes) in files {
        for share in [None, Some(0.01), Some(0.05), Some(0.2), Some(0.4)] {
            let part = part(bytes, share, &mut random);
            copies += 1;
            match decode(&damage(bytes, part.clone())) {
                Ok(_) => println!("not caught: {name}: {part:?} of {}", bytes.len()),
                Err(_) => caught += 1,
            }
        }
    }
    let share = f64::from(caught) * 100.0 / f64::from(copies);
    println!("{caught} of {copies} caught: {share:.2} %");
    share
}

#[test]
fn undamaged_photos_of_every_encoding_are_decoded() {
    for (name, bytes) in files() {
        decode(&bytes).unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

#[test]
fn photos_with_a_part_cut_out_are_unreadable() {
    assert!(caught(&files(), cut) >= 98.0);
}

#[test]
fn photos_with_a_part_of_zeros_are_unreadable() {
    assert!(caught(&files(), zeroed) >= 98.0);
}

#[test]
fn a_drawing_with_empty_areas_is_not_damaged() {
    // Optimised codes of an empty area are all zeros.
    let mut drawing = RgbImage::from_pixel(1200, 900, image::Rgb([255; 3]));
    for at in 0..300 {
        drawing.put_pixel(at + 20, at / 2 + 30, image::Rgb([10, 20, 200]));
    }
    for quality in [50, 90, 100] {
        for (progressive, optimised) in [(false, false), (false, true), (true, true)] {
            for chroma in [Subsamp::Sub2x2, Subsamp::None, Subsamp::Gray] {
                let bytes = compress(&drawing, &Make { quality, progressive, optimised, chroma });
                decode(&bytes).unwrap_or_else(|error| {
                    panic!("{quality} {progressive} {optimised} {chroma:?}: {error}")
                });
            }
        }
    }
}

#[test]
fn the_reason_says_how_much_is_missing() {
    let photo = &PHOTOS[3];
    let bytes = compress(
        photo,
        &Make { quality: 85, progressive: false, optimised: false, chroma: Subsamp::Sub2x2 },
    );
    let data = coded_data(&bytes);
    let third = data.start + data.len() / 3;
    let missing = |reason: &str| -> f64 {
        let number = reason
            .split("about ")
            .nth(1)
            .unwrap_or_else(|| panic!("{reason}"))
            .split(' ')
            .next()
            .unwrap();
        number.parse().unwrap()
    };
    let cut_out = reason(&cut(&bytes, third..third + data.len() / 3));
    assert!(cut_out.starts_with("the JPEG is damaged: "), "{cut_out}");
    assert!((20.0..50.0).contains(&missing(&cut_out)), "{cut_out}");
    let truncated = reason(&bytes[..data.start + data.len() / 2]);
    assert!(truncated.starts_with("the JPEG is truncated: its end is missing"), "{truncated}");
    assert!((35.0..65.0).contains(&missing(&truncated)), "{truncated}");
    let zeros = reason(&zeroed(&bytes, third..third + 500));
    assert!(
        zeros.contains("zeros") || zeros.contains("left over") || zeros.contains("missing"),
        "{zeros}"
    );
}

#[test]
fn a_jpeg_that_lacks_a_scan_is_damaged() {
    let photo = &PHOTOS[0];
    let last_scan = |bytes: &[u8]| bytes.windows(2).rposition(|pair| pair == [0xFF, 0xDA]).unwrap();
    let progressive = compress(
        photo,
        &Make { quality: 85, progressive: true, optimised: true, chroma: Subsamp::Sub2x2 },
    );
    for bytes in [
        progressive,
        with_own_encoder(photo, Scans::OneEach, None),
        with_own_encoder(photo, Scans::LumaThenChroma, None),
    ] {
        let reason = reason(&[&bytes[..last_scan(&bytes)], &[0xFF, 0xD9]].concat());
        assert!(reason.contains("scans are missing"), "{reason}");
    }
}

/// The percentage of damaged copies of another format that are unreadable.
fn caught_of(format: ImageFormat, damage: fn(&[u8], std::ops::Range<usize>) -> Vec<u8>) -> f64 {
    let mut random = Random(5);
    let (mut copies, mut caught) = (0, 0);
    for photo in PHOTOS.iter() {
        let mut bytes = std::io::Cursor::new(Vec::new());
        photo.write_to(&mut bytes, format).unwrap();
        let bytes = bytes.into_inner();
        decode(&bytes).unwrap();
        for share in [0.002, 0.01, 0.05, 0.2, 0.4] {
            let length = (bytes.len() as f64 * share) as usize;
            let start = 200 + random.below(bytes.len() - length - 220);
            copies += 1;
            caught += u32::from(decode(&damage(&bytes, start..start + length)).is_err());
        }
    }
    f64::from(caught) * 100.0 / f64::from(copies)
}

#[test]
fn a_webp_with_a_part_cut_out_anywhere_is_unreadable() {
    let mut bytes = std::io::Cursor::new(Vec::new());
    PHOTOS[0].write_to(&mut bytes, ImageFormat::WebP).unwrap();
    let bytes = bytes.into_inner();
    for start in (30..bytes.len() - 100).step_by(997) {
        assert!(
            reason(&cut(&bytes, start..start + 100))
                .contains("bytes that its header names are missing")
        );
    }
}

#[test]
fn damage_of_other_formats_is_detected_as_often_as_documented() {
    for (format, cut_at_least, zeroed_at_least) in [
        (ImageFormat::Png, 100.0, 100.0),
        (ImageFormat::Gif, 90.0, 0.0),
        (ImageFormat::WebP, 100.0, 0.0),
        (ImageFormat::Bmp, 100.0, 0.0),
        (ImageFormat::Tiff, 100.0, 0.0),
    ] {
        let (cut, zeroed) = (caught_of(format, cut), caught_of(format, zeroed));
        println!("{format:?}: {cut:.0} % with a part cut out, {zeroed:.0} % with a part of zeros");
        assert!(cut >= cut_at_least && zeroed >= zeroed_at_least, "{format:?}: {cut} and {zeroed}");
    }
}
