//! Ridge regression: least squares with a penalty on the squares of the coefficients, by the normal
//! equations and Cholesky's decomposition (Hoerl and Kennard, Technometrics 1970).

use std::collections::BTreeMap;

use crate::domain::{FusedInput, FusedQuality, FusedTerm};
use crate::evaluate::pairs::Pair;
use crate::evaluate::samples::InputColumn;

/// An input that varies less than this has no scale.
const LEAST_SCALE: f64 = 1e-6;

/// Pairs of photos of one person, whose similarity is regressed on the means of their inputs. The
/// value of a photo is then the expected similarity with one like itself.
#[derive(Debug)]
pub(super) struct Regression<'a> {
    /// The inputs; none of their values is needed.
    pub inputs: &'a [&'a InputColumn],
    /// The pairs.
    pub pairs: &'a [Pair],
    /// The weight of each pair.
    pub weights: &'a [f64],
}

/// The equations of one set of photos, for any penalty.
#[derive(Debug)]
pub(super) struct NormalEquations {
    intercept: f64,
    names: Vec<FusedInput>,
    means: Vec<f64>,
    scales: Vec<f64>,
    /// Weighted means of the products of the standardised inputs, row by row.
    gram: Vec<f64>,
    /// Weighted means of their products with the target.
    moment: Vec<f64>,
}

impl Regression<'_> {
    /// The equations of the pairs of photos that `used` names. A similarity above `most` counts as
    /// `most`. None if they have no weight.
    pub(super) fn equations(
        &self,
        used: impl Fn(usize) -> bool,
        most: f64,
    ) -> Option<NormalEquations> {
        let of_used = |(pair, &weight): (&Pair, &f64)| {
            let photos = [pair.a as usize, pair.b as usize];
            let target = f64::from(pair.similarity).min(most);
            photos.iter().all(|&photo| used(photo)).then_some((photos, target, weight))
        };
        let pairs: Vec<([usize; 2], f64, f64)> =
            self.pairs.iter().zip(self.weights).filter_map(of_used).collect();
        let total: f64 = pairs.iter().map(|(_, _, weight)| weight).sum();
        if total <= 0.0 {
            return None;
        }
        let intercept =
            pairs.iter().map(|(_, target, weight)| weight * target).sum::<f64>() / total;
        let photos = photo_weights(&pairs);
        let spread = |column: &&InputColumn| spread(&column.values, &photos);
        let (means, scales) = self.inputs.iter().map(spread).unzip();
        let order = self.inputs.len();
        let mut equations = NormalEquations {
            intercept,
            names: self.inputs.iter().map(|column| column.input).collect(),
            means,
            scales,
            gram: vec![0.0; order * order],
            moment: vec![0.0; order],
        };
        let rows = self.deviations(&equations, &photos);
        let mut row = vec![0.0; order];
        for ([a, b], target, weight) in pairs {
            let ([a, b], share) = ([&rows[a], &rows[b]], weight / total);
            row.iter_mut().zip(a.iter().zip(b)).for_each(|(mean, (a, b))| *mean = (a + b) / 2.0);
            equations.add(&row, target - intercept, share);
        }
        Some(equations)
    }

    /// The inputs of these photos in standard deviations from the mean, by photo.
    fn deviations(&self, equations: &NormalEquations, photos: &[(usize, f64)]) -> Vec<Vec<f64>> {
        let terms = equations.quality(vec![0.0; self.inputs.len()], "").inputs;
        let last = photos.iter().map(|(photo, _)| photo + 1).max().unwrap_or_default();
        let mut rows = vec![Vec::new(); last];
        for &(photo, _) in photos {
            let each = terms.iter().zip(self.inputs);
            rows[photo] =
                each.map(|(term, column)| term.deviations(column.values[photo])).collect();
        }
        rows
    }

    /// The value of `fused` for a photo.
    pub(super) fn predict(&self, fused: &FusedQuality, photo: usize) -> f64 {
        fused.value_of(|index, _| self.inputs[index].values[photo])
    }
}

impl NormalEquations {
    /// Adds a row of inputs with the `target`, less the intercept.
    fn add(&mut self, row: &[f64], target: f64, share: f64) {
        let order = row.len();
        for (i, &value) in row.iter().enumerate() {
            self.moment[i] += share * value * target;
            let products = &mut self.gram[i * order..(i + 1) * order];
            products.iter_mut().zip(row).for_each(|(sum, other)| *sum += share * value * other);
        }
    }

    /// The fit with `penalty` (over 0), for inputs in standard deviations. `data` is kept with it.
    ///
    /// A penalty makes all coefficients smaller, too. They are scaled back together, by the least
    /// squares of the target on the prediction: predictions by fits of other penalties are then of
    /// one scale.
    pub(super) fn solve(&self, penalty: f64, data: &str) -> FusedQuality {
        let order = self.moment.len();
        let mut matrix = self.gram.clone();
        (0..order).for_each(|i| matrix[i * order + i] += penalty);
        let mut coefficients = cholesky(matrix, self.moment.clone());
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let rows = self.gram.chunks(order.max(1));
        let variance: f64 =
            rows.zip(&coefficients).map(|(row, c)| c * dot(row, &coefficients)).sum();
        let scale = dot(&coefficients, &self.moment) / variance;
        if scale.is_finite() {
            coefficients.iter_mut().for_each(|coefficient| *coefficient *= scale);
        }
        self.quality(coefficients, data)
    }

    fn quality(&self, coefficients: Vec<f64>, data: &str) -> FusedQuality {
        let term = |(index, coefficient): (usize, f64)| FusedTerm {
            name: self.names[index],
            mean: self.means[index],
            scale: self.scales[index],
            coefficient,
        };
        FusedQuality {
            intercept: self.intercept,
            inputs: coefficients.into_iter().enumerate().map(term).collect(),
            data: data.to_owned(),
        }
    }
}

/// The photos of pairs, each with the weight of its pairs.
fn photo_weights(pairs: &[([usize; 2], f64, f64)]) -> Vec<(usize, f64)> {
    let mut weights: BTreeMap<usize, f64> = BTreeMap::new();
    for (photos, _, weight) in pairs {
        photos.iter().for_each(|photo| *weights.entry(*photo).or_default() += weight);
    }
    weights.into_iter().collect()
}

/// The weighted mean and standard deviation of the known ones of `values`. Without two different
/// ones, the standard deviation is 1.
fn spread(values: &[Option<f64>], photos: &[(usize, f64)]) -> (f64, f64) {
    let known = || photos.iter().filter_map(|&(photo, weight)| Some((values[photo]?, weight)));
    let total: f64 = known().map(|(_, weight)| weight).sum();
    if total <= 0.0 {
        return (0.0, 1.0);
    }
    let mean = known().map(|(value, weight)| weight * value).sum::<f64>() / total;
    let square = known().map(|(value, weight)| weight * (value - mean).powi(2)).sum::<f64>();
    let scale = (square / total).sqrt();
    (mean, if scale > LEAST_SCALE { scale } else { 1.0 })
}

/// The solution of `matrix x = right`. `matrix` is symmetric and positive definite, row by row.
fn cholesky(mut matrix: Vec<f64>, mut right: Vec<f64>) -> Vec<f64> {
    let order = right.len();
    let at = |i: usize, j: usize| i * order + j;
    // The lower triangle becomes the factor L of matrix = L Lᵀ.
    for j in 0..order {
        for k in 0..j {
            for i in j..order {
                matrix[at(i, j)] -= matrix[at(i, k)] * matrix[at(j, k)];
            }
        }
        let root = matrix[at(j, j)].max(f64::MIN_POSITIVE).sqrt();
        (j..order).for_each(|i| matrix[at(i, j)] /= root);
    }
    for i in 0..order {
        let known: f64 = (0..i).map(|k| matrix[at(i, k)] * right[k]).sum();
        right[i] = (right[i] - known) / matrix[at(i, i)];
    }
    for i in (0..order).rev() {
        let known: f64 = (i + 1..order).map(|k| matrix[at(k, i)] * right[k]).sum();
        right[i] = (right[i] - known) / matrix[at(i, i)];
    }
    right
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(found: &[f64], expected: &[f64]) {
        let close = found.iter().zip(expected).all(|(found, wanted)| (found - wanted).abs() < 1e-7);
        assert!(close && found.len() == expected.len(), "{found:?} {expected:?}");
    }

    #[test]
    fn equations_solved_by_hand() {
        // 4x + 2y = 10, 2x + 3y = 9 has x = 1.5, y = 2.
        near(&cholesky(vec![4.0, 2.0, 2.0, 3.0], vec![10.0, 9.0]), &[1.5, 2.0]);
        let matrix = vec![4.0, 12.0, -16.0, 12.0, 37.0, -43.0, -16.0, -43.0, 98.0];
        // The product of the matrix with (1, -2, 3).
        near(&cholesky(matrix, vec![-68.0, -191.0, 364.0]), &[1.0, -2.0, 3.0]);
    }

    fn pair(a: u32, b: u32, similarity: f64) -> Pair {
        Pair { a, b, similarity: similarity as f32 }
    }

    fn column(input: FusedInput, values: &[f64]) -> InputColumn {
        InputColumn { input, values: values.iter().copied().map(Some).collect() }
    }

    #[test]
    fn one_input_worked_by_hand() {
        // Inputs 1, 2, 3, each in two of three pairs: mean 2, variance 2/3. The similarities are
        // 0.3 for each 1 of the mean of two inputs, less 0.2; the slope per standard deviation is
        // 0.3 sqrt(2/3).
        let inputs = [column(FusedInput::Norm, &[1.0, 2.0, 3.0, 1e9])];
        let inputs: Vec<&InputColumn> = inputs.iter().collect();
        let pairs = [pair(0, 1, 0.25), pair(1, 2, 0.55), pair(0, 2, 0.4), pair(2, 3, 0.9)];
        let weights = [1.0, 1.0, 1.0, 0.0];
        let regression = Regression { inputs: &inputs, pairs: &pairs, weights: &weights };
        let known = |photo| photo < 3;
        let equations = regression.equations(known, 1.0).unwrap();
        let slope = 0.3 * (2.0_f64 / 3.0).sqrt();
        for penalty in [1e-12, 1.0] {
            let fused = equations.solve(penalty, "d");
            let [term] = fused.inputs[..] else { panic!() };
            near(&[term.mean, term.scale], &[2.0, (2.0_f64 / 3.0).sqrt()]);
            near(&[fused.intercept, term.coefficient], &[0.4, slope]);
        }
        let exact = equations.solve(1e-12, "d");
        near(&[regression.predict(&exact, 0)], &[0.1]);
        assert!(regression.equations(|photo| photo > 1, 1.0).is_none(), "a pair of no weight");
        // Above the most, similarities are alike: 0.25, 0.4 and 0.4.
        let capped = regression.equations(known, 0.4).unwrap().solve(1e-12, "d");
        near(&[capped.intercept], &[0.35]);
    }

    #[test]
    fn a_penalty_on_two_inputs_worked_by_hand() {
        let equations = NormalEquations {
            intercept: 0.5,
            names: vec![FusedInput::Score, FusedInput::Norm],
            means: vec![0.0; 2],
            scales: vec![1.0; 2],
            gram: vec![1.0, 0.5, 0.5, 1.0],
            moment: vec![1.0, 0.0],
        };
        // Without a penalty, (4, -2) / 3. With 1, the solution is (2, -0.5) / 3.75, of variance
        // 3.25 / 3.75²; its product with the moment is 2 / 3.75, so it is scaled by 7.5 / 3.25.
        let of = |penalty| -> Vec<f64> {
            equations.solve(penalty, "d").inputs.iter().map(|term| term.coefficient).collect()
        };
        near(&of(1e-12), &[4.0 / 3.0, -2.0 / 3.0]);
        near(&of(1.0), &[2.0 * 2.0 / 3.25, -0.5 * 2.0 / 3.25]);
    }

    #[test]
    fn made_coefficients_are_recovered_where_some_values_are_unknown() {
        let noise = |i: usize, j: usize| ((i * 7919 + j * 104_729 + i * j * 31) % 1013) as f64;
        let value = |i: usize, j: usize| noise(i, j) / 1013.0;
        let all: Vec<FusedInput> = FusedInput::all().take(4).collect();
        let mut columns: Vec<InputColumn> = (0..4)
            .map(|j| column(all[j], &(0..2000).map(|i| value(i, j + 1)).collect::<Vec<_>>()))
            .collect();
        let made = [0.5, -0.2, 0.0, 1.0];
        let made_of = |i: usize| (0..4).map(|j| made[j] * value(i, j + 1)).sum::<f64>();
        let pairs: Vec<Pair> = (0..1999)
            .map(|i| pair(i as u32, i as u32 + 1, (made_of(i) + made_of(i + 1)) / 2.0))
            .collect();
        let fit = |columns: &[InputColumn]| {
            let inputs: Vec<&InputColumn> = columns.iter().collect();
            let weights = vec![0.7; 1999];
            Regression { inputs: &inputs, pairs: &pairs, weights: &weights }
                .equations(|_| true, f64::INFINITY)
                .unwrap()
                .solve(1e-9, "d")
        };
        for (term, made) in fit(&columns).inputs.iter().zip(made) {
            assert!((term.coefficient / term.scale - made).abs() < 1e-5, "{term:?} {made}");
        }
        columns[1].values.iter_mut().step_by(5).for_each(|value| *value = None);
        for (term, made) in fit(&columns).inputs.iter().zip(made) {
            assert!((term.coefficient / term.scale - made).abs() < 0.02, "{term:?} {made}");
        }
    }
}
