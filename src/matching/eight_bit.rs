//! Templates in 8 bits each component, with a proven bound on the error of a similarity.
//!
//! A unit vector x is kept as whole numbers q and a scale s, with x = s q + e, and the norm of e.
//! For a probe y = t p + f, kept in the same way, the similarity is
//!
//! ```text
//! x·y = st q·p + e·y + (sq)·f,    |e·y| <= |e|,    |(sq)·f| <= (1 + |e|) |f|
//! ```
//!
//! by Cauchy's inequality, since |y| = 1 and |sq| <= |x| + |e|. q·p is exact in whole numbers.

use pulp::Arch;

use super::retain_rows;
use super::scan::{Best, slack};
use crate::domain::Template;

/// Rows that are compared before the best so far are looked at.
const BLOCK: usize = 256;
/// Components that the compiler multiplies at once. Rows are filled up with zeros to a multiple.
const LANES: usize = 32;
/// The greatest whole number.
const MOST: f32 = 127.0;

/// Unit vectors in 8 bits.
pub(super) struct EightBitRows {
    /// Components of a row, with those that fill it up.
    width: usize,
    values: Vec<i8>,
    scales: Vec<f32>,
    /// The norm of what the whole numbers leave out of each row.
    errors: Vec<f32>,
    arch: Arch,
}

/// A probe in 8 bits, as wide as rows.
pub(super) struct EightBitProbe {
    values: Vec<i16>,
    scale: f32,
    error: f32,
}

/// Whole numbers, their scale, and the norm of what they leave out.
#[inline(always)]
fn quantise(vector: &[f32], mut put: impl FnMut(f32)) -> (f32, f32) {
    let greatest = vector.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
    let scale = greatest / MOST;
    let mut left_out = 0.0;
    for &value in vector {
        let whole = (value / scale).round_ties_even();
        let error = value - whole * scale;
        left_out += error * error;
        put(whole);
    }
    (scale, left_out.sqrt())
}

impl EightBitRows {
    pub(super) fn new(dimension: usize, capacity: usize) -> Self {
        let width = dimension.next_multiple_of(LANES);
        Self {
            width,
            values: Vec::with_capacity(capacity * width),
            scales: Vec::with_capacity(capacity),
            errors: Vec::with_capacity(capacity),
            arch: Arch::new(),
        }
    }

    /// Adds a unit vector.
    pub(super) fn push(&mut self, vector: &[f32]) {
        let first = self.values.len();
        self.values.resize(first + self.width, 0);
        let row = &mut self.values[first..];
        let (scale, error) = self.arch.dispatch(|| {
            let mut places = row.iter_mut();
            quantise(vector, |whole| {
                if let Some(place) = places.next() {
                    *place = whole as i8;
                }
            })
        });
        self.scales.push(scale);
        self.errors.push(error);
    }

    /// Keeps some rows.
    pub(super) fn retain(&mut self, kept: &[bool]) {
        retain_rows(&mut self.values, self.width, kept);
        retain_rows(&mut self.scales, 1, kept);
        retain_rows(&mut self.errors, 1, kept);
    }

    /// The probe as rows are kept.
    pub(super) fn probe(&self, probe: &Template) -> EightBitProbe {
        let mut values = Vec::with_capacity(self.width);
        let (scale, error) = quantise(probe.as_slice(), |whole| values.push(whole as i16));
        values.resize(self.width, 0);
        EightBitProbe { values, scale, error }
    }

    /// Shows `best` the similarities of the rows from `first` to before `end` with the probe.
    pub(super) fn scan(&self, probe: &EightBitProbe, first: usize, end: usize, best: &mut Best) {
        let mut similarities = [0.0_f32; BLOCK];
        let mut bounds = [0.0_f32; BLOCK];
        let margin = probe.error + slack(self.width);
        let mut start = first;
        while start < end {
            let count = BLOCK.min(end - start);
            let rows = &self.values[start * self.width..][..count * self.width];
            let (scales, errors) = (&self.scales[start..][..count], &self.errors[start..][..count]);
            self.arch.dispatch(|| {
                for (row, similarity) in rows.chunks_exact(self.width).zip(&mut similarities) {
                    *similarity = product(row, &probe.values) as f32;
                }
                for (similarity, scale) in similarities.iter_mut().zip(scales) {
                    *similarity *= probe.scale * scale;
                }
                for (bound, error) in bounds.iter_mut().zip(errors) {
                    *bound = error + error * probe.error + margin;
                }
            });
            best.look(start, &similarities[..count], &bounds[..count]);
            start += count;
        }
    }
}

/// The inner product, exactly: at most 127² times the number of components.
#[inline(always)]
fn product(row: &[i8], probe: &[i16]) -> i32 {
    let mut sum = 0;
    for (row, probe) in row.as_chunks::<LANES>().0.iter().zip(probe.as_chunks::<LANES>().0) {
        let mut part = 0;
        for lane in 0..LANES {
            part += i32::from(row[lane]) * i32::from(probe[lane]);
        }
        sum += part;
    }
    sum
}
