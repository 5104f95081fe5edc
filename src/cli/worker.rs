//! `facefleet worker`

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{Args, Subcommand};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::interrupt::stop_on_signal;
use super::{printable, say, say_json};
use crate::app::App;
use crate::app::schedules::SchedulingWorker;
use crate::domain::{Lane, SeenWorker, WorkerReport};
use crate::gallery::schedules::RUNS_AT_ONCE;
use crate::gallery::takers::{differences, differing_roots};
use crate::images::Root;
use crate::queue::JobQueue;
use crate::settings::LogFormat;
use crate::store::Store;
use crate::telemetry::metrics::Recorder;
use crate::view::worker::{WorkerView, worker_state};
use crate::web::{self, HealthContext, HealthLimits};
use crate::worker::heartbeat::Heartbeat;
use crate::worker::{Process, Processor};

/// The longest that runs of schedules may take to stop.
const MOST_STOPPING: Duration = Duration::from_secs(2);

/// Process jobs from a queue on a broker and record their outcomes: one worker of a fleet.
///
/// Runs until SIGTERM or Ctrl-C. Then finishes the jobs in flight, within `worker.drain_seconds`,
/// and exits with 0; jobs that are not finished by then are delivered again. Any number of workers,
/// on any number of hosts, share a queue and a store. Prints a line once it takes jobs: profile,
/// provider, lanes, roots and the address of its listener.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct WorkerArgs {
    /// Lanes to consume: enrol, scan, rescore [default: all].
    #[arg(long, value_delimiter = ',', value_name = "LANE")]
    lanes: Vec<Lane>,
    /// Folders, buckets and web servers that images may come from, in addition to those of the
    /// setting `images.allow`.
    #[arg(
        long,
        value_name = "FOLDER|URL",
        value_parser = OsStringValueParser::new().try_map(Root::try_from)
    )]
    root: Vec<Root>,
    /// The images are chips: aligned faces of 112x112 pixels. No detection; others are refused.
    #[arg(long)]
    aligned: bool,
    #[command(subcommand)]
    command: Option<WorkerCommand>,
}

#[derive(Debug, Subcommand)]
enum WorkerCommand {
    /// Show the workers that report themselves to the store, and those that died within a day.
    List {
        /// Print one JSON object a line.
        #[arg(long)]
        json: bool,
    },
}

impl WorkerArgs {
    pub(super) async fn run(self, app: App) -> Result<ExitCode> {
        match self.command {
            Some(WorkerCommand::List { json }) => {
                let store = app.filled_store().await?;
                list(&store.workers().await?, json)?;
                store.close().await;
                Ok(ExitCode::SUCCESS)
            }
            None => self.work(app).await,
        }
    }

    async fn work(self, app: App) -> Result<ExitCode> {
        if app.is_embedded() {
            bail!(
                "queue.url is memory:, which no other process can fill; set \
                    FACEFLEET__QUEUE__URL=amqp://… and FACEFLEET__STORE__URL=postgres://… (or use \
                    `facefleet scan`, which needs no worker)"
            );
        }
        let recorder = Recorder::install().context("Failed to start the metrics")?;
        // Before the models are opened: report an address that is in use at once.
        let listener = web::bind(&app.settings().server.listen).await?;
        let address = listener.as_ref().map(|listener| listener.local_addr()).transpose()?;
        if let Some(address) = address {
            note_address(address);
        }
        let (store, queue) = (app.store().await?, app.queue().await?);
        let processor = app.processor(&self.root, self.aligned)?.for_store(store.clone());
        let processor = Arc::new(processor);
        let enrol = app.enrol_rules(processor.profile())?;
        let mut worker = app.worker(queue.clone(), store.clone(), processor.clone(), enrol);
        if !self.lanes.is_empty() {
            worker.settings.lanes.clone_from(&self.lanes);
        }
        let report = app.worker_report(&worker.settings.lanes, &self.root, &processor, address)?;
        let stop =
            stop_on_signal(|| tracing::info!("stopping: jobs in flight are finished first"))?;
        let stop_serving = CancellationToken::new();
        let serving = listener.map(|listener| {
            let context = HealthContext {
                store: store.clone(),
                queue: queue.clone(),
                recorder,
                vitals: worker.vitals.clone(),
                limits: HealthLimits::default(),
                stopping: stop.token(),
            };
            tokio::spawn(web::serve(listener, context, stop_serving.clone()))
        });
        tracing::info!(
            profile = %processor.profile_id(),
            provider = processor.provider(),
            "consuming jobs"
        );
        let stop_beating = stop.token().child_token();
        let beating = tokio::spawn(beat(&app, store.clone(), report, &worker, &stop_beating));
        let scheduling = self.run_schedules(&app, &store, &queue, &processor, stop.token());
        let worked = worker.run(stop.token()).await;
        end_schedules(scheduling).await;
        stop_beating.cancel();
        beating.await?;
        stop_serving.cancel();
        app.close(queue.as_ref(), store.as_ref()).await;
        if let Some(serving) = serving {
            serving.await?;
        }
        worked?;
        tracing::info!("stopped");
        Ok(ExitCode::SUCCESS)
    }
}

impl WorkerArgs {
    /// Runs the schedules of the settings beside the worker, until `stop` is cancelled.
    fn run_schedules(
        &self,
        app: &App,
        store: &Arc<dyn Store>,
        queue: &Arc<dyn JobQueue>,
        processor: &Processor,
        stop: CancellationToken,
    ) -> JoinHandle<()> {
        let (profile, roots) = (processor.profile().clone(), self.root.clone());
        let worker = Some(SchedulingWorker { profile, roots });
        let scheduler = app.scheduler(Arc::clone(store), Some(Arc::clone(queue)), worker);
        let poll = Duration::from_secs(app.settings().worker.schedule_poll_seconds);
        tokio::spawn(scheduler.watch(poll, RUNS_AT_ONCE, stop, |_| {}))
    }
}

/// Waits for the runs of schedules, which stop. Another worker goes on with them.
async fn end_schedules(mut scheduling: JoinHandle<()>) {
    if timeout(MOST_STOPPING, &mut scheduling).await.is_err() {
        scheduling.abort();
    }
}

fn note_address(address: SocketAddr) {
    tracing::info!(%address, "serving health and metrics");
    if let Some(warning) = web::unreachable_from_pod(address) {
        tracing::warn!("{warning}");
    }
}

/// Reports `worker` to the store while it runs; when it begins, prints a line about it and warns
/// of workers that refuse what it reads.
fn beat(
    app: &App,
    store: Arc<dyn Store>,
    report: WorkerReport,
    worker: &crate::worker::Worker,
    stop: &CancellationToken,
) -> impl Future<Output = ()> + Send + use<> {
    let (vitals, stop, format) = (worker.vitals.clone(), stop.clone(), app.settings().log.format);
    let heartbeat = Heartbeat { store, report };
    heartbeat.run(vitals, stop, move |own, known| {
        // An error means that standard output is closed.
        drop(match format {
            LogFormat::Text => say(printable(&started(&own.report))),
            LogFormat::Json => say_json(&WorkerView::from(own)),
        });
        for difference in differing_roots(&own.report, known) {
            let difference = printable(&difference);
            tracing::warn!("workers of this fleet have different roots: {difference}");
        }
    })
}

/// What a worker that takes jobs prints.
fn started(report: &WorkerReport) -> String {
    let listener = match &report.listener {
        Some(address) => format!("health and metrics on http://{address}"),
        None => "no listener".to_owned(),
    };
    let WorkerReport { profile, provider, .. } = report;
    let (lanes, roots) = (lanes(report), roots(report));
    format!(
        "worker {} takes jobs: profile {profile}, {provider}, lanes {lanes}; reads {roots}; \
            {listener}",
        report.name()
    )
}

fn list(workers: &[SeenWorker], json: bool) -> Result<()> {
    if json {
        return Ok(workers.iter().try_for_each(|worker| say_json(&WorkerView::from(worker)))?);
    }
    let width = workers.iter().map(|worker| worker.report.name().chars().count()).max();
    for worker in workers {
        say(line(worker, width.unwrap_or_default()))?;
    }
    if workers.is_empty() {
        say("no worker runs, and none died within a day")?;
    }
    for difference in differences(workers) {
        say(printable(&format!("workers of one fleet have different roots: {difference}")))?;
    }
    Ok(())
}

/// A worker in a line. What it says of itself comes from the database.
fn line(worker: &SeenWorker, width: usize) -> String {
    let SeenWorker { report, started_at, last_seen, .. } = worker;
    let since = if worker.live { ("since", started_at) } else { ("last seen", last_seen) };
    let line = format!(
        "{}  {:width$}  profile {}  {}  {}  reads {}  {}  {}  {} {:.19}Z",
        worker_state(worker),
        report.name(),
        report.profile,
        report.provider,
        lanes(report),
        roots(report),
        report.listener.as_deref().unwrap_or("-"),
        report.version,
        since.0,
        since.1,
    );
    printable(&line).into_owned()
}

fn lanes(report: &WorkerReport) -> String {
    report.lanes.iter().map(|lane| lane.as_str()).collect::<Vec<_>>().join(",")
}

fn roots(report: &WorkerReport) -> String {
    let roots = report.roots.join(", ");
    if roots.is_empty() { "nothing".to_owned() } else { roots }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::WorkerId;

    #[test]
    fn what_a_worker_says_of_itself_cannot_control_a_terminal() {
        let strange = || "a\u{1b}[31m\nb".to_owned();
        let report = WorkerReport {
            id: WorkerId::new(),
            host: strange(),
            pid: 7,
            version: strange(),
            queue: strange(),
            profile: "0".repeat(16).parse().unwrap(),
            provider: strange(),
            lanes: Lane::ALL.to_vec(),
            roots: vec![strange()],
            resolved: Vec::new(),
            listener: Some(strange()),
            settings: Default::default(),
        };
        let time = "2026-11-26T04:00:00Z".to_owned();
        let worker = SeenWorker { report, live: true, started_at: time.clone(), last_seen: time };
        for text in [line(&worker, 10), printable(&started(&worker.report)).into_owned()] {
            assert!(!text.contains(char::is_control), "{text:?}");
        }
    }
}
