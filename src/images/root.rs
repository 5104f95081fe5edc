//! Roots: the places that an operator names, to scan them or to allow fetching from them.
//!
//! A root covers the names below it by whole path segments: `s3://faces/2024` covers
//! `s3://faces/2024/a.jpg` and not `s3://faces/2024-old/a.jpg`. For folders, [`super::FileSource`]
//! decides: it resolves links first.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use object_store::path::Path as Key;
use percent_encoding::percent_decode_str;
use url::{Host, Url};

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
        let invalid = |reason: &str| InvalidRoot(format!("'{}' {reason}", without_query(text)));
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

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
}

/// Tells the file name `photos:old` from URLs. `ftp://host` is a URL, and is refused later.
fn is_url(scheme: &str, rest: &str) -> bool {
    let known = ["file", "data", "s3", "gs", "az", "https", "http"];
    rest.starts_with("//") || known.contains(&scheme.to_ascii_lowercase().as_str())
}

fn without_query(text: &str) -> &str {
    let text = text.split(['?', '#']).next().unwrap_or_default();
    // The text before an @ may be a password.
    text.rsplit_once('@').map_or(text, |(_, rest)| rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(text: &str) -> Root {
        text.parse().unwrap()
    }

    fn covers(root: &str, url: &str) -> bool {
        self::root(root).covers(&url.parse().unwrap())
    }

    #[test]
    fn roots_are_read_from_paths_and_urls() {
        assert_eq!(root("photos/a b"), Root::Path("photos/a b".into()));
        assert_eq!(root("photos:old"), Root::Path("photos:old".into()));
        assert_eq!(root("file:/photos/a%20b"), Root::Path("/photos/a b".into()));
        assert_eq!(root("data:"), Root::Inline);
        for (text, shown) in [
            ("s3://faces", "s3://faces"),
            ("s3://faces/", "s3://faces"),
            ("gs://faces/a/b/", "gs://faces/a/b"),
            ("az://faces/a b", "az://faces/a b"),
            ("HTTPS://Host.Example:443/a/", "https://host.example/a/"),
        ] {
            assert_eq!(root(text).to_string(), shown);
        }
        for bad in [
            "",
            "ftp://host/a",
            "s3:",
            "s3://",
            "s3://faces:80/a",
            "s3://faces/a//b",
            "s3://key@faces/a",
            "https://host/a?x=1",
            "data:image/png;base64,AAAA",
        ] {
            assert!(bad.parse::<Root>().is_err(), "{bad}");
        }
        let error = "https://user:secret@host/a?token=secret".parse::<Root>().unwrap_err();
        assert!(!error.to_string().contains("secret"), "{error}");
    }

    #[test]
    fn a_bucket_root_covers_whole_segments_of_keys() {
        assert!(covers("s3://bucket/pre", "s3://bucket/pre/a.jpg"));
        assert!(covers("s3://bucket/pre", "s3://bucket/pre"));
        assert!(covers("s3://bucket", "s3://bucket/any/a.jpg"));
        assert!(covers("s3://bucket/a b", "s3://bucket/a%20b/c.jpg"));
        for outside in [
            "s3://bucket/prefix2/a.jpg",
            "s3://bucket/prefix2",
            "s3://bucket/pre/../secret/a.jpg",
            "s3://bucket/pre/%2e%2e/secret/a.jpg",
            "s3://bucket/pre/%2E./secret/a.jpg",
            "s3://bucket/pre%2f..%2fsecret/a.jpg",
            "s3://bucket/pre//a.jpg",
            "s3://bucket2/pre/a.jpg",
            "s3://bucket:9000/pre/a.jpg",
            "s3://key:secret@bucket/pre/a.jpg",
            "gs://bucket/pre/a.jpg",
        ] {
            assert!(!covers("s3://bucket/pre", outside), "{outside}");
        }
        // Encoded twice, this is an ordinary key that contains `%2e%2e`.
        assert!(covers("s3://bucket/pre", "s3://bucket/pre/%252e%252e/a.jpg"));
    }

    #[test]
    fn a_web_root_covers_its_origin_and_whole_segments_however_encoded() {
        let root = "https://host.example/img/faces";
        for inside in [
            "https://host.example/img/faces/a.jpg?sig=1",
            "https://HOST.example:443/img/faces/a%20b.jpg",
        ] {
            assert!(covers(root, inside), "{inside}");
        }
        for outside in [
            "http://host.example/img/faces/a.jpg",
            "https://host.example:8443/img/faces/a.jpg",
            "https://host.example.evil/img/faces/a.jpg",
            "https://evil/img/faces/a.jpg",
            "https://host.example/img/faces2/a.jpg",
            "https://host.example/img/faces/../secret.jpg",
            "https://host.example/img/faces/%2e%2e/secret.jpg",
            "https://host.example/img/faces/%252e%252e/secret.jpg",
            "https://host.example/img/faces/..%2fsecret.jpg",
            "https://host.example/img/faces/..%5csecret.jpg",
            "https://host.example/img/faces/..;/secret.jpg",
            "https://host.example/img%2ffaces/a.jpg",
            "https://host.example/img/faces/%25252525252e/a.jpg",
        ] {
            assert!(!covers(root, outside), "{outside}");
        }
        assert!(covers("http://host.example", "http://host.example/any/%2e%2e/a.jpg"));
    }

    #[test]
    fn a_key_survives_a_round_trip_through_a_url() {
        let bucket = Bucket { cloud: Cloud::S3, name: "faces".into() };
        for key in ["a.jpg", "a b/ü+%2e?#\\\"<>.jpg", "%2e%2e/a.jpg", "...", "a/b/c d/~'()*!.jpg"]
        {
            let key = Key::parse(key).unwrap();
            let url = object_url(&bucket, &key).unwrap();
            let again: Url = url.as_str().parse().unwrap();
            assert_eq!(object(&again), Some((bucket.clone(), key)), "{url}");
        }
    }
}
