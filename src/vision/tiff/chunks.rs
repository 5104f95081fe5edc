//! Converts a stored strip or tile to samples: decompression, predictors, bit widths.

use std::io::Read;

use flate2::read::ZlibDecoder;
use weezl::BitOrder;
use weezl::decode::Configuration;

use super::{FLOATING, HORIZONTAL, Page, unsupported};
use crate::vision::error::DecodeError;

/// Samples of whole pixels, row by row.
#[derive(Debug)]
pub(super) struct ChunkSamples {
    pub(super) values: Vec<u16>,
    pub(super) of_a_pixel: usize,
}

impl ChunkSamples {
    /// Joins planes of one sample each into pixels.
    pub(super) fn interleave(planes: &[Self]) -> Self {
        let pixels = planes.iter().map(|plane| plane.values.len()).min().unwrap_or(0);
        let values = (0..pixels)
            .flat_map(|pixel| planes.iter().map(move |plane| plane.values[pixel]))
            .collect();
        Self { values, of_a_pixel: planes.len() }
    }
}

/// Chroma subsampling of YCbCr: chroma is stored once for this many columns and rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Subsampling {
    pub(super) columns: u32,
    pub(super) rows: u32,
}

impl Subsampling {
    /// Bytes of a unit: its luma samples, then its two chroma samples.
    fn unit(self) -> u64 {
        u64::from(self.columns * self.rows + 2)
    }

    /// Bytes of a chunk of this size.
    pub(super) fn bytes(self, width: u32, rows: u32) -> u64 {
        u64::from(width.div_ceil(self.columns)) * u64::from(rows.div_ceil(self.rows)) * self.unit()
    }
}

/// Y, Cb and Cr of each pixel of a chunk with subsampled chroma (TIFF 6.0, section 21). Like
/// libtiff, each pixel uses the chroma of its unit.
pub(super) fn subsampled(
    data: &[u8],
    width: u32,
    rows: u32,
    subsampling: Subsampling,
) -> ChunkSamples {
    let Subsampling { columns: across, rows: down } = subsampling;
    let units_in_row = width.div_ceil(across) as usize;
    let mut values = Vec::with_capacity(width as usize * rows as usize * 3);
    for y in 0..rows {
        for x in 0..width {
            let unit = (y / down) as usize * units_in_row + (x / across) as usize;
            let unit = &data[unit * subsampling.unit() as usize..][..subsampling.unit() as usize];
            let luma = unit[(y % down * across + x % across) as usize];
            let chroma = &unit[unit.len() - 2..];
            values.extend([luma, chroma[0], chroma[1]].map(u16::from));
        }
    }
    ChunkSamples { values, of_a_pixel: 3 }
}

/// Decompresses at most `wanted` bytes; fewer if the data ends or is corrupt before.
pub(super) fn decompress(
    stored: &[u8],
    compression: u64,
    reversed: bool,
    wanted: u64,
) -> Result<Vec<u8>, DecodeError> {
    let turned: Vec<u8>;
    let stored = if reversed {
        turned = stored.iter().map(|byte| byte.reverse_bits()).collect();
        &turned
    } else {
        stored
    };
    let most = usize::try_from(wanted).unwrap_or(usize::MAX);
    let mut data = Vec::new();
    match compression {
        1 => data.extend(&stored[..stored.len().min(most)]),
        5 => lzw(stored, most, &mut data),
        8 | 32946 => {
            // Keep the bytes before an error: the caller checks their number.
            ZlibDecoder::new(stored).take(wanted).read_to_end(&mut data).ok();
        }
        32773 => packed_bits(stored, most, &mut data),
        other => {
            return Err(unsupported(&format!("{} compression ({other})", compression_name(other))));
        }
    }
    Ok(data)
}

fn compression_name(compression: u64) -> &'static str {
    match compression {
        2 | 3 => "fax (CCITT)",
        9 | 10 | 34661 => "JBIG",
        32809 => "ThunderScan",
        34676 | 34677 => "SGI LogLuv",
        34712 | 33003 | 33005 => "JPEG 2000",
        34887 => "LERC",
        34892 => "lossy JPEG",
        34925 => "LZMA",
        50000 => "Zstandard",
        50001 => "WebP",
        50002 | 52546 => "JPEG XL",
        32767 | 32769 | 32770 | 34713 | 65535 => "a camera's own",
        _ => "an unknown",
    }
}

fn lzw(stored: &[u8], most: usize, data: &mut Vec<u8>) {
    let mut decoder = Configuration::with_tiff_size_switch(BitOrder::Msb, 8)
        .with_yield_on_full_buffer(true)
        .build();
    let mut stored = stored;
    let mut buffer = vec![0; 1 << 14];
    while data.len() < most {
        let room = buffer.len().min(most - data.len());
        let result = decoder.decode_bytes(stored, &mut buffer[..room]);
        data.extend(&buffer[..result.consumed_out]);
        stored = &stored[result.consumed_in..];
        let goes_on = matches!(result.status, Ok(weezl::LzwStatus::Ok))
            && (result.consumed_in > 0 || result.consumed_out > 0);
        if !goes_on {
            break;
        }
    }
}

/// TIFF 6.0, section 9.
fn packed_bits(stored: &[u8], most: usize, data: &mut Vec<u8>) {
    let mut rest = stored;
    while let Some((&head, after)) = rest.split_first() {
        if data.len() >= most {
            break;
        }
        rest = match head {
            0..=127 => {
                let (literal, after) = after.split_at(after.len().min(usize::from(head) + 1));
                data.extend(literal);
                after
            }
            128 => after,
            129.. => {
                let Some((&repeated, after)) = after.split_first() else { break };
                data.extend(std::iter::repeat_n(repeated, 257 - usize::from(head)));
                after
            }
        };
    }
    data.truncate(most);
}

/// The samples in `data`, whose rows have `row_bytes`. Floating-point samples become 16 bits.
pub(super) fn unpack(
    data: &[u8],
    page: &Page,
    samples: u32,
    row_bytes: usize,
) -> Result<ChunkSamples, DecodeError> {
    let in_row = page.chunk_width as usize * samples as usize;
    let mut values = Vec::with_capacity(data.len() / row_bytes.max(1) * in_row);
    for row in data.chunks_exact(row_bytes) {
        if page.float {
            fractions(row, page, samples as usize, &mut values)?;
            continue;
        }
        let start = values.len();
        match page.bits {
            8 => values.extend(row.iter().map(|&value| u16::from(value))),
            16 => values.extend(wide(row, page.big_endian, u16::from_be_bytes)),
            bits => values.extend(narrow(row, bits).take(in_row)),
        }
        if page.predictor == HORIZONTAL {
            undo_differences(&mut values[start..], samples as usize, page.bits);
        }
    }
    Ok(ChunkSamples { values, of_a_pixel: samples as usize })
}

/// Converts a row of floating-point samples to 16 bits. TIFF does not define their range. Most
/// programs write 0 to 1; no other range is supported, except for a margin for rounding.
fn fractions(
    row: &[u8],
    page: &Page,
    samples: usize,
    values: &mut Vec<u16>,
) -> Result<(), DecodeError> {
    let restored: Vec<u8>;
    let (row, big_endian) = if page.predictor == FLOATING {
        restored = undo_byte_differences(row, samples, page.bits as usize / 8);
        (&restored[..], true)
    } else {
        (row, page.big_endian)
    };
    let numbers: Vec<f64> = match page.bits {
        16 => wide(row, big_endian, u16::from_be_bytes)
            .map(|bits| half::f16::from_bits(bits).to_f64())
            .collect(),
        32 => wide(row, big_endian, f32::from_be_bytes).map(f64::from).collect(),
        _ => wide(row, big_endian, f64::from_be_bytes).collect(),
    };
    if !numbers.iter().all(|number| (-0.1..=1.1).contains(number)) {
        return Err(unsupported("floating-point samples beyond 0 to 1"));
    }
    values.extend(
        numbers.into_iter().map(|number| (number.clamp(0.0, 1.0) * 65535.0).round() as u16),
    );
    Ok(())
}

fn wide<T, const BYTES: usize>(
    row: &[u8],
    big_endian: bool,
    read: fn([u8; BYTES]) -> T,
) -> impl Iterator<Item = T> {
    row.as_chunks::<BYTES>().0.iter().map(move |bytes| {
        let mut bytes = *bytes;
        if !big_endian {
            bytes.reverse();
        }
        read(bytes)
    })
}

/// Samples of `bits` each, at most 16, packed without regard to byte boundaries.
fn narrow(row: &[u8], bits: u32) -> impl Iterator<Item = u16> {
    let (mut held, mut count) = (0_u32, 0);
    let mut bytes = row.iter();
    std::iter::from_fn(move || {
        while count < bits {
            held = held << 8 | u32::from(*bytes.next()?);
            count += 8;
        }
        count -= bits;
        let value = held >> count;
        held &= (1 << count) - 1;
        Some(value as u16)
    })
}

/// Undoes the horizontal predictor: each sample is stored as the difference to that of the previous
/// pixel (TIFF 6.0, section 14).
fn undo_differences(row: &mut [u16], samples: usize, bits: u32) {
    let mask = if bits >= 16 { u16::MAX } else { (1 << bits) - 1 };
    for index in samples..row.len() {
        row[index] = row[index].wrapping_add(row[index - samples]) & mask;
    }
}

/// Undoes the floating-point predictor (TIFF Technical Note 3): the bytes of a row are sorted by
/// significance, the most significant bytes of all samples first, and each is stored as the
/// difference to that of the previous pixel. Returns big-endian samples.
fn undo_byte_differences(row: &[u8], samples: usize, width: usize) -> Vec<u8> {
    let mut row = row.to_vec();
    for index in samples..row.len() {
        row[index] = row[index].wrapping_add(row[index - samples]);
    }
    let count = row.len() / width;
    (0..count)
        .flat_map(|sample| (0..width).map(move |byte| (sample, byte)))
        .map(|(sample, byte)| row[byte * count + sample])
        .collect()
}
