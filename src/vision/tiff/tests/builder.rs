//! A builder of TIFF files.

use std::io::Write;

use super::*;

/// A builder of TIFF files with one page.
pub(super) struct Tiff {
    pub(super) big_endian: bool,
    /// BigTIFF.
    pub(super) wide: bool,
    /// Tag, type, values.
    pub(super) entries: Vec<(u16, u16, Vec<u64>)>,
    pub(super) chunks: Vec<Vec<u8>>,
    pub(super) tiled: bool,
}

pub(super) const BYTE: u16 = 1;
pub(super) const SHORT: u16 = 3;
pub(super) const LONG: u16 = 4;
pub(super) const RATIONAL: u16 = 5;
pub(super) const UNDEFINED: u16 = 7;

impl Tiff {
    pub(super) fn new(width: u64, height: u64, bits: u64, samples: u64, photometric: u64) -> Self {
        let entries = vec![
            (256, SHORT, vec![width]),
            (257, SHORT, vec![height]),
            (258, SHORT, vec![bits; samples as usize]),
            (259, SHORT, vec![1]),
            (262, SHORT, vec![photometric]),
            (277, SHORT, vec![samples]),
        ];
        Self { big_endian: false, wide: false, entries, chunks: Vec::new(), tiled: false }
    }

    pub(super) fn with(mut self, tag: u16, kind: u16, values: &[u64]) -> Self {
        self.entries.retain(|entry| entry.0 != tag);
        self.entries.push((tag, kind, values.to_vec()));
        self
    }

    pub(super) fn strips(mut self, rows: u64, chunks: &[&[u8]]) -> Self {
        self.chunks = chunks.iter().map(|chunk| chunk.to_vec()).collect();
        self.with(278, LONG, &[rows])
    }

    pub(super) fn strip(self, data: &[u8]) -> Self {
        self.strips(1000, &[data])
    }

    fn number(&self, value: u64, bytes: usize) -> Vec<u8> {
        if self.big_endian {
            value.to_be_bytes()[8 - bytes..].to_vec()
        } else {
            value.to_le_bytes()[..bytes].to_vec()
        }
    }

    /// The file: header, directory, values that do not fit in the directory, chunks.
    pub(super) fn bytes(mut self) -> Vec<u8> {
        let (offset_tag, length_tag) = if self.tiled { (324, 325) } else { (273, 279) };
        let (offset_kind, count) = (if self.wide { 16 } else { LONG }, self.chunks.len());
        self.entries.push((offset_tag, offset_kind, vec![0; count]));
        let lengths: Vec<u64> = self.chunks.iter().map(|chunk| chunk.len() as u64).collect();
        self.entries.push((length_tag, LONG, lengths.clone()));
        self.entries.sort_by_key(|entry| entry.0);
        let (counter, long) = self.widths();
        let header = self.header();
        let values_at = header.len() + counter + self.entries.len() * (4 + 2 * long) + long;
        let outside = |entry: &(u16, u16, Vec<u64>)| match entry.2.len() * size(entry.1) {
            length if length > long => length,
            _ => 0,
        };
        let mut at = (values_at + self.entries.iter().map(outside).sum::<usize>()) as u64;
        let mut offsets = Vec::new();
        for length in lengths {
            offsets.push(at);
            at += length;
        }
        self.entries
            .iter_mut()
            .filter(|entry| entry.0 == offset_tag)
            .for_each(|entry| entry.2 = offsets.clone());
        [header, self.directory(values_at), self.chunks.concat()].concat()
    }

    /// Bytes of the number of entries, and of counts and offsets.
    fn widths(&self) -> (usize, usize) {
        if self.wide { (8, 8) } else { (2, 4) }
    }

    fn header(&self) -> Vec<u8> {
        let order = if self.big_endian { b"MM" } else { b"II" };
        let rest = if self.wide {
            [self.number(43, 2), self.number(8, 2), self.number(0, 2), self.number(16, 8)].concat()
        } else {
            [self.number(42, 2), self.number(8, 4)].concat()
        };
        [&order[..], &rest].concat()
    }

    /// The directory, followed by the values that do not fit in it, at offset `values_at`.
    fn directory(&self, values_at: usize) -> Vec<u8> {
        let (counter, long) = self.widths();
        let mut bytes = self.number(self.entries.len() as u64, counter);
        let mut values = Vec::new();
        for (tag, kind, numbers) in &self.entries {
            bytes.extend(self.number(u64::from(*tag), 2));
            bytes.extend(self.number(u64::from(*kind), 2));
            bytes.extend(self.number(numbers.len() as u64, long));
            let number = |value: &u64| match *kind {
                // Numerator in the upper half, denominator in the lower half.
                RATIONAL => {
                    [self.number(value >> 32, 4), self.number(value & 0xFFFF_FFFF, 4)].concat()
                }
                kind => self.number(*value, size(kind)),
            };
            let mut content: Vec<u8> = numbers.iter().flat_map(number).collect();
            if content.len() <= long {
                content.resize(long, 0);
                bytes.extend(content);
            } else {
                bytes.extend(self.number((values_at + values.len()) as u64, long));
                values.extend(content);
            }
        }
        bytes.extend(self.number(0, long));
        bytes.extend(values);
        bytes
    }

    pub(super) fn pixels(self) -> Vec<u8> {
        decode(&self.bytes(), LIMITS).unwrap().into_raw()
    }

    #[track_caller]
    pub(super) fn must_be_named(self, named: &str) {
        must_be_named(&self.bytes(), named);
    }
}

/// Checks that `bytes` are unreadable, with `named` in the reason.
#[track_caller]
pub(super) fn must_be_named(bytes: &[u8], named: &str) {
    match decode(bytes, LIMITS) {
        Err(DecodeError::Unreadable(reason)) => assert!(reason.contains(named), "{reason}"),
        other => panic!("{other:?}"),
    }
}

/// Bytes of a value of the type `kind`.
fn size(kind: u16) -> usize {
    match kind {
        BYTE | UNDEFINED => 1,
        SHORT => 2,
        LONG => 4,
        _ => 8,
    }
}

pub(super) fn deflated(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

pub(super) fn ratio(over: u64, under: u64) -> u64 {
    over << 32 | under
}
