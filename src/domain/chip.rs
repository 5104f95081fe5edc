//! A face aligned to the recogniser's template.

use std::fmt;

use super::{Components, Face};

/// Side of a chip, pixels.
pub const CHIP_SIDE: usize = 112;

/// A face aligned to 112x112: RGB, 8 bits, row by row. `Debug` shows no pixels.
#[derive(Clone, PartialEq, Eq)]
pub struct Chip(Box<[u8]>);

impl Chip {
    /// Number of bytes.
    pub const BYTES: usize = CHIP_SIDE * CHIP_SIDE * 3;

    /// A chip from RGB `pixels`; `None` unless there are exactly [`Self::BYTES`] bytes.
    pub fn new(pixels: Vec<u8>) -> Option<Self> {
        (pixels.len() == Self::BYTES).then(|| Self(pixels.into_boxed_slice()))
    }

    /// The chip of the self-test: a pattern with edges and gradients that is the same on every
    /// machine (integer arithmetic only).
    pub fn synthetic() -> Self {
        Self::synthetic_shifted(0)
    }

    /// The chip of the self-test, shifted to the left by `shift` pixels; what leaves comes in again
    /// on the right.
    pub fn synthetic_shifted(shift: usize) -> Self {
        let pixel = |i: usize| {
            let (x, y, channel) = (i / 3 % CHIP_SIDE, i / 3 / CHIP_SIDE, i % 3);
            let x = (x + shift) % CHIP_SIDE;
            let (dx, dy) = (x.abs_diff(56), y.abs_diff(60));
            let oval = if dx * dx * 3 + dy * dy * 2 < 9000 { 110 } else { 30 };
            let eyes = if (y / 8 == 6) && (x / 10 == 3 || x / 10 == 7) { 70 } else { 0 };
            (oval + 20 * channel + (x * 3 + y * 5 + x * y / 16) % 64 - eyes.min(oval)) as u8
        };
        Self((0..Self::BYTES).map(pixel).collect())
    }

    /// The pixels.
    pub fn pixels(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Chip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Chip")
    }
}

/// A face of an image, cut out of it.
#[derive(Debug, Clone, PartialEq)]
pub struct AlignedFace {
    /// The detection.
    pub face: Face,
    /// Its chip; none if its landmarks coincide.
    pub chip: Option<Chip>,
    /// Its components; all unknown without a chip.
    pub components: Components,
}
