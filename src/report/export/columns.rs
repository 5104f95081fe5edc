//! The columns of an export as a table, in their order.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::domain::{Point, Timings};
use crate::store::Note;
use crate::view::face::{FaceView, LandmarksView};
use crate::view::image::ImageView;

/// A column: its name, and its text in the row of a face, or of an image without a face.
pub(super) struct Column {
    pub name: &'static str,
    pub cell: fn(&ImageView, Option<&FaceView>) -> String,
}

/// The columns, with or without templates.
pub(super) fn of(templates: bool) -> impl Iterator<Item = &'static Column> {
    COLUMNS.iter().chain(templates.then_some(&TEMPLATE))
}

const COLUMNS: &[Column] = &[
    Column { name: "gallery", cell: |image, _| text(image.gallery.as_ref()) },
    Column { name: "uri", cell: |image, _| text(image.uri.as_ref()) },
    Column { name: "image", cell: |image, _| guarded(&image.image) },
    Column { name: "image_id", cell: |image, _| text(image.image_id) },
    Column { name: "subject", cell: |image, _| guarded(subject(image)) },
    Column { name: "content_hash", cell: |image, _| text(image.content_hash.flatten()) },
    Column { name: "bytes", cell: |image, _| text(image.bytes.flatten()) },
    Column { name: "width", cell: |image, _| text(image.width.flatten()) },
    Column { name: "height", cell: |image, _| text(image.height.flatten()) },
    Column { name: "outcome", cell: |image, _| image.outcome.to_string() },
    Column { name: "reason", cell: |image, _| guarded(image.reason.as_deref().unwrap_or("")) },
    Column { name: "profile", cell: |image, _| image.profile.to_string() },
    Column { name: "provider", cell: |image, _| guarded(image.provider.as_deref().unwrap_or("")) },
    Column { name: "timings_fetch_ms", cell: |image, _| time(image, |t| t.fetch_ms) },
    Column { name: "timings_vision_ms", cell: |image, _| time(image, |t| t.vision_ms) },
    Column { name: "timings_recognise_ms", cell: |image, _| time(image, |t| t.recognise_ms) },
    Column { name: "recorded_at", cell: |image, _| text(image.recorded_at.as_ref()) },
    Column { name: "noted_outcome", cell: |image, _| text(noted(image).map(|n| n.outcome)) },
    Column { name: "noted_reason", cell: |image, _| guarded(noted_reason(image)) },
    Column { name: "noted_at", cell: |image, _| text(noted(image).map(|note| &note.at)) },
    Column { name: "face_count", cell: |image, _| image.face_count.to_string() },
    Column { name: "face", cell: |_, face| text(face.map(|face| face.face)) },
    Column { name: "face_id", cell: |_, face| text(face.and_then(|face| face.face_id)) },
    Column { name: "box_x", cell: |_, face| text(face.map(|face| face.bbox.x)) },
    Column { name: "box_y", cell: |_, face| text(face.map(|face| face.bbox.y)) },
    Column { name: "box_width", cell: |_, face| text(face.map(|face| face.bbox.width)) },
    Column { name: "box_height", cell: |_, face| text(face.map(|face| face.bbox.height)) },
    Column { name: "landmarks_right_eye_x", cell: |_, face| x(face, |l| l.right_eye) },
    Column { name: "landmarks_right_eye_y", cell: |_, face| y(face, |l| l.right_eye) },
    Column { name: "landmarks_left_eye_x", cell: |_, face| x(face, |l| l.left_eye) },
    Column { name: "landmarks_left_eye_y", cell: |_, face| y(face, |l| l.left_eye) },
    Column { name: "landmarks_nose_x", cell: |_, face| x(face, |l| l.nose) },
    Column { name: "landmarks_nose_y", cell: |_, face| y(face, |l| l.nose) },
    Column { name: "landmarks_right_mouth_x", cell: |_, face| x(face, |l| l.right_mouth) },
    Column { name: "landmarks_right_mouth_y", cell: |_, face| y(face, |l| l.right_mouth) },
    Column { name: "landmarks_left_mouth_x", cell: |_, face| x(face, |l| l.left_mouth) },
    Column { name: "landmarks_left_mouth_y", cell: |_, face| y(face, |l| l.left_mouth) },
    Column { name: "detector_score", cell: |_, face| text(face.and_then(|f| f.detector_score)) },
    Column { name: "distance", cell: |_, face| text(face.and_then(|face| face.distance)) },
    Column { name: "score", cell: |_, face| text(face.and_then(|face| face.score)) },
    Column { name: "quality", cell: |_, face| text(face.and_then(|face| face.quality)) },
    Column { name: "norm", cell: |_, face| text(face.and_then(|face| face.norm)) },
];

const TEMPLATE: Column = Column { name: "template", cell: |_, face| base64(face) };

fn text(value: Option<impl ToString>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

fn subject(image: &ImageView) -> &str {
    image.subject.as_ref().and_then(Option::as_ref).map_or("", |subject| subject.as_str())
}

fn time(image: &ImageView, of: fn(&Timings) -> f32) -> String {
    text(image.timings.as_ref().map(of))
}

fn noted(image: &ImageView) -> Option<&Note> {
    image.noted.as_ref().and_then(Option::as_ref)
}

fn noted_reason(image: &ImageView) -> &str {
    noted(image).and_then(|note| note.reason.as_deref()).unwrap_or("")
}

fn x(face: Option<&FaceView>, of: fn(&LandmarksView) -> Point) -> String {
    text(face.and_then(|face| face.landmarks.as_ref()).map(|landmarks| of(landmarks).x))
}

fn y(face: Option<&FaceView>, of: fn(&LandmarksView) -> Point) -> String {
    text(face.and_then(|face| face.landmarks.as_ref()).map(|landmarks| of(landmarks).y))
}

fn base64(face: Option<&FaceView>) -> String {
    let template = face.and_then(|face| face.template.as_ref()).and_then(Option::as_ref);
    let values = template.map(|template| template.as_slice()).unwrap_or_default();
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    STANDARD.encode(bytes)
}

/// Guards a text against spreadsheets, which run a cell that begins like a formula: file names and
/// reasons may come from anybody.
pub(super) fn guarded(text: &str) -> String {
    const FORMULA: [char; 11] = ['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'];
    if text.starts_with(FORMULA) { format!("'{text}") } else { text.to_owned() }
}
