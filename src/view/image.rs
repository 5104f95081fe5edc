//! How images are named, and how one of a scan ended.

use std::path::Path;

use serde::Serialize;

use crate::domain::{ImageUri, OutcomeEvent, OutcomeKind};

/// How a local file is named in JSON, which cannot hold bytes that are not UTF-8.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FileNames {
    /// As the user wrote it; bytes that are not UTF-8 are replaced.
    pub image: String,
    /// Exactly, as a `file:` URI; null if the name makes no URI.
    pub uri: Option<ImageUri>,
}

impl FileNames {
    /// The names of the file at `path`.
    pub fn new(path: &Path) -> Self {
        let whole = path.canonicalize().or_else(|_| std::path::absolute(path));
        let uri = whole.ok().and_then(|path| ImageUri::from_path(&path).ok());
        Self { image: path.to_string_lossy().into_owned(), uri }
    }
}

/// An image of a scan that ended: a line of `scan --json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EndedImageView {
    /// The image as people read it: a path where there is one.
    pub image: String,
    /// The image's URI, exactly.
    pub uri: String,
    /// How it ended.
    pub outcome: OutcomeKind,
    /// Why; null if it is scored or has no face.
    pub reason: Option<String>,
    /// Number of faces recorded.
    pub faces: u32,
    /// Quality of the primary face, 0 to 100.
    pub quality: Option<u8>,
}

impl From<&OutcomeEvent> for EndedImageView {
    fn from(event: &OutcomeEvent) -> Self {
        Self {
            image: event.image.to_string(),
            uri: event.image.without_secrets().as_str().to_owned(),
            outcome: event.end.outcome,
            reason: event.end.reason.clone(),
            faces: event.end.faces,
            quality: event.end.quality,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn a_name_that_is_not_utf_8_is_exact_in_its_uri() {
        let names = FileNames::new(Path::new(OsStr::from_bytes(b"/nowhere/a\xff.jpg")));
        assert_eq!(names.image, "/nowhere/a\u{fffd}.jpg");
        assert_eq!(names.uri.unwrap().as_str(), "file:///nowhere/a%FF.jpg");
    }
}
