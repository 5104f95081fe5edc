//! Many probes at once: a product of matrices in 32 bits, block by block. The templates are as they
//! are stored, with a norm of nearly 1.

use half::slice::HalfFloatSliceExt;
use ndarray::linalg::general_mat_mul;
use ndarray::{Array2, ArrayView2};

use super::TemplateIndex;
use super::scan::{Best, slack};
use crate::domain::Template;

/// Rows of a block, which the processor's cache holds.
const BLOCK: usize = 512;

/// The probes, a row each.
pub(super) fn matrix(probes: &[Template]) -> Array2<f32> {
    let width = probes.first().map_or(0, |probe| probe.as_slice().len());
    let all = probes.iter().flat_map(Template::as_slice).copied().collect();
    Array2::from_shape_vec((probes.len(), width), all).unwrap_or_default()
}

/// Shows each of `best` the similarities of the rows from `first` to before `end` with its probe.
pub(super) fn scan<K>(
    index: &TemplateIndex<K>,
    probes: &Array2<f32>,
    first: usize,
    end: usize,
    best: &mut [Best],
) {
    let width = index.dimension;
    let mut values = vec![0.0_f32; BLOCK * width];
    let mut products = Array2::zeros((probes.nrows(), BLOCK));
    // A row h stands for the unit vector h/|h|: |h·y - h·y/|h|| <= ||h| - 1|.
    let bounds = [index.off_unit + slack(width); BLOCK];
    let mut start = first;
    while start < end {
        let count = BLOCK.min(end - start);
        let halves = &index.halves[start * width..][..count * width];
        halves.convert_to_f32_slice(&mut values[..count * width]);
        if count < BLOCK {
            products = Array2::zeros((probes.nrows(), count));
        }
        if let Ok(rows) = ArrayView2::from_shape((count, width), &values[..count * width]) {
            general_mat_mul(1.0, probes, &rows.t(), 0.0, &mut products);
        }
        for (products, best) in products.rows().into_iter().zip(best.iter_mut()) {
            if let Some(products) = products.as_slice() {
                best.look(start, products, &bounds[..count]);
            }
        }
        start += count;
    }
}
