//! Compares all templates with all, in blocked matrix products on several threads.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use ndarray::{ArrayView2, Axis, Slice};

use super::Pair;

/// Photos whose templates are multiplied at once: the products of two blocks fit into a core's
/// cache.
const BLOCK: usize = 512;

/// All mated pairs in any order, and the `keep` most similar non-mated ones, most similar first.
pub(super) fn compare_all(
    templates: &ArrayView2<'_, f32>,
    subjects: &[u32],
    mated_total: usize,
    keep: usize,
    threads: usize,
) -> (Vec<Pair>, Vec<Pair>) {
    let blocks = templates.nrows().div_ceil(BLOCK);
    let next = AtomicUsize::new(0);
    // Shared by all threads: it may hold a gigabyte.
    let strongest = Mutex::new(Strongest::new(keep));
    let work = || {
        let mut result = ThreadResult::default();
        loop {
            let block = next.fetch_add(1, Ordering::Relaxed);
            if block >= blocks {
                return result.mated;
            }
            for other in block..blocks {
                result.compare(templates, subjects, block, other);
                result.hand_over(&strongest);
            }
        }
    };
    let parts: Vec<Vec<Pair>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (1..threads.max(1)).map(|_| scope.spawn(work)).collect();
        let own = work();
        // A panic of a thread is passed on: its pairs are missing.
        let others = threads.into_iter().map(|thread| match thread.join() {
            Ok(mated) => mated,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        std::iter::once(own).chain(others).collect()
    });
    let mut mated = Vec::with_capacity(mated_total);
    parts.into_iter().for_each(|part| mated.extend(part));
    let strongest = strongest.into_inner().unwrap_or_else(PoisonError::into_inner);
    (mated, strongest.sorted())
}

/// The pairs that one thread has compared.
struct ThreadResult {
    mated: Vec<Pair>,
    /// Non-mated pairs that are not yet in [`Strongest`].
    non_mated: Vec<Pair>,
    /// Non-mated pairs of a lower similarity are not needed.
    least: f32,
}

impl Default for ThreadResult {
    fn default() -> Self {
        Self { mated: Vec::new(), non_mated: Vec::new(), least: f32::NEG_INFINITY }
    }
}

impl ThreadResult {
    fn hand_over(&mut self, strongest: &Mutex<Strongest>) {
        let mut strongest = strongest.lock().unwrap_or_else(PoisonError::into_inner);
        self.non_mated.drain(..).for_each(|pair| strongest.offer(pair));
        self.least = strongest.least;
    }

    fn compare(
        &mut self,
        templates: &ArrayView2<'_, f32>,
        subjects: &[u32],
        block: usize,
        other: usize,
    ) {
        let rows = |block: usize| {
            let from = block * BLOCK;
            let rows = Slice::from(from..(from + BLOCK).min(templates.nrows()));
            (from, templates.slice_axis(Axis(0), rows))
        };
        let ((from_a, a), (from_b, b)) = (rows(block), rows(other));
        let products = a.dot(&b.t());
        for (i, row) in products.axis_iter(Axis(0)).enumerate() {
            let first = from_a + i;
            // Each pair once: in a block with itself, the pairs above the diagonal.
            let start = if block == other { i + 1 } else { 0 };
            for (j, &similarity) in row.iter().enumerate().skip(start) {
                let second = from_b + j;
                let pair = Pair { a: first as u32, b: second as u32, similarity };
                if subjects[first] == subjects[second] {
                    self.mated.push(pair);
                } else if similarity >= self.least {
                    self.non_mated.push(pair);
                }
            }
        }
    }
}

/// The most similar pairs of a stream, without sorting it: it collects twice as many as are needed,
/// then drops the less similar half.
struct Strongest {
    wanted: usize,
    kept: Vec<Pair>,
    /// Pairs of a lower similarity cannot be among the most similar.
    least: f32,
}

impl Strongest {
    fn new(wanted: usize) -> Self {
        Self { wanted: wanted.max(1), kept: Vec::new(), least: f32::NEG_INFINITY }
    }

    fn offer(&mut self, pair: Pair) {
        self.kept.push(pair);
        if self.kept.len() >= 2 * self.wanted {
            let (_, last, _) =
                self.kept.select_nth_unstable_by(self.wanted - 1, Pair::by_similarity);
            self.least = last.similarity;
            self.kept.truncate(self.wanted);
        }
    }

    fn sorted(mut self) -> Vec<Pair> {
        self.kept.sort_unstable_by(Pair::by_similarity);
        self.kept.truncate(self.wanted);
        self.kept
    }
}
