//! SER-FIQ: how far a face's embeddings scatter under dropout, as a distance, a score and a
//! quality.
//!
//! The method is that of Terhörst, Kolf, Damer, Kirchbuchner and Kuijper, "SER-FIQ: Unsupervised
//! Estimation of Face Image Quality Based on Stochastic Embedding Robustness", CVPR 2020 (arXiv
//! 2003.09373). This module computes with numbers only: it depends neither on images nor on models.
//!
//! Let `x` be the F features before the last layer, `A` and `c` that layer (with a batch
//! normalisation after it folded in), and `m` a dropout mask, `m_i = Bernoulli(1 - p) / (1 - p)`.
//! An embedding is then `e = A (m * x) + c`. The distance `d` is the mean Euclidean distance
//! between two such embeddings, each scaled to unit norm. [`sampled`] draws T masks, as the paper
//! does; [`closed_form`] is the limit of infinitely many masks.

#![allow(clippy::needless_pass_by_value, reason = "an array view is a reference already")]

pub mod calibration;
pub mod closed_form;
mod head;
pub mod sampled;

pub use head::{Head, HeadError};

use crate::domain::{FaceMeasures, Mapping};

/// SER-FIQ's score of a mean pairwise distance: `2 / (1 + e^d)`. It is 1 for d = 0 and approaches 0
/// as d grows (the paper's equation 3, with its sigmoid written out).
pub fn score(distance: f64) -> f64 {
    2.0 / (1.0 + distance.exp())
}

/// The value of a face that `mapping` maps to quality: SER-FIQ's score, or the fused value.
pub fn value(face: &FaceMeasures<'_>, mapping: &Mapping) -> f64 {
    mapping.fused().map_or(face.score, |fused| fused.value(face))
}

/// The quality of a face, 0 to 100.
pub fn of_face(face: &FaceMeasures<'_>, mapping: &Mapping) -> u8 {
    quality(value(face, mapping), mapping)
}

/// A score, or a fused value, mapped to 0 to 1. [`Mapping::Logistic`] is
/// `1 / (1 + exp(-alpha * (score - r)))`, as in the authors' code.
pub fn normalised(score: f64, mapping: &Mapping) -> f64 {
    match mapping {
        Mapping::Logistic { alpha, r } | Mapping::MatchChance { alpha, r, .. } => {
            1.0 / (1.0 + (-alpha * (score - r)).exp())
        }
        Mapping::Percentile { scores, .. } => position(score, scores),
        Mapping::Fused { quality, .. } => normalised(score, quality),
    }
}

/// The quality of a score or fused value, 0 to 100 (ISO/IEC 29794-1): [`normalised`] times 100,
/// rounded.
pub fn quality(score: f64, mapping: &Mapping) -> u8 {
    (100.0 * normalised(score, mapping)).round().clamp(0.0, 100.0) as u8
}

/// The lowest scores of 0 to 1 that have a quality of at least 1, 2 and so on up to 100; none for
/// qualities that no score reaches. The quality of a score is the number of cutoffs that do not
/// exceed it, so a database can compute it, and gets what [`quality`] gets. A fused quality is no
/// function of the score: its cutoffs are those of the fused value.
pub fn cutoffs(mapping: &Mapping) -> Vec<f64> {
    (1..=100).map_while(|wanted| lowest(|score| quality(score, mapping) >= wanted)).collect()
}

/// The lowest number of 0 to 1 for which `reached`, which stays true once it is.
fn lowest(reached: impl Fn(f64) -> bool) -> Option<f64> {
    if !reached(1.0) {
        return None;
    }
    if reached(0.0) {
        return Some(0.0);
    }
    // The bits of positive floats are in the order of the floats.
    let (mut below, mut above) = (0.0_f64.to_bits(), 1.0_f64.to_bits());
    while above - below > 1 {
        let middle = below + (above - below) / 2;
        if reached(f64::from_bits(middle)) { above = middle } else { below = middle }
    }
    Some(f64::from_bits(above))
}

/// The position of `score` among the ascending `knots`, 0 to 1, linear in between.
fn position(score: f64, knots: &[f64]) -> f64 {
    let above = knots.partition_point(|&knot| knot <= score);
    if above == 0 || knots.len() < 2 {
        return 0.0;
    }
    let (below, steps) = (above - 1, (knots.len() - 1) as f64);
    let part = knots.get(above).map_or(0.0, |&next| (score - knots[below]) / (next - knots[below]));
    (below as f64 + part) / steps
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, array};

    #[test]
    fn score_and_quality_at_points_worked_by_hand() {
        assert_eq!(score(0.0), 1.0);
        // e^ln3 = 3, so 2 / (1 + 3).
        assert!((score(3.0_f64.ln()) - 0.5).abs() < 1e-15);
        let mapping = Mapping::Logistic { alpha: 130.0, r: 0.88 };
        assert_eq!(quality(0.88, &mapping), 50);
        assert_eq!(quality(1.0, &mapping), 100);
        assert_eq!(quality(0.5, &mapping), 0);
        // ln(3)/130 above r: 1 / (1 + 1/3) = 0.75.
        assert_eq!(quality(0.88 + 3.0_f64.ln() / 130.0, &mapping), 75);
    }

    #[test]
    fn a_percentile_is_the_share_of_worse_images() {
        let mapping =
            Mapping::Percentile { scores: vec![0.80, 0.90, 0.92, 0.92, 0.94], data: String::new() };
        let of = |score| quality(score, &mapping);
        assert_eq!(
            [of(0.7), of(0.80), of(0.86), of(0.90), of(0.94), of(0.99)],
            [0, 0, 15, 25, 100, 100]
        );
        // Of two knots with one score the upper counts.
        assert_eq!(of(0.92), 75);
    }

    #[test]
    fn the_cutoffs_not_above_a_score_are_as_many_as_its_quality() {
        let knots = vec![0.80, 0.90, 0.92, 0.92, 0.94];
        for mapping in [
            Mapping::Logistic { alpha: 130.0, r: 0.88 },
            Mapping::Logistic { alpha: 5.0, r: 0.5 },
            Mapping::MatchChance { alpha: 90.0, r: 1.05, fmr: 1e-3, data: String::new() },
            Mapping::Percentile { scores: knots.clone(), data: String::new() },
        ] {
            let cutoffs = cutoffs(&mapping);
            assert!(cutoffs.is_sorted());
            let near = |&at: &f64| [at.next_down(), at, at.next_up()];
            let scores = (0..=100_000).map(|i| f64::from(i) * 1e-5);
            let scores = scores.chain(cutoffs.iter().chain(&knots).flat_map(near));
            for score in scores.filter(|score| (0.0..=1.0).contains(score)) {
                let counted = cutoffs.iter().filter(|&&cutoff| cutoff <= score).count();
                assert_eq!(counted, usize::from(quality(score, &mapping)), "{score} {mapping:?}");
            }
        }
    }

    /// The authors' whole formula: distance, score and normalised score of `embeddings`.
    fn formula(embeddings: &Array2<f32>) -> [f64; 3] {
        let distance = sampled::mean_pairwise_distance(embeddings.view());
        let score = score(distance);
        [distance, score, normalised(score, &Mapping::Logistic { alpha: 130.0, r: 0.88 })]
    }

    fn assert_close(found: [f64; 3], expected: [f64; 3]) {
        assert!(
            found.iter().zip(expected).all(|(found, wanted)| (found - wanted).abs() < 1e-6),
            "{found:?} {expected:?}"
        );
    }

    #[test]
    fn the_authors_formula_on_scattered_embeddings_worked_by_hand() {
        // Unit norm: (.6, .8, 0), (.8, .6, 0), (0, 0, 1), (-.6, -.8, 0). The six distances are .2
        // r, r, 2, r, 1.4 r, r with r = sqrt(2): d = (2 + 4.6 r) / 6 = 1.4175637, e^d = 4.1270534,
        // 2 / 5.1270534 = 0.3900876.
        let embeddings =
            array![[3.0, 4.0, 0.0], [8.0, 6.0, 0.0], [0.0, 0.0, 2.0], [-0.3, -0.4, 0.0]];
        assert_close(formula(&embeddings), [1.417_563_7, 0.390_087_6, 0.0]);
    }

    #[test]
    fn the_authors_formula_on_embeddings_that_agree_worked_by_hand() {
        // All of norm sqrt(101); two pairs are 2 / sqrt(101) apart, four sqrt(2) / sqrt(101): d =
        // (4 + 4 sqrt(2)) / (6 sqrt(101)).
        let embeddings =
            array![[10.0, 1.0, 0.0], [10.0, -1.0, 0.0], [10.0, 0.0, 1.0], [10.0, 0.0, -1.0]];
        assert_close(formula(&embeddings), [0.160_148_8, 0.920_096_3, 0.994_581_6]);
    }
}
