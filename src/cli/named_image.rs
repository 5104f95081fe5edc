//! An image as a user names it.

use std::ffi::OsString;
use std::path::Path;

use clap::builder::{OsStringValueParser, TypedValueParser};

use crate::domain::{ImageId, ImageUri, InvalidName};
use crate::images::{Root, is_location, of_uri, resolved};
use crate::store::ImageKey;

/// An image as a user names it: a path, a URI, or, where the command says so, the id of a stored
/// image.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct NamedImage {
    /// How the image may be stored. A path that leads over links has two URIs.
    pub(super) key: ImageKey,
    /// What the name itself allows to read: the image. None for an id.
    pub(super) root: Option<Root>,
}

impl NamedImage {
    /// Parses a path or a URI.
    pub(super) fn parser() -> impl TypedValueParser<Value = Self> {
        OsStringValueParser::new().try_map(Self::path_or_uri)
    }

    /// Parses a path, a URI or an id.
    pub(super) fn parser_with_ids() -> impl TypedValueParser<Value = Self> {
        OsStringValueParser::new().try_map(|text| {
            let id = text.to_str().and_then(|text| text.parse::<ImageId>().ok());
            match id {
                Some(id) => Ok(Self { key: ImageKey::Id(id), root: None }),
                None => Self::path_or_uri(text),
            }
        })
    }

    fn path_or_uri(text: OsString) -> Result<Self, String> {
        match text.into_string() {
            Ok(text) if is_location(&text) => {
                let written: ImageUri =
                    text.parse().map_err(|error: InvalidName| error.to_string())?;
                // What scans and lists write, and what a job may have named.
                let mut uris: Vec<ImageUri> = of_uri(&text).into_iter().collect();
                if !uris.contains(&written) {
                    uris.push(written);
                }
                // An inline image and a signed URL are no root.
                let root = text.parse().ok();
                Ok(Self { key: ImageKey::Uris(uris), root })
            }
            Ok(text) => Self::path(text.as_ref()),
            Err(text) => Self::path(text.as_ref()),
        }
    }

    fn path(path: &Path) -> Result<Self, String> {
        let written = match std::path::absolute(path) {
            Ok(path) => path,
            Err(error) => return Err(format!("it names no file: {error}")),
        };
        // A scan stores the path without links, a job the one that it names.
        let mut uris = Vec::new();
        for whole in [resolved(&written), written] {
            let uri = ImageUri::from_path(&whole).map_err(|error| error.to_string())?;
            if !uris.contains(&uri) {
                uris.push(uri);
            }
        }
        Ok(Self { key: ImageKey::Uris(uris), root: Some(Root::Path(path.to_owned())) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uris(text: &str) -> Vec<String> {
        let ImageKey::Uris(uris) = NamedImage::path_or_uri(text.into()).unwrap().key else {
            panic!("{text} is an id")
        };
        uris.iter().map(|uri| uri.as_str().to_owned()).collect()
    }

    #[test]
    fn paths_and_uris_are_told_apart() {
        assert_eq!(uris("s3://bucket/a.jpg"), ["s3://bucket/a.jpg"]);
        assert_eq!(uris("file:///a%20b.jpg"), ["file:///a%20b.jpg"]);
        assert_eq!(uris("/gone/a b.jpg"), ["file:///gone/a%20b.jpg"]);
        assert_eq!(uris("/gone/photos:old.jpg"), ["file:///gone/photos:old.jpg"]);
    }

    #[test]
    fn a_name_is_written_as_scans_write_it_first() {
        let folder = tempfile::tempdir().unwrap();
        let real = folder.path().canonicalize().unwrap();
        std::fs::create_dir_all(real.join("a b/c")).unwrap();
        std::os::unix::fs::symlink("a b/c", real.join("link")).unwrap();
        let real = real.to_str().unwrap();
        for (written, expected) in [
            ("s3://bucket/%61.jpg".to_owned(), "s3://bucket/a.jpg".to_owned()),
            (format!("file://{real}/a%20%62/c.jpg"), format!("file://{real}/a%20b/c.jpg")),
            (format!("file://{real}/link/c.jpg"), format!("file://{real}/a%20b/c/c.jpg")),
            (format!("{real}/link/../gone.jpg"), format!("file://{real}/a%20b/gone.jpg")),
            (format!("{real}/link/gone.jpg"), format!("file://{real}/a%20b/c/gone.jpg")),
        ] {
            assert_eq!(uris(&written)[0], expected, "{written}");
        }
        assert!(NamedImage::path_or_uri("".into()).is_err(), "an unset variable is no image");
    }

    #[test]
    fn a_path_over_a_link_has_two_uris() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().canonicalize().unwrap().join("a.jpg");
        std::fs::write(&file, b"x").unwrap();
        let link = folder.path().join("b.jpg");
        std::os::unix::fs::symlink(&file, &link).unwrap();
        let found = uris(link.to_str().unwrap());
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].ends_with("/a.jpg") && found[1].ends_with("/b.jpg"), "{found:?}");
    }
}
