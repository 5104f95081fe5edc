//! From rows to domain values.

use pgvector::HalfVector;
use sqlx::Row;
use sqlx::postgres::PgRow;

use super::{StoredFace, StoredImage};
use crate::domain::{BoundingBox, ContentHash, Face, ImageUri, Template, Timings};
use crate::store::columns::{corrupt, counted_option, hash, note, parsed, parsed_option, time};
use crate::store::encoding::landmarks;
use crate::store::fault::Fault;

/// A quality, none if the face was not scored.
pub(super) fn quality(row: &PgRow, column: usize) -> Result<Option<u8>, Fault> {
    row.try_get::<Option<i16>, _>(column)?.map(u8::try_from).transpose().map_err(corrupt)
}

fn template(row: &PgRow, column: usize) -> Result<Option<Template>, Fault> {
    let Some(vector) = row.try_get::<Option<HalfVector>, _>(column)? else { return Ok(None) };
    let values: Vec<f32> = vector.as_slice().iter().map(|value| value.to_f32()).collect();
    Template::from_embedding(&values).map(|(template, _)| Some(template)).map_err(corrupt)
}

/// An image from the columns: result id, URI, hash, note, bytes, width, height, outcome, reason,
/// provider, three timings, time recorded, subject, and a note's three.
pub(super) fn image(row: &PgRow) -> Result<StoredImage, Fault> {
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
            fetch_ms: row.try_get(9)?,
            vision_ms: row.try_get(10)?,
            recognise_ms: row.try_get(11)?,
        },
        recorded_at: time(row, 12)?,
        noted: note(row, 14)?,
        faces: Vec::new(),
    })
}

/// A face of `image` from the columns: index, box, landmarks, detector score, distance, score,
/// quality, norm, template.
pub(super) fn face(
    row: &PgRow,
    image: ImageUri,
    hash: Option<ContentHash>,
) -> Result<StoredFace, Fault> {
    let bbox = BoundingBox {
        x: row.try_get(1)?,
        y: row.try_get(2)?,
        width: row.try_get(3)?,
        height: row.try_get(4)?,
    };
    let landmarks = row.try_get::<Option<&[u8]>, _>(5)?.map(landmarks).transpose()?;
    Ok(StoredFace {
        image,
        hash,
        index: u32::try_from(row.try_get::<i32, _>(0)?).map_err(corrupt)?,
        face: Face { bbox, landmarks, detector_score: row.try_get(6)? },
        distance: row.try_get(7)?,
        score: row.try_get(8)?,
        quality: quality(row, 9)?,
        norm: row.try_get(10)?,
        template: template(row, 11)?,
    })
}

/// The URI and hash in columns 12 and 13 of a row whose first columns are a face's.
pub(super) fn face_with_image(row: &PgRow) -> Result<StoredFace, Fault> {
    face(row, parsed(row, 12)?, hash(row, 13)?)
}
