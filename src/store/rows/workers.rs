//! Rows of the workers that run.

use serde::de::DeserializeOwned;
use uuid::Uuid;

use super::{corrupt, parsed, time};
use crate::domain::{SeenWorker, WorkerId, WorkerReport};
use crate::store::fault::Fault;
use crate::store::row::row;

row! {
    /// A worker.
    pub(in crate::store) struct WorkerRow {
        id: Uuid,
        host: String,
        pid: i64,
        version: String,
        queue: String,
        profile_id: String,
        provider: String,
        /// A JSON array, as `roots` and `resolved`.
        lanes: String,
        roots: String,
        resolved: String,
        listener: Option<String>,
        /// A JSON object.
        settings: String,
        live: bool,
        started_at_ms: i64,
        last_seen_ms: i64,
    }
}

impl WorkerRow {
    pub(in crate::store) fn worker(self) -> Result<SeenWorker, Fault> {
        Ok(SeenWorker {
            report: WorkerReport {
                id: WorkerId(self.id),
                host: self.host,
                pid: self.pid.try_into().map_err(corrupt)?,
                version: self.version,
                queue: self.queue,
                profile: parsed(&self.profile_id)?,
                provider: self.provider,
                lanes: json(&self.lanes)?,
                roots: json(&self.roots)?,
                resolved: json(&self.resolved)?,
                listener: self.listener,
                settings: json(&self.settings)?,
            },
            live: self.live,
            started_at: time(self.started_at_ms)?.to_string(),
            last_seen: time(self.last_seen_ms)?.to_string(),
        })
    }
}

fn json<T: DeserializeOwned>(text: &str) -> Result<T, Fault> {
    serde_json::from_str(text).map_err(corrupt)
}
