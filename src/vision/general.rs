//! Formats that the image crate decodes.

use std::io::Cursor;

use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits, RgbImage};

use super::error::{DecodeError, PixelLimits, unreadable};

/// Decodes `bytes` with the image crate's decoder of `format`.
pub(super) fn general(
    format: ImageFormat,
    bytes: &[u8],
    limits: PixelLimits,
) -> Result<RgbImage, DecodeError> {
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut allocation = Limits::no_limits();
    // The widest decoded pixel (16-bit RGBA, 8 bytes), and the same again for the decoder itself.
    allocation.max_alloc = Some(limits.max_pixels.saturating_mul(16));
    reader.limits(allocation);
    let failed = |error| match error {
        ImageError::Limits(_) => DecodeError::TooLarge(format!(
            "{error}: the image needs more memory than limits.max_pixels = {} allows",
            limits.max_pixels
        )),
        _ => unreadable(error.to_string()),
    };
    let decoder = reader.into_decoder().map_err(failed)?;
    let (width, height) = decoder.dimensions();
    limits.check(width.into(), height.into())?;
    Ok(into_rgb(DynamicImage::from_decoder(decoder).map_err(failed)?))
}

/// Converts to 8-bit RGB; alpha is dropped. Grey is expanded here because the general conversion
/// uses floats.
fn into_rgb(image: DynamicImage) -> RgbImage {
    match image {
        DynamicImage::ImageLuma8(grey) => {
            let (width, height) = grey.dimensions();
            let pixels = grey.into_raw().into_iter().flat_map(|value| [value; 3]).collect();
            RgbImage::from_raw(width, height, pixels).unwrap_or_default()
        }
        other => other.into_rgb8(),
    }
}
