//! Decodes bytes into pixels: selects the decoder by format. Any bytes give an image or an error.
//! Limits are checked before memory is allocated. A panic of a decoder makes the image unreadable.

use image::metadata::Orientation;
use image::{ImageFormat, RgbImage};

use super::error::{DecodeError, PixelLimits, unreadable};
use super::general::general;
use super::guard::guarded;
use super::{jpeg, orientation, png, riff, tiff};
use crate::domain::{ImageKind, other_content};

/// The pixels as stored, and the orientation to apply to them.
///
/// # Errors
/// If `bytes` are not a complete image of a supported format, or the image is too large.
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

/// Runs `decoder` for an image of `kind`. A panic makes the image unreadable.
fn of_kind<T>(
    kind: ImageKind,
    decoder: impl FnOnce() -> Result<T, DecodeError>,
) -> Result<T, DecodeError> {
    guarded(decoder).unwrap_or_else(|panic| {
        let name = kind.name();
        Err(unreadable(format!(
            "the file is not a valid {name}: the {name} decoder stopped with '{panic}'"
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
            "this build does not decode {} images: convert the image to JPEG, or build with \
             --features heif",
            kind.name()
        ))),
        ImageKind::JpegXl
        | ImageKind::Jpeg2000
        | ImageKind::JpegXr
        | ImageKind::Pnm
        | ImageKind::Raw => {
            let name = kind.name();
            Err(unreadable(format!("{name} images are not supported: convert the image to JPEG")))
        }
    }
}

fn no_image(bytes: &[u8]) -> String {
    match other_content(bytes) {
        Some(content) => format!("not an image of a supported format: the content is {content}"),
        None => "not an image: the content has no known format".into(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    #[test]
    fn a_panic_of_a_decoder_makes_the_image_unreadable() {
        let error = of_kind(ImageKind::Jpeg, || -> Result<(), _> { panic!("components: {}", 2) })
            .unwrap_err();
        assert!(matches!(error, DecodeError::Unreadable(_)), "{error:?}");
        let reason = error.to_string();
        assert!(
            reason.contains("not a valid JPEG") && reason.contains("components: 2"),
            "{reason}"
        );
    }

    /// 8x8 pixels of `components` components in one progressive scan, all coefficients zero, with
    /// an Adobe marker that names `transform` (0 RGB or CMYK, 1 YCbCr, 2 YCCK).
    fn jpeg(components: u8, transform: u8) -> Vec<u8> {
        let each = |of: fn(u8) -> Vec<u8>| (1..=components).flat_map(of).collect::<Vec<u8>>();
        let segment = |code: u8, content: &[u8]| {
            [&[0xFF, code][..], &(content.len() as u16 + 2).to_be_bytes(), content].concat()
        };
        // The Huffman table has one code, 0: no difference.
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
        // With three components, only the other scans are missing.
        let Err(DecodeError::Unreadable(reason)) = decode(&jpeg(3, 1), limits) else { panic!() };
        assert!(reason.contains("scans are missing"), "{reason}");
        // With two components and a transform for four, some decoders panic.
        let decoded = decode(&jpeg(2, 2), limits);
        assert!(matches!(decoded, Err(DecodeError::Unreadable(_))), "{decoded:?}");
    }

    #[test]
    fn the_reason_names_the_content_of_a_file_that_is_not_an_image() {
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
