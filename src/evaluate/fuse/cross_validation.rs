//! Folds of people, and the choice of the penalty in some of them.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use super::ridge::Regression;
use super::{FuseSet, LIMIT};
use crate::domain::FusedQuality;
use crate::evaluate::bootstrap::below;
use crate::evaluate::edc::DiscardOrder;
use crate::evaluate::evaluation::LIMITS;
use crate::evaluate::pairs::Weights;

/// Parts of the people. Each is predicted by a fit on the others.
pub(super) const FOLDS: usize = 10;
/// Penalties to choose from, for inputs in standard deviations.
const PENALTIES: [f64; 5] = [0.01, 0.03, 0.1, 0.3, 1.0];
/// The penalty where none of them can be judged, for want of errors.
const USUAL_PENALTY: f64 = 0.3;
/// Similarities count up to here: this part of the way from the threshold to the median of mated
/// comparisons. How similar two photos are that match in any case does not matter.
const ABOVE_THRESHOLD: f64 = 0.25;

/// Fits without a fold.
pub(super) struct CrossValidation<'a> {
    regression: &'a Regression<'a>,
    set: &'a FuseSet<'a>,
    fmr: f64,
    /// Of each subject.
    fold: Vec<usize>,
    /// The weight of a comparison of each subject, as in the regression.
    weight: &'a [f64],
}

impl<'a> CrossValidation<'a> {
    /// Draws the folds, all of as many subjects as possible. `weight` is that of a comparison of
    /// each subject.
    pub(super) fn new(
        regression: &'a Regression<'a>,
        set: &'a FuseSet<'a>,
        weight: &'a [f64],
        fmr: f64,
        seed: u64,
    ) -> Self {
        Self { regression, set, fmr, fold: folds(set.people(), seed), weight }
    }

    /// Whether the subject of `photo` is in `fold`.
    pub(super) fn is_in(&self, photo: usize, fold: usize) -> bool {
        self.fold[self.set.subjects[photo] as usize] == fold
    }

    /// The fit on all folds but `held_out`, and its penalty, which is chosen in these folds.
    pub(super) fn fit(&self, held_out: Option<usize>) -> Option<(FusedQuality, f64)> {
        let is_held_out = |photo: usize| held_out.is_some_and(|fold| self.is_in(photo, fold));
        let training = (0..FOLDS).filter(|fold| Some(*fold) != held_out);
        let weights = self.training_weights(held_out, |_| 1.0);
        let threshold = self.set.comparisons.threshold(self.fmr, &weights);
        let most = self.most(threshold, is_held_out);
        let mut predictions = vec![vec![None; self.set.subjects.len()]; PENALTIES.len()];
        for inner in training {
            let in_fit = |photo: usize| !self.is_in(photo, inner) && !is_held_out(photo);
            let equations = self.regression.equations(in_fit, most)?;
            for (penalty, predictions) in PENALTIES.iter().zip(&mut predictions) {
                let fused = equations.solve(*penalty, self.set.data);
                for (photo, prediction) in predictions.iter_mut().enumerate() {
                    if self.is_in(photo, inner) {
                        *prediction = Some(self.regression.predict(&fused, photo));
                    }
                }
            }
        }
        let penalty = threshold
            .and_then(|threshold| self.best(&predictions, threshold, held_out))
            .unwrap_or(USUAL_PENALTY);
        let equations = self.regression.equations(|photo| !is_held_out(photo), most)?;
        Some((equations.solve(penalty, self.set.data), penalty))
    }

    /// The similarity above which all count alike, from the mated comparisons that are not held
    /// out.
    fn most(&self, threshold: Option<f32>, is_held_out: impl Fn(usize) -> bool) -> f64 {
        let Some(threshold) = threshold.map(f64::from) else { return f64::INFINITY };
        let training = self.regression.pairs.iter().filter(|pair| !is_held_out(pair.a as usize));
        let mut similarities: Vec<f32> = training.map(|pair| pair.similarity).collect();
        let middle = similarities.len() / 2;
        if similarities.is_empty() {
            return f64::INFINITY;
        }
        let (_, median, _) = similarities.select_nth_unstable_by(middle, f32::total_cmp);
        threshold + ABOVE_THRESHOLD * (f64::from(*median) - threshold).max(0.0)
    }

    /// The weights of the subjects that are not held out, by `value`, of the weight of each.
    fn training_weights(&self, held_out: Option<usize>, value: fn(f64) -> f64) -> Weights {
        let each = self.fold.iter().zip(self.weight);
        let each =
            each.map(|(fold, &weight)| if Some(*fold) == held_out { 0.0 } else { value(weight) });
        Weights::new(each.collect(), self.set.subjects)
    }

    /// The penalty whose predictions have the least area under the error-versus-discard curve, over
    /// the people who are not held out. The squared error would not do: it is about all photos
    /// alike, and which of the poor ones are the poorest is little of it. None if no penalty can be
    /// judged.
    fn best(
        &self,
        predictions: &[Vec<Option<f64>>],
        threshold: f32,
        held_out: Option<usize>,
    ) -> Option<f64> {
        let weights = self.training_weights(held_out, |weight| weight);
        let area = |predictions: &Vec<Option<f64>>| {
            let order = DiscardOrder::new(predictions);
            order.edc(self.regression.pairs, threshold, &weights).pauc(LIMITS[LIMIT])
        };
        let areas = PENALTIES.iter().zip(predictions);
        let areas = areas.filter_map(|(&penalty, values)| Some((penalty, area(values)?)));
        areas.min_by(|(_, a), (_, b)| a.total_cmp(b)).map(|(best, _)| best)
    }
}

/// The fold of each of `people`.
fn folds(people: usize, seed: u64) -> Vec<usize> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut order: Vec<usize> = (0..people).collect();
    // The shuffle of Fisher and Yates.
    for last in (1..people).rev() {
        order.swap(last, below(&mut random, last + 1));
    }
    order.into_iter().map(|place| place % FOLDS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folds_are_of_as_many_people_and_differ_by_seed() {
        let found = folds(103, 1);
        for fold in 0..FOLDS {
            let people = found.iter().filter(|of| **of == fold).count();
            assert!((10..=11).contains(&people), "{people}");
        }
        assert_eq!(found, folds(103, 1));
        assert_ne!(found, folds(103, 2));
    }
}
