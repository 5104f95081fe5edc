//! What is well and what is not: liveness looks at this process, readiness at the work it is there
//! for.

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
        Self {
            batch: Duration::from_secs(300),
            wait: Duration::from_secs(5),
            job: Duration::from_secs(600),
        }
    }
}

/// What store and queue said last. Locked while they are asked, so that no two requests ask at
/// once.
pub(super) type LastAnswers = Mutex<Option<(Instant, Answers)>>;

/// What store and queue say.
#[derive(Debug, Clone)]
pub(super) struct Answers {
    /// Why no jobs can be taken or recorded.
    objections: Vec<String>,
    /// A line for each source of images in trouble: its jobs wait, and the others do not.
    sources: Vec<String>,
}

/// Why only a restart helps; none if the process is live.
pub(super) fn not_live(surroundings: &Surroundings) -> Vec<String> {
    surroundings.vitals.stuck_threads(surroundings.bounds.batch)
}

/// Why jobs are not taken, done and recorded, none if the worker is ready; and what else should be
/// known.
pub(super) async fn not_ready(
    surroundings: &Surroundings,
    last: &LastAnswers,
) -> (Vec<String>, Vec<String>) {
    let mut reasons = not_live(surroundings);
    if surroundings.stopping.is_cancelled() {
        reasons.push("stopping: what is in hand is finished, and no more is taken".to_owned());
    }
    if !surroundings.vitals.is_consuming() {
        reasons.push("starting: no jobs are taken yet".to_owned());
    }
    reasons.extend(surroundings.queue.trouble());
    reasons.extend(surroundings.vitals.waits.longer_than(surroundings.bounds.wait));
    if let Some(age) = surroundings.vitals.oldest_job().filter(|age| *age > surroundings.bounds.job)
    {
        reasons.push(format!(
            "a job has been in hand for {} s: the log says which jobs were taken then",
            age.as_secs()
        ));
    }
    let Answers { objections, sources } = answers(surroundings, last).await;
    reasons.extend(objections);
    (reasons, sources)
}

/// What store and queue say, asked again if the last answer is old.
async fn answers(surroundings: &Surroundings, last: &LastAnswers) -> Answers {
    let mut last = last.lock().await;
    if let Some((at, answers)) = last.as_ref()
        && at.elapsed() < FRESH
    {
        return answers.clone();
    }
    let (store, publishing, status, sources) = tokio::join!(
        in_time("the store", surroundings.store.try_writing()),
        in_time("the queue", surroundings.queue.try_publishing()),
        in_time("the queue", surroundings.queue.status()),
        in_time("the store", surroundings.store.source_statuses()),
    );
    let mut objections: Vec<String> =
        [store.err(), publishing.err(), status.err()].into_iter().flatten().collect();
    objections.dedup();
    // An error of the store is told by the first.
    let sources =
        sources.unwrap_or_default().into_iter().filter_map(|source| source.warning()).collect();
    let answers = Answers { objections, sources };
    *last = Some((Instant::now(), answers.clone()));
    answers
}

async fn in_time<T, E: std::fmt::Display>(
    what: &str,
    answer: impl Future<Output = Result<T, E>>,
) -> Result<T, String> {
    match timeout(PATIENCE, answer).await {
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(_) => Err(format!("{what}: no answer within {} s", PATIENCE.as_secs())),
    }
}
