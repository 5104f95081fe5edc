//! Two profiles of a gallery side by side, as `profile compare --json` prints them.
//!
//! OLD and NEW are the two profiles. A change is the value under NEW less that under OLD.

use std::collections::BTreeMap;

use serde::Serialize;

use super::evaluation::{EstimateView, ExamplesView};
use crate::domain::{GalleryName, OutcomeKind, ProfileId, ReasonCode};

/// The line of `profile compare --json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ProfileComparisonView {
    /// The gallery.
    pub gallery: GalleryName,
    /// The profile OLD.
    pub old: ProfileId,
    /// The profile NEW.
    pub new: ProfileId,
    /// Whether switching from OLD to NEW is advised.
    pub advice: AdviceView,
    /// The parts in which the two profiles differ.
    pub differences: Vec<ProfileDifferenceView>,
    /// What cannot differ between the two, because it does not depend on these parts.
    pub same: Vec<SamePart>,
    /// The images under each profile.
    pub coverage: PairedCoverageView,
    /// How the images with a final outcome under both profiles ended under each.
    pub outcomes: Vec<OutcomePairView>,
    /// Faces found under one profile and not under the other.
    pub faces: PairedFacesView,
    /// Quality of the faces that were found under both; null without such a face.
    pub quality: Option<PairedValuesView>,
    /// SER-FIQ's score of these faces; null without such a face, and if it cannot differ.
    pub score: Option<PairedValuesView>,
    /// What the enrolment's gate says of each image.
    pub gate: GateChangesView,
    /// Which images a quality cutoff discards.
    pub cutoffs: Vec<CutoffChangesView>,
    /// Similarities of images with subjects; null without mated or non-mated comparisons.
    pub similarities: Option<PairedSimilaritiesView>,
    /// Why `similarities` is null.
    pub without_similarities: Option<String>,
    /// Whether the most similar images are the same; null if they cannot differ, or there are too
    /// few images.
    pub neighbours: Option<NeighboursView>,
    /// Groups of people, by column of the labels.
    pub groups: Vec<GroupChangesView>,
    /// The page; null without `--out`.
    pub out: Option<String>,
}

/// Whether to switch from OLD to NEW.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct AdviceView {
    /// The advice.
    pub verdict: SwitchVerdict,
    /// The advice with its reasons, for people.
    pub sentence: String,
    /// What speaks against switching.
    pub against: Vec<String>,
    /// What speaks for switching.
    pub in_favour: Vec<String>,
}

/// An advice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum SwitchVerdict {
    /// Something speaks for switching, and nothing against it.
    Advised,
    /// Something speaks against switching.
    NotAdvised,
    /// Nothing speaks for or against switching.
    Neutral,
    /// The data show too little.
    NotEnoughData,
}

/// A part in which two profiles differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ProfileDifferenceView {
    /// The part, such as `recogniser.precision`.
    pub part: String,
    /// Its value under OLD; null where OLD has no such part.
    pub old: Option<String>,
    /// Its value under NEW; null where NEW has no such part.
    pub new: Option<String>,
}

/// What cannot differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum SamePart {
    /// The templates of a face, so similarities and error rates.
    Templates,
    /// The score of a face.
    Scores,
}

/// The images under each profile.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct PairedCoverageView {
    /// Images with a final outcome under OLD.
    pub images_old: u64,
    /// Images with a final outcome under NEW.
    pub images_new: u64,
    /// Images with a final outcome under both.
    pub images_both: u64,
    /// The share of OLD's images that have a final outcome under NEW, too.
    pub coverage: f64,
    /// Images with a final outcome under OLD alone.
    pub only_old: ExamplesView,
    /// Images with a final outcome under NEW alone.
    pub only_new: ExamplesView,
    /// Active references of subjects.
    pub references: u64,
    /// Those of them without a template under OLD.
    pub references_without_old: u64,
    /// Those of them without a template under NEW.
    pub references_without_new: u64,
    /// By how many more references subjects are found under OLD than under NEW; subjects that gain
    /// references make up for none.
    pub references_lost: u64,
}

/// Images that ended one way under OLD and one way under NEW.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct OutcomePairView {
    /// The outcome under OLD.
    pub old: OutcomeKind,
    /// The outcome under NEW.
    pub new: OutcomeKind,
    /// Images.
    pub images: u64,
}

/// Faces of the images that have a final outcome under both profiles. A face under OLD and one
/// under NEW are the same face if their boxes overlap by half or more (intersection over union).
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct PairedFacesView {
    /// Faces under OLD.
    pub old: u64,
    /// Faces under NEW.
    pub new: u64,
    /// Faces under both.
    pub both: u64,
    /// Images whose primary face under NEW is another face.
    pub other_primary: u64,
    /// Images with a scored face under OLD and none under NEW.
    pub lost: ExamplesView,
    /// Images with a scored face under NEW and none under OLD.
    pub gained: ExamplesView,
    /// Lost less gained, as a share of the images.
    pub net_lost: EstimateView,
}

/// Values of the same things under both profiles.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct PairedValuesView {
    /// The values under OLD.
    pub old: DistributionView,
    /// The values under NEW.
    pub new: DistributionView,
    /// The mean change.
    pub change: EstimateView,
    /// Spearman's rank correlation; null if all values under one profile are the same.
    pub rank_correlation: Option<EstimateView>,
    /// The share of the values that change by more than 10; null for anything but quality.
    pub changed_by_10: Option<EstimateView>,
}

/// A distribution of numbers.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct DistributionView {
    /// How many numbers.
    pub count: u64,
    /// Their mean.
    pub mean: f64,
    /// Their standard deviation.
    pub deviation: f64,
    /// The number that 5, 25, 50, 75 and 95 percent of them do not exceed.
    pub percentiles: BTreeMap<&'static str, f64>,
    /// Their histogram.
    pub histogram: HistogramView,
}

/// A histogram with bins of equal width.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct HistogramView {
    /// The lower end of the first bin.
    pub low: f64,
    /// The upper end of the last bin.
    pub high: f64,
    /// The numbers in each bin. Numbers beyond an end are in the bin at that end.
    pub counts: Vec<u64>,
}

/// What the gate of an enrolment says of the images that have a final outcome under both profiles,
/// by the settings `[enrol]`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct GateChangesView {
    /// Images that pass under both.
    pub accepted: u64,
    /// Images that are rejected under both.
    pub rejected: u64,
    /// Images that pass under OLD and are rejected under NEW.
    pub newly_rejected: u64,
    /// Images that are rejected under OLD and pass under NEW.
    pub newly_accepted: u64,
    /// The images of `newly_rejected` by each reason that they have under NEW. An image may have
    /// several.
    pub newly_rejected_by: BTreeMap<ReasonCode, u64>,
    /// The images of `newly_accepted` by each reason that they had under OLD.
    pub newly_accepted_by: BTreeMap<ReasonCode, u64>,
    /// Newly rejected less newly accepted, as a share of the images.
    pub net_rejected: EstimateView,
}

/// Images whose primary face is scored under both profiles, at a quality cutoff: images of lower
/// quality are discarded.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct CutoffChangesView {
    /// Where the cutoff comes from.
    pub basis: CutoffBasis,
    /// The cutoff under OLD.
    pub old: u8,
    /// The cutoff under NEW.
    pub new: u8,
    /// Images kept under both.
    pub kept: u64,
    /// Images discarded under both.
    pub discarded: u64,
    /// Images kept under OLD and discarded under NEW.
    pub newly_discarded: u64,
    /// Images discarded under OLD and kept under NEW.
    pub newly_kept: u64,
}

/// Where a quality cutoff comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum CutoffBasis {
    /// The setting `enrol.min_quality`: the same number under both profiles.
    Setting,
    /// The lowest 5 percent: a number for each profile, its own 5th percentile.
    LowestFivePercent,
}

/// A number under each profile.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct PairedEstimateView {
    /// Under OLD.
    pub old: EstimateView,
    /// Under NEW.
    pub new: EstimateView,
    /// The number under NEW less that under OLD, in the same replicates: an interval that contains
    /// zero shows no difference.
    pub change: EstimateView,
}

/// Similarities of images of which the subject is known.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct PairedSimilaritiesView {
    /// Compared images: each with every other, by their primary faces.
    pub images: u64,
    /// Images with a subject and a scored primary face under both profiles, of which these are a
    /// sample.
    pub of_images: u64,
    /// Subjects of the compared images.
    pub subjects: u64,
    /// Subjects of these with two images or more.
    pub subjects_with_two: u64,
    /// Mated comparisons.
    pub mated: u64,
    /// Non-mated comparisons.
    pub non_mated: u64,
    /// Similarities of mated comparisons.
    pub genuine: SimilarityPairView,
    /// Similarities of non-mated comparisons, or of a sample of these.
    pub impostor: SimilarityPairView,
    /// How far genuine and impostor similarities are apart: d', the difference of their means over
    /// the root of the mean of their variances.
    pub separation: PairedEstimateView,
    /// The results at each false match rate that the comparisons can show.
    pub points: Vec<PairedPointView>,
    /// False match rates that too few non-mated comparisons can show.
    pub not_shown: Vec<f64>,
}

/// A distribution of similarities under each profile.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct SimilarityPairView {
    /// Under OLD.
    pub old: DistributionView,
    /// Under NEW.
    pub new: DistributionView,
}

/// Both profiles at the same false match rate, each at its own threshold.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct PairedPointView {
    /// The false match rate.
    pub fmr: f64,
    /// The threshold that has this rate.
    pub threshold: PairedEstimateView,
    /// The false non-match rate (FNMR).
    pub fnmr: PairedEstimateView,
    /// The partial area (pAUC) under the error-versus-discard characteristic of each profile's
    /// quality up to 30 percent discarded, over the area if discarding had no effect: 0 is best, 1
    /// no help. Null without errors.
    pub pauc: Option<PairedEstimateView>,
    /// The false non-match rate under OLD after 0, 1, 2, … thousandths of the images were
    /// discarded, those of lowest quality first.
    pub edc_old: Vec<f64>,
    /// The same under NEW.
    pub edc_new: Vec<f64>,
}

/// Whether the same images are the most similar ones under both profiles. Each profile is searched
/// by itself, exactly.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct NeighboursView {
    /// Images that are searched, by their primary faces.
    pub images: u64,
    /// Images with a scored primary face under both profiles, of which these are a sample.
    pub of_images: u64,
    /// Images that are searched with.
    pub probes: u64,
    /// How many neighbours of each probe are looked at.
    pub k: u64,
    /// The mean share of a probe's neighbours that are the same.
    pub overlap: EstimateView,
    /// The share of the probes whose most similar image is the same.
    pub same_first: EstimateView,
    /// Similarities of pairs of different images, drawn at random: most of them are of two people.
    pub any_pairs: PairedValuesView,
}

/// Groups of people.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct GroupChangesView {
    /// The column of the labels.
    pub column: String,
    /// The false match rate that fixes the threshold of each profile on all people; null if the
    /// comparisons show none.
    pub fmr: Option<f64>,
    /// Each group.
    pub groups: Vec<GroupChangeView>,
}

/// One group.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct GroupChangeView {
    /// Its name.
    pub group: String,
    /// Images with a scored primary face under both profiles.
    pub images: u64,
    /// Subjects of these.
    pub subjects: u64,
    /// Mean quality of the primary faces.
    pub quality: PairedEstimateView,
    /// Mated comparisons.
    pub mated: u64,
    /// The false non-match rate; null without a mated comparison or a threshold.
    pub fnmr: Option<PairedEstimateView>,
}
