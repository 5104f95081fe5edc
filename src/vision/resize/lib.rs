//! Resizes RGB pixels.
//!
//! A crate of its own, which is compiled as one unit: the loops of `fast_image_resize` are generic,
//! so they are compiled here, and they are slow unless the compiler can inline all of them.

use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::U8x3;
use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};

/// How a pixel of the result is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filter {
    /// Weights fall off linearly with the distance.
    Bilinear,
    /// The mean of the pixels that it covers.
    Mean,
}

/// Resizes `pixels`, of an image of `size`, to an image of `target` (width and height, pixels):
/// three bytes a pixel, row by row. Every pixel counts: skipping pixels would cause aliasing, which
/// disturbs the detector. `None` if a size is zero or `pixels` are fewer than `size` says.
pub fn resize(
    pixels: &[u8],
    size: (u32, u32),
    target: (u32, u32),
    filter: Filter,
) -> Option<Vec<u8>> {
    let filter = match filter {
        Filter::Bilinear => FilterType::Bilinear,
        Filter::Mean => FilterType::Box,
    };
    let source = TypedImageRef::<U8x3>::from_buffer(size.0, size.1, pixels).ok()?;
    let mut resized = vec![0; target.0 as usize * target.1 as usize * 3];
    let mut view = TypedImage::<U8x3>::from_buffer(target.0, target.1, &mut resized).ok()?;
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(filter));
    Resizer::new().resize_typed(&source, &mut view, &options).ok()?;
    Some(resized)
}
