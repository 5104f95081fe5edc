//! Area-weighted resampling of a region of an image, written directly into a network's input.
//!
//! Each target pixel is the mean of the source area that it covers, with parts of pixels weighted
//! by their area. For regions smaller than the target, that is interpolation with sharp edges.
//! Outside the image, the source is black.

use std::ops::Range;

use image::RgbImage;

use super::boxes::Region;
use crate::inference::manifest::InputSpec;

/// How a resampled pixel is rounded. Each stage rounds as the published cascade does, so that the
/// weights get the same pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// To a whole number, as in an image file.
    Bits8,
    /// Not at all.
    Exact,
}

/// Appends `region` of `image`, resampled to `columns` x `rows` pixels, to `values`, in the
/// networks' order: column by column.
pub fn append_resampled(
    image: &RgbImage,
    region: Region,
    [columns, rows]: [usize; 2],
    depth: Depth,
    input: &InputSpec,
    values: &mut Vec<f32>,
) {
    let (width, height) = (image.width() as usize, image.height() as usize);
    let across = Cover::new(region.left, region.width, columns, width);
    let down = Cover::new(region.top, region.height, rows, height);
    let source = across.source();
    let black = (0.0 - input.mean) * input.scale;
    let start = values.len();
    values.resize(start + columns * rows * 3, black);
    let target = &mut values[start..];
    let order = input.channels.order();
    let mut row_sum = vec![0.0; source.len() * 3];
    for (row, cell) in down.cells.iter().enumerate() {
        row_sum.fill(0.0);
        for (y, &weight) in cell.source.clone().zip(&down.weights[cell.weights.clone()]) {
            let line = y * width;
            let pixels = &image.as_raw()[(line + source.start) * 3..(line + source.end) * 3];
            for (sum, &value) in row_sum.iter_mut().zip(pixels) {
                *sum += weight * f32::from(value);
            }
        }
        for (column, cell) in across.cells.iter().enumerate() {
            let mut pixel = [0.0; 3];
            for (x, &weight) in cell.source.clone().zip(&across.weights[cell.weights.clone()]) {
                let sums = &row_sum[(x - source.start) * 3..][..3];
                for (value, sum) in pixel.iter_mut().zip(sums) {
                    *value += weight * sum;
                }
            }
            if depth == Depth::Bits8 {
                pixel = pixel.map(f32::round);
            }
            let seen = order.map(|channel| (pixel[channel] - input.mean) * input.scale);
            target[(column * rows + row) * 3..][..3].copy_from_slice(&seen);
        }
    }
}

/// The source pixels that each target pixel covers along one axis, and their weights.
struct Cover {
    cells: Vec<Cell>,
    weights: Vec<f32>,
}

struct Cell {
    /// Clipped to the image, so that the work for a huge region is bounded by the image's size.
    source: Range<usize>,
    weights: Range<usize>,
}

impl Cover {
    fn new(start: f64, length: f64, cells: usize, limit: usize) -> Self {
        let step = length / cells as f64;
        let mut cover = Self { cells: Vec::with_capacity(cells), weights: Vec::new() };
        for cell in 0..cells {
            let from = (start + cell as f64 * step).clamp(0.0, limit as f64);
            let to = (start + (cell + 1) as f64 * step).clamp(0.0, limit as f64);
            let source = from.floor() as usize..to.ceil() as usize;
            let first = cover.weights.len();
            for pixel in source.clone() {
                let overlap = to.min(pixel as f64 + 1.0) - from.max(pixel as f64);
                cover.weights.push((overlap / step) as f32);
            }
            cover.cells.push(Cell { source, weights: first..cover.weights.len() });
        }
        cover
    }

    /// All source pixels that the target covers.
    fn source(&self) -> Range<usize> {
        match (self.cells.first(), self.cells.last()) {
            (Some(first), Some(last)) => first.source.start..last.source.end,
            _ => 0..0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inference::manifest::Channels;
    use image::Rgb;

    const PLAIN: InputSpec =
        InputSpec { width: 0, height: 0, channels: Channels::Rgb, mean: 0.0, scale: 1.0 };

    /// Red is 0, 10, 20, … from the left, green the same from the top.
    fn ramp(width: u32, height: u32) -> RgbImage {
        RgbImage::from_fn(width, height, |x, y| Rgb([10 * x as u8, 10 * y as u8, 7]))
    }

    fn resampled(
        image: &RgbImage,
        region: [f64; 4],
        size: [usize; 2],
        input: &InputSpec,
    ) -> Vec<f32> {
        let [left, top, width, height] = region;
        let mut values = Vec::new();
        append_resampled(
            image,
            Region { left, top, width, height },
            size,
            Depth::Exact,
            input,
            &mut values,
        );
        values
    }

    #[test]
    fn parts_of_pixels_count_by_their_area() {
        // Resamples three pixels 0, 10, 20 to two: (0 + 10/2) / 1.5 and (10/2 + 20) / 1.5.
        let values = resampled(&ramp(3, 1), [0.0, 0.0, 3.0, 1.0], [2, 1], &PLAIN);
        let expected = [5.0 / 1.5, 0.0, 7.0, 25.0 / 1.5, 0.0, 7.0];
        assert!(
            values.iter().zip(expected).all(|(found, wanted)| (found - wanted).abs() < 1e-5),
            "{values:?}"
        );
    }

    #[test]
    fn columns_come_one_after_the_other_in_the_networks_colours_and_scale() {
        let input = InputSpec { channels: Channels::Bgr, mean: 10.0, scale: 0.1, ..PLAIN };
        let values = resampled(&ramp(2, 2), [0.0, 0.0, 2.0, 2.0], [2, 2], &input);
        let blue = (7.0 - 10.0) * 0.1;
        let expected = [blue, -1.0, -1.0, blue, 0.0, -1.0, blue, -1.0, 0.0, blue, 0.0, 0.0];
        assert!(
            values.iter().zip(expected).all(|(found, wanted)| (found - wanted).abs() < 1e-6),
            "{values:?}"
        );
    }

    #[test]
    fn outside_the_image_is_black_however_far_it_reaches() {
        let image = RgbImage::from_pixel(4, 4, Rgb([200; 3]));
        let reds = |region| -> Vec<f32> {
            resampled(&image, region, [2, 1], &PLAIN).into_iter().step_by(3).collect()
        };
        assert_eq!(reds([-2.0, 0.0, 4.0, 4.0]), [0.0, 200.0]);
        assert_eq!(reds([3.0, 0.0, 4.0, 4.0]), [100.0, 0.0]);
        assert_eq!(reds([9.0, 9.0, 4.0, 4.0]), [0.0, 0.0]);
        assert!(reds([-1e12, -1e12, 3e12, 3e12]).iter().all(|value| (0.0..1.0).contains(value)));
    }
}
