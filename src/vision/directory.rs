//! Reads the directories of TIFF files and Exif blocks (TIFF 6.0, section 2; BigTIFF). All bounds
//! are checked: a corrupt directory has no entries, or entries without values.

/// Most entries of one directory: a corrupt count must not make us read the whole file as entries.
const MOST_ENTRIES: u64 = 4096;

/// Most values of one entry: each takes more memory than in the file. No real image has 4,000,000
/// strips or tiles.
const MOST_VALUES: u64 = 1 << 22;

/// One directory of a TIFF structure.
#[derive(Debug)]
pub struct Directory<'a> {
    bytes: &'a [u8],
    format: NumberFormat,
    entries: Vec<DirectoryEntry>,
}

#[derive(Debug, Clone, Copy)]
struct NumberFormat {
    big_endian: bool,
    /// BigTIFF: 64-bit counts and offsets.
    wide: bool,
}

#[derive(Debug)]
struct DirectoryEntry {
    tag: u16,
    kind: u16,
    count: u64,
    /// Offset of the entry's values in the file.
    at: u64,
}

impl DirectoryEntry {
    /// Bytes of one value; `None` for an unknown type.
    fn width(&self) -> Option<u64> {
        width(self.kind)
    }
}

/// Bytes of one value of the type `kind`; `None` for an unknown type.
fn width(kind: u16) -> Option<u64> {
    Some(match kind {
        1 | 2 | 6 | 7 => 1,
        3 | 8 => 2,
        4 | 9 | 11 | 13 => 4,
        5 | 10 | 12 | 16..=18 => 8,
        _ => return None,
    })
}

impl NumberFormat {
    fn number(self, bytes: &[u8]) -> u64 {
        let add = |sum: u64, byte: &u8| sum << 8 | u64::from(*byte);
        if self.big_endian { bytes.iter().fold(0, add) } else { bytes.iter().rev().fold(0, add) }
    }

    /// Reads `length` bytes at `at` as a number.
    fn read(self, bytes: &[u8], at: u64, length: u64) -> Option<u64> {
        Some(self.number(part(bytes, at, length)?))
    }
}

fn part(bytes: &[u8], at: u64, length: u64) -> Option<&[u8]> {
    bytes.get(usize::try_from(at).ok()?..usize::try_from(at.checked_add(length)?).ok()?)
}

impl<'a> Directory<'a> {
    /// The first directory of a TIFF file or an Exif block, if it exists.
    pub fn first(bytes: &'a [u8]) -> Option<Self> {
        let big_endian = match bytes.get(..2)? {
            b"II" => false,
            b"MM" => true,
            _ => return None,
        };
        let magic = NumberFormat { big_endian, wide: false }.read(bytes, 2, 2)?;
        let format = NumberFormat { big_endian, wide: magic == 43 };
        let offset = match magic {
            42 => format.read(bytes, 4, 4)?,
            43 if format.read(bytes, 4, 2)? == 8 => format.read(bytes, 8, 8)?,
            _ => return None,
        };
        Self::read(bytes, format, offset)
    }

    fn read(bytes: &'a [u8], format: NumberFormat, offset: u64) -> Option<Self> {
        let (counter, long) = if format.wide { (8, 8) } else { (2, 4) };
        let count = format.read(bytes, offset, counter)?.min(MOST_ENTRIES);
        let entry = |number: u64| {
            let at = offset.checked_add(counter + number * (4 + 2 * long))?;
            let (tag, kind) =
                (format.read(bytes, at, 2)? as u16, format.read(bytes, at + 2, 2)? as u16);
            let values = at + 4 + long;
            let count = format.read(bytes, at + 4, long)?;
            let fits = width(kind)
                .and_then(|width| width.checked_mul(count))
                .is_some_and(|length| length <= long);
            let at = if fits { values } else { format.read(bytes, values, long)? };
            Some(DirectoryEntry { tag, kind, count, at })
        };
        // A truncated directory keeps the entries before the cut.
        let entries = (0..count).map_while(entry).collect();
        Some(Self { bytes, format, entries })
    }

    /// Whether numbers are stored with the most significant byte first.
    pub fn is_big_endian(&self) -> bool {
        self.format.big_endian
    }

    /// The directories that `tag` points to, at most 16.
    pub fn below(&self, tag: u16) -> Vec<Self> {
        let offsets = self.numbers(tag).unwrap_or_default();
        offsets
            .into_iter()
            .take(16)
            .filter_map(|offset| Self::read(self.bytes, self.format, offset))
            .collect()
    }

    /// Whether the directory has an entry with this tag.
    pub fn has(&self, tag: u16) -> bool {
        self.find(tag).is_some()
    }

    /// The number of values that an entry claims, up to the limit on values; 0 if the entry is
    /// missing.
    pub fn count(&self, tag: u16) -> u64 {
        self.find(tag).map_or(0, |entry| entry.count.min(MOST_VALUES))
    }

    fn find(&self, tag: u16) -> Option<&DirectoryEntry> {
        self.entries.iter().find(|entry| entry.tag == tag)
    }

    /// The bytes of an entry's values, as stored in the file.
    pub fn raw(&self, tag: u16) -> Option<&'a [u8]> {
        let entry = self.find(tag)?;
        part(self.bytes, entry.at, entry.width()?.checked_mul(entry.count)?)
    }

    /// The values of an entry of whole numbers of any width. `None` if the entry is missing, has
    /// another type or too many values, or its values are outside the file.
    pub fn numbers(&self, tag: u16) -> Option<Vec<u64>> {
        Some(self.whole_numbers(tag)?.collect())
    }

    /// The first value of an entry of whole numbers.
    pub fn number(&self, tag: u16) -> Option<u64> {
        self.whole_numbers(tag)?.next()
    }

    fn whole_numbers(&self, tag: u16) -> Option<impl Iterator<Item = u64>> {
        let entry = self.find(tag)?;
        // Types of bytes, whole numbers and directory offsets.
        if !matches!(entry.kind, 1 | 3 | 4 | 6 | 7 | 8 | 9 | 13 | 16..=18)
            || entry.count > MOST_VALUES
        {
            return None;
        }
        let (width, format) = (entry.width()? as usize, self.format);
        Some(self.raw(tag)?.chunks_exact(width).map(move |value| format.number(value)))
    }

    /// The values of an entry of fractions.
    pub fn fractions(&self, tag: u16) -> Option<Vec<f64>> {
        let entry = self.find(tag)?;
        let parts = |value: &[u8]| {
            (self.format.number(&value[..4]) as u32, self.format.number(&value[4..]) as u32)
        };
        let values = self.raw(tag)?.chunks_exact(8);
        match entry.kind {
            5 => Some(
                values.map(parts).map(|(over, under)| f64::from(over) / f64::from(under)).collect(),
            ),
            10 => Some(
                values
                    .map(parts)
                    .map(|(over, under)| f64::from(over as i32) / f64::from(under as i32))
                    .collect(),
            ),
            _ => None,
        }
    }

    /// `length` bytes of the file.
    pub fn part(&self, at: u64, length: u64) -> Option<&'a [u8]> {
        part(self.bytes, at, length)
    }

    /// The file from offset `at` to its end; empty if the file is shorter.
    pub fn after(&self, at: u64) -> &'a [u8] {
        usize::try_from(at).ok().and_then(|at| self.bytes.get(at..)).unwrap_or_default()
    }
}
