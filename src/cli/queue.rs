//! `facefleet queue …`

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::builder::RangedU64ValueParser;
use clap::{Args, Subcommand};
use uuid::Uuid;

use super::{printable, say, say_json};
use crate::app::App;
use crate::domain::JobId;
use crate::gallery::waiting::waiting_jobs;
use crate::queue::{DeadLetter, DeadLetterFilter, JobQueue};
use crate::view::queue::{DeadLetterView, QueueView, ResolvedView};

#[derive(Debug, Subcommand)]
pub(super) enum QueueCommand {
    /// Show how many jobs are where.
    Status {
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Show the dead letters, counted by reason, with an example of each.
    Dead {
        /// Print every dead letter, one JSON object a line.
        #[arg(long)]
        json: bool,
        /// Read at most N, the oldest first.
        #[arg(
            long,
            default_value_t = 10_000,
            value_name = "N",
            value_parser = RangedU64ValueParser::<usize>::new().range(1..)
        )]
        limit: usize,
    },
    /// Publish the jobs of dead letters again, with all their attempts.
    ///
    /// In its campaign a job counts as failed until it ends again. Workers drop the jobs of a
    /// cancelled campaign.
    Retry(ResolveArgs),
    /// Delete dead letters. Their outcomes stay in the store.
    Drop(ResolveArgs),
}

/// Which dead letters.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(super) struct DeadLetterArgs {
    /// Dead letters whose reason contains this text.
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// The dead letter of this job.
    #[arg(long, value_name = "ID")]
    job: Option<Uuid>,
    /// All dead letters.
    #[arg(long)]
    all: bool,
}

/// Dead letters to resolve, and how to tell how many they were.
#[derive(Debug, Args)]
pub(super) struct ResolveArgs {
    #[command(flatten)]
    which: DeadLetterArgs,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

impl QueueCommand {
    pub(super) async fn run(self, app: &App) -> Result<ExitCode> {
        let queue: Arc<dyn JobQueue> = app.shared_queue().await?.context(
            "queue.url is memory:, and such a queue ends with its process; this command is for a \
                queue on a broker",
        )?;
        match self {
            Self::Status { json } => status(app, queue.as_ref(), json).await?,
            Self::Dead { json, limit } => {
                let prefix = &app.settings().queue.prefix;
                dead(&queue.dead_letters(limit).await?, prefix, json)?;
            }
            Self::Retry(ResolveArgs { which, json }) => {
                let resolved = queue.resolve_dead(&which.into(), true).await?;
                resolve(ResolvedView::Retried(resolved), json)?;
            }
            Self::Drop(ResolveArgs { which, json }) => {
                let resolved = queue.resolve_dead(&which.into(), false).await?;
                resolve(ResolvedView::Dropped(resolved), json)?;
            }
        }
        queue.close().await;
        Ok(ExitCode::SUCCESS)
    }
}

impl From<DeadLetterArgs> for DeadLetterFilter {
    fn from(DeadLetterArgs { reason, job, all: _ }: DeadLetterArgs) -> Self {
        Self { job: job.map(JobId), reason, ..Self::default() }
    }
}

fn resolve(resolved: ResolvedView, json: bool) -> Result<()> {
    match resolved {
        _ if json => say_json(&resolved)?,
        ResolvedView::Retried(jobs) => say(format!("{jobs} published again"))?,
        ResolvedView::Dropped(jobs) => say(format!("{jobs} dropped"))?,
    }
    Ok(())
}

async fn status(app: &App, queue: &dyn JobQueue, json: bool) -> Result<()> {
    let status = queue.status().await?;
    let waiting = match app.missing_store() {
        // Nothing has ever waited apart from the lanes.
        Some(_) => Vec::new(),
        None => {
            let store = app.store().await?;
            let waiting = waiting_jobs(store.as_ref(), queue).await;
            store.close().await;
            waiting?
        }
    };
    let view = QueueView::new(&status, waiting);
    if json {
        say_json(&view)?;
        return Ok(());
    }
    for waiting in &view.waiting {
        let (jobs, place, why) = (waiting.jobs, &waiting.place, &waiting.why);
        say(format!("{:<10} {jobs:>10} wait for {place} ({why})", ""))?;
    }
    for (lane, jobs) in &view.ready {
        say(format!("{:<10} {jobs:>10} ready", lane.as_str()))?;
    }
    // Not every broker user may read how many jobs are unsettled.
    let in_flight = view.unsettled.map(|jobs| ("in flight", jobs));
    let others = [Some(("delayed", view.delayed)), in_flight, Some(("dead", view.dead))];
    for (place, jobs) in others.into_iter().flatten() {
        say(format!("{:<10} {jobs:>10} {place}", ""))?;
    }
    Ok(())
}

fn dead(letters: &[DeadLetter], prefix: &str, json: bool) -> Result<()> {
    if json {
        for letter in letters {
            say_json(&DeadLetterView::from(letter))?;
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
            None => say(no_job(letter))?,
        }
    }
    if letters.iter().any(|letter| letter.job.is_none()) {
        say(format!(
            "a message that is no job is in the queue {prefix}.dead, whole or its first 256 KiB: \
                see it on RabbitMQ's management page, under Queues, Get messages, with requeue"
        ))?;
    }
    if letters.is_empty() {
        say("no dead letters")?;
    }
    Ok(())
}

/// The message of `letter`, which is not a job.
fn no_job(letter: &DeadLetter) -> String {
    match &letter.head {
        Some(head) => format!(
            "          such as a message of {} bytes that begins: {}",
            head.bytes,
            printable(&head.text)
        ),
        None => "          the message could not be read as a job".to_owned(),
    }
}
