//! The fit of a fused quality on labelled photos: the expected similarity of a photo with the other
//! photos of its person, from SER-FIQ's score, the embedding's norm, the detector's score and the
//! components.
//!
//! The fit is a ridge regression of the similarity of two photos of one person on the means of
//! their inputs, up to a similarity with which they match. It is cross-validated by subject:
//! no prediction by which it is judged comes from a fit that saw a photo of the same person, and
//! the penalty of each of these fits is chosen without that person, too (`cross_validation`).

mod cross_validation;
mod ridge;
#[cfg(test)]
mod tests;

use self::cross_validation::{CrossValidation, FOLDS};
use self::ridge::Regression;
use super::bootstrap::Estimate;
use super::evaluation::{Bootstrap, LIMITS, MeasureResult, evaluate};
use super::pairs::{Comparisons, Pair, Weights};
use super::samples::{FUSED, InputColumn, Measure, NORM};
use crate::domain::{FusedInput, FusedQuality};
use crate::quality::calibration::{FusedFit, MeasureArea};

/// Fewest people with two photos or more: four in each fold.
const LEAST_PEOPLE: usize = 4 * FOLDS;
/// The discarded share up to which areas decide: the second of [`LIMITS`].
const LIMIT: usize = 1;
/// An input is used if this share of the photos or more have it.
const LEAST_KNOWN: f64 = 0.5;

/// Why no fused quality can be offered.
#[derive(Debug, thiserror::Error)]
pub enum FuseError {
    /// Too few people.
    #[error(
        "{people} people with two scored photos or more are too few to fit a fused quality: at \
         least {LEAST_PEOPLE}"
    )]
    People {
        /// Those with two photos or more.
        people: usize,
    },
    /// No interval.
    #[error(
        "without intervals, nothing shows whether a fused quality helps: leave out --bootstrap 0"
    )]
    NoIntervals,
    /// No error to predict.
    #[error(
        "the photos do not show what a fused quality would help: at FMR {fmr:e}, no mated \
         comparison fails, or the threshold cannot be found; choose a lower --fmr or label harder \
         photos"
    )]
    NoErrors {
        /// The false match rate.
        fmr: f64,
    },
    /// No gain.
    #[error(
        "a fused quality is not shown to help on these photos, so no file was written: its pAUC \
         less that of {measure} is {:.3} [{:.3}, {:.3}] at FMR {fmr:e}, and the upper end must be \
         below 0. Label more people or harder photos, or calibrate without --fuse",
        .difference.value, .difference.low, .difference.high
    )]
    NoGain {
        /// SER-FIQ or the norm.
        measure: String,
        /// The area of the fused quality less that of the measure.
        difference: Estimate,
        /// The false match rate.
        fmr: f64,
    },
}

/// Labelled photos and what is measured of them.
#[derive(Debug)]
pub struct FuseSet<'a> {
    /// The comparisons of the photos.
    pub comparisons: &'a Comparisons,
    /// The subjects of the photos.
    pub subjects: &'a [u32],
    /// What may be fused.
    pub inputs: &'a [InputColumn],
    /// SER-FIQ's scores.
    pub scores: &'a Measure,
    /// The single measures to compare with.
    pub measures: &'a [Measure],
    /// Fingerprint of photos and labels.
    pub data: &'a str,
}

/// A fused quality that helps.
#[derive(Debug, Clone, PartialEq)]
pub struct FusedResult {
    /// The fit on all photos.
    pub fused: FusedQuality,
    /// What the cross-validation showed.
    pub fit: FusedFit,
    /// The value of each photo, predicted by the fit that saw no photo of its person.
    pub predicted: Measure,
    /// Inputs that are not used, because they do not vary or few photos have them.
    pub left_out: Vec<FusedInput>,
    /// Inputs that some photos lack, with their number. These count as the mean.
    pub imputed: Vec<(FusedInput, usize)>,
}

impl FuseSet<'_> {
    /// Fits, cross-validates and compares at `fmr`.
    ///
    /// # Errors
    /// If there are too few people, or the fused quality is not better than both SER-FIQ and the
    /// norm: the 95 % interval of each difference must be below 0.
    pub fn fuse(&self, fmr: f64, bootstrap: Bootstrap) -> Result<FusedResult, FuseError> {
        if bootstrap.replicates == 0 {
            return Err(FuseError::NoIntervals);
        }
        let (predictions, fused, penalty) = self.cross_validated(fmr, bootstrap.seed)?;
        let predicted = Measure { name: FUSED.into(), values: predictions };
        let areas = self.areas(&predicted, fmr, bootstrap)?;
        let used = |input: FusedInput| fused.inputs.iter().any(|term| term.name == input);
        let missing = |column: &InputColumn| {
            (column.input, column.values.iter().filter(|value| value.is_none()).count())
        };
        let imputed = self.inputs.iter().filter(|column| used(column.input)).map(missing);
        Ok(FusedResult {
            left_out: self.inputs.iter().map(|each| each.input).filter(|i| !used(*i)).collect(),
            imputed: imputed.filter(|(_, count)| *count > 0).collect(),
            fit: FusedFit {
                photos: self.subjects.len(),
                subjects: self.people(),
                folds: FOLDS,
                penalty,
                fmr,
                discarded: LIMITS[LIMIT],
                pauc: areas,
            },
            fused,
            predicted,
        })
    }

    /// The fit on the mated comparisons among the photos of `training`. The similarity threshold at
    /// `fmr` and the choice of inputs are those of all photos: neither tells how similar the photos
    /// of one of the other people are. It is not compared with anything.
    ///
    /// # Errors
    /// If they are of too few people.
    pub fn fit_on(
        &self,
        training: &[bool],
        fmr: f64,
        seed: u64,
    ) -> Result<FusedQuality, FuseError> {
        let inside = |pair: &&Pair| training[pair.a as usize] && training[pair.b as usize];
        let mated: Vec<Pair> = self.comparisons.mated().iter().filter(inside).copied().collect();
        self.with_folds(&mated, fmr, seed, |folds, _| folds.fit(None).map(|(fused, _)| fused))
    }

    /// The prediction of each photo by a fit without its person; the fit on all, and its penalty.
    fn cross_validated(
        &self,
        fmr: f64,
        seed: u64,
    ) -> Result<(Vec<Option<f64>>, FusedQuality, f64), FuseError> {
        self.with_folds(self.comparisons.mated(), fmr, seed, |folds, regression| {
            let mut predictions = vec![None; self.subjects.len()];
            for held_out in 0..FOLDS {
                let (fused, _) = folds.fit(Some(held_out))?;
                for (photo, prediction) in predictions.iter_mut().enumerate() {
                    if folds.is_in(photo, held_out) {
                        *prediction = Some(regression.predict(&fused, photo));
                    }
                }
            }
            let (fused, penalty) = folds.fit(None)?;
            Some((predictions, fused, penalty))
        })
    }

    /// The result of `fits`, with the similarities of the `mated` comparisons as what is to be
    /// predicted.
    fn with_folds<T>(
        &self,
        mated: &[Pair],
        fmr: f64,
        seed: u64,
        fits: impl FnOnce(&CrossValidation<'_>, &Regression<'_>) -> Option<T>,
    ) -> Result<T, FuseError> {
        let weight = self.comparison_weights(mated);
        let people = weight.iter().filter(|weight| **weight > 0.0).count();
        if people < LEAST_PEOPLE {
            return Err(FuseError::People { people });
        }
        let inputs: Vec<&InputColumn> =
            self.inputs.iter().filter(|column| is_usable(&column.values)).collect();
        let of_pair = |pair: &Pair| weight[self.subjects[pair.a as usize] as usize];
        let weights: Vec<f64> = mated.iter().map(of_pair).collect();
        let regression = Regression { inputs: &inputs, pairs: mated, weights: &weights };
        let folds = CrossValidation::new(&regression, self, &weight, fmr, seed);
        fits(&folds, &regression).ok_or(FuseError::People { people })
    }

    /// The areas of the fused quality and of all measures, and whether it helps.
    fn areas(
        &self,
        predicted: &Measure,
        fmr: f64,
        bootstrap: Bootstrap,
    ) -> Result<Vec<MeasureArea>, FuseError> {
        let single = self.measures.iter().filter(|measure| measure.name != FUSED);
        let measures: Vec<Measure> = std::iter::once(predicted).chain(single).cloned().collect();
        let points = evaluate(self.comparisons, self.subjects, &measures, &[fmr], bootstrap);
        let no_errors = || FuseError::NoErrors { fmr };
        let point = points.first().ok_or_else(no_errors)?;
        let own = point.measures[0].paucs[LIMIT].ok_or_else(no_errors)?;
        let mut areas = vec![MeasureArea {
            measure: FUSED.into(),
            value: own.value,
            fused_less_this: 0.0,
            interval: None,
        }];
        let must_lose =
            |result: &&MeasureResult| result.name == self.scores.name || result.name == NORM;
        for result in point.measures.iter().filter(must_lose) {
            let difference = fused_less(result).ok_or_else(no_errors)?;
            if difference.high >= 0.0 {
                let measure = result.name.clone();
                return Err(FuseError::NoGain { measure, difference, fmr });
            }
        }
        areas.extend(point.measures[1..].iter().filter_map(|result| {
            let (value, difference) = (result.paucs[LIMIT]?.value, fused_less(result)?);
            let interval = Some([difference.low, difference.high]);
            let (measure, fused_less_this) = (result.name.clone(), difference.value);
            Some(MeasureArea { measure, value, fused_less_this, interval })
        }));
        Ok(areas)
    }

    /// The weight of a `mated` comparison of each subject: one over the square root of their
    /// number, 0 without any. It lies between the same weight for all comparisons, with which one
    /// person may decide, and the same for all people, with which one comparison counts as much as
    /// another person's hundred.
    fn comparison_weights(&self, mated: &[Pair]) -> Vec<f64> {
        let mut counts = vec![0_u32; self.people()];
        for pair in mated {
            counts[self.subjects[pair.a as usize] as usize] += 1;
        }
        let weight = |pairs: u32| if pairs == 0 { 0.0 } else { 1.0 / f64::from(pairs).sqrt() };
        counts.into_iter().map(weight).collect()
    }

    fn people(&self) -> usize {
        Weights::once(self.subjects).people()
    }
}

/// The area of the first measure, the fused quality, less that of `result`.
fn fused_less(result: &MeasureResult) -> Option<Estimate> {
    let above = result.above_first[LIMIT]?;
    // 0.0 -: without it, a difference of 0 would be -0.
    Some(Estimate { value: 0.0 - above.value, low: 0.0 - above.high, high: 0.0 - above.low })
}

/// Whether enough photos have the input, and not all the same value.
fn is_usable(values: &[Option<f64>]) -> bool {
    let known: Vec<f64> = values.iter().copied().flatten().collect();
    let (low, high) = known
        .iter()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &v| (v.min(low), v.max(high)));
    known.len() as f64 >= LEAST_KNOWN * values.len() as f64 && high - low > 1e-6
}
