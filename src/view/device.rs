//! A row of `facefleet device`.

use serde::Serialize;

/// What a row says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum RowVerdict {
    /// It is as it should be.
    Ok,
    /// It is not as it should be.
    Wrong,
    /// It was measured.
    Measured,
    /// A setting that the measurements recommend.
    Advice,
}

/// One row.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct DeviceRowView {
    /// `machine`, `start`, `results`, `recogniser`, `shapes`, `kernels`, `detector`, `loss` or
    /// `advice`.
    pub part: &'static str,
    /// The device, with `+half` or `+bfloat16` for lower precision.
    pub device: String,
    /// What was tried or measured.
    pub what: String,
    /// What it says.
    pub verdict: RowVerdict,
    /// The measured number, or the value of a setting.
    pub value: Option<f64>,
    /// Its unit.
    pub unit: Option<&'static str>,
    /// What was found, or what is wrong.
    pub detail: Option<String>,
    /// Memory of all GPUs in use after it, MiB, as the driver's `nvidia-smi` says.
    pub gpu_memory_mib: Option<u64>,
}
