//! `facefleet campaign …`

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Subcommand;
use serde_json::json;

use super::progress::{accounts, outcomes_json};
use super::say;
use crate::app::App;
use crate::domain::{Campaign, CampaignId, CampaignState};
use crate::store::Campaigns;

#[derive(Debug, Subcommand)]
pub(super) enum CampaignCommand {
    /// The campaigns that began last, the latest first.
    List {
        /// At most so many.
        #[arg(long, default_value_t = 20, value_name = "N")]
        limit: u32,
        /// One JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// One campaign: where every one of its images is.
    Show {
        /// Its id, or "latest".
        campaign: Which,
        /// One JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Let its jobs wait: within a second or two no worker takes any more of them. Jobs in hand are
    /// finished.
    Pause {
        /// Its id, or "latest".
        campaign: Which,
    },
    /// Go on with a paused campaign: workers take its jobs again within a second or two.
    Resume {
        /// Its id, or "latest".
        campaign: Which,
    },
    /// Give it up: its jobs are dropped. What is recorded stays.
    Cancel {
        /// Its id, or "latest".
        campaign: Which,
    },
}

/// A campaign, by id or as the latest.
#[derive(Debug, Clone, Copy)]
pub(super) enum Which {
    Latest,
    Id(CampaignId),
}

impl std::str::FromStr for Which {
    type Err = crate::domain::InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "latest" { Ok(Self::Latest) } else { text.parse().map(Self::Id) }
    }
}

impl CampaignCommand {
    pub(super) async fn run(self, app: &App) -> Result<ExitCode> {
        let store = app.store().await?;
        match self {
            Self::List { limit, json } => {
                for campaign in store.campaigns(limit).await? {
                    if json { say(as_json(&campaign))? } else { say(as_line(&campaign))? }
                }
                // For people; programs have `facefleet_source_trouble` and `queue status --json`.
                for source in store.source_statuses().await?.into_iter().filter(|_| !json) {
                    if let Some(told) = source.told() {
                        say(told)?;
                    }
                }
            }
            Self::Show { campaign, json } => {
                let campaign = find(store.as_ref(), campaign).await?;
                if json {
                    say(as_json(&campaign))?;
                } else {
                    say(as_line(&campaign))?;
                    say(format!(
                        "  {} into gallery {}, profile {}",
                        campaign.source, campaign.gallery, campaign.profile
                    ))?;
                    if let Some(selection) = &campaign.selection {
                        say(format!("  {selection}"))?;
                    }
                    say(format!(
                        "  {}, {} faces",
                        accounts(&campaign.progress),
                        campaign.progress.faces
                    ))?;
                }
            }
            Self::Pause { campaign } => {
                set(store.as_ref(), campaign, CampaignState::Paused).await?;
            }
            Self::Resume { campaign } => {
                set(store.as_ref(), campaign, CampaignState::Running).await?;
            }
            Self::Cancel { campaign } => {
                let cancelled = set(store.as_ref(), campaign, CampaignState::Cancelled).await?;
                // Its jobs go at once, with their place; workers would see to it within seconds.
                if !app.is_embedded() {
                    let queue = app.queue().await?;
                    queue.remove(&cancelled.sub_queue()).await?;
                    queue.close().await;
                }
            }
        }
        store.close().await;
        Ok(ExitCode::SUCCESS)
    }
}

async fn find(store: &dyn Campaigns, which: Which) -> Result<Campaign> {
    let found = match which {
        Which::Latest => store.campaigns(1).await?.pop(),
        Which::Id(id) => store.campaign(id).await?,
    };
    match found {
        Some(campaign) => Ok(campaign),
        None => {
            bail!("there is no such campaign; `facefleet campaign list` shows those that are there")
        }
    }
}

async fn set(store: &dyn Campaigns, which: Which, state: CampaignState) -> Result<Campaign> {
    let campaign = find(store, which).await?;
    // What was given up is not taken up again: its jobs may be gone from the queue.
    if campaign.state == CampaignState::Cancelled {
        bail!("campaign {} was cancelled; scan again: what is settled is skipped", campaign.id);
    }
    store.set_campaign_state(campaign.id, state).await?;
    say(format!("{} {}", campaign.id, state.as_str()))?;
    Ok(campaign)
}

/// A word for people: "complete" is what counts say of a running campaign.
fn standing(campaign: &Campaign) -> &'static str {
    match campaign.state {
        CampaignState::Running if campaign.progress.is_complete() => "complete",
        state => state.as_str(),
    }
}

fn as_line(campaign: &Campaign) -> String {
    let Campaign { id, lane, gallery, progress, started_at, .. } = campaign;
    let done = progress.skipped + progress.ended();
    let more = if progress.listing_done { "" } else { "+" };
    format!(
        "{id}  {started_at:.19}Z  {:9}  {lane:7}  {gallery}  {done} of {}{more}",
        standing(campaign),
        progress.listed
    )
}

fn as_json(campaign: &Campaign) -> serde_json::Value {
    let progress = &campaign.progress;
    json!({
        "campaign": campaign.id, "lane": campaign.lane, "gallery": campaign.gallery, "profile": campaign.profile,
        "selection": campaign.selection,
        "source": campaign.source, "state": standing(campaign), "started_at": campaign.started_at, "listed": progress.listed,
        "skipped": progress.skipped, "listing_done": progress.listing_done, "outcomes": outcomes_json(progress),
        "left": progress.left(), "faces": progress.faces,
    })
}
