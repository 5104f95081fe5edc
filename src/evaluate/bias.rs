//! Whether quality and its consequences differ between groups of people (Terhörst et al., arXiv
//! 2004.01019).
//!
//! A quality threshold that discards one group's images more often than another's is a decision
//! about people. Whether it is also wrong is told by the errors: a group with more discards and as
//! few errors as others pays for nothing.

use super::bootstrap::Estimate;
use super::evaluation::Bootstrap;
use super::pairs::{Comparisons, Weights};
use super::samples::{GroupColumn, Measure};
use crate::domain::Mapping;

/// Points of a density.
const DENSITY_POINTS: usize = 120;
/// Fewer say nothing of a distribution.
const LEAST_SCORES: usize = 10;

/// Where decisions are made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LiveThreshold {
    /// Images of lower quality are discarded.
    pub quality: u8,
    /// The false match rate that fixes the similarity threshold on the whole set.
    pub fmr: f64,
}

/// One group.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupResult {
    /// Its name; the first result is that of everybody.
    pub name: String,
    /// Images.
    pub images: usize,
    /// People.
    pub people: usize,
    /// Quality that 5, 25, 50, 75 and 95 percent of the images do not exceed.
    pub percentiles: [u8; 5],
    /// `left[t]` is the share of the images that a threshold of quality t leaves, t from 0 to 100.
    pub left: Vec<f64>,
    /// The share that the live threshold discards.
    pub discarded: Estimate,
    /// That share over the share of everybody; none if nothing is discarded.
    pub discard_ratio: Option<Estimate>,
    /// The false non-match rate with nothing discarded; none without a pair.
    pub fnmr: Option<Estimate>,
    /// That rate over the rate of everybody; none if there are no errors.
    pub fnmr_ratio: Option<Estimate>,
    /// The false non-match rate after the live threshold.
    pub fnmr_left: Option<Estimate>,
    /// The false match rate within the group; none if it has no two people.
    pub fmr: Option<f64>,
    scores: Vec<f64>,
}

/// What the groups are compared on.
#[derive(Debug)]
pub struct Subject<'a> {
    /// All comparisons.
    pub comparisons: &'a Comparisons,
    /// Whose the photos are.
    pub subjects: &'a [u32],
    /// The measure under test.
    pub scores: &'a Measure,
    /// From its scores to quality.
    pub mapping: &'a Mapping,
}

impl Subject<'_> {
    /// Everybody, then each group of `column`. None if the impostors are too few to show the false
    /// match rate.
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
        let members: Vec<Members<'_>> = std::iter::once(Members { group: None, of: &column.of })
            .chain(
                (0..column.groups.len() as u32)
                    .map(|group| Members { group: Some(group), of: &column.of }),
            )
            .collect();
        let rates = |weights: &Weights, threshold: f32| -> Vec<Rates> {
            members.iter().map(|members| self.rates(members, &left, weights, threshold)).collect()
        };
        let whole = rates(&once, threshold);
        let drawn = bootstrap.replicates(self.subjects, |weights| {
            self.comparisons.threshold(live.fmr, weights).map(|threshold| rates(weights, threshold))
        });
        let estimate = |of: &dyn Fn(&[Rates]) -> f64| {
            Estimate::new(of(&whole), drawn.iter().flatten().map(|rates| of(rates)))
        };
        let some = |of: &dyn Fn(&[Rates]) -> f64| {
            Some(estimate(of)).filter(|estimate| estimate.value.is_finite())
        };
        let result = |(number, members): (usize, &Members<'_>)| {
            let photos: Vec<usize> =
                (0..self.subjects.len()).filter(|&photo| members.has(photo)).collect();
            let mut sorted: Vec<u8> = photos.iter().map(|&photo| qualities[photo]).collect();
            sorted.sort_unstable();
            let at = |percent: usize| {
                sorted
                    .get((sorted.len() * percent).div_ceil(100).saturating_sub(1))
                    .copied()
                    .unwrap_or(0)
            };
            let share_left = |threshold: usize| {
                let below = sorted.partition_point(|&quality| usize::from(quality) < threshold);
                (sorted.len() - below) as f64 / sorted.len().max(1) as f64
            };
            let mut whose: Vec<u32> = photos.iter().map(|&photo| self.subjects[photo]).collect();
            whose.sort_unstable();
            whose.dedup();
            GroupResult {
                name: members
                    .group
                    .map_or("all", |group| &column.groups[group as usize])
                    .to_owned(),
                images: photos.len(),
                people: whose.len(),
                percentiles: [5, 25, 50, 75, 95].map(at),
                left: (0..=100).map(share_left).collect(),
                discarded: estimate(&|rates| rates[number].discarded),
                discard_ratio: some(&|rates| rates[number].discarded / rates[0].discarded),
                fnmr: some(&|rates| rates[number].fnmr),
                fnmr_ratio: some(&|rates| rates[number].fnmr / rates[0].fnmr),
                fnmr_left: some(&|rates| rates[number].fnmr_left),
                fmr: self.false_match_rate(members, threshold),
                scores: photos.iter().filter_map(|&photo| self.scores.values[photo]).collect(),
            }
        };
        Some(members.iter().enumerate().map(result).collect())
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
        for pair in self.comparisons.genuine() {
            let (a, b) = (pair.a as usize, pair.b as usize);
            if !(members.has(a) && members.has(b)) {
                continue;
            }
            let weight = weights.genuine(pair);
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
        let genuine =
            self.comparisons.genuine().iter().filter(|pair| both(pair.a, pair.b)).count() as f64;
        let matches = self
            .comparisons
            .false_matches(threshold)
            .iter()
            .filter(|pair| both(pair.a, pair.b))
            .count() as f64;
        let photos = (0..self.subjects.len()).filter(|&photo| members.has(photo)).count() as f64;
        let impostors = photos * (photos - 1.0) / 2.0 - genuine;
        (impostors > 0.0).then_some(matches / impostors)
    }
}

/// Who is in a group.
struct Members<'a> {
    /// None for everybody.
    group: Option<u32>,
    of: &'a [Option<u32>],
}

impl Members<'_> {
    fn has(&self, photo: usize) -> bool {
        self.group.is_none() || self.of[photo] == self.group
    }
}

/// NaN where there is nothing to count.
struct Rates {
    discarded: f64,
    fnmr: f64,
    fnmr_left: f64,
}

impl GroupResult {
    /// The density of the group's scores: a Gaussian kernel with the bandwidth of Silverman's rule,
    /// between the 0.5th percentile and the best. Empty where there are too few scores, or all are
    /// the same.
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
        // Half of the scores may be one and the same.
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
        let subject = Subject {
            comparisons: &comparisons,
            subjects: &subjects,
            scores: &scores,
            mapping: &mapping,
        };
        let column = GroupColumn::new("group", &["x", "x", "x", "x", "y", "y"]);
        // Twelve impostor pairs: similarities 1 (0,5), .8 (1,5), .6 twice (1,2) (1,3). Of these two
        // may match: the threshold is .6.
        let live = LiveThreshold { quality: 50, fmr: 2.0 / 12.0 };
        let [all, x, y] = &subject.bias(&column, live, BOOTSTRAP).unwrap()[..] else { panic!() };
        assert_eq!((all.name.as_str(), all.images, all.people), ("all", 6, 3));
        assert_eq!((x.name.as_str(), x.images, x.people, y.people), ("x", 4, 2, 1));
        assert_eq!((all.discarded.value, x.discarded.value, y.discarded.value), (0.5, 0.25, 1.0));
        assert_eq!(y.discard_ratio.unwrap().value, 2.0);
        // Pairs of one person: .8, 1, 0; the last is an error.
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
