//! Which images a listing covers, and whether one is gone from its source.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::Listing;
use crate::domain::{ImageUri, UriRoot};
use crate::images::root::{object, object_url};
use crate::images::{FetchError, Root};

/// Whether an image is at its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Presence {
    /// It is there, or may be.
    There,
    /// It is not there.
    Gone,
    /// It is not there, and nothing else is: its file system may not be mounted.
    EmptyFolder,
}

impl Listing {
    /// The places of which it lists all images. None if it cannot tell what is missing there: lists
    /// name what they like.
    pub fn covered(&self) -> Vec<UriRoot> {
        if self.lists.is_some() {
            return Vec::new();
        }
        let uri = |root: &Root| match root {
            Root::Path(path) => ImageUri::from_path(path).ok(),
            Root::Bucket(bucket, key) => object_url(bucket, key)?.as_str().parse().ok(),
            Root::Web(_) | Root::Inline => None,
        };
        self.roots.iter().filter_map(uri).map(|uri| UriRoot::new(&uri)).collect()
    }

    /// Looks whether an image that it did not list is still there: a rule may have left it out, or
    /// it was listed under another name.
    pub async fn presence(&self, image: &ImageUri) -> Presence {
        if let Some(path) = image.to_path() {
            let roots: Vec<PathBuf> =
                self.roots.iter().filter_map(Root::path).map(Path::to_owned).collect();
            let look = tokio::task::spawn_blocking(move || presence_of(&path, &roots));
            return look.await.unwrap_or(Presence::There);
        }
        let Some((bucket, key)) = object(image.as_url()) else { return Presence::There };
        match self.objects.stamp(&bucket, &key).await {
            Err(FetchError::NotFound(_)) => Presence::Gone,
            Ok(_) | Err(_) => Presence::There,
        }
    }
}

fn is_nowhere(path: &Path) -> bool {
    let nowhere = |error: std::io::Error| {
        matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
    };
    path.metadata().err().is_some_and(nowhere)
}

/// Whether a file is there. The mount point of a share is empty while the share is not mounted, so
/// a file is only gone if something is left in the innermost folder above it that is there.
fn presence_of(path: &Path, roots: &[PathBuf]) -> Presence {
    if !is_nowhere(path) {
        return Presence::There;
    }
    let mut above = path.ancestors().skip(1);
    let Some(folder) = above.find(|folder| !is_nowhere(folder)) else { return Presence::There };
    // What is above the roots was not listed.
    if !roots.iter().any(|root| folder.starts_with(root) || root == path) {
        return Presence::There;
    }
    match folder.read_dir().map(|mut entries| entries.next()) {
        Ok(Some(Ok(_))) => Presence::Gone,
        Ok(None) => Presence::EmptyFolder,
        Ok(Some(Err(_))) | Err(_) => Presence::There,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_gone_if_something_is_left_in_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        for name in ["full", "empty"] {
            std::fs::create_dir(root.join(name)).unwrap();
        }
        std::fs::write(root.join("full/a.jpg"), b"a").unwrap();
        std::os::unix::fs::symlink("a.jpg", root.join("full/link.jpg")).unwrap();
        let roots = [root.clone()];
        let presence = |name: &str| presence_of(&root.join(name), &roots);
        for name in ["full/a.jpg", "full/link.jpg"] {
            assert_eq!(presence(name), Presence::There, "{name}");
        }
        for name in ["full/b.jpg", "removed/deep/b.jpg", "full/a.jpg/b.jpg"] {
            let expected = match name {
                "full/a.jpg/b.jpg" => Presence::There,
                _ => Presence::Gone,
            };
            assert_eq!(presence(name), expected, "{name}");
        }
        assert_eq!(presence("empty/b.jpg"), Presence::EmptyFolder);
        let elsewhere = presence_of(&root.join("full/b.jpg"), &[root.join("empty")]);
        assert_eq!(elsewhere, Presence::There, "that is no root");
        let unreadable = presence_of(&root.join("x".repeat(300)), &roots);
        assert_eq!(unreadable, Presence::There, "nobody can tell");
    }
}
