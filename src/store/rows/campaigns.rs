//! Rows of campaigns and of their jobs.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::{corrupt, parsed, time};
use crate::domain::{Campaign, CampaignId, CampaignProgress, JobId};
use crate::store::counts::Counted;
use crate::store::encoding;
use crate::store::fault::Fault;
use crate::store::row::row;

row! {
    /// A campaign without its outcomes.
    pub(in crate::store) struct CampaignRow {
        pub(in crate::store) id: Uuid,
        lane: String,
        gallery: String,
        profile_id: String,
        selection: Option<String>,
        source: String,
        state: String,
        listed: i64,
        skipped: i64,
        listing_done: bool,
        chunk_from: Option<String>,
        chunk_to: Option<String>,
        listing_error: Option<String>,
        started_at_ms: i64,
    }
}

impl CampaignRow {
    fn campaign(self) -> Result<Campaign, Fault> {
        Ok(Campaign {
            id: CampaignId(self.id),
            lane: parsed(&self.lane)?,
            gallery: parsed(&self.gallery)?,
            profile: parsed(&self.profile_id)?,
            selection: self.selection.as_deref().map(encoding::selection).transpose()?,
            source: self.source,
            state: parsed(&self.state)?,
            progress: CampaignProgress {
                listed: self.listed.try_into().map_err(corrupt)?,
                skipped: self.skipped.try_into().map_err(corrupt)?,
                listing_done: self.listing_done,
                chunk_from: self.chunk_from,
                chunk_to: self.chunk_to,
                listing_error: self.listing_error,
                outcomes: BTreeMap::new(),
                faces: 0,
            },
            started_at: time(self.started_at_ms)?.to_string(),
        })
    }
}

row! {
    /// The jobs of a campaign that ended with an outcome, and their faces.
    pub(in crate::store) struct CampaignOutcomeRow {
        campaign_id: Uuid,
        outcome: String,
        jobs: i64,
        faces: i64,
    }
}

/// Campaigns with their outcomes.
pub(in crate::store) fn campaigns(
    campaigns: Vec<CampaignRow>,
    outcomes: Vec<CampaignOutcomeRow>,
) -> Result<Vec<Campaign>, Fault> {
    let mut campaigns: Vec<Campaign> =
        campaigns.into_iter().map(CampaignRow::campaign).collect::<Result<_, _>>()?;
    for row in outcomes {
        let id = CampaignId(row.campaign_id);
        if let Some(campaign) = campaigns.iter_mut().find(|campaign| campaign.id == id) {
            let progress = &mut campaign.progress;
            progress.outcomes.insert(parsed(&row.outcome)?, row.jobs.try_into().map_err(corrupt)?);
            progress.faces += u64::try_from(row.faces).map_err(corrupt)?;
        }
    }
    Ok(campaigns)
}

row! {
    /// A job that was counted.
    pub(in crate::store) struct CountedRow {
        campaign_id: Uuid,
        job_id: Uuid,
        /// The outcome it counted under before.
        outcome_before: Option<String>,
    }
}

impl CountedRow {
    pub(in crate::store) fn counted(self) -> Result<Counted, Fault> {
        Ok(Counted {
            campaign: CampaignId(self.campaign_id),
            job: JobId(self.job_id),
            before: self.outcome_before.as_deref().map(parsed).transpose()?,
        })
    }
}
