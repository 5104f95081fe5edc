//! Whether quality and its consequences differ between groups of people (Terhörst et al., arXiv
//! 2004.01019).
//!
//! A quality threshold that discards one group's images more often than another's treats people
//! differently. The error rates show whether there is a reason for it: if a group has no more
//! errors than others, discarding more of its images has no benefit.

use super::bootstrap::Estimate;
use super::evaluation::Bootstrap;
use super::pairs::{Comparisons, Weights};
use super::samples::{GroupColumn, Measure};
use crate::domain::Mapping;

/// Intervals between the points of a drawn density.
const DENSITY_POINTS: usize = 120;
/// Fewest scores that show a distribution.
const LEAST_SCORES: usize = 10;

/// The thresholds in use.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LiveThreshold {
    /// Images of lower quality are discarded.
    pub quality: u8,
    /// The false match rate that fixes the similarity threshold on the whole set.
    pub fmr: f64,
}

/// The results of one group.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupResult {
    /// Its name; the first result is that of all people.
    pub name: String,
    /// Number of images.
    pub images: usize,
    /// Number of people.
    pub people: usize,
    /// Quality that 5, 25, 50, 75 and 95 percent of the images do not exceed.
    pub percentiles: [u8; 5],
    /// `left[t]` is the share of the images that a quality threshold of t keeps, t from 0 to 100.
    pub left: Vec<f64>,
    /// The share that the live threshold discards.
    pub discarded: Estimate,
    /// That share over the share of all people; none if nothing is discarded.
    pub discard_ratio: Option<Estimate>,
    /// The false non-match rate with nothing discarded; none without a mated comparison.
    pub fnmr: Option<Estimate>,
    /// That rate over the rate of all people; none if there are no errors.
    pub fnmr_ratio: Option<Estimate>,
    /// The false non-match rate after discarding by the live threshold.
    pub fnmr_left: Option<Estimate>,
    /// The false match rate within the group; none if it has only one person.
    pub fmr: Option<f64>,
    scores: Vec<f64>,
}

/// The photos of all groups with their comparisons and scores.
#[derive(Debug)]
pub struct BiasInput<'a> {
    /// The comparisons of the photos.
    pub comparisons: &'a Comparisons,
    /// The subjects of the photos.
    pub subjects: &'a [u32],
    /// The measure under test.
    pub scores: &'a Measure,
    /// The mapping from its scores to quality.
    pub mapping: &'a Mapping,
}

impl BiasInput<'_> {
    /// The results of all people, then those of each group of `column`. None if there are too few
    /// non-mated comparisons to show the false match rate.
    pub fn bias(
        &self,
        column: &GroupColumn,
        live: LiveThreshold,
        bootstrap: Bootstrap,
    ) -> Option<Vec<GroupResult>> {
        let once = Weights::once(self.subjects);
        let threshold = self.comparisons.threshold(live.fmr, &once)?;
        let qualities = self.scores.qualities(self.mapping);
        let left: Vec<bool> = qualities.iter().map(|&quality| quality >= live.quality).collect();
        let groups = (0..column.groups.len() as u32).map(Some);
        let members: Vec<Members<'_>> =
            std::iter::once(None).chain(groups).map(|group| Members { group, column }).collect();
        let rates = |weights: &Weights, threshold: f32| -> Vec<Rates> {
            members.iter().map(|members| self.rates(members, &left, weights, threshold)).collect()
        };
        let whole = rates(&once, threshold);
        let drawn = bootstrap.replicates(self.subjects, |weights| {
            self.comparisons.threshold(live.fmr, weights).map(|threshold| rates(weights, threshold))
        });
        let estimates = Estimates { whole, drawn };
        let result = |(number, members): (usize, &Members<'_>)| {
            let of = |rate: fn(&Rates) -> f64| estimates.finite(|rates| rate(&rates[number]));
            let ratio = |rate: fn(&Rates) -> f64| {
                estimates.finite(|rates| rate(&rates[number]) / rate(&rates[0]))
            };
            GroupResult {
                discarded: estimates.of(|rates| rates[number].discarded),
                discard_ratio: ratio(|rates| rates.discarded),
                fnmr: of(|rates| rates.fnmr),
                fnmr_ratio: ratio(|rates| rates.fnmr),
                fnmr_left: of(|rates| rates.fnmr_left),
                fmr: self.false_match_rate(members, threshold),
                ..self.distribution(members, &qualities)
            }
        };
        Some(members.iter().enumerate().map(result).collect())
    }

    /// The group's name, size and distribution of quality; without error rates.
    fn distribution(&self, members: &Members<'_>, qualities: &[u8]) -> GroupResult {
        let photos: Vec<usize> =
            (0..self.subjects.len()).filter(|&photo| members.has(photo)).collect();
        let mut sorted: Vec<u8> = photos.iter().map(|&photo| qualities[photo]).collect();
        sorted.sort_unstable();
        let percentile = |percent: usize| {
            let rank = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
            sorted.get(rank).copied().unwrap_or(0)
        };
        let share_left = |threshold: usize| {
            let below = sorted.partition_point(|&quality| usize::from(quality) < threshold);
            (sorted.len() - below) as f64 / sorted.len().max(1) as f64
        };
        let mut people: Vec<u32> = photos.iter().map(|&photo| self.subjects[photo]).collect();
        people.sort_unstable();
        people.dedup();
        GroupResult {
            name: members.name().to_owned(),
            images: photos.len(),
            people: people.len(),
            percentiles: [5, 25, 50, 75, 95].map(percentile),
            left: (0..=100).map(share_left).collect(),
            discarded: Estimate::new(0.0, []),
            discard_ratio: None,
            fnmr: None,
            fnmr_ratio: None,
            fnmr_left: None,
            fmr: None,
            scores: photos.iter().filter_map(|&photo| self.scores.values[photo]).collect(),
        }
    }

    fn rates(
        &self,
        members: &Members<'_>,
        left: &[bool],
        weights: &Weights,
        threshold: f32,
    ) -> Rates {
        let (mut images, mut discarded) = (0.0, 0.0);
        for (photo, weight) in
            weights.photos().iter().enumerate().filter(|(photo, _)| members.has(*photo))
        {
            images += weight;
            discarded += if left[photo] { 0.0 } else { *weight };
        }
        let (mut pairs, mut errors, mut pairs_left, mut errors_left) = (0.0, 0.0, 0.0, 0.0);
        for pair in self.comparisons.mated() {
            let (a, b) = (pair.a as usize, pair.b as usize);
            if !(members.has(a) && members.has(b)) {
                continue;
            }
            let weight = weights.mated(pair);
            let error = if pair.similarity > threshold { 0.0 } else { weight };
            (pairs, errors) = (pairs + weight, errors + error);
            if left[a] && left[b] {
                (pairs_left, errors_left) = (pairs_left + weight, errors_left + error);
            }
        }
        Rates {
            discarded: discarded / images,
            fnmr: errors / pairs,
            fnmr_left: errors_left / pairs_left,
        }
    }

    fn false_match_rate(&self, members: &Members<'_>, threshold: f32) -> Option<f64> {
        let both = |a: u32, b: u32| members.has(a as usize) && members.has(b as usize);
        let mated =
            self.comparisons.mated().iter().filter(|pair| both(pair.a, pair.b)).count() as f64;
        let matches = self
            .comparisons
            .false_matches(threshold)
            .iter()
            .filter(|pair| both(pair.a, pair.b))
            .count() as f64;
        let photos = (0..self.subjects.len()).filter(|&photo| members.has(photo)).count() as f64;
        let non_mated = photos * (photos - 1.0) / 2.0 - mated;
        (non_mated > 0.0).then_some(matches / non_mated)
    }
}

/// The photos of a group.
struct Members<'a> {
    /// None for all people.
    group: Option<u32>,
    column: &'a GroupColumn,
}

impl Members<'_> {
    fn has(&self, photo: usize) -> bool {
        self.group.is_none() || self.column.of[photo] == self.group
    }

    fn name(&self) -> &str {
        self.group.map_or("all", |group| &self.column.groups[group as usize])
    }
}

/// A group's rates: NaN if there is nothing to count.
struct Rates {
    discarded: f64,
    fnmr: f64,
    fnmr_left: f64,
}

/// The rates of all groups, in the whole set and in each replicate that has a threshold.
struct Estimates {
    whole: Vec<Rates>,
    drawn: Vec<Option<Vec<Rates>>>,
}

impl Estimates {
    fn of(&self, value: impl Fn(&[Rates]) -> f64) -> Estimate {
        Estimate::new(value(&self.whole), self.drawn.iter().flatten().map(|rates| value(rates)))
    }

    fn finite(&self, value: impl Fn(&[Rates]) -> f64) -> Option<Estimate> {
        Some(self.of(value)).filter(|estimate| estimate.value.is_finite())
    }
}

impl GroupResult {
    /// The density of the group's scores: a Gaussian kernel with the bandwidth of Silverman's rule,
    /// from the 0.5th percentile to the highest score. Empty if there are too few scores, or all
    /// are equal.
    pub fn density(&self) -> Vec<(f64, f64)> {
        let mut scores = self.scores.clone();
        scores.sort_unstable_by(f64::total_cmp);
        let count = scores.len() as f64;
        let (Some(&low), Some(&high)) = (scores.get(scores.len() / 200), scores.last()) else {
            return Vec::new();
        };
        if scores.len() < LEAST_SCORES || low == high {
            return Vec::new();
        }
        let mean = scores.iter().sum::<f64>() / count;
        let deviation =
            (scores.iter().map(|score| (score - mean).powi(2)).sum::<f64>() / count).sqrt();
        let quartile = |share: f64| scores[((count - 1.0) * share) as usize];
        let quartiles = (quartile(0.75) - quartile(0.25)) / 1.34;
        // The quartiles are equal if half of the scores are.
        let spread = if quartiles > 0.0 { deviation.min(quartiles) } else { deviation };
        let bandwidth = 0.9 * spread * count.powf(-0.2);
        let (from, to) = (low - 2.0 * bandwidth, high + 2.0 * bandwidth);
        let kernel = |at: f64| {
            let sum: f64 =
                scores.iter().map(|score| (-0.5 * ((at - score) / bandwidth).powi(2)).exp()).sum();
            sum / (count * bandwidth * std::f64::consts::TAU.sqrt())
        };
        let at = |point: usize| from + (to - from) * point as f64 / DENSITY_POINTS as f64;
        (0..=DENSITY_POINTS).map(|point| (at(point), kernel(at(point)))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    const BOOTSTRAP: Bootstrap = Bootstrap { replicates: 20, seed: 1, threads: 1 };

    #[test]
    fn two_groups_worked_by_hand() {
        // Three people of two photos each. Group x: people 0 and 1; group y: person 2.
        let templates = array![
            [1.0_f32, 0.0, 0.0],
            [0.8, 0.6, 0.0],
            [0.0, 1.0, 0.0],
            [0.0, 1.0, 0.0],
            [0.0, 0.0, 1.0],
            [1.0, 0.0, 0.0]
        ];
        let subjects = [0, 0, 1, 1, 2, 2];
        let comparisons = Comparisons::all(&templates.view(), &subjects, 1.0, 1).unwrap();
        let scores = Measure {
            name: "closed form".into(),
            values: [0.9, 0.2, 0.9, 0.9, 0.1, 0.2].map(Some).to_vec(),
        };
        let mapping = Mapping::Percentile { scores: vec![0.0, 1.0], data: String::new() };
        let subject = BiasInput {
            comparisons: &comparisons,
            subjects: &subjects,
            scores: &scores,
            mapping: &mapping,
        };
        let column = GroupColumn::new("group", &["x", "x", "x", "x", "y", "y"]);
        // Twelve non-mated pairs: similarities 1 (0,5), .8 (1,5), .6 twice (1,2) (1,3). Of these
        // two may match: the threshold is .6.
        let live = LiveThreshold { quality: 50, fmr: 2.0 / 12.0 };
        let [all, x, y] = &subject.bias(&column, live, BOOTSTRAP).unwrap()[..] else { panic!() };
        assert_eq!((all.name.as_str(), all.images, all.people), ("all", 6, 3));
        assert_eq!((x.name.as_str(), x.images, x.people, y.people), ("x", 4, 2, 1));
        assert_eq!((all.discarded.value, x.discarded.value, y.discarded.value), (0.5, 0.25, 1.0));
        assert_eq!(y.discard_ratio.unwrap().value, 2.0);
        // Mated pairs: .8, 1, 0; the last is an error.
        assert_eq!((x.fnmr.unwrap().value, y.fnmr.unwrap().value), (0.0, 1.0));
        assert!((y.fnmr_ratio.unwrap().value - 3.0).abs() < 1e-12);
        // Only the pair of person 1 is left.
        assert_eq!((all.fnmr_left.unwrap().value, x.fnmr_left.unwrap().value), (0.0, 0.0));
        assert!(y.fnmr_left.is_none());
        assert_eq!(x.fmr, Some(0.0));
        assert_eq!(y.fmr, None);
        assert!((all.fmr.unwrap() - 2.0 / 12.0).abs() < 1e-12);
        assert_eq!(all.percentiles, [10, 20, 20, 90, 90]);
        assert_eq!((x.left[0], x.left[20], x.left[21], x.left[91]), (1.0, 1.0, 0.75, 0.0));
    }

    #[test]
    fn a_density_has_the_area_of_one() {
        let mut group = GroupResult {
            name: String::new(),
            images: 0,
            people: 0,
            percentiles: [0; 5],
            left: Vec::new(),
            discarded: Estimate::new(0.0, []),
            discard_ratio: None,
            fnmr: None,
            fnmr_ratio: None,
            fnmr_left: None,
            fmr: None,
            scores: (0..100).map(|i| 0.9 + f64::from(i % 17) * 1e-3).collect(),
        };
        let area: f64 = group
            .density()
            .windows(2)
            .map(|ends| (ends[1].0 - ends[0].0) * (ends[0].1 + ends[1].1) / 2.0)
            .sum();
        assert!((area - 1.0).abs() < 0.05, "{area}");
        group.scores.clear();
        assert!(group.density().is_empty());
    }
}
