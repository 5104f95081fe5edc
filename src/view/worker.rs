//! A worker, as `worker list` prints it.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::domain::{Lane, ProfileId, SeenWorker, WorkerId};

/// A worker: a line of `worker list --json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct WorkerView {
    /// The id of this run of the worker.
    pub worker: WorkerId,
    /// Its host's name.
    pub host: String,
    /// Its process id there.
    pub pid: u32,
    /// `live`, or `gone` if it no longer reports itself.
    pub state: &'static str,
    /// The version of the program.
    pub version: String,
    /// The virtual host and the prefix of its queue.
    pub queue: String,
    /// The profile of its results.
    pub profile: ProfileId,
    /// The execution provider that runs the recogniser.
    pub provider: String,
    /// The lanes that it takes jobs from.
    pub lanes: Vec<Lane>,
    /// The places that it may fetch images from.
    pub roots: Vec<String>,
    /// The address of its listener; null without one.
    pub listener: Option<String>,
    /// Settings on which the results or the speed depend, by key.
    pub settings: BTreeMap<String, String>,
    /// When it began, RFC 3339, UTC.
    pub started_at: String,
    /// When it reported itself last, RFC 3339, UTC.
    pub last_seen: String,
}

impl From<&SeenWorker> for WorkerView {
    fn from(seen: &SeenWorker) -> Self {
        let report = seen.report.clone();
        Self {
            worker: report.id,
            host: report.host,
            pid: report.pid,
            state: worker_state(seen),
            version: report.version,
            queue: report.queue,
            profile: report.profile,
            provider: report.provider,
            lanes: report.lanes,
            roots: report.roots,
            listener: report.listener,
            settings: report.settings,
            started_at: seen.started_at.clone(),
            last_seen: seen.last_seen.clone(),
        }
    }
}

/// `live` or `gone`.
pub fn worker_state(seen: &SeenWorker) -> &'static str {
    if seen.live { "live" } else { "gone" }
}
