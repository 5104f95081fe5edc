//! What a running worker tells its surroundings, on a listener of its own: `/health/live`,
//! `/health/ready` and `/metrics`. No page, no biometric data, nothing that changes anything.

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

pub use self::health::Bounds;
use self::health::LastAnswers;
use crate::queue::JobQueue;
use crate::store::Store;
use crate::telemetry::metrics::{self, Recorder};
use crate::telemetry::vitals::Vitals;

/// How often the queue is asked how long it is, and how long it may take to say so.
const LOOK_EVERY: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(2);

/// What the listener looks at.
#[derive(Clone)]
pub struct Surroundings {
    /// Where results go.
    pub store: Arc<dyn Store>,
    /// Where jobs come from.
    pub queue: Arc<dyn JobQueue>,
    /// What was counted.
    pub recorder: Recorder,
    /// What the worker noted of itself.
    pub vitals: Arc<Vitals>,
    /// What is too long.
    pub bounds: Bounds,
    /// Cancelled once the worker takes no more jobs.
    pub stopping: CancellationToken,
}

/// The handlers' state.
#[derive(Clone)]
struct HandlerState {
    surroundings: Surroundings,
    last_answers: Arc<LastAnswers>,
}

/// Answers on `listener` until `until` is cancelled; then ends within a second, whoever is
/// connected.
pub async fn serve(listener: TcpListener, surroundings: Surroundings, until: CancellationToken) {
    let state = HandlerState { surroundings: surroundings.clone(), last_answers: Arc::default() };
    let router = Router::new()
        .route("/health/live", get(live))
        .route("/health/ready", get(ready))
        .route("/metrics", get(render))
        .with_state(state);
    let looking = tokio::spawn(look(surroundings));
    listener::serve(listener, router, until).await;
    looking.abort();
}

/// 200 while this process can go on, 503 with a line for each reason if only a restart helps.
async fn live(State(state): State<HandlerState>) -> Response {
    told("live\n", &health::not_live(&state.surroundings), &[])
}

/// 200 if jobs can be taken and recorded, 503 with a line for each reason if not; and a line for
/// each source of images in trouble.
async fn ready(State(state): State<HandlerState>) -> Response {
    let (reasons, sources) = health::not_ready(&state.surroundings, &state.last_answers).await;
    told("ready\n", &reasons, &sources)
}

fn told(well: &str, reasons: &[String], notes: &[String]) -> Response {
    let notes: String = notes.iter().map(|note| format!("{note}\n")).collect();
    match reasons {
        [] => (well.to_owned() + &notes).into_response(),
        _ => (StatusCode::SERVICE_UNAVAILABLE, reasons.join("\n") + "\n" + &notes).into_response(),
    }
}

async fn render(
    State(HandlerState { surroundings, .. }): State<HandlerState>,
) -> impl IntoResponse {
    let Surroundings { recorder, vitals, .. } = surroundings;
    metrics::oldest_job(vitals.oldest_job().unwrap_or_default());
    for backend in ["store", "queue"] {
        metrics::waiting(backend, vitals.waits.longest(backend).unwrap_or_default());
    }
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], recorder.render())
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
            for (place, jobs) in
                [("waiting", status.waiting), ("delayed", status.delayed), ("dead", status.dead)]
            {
                metrics::queue_place(place, jobs);
            }
        }
    }
}
