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

#[cfg(target_arch = "x86_64")]
use pulp::x86::V3;
use pulp::{Arch, NullaryFnOnce, Simd, WithSimd, u16x16};

use super::scan::slack;
use crate::domain::Template;

/// Rows of a block. Its components lie one after the other, each for all rows, so that processors
/// compute many rows at once.
pub(super) const ROWS: usize = 64;
/// Numbers that compilers compute at once.
pub(super) const LANES: usize = 16;
/// Components in a word of 16 bits.
const IN_WORD: usize = 4;
/// The greatest component of c.
const MOST: f32 = 7.5;
/// The greatest component of p.
const MOST_FACTOR: f32 = 127.0;
/// c·p is at most this.
const MOST_PRODUCT: f32 = 32_000.0;

/// Unit vectors in 4 bits.
pub(super) struct FourBitRows {
    /// Words of a row.
    words: usize,
    /// The number of rows.
    len: usize,
    /// Block after block, word after word, row after row; the last block is filled up.
    values: Vec<u16>,
    /// Of each row, the last block filled up.
    scales: Vec<f32>,
    /// The norm of what is left out of each row, the last block filled up.
    errors: Vec<f32>,
    /// The greatest norm of c.
    longest: f32,
    /// The components of the row that was added last.
    wholes: Vec<u16>,
    /// The instructions of this processor.
    pub(super) arch: Arch,
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
        let (words, capacity) = (dimension.div_ceil(IN_WORD), capacity.next_multiple_of(ROWS));
        Self {
            words,
            len: 0,
            values: Vec::with_capacity(capacity * words),
            scales: Vec::with_capacity(capacity),
            errors: Vec::with_capacity(capacity),
            longest: 0.0,
            wholes: Vec::new(),
            arch: Arch::new(),
        }
    }

    /// Adds a unit vector.
    pub(super) fn push(&mut self, vector: &[f32]) {
        let row = self.len;
        self.len += 1;
        self.fill_up();
        self.wholes.resize(vector.len(), 0);
        let (scale, left_out, length) =
            self.arch.dispatch(Quantise { vector, wholes: &mut self.wholes });
        self.longest = self.longest.max(length);
        (self.scales[row], self.errors[row]) = (scale, left_out);
        let first = row / ROWS * ROWS * self.words + row % ROWS;
        for (word, components) in self.wholes.chunks(IN_WORD).enumerate() {
            let mut packed = 0;
            for (position, whole) in components.iter().enumerate() {
                packed |= whole << (4 * position);
            }
            self.values[first + word * ROWS] = packed;
        }
    }

    /// Makes the blocks as many as the rows need.
    fn fill_up(&mut self) {
        let rows = self.len.next_multiple_of(ROWS);
        self.values.resize(rows * self.words, 0);
        self.scales.resize(rows, 0.0);
        self.errors.resize(rows, 0.0);
    }

    /// Keeps some rows.
    pub(super) fn retain(&mut self, kept: &[bool]) {
        let first = |row: usize| row / ROWS * ROWS * self.words + row % ROWS;
        let mut end = 0;
        for (row, _) in kept.iter().enumerate().filter(|(_, kept)| **kept) {
            for word in (0..self.words).filter(|_| row != end) {
                self.values[first(end) + word * ROWS] = self.values[first(row) + word * ROWS];
            }
            (self.scales[end], self.errors[end]) = (self.scales[row], self.errors[row]);
            end += 1;
        }
        self.len = end;
        self.fill_up();
    }

    /// The probe in whole numbers.
    pub(super) fn probe(&self, probe: &Template) -> FourBitProbe {
        let vector = probe.as_slice();
        // |p| <= |y|/t + √d/2, by how much rounding may lengthen it.
        let rounding = 0.5 * (vector.len() as f32).sqrt();
        let greatest = vector.iter().fold(0.0_f32, |most, value| most.max(value.abs()));
        let per_one = (MOST_PRODUCT / self.longest - rounding).min(MOST_FACTOR / greatest).max(0.0);
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

    /// Upper bounds of the similarities of a block's rows with the probe; none if all are below
    /// `floor`. Rows that fill up the last block have one, too.
    pub(super) fn bounds(
        &self,
        block: usize,
        probe: &FourBitProbe,
        floor: f32,
    ) -> Option<[f32; ROWS]> {
        let values = &self.values[block * ROWS * self.words..][..ROWS * self.words];
        let scales = self.scales.as_chunks().0.get(block)?;
        let errors = self.errors.as_chunks().0.get(block)?;
        let margin = probe.error + slack(probe.values.len() * IN_WORD);
        let block = Block { values, scales, errors, probe, margin, floor };
        match self.arch {
            #[cfg(target_arch = "x86_64")]
            Arch::V3(v3) => v3.vectorize(BlockV3 { block, v3 }),
            arch => arch.dispatch(block),
        }
    }
}

/// A unit vector, and where its components in 4 bits go, from 0 to 15. Returns their scale, the
/// norm of what they leave out, and that of c.
struct Quantise<'a> {
    vector: &'a [f32],
    wholes: &'a mut [u16],
}

impl WithSimd for Quantise<'_> {
    type Output = (f32, f32, f32);

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> Self::Output {
        let mut greatest = 0.0_f32;
        for value in self.vector {
            greatest = greatest.max(value.abs());
        }
        let (scale, per_one) = (greatest / MOST, MOST / greatest);
        let (mut left_out, mut length) = ([0.0_f32; LANES], [0.0_f32; LANES]);
        let (values, more_values) = self.vector.as_chunks::<LANES>();
        let (wholes, more_wholes) = self.wholes.as_chunks_mut::<LANES>();
        for (values, wholes) in values.iter().zip(wholes) {
            for lane in 0..LANES {
                let (whole, error, component) = quantised(values[lane], scale, per_one);
                left_out[lane] += error * error;
                length[lane] += component * component;
                wholes[lane] = whole;
            }
        }
        for (value, whole) in more_values.iter().zip(more_wholes) {
            let (quantised, error, component) = quantised(*value, scale, per_one);
            left_out[0] += error * error;
            length[0] += component * component;
            *whole = quantised;
        }
        let norm = |squares: [f32; LANES]| squares.iter().sum::<f32>().sqrt();
        (scale, norm(left_out), norm(length))
    }
}

/// A component from 0 to 15, what it leaves out, and that of c.
#[inline(always)]
fn quantised(value: f32, scale: f32, per_one: f32) -> (u16, f32, f32) {
    // Rounded: the conversion cuts off.
    let whole = ((value * per_one + MOST + 0.5) as i32).clamp(0, 15);
    let component = whole as f32 - MOST;
    (whole as u16, value - component * scale, component)
}

/// The rows of a block, to be compared with a probe. A type instead of a closure, because compilers
/// do not put long closures into the functions of a processor's instructions.
struct Block<'a> {
    values: &'a [u16],
    scales: &'a [f32; ROWS],
    errors: &'a [f32; ROWS],
    probe: &'a FourBitProbe,
    margin: f32,
    floor: f32,
}

impl Block<'_> {
    #[inline(always)]
    fn bounds(self, products: &[u16; ROWS]) -> Option<[f32; ROWS]> {
        let Block { scales, errors, probe, margin, floor, .. } = self;
        let mut bounds = [0.0; ROWS];
        for row in 0..ROWS {
            let product = f32::from(products[row] as i16) + probe.half;
            let error = errors[row];
            bounds[row] =
                product * (probe.scale * scales[row]) + error + error * probe.error + margin;
        }
        let mut above = false;
        for bound in bounds {
            above |= bound >= floor;
        }
        above.then_some(bounds)
    }
}

impl WithSimd for Block<'_> {
    type Output = Option<[f32; ROWS]>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> Self::Output {
        let products = products(self.values, self.probe);
        self.bounds(&products)
    }
}

/// The same with an instruction of AVX2 that compilers do not find: it multiplies bytes and adds
/// the products of two neighbours.
#[cfg(target_arch = "x86_64")]
struct BlockV3<'a> {
    block: Block<'a>,
    v3: V3,
}

#[cfg(target_arch = "x86_64")]
impl NullaryFnOnce for BlockV3<'_> {
    type Output = Option<[f32; ROWS]>;

    #[inline(always)]
    fn call(self) -> Self::Output {
        let Self { block, v3 } = self;
        let low = v3.splat_u16x16(0x0f0f);
        let mut sums: [u16x16; ROWS / 16] = [v3.splat_u16x16(block.probe.start); ROWS / 16];
        for (words, factors) in block.values.as_chunks::<ROWS>().0.iter().zip(&block.probe.values) {
            // Of a word, the first and third component are the lower halves of its bytes.
            let odd = v3.splat_u16x16(factors[0] & 0xff | factors[2] << 8);
            let even = v3.splat_u16x16(factors[1] & 0xff | factors[3] << 8);
            let (words, _) = words.as_chunks::<16>();
            for part in 0..ROWS / 16 {
                let words: u16x16 = pulp::cast(words[part]);
                let lower = v3.and_u16x16(words, low);
                let upper = v3.and_u16x16(v3.shr_const_u16x16::<4>(words), low);
                let lower =
                    v3.multiply_saturating_add_adjacent_i8x32(pulp::cast(lower), pulp::cast(odd));
                let upper =
                    v3.multiply_saturating_add_adjacent_i8x32(pulp::cast(upper), pulp::cast(even));
                let both = pulp::cast(v3.wrapping_add_i16x16(lower, upper));
                sums[part] = v3.wrapping_add_u16x16(sums[part], both);
            }
        }
        let sums: [u16; ROWS] = pulp::cast(sums);
        block.bounds(&sums)
    }
}

/// The products of a block's rows with the probe, less a half if the probe has one.
#[inline(always)]
fn products(values: &[u16], probe: &FourBitProbe) -> [u16; ROWS] {
    let mut sums = [probe.start; ROWS];
    for (words, factors) in values.as_chunks::<ROWS>().0.iter().zip(&probe.values) {
        for row in 0..ROWS {
            let word = words[row];
            let first = (word & 15).wrapping_mul(factors[0]);
            let second = (word >> 4 & 15).wrapping_mul(factors[1]);
            let third = (word >> 8 & 15).wrapping_mul(factors[2]);
            let fourth = (word >> 12).wrapping_mul(factors[3]);
            let parts = first.wrapping_add(second).wrapping_add(third.wrapping_add(fourth));
            sums[row] = sums[row].wrapping_add(parts);
        }
    }
    sums
}
