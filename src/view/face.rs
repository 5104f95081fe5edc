//! A face, as every command, export and API shows it.

use serde::{Serialize, Serializer};

use super::components::ComponentsView;
use super::image::ImageView;
use super::threshold::{FmrView, MatchDecisionView, ThresholdsView};
use crate::domain::{
    BoundingBox, FaceId, FaceResult, Landmarks, Point, ProfileId, Recognition, Template,
};
use crate::store::StoredFace;

/// A face of an image.
///
/// In a table, the parts of `box` and `landmarks` are columns of their own: `box_x`,
/// `landmarks_nose_y`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct FaceView {
    /// Its index among the faces of its image; 0 is the primary face.
    pub face: u32,
    /// `IMAGE-INDEX`, such as `7-0`; to be read together with a profile. Absent if nothing is
    /// stored.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "shown_id")]
    #[cfg_attr(test, schemars(with = "String"))]
    pub face_id: Option<FaceId>,
    /// Its box, pixels of the upright image; may reach beyond the edges.
    #[serde(rename = "box")]
    pub bbox: BoundingBox,
    /// Five points, pixels of the upright image; null for chips.
    pub landmarks: Option<LandmarksView>,
    /// The detector's confidence, 0 to 1; null for chips.
    pub detector_score: Option<f32>,
    /// What makes the face poor or good; null if it was recorded by a version without components,
    /// or if it has no chip.
    pub components: Option<ComponentsView>,
    /// SER-FIQ's distance d; null, like the next three, if the face could not be recognised.
    pub distance: Option<f64>,
    /// `2 / (1 + e^d)`.
    pub score: Option<f64>,
    /// 0 to 100.
    #[cfg_attr(test, schemars(range(max = 100)))]
    pub quality: Option<u8>,
    /// Norm of the embedding, before it was scaled to a template.
    pub norm: Option<f32>,
    /// The template, numbers of unit norm; null if the face could not be recognised; absent unless
    /// asked for. It is biometric data.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "numbers")]
    #[cfg_attr(test, schemars(with = "Option<Vec<f32>>"))]
    pub template: Option<Option<Template>>,
    /// The file that its chip was written to; absent unless `score --chips` wrote it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(required))]
    pub chip: Option<String>,
}

/// The landmarks of a face. Right and left are the subject's: the right eye is on the left of the
/// image.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct LandmarksView {
    /// Centre of the right eye.
    pub right_eye: Point,
    /// Centre of the left eye.
    pub left_eye: Point,
    /// Tip of the nose.
    pub nose: Point,
    /// Right corner of the mouth.
    pub right_mouth: Point,
    /// Left corner of the mouth.
    pub left_mouth: Point,
}

impl From<Landmarks> for LandmarksView {
    fn from([right_eye, left_eye, nose, right_mouth, left_mouth]: Landmarks) -> Self {
        Self { right_eye, left_eye, nose, right_mouth, left_mouth }
    }
}

impl FaceView {
    /// The face with this index that was found just now and not stored. It has no template and no
    /// chip; the caller adds them.
    pub fn found(face: u32, result: &FaceResult) -> Self {
        let recognition = result.recognition.as_ref();
        Self {
            face,
            face_id: None,
            bbox: result.face.bbox,
            landmarks: result.face.landmarks.map(LandmarksView::from),
            detector_score: result.face.detector_score,
            components: ComponentsView::of(&result.components),
            distance: recognition.map(|found| found.distance),
            score: recognition.map(|found| found.score),
            quality: recognition.map(|found| found.quality),
            norm: recognition.map(|found| found.norm),
            template: None,
            chip: None,
        }
    }

    /// The same with its template, if there is one in `recognition`.
    pub fn with_template(self, recognition: Option<&Recognition>) -> Self {
        Self { template: Some(recognition.map(|found| found.template.clone())), ..self }
    }

    /// A stored face, with its template or without.
    pub fn stored(face: StoredFace, template: bool) -> Self {
        Self {
            face: face.id.index,
            face_id: Some(face.id),
            bbox: face.face.bbox,
            landmarks: face.face.landmarks.map(LandmarksView::from),
            detector_score: face.face.detector_score,
            components: ComponentsView::of(&face.components),
            distance: face.distance,
            score: face.score,
            quality: face.quality,
            norm: face.norm,
            template: template.then_some(face.template),
            chip: None,
        }
    }
}

#[allow(clippy::ref_option, reason = "serde passes a reference")]
fn shown_id<S: Serializer>(id: &Option<FaceId>, serializer: S) -> Result<S::Ok, S::Error> {
    match id {
        Some(id) => serializer.collect_str(id),
        None => serializer.serialize_none(),
    }
}

#[allow(clippy::ref_option, reason = "serde passes a reference")]
fn numbers<S: Serializer>(
    template: &Option<Option<Template>>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    template.as_ref().and_then(Option::as_ref).map(Template::as_slice).serialize(serializer)
}

/// Two images' primary faces compared: the line of `match --json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct MatchView {
    /// Cosine of the two templates, -1 to 1.
    pub similarity: f64,
    /// The profile of both templates.
    pub profile: ProfileId,
    /// Whether they match, at each false match rate whose threshold is known, the highest rate
    /// first; null if no threshold is known.
    pub matches: Option<Vec<MatchDecisionView>>,
    /// The false match rate of this similarity; null if no threshold is known.
    pub fmr: Option<FmrView>,
    /// Which thresholds these are; null if none is known.
    pub thresholds: Option<ThresholdsView>,
    /// The two images, each with the face that was compared.
    pub images: [ImageView; 2],
}
