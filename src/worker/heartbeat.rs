//! Reports a running worker to the store, again and again, so that others know that it runs and
//! what it takes.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use crate::domain::{SeenWorker, WorkerReport};
use crate::store::{BEAT_EVERY, Store};
use crate::telemetry::vitals::Vitals;

/// How often to look whether the worker has begun to consume.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Time to take the report back when the worker stops.
const ENDING: Duration = Duration::from_secs(2);

/// Reports a worker.
pub struct Heartbeat {
    /// Where the reports go.
    pub store: Arc<dyn Store>,
    /// What the worker reports.
    pub report: WorkerReport,
}

impl Heartbeat {
    /// Reports the worker from when it consumes until `stop` is cancelled, then takes the report
    /// back. Calls `on_start` after the first report, with the worker and all workers that the
    /// store knows. A store that fails is no reason to stop.
    pub async fn run(
        self,
        vitals: Arc<Vitals>,
        stop: CancellationToken,
        on_start: impl FnOnce(&SeenWorker, &[SeenWorker]) + Send,
    ) {
        let mut next_look = interval(LOOK_EVERY);
        while !vitals.is_consuming() {
            if stop.run_until_cancelled(next_look.tick()).await.is_none() {
                return;
            }
        }
        let mut failing = false;
        stop.run_until_cancelled(self.beat(&mut failing)).await;
        let known = stop.run_until_cancelled(self.store.workers()).await;
        on_start(&self.seen_now(), &known.and_then(Result::ok).unwrap_or_default());
        let mut next = interval(BEAT_EVERY);
        next.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(next.tick()).await.is_some() {
            stop.run_until_cancelled(self.beat(&mut failing)).await;
        }
        // Others take it to be gone a few seconds later in any case.
        timeout(ENDING, self.store.end_worker(self.report.id)).await.ok();
    }

    /// Only the first failure in a row is logged.
    async fn beat(&self, failing: &mut bool) {
        match self.store.beat(&self.report).await {
            Ok(()) => *failing = false,
            Err(error) => {
                if !std::mem::replace(failing, true) {
                    tracing::warn!(%error, "failed to report this worker to the store; it looks \
                        as if it were gone");
                }
            }
        }
    }

    fn seen_now(&self) -> SeenWorker {
        let now = jiff::Timestamp::now().to_string();
        let report = self.report.clone();
        SeenWorker { report, live: true, started_at: now.clone(), last_seen: now }
    }
}
