//! Draws faces on a picture, for people.

use image::{Rgb, RgbImage};

use super::picture::Picture;
use crate::domain::{Face, Point};

const PRIMARY: Rgb<u8> = Rgb([0, 230, 0]);
const OTHER: Rgb<u8> = Rgb([255, 200, 0]);
const LANDMARK: Rgb<u8> = Rgb([255, 0, 80]);

impl Picture {
    /// An upright copy with the boxes and landmarks of `faces`. The box of the first one, the
    /// primary face, is green, the others are yellow.
    pub fn marked(&self, faces: &[Face]) -> RgbImage {
        let (width, height) = self.size();
        let mut canvas = self.upright((width, height));
        let thickness = f64::from((width.max(height) / 400).max(1));
        for (index, face) in faces.iter().enumerate() {
            let colour = if index == 0 { PRIMARY } else { OTHER };
            outline(&mut canvas, face, thickness, colour);
            for &point in face.landmarks.iter().flatten() {
                disc(&mut canvas, point, 1.5 * thickness, LANDMARK);
            }
        }
        canvas
    }
}

fn outline(canvas: &mut RgbImage, face: &Face, thickness: f64, colour: Rgb<u8>) {
    let (left, top) = (f64::from(face.bbox.x), f64::from(face.bbox.y));
    let right = left + f64::from(face.bbox.width);
    let bottom = top + f64::from(face.bbox.height);
    let all = |_: f64, _: f64| true;
    for (from, to) in [
        ((left, top), (right, top + thickness)),
        ((left, bottom - thickness), (right, bottom)),
        ((left, top), (left + thickness, bottom)),
        ((right - thickness, top), (right, bottom)),
    ] {
        fill(canvas, from, to, colour, all);
    }
}

fn disc(canvas: &mut RgbImage, centre: Point, radius: f64, colour: Rgb<u8>) {
    let (x, y) = (f64::from(centre.x), f64::from(centre.y));
    let inside = |at_x: f64, at_y: f64| (at_x - x).hypot(at_y - y) <= radius;
    fill(canvas, (x - radius, y - radius), (x + radius, y + radius), colour, inside);
}

/// Paints the pixels from `from` to `to` that are `inside`, as far as they are in the picture.
fn fill(
    canvas: &mut RgbImage,
    from: (f64, f64),
    to: (f64, f64),
    colour: Rgb<u8>,
    inside: impl Fn(f64, f64) -> bool,
) {
    let (width, height) = canvas.dimensions();
    // A conversion to a whole number saturates.
    let range = |from: f64, to: f64, end: u32| {
        let start = from.round().max(0.0) as u32;
        start..(to.round().max(0.0) as u32).saturating_add(1).min(end)
    };
    for y in range(from.1, to.1, height) {
        for x in range(from.0, to.0, width) {
            if inside(f64::from(x), f64::from(y)) {
                canvas.put_pixel(x, y, colour);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::BoundingBox;

    fn face(x: f32, y: f32, side: f32) -> Face {
        let centre = Point { x: x + side / 2.0, y: y + side / 2.0 };
        Face {
            bbox: BoundingBox { x, y, width: side, height: side },
            landmarks: Some([centre; 5]),
            detector_score: None,
        }
    }

    #[test]
    fn boxes_and_landmarks_are_drawn_where_they_are() {
        let picture = Picture::from_rgb(RgbImage::new(100, 80));
        let marked = picture.marked(&[face(10.0, 20.0, 30.0), face(60.0, 20.0, 20.0)]);
        assert_eq!(marked.dimensions(), (100, 80));
        for (x, y) in [(10, 20), (40, 20), (10, 50), (40, 50), (25, 20)] {
            assert_eq!(*marked.get_pixel(x, y), PRIMARY, "{x} {y}");
        }
        assert_eq!(*marked.get_pixel(60, 30), OTHER);
        assert_eq!(*marked.get_pixel(25, 35), LANDMARK);
        assert_eq!(*marked.get_pixel(5, 5), Rgb([0, 0, 0]));
        assert_eq!(*marked.get_pixel(18, 30), Rgb([0, 0, 0]), "a box is not filled");
    }

    #[test]
    fn what_is_outside_of_the_picture_is_not_drawn() {
        let picture = Picture::from_rgb(RgbImage::new(10, 10));
        for (at, side) in [(-1e30, 1.0), (1e30, 1e30), (-5.0, 1e9), (f32::NAN, f32::INFINITY)] {
            assert_eq!(picture.marked(&[face(at, at, side)]).dimensions(), (10, 10));
        }
    }
}
