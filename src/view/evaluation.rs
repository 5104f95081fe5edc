//! Evaluations on labelled photos, as `evaluate`, `calibrate` and `bias` print them with `--json`.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::domain::{FusedInput, Mapping, MatchThresholds, ProfileId};
use crate::quality::calibration::FusedFit;

/// A number and its 95 % interval, by bootstrap over subjects. Without a bootstrap, both ends are
/// the number.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct EstimateView {
    /// The number, from all photos; null if there is nothing to count.
    pub value: f64,
    /// The lower end.
    pub low: f64,
    /// The upper end.
    pub high: f64,
}

/// The photos of an evaluation.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct DatasetView {
    /// The profile of the scores.
    pub profile: ProfileId,
    /// Fingerprint of photos and labels.
    pub data: String,
    /// Photos with a scored primary face.
    pub photos: usize,
    /// Subjects that they show.
    pub subjects: u32,
    /// Mated comparisons.
    pub mated: usize,
    /// Non-mated comparisons.
    pub non_mated: u64,
    /// Photos without a score, by cause: `missing` or an outcome.
    pub left_out: BTreeMap<String, usize>,
    /// Photos that have another subject in the store.
    pub renamed: u64,
    /// Photos without a result or a subject.
    pub unknown: u64,
}

/// The line of `evaluate --json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct EvaluationView {
    /// The photos.
    #[serde(flatten)]
    pub dataset: DatasetView,
    /// The results at each false match rate that the comparisons can show.
    pub points: Vec<OperatingPointView>,
    /// False match rates that too few non-mated comparisons can show.
    pub not_shown: Vec<f64>,
    /// How well people are found in a gallery; null for a list of pairs, and if no person has two
    /// photos.
    pub identification: Option<IdentificationView>,
    /// How sampled distances agree with those of the closed form.
    pub agreements: Vec<AgreementView>,
    /// How far the table of `--csv` covers the photos; null without one.
    pub csv: Option<CoverageView>,
    /// The folder of tables and figures; null without `--out`.
    pub out: Option<String>,
}

/// The results at one false match rate.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct OperatingPointView {
    /// The false match rate.
    pub fmr: f64,
    /// A comparison matches if its similarity exceeds this.
    pub threshold: EstimateView,
    /// The false non-match rate with nothing discarded.
    pub fnmr: EstimateView,
    /// The results of each measure.
    pub measures: Vec<MeasureView>,
}

/// Open-set identification: searches of random galleries.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct IdentificationView {
    /// People in each gallery, with one reference each.
    pub references: usize,
    /// Galleries.
    pub galleries: u32,
    /// Searches of all galleries with other photos of people in them.
    pub mated_searches: usize,
    /// Searches of all galleries with photos of other people.
    pub non_mated_searches: usize,
    /// Different photos of these.
    pub non_mated_photos: usize,
    /// The results at each false positive identification rate that these can show.
    pub points: Vec<IdentificationPointView>,
    /// False positive identification rates that too few non-mated photos can show.
    pub not_shown: Vec<RateLeftOutView>,
}

/// The result at one false positive identification rate.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct IdentificationPointView {
    /// The false positive identification rate.
    pub fpir: f64,
    /// A search returns the references of a similarity over this.
    pub threshold: EstimateView,
    /// The false negative identification rate.
    pub fnir: EstimateView,
}

/// The results of one measure at one false match rate.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct MeasureView {
    /// Its name.
    pub measure: String,
    /// Points of the error-versus-discard characteristic.
    pub edc: Vec<DiscardView>,
    /// Partial areas under it.
    pub areas: Vec<AreaView>,
}

/// A point of an error-versus-discard characteristic.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct DiscardView {
    /// The share of the images that are discarded.
    pub discarded: f64,
    /// The false non-match rate of what is left; null if nothing is.
    pub fnmr: Option<EstimateView>,
}

/// A partial area under an error-versus-discard characteristic.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct AreaView {
    /// The discarded share that it ends at.
    pub up_to: f64,
    /// The area, over the area if discarding had no effect; null without errors.
    pub pauc: Option<EstimateView>,
    /// The area less that of the first measure.
    pub above_first: Option<EstimateView>,
}

/// How sampled distances agree with those of the closed form.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct AgreementView {
    /// The sampled measure.
    pub measure: String,
    /// Faces that both have.
    pub face_count: usize,
    /// Mean relative deviation.
    pub mean_deviation: f64,
    /// Standard deviation of the deviations.
    pub spread: f64,
    /// Rank correlation.
    pub spearman: f64,
}

/// How far another tool's table covers the photos.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct CoverageView {
    /// Photos without a row.
    pub photos_without_row: ExamplesView,
    /// Rows that belong to no photo with a score.
    pub rows_without_photo: ExamplesView,
    /// Each measure of the table.
    pub measures: Vec<MeasureCoverageView>,
}

/// A number of things, and the first of their names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ExamplesView {
    /// How many.
    pub count: usize,
    /// The first names.
    pub examples: Vec<String>,
}

/// How far a measure of another tool covers the photos.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct MeasureCoverageView {
    /// Its name.
    pub measure: String,
    /// Whether lower is better in the table.
    pub lower_is_better: bool,
    /// Photos whose row has no value of it.
    pub rows_without_value: ExamplesView,
}

/// The line of `calibrate --json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct CalibrationView {
    /// The profile of the scores.
    pub profile: ProfileId,
    /// The profile with the new mapping.
    pub calibrated_profile: ProfileId,
    /// The file that was written.
    pub file: String,
    /// Scored photos.
    pub photos: usize,
    /// The mapping.
    pub mapping: Mapping,
    /// The labelled photos; null for percentiles of a gallery without labels.
    pub dataset: Option<DatasetView>,
    /// The fit of a fused quality; null without `--fuse`.
    pub fused: Option<FusedView>,
    /// How the mapping was fitted; null for percentiles.
    pub match_chance: Option<MatchChanceView>,
    /// Quality thresholds for the goals of `--fnmr` and `--discard`.
    pub quality_thresholds: Vec<QualityThresholdView>,
    /// Similarity thresholds; null without labels.
    pub thresholds: Option<MatchThresholds>,
    /// False match rates for which the photos show no threshold, the highest first.
    pub thresholds_left_out: Vec<RateLeftOutView>,
}

/// The fit of a fused quality.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct FusedView {
    /// What the cross-validation showed.
    #[serde(flatten)]
    pub fit: FusedFit,
    /// Inputs that are not used: the same for all photos, or unknown for most.
    pub inputs_left_out: Vec<FusedInput>,
    /// Photos without a value, for each input that some lack.
    pub photos_without: BTreeMap<&'static str, usize>,
}

/// A rate that the photos cannot show.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct RateLeftOutView {
    /// The rate.
    pub rate: f64,
    /// Why.
    pub reason: String,
}

/// A mapping to the chance of a match.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct MatchChanceView {
    /// The false match rate that fixes the threshold.
    pub fmr: f64,
    /// A comparison matches if its similarity exceeds this.
    pub threshold: EstimateView,
    /// Mated comparisons that do not match.
    pub errors: usize,
    /// Steepness of the mapping.
    pub alpha: EstimateView,
    /// The score that maps to 50.
    pub r: EstimateView,
}

/// A quality threshold. All but the goal is null if no threshold reaches it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct QualityThresholdView {
    /// The goal, if it is a false non-match rate after discarding.
    pub goal_fnmr: Option<f64>,
    /// The goal, if it is a share of discarded images.
    pub goal_discarded: Option<f64>,
    /// Images of a lower quality are discarded.
    pub quality: Option<u8>,
    /// The lowest score that is kept.
    pub score: Option<f64>,
    /// The share of the images that is discarded.
    pub discarded: Option<EstimateView>,
    /// The false non-match rate of the other images.
    pub fnmr: Option<EstimateView>,
}

/// The line of `bias --json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct BiasView {
    /// The photos.
    #[serde(flatten)]
    pub dataset: DatasetView,
    /// The column of the groups.
    pub column: String,
    /// The quality threshold: images of lower quality are discarded.
    pub quality: u8,
    /// The false match rate that fixes the similarity threshold.
    pub fmr: f64,
    /// All people first, then each group.
    pub groups: Vec<GroupView>,
    /// The folder of tables and figures; null without `--out`.
    pub out: Option<String>,
}

/// The results of a group of people.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct GroupView {
    /// Its name; `all` for the first.
    pub group: String,
    /// Images.
    pub images: usize,
    /// Subjects.
    pub subjects: usize,
    /// Quality that 5, 25, 50, 75 and 95 percent of the images do not exceed.
    pub quality_percentiles: BTreeMap<&'static str, u8>,
    /// The share that the quality threshold discards.
    pub discarded: EstimateView,
    /// That share over the share of all people; null if nothing is discarded.
    pub discarded_ratio: Option<EstimateView>,
    /// The false non-match rate with nothing discarded; null without a mated comparison.
    pub fnmr: Option<EstimateView>,
    /// That rate over the rate of all people; null without errors.
    pub fnmr_ratio: Option<EstimateView>,
    /// The false non-match rate after discarding.
    pub fnmr_after: Option<EstimateView>,
    /// The false match rate within the group; null if it has only one person.
    pub fmr_within: Option<f64>,
}
