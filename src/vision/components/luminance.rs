//! What the luminance of a face says about its exposure.
//!
//! Luminance is `Y = 0.2126 R + 0.7152 G + 0.0722 B` of linear light (sRGB decoded, IEC 61966-2-1),
//! 0 to 255, rounded: ISO/IEC 29794-5.

use std::sync::LazyLock;

use super::region::FaceRegion;
use crate::domain::Chip;

/// Luminances that count as dark: at most this.
const DARKEST: usize = 25;
/// Luminances that count as bright: at least this.
const BRIGHTEST: usize = 247;
/// Parts of one luminance in [`SHARES`].
const ONE: u32 = 1 << 16;

/// Linear light, 0 to 1, of an 8-bit sRGB value.
pub(super) static LINEAR: LazyLock<[f32; 256]> =
    LazyLock::new(|| std::array::from_fn(|value| linear(value as f32 / 255.0)));

/// The luminance, in units of 1 / [`ONE`], that each 8-bit value of R, G and B adds.
static SHARES: LazyLock<[[u32; 256]; 3]> = LazyLock::new(|| {
    [0.2126, 0.7152, 0.0722].map(|weight: f64| {
        let share = |value: usize| weight * f64::from(LINEAR[value]) * 255.0 * f64::from(ONE);
        std::array::from_fn(|value| share(value).round() as u32)
    })
});

/// Linear light of an sRGB value, both 0 to 1 (IEC 61966-2-1).
pub(super) fn linear(value: f32) -> f32 {
    if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
}

/// Luminance of an RGB pixel, 0 to 255.
pub(super) fn luminance(pixel: &[u8]) -> usize {
    let shares = &*SHARES;
    let sum = shares[0][usize::from(pixel[0])]
        + shares[1][usize::from(pixel[1])]
        + shares[2][usize::from(pixel[2])];
    (((sum + ONE / 2) / ONE) as usize).min(255)
}

/// How many of the pixels at `places` have each luminance.
pub(super) fn histogram(chip: &Chip, places: &[usize]) -> [u32; 256] {
    let mut counts = [0; 256];
    for at in places {
        counts[luminance(&chip.pixels()[at * 3..at * 3 + 3])] += 1;
    }
    counts
}

/// What is known from the luminances of a face.
#[derive(Debug, PartialEq)]
pub(super) struct Luminance {
    /// Share of luminances up to 25.
    pub dark: f32,
    /// Share of luminances from 247.
    pub bright: f32,
    /// Entropy of the histogram, bits, 0 to 8.
    pub entropy_bits: f32,
    /// Mean, 0 to 1.
    pub mean: f32,
    /// Variance of luminances of 0 to 1: 0 to 0.25.
    pub variance: f32,
}

impl Luminance {
    /// None if too little of the face was seen.
    pub(super) fn of(chip: &Chip, region: &FaceRegion) -> Option<Self> {
        let places = region.face()?;
        let counts = histogram(chip, &places);
        let share = |count: u32| f64::from(count) / places.len() as f64;
        let shares = || counts.iter().map(|&count| share(count));
        let levels = || (0..256_u32).map(|level| f64::from(level) / 255.0).zip(shares());
        let mean: f64 = levels().map(|(level, share)| level * share).sum();
        let variance: f64 = levels().map(|(level, share)| (level - mean).powi(2) * share).sum();
        let entropy: f64 =
            shares().filter(|share| *share > 0.0).map(|share| -share * share.log2()).sum();
        Some(Self {
            dark: share(counts[..=DARKEST].iter().sum()) as f32,
            bright: share(counts[BRIGHTEST..].iter().sum()) as f32,
            entropy_bits: entropy as f32,
            mean: mean as f32,
            variance: variance as f32,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::made::{chip, grey};
    use super::*;

    fn of(chip: &Chip) -> Luminance {
        Luminance::of(chip, &FaceRegion::whole()).unwrap()
    }

    fn near(found: f32, expected: f32) -> bool {
        (found - expected).abs() < 0.01
    }

    #[test]
    fn luminance_is_that_of_linear_light() {
        // Half of the light is sRGB 188, a fifth is 124.
        for (pixel, expected) in [
            ([0, 0, 0], 0),
            ([255, 255, 255], 255),
            ([188, 188, 188], 128),
            ([124, 124, 124], 51),
            ([255, 0, 0], 54),
            ([0, 255, 0], 182),
            ([0, 0, 255], 18),
        ] {
            assert_eq!(luminance(&pixel), expected, "{pixel:?}");
        }
    }

    #[test]
    fn flat_grey_has_one_luminance() {
        let found = of(&grey(|_, _| 188));
        let mean = 128.0 / 255.0;
        let expected = Luminance { dark: 0.0, bright: 0.0, entropy_bits: 0.0, mean, variance: 0.0 };
        assert_eq!(found, expected);
    }

    #[test]
    fn half_black_and_half_white_is_one_bit_and_the_largest_variance() {
        // The column in the middle is white, so that a little more than half of the face is.
        let found = of(&grey(|x, _| if x < 56 { 0 } else { 255 }));
        assert!(near(found.dark, 0.5) && near(found.bright, 0.5), "{found:?}");
        assert!(near(found.entropy_bits, 1.0) && near(found.mean, 0.5), "{found:?}");
        assert!(near(found.variance, 0.25), "{found:?}");
        assert!((found.dark + found.bright - 1.0).abs() < 1e-6);
    }

    #[test]
    fn four_equal_shades_are_two_bits() {
        // Rows in turn: every shade has a quarter of the face.
        let shades = [60, 120, 180, 240];
        let found = of(&grey(|_, y| shades[y % 4]));
        assert!(near(found.entropy_bits, 2.0), "{found:?}");
        let levels = shades.map(|shade| luminance(&[shade; 3]) as f32 / 255.0);
        let mean = levels.iter().sum::<f32>() / 4.0;
        let variance = levels.iter().map(|level| (level - mean).powi(2)).sum::<f32>() / 4.0;
        assert!(near(found.mean, mean) && near(found.variance, variance), "{found:?}");
    }

    #[test]
    fn saturated_and_dark_pixels_are_counted_from_their_limits_on() {
        // sRGB 89 has luminance 25 and 90 has 26; 251 has 246 and 252 has 248.
        for (level, dark, bright) in
            [(89, 1.0, 0.0), (90, 0.0, 0.0), (251, 0.0, 0.0), (252, 0.0, 1.0)]
        {
            let found = of(&grey(|_, _| level));
            assert_eq!((found.dark, found.bright), (dark, bright), "{level}");
        }
        // A red face is not bright: its luminance is 54.
        assert_eq!(of(&chip(|_, _| [255, 0, 0])).bright, 0.0);
    }

    #[test]
    fn the_corners_of_the_chip_do_not_count() {
        let inside = of(&grey(|x, y| if x.abs_diff(56) < 37 && y > 33 { 188 } else { 0 }));
        assert_eq!(inside.dark, 0.0);
    }
}
