//! Images that a complete listing of their source did not bring.

use async_trait::async_trait;

use super::batch::SqliteTables;
use super::{SqliteStore, json, now_ms};
use crate::domain::{Campaign, CampaignId, GalleryName, ImageId, ImageUri, UriRoot};
use crate::store::fault::Fault;
use crate::store::missing::{LISTED, bring_back};
use crate::store::rows::{MissingRow, NotFoundRow};
use crate::store::{MissingImage, MissingImages, MissingQuery, PlacedImage, StoreError};

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
            let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
            let tracked = sqlx::query_scalar(include_str!("sql/track_listing.sql"))
                .bind(campaign.0)
                .bind(gallery.as_str())
                .fetch_one(&mut *transaction)
                .await?;
            transaction.commit().await?;
            Ok(tracked)
        })
        .await
    }

    async fn note_found(&self, campaign: &Campaign, uris: &[ImageUri]) -> Result<u64, StoreError> {
        let Campaign { id, gallery, lane, .. } = campaign;
        let uris = json(uris.iter().map(ImageUri::as_str));
        self.answer(async {
            let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
            sqlx::query(include_str!("sql/note_found.sql"))
                .bind(id.0)
                .bind(gallery.as_str())
                .bind(&uris)
                .execute(&mut *transaction)
                .await?;
            let back: Vec<i64> = sqlx::query_scalar(include_str!("sql/missing_of_uris.sql"))
                .bind(gallery.as_str())
                .bind(&uris)
                .fetch_all(&mut *transaction)
                .await?;
            let mut tables = SqliteTables(&mut transaction);
            let were_gone = bring_back(&mut tables, gallery, (*lane, LISTED), &back).await?;
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
    ) -> Result<Option<Vec<PlacedImage>>, StoreError> {
        self.answer(async {
            let tracked = "SELECT 1 FROM tracked_listings WHERE campaign_id = ?1 AND failed = 0";
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

    async fn untrack_listing(
        &self,
        campaign: CampaignId,
        complete: bool,
    ) -> Result<(), StoreError> {
        self.answer(async {
            let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
            let ended = match complete {
                true => sqlx::query(include_str!("sql/end_tracking.sql"))
                    .bind(campaign.0)
                    .execute(&mut *transaction)
                    .await?
                    .rows_affected(),
                false => 0,
            };
            let steps = match ended {
                0 => &[
                    "UPDATE tracked_listings SET failed = 1 WHERE campaign_id = ?1",
                    "DELETE FROM found_images WHERE campaign_id = ?1",
                ][..],
                _ => &[include_str!("sql/untrack_listing.sql")],
            };
            for step in steps {
                sqlx::query(*step).bind(campaign.0).execute(&mut *transaction).await?;
            }
            transaction.commit().await?;
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
