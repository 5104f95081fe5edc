//! Estimates from the header how much memory decoding takes: an upper bound of the decoder's peak,
//! including the decoded RGB picture. Includes copies of the file's bytes, but not the bytes
//! themselves.
//!
//! `tests/it/memory.rs` measures these bounds. An image whose header cannot be read needs no memory
//! for pixels: its decoder fails as well.

use std::io::Cursor;

use image::{ImageDecoder, ImageFormat, ImageReader};

use super::directory::Directory;
use super::error::{DecodeError, PixelLimits};
use super::guard::guarded;
use super::{jpeg, png};
use crate::domain::ImageKind;

/// Memory of a decoder for any image, bytes: tables, windows, buffers of a few rows, texts that may
/// contain an orientation.
const FIXED: u64 = 8 << 20;

/// Bytes of an RGB pixel.
const RGB: u64 = 3;

/// The memory that decoding an image takes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Need {
    /// Upper bound of the memory, bytes.
    pub memory: u64,
    /// Width and height in the header, pixels; 0 without a header.
    pub size: (u32, u32),
}

impl Need {
    /// The memory that decoding `bytes` takes.
    ///
    /// # Errors
    /// If the image is too large for `limits`.
    pub fn of(bytes: &[u8], limits: PixelLimits) -> Result<Self, DecodeError> {
        let found = ImageKind::sniff(bytes)
            .and_then(|kind| guarded(|| of_kind(kind, bytes)).ok().flatten());
        let Some(Header { width, height, memory }) = found else {
            return Ok(Self { memory: FIXED, size: (0, 0) });
        };
        match limits.check(width, height) {
            Err(DecodeError::TooLarge(reason)) => return Err(DecodeError::TooLarge(reason)),
            // The decoder reports its own error.
            Err(DecodeError::Unreadable(_) | DecodeError::Failed(_)) | Ok(()) => {}
        }
        let side = |side: u64| u32::try_from(side).unwrap_or(u32::MAX);
        Ok(Self { memory: memory.saturating_add(FIXED), size: (side(width), side(height)) })
    }
}

/// The size in a header, and the memory that decoding takes, bytes.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) width: u64,
    pub(super) height: u64,
    pub(super) memory: u64,
}

fn of_kind(kind: ImageKind, bytes: &[u8]) -> Option<Header> {
    match kind {
        ImageKind::Jpeg => jpeg::memory(bytes),
        ImageKind::Png => png::memory(bytes),
        ImageKind::WebP => webp(bytes),
        // Rows of indices or of 32-bit pixels; RGBA, then RGB.
        ImageKind::Bmp => general(ImageFormat::Bmp, bytes, 4 + RGB, 0),
        ImageKind::Gif => gif(bytes),
        ImageKind::Tiff => tiff(bytes),
        ImageKind::Heic | ImageKind::Avif => heif(bytes),
        ImageKind::JpegXl
        | ImageKind::Jpeg2000
        | ImageKind::JpegXr
        | ImageKind::Pnm
        | ImageKind::Raw => None,
    }
}

/// `each` bytes for each pixel in the header, as the image crate's decoder reads it, plus `more`
/// bytes.
fn general(format: ImageFormat, bytes: &[u8], each: u64, more: u64) -> Option<Header> {
    let (width, height) =
        ImageReader::with_format(Cursor::new(bytes), format).into_decoder().ok()?.dimensions();
    let (width, height) = (u64::from(width), u64::from(height));
    Some(Header {
        width,
        height,
        memory: width.saturating_mul(height).saturating_mul(each).saturating_add(more),
    })
}

/// Lossy: planes and RGB. Lossless: RGBA and RGB, and Huffman tables, which take several times
/// their size in the file. With alpha or frames: all of these. Each also takes a copy of the file.
fn webp(bytes: &[u8]) -> Option<Header> {
    const ALPHA_OR_FRAMES: u8 = 0x12;
    let length = bytes.len() as u64;
    let (each, more) = match (bytes.get(12..16)?, *bytes.get(20)?) {
        (b"VP8 ", _) => (6, length),
        (b"VP8X", flags) if flags & ALPHA_OR_FRAMES != 0 => (16, 8 * length),
        _ => (4 + RGB + 1, 8 * length),
    };
    general(ImageFormat::WebP, bytes, each, more)
}

/// RGBA of the screen, RGB, and RGBA of the first frame if its size differs from the screen.
fn gif(bytes: &[u8]) -> Option<Header> {
    let sides = |at: usize| {
        let &[a, b, c, d] = bytes.get(at..at + 4)? else { return None };
        Some((u64::from(u16::from_le_bytes([a, b])), u64::from(u16::from_le_bytes([c, d]))))
    };
    let (width, height) = sides(6)?;
    let flags = *bytes.get(10)?;
    let mut at = 13 + if flags & 0x80 == 0 { 0 } else { 3 << ((flags & 7) + 1) };
    // Skip extensions before the first frame: a label, then blocks up to an empty one.
    while bytes.get(at) == Some(&0x21) {
        at += 2;
        while *bytes.get(at)? != 0 {
            at += 1 + usize::from(bytes[at]);
        }
        at += 1;
    }
    let frame = sides(at + 5)
        .filter(|frame| *frame != (width, height))
        .map_or(0, |(width, height)| width * height);
    Some(Header { width, height, memory: width * height * (4 + RGB) + frame * 5 })
}

/// The picture, and the current strip or tile: decompressed, as samples, and in RGB.
fn tiff(bytes: &[u8]) -> Option<Header> {
    let directory = Directory::first(bytes)?;
    let number = |tag: u16, otherwise: u64| directory.number(tag).unwrap_or(otherwise);
    let (width, height) = (directory.number(256)?, directory.number(257)?);
    let (samples, bits) = (number(277, 1).min(8), number(258, 1).min(64));
    let is_tiled = directory.has(324);
    let chunk = if is_tiled {
        number(322, 0).saturating_mul(number(323, 0))
    } else {
        width.saturating_mul(number(278, height).min(height))
    };
    let pixel = match number(259, 1) {
        // The stream of a JPEG, its samples, its coefficients if it has several scans, and its part
        // of the picture.
        6 | 7 => 16,
        _ => {
            let planes = if number(284, 1) == 2 { 2 } else { 1 };
            (samples * bits).div_ceil(8) + 2 * samples * planes + RGB
        }
    };
    let whole = width.saturating_mul(height).saturating_mul(RGB);
    // Offsets and lengths of the strips or tiles: 8 bytes for each number. The numbers exist three
    // times while missing lengths are computed.
    let parts = directory.count(if is_tiled { 324 } else { 273 }).saturating_mul(4 * 8);
    // A copy of the stored bytes: JPEGs are joined with their tables, and bytes with reversed bits
    // are reversed.
    let stored =
        if matches!(number(259, 1), 6 | 7) || number(266, 1) == 2 { bytes.len() as u64 } else { 0 };
    let memory = whole
        .saturating_add(chunk.saturating_mul(pixel))
        .saturating_add(parts)
        .saturating_add(stored);
    Some(Header { width, height, memory })
}

/// Planes of up to 16 bits, the planes of reference pictures, and RGB twice. The size is that of
/// the largest `ispe` box.
fn heif(bytes: &[u8]) -> Option<Header> {
    let side =
        |at: usize| Some(u64::from(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?)));
    let sides = |at: usize| Some((side(at + 8)?, side(at + 12)?));
    let found = memchr::memmem::find_iter(bytes, b"ispe").filter_map(sides);
    let (width, height) = found.max_by_key(|(width, height)| width.saturating_mul(*height))?;
    let memory = width.saturating_mul(height).saturating_mul(24).saturating_add(bytes.len() as u64);
    Some(Header { width, height, memory })
}
