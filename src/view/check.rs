//! A check of `doctor`.

use serde::Serialize;

/// One check and what it found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct CheckView {
    /// What is checked: `runtime`, `models`, `store`, `queue`, `sources` (known outages), `place`
    /// (one line for each place that images may come from), `workers` (of a fleet), `disk`.
    pub check: &'static str,
    /// Whether all is well.
    pub ok: bool,
    /// What was found, or what is wrong and what to do.
    pub detail: String,
}
