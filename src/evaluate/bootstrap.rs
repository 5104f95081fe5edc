//! Intervals by the bootstrap over subjects.
//!
//! Comparisons are not independent: those of one person are similar to each other, and a person
//! with many photos has many of them. So each replicate draws people, with replacement, and weights
//! every comparison by how often its people were drawn. No comparison is repeated: a replicate is a
//! weight for each subject.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

/// The share of the replicates that an interval contains.
pub const CONFIDENCE: f64 = 0.95;

/// A value of the whole set, and the interval that contains 95 % of the replicates' values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Estimate {
    /// The value of the whole set.
    pub value: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl Estimate {
    /// `value` with the interval of `replicates`, without those that are not finite. Without any
    /// replicate, both ends are `value`.
    pub fn new(value: f64, replicates: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> =
            replicates.into_iter().filter(|value| value.is_finite()).collect();
        values.sort_unstable_by(f64::total_cmp);
        let at = |share: f64| {
            let rank = share * (values.len().saturating_sub(1)) as f64;
            values.get(rank.round() as usize).copied().unwrap_or(value)
        };
        let tail = (1.0 - CONFIDENCE) / 2.0;
        Self { value, low: at(tail), high: at(1.0 - tail) }
    }
}

/// How often replicate `number` draws each of `subjects` people. The result depends only on the
/// arguments.
pub fn draw(subjects: usize, number: u32, seed: u64) -> Vec<f64> {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(u64::from(number));
    let mut times = vec![0.0; subjects];
    for _ in 0..subjects {
        times[below(&mut random, subjects)] += 1.0;
    }
    times
}

/// A random number below `bound`.
pub(super) fn below(random: &mut ChaCha8Rng, bound: usize) -> usize {
    // The high half of a 64-bit by 64-bit product: the bias is negligible.
    ((u128::from(random.next_u64()) * bound as u128) >> 64) as usize
}

/// The results of `replicate` for the numbers from 0 to `replicates`, in order, computed on
/// `threads` threads.
pub fn replicates<T: Send>(
    replicates: u32,
    threads: usize,
    replicate: impl Fn(u32) -> T + Sync,
) -> Vec<T> {
    let share = replicates.div_ceil(threads.max(1) as u32).max(1);
    std::thread::scope(|scope| {
        let part = |from: u32| {
            let replicate = &replicate;
            scope.spawn(move || {
                (from..(from + share).min(replicates)).map(replicate).collect::<Vec<T>>()
            })
        };
        let threads: Vec<_> = (0..replicates).step_by(share as usize).map(part).collect();
        let joined = threads.into_iter().flat_map(|thread| match thread.join() {
            Ok(values) => values,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        joined.collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_draw_has_as_many_people_and_is_repeatable() {
        let drawn = draw(1000, 3, 7);
        assert_eq!(drawn.iter().sum::<f64>(), 1000.0);
        // The share 1/e of the people is not drawn.
        let absent = drawn.iter().filter(|&&times| times == 0.0).count();
        assert!((320..420).contains(&absent), "{absent}");
        assert_eq!(drawn, draw(1000, 3, 7));
        assert_ne!(drawn, draw(1000, 4, 7));
    }

    #[test]
    fn the_interval_of_a_mean_is_that_of_its_standard_error() {
        // 400 people of values 0 and 1: the mean's standard error is 0.5 / 20.
        let means = replicates(1000, 2, |number| {
            let drawn = draw(400, number, 1);
            drawn
                .iter()
                .enumerate()
                .map(|(subject, times)| times * (subject % 2) as f64)
                .sum::<f64>()
                / 400.0
        });
        assert_eq!(means.len(), 1000);
        let estimate = Estimate::new(0.5, means);
        let expected = 1.96 * 0.025;
        assert!(
            (estimate.low - (0.5 - expected)).abs() < 0.006
                && (estimate.high - (0.5 + expected)).abs() < 0.006,
            "{estimate:?}"
        );
    }
}
