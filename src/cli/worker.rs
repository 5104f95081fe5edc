//! `facefleet worker`

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use clap::builder::{OsStringValueParser, TypedValueParser};
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::interrupt;
use crate::app::App;
use crate::domain::Lane;
use crate::images::Root;
use crate::telemetry::metrics::Recorder;
use crate::web::{self, HealthContext, HealthLimits};

/// Takes jobs from the queue until SIGTERM or Ctrl-C; then finishes what is in hand, within
/// `worker.drain_seconds`, and exits with 0. What is not finished by then is delivered again. Any
/// number of workers, on any number of hosts, share a queue and a store.
#[derive(Debug, Args)]
pub(super) struct Worker {
    /// Lanes to take jobs from: enrol, scan, rescore [default: all].
    #[arg(long, value_delimiter = ',', value_name = "LANE")]
    lanes: Vec<Lane>,
    /// Folders, buckets and web servers that images may come from, beside what `images.allow`
    /// names.
    #[arg(long, value_name = "FOLDER|URL", value_parser = OsStringValueParser::new().try_map(Root::try_from))]
    root: Vec<Root>,
    /// The images are chips already: aligned, and 112x112; others are refused. No detection.
    #[arg(long)]
    aligned: bool,
}

impl Worker {
    pub(super) async fn run(self, app: App) -> Result<ExitCode> {
        if app.is_embedded() {
            bail!(
                "queue.url is memory:, which no other process can fill; set \
                    FACEFLEET__QUEUE__URL=amqp://… and FACEFLEET__STORE__URL=postgres://… \
                 (or use `facefleet scan`, which needs no worker)"
            );
        }
        let recorder = Recorder::install().context("Failed to start the metrics")?;
        // Before the models: an address that is taken is told at once.
        let listener = listen(&app.settings().server.listen).await?;
        let (store, queue) = (app.store().await?, app.queue().await?);
        let processor = Arc::new(app.processor(&self.root, self.aligned)?);

        let mut worker = app.worker(queue.clone(), store.clone(), processor.clone());
        if !self.lanes.is_empty() {
            worker.settings.lanes = self.lanes;
        }
        let stop = interrupt::stop_on_signal(|| {
            tracing::info!("stopping: what is in hand is finished first")
        })?;
        let served = CancellationToken::new();
        let serving = listener.map(|listener| {
            let context = HealthContext {
                store: store.clone(),
                queue: queue.clone(),
                recorder,
                vitals: worker.vitals.clone(),
                limits: HealthLimits::default(),
                stopping: stop.clone(),
            };
            tokio::spawn(web::serve(listener, context, served.clone()))
        });
        tracing::info!(profile = %processor.profile_id(), provider = processor.provider(), "taking \
            jobs");
        let worked = worker.run(stop).await;
        served.cancel();
        let closing = async {
            queue.close().await;
            store.close().await;
        };
        // Less the second that the process takes to end.
        if timeout(app.closing().saturating_sub(Duration::from_secs(1)), closing).await.is_err() {
            tracing::warn!(
                "queue and store could not be closed in time; what was sent ahead is delivered \
                    again"
            );
        }
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
        tracing::info!(%address, "health and metrics");
    }
    Ok(Some(listener))
}
