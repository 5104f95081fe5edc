//! Where the photos of labels are: as their table names them, however that was written.

use std::borrow::Cow;
use std::collections::HashMap;
use std::ffi::OsString;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use encoding_rs::WINDOWS_1252;
use unicode_normalization::UnicodeNormalization;

use super::labels::Reading;
use crate::domain::ImageUri;

/// Where a photo is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PhotoLocation {
    /// A file of this machine: its canonical path, links resolved.
    File(PathBuf),
    /// Elsewhere.
    Elsewhere(ImageUri),
    /// It is not there, and why.
    Missing(String),
}

/// Why the photos of labels cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PhotosError {
    /// Two names of one file.
    #[error(
        "{first} and {second} are the same file (lines {first_line} and {second_line}): a photo is \
            compared with others, so name it in \
         one way and in one row"
    )]
    Same {
        /// The name that comes first.
        first: String,
        /// Its line.
        first_line: u64,
        /// The other.
        second: String,
        /// Its line.
        second_line: u64,
    },
    /// No photo is there.
    #[error(
        "there is no file {file} in {folder} (line {line}), nor any other of the {count} that are \
            named; --images names the folder that the photos are in"
    )]
    None {
        /// The first.
        file: String,
        /// Its line.
        line: u64,
        /// Where it was looked for.
        folder: String,
        /// Files that are named.
        count: usize,
    },
}

/// Finds the photos that `labels` name, in their order. Names are relative to `folder`.
///
/// # Errors
/// If none is there, or two names lead to one file.
pub fn locate(labels: &Reading, folder: &Path) -> Result<Vec<PhotoLocation>, PhotosError> {
    let files = labels.known.files();
    let places: Vec<PhotoLocation> =
        files.iter().map(|(file, ..)| place(folder, file, labels.assumed)).collect();
    let mut found = HashMap::with_capacity(places.len());
    for (place, (file, line, _)) in
        places.iter().zip(&files).filter(|(place, _)| !matches!(place, PhotoLocation::Missing(_)))
    {
        if let Some((first, first_line)) = found.insert(place, (*file, *line)) {
            let (first, second) = (first.to_owned(), (*file).to_owned());
            return Err(PhotosError::Same { first, first_line, second, second_line: *line });
        }
    }
    match files.first() {
        Some((file, line, _)) if found.is_empty() => Err(PhotosError::None {
            file: (*file).to_owned(),
            line: *line,
            folder: folder.display().to_string(),
            count: files.len(),
        }),
        _ => Ok(places),
    }
}

fn place(folder: &Path, name: &str, assumed: Option<&str>) -> PhotoLocation {
    if let Some(place) = of_uri(name) {
        return place;
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
        Ok(_) => PhotoLocation::Missing("it is no file".to_owned()),
        Err(error) => failed(error),
    }
}

/// A URI of a kind that images are fetched from; all else is a path.
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
        return Some(PhotoLocation::Elsewhere(uri));
    }
    Some(uri.to_path().map_or_else(
        || PhotoLocation::Missing("it is a file of another machine".to_owned()),
        |path| of_path(&path),
    ))
}

/// What a file may be called that a table names so: as it is written; with the separators of this
/// system instead of those of Windows; with letters and their accents as one character or as two,
/// in which systems differ; in the table's own encoding; and without a folder that its name begins
/// with, as copies of LFW come in folders and without (`Ann/Ann_0001.jpg`).
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
        locate(&labels::read(table.as_bytes()).unwrap(), folder)
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
        assert_eq!(elsewhere, [PhotoLocation::Elsewhere("s3://faces/a.jpg".parse().unwrap())]);
    }

    #[test]
    fn a_name_in_the_tables_encoding_is_found_too() {
        let folder = tempfile::tempdir().unwrap();
        let path =
            folder.path().canonicalize().unwrap().join(OsString::from_vec(b"Ren\xe9.jpg".to_vec()));
        std::fs::write(&path, b"x").unwrap();
        let labels = labels::read(b"file,subject\nRen\xe9.jpg,Ann\n").unwrap();
        assert_eq!(locate(&labels, folder.path()).unwrap(), [PhotoLocation::File(path)]);
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
        assert_eq!(places[2], PhotoLocation::Missing("it is no file".into()));
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
