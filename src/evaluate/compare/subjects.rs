//! Whose face an image shows: by the store, or by the operator's labels.

use std::collections::HashMap;
use std::path::Path;

use super::CompareError;
use crate::domain::{ImageUri, SubjectName};
use crate::evaluate::dataset::LabelFile;
use crate::evaluate::labels::{GroundTruth, Labels};
use crate::evaluate::photos::PhotoLocation;
use crate::store::StoredImage;

/// The labels of a comparison: a table of files, subjects and groups.
#[derive(Debug)]
pub struct ComparedLabels {
    /// The file, for errors.
    pub(super) file: String,
    pub(super) labels: Labels,
    rows: HashMap<ImageUri, u32>,
    /// The group columns to compare by.
    pub(super) columns: Vec<usize>,
}

impl ComparedLabels {
    /// Reads the table `path`. Its files are in `folder`, or else next to it. `groups` are names of
    /// its group columns.
    ///
    /// # Errors
    /// If the table cannot be read, has no such column, or names no file that exists.
    pub fn read(
        path: &Path,
        folder: Option<&Path>,
        groups: &[String],
    ) -> Result<Self, CompareError> {
        let file = path.display().to_string();
        let table = LabelFile::read(path)?;
        let GroundTruth::Labels(labels) = &table.truth else {
            return Err(CompareError::PairList(file));
        };
        let column = |name: &String| labels.group_column(Some(name));
        let columns = groups.iter().map(column).collect::<Result<_, _>>();
        let columns =
            columns.map_err(|source| CompareError::Group { file: file.clone(), source })?;
        let mut rows = HashMap::new();
        for (row, location) in (0..).zip(table.locate(folder)?) {
            let image = match location {
                PhotoLocation::File(path) => ImageUri::from_path(&path).ok(),
                PhotoLocation::Remote(image) => Some(image),
                PhotoLocation::Missing(_) => None,
            };
            if let Some(image) = image {
                rows.insert(image, row);
            }
        }
        Ok(Self { file, labels: labels.clone(), rows, columns })
    }

    /// The labels of a table, of which no file is looked for.
    #[cfg(test)]
    pub(super) fn of_table(table: &str, columns: &[usize]) -> Self {
        let (truth, _) = crate::evaluate::labels::read(table.as_bytes()).unwrap();
        let GroundTruth::Labels(labels) = truth else { panic!("a list of pairs") };
        let (file, rows) = ("labels.csv".to_owned(), HashMap::new());
        Self { file, labels, rows, columns: columns.to_vec() }
    }
}

/// Numbers the subjects of images.
#[derive(Debug)]
pub(super) struct SubjectsOf<'a> {
    labels: Option<&'a ComparedLabels>,
    numbers: HashMap<SubjectName, u32>,
    next: u32,
}

/// What is known of an image's subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SubjectOf {
    /// A number for the subject; for an image of which the subject is unknown, one of its own.
    pub unit: u32,
    /// Whether the subject is known.
    pub known: bool,
    /// The image's row in the labels.
    pub label: Option<u32>,
}

impl<'a> SubjectsOf<'a> {
    /// Subjects by these labels, or else by the store.
    pub(super) fn new(labels: Option<&'a ComparedLabels>) -> Self {
        Self { labels, numbers: HashMap::new(), next: 0 }
    }

    /// The subject of an image.
    pub(super) fn of(&mut self, image: &StoredImage) -> SubjectOf {
        let label = self.labels.and_then(|labels| labels.rows.get(&image.image).copied());
        let subject = match self.labels {
            None => image.subject.as_ref(),
            Some(labels) => label.map(|row| &labels.labels.photos[row as usize].subject),
        };
        let next = self.next;
        let unit = match subject {
            None => next,
            Some(subject) => *self.numbers.entry(subject.clone()).or_insert(next),
        };
        self.next += u32::from(unit == next);
        SubjectOf { unit, known: subject.is_some(), label }
    }
}
