//! How far the listing of a campaign came.

use async_trait::async_trait;
use uuid::Uuid;

use super::{PostgresStore, READ, WRITE, column, counts};
use crate::domain::{CampaignId, JobId, ListedChunk};
use crate::store::counts::JobToCount;
use crate::store::fault::Fault;
use crate::store::{Listings, StoreError};

fn unknown(campaign: CampaignId) -> Fault {
    StoreError::Invalid(format!("there is no campaign {campaign}")).into()
}

#[async_trait]
impl Listings for PostgresStore {
    async fn note_listed(
        &self,
        campaign: CampaignId,
        chunk: &ListedChunk,
    ) -> Result<(), StoreError> {
        let skipped = chunk.skipped.iter();
        let skipped: Vec<_> =
            skipped.map(|&job| JobToCount { campaign, job, outcome: None }).collect();
        self.answer(WRITE, async {
            let mut transaction = self.pool.begin().await?;
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
        self.answer(WRITE, async {
            let ended = sqlx::query("UPDATE campaigns SET listing_done = true WHERE id = $1")
                .bind(campaign.0)
                .execute(&self.pool)
                .await?;
            if ended.rows_affected() == 0 { Err(unknown(campaign)) } else { Ok(()) }
        })
        .await
    }

    async fn fail_listing(&self, campaign: CampaignId, reason: &str) -> Result<(), StoreError> {
        self.answer(WRITE, async {
            sqlx::query(include_str!("sql/fail_listing.sql"))
                .bind(campaign.0)
                .bind(reason)
                .execute(&self.pool)
                .await?;
            Ok(())
        })
        .await
    }

    async fn restart_listing(&self, campaign: CampaignId) -> Result<(), StoreError> {
        self.answer(WRITE, async {
            let restarted = sqlx::query(include_str!("sql/restart_listing.sql"))
                .bind(campaign.0)
                .execute(&self.pool)
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
        let jobs: Vec<Uuid> = column(jobs, |job| job.0);
        self.answer(READ, async {
            let left: Vec<Uuid> = sqlx::query_scalar(include_str!("sql/uncounted_jobs.sql"))
                .bind(campaign.0)
                .bind(jobs)
                .fetch_all(&self.pool)
                .await?;
            Ok(left.into_iter().map(JobId).collect())
        })
        .await
    }
}
