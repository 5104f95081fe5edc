//! Identity of an image: its URI, its version, the hash of its bytes, its gallery and its subject.

use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;
use url::Url;

/// An invalid name or text, and why.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct InvalidName(String);

impl InvalidName {
    pub(super) fn new(reason: &str) -> Self {
        Self(reason.to_owned())
    }
}

/// The location of an image's bytes: an absolute URL.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ImageUri(Url);

impl ImageUri {
    /// The `file:` URI of an absolute path. Bytes that are not UTF-8 are percent-encoded.
    ///
    /// # Errors
    /// If the path is not absolute.
    pub fn from_path(path: &Path) -> Result<Self, InvalidName> {
        Url::from_file_path(path)
            .map(Self)
            .map_err(|()| InvalidName(format!("{} is not an absolute path", path.display())))
    }

    /// The scheme in lower case, without the colon.
    pub fn scheme(&self) -> &str {
        self.0.scheme()
    }

    /// The local path of a `file:` URI. `None` for other schemes and for a URI that names another
    /// host.
    pub fn to_path(&self) -> Option<PathBuf> {
        (self.0.scheme() == "file").then(|| self.0.to_file_path().ok()).flatten()
    }

    /// The URI as a URL with its parts.
    pub fn as_url(&self) -> &Url {
        &self.0
    }

    /// The URI without user, password, query and fragment, and without the bytes of an inline image
    /// (`data:`). Show this form to people who may see the name of an image but not read its bytes.
    pub fn without_secrets(&self) -> Self {
        let mut bare = self.0.clone();
        bare.set_query(None);
        bare.set_fragment(None);
        if bare.cannot_be_a_base() {
            bare.set_path(",");
        }
        // This fails only for URIs without a host, which have no user and no password.
        bare.set_username("").and_then(|()| bare.set_password(None)).ok();
        Self(bare)
    }

    /// The text of [`Self::without_secrets`], without a copy if there is no secret.
    pub fn shown(&self) -> Cow<'_, str> {
        let url = &self.0;
        let bare = url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none()
            && !url.cannot_be_a_base();
        if bare { url.as_str().into() } else { String::from(self.without_secrets().0).into() }
    }

    /// The image for people: the path of a local file, with bytes that are not UTF-8 replaced; the
    /// URI [without secrets](Self::without_secrets) of any other image.
    pub fn for_people(&self) -> String {
        match self.to_path() {
            Some(path) => path.to_string_lossy().into_owned(),
            None => self.shown().into_owned(),
        }
    }

    /// The complete URI, as it is stored. It may contain a signed query: do not log it; log the
    /// [`fmt::Display`] form.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl FromStr for ImageUri {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        Url::parse(text)
            .map(Self)
            .map_err(|error| InvalidName(format!("not an absolute image URI: {error}")))
    }
}

impl TryFrom<String> for ImageUri {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, InvalidName> {
        text.parse()
    }
}

impl From<ImageUri> for String {
    fn from(uri: ImageUri) -> Self {
        uri.0.into()
    }
}

/// The form for people and logs: the path of a local file; any other URI without password and
/// query.
impl fmt::Display for ImageUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(path) = self.to_path() {
            return write!(f, "{}", path.display());
        }
        if self.0.scheme() == "data" {
            return f.write_str("data:…");
        }
        let host = self.0.host_str().unwrap_or_default();
        let port = self.0.port().map(|port| format!(":{port}")).unwrap_or_default();
        write!(f, "{}://{host}{port}{}", self.0.scheme(), self.0.path())
    }
}

impl fmt::Debug for ImageUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ImageUri({self})")
    }
}

/// Identifies the version of an image without reading its bytes: size and modification time of a
/// file, `ETag` of an object. If the stamp is the same, the image need not be fetched again.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SourceStamp(String);

impl SourceStamp {
    /// Longest stamp, bytes. An `ETag` has about a hundred.
    pub const MOST_BYTES: usize = 1024;

    /// The stamp of an image of `bytes` that was last changed at `time`, in any unit that its
    /// source uses.
    pub fn of(bytes: u64, time: impl fmt::Display) -> Self {
        Self(format!("{bytes}-{time}"))
    }

    /// The text of the stamp, for comparison and storage.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SourceStamp {
    type Err = InvalidName;

    /// Parses 1 to [`Self::MOST_BYTES`] bytes of text without control characters.
    fn from_str(text: &str) -> Result<Self, InvalidName> {
        if text.is_empty() || text.len() > Self::MOST_BYTES || text.contains(char::is_control) {
            return Err(InvalidName(format!(
                "a stamp is 1 to {} bytes, none of them a control character",
                Self::MOST_BYTES
            )));
        }
        Ok(Self(text.to_owned()))
    }
}

/// The BLAKE3 hash of an image's bytes; 64 hex digits as text.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ContentHash(pub [u8; 32]);

impl ContentHash {
    /// Hashes the bytes of an image.
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&blake3::Hash::from_bytes(self.0).to_hex())
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ContentHash({self})")
    }
}

impl FromStr for ContentHash {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let hash = blake3::Hash::from_hex(text)
            .map_err(|_| InvalidName("a content hash is the 64 hex digits of a BLAKE3".into()))?;
        Ok(Self(*hash.as_bytes()))
    }
}

impl TryFrom<String> for ContentHash {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, InvalidName> {
        text.parse()
    }
}

impl From<ContentHash> for String {
    fn from(hash: ContentHash) -> Self {
        hash.to_string()
    }
}

/// The person that an image shows, as the operator names people: 1 to 200 characters, none of them
/// a control character, without spaces around them. In Unicode's composed form (NFC), so that a
/// name is the same from every keyboard and file system. It may be the name of a person, so it is
/// stored and never logged.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct SubjectName(String);

impl SubjectName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SubjectName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let is_clean = !text.chars().any(char::is_control);
        let text = text.trim();
        if text.is_empty() || text.chars().count() > 200 || !is_clean {
            return Err(InvalidName(
                "a subject is 1 to 200 characters, none of them a control character".into(),
            ));
        }
        Ok(Self(text.nfc().collect()))
    }
}

impl TryFrom<String> for SubjectName {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, InvalidName> {
        text.parse()
    }
}

impl From<SubjectName> for String {
    fn from(name: SubjectName) -> Self {
        name.0
    }
}

impl fmt::Debug for SubjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SubjectName")
    }
}

/// The name of a gallery: 1 to 100 letters, digits, `.`, `_` and `-`, which are safe in routing
/// keys, file names and URLs.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct GalleryName(String);

impl GalleryName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for GalleryName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        if text.is_empty() || text.len() > 100 || !text.chars().all(allowed) {
            return Err(InvalidName(
                "a gallery's name is 1 to 100 letters, digits, '.', '_' and '-'".into(),
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for GalleryName {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, InvalidName> {
        text.parse()
    }
}

impl From<GalleryName> for String {
    fn from(name: GalleryName) -> Self {
        name.0
    }
}

impl fmt::Display for GalleryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_survives_a_round_trip_through_a_uri() {
        let path = Path::new("/a b/ü%20#?.jpg");
        let uri = ImageUri::from_path(path).unwrap();
        assert_eq!(uri.to_path().unwrap(), path);
        assert_eq!(uri.as_str().parse::<ImageUri>().unwrap(), uri);
    }

    #[test]
    fn a_composed_and_a_decomposed_name_are_one_person() {
        let [composed, decomposed]: [SubjectName; 2] =
            ["J\u{fc}rgen", " Ju\u{308}rgen "].map(|name| name.parse().unwrap());
        assert_eq!(composed, decomposed);
        assert_eq!(decomposed.as_str(), "J\u{fc}rgen");
    }

    #[test]
    fn passwords_queries_and_inline_bytes_are_not_shown() {
        let signed: ImageUri = "https://user:secret@host:8443/a.jpg?signature=abc".parse().unwrap();
        assert_eq!(signed.to_string(), "https://host:8443/a.jpg");
        assert!(!format!("{signed:?}").contains("abc"));
        let inline: ImageUri = "data:image/png;base64,AAAA".parse().unwrap();
        assert_eq!(inline.to_string(), "data:…");
        assert_eq!(signed.without_secrets().as_str(), "https://host:8443/a.jpg");
        assert_eq!(inline.without_secrets().as_str(), "data:,");
        let file: ImageUri = "file:///photos/a%20b.jpg".parse().unwrap();
        assert_eq!(file.without_secrets(), file);
        let texts =
            ["https://a:b@host/c.jpg", "https://:b@host/c", "https://a@host/", "s3://b/c#d"];
        let others = texts.map(|text| text.parse::<ImageUri>().unwrap());
        for uri in others.iter().chain([&signed, &inline, &file]) {
            assert_eq!(uri.shown(), uri.without_secrets().as_str());
        }
        assert_eq!(file.for_people(), "/photos/a b.jpg");
        assert_eq!(signed.for_people(), "https://host:8443/a.jpg");
    }

    #[test]
    fn gallery_names_with_unsafe_characters_are_refused() {
        for bad in ["", "a/b", "a b", "é", &"x".repeat(101)] {
            assert!(bad.parse::<GalleryName>().is_err(), "{bad}");
        }
        assert!("staff-2026.v1_a".parse::<GalleryName>().is_ok());
    }
}
