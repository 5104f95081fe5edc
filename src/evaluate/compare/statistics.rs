//! Distributions, means and rank correlations with intervals.

use crate::evaluate::agreement::ranks;
use crate::evaluate::bootstrap::Estimate;
use crate::evaluate::evaluation::Bootstrap;
use crate::evaluate::pairs::Weights;
use crate::view::evaluation::EstimateView;
use crate::view::profile_comparison::{
    DistributionView, HistogramView, PairedEstimateView, PairedValuesView,
};

/// A change of quality that is counted is larger than this.
const LARGE_CHANGE: f64 = 10.0;

/// Units of the bootstrap, a unit for each value: the values of one unit are drawn together. A unit
/// is a subject, or an image of which the subject is unknown.
#[derive(Debug, Clone)]
pub(super) struct Units(Vec<u32>);

impl Units {
    /// The units of `values`, numbered from 0 without a gap.
    pub(super) fn new(values: impl IntoIterator<Item = u32>) -> Self {
        let mut units: Vec<u32> = values.into_iter().collect();
        let last = units.iter().max().map_or(0, |&last| last as usize + 1);
        let mut numbers = vec![u32::MAX; last];
        let mut next = 0;
        for unit in &mut units {
            let number = &mut numbers[*unit as usize];
            if *number == u32::MAX {
                *number = next;
                next += 1;
            }
            *unit = *number;
        }
        Self(units)
    }

    /// The unit of each value.
    pub(super) fn of_values(&self) -> &[u32] {
        &self.0
    }

    /// `statistic` of all values, each with the weight 1, and the interval of the replicates, which
    /// draw units.
    pub(super) fn estimate(
        &self,
        bootstrap: Bootstrap,
        statistic: impl Fn(&[f64]) -> f64 + Sync,
    ) -> Estimate {
        let whole = statistic(&vec![1.0; self.0.len()]);
        let drawn = bootstrap.replicates(&self.0, |weights| statistic(weights.photos()));
        Estimate::new(whole, drawn)
    }

    /// The mean of `values` with its interval.
    pub(super) fn mean(&self, values: &[f64], bootstrap: Bootstrap) -> Estimate {
        self.estimate(bootstrap, |weights| weighted_mean(values, weights))
    }

    /// The means of the values under both profiles.
    pub(super) fn means(
        &self,
        [old, new]: [&[f64]; 2],
        bootstrap: Bootstrap,
    ) -> PairedEstimateView {
        paired(&self.0, bootstrap, |weights| {
            [weighted_mean(old, weights.photos()), weighted_mean(new, weights.photos())]
        })
    }
}

/// A statistic under both profiles, in the whole set and in the same replicates of the subjects
/// that `subjects` has for each photo.
pub(super) fn paired(
    subjects: &[u32],
    bootstrap: Bootstrap,
    statistic: impl Fn(&Weights) -> [f64; 2] + Sync,
) -> PairedEstimateView {
    let whole = statistic(&Weights::once(subjects));
    let drawn = bootstrap.replicates(subjects, statistic);
    paired_of(whole, &drawn)
}

/// The estimates of a statistic under both profiles from its replicates.
pub(super) fn paired_of(whole: [f64; 2], drawn: &[[f64; 2]]) -> PairedEstimateView {
    let of = |value: fn(&[f64; 2]) -> f64| -> EstimateView {
        Estimate::new(value(&whole), drawn.iter().map(value)).into()
    };
    PairedEstimateView { old: of(|v| v[0]), new: of(|v| v[1]), change: of(|v| v[1] - v[0]) }
}

/// NaN if all weights are zero.
pub(super) fn weighted_mean(values: &[f64], weights: &[f64]) -> f64 {
    let sum: f64 = values.iter().zip(weights).map(|(value, weight)| value * weight).sum();
    sum / weights.iter().sum::<f64>()
}

/// Both distributions of the same things, and how they differ. None without values. `bins` are
/// those of the histograms.
pub(super) fn paired_values(
    [old, new]: [&[f64]; 2],
    units: &Units,
    bins: Bins,
    bootstrap: Bootstrap,
) -> Option<PairedValuesView> {
    let changes: Vec<f64> = old.iter().zip(new).map(|(old, new)| new - old).collect();
    let large: Vec<f64> =
        changes.iter().map(|change| f64::from(u8::from(change.abs() > LARGE_CHANGE))).collect();
    Some(PairedValuesView {
        old: distribution(old, bins)?,
        new: distribution(new, bins)?,
        change: units.mean(&changes, bootstrap).into(),
        rank_correlation: rank_correlation([old, new], units, bootstrap),
        changed_by_10: bins.of_quality.then(|| units.mean(&large, bootstrap).into()),
    })
}

/// Spearman's rank correlation. A replicate weights the ranks of the whole set. None if all values
/// of one side are the same.
fn rank_correlation(
    values: [&[f64]; 2],
    units: &Units,
    bootstrap: Bootstrap,
) -> Option<EstimateView> {
    let [old, new] = values.map(ranks);
    let found = units.estimate(bootstrap, |weights| correlation(&old, &new, weights));
    found.value.is_finite().then(|| found.into())
}

/// Pearson's correlation with weights; NaN if one side is constant.
fn correlation(a: &[f64], b: &[f64], weights: &[f64]) -> f64 {
    let (mean_a, mean_b) = (weighted_mean(a, weights), weighted_mean(b, weights));
    let (mut product, mut square_a, mut square_b) = (0.0, 0.0, 0.0);
    for ((a, b), weight) in a.iter().zip(b).zip(weights) {
        let (a, b) = (a - mean_a, b - mean_b);
        product += weight * a * b;
        square_a += weight * a * a;
        square_b += weight * b * b;
    }
    product / (square_a * square_b).sqrt()
}

/// The bins of a histogram.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bins {
    low: f64,
    high: f64,
    count: usize,
    of_quality: bool,
}

impl Bins {
    /// Of qualities, 0 to 100: 20 bins, the last of which includes 100.
    pub(super) const QUALITY: Self = Self { low: 0.0, high: 100.0, count: 20, of_quality: true };
    /// Of similarities, -1 to 1.
    pub(super) const SIMILARITY: Self =
        Self { low: -1.0, high: 1.0, count: 100, of_quality: false };

    /// 40 bins over all values.
    pub(super) fn around(values: [&[f64]; 2]) -> Self {
        let all = || values.into_iter().flatten().copied();
        let (low, high) = (all().fold(f64::INFINITY, f64::min), all().fold(0.0, f64::max));
        let high = if high > low { high } else { low + 1.0 };
        Self { low, high, count: 40, of_quality: false }
    }

    fn histogram(self, values: &[f64]) -> HistogramView {
        let Self { low, high, count, .. } = self;
        let mut counts = vec![0; count];
        for value in values {
            let bin = (value - low) / (high - low) * count as f64;
            // The cast saturates: what is below the first bin is in it.
            counts[(bin as usize).min(count - 1)] += 1;
        }
        HistogramView { low, high, counts }
    }
}

/// None without values.
pub(super) fn distribution(values: &[f64], bins: Bins) -> Option<DistributionView> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    let count = sorted.len();
    let percentile =
        |percent: usize| sorted.get((count * percent).div_ceil(100).saturating_sub(1)).copied();
    let mean = sorted.iter().sum::<f64>() / count as f64;
    let variance = sorted.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count as f64;
    let percents = [("p5", 5), ("p25", 25), ("median", 50), ("p75", 75), ("p95", 95)];
    Some(DistributionView {
        count: count as u64,
        mean,
        deviation: variance.sqrt(),
        percentiles: percents
            .into_iter()
            .map(|(name, percent)| Some((name, percentile(percent)?)))
            .collect::<Option<_>>()?,
        histogram: bins.histogram(values),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOOTSTRAP: Bootstrap = Bootstrap { replicates: 400, seed: 1, threads: 2 };

    #[test]
    fn a_distribution_worked_by_hand() {
        assert_eq!(distribution(&[], Bins::QUALITY), None);
        let found = distribution(&[0.0, 4.0, 5.0, 100.0, 96.0], Bins::QUALITY).unwrap();
        assert_eq!((found.count, found.mean), (5, 41.0));
        // Deviations -41, -37, -36, 59, 55.
        let variance = (1681.0 + 1369.0 + 1296.0 + 3481.0 + 3025.0) / 5.0_f64;
        assert!((found.deviation - variance.sqrt()).abs() < 1e-12);
        assert_eq!((found.percentiles["p5"], found.percentiles["median"]), (0.0, 5.0));
        assert_eq!((found.percentiles["p75"], found.percentiles["p95"]), (96.0, 100.0));
        let counts = &found.histogram.counts;
        assert_eq!((counts[0], counts[1], counts[19], counts.iter().sum::<u64>()), (2, 1, 2, 5));
    }

    #[test]
    fn values_are_compared_pair_by_pair() {
        let (old, new) = ([10.0, 20.0, 30.0, 40.0], [31.0, 10.0, 40.0, 51.0]);
        let units = Units::new(0..4);
        let found = paired_values([&old, &new], &units, Bins::QUALITY, BOOTSTRAP).unwrap();
        // Changes 21, -10, 10, 11: two are larger than 10.
        assert_eq!((found.change.value, found.changed_by_10.unwrap().value), (8.0, 0.5));
        // Ranks 0 1 2 3 and 1 0 2 3: 1 - 6 * 2 / (4 * 15).
        assert!((found.rank_correlation.unwrap().value - 0.8).abs() < 1e-12);
        let same = paired_values([&old, &[7.0; 4]], &units, Bins::QUALITY, BOOTSTRAP).unwrap();
        assert_eq!(same.rank_correlation, None);
        let scores = Bins::around([&old, &new]);
        assert_eq!(
            paired_values([&old, &new], &units, scores, BOOTSTRAP).unwrap().changed_by_10,
            None
        );
    }

    #[test]
    fn the_values_of_a_unit_are_drawn_together() {
        // 100 units of ten equal values: the standard error is that of 100 values.
        let values: Vec<f64> = (0..1000).map(|number| f64::from(number / 10 % 2)).collect();
        let units = Units::new((0..1000).map(|number| 7 + number / 10));
        assert_eq!(units.of_values()[..11], [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        let found = units.mean(&values, BOOTSTRAP);
        let expected = 1.96 * 0.05;
        assert!((found.high - found.low - 2.0 * expected).abs() < 0.05, "{found:?}");
    }

    #[test]
    fn a_change_is_that_of_the_same_replicates() {
        // The values vary much, their change does not.
        let old: Vec<f64> = (0..200).map(|number| f64::from(number % 2)).collect();
        let new: Vec<f64> = old.iter().map(|value| value + 0.25).collect();
        let found = Units::new(0..200).means([&old, &new], BOOTSTRAP);
        assert!(found.old.high - found.old.low > 0.1);
        assert!((found.change.low - 0.25).abs() < 1e-9 && (found.change.high - 0.25).abs() < 1e-9);
    }
}
