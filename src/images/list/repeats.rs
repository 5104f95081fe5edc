//! Finds the rows that name an image which an earlier row names, in any number of rows and little
//! memory: the hashes of the images are written to a temporary file in parts, and each part is
//! sorted by itself.

use std::fs::File;
use std::io::{BufWriter, Result, Write};
use std::os::unix::fs::FileExt;

use crate::domain::{ImageUri, SubjectName};

/// Parts of all hashes. Of ten million, a part has 5 MB.
const PARTS: usize = 64;
/// Hashes of a part that are kept in memory until they are written.
const KEPT: usize = 4096;
/// Bytes of a hash.
const HASH_BYTES: usize = 16;
/// Bytes of a [`NamedRow`].
const RECORD_BYTES: usize = HASH_BYTES + 16;

/// The hash of an image, the index of a row that names it, and the hash of the subject that the
/// row names; 0 without one.
type NamedRow = (u128, u64, u64);

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
    written: Option<(File, u64)>,
    repeats: Repeats,
}

/// The rows that name an image which an earlier row names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Repeats {
    /// They name the same subject, or none.
    pub(super) same: RowMarks,
    /// They name another subject.
    pub(super) conflicting: RowMarks,
}

#[derive(Default)]
struct RepeatPart {
    kept: Vec<NamedRow>,
    /// Where the others are in the file: positions, and numbers of hashes.
    runs: Vec<(u64, usize)>,
}

impl RepeatFinder {
    pub(super) fn new() -> Self {
        let parts = (0..PARTS).map(|_| RepeatPart::default()).collect();
        Self { parts, written: None, repeats: Repeats::default() }
    }

    /// Adds the image of the row with this index, and the subject that the row names.
    pub(super) fn add(
        &mut self,
        image: &ImageUri,
        subject: Option<&SubjectName>,
        index: u64,
    ) -> Result<()> {
        let hash = hash_of(image);
        let part = &mut self.parts[part_of(hash)];
        part.kept.push((hash, index, subject.map_or(0, hash_of_subject)));
        if part.kept.len() < KEPT {
            return Ok(());
        }
        // Write an image that millions of rows name once for thousands of them.
        mark_repeats(&mut part.kept, &mut self.repeats);
        if part.kept.len() <= KEPT / 2 {
            return Ok(());
        }
        let (file, end) = match &mut self.written {
            Some(written) => written,
            None => self.written.insert((tempfile::tempfile()?, 0)),
        };
        let mut bytes = Vec::with_capacity(part.kept.len() * RECORD_BYTES);
        part.runs.push((*end, part.kept.len()));
        for (hash, index, subject) in part.kept.drain(..) {
            bytes.extend_from_slice(&hash.to_le_bytes());
            bytes.extend_from_slice(&index.to_le_bytes());
            bytes.extend_from_slice(&subject.to_le_bytes());
        }
        file.write_all(&bytes)?;
        *end += bytes.len() as u64;
        Ok(())
    }

    /// The rows whose image an earlier row names; and with `with_names`, all images that rows name.
    pub(super) fn finish(self, with_names: bool) -> Result<(Repeats, Option<ListedNames>)> {
        let Self { parts, written, mut repeats } = self;
        let mut names = if with_names { Some(NamesWriter::new()?) } else { None };
        for part in parts {
            let mut all = part.kept;
            if let Some((file, _)) = &written {
                all.reserve_exact(part.runs.iter().map(|(_, count)| count).sum());
                for (position, count) in part.runs {
                    let mut bytes = vec![0; count * RECORD_BYTES];
                    file.read_exact_at(&mut bytes, position)?;
                    all.extend(bytes.chunks_exact(RECORD_BYTES).map(record));
                }
            }
            mark_repeats(&mut all, &mut repeats);
            if let Some(names) = &mut names {
                names.add_part(&all)?;
            }
        }
        Ok((repeats, names.map(NamesWriter::finish).transpose()?))
    }
}

/// Keeps the first row of each image, sorted by hash, and marks the others.
fn mark_repeats(rows: &mut Vec<NamedRow>, repeats: &mut Repeats) {
    rows.sort_unstable();
    rows.dedup_by(|(later, index, subject), (first, _, named)| {
        let is_repeat = later == first;
        if is_repeat {
            let conflicts = *subject != 0 && subject != named;
            if conflicts { &mut repeats.conflicting } else { &mut repeats.same }.mark(*index);
        }
        is_repeat
    });
}

fn hash_of_subject(subject: &SubjectName) -> u64 {
    let hash = blake3::hash(subject.as_str().as_bytes());
    let [first, ..] = hash.as_bytes().as_chunks::<8>().0 else { return 1 };
    u64::from_le_bytes(*first).max(1)
}

fn hash_of(image: &ImageUri) -> u128 {
    let hash = blake3::hash(image.as_str().as_bytes());
    let mut bytes = [0; HASH_BYTES];
    bytes.copy_from_slice(&hash.as_bytes()[..HASH_BYTES]);
    u128::from_le_bytes(bytes)
}

fn part_of(hash: u128) -> usize {
    (hash % PARTS as u128) as usize
}

/// The images that rows name: their hashes, sorted, in a temporary file.
#[derive(Debug)]
pub(super) struct ListedNames {
    file: File,
    /// The index of the first hash of each part, and at last how many hashes there are.
    starts: Vec<u64>,
}

impl ListedNames {
    /// Whether a row names this image.
    pub(super) fn contain(&self, image: &ImageUri) -> Result<bool> {
        let hash = hash_of(image);
        let part = part_of(hash);
        let (mut low, mut high) = (self.starts[part], self.starts[part + 1]);
        while low < high {
            let middle = low + (high - low) / 2;
            let mut bytes = [0; HASH_BYTES];
            self.file.read_exact_at(&mut bytes, middle * HASH_BYTES as u64)?;
            match u128::from_le_bytes(bytes) {
                found if found == hash => return Ok(true),
                found if found < hash => low = middle + 1,
                _ => high = middle,
            }
        }
        Ok(false)
    }
}

/// Writes the hashes of [`ListedNames`].
struct NamesWriter {
    file: BufWriter<File>,
    starts: Vec<u64>,
    count: u64,
}

impl NamesWriter {
    fn new() -> Result<Self> {
        let file = BufWriter::new(tempfile::tempfile()?);
        Ok(Self { file, starts: Vec::with_capacity(PARTS + 1), count: 0 })
    }

    fn add_part(&mut self, sorted: &[NamedRow]) -> Result<()> {
        self.starts.push(self.count);
        self.count += sorted.len() as u64;
        sorted.iter().try_for_each(|(hash, ..)| self.file.write_all(&hash.to_le_bytes()))
    }

    fn finish(mut self) -> Result<ListedNames> {
        self.starts.push(self.count);
        let file = self.file.into_inner().map_err(|error| error.into_error())?;
        Ok(ListedNames { file, starts: self.starts })
    }
}

fn record(bytes: &[u8]) -> NamedRow {
    let (mut hash, mut index, mut subject) = ([0; HASH_BYTES], [0; 8], [0; 8]);
    hash.copy_from_slice(&bytes[..HASH_BYTES]);
    index.copy_from_slice(&bytes[HASH_BYTES..HASH_BYTES + 8]);
    subject.copy_from_slice(&bytes[HASH_BYTES + 8..]);
    (u128::from_le_bytes(hash), u64::from_le_bytes(index), u64::from_le_bytes(subject))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image_of(number: u64) -> ImageUri {
        format!("s3://faces/{number}.jpg").parse().unwrap()
    }

    #[test]
    fn later_rows_of_an_image_are_marked_and_the_first_is_not() {
        const IMAGES: u64 = 400_000;
        let mut finder = RepeatFinder::new();
        // Every image once, then every hundredth again, and again.
        let rows = (0..IMAGES).chain((0..IMAGES).step_by(100)).chain((0..IMAGES).step_by(100));
        let mut kept = 0;
        for (index, image) in rows.enumerate() {
            let image = image_of(image);
            finder.add(&image, None, index as u64).unwrap();
            kept = kept.max(finder.parts.iter().map(|part| part.kept.len()).sum::<usize>());
        }
        assert!(finder.written.is_some() && kept <= PARTS * KEPT);
        let (Repeats { same: marks, conflicting }, names) = finder.finish(true).unwrap();
        assert_eq!(conflicting.count, 0);
        assert_eq!(marks.count, 2 * IMAGES / 100);
        assert!(!(0..IMAGES).any(|index| marks.contains(index)));
        assert!((IMAGES..IMAGES + marks.count).all(|index| marks.contains(index)));
        assert!(!marks.contains(u64::MAX));
        let names = names.unwrap();
        assert!((0..IMAGES).step_by(97).all(|image| names.contain(&image_of(image)).unwrap()));
        assert!((IMAGES..2 * IMAGES).step_by(97).all(|n| !names.contain(&image_of(n)).unwrap()));
    }

    #[test]
    fn rows_that_are_all_the_same_take_no_memory_each() {
        let mut finder = RepeatFinder::new();
        for index in 0..1_000_000 {
            finder.add(&image_of(index % 3), None, index).unwrap();
        }
        let held: usize = finder.parts.iter().map(|part| part.kept.len() + part.runs.len()).sum();
        assert!(held <= 3 * KEPT && finder.written.is_none(), "{held}");
        let (Repeats { same: marks, .. }, names) = finder.finish(false).unwrap();
        assert!(marks.count == 999_997 && !marks.contains(2) && marks.contains(3));
        assert!(names.is_none());
    }

    #[test]
    fn a_row_that_names_another_subject_conflicts_with_the_first_one() {
        let [ann, bob] = ["Ann", "Bob"].map(|name| name.parse::<SubjectName>().unwrap());
        let mut finder = RepeatFinder::new();
        let rows = [Some(&ann), Some(&bob), Some(&ann), None];
        for (index, subject) in (0..).zip(rows) {
            finder.add(&image_of(1), subject, index).unwrap();
        }
        // More than a part keeps in memory.
        for index in 4..400_000 {
            finder.add(&image_of(index), None, index).unwrap();
        }
        finder.add(&image_of(1), Some(&bob), 400_000).unwrap();
        let (Repeats { same, conflicting }, _) = finder.finish(false).unwrap();
        assert_eq!((same.count, conflicting.count), (2, 2));
        assert!(conflicting.contains(1) && conflicting.contains(400_000));
        assert!(same.contains(2) && same.contains(3));
    }
}
