//! Similarity thresholds, as `match` and `calibrate` print them.

use serde::Serialize;

use crate::domain::{
    MatchThresholds, SimilarityFmr, SimilarityThreshold, SourcedThresholds, ThresholdSource,
};

/// Whether two faces match at one false match rate.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct MatchDecisionView {
    /// The false match rate.
    pub fmr: f64,
    /// The threshold that the similarity must exceed.
    pub threshold: f64,
    /// The ends of its 95 % interval; null if it was not computed.
    pub interval: Option<[f64; 2]>,
    /// Whether the similarity exceeds it.
    #[serde(rename = "match")]
    pub is_match: bool,
}

impl MatchDecisionView {
    /// The decision on `similarity` at one threshold.
    pub fn new(threshold: SimilarityThreshold, similarity: f64) -> Self {
        let SimilarityThreshold { fmr, threshold, interval } = threshold;
        Self { fmr, threshold, interval, is_match: similarity > threshold }
    }
}

/// The false match rate of a similarity: the share of non-mated comparisons that are at least as
/// similar.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct FmrView {
    /// The false match rate, or the bound that is known of it.
    pub fmr: f64,
    /// What `fmr` is: the rate, measured or interpolated between two measured ones (`about`), or
    /// the lowest (`below`) or highest (`above`) measured rate.
    pub bound: FmrBound,
}

/// What is known of a false match rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum FmrBound {
    /// It is about this.
    About,
    /// It is below this.
    Below,
    /// It is above this.
    Above,
}

impl From<SimilarityFmr> for FmrView {
    fn from(fmr: SimilarityFmr) -> Self {
        let (fmr, bound) = match fmr {
            SimilarityFmr::Above(fmr) => (fmr, FmrBound::Above),
            SimilarityFmr::About(fmr) => (fmr, FmrBound::About),
            SimilarityFmr::Below(fmr) => (fmr, FmrBound::Below),
        };
        Self { fmr, bound }
    }
}

/// Where the thresholds of a decision come from, and what they were measured on.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ThresholdsView {
    /// `calibration`: that of the settings, measured on the user's photos; `manifest`: that of the
    /// model, measured on other photos.
    pub source: &'static str,
    /// The file that holds them.
    pub file: String,
    /// The data: the fingerprint of the user's photos, or the name of a data set.
    pub data: String,
    /// Photos compared.
    pub photos: u64,
    /// Subjects that they show.
    pub subjects: u64,
    /// Mated comparisons.
    pub mated: u64,
    /// Non-mated comparisons.
    pub non_mated: u64,
}

impl From<&SourcedThresholds> for ThresholdsView {
    fn from(SourcedThresholds { source, thresholds }: &SourcedThresholds) -> Self {
        let (source, path) = match source {
            ThresholdSource::Calibration(path) => ("calibration", path),
            ThresholdSource::Manifest(path) => ("manifest", path),
        };
        let MatchThresholds { data, photos, subjects, mated, non_mated, .. } = thresholds;
        Self {
            source,
            file: path.display().to_string(),
            data: data.clone(),
            photos: *photos,
            subjects: *subjects,
            mated: *mated,
            non_mated: *non_mated,
        }
    }
}
