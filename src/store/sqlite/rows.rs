//! From rows to domain values. What cannot be one is [`StoreError::Corrupt`], never a guess.

use std::collections::HashMap;
use std::fmt::Display;
use std::str::FromStr;

use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::fault::Fault;
use super::{StoreError, StoredFace, StoredImage};
use crate::domain::{BoundingBox, ContentHash, Face, ImageUri, Template, Timings};
use crate::store::encoding::landmarks;

fn corrupt(error: impl Display) -> Fault {
    StoreError::Corrupt(error.to_string()).into()
}

/// A column of text that a domain type parses.
pub(super) fn parsed<T>(row: &SqliteRow, column: usize) -> Result<T, Fault>
where
    T: FromStr<Err: Display>,
{
    row.try_get::<&str, _>(column)?.parse().map_err(corrupt)
}

/// A column that is never negative.
pub(super) fn counted<T: TryFrom<i64, Error: Display>>(row: &SqliteRow, column: usize) -> Result<T, Fault> {
    T::try_from(row.try_get::<i64, _>(column)?).map_err(corrupt)
}

fn counted_option<T: TryFrom<i64, Error: Display>>(row: &SqliteRow, column: usize) -> Result<Option<T>, Fault> {
    row.try_get::<Option<i64>, _>(column)?.map(T::try_from).transpose().map_err(corrupt)
}

// Written from 32-bit floats: nothing is lost on the way back.
fn float(row: &SqliteRow, column: usize) -> Result<f32, Fault> {
    Ok(row.try_get::<f64, _>(column)? as f32)
}

fn float_option(row: &SqliteRow, column: usize) -> Result<Option<f32>, Fault> {
    Ok(row.try_get::<Option<f64>, _>(column)?.map(|value| value as f32))
}

fn hash(row: &SqliteRow, column: usize) -> Result<Option<ContentHash>, Fault> {
    match row.try_get::<&[u8], _>(column)? {
        [] => Ok(None),
        bytes => bytes.try_into().map(|bytes| Some(ContentHash(bytes))).map_err(corrupt),
    }
}

/// An image from the columns: result id, URI, hash, bytes, width, height, outcome, reason, provider, three timings, time recorded,
/// subject.
pub(super) fn image(row: &SqliteRow) -> Result<StoredImage, Fault> {
    let recorded_at = jiff::Timestamp::from_millisecond(row.try_get(12)?).map_err(corrupt)?;
    Ok(StoredImage {
        cursor: row.try_get(0)?,
        image: parsed(row, 1)?,
        subject: row.try_get::<Option<&str>, _>(13)?.map(str::parse).transpose().map_err(corrupt)?,
        hash: hash(row, 2)?,
        bytes: counted_option(row, 3)?,
        size: counted_option(row, 4)?.zip(counted_option(row, 5)?),
        outcome: parsed(row, 6)?,
        reason: row.try_get(7)?,
        provider: row.try_get(8)?,
        timings: Timings { fetch_ms: float(row, 9)?, vision_ms: float(row, 10)?, recognise_ms: float(row, 11)? },
        recorded_at: recorded_at.to_string(),
        faces: Vec::new(),
    })
}

/// A face of `image` from the columns: index, box, landmarks, detector score, distance, score, quality, norm, template.
pub(super) fn face(row: &SqliteRow, image: ImageUri, hash: Option<ContentHash>) -> Result<StoredFace, Fault> {
    let bbox = BoundingBox { x: float(row, 1)?, y: float(row, 2)?, width: float(row, 3)?, height: float(row, 4)? };
    let landmarks = row.try_get::<Option<&[u8]>, _>(5)?.map(landmarks).transpose()?;
    let template = row.try_get::<Option<&[u8]>, _>(11)?.map(Template::from_bytes).transpose().map_err(corrupt)?;
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

/// Hands each face (whose result id is in column 12) to its image.
pub(super) fn attach_faces(images: &mut [StoredImage], faces: &[SqliteRow]) -> Result<(), Fault> {
    let places: HashMap<i64, usize> = images.iter().enumerate().map(|(place, image)| (image.cursor, place)).collect();
    for row in faces {
        let place = places.get(&row.try_get(12)?).and_then(|&place| images.get_mut(place));
        let image = place.ok_or_else(|| corrupt("a face without its image"))?;
        image.faces.push(face(row, image.image.clone(), image.hash)?);
    }
    Ok(())
}

/// Now, as rows hold it: milliseconds since 1970.
pub(super) fn now_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}
