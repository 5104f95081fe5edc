//! The section `[fused]` of a calibration: a fused quality, and what its fit showed.

use serde::{Deserialize, Serialize};

use crate::domain::{FusedQuality, FusedTerm};

/// What the fit of a fused quality showed, on photos of people whom the fit had not seen. It
/// changes no result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct FusedFit {
    /// Scored photos.
    pub photos: usize,
    /// Their subjects.
    pub subjects: usize,
    /// Folds of the cross-validation; a subject is in one.
    pub folds: usize,
    /// The penalty of the ridge regression.
    pub penalty: f64,
    /// The false match rate that fixes the similarity threshold.
    pub fmr: f64,
    /// The share of discarded photos up to which areas are computed.
    pub discarded: f64,
    /// The area under the error-versus-discard curve of each measure, the fused quality first.
    pub pauc: Vec<MeasureArea>,
}

/// The area of one measure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct MeasureArea {
    /// The name of the measure.
    pub measure: String,
    /// 0 is best, 1 no help.
    pub value: f64,
    /// The same of the fused quality less this.
    pub fused_less_this: f64,
    /// 95 % interval of the difference, by bootstrap over subjects; absent without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<[f64; 2]>,
}

/// The section.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FusedSection {
    intercept: f64,
    data: String,
    inputs: Vec<FusedTerm>,
    fit: FusedFit,
}

impl FusedSection {
    pub(super) fn new(fused: FusedQuality, fit: FusedFit) -> Self {
        let FusedQuality { intercept, inputs, data } = fused;
        Self { intercept, data, inputs, fit }
    }

    /// The parts, if the numbers can be used.
    pub(super) fn checked(self) -> Result<(FusedQuality, FusedFit), String> {
        let Self { intercept, data, inputs, fit } = self;
        let fused = FusedQuality { intercept, inputs, data };
        fused.check()?;
        Ok((fused, fit))
    }
}
