//! Finds the rows that name an image which an earlier row names, in any number of rows and little
//! memory: the hashes of the images are written to a temporary file in parts, and each part is
//! sorted by itself.

use std::fs::File;
use std::io::{Read, Result, Write};
use std::sync::Arc;

use super::file::FileCursor;
use crate::domain::ImageUri;

/// Parts of all hashes. Of ten million, a part has 3.7 MB.
const PARTS: usize = 64;
/// Hashes of a part that are kept in memory until they are written.
const KEPT: usize = 4096;
/// Bytes of a hash with the index of its row.
const RECORD_BYTES: usize = 24;

/// A set of row indexes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct RowMarks {
    bits: Vec<u64>,
    /// How many are marked.
    pub(super) count: u64,
}

impl RowMarks {
    pub(super) fn mark(&mut self, index: u64) {
        let (word, bit) = ((index / 64) as usize, 1 << (index % 64));
        if self.bits.len() <= word {
            self.bits.resize(word + 1, 0);
        }
        self.count += u64::from(self.bits[word] & bit == 0);
        self.bits[word] |= bit;
    }

    pub(super) fn contains(&self, index: u64) -> bool {
        self.bits.get((index / 64) as usize).is_some_and(|word| word & (1 << (index % 64)) != 0)
    }
}

/// Collects images and says which rows repeat others.
pub(super) struct RepeatFinder {
    parts: Vec<RepeatPart>,
    /// The file of the hashes that are not in memory, and its length.
    written: Option<(Arc<File>, u64)>,
}

#[derive(Default)]
struct RepeatPart {
    /// Hashes, each with the index of its row.
    kept: Vec<(u128, u64)>,
    /// Where the others are in the file: positions of runs of [`KEPT`] hashes.
    runs: Vec<u64>,
}

impl RepeatFinder {
    pub(super) fn new() -> Self {
        Self { parts: (0..PARTS).map(|_| RepeatPart::default()).collect(), written: None }
    }

    /// Adds the image of the row with this index.
    pub(super) fn add(&mut self, image: &ImageUri, index: u64) -> Result<()> {
        let hash = blake3::hash(image.as_str().as_bytes());
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hash.as_bytes()[..16]);
        let hash = u128::from_le_bytes(bytes);
        let part = &mut self.parts[(hash % PARTS as u128) as usize];
        part.kept.push((hash, index));
        if part.kept.len() < KEPT {
            return Ok(());
        }
        let (file, end) = match &mut self.written {
            Some(written) => written,
            None => self.written.insert((Arc::new(tempfile::tempfile()?), 0)),
        };
        let mut bytes = Vec::with_capacity(KEPT * RECORD_BYTES);
        for (hash, index) in part.kept.drain(..) {
            bytes.extend_from_slice(&hash.to_le_bytes());
            bytes.extend_from_slice(&index.to_le_bytes());
        }
        file.as_ref().write_all(&bytes)?;
        part.runs.push(*end);
        *end += bytes.len() as u64;
        Ok(())
    }

    /// Marks the rows whose image an earlier row names.
    pub(super) fn finish(self, marks: &mut RowMarks) -> Result<()> {
        for part in self.parts {
            let mut all = part.kept;
            if let Some((file, _)) = &self.written {
                all.reserve_exact(part.runs.len() * KEPT);
                let mut bytes = vec![0; KEPT * RECORD_BYTES];
                for run in part.runs {
                    FileCursor::at(Arc::clone(file), run).read_exact(&mut bytes)?;
                    all.extend(bytes.chunks_exact(RECORD_BYTES).map(record));
                }
            }
            all.sort_unstable();
            for pair in all.windows(2).filter(|pair| pair[0].0 == pair[1].0) {
                marks.mark(pair[1].1);
            }
        }
        Ok(())
    }
}

fn record(bytes: &[u8]) -> (u128, u64) {
    let (mut hash, mut index) = ([0; 16], [0; 8]);
    hash.copy_from_slice(&bytes[..16]);
    index.copy_from_slice(&bytes[16..]);
    (u128::from_le_bytes(hash), u64::from_le_bytes(index))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_rows_of_an_image_are_marked_and_the_first_is_not() {
        const IMAGES: u64 = 400_000;
        let mut finder = RepeatFinder::new();
        // Every image once, then every hundredth again, and again.
        let rows = (0..IMAGES).chain((0..IMAGES).step_by(100)).chain((0..IMAGES).step_by(100));
        let mut kept = 0;
        for (index, image) in rows.enumerate() {
            let image: ImageUri = format!("s3://faces/{image}.jpg").parse().unwrap();
            finder.add(&image, index as u64).unwrap();
            kept = kept.max(finder.parts.iter().map(|part| part.kept.len()).sum::<usize>());
        }
        assert!(finder.written.is_some() && kept <= PARTS * KEPT);
        let mut marks = RowMarks::default();
        finder.finish(&mut marks).unwrap();
        assert_eq!(marks.count, 2 * IMAGES / 100);
        assert!(!(0..IMAGES).any(|index| marks.contains(index)));
        assert!((IMAGES..IMAGES + marks.count).all(|index| marks.contains(index)));
        assert!(!marks.contains(u64::MAX));
    }
}
