//! Health: liveness is about this process, readiness about the work that it should do.

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use super::HealthContext;

/// A backend that does not answer within this time is not ready.
const TIMEOUT: Duration = Duration::from_secs(2);
/// How long the answers of store and queue are reused.
const TIME_TO_LIVE: Duration = Duration::from_secs(3);

/// Time limits.
#[derive(Debug, Clone, Copy)]
pub struct HealthLimits {
    /// The worker is not live if a model thread has been busy with one batch for longer.
    pub batch: Duration,
    /// The worker is not ready if a request to the store or the queue has waited for longer.
    pub wait: Duration,
    /// The worker is not ready if a job has been in flight for longer. RabbitMQ's
    /// `consumer_timeout` is 30 minutes.
    pub job: Duration,
}

impl Default for HealthLimits {
    fn default() -> Self {
        Self {
            batch: Duration::from_secs(300),
            wait: Duration::from_secs(5),
            job: Duration::from_secs(600),
        }
    }
}

/// The last answers of store and queue. Locked while they are asked, so that concurrent requests
/// share the answers.
pub(super) type LastAnswers = Mutex<Option<(Instant, Answers)>>;

/// The answers of store and queue.
#[derive(Debug, Clone)]
pub(super) struct Answers {
    /// Why no jobs can be taken or recorded.
    errors: Vec<String>,
    /// A line for each source of images in an outage. It delays the jobs of that source alone.
    outages: Vec<String>,
}

/// Whether jobs are taken, processed and recorded.
pub(super) struct Readiness {
    /// Why not; empty if the worker is ready.
    pub(super) reasons: Vec<String>,
    /// A line for each source of images in an outage.
    pub(super) outages: Vec<String>,
}

/// Why only a restart helps; empty if the process is live.
pub(super) fn not_live(context: &HealthContext) -> Vec<String> {
    context.vitals.stuck_threads(context.limits.batch)
}

pub(super) async fn readiness(context: &HealthContext, last: &LastAnswers) -> Readiness {
    let mut reasons = not_live(context);
    if context.stopping.is_cancelled() {
        reasons.push("stopping: jobs in flight are finished, and no more are taken".to_owned());
    }
    if !context.vitals.is_consuming() {
        reasons.push("starting: no jobs are taken yet".to_owned());
    }
    reasons.extend(context.queue.trouble());
    reasons.extend(context.vitals.waits.longer_than(context.limits.wait));
    if let Some(age) = context.vitals.oldest_job().filter(|age| *age > context.limits.job) {
        let seconds = age.as_secs();
        reasons.push(format!(
            "a job has been in flight for {seconds} s: see the log for what happened to it"
        ));
    }
    let Answers { errors, outages } = answers(context, last).await;
    reasons.extend(errors);
    Readiness { reasons, outages }
}

/// The answers of store and queue, asked again if the last ones are too old.
async fn answers(context: &HealthContext, last: &LastAnswers) -> Answers {
    let mut last = last.lock().await;
    if let Some((at, answers)) = last.as_ref()
        && at.elapsed() < TIME_TO_LIVE
    {
        return answers.clone();
    }
    let (store, publishing, status, sources) = tokio::join!(
        in_time("the store", context.store.try_writing()),
        in_time("the queue", context.queue.try_publishing()),
        in_time("the queue", context.queue.status()),
        in_time("the store", context.store.source_statuses()),
    );
    let mut errors: Vec<String> =
        [store.err(), publishing.err(), status.err()].into_iter().flatten().collect();
    errors.dedup();
    // If this fails, `try_writing` fails too, and its error is reported.
    let outages =
        sources.unwrap_or_default().into_iter().filter_map(|source| source.warning()).collect();
    let answers = Answers { errors, outages };
    *last = Some((Instant::now(), answers.clone()));
    answers
}

async fn in_time<T, E: std::fmt::Display>(
    backend: &str,
    answer: impl Future<Output = Result<T, E>>,
) -> Result<T, String> {
    match timeout(TIMEOUT, answer).await {
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(_) => Err(format!("{backend} did not answer within {} s", TIMEOUT.as_secs())),
    }
}
