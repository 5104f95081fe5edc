//! Many rows in one statement: each column goes to the server as an array. Knows how to insert rows
//! of the four big tables; decides nothing.

use pgvector::HalfVector;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::domain::{FaceResult, JobRecord, Recognition, SourceStamp};
use crate::store::encoding::{hash_key, landmark_bytes};
use crate::store::fate::Scope;
use crate::store::fault::Fault;

/// A record and the ids of its rows.
pub(super) struct Placed<'a> {
    pub(super) record: &'a JobRecord,
    /// The canonical selection.
    pub(super) selection: &'a str,
    pub(super) scope: Scope,
    pub(super) uri_key: Uuid,
    pub(super) image: i64,
    pub(super) result: i64,
    /// It stands beside the current result.
    pub(super) noted: bool,
}

/// A column of `rows`.
fn column<'a, R, T>(rows: &'a [R], value: impl Fn(&'a R) -> T) -> Vec<T> {
    rows.iter().map(value).collect()
}

/// Inserts new images; of known ones, learns what was not known.
pub(super) async fn images(
    connection: &mut PgConnection,
    rows: &[Placed<'_>],
) -> Result<(), Fault> {
    let content = |row: &Placed<'_>| row.record.content;
    let size = |row: &Placed<'_>| row.record.content.and_then(|content| content.size);
    sqlx::query(
        "INSERT INTO images AS i (id, gallery_id, uri_key, content_hash, bytes, width, height, \
            subject) \
         SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::uuid[], $4::bytea[], $5::bigint[], \
         $6::bigint[], $7::bigint[], $8::text[]) \
         ON CONFLICT (id) DO UPDATE SET bytes = coalesce(excluded.bytes, i.bytes), width = \
         coalesce(excluded.width, i.width), \
         height = coalesce(excluded.height, i.height), subject = coalesce(excluded.subject, \
         i.subject) \
         WHERE (excluded.bytes, excluded.width, excluded.height, excluded.subject) IS DISTINCT \
         FROM (i.bytes, i.width, i.height, i.subject)",
    )
    .bind(column(rows, |row| row.image))
    .bind(column(rows, |row| row.scope.gallery))
    .bind(column(rows, |row| row.uri_key))
    .bind(column(rows, |row| hash_key(row.record.content.as_ref())))
    .bind(column(rows, |row| {
        content(row).map(|content| i64::try_from(content.bytes).unwrap_or(i64::MAX))
    }))
    .bind(column(rows, |row| size(row).map(|(width, _)| i64::from(width))))
    .bind(column(rows, |row| size(row).map(|(_, height)| i64::from(height))))
    .bind(column(rows, |row| row.record.subject.as_ref().map(|subject| subject.as_str())))
    .execute(connection)
    .await?;
    Ok(())
}

/// Inserts new results; replaces those whose id is there.
pub(super) async fn results(
    connection: &mut PgConnection,
    rows: &[Placed<'_>],
) -> Result<(), Fault> {
    sqlx::query(
        "INSERT INTO results (id, image_id, gallery_profile_id, outcome, reason, selection, stamp, \
            provider, \
         fetch_ms, vision_ms, recognise_ms, attempt, job_id, superseded, noted) \
         SELECT *, k.noted FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[], \
         $5::text[], $6::text[], $7::text[], $8::text[], \
         $9::real[], $10::real[], $11::real[], $12::bigint[], $13::uuid[], $14::boolean[]) \
         k (id, image_id, gallery_profile_id, outcome, reason, selection, stamp, provider, \
         fetch_ms, vision_ms, recognise_ms, attempt, \
         job_id, noted) \
         ON CONFLICT (id) DO UPDATE SET superseded = excluded.superseded, noted = excluded.noted, \
         outcome = excluded.outcome, reason = excluded.reason, \
         selection = excluded.selection, stamp = excluded.stamp, provider = excluded.provider, \
         fetch_ms = excluded.fetch_ms, \
         vision_ms = excluded.vision_ms, recognise_ms = excluded.recognise_ms, attempt = \
         excluded.attempt, \
         job_id = excluded.job_id, recorded_at = excluded.recorded_at",
    )
    .bind(column(rows, |row| row.result))
    .bind(column(rows, |row| row.image))
    .bind(column(rows, |row| row.scope.gallery_profile))
    .bind(column(rows, |row| row.record.outcome.kind().as_str()))
    // What Postgres cannot hold in a text must not keep a record out.
    .bind(column(rows, |row| {
        row.record.outcome.reason().map(|reason| reason.replace('\0', "\u{fffd}"))
    }))
    .bind(column(rows, |row| row.selection))
    .bind(column(rows, |row| row.record.stamp.as_ref().map(SourceStamp::as_str)))
    .bind(column(rows, |row| row.record.provider.as_str()))
    .bind(column(rows, |row| row.record.timings.fetch_ms))
    .bind(column(rows, |row| row.record.timings.vision_ms))
    .bind(column(rows, |row| row.record.timings.recognise_ms))
    .bind(column(rows, |row| i64::from(row.record.attempt)))
    .bind(column(rows, |row| row.record.job.0))
    .bind(column(rows, |row| row.noted))
    .execute(connection)
    .await?;
    Ok(())
}

/// A face and where it belongs.
struct PlacedFace<'a> {
    row: &'a Placed<'a>,
    index: i32,
    face: &'a FaceResult,
}

impl PlacedFace<'_> {
    fn recognised<T>(&self, value: impl Fn(&Recognition) -> T) -> Option<T> {
        self.face.recognition.as_ref().map(value)
    }
}

/// Inserts the faces of `rows`, with their templates.
pub(super) async fn faces(connection: &mut PgConnection, rows: &[Placed<'_>]) -> Result<(), Fault> {
    let faces: Vec<_> = rows
        .iter()
        .flat_map(|row| {
            (0..).zip(row.record.outcome.faces()).map(move |(index, face)| PlacedFace {
                row,
                index,
                face,
            })
        })
        .collect();
    if faces.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO faces (result_id, face_index, gallery_profile_id, x, y, width, height, \
            landmarks, detector_score, \
         distance, score, quality, norm) \
         SELECT * FROM unnest($1::bigint[], $2::integer[], $3::bigint[], $4::real[], $5::real[], \
         $6::real[], $7::real[], $8::bytea[], \
         $9::real[], $10::double precision[], $11::double precision[], $12::smallint[], \
         $13::real[])",
    )
    .bind(column(&faces, |face| face.row.result))
    .bind(column(&faces, |face| face.index))
    .bind(column(&faces, |face| face.row.scope.gallery_profile))
    .bind(column(&faces, |face| face.face.face.bbox.x))
    .bind(column(&faces, |face| face.face.face.bbox.y))
    .bind(column(&faces, |face| face.face.face.bbox.width))
    .bind(column(&faces, |face| face.face.face.bbox.height))
    .bind(column(&faces, |face| face.face.face.landmarks.as_ref().map(landmark_bytes)))
    .bind(column(&faces, |face| face.face.face.detector_score))
    .bind(column(&faces, |face| face.recognised(|recognition| recognition.distance)))
    .bind(column(&faces, |face| face.recognised(|recognition| recognition.score)))
    .bind(column(&faces, |face| face.recognised(|recognition| i16::from(recognition.quality))))
    .bind(column(&faces, |face| face.recognised(|recognition| recognition.norm)))
    .execute(&mut *connection)
    .await?;
    let recognised: Vec<_> = faces
        .iter()
        .filter_map(|face| face.face.recognition.as_ref().map(|recognition| (face, recognition)))
        .collect();
    if recognised.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO templates (profile_id, result_id, face_index, vector) \
         SELECT * FROM unnest($1::text[], $2::bigint[], $3::integer[], $4::halfvec[])",
    )
    .bind(column(&recognised, |(face, _)| face.row.record.profile.as_str()))
    .bind(column(&recognised, |(face, _)| face.row.result))
    .bind(column(&recognised, |(face, _)| face.index))
    .bind(column(&recognised, |(_, recognition)| {
        HalfVector::from_f32_slice(recognition.template.as_slice())
    }))
    .execute(connection)
    .await?;
    Ok(())
}
