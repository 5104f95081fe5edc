//! Images that a complete listing of their source did not bring.

use async_trait::async_trait;
use uuid::Uuid;

use super::batch::PostgresTables;
use super::results::{READ_COMMITTED, tried};
use super::{PostgresStore, READ, WRITE, column, uri_key};
use crate::domain::{Campaign, CampaignId, GalleryName, ImageId, ImageUri, UriRoot};
use crate::store::erasing::TombstoneTables;
use crate::store::fault::Fault;
use crate::store::missing::{LISTED, bring_back};
use crate::store::rows::{MissingRow, NotFoundRow};
use crate::store::{MissingImage, MissingImages, MissingQuery, PlacedImage, StoreError};

#[async_trait]
impl MissingImages for PostgresStore {
    async fn track_listing(
        &self,
        campaign: CampaignId,
        gallery: &GalleryName,
    ) -> Result<bool, StoreError> {
        self.answer(WRITE, async {
            Ok(sqlx::query_scalar(include_str!("sql/track_listing.sql"))
                .bind(campaign.0)
                .bind(gallery.as_str())
                .fetch_one(&self.pool)
                .await?)
        })
        .await
    }

    async fn note_found(&self, campaign: &Campaign, uris: &[ImageUri]) -> Result<u64, StoreError> {
        let Campaign { id, gallery, lane, .. } = campaign;
        let keys: Vec<Uuid> = column(uris, uri_key);
        let keys = keys.as_slice();
        let write = || async move {
            let mut transaction = self.pool.begin_with(READ_COMMITTED).await?;
            // First: it locks in the order in which erasures do, and no image of `back` goes.
            PostgresTables::new(&mut transaction).hold_off_erasures().await?;
            let back: Vec<i64> = sqlx::query_scalar(include_str!("sql/missing_of_uris.sql"))
                .bind(gallery.as_str())
                .bind(keys)
                .fetch_all(&mut *transaction)
                .await?;
            let mut tables = PostgresTables::new(&mut transaction);
            let were_gone = bring_back(&mut tables, gallery, (*lane, LISTED), &back).await?;
            sqlx::query(include_str!("sql/note_found.sql"))
                .bind(id.0)
                .bind(gallery.as_str())
                .bind(keys)
                .execute(&mut *transaction)
                .await?;
            transaction.commit().await?;
            Ok(were_gone)
        };
        self.answer(WRITE, tried(write)).await
    }

    async fn not_found(
        &self,
        campaign: CampaignId,
        roots: &[UriRoot],
        after: Option<ImageId>,
        limit: u32,
    ) -> Result<Option<Vec<PlacedImage>>, StoreError> {
        self.answer(READ, async {
            if !self.is_tracked(campaign).await? {
                return Ok(None);
            }
            // Planned each time: a plan of when nothing was missing yet would read all that is.
            let rows: Vec<NotFoundRow> = sqlx::query_as(include_str!("sql/not_found.sql"))
                .persistent(false)
                .bind(campaign.0)
                .bind(column(roots, |root| root.itself().to_owned()))
                .bind(column(roots, |root| root.below().to_owned()))
                .bind(after.map_or(0, |ImageId(id)| id))
                .bind(i64::from(limit))
                .fetch_all(&self.pool)
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
        self.answer(WRITE, async {
            sqlx::query(include_str!("sql/mark_missing.sql"))
                .bind(campaign.0)
                .bind(column(images, |ImageId(id)| *id))
                .execute(&self.pool)
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
        self.answer(WRITE, async {
            let mut transaction = self.pool.begin_with(READ_COMMITTED).await?;
            let ended = match complete {
                true => sqlx::query(include_str!("sql/end_tracking.sql"))
                    .bind(campaign.0)
                    .execute(&mut *transaction)
                    .await?
                    .rows_affected(),
                false => 0,
            };
            let step = match ended {
                0 => include_str!("sql/fail_tracking.sql"),
                _ => include_str!("sql/untrack_listing.sql"),
            };
            sqlx::query(step).bind(campaign.0).execute(&mut *transaction).await?;
            transaction.commit().await?;
            Ok(())
        })
        .await
    }

    async fn missing(&self, query: &MissingQuery) -> Result<Vec<MissingImage>, StoreError> {
        let below = query.below.as_deref();
        self.answer(READ, async {
            let rows: Vec<MissingRow> = sqlx::query_as(include_str!("sql/missing.sql"))
                .bind(query.gallery.as_str())
                .bind(below.map(|roots| column(roots, |root| root.itself().to_owned())))
                .bind(below.map(|roots| column(roots, |root| root.below().to_owned())))
                .bind(query.after.map_or(0, |ImageId(id)| id))
                .bind(i64::from(query.limit))
                .fetch_all(&self.pool)
                .await?;
            rows.into_iter().map(MissingRow::image).collect()
        })
        .await
    }
}

impl PostgresStore {
    /// Whether it is noted what the campaign's listing finds.
    async fn is_tracked(&self, campaign: CampaignId) -> Result<bool, Fault> {
        let tracked =
            "SELECT EXISTS (SELECT FROM tracked_listings WHERE campaign_id = $1 AND NOT failed)";
        Ok(sqlx::query_scalar(tracked).bind(campaign.0).fetch_one(&self.pool).await?)
    }
}
