//! How large a face is in its image, and how far from its edges.

use crate::domain::{Landmarks, Point};

/// The smallest cosine of the yaw that the inter-eye distance is divided by, that of 60 degrees:
/// the yaw is an estimate, which a division by less would magnify.
const LEAST_COSINE: f32 = 0.5;

/// A face in its image.
pub(super) struct Framing {
    /// Distance between the eyes over the cosine of the yaw, pixels of the image: ISO/IEC 29794-5.
    pub inter_eye_px: f32,
    /// Distance of the right eye from the left edge, in distances between the eyes as they are in
    /// the image, as OFIQ measures it.
    pub left: f32,
    /// Distance of the left eye from the right edge, in the same.
    pub right: f32,
}

impl Framing {
    /// The framing of the face with these `landmarks` and this `yaw` (degrees) in an image of
    /// `size` (width and height, pixels).
    pub(super) fn of([right, left, ..]: &Landmarks, size: (u32, u32), yaw: f32) -> Self {
        let distance = (left.x - right.x).hypot(left.y - right.y);
        let inter_eye_px = distance / yaw.to_radians().cos().max(LEAST_COSINE);
        // An eye at the centre of the first pixel is half a pixel from the edge.
        let from_left = |eye: &Point| (eye.x + 0.5) / distance;
        let from_right = |eye: &Point| (size.0 as f32 - 0.5 - eye.x) / distance;
        // Of a face that is upside down, the right eye is on the right.
        let (first, last) = if right.x <= left.x { (right, left) } else { (left, right) };
        Self { inter_eye_px, left: from_left(first), right: from_right(last) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn eyes(right: (f32, f32), left: (f32, f32)) -> Landmarks {
        let point = |(x, y)| Point { x, y };
        [point(right), point(left), point((0.0, 0.0)), point((0.0, 0.0)), point((0.0, 0.0))]
    }

    #[test]
    fn distances_are_in_pixels_and_in_inter_eye_distances() {
        let found = Framing::of(&eyes((59.5, 80.0), (99.5, 110.0)), (200, 300), 0.0);
        assert_eq!(found.inter_eye_px, 50.0);
        assert_eq!((found.left, found.right), (60.0 / 50.0, 100.0 / 50.0));
    }

    #[test]
    fn a_turned_face_is_as_large_as_it_would_be_from_the_front() {
        let of = |yaw| Framing::of(&eyes((40.0, 80.0), (70.0, 80.0)), (200, 300), yaw).inter_eye_px;
        assert!((of(60.0) - 60.0).abs() < 1e-3 && (of(-45.0) - 42.43).abs() < 1e-2);
        assert_eq!(of(85.0), of(60.0), "no more than twice");
        let turned = Framing::of(&eyes((40.0, 80.0), (70.0, 80.0)), (200, 300), 60.0);
        assert_eq!((turned.left, turned.right), (40.5 / 30.0, 129.5 / 30.0), "whatever the yaw");
    }

    #[test]
    fn a_face_that_is_upside_down_is_as_far_from_the_edges() {
        let found = Framing::of(&eyes((99.5, 80.0), (59.5, 80.0)), (200, 300), 0.0);
        assert_eq!((found.left, found.right), (60.0 / 40.0, 100.0 / 40.0));
    }
}
