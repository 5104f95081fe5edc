//! Questions to the store. Several queries that make one answer share one transaction, and with it
//! one state of the file.

use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection, SqlitePool};

use super::rows::{face, face_with_image, image};
use super::write::id_list;
use super::{Extreme, GallerySummary, PageQuery, StoreError, StoredFace, StoredImage};
use crate::domain::{
    GalleryName, ImageUri, OutcomeKind, Profile, ProfileId, Selection, SourceStamp,
};
use crate::store::columns::{attach_faces, counted, parsed};
use crate::store::fault::Fault;
use crate::store::{encoding, tally};

/// These two read every row of a gallery, so they must find all they need in an index.
const COUNT_IMAGES: &str = "SELECT outcome, provider, count(*) FROM results WHERE \
    gallery_profile_id = ?1 AND superseded = 0 GROUP BY outcome, provider";
const COUNT_FACES: &str = "SELECT quality, count(*) FROM faces WHERE gallery_profile_id = ?1 AND \
    superseded = 0 GROUP BY quality";

/// The id of a gallery together with a profile; none if nothing was ever recorded to them.
async fn find_scope(
    connection: &mut SqliteConnection,
    gallery: &GalleryName,
    profile: &ProfileId,
) -> Result<Option<i64>, Fault> {
    let id = sqlx::query_scalar(
        "SELECT gp.id FROM galleries g JOIN gallery_profiles gp ON gp.gallery_id = g.id WHERE \
            g.name = ?1 AND gp.profile_id = ?2",
    )
    .bind(gallery.as_str())
    .bind(profile.as_str())
    .fetch_optional(connection)
    .await?;
    Ok(id)
}

pub(super) async fn settled(
    pool: &SqlitePool,
    gallery: &GalleryName,
    profile: &ProfileId,
    selection: &Selection,
    images: &[(ImageUri, Option<SourceStamp>)],
) -> Result<Vec<bool>, Fault> {
    let listed: serde_json::Value = images
        .iter()
        .map(|(uri, stamp)| {
            serde_json::json!([uri.as_str(), stamp.as_ref().map(SourceStamp::as_str)])
        })
        .collect();
    let finals: serde_json::Value = OutcomeKind::ALL
        .into_iter()
        .filter(|kind| kind.is_final())
        .map(OutcomeKind::as_str)
        .collect();
    let mut connection = pool.acquire().await?;
    let Some(scope) = find_scope(&mut connection, gallery, profile).await? else {
        return Ok(vec![false; images.len()]);
    };
    // An image whose bytes never came (no permission, a mount that was away) is worth another try,
    // whatever its stamp. One row with all the places: a scan that resumes asks for thousands, and
    // each row costs a hand-over between threads. No stamp equals no other, not even none.
    let places: String = sqlx::query_scalar(
        "SELECT json_group_array(k.key) \
         FROM gallery_profiles gp \
         CROSS JOIN json_each(?1) k \
         CROSS JOIN images i ON i.gallery_id = gp.gallery_id AND i.uri = k.value ->> 0 \
         CROSS JOIN results r ON r.image_id = i.id AND r.gallery_profile_id = gp.id \
         WHERE gp.id = ?2 AND length(i.content_hash) > 0 AND r.superseded = 0 AND r.selection = ?3 \
         AND r.stamp = k.value ->> 1 \
         AND r.outcome IN (SELECT value FROM json_each(?4))",
    )
    .bind(listed.to_string())
    .bind(scope)
    .bind(encoding::selection_key(selection))
    .bind(finals.to_string())
    .fetch_one(&mut *connection)
    .await?;
    let places: Vec<usize> =
        serde_json::from_str(&places).map_err(|error| StoreError::Corrupt(error.to_string()))?;
    Ok(tally::marked(images.len(), places))
}

pub(super) async fn galleries(
    pool: &SqlitePool,
) -> Result<Vec<(GalleryName, Vec<ProfileId>)>, Fault> {
    let rows = sqlx::query(
        "SELECT g.name, gp.profile_id FROM galleries g JOIN gallery_profiles gp ON gp.gallery_id = \
            g.id ORDER BY g.name, gp.touched DESC",
    )
    .fetch_all(pool)
    .await?;
    let rows = rows
        .iter()
        .map(|row| Ok((parsed(row, 0)?, parsed(row, 1)?)))
        .collect::<Result<Vec<_>, Fault>>()?;
    Ok(tally::galleries(rows))
}

pub(super) async fn profile(pool: &SqlitePool, id: &ProfileId) -> Result<Option<Profile>, Fault> {
    let definition: Option<String> =
        sqlx::query_scalar("SELECT definition FROM profiles WHERE id = ?1")
            .bind(id.as_str())
            .fetch_optional(pool)
            .await?;
    Ok(definition.map(|definition| encoding::profile(id, &definition)).transpose()?)
}

pub(super) async fn summary(
    pool: &SqlitePool,
    gallery: &GalleryName,
    profile: &ProfileId,
) -> Result<GallerySummary, Fault> {
    let mut snapshot = pool.begin().await?;
    let Some(scope) = find_scope(&mut snapshot, gallery, profile).await? else {
        return Ok(tally::summary(Vec::new(), Vec::new(), Vec::new()));
    };
    let images = sqlx::query(COUNT_IMAGES).bind(scope).fetch_all(&mut *snapshot).await?;
    let faces = sqlx::query(COUNT_FACES).bind(scope).fetch_all(&mut *snapshot).await?;
    // Only these outcomes have reasons; the index leads past the many that have none.
    let reasons = sqlx::query(
        "SELECT outcome, reason, count(*) AS images FROM results \
         WHERE gallery_profile_id = ?1 AND superseded = 0 AND outcome IN (SELECT value FROM \
         json_each(?2)) AND reason IS NOT NULL \
         GROUP BY outcome, reason ORDER BY images DESC, outcome, reason LIMIT ?3",
    )
    .bind(scope)
    .bind(serde_json::json!(tally::WITH_REASON).to_string())
    .bind(tally::MOST_REASONS)
    .fetch_all(&mut *snapshot)
    .await?;
    let noted =
        sqlx::query("SELECT count(*) FROM results WHERE gallery_profile_id = ?1 AND noted = 1")
            .bind(scope)
            .fetch_one(&mut *snapshot)
            .await?;
    let with_text = |row: &SqliteRow| Ok((parsed(row, 0)?, row.try_get(1)?, counted(row, 2)?));
    let summary = tally::summary(
        images.iter().map(with_text).collect::<Result<_, Fault>>()?,
        faces
            .iter()
            .map(|row| Ok((row.try_get(0)?, counted(row, 1)?)))
            .collect::<Result<_, Fault>>()?,
        reasons.iter().map(with_text).collect::<Result<_, Fault>>()?,
    );
    Ok(GallerySummary { noted: counted(&noted, 0)?, ..summary })
}

pub(super) async fn extremes(
    pool: &SqlitePool,
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
             NULL, i.uri, i.content_hash \
             FROM faces f JOIN results r ON r.id = f.result_id JOIN images i ON i.id = r.image_id \
             WHERE f.gallery_profile_id = ?1 AND f.superseded = 0 AND f.score IS NOT NULL \
             ORDER BY f.score, f.quality, f.id LIMIT ?2",
        ),
        Extreme::Best => sqlx::query(
            "SELECT f.face_index, f.x, f.y, f.width, f.height, f.landmarks, f.detector_score, \
                f.distance, f.score, f.quality, f.norm, \
             NULL, i.uri, i.content_hash \
             FROM faces f JOIN results r ON r.id = f.result_id JOIN images i ON i.id = r.image_id \
             WHERE f.gallery_profile_id = ?1 AND f.superseded = 0 AND f.score IS NOT NULL \
             ORDER BY f.score DESC, f.quality DESC, f.id DESC LIMIT ?2",
        ),
    };
    let rows = query.bind(scope).bind(limit).fetch_all(&mut *connection).await?;
    rows.iter().map(face_with_image).collect()
}

pub(super) async fn page(pool: &SqlitePool, query: &PageQuery) -> Result<Vec<StoredImage>, Fault> {
    let mut snapshot = pool.begin().await?;
    let Some(scope) = find_scope(&mut snapshot, &query.gallery, &query.profile).await? else {
        return Ok(Vec::new());
    };
    let ids = id_list(&page_ids(&mut snapshot, scope, query).await?);
    let rows = sqlx::query(
        "SELECT r.id, i.uri, i.content_hash, i.bytes, i.width, i.height, r.outcome, r.reason, \
            r.provider, r.fetch_ms, r.vision_ms, \
         r.recognise_ms, r.recorded_at_ms, i.subject, n.outcome, n.reason, n.recorded_at_ms \
         FROM json_each(?1) k CROSS JOIN results r ON r.id = k.value CROSS JOIN images i ON i.id = \
         r.image_id \
         LEFT JOIN images ni ON ni.gallery_id = i.gallery_id AND ni.uri = i.uri AND \
         ni.content_hash = x'' \
         LEFT JOIN results n ON n.image_id = ni.id AND n.gallery_profile_id = r.gallery_profile_id \
         AND n.noted = 1 \
         ORDER BY k.key",
    )
    .bind(&ids)
    .fetch_all(&mut *snapshot)
    .await?;
    let mut images = rows.iter().map(image).collect::<Result<Vec<_>, _>>()?;
    let faces = sqlx::query(
        "SELECT f.face_index, f.x, f.y, f.width, f.height, f.landmarks, f.detector_score, \
            f.distance, f.score, f.quality, f.norm, \
         t.vector, f.result_id \
         FROM json_each(?1) k CROSS JOIN faces f ON f.result_id = k.value \
         LEFT JOIN templates t ON t.face_id = CASE WHEN ?2 THEN f.id END ORDER BY k.key, \
         f.face_index",
    )
    .bind(&ids)
    .bind(query.templates)
    .fetch_all(&mut *snapshot)
    .await?;
    attach_faces(&mut images, &faces, face)?;
    Ok(images)
}

/// The results of a page. Each outcome is a range of the index in the order of pages: reading the
/// start of each and merging them finds the few failures among millions of scores as fast as the
/// scores.
async fn page_ids(
    connection: &mut SqliteConnection,
    scope: i64,
    query: &PageQuery,
) -> Result<Vec<i64>, Fault> {
    let mut ids: Vec<i64> = Vec::new();
    for outcome in OutcomeKind::ALL {
        if query.outcomes.is_empty() || query.outcomes.contains(&outcome) {
            let found = sqlx::query_scalar(
                "SELECT id FROM results WHERE gallery_profile_id = ?1 AND superseded = 0 AND \
                    outcome = ?2 AND id > ?3 \
                 ORDER BY id LIMIT ?4",
            )
            .bind(scope)
            .bind(outcome.as_str())
            .bind(query.after)
            .bind(query.limit)
            .fetch_all(&mut *connection)
            .await?;
            ids.extend::<Vec<i64>>(found);
        }
    }
    ids.sort_unstable();
    ids.truncate(usize::try_from(query.limit).unwrap_or(usize::MAX));
    Ok(ids)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::sqlite::SqliteStore;

    #[tokio::test]
    async fn summaries_read_indexes_alone() {
        let store = SqliteStore::open("sqlite::memory:").await.unwrap();
        for query in [COUNT_IMAGES, COUNT_FACES] {
            let explain = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {query}"));
            let plan = sqlx::query(explain).bind(1_i64).fetch_all(&store.readers).await.unwrap();
            let plan: Vec<String> = plan.iter().map(|step| step.get("detail")).collect();
            assert!(plan[0].contains("USING COVERING INDEX"), "{plan:?}");
        }
    }
}
