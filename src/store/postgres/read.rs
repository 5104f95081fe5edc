//! Questions to the store. Several queries that make one answer share one snapshot.

use std::collections::HashMap;

use sqlx::{PgConnection, PgPool, Postgres, Row, Transaction};

use super::fault::Fault;
use super::insert::uri_key;
use super::rows::{attach_faces, counted, face_with_image, image, parsed};
use super::{Extreme, PageQuery, StoreError, StoredFace, StoredImage, Summary};
use crate::domain::{GalleryName, ImageUri, OutcomeKind, Profile, ProfileId, Selection, SourceStamp};
use crate::store::selection_key;

/// Reasons in a summary.
const MOST_REASONS: i64 = 20;

pub(super) async fn ping(pool: &PgPool) -> Result<(), Fault> {
    sqlx::query("SELECT 1").execute(pool).await?;
    Ok(())
}

async fn snapshot(pool: &PgPool) -> Result<Transaction<'static, Postgres>, Fault> {
    Ok(pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?)
}

/// The id of a gallery together with a profile; none if nothing was ever recorded to them.
async fn find_scope(connection: &mut PgConnection, gallery: &GalleryName, profile: &ProfileId) -> Result<Option<i64>, Fault> {
    let id = sqlx::query_scalar(
        "SELECT gp.id FROM galleries g JOIN gallery_profiles gp ON gp.gallery_id = g.id WHERE g.name = $1 AND gp.profile_id = $2",
    )
    .bind(gallery.as_str())
    .bind(profile.as_str())
    .fetch_optional(connection)
    .await?;
    Ok(id)
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
    let keys: Vec<Vec<u8>> = images.iter().map(|(uri, _)| uri_key(uri)).collect();
    let stamps: Vec<Option<&str>> = images.iter().map(|(_, stamp)| stamp.as_ref().map(|stamp| stamp.0.as_str())).collect();
    let finals: Vec<&str> = OutcomeKind::ALL.into_iter().filter(|kind| kind.is_final()).map(OutcomeKind::as_str).collect();
    // No stamp equals no other, not even none.
    let places: Vec<i64> = sqlx::query_scalar(
        "SELECT k.place FROM unnest($1::bytea[], $2::text[]) WITH ORDINALITY AS k (uri_key, stamp, place) \
         JOIN results r ON r.gallery_profile_id = $3 AND r.uri_key = k.uri_key AND NOT r.superseded \
         WHERE r.selection = $4 AND r.stamp = k.stamp AND r.outcome = ANY ($5)",
    )
    .bind(keys)
    .bind(stamps)
    .bind(scope)
    .bind(selection_key(selection))
    .bind(finals)
    .fetch_all(&mut *connection)
    .await?;
    let mut settled = vec![false; images.len()];
    for place in places {
        if let Some(settled) = usize::try_from(place - 1).ok().and_then(|place| settled.get_mut(place)) {
            *settled = true;
        }
    }
    Ok(settled)
}

pub(super) async fn galleries(pool: &PgPool) -> Result<Vec<(GalleryName, Vec<ProfileId>)>, Fault> {
    let rows = sqlx::query(
        "SELECT g.name, gp.profile_id FROM galleries g JOIN gallery_profiles gp ON gp.gallery_id = g.id \
         ORDER BY g.name COLLATE \"C\", gp.touched DESC, gp.id DESC",
    )
    .fetch_all(pool)
    .await?;
    let mut galleries: Vec<(GalleryName, Vec<ProfileId>)> = Vec::new();
    for row in rows {
        let (name, profile): (GalleryName, ProfileId) = (parsed(&row, 0)?, parsed(&row, 1)?);
        match galleries.last_mut().filter(|(last, _)| *last == name) {
            Some((_, profiles)) => profiles.push(profile),
            None => galleries.push((name, vec![profile])),
        }
    }
    Ok(galleries)
}

pub(super) async fn profile(pool: &PgPool, id: &ProfileId) -> Result<Option<Profile>, Fault> {
    let definition: Option<String> =
        sqlx::query_scalar("SELECT definition FROM profiles WHERE id = $1").bind(id.as_str()).fetch_optional(pool).await?;
    let unreadable = |reason: String| StoreError::Corrupt(format!("profile {id}: {reason}"));
    let Some(definition) = definition else { return Ok(None) };
    let profile: Profile = serde_json::from_str(&definition).map_err(|error| unreadable(error.to_string()))?;
    if profile.id() != *id {
        return Err(unreadable("its definition has another id".to_owned()).into());
    }
    Ok(Some(profile))
}

pub(super) async fn summary(pool: &PgPool, gallery: &GalleryName, profile: &ProfileId) -> Result<Summary, Fault> {
    let mut summary = Summary { histogram: vec![0; 101], ..Summary::default() };
    let mut snapshot = snapshot(pool).await?;
    let Some(scope) = find_scope(&mut snapshot, gallery, profile).await? else {
        return Ok(summary);
    };
    let rows = sqlx::query(
        "SELECT outcome, provider, count(*) FROM results WHERE gallery_profile_id = $1 AND NOT superseded GROUP BY outcome, provider",
    )
    .bind(scope)
    .fetch_all(&mut *snapshot)
    .await?;
    let (mut outcomes, mut providers) = (HashMap::new(), HashMap::new());
    for row in rows {
        let (outcome, images): (OutcomeKind, u64) = (parsed(&row, 0)?, counted(&row, 2)?);
        *outcomes.entry(outcome).or_insert(0) += images;
        *providers.entry(row.try_get::<String, _>(1)?).or_insert(0) += images;
    }
    summary.outcomes = OutcomeKind::ALL.into_iter().filter_map(|kind| Some((kind, *outcomes.get(&kind)?))).collect();
    summary.providers = providers.into_iter().collect();
    summary.providers.sort_by(|(a, more), (b, less)| less.cmp(more).then_with(|| a.cmp(b)));

    let rows =
        sqlx::query("SELECT quality, count(*) FROM faces WHERE gallery_profile_id = $1 AND NOT superseded GROUP BY quality")
            .bind(scope)
            .fetch_all(&mut *snapshot)
            .await?;
    for row in rows {
        let faces: u64 = counted(&row, 1)?;
        summary.faces += faces;
        let quality = row.try_get::<Option<i16>, _>(0)?.and_then(|quality| usize::try_from(quality).ok());
        if let Some(place) = quality.and_then(|quality| summary.histogram.get_mut(quality)) {
            *place = faces;
        }
    }

    // Only these outcomes have reasons; the index leads past the many that have none.
    let rows = sqlx::query(
        "SELECT outcome, reason, count(*) AS images FROM results \
         WHERE gallery_profile_id = $1 AND NOT superseded AND outcome = ANY ($2) AND reason IS NOT NULL \
         GROUP BY outcome, reason ORDER BY images DESC, outcome COLLATE \"C\", reason COLLATE \"C\" LIMIT $3",
    )
    .bind(scope)
    .bind([OutcomeKind::Unreadable, OutcomeKind::Refused, OutcomeKind::Failed].map(OutcomeKind::as_str))
    .bind(MOST_REASONS)
    .fetch_all(&mut *snapshot)
    .await?;
    for row in rows {
        summary.reasons.push((parsed(&row, 0)?, row.try_get(1)?, counted(&row, 2)?));
    }
    Ok(summary)
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
            "SELECT f.face_index, f.x, f.y, f.width, f.height, f.landmarks, f.detector_score, f.distance, f.score, f.quality, f.norm, \
             NULL::halfvec, i.uri, i.content_hash \
             FROM faces f JOIN results r ON r.id = f.result_id JOIN images i ON i.id = r.image_id \
             WHERE f.gallery_profile_id = $1 AND NOT f.superseded AND f.score IS NOT NULL \
             ORDER BY f.score, f.quality, f.id LIMIT $2",
        ),
        Extreme::Best => sqlx::query(
            "SELECT f.face_index, f.x, f.y, f.width, f.height, f.landmarks, f.detector_score, f.distance, f.score, f.quality, f.norm, \
             NULL::halfvec, i.uri, i.content_hash \
             FROM faces f JOIN results r ON r.id = f.result_id JOIN images i ON i.id = r.image_id \
             WHERE f.gallery_profile_id = $1 AND NOT f.superseded AND f.score IS NOT NULL \
             ORDER BY f.score DESC, f.quality DESC, f.id DESC LIMIT $2",
        ),
    };
    let rows = query.bind(scope).bind(i64::from(limit)).fetch_all(&mut *connection).await?;
    rows.iter().map(face_with_image).collect()
}

pub(super) async fn page(pool: &PgPool, query: &PageQuery) -> Result<Vec<StoredImage>, Fault> {
    let mut snapshot = snapshot(pool).await?;
    let Some(scope) = find_scope(&mut snapshot, &query.gallery, &query.profile).await? else {
        return Ok(Vec::new());
    };
    let ids = page_ids(&mut snapshot, scope, query).await?;
    let rows = sqlx::query(
        "SELECT r.id, i.uri, i.content_hash, i.bytes, i.width, i.height, r.outcome, r.reason, r.provider, r.fetch_ms, r.vision_ms, \
         r.recognise_ms, (extract(epoch FROM r.recorded_at) * 1000)::bigint, i.subject \
         FROM results r JOIN images i ON i.id = r.image_id WHERE r.id = ANY ($1) ORDER BY r.id",
    )
    .bind(&ids)
    .fetch_all(&mut *snapshot)
    .await?;
    let mut images = rows.iter().map(image).collect::<Result<Vec<_>, _>>()?;
    let faces = sqlx::query(
        "SELECT f.face_index, f.x, f.y, f.width, f.height, f.landmarks, f.detector_score, f.distance, f.score, f.quality, f.norm, \
         t.vector, f.result_id \
         FROM faces f LEFT JOIN templates t ON $2 AND t.profile_id = $3 AND t.face_id = f.id \
         WHERE f.result_id = ANY ($1) ORDER BY f.result_id, f.face_index",
    )
    .bind(&ids)
    .bind(query.templates)
    .bind(query.profile.as_str())
    .fetch_all(&mut *snapshot)
    .await?;
    attach_faces(&mut images, &faces)?;
    Ok(images)
}

/// The results of a page. Each outcome is a range of the index in the order of pages: reading the start of each and merging them
/// finds the few failures among millions of scores as fast as the scores.
async fn page_ids(connection: &mut PgConnection, scope: i64, query: &PageQuery) -> Result<Vec<i64>, Fault> {
    let mut ids: Vec<i64> = Vec::new();
    for outcome in OutcomeKind::ALL {
        if query.outcomes.is_empty() || query.outcomes.contains(&outcome) {
            let found: Vec<i64> = sqlx::query_scalar(
                "SELECT id FROM results WHERE gallery_profile_id = $1 AND NOT superseded AND outcome = $2 AND id > $3 ORDER BY id LIMIT $4",
            )
            .bind(scope)
            .bind(outcome.as_str())
            .bind(query.after)
            .bind(i64::from(query.limit))
            .fetch_all(&mut *connection)
            .await?;
            ids.extend(found);
        }
    }
    ids.sort_unstable();
    ids.truncate(usize::try_from(query.limit).unwrap_or(usize::MAX));
    Ok(ids)
}
