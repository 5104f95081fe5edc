//! `facefleet schedule …`

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use clap::{Args, Subcommand};

use super::interrupt::{Interrupted, stop_on_signal};
use super::{SOME_FAILED, printable, say, say_json};
use crate::app::App;
use crate::domain::{RunState, ScheduleName, ScheduleRun};
use crate::gallery::schedules::{ClaimedRun, RUNS_AT_ONCE, Scheduler};
use crate::store::{RunKey, RunQuery, Store, StoredSchedule};
use crate::view::schedule::{ScheduleRunView, ScheduleView};

#[derive(Debug, Subcommand)]
pub(super) enum ScheduleCommand {
    /// Show the schedules of the settings and of the store, and when they are due.
    List {
        /// Print one JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// Run the schedules that are due, or those that are named, now.
    ///
    /// With the queue in this process (the default), this process scores the images: call it from
    /// cron or a systemd timer, or keep it running with --watch. With a queue on a broker, workers
    /// run the schedules of their settings by themselves; this command publishes the jobs for them.
    ///
    /// A schedule that is new, or whose cron line or time zone changed, is due at its next slot
    /// after this command first saw it. Exits with 3 if a run failed.
    Run(RunArgs),
    /// Show runs, the latest slots first.
    History {
        /// Of this schedule [default: of all].
        name: Option<ScheduleName>,
        /// Show at most N runs.
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
}

/// Which schedules to run.
#[derive(Debug, Args)]
pub(super) struct RunArgs {
    /// Run these now, whether or not they are due, in addition to their slots.
    #[arg(value_name = "NAME")]
    names: Vec<ScheduleName>,
    /// Stay, and run schedules when they are due, until SIGTERM (exits with 0) or Ctrl-C.
    #[arg(long, conflicts_with = "names")]
    watch: bool,
    /// Print one JSON object a line, for each run.
    #[arg(long)]
    json: bool,
}

impl ScheduleCommand {
    pub(super) async fn run(self, app: &App) -> Result<ExitCode> {
        // What only reads creates no store.
        let store = match self {
            Self::Run(_) if !app.settings().schedule.is_empty() => app.store().await?,
            _ => app.filled_store().await?,
        };
        let code = match self {
            Self::List { json } => {
                list(app, store.as_ref(), json).await?;
                ExitCode::SUCCESS
            }
            Self::Run(run) => run.run(app, &store).await?,
            Self::History { name, limit, json } => {
                let query = RunQuery { schedule: name, running: false, limit };
                require_schedule(app, store.as_ref(), &query).await?;
                for run in store.schedule_runs(&query).await? {
                    show(&run, json)?;
                }
                ExitCode::SUCCESS
            }
        };
        store.close().await;
        Ok(code)
    }
}

impl RunArgs {
    async fn run(self, app: &App, store: &Arc<dyn Store>) -> Result<ExitCode> {
        let queue = app.shared_queue().await?;
        let scheduler = app.scheduler(Arc::clone(store), queue.clone(), None);
        if scheduler.is_empty() {
            eprintln!("the settings have no [[schedule]]");
        }
        let stop = stop_on_signal(|| eprintln!("stopping: jobs in flight are finished first"))?;
        scheduler.define().await?;
        let mut failed = false;
        if self.watch {
            let poll = Duration::from_secs(app.settings().worker.schedule_poll_seconds);
            let (send, mut ended) = tokio::sync::mpsc::unbounded_channel();
            let told = move |run: &ClaimedRun| drop(send.send(run.clone()));
            // In one process, a run has the models and the cores: one at a time.
            let at_once = if queue.is_some() { RUNS_AT_ONCE } else { 1 };
            let watching = tokio::spawn(scheduler.watch(poll, at_once, stop.token(), told));
            while let Some(run) = ended.recv().await {
                tell(store.as_ref(), &run, self.json).await?;
            }
            watching.await?;
        } else {
            for run in self.once(&scheduler, &stop.token()).await? {
                let state = tell(store.as_ref(), &run, self.json).await?;
                failed |= state == Some(RunState::Failed);
            }
        }
        if let Some(queue) = queue {
            queue.close().await;
        }
        let is_asked_to_end = self.watch && stop.is_terminated();
        if stop.is_stopped() && !is_asked_to_end {
            return Err(Interrupted.into());
        }
        Ok(if failed { ExitCode::from(SOME_FAILED) } else { ExitCode::SUCCESS })
    }

    async fn once(
        &self,
        scheduler: &Scheduler,
        stop: &tokio_util::sync::CancellationToken,
    ) -> Result<Vec<ClaimedRun>> {
        if self.names.is_empty() {
            let runs = scheduler.run_due(stop).await?;
            if runs.is_empty() && !self.json {
                say("nothing is due")?;
            }
            return Ok(runs);
        }
        let mut runs = Vec::new();
        for name in &self.names {
            runs.push(scheduler.run_now(name, stop).await?);
        }
        Ok(runs)
    }
}

/// Shows a run as the store has it.
async fn tell(store: &dyn Store, run: &ClaimedRun, json: bool) -> Result<Option<RunState>> {
    let RunKey { schedule, slot } = &run.key;
    let query = RunQuery { schedule: Some(schedule.clone()), running: false, limit: 100 };
    let found = store.schedule_runs(&query).await?.into_iter().find(|found| found.slot == *slot);
    if let Some(run) = &found {
        show(run, json)?;
    }
    Ok(found.map(|run| run.state))
}

/// Refuses a name that no schedule has.
async fn require_schedule(app: &App, store: &dyn Store, query: &RunQuery) -> Result<()> {
    let Some(wanted) = &query.schedule else { return Ok(()) };
    let own = app.settings().schedule.iter().any(|schedule| schedule.name == *wanted);
    let stored = store.schedules().await?;
    let known = own || stored.iter().any(|stored| stored.schedule.name == *wanted);
    ensure!(
        known || !store.schedule_runs(query).await?.is_empty(),
        "there is no schedule '{wanted}': `facefleet schedule list` shows them"
    );
    Ok(())
}

async fn list(app: &App, store: &dyn Store, json: bool) -> Result<()> {
    let mut schedules = store.schedules().await?;
    let own = &app.settings().schedule;
    for schedule in own {
        if schedules.iter().all(|stored| stored.schedule.name != schedule.name) {
            schedules.push(StoredSchedule { schedule: schedule.clone(), next_due: None });
        }
    }
    schedules.sort_by(|one, other| one.schedule.name.cmp(&other.schedule.name));
    if schedules.is_empty() && !json {
        say("there is no schedule: write a [[schedule]] table into the settings, see \
            docs/schedules.md")?;
    }
    for stored in &schedules {
        let name = &stored.schedule.name;
        let query = RunQuery { schedule: Some(name.clone()), running: false, limit: 1 };
        let last = store.schedule_runs(&query).await?.pop();
        let in_settings = own.iter().any(|schedule| schedule.name == *name);
        let view = ScheduleView::new(stored, in_settings, last.as_ref());
        if json { say_json(&view)? } else { say(as_text(&view))? }
    }
    Ok(())
}

fn as_text(view: &ScheduleView) -> String {
    let ScheduleView { schedule, cron, timezone, action, gallery, misfire, .. } = view;
    let due = match (&view.next_due, &view.next_due_local) {
        (Some(due), Some(local)) => format!("due {local} ({due:.16}Z)"),
        _ if view.enabled => "no process has begun with it".to_owned(),
        _ => "off".to_owned(),
    };
    let mut text = format!(
        "{schedule}  {cron} {timezone}  {action} gallery {gallery}  misfire {misfire}  {due}"
    );
    if !view.in_settings {
        text += "  (not in the settings of this process)";
    }
    if let Some(run) = &view.last_run {
        text += &format!("\n  last: {:.16}Z {}", run.slot, state(run));
        if let Some(error) = &run.error {
            text += &format!(": {}", printable(error));
        }
    }
    text
}

fn state(run: &ScheduleRunView) -> &'static str {
    if run.silent { "running, its process is silent" } else { run.state.as_str() }
}

fn show(run: &ScheduleRun, json: bool) -> Result<()> {
    let view = ScheduleRunView::from(run);
    if json {
        return Ok(say_json(&view)?);
    }
    let campaign = match view.campaign {
        Some(campaign) => format!("  campaign {campaign}"),
        None => String::new(),
    };
    let error = view.error.as_deref().map(|error| format!("  {}", printable(error)));
    let by = printable(&view.claimed_by);
    Ok(say(format!(
        "{}  {:.19}Z  {:7}  by {by}{campaign}{}",
        view.schedule,
        view.slot,
        state(&view),
        error.unwrap_or_default()
    ))?)
}
