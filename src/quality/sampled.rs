//! SER-FIQ's distance as in the paper, with T random dropout masks, over the last layer only.
//!
//! This is the reference for the closed form, and gives parity with published numbers. It is
//! deterministic: mask `t` depends only on the seed and `t`, so all faces share the masks, and a
//! face's distance does not depend on its batch.

use ndarray::{Array1, Array2, ArrayView2, Axis, Slice};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::Head;

/// Mean Euclidean distance over all pairs of rows of `embeddings` [T, D], each scaled to unit norm
/// (the paper's equation 2, without its minus sign and sigmoid). 0 for fewer than two rows.
pub fn mean_pairwise_distance(embeddings: ArrayView2<'_, f32>) -> f64 {
    let passes = embeddings.nrows();
    if passes < 2 {
        return 0.0;
    }
    let mut unit = embeddings.mapv(f64::from);
    for mut row in unit.rows_mut() {
        let norm = row.dot(&row).sqrt().max(f64::MIN_POSITIVE);
        row /= norm;
    }
    // |u_s - u_t|^2 = |u_s|^2 + |u_t|^2 - 2 u_s.u_t, for all pairs in one product.
    let gram = unit.dot(&unit.t());
    let mut sum = 0.0;
    for s in 0..passes {
        for t in s + 1..passes {
            sum += (gram[(s, s)] + gram[(t, t)] - 2.0 * gram[(s, t)]).max(0.0).sqrt();
        }
    }
    sum / (passes * (passes - 1) / 2) as f64
}

/// Rows of masked features per matrix product. With few rows, most of the time is spent reading the
/// layer's weights.
const ROWS: usize = 64;

/// The sampled estimator for one head.
#[derive(Debug)]
pub struct Sampled {
    head: Head,
    passes: u32,
    seed: u64,
}

impl Sampled {
    /// `passes` masks (the paper's T, at least 2) drawn from `seed`.
    pub fn new(head: Head, passes: u32, seed: u64) -> Self {
        Self { head, passes: passes.max(2), seed }
    }

    /// The distances for a batch of `features` [N, F].
    pub fn distances(&self, features: ArrayView2<'_, f32>) -> Vec<f64> {
        let (faces, dimension) = (features.nrows(), self.head.bias().len());
        if faces == 0 {
            return Vec::new();
        }
        let mut embeddings = vec![Array2::<f32>::zeros((self.passes as usize, dimension)); faces];
        let together = ROWS.div_ceil(faces).min(self.passes as usize);
        let mut masked = Array2::<f32>::zeros((together * faces, features.ncols()));
        for first in (0..self.passes).step_by(together) {
            let passes = first..self.passes.min(first + together as u32);
            for pass in passes.clone() {
                let row = (pass - first) as usize * faces;
                masked
                    .slice_axis_mut(Axis(0), Slice::from(row..row + faces))
                    .assign(&(&features * &self.mask(pass, features.ncols())));
            }
            let rows = masked.slice_axis(Axis(0), Slice::from(..passes.len() * faces));
            let outputs = rows.dot(&self.head.weights().t()) + self.head.bias();
            for (row, output) in outputs.rows().into_iter().enumerate() {
                embeddings[row % faces].row_mut(first as usize + row / faces).assign(&output);
            }
        }
        embeddings.iter().map(|face| mean_pairwise_distance(face.view())).collect()
    }

    /// Mask `pass`: each of `features` elements is 0 with probability p, else 1 / (1 - p).
    fn mask(&self, pass: u32, features: usize) -> Array1<f32> {
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        random.set_stream(u64::from(pass));
        let keep = (1.0 / (1.0 - self.head.dropout())) as f32;
        // A 32-bit number below this drops the feature.
        let threshold = (self.head.dropout() * (f64::from(u32::MAX) + 1.0)) as u32;
        Array1::from_shape_simple_fn(features, || {
            if random.next_u32() < threshold { 0.0 } else { keep }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quality::closed_form::ClosedForm;
    use crate::quality::score;
    use ndarray::array;

    #[test]
    fn pairwise_distance_worked_by_hand() {
        // Unit vectors at 0, 90 and 180 degrees: distances sqrt(2), 2, sqrt(2).
        let embeddings = array![[2.0, 0.0], [0.0, 3.0], [-1.0, 0.0]];
        let expected = (2.0 * 2.0_f64.sqrt() + 2.0) / 3.0;
        assert!((mean_pairwise_distance(embeddings.view()) - expected).abs() < 1e-12);
    }

    #[test]
    fn the_authors_formula_on_four_embeddings_worked_by_hand() {
        // Triangles with sides 3, 4 and 5, of several lengths: as unit vectors (.6 .8), (.8 .6), (1
        // 0), (0 1).
        let embeddings = array![[3.0, 4.0], [8.0, 6.0], [0.5, 0.0], [0.0, 7.0]];
        // The six distances: sqrt(.08), sqrt(.8), sqrt(.4), sqrt(.4), sqrt(.8), sqrt(2).
        let sum = 0.282_842_712_5
            + 2.0 * 0.894_427_191_0
            + 2.0 * 0.632_455_532_0
            + std::f64::consts::SQRT_2;
        let distance = mean_pairwise_distance(embeddings.view());
        assert!((distance - sum / 6.0).abs() < 1e-9, "{distance}");
        // 2 sigmoid(-d) with d = .791803620: e^d = 2.207374102, so 2 / 3.207374102.
        assert!((score(distance) - 0.623_563_057).abs() < 1e-6, "{}", score(distance));
        // The authors' code then maps by 1 / (1 + exp(-130 (score - .88))): at score .9, exp(-2.6)
        // = .0742735782.
        let mapping = crate::domain::Mapping::Logistic { alpha: 130.0, r: 0.88 };
        assert_eq!(crate::quality::quality(0.9, &mapping), 93);
    }

    #[test]
    fn a_batch_gives_what_its_singles_give_and_a_seed_repeats() {
        let head = toy_head();
        let features =
            Array2::from_shape_fn((3, 64), |(n, f)| ((n * 31 + f * 7) % 13) as f32 - 5.0);
        let sampled = Sampled::new(head.clone(), 50, 7);
        let batch = sampled.distances(features.view());
        for (n, distance) in batch.iter().enumerate() {
            let single = sampled.distances(features.select(Axis(0), &[n]).view());
            assert!((single[0] - distance).abs() < 1e-6);
        }
        assert_eq!(batch, Sampled::new(head.clone(), 50, 7).distances(features.view()));
        assert_ne!(batch, Sampled::new(head, 50, 8).distances(features.view()));
    }

    #[test]
    fn the_closed_form_is_the_limit_of_many_masks() {
        // As in a network: there are far more features than dimensions, and no feature dominates.
        let mut random = ChaCha8Rng::seed_from_u64(3);
        let mut uniform = || random.next_u32() as f32 / u32::MAX as f32 - 0.5;
        let weights = Array2::from_shape_simple_fn((64, 4096), &mut uniform);
        // The embedding is larger than its scatter.
        let head = Head::new(weights, Array1::from_shape_simple_fn(64, || 100.0 * uniform()), 0.4)
            .unwrap();
        let features = Array2::from_shape_simple_fn((2, 4096), &mut uniform);
        let sampled = Sampled::new(head.clone(), 1000, 1).distances(features.view());
        for (row, sampled) in features.rows().into_iter().zip(sampled) {
            let closed = ClosedForm::new(&head).distance(row);
            assert!((closed / sampled - 1.0).abs() < 0.01, "{closed} {sampled}");
        }
    }

    fn toy_head() -> Head {
        let weights = Array2::from_shape_fn((16, 64), |(d, f)| {
            ((d * 37 + f * 101 + d * f * 13) % 97) as f32 / 97.0 - 0.45
        });
        Head::new(weights, Array1::from_elem(16, 0.3), 0.4).unwrap()
    }
}
