//! Results as the types that `--json` prints.

use std::path::Path;

use super::agreement::Agreement;
use super::bias::GroupResult;
use super::bootstrap::Estimate;
use super::calibrate::{MatchChance, MeasuredThresholds, Threshold, ThresholdGoal, WhyLeftOut};
use super::collect::Collected;
use super::coverage::{Examples, TableCoverage};
use super::edc::STEPS_PER_WHOLE;
use super::evaluation::{DISCARDS, FMRS, LIMITS, MeasureResult, OperatingPoint};
use super::fuse::FusedResult;
use super::identification::{Identification, IdentificationPoint};
use super::pairs::Comparisons;
use super::unscored::counts;
use crate::view::evaluation::{
    AgreementView, AreaView, CoverageView, DatasetView, DiscardView, EstimateView, EvaluationView,
    ExamplesView, FusedView, GroupView, IdentificationPointView, IdentificationView,
    MatchChanceView, MeasureCoverageView, MeasureView, OperatingPointView, QualityThresholdView,
    RateLeftOutView,
};

impl From<Estimate> for EstimateView {
    fn from(Estimate { value, low, high }: Estimate) -> Self {
        Self { value, low, high }
    }
}

/// The photos, and how many comparisons they give.
pub fn dataset(collected: &Collected, comparisons: &Comparisons) -> DatasetView {
    let samples = &collected.samples;
    let left_out = counts(&collected.unscored);
    DatasetView {
        profile: samples.profile.id(),
        data: samples.fingerprint.clone(),
        photos: samples.names.len(),
        subjects: samples.subjects.iter().max().map_or(0, |last| last + 1),
        mated: comparisons.mated().len(),
        non_mated: comparisons.non_mated_total(),
        left_out: left_out.iter().map(|(cause, count)| (cause.to_string(), *count)).collect(),
        renamed: collected.renamed,
        unknown: collected.unknown,
    }
}

/// What `evaluate` found.
pub fn evaluation(
    dataset: DatasetView,
    points: &[OperatingPoint],
    identification: Option<&Identification>,
    agreements: &[(String, Agreement)],
    coverage: Option<&TableCoverage>,
    out: Option<&Path>,
) -> EvaluationView {
    let shown = |fmr: &f64| points.iter().any(|point| point.fmr == *fmr);
    EvaluationView {
        dataset,
        points: points.iter().map(OperatingPointView::from).collect(),
        not_shown: FMRS.into_iter().filter(|fmr| !shown(fmr)).collect(),
        identification: identification.map(IdentificationView::from),
        agreements: agreements
            .iter()
            .map(|(measure, agreement)| AgreementView {
                measure: measure.clone(),
                face_count: agreement.faces,
                mean_deviation: agreement.mean,
                spread: agreement.spread,
                spearman: agreement.spearman,
            })
            .collect(),
        csv: coverage.map(CoverageView::from),
        out: out.map(|out| out.display().to_string()),
    }
}

impl From<&OperatingPoint> for OperatingPointView {
    fn from(point: &OperatingPoint) -> Self {
        Self {
            fmr: point.fmr,
            threshold: point.threshold.into(),
            fnmr: point.fnmr.into(),
            measures: point.measures.iter().map(MeasureView::from).collect(),
        }
    }
}

impl From<&Identification> for IdentificationView {
    fn from(found: &Identification) -> Self {
        let point = |point: &IdentificationPoint| IdentificationPointView {
            fpir: point.fpir,
            threshold: point.threshold.into(),
            fnir: point.fnir.into(),
        };
        Self {
            references: found.references,
            galleries: found.galleries,
            mated_searches: found.mated_searches,
            non_mated_searches: found.non_mated_searches,
            non_mated_photos: found.non_mated_photos,
            points: found.points.iter().map(point).collect(),
            not_shown: found
                .not_shown()
                .map(|too_few| RateLeftOutView { rate: too_few.fpir, reason: too_few.to_string() })
                .collect(),
        }
    }
}

impl From<&MeasureResult> for MeasureView {
    fn from(result: &MeasureResult) -> Self {
        let at = |discarded: f64| DiscardView {
            discarded,
            fnmr: result
                .band
                .get((discarded * STEPS_PER_WHOLE as f64).round() as usize)
                .map(|estimate| EstimateView::from(*estimate)),
        };
        let areas = LIMITS.iter().zip(result.paucs.iter().zip(&result.above_first));
        let area =
            |(up_to, (pauc, above)): (&f64, (&Option<Estimate>, &Option<Estimate>))| AreaView {
                up_to: *up_to,
                pauc: pauc.map(EstimateView::from),
                above_first: above.map(EstimateView::from),
            };
        Self {
            measure: result.name.clone(),
            edc: DISCARDS.map(at).to_vec(),
            areas: areas.map(area).collect(),
        }
    }
}

impl From<&Examples> for ExamplesView {
    fn from(examples: &Examples) -> Self {
        Self { count: examples.count, examples: examples.first.clone() }
    }
}

impl From<&TableCoverage> for CoverageView {
    fn from(coverage: &TableCoverage) -> Self {
        let measures = coverage.measures.iter().map(|measure| MeasureCoverageView {
            measure: measure.name.clone(),
            lower_is_better: measure.lower_is_better,
            rows_without_value: (&measure.without_value).into(),
        });
        Self {
            photos_without_row: (&coverage.without_row).into(),
            rows_without_photo: (&coverage.rows_without_photo).into(),
            measures: measures.collect(),
        }
    }
}

impl From<&MatchChance> for MatchChanceView {
    fn from(chance: &MatchChance) -> Self {
        Self {
            fmr: chance.fmr,
            threshold: chance.threshold.into(),
            errors: chance.errors,
            alpha: chance.alpha.into(),
            r: chance.r.into(),
        }
    }
}

impl From<&FusedResult> for FusedView {
    fn from(result: &FusedResult) -> Self {
        let photos = result.imputed.iter().map(|(input, photos)| (input.name(), *photos));
        Self {
            fit: result.fit.clone(),
            inputs_left_out: result.left_out.clone(),
            photos_without: photos.collect(),
        }
    }
}

/// The quality threshold for a goal, if one reaches it.
pub fn quality_threshold(goal: ThresholdGoal, found: Option<&Threshold>) -> QualityThresholdView {
    let (goal_fnmr, goal_discarded) = match goal {
        ThresholdGoal::Fnmr(rate) => (Some(rate), None),
        ThresholdGoal::Discard(share) => (None, Some(share)),
    };
    QualityThresholdView {
        goal_fnmr,
        goal_discarded,
        quality: found.map(|found| found.quality),
        score: found.map(|found| found.score),
        discarded: found.map(|found| found.discard.into()),
        fnmr: found.map(|found| found.fnmr.into()),
    }
}

/// The false match rates without a similarity threshold.
pub fn left_out(measured: &MeasuredThresholds) -> Vec<RateLeftOutView> {
    let view =
        |(rate, why): &(f64, WhyLeftOut)| RateLeftOutView { rate: *rate, reason: why.to_string() };
    measured.left_out.iter().map(view).collect()
}

impl From<&GroupResult> for GroupView {
    fn from(group: &GroupResult) -> Self {
        let percents = ["p5", "p25", "p50", "p75", "p95"];
        Self {
            group: group.name.clone(),
            images: group.images,
            subjects: group.people,
            quality_percentiles: percents.into_iter().zip(group.percentiles).collect(),
            discarded: group.discarded.into(),
            discarded_ratio: group.discard_ratio.map(EstimateView::from),
            fnmr: group.fnmr.map(EstimateView::from),
            fnmr_ratio: group.fnmr_ratio.map(EstimateView::from),
            fnmr_after: group.fnmr_left.map(EstimateView::from),
            fmr_within: group.fmr,
        }
    }
}
