//! TIFF and BigTIFF: the first page, strip by strip or tile by tile, each turned into RGB as it is read. The image crate reads fewer colour
//! spaces and gives no raw samples of the others (palettes, subsampled YCbCr, Lab); the decompressors are those that it uses.
//!
//! What is not read is named: a TIFF says of itself what it is.

mod chunks;
mod colour;
#[cfg(test)]
mod tests;

use image::{ImageFormat, Rgb, RgbImage};

use self::chunks::{Samples, decompress, subsampled, unpack};
use self::colour::Colour;
use super::decode::{DecodeError, PixelLimits, general, unreadable};
use super::directory::Directory;
use super::jpeg;

const SUBFILES: u16 = 330;
const DNG_VERSION: u16 = 50706;

const JPEG: u64 = 7;
const OLD_JPEG: u64 = 6;
/// CCITT Group 4, which the image crate reads and we do not.
const GROUP_4: u64 = 4;
/// Predictors, of whole numbers and of floating-point ones.
const HORIZONTAL: u64 = 2;
const FLOATING: u64 = 3;

/// Bits and samples of a pixel, at most: as many as memory is reckoned with for the other formats.
const MOST_BITS: u64 = 128;
const MOST_SAMPLES: u64 = 8;

/// The first page of a TIFF.
///
/// # Errors
/// If it is not whole, too large, or of a kind that is not read, which the reason names.
pub(super) fn decode(bytes: &[u8], limits: PixelLimits) -> Result<RgbImage, DecodeError> {
    let directory = Directory::first(bytes).ok_or_else(|| unreadable("the TIFF is truncated: its directory is missing"))?;
    if is_raw(&directory) {
        let what = if directory.has(DNG_VERSION) { "a DNG, which is" } else { "in a TIFF" };
        let reason = format!("camera raw images ({what} a sensor's data with a small preview) are not read: convert it to JPEG");
        return Err(unreadable(reason));
    }
    let page = Page::read(&directory, limits)?;
    if page.compression == GROUP_4 {
        return general(ImageFormat::Tiff, bytes, limits);
    }
    if page.compression == OLD_JPEG {
        return old_jpeg(&directory, &page, limits);
    }
    let colour = Colour::of(&directory, &page)?;
    let mut image = RgbImage::new(page.width, page.height);
    for row in 0..page.rows_of_chunks() {
        for column in 0..page.columns_of_chunks() {
            let pixels = page.chunk(&directory, &colour, row, column, limits)?;
            let (left, top) = (column * page.chunk_width, row * page.chunk_height);
            place(&mut image, &pixels, left, top);
        }
    }
    Ok(image)
}

/// Whether the file is a camera's: a sensor's data somewhere, or a DNG, whatever the preview in the first directory looks like.
fn is_raw(directory: &Directory<'_>) -> bool {
    // Colour filter array, or what a DNG made of it.
    let sensor = |directory: &Directory<'_>| matches!(directory.number(262), Some(32803 | 34892));
    directory.has(DNG_VERSION) || sensor(directory) || directory.below(SUBFILES).iter().any(sensor)
}

/// How the first page is laid out (TIFF 6.0, sections 3 to 15).
#[derive(Debug)]
struct Page {
    width: u32,
    height: u32,
    bits: u32,
    samples: u32,
    /// The samples are fractions.
    float: bool,
    photometric: u64,
    compression: u64,
    predictor: u64,
    /// Each sample in a plane of its own.
    planar: bool,
    /// Bits of a byte in reverse order.
    reversed: bool,
    big_endian: bool,
    /// Strips are as wide as the image.
    chunk_width: u32,
    chunk_height: u32,
    is_tiled: bool,
    offsets: Vec<u64>,
    lengths: Vec<u64>,
}

impl Page {
    fn read(directory: &Directory<'_>, limits: PixelLimits) -> Result<Self, DecodeError> {
        let number = |tag: u16, otherwise: u64| directory.number(tag).unwrap_or(otherwise);
        let (Some(width), Some(height)) = (directory.number(256), directory.number(257)) else {
            let reason =
                "the TIFF has no image in its first directory; if it is a camera's raw file (DNG, NEF, ARW), convert it to JPEG";
            return Err(unreadable(reason));
        };
        limits.check(width, height)?;
        let too_wide = |_| unreadable(format!("a TIFF of {width}x{height} pixels is not read"));
        let (width, height) = (u32::try_from(width).map_err(too_wide)?, u32::try_from(height).map_err(too_wide)?);
        let (bits, samples, float) = sample_layout(directory)?;
        let compression = number(259, 1);
        let is_tiled = directory.has(324);
        let (chunk_width, chunk_height) = chunk_size(directory, width, height, limits)?;
        let (offset_tag, length_tag) = if is_tiled { (324, 325) } else { (273, 279) };
        let offsets = directory
            .numbers(offset_tag)
            .ok_or_else(|| unreadable("the TIFF is broken: it does not say where its pixels are"))?;
        Ok(Self {
            width,
            height,
            bits,
            samples,
            float,
            photometric: number(262, if samples >= 3 { 2 } else { 1 }),
            compression,
            predictor: predictor(directory, compression, float)?,
            planar: number(284, 1) == 2 && samples > 1,
            reversed: number(266, 1) == 2,
            big_endian: directory.is_big_endian(),
            chunk_width,
            chunk_height,
            is_tiled,
            lengths: directory.numbers(length_tag).unwrap_or_default(),
            offsets,
        })
    }

    fn columns_of_chunks(&self) -> u32 {
        self.width.div_ceil(self.chunk_width)
    }

    fn rows_of_chunks(&self) -> u32 {
        self.height.div_ceil(self.chunk_height)
    }

    /// Rows of the chunks in `row`: a tile is always whole, the last strip ends with the image.
    fn rows_in(&self, row: u32) -> u32 {
        if self.is_tiled { self.chunk_height } else { self.chunk_height.min(self.height - row * self.chunk_height) }
    }

    fn chunk(
        &self,
        directory: &Directory<'_>,
        colour: &Colour,
        row: u32,
        column: u32,
        limits: PixelLimits,
    ) -> Result<RgbImage, DecodeError> {
        let (width, rows) = (self.chunk_width, self.rows_in(row));
        let place = u64::from(row) * u64::from(self.columns_of_chunks()) + u64::from(column);
        if self.compression == JPEG {
            let stream = jpeg_stream(directory.raw(347), self.stored(directory, place)?, colour.is_ycbcr());
            let pixels = jpeg::decode(&stream, limits)?;
            // A strip may be encoded in full though the image ends in it.
            if pixels.width() < width || pixels.height() < rows {
                let (has_width, has_height) = pixels.dimensions();
                let reason = format!("the TIFF is broken: a part of {width}x{rows} pixels is a JPEG of {has_width}x{has_height}");
                return Err(unreadable(reason));
            }
            let part = image::imageops::crop_imm(&pixels, 0, 0, width, rows).to_image();
            return Ok(if colour.is_inverted() { inverted(part) } else { part });
        }
        let samples = if self.planar {
            let per_plane = u64::from(self.rows_of_chunks()) * u64::from(self.columns_of_chunks());
            let plane = |sample: u32| self.samples_at(directory, place + u64::from(sample) * per_plane, 1, rows);
            Samples::interleave(&(0..self.samples).map(plane).collect::<Result<Vec<_>, _>>()?)
        } else if let Some(subsampling) = colour.subsampling() {
            let data = self.data_at(directory, place, subsampling.bytes(width, rows))?;
            subsampled(&data, width, rows, subsampling)
        } else {
            self.samples_at(directory, place, self.samples, rows)?
        };
        let pixels = samples.values.chunks_exact(samples.of_a_pixel);
        let pixels = pixels.flat_map(|pixel| colour.to_rgb(pixel)).collect();
        RgbImage::from_raw(width, rows, pixels).ok_or_else(|| unreadable("the TIFF is broken: a part of it is too short"))
    }

    /// The samples in the chunk at `place`, `samples` a pixel.
    fn samples_at(&self, directory: &Directory<'_>, place: u64, samples: u32, rows: u32) -> Result<Samples, DecodeError> {
        let row_bytes = (u64::from(self.chunk_width) * u64::from(samples) * u64::from(self.bits)).div_ceil(8);
        let data = self.data_at(directory, place, row_bytes * u64::from(rows))?;
        unpack(&data, self, samples, row_bytes as usize)
    }

    /// `wanted` bytes of the chunk at `place`, decompressed.
    fn data_at(&self, directory: &Directory<'_>, place: u64, wanted: u64) -> Result<Vec<u8>, DecodeError> {
        let data = decompress(self.stored(directory, place)?, self.compression, self.reversed, wanted)?;
        if (data.len() as u64) < wanted {
            let what = if self.is_tiled { "tile" } else { "strip" };
            let reason = format!(
                "the TIFF is truncated or damaged: {what} {} of {} ends after {} of {wanted} bytes",
                place + 1,
                self.offsets.len(),
                data.len()
            );
            return Err(unreadable(reason));
        }
        Ok(data)
    }

    /// The chunk at `place` as it stands in the file, as far as it is in it.
    fn stored<'a>(&self, directory: &Directory<'a>, place: u64) -> Result<&'a [u8], DecodeError> {
        let place = place as usize;
        let &offset = self.offsets.get(place).ok_or_else(|| unreadable("the TIFF is broken: it has too few strips or tiles"))?;
        // Without lengths, one strip goes on to the end.
        let length = self.lengths.get(place).copied().unwrap_or(u64::MAX);
        let rest = directory.after(offset);
        let stored = &rest[..rest.len().min(usize::try_from(length).unwrap_or(usize::MAX))];
        if stored.is_empty() {
            return Err(unreadable(format!("the TIFF is truncated: part {} of {} is missing", place + 1, self.offsets.len())));
        }
        Ok(stored)
    }
}

/// Bits of a sample, samples of a pixel, and whether they are floating-point numbers.
fn sample_layout(directory: &Directory<'_>) -> Result<(u32, u32, bool), DecodeError> {
    let number = |tag: u16, otherwise: u64| directory.number(tag).unwrap_or(otherwise);
    let all_bits = directory.numbers(258).unwrap_or_else(|| vec![1]);
    let (bits, samples, format) = (all_bits.first().copied().unwrap_or(1), number(277, 1), number(339, 1));
    if all_bits.iter().any(|other| *other != bits) {
        let some = &all_bits[..all_bits.len().min(MOST_SAMPLES as usize)];
        return Err(not_read(&format!("samples of different widths ({some:?} bits)")));
    }
    let is_read = match format {
        // The fourth is "undefined", which is written for whole numbers.
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
    Err(not_read(&format!("{samples} {kind} of {bits} bits")))
}

/// As in libtiff, compressions other than LZW and Deflate have none, whatever the tag says.
fn predictor(directory: &Directory<'_>, compression: u64, float: bool) -> Result<u64, DecodeError> {
    let predictor = directory.number(317).filter(|_| matches!(compression, 5 | 8 | 32946)).unwrap_or(1);
    match predictor {
        1 => Ok(1),
        HORIZONTAL if !float => Ok(HORIZONTAL),
        FLOATING if float => Ok(FLOATING),
        other => Err(not_read(&format!("predictor {other} with {} samples", if float { "floating-point" } else { "whole" }))),
    }
}

/// Width and height of the tiles or strips.
fn chunk_size(directory: &Directory<'_>, width: u32, height: u32, limits: PixelLimits) -> Result<(u32, u32), DecodeError> {
    let number = |tag: u16, otherwise: u64| directory.number(tag).unwrap_or(otherwise);
    let (width, height) = (u64::from(width), u64::from(height));
    let (chunk_width, chunk_height) =
        if directory.has(324) { (number(322, 0), number(323, 0)) } else { (width, number(278, height).min(height)) };
    if chunk_width == 0 || chunk_height == 0 {
        return Err(unreadable("the TIFF is broken: its tiles or strips have no pixels"));
    }
    // Tiles reach beyond the image; what they hold in all is bounded too.
    let across = chunk_width.saturating_mul(width.div_ceil(chunk_width));
    let down = chunk_height.saturating_mul(height.div_ceil(chunk_height));
    let sides = (u32::try_from(chunk_width), u32::try_from(chunk_height));
    match sides {
        (Ok(chunk_width), Ok(chunk_height)) if across.saturating_mul(down) / 4 <= limits.max_pixels => {
            Ok((chunk_width, chunk_height))
        }
        _ => {
            let reason =
                format!("the tiles are {across}x{down} pixels, more than limits.max_pixels = {} allows", limits.max_pixels);
            Err(DecodeError::TooLarge(reason))
        }
    }
}

/// Copies what of `part` lies in `image`.
fn place(image: &mut RgbImage, part: &RgbImage, left: u32, top: u32) {
    let (image_width, part_width) = (image.width() as usize, part.width() as usize);
    let wide = part_width.min(image_width - left as usize);
    let rows = image.chunks_exact_mut(3 * image_width).skip(top as usize);
    for (row, stored) in rows.zip(part.chunks_exact(3 * part_width)) {
        row[3 * left as usize..][..3 * wide].copy_from_slice(&stored[..3 * wide]);
    }
}

/// What a TIFF is that is not read.
fn not_read(what: &str) -> DecodeError {
    unreadable(format!("a TIFF of {what} is not read: save it as 8-bit RGB with LZW compression or none, or as JPEG"))
}

fn inverted(mut image: RgbImage) -> RgbImage {
    image.pixels_mut().for_each(|Rgb(pixel)| *pixel = pixel.map(|value| 255 - value));
    image
}

/// The JPEG in `stored` with the tables that a TIFF keeps apart (TIFF Technical Note 2). The TIFF says what its colours are: a marker of ours
/// does so in place of those that are there.
fn jpeg_stream(tables: Option<&[u8]>, stored: &[u8], is_ycbcr: bool) -> Vec<u8> {
    const START: [u8; 2] = [0xFF, 0xD8];
    const END: [u8; 2] = [0xFF, 0xD9];
    let mut stream = [&START[..], &[0xFF, 0xEE, 0, 14], b"Adobe\0\x64\0\0\0\0", &[u8::from(is_ycbcr)]].concat();
    let tables = tables.and_then(|tables| tables.strip_prefix(&START)).unwrap_or_default();
    stream.extend(tables.strip_suffix(&END).unwrap_or(tables));
    let mut rest = stored.strip_prefix(&START).unwrap_or(stored);
    // Up to the first scan there are segments alone.
    while let [0xFF, code @ (0xC0..=0xCF | 0xDB..=0xEF | 0xFE), high, low, ..] = *rest {
        let length = 2 + usize::from(u16::from_be_bytes([high, low]));
        let Some((segment, after)) = rest.split_at_checked(length) else { break };
        if !matches!(code, 0xE0 | 0xEE) {
            stream.extend(segment);
        }
        rest = after;
    }
    stream.extend(rest);
    stream
}

/// The JPEG of before Technical Note 2, if it is one whole file inside the other.
fn old_jpeg(directory: &Directory<'_>, page: &Page, limits: PixelLimits) -> Result<RgbImage, DecodeError> {
    let whole = directory.number(513).zip(directory.number(514)).and_then(|(at, length)| directory.part(at, length));
    let whole = whole.filter(|jpeg| jpeg.starts_with(&[0xFF, 0xD8, 0xFF]));
    let image = jpeg::decode(whole.ok_or_else(|| not_read("old-style JPEG compression (6)"))?, limits)?;
    if image.dimensions() != (page.width, page.height) {
        return Err(not_read("old-style JPEG compression (6)"));
    }
    Ok(image)
}
