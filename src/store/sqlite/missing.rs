//! Images that a complete listing of their source did not bring.

use async_trait::async_trait;

use super::batch::SqliteTables;
use super::{SqliteStore, json, now_ms};
use crate::domain::{CampaignId, GalleryName, ImageId, ImageUri, UriRoot};
use crate::store::fault::Fault;
use crate::store::judging::judge;
use crate::store::missing::found_again;
use crate::store::rows::{MissingRow, NotFoundRow, corrupt};
use crate::store::{Judged, MissingImage, MissingImages, MissingQuery, NotFoundImage, StoreError};

/// The URI of each root, and the first and the one after the last of those below it.
fn ranges(roots: &[UriRoot]) -> String {
    json(roots.iter().map(|root| serde_json::json!([root.itself(), root.below(), root.end()])))
}

#[async_trait]
impl MissingImages for SqliteStore {
    async fn track_listing(
        &self,
        campaign: CampaignId,
        gallery: &GalleryName,
    ) -> Result<bool, StoreError> {
        self.answer(async {
            let tracked = sqlx::query(include_str!("sql/track_listing.sql"))
                .bind(campaign.0)
                .bind(gallery.as_str())
                .execute(&self.writer)
                .await?;
            Ok(tracked.rows_affected() > 0)
        })
        .await
    }

    async fn note_found(
        &self,
        campaign: CampaignId,
        gallery: &GalleryName,
        uris: &[ImageUri],
    ) -> Result<u64, StoreError> {
        let uris = json(uris.iter().map(ImageUri::as_str));
        self.answer(async {
            let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
            sqlx::query(include_str!("sql/note_found.sql"))
                .bind(campaign.0)
                .bind(gallery.as_str())
                .bind(&uris)
                .execute(&mut *transaction)
                .await?;
            let back: Vec<i64> = sqlx::query_scalar(include_str!("sql/missing_of_uris.sql"))
                .bind(gallery.as_str())
                .bind(&uris)
                .fetch_all(&mut *transaction)
                .await?;
            let mut were_gone = 0;
            if !back.is_empty() {
                let mut tables = SqliteTables(&mut transaction);
                let judged = judge(&mut tables, &found_again(gallery, &back)?).await?;
                let Judged::Written { verdicts, .. } = judged else {
                    return Err(corrupt("an image that was missing is unknown"));
                };
                were_gone = verdicts;
                tables.update(include_str!("sql/end_missing.sql"), &back).await?;
            }
            transaction.commit().await?;
            Ok(were_gone)
        })
        .await
    }

    async fn not_found(
        &self,
        campaign: CampaignId,
        roots: &[UriRoot],
        after: Option<ImageId>,
        limit: u32,
    ) -> Result<Option<Vec<NotFoundImage>>, StoreError> {
        self.answer(async {
            let tracked = "SELECT 1 FROM tracked_listings WHERE campaign_id = ?1";
            let tracked: Option<i64> =
                sqlx::query_scalar(tracked).bind(campaign.0).fetch_optional(&self.readers).await?;
            if tracked.is_none() {
                return Ok(None);
            }
            let rows: Vec<NotFoundRow> = sqlx::query_as(include_str!("sql/not_found.sql"))
                .bind(campaign.0)
                .bind(ranges(roots))
                .bind(after.map_or(0, |ImageId(id)| id))
                .bind(limit)
                .fetch_all(&self.readers)
                .await?;
            let images: Result<Vec<_>, Fault> = rows.into_iter().map(NotFoundRow::image).collect();
            images.map(Some)
        })
        .await
    }

    async fn mark_missing(
        &self,
        campaign: CampaignId,
        images: &[ImageId],
    ) -> Result<(), StoreError> {
        self.answer(async {
            sqlx::query(include_str!("sql/mark_missing.sql"))
                .bind(campaign.0)
                .bind(json(images.iter().map(|ImageId(id)| *id)))
                .bind(now_ms())
                .execute(&self.writer)
                .await?;
            Ok(())
        })
        .await
    }

    async fn untrack_listing(&self, campaign: CampaignId) -> Result<(), StoreError> {
        self.answer(async {
            sqlx::query(include_str!("sql/untrack_listing.sql"))
                .bind(campaign.0)
                .execute(&self.writer)
                .await?;
            Ok(())
        })
        .await
    }

    async fn missing(&self, query: &MissingQuery) -> Result<Vec<MissingImage>, StoreError> {
        self.answer(async {
            let rows: Vec<MissingRow> = sqlx::query_as(include_str!("sql/missing.sql"))
                .bind(query.gallery.as_str())
                .bind(query.below.as_deref().map(ranges))
                .bind(query.after.map_or(0, |ImageId(id)| id))
                .bind(query.limit)
                .fetch_all(&self.readers)
                .await?;
            rows.into_iter().map(MissingRow::image).collect()
        })
        .await
    }
}
