//! A few of the images that were read from a source, spread evenly over all that were. Plain data.

use std::collections::BTreeMap;

use crate::domain::ImageUri;

/// Images kept of each part.
const KEPT: usize = 8;
/// Parts kept: a source of more has its images in one.
const PARTS: usize = 64;

/// A sample of the images that were read.
#[derive(Default)]
pub(super) struct Sample {
    /// Images read.
    read: u64,
    parts: BTreeMap<u64, Vec<ImageUri>>,
    /// The state of a small generator of numbers: which are kept need not be secret.
    random: u64,
}

impl Sample {
    /// Counts an image that was read; true if it is to be kept. The first are, and later ones ever more rarely, so that all have about
    /// the same chance to be among those kept at the end (reservoir sampling; Vitter, 1985).
    pub(super) fn wants_another(&mut self) -> bool {
        self.read += 1;
        self.read <= KEPT as u64 || self.next() % self.read < KEPT as u64
    }

    /// Keeps an image of a part, in place of another where there are enough.
    pub(super) fn keep(&mut self, part: u64, image: ImageUri) {
        let part = if self.parts.len() < PARTS || self.parts.contains_key(&part) { part } else { 0 };
        let place = usize::try_from(self.next() % KEPT as u64).unwrap_or(0);
        let kept = self.parts.entry(part).or_default();
        if kept.len() < KEPT { kept.push(image) } else { kept[place] = image }
    }

    /// Those kept, by part; a part is one that comes and goes by itself.
    pub(super) fn by_part(&self) -> BTreeMap<u64, Vec<ImageUri>> {
        self.parts.clone()
    }

    /// The next number (xorshift; Marsaglia, 2003).
    fn next(&mut self) -> u64 {
        let mut x = if self.random == 0 { 0x9e37_79b9_7f4a_7c15 } else { self.random };
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        self.random = x;
        x
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_kept_are_spread_over_all_that_were_read() {
        let mut early = 0;
        for seed in 1..=200_u64 {
            let mut sample = Sample { random: seed, ..Sample::default() };
            for number in 0..1000 {
                if sample.wants_another() {
                    sample.keep(7, format!("file:///{number}.jpg").parse().unwrap());
                }
            }
            let kept = &sample.by_part()[&7];
            assert_eq!(kept.len(), KEPT);
            let number = |image: &ImageUri| -> u32 { image.as_str()[8..].trim_end_matches(".jpg").parse().unwrap() };
            early += kept.iter().filter(|image| number(image) < 500).count();
        }
        // Half of 1600, four standard deviations wide.
        assert!((720..=880).contains(&early), "{early} of 1600 are of the first half");
    }
}
