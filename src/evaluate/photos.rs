//! Finds the photos that labels name, however their table spells the names, and lists them for
//! scoring.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ffi::OsString;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use encoding_rs::WINDOWS_1252;
use futures::StreamExt;
use unicode_normalization::UnicodeNormalization;

use super::labels::{GroundTruth, NamedPhoto};
use crate::domain::{ImageUri, LabelledImage};
use crate::images::{Listing, ListingEntry, ListingError, Root};

/// Where a photo is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PhotoLocation {
    /// A file of this machine: its canonical path, with links resolved.
    File(PathBuf),
    /// In a bucket or on a web server.
    Remote(ImageUri),
    /// It is missing, for this reason.
    Missing(String),
}

/// Why the photos of labels cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PhotosError {
    /// Two names lead to one file.
    #[error(
        "{first} and {second} are the same file (lines {first_line} and {second_line}): photos are \
         compared with each other, so name each in one way and in one row"
    )]
    Same {
        /// The name that comes first.
        first: String,
        /// Its line.
        first_line: u64,
        /// The other name.
        second: String,
        /// Its line.
        second_line: u64,
    },
    /// All photos are missing.
    #[error(
        "there is no file {file} in {folder} (line {line}), nor any other of the {count} named \
         files; give the folder of the photos with --images"
    )]
    None {
        /// The first file.
        file: String,
        /// Its line.
        line: u64,
        /// The folder that was searched.
        folder: String,
        /// Number of named files.
        count: usize,
    },
}

/// Finds the photos of `truth`, in its order. Names are relative to `folder`. `assumed` is the
/// encoding of the labels where that was guessed.
///
/// # Errors
/// If all photos are missing, or two names lead to one file.
pub fn locate(
    truth: &GroundTruth,
    assumed: Option<&str>,
    folder: &Path,
) -> Result<Vec<PhotoLocation>, PhotosError> {
    let photos = truth.photos();
    let locations: Vec<PhotoLocation> =
        photos.iter().map(|photo| location(folder, photo.file, assumed)).collect();
    let mut found: HashMap<&PhotoLocation, &NamedPhoto<'_>> =
        HashMap::with_capacity(locations.len());
    let is_found = |location: &&PhotoLocation| !matches!(location, PhotoLocation::Missing(_));
    for (location, second) in locations.iter().zip(&photos).filter(|(at, _)| is_found(at)) {
        if let Some(first) = found.insert(location, second) {
            return Err(PhotosError::Same {
                first: first.file.to_owned(),
                first_line: first.line,
                second: second.file.to_owned(),
                second_line: second.line,
            });
        }
    }
    match photos.first() {
        Some(photo) if found.is_empty() => Err(PhotosError::None {
            file: photo.file.to_owned(),
            line: photo.line,
            folder: folder.display().to_string(),
            count: photos.len(),
        }),
        _ => Ok(locations),
    }
}

/// The photos of `truth` with their current versions, in its order; or why one is missing.
/// `listing` makes a listing of one file.
///
/// # Errors
/// If a listing cannot be made.
pub async fn list<E: From<ListingError>>(
    truth: &GroundTruth,
    locations: &[PhotoLocation],
    listing: impl Fn(Root) -> Result<Listing, E>,
) -> Result<Vec<Result<LabelledImage, String>>, E> {
    let mut photos = Vec::with_capacity(locations.len());
    for (named, location) in truth.photos().into_iter().zip(locations) {
        let subject = named.subject.cloned();
        photos.push(match location {
            PhotoLocation::Missing(reason) => Err(reason.clone()),
            PhotoLocation::Remote(image) => {
                Ok(LabelledImage { subject, ..LabelledImage::new(image.clone(), None) })
            }
            PhotoLocation::File(path) => {
                match listing(Root::Path(path.clone()))?.entries(None)?.next().await {
                    Some(Ok(ListingEntry::Image { image, .. })) => {
                        Ok(LabelledImage { subject, ..image })
                    }
                    Some(Ok(ListingEntry::Failed(error)) | Err(error)) => Err(error.to_string()),
                    Some(Ok(_)) | None => Err("it is not an image file".to_owned()),
                }
            }
        });
    }
    Ok(photos)
}

/// The roots that the photos may be read from: the files themselves and nothing else.
pub fn roots(photos: &[LabelledImage]) -> Vec<Root> {
    photos.iter().filter_map(|photo| photo.image.to_path()).map(Root::Path).collect()
}

fn location(folder: &Path, name: &str, assumed: Option<&str>) -> PhotoLocation {
    if let Some(location) = of_uri(name) {
        return location;
    }
    let mut missing =
        PhotoLocation::Missing(format!("there is no such file in {}", folder.display()));
    for (number, spelling) in spellings(name, assumed).into_iter().enumerate() {
        match of_path(&folder.join(spelling)) {
            PhotoLocation::Missing(reason) if number == 0 && reason != ABSENT => {
                missing = PhotoLocation::Missing(reason)
            }
            PhotoLocation::Missing(_) => {}
            found => return found,
        }
    }
    missing
}

const ABSENT: &str = "there is no such file";

fn of_path(path: &Path) -> PhotoLocation {
    let failed = |error: std::io::Error| match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => PhotoLocation::Missing(ABSENT.to_owned()),
        ErrorKind::PermissionDenied => {
            PhotoLocation::Missing("permission to read it is denied".to_owned())
        }
        _ => PhotoLocation::Missing(error.to_string()),
    };
    let found = path.canonicalize().and_then(|path| Ok((path.metadata()?, path)));
    match found {
        Ok((metadata, path)) if metadata.is_file() => PhotoLocation::File(path),
        Ok(_) => PhotoLocation::Missing("it is not a file".to_owned()),
        Err(error) => failed(error),
    }
}

/// The location of a URI with a scheme that images are fetched by; none if `name` is a path.
fn of_uri(name: &str) -> Option<PhotoLocation> {
    let (scheme, _) = name.split_once(':')?;
    let scheme = scheme.to_ascii_lowercase();
    if !matches!(scheme.as_str(), "file" | "s3" | "gs" | "az" | "https" | "http") {
        return None;
    }
    let uri: ImageUri = match name.parse() {
        Ok(uri) => uri,
        Err(error) => return Some(PhotoLocation::Missing(error.to_string())),
    };
    if scheme != "file" {
        return Some(PhotoLocation::Remote(uri));
    }
    Some(uri.to_path().map_or_else(
        || PhotoLocation::Missing("it is a file on another machine".to_owned()),
        |path| of_path(&path),
    ))
}

/// The names that the file `name` of a table may have on disk:
///
/// - as it is written;
/// - with the path separators of this system instead of those of Windows;
/// - with an accented letter as one character or as two, because systems differ in this;
/// - in the table's own encoding;
/// - without the folder whose name the file's name begins with: copies of LFW come with such
///   folders and without them (`Ann/Ann_0001.jpg`).
fn spellings(name: &str, assumed: Option<&str>) -> Vec<OsString> {
    let mut spellings: Vec<OsString> = vec![name.into()];
    let mut add = |spelling: OsString| {
        if !spellings.contains(&spelling) {
            spellings.push(spelling);
        }
    };
    let slashes =
        if name.contains('\\') { Cow::Owned(name.replace('\\', "/")) } else { Cow::Borrowed(name) };
    for name in [name, &slashes] {
        add(name.into());
        if !name.is_ascii() {
            add(name.nfc().collect::<String>().into());
            add(name.nfd().collect::<String>().into());
            if assumed.is_some() {
                add(OsString::from_vec(WINDOWS_1252.encode(name).0.into_owned()));
            }
        }
    }
    if let Some((folder, file)) = slashes.rsplit_once('/')
        && file.strip_prefix(folder).is_some_and(|rest| rest.starts_with('_'))
    {
        add(file.into());
    }
    spellings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::labels;

    fn located(folder: &Path, files: &[&str]) -> Result<Vec<PhotoLocation>, PhotosError> {
        let rows = files.iter().enumerate().map(|(number, file)| format!("{file}\ts{number}\n"));
        let table = format!("file\tsubject\n{}", rows.collect::<String>());
        let (truth, assumed) = labels::read(table.as_bytes()).unwrap();
        locate(&truth, assumed, folder)
    }

    #[test]
    fn a_photo_is_found_however_its_table_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        std::fs::create_dir_all(root.join("tables/sub")).unwrap();
        for name in [
            "a.jpg",
            "tables/b c.jpg",
            "tables/sub/c.jpg",
            "tables/Ann_0001.jpg",
            "tables/Rene\u{301}.jpg",
        ] {
            std::fs::write(root.join(name), b"x").unwrap();
        }
        std::os::unix::fs::symlink(root.join("a.jpg"), root.join("tables/link.jpg")).unwrap();
        let uri = ImageUri::from_path(&root.join("tables/b c.jpg")).unwrap();
        for (name, file) in [
            ("../a.jpg", "a.jpg"),
            ("..\\a.jpg", "a.jpg"),
            ("link.jpg", "a.jpg"),
            (root.join("a.jpg").to_str().unwrap(), "a.jpg"),
            ("./b c.jpg", "tables/b c.jpg"),
            (uri.as_str(), "tables/b c.jpg"),
            ("sub\\c.jpg", "tables/sub/c.jpg"),
            ("Ann/Ann_0001.jpg", "tables/Ann_0001.jpg"),
            ("Ren\u{e9}.jpg", "tables/Rene\u{301}.jpg"),
        ] {
            assert_eq!(
                located(&root.join("tables"), &[name]).unwrap(),
                [PhotoLocation::File(root.join(file))],
                "{name}"
            );
        }
        let elsewhere = located(&root, &["s3://faces/a.jpg"]).unwrap();
        assert_eq!(elsewhere, [PhotoLocation::Remote("s3://faces/a.jpg".parse().unwrap())]);
    }

    #[test]
    fn a_name_in_the_tables_encoding_is_found_too() {
        let folder = tempfile::tempdir().unwrap();
        let path =
            folder.path().canonicalize().unwrap().join(OsString::from_vec(b"Ren\xe9.jpg".to_vec()));
        std::fs::write(&path, b"x").unwrap();
        let (truth, assumed) = labels::read(b"file,subject\nRen\xe9.jpg,Ann\n").unwrap();
        let found = locate(&truth, assumed, folder.path()).unwrap();
        assert_eq!(found, [PhotoLocation::File(path)]);
    }

    #[test]
    fn a_photo_that_is_not_there_is_left_out_unless_none_is() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.jpg"), b"x").unwrap();
        let places = located(folder.path(), &["a.jpg", "b.jpg", "."]).unwrap();
        let PhotoLocation::Missing(absent) = &places[1] else { panic!("{places:?}") };
        assert!(
            absent.contains("no such file") && absent.contains(folder.path().to_str().unwrap()),
            "{absent}"
        );
        assert_eq!(places[2], PhotoLocation::Missing("it is not a file".into()));
        let error = located(folder.path(), &["b.jpg", "c.jpg"]).unwrap_err().to_string();
        assert!(
            error.contains("no file b.jpg")
                && error.contains("(line 2)")
                && error.contains("--images"),
            "{error}"
        );
    }

    #[test]
    fn two_names_of_one_file_are_told_with_their_lines() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.jpg"), b"x").unwrap();
        std::os::unix::fs::symlink("a.jpg", folder.path().join("link.jpg")).unwrap();
        for other in ["./a.jpg", "link.jpg"] {
            let error = located(folder.path(), &["a.jpg", other]).unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("a.jpg and {other} are the same file (lines 2 and 3)")),
                "{error}"
            );
        }
    }
}
