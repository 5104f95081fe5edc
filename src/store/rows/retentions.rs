//! Rows of retention.

use uuid::Uuid;

use super::{corrupt, parsed, time};
use crate::domain::{RetentionId, RetentionRun};
use crate::store::fault::Fault;
use crate::store::row::row;

row! {
    /// A run of retention.
    pub(in crate::store) struct RetentionRow {
        id: Uuid,
        gallery: String,
        removed_by: String,
        /// JSON.
        counts: String,
        begun_at_ms: i64,
        ended_at_ms: Option<i64>,
    }
}

impl RetentionRow {
    pub(in crate::store) fn run(self) -> Result<RetentionRun, Fault> {
        Ok(RetentionRun {
            id: RetentionId(self.id),
            gallery: parsed(&self.gallery)?,
            by: parsed(&self.removed_by)?,
            counts: serde_json::from_str(&self.counts).map_err(corrupt)?,
            begun_at: time(self.begun_at_ms)?,
            ended_at: self.ended_at_ms.map(time).transpose()?,
        })
    }
}
