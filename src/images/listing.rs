//! The images below some folders, lazily: a gallery of millions is never held in memory.

use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use walkdir::{DirEntry, WalkDir};

use crate::domain::{ImageUri, SourceStamp};

/// File name endings of images, lower case. What else lies in a folder is counted and left alone.
const ENDINGS: [&str; 9] = ["jpg", "jpeg", "jpe", "png", "webp", "bmp", "tif", "tiff", "gif"];

/// Something that could not be listed, and why.
#[derive(Debug, thiserror::Error)]
#[error("cannot list {path}: {reason}")]
pub struct ListingError {
    /// What.
    pub path: PathBuf,
    /// Why.
    pub reason: String,
}

/// One entry of a listing.
#[derive(Debug)]
pub enum Listed {
    /// An image file.
    Image(ImageUri, SourceStamp),
    /// A file whose name is no image's.
    Other,
    /// A folder or file that could not be looked at.
    Error(ListingError),
}

/// An iterator over everything below some folders. Links are not followed: they may lead out of the folder or in circles.
pub struct Listing {
    roots: std::vec::IntoIter<PathBuf>,
    current: Option<walkdir::IntoIter>,
}

impl Listing {
    /// Lists `roots`, folders or single files, in that order.
    ///
    /// # Errors
    /// If one does not exist.
    pub fn new(roots: &[PathBuf]) -> Result<Self, ListingError> {
        let absolute =
            |root: &PathBuf| root.canonicalize().map_err(|error| ListingError { path: root.clone(), reason: error.to_string() });
        let roots: Vec<PathBuf> = roots.iter().map(absolute).collect::<Result<_, _>>()?;
        Ok(Self { roots: roots.into_iter(), current: None })
    }
}

impl Iterator for Listing {
    type Item = Listed;

    fn next(&mut self) -> Option<Listed> {
        loop {
            let Some(walk) = &mut self.current else {
                self.current = Some(WalkDir::new(self.roots.next()?).into_iter());
                continue;
            };
            match walk.next() {
                None => self.current = None,
                Some(Ok(entry)) if entry.file_type().is_dir() => {}
                Some(Ok(entry)) => return Some(listed(&entry)),
                Some(Err(error)) => {
                    let path = error.path().unwrap_or(Path::new("?")).to_owned();
                    let reason = error.io_error().map_or_else(|| error.to_string(), ToString::to_string);
                    return Some(Listed::Error(ListingError { path, reason }));
                }
            }
        }
    }
}

fn listed(entry: &DirEntry) -> Listed {
    let path = entry.path();
    let ending = path.extension().and_then(|ending| ending.to_str()).map(str::to_ascii_lowercase);
    // A file that was named itself is meant, whatever its ending.
    let wanted = entry.depth() == 0 || ending.is_some_and(|ending| ENDINGS.contains(&ending.as_str()));
    let is_image = entry.file_type().is_file() && wanted;
    if !is_image {
        return Listed::Other;
    }
    let failed = |reason: String| Listed::Error(ListingError { path: path.to_owned(), reason });
    let metadata = match entry.metadata() {
        Ok(metadata) => metadata,
        Err(error) => return failed(error.to_string()),
    };
    let modified = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
    let stamp = SourceStamp(format!("{}-{}", metadata.len(), modified.as_nanos()));
    match ImageUri::from_path(path) {
        Ok(uri) => Listed::Image(uri, stamp),
        Err(error) => failed(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_found_at_any_depth_and_the_rest_is_counted() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("a/b")).unwrap();
        for name in ["x.jpg", "a/y.PNG", "a/b/z.jpeg", "a/notes.txt", "a/b/noending"] {
            std::fs::write(folder.path().join(name), b"x").unwrap();
        }
        std::os::unix::fs::symlink(folder.path(), folder.path().join("a/circle")).unwrap();
        let listing = Listing::new(&[folder.path().to_owned(), folder.path().join("x.jpg")]).unwrap();
        let (mut images, mut others) = (Vec::new(), 0);
        for listed in listing {
            match listed {
                Listed::Image(uri, stamp) => {
                    assert!(stamp.0.starts_with("1-"), "{stamp:?}");
                    images.push(uri.to_path().unwrap().file_name().unwrap().to_str().unwrap().to_owned());
                }
                Listed::Other => others += 1,
                Listed::Error(error) => panic!("{error}"),
            }
        }
        images.sort();
        assert_eq!(images, ["x.jpg", "x.jpg", "y.PNG", "z.jpeg"]);
        assert_eq!(others, 3);
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error_at_once() {
        let error = Listing::new(&["/nowhere/at/all".into()]).err().unwrap();
        assert!(error.to_string().contains("/nowhere/at/all"));
    }
}
