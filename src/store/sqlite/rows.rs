//! From rows to domain values.

use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::{StoredFace, StoredImage};
use crate::domain::{BoundingBox, ContentHash, Face, ImageUri, Template, Timings};
use crate::store::columns::{
    corrupt, counted, counted_option, hash, note, parsed, parsed_option, time,
};
use crate::store::encoding::landmarks;
use crate::store::fault::Fault;

// Written from 32-bit floats: nothing is lost on the way back.
fn float(row: &SqliteRow, column: usize) -> Result<f32, Fault> {
    Ok(row.try_get::<f64, _>(column)? as f32)
}

fn float_option(row: &SqliteRow, column: usize) -> Result<Option<f32>, Fault> {
    Ok(row.try_get::<Option<f64>, _>(column)?.map(|value| value as f32))
}

/// An image from the columns: result id, URI, hash, note, bytes, width, height, outcome, reason,
/// provider, three timings, time recorded, subject, and a note's three.
pub(super) fn image(row: &SqliteRow) -> Result<StoredImage, Fault> {
    Ok(StoredImage {
        cursor: row.try_get(0)?,
        image: parsed(row, 1)?,
        subject: parsed_option(row, 13)?,
        hash: hash(row, 2)?,
        bytes: counted_option(row, 3)?,
        size: counted_option(row, 4)?.zip(counted_option(row, 5)?),
        outcome: parsed(row, 6)?,
        reason: row.try_get(7)?,
        provider: row.try_get(8)?,
        timings: Timings {
            fetch_ms: float(row, 9)?,
            vision_ms: float(row, 10)?,
            recognise_ms: float(row, 11)?,
        },
        recorded_at: time(row, 12)?,
        noted: note(row, 14)?,
        faces: Vec::new(),
    })
}

/// A face of `image` from the columns: index, box, landmarks, detector score, distance, score,
/// quality, norm, template.
pub(super) fn face(
    row: &SqliteRow,
    image: ImageUri,
    hash: Option<ContentHash>,
) -> Result<StoredFace, Fault> {
    let bbox = BoundingBox {
        x: float(row, 1)?,
        y: float(row, 2)?,
        width: float(row, 3)?,
        height: float(row, 4)?,
    };
    let landmarks = row.try_get::<Option<&[u8]>, _>(5)?.map(landmarks).transpose()?;
    let template = row
        .try_get::<Option<&[u8]>, _>(11)?
        .map(Template::from_bytes)
        .transpose()
        .map_err(corrupt)?;
    Ok(StoredFace {
        image,
        hash,
        index: counted(row, 0)?,
        face: Face { bbox, landmarks, detector_score: float_option(row, 6)? },
        distance: row.try_get(7)?,
        score: row.try_get(8)?,
        quality: counted_option(row, 9)?,
        norm: float_option(row, 10)?,
        template,
    })
}

/// The URI and hash in columns 12 and 13 of a row whose first columns are a face's.
pub(super) fn face_with_image(row: &SqliteRow) -> Result<StoredFace, Fault> {
    face(row, parsed(row, 12)?, hash(row, 13)?)
}

/// Now, as rows hold it: milliseconds since 1970.
pub(super) fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}
