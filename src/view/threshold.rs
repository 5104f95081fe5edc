//! Similarity thresholds, as `match` and `calibrate` print them.

use serde::Serialize;

use crate::domain::SimilarityThreshold;

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
