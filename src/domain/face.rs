//! A detected face, and the selection of the faces of an image that are wanted.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A point in image pixels: x to the right, y down, origin at the centre of the top left pixel.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Point {
    /// Pixels from the left.
    pub x: f32,
    /// Pixels from the top.
    pub y: f32,
}

/// Right eye, left eye, nose tip, right mouth corner, left mouth corner (as the subject sees it:
/// the right eye is on the left of the image).
pub type Landmarks = [Point; 5];

/// An axis-aligned box in image pixels. It may extend beyond the image.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct BoundingBox {
    /// Left edge, pixels.
    pub x: f32,
    /// Top edge, pixels.
    pub y: f32,
    /// Width, pixels.
    pub width: f32,
    /// Height, pixels.
    pub height: f32,
}

impl BoundingBox {
    /// Width times height, square pixels.
    pub fn area(&self) -> f32 {
        self.width * self.height
    }

    /// The shorter of width and height, pixels: limits on the size of faces apply to it.
    pub fn shorter_side(&self) -> f32 {
        self.width.min(self.height)
    }

    /// Intersection over union with `other`, 0 to 1.
    pub fn iou(&self, other: &Self) -> f32 {
        let width = (self.x + self.width).min(other.x + other.width) - self.x.max(other.x);
        let height = (self.y + self.height).min(other.y + other.height) - self.y.max(other.y);
        let intersection = width.max(0.0) * height.max(0.0);
        let union = self.area() + other.area() - intersection;
        if union > 0.0 { intersection / union } else { 0.0 }
    }
}

/// One detection in an image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Face {
    /// The face's box, in pixels of the upright image (EXIF orientation applied).
    pub bbox: BoundingBox,
    /// Five landmarks, in pixels of the upright image; `None` if the image is already an aligned
    /// chip.
    pub landmarks: Option<Landmarks>,
    /// The detector's confidence, 0 to 1; `None` if the image is already an aligned chip.
    pub detector_score: Option<f32>,
}

/// How many of an image's faces are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Faces {
    /// Every face that passes the limits.
    #[default]
    All,
    /// Only the primary face: the largest and most central one.
    Largest,
}

impl fmt::Display for Faces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::All => "all",
            Self::Largest => "largest",
        })
    }
}

impl FromStr for Faces {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "all" => Ok(Self::All),
            "largest" => Ok(Self::Largest),
            other => Err(format!("unknown value '{other}': use 'all' or 'largest'")),
        }
    }
}

/// Selects the detections that become results. It decides which faces are scored, never how a face
/// is scored, so it is not part of the profile. An image that was scored under another selection is
/// scored again.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Selection {
    /// All faces, or one.
    pub faces: Faces,
    /// Smallest face, the shorter side of its box, pixels.
    pub min_size_px: u32,
    /// Lowest detector confidence, 0 to 1.
    pub min_score: f32,
}

impl fmt::Display for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} faces of at least {} px and score {:.2}",
            self.faces, self.min_size_px, self.min_score
        )
    }
}

impl Selection {
    /// Valid values of `min_size_px` in settings and messages, pixels.
    pub const SIZES_PX: RangeInclusive<u32> = 0..=65_535;
    /// Valid values of `min_score` in settings and messages.
    pub const SCORES: RangeInclusive<f32> = 0.01..=1.0;

    /// Returns the selected ones of `detections`, the primary face first. The detections come from
    /// an image of `width` x `height` pixels.
    ///
    /// The primary face has the largest area after a penalty for the distance of its centre from
    /// the centre of the image: a slightly larger bystander at the edge does not win over the
    /// person in the middle.
    pub fn apply(&self, mut detections: Vec<Face>, width: u32, height: u32) -> Vec<Face> {
        detections.retain(|face| {
            face.bbox.shorter_side() >= self.min_size_px as f32
                && face.detector_score.is_none_or(|score| score >= self.min_score)
        });
        let (centre_x, centre_y) = (width as f32 / 2.0, height as f32 / 2.0);
        let half_diagonal = centre_x.hypot(centre_y).max(1.0);
        let prominence = |face: &Face| {
            let x = face.bbox.x + face.bbox.width / 2.0;
            let y = face.bbox.y + face.bbox.height / 2.0;
            let offset = (x - centre_x).hypot(y - centre_y) / half_diagonal;
            face.bbox.area() * (1.0 - 0.5 * offset.min(1.0))
        };
        detections.sort_by(|a, b| prominence(b).total_cmp(&prominence(a)));
        if self.faces == Faces::Largest {
            detections.truncate(1);
        }
        detections
    }
}

/// The selection in a job. The worker's settings apply to the values that the job leaves out.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct JobSelection {
    /// All faces, or one.
    pub faces: Faces,
    /// As [`Selection::min_size_px`].
    pub min_size_px: Option<u32>,
    /// As [`Selection::min_score`].
    pub min_score: Option<f32>,
}

impl JobSelection {
    /// The complete selection, with missing values from the worker's `own` selection.
    pub fn complete(&self, own: &Selection) -> Selection {
        Selection {
            faces: self.faces,
            min_size_px: self.min_size_px.unwrap_or(own.min_size_px),
            min_score: self.min_score.unwrap_or(own.min_score),
        }
    }
}

impl From<Selection> for JobSelection {
    fn from(Selection { faces, min_size_px, min_score }: Selection) -> Self {
        Self { faces, min_size_px: Some(min_size_px), min_score: Some(min_score) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_a_job_leaves_out_come_from_the_worker() {
        let own = Selection { faces: Faces::Largest, min_size_px: 24, min_score: 0.6 };
        assert_eq!(JobSelection::default().complete(&own), Selection { faces: Faces::All, ..own });
        let wanted = Selection { faces: Faces::All, min_size_px: 40, min_score: 0.95 };
        assert_eq!(JobSelection::from(wanted).complete(&own), wanted);
    }

    fn face(x: f32, y: f32, size: f32, score: f32) -> Face {
        Face {
            bbox: BoundingBox { x, y, width: size, height: size },
            landmarks: None,
            detector_score: Some(score),
        }
    }

    #[test]
    fn the_central_face_is_primary_over_a_slightly_larger_one_at_the_edge() {
        let selection = Selection { faces: Faces::Largest, min_size_px: 20, min_score: 0.6 };
        let kept = selection.apply(
            vec![face(0.0, 0.0, 52.0, 0.9), face(125.0, 125.0, 50.0, 0.8)],
            300,
            300,
        );
        assert_eq!(kept.len(), 1);
        assert_eq!(kept[0].bbox.x, 125.0);
    }

    #[test]
    fn small_and_doubtful_detections_are_dropped() {
        let selection = Selection { faces: Faces::All, min_size_px: 20, min_score: 0.6 };
        let kept = selection.apply(
            vec![face(0.0, 0.0, 19.0, 0.9), face(0.0, 0.0, 50.0, 0.5), face(9.0, 9.0, 30.0, 0.7)],
            100,
            100,
        );
        assert_eq!(kept.len(), 1);
        assert_eq!(kept[0].bbox.width, 30.0);
    }

    #[test]
    fn iou_of_disjoint_and_equal_boxes() {
        let a = BoundingBox { x: 0.0, y: 0.0, width: 10.0, height: 10.0 };
        let b = BoundingBox { x: 20.0, y: 0.0, width: 10.0, height: 10.0 };
        assert_eq!(a.iou(&b), 0.0);
        assert_eq!(a.iou(&a), 1.0);
    }
}
