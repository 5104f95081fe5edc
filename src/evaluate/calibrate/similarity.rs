//! Similarity thresholds: what counts as a match at each false match rate.

use super::CalibrationSet;
use crate::domain::{MatchThresholds, Profile, SimilarityThreshold};
use crate::evaluate::bootstrap::Estimate;
use crate::evaluate::evaluation::Bootstrap;
use crate::evaluate::pairs::Weights;

/// The false match rates of which a threshold is wanted.
pub const MATCH_FMRS: [f64; 5] = [1e-2, 1e-3, 1e-4, 1e-5, 1e-6];
/// The fewest false matches that a threshold rests on: with 30 independent ones, the true rate is
/// within 30 % of the measured one with a confidence of 90 % (the rule of 30 of ISO/IEC 19795-1).
const LEAST_FALSE_MATCHES: f64 = 30.0;
/// The fewest pairs of people that these false matches are of, because those of one pair are not
/// independent: with fewer, the threshold is that of a few look-alikes or wrong labels.
const LEAST_PAIRS_OF_PEOPLE: usize = 10;
/// The largest share of bootstrap replicates that may have no threshold. Without them the interval
/// is too narrow.
const MOST_LOST: f64 = 0.1;

/// Similarity thresholds, and the rates for which the comparisons show none.
#[derive(Debug, Clone, PartialEq)]
pub struct MeasuredThresholds {
    /// The thresholds.
    pub thresholds: MatchThresholds,
    /// The other rates with the reason, the highest rate first.
    pub left_out: Vec<(f64, WhyLeftOut)>,
}

/// Why there is no threshold at a false match rate.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
pub enum WhyLeftOut {
    /// Too few comparisons would match.
    #[error(
        "{expected:.0} of {non_mated} non-mated comparisons would match; \
         {LEAST_FALSE_MATCHES} are needed"
    )]
    FalseMatches {
        /// Comparisons that would match.
        expected: f64,
        /// Non-mated comparisons.
        non_mated: u64,
    },
    /// Too few people have the comparisons that would match.
    #[error(
        "the comparisons that would match are of {0} pairs of people; {LEAST_PAIRS_OF_PEOPLE} are \
         needed"
    )]
    People(usize),
    /// Too many bootstrap replicates have no threshold.
    #[error(
        "{lost} of {replicates} bootstrap replicates have no threshold, so it depends on a few \
             people"
    )]
    Replicates {
        /// Those without one.
        lost: usize,
        /// All of them.
        replicates: usize,
    },
}

impl CalibrationSet<'_> {
    /// The similarity thresholds at those of `fmrs` that the comparisons can show: at least 30
    /// non-mated ones would match, of at least ten pairs of people, and nearly all bootstrap
    /// replicates have a threshold. `profile` gave the templates, and `data` is the fingerprint of
    /// the photos.
    pub fn match_thresholds(
        &self,
        fmrs: &[f64],
        profile: &Profile,
        data: &str,
        bootstrap: Bootstrap,
    ) -> MeasuredThresholds {
        let total = self.comparisons.non_mated_total();
        let mut fmrs = fmrs.to_vec();
        fmrs.sort_unstable_by(|a, b| b.total_cmp(a));
        fmrs.dedup();
        let mut left_out = Vec::new();
        fmrs.retain(|&fmr| match self.too_weak(fmr) {
            Some(why) => {
                left_out.push((fmr, why));
                false
            }
            None => true,
        });
        let at = |weights: &Weights| -> Vec<Option<f64>> {
            let threshold = |&fmr: &f64| self.comparisons.threshold(fmr, weights).map(f64::from);
            fmrs.iter().map(threshold).collect()
        };
        let whole = at(&Weights::once(self.subjects));
        let drawn = bootstrap.replicates(self.subjects, at);
        let mut similarity = Vec::new();
        for (index, &fmr) in fmrs.iter().enumerate() {
            let values: Vec<f64> = drawn.iter().filter_map(|values| values[index]).collect();
            let (lost, replicates) = (drawn.len() - values.len(), drawn.len());
            let interval = (!values.is_empty()).then(|| {
                let Estimate { low, high, .. } = Estimate::new(f64::NAN, values);
                [low, high]
            });
            match whole[index] {
                Some(threshold) if lost as f64 <= MOST_LOST * replicates as f64 => {
                    similarity.push(SimilarityThreshold { fmr, threshold, interval });
                }
                _ => left_out.push((fmr, WhyLeftOut::Replicates { lost, replicates })),
            }
        }
        left_out.sort_unstable_by(|(a, _), (b, _)| b.total_cmp(a));
        let thresholds = MatchThresholds {
            templates: Some(profile.templates_id()),
            data: data.to_owned(),
            photos: self.subjects.len() as u64,
            subjects: self.people() as u64,
            mated: self.comparisons.mated().len() as u64,
            non_mated: total,
            similarity,
        };
        MeasuredThresholds { thresholds, left_out }
    }

    /// Why the comparisons that would match at `fmr` are too few; none if they are enough.
    fn too_weak(&self, fmr: f64) -> Option<WhyLeftOut> {
        let non_mated = self.comparisons.non_mated_total();
        let expected = fmr * non_mated as f64;
        // Tolerance for the rounding of the product.
        if expected + 1e-3 < LEAST_FALSE_MATCHES {
            return Some(WhyLeftOut::FalseMatches { expected, non_mated });
        }
        let people = self.comparisons.pairs_of_people(expected as usize, self.subjects);
        (people < LEAST_PAIRS_OF_PEOPLE).then_some(WhyLeftOut::People(people))
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;
    use crate::domain::{
        AlignmentProfile, Mapping, Precision, RecogniserProfile, SerFiq, SimilarityThreshold,
    };
    use crate::evaluate::pairs::Comparisons;
    use crate::evaluate::samples::Measure;

    const BOOTSTRAP: Bootstrap = Bootstrap { replicates: 50, seed: 1, threads: 2 };

    fn profile() -> Profile {
        Profile {
            alignment: AlignmentProfile::None,
            recogniser: RecogniserProfile {
                name: "a".into(),
                sha256: "00".into(),
                precision: Precision::Float32,
            },
            ser_fiq: SerFiq::ClosedForm { dropout: 0.4 },
            mapping: Mapping::Logistic { alpha: 130.0, r: 0.88 },
        }
    }

    /// Unit vectors, one for each number, as if at random.
    fn templates(numbers: &[u32]) -> Array2<f32> {
        let mut templates = Array2::from_shape_fn((numbers.len(), 8), |(photo, j)| {
            let mut bytes = [0; 8];
            let number = numbers[photo].to_le_bytes();
            blake3::Hasher::new().update(&number).finalize_xof().fill(&mut bytes);
            f32::from(bytes[j]) - 127.5
        });
        for mut row in templates.rows_mut() {
            let norm = row.dot(&row).sqrt();
            row /= norm;
        }
        templates
    }

    fn measured(
        templates: &Array2<f32>,
        subjects: &[u32],
        fmrs: &[f64],
        bootstrap: Bootstrap,
    ) -> MeasuredThresholds {
        let comparisons = Comparisons::all(&templates.view(), subjects, 1e-2, 2).unwrap();
        let scores = Measure { name: String::new(), values: vec![Some(0.9); subjects.len()] };
        let set = CalibrationSet { comparisons: &comparisons, subjects, scores: &scores };
        set.match_thresholds(fmrs, &profile(), "x", bootstrap)
    }

    #[test]
    fn thresholds_are_those_of_a_plain_sort_and_rates_that_need_more_are_left_out() {
        // Sixty people with two photos each: 120 * 118 / 2 = 7080 non-mated comparisons.
        let subjects: Vec<u32> = (0..120).map(|photo| photo / 2).collect();
        let templates = templates(&(0..120).collect::<Vec<_>>());
        let MeasuredThresholds { thresholds: found, left_out } =
            measured(&templates, &subjects, &[5e-3, 1e-2, 1e-3, 4e-3, 1e-2], BOOTSTRAP);
        assert_eq!((found.subjects, found.mated, found.non_mated), (60, 60, 7080));
        assert_eq!(found.templates, Some(profile().templates_id()));
        found.check().unwrap();
        assert!(found.apply_to(&profile()));
        let mut half = profile();
        half.recogniser.precision = Precision::Half;
        assert!(!found.apply_to(&half), "half precision gives other templates");

        let mut plain = Vec::new();
        for a in 0..120 {
            for b in a + 1..120 {
                if subjects[a] != subjects[b] {
                    plain.push(templates.row(a).dot(&templates.row(b)));
                }
            }
        }
        plain.sort_unstable_by(|a, b| b.total_cmp(a));
        // 70.8 and 35.4 comparisons may match: the threshold is the similarity after 70 and 35.
        let expected = [(1e-2, plain[70]), (5e-3, plain[35])];
        assert_eq!(found.similarity.len(), 2, "28 comparisons are too few for 4e-3");
        for (each, (fmr, threshold)) in found.similarity.iter().zip(expected) {
            let SimilarityThreshold { interval, .. } = *each;
            assert!(each.fmr == fmr && (each.threshold - f64::from(threshold)).abs() < 1e-6);
            let [low, high] = interval.unwrap();
            assert!(low <= each.threshold && each.threshold <= high && low < high, "{each:?}");
        }
        let [(4e-3, few), (1e-3, fewer)] = left_out[..] else { panic!("{left_out:?}") };
        assert_eq!(few.to_string(), "28 of 7080 non-mated comparisons would match; 30 are needed");
        assert!(fewer.to_string().starts_with("7 of 7080 "), "{fewer}");

        let once = Bootstrap { replicates: 0, ..BOOTSTRAP };
        let found = measured(&templates, &subjects, &[1e-2], once).thresholds;
        assert_eq!(found.similarity[0].interval, None);
    }

    #[test]
    fn one_person_under_two_names_gives_no_threshold() {
        // Persons 0 and 1 have twelve photos each, all of the same template. Their 144 comparisons
        // alone would decide a rate of 1e-2, at which 101 match.
        let subjects: Vec<u32> = (0..24).map(|photo| photo / 12).chain(2..122).collect();
        let numbers: Vec<u32> = subjects.iter().map(|&subject| subject.max(1)).collect();
        let all = measured(&templates(&numbers), &subjects, &[1e-2], BOOTSTRAP);
        let non_mated = all.thresholds.non_mated;
        assert_eq!(non_mated, 144 * 143 / 2 - 2 * 66);
        assert_eq!(all.thresholds.similarity, []);
        assert_eq!(all.left_out, [(1e-2, WhyLeftOut::People(1))]);
    }
}
