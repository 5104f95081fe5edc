//! An image as a user names it.

use std::ffi::OsString;
use std::path::Path;

use clap::builder::{OsStringValueParser, TypedValueParser};

use crate::domain::{ImageId, ImageUri, InvalidName};
use crate::images::Root;
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

    fn path_or_uri(text: OsString) -> Result<Self, InvalidName> {
        let schemes = ["file:", "data:", "s3:", "gs:", "az:", "https:", "http:"];
        let lower = text.to_string_lossy().to_ascii_lowercase();
        let is_uri =
            lower.contains("://") || schemes.iter().any(|scheme| lower.starts_with(scheme));
        match text.into_string() {
            Ok(text) if is_uri => {
                let uri: ImageUri = text.parse()?;
                // An inline image and a signed URL are no root.
                let root = text.parse().ok();
                Ok(Self { key: ImageKey::Uris(vec![uri]), root })
            }
            Ok(text) => Self::path(text.as_ref()),
            Err(text) => Self::path(text.as_ref()),
        }
    }

    fn path(path: &Path) -> Result<Self, InvalidName> {
        // A scan stores the canonical path. The file may be gone.
        let mut uris = Vec::new();
        for whole in [path.canonicalize(), std::path::absolute(path)].into_iter().flatten() {
            let uri = ImageUri::from_path(&whole)?;
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
