//! Questions to the store. Several queries that make one answer share one transaction, and with it
//! one state of the database.

use sqlx::postgres::PgRow;
use sqlx::{PgConnection, PgPool, Postgres, Row, Transaction};
use uuid::Uuid;

use super::rows::{face, face_with_image, image, quality};
use super::{Extreme, GallerySummary, PageQuery, StoredFace, StoredImage};
use crate::domain::{
    GalleryName, ImageUri, OutcomeKind, Profile, ProfileId, Selection, SourceStamp,
};
use crate::store::columns::{attach_faces, counted, parsed};
use crate::store::fate::Scope;
use crate::store::fault::Fault;
use crate::store::{encoding, tally};

/// What a source is found by: 128 bits of the hash of its URI.
pub(super) fn uri_key(uri: &ImageUri) -> Uuid {
    let mut key = [0; 16];
    key.copy_from_slice(&blake3::hash(uri.as_str().as_bytes()).as_bytes()[..16]);
    Uuid::from_bytes(key)
}

/// A transaction that sees one state of the database.
pub(super) async fn snapshot(pool: &PgPool) -> Result<Transaction<'static, Postgres>, Fault> {
    Ok(pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?)
}

/// The ids of a gallery together with a profile; none if nothing was ever recorded to them.
async fn find_scope(
    connection: &mut PgConnection,
    gallery: &GalleryName,
    profile: &ProfileId,
) -> Result<Option<Scope>, Fault> {
    let row = sqlx::query(
        "SELECT g.id, gp.id FROM galleries g JOIN gallery_profiles gp ON gp.gallery_id = g.id \
            WHERE g.name = $1 AND gp.profile_id = $2",
    )
    .bind(gallery.as_str())
    .bind(profile.as_str())
    .fetch_optional(connection)
    .await?;
    row.map(|row| Ok(Scope { gallery: row.try_get(0)?, gallery_profile: row.try_get(1)? }))
        .transpose()
}

pub(super) async fn settled(
    pool: &PgPool,
    gallery: &GalleryName,
    profile: &ProfileId,
    selection: &Selection,
    images: &[(ImageUri, Option<SourceStamp>)],
) -> Result<Vec<bool>, Fault> {
    let mut connection = pool.acquire().await?;
    let Some(scope) = find_scope(&mut connection, gallery, profile).await? else {
        return Ok(vec![false; images.len()]);
    };
    let keys: Vec<Uuid> = images.iter().map(|(uri, _)| uri_key(uri)).collect();
    let stamps: Vec<Option<&str>> =
        images.iter().map(|(_, stamp)| stamp.as_ref().map(SourceStamp::as_str)).collect();
    let finals: Vec<&str> = OutcomeKind::ALL
        .into_iter()
        .filter(|kind| kind.is_final())
        .map(OutcomeKind::as_str)
        .collect();
    // An image whose bytes never came (no permission, a mount that was away) is worth another try,
    // whatever its stamp. No stamp equals no other, not even none.
    let places: Vec<i64> = sqlx::query_scalar(
        "SELECT k.place FROM unnest($3::uuid[], $4::text[]) WITH ORDINALITY k (uri_key, stamp, \
            place) \
         JOIN images i ON i.gallery_id = $1 AND i.uri_key = k.uri_key \
         JOIN results r ON r.image_id = i.id AND r.gallery_profile_id = $2 \
         WHERE i.content_hash <> ''::bytea AND NOT r.superseded AND r.selection = $5 AND r.stamp = \
         k.stamp AND r.outcome = ANY ($6::text[])",
    )
    .bind(scope.gallery)
    .bind(scope.gallery_profile)
    .bind(keys)
    .bind(stamps)
    .bind(encoding::selection_key(selection))
    .bind(finals)
    .fetch_all(&mut *connection)
    .await?;
    // Postgres counts from 1.
    Ok(tally::marked(
        images.len(),
        places.into_iter().filter_map(|place| usize::try_from(place - 1).ok()),
    ))
}

pub(super) async fn galleries(pool: &PgPool) -> Result<Vec<(GalleryName, Vec<ProfileId>)>, Fault> {
    // In order of code points, whatever the database's language.
    let rows = sqlx::query(
        "SELECT g.name, gp.profile_id FROM galleries g JOIN gallery_profiles gp ON gp.gallery_id = \
            g.id \
         ORDER BY g.name COLLATE \"C\", gp.touched DESC, gp.id DESC",
    )
    .fetch_all(pool)
    .await?;
    let rows = rows
        .iter()
        .map(|row| Ok((parsed(row, 0)?, parsed(row, 1)?)))
        .collect::<Result<Vec<_>, Fault>>()?;
    Ok(tally::galleries(rows))
}

pub(super) async fn profile(pool: &PgPool, id: &ProfileId) -> Result<Option<Profile>, Fault> {
    let definition: Option<String> =
        sqlx::query_scalar("SELECT definition FROM profiles WHERE id = $1")
            .bind(id.as_str())
            .fetch_optional(pool)
            .await?;
    Ok(definition.map(|definition| encoding::profile(id, &definition)).transpose()?)
}

pub(super) async fn summary(
    pool: &PgPool,
    gallery: &GalleryName,
    profile: &ProfileId,
) -> Result<GallerySummary, Fault> {
    let mut snapshot = snapshot(pool).await?;
    let Some(scope) = find_scope(&mut snapshot, gallery, profile).await? else {
        return Ok(tally::summary(Vec::new(), Vec::new(), Vec::new()));
    };
    // These two read every row of a gallery, so they must find all they need in an index.
    let images = sqlx::query(
        "SELECT outcome, provider, count(*) FROM results WHERE gallery_profile_id = $1 AND NOT \
            superseded GROUP BY outcome, provider",
    )
    .bind(scope.gallery_profile)
    .fetch_all(&mut *snapshot)
    .await?;
    let faces = sqlx::query(
        "SELECT quality, count(*) FROM faces WHERE gallery_profile_id = $1 AND NOT \
            superseded GROUP BY quality",
    )
    .bind(scope.gallery_profile)
    .fetch_all(&mut *snapshot)
    .await?;
    let reasons = sqlx::query(
        "SELECT outcome, reason, count(*) AS images FROM results \
         WHERE gallery_profile_id = $1 AND NOT superseded AND outcome = ANY ($2::text[]) AND \
         reason IS NOT NULL \
         GROUP BY outcome, reason ORDER BY images DESC, outcome, reason LIMIT $3",
    )
    .bind(scope.gallery_profile)
    .bind(tally::WITH_REASON.map(OutcomeKind::as_str).to_vec())
    .bind(tally::MOST_REASONS)
    .fetch_all(&mut *snapshot)
    .await?;
    let noted = sqlx::query("SELECT count(*) FROM results WHERE gallery_profile_id = $1 AND noted")
        .bind(scope.gallery_profile)
        .fetch_one(&mut *snapshot)
        .await?;
    snapshot.commit().await?;
    let with_text = |row: &PgRow| Ok((parsed(row, 0)?, row.try_get(1)?, counted(row, 2)?));
    let summary = tally::summary(
        images.iter().map(with_text).collect::<Result<_, Fault>>()?,
        faces
            .iter()
            .map(|row| Ok((quality(row, 0)?, counted(row, 1)?)))
            .collect::<Result<_, Fault>>()?,
        reasons.iter().map(with_text).collect::<Result<_, Fault>>()?,
    );
    Ok(GallerySummary { noted: counted(&noted, 0)?, ..summary })
}

pub(super) async fn extremes(
    pool: &PgPool,
    gallery: &GalleryName,
    profile: &ProfileId,
    end: Extreme,
    limit: u32,
) -> Result<Vec<StoredFace>, Fault> {
    let mut connection = pool.acquire().await?;
    let Some(scope) = find_scope(&mut connection, gallery, profile).await? else {
        return Ok(Vec::new());
    };
    let query = match end {
        Extreme::Worst => sqlx::query(
            "SELECT f.face_index, f.x, f.y, f.width, f.height, f.landmarks, f.detector_score, \
                f.distance, f.score, f.quality, f.norm, \
             NULL::halfvec, s.uri, i.content_hash \
             FROM faces f JOIN results r ON r.id = f.result_id JOIN images i ON i.id = r.image_id \
             JOIN sources s ON s.gallery_id = i.gallery_id AND s.uri_key = i.uri_key \
             WHERE f.gallery_profile_id = $1 AND NOT f.superseded AND f.score IS NOT NULL \
             ORDER BY f.score, f.quality, f.result_id, f.face_index LIMIT $2",
        ),
        Extreme::Best => sqlx::query(
            "SELECT f.face_index, f.x, f.y, f.width, f.height, f.landmarks, f.detector_score, \
                f.distance, f.score, f.quality, f.norm, \
             NULL::halfvec, s.uri, i.content_hash \
             FROM faces f JOIN results r ON r.id = f.result_id JOIN images i ON i.id = r.image_id \
             JOIN sources s ON s.gallery_id = i.gallery_id AND s.uri_key = i.uri_key \
             WHERE f.gallery_profile_id = $1 AND NOT f.superseded AND f.score IS NOT NULL \
             ORDER BY f.score DESC, f.quality DESC, f.result_id DESC, f.face_index DESC LIMIT $2",
        ),
    };
    let rows = query
        .bind(scope.gallery_profile)
        .bind(i64::from(limit))
        .fetch_all(&mut *connection)
        .await?;
    rows.iter().map(face_with_image).collect()
}

pub(super) async fn page(pool: &PgPool, query: &PageQuery) -> Result<Vec<StoredImage>, Fault> {
    let mut snapshot = snapshot(pool).await?;
    let Some(scope) = find_scope(&mut snapshot, &query.gallery, &query.profile).await? else {
        return Ok(Vec::new());
    };
    let ids = page_ids(&mut snapshot, scope, query).await?;
    let rows = sqlx::query(
        "SELECT r.id, s.uri, i.content_hash, i.bytes, i.width, i.height, r.outcome, r.reason, \
            r.provider, r.fetch_ms, r.vision_ms, \
         r.recognise_ms, floor(extract(epoch FROM r.recorded_at) * 1000)::bigint, i.subject, \
         n.outcome, n.reason, \
         floor(extract(epoch FROM n.recorded_at) * 1000)::bigint \
         FROM unnest($1::bigint[]) WITH ORDINALITY k (id, place) JOIN results r ON r.id = k.id \
         JOIN images i ON i.id = r.image_id \
         JOIN sources s ON s.gallery_id = i.gallery_id AND s.uri_key = i.uri_key \
         LEFT JOIN images ni ON ni.gallery_id = i.gallery_id AND ni.uri_key = i.uri_key AND \
         ni.content_hash = '' \
         LEFT JOIN results n ON n.image_id = ni.id AND n.gallery_profile_id = r.gallery_profile_id \
         AND n.noted \
         ORDER BY k.place",
    )
    .bind(&ids)
    .fetch_all(&mut *snapshot)
    .await?;
    let mut images = rows.iter().map(image).collect::<Result<Vec<_>, _>>()?;
    // Who may not read templates may read the rest.
    let faces = if query.templates {
        sqlx::query(
            "SELECT f.face_index, f.x, f.y, f.width, f.height, f.landmarks, f.detector_score, \
                f.distance, f.score, f.quality, f.norm, \
             t.vector, f.result_id \
             FROM unnest($1::bigint[]) WITH ORDINALITY k (id, place) JOIN faces f ON f.result_id = \
             k.id \
             LEFT JOIN templates t ON t.profile_id = $2 AND t.result_id = f.result_id AND \
             t.face_index = f.face_index \
             ORDER BY k.place, f.face_index",
        )
        .bind(&ids)
        .bind(query.profile.as_str())
    } else {
        sqlx::query(
            "SELECT f.face_index, f.x, f.y, f.width, f.height, f.landmarks, f.detector_score, \
                f.distance, f.score, f.quality, f.norm, \
             NULL::halfvec, f.result_id \
             FROM unnest($1::bigint[]) WITH ORDINALITY k (id, place) JOIN faces f ON f.result_id = \
             k.id \
             ORDER BY k.place, f.face_index",
        )
        .bind(&ids)
    };
    let faces = faces.fetch_all(&mut *snapshot).await?;
    snapshot.commit().await?;
    attach_faces(&mut images, &faces, face)?;
    Ok(images)
}

/// The results of a page. Each outcome is a range of the index in the order of pages: reading the
/// start of each and merging them finds the few failures among millions of scores as fast as the
/// scores.
async fn page_ids(
    connection: &mut PgConnection,
    scope: Scope,
    query: &PageQuery,
) -> Result<Vec<i64>, Fault> {
    let wanted = OutcomeKind::ALL
        .into_iter()
        .filter(|kind| query.outcomes.is_empty() || query.outcomes.contains(kind));
    let ids = sqlx::query_scalar(
        "SELECT r.id FROM unnest($2::text[]) k (outcome) CROSS JOIN LATERAL (\
             SELECT id FROM results WHERE gallery_profile_id = $1 AND NOT superseded AND outcome = \
             k.outcome AND id > $3 \
             ORDER BY id LIMIT $4) r \
         ORDER BY r.id LIMIT $4",
    )
    .bind(scope.gallery_profile)
    .bind(wanted.map(OutcomeKind::as_str).collect::<Vec<_>>())
    .bind(query.after)
    .bind(i64::from(query.limit))
    .fetch_all(connection)
    .await?;
    Ok(ids)
}
