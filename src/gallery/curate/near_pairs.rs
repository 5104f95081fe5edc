//! All pairs of near hashes.

use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::scope;

use pulp::{Arch, Simd, WithSimd};

use crate::domain::PictureHash;

/// Hashes that a thread compares with all later ones before it takes the next ones.
const BLOCK: usize = 64;

/// A pair, by places, the lower one first, and what was found out about it.
type NearPair<T> = (usize, usize, T);

/// The pairs of hashes that differ in at most `most_bits` and that `check` (given both places, the
/// lower one first, and the number of bits) says something of, in the order of places. Compares
/// every hash with every other one, on `threads` threads.
pub(super) fn near_pairs<T: Send>(
    hashes: &[PictureHash],
    most_bits: u32,
    threads: usize,
    check: &(impl Fn(usize, usize, u32) -> Option<T> + Sync),
) -> Vec<NearPair<T>> {
    let next = AtomicUsize::new(0);
    let work = || {
        let (arch, mut near, mut pairs) = (Arch::new(), Vec::new(), Vec::new());
        loop {
            let from = next.fetch_add(BLOCK, Ordering::Relaxed);
            if from >= hashes.len() {
                return pairs;
            }
            for one in from..hashes.len().min(from + BLOCK) {
                near.clear();
                arch.dispatch(Near { hashes, one, most_bits, near: &mut near });
                let checked = |&(other, bits)| Some((one, other, check(one, other, bits)?));
                pairs.extend(near.iter().filter_map(checked));
            }
        }
    };
    let mut pairs: Vec<NearPair<T>> = scope(|scope| {
        let started: Vec<_> = (0..threads.max(1)).map(|_| scope.spawn(work)).collect();
        let joined = started.into_iter();
        joined.flat_map(|it| it.join().unwrap_or_else(|panic| resume_unwind(panic))).collect()
    });
    pairs.sort_by_key(|&(one, other, _)| (one, other));
    pairs
}

/// Compares a hash with those after it. A struct: in it, the compiler uses what the processor has
/// to count bits.
struct Near<'a> {
    hashes: &'a [PictureHash],
    one: usize,
    most_bits: u32,
    /// The place of each near hash, and the bits in which it differs.
    near: &'a mut Vec<(usize, u32)>,
}

impl WithSimd for Near<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) {
        let hash = self.hashes[self.one];
        for (place, other) in self.hashes.iter().enumerate().skip(self.one + 1) {
            let bits = hash.bits_from(other);
            if bits <= self.most_bits {
                self.near.push((place, bits));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_near_pairs_are_found_once_on_any_number_of_threads() {
        // Every 50th hash is the first one with some bits turned.
        let hash = |place: u64| match place % 50 {
            0 => PictureHash([0b111 << (place / 50), 0, 0, 0]),
            _ => {
                PictureHash([place, !place, place.wrapping_mul(0x9e37_79b9_7f4a_7c15), place << 9])
            }
        };
        let hashes: Vec<PictureHash> = (0..400).map(hash).collect();
        let mut expected = Vec::new();
        for one in 0..hashes.len() {
            for other in one + 1..hashes.len() {
                let bits = hashes[one].bits_from(&hashes[other]);
                if bits <= 4 && other != 150 {
                    expected.push((one, other, bits));
                }
            }
        }
        assert!(expected.len() > 10, "{}", expected.len());
        let but_one = |_: usize, other: usize, bits: u32| (other != 150).then_some(bits);
        for threads in [0, 1, 2, 5] {
            assert_eq!(near_pairs(&hashes, 4, threads, &but_one), expected);
        }
    }
}
