//! Campaigns and what operators want of them.

use async_trait::async_trait;
use sqlx::PgConnection;
use uuid::Uuid;

use super::listings::hold;
use super::results::READ_COMMITTED;
use super::{PostgresStore, READ, WRITE, column};
use crate::domain::{Campaign, CampaignId, CampaignState};
use crate::store::encoding::selection_key;
use crate::store::fault::Fault;
use crate::store::rows::{CampaignRow, campaigns};
use crate::store::{Campaigns, ListingKey, MOST_OPEN, StoreError};

#[async_trait]
impl Campaigns for PostgresStore {
    async fn begin_campaign(
        &self,
        campaign: &Campaign,
        claim: Option<Uuid>,
    ) -> Result<(), StoreError> {
        let listing = ListingKey { campaign: campaign.id, claim };
        self.answer(WRITE, async {
            let mut transaction = self.pool.begin_with(READ_COMMITTED).await?;
            hold(&mut transaction, listing).await?;
            begin(&mut transaction, campaign).await?;
            Ok(transaction.commit().await?)
        })
        .await
    }

    async fn set_campaign_state(
        &self,
        campaign: CampaignId,
        state: CampaignState,
    ) -> Result<bool, StoreError> {
        self.answer(WRITE, async {
            let set = sqlx::query("UPDATE campaigns SET state = $2, closed = false WHERE id = $1")
                .bind(campaign.0)
                .bind(state.as_str())
                .execute(&self.pool)
                .await?;
            Ok(set.rows_affected() > 0)
        })
        .await
    }

    async fn campaign(&self, id: CampaignId) -> Result<Option<Campaign>, StoreError> {
        self.answer(READ, async {
            let mut snapshot = self.begin_snapshot().await?;
            let row: Vec<CampaignRow> = sqlx::query_as(include_str!("sql/campaign.sql"))
                .bind(id.0)
                .fetch_all(&mut *snapshot)
                .await?;
            let mut campaigns = with_outcomes(&mut snapshot, row).await?;
            snapshot.commit().await?;
            Ok(campaigns.pop())
        })
        .await
    }

    async fn campaigns(&self, limit: u32) -> Result<Vec<Campaign>, StoreError> {
        self.latest(include_str!("sql/campaigns.sql"), limit).await
    }

    async fn open_campaigns(&self) -> Result<Vec<Campaign>, StoreError> {
        self.latest(include_str!("sql/open_campaigns.sql"), MOST_OPEN).await
    }

    async fn close_campaign(&self, campaign: CampaignId) -> Result<(), StoreError> {
        self.answer(WRITE, async {
            sqlx::query("UPDATE campaigns SET closed = true WHERE id = $1 AND NOT closed")
                .bind(campaign.0)
                .execute(&self.pool)
                .await?;
            Ok(())
        })
        .await
    }
}

impl PostgresStore {
    async fn latest(&self, sql: &'static str, limit: u32) -> Result<Vec<Campaign>, StoreError> {
        self.answer(READ, async {
            let mut snapshot = self.begin_snapshot().await?;
            let rows = sqlx::query_as(sql).bind(i64::from(limit)).fetch_all(&mut *snapshot).await?;
            let campaigns = with_outcomes(&mut snapshot, rows).await?;
            snapshot.commit().await?;
            Ok(campaigns)
        })
        .await
    }
}

/// Begins a campaign, or reopens it.
pub(super) async fn begin(connection: &mut PgConnection, campaign: &Campaign) -> Result<(), Fault> {
    let begun = sqlx::query(include_str!("sql/insert_campaign.sql"))
        .bind(campaign.id.0)
        .bind(campaign.lane.as_str())
        .bind(campaign.gallery.as_str())
        .bind(campaign.profile.as_str())
        .bind(&campaign.source)
        .bind(campaign.state.as_str())
        .bind(campaign.selection.as_ref().map(selection_key))
        .execute(connection)
        .await?;
    if begun.rows_affected() == 0 {
        let profile = &campaign.profile;
        let reason = format!("its profile {profile} was never registered");
        return Err(StoreError::Invalid(reason).into());
    }
    Ok(())
}

async fn with_outcomes(
    connection: &mut PgConnection,
    rows: Vec<CampaignRow>,
) -> Result<Vec<Campaign>, Fault> {
    let outcomes = sqlx::query_as(include_str!("sql/campaign_outcomes.sql"))
        .bind(column(&rows, |row| row.id))
        .fetch_all(connection)
        .await?;
    campaigns(rows, outcomes)
}
