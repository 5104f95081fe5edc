//! Workers that run, as they report themselves to the store.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Lane, ProfileId};

/// The id of one run of a worker process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct WorkerId(pub Uuid);

impl WorkerId {
    /// A new id.
    pub fn new() -> Self {
        Self(Uuid::now_v7())
    }
}

impl Default for WorkerId {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a running worker reports of itself. It holds no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerReport {
    /// The worker.
    pub id: WorkerId,
    /// Its host's name.
    pub host: String,
    /// Its process id there.
    pub pid: u32,
    /// The version of the program.
    pub version: String,
    /// The queue that it takes jobs from: virtual host and prefix. Workers of one queue are a
    /// fleet.
    pub queue: String,
    /// The profile of its results.
    pub profile: ProfileId,
    /// The execution provider that runs the recogniser.
    pub provider: String,
    /// The lanes that it takes jobs from.
    pub lanes: Vec<Lane>,
    /// The places that it may fetch images from.
    pub roots: Vec<String>,
    /// What those of `roots` lead to that are paths through links.
    pub resolved: Vec<String>,
    /// The address of its listener.
    pub listener: Option<String>,
    /// Settings on which the results or the speed depend, by key.
    pub settings: BTreeMap<String, String>,
}

impl WorkerReport {
    /// Host and process id, for people.
    pub fn name(&self) -> String {
        format!("{}:{}", self.host, self.pid)
    }
}

/// A worker that reported itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenWorker {
    /// What it reported.
    pub report: WorkerReport,
    /// Whether it still reports itself.
    pub live: bool,
    /// When it began, RFC 3339, UTC.
    pub started_at: String,
    /// When it reported itself last, RFC 3339, UTC.
    pub last_seen: String,
}
