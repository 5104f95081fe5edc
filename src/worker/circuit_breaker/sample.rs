//! A random sample of the images that were read from a source.

use std::collections::BTreeMap;

use crate::domain::ImageUri;

/// Images kept for each part.
const KEPT: usize = 8;
/// Parts, at most. Images of further parts are counted in part 0.
const PARTS: usize = 64;

/// A sample of the images that were read.
#[derive(Default)]
pub(super) struct Sample {
    /// For each part, how many images were read, and those kept.
    parts: BTreeMap<u64, (u64, Vec<ImageUri>)>,
    /// State of the random number generator, which need not be secure.
    random: u64,
}

impl Sample {
    /// Counts an image that was read. It may replace one of those kept, with a probability that
    /// gives every image of the part the same chance to be kept (reservoir sampling; Vitter, 1985).
    pub(super) fn count(&mut self, part: u64, image: &ImageUri) {
        let part =
            if self.parts.len() < PARTS || self.parts.contains_key(&part) { part } else { 0 };
        let random = self.next();
        let (read, kept) = self.parts.entry(part).or_default();
        *read += 1;
        if kept.len() < KEPT {
            kept.push(image.clone());
        } else if let Some(replaced) =
            usize::try_from(random % *read).ok().and_then(|index| kept.get_mut(index))
        {
            *replaced = image.clone();
        }
    }

    /// Whether no image was read.
    pub(super) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// The images kept, by part. Each part of a source fails by itself, as a mounted file system
    /// does.
    pub(super) fn by_part(&self) -> Vec<Vec<ImageUri>> {
        self.parts.values().map(|(_, kept)| kept.clone()).collect()
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
                sample.count(7, &format!("file:///{number}.jpg").parse().unwrap());
            }
            let kept = &sample.by_part()[0];
            assert_eq!(kept.len(), KEPT);
            let number = |image: &ImageUri| -> u32 {
                image.as_str()[8..].trim_end_matches(".jpg").parse().unwrap()
            };
            early += kept.iter().filter(|image| number(image) < 500).count();
        }
        // Half of 1600, four standard deviations wide.
        assert!((720..=880).contains(&early), "{early} of 1600 are of the first half");
    }
}
