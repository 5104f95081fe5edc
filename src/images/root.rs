//! Roots: the places that an operator names, to scan them or to allow fetching from them.
//!
//! A root covers the names below it by whole path segments: `s3://faces/2024` covers
//! `s3://faces/2024/a.jpg` and not `s3://faces/2024-old/a.jpg`. For folders, [`super::FileSource`]
//! decides: it resolves links first.

use std::borrow::Cow;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use object_store::path::Path as Key;
use percent_encoding::percent_decode_str;
use url::{Host, Url};

use crate::domain::ImageUri;

/// An invalid root, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidRoot(String);

/// A place that contains images.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Root {
    /// A local folder, or a single file.
    Path(PathBuf),
    /// A bucket, or the objects below a key in it.
    Bucket(Bucket, Key),
    /// A web server, or a path on it.
    Web(WebRoot),
    /// Images whose bytes are in their URI (`data:`).
    Inline,
}

/// A bucket or container of an object store.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Bucket {
    pub(super) cloud: Cloud,
    pub(super) name: String,
}

impl Bucket {
    /// The S3 bucket of this name; `None` if no bucket can have it.
    pub(super) fn s3(name: &str) -> Option<Self> {
        let url = Url::parse(&format!("s3://{name}")).ok()?;
        object(&url).map(|(bucket, _)| bucket).filter(|bucket| bucket.name == name)
    }
}

/// The protocol of a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Cloud {
    S3,
    Google,
    Azure,
}

impl Cloud {
    fn of_scheme(scheme: &str) -> Option<Self> {
        match scheme {
            "s3" => Some(Self::S3),
            "gs" => Some(Self::Google),
            "az" => Some(Self::Azure),
            _ => None,
        }
    }

    fn scheme(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::Google => "gs",
            Self::Azure => "az",
        }
    }
}

/// A web server, or a path on it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct WebRoot {
    /// The normalised URL, without query and fragment.
    url: Url,
}

impl FromStr for Root {
    type Err = InvalidRoot;

    /// Parses `s3://bucket/prefix`, `gs:`, `az:`, `https://host:port/prefix`, `http:`, `file:` and
    /// `data:`. Any other text is a path.
    fn from_str(text: &str) -> Result<Self, InvalidRoot> {
        let invalid =
            |reason: &str| InvalidRoot(format!("'{}' {reason}", location_for_people(text)));
        let Some((scheme, _)) =
            text.split_once(':').filter(|(scheme, rest)| is_scheme(scheme) && is_url(scheme, rest))
        else {
            return if text.is_empty() {
                Err(invalid("is empty: name a folder, a file or a URL"))
            } else {
                Ok(Self::Path(text.into()))
            };
        };
        let scheme = scheme.to_ascii_lowercase();
        if scheme == "data" {
            return if text.len() == "data:".len() {
                Ok(Self::Inline)
            } else {
                Err(invalid("names a single inline image: use 'data:' to allow all of them"))
            };
        }
        let url =
            Url::parse(text).map_err(|error| invalid(&format!("is not a valid URL: {error}")))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(invalid(
                "contains credentials: remove them and put them into the environment",
            ));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(invalid("has a query or a fragment: remove it"));
        }
        match scheme.as_str() {
            "file" => url
                .to_file_path()
                .map(Self::Path)
                .map_err(|()| invalid("is not a path on this machine")),
            "https" | "http" => Ok(Self::Web(WebRoot { url })),
            _ => match object(&url) {
                Some((bucket, key)) => Ok(Self::Bucket(bucket, key)),
                None => Err(invalid(
                    "is not a supported location: use a path, s3:, gs:, az:, https:, \
                     http: or data:",
                )),
            },
        }
    }
}

impl TryFrom<OsString> for Root {
    type Error = InvalidRoot;

    /// As [`Root::from_str`]. A text that is not UTF-8 can only be a path.
    fn try_from(text: OsString) -> Result<Self, InvalidRoot> {
        text.into_string().map_or_else(|path| Ok(Self::Path(path.into())), |text| text.parse())
    }
}

impl Root {
    /// How a campaign names it: a file or a folder by its whole path, as the URIs of its images
    /// do. An erasure finds a file by it.
    pub fn recorded(&self) -> String {
        let whole = match self {
            Self::Path(path) => path.canonicalize().or_else(|_| std::path::absolute(path)).ok(),
            _ => None,
        };
        whole.map_or_else(|| self.to_string(), |path| path.display().to_string())
    }
}

impl fmt::Display for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => write!(f, "{}", path.display()),
            Self::Bucket(bucket, key) if key.is_root() => write!(f, "{bucket}"),
            Self::Bucket(bucket, key) => write!(f, "{bucket}/{key}"),
            Self::Web(WebRoot { url }) => write!(f, "{url}"),
            Self::Inline => f.write_str("data:"),
        }
    }
}

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.cloud.scheme(), self.name)
    }
}

impl Root {
    /// The path of a local root.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Path(path) => Some(path),
            _ => None,
        }
    }

    /// Whether a URL is below this root. Always false for a path: see [`super::FileSource`].
    pub(super) fn covers(&self, url: &Url) -> bool {
        match self {
            Self::Path(_) => false,
            Self::Bucket(bucket, prefix) => object(url)
                .is_some_and(|(other, key)| *bucket == other && key.prefix_match(prefix).is_some()),
            Self::Web(root) => root.covers(url),
            Self::Inline => url.scheme() == "data",
        }
    }
}

impl WebRoot {
    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    /// Whether it names a single image: its path does not end with a slash.
    pub(super) fn is_single(&self) -> bool {
        !self.url.path().ends_with('/')
    }

    /// The image of this URL.
    pub(super) fn uri(&self) -> Option<ImageUri> {
        self.url.as_str().parse().ok()
    }

    fn covers(&self, url: &Url) -> bool {
        let origin = |url: &Url| {
            (
                url.scheme().to_owned(),
                url.host().map(|host| host.to_owned()),
                url.port_or_known_default(),
            )
        };
        if origin(&self.url) != origin(url) {
            return false;
        }
        let prefix = segments(self.url.path());
        if prefix.is_empty() {
            return true;
        }
        // Servers differ in how often they decode a path and in which characters they treat as a
        // slash. So the path must be below the root both as written and fully decoded.
        let written = segments(url.path());
        let (Some(decoded), Some(decoded_prefix)) = (decoded(url.path()), decoded(self.url.path()))
        else {
            return false;
        };
        let climbs =
            decoded.iter().any(|segment| matches!(segment.split(';').next(), Some("." | "..")));
        written.starts_with(&prefix) && decoded.starts_with(&decoded_prefix) && !climbs
    }
}

/// The bucket and the key that a URL names; `None` if the URL does not name an object of a store,
/// or the key is invalid in all stores.
pub(super) fn object(url: &Url) -> Option<(Bucket, Key)> {
    let cloud = Cloud::of_scheme(url.scheme())?;
    let name = match url.host()? {
        Host::Domain(name) if !name.is_empty() && url.port().is_none() => name.to_owned(),
        _ => return None,
    };
    let strange = |c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_'));
    if name.contains(strange)
        || !url.username().is_empty()
        || url.password().is_some()
        || url.query().is_some()
    {
        return None;
    }
    // Decode once. What is still encoded then is part of the key.
    Some((Bucket { cloud, name }, Key::from_url_path(url.path()).ok()?))
}

/// The URL of an object.
pub(super) fn object_url(bucket: &Bucket, key: &Key) -> Option<Url> {
    let mut url = Url::parse(&bucket.to_string()).ok()?;
    url.path_segments_mut().ok()?.extend(key.as_ref().split('/'));
    Some(url)
}

fn segments(path: &str) -> Vec<&str> {
    let path = path.strip_prefix('/').unwrap_or(path);
    let path = path.strip_suffix('/').unwrap_or(path);
    if path.is_empty() { Vec::new() } else { path.split('/').collect() }
}

/// The segments of a path that is decoded until it no longer changes; `None` if that takes more
/// than 4 rounds or the result is not UTF-8.
fn decoded(path: &str) -> Option<Vec<String>> {
    let mut path = path.to_owned();
    for _ in 0..4 {
        let once = percent_decode_str(&path).decode_utf8().ok()?.into_owned();
        if once == path {
            return Some(
                segments(&path.replace('\\', "/")).into_iter().map(str::to_owned).collect(),
            );
        }
        path = once;
    }
    None
}

/// Whether a text is a URI and not a path.
pub fn is_location(text: &str) -> bool {
    text.split_once(':').is_some_and(|(scheme, rest)| is_scheme(scheme) && is_url(scheme, rest))
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
}

/// Tells the file name `photos:old` from URLs. `ftp://host` is a URL, and is refused later.
fn is_url(scheme: &str, rest: &str) -> bool {
    let known = ["file", "data", "s3", "gs", "az", "https", "http"];
    rest.starts_with("//") || known.contains(&scheme.to_ascii_lowercase().as_str())
}

/// A text that may be a URI, for messages: without user, password, query, fragment and inline
/// bytes, even if it is not valid. A path is as it is.
pub fn location_for_people(text: &str) -> Cow<'_, str> {
    if !is_location(text) {
        return text.into();
    }
    let (scheme, rest) = text.split_once(':').unwrap_or_default();
    if scheme.eq_ignore_ascii_case("data") {
        return if rest.is_empty() { text.into() } else { "data:…".into() };
    }
    // A password may contain any character, also those that end it in a valid URI.
    let shown = rest.rsplit_once('@').map(|(_, host)| format!("//…@{host}"));
    let shown = shown.as_deref().unwrap_or(rest);
    let shown = shown.split(['?', '#']).next().unwrap_or_default();
    format!("{scheme}:{shown}").into()
}

#[cfg(test)]
mod tests;
