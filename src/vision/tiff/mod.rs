//! TIFF and BigTIFF: decodes the first page, strip by strip or tile by tile, and converts each to
//! RGB. The image crate supports fewer colour spaces and returns no raw samples of the others
//! (palettes, subsampled YCbCr, Lab). The decompressors are those that the image crate uses.
//!
//! An error names the property of the file that is not supported.

mod chunks;
mod colour;
mod layout;
#[cfg(test)]
mod tests;

use image::{ImageFormat, Rgb, RgbImage};

use self::chunks::{ChunkSamples, decompress, subsampled, unpack};
use self::colour::Colour;
use self::layout::{bits_in_memory, chunk_size, lengths_between, predictor, sample_layout};
use super::directory::Directory;
use super::error::{DecodeError, PixelLimits, unreadable};
use super::general::general;
use super::jpeg;

const SUBFILES: u16 = 330;
const JPEG_TABLES: u16 = 347;
const DNG_VERSION: u16 = 50706;

const JPEG: u64 = 7;
const OLD_JPEG: u64 = 6;
/// CCITT Group 4: the image crate decodes it.
const GROUP_4: u64 = 4;
/// Predictors, for whole numbers and for floating-point numbers.
const HORIZONTAL: u64 = 2;
const FLOATING: u64 = 3;

/// Bytes that strips or tiles may share in a file of any length.
const OVERLAP: u64 = 1 << 16;

/// Most bytes of the JPEG tables that a TIFF stores separately: they are read for each strip or
/// tile. All possible tables take less than 3 KiB.
const MOST_TABLES: usize = 1 << 14;

/// Decodes the first page of a TIFF.
///
/// # Errors
/// If the page is incomplete, too large, or of a kind that is not supported. The error names the
/// kind.
pub(super) fn decode(bytes: &[u8], limits: PixelLimits) -> Result<RgbImage, DecodeError> {
    let directory = Directory::first(bytes)
        .ok_or_else(|| unreadable("the TIFF is truncated: its directory is missing"))?;
    if is_raw(&directory) {
        let what = if directory.has(DNG_VERSION) { "a DNG" } else { "raw sensor data in a TIFF" };
        let reason = format!(
            "camera raw images ({what}, with a small preview) are not supported: convert the \
             image to JPEG"
        );
        return Err(unreadable(reason));
    }
    let page = Page::read(&directory, limits)?;
    if page.compression == OLD_JPEG {
        return old_jpeg(&directory, &page, limits);
    }
    page.check_stored(&directory)?;
    if page.compression == GROUP_4 {
        return general(ImageFormat::Tiff, bytes, limits);
    }
    let colour = Colour::of(&directory, &page)?;
    let mut image = RgbImage::new(page.width, page.height);
    for row in 0..page.rows_of_chunks() {
        for column in 0..page.columns_of_chunks() {
            let pixels = page.chunk(&directory, &colour, row, column, limits)?;
            let (left, top) = (column * page.chunk_width, row * page.chunk_height);
            paste(&mut image, &pixels, left, top);
        }
    }
    Ok(image)
}

/// Whether the file is a camera raw image: a DNG, or a file with sensor data in any directory, even
/// if the first directory holds a normal preview.
fn is_raw(directory: &Directory<'_>) -> bool {
    // Colour filter array, or the linear raw data that a DNG makes from it.
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
    /// The samples are floating-point numbers.
    float: bool,
    photometric: u64,
    compression: u64,
    predictor: u64,
    /// Each sample has its own plane.
    planar: bool,
    /// The bits of each byte are in reverse order.
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
            let reason = "the TIFF has no image in its first directory; if it is a camera raw \
                          file (DNG, NEF, ARW), convert it to JPEG";
            return Err(unreadable(reason));
        };
        limits.check(width, height)?;
        let too_wide =
            |_| unreadable(format!("TIFFs of {width}x{height} pixels are not supported"));
        let (width, height) =
            (u32::try_from(width).map_err(too_wide)?, u32::try_from(height).map_err(too_wide)?);
        let (bits, samples, float) = sample_layout(directory)?;
        let compression = number(259, 1);
        let planar = number(284, 1) == 2 && samples > 1;
        let is_tiled = directory.has(324);
        let (chunk_width, chunk_height) =
            chunk_size(directory, (width, height), bits_in_memory(bits, samples, planar), limits)?;
        let (offset_tag, length_tag) = if is_tiled { (324, 325) } else { (273, 279) };
        let offsets = directory.numbers(offset_tag).ok_or_else(|| {
            unreadable("the TIFF is damaged: the offsets of its pixels are missing")
        })?;
        Ok(Self {
            width,
            height,
            bits,
            samples,
            float,
            photometric: number(262, if samples >= 3 { 2 } else { 1 }),
            compression,
            predictor: predictor(directory, compression, float)?,
            planar,
            reversed: number(266, 1) == 2,
            big_endian: directory.is_big_endian(),
            chunk_width,
            chunk_height,
            is_tiled,
            lengths: directory.numbers(length_tag).unwrap_or_else(|| lengths_between(&offsets)),
            offsets,
        })
    }

    fn columns_of_chunks(&self) -> u32 {
        self.width.div_ceil(self.chunk_width)
    }

    fn rows_of_chunks(&self) -> u32 {
        self.height.div_ceil(self.chunk_height)
    }

    /// The number of chunks in each plane.
    fn chunks(&self) -> u64 {
        u64::from(self.rows_of_chunks()) * u64::from(self.columns_of_chunks())
    }

    /// Checks the total number of bytes to read. Each chunk is read to its end: if all chunks were
    /// the same large part of the file, that would take hours.
    fn check_stored(&self, directory: &Directory<'_>) -> Result<(), DecodeError> {
        let file = directory.after(0).len() as u64;
        let planes = if self.planar { u64::from(self.samples) } else { 1 };
        let count =
            usize::try_from(self.chunks() * planes).unwrap_or(usize::MAX).min(self.offsets.len());
        let stored: u64 = (0..count).map(|index| self.in_file(directory, index).len() as u64).sum();
        if stored > file.saturating_mul(2) + OVERLAP {
            let what = if self.is_tiled { "tiles" } else { "strips" };
            let reason = format!(
                "the TIFF is damaged: its {count} {what} overlap: they have {stored} bytes in a \
                 file of {file}"
            );
            return Err(unreadable(reason));
        }
        match directory.raw(JPEG_TABLES) {
            Some(tables) if self.compression == JPEG && tables.len() > MOST_TABLES => {
                Err(unreadable(format!(
                    "the TIFF is damaged: its JPEG tables are {} bytes, more than any valid tables",
                    tables.len()
                )))
            }
            _ => Ok(()),
        }
    }

    /// Rows of the chunks in `row`: a tile is always complete, the last strip ends with the image.
    fn rows_in(&self, row: u32) -> u32 {
        if self.is_tiled {
            self.chunk_height
        } else {
            self.chunk_height.min(self.height - row * self.chunk_height)
        }
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
        let index = u64::from(row) * u64::from(self.columns_of_chunks()) + u64::from(column);
        if self.compression == JPEG {
            return self.jpeg_at(directory, colour, index, rows, limits);
        }
        let samples = if self.planar {
            let plane = |sample: u32| {
                self.samples_at(directory, index + u64::from(sample) * self.chunks(), 1, rows)
            };
            ChunkSamples::interleave(&(0..self.samples).map(plane).collect::<Result<Vec<_>, _>>()?)
        } else if let Some(subsampling) = colour.subsampling() {
            let data = self.data_at(directory, index, subsampling.bytes(width, rows))?;
            subsampled(&data, width, rows, subsampling)
        } else {
            self.samples_at(directory, index, self.samples, rows)?
        };
        let pixels = samples.values.chunks_exact(samples.of_a_pixel);
        let pixels = pixels.flat_map(|pixel| colour.to_rgb(pixel)).collect();
        RgbImage::from_raw(width, rows, pixels).ok_or_else(|| {
            unreadable("the TIFF is damaged: one of its strips or tiles is too short")
        })
    }

    /// Decodes `rows` rows of the chunk at `index`, which is a JPEG.
    fn jpeg_at(
        &self,
        directory: &Directory<'_>,
        colour: &Colour,
        index: u64,
        rows: u32,
        limits: PixelLimits,
    ) -> Result<RgbImage, DecodeError> {
        let width = self.chunk_width;
        let broken = |has: &str| {
            unreadable(format!(
                "the TIFF is damaged: a part of {width}x{rows} pixels is a JPEG of {has}"
            ))
        };
        let stream = jpeg::joined(
            directory.raw(JPEG_TABLES),
            self.stored(directory, index)?,
            colour.is_ycbcr(),
        );
        let max_pixels = self.most_jpeg_pixels(limits);
        let pixels =
            jpeg::decode(&stream, PixelLimits { max_pixels }).map_err(|error| match error {
                DecodeError::TooLarge(_) if max_pixels != limits.max_pixels => {
                    broken(&format!("more than {max_pixels} pixels"))
                }
                error => error,
            })?;
        if pixels.width() < width || pixels.height() < rows {
            return Err(broken(&format!("{}x{}", pixels.width(), pixels.height())));
        }
        let part = image::imageops::crop_imm(&pixels, 0, 0, width, rows).to_image();
        Ok(if colour.is_inverted() { inverted(part) } else { part })
    }

    /// Most pixels of the JPEG of one chunk.
    fn most_jpeg_pixels(&self, limits: PixelLimits) -> u64 {
        // Sides may be rounded up to whole units of at most 32 pixels. The last strip may contain
        // all its rows, though the image ends within it.
        let rounded = |side: u32| u64::from(side).next_multiple_of(32);
        let rounded = rounded(self.chunk_width).saturating_mul(rounded(self.chunk_height));
        // For strips of one row, rounding alone would allow 32 times the image.
        let chunk = rounded
            .min((u64::from(self.chunk_width) * u64::from(self.chunk_height)).saturating_mul(4));
        // A single strip may be declared longer than the image and contain that many rows.
        if self.chunks() == 1 { chunk.max(limits.max_pixels) } else { chunk }
    }

    /// Reads the chunk at `index`, with `samples` samples a pixel.
    fn samples_at(
        &self,
        directory: &Directory<'_>,
        index: u64,
        samples: u32,
        rows: u32,
    ) -> Result<ChunkSamples, DecodeError> {
        let row_bytes =
            (u64::from(self.chunk_width) * u64::from(samples) * u64::from(self.bits)).div_ceil(8);
        let data = self.data_at(directory, index, row_bytes * u64::from(rows))?;
        unpack(&data, self, samples, row_bytes as usize)
    }

    /// Decompresses `wanted` bytes of the chunk at `index`.
    fn data_at(
        &self,
        directory: &Directory<'_>,
        index: u64,
        wanted: u64,
    ) -> Result<Vec<u8>, DecodeError> {
        let data =
            decompress(self.stored(directory, index)?, self.compression, self.reversed, wanted)?;
        if (data.len() as u64) < wanted {
            let what = if self.is_tiled { "tile" } else { "strip" };
            let reason = format!(
                "the TIFF is truncated or damaged: {what} {} of {} ends after {} of {wanted} bytes",
                index + 1,
                self.offsets.len(),
                data.len()
            );
            return Err(unreadable(reason));
        }
        Ok(data)
    }

    /// The stored bytes of the chunk at `index`, as far as the file contains them.
    fn stored<'a>(&self, directory: &Directory<'a>, index: u64) -> Result<&'a [u8], DecodeError> {
        let index = index as usize;
        if index >= self.offsets.len() {
            return Err(unreadable("the TIFF is damaged: it has too few strips or tiles"));
        }
        let stored = self.in_file(directory, index);
        if stored.is_empty() {
            return Err(unreadable(format!(
                "the TIFF is truncated: strip or tile {} of {} is missing",
                index + 1,
                self.offsets.len()
            )));
        }
        Ok(stored)
    }

    /// The bytes of the chunk at `index` that the file contains.
    fn in_file<'a>(&self, directory: &Directory<'a>, index: usize) -> &'a [u8] {
        let rest =
            self.offsets.get(index).map(|&offset| directory.after(offset)).unwrap_or_default();
        let length = self.lengths.get(index).copied().unwrap_or(u64::MAX);
        &rest[..rest.len().min(usize::try_from(length).unwrap_or(usize::MAX))]
    }
}

/// Copies the pixels of `part` that lie inside `image`.
fn paste(image: &mut RgbImage, part: &RgbImage, left: u32, top: u32) {
    let (image_width, part_width) = (image.width() as usize, part.width() as usize);
    let wide = part_width.min(image_width - left as usize);
    let rows = image.chunks_exact_mut(3 * image_width).skip(top as usize);
    for (row, stored) in rows.zip(part.chunks_exact(3 * part_width)) {
        row[3 * left as usize..][..3 * wide].copy_from_slice(&stored[..3 * wide]);
    }
}

/// The error of a TIFF that is not supported because of `what`.
fn unsupported(what: &str) -> DecodeError {
    unreadable(format!(
        "TIFFs with {what} are not supported: save the image as JPEG, or as TIFF of 8-bit RGB with \
         LZW compression or none"
    ))
}

fn inverted(mut image: RgbImage) -> RgbImage {
    image.pixels_mut().for_each(|Rgb(pixel)| *pixel = pixel.map(|value| 255 - value));
    image
}

/// Decodes the JPEG compression from before Technical Note 2, if the TIFF contains one complete
/// JPEG file.
fn old_jpeg(
    directory: &Directory<'_>,
    page: &Page,
    limits: PixelLimits,
) -> Result<RgbImage, DecodeError> {
    let whole = directory
        .number(513)
        .zip(directory.number(514))
        .and_then(|(at, length)| directory.part(at, length));
    let whole = whole.filter(|jpeg| jpeg.starts_with(&[0xFF, 0xD8, 0xFF]));
    let image =
        jpeg::decode(whole.ok_or_else(|| unsupported("old-style JPEG compression (6)"))?, limits)?;
    if image.dimensions() != (page.width, page.height) {
        return Err(unsupported("old-style JPEG compression (6)"));
    }
    Ok(image)
}
