//! Boxes between the stages: their geometry, and which of them are the same face.
//!
//! The published cascade counts pixels from 1 and includes both edges of a box. This module keeps
//! that arithmetic and its roundings, so that the weights get the same pixels as there.
//! [`Candidate::region`] and [`Candidate::face_box`] convert to the coordinates of the rest of the
//! program.

use crate::domain::BoundingBox;

/// A rectangle of an image, in pixels from its top left corner, fractions allowed. It may extend
/// beyond the image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Region {
    pub left: f64,
    pub top: f64,
    pub width: f64,
    pub height: f64,
}

/// A possible face.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    pub left: f64,
    pub top: f64,
    pub right: f64,
    pub bottom: f64,
    /// The confidence of the last network that saw it.
    pub score: f32,
}

/// The area that an intersection is divided by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overlap {
    /// The area of both boxes together.
    Union,
    /// The area of the smaller box: a box inside another is the same face, whatever their sizes.
    Smaller,
}

impl Candidate {
    fn width(&self) -> f64 {
        self.right - self.left + 1.0
    }

    fn height(&self) -> f64 {
        self.bottom - self.top + 1.0
    }

    /// Moves each edge by the network's `offsets` (left, top, right, bottom), in fractions of
    /// `width` and `height`.
    fn moved(&self, offsets: [f32; 4], width: f64, height: f64) -> Self {
        let [left, top, right, bottom] = offsets.map(f64::from);
        Self {
            left: self.left + left * width,
            top: self.top + top * height,
            right: self.right + right * width,
            bottom: self.bottom + bottom * height,
            score: self.score,
        }
    }

    /// Corrected by the first network's offsets, which are fractions of the distance between the
    /// edges.
    pub fn proposed(&self, offsets: [f32; 4]) -> Self {
        self.moved(offsets, self.right - self.left, self.bottom - self.top)
    }

    /// Corrected by a later network's offsets, which are fractions of the size in pixels.
    pub fn refined(&self, offsets: [f32; 4]) -> Self {
        self.moved(offsets, self.width(), self.height())
    }

    /// The square with the same centre and the longer side, on whole pixels.
    pub fn squared(&self) -> Self {
        let (width, height) = (self.right - self.left, self.bottom - self.top);
        let side = width.max(height);
        let left = self.left + (width - side) * 0.5;
        let top = self.top + (height - side) * 0.5;
        Self {
            left: left.trunc(),
            top: top.trunc(),
            right: (left + side).trunc(),
            bottom: (top + side).trunc(),
            score: self.score,
        }
    }

    /// The pixels inside; `None` if there are none, or an edge is not finite.
    pub fn region(&self) -> Option<Region> {
        let region = Region {
            left: self.left - 1.0,
            top: self.top - 1.0,
            width: self.width(),
            height: self.height(),
        };
        let finite =
            [region.left, region.top, region.width, region.height].into_iter().all(f64::is_finite);
        (finite && region.width >= 1.0 && region.height >= 1.0).then_some(region)
    }

    /// The point at these fractions of the box, in pixels of the image.
    pub fn point(&self, across: f32, down: f32) -> (f32, f32) {
        let x = self.left + self.width() * f64::from(across) - 1.0;
        let y = self.top + self.height() * f64::from(down) - 1.0;
        (x as f32, y as f32)
    }

    /// The box in the coordinates of the rest of the program.
    pub fn face_box(&self) -> BoundingBox {
        let (width, height) = (self.right - self.left, self.bottom - self.top);
        BoundingBox {
            x: self.left as f32,
            y: self.top as f32,
            width: width as f32,
            height: height as f32,
        }
    }

    fn overlap(&self, other: &Self, kind: Overlap) -> f64 {
        let width = self.right.min(other.right) - self.left.max(other.left) + 1.0;
        let height = self.bottom.min(other.bottom) - self.top.max(other.top) + 1.0;
        let intersection = width.max(0.0) * height.max(0.0);
        let (a, b) = (self.width() * self.height(), other.width() * other.height());
        match kind {
            Overlap::Union => intersection / (a + b - intersection),
            Overlap::Smaller => intersection / a.min(b),
        }
    }
}

/// Greedy non-maximum suppression, best first: a box that overlaps a better one by more than `max`
/// is the same face and is dropped. Only the best `limit` candidates are examined. Each candidate
/// carries a value of type `T`.
pub fn suppress<T>(
    mut found: Vec<(Candidate, T)>,
    max: f64,
    kind: Overlap,
    limit: usize,
) -> Vec<(Candidate, T)> {
    found.sort_by(|(a, _), (b, _)| b.score.total_cmp(&a.score));
    found.truncate(limit);
    let mut kept: Vec<(Candidate, T)> = Vec::new();
    for (candidate, value) in found {
        if kept.iter().all(|(better, _)| better.overlap(&candidate, kind) <= max) {
            kept.push((candidate, value));
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate([left, top, right, bottom]: [f64; 4], score: f32) -> (Candidate, ()) {
        (Candidate { left, top, right, bottom, score }, ())
    }

    fn scores(kept: &[(Candidate, ())]) -> Vec<f32> {
        kept.iter().map(|(candidate, ())| candidate.score).collect()
    }

    #[test]
    fn a_box_inside_another_is_the_same_face_by_the_smaller_area_only() {
        let nested =
            vec![candidate([1.0, 1.0, 10.0, 10.0], 0.8), candidate([1.0, 1.0, 20.0, 20.0], 0.9)];
        assert_eq!(scores(&suppress(nested.clone(), 0.7, Overlap::Union, 10)), [0.9, 0.8]);
        assert_eq!(scores(&suppress(nested, 0.7, Overlap::Smaller, 10)), [0.9]);
    }

    #[test]
    fn an_overlap_worked_by_hand() {
        // Boxes of 10 x 10 pixels that share 5 x 10: 50 of 150 and 50 of 100.
        let (a, b) =
            (candidate([1.0, 1.0, 10.0, 10.0], 0.9).0, candidate([6.0, 1.0, 15.0, 10.0], 0.8).0);
        assert!((a.overlap(&b, Overlap::Union) - 1.0 / 3.0).abs() < 1e-12);
        assert!((a.overlap(&b, Overlap::Smaller) - 0.5).abs() < 1e-12);
    }

    #[test]
    fn of_too_many_candidates_the_best_are_looked_at() {
        let apart = |n: u32| {
            candidate([100.0 * f64::from(n), 0.0, 100.0 * f64::from(n) + 9.0, 9.0], 0.1 * n as f32)
        };
        assert_eq!(
            scores(&suppress((1..=8).map(apart).collect(), 0.5, Overlap::Union, 2)),
            [0.8, 0.7]
        );
    }

    #[test]
    fn a_square_keeps_the_centre_and_whole_pixels() {
        let (tall, ()) = candidate([10.0, 20.0, 20.5, 41.0], 0.9);
        let square = tall.squared();
        assert_eq!([square.left, square.top, square.right, square.bottom], [4.0, 20.0, 25.0, 41.0]);
    }

    #[test]
    fn a_box_without_pixels_has_no_region() {
        assert!(candidate([5.0, 5.0, 3.0, 9.0], 0.9).0.region().is_none());
        assert!(candidate([5.0, 5.0, f64::NAN, 9.0], 0.9).0.region().is_none());
        let region = candidate([1.0, 1.0, 12.0, 12.0], 0.9).0.region().unwrap();
        assert_eq!(region, Region { left: 0.0, top: 0.0, width: 12.0, height: 12.0 });
    }
}
