//! What the text of a row names: URIs as they are, relative paths beside the list.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use object_store::path::Path as Key;
use url::Url;

use super::row::RowPlace;
use crate::domain::ImageUri;
use crate::images::root::{Bucket, is_location, object, object_url};

/// Longest URI of a row, bytes. With everything else, a job's message has at most twice as many.
const MOST_URI_BYTES: usize = 32_768;

/// The place beside which a list's relative paths are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ListBase {
    /// A folder of this machine: an absolute path.
    Folder(PathBuf),
    /// The URL of a list.
    Url(Url),
}

impl ListBase {
    /// The image that a row names; or why it names none.
    pub(super) fn locate(&self, place: &RowPlace) -> Result<ImageUri, String> {
        let uri = match place {
            RowPlace::Text(text) => self.text(text)?,
            RowPlace::Object { bucket, key } => {
                let bucket = Bucket::s3(bucket).ok_or("its bucket has no valid name")?;
                let key = Key::parse(key).map_err(|_| IMPOSSIBLE_KEY)?;
                of_object(&bucket, &key)?
            }
        };
        if uri.as_str().len() > MOST_URI_BYTES {
            return Err(format!("its URI is longer than {MOST_URI_BYTES} bytes"));
        }
        Ok(uri)
    }

    fn text(&self, text: &[u8]) -> Result<ImageUri, String> {
        match str::from_utf8(text).map(str::trim) {
            Ok("") => Err("it names no image".into()),
            Ok(uri) if is_location(uri) => of_uri(uri),
            _ => self.path(Path::new(OsStr::from_bytes(text))),
        }
    }

    fn path(&self, path: &Path) -> Result<ImageUri, String> {
        if path.as_os_str().as_bytes().contains(&0) {
            return Err("a path has no zero byte".into());
        }
        let folder = match self {
            Self::Folder(folder) => folder,
            Self::Url(url) if path.is_relative() => return beside(url, path),
            Self::Url(_) => Path::new("/"),
        };
        let path = resolved(&folder.join(path));
        ImageUri::from_path(&path).map_err(|error| error.to_string())
    }
}

/// Longest path that Linux resolves, bytes.
const LONGEST_PATH: usize = 4096;

const IMPOSSIBLE_KEY: &str = "its key has an empty, '.' or '..' segment, and cannot be read";

/// The absolute path without links, as a scan of a folder names the file. Of a file that is gone,
/// or on another machine only, the folders that are here are resolved; the rest is as it is
/// written, without `.` and `..`.
pub fn resolved(path: &Path) -> PathBuf {
    let here = |above: &&Path| above.as_os_str().len() <= LONGEST_PATH;
    let known = path
        .ancestors()
        .filter(here)
        .find_map(|above| Some((above.canonicalize().ok()?, path.strip_prefix(above).ok()?)));
    let (mut resolved, rest) = known.unwrap_or((PathBuf::new(), path));
    for component in rest.components() {
        match component {
            Component::ParentDir => drop(resolved.pop()),
            Component::CurDir => {}
            other => resolved.push(other),
        }
    }
    resolved
}

/// The image that a URI names, written as a scan writes it.
///
/// # Errors
/// If it cannot be an image: why.
pub fn of_uri(text: &str) -> Result<ImageUri, String> {
    let uri: ImageUri = text.parse().map_err(|_| "it is not a valid URI".to_owned())?;
    let url = uri.as_url();
    let has_more = url.query().is_some() || url.fragment().is_some();
    match uri.scheme() {
        "file" | "s3" | "gs" | "az" if has_more => {
            Err("a path or key has no query or fragment: write ? as %3F and # as %23".into())
        }
        "file" => {
            let path = uri.to_path().ok_or("it names a file of another machine")?;
            ImageUri::from_path(&resolved(&path)).map_err(|error| error.to_string())
        }
        "s3" | "gs" | "az" => {
            let (bucket, key) = object(url).ok_or(IMPOSSIBLE_KEY)?;
            of_object(&bucket, &key)
        }
        "https" | "http" if !url.username().is_empty() || url.password().is_some() => {
            Err("a URI with a user or password is not fetched".into())
        }
        "https" | "http" | "data" => Ok(uri),
        _ => Err("its scheme is none of file:, s3:, gs:, az:, https:, http: and data:".into()),
    }
}

/// The URI of an object, written as a listing of its bucket writes it.
fn of_object(bucket: &Bucket, key: &Key) -> Result<ImageUri, String> {
    if key.is_root() {
        return Err("it names a bucket, not an object".into());
    }
    let url = object_url(bucket, key).ok_or("its key cannot be written as a URL")?;
    url.as_str().parse().map_err(|_| "its key cannot be written as a URL".to_owned())
}

/// The image at a path beside a list that came from `list`.
fn beside(list: &Url, path: &Path) -> Result<ImageUri, String> {
    let text = path.to_str().ok_or("it is not UTF-8")?;
    let mut url = list.clone();
    url.set_query(None);
    url.set_fragment(None);
    let text: Cow<'_, str> = text.strip_prefix("./").map_or(text.into(), Cow::Borrowed);
    if text.split('/').any(|segment| matches!(segment, "" | "." | "..")) {
        return Err("a path beside a list of a bucket or web server has no '..'".into());
    }
    match url.path_segments_mut() {
        Ok(mut segments) => drop(segments.pop().extend(text.split('/'))),
        Err(()) => return Err("the list has no folder".into()),
    }
    of_uri(url.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn located(base: &ListBase, text: &str) -> Result<String, String> {
        let place = RowPlace::Text(text.as_bytes().to_vec());
        base.locate(&place).map(|uri| uri.as_str().to_owned())
    }

    #[test]
    fn paths_are_beside_the_list_and_uris_are_what_they_are() {
        let folder = ListBase::Folder("/nowhere/lists".into());
        let url = ListBase::Url("s3://faces/lists/a%20b.csv".parse().unwrap());
        for (base, text, expected) in [
            (&folder, "a b.jpg", "file:///nowhere/lists/a%20b.jpg"),
            (&folder, "./x/../../b.jpg", "file:///nowhere/b.jpg"),
            (&folder, "/other/c#d.jpg", "file:///other/c%23d.jpg"),
            (&folder, " s3://faces/a b.jpg ", "s3://faces/a%20b.jpg"),
            (&folder, "s3://faces/%61.jpg", "s3://faces/a.jpg"),
            (&folder, "FILE:///nowhere/x/%2e%2e/a.jpg", "file:///nowhere/a.jpg"),
            (&folder, "https://host/a.jpg?sig=1", "https://host/a.jpg?sig=1"),
            (&folder, "file:///p/a%23b%3Fc.jpg", "file:///p/a%23b%3Fc.jpg"),
            (&folder, "photos:old.jpg", "file:///nowhere/lists/photos:old.jpg"),
            (&url, "x/c?d.jpg", "s3://faces/lists/x/c%3Fd.jpg"),
            (&url, "/photos/a.jpg", "file:///photos/a.jpg"),
        ] {
            assert_eq!(located(base, text), Ok(expected.to_owned()), "{text}");
        }
        for (base, text) in [
            (&folder, "  "),
            (&folder, "ftp://host/a.jpg"),
            (&folder, "s3://faces"),
            (&folder, "s3://faces/a//b.jpg"),
            (&folder, "s3://faces/a.jpg?versionId=1"),
            (&folder, "s3://faces/a#b.jpg"),
            (&folder, "https://user:secret@host/a.jpg"),
            (&folder, "file://other/a.jpg"),
            (&folder, "file:///p/a#b?c.jpg"),
            (&folder, "file:///p/a?b.jpg"),
            (&folder, "a\0.jpg"),
            (&url, "../secret.jpg"),
        ] {
            let error = located(base, text).unwrap_err();
            assert!(!error.contains("secret"), "{error}");
        }
        assert!(located(&folder, &format!("s3://faces/{}", "x".repeat(40_000))).is_err());
        let raw = RowPlace::Text(b"a\xff.jpg".to_vec());
        assert_eq!(folder.locate(&raw).unwrap().as_str(), "file:///nowhere/lists/a%FF.jpg");
    }

    #[test]
    fn a_file_that_is_gone_is_below_the_folder_that_a_link_leads_to() {
        let folder = tempfile::tempdir().unwrap();
        let real = folder.path().canonicalize().unwrap();
        std::fs::create_dir_all(real.join("a/b")).unwrap();
        std::os::unix::fs::symlink("a/b", real.join("link")).unwrap();
        for (written, expected) in [
            ("link/gone.jpg", "a/b/gone.jpg"),
            ("link/../gone.jpg", "a/gone.jpg"),
            ("link/./x/../gone.jpg", "a/b/gone.jpg"),
            ("nowhere/../gone.jpg", "gone.jpg"),
        ] {
            assert_eq!(resolved(&real.join(written)), real.join(expected), "{written}");
        }
        let long = "x/".repeat(20_000) + "a.jpg";
        assert_eq!(resolved(&real.join(&long)), real.join(&long));
    }

    #[test]
    fn a_link_is_the_file_it_leads_to() {
        let folder = tempfile::tempdir().unwrap();
        let real = folder.path().canonicalize().unwrap();
        std::fs::write(real.join("a.jpg"), b"x").unwrap();
        std::os::unix::fs::symlink("a.jpg", real.join("link.jpg")).unwrap();
        let base = ListBase::Folder(folder.path().to_owned());
        let expected = ImageUri::from_path(&real.join("a.jpg")).unwrap();
        assert_eq!(located(&base, "link.jpg"), Ok(expected.as_str().to_owned()));
    }
}
