//! The agreement of sampled estimates with the closed form.

/// Agreement of an estimate with a reference, over the same faces.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Agreement {
    /// Faces for which both have a value.
    pub faces: usize,
    /// Mean of the relative deviation of the distance d.
    pub mean: f64,
    /// Its standard deviation.
    pub spread: f64,
    /// Rank correlation of the scores (Spearman).
    pub spearman: f64,
}

/// SER-FIQ's distance d for a score: the inverse of `2 / (1 + e^d)`.
pub fn distance(score: f64) -> f64 {
    (2.0 / score - 1.0).ln()
}

/// The relative deviations of the distances of `scores` from those of `reference`, face by face.
pub fn deviations(scores: &[Option<f64>], reference: &[Option<f64>]) -> Vec<f64> {
    let both = scores
        .iter()
        .zip(reference)
        .filter_map(|(score, reference)| Some((score.as_ref()?, reference.as_ref()?)));
    both.map(|(&score, &reference)| distance(score) / distance(reference) - 1.0).collect()
}

/// The agreement of `scores` with `reference`; none with fewer than two faces.
pub fn agreement(scores: &[Option<f64>], reference: &[Option<f64>]) -> Option<Agreement> {
    let deviations = deviations(scores, reference);
    let count = deviations.len() as f64;
    if deviations.len() < 2 {
        return None;
    }
    let mean = deviations.iter().sum::<f64>() / count;
    let variance =
        deviations.iter().map(|deviation| (deviation - mean).powi(2)).sum::<f64>() / (count - 1.0);
    let (a, b): (Vec<f64>, Vec<f64>) =
        scores.iter().zip(reference).filter_map(|(a, b)| Some(((*a)?, (*b)?))).unzip();
    Some(Agreement {
        faces: deviations.len(),
        mean,
        spread: variance.sqrt(),
        spearman: spearman(&a, &b),
    })
}

/// Spearman's rank correlation; equal values share the mean of their ranks. NaN if one side is
/// constant.
pub fn spearman(a: &[f64], b: &[f64]) -> f64 {
    let (a, b) = (ranks(a), ranks(b));
    let mean = (a.len() as f64 - 1.0) / 2.0;
    let product =
        |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(x, y)| (x - mean) * (y - mean)).sum::<f64>();
    product(&a, &b) / (product(&a, &a) * product(&b, &b)).sqrt()
}

/// The rank of each value, from 0; equal values share the mean of their ranks.
pub(super) fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let mut ranks = vec![0.0; values.len()];
    let mut from = 0;
    for group in order.chunk_by(|&a, &b| values[a] == values[b]) {
        let rank = from as f64 + (group.len() - 1) as f64 / 2.0;
        group.iter().for_each(|&index| ranks[index] = rank);
        from += group.len();
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quality::score;

    #[test]
    fn spearman_worked_by_hand() {
        // Ranks 0 1 2 3 and 1 0 2 3: 1 - 6 * 2 / (4 * 15).
        assert!((spearman(&[1.0, 2.0, 3.0, 9.0], &[5.0, 4.0, 6.0, 7.0]) - 0.8).abs() < 1e-12);
        assert!((spearman(&[1.0, 2.0, 3.0], &[3.0, 2.0, 1.0]) + 1.0).abs() < 1e-12);
        // Ranks 0.5 0.5 2 and 0 1 2.
        assert!(
            (spearman(&[1.0, 1.0, 2.0], &[1.0, 2.0, 3.0]) - 1.5 / (1.5 * 2.0_f64).sqrt()).abs()
                < 1e-12
        );
    }

    #[test]
    fn agreement_compares_the_distances_that_both_have() {
        assert!((distance(score(0.2)) - 0.2).abs() < 1e-12);
        let reference = [0.2, 0.1, 0.4].map(|d| Some(score(d)));
        let scores = [Some(score(0.22)), Some(score(0.11)), None];
        let agreement = agreement(&scores, &reference).unwrap();
        assert_eq!(agreement.faces, 2);
        assert!((agreement.mean - 0.1).abs() < 1e-9 && agreement.spread < 1e-9, "{agreement:?}");
    }
}
