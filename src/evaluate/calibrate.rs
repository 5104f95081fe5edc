//! What scores mean in a gallery of one's own: mappings from score to quality, and thresholds.

use super::bootstrap::Estimate;
use super::evaluation::Bootstrap;
use super::pairs::{Comparisons, Pair, Weights};
use super::samples::Measure;
use crate::domain::Mapping;

/// Knots of a percentile mapping less one: a knot a quality.
const PERCENTS: usize = 100;
/// Steps of Newton's method: from the published mapping, about ten are needed.
const MOST_STEPS: usize = 100;
/// Fewer scores say too little of the ends.
const LEAST_SCORES: usize = 100;
/// Qualities: 0 to 100.
const LEVELS: usize = 101;
/// A threshold that discards more is no answer.
const MOST_DISCARDED: f64 = 0.5;

/// Why nothing can be calibrated.
#[derive(Debug, thiserror::Error)]
pub enum FitError {
    /// Too few images.
    #[error("{0} scored images are too few for percentiles: at least {LEAST_SCORES}")]
    Scores(usize),
    /// Too few pairs of two people.
    #[error(
        "{impostors} pairs of two people cannot show a false match rate of {fmr:e}: choose a \
            higher one, or label more photos"
    )]
    Impostors {
        /// Pairs of two people.
        impostors: u64,
        /// The rate.
        fmr: f64,
    },
    /// All pairs of one person match, or none does, or quality does not tell which.
    #[error(
        "the pairs of one person do not tell how quality bears on matching: {errors} of {pairs} \
            fail at FMR {fmr:e}, and they are not those of \
         low score; choose a lower FMR or label harder photos"
    )]
    Separable {
        /// Pairs of one person.
        pairs: usize,
        /// Those that do not match.
        errors: usize,
        /// The false match rate.
        fmr: f64,
    },
}

/// The mapping by which quality is the share of `scores`, in percent, that are worse.
///
/// # Errors
/// If there are too few.
pub fn percentiles(scores: &[f64], data: &str) -> Result<Mapping, FitError> {
    if scores.len() < LEAST_SCORES {
        return Err(FitError::Scores(scores.len()));
    }
    let mut sorted = scores.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let knot = |percent: usize| {
        let place = percent as f64 / PERCENTS as f64 * (sorted.len() - 1) as f64;
        let (below, part) = (place.floor() as usize, place.fract());
        let next = sorted[(below + 1).min(sorted.len() - 1)];
        sorted[below] + part * (next - sorted[below])
    };
    Ok(Mapping::Percentile { scores: (0..=PERCENTS).map(knot).collect(), data: data.to_owned() })
}

/// A logistic mapping with the intervals of its constants.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MatchChance {
    /// The false match rate at which pairs match.
    pub fmr: f64,
    /// The similarity that pairs must exceed.
    pub threshold: Estimate,
    /// Pairs of one person.
    pub pairs: usize,
    /// Those that do not match.
    pub errors: usize,
    /// Steepness.
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
pub struct Labelled<'a> {
    /// All comparisons.
    pub comparisons: &'a Comparisons,
    /// Whose the photos are.
    pub subjects: &'a [u32],
    /// The measure.
    pub scores: &'a Measure,
}

impl Labelled<'_> {
    /// Fits the chance that a pair of one person matches as a logistic function of its lower score.
    /// Each person weighs the same, however many pairs they have: quality is to hold for people to
    /// come.
    ///
    /// # Errors
    /// If the pairs cannot show it.
    pub fn match_chance(&self, fmr: f64, bootstrap: Bootstrap) -> Result<MatchChance, FitError> {
        let once = Weights::once(self.subjects);
        let genuine = self.comparisons.genuine();
        let too_few = || FitError::Impostors { impostors: self.comparisons.impostor_total(), fmr };
        let threshold = self.comparisons.threshold(fmr, &once).ok_or_else(too_few)?;
        let errors = genuine.iter().filter(|pair| pair.similarity <= threshold).count();
        let separable = || FitError::Separable { pairs: genuine.len(), errors, fmr };
        let lower: Vec<f64> = genuine.iter().map(|pair| self.lower_score(pair)).collect();
        let shares = self.shares();
        let fit = |weights: &Weights, threshold: f32| {
            let each = genuine.iter().zip(&lower).map(|(pair, &score)| Observation {
                score,
                matches: pair.similarity > threshold,
                weight: weights.genuine(pair) * shares[self.subjects[pair.a as usize] as usize],
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
        let estimate = |value: f64, place: usize| {
            Estimate::new(value, drawn.iter().flatten().map(|values| values[place]))
        };
        Ok(MatchChance {
            fmr,
            threshold: estimate(f64::from(threshold), 0),
            pairs: genuine.len(),
            errors,
            alpha: estimate(alpha, 1),
            r: estimate(r, 2),
        })
    }

    /// The quality below which images are to be discarded, for `wanted`: for a rate the lowest that
    /// reaches it, for a share the one that discards nearest to it. None if no quality that
    /// discards up to half of the images reaches the rate.
    ///
    /// # Errors
    /// If the impostors cannot show the false match rate.
    pub fn threshold(
        &self,
        wanted: Wanted,
        mapping: &Mapping,
        fmr: f64,
        bootstrap: Bootstrap,
    ) -> Result<Option<Threshold>, FitError> {
        let too_few = || FitError::Impostors { impostors: self.comparisons.impostor_total(), fmr };
        let once = Weights::once(self.subjects);
        let similarity = self.comparisons.threshold(fmr, &once).ok_or_else(too_few)?;
        let qualities = self.scores.qualities(mapping);
        let whole = self.effects(&qualities, similarity, &once);
        let chosen = match wanted {
            Wanted::Fnmr(rate) => {
                let reached =
                    |effect: &Effect| effect.fnmr <= rate && effect.discard <= MOST_DISCARDED;
                whole.iter().position(reached)
            }
            Wanted::Discard(share) => {
                let distance = |place: &usize| (whole[*place].discard - share).abs();
                (0..whole.len()).min_by(|a, b| distance(a).total_cmp(&distance(b)))
            }
        };
        let Some(chosen) = chosen else { return Ok(None) };
        let drawn = bootstrap.replicates(self.subjects, |weights| {
            let similarity = self.comparisons.threshold(fmr, weights)?;
            Some(self.effects(&qualities, similarity, weights)[chosen])
        });
        let estimate = |of: fn(&Effect) -> f64| {
            Estimate::new(of(&whole[chosen]), drawn.iter().flatten().map(of))
        };
        let kept = self
            .scores
            .values
            .iter()
            .zip(&qualities)
            .filter(|(_, quality)| usize::from(**quality) >= chosen);
        Ok(Some(Threshold {
            wanted,
            quality: chosen as u8,
            score: kept.filter_map(|(score, _)| *score).fold(f64::INFINITY, f64::min),
            discard: estimate(|effect| effect.discard),
            fnmr: estimate(|effect| effect.fnmr),
        }))
    }

    /// What each quality from 0 to 100 does as a threshold.
    fn effects(&self, qualities: &[u8], similarity: f32, weights: &Weights) -> Vec<Effect> {
        let (mut images, mut pairs, mut errors) = ([0.0; LEVELS], [0.0; LEVELS], [0.0; LEVELS]);
        for (&quality, weight) in qualities.iter().zip(weights.photos()) {
            images[usize::from(quality)] += weight;
        }
        for pair in self.comparisons.genuine() {
            let lower = usize::from(qualities[pair.a as usize].min(qualities[pair.b as usize]));
            let weight = weights.genuine(pair);
            pairs[lower] += weight;
            errors[lower] += if pair.similarity > similarity { 0.0 } else { weight };
        }
        let total: f64 = images.iter().sum();
        let from = |counts: &[f64; LEVELS], quality: usize| counts[quality..].iter().sum::<f64>();
        let effect = |quality: usize| Effect {
            // A sum of nothing is -0, which would be shown.
            discard: (0.0 + images[..quality].iter().sum::<f64>()) / total,
            fnmr: from(&errors, quality) / from(&pairs, quality),
        };
        (0..LEVELS).map(effect).collect()
    }

    fn people(&self) -> usize {
        self.subjects.iter().max().map_or(0, |&last| last as usize + 1)
    }

    /// One over the number of pairs, for each person.
    fn shares(&self) -> Vec<f64> {
        let mut pairs = vec![0.0; self.people()];
        self.comparisons
            .genuine()
            .iter()
            .for_each(|pair| pairs[self.subjects[pair.a as usize] as usize] += 1.0);
        pairs.into_iter().map(|pairs: f64| 1.0 / pairs.max(1.0)).collect()
    }

    fn lower_score(&self, pair: &Pair) -> f64 {
        let score = |photo: u32| self.scores.values[photo as usize].unwrap_or(f64::NEG_INFINITY);
        score(pair.a).min(score(pair.b))
    }
}

/// What a quality threshold is to reach.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Wanted {
    /// A false non-match rate of what is left.
    Fnmr(f64),
    /// A share of the images that is discarded.
    Discard(f64),
}

/// A quality threshold.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Threshold {
    /// What it was to reach.
    pub wanted: Wanted,
    /// Images of a lower quality are discarded.
    pub quality: u8,
    /// The lowest score that is kept.
    pub score: f64,
    /// The share of the images that this discards.
    pub discard: Estimate,
    /// The false non-match rate of what is left.
    pub fnmr: Estimate,
}

/// What a threshold does; the rate is NaN where no pair is left.
#[derive(Debug, Clone, Copy)]
struct Effect {
    discard: f64,
    fnmr: f64,
}

#[derive(Debug, Clone, Copy)]
struct Observation {
    score: f64,
    matches: bool,
    weight: f64,
}

/// Maximum likelihood of `1 / (1 + exp(-alpha * (score - r)))` by Newton's method. None if there is
/// no maximum: the two kinds do not overlap, or one is missing.
fn fit_logistic(observations: &[Observation]) -> Option<(f64, f64)> {
    let total: f64 = observations.iter().map(|each| each.weight).sum();
    let mean = observations.iter().map(|each| each.weight * each.score).sum::<f64>() / total;
    let variance =
        observations.iter().map(|each| each.weight * (each.score - mean).powi(2)).sum::<f64>()
            / total;
    let matching =
        observations.iter().filter(|each| each.matches).map(|each| each.weight).sum::<f64>()
            / total;
    let scale = variance.sqrt();
    if !(scale > 0.0 && matching > 0.0 && matching < 1.0) {
        return None;
    }
    // In standardised scores, so that both unknowns are of the size of one.
    let (mut constant, mut slope) = ((matching / (1.0 - matching)).ln(), 0.0);
    for _ in 0..MOST_STEPS {
        let (mut g0, mut g1, mut h00, mut h01, mut h11) = (0.0, 0.0, 0.0, 0.0, 0.0);
        for each in observations {
            let x = (each.score - mean) / scale;
            let chance = 1.0 / (1.0 + (-(constant + slope * x)).exp());
            let residual = each.weight * (f64::from(u8::from(each.matches)) - chance);
            let curvature = each.weight * chance * (1.0 - chance);
            (g0, g1) = (g0 + residual, g1 + residual * x);
            (h00, h01, h11) = (h00 + curvature, h01 + curvature * x, h11 + curvature * x * x);
        }
        let determinant = h00 * h11 - h01 * h01;
        if determinant.is_nan() || determinant <= 1e-12 * h00 * h11 {
            return None;
        }
        // Newton's step, shortened where the likelihood is flat: it must not leap over the maximum.
        let (step0, step1) =
            ((h11 * g0 - h01 * g1) / determinant, (h00 * g1 - h01 * g0) / determinant);
        let shorten = (2.0 / step0.abs().max(step1.abs())).min(1.0);
        (constant, slope) = (constant + shorten * step0, slope + shorten * step1);
        if step0.abs().max(step1.abs()) < 1e-9 {
            return (slope != 0.0).then(|| (slope / scale, mean - constant * scale / slope));
        }
    }
    // Still moving: towards infinity.
    None
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

    #[test]
    fn a_logistic_fit_worked_by_hand() {
        // At score 1 one of four matches, at score 2 three of four: the logits are -ln 3 and ln 3,
        // so alpha = 2 ln 3 and r = 1.5.
        let at = |score, matches, weight| Observation { score, matches, weight };
        let observations =
            [at(1.0, true, 1.0), at(1.0, false, 3.0), at(2.0, true, 3.0), at(2.0, false, 1.0)];
        let (alpha, r) = fit_logistic(&observations).unwrap();
        assert!((alpha - 2.0 * 3.0_f64.ln()).abs() < 1e-6 && (r - 1.5).abs() < 1e-6, "{alpha} {r}");
    }

    #[test]
    fn what_does_not_overlap_has_no_fit() {
        let at = |score, matches| Observation { score, matches, weight: 1.0 };
        assert_eq!(
            fit_logistic(&[at(1.0, false), at(2.0, false), at(3.0, true), at(4.0, true)]),
            None
        );
        assert_eq!(fit_logistic(&[at(1.0, true), at(2.0, true)]), None);
        assert_eq!(fit_logistic(&[]), None);
    }

    #[test]
    fn thresholds_reach_what_was_wanted() {
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
        let labelled = Labelled { comparisons: &comparisons, subjects: &subjects, scores: &scores };
        let bootstrap = Bootstrap { replicates: 50, seed: 1, threads: 2 };
        // Two photos of quality 0, then four of each.
        let mapping = Mapping::Percentile { scores: vec![0.79995, 0.83995], data: String::new() };
        let at = |wanted| labelled.threshold(wanted, &mapping, 0.5, bootstrap).unwrap().unwrap();
        // The last failing pair, photos 38 and 39, is of quality 10, as are 40 and 41.
        let threshold = at(Wanted::Fnmr(0.0));
        assert_eq!(
            (threshold.quality, threshold.discard.value, threshold.fnmr.value),
            (11, 42.0 / 400.0, 0.0)
        );
        assert!((threshold.score - 0.8042).abs() < 1e-9, "{threshold:?}");
        let threshold = at(Wanted::Discard(0.047));
        assert_eq!(
            (threshold.quality, threshold.discard.value),
            (5, 18.0 / 400.0),
            "{threshold:?}"
        );
        assert!((threshold.fnmr.value - 11.0 / 191.0).abs() < 1e-9, "{threshold:?}");
        assert!(
            threshold.fnmr.low < threshold.fnmr.value && threshold.fnmr.value < threshold.fnmr.high
        );
        // Where all pairs that are left fail, no rate is reached.
        let nothing = Mapping::Percentile { scores: vec![0.9, 1.0], data: String::new() };
        assert_eq!(labelled.threshold(Wanted::Fnmr(0.01), &nothing, 0.5, bootstrap).unwrap(), None);
        // The errors are just those of low score: no chance to fit.
        assert!(matches!(
            labelled.match_chance(0.5, bootstrap),
            Err(FitError::Separable { pairs: 200, errors: 20, .. })
        ));
    }
}
