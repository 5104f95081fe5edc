//! Reading what was recorded. Queries that make one answer together share one transaction, and with
//! it one state of the file.

use async_trait::async_trait;
use sqlx::{Sqlite, SqliteConnection, Transaction};

use super::{SqliteStore, json};
use crate::domain::{GalleryName, ImageUri, OutcomeKind, Profile, ProfileId};
use crate::store::fault::Fault;
use crate::store::filter::shown;
use crate::store::plan::Scope;
use crate::store::rows::{FaceOfImageRow, GalleryRow, HistoryRow, ScopeRow, history, images};
use crate::store::summary::{self, MOST_REASONS, SummaryRows, WITH_REASON};
use crate::store::{
    Extreme, GallerySummary, ImageKey, KnownResult, MOST_RESULTS, PageQuery, Reading, Snapshot,
    StoreError, StoredFace, StoredImage, encoding,
};

const COUNT_IMAGES: &str = include_str!("sql/count_images.sql");
const COUNT_FACES: &str = include_str!("sql/count_faces.sql");

/// The id of a gallery together with a profile; None if nothing was ever recorded to them.
async fn find_scope(
    connection: &mut SqliteConnection,
    gallery: &GalleryName,
    profile: &ProfileId,
) -> Result<Option<i64>, Fault> {
    let names = json([serde_json::json!([gallery.as_str(), profile.as_str()])]);
    let row: Option<ScopeRow> = sqlx::query_as(include_str!("sql/find_scopes.sql"))
        .bind(names)
        .fetch_optional(connection)
        .await?;
    Ok(row.map(|row| Scope::from(row).gallery_profile))
}

#[async_trait]
impl Reading for SqliteStore {
    async fn galleries(&self) -> Result<Vec<(GalleryName, Vec<ProfileId>)>, StoreError> {
        self.answer(async {
            let rows: Vec<GalleryRow> =
                sqlx::query_as(include_str!("sql/galleries.sql")).fetch_all(&self.readers).await?;
            summary::galleries(&rows)
        })
        .await
    }

    async fn profile(&self, id: &ProfileId) -> Result<Option<Profile>, StoreError> {
        self.answer(async {
            let definition: Option<String> =
                sqlx::query_scalar("SELECT definition FROM profiles WHERE id = ?1")
                    .bind(id.as_str())
                    .fetch_optional(&self.readers)
                    .await?;
            Ok(definition.map(|definition| encoding::profile(id, &definition)).transpose()?)
        })
        .await
    }

    async fn summary(
        &self,
        gallery: &GalleryName,
        profile: &ProfileId,
    ) -> Result<GallerySummary, StoreError> {
        self.answer(async {
            let mut snapshot = self.readers.begin().await?;
            let Some(scope) = find_scope(&mut snapshot, gallery, profile).await? else {
                return summary::summary(SummaryRows::default());
            };
            let outcomes =
                sqlx::query_as(COUNT_IMAGES).bind(scope).fetch_all(&mut *snapshot).await?;
            let qualities =
                sqlx::query_as(COUNT_FACES).bind(scope).fetch_all(&mut *snapshot).await?;
            let reasons = sqlx::query_as(include_str!("sql/count_reasons.sql"))
                .bind(scope)
                .bind(json(WITH_REASON.map(OutcomeKind::as_str)))
                .bind(MOST_REASONS)
                .fetch_all(&mut *snapshot)
                .await?;
            let noted = sqlx::query_as(include_str!("sql/count_notes.sql"))
                .bind(scope)
                .fetch_one(&mut *snapshot)
                .await?;
            summary::summary(SummaryRows { outcomes, qualities, reasons, noted })
        })
        .await
    }

    async fn extremes(
        &self,
        gallery: &GalleryName,
        profile: &ProfileId,
        end: Extreme,
        limit: u32,
    ) -> Result<Vec<StoredFace>, StoreError> {
        self.answer(async {
            let mut connection = self.readers.acquire().await?;
            let Some(scope) = find_scope(&mut connection, gallery, profile).await? else {
                return Ok(Vec::new());
            };
            let query = match end {
                Extreme::Worst => include_str!("sql/worst_faces.sql"),
                Extreme::Best => include_str!("sql/best_faces.sql"),
            };
            let rows: Vec<FaceOfImageRow> =
                sqlx::query_as(query).bind(scope).bind(limit).fetch_all(&mut *connection).await?;
            rows.into_iter().map(FaceOfImageRow::face).collect()
        })
        .await
    }

    async fn snapshot(&self) -> Result<Box<dyn Snapshot + '_>, StoreError> {
        self.answer(async {
            let transaction = self.readers.begin().await?;
            Ok(Box::new(SqliteSnapshot { store: self, transaction }) as Box<dyn Snapshot>)
        })
        .await
    }

    async fn history(
        &self,
        image: &ImageKey,
        gallery: Option<&GalleryName>,
    ) -> Result<Vec<KnownResult>, StoreError> {
        self.answer(async {
            let mut snapshot = self.readers.begin().await?;
            let uris = uris_of(&mut snapshot, image).await?;
            let rows: Vec<HistoryRow> = sqlx::query_as(include_str!("sql/history.sql"))
                .bind(json(uris))
                .bind(gallery.map(GalleryName::as_str))
                .bind(MOST_RESULTS)
                .fetch_all(&mut *snapshot)
                .await?;
            let ids: Vec<i64> = rows.iter().map(HistoryRow::id).collect();
            let images = images_of(&mut snapshot, ids, false).await?;
            history(rows, images)
        })
        .await
    }
}

/// The state of the file when it is first read.
struct SqliteSnapshot<'a> {
    store: &'a SqliteStore,
    transaction: Transaction<'static, Sqlite>,
}

#[async_trait]
impl Snapshot for SqliteSnapshot<'_> {
    async fn page(&mut self, query: &PageQuery) -> Result<Vec<StoredImage>, StoreError> {
        let snapshot = &mut *self.transaction;
        self.store
            .answer(async {
                let scope = find_scope(snapshot, &query.gallery, &query.profile).await?;
                let Some(scope) = scope else { return Ok(Vec::new()) };
                let ids = page_ids(snapshot, scope, query).await?;
                images_of(snapshot, ids, query.templates).await
            })
            .await
    }
}

/// The images with these results, and their faces.
async fn images_of(
    connection: &mut SqliteConnection,
    results: Vec<i64>,
    templates: bool,
) -> Result<Vec<StoredImage>, Fault> {
    let results = json(results);
    let found = sqlx::query_as(include_str!("sql/images.sql"))
        .bind(&results)
        .fetch_all(&mut *connection)
        .await?;
    let faces = match templates {
        true => include_str!("sql/faces_with_templates.sql"),
        false => include_str!("sql/faces.sql"),
    };
    images(found, sqlx::query_as(faces).bind(&results).fetch_all(connection).await?)
}

/// The URIs of an image; none if its id is unknown.
async fn uris_of(
    connection: &mut SqliteConnection,
    image: &ImageKey,
) -> Result<Vec<String>, Fault> {
    match image {
        ImageKey::Uris(uris) => with_queries(connection, uris).await,
        ImageKey::Id(id) => Ok(sqlx::query_scalar("SELECT uri FROM images WHERE id = ?1")
            .bind(id.0)
            .fetch_all(connection)
            .await?),
    }
}

/// `uris`, and the stored ones that are shown as they are.
async fn with_queries(
    connection: &mut SqliteConnection,
    uris: &[ImageUri],
) -> Result<Vec<String>, Fault> {
    let mut found: Vec<String> = sqlx::query_scalar(include_str!("sql/uris_with_query.sql"))
        .bind(json(shown(uris)))
        .bind(MOST_RESULTS)
        .fetch_all(connection)
        .await?;
    found.extend(uris.iter().map(|uri| uri.as_str().to_owned()));
    Ok(found)
}

/// The results of a page. Each outcome is a range of the index, in the order of pages. Reading the
/// start of each range and merging them finds a few failures among millions of scored images as
/// fast as the scored ones.
async fn page_ids(
    connection: &mut SqliteConnection,
    scope: i64,
    query: &PageQuery,
) -> Result<Vec<i64>, Fault> {
    let filter = &query.filter;
    let sql = match &filter.images {
        Some(_) => include_str!("sql/page_ids_of_images.sql"),
        None if filter.is_empty() => include_str!("sql/page_ids.sql"),
        None => include_str!("sql/page_ids_filtered.sql"),
    };
    let images = match &filter.images {
        Some(images) => Some(json(with_queries(connection, images).await?)),
        None => None,
    };
    let mut ids: Vec<i64> = Vec::new();
    for outcome in OutcomeKind::ALL {
        if query.outcomes.is_empty() || query.outcomes.contains(&outcome) {
            let mut found = sqlx::query_scalar(sql)
                .bind(scope)
                .bind(outcome.as_str())
                .bind(query.after)
                .bind(query.limit);
            if !filter.is_empty() {
                let (low, high) = filter.quality_bounds();
                found = found.bind(filter.since_ms()).bind(low).bind(high);
            }
            if let Some(images) = &images {
                found = found.bind(images);
            }
            let found: Vec<i64> = found.fetch_all(&mut *connection).await?;
            ids.extend(found);
            if query.notes {
                ids.extend(note_ids(connection, scope, outcome, query).await?);
            }
        }
    }
    ids.sort_unstable();
    ids.truncate(usize::try_from(query.limit).unwrap_or(usize::MAX));
    Ok(ids)
}

/// The notes of a page with an outcome.
async fn note_ids(
    connection: &mut SqliteConnection,
    scope: i64,
    outcome: OutcomeKind,
    query: &PageQuery,
) -> Result<Vec<i64>, Fault> {
    Ok(sqlx::query_scalar(include_str!("sql/page_ids_of_notes.sql"))
        .bind(scope)
        .bind(outcome.as_str())
        .bind(query.after)
        .bind(query.limit)
        .bind(query.filter.since_ms())
        .fetch_all(connection)
        .await?)
}

#[cfg(test)]
mod tests {
    use sqlx::Row;

    use super::*;

    /// The steps by which `query` is answered.
    async fn plan(query: &str) -> Vec<String> {
        let store = SqliteStore::open("sqlite::memory:").await.unwrap();
        // What is not bound is null.
        let explain = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {query}"));
        let plan = sqlx::query(explain).fetch_all(&store.readers).await.unwrap();
        plan.iter().map(|step| step.get("detail")).collect()
    }

    #[tokio::test]
    async fn summaries_read_indexes_alone() {
        for query in [COUNT_IMAGES, COUNT_FACES] {
            let plan = plan(query).await;
            assert!(plan[0].contains("USING COVERING INDEX"), "{plan:?}");
        }
    }

    #[tokio::test]
    async fn images_and_conditions_are_found_by_indexes() {
        for query in [
            include_str!("sql/page_ids_filtered.sql"),
            include_str!("sql/page_ids_of_images.sql"),
            include_str!("sql/page_ids_of_notes.sql"),
            include_str!("sql/uris_with_query.sql"),
            include_str!("sql/history.sql"),
        ] {
            let plan = plan(query).await;
            // Galleries are few, and so are the values of a parameter.
            let mut scans = plan.iter().filter(|step| step.starts_with("SCAN"));
            let few = |step: &String| step.contains("SCAN g ") || step.contains("VIRTUAL TABLE");
            assert!(scans.all(few), "{plan:?}");
        }
    }
}
