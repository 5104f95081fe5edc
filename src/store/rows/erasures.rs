//! Rows of erasures.

use uuid::Uuid;

use super::{corrupt, parsed, time};
use crate::domain::{Erasure, ErasureId};
use crate::store::fault::Fault;
use crate::store::row::row;

row! {
    /// An erasure.
    pub(in crate::store) struct ErasureRow {
        id: Uuid,
        gallery: String,
        kind: String,
        target: Vec<u8>,
        erased_by: String,
        /// JSON.
        counts: String,
        begun_at_ms: i64,
        ended_at_ms: Option<i64>,
    }
}

impl ErasureRow {
    pub(in crate::store) fn erasure(self) -> Result<Erasure, Fault> {
        Ok(Erasure {
            id: ErasureId(self.id),
            gallery: parsed(&self.gallery)?,
            kind: parsed(&self.kind)?,
            target: self.target.iter().map(|byte| format!("{byte:02x}")).collect(),
            by: parsed(&self.erased_by)?,
            counts: serde_json::from_str(&self.counts).map_err(corrupt)?,
            begun_at: time(self.begun_at_ms)?,
            ended_at: self.ended_at_ms.map(time).transpose()?,
        })
    }
}
