//! The error-versus-discard characteristic (EDC): the false non-match rate of the mated comparisons
//! that are left when the images of lowest quality are discarded. The threshold is fixed on the
//! whole set.
//!
//! A pair is discarded with either of its images. Images of equal quality have no order among
//! themselves, and an arbitrary one would distort the curve. So, while a share f of them is
//! discarded, each is left with the probability 1 - f, a pair of two of them with (1 - f)^2, and
//! the rate is that of the expected counts.

use super::pairs::{Pair, Weights};

/// The curve has a point for each discarded thousandth of the images.
pub const STEPS_PER_WHOLE: usize = 1000;
/// Thousandths discarded at the end of the curve: half of the images.
pub const STEPS: usize = 500;

/// The order in which one measure discards images.
#[derive(Debug, Clone)]
pub struct DiscardOrder {
    /// For each photo, its group of equal quality. Group 0 is discarded first.
    group: Vec<u32>,
    groups: usize,
}

impl DiscardOrder {
    /// The order by `values`, higher being better. A photo without a value is discarded first: the
    /// tool could not assess it.
    pub fn new(values: &[Option<f64>]) -> Self {
        let value = |photo: u32| values[photo as usize].unwrap_or(f64::NEG_INFINITY);
        let mut photos: Vec<u32> = (0..values.len() as u32).collect();
        photos.sort_by(|&a, &b| value(a).total_cmp(&value(b)));
        let mut group = vec![0; values.len()];
        let mut last = 0;
        for pair in photos.windows(2) {
            last += u32::from(value(pair[0]) != value(pair[1]));
            group[pair[1] as usize] = last;
        }
        Self { group, groups: last as usize + 1 }
    }

    /// The curve over `mated` pairs. A pair matches if its similarity exceeds `threshold`.
    pub fn edc(&self, mated: &[Pair], threshold: f32, weights: &Weights) -> Edc {
        let mut images = vec![0.0; self.groups];
        for (&group, weight) in self.group.iter().zip(weights.photos()) {
            images[group as usize] += weight;
        }
        let mut leaving = vec![Leaving::default(); self.groups];
        for pair in mated {
            let weight = weights.mated(pair);
            if weight == 0.0 {
                continue;
            }
            let (a, b) = (self.group[pair.a as usize], self.group[pair.b as usize]);
            let leaving = &mut leaving[a.min(b) as usize];
            let counts = if a == b { &mut leaving.both } else { &mut leaving.one };
            counts.pairs += weight;
            counts.errors += if pair.similarity > threshold { 0.0 } else { weight };
        }
        walk(&images, &leaving)
    }
}

/// Weights of pairs, and of those that do not match.
#[derive(Debug, Clone, Copy, Default)]
struct ErrorSums {
    pairs: f64,
    errors: f64,
}

impl ErrorSums {
    fn add(&mut self, other: Self, share: f64) {
        self.pairs += share * other.pairs;
        self.errors += share * other.errors;
    }
}

/// The pairs that are discarded with a group.
#[derive(Debug, Clone, Copy, Default)]
struct Leaving {
    /// One image is in the group, the other in a later one.
    one: ErrorSums,
    /// Both are in the group.
    both: ErrorSums,
}

fn walk(images: &[f64], leaving: &[Leaving]) -> Edc {
    let total: f64 = images.iter().sum();
    // The pairs that are left after the groups up to `group`.
    let mut after = ErrorSums::default();
    for leaving in leaving {
        after.add(leaving.one, 1.0);
        after.add(leaving.both, 1.0);
    }
    let (mut group, mut gone) = (0, 0.0);
    if let Some(first) = leaving.first() {
        after.add(first.one, -1.0);
        after.add(first.both, -1.0);
    }
    let mut fnmr = Vec::with_capacity(STEPS + 1);
    for step in 0..=STEPS {
        let discarded = total * step as f64 / STEPS_PER_WHOLE as f64;
        while group + 1 < images.len() && gone + images[group] <= discarded {
            gone += images[group];
            group += 1;
            after.add(leaving[group].one, -1.0);
            after.add(leaving[group].both, -1.0);
        }
        let left = if images[group] > 0.0 {
            1.0 - ((discarded - gone) / images[group]).clamp(0.0, 1.0)
        } else {
            1.0
        };
        let mut counts = after;
        counts.add(leaving[group].one, left);
        counts.add(leaving[group].both, left * left);
        // Without a pair there is no rate. Rounding may leave a sum slightly above zero.
        if counts.pairs < 1e-6 {
            break;
        }
        fnmr.push((counts.errors / counts.pairs).max(0.0));
    }
    Edc { fnmr }
}

/// A curve: the false non-match rate at 0, 1, 2, … discarded thousandths. It ends where no pair is
/// left.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Edc {
    fnmr: Vec<f64>,
}

impl Edc {
    /// The points.
    pub fn points(&self) -> &[f64] {
        &self.fnmr
    }

    /// The false non-match rate after the share `discard` is discarded; none beyond the curve's
    /// end.
    pub fn at(&self, discard: f64) -> Option<f64> {
        self.fnmr.get((discard * STEPS_PER_WHOLE as f64).round() as usize).copied()
    }

    /// The partial area under the curve (pAUC) up to `limit`, over the area of a constant rate, as
    /// if discarding had no effect: 0 is best, 1 no help. None if there are no errors, or the curve
    /// ends before.
    pub fn pauc(&self, limit: f64) -> Option<f64> {
        let steps = (limit * STEPS_PER_WHOLE as f64).round() as usize;
        let points = self.fnmr.get(..=steps)?;
        let area: f64 = points.windows(2).map(|ends| (ends[0] + ends[1]) / 2.0).sum();
        let useless = points[0] * steps as f64;
        (useless > 0.0).then_some(area / useless)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ten photos of five people, with the pairs (0,1), (2,3), …. Only the first pair does not
    /// match.
    fn pairs() -> (Vec<Pair>, Weights) {
        let pair =
            |i: u32| Pair { a: 2 * i, b: 2 * i + 1, similarity: if i == 0 { 0.1 } else { 0.9 } };
        (
            std::iter::successors(Some(0), |i| Some(i + 1)).take(5).map(pair).collect(),
            Weights::once(&[0, 0, 1, 1, 2, 2, 3, 3, 4, 4]),
        )
    }

    fn curve(values: [f64; 10]) -> Edc {
        let (pairs, weights) = pairs();
        DiscardOrder::new(&values.map(Some)).edc(&pairs, 0.5, &weights)
    }

    #[test]
    fn a_curve_worked_by_hand() {
        // Photo 1, of the pair that does not match, is worst; then photo 2.
        let edc = curve([9.0, 0.0, 1.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0]);
        assert_eq!(edc.at(0.0), Some(0.2));
        // When photo 1 is half discarded, its pair counts half: 0.5 of 4.5.
        assert!((edc.at(0.05).unwrap() - 0.5 / 4.5).abs() < 1e-12);
        assert_eq!(edc.at(0.1), Some(0.0));
        assert_eq!(edc.at(0.5), Some(0.0));
        // From 0.2 down to 0 within the first tenth: the mean of (1-x)/(5-x) over 0 to 1, by the
        // integral 1 - 4 ln(5/4).
        let expected = 0.1 * (1.0 - 4.0 * (5.0_f64 / 4.0).ln()) / (0.2 * 0.2);
        assert!((edc.pauc(0.2).unwrap() - expected).abs() < 1e-4, "{:?} {expected}", edc.pauc(0.2));
    }

    #[test]
    fn a_measure_that_keeps_the_failing_pair_makes_the_rate_worse() {
        let edc = curve([9.0, 8.0, 0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]);
        // Without photo 2: one of four. Without photos 2 to 6: the pairs of 0 and 8 are left.
        assert_eq!((edc.at(0.1), edc.at(0.5)), (Some(0.25), Some(0.5)));
        assert!(edc.pauc(0.3).unwrap() > 1.0);
    }

    #[test]
    fn photos_of_equal_quality_are_discarded_in_no_order() {
        // All equal: each pair is left with the same probability, and the rate stays.
        let edc = curve([5.0; 10]);
        assert!(edc.points().iter().all(|fnmr| (fnmr - 0.2).abs() < 1e-12));
        assert!((edc.pauc(0.3).unwrap() - 1.0).abs() < 1e-12);
        // Photos 0 and 2 are equal and worst: when one of the two is discarded, each is left with
        // the probability 0.5.
        let edc = curve([0.0, 9.0, 0.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0]);
        assert!((edc.at(0.1).unwrap() - 0.5 / 4.0).abs() < 1e-12);
        // Photos 0 and 1, of one pair, are equal: the pair is left with the probability 0.25.
        let edc = curve([0.0, 0.0, 9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0]);
        assert!((edc.at(0.1).unwrap() - 0.25 / 4.25).abs() < 1e-12);
    }

    #[test]
    fn a_photo_without_a_value_is_discarded_first() {
        let (pairs, weights) = pairs();
        let mut values = [1.0; 10].map(Some);
        values[0] = None;
        assert_eq!(DiscardOrder::new(&values).edc(&pairs, 0.5, &weights).at(0.1), Some(0.0));
    }

    #[test]
    fn a_person_drawn_twice_counts_twice() {
        let (pairs, _) = pairs();
        let weights = Weights::new(vec![2.0, 1.0, 1.0, 0.0, 0.0], &[0, 0, 1, 1, 2, 2, 3, 3, 4, 4]);
        let edc = DiscardOrder::new(&[9.0, 0.0, 1.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0].map(Some))
            .edc(&pairs, 0.5, &weights);
        assert_eq!(edc.at(0.0), Some(0.5));
        // Photo 1 is two of eight.
        assert_eq!(edc.at(0.25), Some(0.0));
    }

    #[test]
    fn without_pairs_left_the_curve_ends() {
        let (pairs, weights) = pairs();
        let values = [0.0, 9.0, 1.0, 9.0, 2.0, 9.0, 3.0, 9.0, 4.0, 9.0].map(Some);
        let edc = DiscardOrder::new(&values).edc(&pairs, 0.5, &weights);
        assert_eq!(edc.at(0.5), None);
        assert!(edc.at(0.49).is_some());
        assert_eq!(edc.pauc(0.5), None);
    }
}
