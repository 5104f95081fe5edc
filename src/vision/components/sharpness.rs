//! Sharpness of a face at the scale of its chip.
//!
//! This measure is ours: ISO/IEC 29794-5 has a trained forest. The Laplacian
//! `4 Y(x, y) - Y(x - k, y) - Y(x + k, y) - Y(x, y - k) - Y(x, y + k)` is computed with a step k of
//! 1 and of 4 pixels, and the sharpness is the ratio of its mean squares: the energy of fine detail
//! over that of coarse detail. Contrast and brightness multiply both alike, and a slope of light is
//! in neither. Y is luma, of sRGB values as they are, so that darker light is a factor too.

use super::region::FaceRegion;
use crate::domain::{CHIP_SIDE, Chip};

/// The step of coarse detail, pixels.
const COARSE: usize = 4;

/// What rounding to 8 bits adds to the mean square of a Laplacian: 20 twelfths, the sum of its
/// squared weights times the variance of a rounding.
const ROUNDING: f64 = 20.0 / 12.0;

/// The sharpness, from 0; 0 if the face shows no detail at all. None if too little of it was seen.
pub(super) fn sharpness(chip: &Chip, region: &FaceRegion) -> Option<f32> {
    let luma: Vec<f32> = chip.pixels().as_chunks().0.iter().map(luma).collect();
    let near_edge = |at: usize| {
        let (column, row) = (at % CHIP_SIDE, at / CHIP_SIDE);
        let inner = COARSE..CHIP_SIDE - COARSE;
        !inner.contains(&column) || !inner.contains(&row)
    };
    let row = COARSE * CHIP_SIDE;
    let (mut fine, mut coarse, mut count) = (0.0_f64, 0.0_f64, 0_u32);
    for at in region.face()? {
        // The part of a chip in the image is convex: what lies between seen pixels was seen.
        if near_edge(at)
            || ![at - row, at - COARSE, at + COARSE, at + row].iter().all(|&at| region.sees(at))
        {
            continue;
        }
        fine += f64::from(laplacian(&luma, at, 1).powi(2));
        coarse += f64::from(laplacian(&luma, at, COARSE).powi(2));
        count += 1;
    }
    if count == 0 {
        return None;
    }
    let energy = |sum: f64| (sum / f64::from(count) - ROUNDING).max(0.0);
    let (fine, coarse) = (energy(fine), energy(coarse));
    Some(if coarse > 0.0 { (fine / coarse) as f32 } else { 0.0 })
}

/// Luma of an sRGB pixel, 0 to 255 (ITU-R BT.709).
fn luma(pixel: &[u8; 3]) -> f32 {
    let [red, green, blue] = pixel.map(f32::from);
    0.2126 * red + 0.7152 * green + 0.0722 * blue
}

fn laplacian(luma: &[f32], at: usize, step: usize) -> f32 {
    let across = luma[at - step] + luma[at + step];
    let down = luma[at - step * CHIP_SIDE] + luma[at + step * CHIP_SIDE];
    4.0 * luma[at] - across - down
}

#[cfg(test)]
mod tests {
    use super::super::made::grey;
    use super::*;

    fn of(level: impl Fn(usize, usize) -> u8) -> f32 {
        sharpness(&grey(level), &FaceRegion::whole()).unwrap()
    }

    #[test]
    fn flat_and_sloping_light_show_no_detail() {
        assert_eq!(of(|_, _| 90), 0.0);
        assert_eq!(of(|x, y| (x + y) as u8), 0.0);
    }

    #[test]
    fn stripes_have_the_ratio_of_their_wave() {
        // A wave of period p across: its Laplacian with step k is 2 - 2 cos(2 pi k / p) times it.
        for period in [10.0_f32, 14.0, 20.0] {
            let turn = std::f32::consts::TAU / period;
            let gain = |step: f32| 2.0 - 2.0 * (turn * step).cos();
            let expected = (gain(1.0) / gain(4.0)).powi(2);
            let found = of(|x, _| (128.0 + 100.0 * (turn * x as f32).sin()).round() as u8);
            assert!((found / expected - 1.0).abs() < 0.05, "{period}: {found} {expected}");
        }
    }

    #[test]
    fn contrast_and_brightness_alone_do_not_change_it() {
        let texture = |x: usize, y: usize| ((x * 7 + y * 13 + x * y / 3) % 32) as f32;
        let full = of(|x, y| (20.0 + 6.0 * texture(x, y)) as u8);
        for (base, contrast) in [(20.0, 3.0), (100.0, 2.0), (60.0, 1.0)] {
            let found = of(|x, y| (base + contrast * texture(x, y)) as u8);
            assert!((found / full - 1.0).abs() < 0.05, "{base} {contrast}: {found} {full}");
        }
    }
}
