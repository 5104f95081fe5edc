//! Reading what was recorded. Queries that make one answer together share one transaction, and with
//! it one state of the database.

use std::time::Duration;

use async_trait::async_trait;
use futures::TryStreamExt;
use futures::stream::BoxStream;
use sqlx::{PgConnection, Postgres, Transaction};
use tokio::sync::mpsc;

use super::{PostgresStore, READ, column, uri_key};
use crate::domain::{GalleryName, ImageUri, OutcomeKind, Profile, ProfileId};
use crate::store::fault::Fault;
use crate::store::filter::shown;
use crate::store::plan::Scope;
use crate::store::rows::{
    FaceOfImageRow, GalleryRow, HistoryRow, ScopeRow, TemplateRow, TemplateStampRow, history,
    images, parsed,
};
use crate::store::summary::{self, MOST_REASONS, SummaryRows, WITH_REASON};
use crate::store::templates::TemplateBatches;
use crate::store::{
    Extreme, GallerySummary, ImageKey, KnownResult, MOST_RESULTS, PageQuery, Reading, Searched,
    Snapshot, StoreError, StoredFace, StoredImage, TemplateBatch, TemplateStamp, encoding,
};

/// The id of a gallery together with a profile; None if nothing was ever recorded to them.
pub(super) async fn find_scope(
    connection: &mut PgConnection,
    gallery: &GalleryName,
    profile: &ProfileId,
) -> Result<Option<i64>, Fault> {
    let row: Option<ScopeRow> = sqlx::query_as(include_str!("sql/find_scopes.sql"))
        .bind(vec![gallery.as_str()])
        .bind(vec![profile.as_str()])
        .fetch_optional(connection)
        .await?;
    Ok(row.map(|row| Scope::from(row).gallery_profile))
}

#[async_trait]
impl Reading for PostgresStore {
    async fn galleries(&self) -> Result<Vec<(GalleryName, Vec<ProfileId>)>, StoreError> {
        self.answer(READ, async {
            let rows: Vec<GalleryRow> =
                sqlx::query_as(include_str!("sql/galleries.sql")).fetch_all(&self.pool).await?;
            summary::galleries(&rows)
        })
        .await
    }

    async fn profile(&self, id: &ProfileId) -> Result<Option<Profile>, StoreError> {
        self.answer(READ, async {
            let definition: Option<String> =
                sqlx::query_scalar("SELECT definition FROM profiles WHERE id = $1")
                    .bind(id.as_str())
                    .fetch_optional(&self.pool)
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
        self.answer(READ, async {
            let mut snapshot = self.begin_snapshot().await?;
            let Some(scope) = find_scope(&mut snapshot, gallery, profile).await? else {
                return summary::summary(SummaryRows::default());
            };
            let outcomes = sqlx::query_as(include_str!("sql/count_images.sql"))
                .bind(scope)
                .fetch_all(&mut *snapshot)
                .await?;
            let qualities = sqlx::query_as(include_str!("sql/count_faces.sql"))
                .bind(scope)
                .fetch_all(&mut *snapshot)
                .await?;
            let reasons = sqlx::query_as(include_str!("sql/count_reasons.sql"))
                .bind(scope)
                .bind(WITH_REASON.map(OutcomeKind::as_str).to_vec())
                .bind(MOST_REASONS)
                .fetch_all(&mut *snapshot)
                .await?;
            let noted = sqlx::query_as(include_str!("sql/count_notes.sql"))
                .bind(scope)
                .fetch_one(&mut *snapshot)
                .await?;
            snapshot.commit().await?;
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
        self.answer(READ, async {
            let mut connection = self.pool.acquire().await?;
            let Some(scope) = find_scope(&mut connection, gallery, profile).await? else {
                return Ok(Vec::new());
            };
            let query = match end {
                Extreme::Worst => include_str!("sql/worst_faces.sql"),
                Extreme::Best => include_str!("sql/best_faces.sql"),
            };
            let rows: Vec<FaceOfImageRow> = sqlx::query_as(query)
                .bind(scope)
                .bind(i64::from(limit))
                .fetch_all(&mut *connection)
                .await?;
            rows.into_iter().map(FaceOfImageRow::face).collect()
        })
        .await
    }

    async fn snapshot(&self) -> Result<Box<dyn Snapshot + '_>, StoreError> {
        self.answer(READ, async {
            let transaction = self.begin_snapshot().await?;
            Ok(Box::new(PostgresSnapshot { store: self, transaction }) as Box<dyn Snapshot>)
        })
        .await
    }
}

/// The state of the database when it is first read.
struct PostgresSnapshot<'a> {
    store: &'a PostgresStore,
    transaction: Transaction<'static, Postgres>,
}

#[async_trait]
impl Snapshot for PostgresSnapshot<'_> {
    async fn page(&mut self, query: &PageQuery) -> Result<Vec<StoredImage>, StoreError> {
        let snapshot = &mut *self.transaction;
        self.store
            .answer(READ, async {
                let scope = find_scope(snapshot, &query.gallery, &query.profile).await?;
                let Some(scope) = scope else { return Ok(Vec::new()) };
                let ids = page_ids(snapshot, scope, query).await?;
                let templates_of = query.templates.then_some(&query.profile);
                images_of(snapshot, &ids, templates_of).await
            })
            .await
    }

    async fn history(
        &mut self,
        image: &ImageKey,
        gallery: Option<&GalleryName>,
    ) -> Result<Vec<KnownResult>, StoreError> {
        let snapshot = &mut *self.transaction;
        self.store
            .answer(READ, async {
                let uris = uris_of(snapshot, image).await?;
                let rows: Vec<HistoryRow> = sqlx::query_as(include_str!("sql/history.sql"))
                    .bind(column(&uris, uri_key))
                    .bind(gallery.map(GalleryName::as_str))
                    .bind(i64::from(MOST_RESULTS))
                    .fetch_all(&mut *snapshot)
                    .await?;
                let ids = column(&rows, HistoryRow::id);
                let images = images_of(snapshot, &ids, None).await?;
                history(rows, images)
            })
            .await
    }

    async fn templates(
        &mut self,
        gallery: &GalleryName,
        profile: &ProfileId,
        to: mpsc::Sender<TemplateBatch>,
    ) -> Result<(), StoreError> {
        let snapshot = &mut *self.transaction;
        self.store
            .answer(READ, async {
                match find_scope(snapshot, gallery, profile).await? {
                    Some(scope) => {
                        let count: i64 =
                            sqlx::query_scalar(include_str!("sql/count_templates.sql"))
                                .bind(scope)
                                .fetch_one(&mut *snapshot)
                                .await?;
                        let query = sqlx::query_as(include_str!("sql/templates.sql"))
                            .bind(scope)
                            .bind(profile.as_str());
                        let expected = usize::try_from(count).unwrap_or_default();
                        send_templates(query.fetch(snapshot), expected, &to).await
                    }
                    None => Ok(()),
                }
            })
            .await
    }

    async fn template_stamps(
        &mut self,
        gallery: &GalleryName,
        profile: &ProfileId,
        searched: Searched,
        of: Option<&[i64]>,
    ) -> Result<Vec<TemplateStamp>, StoreError> {
        let snapshot = &mut *self.transaction;
        self.store
            .answer(READ, async {
                let Some(scope) = find_scope(snapshot, gallery, profile).await? else {
                    return Ok(Vec::new());
                };
                let query = match (searched, of) {
                    (Searched::Faces, None) => include_str!("sql/face_stamps.sql"),
                    (Searched::References, None) => include_str!("sql/reference_stamps.sql"),
                    (Searched::Faces, Some(_)) => include_str!("sql/face_stamps_of.sql"),
                    (Searched::References, Some(_)) => include_str!("sql/reference_stamps_of.sql"),
                };
                let query = sqlx::query_as(query).bind(scope);
                let query = if let Some(of) = of { query.bind(of) } else { query };
                let rows: Vec<TemplateStampRow> = query.fetch_all(snapshot).await?;
                rows.into_iter().map(TemplateStampRow::stamp).collect()
            })
            .await
    }

    async fn new_reference_stamps(
        &mut self,
        gallery: &GalleryName,
        profile: &ProfileId,
        within: Duration,
    ) -> Result<Vec<TemplateStamp>, StoreError> {
        let snapshot = &mut *self.transaction;
        self.store
            .answer(READ, async {
                let Some(scope) = find_scope(snapshot, gallery, profile).await? else {
                    return Ok(Vec::new());
                };
                let rows: Vec<TemplateStampRow> =
                    sqlx::query_as(include_str!("sql/new_reference_stamps.sql"))
                        .bind(scope)
                        .bind(within.as_secs_f64())
                        .fetch_all(snapshot)
                        .await?;
                rows.into_iter().map(TemplateStampRow::stamp).collect()
            })
            .await
    }

    async fn templates_of(
        &mut self,
        profile: &ProfileId,
        cursors: &[i64],
        to: mpsc::Sender<TemplateBatch>,
    ) -> Result<(), StoreError> {
        let snapshot = &mut *self.transaction;
        self.store
            .answer(READ, async {
                let query = sqlx::query_as(include_str!("sql/templates_of_results.sql"))
                    .bind(cursors)
                    .bind(profile.as_str());
                send_templates(query.fetch(snapshot), cursors.len(), &to).await
            })
            .await
    }

    async fn images(&mut self, cursors: &[i64]) -> Result<Vec<StoredImage>, StoreError> {
        let snapshot = &mut *self.transaction;
        self.store.answer(READ, images_of(snapshot, cursors, None)).await
    }
}

/// Sends templates, about as many as expected.
async fn send_templates(
    mut rows: BoxStream<'_, sqlx::Result<TemplateRow>>,
    expected: usize,
    to: &mpsc::Sender<TemplateBatch>,
) -> Result<(), Fault> {
    let mut batches = TemplateBatches::new(expected);
    while let Some(row) = rows.try_next().await? {
        if let Some(batch) = batches.push(row)?
            && to.send(batch).await.is_err()
        {
            return Ok(());
        }
    }
    if let Some(batch) = batches.rest() {
        // An error means that nobody wants more.
        to.send(batch).await.ok();
    }
    Ok(())
}

/// The images with these results, and their faces; with templates if the results are all of the
/// profile `templates_of`. A role without the right to read templates may read the rest.
async fn images_of(
    connection: &mut PgConnection,
    results: &[i64],
    templates_of: Option<&ProfileId>,
) -> Result<Vec<StoredImage>, Fault> {
    let found = sqlx::query_as(include_str!("sql/images.sql"))
        .bind(results)
        .fetch_all(&mut *connection)
        .await?;
    let faces = match templates_of {
        Some(profile) => sqlx::query_as(include_str!("sql/faces_with_templates.sql"))
            .bind(results)
            .bind(profile.as_str()),
        None => sqlx::query_as(include_str!("sql/faces.sql")).bind(results),
    };
    images(found, faces.fetch_all(connection).await?)
}

/// The URIs of an image; none if its id is unknown.
async fn uris_of(connection: &mut PgConnection, image: &ImageKey) -> Result<Vec<ImageUri>, Fault> {
    match image {
        ImageKey::Uris(uris) => with_queries(connection, uris).await,
        ImageKey::Id(id) => {
            let uri: Option<String> = sqlx::query_scalar(include_str!("sql/uri_of_image.sql"))
                .bind(id.0)
                .fetch_optional(connection)
                .await?;
            uri.iter().map(|uri| parsed(uri)).collect()
        }
    }
}

/// `uris`, and the stored ones that are shown as they are.
async fn with_queries(
    connection: &mut PgConnection,
    uris: &[ImageUri],
) -> Result<Vec<ImageUri>, Fault> {
    let found: Vec<String> = sqlx::query_scalar(include_str!("sql/uris_with_query.sql"))
        .bind(shown(uris))
        .bind(i64::from(MOST_RESULTS))
        .fetch_all(connection)
        .await?;
    let found: Result<Vec<ImageUri>, Fault> = found.iter().map(|uri| parsed(uri)).collect();
    Ok(uris.iter().cloned().chain(found?).collect())
}

/// The results of a page. Each outcome is a range of the index, in the order of pages. Reading the
/// start of each range and merging them finds a few failures among millions of scored images as
/// fast as the scored ones.
async fn page_ids(
    connection: &mut PgConnection,
    scope: i64,
    query: &PageQuery,
) -> Result<Vec<i64>, Fault> {
    let wanted = OutcomeKind::ALL
        .into_iter()
        .filter(|kind| query.outcomes.is_empty() || query.outcomes.contains(kind));
    let wanted: Vec<&str> = wanted.map(OutcomeKind::as_str).collect();
    let filter = &query.filter;
    let sql = match &filter.images {
        Some(_) => include_str!("sql/page_ids_of_images.sql"),
        None if filter.is_empty() => include_str!("sql/page_ids.sql"),
        None => include_str!("sql/page_ids_filtered.sql"),
    };
    let mut ids = sqlx::query_scalar(sql)
        .bind(scope)
        .bind(wanted.clone())
        .bind(query.after)
        .bind(i64::from(query.limit));
    if !filter.is_empty() {
        let (low, high) = filter.quality_bounds();
        ids = ids.bind(filter.since_ms()).bind(low).bind(high);
    }
    if let Some(images) = &filter.images {
        ids = ids.bind(column(&with_queries(connection, images).await?, uri_key));
    }
    let mut ids: Vec<i64> = ids.fetch_all(&mut *connection).await?;
    if query.notes {
        let notes: Vec<i64> = sqlx::query_scalar(include_str!("sql/page_ids_of_notes.sql"))
            .bind(scope)
            .bind(wanted)
            .bind(query.after)
            .bind(i64::from(query.limit))
            .bind(filter.since_ms())
            .fetch_all(connection)
            .await?;
        ids.extend(notes);
        ids.sort_unstable();
        ids.truncate(usize::try_from(query.limit).unwrap_or(usize::MAX));
    }
    Ok(ids)
}
