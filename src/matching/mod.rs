//! The most similar templates of many, exactly, from memory.
//!
//! A scan over all templates in 4 bits (`four_bit.rs`) bounds each similarity from above and leaves
//! out what cannot be among the best. The rest is compared in 32 bits as it is found, and what then
//! still may be among the best exactly ([`nearest`](TemplateIndex::nearest)). There is no index
//! structure to build or to tune, and no candidate is missed.

mod four_bit;
mod scan;

use half::f16;
use half::slice::HalfFloatSliceExt;

use self::four_bit::FourBitRows;
use crate::domain::{Template, TemplateError};

/// Templates of one profile, each with a key `K`.
///
/// With keys of 8 bytes it takes 1.31 times the memory of 16-bit templates of 128 components.
pub struct TemplateIndex<K> {
    dimension: usize,
    keys: Vec<K>,
    /// The templates as they are stored, one after the other.
    halves: Vec<f16>,
    rows: FourBitRows,
}

/// A template and how similar it is to a probe.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Neighbour<K> {
    /// The key it was added with.
    pub key: K,
    /// [`Template::similarity`] with the probe.
    pub similarity: f64,
}

/// Why a template cannot be added, or a probe not be searched with.
#[derive(Debug, thiserror::Error)]
pub enum MatchingError {
    /// It has another number of components.
    #[error("a template of {found} components among templates of {expected}")]
    Dimension {
        /// Components of the templates of the index.
        expected: usize,
        /// Components of this one.
        found: usize,
    },
    /// It is no direction.
    #[error(transparent)]
    Template(#[from] TemplateError),
}

impl<K: Copy + Ord + Send + Sync> TemplateIndex<K> {
    /// An index without templates, of `dimension` components each, with memory for `capacity`.
    pub fn new(dimension: usize, capacity: usize) -> Self {
        Self {
            dimension,
            keys: Vec::with_capacity(capacity),
            halves: Vec::with_capacity(capacity * dimension),
            rows: FourBitRows::new(dimension, capacity),
        }
    }

    /// The number of templates.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Adds templates as stores keep them: `halves` has the components of one after the other.
    ///
    /// # Errors
    /// If `halves` are not as many as `keys` need, or one is zero or not finite. Those before it
    /// have been added.
    pub fn extend(&mut self, keys: &[K], halves: &[f16]) -> Result<(), MatchingError> {
        let dimension = self.dimension;
        if halves.len() != keys.len() * dimension {
            let found = halves.len() / keys.len().max(1);
            return Err(MatchingError::Dimension { expected: dimension, found });
        }
        let mut values = vec![0.0_f32; dimension];
        for (&key, halves) in keys.iter().zip(halves.chunks_exact(dimension)) {
            halves.convert_to_f32_slice(&mut values);
            let square = |value: &f32| f64::from(*value) * f64::from(*value);
            let norm = values.iter().map(square).sum::<f64>().sqrt() as f32;
            if !norm.is_finite() {
                return Err(TemplateError::NotFinite.into());
            }
            if norm <= f32::MIN_POSITIVE {
                return Err(TemplateError::Zero.into());
            }
            values.iter_mut().for_each(|value| *value /= norm);
            self.rows.push(&values);
            self.keys.push(key);
            self.halves.extend_from_slice(halves);
        }
        Ok(())
    }

    /// Keeps the templates with these keys, in their order, and removes the others.
    pub fn retain(&mut self, keep: impl Fn(K) -> bool) {
        let kept: Vec<bool> = self.keys.iter().map(|&key| keep(key)).collect();
        retain_rows(&mut self.keys, 1, &kept);
        retain_rows(&mut self.halves, self.dimension, &kept);
        self.rows.retain(&kept);
    }

    /// The components of a row, as they were added.
    fn halves(&self, row: usize) -> &[f16] {
        &self.halves[row * self.dimension..][..self.dimension]
    }

    /// The similarity of a row with a probe, as everything else computes it.
    fn similarity(&self, row: usize, probe: &Template) -> Result<f64, TemplateError> {
        Ok(Template::from_halves(self.halves(row))?.similarity(probe))
    }
}

/// Keeps some rows of `width` values each.
fn retain_rows<T: Copy>(values: &mut Vec<T>, width: usize, kept: &[bool]) {
    let mut end = 0;
    for (row, _) in kept.iter().enumerate().filter(|(_, kept)| **kept) {
        if row != end {
            values.copy_within(row * width..(row + 1) * width, end * width);
        }
        end += 1;
    }
    values.truncate(end * width);
}

#[cfg(test)]
mod tests;
