//! Templates as they are stored, many at a time.

use std::time::Duration;

use half::f16;

use super::fault::Fault;
use super::rows::{TemplateRow, corrupt};
use crate::domain::SubjectName;

/// Templates of a batch: 1 MiB of 128 components.
const BATCH: usize = 4096;
/// Bits of a key for the face's index.
const INDEX_BITS: u32 = 16;

/// Which template: that of a face of a result. Ordered by result, then by face.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TemplateKey(u64);

impl TemplateKey {
    /// The template of the face `index` of the result `cursor`, a
    /// [`StoredImage::cursor`](super::StoredImage::cursor). None beyond 2^48 results or 65,535
    /// faces.
    pub fn new(cursor: i64, index: u32) -> Option<Self> {
        let cursor =
            u64::try_from(cursor).ok().filter(|cursor| cursor >> (64 - INDEX_BITS) == 0)?;
        let index = u64::from(u16::try_from(index).ok()?);
        Some(Self(cursor << INDEX_BITS | index))
    }

    /// The [`StoredImage::cursor`](super::StoredImage::cursor) of the result.
    pub fn cursor(self) -> i64 {
        (self.0 >> INDEX_BITS).cast_signed()
    }

    /// The index of the face; 0 is the primary face.
    pub fn index(self) -> u32 {
        (self.0 & ((1 << INDEX_BITS) - 1)) as u32
    }
}

/// Which templates a search compares with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Searched {
    /// Those of all faces of the current results.
    Faces,
    /// Those of the primary faces of the active references, also of bytes that were superseded at
    /// their URI.
    References,
}

/// Of which templates the stamps are.
#[derive(Debug, Clone, Copy)]
pub enum StampsOf<'a> {
    /// All.
    All,
    /// Those of the results with these [`StoredImage::cursor`](super::StoredImage::cursor)s, which
    /// are all different.
    Results(&'a [i64]),
    /// Those of the references that became active within this time before now, by the store's
    /// clock. Faces have no such time, so none of theirs.
    Lately(Duration),
}

/// A template as whoever keeps a copy of it knows it. `Debug` does not show the subject's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateStamp {
    /// Whose it is.
    pub key: TemplateKey,
    /// When its result was recorded, in units of the store: if the result is replaced, the key
    /// stays and this changes.
    pub recorded: i64,
    /// The subject that it stands for, of references alone.
    pub subject: Option<SubjectName>,
}

/// Some templates of a gallery under one profile.
#[derive(Clone, Default, PartialEq)]
pub struct TemplateBatch {
    /// How many templates come in all batches, about.
    pub expected: u64,
    /// Whose they are.
    pub keys: Vec<TemplateKey>,
    /// Their components, one template after the other, all of the same number.
    pub halves: Vec<f16>,
}

impl std::fmt::Debug for TemplateBatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TemplateBatch({} of {})", self.keys.len(), self.expected)
    }
}

/// Collects rows to batches.
pub(super) struct TemplateBatches {
    batch: TemplateBatch,
    dimension: Option<usize>,
}

impl TemplateBatches {
    pub(super) fn new(expected: usize) -> Self {
        let expected = expected as u64;
        Self { batch: TemplateBatch { expected, ..TemplateBatch::default() }, dimension: None }
    }

    /// Adds a row. Returns the batch if it is full.
    pub(super) fn push(&mut self, row: TemplateRow) -> Result<Option<TemplateBatch>, Fault> {
        let (key, halves) = row.template()?;
        let dimension = *self.dimension.get_or_insert(halves.len());
        if halves.len() != dimension {
            let found = halves.len();
            let error = format!("templates of {dimension} and {found} components in one profile");
            return Err(corrupt(error));
        }
        self.batch.keys.push(key);
        self.batch.halves.extend(halves);
        Ok((self.batch.keys.len() >= BATCH).then(|| self.take()))
    }

    /// What is left.
    pub(super) fn rest(mut self) -> Option<TemplateBatch> {
        (!self.batch.keys.is_empty()).then(|| self.take())
    }

    fn take(&mut self) -> TemplateBatch {
        let expected = self.batch.expected;
        std::mem::replace(&mut self.batch, TemplateBatch { expected, ..TemplateBatch::default() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_its_result_and_its_face() {
        let largest = (1 << 48) - 1;
        for (cursor, index) in [(1, 0), (7, 3), (largest, 65_535)] {
            let key = TemplateKey::new(cursor, index).unwrap();
            assert_eq!((key.cursor(), key.index()), (cursor, index));
        }
        for (cursor, index) in [(-1, 0), (largest + 1, 0), (1, 65_536)] {
            assert_eq!(TemplateKey::new(cursor, index), None);
        }
        assert!(TemplateKey::new(1, 9) < TemplateKey::new(2, 0));
    }
}
