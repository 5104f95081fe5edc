//! The last layer of a network, from features to embedding.

use ndarray::{Array1, Array2, ArrayView1};

/// Why weights, bias and dropout ratio are not a head.
#[derive(Debug, thiserror::Error)]
pub enum HeadError {
    /// The shapes of weights and bias do not match.
    #[error("the last layer has weights {weights:?} and a bias of {bias} values")]
    Shape {
        /// Shape of the weights.
        weights: Vec<usize>,
        /// Length of the bias.
        bias: usize,
    },
    /// The dropout ratio is out of range.
    #[error("a dropout ratio of {0} is not between 0 and 1")]
    Dropout(f64),
    /// A weight is NaN or infinite.
    #[error("the last layer has a weight that is not finite")]
    NotFinite,
}

/// The affine map from F features to an embedding of D dimensions, and the dropout before it.
#[derive(Debug, Clone)]
pub struct Head {
    /// `A`, [D, F].
    weights: Array2<f32>,
    /// `c`, `[D]`.
    bias: Array1<f32>,
    /// `p`, the fraction of features that a mask drops.
    dropout: f64,
}

impl Head {
    /// A head of `weights` [D, F] and `bias` `[D]` with the dropout ratio `dropout`.
    ///
    /// # Errors
    /// If the shapes do not match, a value is not finite, or the ratio is not strictly between 0
    /// and 1.
    pub fn new(weights: Array2<f32>, bias: Array1<f32>, dropout: f64) -> Result<Self, HeadError> {
        if weights.nrows() != bias.len() || weights.is_empty() {
            return Err(HeadError::Shape { weights: weights.shape().to_vec(), bias: bias.len() });
        }
        if !(dropout > 0.0 && dropout < 1.0) {
            return Err(HeadError::Dropout(dropout));
        }
        if !weights.iter().chain(&bias).all(|value| value.is_finite()) {
            return Err(HeadError::NotFinite);
        }
        Ok(Self { weights, bias, dropout })
    }

    /// `A`, [D, F].
    pub fn weights(&self) -> &Array2<f32> {
        &self.weights
    }

    /// `c`, `[D]`.
    pub fn bias(&self) -> &Array1<f32> {
        &self.bias
    }

    /// `p`.
    pub fn dropout(&self) -> f64 {
        self.dropout
    }

    /// Variance of a mask's elements, `q = p / (1 - p)`.
    pub fn mask_variance(&self) -> f64 {
        self.dropout / (1.0 - self.dropout)
    }

    /// `|a_i|^2` for each of the F columns of `A`.
    pub fn column_energies(&self) -> Vec<f64> {
        let energy =
            |column: ArrayView1<'_, f32>| column.iter().map(|&a| f64::from(a) * f64::from(a)).sum();
        self.weights.columns().into_iter().map(energy).collect()
    }

    /// Effective rank of the scatter, `nu = tr(S)^2 / tr(S^2)` with `S = A A^T`: the number of
    /// equal directions that would give the same value.
    pub fn effective_rank(&self) -> f64 {
        let weights = self.weights.mapv(f64::from);
        let gram = weights.dot(&weights.t());
        let trace = gram.diag().sum();
        // S is symmetric, so tr(S^2) is the sum of its squared elements.
        let trace_of_square: f64 = gram.iter().map(|value| value * value).sum();
        trace * trace / trace_of_square
    }
}
