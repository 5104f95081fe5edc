//! HEIC and AVIF, through libheif (cargo feature `heif`). libheif turns images upright itself, so
//! an orientation in Exif is not applied again.
//!
//! libheif is C++ code in our process. For untrusted files, use a libheif that its distribution
//! keeps up to date.

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
/// If libheif cannot decode the image, or it is too large.
pub(super) fn decode(
    kind: ImageKind,
    bytes: &[u8],
    limits: PixelLimits,
) -> Result<RgbImage, DecodeError> {
    let name = kind.name();
    let failed = |error: HeifError| {
        unreadable(format!("libheif cannot decode this {name} image: {}", error.message))
    };
    let library = &*LIBRARY;
    let mut context = HeifContext::read_from_bytes(bytes).map_err(failed)?;
    // No threads here: images are decoded in parallel already.
    context.set_max_decoding_threads(0);
    let handle = context.primary_image_handle().map_err(failed)?;
    // Check the stored size: a crop may make a large image look small.
    let (width, height) = stored_size(name, handle.ispe_width(), handle.ispe_height())?;
    limits.check(width, height)?;
    limits.check(handle.width().into(), handle.height().into())?;
    // No options: this version of libheif-rs frees them before they are used.
    let image = library.decode(&handle, ColorSpace::Rgb(RgbChroma::Rgb), None).map_err(failed)?;
    let plane = image
        .planes()
        .interleaved
        .ok_or_else(|| unreadable(format!("libheif returns no pixels for this {name} image")))?;
    limits.check(plane.width.into(), plane.height.into())?;
    let row_bytes = plane.width as usize * 3;
    let rows = plane.data.chunks(plane.stride.max(1)).take(plane.height as usize);
    let pixels = rows.flat_map(|row| row.iter().take(row_bytes)).copied().collect();
    RgbImage::from_raw(plane.width, plane.height, pixels)
        .ok_or_else(|| unreadable(format!("libheif returns too few pixels for this {name} image")))
}

/// The size in the `ispe` box of the image, as libheif returns it: 0 or less if the box is missing.
fn stored_size(name: &str, width: i32, height: i32) -> Result<(u64, u64), DecodeError> {
    match (u64::try_from(width), u64::try_from(height)) {
        (Ok(width @ 1..), Ok(height @ 1..)) => Ok((width, height)),
        _ => Err(unreadable(format!("the size of this {name} image is missing (its ispe box)"))),
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
    fn heic_and_avif_are_decoded_and_turned_only_by_their_own_boxes() {
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
    fn an_image_is_turned_by_its_irot_box() {
        for format in [CompressionFormat::Hevc, CompressionFormat::Av1] {
            let mut bytes = encoded(format);
            // Replace the number of bits by a quarter turn counterclockwise.
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
    fn the_reason_says_that_the_size_is_missing() {
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
    fn a_truncated_image_is_unreadable_and_a_large_one_too_large() {
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
