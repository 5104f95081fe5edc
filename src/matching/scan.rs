//! A search: the scan over all rows, in threads, and the exact second look.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use half::f16;
use pulp::{Simd, WithSimd};

use super::four_bit::{FourBitProbe, LANES, ROWS};
use super::{MatchingError, Neighbour, TemplateIndex};
use crate::domain::Template;

/// More than the error of the arithmetic in 32 bits, for templates of `dimension` numbers: a sum of
/// d products of two unit vectors is off by at most d units in the last place of 1, whatever its
/// order.
pub(super) fn slack(dimension: usize) -> f32 {
    (2.0 * dimension as f32 * f32::EPSILON).max(1e-5)
}

/// Blocks that a thread takes at a time.
const TAKEN: usize = 64;
/// Candidates to keep before those are dropped that are no longer among the best.
const FEW: usize = 4096;

/// Ordered by `f32::total_cmp`.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Ordered(f32);

impl Eq for Ordered {}

impl PartialOrd for Ordered {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ordered {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

/// What may be among the `k` rows most similar to one probe.
///
/// At least `k` rows have a similarity of `floor` or more, so a row whose similarity is below it is
/// not among the best.
pub(super) struct Best {
    k: usize,
    /// Never below the least similarity that is wanted.
    floor: f32,
    /// The `k` greatest lower bounds.
    lower: BinaryHeap<Reverse<Ordered>>,
    /// Rows with their upper bounds.
    candidates: Vec<(f32, usize)>,
    /// How many candidates to have before they are looked through.
    look_through_at: usize,
}

impl Best {
    pub(super) fn new(k: usize, least: f32) -> Self {
        let (lower, candidates) = (BinaryHeap::with_capacity(k.min(FEW) + 1), Vec::new());
        Self { k, floor: least, lower, candidates, look_through_at: FEW }
    }

    /// Looks at a row whose similarity is known up to `error`.
    fn look(&mut self, row: usize, similarity: f32, error: f32) {
        if similarity + error < self.floor {
            return;
        }
        self.candidates.push((similarity + error, row));
        self.raise(similarity - error);
        if self.candidates.len() >= self.look_through_at {
            self.drop_candidates();
        }
    }

    /// Raises the floor, if `k` rows are above it.
    fn raise(&mut self, lower: f32) {
        self.lower.push(Reverse(Ordered(lower)));
        if self.lower.len() > self.k {
            self.lower.pop();
        }
        if let Some(Reverse(least)) = self.lower.peek().filter(|_| self.lower.len() == self.k) {
            self.floor = self.floor.max(least.0);
        }
    }

    fn drop_candidates(&mut self) {
        self.candidates.retain(|(upper, _)| *upper >= self.floor);
        self.look_through_at = 2 * self.candidates.len().max(FEW / 2);
    }

    /// Adds what another thread found among other rows.
    fn merge(&mut self, other: Self) {
        for Reverse(lower) in other.lower {
            self.raise(lower.0);
        }
        self.candidates.extend(other.candidates);
        self.drop_candidates();
    }
}

/// A probe, as whole numbers and as it is.
struct ScannedProbe<'a> {
    whole: FourBitProbe,
    values: &'a [f32],
}

/// The cosine of the angle between a template, as it is stored, and a unit vector.
struct Cosine<'a> {
    halves: &'a [f16],
    unit: &'a [f32],
}

impl WithSimd for Cosine<'_> {
    type Output = f32;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> f32 {
        let (halves, more_halves) = self.halves.as_chunks::<LANES>();
        let (unit, more_unit) = self.unit.as_chunks::<LANES>();
        let (mut product, mut square) = ([0.0; LANES], [0.0; LANES]);
        for (halves, unit) in halves.iter().zip(unit) {
            for lane in 0..LANES {
                let value = widen(halves[lane]);
                product[lane] += value * unit[lane];
                square[lane] += value * value;
            }
        }
        let (mut product, mut square) = (product.iter().sum::<f32>(), square.iter().sum::<f32>());
        for (half, unit) in more_halves.iter().zip(more_unit) {
            let value = widen(*half);
            product += value * unit;
            square += value * value;
        }
        product / square.sqrt()
    }
}

/// A finite 16-bit number in 32 bits. Compilers do it for many at a time.
#[inline(always)]
fn widen(half: f16) -> f32 {
    let bits = u32::from(half.to_bits());
    // The exponent has three bits more and a bias of 127 instead of 15.
    f32::from_bits((bits & 0x8000) << 16 | (bits & 0x7fff) << 13) * f32::from_bits(0x7780_0000)
}

impl<K: Copy + Ord + Send + Sync> TemplateIndex<K> {
    /// The `k` templates most similar to each probe, the most similar first, of those whose
    /// similarity is at least `least`; equally similar ones in the order of their keys. Never fewer
    /// than `k` if there are as many. Uses `threads` threads.
    ///
    /// The answer is the same as that of comparing each template with each probe.
    ///
    /// # Errors
    /// If a probe has another number of components than the templates.
    pub fn nearest(
        &self,
        probes: &[Template],
        k: usize,
        least: f64,
        threads: usize,
    ) -> Result<Vec<Vec<Neighbour<K>>>, MatchingError> {
        if k == 0 || self.is_empty() {
            return Ok(vec![Vec::new(); probes.len()]);
        }
        for probe in probes {
            let (expected, found) = (self.dimension, probe.as_slice().len());
            if expected != found {
                return Err(MatchingError::Dimension { expected, found });
            }
        }
        // Not above `least` itself, whatever rounding does.
        let floor = (least as f32).next_down();
        let found = self.scan(probes, k, floor, threads.max(1));
        probes.iter().zip(found).map(|(probe, best)| self.look_again(probe, best, least)).collect()
    }

    /// What may be among the best for each probe.
    fn scan(&self, probes: &[Template], k: usize, floor: f32, threads: usize) -> Vec<Best> {
        let probes: Vec<ScannedProbe<'_>> = probes
            .iter()
            .map(|probe| ScannedProbe { whole: self.rows.probe(probe), values: probe.as_slice() })
            .collect();
        let blocks = self.len().div_ceil(ROWS);
        // Threads take what is next, because a busy machine may hold one up.
        let next = AtomicUsize::new(0);
        let scan = || {
            let mut best: Vec<Best> = probes.iter().map(|_| Best::new(k, floor)).collect();
            loop {
                let first = next.fetch_add(TAKEN, Relaxed);
                if first >= blocks {
                    return best;
                }
                for block in first..blocks.min(first + TAKEN) {
                    for (probe, best) in probes.iter().zip(&mut best) {
                        self.scan_block(block, probe, best);
                    }
                }
            }
        };
        std::thread::scope(|scope| {
            let others = threads.min(blocks.div_ceil(TAKEN)).saturating_sub(1);
            let others: Vec<_> = (0..others).map(|_| scope.spawn(scan)).collect();
            let mut all = scan();
            for other in others {
                let part = other.join().unwrap_or_else(|panic| resume_unwind(panic));
                all.iter_mut().zip(part).for_each(|(best, other)| best.merge(other));
            }
            all
        })
    }

    /// Shows `best` the rows of a block that may be among them.
    fn scan_block(&self, block: usize, probe: &ScannedProbe<'_>, best: &mut Best) {
        let Some(bounds) = self.rows.bounds(block, &probe.whole, best.floor) else { return };
        for (row, bound) in (block * ROWS..self.len()).zip(bounds) {
            if bound >= best.floor {
                let cosine = Cosine { halves: self.halves(row), unit: probe.values };
                best.look(row, self.rows.arch.dispatch(cosine), slack(self.dimension));
            }
        }
    }

    /// The best of the candidates, by their exact similarities.
    fn look_again(
        &self,
        probe: &Template,
        best: Best,
        least: f64,
    ) -> Result<Vec<Neighbour<K>>, MatchingError> {
        let mut found = Vec::new();
        for (upper, row) in best.candidates {
            if upper >= best.floor {
                let similarity = self.similarity(row, probe)?;
                found.push(Neighbour { key: self.keys[row], similarity });
            }
        }
        found.retain(|neighbour| neighbour.similarity >= least);
        found
            .sort_unstable_by(|a, b| b.similarity.total_cmp(&a.similarity).then(a.key.cmp(&b.key)));
        found.truncate(best.k);
        Ok(found)
    }
}
