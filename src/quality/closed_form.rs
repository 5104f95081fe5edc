//! SER-FIQ's distance without sampling: the limit of infinitely many dropout masks.
//!
//! An embedding under dropout has mean `mu = A x + c` and covariance `q A diag(x^2) A^T`. Scaling
//! to unit norm removes the part of the scatter along `mu`. The remaining part, `perp`, gives the
//! mean squared distance of two unit embeddings, `2 perp / (|mu|^2 + perp)`. The last factor is the
//! second-order (Jensen) correction from the root of a mean to the mean of a root, for scatter with
//! `nu` effective dimensions:
//!
//! ```text
//! total = q sum_i x_i^2 |a_i|^2          u = mu / |mu|
//! par   = q sum_i x_i^2 (A^T u)_i^2      perp = total - par
//! d     = sqrt(2 perp / (|mu|^2 + perp)) (1 - 1 / (4 nu))
//! ```
//!
//! The prepared network computes the same in its graph, in 32 bits and for whole batches. This
//! module is the definition that the graph is tested against.

use ndarray::{Array1, ArrayView1};

use super::Head;

/// The smallest `|mu|^2`, so that an embedding of zero gives a distance and not NaN.
pub const MIN_SQUARED_NORM: f64 = 1e-12;

/// The factor `1 - 1 / (4 nu)`.
pub fn jensen_factor(effective_rank: f64) -> f64 {
    1.0 - 1.0 / (4.0 * effective_rank)
}

/// The closed form for one head, with its constants.
#[derive(Debug)]
pub struct ClosedForm<'a> {
    head: &'a Head,
    energies: Vec<f64>,
    factor: f64,
}

impl<'a> ClosedForm<'a> {
    /// Computes the constants of `head`.
    pub fn new(head: &'a Head) -> Self {
        Self {
            head,
            energies: head.column_energies(),
            factor: jensen_factor(head.effective_rank()),
        }
    }

    /// The mean pairwise distance for `features` `[F]`, in f64.
    pub fn distance(&self, features: ArrayView1<'_, f32>) -> f64 {
        let q = self.head.mask_variance();
        let mean: Array1<f64> =
            (self.head.weights().dot(&features) + self.head.bias()).mapv(f64::from);
        let squared_norm = mean.dot(&mean).max(MIN_SQUARED_NORM);
        let along = self.head.weights().t().dot(&mean.mapv(|value| value as f32));
        let (mut total, mut par) = (0.0, 0.0);
        for ((&x, &energy), &a) in features.iter().zip(&self.energies).zip(&along) {
            let squared = f64::from(x) * f64::from(x);
            total += squared * energy;
            par += squared * f64::from(a) * f64::from(a);
        }
        let perp = (q * (total - par / squared_norm)).max(0.0);
        (2.0 * perp / (squared_norm + perp)).sqrt() * self.factor
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, array};

    #[test]
    fn a_case_worked_by_hand() {
        // A = I, c = 0, p = 1/2 (q = 1), x = (3, 4): |mu|^2 = 25, total = 9 + 16 = 25,
        // par = (9*9 + 16*16)/25 = 13.48, perp = 11.52; nu = 2^2/2 = 2.
        let head = Head::new(Array2::eye(2), array![0.0, 0.0], 0.5).unwrap();
        let distance = ClosedForm::new(&head).distance(array![3.0, 4.0].view());
        let expected = (2.0_f64 * 11.52 / (25.0 + 11.52)).sqrt() * (1.0 - 1.0 / 8.0);
        assert!((distance - expected).abs() < 1e-6, "{distance} {expected}");
    }

    #[test]
    fn no_features_means_no_scatter() {
        let head = Head::new(Array2::eye(3), array![1.0, 0.0, 0.0], 0.4).unwrap();
        assert_eq!(ClosedForm::new(&head).distance(array![0.0, 0.0, 0.0].view()), 0.0);
    }
}
