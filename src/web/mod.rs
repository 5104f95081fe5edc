//! What a running worker tells its surroundings, on a listener of its own: `/health/live`, `/health/ready` and `/metrics`. No page, no
//! biometric data, nothing that changes anything.

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

use crate::queue::JobQueue;
use crate::store::Store;
use crate::telemetry::metrics::{self, Recorder};

/// What is not answered within this time is not ready.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often the queue is asked how long it is.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// What the listener looks at.
#[derive(Clone)]
pub struct Surroundings {
    /// Where results go.
    pub store: Arc<dyn Store>,
    /// Where jobs come from.
    pub queue: Arc<dyn JobQueue>,
    /// What was counted.
    pub recorder: Recorder,
    /// Cancelled once the worker takes no more jobs.
    pub stopping: CancellationToken,
}

/// Answers on `listener` until `until` is cancelled.
///
/// # Errors
/// If the listener breaks.
pub async fn serve(listener: TcpListener, surroundings: Surroundings, until: CancellationToken) -> std::io::Result<()> {
    let router = Router::new()
        .route("/health/live", get(async || "live\n"))
        .route("/health/ready", get(ready))
        .route("/metrics", get(render))
        .with_state(surroundings.clone());
    let looking = tokio::spawn(look(surroundings));
    let served = axum::serve(listener, router).with_graceful_shutdown(async move { until.cancelled().await }).await;
    looking.abort();
    served
}

/// 200 if jobs can be taken and recorded, 503 with a line for each reason if not.
async fn ready(State(surroundings): State<Surroundings>) -> Response {
    let mut reasons = Vec::new();
    if surroundings.stopping.is_cancelled() {
        reasons.push("stopping: what is in hand is finished, and no more is taken".to_owned());
    }
    let (store, queue) =
        tokio::join!(timeout(PATIENCE, surroundings.store.ping()), timeout(PATIENCE, surroundings.queue.status()));
    let silent = || format!("no answer within {} s", PATIENCE.as_secs());
    match store {
        Ok(Ok(())) => {}
        Ok(Err(error)) => reasons.push(error.to_string()),
        Err(_) => reasons.push(format!("the store: {}", silent())),
    }
    match queue {
        Ok(Ok(_)) => {}
        Ok(Err(error)) => reasons.push(error.to_string()),
        Err(_) => reasons.push(format!("the queue: {}", silent())),
    }
    if reasons.is_empty() {
        return "ready\n".into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, reasons.join("\n") + "\n").into_response()
}

async fn render(State(surroundings): State<Surroundings>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], surroundings.recorder.render())
}

/// Keeps the queue's gauges current, and the recorder small.
async fn look(surroundings: Surroundings) {
    let mut look = interval(LOOK_EVERY);
    loop {
        look.tick().await;
        surroundings.recorder.tidy();
        // While the queue is away its gauges stand still; `/health/ready` says so.
        if let Ok(Ok(status)) = timeout(PATIENCE, surroundings.queue.status()).await {
            for (lane, jobs) in status.ready {
                metrics::queue_ready(lane, jobs);
            }
            for (place, jobs) in [("delayed", status.delayed), ("dead", status.dead)] {
                metrics::queue_place(place, jobs);
            }
        }
    }
}
