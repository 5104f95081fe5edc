//! `facefleet campaign …`

use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Args, Subcommand};

use super::progress::accounts;
use super::{printable, say, say_json};
use crate::app::App;
use crate::domain::{Campaign, CampaignState, counted};
use crate::gallery::campaign::{CampaignRef, find, set_state};
use crate::queue::QueueError;
use crate::store::Store;
use crate::view::campaign::{CampaignView, campaign_state};

#[derive(Debug, Subcommand)]
pub(super) enum CampaignCommand {
    /// Show campaigns, the latest first.
    List {
        /// Show at most N campaigns.
        #[arg(
            long,
            default_value_t = 20,
            value_name = "N",
            value_parser = clap::value_parser!(u32).range(1..)
        )]
        limit: u32,
        /// Print one JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// Show one campaign and account for its images.
    Show {
        /// Its id, or "latest".
        campaign: CampaignRef,
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Pause a campaign.
    ///
    /// Within about two seconds no worker starts any more of its jobs. Jobs in flight are finished.
    Pause(ChangeArgs),
    /// Resume a paused campaign.
    ///
    /// Workers start its jobs again within about two seconds.
    Resume(ChangeArgs),
    /// Cancel a campaign.
    ///
    /// Its jobs are dropped. Results that are recorded stay.
    Cancel(ChangeArgs),
}

/// A campaign to change.
#[derive(Debug, Args)]
pub(super) struct ChangeArgs {
    /// Its id, or "latest".
    campaign: CampaignRef,
    /// Print the campaign as one JSON object.
    #[arg(long)]
    json: bool,
}

impl CampaignCommand {
    pub(super) async fn run(self, app: &App) -> Result<ExitCode> {
        let store = app.filled_store().await?;
        match self {
            Self::List { limit, json } => list(store.as_ref(), limit, json).await?,
            Self::Show { campaign, json } => {
                show(&find(store.as_ref(), campaign).await?, json)?;
            }
            Self::Pause(change) => {
                set(store.as_ref(), &change, CampaignState::Paused).await?;
            }
            Self::Resume(change) => {
                set(store.as_ref(), &change, CampaignState::Running).await?;
            }
            Self::Cancel(change) => {
                let cancelled = set(store.as_ref(), &change, CampaignState::Cancelled).await?;
                remove_jobs(app, &cancelled).await?;
            }
        }
        store.close().await;
        Ok(ExitCode::SUCCESS)
    }
}

/// Removes the jobs of a cancelled campaign. Workers would do so too, within seconds: that the
/// broker is away is told, and no failure.
async fn remove_jobs(app: &App, cancelled: &Campaign) -> Result<()> {
    let removed = async {
        if let Some(queue) = app.shared_queue().await? {
            queue.remove(&cancelled.sub_queue()).await?;
            queue.close().await;
        }
        Ok::<_, anyhow::Error>(())
    };
    let removed = removed.await.context(
        "the campaign is cancelled; its jobs may still be in the queue, and workers remove them",
    );
    match removed {
        Err(error) if matches!(error.downcast_ref(), Some(QueueError::Unavailable(_))) => {
            eprintln!("facefleet: {}", printable(&format!("{error:#}")));
            Ok(())
        }
        removed => removed,
    }
}

async fn list(store: &dyn Store, limit: u32, json: bool) -> Result<()> {
    for campaign in store.campaigns(limit).await? {
        if json { say_json(&CampaignView::from(&campaign))? } else { say(as_line(&campaign))? }
    }
    if !json {
        // For people. Programs read `facefleet_source_trouble` or `queue status --json`.
        for source in store.source_statuses().await? {
            if let Some(trouble) = source.warning() {
                say(trouble)?;
            }
        }
    }
    Ok(())
}

fn show(campaign: &Campaign, json: bool) -> Result<()> {
    if json {
        say_json(&CampaignView::from(campaign))?;
        return Ok(());
    }
    let Campaign { gallery, profile, source, progress, .. } = campaign;
    say(as_line(campaign))?;
    say(format!("  {} into gallery {gallery}, profile {profile}", printable(source)))?;
    if let Some(selection) = &campaign.selection {
        say(format!("  {selection}"))?;
    }
    if let Some(reason) = &progress.listing_error {
        say(format!("  the listing failed: {}", printable(reason)))?;
    }
    say(format!("  {}, {}", accounts(progress), counted(progress.faces, "face")))?;
    Ok(())
}

async fn set(store: &dyn Store, change: &ChangeArgs, state: CampaignState) -> Result<Campaign> {
    let campaign = set_state(store, change.campaign, state).await?;
    if change.json {
        let campaign = find(store, CampaignRef::Id(campaign.id)).await?;
        say_json(&CampaignView::from(&campaign))?;
    } else {
        say(format!("{} {}", campaign.id, state.as_str()))?;
    }
    Ok(campaign)
}

fn as_line(campaign: &Campaign) -> String {
    let Campaign { id, lane, gallery, progress, started_at, .. } = campaign;
    let done = progress.skipped + progress.ended();
    let more = if progress.listing_done { "" } else { "+" };
    format!(
        "{id}  {started_at:.19}Z  {:9}  {lane:7}  {gallery}  {done} of {}{more}",
        campaign_state(campaign),
        progress.listed
    )
}
