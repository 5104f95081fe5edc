//! From columns to domain values, the same in every backend. What cannot be one is
//! [`StoreError::Corrupt`], never a guess.

use std::collections::HashMap;
use std::fmt::Display;
use std::str::FromStr;

use sqlx::{ColumnIndex, Decode, Row, Type};
use uuid::Uuid;

use super::fate::{Known, KnownResult};
use super::fault::Fault;
use super::{Note, Recorded, StoreError, StoredFace, StoredImage, encoding};
use crate::domain::{ContentHash, End, ImageUri, JobId, Selection, SourceName, SourceStatus};

pub(super) fn corrupt(error: impl Display) -> Fault {
    StoreError::Corrupt(error.to_string()).into()
}

/// A column of text that a domain type parses.
pub(super) fn parsed<'r, R: Row, T>(row: &'r R, column: usize) -> Result<T, Fault>
where
    usize: ColumnIndex<R>,
    &'r str: Decode<'r, R::Database> + Type<R::Database>,
    T: FromStr<Err: Display>,
{
    row.try_get::<&str, _>(column)?.parse().map_err(corrupt)
}

/// The same of a column that may be empty.
pub(super) fn parsed_option<'r, R: Row, T>(row: &'r R, column: usize) -> Result<Option<T>, Fault>
where
    usize: ColumnIndex<R>,
    &'r str: Decode<'r, R::Database> + Type<R::Database>,
    T: FromStr<Err: Display>,
{
    row.try_get::<Option<&str>, _>(column)?.map(str::parse).transpose().map_err(corrupt)
}

/// A column that is never negative.
pub(super) fn counted<'r, R: Row, T>(row: &'r R, column: usize) -> Result<T, Fault>
where
    usize: ColumnIndex<R>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
    T: TryFrom<i64, Error: Display>,
{
    T::try_from(row.try_get::<i64, _>(column)?).map_err(corrupt)
}

/// The same of a column that may be empty.
pub(super) fn counted_option<'r, R: Row, T>(row: &'r R, column: usize) -> Result<Option<T>, Fault>
where
    usize: ColumnIndex<R>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
    T: TryFrom<i64, Error: Display>,
{
    row.try_get::<Option<i64>, _>(column)?.map(T::try_from).transpose().map_err(corrupt)
}

/// A time in milliseconds since 1970, as RFC 3339.
pub(super) fn time<'r, R: Row>(row: &'r R, column: usize) -> Result<String, Fault>
where
    usize: ColumnIndex<R>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
{
    Ok(jiff::Timestamp::from_millisecond(row.try_get(column)?).map_err(corrupt)?.to_string())
}

/// A source that workers had trouble with: its name, what is wrong now, since when.
pub(super) fn noted_source<'r, R: Row>(row: &'r R) -> Result<SourceStatus, Fault>
where
    usize: ColumnIndex<R>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
    &'r str: Decode<'r, R::Database> + Type<R::Database>,
    Option<String>: Decode<'r, R::Database> + Type<R::Database>,
{
    let name = SourceName::new(row.try_get::<&str, _>(0)?);
    Ok(SourceStatus { name, trouble: row.try_get(1)?, since: time(row, 2)? })
}

/// A campaign's selection, if it is known.
pub(super) fn selection<'r, R: Row>(row: &'r R, column: usize) -> Result<Option<Selection>, Fault>
where
    usize: ColumnIndex<R>,
    &'r str: Decode<'r, R::Database> + Type<R::Database>,
{
    Ok(row.try_get::<Option<&str>, _>(column)?.map(encoding::selection).transpose()?)
}

/// A note, if there is one, from the columns from `first`: outcome, reason, time recorded.
pub(super) fn note<'r, R: Row>(row: &'r R, first: usize) -> Result<Option<Note>, Fault>
where
    usize: ColumnIndex<R>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
    &'r str: Decode<'r, R::Database> + Type<R::Database>,
    String: Decode<'r, R::Database> + Type<R::Database>,
{
    let Some(outcome) = parsed_option(row, first)? else { return Ok(None) };
    Ok(Some(Note { outcome, reason: row.try_get(first + 1)?, at: time(row, first + 2)? }))
}

/// A content hash, none if no bytes came.
pub(super) fn hash<'r, R: Row>(row: &'r R, column: usize) -> Result<Option<ContentHash>, Fault>
where
    usize: ColumnIndex<R>,
    &'r [u8]: Decode<'r, R::Database> + Type<R::Database>,
{
    match row.try_get::<&[u8], _>(column)? {
        [] => Ok(None),
        bytes => bytes.try_into().map(|bytes| Some(ContentHash(bytes))).map_err(corrupt),
    }
}

/// A version of an image and one of its results, from the columns after the first: image id, hash,
/// result id, gallery and profile, superseded, outcome, selection, stamp, job, noted.
pub(super) fn known<'r, R: Row>(row: &'r R) -> Result<Known, Fault>
where
    usize: ColumnIndex<R>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
    bool: Decode<'r, R::Database> + Type<R::Database>,
    &'r str: Decode<'r, R::Database> + Type<R::Database>,
    String: Decode<'r, R::Database> + Type<R::Database>,
    Vec<u8>: Decode<'r, R::Database> + Type<R::Database>,
    Uuid: Decode<'r, R::Database> + Type<R::Database>,
{
    let result = match row.try_get::<Option<i64>, _>(3)? {
        None => None,
        Some(id) => Some(KnownResult {
            id,
            gallery_profile: row.try_get(4)?,
            superseded: row.try_get(5)?,
            noted: row.try_get(10)?,
            outcome: parsed(row, 6)?,
            selection: row.try_get(7)?,
            stamp: row.try_get(8)?,
            job: JobId(row.try_get(9)?),
        }),
    };
    Ok(Known { image: row.try_get(1)?, hash: row.try_get(2)?, result })
}

/// Tells each of `ended` (its place in the batch, and a result) how that result ended: from columns
/// of result id, outcome, reason, number of faces, quality of the primary face.
pub(super) fn attach_ends<'r, R: Row>(
    recorded: &mut [Recorded],
    ended: &[(usize, i64)],
    rows: &'r [R],
) -> Result<(), Fault>
where
    usize: ColumnIndex<R>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
    &'r str: Decode<'r, R::Database> + Type<R::Database>,
    String: Decode<'r, R::Database> + Type<R::Database>,
{
    for row in rows {
        let id: i64 = row.try_get(0)?;
        let end = End {
            outcome: parsed(row, 1)?,
            reason: row.try_get(2)?,
            faces: counted(row, 3)?,
            quality: counted_option(row, 4)?,
        };
        for (place, _) in ended.iter().filter(|(_, result)| *result == id) {
            recorded[*place] = Recorded::Ended(end.clone());
        }
    }
    Ok(())
}

/// Hands each face (whose result id is in column 12) to its image; `face` reads its other columns.
pub(super) fn attach_faces<'r, R: Row>(
    images: &mut [StoredImage],
    faces: &'r [R],
    face: impl Fn(&'r R, ImageUri, Option<ContentHash>) -> Result<StoredFace, Fault>,
) -> Result<(), Fault>
where
    usize: ColumnIndex<R>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
{
    let places: HashMap<i64, usize> =
        images.iter().enumerate().map(|(place, image)| (image.cursor, place)).collect();
    for row in faces {
        let place = places.get(&row.try_get(12)?).and_then(|&place| images.get_mut(place));
        let image = place.ok_or_else(|| corrupt("a face without its image"))?;
        image.faces.push(face(row, image.image.clone(), image.hash)?);
    }
    Ok(())
}
