//! Aligns a face: computes the similarity transform that maps its landmarks closest to those of the
//! ArcFace template, and samples the image through it.

use image::RgbImage;

use crate::domain::{Landmarks, Point};

/// Landmarks of a chip, pixels: those of the ArcFace template for 112x112.
pub fn template() -> Landmarks {
    TEMPLATE.map(|(x, y)| Point { x: x as f32, y: y as f32 })
}

/// See [`template`].
const TEMPLATE: [(f64, f64); 5] = [
    (38.2946, 51.6963),
    (73.5318, 51.5014),
    (56.0252, 71.7366),
    (41.5493, 92.3655),
    (70.7299, 92.2041),
];

/// An affine transform: `x' = xx x + xy y + x0`, `y' = yx x + yy y + y0`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AffineTransform {
    /// x' per x.
    pub xx: f64,
    /// x' per y.
    pub xy: f64,
    /// x' at the origin.
    pub x0: f64,
    /// y' per x.
    pub yx: f64,
    /// y' per y.
    pub yy: f64,
    /// y' at the origin.
    pub y0: f64,
}

impl AffineTransform {
    /// The transform from chip to image coordinates: the inverse of the least-squares similarity
    /// transform (rotation, scale, shift; no reflection) from `landmarks` to the template. `None`
    /// if the landmarks coincide or are not finite.
    ///
    /// With points as complex numbers and both sets centred, the transform is one complex factor,
    /// `a = sum(conj(s) t) / sum(|s|^2)` (S. Umeyama, IEEE TPAMI 13(4), 1991, in two dimensions).
    pub fn from_chip(landmarks: &Landmarks) -> Option<Self> {
        let source = landmarks.map(|Point { x, y }| (f64::from(x), f64::from(y)));
        let mean = |points: &[(f64, f64); 5]| {
            let sum =
                points.iter().fold((0.0, 0.0), |sum, point| (sum.0 + point.0, sum.1 + point.1));
            (sum.0 / 5.0, sum.1 / 5.0)
        };
        let (source_mean, target_mean) = (mean(&source), mean(&TEMPLATE));
        let (mut real, mut imaginary, mut energy) = (0.0, 0.0, 0.0);
        for (s, t) in source.iter().zip(&TEMPLATE) {
            let (sx, sy) = (s.0 - source_mean.0, s.1 - source_mean.1);
            let (tx, ty) = (t.0 - target_mean.0, t.1 - target_mean.1);
            real += sx * tx + sy * ty;
            imaginary += sx * ty - sy * tx;
            energy += sx * sx + sy * sy;
        }
        let squared = real * real + imaginary * imaginary;
        if !(energy > 1e-6 && squared > 1e-12 && squared.is_finite()) {
            return None;
        }
        // 1 / a = conj(a) / |a|^2, with a = (real + i imaginary) / energy.
        let (xx, yx) = (real * energy / squared, -imaginary * energy / squared);
        let (xy, yy) = (-yx, xx);
        let x0 = source_mean.0 - xx * target_mean.0 - xy * target_mean.1;
        let y0 = source_mean.1 - yx * target_mean.0 - yy * target_mean.1;
        Some(Self { xx, xy, x0, yx, yy, y0 })
    }

    /// Where it takes the point (x, y).
    pub fn apply(&self, (x, y): (f64, f64)) -> (f64, f64) {
        (self.xx * x + self.xy * y + self.x0, self.yx * x + self.yy * y + self.y0)
    }

    /// The composition: first `first`, then `self`.
    pub fn after(&self, first: &Self) -> Self {
        Self {
            xx: self.xx * first.xx + self.xy * first.yx,
            xy: self.xx * first.xy + self.xy * first.yy,
            x0: self.xx * first.x0 + self.xy * first.y0 + self.x0,
            yx: self.yx * first.xx + self.yy * first.yx,
            yy: self.yx * first.xy + self.yy * first.yy,
            y0: self.yx * first.x0 + self.yy * first.y0 + self.y0,
        }
    }

    /// Samples `image` at the transformed position of each pixel of a `width` x `height` grid:
    /// bilinear, black outside the image. Returns RGB, row by row.
    ///
    /// Uses fixed-point positions of 1/32 pixel, as `OpenCV`'s `warpAffine` does, so that chips
    /// agree with those of programs that use `OpenCV`.
    pub fn sample(&self, image: &RgbImage, width: usize, height: usize) -> Vec<u8> {
        const BITS: u32 = 5;
        const ONE: i64 = 1 << BITS;
        let (columns, rows) = (i64::from(image.width()), i64::from(image.height()));
        let pixels = image.as_raw();
        let fixed = |value: f64| (value * ONE as f64).round().clamp(-1e15, 1e15) as i64;
        let mut sampled = vec![0; width * height * 3];
        for v in 0..height {
            let y = v as f64;
            let (row_x, row_y) = (self.xy * y + self.x0, self.yy * y + self.y0);
            for u in 0..width {
                let x = u as f64;
                let (fixed_x, fixed_y) = (fixed(self.xx * x + row_x), fixed(self.yx * x + row_y));
                let (left, top) = (fixed_x >> BITS, fixed_y >> BITS);
                let (right_weight, bottom_weight) = (fixed_x & (ONE - 1), fixed_y & (ONE - 1));
                let (across, down) =
                    ([ONE - right_weight, right_weight], [ONE - bottom_weight, bottom_weight]);
                let mut sums = [ONE * ONE / 2; 3];
                // Plain indexes: this is the innermost loop, and adapters of iterators are calls
                // where the compiler does not inline them.
                for corner in 0..4 {
                    let (dx, dy) = (corner & 1, corner >> 1);
                    let (column, row) = (left + dx as i64, top + dy as i64);
                    if (0..columns).contains(&column) && (0..rows).contains(&row) {
                        let at = ((row * columns + column) * 3) as usize;
                        let pixel = &pixels[at..at + 3];
                        let weight = across[dx] * down[dy];
                        sums[0] += weight * i64::from(pixel[0]);
                        sums[1] += weight * i64::from(pixel[1]);
                        sums[2] += weight * i64::from(pixel[2]);
                    }
                }
                let at = (v * width + u) * 3;
                let target = &mut sampled[at..at + 3];
                target[0] = (sums[0] >> (2 * BITS)) as u8;
                target[1] = (sums[1] >> (2 * BITS)) as u8;
                target[2] = (sums[2] >> (2 * BITS)) as u8;
            }
        }
        sampled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turned_scaled_and_shifted_template_is_found_exactly() {
        let (angle, scale) = (0.4_f64, 3.0);
        let (sin, cos) = (angle.sin() * scale, angle.cos() * scale);
        let place = |(x, y): (f64, f64)| (cos * x - sin * y + 200.0, sin * x + cos * y + 50.0);
        let landmarks = TEMPLATE.map(place).map(|(x, y)| Point { x: x as f32, y: y as f32 });
        let affine = AffineTransform::from_chip(&landmarks).unwrap();
        for point in [(0.0, 0.0), (111.0, 5.0), (50.0, 80.0)] {
            let (found, expected) = (affine.apply(point), place(point));
            assert!(
                (found.0 - expected.0).abs() < 1e-3 && (found.1 - expected.1).abs() < 1e-3,
                "{found:?} {expected:?}"
            );
        }
    }

    #[test]
    fn coincident_landmarks_give_no_transform() {
        assert_eq!(AffineTransform::from_chip(&[Point { x: 5.0, y: 5.0 }; 5]), None);
        assert_eq!(AffineTransform::from_chip(&[Point { x: f32::NAN, y: 5.0 }; 5]), None);
    }

    #[test]
    fn the_identity_copies_and_outside_is_black() {
        let image = RgbImage::from_fn(4, 4, |x, y| image::Rgb([(x * 10) as u8, (y * 10) as u8, 7]));
        let identity = AffineTransform { xx: 1.0, xy: 0.0, x0: 0.0, yx: 0.0, yy: 1.0, y0: 0.0 };
        assert_eq!(identity.sample(&image, 4, 4), image.clone().into_raw());
        let outside = AffineTransform { x0: 1e30, ..identity };
        assert_eq!(outside.sample(&image, 2, 2), [0; 12]);
        let half = AffineTransform { x0: 0.5, ..identity };
        assert_eq!(half.sample(&image, 1, 1), [5, 0, 7]);
    }
}
