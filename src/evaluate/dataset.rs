//! The photos that the user names for an evaluation: a file of labels or of pairs, or a gallery.

use std::path::{Path, PathBuf};

use super::labels::{self, GroundTruth, GroupError, LabelError, OtherColumns, OtherMeasures};
use super::pairs::PairError;
use super::photos::{self, PhotoLocation, PhotosError};
use crate::domain::GalleryName;

/// Why a data set cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DatasetError {
    /// A file cannot be read.
    #[error("Failed to read {path}: {source}")]
    Read {
        /// Its path.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// A file is not a table of labels or measures, or a list of pairs.
    #[error("{path}: {source}")]
    Invalid {
        /// Its path.
        path: String,
        /// What is wrong, and where.
        source: LabelError,
    },
    /// The photos of a file cannot be used.
    #[error("{path}: {source}")]
    Photos {
        /// Its path.
        path: String,
        /// Why.
        source: PhotosError,
    },
    /// The pairs of a file give no error rates.
    #[error("{path}: {source}")]
    Pairs {
        /// Its path.
        path: String,
        /// Why.
        source: PairError,
    },
    /// The name is neither that of a file nor that of a gallery.
    #[error("'{0}' is neither a file nor the name of a gallery")]
    Unknown(String),
    /// The data set has no groups.
    #[error("'{0}' is {1}: groups come from a table file,subject,group…")]
    NoGroups(String, &'static str),
    /// The group column is missing.
    #[error(transparent)]
    Group(#[from] GroupError),
}

/// The photos of an evaluation, and what is known of them.
#[derive(Debug)]
pub enum Dataset {
    /// A file of labels or of pairs.
    File(LabelFile),
    /// The images of a gallery that have subjects.
    Gallery(GalleryName),
}

/// A file of labels or of pairs.
#[derive(Debug)]
pub struct LabelFile {
    path: PathBuf,
    /// What it says.
    pub truth: GroundTruth,
    /// Its encoding, where that was guessed.
    assumed: Option<&'static str>,
}

impl Dataset {
    /// Reads the file `name` if there is one. Otherwise, `name` is that of a gallery.
    ///
    /// # Errors
    /// If the file cannot be read or used, or `name` is neither a file nor the name of a gallery.
    pub fn open(name: &str) -> Result<Self, DatasetError> {
        let path = Path::new(name);
        if path.is_file() {
            return LabelFile::read(path).map(Self::File);
        }
        name.parse().map(Self::Gallery).map_err(|_| DatasetError::Unknown(name.to_owned()))
    }

    /// The index, among the groups of the data set, of the column `wanted`, or of the first one
    /// that does not just number the rows.
    ///
    /// # Errors
    /// If the data set has no such column.
    pub fn group_column(&self, wanted: Option<&str>) -> Result<usize, DatasetError> {
        let no_groups = |name: &dyn ToString, what| DatasetError::NoGroups(name.to_string(), what);
        match self {
            Self::Gallery(gallery) => Err(no_groups(gallery, "not a file")),
            Self::File(LabelFile { path, truth: GroundTruth::Pairs(_), .. }) => {
                Err(no_groups(&path.display(), "a list of pairs"))
            }
            Self::File(LabelFile { truth: GroundTruth::Labels(labels), .. }) => {
                Ok(labels.group_column(wanted)?)
            }
        }
    }
}

impl LabelFile {
    /// Reads the file `path`.
    ///
    /// # Errors
    /// If it cannot be read, or is neither a table of labels nor a list of pairs.
    pub fn read(path: &Path) -> Result<Self, DatasetError> {
        let bytes = read_file(path)?;
        let (truth, assumed) = labels::read(&bytes).map_err(|source| invalid(path, source))?;
        if let Some(encoding) = assumed {
            tracing::warn!(
                "{} is not UTF-8: read as {encoding}; if names come out wrong, save it as UTF-8",
                path.display()
            );
        }
        Ok(Self { path: path.to_owned(), truth, assumed })
    }

    /// Where the photos are: in `folder`, or else next to this file.
    ///
    /// # Errors
    /// If the labels have no mated or no non-mated pair, no photo exists, or two names are one
    /// file.
    pub fn locate(&self, folder: Option<&Path>) -> Result<Vec<PhotoLocation>, DatasetError> {
        let path = || self.path.display().to_string();
        self.truth.check().map_err(|source| DatasetError::Pairs { path: path(), source })?;
        let next_to = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.or(next_to).unwrap_or(Path::new("."));
        photos::locate(&self.truth, self.assumed, folder)
            .map_err(|source| DatasetError::Photos { path: path(), source })
    }
}

/// Reads the `columns` of another tool's table.
///
/// # Errors
/// If the file cannot be read, or is not such a table.
pub fn read_other_measures(
    path: &Path,
    columns: &OtherColumns,
) -> Result<OtherMeasures, DatasetError> {
    OtherMeasures::read(&read_file(path)?, columns).map_err(|source| invalid(path, source))
}

fn read_file(path: &Path) -> Result<Vec<u8>, DatasetError> {
    let failed = |source| DatasetError::Read { path: path.display().to_string(), source };
    std::fs::read(path).map_err(failed)
}

fn invalid(path: &Path, source: LabelError) -> DatasetError {
    DatasetError::Invalid { path: path.display().to_string(), source }
}
