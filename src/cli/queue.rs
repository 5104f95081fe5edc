//! `facefleet queue …`

use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::{Args, Subcommand};
use serde_json::json;
use uuid::Uuid;

use super::say;
use crate::app::App;
use crate::domain::{JobId, Lane, ProfileId, SubQueue, SubQueueOf};
use crate::queue::{DeadLetter, DeadLetterFilter, JobQueue};

#[derive(Debug, Subcommand)]
pub(super) enum QueueCommand {
    /// How many jobs are where.
    Status {
        /// One JSON object.
        #[arg(long)]
        json: bool,
    },
    /// The dead letters: counted by reason, with one of each.
    Dead {
        /// Every one of them, a JSON object a line.
        #[arg(long)]
        json: bool,
        /// Look at so many, the oldest first.
        #[arg(long, default_value_t = 10_000, value_name = "N")]
        limit: usize,
    },
    /// Publish dead letters' jobs again, with all their attempts before them. They count in their
    /// campaigns: as failed until they end again, then as they end. Those of a cancelled campaign
    /// are dropped.
    Retry(Selection),
    /// Forget dead letters. Their outcomes stay in the store.
    Drop(Selection),
}

/// Which dead letters.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(super) struct Selection {
    /// Those whose reason contains this text.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// That of one job.
    #[arg(long, value_name = "ID")]
    job: Option<Uuid>,
    /// All of them.
    #[arg(long)]
    all: bool,
}

impl QueueCommand {
    pub(super) async fn run(self, app: &App) -> Result<ExitCode> {
        if app.is_embedded() {
            bail!(
                "queue.url is memory:, and a queue in a process is gone with it; this command is \
                    for a queue on a broker"
            );
        }
        let queue = app.queue().await?;
        match self {
            Self::Status { json } => status(app, queue.as_ref(), json).await?,
            Self::Dead { json, limit } => dead(&queue.dead_letters(limit).await?, json)?,
            Self::Retry(selection) => resolve(queue.as_ref(), selection, true).await?,
            Self::Drop(selection) => resolve(queue.as_ref(), selection, false).await?,
        }
        queue.close().await;
        Ok(ExitCode::SUCCESS)
    }
}

/// The places that the store knows of, with the jobs that wait there and why: of campaigns, sources
/// and profiles.
async fn places(app: &App, queue: &dyn JobQueue) -> Result<Vec<(String, u64, String)>> {
    let store = app.store().await?;
    let (campaigns, sources) = (store.open_campaigns().await?, store.source_statuses().await?);
    let profiles: BTreeSet<ProfileId> =
        store.galleries().await?.into_iter().flat_map(|(_, profiles)| profiles).collect();
    store.close().await;
    let of_campaigns = campaigns.iter().map(|campaign| {
        (
            campaign.sub_queue(),
            format!("campaign {}", campaign.id),
            format!("{}, profile {}", campaign.state.as_str(), campaign.profile),
        )
    });
    let of_sources = sources.iter().flat_map(|source| {
        let why = source.trouble.clone().unwrap_or_else(|| "it works".into());
        let place = |lane| SubQueue { lane, of: SubQueueOf::Source(source.name.clone()) };
        Lane::ALL.map(|lane| (place(lane), format!("source {}", source.name), why.clone()))
    });
    let of_profiles = profiles.into_iter().flat_map(|profile| {
        let place = |lane| SubQueue { lane, of: SubQueueOf::Profile(profile.clone()) };
        Lane::ALL.map(|lane| {
            (place(lane), format!("profile {profile}"), "for a worker with this profile".to_owned())
        })
    });
    let places: Vec<_> = of_campaigns.chain(of_sources).chain(of_profiles).collect();
    let counts =
        queue.waiting(&places.iter().map(|(place, ..)| place.clone()).collect::<Vec<_>>()).await?;
    let counted = places.into_iter().zip(counts).map(|((_, name, why), jobs)| (name, jobs, why));
    Ok(counted.filter(|(_, jobs, _)| *jobs > 0).collect())
}

async fn status(app: &App, queue: &dyn JobQueue, as_json: bool) -> Result<()> {
    let (status, places) = (queue.status().await?, places(app, queue).await?);
    if as_json {
        let ready: BTreeMap<_, _> =
            status.ready.iter().map(|(lane, jobs)| (lane.as_str(), jobs)).collect();
        let waiting: Vec<_> = places
            .iter()
            .map(|(place, jobs, why)| json!({ "place": place, "jobs": jobs, "why": why }))
            .collect();
        say(json!({
            "ready": ready, "waiting": waiting, "delayed": status.delayed, "unsettled": status.unsettled, "dead": status.dead,
        }))?;
        return Ok(());
    }
    for (place, jobs, why) in &places {
        say(format!("{:<10} {jobs:>10} wait in {place} ({why})", ""))?;
    }
    for (lane, jobs) in &status.ready {
        say(format!("{:<10} {jobs:>10} ready", lane.as_str()))?;
    }
    // A broker does not tell everybody how many are in hand.
    for (place, jobs) in [
        ("delayed", Some(status.delayed)),
        ("in hand", status.unsettled),
        ("dead", Some(status.dead)),
    ] {
        if let Some(jobs) = jobs {
            say(format!("{:<10} {jobs:>10} {place}", ""))?;
        }
    }
    Ok(())
}

fn dead(letters: &[DeadLetter], as_json: bool) -> Result<()> {
    if as_json {
        for letter in letters {
            let job = letter.job.as_ref();
            say(json!({
                "reason": letter.reason, "job": job.map(|job| job.id), "lane": job.map(|job| job.lane),
                "gallery": job.map(|job| &job.gallery), "image": job.map(|job| job.image.to_string()),
                "attempt": job.map(|job| job.attempt),
            }))?;
        }
        return Ok(());
    }
    let mut reasons: BTreeMap<&str, (u64, &DeadLetter)> = BTreeMap::new();
    for letter in letters {
        let (count, latest) = reasons.entry(&letter.reason).or_insert((0, letter));
        (*count, *latest) = (*count + 1, letter);
    }
    for (reason, (count, letter)) in &reasons {
        say(format!("{count:>8}  {reason}"))?;
        match &letter.job {
            Some(job) => say(format!(
                "          such as job {}, {}, gallery {}",
                job.id, job.image, job.gallery
            ))?,
            None => say("          the message could not be read as a job")?,
        }
    }
    if letters.is_empty() {
        say("no dead letters")?;
    }
    Ok(())
}

async fn resolve(queue: &dyn JobQueue, selection: Selection, retry: bool) -> Result<()> {
    let which = DeadLetterFilter { job: selection.job.map(JobId), reason: selection.reason };
    let resolved = queue.resolve_dead(&which, retry).await?;
    say(format!("{resolved} {}", if retry { "published again" } else { "dropped" }))?;
    Ok(())
}
