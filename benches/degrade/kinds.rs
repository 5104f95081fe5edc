//! The kinds of degradation. Lengths are shares of the shorter side of the photo, so that a small
//! photo suffers as much as a large one. Where a kind concerns the face, the face is taken to be in
//! the middle of the photo.

use std::f32::consts::TAU;

use anyhow::{Context, Result};
use image::codecs::jpeg::JpegEncoder;
use image::{Rgb, RgbImage};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;

/// A kind of degradation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Defocus,
    Motion,
    Dark,
    Overexposed,
    LowContrast,
    Noise,
    Jpeg,
    Downscaled,
    SideLight,
    Occluded,
    Roll,
    OffCentre,
}

impl Kind {
    pub const ALL: [Self; 12] = [
        Self::Defocus,
        Self::Motion,
        Self::Dark,
        Self::Overexposed,
        Self::LowContrast,
        Self::Noise,
        Self::Jpeg,
        Self::Downscaled,
        Self::SideLight,
        Self::Occluded,
        Self::Roll,
        Self::OffCentre,
    ];

    /// Its name in `degradations.csv`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Defocus => "defocus",
            Self::Motion => "motion",
            Self::Dark => "dark",
            Self::Overexposed => "overexposed",
            Self::LowContrast => "low_contrast",
            Self::Noise => "noise",
            Self::Jpeg => "jpeg",
            Self::Downscaled => "downscaled",
            Self::SideLight => "side_light",
            Self::Occluded => "occluded",
            Self::Roll => "roll",
            Self::OffCentre => "off_centre",
        }
    }

    /// Degrades `photo` at `strength`, 0 (a little) to 1.
    ///
    /// # Errors
    /// If the JPEG encoder fails.
    pub fn apply(
        self,
        photo: &RgbImage,
        strength: f32,
        random: &mut ChaCha8Rng,
    ) -> Result<RgbImage> {
        let side = photo.width().min(photo.height()) as f32;
        Ok(match self {
            Self::Defocus => defocus(photo, side * (0.005 + 0.02 * strength)),
            Self::Motion => motion(photo, side * (0.01 + 0.07 * strength), TAU * unit(random)),
            Self::Dark => exposed(photo, -(1.0 + 3.5 * strength)),
            Self::Overexposed => exposed(photo, 0.7 + 2.3 * strength),
            Self::LowContrast => contrast(photo, 0.6 - 0.55 * strength),
            Self::Noise => noise(photo, 8.0 + 72.0 * strength, random),
            Self::Jpeg => compressed(photo, (25.0 - 22.0 * strength).round() as u8)?,
            Self::Downscaled => downscaled(photo, 1.5 + 6.0 * strength),
            Self::SideLight => side_light(photo, 1.0 + 5.0 * strength, unit(random) < 0.5),
            Self::Occluded => occluded(photo, side, strength, random),
            Self::Roll => {
                let turn = (15.0 + 45.0 * strength).to_radians();
                rolled(photo, if unit(random) < 0.5 { turn } else { -turn })
            }
            Self::OffCentre => {
                let (sin, cos) = ((unit(random) * 4.0).floor() * TAU / 4.0).sin_cos();
                let shift = side * (0.15 + 0.3 * strength);
                moved(photo, |x, y| (x + shift * cos.round(), y + shift * sin.round()))
            }
        })
    }
}

/// A random number of 0 to 1, without 1.
pub fn unit(random: &mut ChaCha8Rng) -> f32 {
    (random.next_u32() >> 8) as f32 / (1 << 24) as f32
}

fn byte(value: f32) -> u8 {
    value.round().clamp(0.0, 255.0) as u8
}

fn each(photo: &RgbImage, mut of: impl FnMut(f32) -> f32) -> RgbImage {
    let mut copy = photo.clone();
    copy.iter_mut().for_each(|value| *value = byte(of(f32::from(*value))));
    copy
}

/// The mean of the pixels at `offsets` from each pixel. Beyond the edge, its pixels are repeated.
fn mean_of(photo: &RgbImage, offsets: &[(i64, i64)]) -> RgbImage {
    let (right, bottom) = (i64::from(photo.width()) - 1, i64::from(photo.height()) - 1);
    RgbImage::from_fn(photo.width(), photo.height(), |x, y| {
        let mut sums = [0_u32; 3];
        for (dx, dy) in offsets {
            let at_x = (i64::from(x) + dx).clamp(0, right) as u32;
            let at_y = (i64::from(y) + dy).clamp(0, bottom) as u32;
            let Rgb(pixel) = photo.get_pixel(at_x, at_y);
            sums.iter_mut().zip(pixel).for_each(|(sum, value)| *sum += u32::from(*value));
        }
        Rgb(sums.map(|sum| byte(sum as f32 / offsets.len() as f32)))
    })
}

fn defocus(photo: &RgbImage, radius: f32) -> RgbImage {
    let radius = radius.max(1.0);
    let reach = radius as i64;
    let offsets: Vec<(i64, i64)> = (-reach..=reach)
        .flat_map(|y| (-reach..=reach).map(move |x| (x, y)))
        .filter(|(x, y)| (x * x + y * y) as f32 <= radius * radius)
        .collect();
    mean_of(photo, &offsets)
}

fn motion(photo: &RgbImage, length: f32, direction: f32) -> RgbImage {
    let steps = length.max(2.0).round() as i64;
    let (sin, cos) = direction.sin_cos();
    let offset = |step: i64| {
        let along = step as f32 - steps as f32 / 2.0;
        ((along * cos).round() as i64, (along * sin).round() as i64)
    };
    mean_of(photo, &(0..=steps).map(offset).collect::<Vec<_>>())
}

/// `stops` of exposure more, of linear light (sRGB's curve taken as a power of 2.2).
fn exposed(photo: &RgbImage, stops: f32) -> RgbImage {
    let factor = (stops / 2.2).exp2();
    each(photo, |value| value * factor)
}

fn contrast(photo: &RgbImage, left: f32) -> RgbImage {
    let sum: f64 = photo.iter().map(|value| f64::from(*value)).sum();
    let mean = (sum / photo.len().max(1) as f64) as f32;
    each(photo, |value| mean + (value - mean) * left)
}

/// Gaussian noise of standard deviation `sigma` of 255, the same in all three colours.
fn noise(photo: &RgbImage, sigma: f32, random: &mut ChaCha8Rng) -> RgbImage {
    let mut copy = photo.clone();
    for Rgb(pixel) in copy.pixels_mut() {
        // The method of Box and Muller.
        let radius = (-2.0 * (1.0 - unit(random)).ln()).sqrt();
        let added = sigma * radius * (TAU * unit(random)).cos();
        *pixel = pixel.map(|value| byte(f32::from(value) + added));
    }
    copy
}

fn compressed(photo: &RgbImage, quality: u8) -> Result<RgbImage> {
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, quality.max(1)).encode_image(photo)?;
    super::decoded(&bytes).context("Failed to decode the compressed photo")
}

fn downscaled(photo: &RgbImage, factor: f32) -> RgbImage {
    use facefleet::vision::Picture;
    let small = |side: u32| ((side as f32 / factor).round() as u32).max(4);
    let size = (small(photo.width()), small(photo.height()));
    let reduced = Picture::from_rgb(photo.clone()).averaged(size);
    Picture::from_rgb(reduced).upright(photo.dimensions())
}

/// Light that falls by `stops` from one side of the face to the other.
fn side_light(photo: &RgbImage, stops: f32, from_left: bool) -> RgbImage {
    let (width, side) = (photo.width() as f32, photo.width().min(photo.height()) as f32);
    let mut copy = photo.clone();
    for (x, _, Rgb(pixel)) in copy.enumerate_pixels_mut() {
        let right_of_middle = (x as f32 - width / 2.0) / (0.05 * side);
        let place = if from_left { right_of_middle } else { -right_of_middle };
        let dark = 1.0 / (1.0 + (-place).exp());
        let factor = (-stops * dark / 2.2).exp2();
        *pixel = pixel.map(|value| byte(f32::from(value) * factor));
    }
    copy
}

/// A rectangle of one grey over a part of the face: from below, from above, or from a side.
fn occluded(photo: &RgbImage, side: f32, strength: f32, random: &mut ChaCha8Rng) -> RgbImage {
    let (x, y) = (photo.width() as f32 / 2.0, photo.height() as f32 / 2.0);
    let half = 0.25 * side;
    let share = 0.2 + 0.4 * strength;
    let (mut left, mut right, mut top, mut bottom) = (x - half, x + half, y - half, y + half);
    match random.next_u32() % 4 {
        0 => top = bottom - 2.0 * half * share,
        1 => bottom = top + 2.0 * half * share,
        2 => left = right - 2.0 * half * share,
        _ => right = left + 2.0 * half * share,
    }
    let colour = Rgb([(random.next_u32() >> 24) as u8; 3]);
    let mut copy = photo.clone();
    for (x, y, pixel) in copy.enumerate_pixels_mut() {
        if (left..right).contains(&(x as f32)) && (top..bottom).contains(&(y as f32)) {
            *pixel = colour;
        }
    }
    copy
}

fn rolled(photo: &RgbImage, angle: f32) -> RgbImage {
    let (middle_x, middle_y) = (photo.width() as f32 / 2.0, photo.height() as f32 / 2.0);
    let (sin, cos) = angle.sin_cos();
    moved(photo, |x, y| {
        let (x, y) = (x - middle_x, y - middle_y);
        (middle_x + cos * x - sin * y, middle_y + sin * x + cos * y)
    })
}

/// Each pixel from where `from` says, interpolated; black from outside of the photo.
fn moved(photo: &RgbImage, from: impl Fn(f32, f32) -> (f32, f32)) -> RgbImage {
    let pixel = |x: f32, y: f32| {
        let inside = x >= 0.0 && y >= 0.0;
        let inside = inside && x < photo.width() as f32 && y < photo.height() as f32;
        if inside { photo.get_pixel(x as u32, y as u32).0.map(f32::from) } else { [0.0; 3] }
    };
    RgbImage::from_fn(photo.width(), photo.height(), |x, y| {
        let (x, y) = from(x as f32, y as f32);
        let (left, top) = (x.floor(), y.floor());
        let (right_share, low_share) = (x - left, y - top);
        let mut sums = [0.0; 3];
        for (dx, dy, share) in [
            (0.0, 0.0, (1.0 - right_share) * (1.0 - low_share)),
            (1.0, 0.0, right_share * (1.0 - low_share)),
            (0.0, 1.0, (1.0 - right_share) * low_share),
            (1.0, 1.0, right_share * low_share),
        ] {
            let values = pixel(left + dx, top + dy);
            sums.iter_mut().zip(values).for_each(|(sum, value)| *sum += share * value);
        }
        Rgb(sums.map(byte))
    })
}
