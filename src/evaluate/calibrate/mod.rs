//! What scores mean in the user's own photos: mappings from score to quality, and thresholds.

mod logistic;
mod similarity;
mod thresholds;

pub use similarity::{MATCH_FMRS, MeasuredThresholds, WhyLeftOut};
pub use thresholds::{Threshold, ThresholdGoal};

use self::logistic::{Observation, fit_logistic};
use super::bootstrap::Estimate;
use super::evaluation::Bootstrap;
use super::pairs::{Comparisons, Pair, Weights};
use super::samples::Measure;
use crate::domain::Mapping;

/// Percents of a percentile mapping, which has a knot for each quality from 0 to this.
const PERCENTS: usize = 100;
/// Fewest scores for percentiles: fewer show too little of the lowest and highest ones.
const LEAST_SCORES: usize = 100;

/// Why a calibration is not possible.
#[derive(Debug, thiserror::Error)]
pub enum FitError {
    /// Too few images.
    #[error("{0} scored images are too few for percentiles: at least {LEAST_SCORES}")]
    Scores(usize),
    /// Too few non-mated comparisons.
    #[error(
        "{non_mated} non-mated comparisons cannot show a false match rate of {fmr:e}: choose a \
         higher rate, or label more photos"
    )]
    NonMated {
        /// Non-mated comparisons.
        non_mated: u64,
        /// The false match rate.
        fmr: f64,
    },
    /// All mated comparisons match, or none does, or the score does not tell which.
    #[error(
        "the mated comparisons do not show how quality affects matching: {errors} of {mated} do \
         not match at FMR {fmr:e}, and their scores do not fit a curve; choose a lower FMR or \
         label harder photos"
    )]
    Separable {
        /// Mated comparisons.
        mated: usize,
        /// Those that do not match.
        errors: usize,
        /// The false match rate.
        fmr: f64,
    },
}

/// The mapping that makes quality the share of `scores`, in percent, that are worse.
///
/// # Errors
/// If there are too few scores.
pub fn percentiles(scores: &[f64], data: &str) -> Result<Mapping, FitError> {
    if scores.len() < LEAST_SCORES {
        return Err(FitError::Scores(scores.len()));
    }
    let mut sorted = scores.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let knot = |percent: usize| {
        let position = percent as f64 / PERCENTS as f64 * (sorted.len() - 1) as f64;
        let (below, part) = (position.floor() as usize, position.fract());
        let next = sorted[(below + 1).min(sorted.len() - 1)];
        sorted[below] + part * (next - sorted[below])
    };
    Ok(Mapping::Percentile { scores: (0..=PERCENTS).map(knot).collect(), data: data.to_owned() })
}

/// A logistic mapping from score to the chance of a match, with the intervals of its constants.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MatchChance {
    /// The false match rate that fixes the threshold.
    pub fmr: f64,
    /// A comparison matches if its similarity exceeds this.
    pub threshold: Estimate,
    /// Mated comparisons.
    pub mated: usize,
    /// Those that do not match.
    pub errors: usize,
    /// Steepness of the mapping.
    pub alpha: Estimate,
    /// The score that maps to 50.
    pub r: Estimate,
}

impl MatchChance {
    /// The mapping.
    pub fn mapping(&self, data: &str) -> Mapping {
        Mapping::MatchChance {
            alpha: self.alpha.value,
            r: self.r.value,
            fmr: self.fmr,
            data: data.to_owned(),
        }
    }
}

/// Labelled photos and one measure of their quality.
#[derive(Debug)]
pub struct CalibrationSet<'a> {
    /// The comparisons of the photos.
    pub comparisons: &'a Comparisons,
    /// The subjects of the photos.
    pub subjects: &'a [u32],
    /// The measure to calibrate.
    pub scores: &'a Measure,
}

impl CalibrationSet<'_> {
    /// Fits the chance that a mated comparison matches as a logistic function of its lower score.
    /// Each person has the same weight, however many pairs they have, because the mapping is for
    /// other people too.
    ///
    /// # Errors
    /// If the comparisons do not show it.
    pub fn match_chance(&self, fmr: f64, bootstrap: Bootstrap) -> Result<MatchChance, FitError> {
        let once = Weights::once(self.subjects);
        let mated = self.comparisons.mated();
        let too_few = || self.too_few_non_mated(fmr);
        let threshold = self.comparisons.threshold(fmr, &once).ok_or_else(too_few)?;
        let errors = mated.iter().filter(|pair| pair.similarity <= threshold).count();
        let separable = || FitError::Separable { mated: mated.len(), errors, fmr };
        let lower: Vec<f64> = mated.iter().map(|pair| self.lower_score(pair)).collect();
        let shares = self.shares();
        let fit = |weights: &Weights, threshold: f32| {
            let each = mated.iter().zip(&lower).map(|(pair, &score)| Observation {
                score,
                matches: pair.similarity > threshold,
                weight: weights.mated(pair) * shares[self.subjects[pair.a as usize] as usize],
            });
            fit_logistic(
                &each
                    .filter(|each| each.weight > 0.0 && each.score.is_finite())
                    .collect::<Vec<_>>(),
            )
        };
        let (alpha, r) =
            fit(&once, threshold).filter(|(alpha, _)| *alpha > 0.0).ok_or_else(separable)?;
        let drawn = bootstrap.replicates(self.subjects, |weights| {
            let threshold = self.comparisons.threshold(fmr, weights)?;
            let (alpha, r) = fit(weights, threshold)?;
            Some([f64::from(threshold), alpha, r])
        });
        let estimate = |value: f64, index: usize| {
            Estimate::new(value, drawn.iter().flatten().map(|values| values[index]))
        };
        Ok(MatchChance {
            fmr,
            threshold: estimate(f64::from(threshold), 0),
            mated: mated.len(),
            errors,
            alpha: estimate(alpha, 1),
            r: estimate(r, 2),
        })
    }

    fn too_few_non_mated(&self, fmr: f64) -> FitError {
        FitError::NonMated { non_mated: self.comparisons.non_mated_total(), fmr }
    }

    fn people(&self) -> usize {
        self.subjects.iter().max().map_or(0, |&last| last as usize + 1)
    }

    /// For each person, one over the number of their pairs.
    fn shares(&self) -> Vec<f64> {
        let mut pairs = vec![0.0; self.people()];
        self.comparisons
            .mated()
            .iter()
            .for_each(|pair| pairs[self.subjects[pair.a as usize] as usize] += 1.0);
        pairs.into_iter().map(|pairs: f64| 1.0 / pairs.max(1.0)).collect()
    }

    fn lower_score(&self, pair: &Pair) -> f64 {
        let score = |photo: u32| self.scores.values[photo as usize].unwrap_or(f64::NEG_INFINITY);
        score(pair.a).min(score(pair.b))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quality::quality;

    #[test]
    fn half_of_the_gallery_is_worse_than_50() {
        let scores: Vec<f64> = (0..1001).map(|i| 0.8 + 1e-4 * f64::from(i)).collect();
        let mapping = percentiles(&scores, "0123456789abcdef").unwrap();
        assert_eq!(
            [0.80, 0.81, 0.85, 0.90, 0.7, 0.95].map(|score| quality(score, &mapping)),
            [0, 10, 50, 100, 0, 100]
        );
        assert!(matches!(percentiles(&scores[..50], ""), Err(FitError::Scores(50))));
    }
}
