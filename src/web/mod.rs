//! The HTTP listener of a running worker: `/health/live`, `/health/ready` and `/metrics`. It serves
//! no pages and no biometric data, and changes nothing.

mod bind;
mod health;
mod listener;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::time::{interval, timeout};
use tokio_util::sync::CancellationToken;

pub use self::bind::{BindError, bind, unreachable_from_pod};
pub use self::health::HealthLimits;
use self::health::{LastAnswers, Readiness};
use crate::queue::JobQueue;
use crate::store::Store;
use crate::telemetry::metrics::{self, Recorder};
use crate::telemetry::vitals::Vitals;

/// How often the queue's status is read, and how long that may take.
const STATUS_INTERVAL: Duration = Duration::from_secs(5);
const STATUS_TIMEOUT: Duration = Duration::from_secs(2);

/// What the answers are based on.
#[derive(Clone)]
pub struct HealthContext {
    /// Where results go.
    pub store: Arc<dyn Store>,
    /// Where jobs come from.
    pub queue: Arc<dyn JobQueue>,
    /// The metrics.
    pub recorder: Recorder,
    /// The vital signs of the worker.
    pub vitals: Arc<Vitals>,
    /// Time limits.
    pub limits: HealthLimits,
    /// Cancelled once the worker takes no more jobs.
    pub stopping: CancellationToken,
}

/// The handlers' state.
#[derive(Clone)]
struct HandlerState {
    context: HealthContext,
    last_answers: Arc<LastAnswers>,
}

/// Answers on `listener` until `until` is cancelled, then ends within a second, even if clients are
/// connected.
pub async fn serve(listener: TcpListener, context: HealthContext, until: CancellationToken) {
    let state = HandlerState { context: context.clone(), last_answers: Arc::default() };
    let router = Router::new()
        .route("/health/live", get(live))
        .route("/health/ready", get(ready))
        .route("/metrics", get(render))
        .with_state(state);
    let upkeep = tokio::spawn(repeat_upkeep(context));
    listener::serve(listener, router, until).await;
    upkeep.abort();
}

/// 200 while the process is live, 503 with a line for each reason if only a restart helps.
async fn live(State(state): State<HandlerState>) -> Response {
    answer("live\n", &health::not_live(&state.context), &[])
}

/// 200 if jobs are taken, processed and recorded, 503 with a line for each reason if not. In both
/// cases, a line for each source of images in an outage.
async fn ready(State(state): State<HandlerState>) -> Response {
    let Readiness { reasons, outages } =
        health::readiness(&state.context, &state.last_answers).await;
    answer("ready\n", &reasons, &outages)
}

fn answer(well: &str, reasons: &[String], notes: &[String]) -> Response {
    let notes: String = notes.iter().map(|note| format!("{note}\n")).collect();
    match reasons {
        [] => (well.to_owned() + &notes).into_response(),
        _ => (StatusCode::SERVICE_UNAVAILABLE, reasons.join("\n") + "\n" + &notes).into_response(),
    }
}

async fn render(State(HandlerState { context, .. }): State<HandlerState>) -> impl IntoResponse {
    let HealthContext { recorder, vitals, .. } = context;
    metrics::oldest_job(vitals.oldest_job().unwrap_or_default());
    for backend in ["store", "queue"] {
        metrics::waiting(backend, vitals.waits.longest(backend).unwrap_or_default());
    }
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], recorder.render())
}

/// Keeps the queue's gauges current and the recorder's memory small.
async fn repeat_upkeep(context: HealthContext) {
    let mut next = interval(STATUS_INTERVAL);
    loop {
        next.tick().await;
        context.recorder.run_upkeep();
        // If the queue cannot be reached, its gauges keep their values; `/health/ready` reports it.
        if let Ok(Ok(status)) = timeout(STATUS_TIMEOUT, context.queue.status()).await {
            for (lane, jobs) in status.ready {
                metrics::queue_ready(lane, jobs);
            }
            for (state, jobs) in
                [("waiting", status.waiting), ("delayed", status.delayed), ("dead", status.dead)]
            {
                metrics::queue_not_ready(state, jobs);
            }
        }
    }
}
