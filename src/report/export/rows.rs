//! An exported image and face.

use serde::Serialize;

use crate::domain::{BoundingBox, ImageId, Landmarks, Timings};
use crate::store::Note;

/// An exported image.
#[derive(Debug, Serialize)]
pub(super) struct ExportedImage<'a> {
    pub gallery: &'a str,
    pub image: String,
    /// The same under every profile.
    pub image_id: ImageId,
    pub content_hash: Option<String>,
    pub bytes: Option<u64>,
    pub outcome: &'a str,
    pub reason: Option<&'a str>,
    /// Pixels.
    pub width: Option<u32>,
    /// Pixels.
    pub height: Option<u32>,
    pub profile: &'a str,
    pub provider: &'a str,
    pub timings: Timings,
    /// RFC 3339, UTC.
    pub recorded_at: &'a str,
    /// The outcome of a later attempt to read the image, if that got no bytes.
    pub noted: Option<&'a Note>,
    /// The primary face first.
    pub faces: Vec<ExportedFace<'a>>,
}

/// An exported face.
#[derive(Debug, Serialize)]
pub(super) struct ExportedFace<'a> {
    /// Its index among the faces of its image; 0 is the primary face.
    pub face: u32,
    pub face_id: String,
    #[serde(rename = "box")]
    pub bbox: BoundingBox,
    pub landmarks: Option<Landmarks>,
    pub detector_score: Option<f32>,
    pub distance: Option<f64>,
    pub score: Option<f64>,
    pub quality: Option<u8>,
    pub norm: Option<f32>,
    /// Absent unless templates were requested; null if the face has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<Option<&'a [f32]>>,
}
