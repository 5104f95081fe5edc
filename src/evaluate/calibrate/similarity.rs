//! Similarity thresholds: what counts as a match at each false match rate.

use super::CalibrationSet;
use crate::domain::{MatchThresholds, SimilarityThreshold};
use crate::evaluate::bootstrap::Estimate;
use crate::evaluate::evaluation::Bootstrap;
use crate::evaluate::pairs::Weights;

/// The false match rates of which a threshold is wanted.
pub const MATCH_FMRS: [f64; 5] = [1e-2, 1e-3, 1e-4, 1e-5, 1e-6];
/// The fewest false matches that a threshold rests on: one or two are chance.
const LEAST_FALSE_MATCHES: f64 = 10.0;
/// The largest share of bootstrap replicates that may have no threshold. Without them the interval
/// is too narrow.
const MOST_LOST: f64 = 0.1;

impl CalibrationSet<'_> {
    /// The similarity thresholds at those of `fmrs` that the comparisons can show: at least ten
    /// non-mated ones would match, also in nearly all bootstrap replicates. `data` is the
    /// fingerprint of the photos.
    pub fn match_thresholds(
        &self,
        fmrs: &[f64],
        data: &str,
        bootstrap: Bootstrap,
    ) -> MatchThresholds {
        let total = self.comparisons.non_mated_total();
        let mut fmrs: Vec<f64> = fmrs
            .iter()
            .copied()
            .filter(|fmr| *fmr > 0.0 && fmr * total as f64 >= LEAST_FALSE_MATCHES)
            .collect();
        fmrs.sort_unstable_by(|a, b| b.total_cmp(a));
        fmrs.dedup();
        let at = |weights: &Weights| -> Vec<Option<f64>> {
            let threshold = |&fmr: &f64| self.comparisons.threshold(fmr, weights).map(f64::from);
            fmrs.iter().map(threshold).collect()
        };
        let whole = at(&Weights::once(self.subjects));
        let drawn = bootstrap.replicates(self.subjects, at);
        let threshold = |(index, &fmr): (usize, &f64)| {
            let threshold = whole[index]?;
            let values: Vec<f64> = drawn.iter().filter_map(|values| values[index]).collect();
            let lost = drawn.len() - values.len();
            let interval = (!values.is_empty()).then(|| {
                let Estimate { low, high, .. } = Estimate::new(threshold, values);
                [low, high]
            });
            let shown = lost as f64 <= MOST_LOST * drawn.len() as f64;
            shown.then_some(SimilarityThreshold { fmr, threshold, interval })
        };
        MatchThresholds {
            data: data.to_owned(),
            photos: self.subjects.len() as u64,
            subjects: self.people() as u64,
            mated: self.comparisons.mated().len() as u64,
            non_mated: total,
            similarity: fmrs.iter().enumerate().filter_map(threshold).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array2;

    use super::*;
    use crate::evaluate::pairs::Comparisons;
    use crate::evaluate::samples::Measure;

    #[test]
    fn rates_that_the_comparisons_cannot_show_are_left_out() {
        // Sixty people with two photos each: 120 * 118 / 2 = 7080 non-mated comparisons.
        let templates = Array2::from_shape_fn((120, 8), |(photo, j)| {
            let mut bytes = [0; 8];
            blake3::Hasher::new().update(&[photo as u8 / 2]).finalize_xof().fill(&mut bytes);
            let vector: Vec<f32> = bytes.iter().map(|&byte| f32::from(byte) - 127.5).collect();
            let norm = vector.iter().map(|value| value * value).sum::<f32>().sqrt();
            vector[j] / norm
        });
        let subjects: Vec<u32> = (0..120).map(|photo| photo / 2).collect();
        let comparisons = Comparisons::all(&templates.view(), &subjects, 1e-2, 2).unwrap();
        let scores = Measure { name: String::new(), values: vec![Some(0.9); 120] };
        let set =
            CalibrationSet { comparisons: &comparisons, subjects: &subjects, scores: &scores };
        let bootstrap = Bootstrap { replicates: 50, seed: 1, threads: 2 };
        let found = set.match_thresholds(&[5e-3, 1e-2, 1e-3, 1e-2], "x", bootstrap);
        assert_eq!((found.subjects, found.mated, found.non_mated), (60, 60, 7080));
        let rates: Vec<f64> = found.similarity.iter().map(|each| each.fmr).collect();
        assert_eq!(rates, [1e-2, 5e-3], "seven comparisons are too few for 1e-3");
        found.check().unwrap();
        for each in &found.similarity {
            let [low, high] = each.interval.unwrap();
            assert!(low <= each.threshold && each.threshold <= high && low < high, "{each:?}");
            let over = comparisons.false_matches(each.threshold as f32).len();
            assert!(over as f64 <= each.fmr * 7080.0, "{over} {each:?}");
        }
        let once = Bootstrap { replicates: 0, ..bootstrap };
        let found = set.match_thresholds(&[1e-2], "x", once);
        assert_eq!(found.similarity[0].interval, None);
    }
}
