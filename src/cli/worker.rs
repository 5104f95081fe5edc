//! `facefleet worker`

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use clap::Args;
use clap::builder::{OsStringValueParser, TypedValueParser};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::interrupt::stop_on_signal;
use crate::app::App;
use crate::domain::Lane;
use crate::images::Root;
use crate::telemetry::metrics::Recorder;
use crate::web::{self, HealthContext, HealthLimits};

/// Process jobs from a queue on a broker and record their outcomes: one worker of a fleet.
///
/// Runs until SIGTERM or Ctrl-C. Then finishes the jobs in flight, within `worker.drain_seconds`,
/// and exits with 0; jobs that are not finished by then are delivered again. Any number of workers,
/// on any number of hosts, share a queue and a store.
#[derive(Debug, Args)]
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
}

impl WorkerArgs {
    pub(super) async fn run(self, app: App) -> Result<ExitCode> {
        if app.is_embedded() {
            bail!(
                "queue.url is memory:, which no other process can fill; set \
                    FACEFLEET__QUEUE__URL=amqp://… and FACEFLEET__STORE__URL=postgres://… (or use \
                    `facefleet scan`, which needs no worker)"
            );
        }
        let recorder = Recorder::install().context("Failed to start the metrics")?;
        // Before the models are opened: report an address that is in use at once.
        let listener = listen(&app.settings().server.listen).await?;
        let (store, queue) = (app.store().await?, app.queue().await?);
        let processor = Arc::new(app.processor(&self.root, self.aligned)?);
        let mut worker = app.worker(queue.clone(), store.clone(), processor.clone());
        if !self.lanes.is_empty() {
            worker.settings.lanes = self.lanes;
        }
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
        let worked = worker.run(stop.token()).await;
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

async fn listen(address: &str) -> Result<Option<TcpListener>> {
    if address.is_empty() {
        return Ok(None);
    }
    let listener = TcpListener::bind(address).await;
    let listener =
        listener.with_context(|| format!("Failed to listen on server.listen = {address}"))?;
    if let Ok(address) = listener.local_addr() {
        tracing::info!(%address, "serving health and metrics");
    }
    Ok(Some(listener))
}
