//! Templates in 4 bits each component, with a proven bound on the error of a similarity.
//!
//! A unit vector x is kept as c, whose components are -7.5, -6.5, … 7.5, and a scale s, with
//! x = s c + e, and the norm of e. A probe y = t p + f has whole numbers p of up to 16 bits. The
//! similarity is
//!
//! ```text
//! x·y = st c·p + e·y + (sc)·f,    |e·y| <= |e|,    |(sc)·f| <= (1 + |e|) |f|
//! ```
//!
//! by Cauchy's inequality, since |y| = 1 and |sc| <= |x| + |e|. By the same inequality
//! |c·p| <= |c| |p|, so with t large enough c·p fits 16 bits. Then it is computed in 16 bits, and
//! sums that overflow on the way do not matter.

use pulp::Arch;

use super::scan::slack;
use crate::domain::Template;

/// Rows of a block. Its components lie one after the other, each for all rows, so that processors
/// compute many rows at once.
pub(super) const ROWS: usize = 64;
/// Components in a word of 16 bits.
const IN_WORD: usize = 4;
/// The greatest component of c.
const MOST: f32 = 7.5;
/// c·p is at most this.
const MOST_PRODUCT: f32 = 32_000.0;

/// Unit vectors in 4 bits.
pub(super) struct FourBitRows {
    /// Words of a row.
    words: usize,
    /// Block after block, word after word, row after row.
    values: Vec<u16>,
    scales: Vec<f32>,
    /// The norm of what is left out of each row.
    errors: Vec<f32>,
    /// The greatest norm of c.
    longest: f32,
    arch: Arch,
}

/// A probe of whole numbers, for rows.
pub(super) struct FourBitProbe {
    values: Vec<[u16; IN_WORD]>,
    /// What the products with components from 0 to 15 are to start from, to be those with c.
    start: u16,
    /// What is left over of that, as a half.
    half: f32,
    scale: f32,
    error: f32,
}

impl FourBitRows {
    pub(super) fn new(dimension: usize, capacity: usize) -> Self {
        let words = dimension.div_ceil(IN_WORD);
        Self {
            words,
            values: Vec::with_capacity(capacity.next_multiple_of(ROWS) * words),
            scales: Vec::with_capacity(capacity),
            errors: Vec::with_capacity(capacity),
            longest: 0.0,
            arch: Arch::new(),
        }
    }

    /// Adds a unit vector.
    pub(super) fn push(&mut self, vector: &[f32]) {
        let row = self.scales.len();
        if row.is_multiple_of(ROWS) {
            self.values.resize(self.values.len() + ROWS * self.words, 0);
        }
        let greatest = vector.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
        let scale = greatest / MOST;
        let (mut left_out, mut length) = (0.0, 0.0);
        let places = self.values[row / ROWS * ROWS * self.words + row % ROWS..].iter_mut();
        for (place, components) in places.step_by(ROWS).zip(vector.chunks(IN_WORD)) {
            *place = 0;
            for (position, &value) in components.iter().enumerate() {
                let whole = (value / scale + MOST).round().clamp(0.0, 2.0 * MOST);
                let error = value - (whole - MOST) * scale;
                left_out += error * error;
                length += (whole - MOST) * (whole - MOST);
                *place |= (whole as u16) << (4 * position);
            }
        }
        self.longest = self.longest.max(length.sqrt());
        self.scales.push(scale);
        self.errors.push(left_out.sqrt());
    }

    /// Keeps some rows.
    pub(super) fn retain(&mut self, kept: &[bool]) {
        let mut end = 0;
        for (row, _) in kept.iter().enumerate().filter(|(_, kept)| **kept) {
            let first = |row: usize| row / ROWS * ROWS * self.words + row % ROWS;
            for word in (0..self.words).filter(|_| row != end) {
                self.values[first(end) + word * ROWS] = self.values[first(row) + word * ROWS];
            }
            end += 1;
        }
        self.values.truncate(end.next_multiple_of(ROWS) * self.words);
        super::retain_rows(&mut self.scales, 1, kept);
        super::retain_rows(&mut self.errors, 1, kept);
    }

    /// The probe in whole numbers.
    pub(super) fn probe(&self, probe: &Template) -> FourBitProbe {
        let vector = probe.as_slice();
        // |p| <= |y|/t + √d/2, by how much rounding may lengthen it.
        let rounding = 0.5 * (vector.len() as f32).sqrt();
        let per_one = (MOST_PRODUCT / self.longest - rounding).max(0.0);
        let scale = if per_one > 0.0 { 1.0 / per_one } else { 0.0 };
        let (mut left_out, mut sum) = (0.0, 0_i32);
        let mut whole = |value: f32| {
            let whole = (value * per_one).round();
            left_out += (value - whole * scale).powi(2);
            sum += whole as i32;
            whole as i16 as u16
        };
        let mut values = Vec::with_capacity(self.words);
        for components in vector.chunks(IN_WORD) {
            let mut word = [0; IN_WORD];
            word.iter_mut().zip(components).for_each(|(place, &value)| *place = whole(value));
            values.push(word);
        }
        // From 0 to 15 instead of -7.5 to 7.5: 15/2 of the sum too much, rounded down here.
        let (start, odd) = ((-15 * sum).div_euclid(2), (-15 * sum).rem_euclid(2));
        FourBitProbe {
            values,
            start: start as u16,
            half: odd as f32 / 2.0,
            scale,
            error: left_out.sqrt(),
        }
    }

    /// Upper bounds of the similarities of a block's rows with the probe; of a row that is not there
    /// the least number.
    pub(super) fn bounds(&self, block: usize, probe: &FourBitProbe) -> [f32; ROWS] {
        let values = &self.values[block * ROWS * self.words..][..ROWS * self.words];
        let (scales, errors) = (&self.scales[block * ROWS..], &self.errors[block * ROWS..]);
        let mut bounds = [f32::MIN; ROWS];
        let margin = probe.error + slack(probe.values.len() * IN_WORD);
        self.arch.dispatch(
            #[inline(always)]
            || {
                let products = products(values, probe);
                let rows = products.iter().zip(scales).zip(errors);
                for (bound, ((&product, scale), error)) in bounds.iter_mut().zip(rows) {
                    let product = f32::from(product as i16) + probe.half;
                    *bound = product * (probe.scale * scale) + error + error * probe.error + margin;
                }
            },
        );
        bounds
    }
}

/// The products of a block's rows with the probe, less a half if the probe has one.
#[inline(always)]
fn products(values: &[u16], probe: &FourBitProbe) -> [u16; ROWS] {
    let mut sums = [probe.start; ROWS];
    for (words, factors) in values.as_chunks::<ROWS>().0.iter().zip(&probe.values) {
        for (sum, word) in sums.iter_mut().zip(words) {
            let part =
                |position: usize| (word >> (4 * position) & 15).wrapping_mul(factors[position]);
            let (first, second) = (part(0).wrapping_add(part(1)), part(2).wrapping_add(part(3)));
            *sum = sum.wrapping_add(first).wrapping_add(second);
        }
    }
    sums
}
