//! How far the listing of a campaign came.

use async_trait::async_trait;

use super::{SqliteStore, counts, json};
use crate::domain::{CampaignId, JobId, ListedChunk};
use crate::store::counts::JobToCount;
use crate::store::fault::Fault;
use crate::store::{Listings, StoreError};

fn unknown(campaign: CampaignId) -> Fault {
    StoreError::Invalid(format!("there is no campaign {campaign}")).into()
}

#[async_trait]
impl Listings for SqliteStore {
    async fn note_listed(
        &self,
        campaign: CampaignId,
        chunk: &ListedChunk,
    ) -> Result<(), StoreError> {
        let skipped = chunk.skipped.iter();
        let skipped: Vec<_> =
            skipped.map(|&job| JobToCount { campaign, job, outcome: None }).collect();
        self.answer(async {
            let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
            let skipped = counts::count_jobs(&mut transaction, &skipped).await?.len();
            let noted = sqlx::query(include_str!("sql/note_listed.sql"))
                .bind(campaign.0)
                .bind(i64::try_from(chunk.listed).unwrap_or(i64::MAX))
                .bind(i64::try_from(skipped).unwrap_or(i64::MAX))
                .bind(&chunk.from)
                .bind(&chunk.to)
                .execute(&mut *transaction)
                .await?;
            if noted.rows_affected() == 0 {
                return Err(unknown(campaign));
            }
            transaction.commit().await?;
            Ok(())
        })
        .await
    }

    async fn end_listing(&self, campaign: CampaignId) -> Result<(), StoreError> {
        self.answer(async {
            let ended = sqlx::query("UPDATE campaigns SET listing_done = 1 WHERE id = ?1")
                .bind(campaign.0)
                .execute(&self.writer)
                .await?;
            if ended.rows_affected() == 0 { Err(unknown(campaign)) } else { Ok(()) }
        })
        .await
    }

    async fn fail_listing(&self, campaign: CampaignId, reason: &str) -> Result<(), StoreError> {
        self.answer(async {
            sqlx::query(include_str!("sql/fail_listing.sql"))
                .bind(campaign.0)
                .bind(reason)
                .execute(&self.writer)
                .await?;
            Ok(())
        })
        .await
    }

    async fn restart_listing(&self, campaign: CampaignId) -> Result<(), StoreError> {
        self.answer(async {
            let restarted = sqlx::query(include_str!("sql/restart_listing.sql"))
                .bind(campaign.0)
                .execute(&self.writer)
                .await?;
            if restarted.rows_affected() == 0 { Err(unknown(campaign)) } else { Ok(()) }
        })
        .await
    }

    async fn uncounted_jobs(
        &self,
        campaign: CampaignId,
        jobs: &[JobId],
    ) -> Result<Vec<JobId>, StoreError> {
        self.answer(async {
            let indexes: Vec<i64> = sqlx::query_scalar(include_str!("sql/uncounted_jobs.sql"))
                .bind(campaign.0)
                .bind(json(jobs.iter().map(|job| job.0.simple().to_string())))
                .fetch_all(&self.readers)
                .await?;
            let job = |index: i64| jobs.get(usize::try_from(index).ok()?).copied();
            Ok(indexes.into_iter().filter_map(job).collect())
        })
        .await
    }
}
