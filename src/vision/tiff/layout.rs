//! The layout of a TIFF page: supported kinds of samples, and sizes of strips and tiles.

use super::{FLOATING, HORIZONTAL, unsupported};
use crate::vision::directory::Directory;
use crate::vision::error::{DecodeError, PixelLimits, unreadable};

/// Most bits of a pixel, and most samples. 16 bytes a pixel are the bound for other formats too.
const MOST_BITS: u64 = 128;
const MOST_SAMPLES: u64 = 8;

/// Tiles of this many pixels are decoded even if the limit on images is smaller.
const SMALL_TILE: u64 = 1 << 20;

/// Bits of a sample, samples of a pixel, and whether samples are floating-point numbers.
pub(super) fn sample_layout(directory: &Directory<'_>) -> Result<(u32, u32, bool), DecodeError> {
    let number = |tag: u16, otherwise: u64| directory.number(tag).unwrap_or(otherwise);
    let all_bits = directory.numbers(258).unwrap_or_else(|| vec![1]);
    let (bits, samples, format) =
        (all_bits.first().copied().unwrap_or(1), number(277, 1), number(339, 1));
    if all_bits.iter().any(|other| *other != bits) {
        let some = &all_bits[..all_bits.len().min(MOST_SAMPLES as usize)];
        return Err(unsupported(&format!("samples of different widths ({some:?} bits)")));
    }
    let is_read = match format {
        // Format 4 is "undefined"; programs write it for whole numbers.
        1 | 4 => matches!(bits, 1..=16),
        // L*a*b* has signed samples.
        2 => matches!(number(262, 1), 8 | 9) && matches!(bits, 8 | 16),
        3 => matches!(bits, 16 | 32 | 64),
        _ => false,
    };
    if is_read && (1..=MOST_SAMPLES).contains(&samples) && samples * bits <= MOST_BITS {
        return Ok((bits as u32, samples as u32, format == 3));
    }
    let kind = match format {
        1 => "samples",
        2 => "signed samples",
        3 => "floating-point samples",
        _ => "samples of an unknown format",
    };
    Err(unsupported(&format!("{samples} {kind} of {bits} bits")))
}

/// The predictor of the page. As in libtiff, only LZW and Deflate have one; the tag is ignored for
/// other compressions.
pub(super) fn predictor(
    directory: &Directory<'_>,
    compression: u64,
    float: bool,
) -> Result<u64, DecodeError> {
    let predictor =
        directory.number(317).filter(|_| matches!(compression, 5 | 8 | 32946)).unwrap_or(1);
    match predictor {
        1 => Ok(1),
        HORIZONTAL if !float => Ok(HORIZONTAL),
        FLOATING if float => Ok(FLOATING),
        other => Err(unsupported(&format!(
            "predictor {other} with {} samples",
            if float { "floating-point" } else { "whole" }
        ))),
    }
}

/// Bits of memory that a pixel of a chunk takes before it is RGB: decompressed, and as samples of
/// 16 bits. Joining planes needs the samples twice.
pub(super) fn bits_in_memory(bits: u32, samples: u32, planar: bool) -> u64 {
    let bits = if planar { bits + 2 * 16 * samples } else { (bits + 16) * samples };
    bits.into()
}

/// Width and height of the tiles or strips, pixels. Each pixel takes `pixel_bits` of memory.
pub(super) fn chunk_size(
    directory: &Directory<'_>,
    (width, height): (u32, u32),
    pixel_bits: u64,
    limits: PixelLimits,
) -> Result<(u32, u32), DecodeError> {
    let number = |tag: u16, otherwise: u64| directory.number(tag).unwrap_or(otherwise);
    let (width, height) = (u64::from(width), u64::from(height));
    let (chunk_width, chunk_height) = if directory.has(324) {
        (number(322, 0), number(323, 0))
    } else {
        (width, number(278, height).min(height))
    };
    if chunk_width == 0 || chunk_height == 0 {
        return Err(unreadable("the TIFF is damaged: its tiles or strips have no pixels"));
    }
    // Tiles may extend beyond the image, by far if the image is small. Bound the pixels of all
    // tiles, and the memory of one tile: 16 bytes for each allowed pixel, as with other formats,
    // and its pixels in RGB.
    let allowed = limits.max_pixels.max(SMALL_TILE);
    let across = chunk_width.saturating_mul(width.div_ceil(chunk_width));
    let down = chunk_height.saturating_mul(height.div_ceil(chunk_height));
    let fit_in_all = across.saturating_mul(down) / 4 <= allowed;
    let pixels = chunk_width.saturating_mul(chunk_height);
    let one_fits = pixels / 2 <= allowed && pixels.saturating_mul(pixel_bits) / (16 * 8) <= allowed;
    let reason = match (u32::try_from(chunk_width), u32::try_from(chunk_height)) {
        (Ok(chunk_width), Ok(chunk_height)) if fit_in_all && one_fits => {
            return Ok((chunk_width, chunk_height));
        }
        _ if fit_in_all => {
            format!(
                "a tile or strip of {chunk_width}x{chunk_height} pixels takes more memory than \
                 limits.max_pixels = "
            )
        }
        _ => format!("the tiles are {across}x{down} pixels, more than limits.max_pixels = "),
    };
    Err(DecodeError::TooLarge(format!("{reason}{} allows", limits.max_pixels)))
}

/// The lengths of chunks if the file has only their offsets: each chunk ends where the next one
/// starts, the last one at the end of the file.
pub(super) fn lengths_between(offsets: &[u64]) -> Vec<u64> {
    let mut sorted = offsets.to_vec();
    sorted.sort_unstable();
    let next = |offset: u64| sorted.get(sorted.partition_point(|&other| other <= offset));
    offsets.iter().map(|&offset| next(offset).map_or(u64::MAX, |next| next - offset)).collect()
}
