//! Bytes become pixels: the one place that knows which decoder reads which format. Whatever the
//! bytes are, the answer is an image or the reason why there is none: limits are checked before
//! memory is asked for, and a decoder that panics has found an unreadable image.

use image::metadata::Orientation;
use image::{ImageFormat, RgbImage};

use super::error::{DecodeError, PixelLimits, unreadable};
use super::general::general;
use super::guard::guarded;
use super::{jpeg, orientation, png, riff, tiff};
use crate::domain::{ImageKind, other_content};

/// The pixels as they are stored, and how they are to be turned.
///
/// # Errors
/// If `bytes` are not a whole image of a format we read, or it is too large.
pub(super) fn decode(
    bytes: &[u8],
    limits: PixelLimits,
) -> Result<(RgbImage, Orientation), DecodeError> {
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
fn of_kind<T>(
    kind: ImageKind,
    decoder: impl FnOnce() -> Result<T, DecodeError>,
) -> Result<T, DecodeError> {
    guarded(decoder).unwrap_or_else(|panic| {
        let name = kind.name();
        Err(unreadable(format!(
            "the file is no valid {name}: the decoder of {name} images stopped in it ({panic})"
        )))
    })
}

fn pixels(kind: ImageKind, bytes: &[u8], limits: PixelLimits) -> Result<RgbImage, DecodeError> {
    match kind {
        ImageKind::Jpeg => jpeg::decode(bytes, limits),
        ImageKind::Png => general(ImageFormat::Png, &png::essential(bytes), limits),
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
            "{} images are not read by this build: build with --features heif, or convert it to \
                JPEG",
            kind.name()
        ))),
        ImageKind::JpegXl
        | ImageKind::Jpeg2000
        | ImageKind::JpegXr
        | ImageKind::Pnm
        | ImageKind::Raw => {
            Err(unreadable(format!("{} images are not read: convert it to JPEG", kind.name())))
        }
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
    use std::io::Cursor;

    use super::*;

    #[test]
    fn a_decoder_that_panics_has_found_an_unreadable_image() {
        let error = of_kind(ImageKind::Jpeg, || -> Result<(), _> { panic!("components: {}", 2) })
            .unwrap_err();
        assert!(matches!(error, DecodeError::Unreadable(_)), "{error:?}");
        let reason = error.to_string();
        assert!(reason.contains("no valid JPEG") && reason.contains("components: 2"), "{reason}");
    }

    /// 8x8 pixels of `components` components in one progressive scan, all coefficients zero, with
    /// an Adobe marker that names `transform` (0 RGB or CMYK, 1 YCbCr, 2 YCCK).
    fn jpeg(components: u8, transform: u8) -> Vec<u8> {
        let each = |of: fn(u8) -> Vec<u8>| (1..=components).flat_map(of).collect::<Vec<u8>>();
        let segment = |code: u8, content: &[u8]| {
            [&[0xFF, code][..], &(content.len() as u16 + 2).to_be_bytes(), content].concat()
        };
        // The table has one code, 0: no difference.
        [
            vec![0xFF, 0xD8],
            segment(0xEE, &[&b"Adobe\0\x64\0\0\0\0"[..], &[transform]].concat()),
            segment(0xDB, &[&[0][..], &[1; 64]].concat()),
            segment(
                0xC2,
                &[&[8, 0, 8, 0, 8, components][..], &each(|id| vec![id, 0x11, 0])].concat(),
            ),
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
            let Err(DecodeError::Unreadable(reason)) = decode(bytes, limits) else {
                panic!("{named}")
            };
            assert!(reason.contains(named), "{named}: {reason}");
        }
    }

    #[test]
    fn a_refusal_names_its_setting() {
        let image = RgbImage::new(9, 8);
        for format in [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::Tiff, ImageFormat::Bmp] {
            let mut bytes = Cursor::new(Vec::new());
            image.write_to(&mut bytes, format).unwrap();
            let Err(DecodeError::TooLarge(reason)) =
                decode(bytes.get_ref(), PixelLimits { max_pixels: 71 })
            else {
                panic!("{format:?}")
            };
            assert!(
                reason.contains("9x8 is 72 pixels") && reason.contains("limits.max_pixels"),
                "{reason}"
            );
        }
    }
}
