//! Inserts many rows with one statement: each column is sent as an array.

use pgvector::HalfVector;
use sqlx::PgConnection;

use super::{column, uri_key};
use crate::domain::{Component, FaceResult, ImageContent, Recognition, SourceStamp, SubjectName};
use crate::store::encoding::{hash_key, landmark_bytes, picture_bytes};
use crate::store::fault::Fault;
use crate::store::halves::Halves;
use crate::store::plan::{NewResult, named_subject};

/// Inserts new images; fills in what was missing of known ones.
pub(super) async fn images(
    connection: &mut PgConnection,
    rows: &[NewResult<'_>],
) -> Result<(), Fault> {
    let bytes = |content: ImageContent| i64::try_from(content.bytes).unwrap_or(i64::MAX);
    let size = |new: &NewResult<'_>| new.record.content.and_then(|content| content.size);
    sqlx::query(include_str!("sql/insert_images.sql"))
        .bind(column(rows, |new| new.image))
        .bind(column(rows, |new| new.scope.gallery))
        .bind(column(rows, |new| uri_key(&new.record.job.image)))
        .bind(column(rows, |new| hash_key(new.record.content.as_ref())))
        .bind(column(rows, |new| new.record.content.map(bytes)))
        .bind(column(rows, |new| size(new).map(|(width, _)| i64::from(width))))
        .bind(column(rows, |new| size(new).map(|(_, height)| i64::from(height))))
        .bind(column(rows, |new| new.record.content.as_ref().and_then(picture_bytes)))
        .bind(column(rows, |new| named_subject(new.record).map(SubjectName::as_str)))
        .execute(connection)
        .await?;
    Ok(())
}

/// Inserts new results; replaces those whose id exists.
pub(super) async fn results(
    connection: &mut PgConnection,
    rows: &[NewResult<'_>],
) -> Result<(), Fault> {
    // Postgres has no NUL in texts.
    let reason = |new: &NewResult<'_>| {
        new.record.outcome.reason().map(|reason| reason.replace('\0', "\u{fffd}"))
    };
    sqlx::query(include_str!("sql/insert_results.sql"))
        .bind(column(rows, |new| new.result))
        .bind(column(rows, |new| new.image))
        .bind(column(rows, |new| new.scope.gallery_profile))
        .bind(column(rows, |new| new.record.outcome.kind().as_str()))
        .bind(column(rows, reason))
        .bind(column(rows, |new| new.selection))
        .bind(column(rows, |new| new.record.job.stamp.as_ref().map(SourceStamp::as_str)))
        .bind(column(rows, |new| new.record.provider.as_str()))
        .bind(column(rows, |new| new.record.timings.fetch_ms))
        .bind(column(rows, |new| new.record.timings.vision_ms))
        .bind(column(rows, |new| new.record.timings.recognise_ms))
        .bind(column(rows, |new| i64::from(new.record.job.attempt)))
        .bind(column(rows, |new| new.record.job.id.0))
        .bind(column(rows, |new| new.noted))
        .bind(column(rows, |new| new.record.job.expected_hash.map(|hash| hash.0.to_vec())))
        .execute(connection)
        .await?;
    Ok(())
}

/// A face and the result it belongs to.
struct PostgresFace<'a> {
    result: &'a NewResult<'a>,
    index: i32,
    face: &'a FaceResult,
}

impl PostgresFace<'_> {
    fn recognised<T>(&self, value: impl Fn(&Recognition) -> T) -> Option<T> {
        self.face.recognition.as_ref().map(value)
    }
}

/// Inserts the faces of `rows`, with their templates.
pub(super) async fn faces(
    connection: &mut PgConnection,
    rows: &[NewResult<'_>],
) -> Result<(), Fault> {
    let faces = rows.iter().flat_map(|result| {
        let faces = (0..).zip(result.record.outcome.faces());
        faces.map(move |(index, face)| PostgresFace { result, index, face })
    });
    let faces: Vec<PostgresFace<'_>> = faces.collect();
    if faces.is_empty() {
        return Ok(());
    }
    let mut query = sqlx::query(include_str!("sql/insert_faces.sql"))
        .bind(column(&faces, |new| new.result.result))
        .bind(column(&faces, |new| new.index))
        .bind(column(&faces, |new| new.result.scope.gallery_profile))
        .bind(column(&faces, |new| new.face.face.bbox.x))
        .bind(column(&faces, |new| new.face.face.bbox.y))
        .bind(column(&faces, |new| new.face.face.bbox.width))
        .bind(column(&faces, |new| new.face.face.bbox.height))
        .bind(column(&faces, |new| new.face.face.landmarks.as_ref().map(landmark_bytes)))
        .bind(column(&faces, |new| new.face.face.detector_score))
        .bind(column(&faces, |new| new.recognised(|recognition| recognition.distance)))
        .bind(column(&faces, |new| new.recognised(|recognition| recognition.score)))
        .bind(column(&faces, |new| new.recognised(|recognition| i16::from(recognition.quality))))
        .bind(column(&faces, |new| new.recognised(|recognition| recognition.norm)));
    for component in Component::all() {
        query = query.bind(column(&faces, |new| new.face.components.get(component)));
    }
    query.execute(&mut *connection).await?;
    templates(connection, &faces).await
}

async fn templates(connection: &mut PgConnection, faces: &[PostgresFace<'_>]) -> Result<(), Fault> {
    let recognised = |new: &PostgresFace<'_>| new.face.recognition.is_some();
    let faces: Vec<&PostgresFace<'_>> = faces.iter().filter(|new| recognised(new)).collect();
    if faces.is_empty() {
        return Ok(());
    }
    let vector = |new: &&PostgresFace<'_>| {
        new.recognised(|recognition| HalfVector::from(Halves::from(&recognition.template)))
    };
    sqlx::query(include_str!("sql/insert_templates.sql"))
        .bind(column(&faces, |new| new.result.record.profile.as_str()))
        .bind(column(&faces, |new| new.result.result))
        .bind(column(&faces, |new| new.index))
        .bind(column(&faces, vector))
        .execute(connection)
        .await?;
    Ok(())
}
