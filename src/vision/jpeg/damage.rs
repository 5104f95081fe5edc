//! Detects damage that libjpeg-turbo decodes without a warning, though the file shows it.

use super::frame::Frame;
use super::segments::{Segment, segments};

/// A run of this many zero bytes is damage, in coded data that cannot contain one. It would encode
/// some 80 coefficients that are all -1.
const ZEROS: usize = 32;

/// In bands of fewer coefficients than this, all coefficients may be -1: a gradient is an example.
const NARROW_BAND: u8 = 4;

/// The parameters of a scan (ITU-T T.81, B.2.3).
struct JpegScan<'a> {
    /// The identifier of each component, and the index of its AC table.
    components: Vec<(u8, usize)>,
    band: (u8, u8),
    /// Successive approximation: the bit position of the previous scan, and of this one.
    bits: (u8, u8),
    data: &'a [u8],
}

impl<'a> JpegScan<'a> {
    /// The scan that a segment is; none if it is another segment, or too short.
    fn of(segment: &Segment<'a>) -> Option<Self> {
        if !segment.is_scan() {
            return None;
        }
        let (&count, rest) = segment.parameters.split_first()?;
        let (components, rest) = rest.split_at_checked(usize::from(count) * 2)?;
        let &[first, last, bits, ..] = rest else { return None };
        let components =
            components.chunks_exact(2).map(|part| (part[0], usize::from(part[1] & 3))).collect();
        Some(Self {
            components,
            band: (first, last),
            bits: (bits >> 4, bits & 15),
            data: segment.data,
        })
    }
}

/// The properties of an AC table that decide whether runs of zeros are valid.
#[derive(Debug, Clone, Copy, Default)]
struct AcTable {
    /// The symbol whose code is all zeros.
    first: u8,
    /// Whether the table has symbols that end several blocks at once.
    has_long_ends: bool,
}

/// Finds damage in a file that was decoded without a warning.
pub(super) fn unnoticed(bytes: &[u8]) -> Option<String> {
    let frame = Frame::find(bytes)?;
    let (mut zeros, mut coverage) = (ZerosInScans::default(), Coverage::of(&frame));
    // Once, because finding segments reads the whole file, and without collecting them: there may
    // be millions, and their memory is not reserved.
    for segment in segments(bytes) {
        let scan = JpegScan::of(&segment);
        zeros.add(&frame, &segment, scan.as_ref());
        scan.iter().for_each(|scan| coverage.add(scan));
    }
    zeros.damage().or_else(|| coverage.missing())
}

/// Finds zeros where the coded data cannot contain them.
pub(super) fn zeros(bytes: &[u8]) -> Option<String> {
    let frame = Frame::find(bytes)?;
    let mut zeros = ZerosInScans::default();
    for segment in segments(bytes) {
        let scan = JpegScan::of(&segment);
        zeros.add(&frame, &segment, scan.as_ref());
    }
    zeros.damage()
}

/// Counts zeros where the coded data cannot contain them, segment by segment.
#[derive(Debug, Default)]
struct ZerosInScans {
    tables: [AcTable; 4],
    zeros: usize,
    /// The bytes of all scans.
    all: usize,
}

impl ZerosInScans {
    /// Adds a segment, and the scan that it is, if it is one.
    fn add(&mut self, frame: &Frame, segment: &Segment<'_>, scan: Option<&JpegScan<'_>>) {
        if !frame.is_huffman_dct() {
            return;
        }
        if segment.marker == 0xC4 {
            read_tables(segment.parameters, &mut self.tables);
        }
        let Some(scan) = scan else { return };
        self.all += scan.data.len();
        if !may_be_zeros(frame, scan, &self.tables) {
            self.zeros += zero_bytes(scan.data);
        }
    }

    fn damage(&self) -> Option<String> {
        let (zeros, all) = (self.zeros, self.all);
        let share = zeros as f64 * 100.0 / all.max(1) as f64;
        (zeros > 0).then(|| {
            let share = if share >= 1.0 { format!("{share:.0} %") } else { "less than 1 %".into() };
            format!(
                "{zeros} bytes of its image data ({share}) were overwritten with zeros, so that \
                 part of the picture is missing or wrong"
            )
        })
    }
}

/// Whether a valid picture may have a long run of zeros in this scan. Zero bits encode the first
/// symbol of the table. If that symbol is a coefficient, a run would fill whole blocks with the
/// smallest coefficient, which is damage. If it ends a block, a run is an empty area. But encoders
/// of progressive files write one symbol for many blocks that end at once, not the same symbol
/// repeatedly.
fn may_be_zeros(frame: &Frame, scan: &JpegScan<'_>, tables: &[AcTable; 4]) -> bool {
    let (first, last) = scan.band;
    let mut tables = scan.components.iter().map(|&(_, table)| tables[table]);
    if !frame.is_progressive() {
        return !tables.any(|table| table.first & 15 != 0);
    }
    // The lower bits of equal blocks and the differences of DC may all be zero.
    if first == 0 || scan.bits.0 > 0 {
        return true;
    }
    let is_narrow = last.saturating_sub(first) < NARROW_BAND;
    !tables.any(|table| if table.first & 15 == 0 { table.has_long_ends } else { !is_narrow })
}

fn read_tables(mut parameters: &[u8], tables: &mut [AcTable; 4]) {
    while let Some((head, rest)) = parameters.split_at_checked(17) {
        let count: usize = head[1..].iter().map(|&count| usize::from(count)).sum();
        let Some((symbols, rest)) = rest.split_at_checked(count) else { return };
        // The upper half of the byte is 1 for AC tables and 0 for DC tables.
        if head[0] >> 4 == 1 {
            let has_long_ends =
                symbols.iter().any(|&symbol| symbol & 15 == 0 && symbol != 0 && symbol != 0xF0);
            tables[usize::from(head[0] & 3)] =
                AcTable { first: symbols.first().copied().unwrap_or(0), has_long_ends };
        }
        parameters = rest;
    }
}

/// The number of bytes in runs of at least [`ZEROS`] zeros.
fn zero_bytes(data: &[u8]) -> usize {
    let (mut at, mut count) = (ZEROS - 1, 0);
    while let Some(&byte) = data.get(at) {
        if byte == 0 {
            let before = data[..at].iter().rev().take_while(|&&byte| byte == 0).count();
            let from = data[at..].iter().take_while(|&&byte| byte == 0).count();
            if before + from >= ZEROS {
                count += before + from;
            }
            at += from;
        }
        at += ZEROS;
    }
    count
}

/// The coefficients and their bits that the scans contain.
struct Coverage {
    /// For each component: its identifier, and the lowest bit present for each coefficient.
    components: Vec<(u8, [Option<u8>; 64])>,
    is_progressive: bool,
}

impl Coverage {
    fn of(frame: &Frame) -> Self {
        let components = frame.components.iter().map(|part| (part.id, [None; 64])).collect();
        Self { components, is_progressive: frame.is_progressive() }
    }

    fn add(&mut self, scan: &JpegScan<'_>) {
        // Scans of other processes contain all bits. In lossless JPEGs the band has another
        // meaning.
        let (first, last) = if self.is_progressive { scan.band } else { (0, 63) };
        let bit = if self.is_progressive { scan.bits.1 } else { 0 };
        for (id, bits) in &mut self.components {
            if scan.components.iter().any(|(other, _)| other == id) {
                for lowest in bits.iter_mut().take(usize::from(last) + 1).skip(usize::from(first)) {
                    *lowest = Some(bit);
                }
            }
        }
    }

    fn missing(&self) -> Option<String> {
        let all = self.components.len() * 64;
        let absent = self
            .components
            .iter()
            .flat_map(|(_, bits)| bits)
            .filter(|lowest| **lowest != Some(0))
            .count();
        let share = absent as f64 * 100.0 / all as f64;
        (absent > 0).then(|| {
            format!(
                "scans are missing, and with them {share:.0} % of the coefficients or their lower \
                 bits"
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_zeros_are_counted_at_any_offset() {
        for start in 0..80 {
            for length in [0, 20, 31, 32, 33, 100] {
                let mut data = vec![7; 200];
                data[start..start + length].fill(0);
                assert_eq!(
                    zero_bytes(&data),
                    if length < ZEROS { 0 } else { length },
                    "{length} from {start}"
                );
            }
        }
    }
}
