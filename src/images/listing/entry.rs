//! Entries of a listing: images, and everything else that was found, with the reason why it is not
//! listed as an image.

use std::path::{Path, PathBuf};

use crate::domain::{ImageUri, LabelledImage};

/// A file, folder, object or bucket that could not be listed, and why.
#[derive(Debug, Clone, thiserror::Error)]
#[error("cannot list {what}: {reason}")]
pub struct ListingError {
    /// A path, or a bucket with a key.
    pub what: String,
    /// Why.
    pub reason: String,
}

/// One entry of a listing.
#[derive(Debug)]
pub enum ListingEntry {
    /// An image.
    Image {
        /// It, with its version, and with what a list says of it.
        image: LabelledImage,
        /// Its position in the listing. A listing that resumes after this position continues with
        /// the next entry. `None` in folders.
        position: Option<String>,
    },
    /// A file, object or folder that is not listed as an image.
    NotListed(NotListed),
    /// A folder or file that could not be read.
    Failed(ListingError),
}

/// A file, object or folder that was found and is not listed as an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotListed {
    /// Its path or URL, for people.
    pub name: String,
    /// Its URI; `None` if its name cannot be a URI.
    pub uri: Option<ImageUri>,
    /// The reason.
    pub reason: NotListedReason,
}

/// Why a file, object or folder is not listed as an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotListedReason {
    /// Neither the ending nor the first bytes are those of an image. Holds the ending under which
    /// files are counted: `.txt`, or `without ending`.
    NotAnImage(String),
    /// A pipe, a socket or a device.
    SpecialFile,
    /// A rule leaves the entry out.
    Rule {
        /// The rule: a name such as `@eaDir`, an option with its glob, or `.facefleetignore`.
        rule: String,
        /// Whether the entry is a folder. Its content is not read.
        folder: bool,
    },
    /// A link to a file or folder below the roots. The target is listed under its own path, once,
    /// for any number of links.
    LinkInside,
    /// A link to a file or folder outside the roots. It is not followed.
    LinkOutside(PathBuf),
    /// A link whose target does not exist, or that leads to itself.
    LinkBroken,
    /// A row of a list that names the image of an earlier row, or an image below a root that a row
    /// names, too. The other row lists it.
    Repeated,
    /// A root below which there is nothing.
    EmptyRoot,
}

impl NotListedReason {
    /// Whether an option of the command leaves the entry out.
    pub fn is_option(&self) -> bool {
        matches!(self, Self::Rule { rule, .. } if rule.starts_with("--"))
    }
}

impl NotListed {
    pub(in crate::images) fn file(path: &Path, reason: NotListedReason) -> Self {
        Self { name: path.display().to_string(), uri: ImageUri::from_path(path).ok(), reason }
    }
}

/// The ending under which a file is counted: `.txt` in lower case, or `without ending`.
pub(in crate::images) fn ending_of(name: &Path) -> String {
    match name.extension() {
        Some(ending) if !ending.is_empty() => {
            format!(".{}", ending.to_string_lossy().to_lowercase())
        }
        _ => "without ending".to_owned(),
    }
}
