//! Many rows in few statements. Knows how to insert rows of the four big tables; decides nothing.

use sqlx::{QueryBuilder, Sqlite, SqliteConnection};

use crate::domain::{FaceResult, JobRecord};
use crate::store::encoding::{hash_key, landmark_bytes};
use crate::store::fault::Fault;

/// Rows in one statement: at up to 16 values a row, well below the 32766 that `SQLite` allows. Each
/// statement costs a round trip to the connection's thread, which is why there are few of them.
const MOST_ROWS: usize = 256;

/// A record and the ids of its rows.
pub(super) struct Placed<'a> {
    pub(super) record: &'a JobRecord,
    /// The canonical selection.
    pub(super) selection: &'a str,
    pub(super) gallery: i64,
    pub(super) gallery_profile: i64,
    pub(super) image: i64,
    pub(super) result: i64,
    /// It stands beside the current result.
    pub(super) noted: bool,
}

/// A face and the ids of its rows.
pub(super) struct PlacedFace<'a> {
    pub(super) face: &'a FaceResult,
    pub(super) id: i64,
    pub(super) result: i64,
    pub(super) index: i64,
    pub(super) gallery_profile: i64,
}

/// Cuts `rows` into pieces of 256, 128, … 1: whatever the size of a batch, the same few statements
/// serve it, and stay prepared.
fn pieces<T>(mut rows: &[T]) -> impl Iterator<Item = &[T]> {
    std::iter::from_fn(move || {
        let largest = 1_usize << rows.len().checked_ilog2()?;
        let (piece, rest) = rows.split_at(largest.min(MOST_ROWS));
        rows = rest;
        Some(piece)
    })
}

async fn run(
    mut insert: QueryBuilder<Sqlite>,
    connection: &mut SqliteConnection,
) -> Result<(), Fault> {
    insert.build().execute(connection).await?;
    Ok(())
}

/// Inserts new images; of known ones, learns what was not known.
pub(super) async fn images(
    connection: &mut SqliteConnection,
    rows: &[Placed<'_>],
) -> Result<(), Fault> {
    for piece in pieces(rows) {
        let mut insert = QueryBuilder::new(
            "INSERT INTO images (id, gallery_id, uri, content_hash, bytes, width, height, \
                subject) ",
        );
        insert.push_values(piece, |mut row, placed| {
            let content = placed.record.content.as_ref();
            let size = content.and_then(|content| content.size);
            row.push_bind(placed.image)
                .push_bind(placed.gallery)
                .push_bind(placed.record.image.as_str().to_owned())
                .push_bind(hash_key(content).to_vec())
                .push_bind(content.map(|content| i64::try_from(content.bytes).unwrap_or(i64::MAX)))
                .push_bind(size.map(|(width, _)| width))
                .push_bind(size.map(|(_, height)| height))
                .push_bind(
                    placed.record.subject.as_ref().map(|subject| subject.as_str().to_owned()),
                );
        });
        insert.push(
            " ON CONFLICT (id) DO UPDATE SET bytes = coalesce(excluded.bytes, bytes), \
             width = coalesce(excluded.width, width), height = coalesce(excluded.height, height), \
             subject = coalesce(excluded.subject, subject)",
        );
        run(insert, connection).await?;
    }
    Ok(())
}

/// Inserts new results; replaces those whose id is there.
pub(super) async fn results(
    connection: &mut SqliteConnection,
    rows: &[Placed<'_>],
    now_ms: i64,
) -> Result<(), Fault> {
    for piece in pieces(rows) {
        let mut insert = QueryBuilder::new(
            "INSERT INTO results (id, image_id, gallery_profile_id, outcome, reason, selection, \
                stamp, provider, \
             fetch_ms, vision_ms, recognise_ms, attempt, job_id, recorded_at_ms, superseded, \
             noted) ",
        );
        insert.push_values(piece, |mut row, placed| {
            let record = placed.record;
            row.push_bind(placed.result)
                .push_bind(placed.image)
                .push_bind(placed.gallery_profile)
                .push_bind(record.outcome.kind().as_str())
                .push_bind(record.outcome.reason().map(str::to_owned))
                .push_bind(placed.selection.to_owned())
                .push_bind(record.stamp.as_ref().map(|stamp| stamp.as_str().to_owned()))
                .push_bind(record.provider.clone())
                .push_bind(f64::from(record.timings.fetch_ms))
                .push_bind(f64::from(record.timings.vision_ms))
                .push_bind(f64::from(record.timings.recognise_ms))
                .push_bind(record.attempt)
                .push_bind(record.job.0.as_bytes().to_vec())
                .push_bind(now_ms)
                .push_bind(placed.noted)
                .push_bind(placed.noted);
        });
        insert.push(
            " ON CONFLICT (id) DO UPDATE SET superseded = excluded.superseded, noted = \
                excluded.noted, outcome = excluded.outcome, reason = excluded.reason, \
             selection = excluded.selection, stamp = excluded.stamp, provider = excluded.provider, \
             fetch_ms = excluded.fetch_ms, \
             vision_ms = excluded.vision_ms, recognise_ms = excluded.recognise_ms, attempt = \
             excluded.attempt, \
             job_id = excluded.job_id, recorded_at_ms = excluded.recorded_at_ms",
        );
        run(insert, connection).await?;
    }
    Ok(())
}

/// Inserts faces, with their templates.
pub(super) async fn faces(
    connection: &mut SqliteConnection,
    rows: &[PlacedFace<'_>],
) -> Result<(), Fault> {
    for piece in pieces(rows) {
        let mut insert = QueryBuilder::new(
            "INSERT INTO faces (id, result_id, face_index, gallery_profile_id, x, y, width, \
                height, landmarks, detector_score, \
             distance, score, quality, norm) ",
        );
        insert.push_values(piece, |mut row, placed| {
            let (face, recognition) = (&placed.face.face, placed.face.recognition.as_ref());
            row.push_bind(placed.id)
                .push_bind(placed.result)
                .push_bind(placed.index)
                .push_bind(placed.gallery_profile)
                .push_bind(f64::from(face.bbox.x))
                .push_bind(f64::from(face.bbox.y))
                .push_bind(f64::from(face.bbox.width))
                .push_bind(f64::from(face.bbox.height))
                .push_bind(face.landmarks.as_ref().map(landmark_bytes))
                .push_bind(face.detector_score.map(f64::from))
                .push_bind(recognition.map(|recognition| recognition.distance))
                .push_bind(recognition.map(|recognition| recognition.score))
                .push_bind(recognition.map(|recognition| recognition.quality))
                .push_bind(recognition.map(|recognition| f64::from(recognition.norm)));
        });
        run(insert, connection).await?;
    }
    let templates: Vec<_> = rows
        .iter()
        .filter_map(|placed| {
            placed.face.recognition.as_ref().map(|recognition| (placed.id, &recognition.template))
        })
        .collect();
    for piece in pieces(&templates) {
        let mut insert = QueryBuilder::new("INSERT INTO templates (face_id, dimension, vector) ");
        insert.push_values(piece, |mut row, (face, template)| {
            row.push_bind(*face)
                .push_bind(i64::try_from(template.as_slice().len()).unwrap_or(i64::MAX))
                .push_bind(template.to_bytes());
        });
        run(insert, connection).await?;
    }
    Ok(())
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
