//! Decodes TIFF files that the tests write tag by tag, and compares their pixels.

mod builder;
mod colours;
mod jpeg_strips;
mod refusals;
mod samples;

use super::*;

const LIMITS: PixelLimits = PixelLimits { max_pixels: 10_000 };
