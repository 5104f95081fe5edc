//! Faces, as `score` and `match` print them.

use serde::Serialize;

use super::image::FileNames;
use super::threshold::MatchDecisionView;
use crate::domain::{FaceResult, OutcomeKind, ProfileId, Recognition};

/// A face: a line of `score --json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ScoredFaceView {
    /// Its image.
    #[serde(flatten)]
    pub names: FileNames,
    /// How the image ended: `scored`.
    pub outcome: OutcomeKind,
    /// The face's number in the image; 0 is the primary face.
    pub face: usize,
    /// `[x, y, width, height]`, pixels of the upright image.
    #[serde(rename = "box")]
    pub bbox: [f32; 4],
    /// Right eye, left eye, nose, right and left corner of the mouth, `[x, y]` each, pixels; null
    /// for chips.
    pub landmarks: Option<[[f32; 2]; 5]>,
    /// The detector's confidence, 0 to 1; null for chips.
    pub detector_score: Option<f32>,
    /// SER-FIQ's distance d; null, like the next three, if the face could not be recognised.
    pub distance: Option<f64>,
    /// `2 / (1 + e^d)`.
    pub score: Option<f64>,
    /// 0 to 100.
    pub quality: Option<u8>,
    /// Norm of the embedding.
    pub norm: Option<f32>,
    /// The template, null if the face could not be recognised; absent unless it was asked for. It
    /// is biometric data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<Option<Vec<f32>>>,
    /// The file that its chip was written to; absent if no chip was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chip: Option<String>,
    /// See [`ImageWithoutFaceView::smallest_face_px`].
    pub smallest_face_px: Option<f32>,
}

impl ScoredFaceView {
    /// The face `result` with the number `face` of the image `names`. It has no template and no
    /// chip; the caller adds them.
    pub fn new(
        names: FileNames,
        face: usize,
        result: &FaceResult,
        smallest_face_px: Option<f32>,
    ) -> Self {
        let bbox = &result.face.bbox;
        let recognition = result.recognition.as_ref();
        Self {
            names,
            outcome: OutcomeKind::Scored,
            face,
            bbox: [bbox.x, bbox.y, bbox.width, bbox.height],
            landmarks: result.face.landmarks.map(|points| points.map(|point| [point.x, point.y])),
            detector_score: result.face.detector_score,
            distance: recognition.map(|found| found.distance),
            score: recognition.map(|found| found.score),
            quality: recognition.map(|found| found.quality),
            norm: recognition.map(|found| found.norm),
            template: None,
            chip: None,
            smallest_face_px,
        }
    }
}

/// An image without a scored face: a line of `score --json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ImageWithoutFaceView {
    /// The image.
    #[serde(flatten)]
    pub names: FileNames,
    /// How it ended.
    pub outcome: OutcomeKind,
    /// Why; null for `no_face`.
    pub reason: Option<String>,
    /// The smallest face that the detector looked for, the shorter side of its box, pixels: a
    /// smaller face may be in the image all the same. Null if no detector ran.
    pub smallest_face_px: Option<f32>,
}

/// Two images' primary faces compared: the line of `match --json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MatchView {
    /// Cosine of the two templates, -1 to 1.
    pub similarity: f64,
    /// The two faces.
    pub images: [MatchedFaceView; 2],
    /// The profile of both templates.
    pub profile: ProfileId,
    /// Whether they match, at each false match rate whose threshold is known, the highest rate
    /// first; null if no threshold is known.
    pub matches: Option<Vec<MatchDecisionView>>,
}

/// One of the faces that `match` compares.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MatchedFaceView {
    /// Its image.
    #[serde(flatten)]
    pub names: FileNames,
    /// 0 to 100.
    pub quality: u8,
    /// SER-FIQ's score.
    pub score: f64,
}

impl MatchedFaceView {
    /// The face `recognition` of the image `names`.
    pub fn new(names: FileNames, recognition: &Recognition) -> Self {
        Self { names, quality: recognition.quality, score: recognition.score }
    }
}
