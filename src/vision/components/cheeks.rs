//! What the two cheeks say about light and colour.

use super::luminance::{histogram, linear};
use super::region::FaceRegion;
use crate::domain::Chip;

/// The a* and b* of skin in CIELAB: ISO/IEC 29794-5.
const SKIN_A: (f64, f64) = (5.0, 25.0);
/// See [`SKIN_A`].
const SKIN_B: (f64, f64) = (5.0, 35.0);

/// Luminances that each pixel of a histogram is spread over, to each side. The cheeks of the
/// standard's images have thousands of pixels; those of a chip have a hundred, averages of many,
/// and histograms too narrow and too sparse to overlap even if the light is the same.
const SPREAD: usize = 16;

/// What is known from the cheeks.
pub(super) struct Cheeks {
    /// Pixels of each luminance, right and left.
    histograms: [[u32; 256]; 2],
    /// Mean RGB of both together, 0 to 255.
    colour: [f64; 3],
}

impl Cheeks {
    /// None if too little of a cheek was seen.
    pub(super) fn of(chip: &Chip, region: &FaceRegion) -> Option<Self> {
        let places = region.cheeks()?;
        let histograms = [0, 1].map(|side: usize| histogram(chip, &places[side]));
        let pixels = places.concat();
        let mean = |channel: usize| {
            let sum: u32 = pixels.iter().map(|at| u32::from(chip.pixels()[at * 3 + channel])).sum();
            f64::from(sum) / pixels.len() as f64
        };
        Some(Self { histograms, colour: [0, 1, 2].map(mean) })
    }

    /// The common area of the two normalised histograms, `sum(min(h_right, h_left))`: 1 if the
    /// cheeks have the same luminances, 0 if none is within two [`SPREAD`]s (ISO/IEC 29794-5,
    /// illumination uniformity, but for the spread).
    pub(super) fn uniformity(&self) -> f32 {
        let [right, left] = self.histograms.map(|counts| spread(&counts));
        let common: f64 = right.iter().zip(left).map(|(right, left)| right.min(left)).sum();
        // The moving sums round.
        common.clamp(0.0, 1.0) as f32
    }

    /// Distance of the cheeks' mean colour from the rectangle of skin colours in the a*b* plane of
    /// CIELAB (ISO/IEC 29794-5, natural colour). OFIQ calls a negative a* or b* 100 away; here a
    /// grey face is 7 away, as far as it is.
    pub(super) fn distance_from_skin(&self) -> f32 {
        let (a, b) = lab(self.colour);
        let beyond = |value: f64, (low, high): (f64, f64)| (low - value).max(value - high).max(0.0);
        beyond(a, SKIN_A).hypot(beyond(b, SKIN_B)) as f32
    }
}

/// The normalised histogram, each pixel spread over a triangle of [`SPREAD`] to each side: two
/// moving sums. It reaches beyond both ends.
fn spread(counts: &[u32; 256]) -> Vec<f64> {
    let total = f64::from(counts.iter().sum::<u32>());
    let mut values: Vec<f64> = counts.iter().map(|&count| f64::from(count) / total).collect();
    for _ in 0..2 {
        let mut sum = 0.0;
        let sums = (0..values.len() + SPREAD - 1).map(|at| {
            sum += values.get(at).copied().unwrap_or(0.0);
            if let Some(gone) = at.checked_sub(SPREAD) {
                sum -= values[gone];
            }
            sum / SPREAD as f64
        });
        values = sums.collect();
    }
    values
}

/// a* and b* of an sRGB colour of 0 to 255, by the white D50, as in ISO/IEC 29794-5.
fn lab(colour: [f64; 3]) -> (f64, f64) {
    let [red, green, blue] = colour.map(|value| f64::from(linear(value as f32 / 255.0)));
    let x = (0.436_074_7 * red + 0.385_064_9 * green + 0.143_080_4 * blue) / 0.964_22;
    let y = 0.222_504_5 * red + 0.716_878_6 * green + 0.060_616_9 * blue;
    let z = (0.013_932_2 * red + 0.097_104_5 * green + 0.714_173_3 * blue) / 0.825_21;
    // The cube root, and a line near black (CIE 15).
    let root = |t: f64| {
        if t > 216.0 / 24389.0 { t.cbrt() } else { (24389.0 / 27.0 * t + 16.0) / 116.0 }
    };
    (500.0 * (root(x) - root(y)), 200.0 * (root(y) - root(z)))
}

#[cfg(test)]
mod tests {
    use super::super::made::{chip, grey};
    use super::*;

    fn of(chip: &Chip) -> Cheeks {
        Cheeks::of(chip, &FaceRegion::whole()).unwrap()
    }

    #[test]
    fn equal_cheeks_are_uniform_and_different_ones_are_not() {
        let equal = of(&grey(|_, y| y as u8)).uniformity();
        assert!((equal - 1.0).abs() < 1e-6, "{equal}");
        // Luminances of 32 and 67, 35 apart.
        let different = of(&grey(|x, _| if x < 56 { 100 } else { 140 })).uniformity();
        assert!((0.0..1e-6).contains(&different), "{different}");
        // Luminances of 60 and 76: two triangles that are half their width apart share a quarter.
        let near = of(&grey(|x, _| if x < 56 { 133 } else { 148 })).uniformity();
        assert!((near - 0.25).abs() < 1e-6, "{near}");
        // The rows of one cheek are all bright, of the other every second one.
        let half = of(&grey(|x, y| if x < 56 || y % 2 == 0 { 140 } else { 100 })).uniformity();
        assert!((half - 0.5).abs() < 1e-6, "{half}");
    }

    #[test]
    fn the_colours_of_known_patches() {
        // a* and b* under D50, from Bruce Lindbloom's calculator: red, green, blue, grey.
        for (colour, a, b) in [
            ([255.0, 0.0, 0.0], 80.8, 69.9),
            ([0.0, 255.0, 0.0], -79.3, 81.0),
            ([0.0, 0.0, 255.0], 68.3, -112.0),
            ([128.0, 128.0, 128.0], 0.0, 0.0),
        ] {
            let found = lab(colour);
            let (da, db) = (found.0 - a, found.1 - b);
            assert!(da.abs() < 0.3 && db.abs() < 0.3, "{colour:?}: {found:?}");
        }
    }

    #[test]
    fn skin_is_natural_and_casts_are_not() {
        let distance = |colour| of(&chip(|_, _| colour)).distance_from_skin();
        // Light and dark skin of the ColorChecker chart (sRGB 194,150,130 and 115,82,68).
        assert_eq!(distance([194, 150, 130]), 0.0);
        assert_eq!(distance([115, 82, 68]), 0.0);
        assert!((distance([128, 128, 128]) - 50.0_f32.sqrt()).abs() < 0.01);
        let blue = distance([90, 110, 190]);
        assert!(blue > 30.0, "{blue}");
    }
}
