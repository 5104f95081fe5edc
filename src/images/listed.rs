//! What a listing gives: the images, and everything else that was met, with the reason why it is
//! not listed as one.

use std::path::{Path, PathBuf};

use crate::domain::{ImageUri, SourceStamp};

/// Something that could not be listed, and why.
#[derive(Debug, Clone, thiserror::Error)]
#[error("cannot list {what}: {reason}")]
pub struct ListingError {
    /// A path, or a bucket and what lies below a key in it.
    pub what: String,
    /// Why.
    pub reason: String,
}

/// One entry of a listing.
#[derive(Debug)]
pub enum Listed {
    /// An image.
    Image {
        /// Where it is.
        uri: ImageUri,
        /// The version that was listed.
        stamp: SourceStamp,
        /// Where in the listing it stands: a listing that is taken up after this place goes on with
        /// the next entry. None in folders.
        place: Option<String>,
    },
    /// Something that is not listed as an image.
    Other(Other),
    /// A folder or file that could not be looked at.
    Unlisted(ListingError),
}

/// Something that was met and is not listed as an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Other {
    /// Its path or URL, as people read it.
    pub name: String,
    /// Exactly where it is; none if its name makes no URI.
    pub uri: Option<ImageUri>,
    /// Why it is not listed.
    pub why: Why,
}

/// Why something is not listed as an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// Neither its ending nor its first bytes are an image's. The ending as files are counted by
    /// it: `.txt`, or `without ending`.
    NoImage(String),
    /// A pipe, a socket or a device.
    NoFile,
    /// A rule leaves it out.
    Rule {
        /// The rule: a name such as `@eaDir`, an option with its glob, or `.facefleetignore`.
        rule: String,
        /// Whether it is a folder, of which nothing was looked at.
        folder: bool,
    },
    /// A link to something below the roots: that is listed by its own path, once, however many
    /// links lead to it.
    LinkInside,
    /// A link to something outside the roots, which is not followed.
    LinkOutside(PathBuf),
    /// A link that leads nowhere, or to itself.
    LinkBroken,
}

impl Other {
    pub(super) fn file(path: &Path, why: Why) -> Self {
        Self { name: path.display().to_string(), uri: ImageUri::from_path(path).ok(), why }
    }
}

/// A name's ending as files are counted by it: `.txt` in lower case, or `without ending`.
pub(super) fn ending_of(name: &Path) -> String {
    match name.extension() {
        Some(ending) if !ending.is_empty() => {
            format!(".{}", ending.to_string_lossy().to_lowercase())
        }
        _ => "without ending".to_owned(),
    }
}
