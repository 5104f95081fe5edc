//! The parts of a chip that are measured.
//!
//! - The **face** is an ellipse about the point (56, 74) with half axes of 36 and 40 pixels: in the
//!   template the eyes are 35 pixels apart, so it reaches from above the brows to the chin and is
//!   about as wide as a face at the cheekbones. It stands in for the hull of 98 landmarks.
//! - The **cheeks** are the two squares of ISO/IEC 29794-5: three tenths of the inter-eye distance
//!   wide, outwards of each eye's centre, from halfway between eyes and mouth down.
//!
//! Pixels that lie outside of the image, which are black in a chip, are left out.

use std::ops::Range;

use crate::domain::{CHIP_SIDE, Landmarks};
use crate::vision::align::AffineTransform;

/// Centre of the face, pixels of the chip.
const CENTRE: (f32, f32) = (56.0, 74.0);
/// Half the width and half the height of the face, pixels.
const HALF_AXES: (f32, f32) = (36.0, 40.0);
/// Rows of both cheeks.
const CHEEK_ROWS: Range<usize> = 72..82;
/// Columns of the right and the left cheek (the right one is on the left of the image).
const CHEEK_COLUMNS: [Range<usize>; 2] = [28..38, 74..84];
/// The least share of a region inside the image with which it is measured.
const LEAST_SEEN: f32 = 0.25;

/// Which pixels of a chip show the face.
pub(super) struct FaceRegion {
    /// Whether each pixel, row by row, lies in the image; none if all do.
    seen: Option<Vec<bool>>,
}

impl FaceRegion {
    /// Every pixel of the chip was seen.
    pub(super) fn whole() -> Self {
        Self { seen: None }
    }

    /// The pixels of the chip of `landmarks` that lie in an image of `size`.
    pub(super) fn in_image(landmarks: &Landmarks, size: (u32, u32)) -> Self {
        let Some(to_image) = AffineTransform::from_chip(landmarks) else { return Self::whole() };
        let (right, bottom) = (f64::from(size.0) - 1.0, f64::from(size.1) - 1.0);
        let inside = |column: usize, row: usize| {
            let (x, y) = to_image.apply((column as f64, row as f64));
            // A thousandth of a pixel is rounding.
            (-1e-3..=right + 1e-3).contains(&x) && (-1e-3..=bottom + 1e-3).contains(&y)
        };
        let last = CHIP_SIDE - 1;
        if [(0, 0), (last, 0), (0, last), (last, last)].iter().all(|&(x, y)| inside(x, y)) {
            return Self::whole();
        }
        let pixels = 0..CHIP_SIDE * CHIP_SIDE;
        Self { seen: Some(pixels.map(|at| inside(at % CHIP_SIDE, at / CHIP_SIDE)).collect()) }
    }

    /// The share of the chip that lies outside of the image.
    pub(super) fn outside(&self) -> f32 {
        let Some(seen) = &self.seen else { return 0.0 };
        seen.iter().filter(|seen| !**seen).count() as f32 / seen.len() as f32
    }

    /// Whether the pixel at this place, row by row, lies in the image.
    pub(super) fn sees(&self, at: usize) -> bool {
        self.seen.as_ref().is_none_or(|seen| seen[at])
    }

    /// The places of the face's pixels, row by row; none if too few of them were seen.
    pub(super) fn face(&self) -> Option<Vec<usize>> {
        self.seen_of((0..CHIP_SIDE).flat_map(|row| {
            let columns = face_columns(row);
            row * CHIP_SIDE + columns.start..row * CHIP_SIDE + columns.end
        }))
    }

    /// The places of the pixels of the right and the left cheek; none if too few of one were seen.
    pub(super) fn cheeks(&self) -> Option<[Vec<usize>; 2]> {
        let places = |columns: Range<usize>| {
            CHEEK_ROWS
                .flat_map(move |row| row * CHIP_SIDE + columns.start..row * CHIP_SIDE + columns.end)
        };
        let [right, left] = CHEEK_COLUMNS;
        Some([self.seen_of(places(right))?, self.seen_of(places(left))?])
    }

    fn seen_of(&self, places: impl Iterator<Item = usize>) -> Option<Vec<usize>> {
        let mut places: Vec<usize> = places.collect();
        let all = places.len() as f32;
        if self.seen.is_some() {
            places.retain(|&at| self.sees(at));
        }
        (places.len() as f32 >= LEAST_SEEN * all).then_some(places)
    }
}

/// The columns of the face in a row.
fn face_columns(row: usize) -> Range<usize> {
    let up = (row as f32 - CENTRE.1) / HALF_AXES.1;
    if up.abs() > 1.0 {
        return 0..0;
    }
    let half = HALF_AXES.0 * (1.0 - up * up).sqrt();
    (CENTRE.0 - half).ceil() as usize..(CENTRE.0 + half).floor() as usize + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vision::align::template;

    #[test]
    fn the_face_is_an_ellipse_inside_the_chip_with_all_landmarks_in_it() {
        let face = FaceRegion::whole().face().unwrap();
        let area = std::f32::consts::PI * HALF_AXES.0 * HALF_AXES.1;
        assert!((face.len() as f32 / area - 1.0).abs() < 0.02, "{} {area}", face.len());
        for point in template() {
            let at = point.y.round() as usize * CHIP_SIDE + point.x.round() as usize;
            assert!(face.contains(&at), "{point:?}");
        }
        let [right, left] = FaceRegion::whole().cheeks().unwrap();
        assert_eq!((right.len(), left.len()), (100, 100));
        assert!(right.iter().chain(&left).all(|at| face.contains(at)));
    }

    #[test]
    fn what_lies_outside_of_the_image_is_left_out() {
        // The chip is the image, which ends in the middle of the chip.
        let region = FaceRegion::in_image(&template(), (56, 112));
        assert!((region.outside() - 0.5).abs() < 1e-6, "{}", region.outside());
        assert!(region.face().unwrap().iter().all(|at| at % CHIP_SIDE < 56));
        assert!(region.cheeks().is_none(), "the left cheek is outside");
        assert_eq!(FaceRegion::in_image(&template(), (112, 112)).outside(), 0.0);
        assert!(FaceRegion::in_image(&template(), (30, 112)).face().is_none());
    }
}
