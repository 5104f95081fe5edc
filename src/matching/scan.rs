//! A search: the scan over all rows, in threads, and the exact second look.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::ops::Range;
use std::panic::resume_unwind;

use super::{MatchingError, Neighbour, TemplateIndex, product};
use crate::domain::Template;

/// More than the error of the arithmetic in 32 bits, for templates of `dimension` numbers: a sum of
/// d products of two unit vectors is off by at most d units in the last place of 1, whatever its
/// order.
pub(super) fn slack(dimension: usize) -> f32 {
    (2.0 * dimension as f32 * f32::EPSILON).max(1e-5)
}

/// From this number of probes on, the product of matrices is faster than a scan in 8 bits for each.
const MANY: usize = 3;
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

    /// Looks at the rows from `first` on: their similarities, each known up to its bound.
    pub(super) fn look(&mut self, first: usize, similarities: &[f32], bounds: &[f32]) {
        let upper = similarities.iter().zip(bounds).map(|(similarity, bound)| similarity + bound);
        if upper.fold(f32::MIN, f32::max) < self.floor {
            return;
        }
        for (row, (similarity, bound)) in (first..).zip(similarities.iter().zip(bounds)) {
            if similarity + bound >= self.floor {
                self.candidates.push((similarity + bound, row));
                self.raise(similarity - bound);
            }
        }
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

    /// How many rows may be among the best.
    #[cfg(test)]
    pub(super) fn still_possible(&self) -> usize {
        self.candidates.iter().filter(|(upper, _)| *upper >= self.floor).count()
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
        let share = self.len().div_ceil(threads);
        let shares = (0..self.len()).step_by(share);
        let scan = |rows: Range<usize>| {
            let mut best: Vec<Best> = probes.iter().map(|_| Best::new(k, floor)).collect();
            self.scan_rows(probes, rows, &mut best);
            best
        };
        let parts: Vec<Vec<Best>> = std::thread::scope(|scope| {
            let threads: Vec<_> = shares
                .map(|first| scope.spawn(move || scan(first..self.len().min(first + share))))
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic)))
                .collect()
        });
        let mut parts = parts.into_iter();
        let mut all = parts.next().unwrap_or_default();
        for part in parts {
            all.iter_mut().zip(part).for_each(|(best, other)| best.merge(other));
        }
        all
    }

    fn scan_rows(&self, probes: &[Template], rows: Range<usize>, best: &mut [Best]) {
        if probes.len() >= MANY {
            product::scan(self, &product::matrix(probes), rows.start, rows.end, best);
            return;
        }
        for (probe, best) in probes.iter().zip(best) {
            self.rows.scan(&self.rows.probe(probe), rows.start, rows.end, best);
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
