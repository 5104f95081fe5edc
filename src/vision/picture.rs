//! A decoded image. Its interface is upright, but its pixels stay as stored: turning twelve
//! megapixels costs more than finding the faces in them.

use std::io::Cursor;

use facefleet_resize::{Filter, resize};
use image::metadata::Orientation;
use image::{DynamicImage, ImageFormat, RgbImage};

use super::align::AffineTransform;
use super::buffer;
use super::decode;
use super::error::{DecodeError, PixelLimits};
use crate::domain::{BoundingBox, CHIP_SIDE, Chip, Face, Landmarks, Point};

/// A decoded image.
#[derive(Debug)]
pub struct Picture {
    stored: RgbImage,
    orientation: Orientation,
}

impl Drop for Picture {
    fn drop(&mut self) {
        buffer::give(std::mem::take(&mut self.stored).into_raw());
    }
}

impl Picture {
    /// Decodes `bytes` of any supported format. Takes the first page of a TIFF and the first frame
    /// of a GIF.
    ///
    /// # Errors
    /// If `bytes` are not a complete image of a supported format, or the image is too large.
    pub fn decode(bytes: &[u8], limits: PixelLimits) -> Result<Self, DecodeError> {
        let (stored, orientation) = decode::decode(bytes, limits)?;
        Ok(Self { stored, orientation })
    }

    /// A picture from upright pixels.
    pub fn from_rgb(stored: RgbImage) -> Self {
        Self { stored, orientation: Orientation::NoTransforms }
    }

    /// Width and height of the upright image, pixels.
    pub fn size(&self) -> (u32, u32) {
        let (width, height) = self.stored.dimensions();
        if self.turned() { (height, width) } else { (width, height) }
    }

    fn turned(&self) -> bool {
        use Orientation::{Rotate90, Rotate90FlipH, Rotate270, Rotate270FlipH};
        matches!(self.orientation, Rotate90 | Rotate270 | Rotate90FlipH | Rotate270FlipH)
    }

    /// An upright copy of `width` x `height` pixels.
    pub fn upright(&self, size: (u32, u32)) -> RgbImage {
        self.copy(size, Filter::Bilinear)
    }

    /// The same, but each pixel is the mean of the pixels that it covers: half the cost for a large
    /// picture.
    pub fn averaged(&self, size: (u32, u32)) -> RgbImage {
        self.copy(size, Filter::Mean)
    }

    fn copy(&self, (width, height): (u32, u32), filter: Filter) -> RgbImage {
        let size = if self.turned() { (height, width) } else { (width, height) };
        let mut copy = resized(&self.stored, size, filter);
        if self.orientation != Orientation::NoTransforms {
            let mut turned = DynamicImage::ImageRgb8(copy);
            turned.apply_orientation(self.orientation);
            copy = turned.into_rgb8();
        }
        copy
    }

    /// The chip of the face with these `landmarks` (upright pixels); `None` if the landmarks
    /// coincide.
    pub fn chip(&self, landmarks: &Landmarks) -> Option<Chip> {
        let to_upright = AffineTransform::from_chip(landmarks)?;
        let to_stored = self.upright_to_stored().after(&to_upright);
        Chip::new(to_stored.sample(&self.stored, CHIP_SIDE, CHIP_SIDE))
    }

    /// The whole picture as a chip, scaled if it has another size.
    pub fn whole_as_chip(&self) -> Option<Chip> {
        let side = CHIP_SIDE as u32;
        Chip::new(self.upright((side, side)).into_raw())
    }

    /// The transform from upright to stored pixel coordinates.
    fn upright_to_stored(&self) -> AffineTransform {
        let (right, bottom) =
            (f64::from(self.stored.width()) - 1.0, f64::from(self.stored.height()) - 1.0);
        // The upright pixel (x, y) is the stored pixel (xx x + xy y + x0, yx x + yy y + y0).
        let [xx, xy, x0, yx, yy, y0] = match self.orientation {
            Orientation::NoTransforms => [1.0, 0.0, 0.0, 0.0, 1.0, 0.0],
            Orientation::FlipHorizontal => [-1.0, 0.0, right, 0.0, 1.0, 0.0],
            Orientation::FlipVertical => [1.0, 0.0, 0.0, 0.0, -1.0, bottom],
            Orientation::Rotate180 => [-1.0, 0.0, right, 0.0, -1.0, bottom],
            Orientation::Rotate90 => [0.0, 1.0, 0.0, -1.0, 0.0, bottom],
            Orientation::Rotate270 => [0.0, -1.0, right, 1.0, 0.0, 0.0],
            Orientation::Rotate90FlipH => [0.0, 1.0, 0.0, 1.0, 0.0, 0.0],
            Orientation::Rotate270FlipH => [0.0, -1.0, right, -1.0, 0.0, bottom],
        };
        AffineTransform { xx, xy, x0, yx, yy, y0 }
    }
}

/// Encodes `chip` as an image file of `format`.
///
/// # Errors
/// If the format cannot store a chip.
pub fn encode_chip(chip: &Chip, format: ImageFormat) -> Result<Vec<u8>, image::ImageError> {
    let mut bytes = Cursor::new(Vec::new());
    let side = CHIP_SIDE as u32;
    image::write_buffer_with_format(
        &mut bytes,
        chip.pixels(),
        side,
        side,
        image::ExtendedColorType::Rgb8,
        format,
    )?;
    Ok(bytes.into_inner())
}

/// Maps coordinates of a scaled copy back to the original picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Scale {
    x: f64,
    y: f64,
}

impl Scale {
    /// The scale from a copy of size `copy` to a picture of size `picture` (width and height,
    /// pixels).
    pub fn new(picture: (u32, u32), copy: (u32, u32)) -> Self {
        Self {
            x: f64::from(picture.0) / f64::from(copy.0.max(1)),
            y: f64::from(picture.1) / f64::from(copy.1.max(1)),
        }
    }

    /// Converts a face found in the copy to the picture's pixels.
    pub fn restore(&self, face: &Face) -> Face {
        // Pixel centres are at whole numbers: the first pixel of the copy covers the first few of
        // the picture.
        let along = |value: f32, scale: f64| ((f64::from(value) + 0.5) * scale - 0.5) as f32;
        let BoundingBox { x, y, width, height } = face.bbox;
        let bbox = BoundingBox {
            x: along(x, self.x),
            y: along(y, self.y),
            width: (f64::from(width) * self.x) as f32,
            height: (f64::from(height) * self.y) as f32,
        };
        let landmarks = face.landmarks.map(|points| {
            points.map(|Point { x, y }| Point { x: along(x, self.x), y: along(y, self.y) })
        });
        Face { bbox, landmarks, detector_score: face.detector_score }
    }
}

/// Resizes `image` to `size` (width and height, pixels).
pub fn shrink(image: &RgbImage, size: (u32, u32)) -> RgbImage {
    resized(image, size, Filter::Bilinear)
}

fn resized(image: &RgbImage, (width, height): (u32, u32), filter: Filter) -> RgbImage {
    if image.dimensions() == (width, height) {
        return image.clone();
    }
    // Only a zero-sized image can fail to resize; the limits exclude it.
    let target = (width.max(1), height.max(1));
    resize(image.as_raw(), image.dimensions(), target, filter)
        .and_then(|pixels| RgbImage::from_raw(target.0, target.1, pixels))
        .unwrap_or_else(|| image.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: PixelLimits = PixelLimits { max_pixels: 1_000_000 };

    fn encode(image: &RgbImage, format: ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        image.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    fn gradient(width: u32, height: u32) -> RgbImage {
        RgbImage::from_fn(width, height, |x, y| {
            image::Rgb([(x * 3) as u8, (y * 5) as u8, ((x + y) * 2) as u8])
        })
    }

    #[test]
    fn an_incomplete_image_is_unreadable() {
        let jpeg = encode(&gradient(80, 60), ImageFormat::Jpeg);
        let png = encode(&gradient(80, 60), ImageFormat::Png);
        for bytes in [
            &b""[..],
            b"just a text",
            &jpeg[..jpeg.len() / 2],
            &png[..png.len() / 2],
            b"\0\0\0\x18ftypheic",
        ] {
            assert!(
                matches!(Picture::decode(bytes, LIMITS), Err(DecodeError::Unreadable(_))),
                "{} bytes",
                bytes.len()
            );
        }
        for format in [
            ImageFormat::Jpeg,
            ImageFormat::Png,
            ImageFormat::Bmp,
            ImageFormat::Tiff,
            ImageFormat::Gif,
        ] {
            assert_eq!(
                Picture::decode(&encode(&gradient(80, 60), format), LIMITS).unwrap().size(),
                (80, 60)
            );
        }
    }

    #[test]
    fn a_large_image_is_refused_from_its_header() {
        // A PNG header of 100,000 x 100,000 pixels.
        let mut bytes = encode(&gradient(8, 8), ImageFormat::Png);
        bytes[16..20].copy_from_slice(&100_000_u32.to_be_bytes());
        bytes[20..24].copy_from_slice(&100_000_u32.to_be_bytes());
        let crc = crc32(&bytes[12..29]);
        bytes[29..33].copy_from_slice(&crc.to_be_bytes());
        let error = Picture::decode(&bytes, LIMITS).unwrap_err();
        assert!(matches!(error, DecodeError::TooLarge(_)), "{error:?}");
    }

    fn crc32(bytes: &[u8]) -> u32 {
        let step = |crc: u32, _| if crc & 1 == 1 { (crc >> 1) ^ 0xEDB8_8320 } else { crc >> 1 };
        !bytes.iter().fold(!0, |crc, &byte| (0..8).fold(crc ^ u32::from(byte), step))
    }

    #[test]
    fn a_turned_picture_gives_the_chip_of_the_upright_one() {
        let upright = gradient(90, 70);
        let landmarks = [(30.0, 20.0), (60.0, 22.0), (46.0, 40.0), (34.0, 55.0), (58.0, 54.0)]
            .map(|(x, y)| Point { x, y });
        let expected = Picture::from_rgb(upright.clone()).chip(&landmarks).unwrap();
        for exif in 1..=8 {
            let orientation = Orientation::from_exif(exif).unwrap();
            // Turning the upright picture by the inverse gives the pixels that a camera would
            // store.
            let inverse = match orientation {
                Orientation::Rotate90 => Orientation::Rotate270,
                Orientation::Rotate270 => Orientation::Rotate90,
                same => same,
            };
            let mut stored = DynamicImage::ImageRgb8(upright.clone());
            stored.apply_orientation(inverse);
            let picture = Picture { stored: stored.into_rgb8(), orientation };
            assert_eq!(picture.size(), (90, 70));
            assert_eq!(picture.upright((90, 70)), upright, "orientation {exif}");
            let chip = picture.chip(&landmarks).unwrap();
            let worst =
                chip.pixels().iter().zip(expected.pixels()).map(|(a, b)| a.abs_diff(*b)).max();
            assert!(worst <= Some(1), "orientation {exif}: {worst:?}");
        }
    }

    #[test]
    fn a_face_found_in_a_smaller_copy_is_restored() {
        let picture = Picture::from_rgb(gradient(1000, 500));
        assert_eq!(picture.upright((250, 125)).dimensions(), (250, 125));
        let scale = Scale::new(picture.size(), (250, 125));
        let bbox = BoundingBox { x: 0.0, y: 10.0, width: 20.0, height: 30.0 };
        let face = scale.restore(&Face { bbox, landmarks: None, detector_score: None });
        assert_eq!(face.bbox, BoundingBox { x: 1.5, y: 41.5, width: 80.0, height: 120.0 });
        assert_eq!(picture.upright((1000, 500)), gradient(1000, 500));
    }
}
