//! Reading what was recorded. Queries that make one answer together share one transaction, and with
//! it one state of the file.

use async_trait::async_trait;
use sqlx::SqliteConnection;

use super::snapshot::SqliteSnapshot;
use super::{SqliteStore, json};
use crate::domain::{GalleryName, OutcomeKind, Profile, ProfileId};
use crate::store::fault::Fault;
use crate::store::plan::Scope;
use crate::store::rows::{FaceOfImageRow, GalleryRow, ScopeRow};
use crate::store::summary::{self, MOST_REASONS, SummaryRows, WITH_REASON};
use crate::store::{Extreme, GallerySummary, Reading, Snapshot, StoreError, StoredFace, encoding};

const COUNT_IMAGES: &str = include_str!("sql/count_images.sql");
const COUNT_FACES: &str = include_str!("sql/count_faces.sql");

/// The id of a gallery together with a profile; None if nothing was ever recorded to them.
pub(super) async fn find_scope(
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
        Ok(Box::new(SqliteSnapshot::open(self).await?))
    }
}

#[cfg(test)]
mod tests {
    use sqlx::Row;

    use super::*;

    /// The steps by which `query` is answered.
    async fn plan(query: &str) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("faces.db").display());
        let store = SqliteStore::open(&url).await.unwrap();
        // What is not bound is null.
        let explain = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {query}"));
        let plan = sqlx::query(explain).fetch_all(&store.readers).await.unwrap();
        plan.iter().map(|step| step.get("detail")).collect()
    }

    #[tokio::test]
    async fn summaries_read_indexes_alone() {
        for query in [COUNT_IMAGES, COUNT_FACES] {
            let plan = plan(query).await;
            let mut all = plan.iter().filter(|step| step.starts_with("SEARCH"));
            assert!(
                all.next().is_some_and(|step| step.contains("USING COVERING INDEX")),
                "{plan:?}"
            );
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
            // Galleries are few, and so are excluded images and the values of a parameter.
            let mut scans = plan.iter().filter(|step| step.starts_with("SCAN"));
            let few = |step: &String| {
                ["SCAN g ", "INDEX images_excluded", "VIRTUAL TABLE"]
                    .iter()
                    .any(|few| step.contains(few))
            };
            assert!(scans.all(few), "{plan:?}");
        }
    }
}
