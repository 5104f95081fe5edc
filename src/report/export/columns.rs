//! The columns of an export as a table, in their order.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::rows::{ExportedFace, ExportedImage};
use crate::domain::Point;

/// A column: its name, and its text in the row of a face, or of an image without a face.
pub(super) struct Column {
    pub name: &'static str,
    pub cell: fn(&ExportedImage<'_>, Option<&ExportedFace<'_>>) -> String,
}

/// The columns, with or without templates.
pub(super) fn of(templates: bool) -> impl Iterator<Item = &'static Column> {
    COLUMNS.iter().chain(templates.then_some(&TEMPLATE))
}

const COLUMNS: &[Column] = &[
    Column { name: "gallery", cell: |image, _| guarded(image.gallery) },
    Column { name: "image", cell: |image, _| guarded(&image.image) },
    Column { name: "image_id", cell: |image, _| image.image_id.to_string() },
    Column { name: "content_hash", cell: |image, _| text(image.content_hash.as_ref()) },
    Column { name: "outcome", cell: |image, _| image.outcome.to_owned() },
    Column { name: "reason", cell: |image, _| guarded(image.reason.unwrap_or_default()) },
    Column { name: "width", cell: |image, _| text(image.width) },
    Column { name: "height", cell: |image, _| text(image.height) },
    Column { name: "face", cell: |_, face| text(face.map(|face| face.face)) },
    Column { name: "face_id", cell: |_, face| text(face.map(|face| &face.face_id)) },
    Column { name: "x", cell: |_, face| text(face.map(|face| face.bbox.x)) },
    Column { name: "y", cell: |_, face| text(face.map(|face| face.bbox.y)) },
    Column { name: "w", cell: |_, face| text(face.map(|face| face.bbox.width)) },
    Column { name: "h", cell: |_, face| text(face.map(|face| face.bbox.height)) },
    Column { name: "right_eye_x", cell: |_, face| text(landmark(face, 0).map(|point| point.x)) },
    Column { name: "right_eye_y", cell: |_, face| text(landmark(face, 0).map(|point| point.y)) },
    Column { name: "left_eye_x", cell: |_, face| text(landmark(face, 1).map(|point| point.x)) },
    Column { name: "left_eye_y", cell: |_, face| text(landmark(face, 1).map(|point| point.y)) },
    Column { name: "nose_x", cell: |_, face| text(landmark(face, 2).map(|point| point.x)) },
    Column { name: "nose_y", cell: |_, face| text(landmark(face, 2).map(|point| point.y)) },
    Column { name: "right_mouth_x", cell: |_, face| text(landmark(face, 3).map(|point| point.x)) },
    Column { name: "right_mouth_y", cell: |_, face| text(landmark(face, 3).map(|point| point.y)) },
    Column { name: "left_mouth_x", cell: |_, face| text(landmark(face, 4).map(|point| point.x)) },
    Column { name: "left_mouth_y", cell: |_, face| text(landmark(face, 4).map(|point| point.y)) },
    Column { name: "detector_score", cell: |_, face| text(face.and_then(|f| f.detector_score)) },
    Column { name: "distance", cell: |_, face| text(face.and_then(|face| face.distance)) },
    Column { name: "score", cell: |_, face| text(face.and_then(|face| face.score)) },
    Column { name: "quality", cell: |_, face| text(face.and_then(|face| face.quality)) },
    Column { name: "norm", cell: |_, face| text(face.and_then(|face| face.norm)) },
    Column { name: "profile", cell: |image, _| image.profile.to_owned() },
    Column { name: "provider", cell: |image, _| guarded(image.provider) },
    Column { name: "recorded_at", cell: |image, _| image.recorded_at.to_owned() },
    Column { name: "noted_outcome", cell: |image, _| text(image.noted.map(|note| note.outcome)) },
    Column {
        name: "noted_reason",
        cell: |image, _| {
            guarded(image.noted.and_then(|note| note.reason.as_deref()).unwrap_or_default())
        },
    },
    Column { name: "noted_at", cell: |image, _| text(image.noted.map(|note| &note.at)) },
];

const TEMPLATE: Column = Column { name: "template", cell: |_, face| base64(face) };

fn text(value: Option<impl ToString>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

fn landmark(face: Option<&ExportedFace<'_>>, index: usize) -> Option<Point> {
    face.and_then(|face| face.landmarks).map(|points| points[index])
}

fn base64(face: Option<&ExportedFace<'_>>) -> String {
    let template = face.and_then(|face| face.template.flatten()).unwrap_or_default();
    let bytes: Vec<u8> = template.iter().flat_map(|value| value.to_le_bytes()).collect();
    STANDARD.encode(bytes)
}

/// Guards a text against spreadsheets, which run a cell that begins like a formula: file names and
/// reasons may come from anybody.
pub(super) fn guarded(text: &str) -> String {
    const FORMULA: [char; 11] = ['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'];
    if text.starts_with(FORMULA) { format!("'{text}") } else { text.to_owned() }
}
