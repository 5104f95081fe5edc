//! Many rows in one statement each, column by column. Knows how to insert rows of the four big tables; decides nothing.

use pgvector::HalfVector;
use sqlx::PgConnection;

use super::fault::Fault;
use crate::domain::{FaceResult, ImageUri, JobRecord};
use crate::store::fate::hash_key;

/// A record and the ids of its rows.
pub(super) struct Placed<'a> {
    pub(super) record: &'a JobRecord,
    /// The canonical selection.
    pub(super) selection: &'a str,
    pub(super) gallery: i64,
    pub(super) gallery_profile: i64,
    pub(super) image: i64,
    /// Whether the image has no row yet.
    pub(super) new_image: bool,
    pub(super) result: i64,
}

/// A face and the ids of its rows.
pub(super) struct PlacedFace<'a> {
    pub(super) face: &'a FaceResult,
    pub(super) profile: &'a str,
    pub(super) id: i64,
    pub(super) result: i64,
    pub(super) index: i32,
    pub(super) gallery_profile: i64,
}

/// What stands for a URI in indexes: 128 bits of its BLAKE3.
pub(super) fn uri_key(uri: &ImageUri) -> Vec<u8> {
    blake3::hash(uri.as_str().as_bytes()).as_bytes()[..16].to_vec()
}

/// `values` of `rows`: a column.
fn column<R, T>(rows: &[R], value: impl Fn(&R) -> T) -> Vec<T> {
    rows.iter().map(value).collect()
}

fn side(record: &JobRecord, side: impl Fn((u32, u32)) -> u32) -> Option<i32> {
    let size = record.content.as_ref()?.size?;
    Some(i32::try_from(side(size)).unwrap_or(i32::MAX))
}

/// Inserts new images; of known ones, learns what was not known.
pub(super) async fn images(connection: &mut PgConnection, rows: &[Placed<'_>]) -> Result<(), Fault> {
    let (new, known): (Vec<_>, Vec<_>) = rows.iter().partition(|placed| placed.new_image);
    for (rows, statement) in [
        (
            new,
            "INSERT INTO images (id, gallery_id, uri_key, uri, content_hash, bytes, width, height, subject) \
             SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bytea[], $4::text[], $5::bytea[], $6::bigint[], $7::integer[], \
             $8::integer[], $9::text[])",
        ),
        (
            known,
            "UPDATE images SET bytes = coalesce(n.bytes, images.bytes), width = coalesce(n.width, images.width), \
             height = coalesce(n.height, images.height), subject = coalesce(n.subject, images.subject) \
             FROM unnest($1::bigint[], $2::bigint[], $3::bytea[], $4::text[], $5::bytea[], $6::bigint[], $7::integer[], \
             $8::integer[], $9::text[]) AS n (id, gallery_id, uri_key, uri, content_hash, bytes, width, height, subject) \
             WHERE images.id = n.id",
        ),
    ] {
        if rows.is_empty() {
            continue;
        }
        sqlx::query(statement)
            .bind(column(&rows, |placed| placed.image))
            .bind(column(&rows, |placed| placed.gallery))
            .bind(column(&rows, |placed| uri_key(&placed.record.image)))
            .bind(column(&rows, |placed| placed.record.image.as_str().to_owned()))
            .bind(column(&rows, |placed| hash_key(placed.record.content.as_ref()).to_vec()))
            .bind(column(&rows, |placed| {
                placed.record.content.as_ref().map(|content| i64::try_from(content.bytes).unwrap_or(i64::MAX))
            }))
            .bind(column(&rows, |placed| side(placed.record, |(width, _)| width)))
            .bind(column(&rows, |placed| side(placed.record, |(_, height)| height)))
            .bind(column(&rows, |placed| placed.record.subject.as_ref().map(|subject| subject.as_str().to_owned())))
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// Inserts new results; replaces those whose id is there.
pub(super) async fn results(connection: &mut PgConnection, rows: &[Placed<'_>]) -> Result<(), Fault> {
    if rows.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO results (id, image_id, gallery_profile_id, uri_key, outcome, reason, selection, stamp, provider, fetch_ms, \
         vision_ms, recognise_ms, attempt, job_id) \
         SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bytea[], $5::text[], $6::text[], $7::text[], $8::text[], \
         $9::text[], $10::real[], $11::real[], $12::real[], $13::integer[], $14::uuid[]) \
         ON CONFLICT (id) DO UPDATE SET superseded = false, outcome = excluded.outcome, reason = excluded.reason, \
         selection = excluded.selection, stamp = excluded.stamp, provider = excluded.provider, fetch_ms = excluded.fetch_ms, \
         vision_ms = excluded.vision_ms, recognise_ms = excluded.recognise_ms, attempt = excluded.attempt, job_id = excluded.job_id, \
         recorded_at = now()",
    )
    .bind(column(rows, |placed| placed.result))
    .bind(column(rows, |placed| placed.image))
    .bind(column(rows, |placed| placed.gallery_profile))
    .bind(column(rows, |placed| uri_key(&placed.record.image)))
    .bind(column(rows, |placed| placed.record.outcome.kind().as_str()))
    .bind(column(rows, |placed| placed.record.outcome.reason().map(without_nul)))
    .bind(column(rows, |placed| placed.selection.to_owned()))
    .bind(column(rows, |placed| placed.record.stamp.as_ref().map(|stamp| without_nul(&stamp.0))))
    .bind(column(rows, |placed| placed.record.provider.clone()))
    .bind(column(rows, |placed| placed.record.timings.fetch_ms))
    .bind(column(rows, |placed| placed.record.timings.vision_ms))
    .bind(column(rows, |placed| placed.record.timings.recognise_ms))
    .bind(column(rows, |placed| i32::try_from(placed.record.attempt).unwrap_or(i32::MAX)))
    .bind(column(rows, |placed| placed.record.job.0))
    .execute(connection)
    .await?;
    Ok(())
}

/// Postgres' text holds no NUL; a reason from a decoder might.
fn without_nul(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

/// Inserts faces, with their templates.
pub(super) async fn faces(connection: &mut PgConnection, rows: &[PlacedFace<'_>]) -> Result<(), Fault> {
    if rows.is_empty() {
        return Ok(());
    }
    // Ten values a face, or none: arrays of arrays must all be of one length, so landmarks travel apart and flat.
    let landmarks: Vec<Option<Vec<f32>>> =
        column(rows, |placed| Some(placed.face.face.landmarks.as_ref()?.iter().flat_map(|point| [point.x, point.y]).collect()));
    let flat: Vec<f32> = landmarks.iter().flat_map(|values| values.clone().unwrap_or_else(|| vec![0.0; 10])).collect();
    sqlx::query(
        "INSERT INTO faces (id, result_id, face_index, gallery_profile_id, x, y, width, height, landmarks, detector_score, \
         distance, score, quality, norm) \
         SELECT n.id, n.result_id, n.face_index, n.gallery_profile_id, n.x, n.y, n.width, n.height, \
         CASE WHEN n.has_landmarks THEN ($9::real[])[10 * n.place - 9 : 10 * n.place] END, n.detector_score, n.distance, n.score, \
         n.quality, n.norm \
         FROM unnest($1::bigint[], $2::bigint[], $3::integer[], $4::bigint[], $5::real[], $6::real[], $7::real[], $8::real[], \
         $10::boolean[], $11::real[], $12::double precision[], $13::double precision[], $14::smallint[], $15::real[]) \
         WITH ORDINALITY AS n (id, result_id, face_index, gallery_profile_id, x, y, width, height, has_landmarks, detector_score, \
         distance, score, quality, norm, place)",
    )
    .bind(column(rows, |placed| placed.id))
    .bind(column(rows, |placed| placed.result))
    .bind(column(rows, |placed| placed.index))
    .bind(column(rows, |placed| placed.gallery_profile))
    .bind(column(rows, |placed| placed.face.face.bbox.x))
    .bind(column(rows, |placed| placed.face.face.bbox.y))
    .bind(column(rows, |placed| placed.face.face.bbox.width))
    .bind(column(rows, |placed| placed.face.face.bbox.height))
    .bind(flat)
    .bind(column(&landmarks, Option::is_some))
    .bind(column(rows, |placed| placed.face.face.detector_score))
    .bind(column(rows, |placed| placed.face.recognition.as_ref().map(|recognition| recognition.distance)))
    .bind(column(rows, |placed| placed.face.recognition.as_ref().map(|recognition| recognition.score)))
    .bind(column(rows, |placed| placed.face.recognition.as_ref().map(|recognition| i16::from(recognition.quality))))
    .bind(column(rows, |placed| placed.face.recognition.as_ref().map(|recognition| recognition.norm)))
    .execute(&mut *connection)
    .await?;

    let templates: Vec<_> =
        rows.iter().filter_map(|placed| Some((placed, &placed.face.recognition.as_ref()?.template))).collect();
    sqlx::query(
        "INSERT INTO templates (profile_id, face_id, vector) SELECT * FROM unnest($1::text[], $2::bigint[], $3::halfvec[])",
    )
    .bind(column(&templates, |(placed, _)| placed.profile))
    .bind(column(&templates, |(placed, _)| placed.id))
    .bind(column(&templates, |(_, template)| HalfVector::from_f32_slice(template.as_slice())))
    .execute(connection)
    .await?;
    Ok(())
}
