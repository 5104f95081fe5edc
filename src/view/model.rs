//! Models, as `model list`, `model prepare` and `model import` print them with `--json`.

use serde::Serialize;

use crate::domain::MatchThresholds;

/// A model: a line of `model list --json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ModelView {
    /// Its name.
    pub model: String,
    /// `detector` or `recogniser`.
    pub role: &'static str,
    /// Licence of the weights.
    pub licence: String,
    /// Where the weights were published.
    pub source: String,
    /// Its identity: the SHA-256 of its file, or of the digests of its files.
    pub sha256: String,
    /// Whether it can run.
    pub prepared: bool,
    /// Why it cannot, and what to do; null if it can.
    pub reason: Option<String>,
    /// The similarity thresholds of its manifest, one set for each kind of templates (detection,
    /// alignment, precision) that was measured.
    pub thresholds: Vec<MatchThresholds>,
}

/// What a preparation did: a line of `model prepare --json`, one for each network.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct PreparedView {
    /// The model.
    pub model: String,
    /// The prepared file.
    pub file: String,
    /// Whether it was written; false if it was up to date.
    pub written: bool,
    /// The detector's confidence in the drawn face of its self-test; null for other networks.
    pub detector_score: Option<f32>,
    /// The last layer of a recogniser; null for detectors.
    pub head: Option<HeadView>,
}

/// The last layer of a recogniser, and its self-test.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct HeadView {
    /// Number of features, F.
    pub features: usize,
    /// Length of the embedding, D.
    pub embedding: usize,
    /// Effective rank of the layer, nu.
    pub effective_rank: f64,
    /// Dropout ratio.
    pub dropout: f64,
    /// Whether the graph states the ratio.
    pub dropout_in_graph: bool,
    /// SER-FIQ's distance of the test chip.
    pub distance: f64,
    /// The error of half precision; null in 32 bits.
    pub half: Option<HalfView>,
}

/// How far half precision is from 32 bits, on the test chip.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct HalfView {
    /// Cosine between the two embeddings.
    pub cosine: f64,
    /// Relative error of the distance.
    pub distance: f64,
}

/// An imported model: the line of `model import --json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ImportView {
    /// The model and its preparation.
    #[serde(flatten)]
    pub prepared: PreparedView,
    /// The manifest that was written.
    pub manifest: String,
    /// Facts about the model, and where they come from.
    pub notes: Vec<String>,
}
