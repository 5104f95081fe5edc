//! HEIC and AVIF, through libheif (cargo feature `heif`), which turns images upright itself: an
//! orientation in Exif is not applied again.
//!
//! libheif is C++ in our process: bytes that nobody vouches for are safer with a libheif that its
//! distribution keeps up to date.

use std::sync::LazyLock;

use image::RgbImage;
use libheif_rs::{ColorSpace, HeifContext, HeifError, LibHeif, RgbChroma};

use super::error::{DecodeError, PixelLimits, unreadable};
use crate::domain::ImageKind;

/// Loads libheif's plugins once.
static LIBRARY: LazyLock<LibHeif> = LazyLock::new(LibHeif::new);

/// The primary image of a HEIC or AVIF file.
///
/// # Errors
/// If libheif does not read it, or it is too large.
pub(super) fn decode(
    kind: ImageKind,
    bytes: &[u8],
    limits: PixelLimits,
) -> Result<RgbImage, DecodeError> {
    let name = kind.name();
    let failed = |error: HeifError| {
        unreadable(format!("libheif does not read this {name} image: {}", error.message))
    };
    let library = &*LIBRARY;
    let mut context = HeifContext::read_from_bytes(bytes).map_err(failed)?;
    // Images are decoded in parallel already.
    context.set_max_decoding_threads(0);
    let handle = context.primary_image_handle().map_err(failed)?;
    // As it is stored: a crop may make a small image of a large one.
    let (width, height) = stored_size(name, handle.ispe_width(), handle.ispe_height())?;
    limits.check(width, height)?;
    limits.check(handle.width().into(), handle.height().into())?;
    // No options: this version of libheif-rs frees them before they are used.
    let image = library.decode(&handle, ColorSpace::Rgb(RgbChroma::Rgb), None).map_err(failed)?;
    let plane = image
        .planes()
        .interleaved
        .ok_or_else(|| unreadable(format!("libheif gives no pixels of this {name} image")))?;
    limits.check(plane.width.into(), plane.height.into())?;
    let row_bytes = plane.width as usize * 3;
    let rows = plane.data.chunks(plane.stride.max(1)).take(plane.height as usize);
    let pixels = rows.flat_map(|row| row.iter().take(row_bytes)).copied().collect();
    RgbImage::from_raw(plane.width, plane.height, pixels)
        .ok_or_else(|| unreadable(format!("libheif gives too few pixels of this {name} image")))
}

/// The size in the image's box `ispe`, as libheif gives it: 0 or less if there is none.
fn stored_size(name: &str, width: i32, height: i32) -> Result<(u64, u64), DecodeError> {
    match (u64::try_from(width), u64::try_from(height)) {
        (Ok(width @ 1..), Ok(height @ 1..)) => Ok((width, height)),
        _ => Err(unreadable(format!("the size of this {name} image is missing (its box ispe)"))),
    }
}

#[cfg(test)]
mod tests {
    use libheif_rs::{Channel, CompressionFormat, EncoderQuality, Image};

    use super::*;
    use crate::vision::Picture;

    const LIMITS: PixelLimits = PixelLimits { max_pixels: 64 * 48 };

    fn gradient() -> RgbImage {
        RgbImage::from_fn(64, 48, |x, y| image::Rgb([(x * 4) as u8, (y * 5) as u8, 128]))
    }

    /// The gradient as libheif's own encoder writes it, with an Exif block of orientation 6.
    fn encoded(format: CompressionFormat) -> Vec<u8> {
        let pixels = gradient();
        let mut image = Image::new(64, 48, ColorSpace::Rgb(RgbChroma::Rgb)).unwrap();
        image.create_plane(Channel::Interleaved, 64, 48, 24).unwrap();
        let plane = image.planes_mut().interleaved.unwrap();
        for (row, stored) in plane.data.chunks_mut(plane.stride).zip(pixels.chunks_exact(64 * 3)) {
            row[..64 * 3].copy_from_slice(stored);
        }
        let mut encoder = LIBRARY.encoder_for_format(format).expect("libheif has its encoders");
        encoder.set_quality(EncoderQuality::Lossy(90)).unwrap();
        let mut context = HeifContext::new().unwrap();
        let handle = context.encode_image(&image, &mut encoder, None).unwrap();
        let entry = [
            &b"II*\0\x08\0\0\0\x01\0"[..],
            &274_u16.to_le_bytes(),
            &[3, 0, 1, 0, 0, 0, 6, 0, 0, 0],
            &[0; 4],
        ]
        .concat();
        context.add_exif_metadata(&handle, &entry).unwrap();
        context.write_to_bytes().unwrap()
    }

    #[test]
    fn heic_and_avif_are_read_and_turned_by_their_own_boxes_alone() {
        for format in [CompressionFormat::Hevc, CompressionFormat::Av1] {
            let picture = Picture::decode(&encoded(format), LIMITS).unwrap();
            assert_eq!(picture.size(), (64, 48), "{format:?}");
            let pixels = picture.upright((64, 48));
            let off = |(a, b): (&u8, &u8)| f64::from(a.abs_diff(*b));
            let mean =
                pixels.iter().zip(gradient().iter()).map(off).sum::<f64>() / pixels.len() as f64;
            assert!(mean < 3.0, "{format:?}: {mean}");
        }
    }

    #[test]
    fn an_image_is_turned_as_its_box_says() {
        for format in [CompressionFormat::Hevc, CompressionFormat::Av1] {
            let mut bytes = encoded(format);
            // In place of the number of bits: a quarter turn against the clock.
            let at = bytes.windows(8).position(|bytes| bytes == b"\0\0\0\x10pixi").unwrap();
            bytes[at + 4..at + 16].copy_from_slice(b"irot\x01\0\0\0\0\0\0\0");
            let picture = Picture::decode(&bytes, LIMITS).unwrap();
            assert_eq!(picture.size(), (48, 64), "{format:?}");
            let pixels = picture.upright((48, 64));
            let off = |(a, b): (&u8, &u8)| f64::from(a.abs_diff(*b));
            let turned = image::imageops::rotate270(&gradient());
            let mean = pixels.iter().zip(turned.iter()).map(off).sum::<f64>() / pixels.len() as f64;
            assert!(mean < 3.0, "{format:?}: {mean}");
        }
    }

    #[test]
    fn a_missing_size_is_called_missing() {
        assert_eq!(stored_size("HEIC", 64, 48), Ok((64, 48)));
        for (width, height) in [(0, 48), (64, 0), (-1, 48), (64, i32::MIN)] {
            let reason = stored_size("HEIC", width, height).unwrap_err().to_string();
            assert!(
                reason.contains("HEIC") && reason.contains("missing"),
                "{width}x{height}: {reason}"
            );
        }
    }

    #[test]
    fn what_is_cut_or_too_large_is_told() {
        for format in [CompressionFormat::Hevc, CompressionFormat::Av1] {
            let bytes = encoded(format);
            let small = PixelLimits { max_pixels: 64 * 48 - 1 };
            assert!(
                matches!(Picture::decode(&bytes, small), Err(DecodeError::TooLarge(_))),
                "{format:?}"
            );
            for cut in [24, bytes.len() / 2, bytes.len() - 10] {
                let Err(DecodeError::Unreadable(reason)) = Picture::decode(&bytes[..cut], LIMITS)
                else {
                    panic!("{format:?} cut at {cut}")
                };
                assert!(reason.contains("HEIC") || reason.contains("AVIF"), "{reason}");
            }
        }
    }
}
