//! Inserts many rows with few statements.

use sqlx::query_builder::Separated;
use sqlx::{QueryBuilder, Sqlite, SqliteConnection};

use crate::domain::{Component, FaceResult};
use crate::store::encoding::{hash_key, landmark_bytes, picture_bytes};
use crate::store::fault::Fault;
use crate::store::halves::Halves;
use crate::store::plan::{NewResult, named_subject};

/// Rows in one statement: with up to 30 values a row, well below the 32766 values that `SQLite`
/// allows. Each statement costs a round trip to the connection's thread, so there are few.
const MOST_ROWS: usize = 256;

/// Placeholder for the rows in a statement.
const ROWS: &str = "{rows}";

/// A face and the ids of its rows.
struct SqliteFace<'a> {
    face: &'a FaceResult,
    id: i64,
    index: i64,
    result: &'a NewResult<'a>,
}

/// A template of a face.
pub(super) struct SqliteTemplate {
    pub(super) face: i64,
    pub(super) dimension: i64,
    pub(super) vector: Halves,
}

/// Cuts `rows` into pieces of 256, 128, … 1: batches of every size use the same few statements,
/// which stay prepared.
fn pieces<T>(mut rows: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let largest = 1_usize << rows.len().checked_ilog2()?;
        let (piece, rest) = rows.split_at(largest.min(MOST_ROWS));
        rows = rest;
        Some(piece)
    })
}

/// Inserts `rows` with `sql`, which has `{rows}` in their position. `values` binds the values of a
/// row.
pub(super) async fn insert<T>(
    connection: &mut SqliteConnection,
    sql: &str,
    rows: &[T],
    values: impl Fn(Separated<'_, Sqlite, &'static str>, &T),
) -> Result<(), Fault> {
    let (before, after) = sql.split_once(ROWS).unwrap_or((sql, ""));
    for piece in pieces(rows) {
        let mut statement = QueryBuilder::new(before);
        statement.push_values(piece, &values).push(after);
        statement.build().execute(&mut *connection).await?;
    }
    Ok(())
}

/// Inserts new images; fills in what was missing of known ones.
pub(super) async fn images(
    connection: &mut SqliteConnection,
    rows: &[NewResult<'_>],
) -> Result<(), Fault> {
    insert(connection, include_str!("sql/insert_images.sql"), rows, |mut row, new| {
        let content = new.record.content.as_ref();
        let size = content.and_then(|content| content.size);
        let subject = named_subject(new.record);
        row.push_bind(new.image)
            .push_bind(new.scope.gallery)
            .push_bind(new.record.job.image.as_str().to_owned())
            .push_bind(hash_key(content).to_vec())
            .push_bind(content.map(|content| i64::try_from(content.bytes).unwrap_or(i64::MAX)))
            .push_bind(size.map(|(width, _)| width))
            .push_bind(size.map(|(_, height)| height))
            .push_bind(content.and_then(picture_bytes))
            .push_bind(subject.map(|subject| subject.as_str().to_owned()));
    })
    .await
}

/// Inserts new results; replaces those whose id exists.
pub(super) async fn results(
    connection: &mut SqliteConnection,
    rows: &[NewResult<'_>],
    now_ms: i64,
) -> Result<(), Fault> {
    insert(connection, include_str!("sql/insert_results.sql"), rows, |mut row, new| {
        let record = new.record;
        row.push_bind(new.result)
            .push_bind(new.image)
            .push_bind(new.scope.gallery_profile)
            .push_bind(record.outcome.kind().as_str())
            .push_bind(record.outcome.reason().map(str::to_owned))
            .push_bind(new.selection.to_owned())
            .push_bind(record.job.stamp.as_ref().map(|stamp| stamp.as_str().to_owned()))
            .push_bind(record.provider.clone())
            .push_bind(record.timings.fetch_ms)
            .push_bind(record.timings.vision_ms)
            .push_bind(record.timings.recognise_ms)
            .push_bind(record.job.attempt)
            .push_bind(record.job.id.0)
            .push_bind(now_ms)
            .push_bind(new.noted)
            .push_bind(new.noted)
            .push_bind(record.job.expected_hash.map(|hash| hash.0.to_vec()));
    })
    .await
}

/// Inserts the faces of `rows`, with their templates.
pub(super) async fn faces(
    connection: &mut SqliteConnection,
    rows: &[NewResult<'_>],
) -> Result<(), Fault> {
    if rows.iter().all(|new| new.record.outcome.faces().is_empty()) {
        return Ok(());
    }
    let last: i64 = sqlx::query_scalar("SELECT coalesce(max(id), 0) AS id FROM faces")
        .fetch_one(&mut *connection)
        .await?;
    let faces = rows.iter().flat_map(|result| {
        (0..).zip(result.record.outcome.faces()).map(move |(index, face)| (result, index, face))
    });
    let faces: Vec<SqliteFace<'_>> = (last + 1..)
        .zip(faces)
        .map(|(id, (result, index, face))| SqliteFace { face, id, index, result })
        .collect();
    insert(connection, include_str!("sql/insert_faces.sql"), &faces, |mut row, new| {
        let (face, recognition) = (&new.face.face, new.face.recognition.as_ref());
        row.push_bind(new.id)
            .push_bind(new.result.result)
            .push_bind(new.index)
            .push_bind(new.result.scope.gallery_profile)
            .push_bind(face.bbox.x)
            .push_bind(face.bbox.y)
            .push_bind(face.bbox.width)
            .push_bind(face.bbox.height)
            .push_bind(face.landmarks.as_ref().map(landmark_bytes))
            .push_bind(face.detector_score)
            .push_bind(recognition.map(|recognition| recognition.distance))
            .push_bind(recognition.map(|recognition| recognition.score))
            .push_bind(recognition.map(|recognition| recognition.quality))
            .push_bind(recognition.map(|recognition| recognition.norm));
        for component in Component::all() {
            row.push_bind(new.face.components.get(component));
        }
    })
    .await?;
    let template = |new: &SqliteFace<'_>| {
        let template = &new.face.recognition.as_ref()?.template;
        let dimension = i64::try_from(template.as_slice().len()).unwrap_or(i64::MAX);
        Some(SqliteTemplate { face: new.id, dimension, vector: template.into() })
    };
    templates(connection, &faces.iter().filter_map(template).collect::<Vec<_>>()).await
}

/// Inserts templates.
pub(super) async fn templates(
    connection: &mut SqliteConnection,
    rows: &[SqliteTemplate],
) -> Result<(), Fault> {
    insert(connection, include_str!("sql/insert_templates.sql"), rows, |mut row, new| {
        row.push_bind(new.face).push_bind(new.dimension).push_bind(new.vector.clone());
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_cover_a_batch_in_powers_of_two() {
        let rows: Vec<u32> = (0..580).collect();
        let sizes: Vec<usize> = pieces(&rows).map(<[u32]>::len).collect();
        assert_eq!(sizes, [256, 256, 64, 4]);
        assert_eq!(pieces(&rows).flatten().copied().collect::<Vec<_>>(), rows);
        assert_eq!(pieces::<u32>(&[]).count(), 0);
    }
}
