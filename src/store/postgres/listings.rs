//! How far the listing of a campaign came.

use async_trait::async_trait;
use sqlx::PgConnection;
use uuid::Uuid;

use super::results::READ_COMMITTED;
use super::{PostgresStore, READ, WRITE, column, counts};
use crate::domain::{CampaignId, JobId, ListedChunk};
use crate::store::counts::JobToCount;
use crate::store::fault::Fault;
use crate::store::{ListingKey, Listings, StoreError};

fn unknown(campaign: CampaignId) -> Fault {
    StoreError::Invalid(format!("there is no campaign {campaign}")).into()
}

#[async_trait]
impl Listings for PostgresStore {
    async fn note_listed(
        &self,
        listing: ListingKey,
        chunk: &ListedChunk,
    ) -> Result<(), StoreError> {
        let campaign = listing.campaign;
        let skipped = chunk.skipped.iter();
        let skipped: Vec<_> =
            skipped.map(|&job| JobToCount { campaign, job, outcome: None }).collect();
        self.answer(WRITE, async {
            let mut transaction = self.pool.begin_with(READ_COMMITTED).await?;
            // Before the lock of `hold`, which beats may wait for.
            if let Some(claim) = listing.claim {
                sqlx::query(include_str!("sql/went_on.sql"))
                    .bind(claim)
                    .execute(&mut *transaction)
                    .await?;
            }
            hold(&mut transaction, listing).await?;
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

    async fn end_listing(&self, listing: ListingKey) -> Result<(), StoreError> {
        let sql = "UPDATE campaigns SET listing_done = true WHERE id = $1";
        self.change(listing, sql).await
    }

    async fn fail_listing(&self, listing: ListingKey, reason: &str) -> Result<(), StoreError> {
        self.answer(WRITE, async {
            let mut transaction = self.pool.begin_with(READ_COMMITTED).await?;
            hold(&mut transaction, listing).await?;
            sqlx::query(include_str!("sql/fail_listing.sql"))
                .bind(listing.campaign.0)
                .bind(reason)
                .execute(&mut *transaction)
                .await?;
            transaction.commit().await?;
            Ok(())
        })
        .await
    }

    async fn restart_listing(&self, listing: ListingKey) -> Result<(), StoreError> {
        self.change(listing, include_str!("sql/restart_listing.sql")).await
    }

    async fn cancel_listing(&self, listing: ListingKey) -> Result<(), StoreError> {
        let sql = "UPDATE campaigns SET state = 'cancelled' WHERE id = $1";
        self.change(listing, sql).await
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

impl PostgresStore {
    /// Changes the row of a campaign.
    async fn change(&self, listing: ListingKey, sql: &'static str) -> Result<(), StoreError> {
        self.answer(WRITE, async {
            let mut transaction = self.pool.begin_with(READ_COMMITTED).await?;
            hold(&mut transaction, listing).await?;
            let changed =
                sqlx::query(sql).bind(listing.campaign.0).execute(&mut *transaction).await?;
            if changed.rows_affected() == 0 {
                return Err(unknown(listing.campaign));
            }
            transaction.commit().await?;
            Ok(())
        })
        .await
    }
}

/// Fails if the claim of `listing` is not that of a running run any more. Nobody takes the run over
/// before the transaction ends.
pub(super) async fn hold(connection: &mut PgConnection, listing: ListingKey) -> Result<(), Fault> {
    let Some(claim) = listing.claim else { return Ok(()) };
    let sql = "SELECT true FROM schedule_runs WHERE state = 'running' AND owner = $1 FOR SHARE";
    let held: Option<bool> = sqlx::query_scalar(sql).bind(claim).fetch_optional(connection).await?;
    if held.is_some() { Ok(()) } else { Err(StoreError::TakenOver(listing.campaign).into()) }
}
