//! Bytes become pixels: the one place that knows which decoder reads which format. Whatever the bytes are, the answer is an image or the
//! reason why there is none: limits are checked before memory is asked for, and a decoder that panics has found an unreadable image.

use std::io::Cursor;

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits, RgbImage};

use super::guard::guarded;
use super::{jpeg, orientation, riff, tiff};
use crate::domain::{ImageKind, other_content};

/// Why bytes did not become a picture.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// They are no whole image of a format we read.
    #[error("{0}")]
    Unreadable(String),
    /// The image is larger than allowed.
    #[error("{0}")]
    TooLarge(String),
    /// Looking at the image broke: no fault of the image's.
    #[error("{0}")]
    Failed(String),
}

/// How large an image may be once decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PixelLimits {
    /// Width times height. Checked from the header, before memory is asked for.
    pub max_pixels: u64,
}

impl PixelLimits {
    /// Checks the size that a header promises.
    ///
    /// # Errors
    /// If there are no pixels, or more than allowed.
    pub(super) fn check(self, width: u64, height: u64) -> Result<(), DecodeError> {
        let pixels = width.saturating_mul(height);
        if pixels > self.max_pixels {
            let reason = format!("{width}x{height} is {pixels} pixels, more than limits.max_pixels = {} allows", self.max_pixels);
            return Err(DecodeError::TooLarge(reason));
        }
        if pixels == 0 {
            return Err(unreadable("the image has no pixels"));
        }
        Ok(())
    }
}

/// An image that cannot be read, for `reason`.
pub(super) fn unreadable(reason: impl Into<String>) -> DecodeError {
    DecodeError::Unreadable(reason.into())
}

/// The pixels as they are stored, and how they are to be turned.
///
/// # Errors
/// If `bytes` are not a whole image of a format we read, or it is too large.
pub(super) fn decode(bytes: &[u8], limits: PixelLimits) -> Result<(RgbImage, Orientation), DecodeError> {
    if bytes.is_empty() {
        return Err(unreadable("the file is empty"));
    }
    let kind = ImageKind::sniff(bytes).ok_or_else(|| unreadable(no_image(bytes)))?;
    of_kind(kind, || {
        let pixels = pixels(kind, bytes, limits)?;
        Ok((pixels, orientation::of(kind, bytes)))
    })
}

/// What `decoder` says of an image of `kind`; unreadable if it panics.
fn of_kind<T>(kind: ImageKind, decoder: impl FnOnce() -> Result<T, DecodeError>) -> Result<T, DecodeError> {
    guarded(decoder).unwrap_or_else(|panic| {
        let name = kind.name();
        Err(unreadable(format!("the file is no valid {name}: the decoder of {name} images stopped in it ({panic})")))
    })
}

fn pixels(kind: ImageKind, bytes: &[u8], limits: PixelLimits) -> Result<RgbImage, DecodeError> {
    match kind {
        ImageKind::Jpeg => jpeg::decode(bytes, limits),
        ImageKind::Png => general(ImageFormat::Png, bytes, limits),
        ImageKind::WebP => match riff::shortfall(bytes) {
            Some(reason) => Err(unreadable(reason)),
            None => general(ImageFormat::WebP, bytes, limits),
        },
        ImageKind::Bmp => general(ImageFormat::Bmp, bytes, limits),
        ImageKind::Gif => general(ImageFormat::Gif, bytes, limits),
        ImageKind::Tiff => tiff::decode(bytes, limits),
        #[cfg(feature = "heif")]
        ImageKind::Heic | ImageKind::Avif => super::heif::decode(kind, bytes, limits),
        #[cfg(not(feature = "heif"))]
        ImageKind::Heic | ImageKind::Avif => Err(unreadable(format!(
            "{} images are not read by this build: build with --features heif, or convert it to JPEG",
            kind.name()
        ))),
        ImageKind::JpegXl | ImageKind::Jpeg2000 | ImageKind::JpegXr | ImageKind::Pnm | ImageKind::Raw => {
            Err(unreadable(format!("{} images are not read: convert it to JPEG", kind.name())))
        }
    }
}

/// What the image crate's decoder of `format` reads.
pub(super) fn general(format: ImageFormat, bytes: &[u8], limits: PixelLimits) -> Result<RgbImage, DecodeError> {
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut allocation = Limits::no_limits();
    // The widest decoded pixel (16-bit RGBA) and as much again for the decoder's own work.
    allocation.max_alloc = Some(limits.max_pixels.saturating_mul(16));
    reader.limits(allocation);
    let failed = |error| match error {
        ImageError::Limits(_) => {
            DecodeError::TooLarge(format!("{error}: it takes more memory than limits.max_pixels = {} allows", limits.max_pixels))
        }
        _ => unreadable(error.to_string()),
    };
    let decoder = reader.into_decoder().map_err(failed)?;
    let (width, height) = decoder.dimensions();
    limits.check(width.into(), height.into())?;
    Ok(into_rgb(DynamicImage::from_decoder(decoder).map_err(failed)?))
}

/// 8-bit RGB; alpha is dropped. Grey is expanded here because the general conversion goes through floats.
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

fn no_image(bytes: &[u8]) -> String {
    match other_content(bytes) {
        Some(content) => format!("not an image that is read: the content is {content}"),
        None => "not an image: the content is of no known format".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decoder_that_panics_has_found_an_unreadable_image() {
        let error = of_kind(ImageKind::Jpeg, || -> Result<(), _> { panic!("components: {}", 2) }).unwrap_err();
        assert!(matches!(error, DecodeError::Unreadable(_)), "{error:?}");
        let reason = error.to_string();
        assert!(reason.contains("no valid JPEG") && reason.contains("components: 2"), "{reason}");
    }

    /// 8x8 pixels of `components` components in one progressive scan, all coefficients zero, with an Adobe marker that names `transform`
    /// (0 RGB or CMYK, 1 YCbCr, 2 YCCK).
    fn jpeg(components: u8, transform: u8) -> Vec<u8> {
        let each = |of: fn(u8) -> Vec<u8>| (1..=components).flat_map(of).collect::<Vec<u8>>();
        let segment = |code: u8, content: &[u8]| [&[0xFF, code][..], &(content.len() as u16 + 2).to_be_bytes(), content].concat();
        // The table has one code, 0: no difference.
        [
            vec![0xFF, 0xD8],
            segment(0xEE, &[&b"Adobe\0\x64\0\0\0\0"[..], &[transform]].concat()),
            segment(0xDB, &[&[0][..], &[1; 64]].concat()),
            segment(0xC2, &[&[8, 0, 8, 0, 8, components][..], &each(|id| vec![id, 0x11, 0])].concat()),
            segment(0xC4, &[&[0, 1][..], &[0; 15], &[0]].concat()),
            segment(0xDA, &[&[components][..], &each(|id| vec![id, 0]), &[0, 0, 0]].concat()),
            vec![0xFF_u8 >> components, 0xFF, 0xD9],
        ]
        .concat()
    }

    #[test]
    fn a_jpeg_of_two_components_that_claim_to_be_four_is_unreadable() {
        let limits = PixelLimits { max_pixels: 64 };
        // What three of them lack is the rest of the picture.
        let Err(DecodeError::Unreadable(reason)) = decode(&jpeg(3, 1), limits) else { panic!() };
        assert!(reason.contains("scans are missing"), "{reason}");
        // Once with the transform of four components, at which a decoder may panic.
        let decoded = decode(&jpeg(2, 2), limits);
        assert!(matches!(decoded, Err(DecodeError::Unreadable(_))), "{decoded:?}");
    }

    #[test]
    fn what_is_no_image_is_called_what_it_is() {
        let limits = PixelLimits { max_pixels: 64 };
        for (bytes, named) in [
            (&b""[..], "empty"),
            (b"just a text", "a text"),
            (b"%PDF-1.7 and so on", "PDF"),
            (b"\0\0\0\x18ftypisom\0\0\0\0mp42", "video"),
            (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
            (b"\0\0\0\x18ftypavif\0\0\0\0mif1avif", "AVIF"),
            (b"\0\0\0\x18ftypcrx \0\0\0\x01crx isom", "camera raw"),
            (b"\xFF\x0A\0\0\0\0", "JPEG XL"),
            (b"IIRO\x08\0\0\0", "camera raw"),
        ] {
            let Err(DecodeError::Unreadable(reason)) = decode(bytes, limits) else { panic!("{named}") };
            assert!(reason.contains(named), "{named}: {reason}");
        }
    }

    #[test]
    fn a_refusal_names_its_setting() {
        let image = RgbImage::new(9, 8);
        for format in [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::Tiff, ImageFormat::Bmp] {
            let mut bytes = Cursor::new(Vec::new());
            image.write_to(&mut bytes, format).unwrap();
            let Err(DecodeError::TooLarge(reason)) = decode(bytes.get_ref(), PixelLimits { max_pixels: 71 }) else {
                panic!("{format:?}")
            };
            assert!(reason.contains("9x8 is 72 pixels") && reason.contains("limits.max_pixels"), "{reason}");
        }
    }
}
