//! Quality thresholds: what each one discards, and the error rate after discarding.

use super::{CalibrationSet, FitError};
use crate::domain::Mapping;
use crate::evaluate::bootstrap::Estimate;
use crate::evaluate::evaluation::Bootstrap;
use crate::evaluate::pairs::Weights;

/// Qualities: 0 to 100.
const LEVELS: usize = 101;
/// The largest share of images that a threshold for a rate may discard.
const MOST_DISCARDED: f64 = 0.5;

/// What a quality threshold must reach.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ThresholdGoal {
    /// A false non-match rate after discarding.
    Fnmr(f64),
    /// A share of discarded images.
    Discard(f64),
}

/// A quality threshold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Threshold {
    /// Its goal.
    pub goal: ThresholdGoal,
    /// Images of a lower quality are discarded.
    pub quality: u8,
    /// The lowest score that it keeps.
    pub score: f64,
    /// The share of the images that it discards.
    pub discard: Estimate,
    /// The false non-match rate of the other images.
    pub fnmr: Estimate,
}

/// The effect of a threshold. The rate is NaN if no mated comparison is left.
#[derive(Debug, Clone, Copy)]
struct ThresholdEffect {
    discard: f64,
    fnmr: f64,
}

impl CalibrationSet<'_> {
    /// The quality threshold for `goal`: the lowest one that reaches a rate, or the one that
    /// discards the share nearest to a share. None if no threshold that discards at most half of
    /// the images reaches the rate.
    ///
    /// # Errors
    /// If the non-mated comparisons cannot show the false match rate.
    pub fn threshold(
        &self,
        goal: ThresholdGoal,
        mapping: &Mapping,
        fmr: f64,
        bootstrap: Bootstrap,
    ) -> Result<Option<Threshold>, FitError> {
        let too_few = || self.too_few_non_mated(fmr);
        let once = Weights::once(self.subjects);
        let similarity = self.comparisons.threshold(fmr, &once).ok_or_else(too_few)?;
        let qualities = self.scores.qualities(mapping);
        let whole = self.effects(&qualities, similarity, &once);
        let chosen = match goal {
            ThresholdGoal::Fnmr(rate) => {
                let reached = |effect: &ThresholdEffect| {
                    effect.fnmr <= rate && effect.discard <= MOST_DISCARDED
                };
                whole.iter().position(reached)
            }
            ThresholdGoal::Discard(share) => {
                let distance = |quality: &usize| (whole[*quality].discard - share).abs();
                (0..whole.len()).min_by(|a, b| distance(a).total_cmp(&distance(b)))
            }
        };
        let Some(chosen) = chosen else { return Ok(None) };
        let drawn = bootstrap.replicates(self.subjects, |weights| {
            let similarity = self.comparisons.threshold(fmr, weights)?;
            Some(self.effects(&qualities, similarity, weights)[chosen])
        });
        let estimate = |of: fn(&ThresholdEffect) -> f64| {
            Estimate::new(of(&whole[chosen]), drawn.iter().flatten().map(of))
        };
        let kept = self
            .scores
            .values
            .iter()
            .zip(&qualities)
            .filter(|(_, quality)| usize::from(**quality) >= chosen);
        Ok(Some(Threshold {
            goal,
            quality: chosen as u8,
            score: kept.filter_map(|(score, _)| *score).fold(f64::INFINITY, f64::min),
            discard: estimate(|effect| effect.discard),
            fnmr: estimate(|effect| effect.fnmr),
        }))
    }

    /// The effect of each quality from 0 to 100 as a threshold.
    fn effects(
        &self,
        qualities: &[u8],
        similarity: f32,
        weights: &Weights,
    ) -> Vec<ThresholdEffect> {
        let (mut images, mut pairs, mut errors) = ([0.0; LEVELS], [0.0; LEVELS], [0.0; LEVELS]);
        for (&quality, weight) in qualities.iter().zip(weights.photos()) {
            images[usize::from(quality)] += weight;
        }
        for pair in self.comparisons.mated() {
            let lower = usize::from(qualities[pair.a as usize].min(qualities[pair.b as usize]));
            let weight = weights.mated(pair);
            pairs[lower] += weight;
            errors[lower] += if pair.similarity > similarity { 0.0 } else { weight };
        }
        let total: f64 = images.iter().sum();
        let from = |counts: &[f64; LEVELS], quality: usize| counts[quality..].iter().sum::<f64>();
        let effect = |quality: usize| ThresholdEffect {
            // An empty sum is -0, which would be printed as such.
            discard: (0.0 + images[..quality].iter().sum::<f64>()) / total,
            fnmr: from(&errors, quality) / from(&pairs, quality),
        };
        (0..LEVELS).map(effect).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::pairs::Comparisons;
    use crate::evaluate::samples::Measure;

    #[test]
    fn thresholds_reach_their_goal() {
        // Two photos a person; the pair of person i fails for the first twenty, whose photos have
        // the lowest scores.
        let pairs: Vec<(u32, u32, bool)> = (0..200)
            .map(|i| (2 * i, 2 * i + 1, true))
            .chain([(0, 3, false), (2, 5, false)])
            .collect();
        let templates = ndarray::Array2::from_shape_fn((400, 2), |(photo, j)| {
            let turned = photo < 40 && photo % 2 == 1;
            f32::from(u8::from(turned == (j == 1)))
        });
        let subjects: Vec<u32> = (0..400).map(|photo| photo / 2).collect();
        let comparisons = Comparisons::listed(&templates.view(), &pairs).unwrap();
        let scores = Measure {
            name: String::new(),
            values: (0..400).map(|photo| Some(0.8 + f64::from(photo) * 1e-4)).collect(),
        };
        let labelled =
            CalibrationSet { comparisons: &comparisons, subjects: &subjects, scores: &scores };
        let bootstrap = Bootstrap { replicates: 50, seed: 1, threads: 2 };
        // Two photos of quality 0, then four of each.
        let mapping = Mapping::Percentile { scores: vec![0.79995, 0.83995], data: String::new() };
        let at = |goal| labelled.threshold(goal, &mapping, 0.5, bootstrap).unwrap().unwrap();
        // The last failing pair, photos 38 and 39, is of quality 10, as are 40 and 41.
        let threshold = at(ThresholdGoal::Fnmr(0.0));
        assert_eq!(
            (threshold.quality, threshold.discard.value, threshold.fnmr.value),
            (11, 42.0 / 400.0, 0.0)
        );
        assert!((threshold.score - 0.8042).abs() < 1e-9, "{threshold:?}");
        let threshold = at(ThresholdGoal::Discard(0.047));
        assert_eq!(
            (threshold.quality, threshold.discard.value),
            (5, 18.0 / 400.0),
            "{threshold:?}"
        );
        assert!((threshold.fnmr.value - 11.0 / 191.0).abs() < 1e-9, "{threshold:?}");
        assert!(
            threshold.fnmr.low < threshold.fnmr.value && threshold.fnmr.value < threshold.fnmr.high
        );
        // Without a pair left that matches, no rate is reached.
        let nothing = Mapping::Percentile { scores: vec![0.9, 1.0], data: String::new() };
        assert_eq!(
            labelled.threshold(ThresholdGoal::Fnmr(0.01), &nothing, 0.5, bootstrap).unwrap(),
            None
        );
        // The errors are exactly the pairs of low score: there is no fit.
        assert!(matches!(
            labelled.match_chance(0.5, bootstrap),
            Err(FitError::Separable { mated: 200, errors: 20, .. })
        ));
    }
}
