//! Damage that libjpeg-turbo decodes without a word, though the file itself shows it.

use super::frame::Frame;
use super::segments::{Segment, segments};

/// A run of so many zero bytes in coded data that cannot hold one is damage. They stand for some 80
/// coefficients that are all -1.
const ZEROS: usize = 32;

/// Bands of fewer coefficients than this may well be all -1: a gradient is.
const NARROW_BAND: u8 = 4;

/// The parameters of a scan (ITU-T T.81, B.2.3).
struct Scan<'a> {
    /// The components' identifiers, and the number of the AC table of each.
    components: Vec<(u8, usize)>,
    band: (u8, u8),
    /// Successive approximation: the bit position of the scan before this, and of this.
    bits: (u8, u8),
    data: &'a [u8],
}

impl<'a> Scan<'a> {
    fn parse(segment: &Segment<'a>) -> Option<Self> {
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

/// What of the AC tables tells whether there can be runs of zeros.
#[derive(Debug, Clone, Copy, Default)]
struct AcTable {
    /// The symbol whose code is all zeros.
    first: u8,
    /// It has symbols for several blocks that end at once.
    has_long_ends: bool,
}

/// What is wrong with a file that was decoded without a warning.
pub(super) fn unnoticed(bytes: &[u8]) -> Option<String> {
    let frame = Frame::find(bytes)?;
    // Finding the segments means reading all of the file: once.
    let segments: Vec<_> = segments(bytes).collect();
    zeros_in(&frame, &segments).or_else(|| missing_scans(&frame, &segments))
}

/// Tells of zeros where the coded data cannot have them.
pub(super) fn zeros(bytes: &[u8]) -> Option<String> {
    zeros_in(&Frame::find(bytes)?, &segments(bytes).collect::<Vec<_>>())
}

fn zeros_in(frame: &Frame, segments: &[Segment<'_>]) -> Option<String> {
    if !frame.is_huffman_dct() {
        return None;
    }
    let mut tables = [AcTable::default(); 4];
    let (mut zeros, mut all) = (0, 0);
    for segment in segments {
        if segment.marker == 0xC4 {
            read_tables(segment.parameters, &mut tables);
        }
        let Some(scan) = segment.is_scan().then(|| Scan::parse(segment)).flatten() else {
            continue;
        };
        all += scan.data.len();
        if !may_be_zeros(frame, &scan, &tables) {
            zeros += zero_bytes(scan.data);
        }
    }
    let share = zeros as f64 * 100.0 / all.max(1) as f64;
    (zeros > 0).then(|| {
        let share = if share >= 1.0 { format!("{share:.0} %") } else { "less than 1 %".into() };
        format!(
            "{zeros} bytes of its image data ({share}) are zeros, and so much of the picture \
            is missing or wrong"
        )
    })
}

fn missing_scans(frame: &Frame, segments: &[Segment<'_>]) -> Option<String> {
    let mut coverage = Coverage::of(frame);
    for scan in segments.iter().filter(|segment| segment.is_scan()).filter_map(Scan::parse) {
        coverage.add(&scan);
    }
    coverage.missing()
}

/// True if a picture may have a long run of zeros there. Zeros are codes of the first symbol. If
/// that is a coefficient, whole blocks would be full of the smallest one. If it is the end of a
/// block, they are what an empty area looks like; but encoders of progressive files write one
/// symbol for many blocks that end at once, and not the same symbol again and again.
fn may_be_zeros(frame: &Frame, scan: &Scan<'_>, tables: &[AcTable; 4]) -> bool {
    let (first, last) = scan.band;
    let mut tables = scan.components.iter().map(|&(_, table)| tables[table]);
    if !frame.is_progressive() {
        return !tables.any(|table| table.first & 15 != 0);
    }
    // The lower bits of equal blocks may all be zero, and so may the differences of DC.
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
        // The upper half of the byte tells tables of AC coefficients from those of DC.
        if head[0] >> 4 == 1 {
            let has_long_ends =
                symbols.iter().any(|&symbol| symbol & 15 == 0 && symbol != 0 && symbol != 0xF0);
            tables[usize::from(head[0] & 3)] =
                AcTable { first: symbols.first().copied().unwrap_or(0), has_long_ends };
        }
        parameters = rest;
    }
}

/// How many bytes are in runs of at least [`ZEROS`] zeros.
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

/// Which bits of which coefficients the scans have brought.
struct Coverage {
    /// For each component its identifier and, for each coefficient, the lowest bit that arrived.
    components: Vec<(u8, [Option<u8>; 64])>,
    is_progressive: bool,
}

impl Coverage {
    fn of(frame: &Frame) -> Self {
        let components = frame.components.iter().map(|part| (part.id, [None; 64])).collect();
        Self { components, is_progressive: frame.is_progressive() }
    }

    fn add(&mut self, scan: &Scan<'_>) {
        // The scans of the other processes are whole; of lossless ones the band says something
        // else.
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
                "scans are missing, and with them {share:.0} % of the \
            coefficients or their lower bits"
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_zeros_are_counted_wherever_they_begin() {
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
