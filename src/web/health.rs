//! What is well and what is not: liveness looks at this process, readiness at the work it is there for.

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::Surroundings;

/// A backend that does not answer within this time is not ready.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long the answers of store and queue are reused.
const FRESH: Duration = Duration::from_secs(3);

/// Time limits of health checks.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// A model thread that is busy with one batch for longer counts as hung.
    pub batch: Duration,
    /// Results that wait for the store or the queue for longer make the worker not ready.
    pub wait: Duration,
    /// So does a job in hand for longer. RabbitMQ's `consumer_timeout` is 30 minutes.
    pub job: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { batch: Duration::from_secs(300), wait: Duration::from_secs(5), job: Duration::from_secs(600) }
    }
}

/// The last objections of store and queue. Locked while they are asked, so that no two requests ask at once.
pub(super) type LastAnswers = Mutex<Option<(Instant, Vec<String>)>>;

/// Why only a restart helps; none if the process is live.
pub(super) fn not_live(surroundings: &Surroundings) -> Vec<String> {
    surroundings.vitals.stuck_threads(surroundings.bounds.batch)
}

/// Why jobs are not taken, done and recorded; none if the worker is ready.
pub(super) async fn not_ready(surroundings: &Surroundings, last: &LastAnswers) -> Vec<String> {
    let mut reasons = not_live(surroundings);
    if surroundings.stopping.is_cancelled() {
        reasons.push("stopping: what is in hand is finished, and no more is taken".to_owned());
    }
    if !surroundings.vitals.is_consuming() {
        reasons.push("starting: no jobs are taken yet".to_owned());
    }
    reasons.extend(surroundings.queue.trouble());
    reasons.extend(surroundings.vitals.waits.longer_than(surroundings.bounds.wait));
    if let Some(age) = surroundings.vitals.oldest_job().filter(|age| *age > surroundings.bounds.job) {
        reasons.push(format!("a job has been in hand for {} s: the log says which jobs were taken then", age.as_secs()));
    }
    reasons.extend(answers(surroundings, last).await);
    reasons
}

/// What store and queue object to, asked again if the last answer is old.
async fn answers(surroundings: &Surroundings, last: &LastAnswers) -> Vec<String> {
    let mut last = last.lock().await;
    if let Some((at, reasons)) = last.as_ref()
        && at.elapsed() < FRESH
    {
        return reasons.clone();
    }
    let (store, publishing, status) = tokio::join!(
        in_time("the store", surroundings.store.try_writing()),
        in_time("the queue", surroundings.queue.try_publishing()),
        in_time("the queue", surroundings.queue.status()),
    );
    let mut reasons: Vec<String> = [store.err(), publishing.err(), status.err()].into_iter().flatten().collect();
    reasons.dedup();
    *last = Some((Instant::now(), reasons.clone()));
    reasons
}

async fn in_time<T, E: std::fmt::Display>(what: &str, answer: impl Future<Output = Result<T, E>>) -> Result<T, String> {
    match timeout(PATIENCE, answer).await {
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(_) => Err(format!("{what}: no answer within {} s", PATIENCE.as_secs())),
    }
}
