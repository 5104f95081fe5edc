//! The workers that run, as they report themselves.

use std::time::Duration;

use async_trait::async_trait;

use super::StoreError;
use crate::domain::{SeenWorker, WorkerId, WorkerReport};

/// How often a worker reports itself.
pub const BEAT_EVERY: Duration = Duration::from_secs(2);
/// A worker that has not reported itself for so long, three times, is gone. So is one that did so
/// as far in the future: the clock was put back.
pub const GONE_AFTER: Duration = Duration::from_secs(7);
/// How long a worker that is gone is remembered.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// [`GONE_AFTER`] in milliseconds.
pub(super) fn gone_ms() -> i64 {
    ms(GONE_AFTER)
}

/// [`FORGOTTEN_AFTER`] in milliseconds.
pub(super) fn forgotten_ms() -> i64 {
    ms(FORGOTTEN_AFTER)
}

fn ms(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

/// The workers that run.
#[async_trait]
pub trait Workers: Send + Sync {
    /// Notes that a worker runs. The worker repeats it every [`BEAT_EVERY`], with the same report.
    /// Forgets workers that have been gone for a day.
    ///
    /// # Errors
    /// If the store cannot be reached or used.
    async fn beat(&self, worker: &WorkerReport) -> Result<(), StoreError>;

    /// The workers that run, and those that stopped without [`Self::end_worker`] within a day: of
    /// these, [`SeenWorker::live`] is false. The first that began comes first.
    ///
    /// # Errors
    /// If the store cannot be reached or used.
    async fn workers(&self) -> Result<Vec<SeenWorker>, StoreError>;

    /// Forgets a worker, which stops. Repeating it changes nothing.
    ///
    /// # Errors
    /// If the store cannot be reached or used.
    async fn end_worker(&self, worker: WorkerId) -> Result<(), StoreError>;
}
