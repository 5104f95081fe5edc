//! The detector's input for an image: three planes of bytes, padded with black on the right and
//! below.
//!
//! The image lies in the upper left corner, so coordinates need no shift. The size of the padding
//! is part of the profile, because the network's own padding starts where the canvas ends. Measured
//! on the sample photos at 640 pixels: the landmarks of faces inside the image move by at most
//! 0.0006 of the face's width; where the image's edge cuts off a quarter of the face, by up to 0.09
//! (tests/it/devices.rs).

use image::RgbImage;

use super::manifest::InputSpec;

/// Canvas sides are a multiple of this: the network halves the image five times.
const MULTIPLE: usize = 32;
/// Side of the small canvas, in pixels. It is for images up to this size, which would fill at most
/// a quarter of the large canvas.
const SMALL: usize = 320;

/// An image as the detector's input.
#[derive(Debug, Clone, PartialEq)]
pub struct Canvas {
    /// In pixels, a multiple of 32.
    pub width: usize,
    /// In pixels, a multiple of 32.
    pub height: usize,
    /// Three planes, row by row.
    pub pixels: Vec<u8>,
}

/// How the size of a canvas is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CanvasSize {
    /// The image's size, rounded up to a multiple of 32.
    Image,
    /// One of two squares. Images of all shapes then go through a network of fixed shapes, in
    /// batches.
    Letterbox {
        /// The longest side of an image, in pixels.
        max_side: u32,
    },
}

impl CanvasSize {
    /// The sides of the square canvases, the smallest first. Empty if canvases have the image's
    /// size.
    pub fn squares(self) -> Vec<usize> {
        let Self::Letterbox { max_side } = self else { return Vec::new() };
        let large = (max_side as usize).next_multiple_of(MULTIPLE);
        if large > SMALL { vec![SMALL, large] } else { vec![large] }
    }

    fn of(self, width: usize, height: usize) -> (usize, usize) {
        let longest = width.max(height);
        match self.squares().into_iter().find(|&side| side >= longest) {
            Some(side) => (side, side),
            // An image larger than the letterbox is not cut: it gets a canvas of its own size.
            None => (width.next_multiple_of(MULTIPLE), height.next_multiple_of(MULTIPLE)),
        }
    }
}

impl Canvas {
    /// Puts `image` on a canvas of `size`, in the format of `input`.
    pub fn new(image: &RgbImage, input: &InputSpec, size: CanvasSize) -> Self {
        Self::of(image, input, size.of(image.width() as usize, image.height() as usize))
    }

    /// The canvas of `image`, which has the size of a canvas.
    pub(super) fn square(image: &RgbImage, input: &InputSpec) -> Self {
        Self::of(image, input, (image.width() as usize, image.height() as usize))
    }

    fn of(image: &RgbImage, input: &InputSpec, (width, height): (usize, usize)) -> Self {
        let image_width = image.width() as usize;
        let mut canvas = vec![0; 3 * width * height];
        for (plane, channel) in canvas.chunks_exact_mut(width * height).zip(input.channels.order())
        {
            for (row, pixels) in
                plane.chunks_exact_mut(width).zip(image.as_raw().chunks_exact(image_width * 3))
            {
                for (value, pixel) in row.iter_mut().zip(pixels.as_chunks::<3>().0) {
                    *value = pixel[channel];
                }
            }
        }
        Self { width, height, pixels: canvas }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inference::manifest::Channels;

    #[test]
    fn an_image_lies_in_the_upper_left_corner_of_the_smallest_canvas_that_holds_it() {
        let letterbox = CanvasSize::Letterbox { max_side: 640 };
        assert_eq!(letterbox.of(300, 200), (320, 320));
        assert_eq!(letterbox.of(200, 321), (640, 640));
        assert_eq!(letterbox.of(641, 10), (672, 32));
        assert_eq!(CanvasSize::Letterbox { max_side: 100 }.of(100, 20), (128, 128));
        assert_eq!(CanvasSize::Image.of(300, 200), (320, 224));

        let input =
            InputSpec { width: 0, height: 0, channels: Channels::Bgr, mean: 0.0, scale: 1.0 };
        let image = RgbImage::from_fn(2, 2, |x, y| image::Rgb([1 + x as u8, 10 + y as u8, 100]));
        let canvas = Canvas::new(&image, &input, CanvasSize::Letterbox { max_side: 32 });
        let at = |plane: usize, x: usize, y: usize| canvas.pixels[plane * 32 * 32 + y * 32 + x];
        assert_eq!(
            [at(0, 0, 0), at(1, 0, 1), at(2, 1, 0), at(2, 2, 0), at(0, 0, 2)],
            [100, 11, 2, 0, 0]
        );
        assert_eq!(canvas.pixels.iter().filter(|&&value| value != 0).count(), 12);
    }
}
