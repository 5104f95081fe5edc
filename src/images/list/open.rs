//! Opens the lists that a command names: local files, standard input, and what the sources read.

use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use url::Url;

use super::base::ListBase;
use super::file::{FileCursor, ListCopies, ListFile, first_bytes};
use super::format::{ListFormat, recognise};
use super::inventory::{InventoryManifest, MOST_MANIFEST_BYTES, local_file};
use super::{ImageLists, ListPart, unusable};
use crate::domain::ImageUri;
use crate::images::body::Body;
use crate::images::listing::ListingError;
use crate::images::root::{is_location, object, object_url};
use crate::images::web::Web;
use crate::images::{FetchLimits, Objects, Root};

/// Largest list that is copied to a temporary file, bytes. A hundred million URIs have ten billion.
const MOST_LIST_BYTES: u64 = 32 << 30;

/// Where a list is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListPlace {
    /// Standard input.
    Stdin,
    /// A local file.
    Path(PathBuf),
    /// An object, or a file of a web server.
    Uri(ImageUri),
}

impl TryFrom<OsString> for ListPlace {
    type Error = String;

    /// `-` is standard input, a text with a known scheme a URI, any other text a path.
    fn try_from(text: OsString) -> Result<Self, String> {
        let Some(uri) = text.to_str().filter(|text| is_location(text)) else {
            return Ok(if text == "-" { Self::Stdin } else { Self::Path(text.into()) });
        };
        let uri: ImageUri = uri.parse().map_err(|_| "it is not a valid URI".to_owned())?;
        match uri.scheme() {
            "file" if uri.as_url().query().is_some() || uri.as_url().fragment().is_some() => {
                Err("a path has no query or fragment: write ? as %3F and # as %23".into())
            }
            "file" => uri.to_path().map(Self::Path).ok_or("it is not a path here".to_owned()),
            "s3" | "gs" | "az" if uri.as_url().query().is_some() => {
                Err("it has a query, which objects do not have: write ? in a key as %3F".into())
            }
            "s3" | "gs" | "az" if object(uri.as_url()).is_none_or(|(_, key)| key.is_root()) => {
                Err("it does not name an object".into())
            }
            "s3" | "gs" | "az" | "https" | "http" => Ok(Self::Uri(uri)),
            _ => Err("a list is a file, an object (s3:, gs:, az:) or at https: or http:".into()),
        }
    }
}

impl fmt::Display for ListPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdin => f.write_str("standard input"),
            Self::Path(path) => write!(f, "{}", path.display()),
            Self::Uri(uri) => write!(f, "{uri}"),
        }
    }
}

impl ListPlace {
    /// The folder, prefix or path beside which the list's relative paths are.
    pub fn folder(&self) -> Option<Root> {
        match self.base().ok()? {
            ListBase::Folder(folder) => Some(Root::Path(folder)),
            ListBase::Url(url) => {
                let mut folder = url;
                folder.set_query(None);
                folder.set_fragment(None);
                folder.path_segments_mut().ok()?.pop();
                folder.as_str().parse().ok()
            }
        }
    }

    /// Whether it can be read again later: it is neither standard input nor a pipe, also not by
    /// the names that the system and shells give these.
    fn is_lasting(&self) -> bool {
        let passing = ["/dev/stdin", "/dev/fd", "/proc"];
        match self {
            Self::Stdin => false,
            Self::Path(path) => path.is_file() && !passing.iter().any(|at| path.starts_with(at)),
            Self::Uri(_) => true,
        }
    }

    fn base(&self) -> std::io::Result<ListBase> {
        Ok(match self {
            Self::Uri(uri) => ListBase::Url(uri.as_url().clone()),
            Self::Path(path) if self.is_lasting() => {
                let path = std::path::absolute(path)?;
                ListBase::Folder(path.parent().map_or_else(|| path.clone(), Path::to_owned))
            }
            Self::Stdin | Self::Path(_) => ListBase::Folder(std::env::current_dir()?),
        })
    }
}

/// What reads lists that are neither local nor standard input.
pub struct ListSources {
    /// Object stores.
    pub objects: Arc<Objects>,
    /// Hosts that may have private addresses.
    pub private_hosts: Vec<String>,
    /// Certificate authorities to trust in addition to those of the system, PEM.
    pub authorities: Option<Vec<u8>>,
    /// Limits of a connection.
    pub limits: FetchLimits,
}

impl ListSources {
    /// Opens the lists at `places`, of `format` or each of the format that it is recognised by.
    ///
    /// # Errors
    /// If a list cannot be read or is of no format that is read.
    pub async fn open(
        &self,
        places: &[ListPlace],
        format: Option<ListFormat>,
    ) -> Result<ImageLists, ListingError> {
        let (mut parts, mut copies) = (Vec::new(), ListCopies::default());
        for place in places {
            let opened = self.parts(place, format, &mut copies).await;
            parts.extend(opened.map_err(|reason| unusable(place, reason))?);
        }
        let is_again = places.iter().all(ListPlace::is_lasting);
        Ok(ImageLists { parts, is_again })
    }

    async fn parts(
        &self,
        place: &ListPlace,
        format: Option<ListFormat>,
        copies: &mut ListCopies,
    ) -> Result<Vec<ListPart>, String> {
        let base = place.base().map_err(|error| error.to_string())?;
        let file = self.file(place, copies).await?;
        let name = place.to_string();
        let first = blocking({
            let file = file.clone();
            move || first_bytes(&file.open()?)
        })
        .await?;
        let format = match format {
            Some(format) => format,
            None => recognise(&name, &first)?,
        };
        let is_manifest = first.trim_ascii_start().starts_with(b"{");
        if format == ListFormat::Inventory && is_manifest {
            return self.inventory(place, &file, &base, copies).await;
        }
        let columns = (format == ListFormat::Inventory).then(super::bare_inventory);
        Ok(vec![ListPart { name, file, format, columns, base }])
    }

    async fn inventory(
        &self,
        place: &ListPlace,
        manifest: &ListFile,
        base: &ListBase,
        copies: &mut ListCopies,
    ) -> Result<Vec<ListPart>, String> {
        let manifest = manifest.open().map_err(told)?;
        let mut text = Vec::new();
        let mut read = FileCursor::at(&manifest, 0).take(MOST_MANIFEST_BYTES + 1);
        read.read_to_end(&mut text).map_err(told)?;
        if text.len() as u64 > MOST_MANIFEST_BYTES {
            return Err(format!("the manifest is larger than {MOST_MANIFEST_BYTES} bytes"));
        }
        let InventoryManifest { columns, keys } = InventoryManifest::parse(&text)?;
        let mut parts = Vec::with_capacity(keys.len());
        for key in keys {
            let file = inventory_file(place, &key)?;
            let (name, columns) = (file.to_string(), columns.clone());
            let format =
                if columns.is_some() { ListFormat::Inventory } else { ListFormat::Parquet };
            let failed = |reason| format!("{name}: {reason}");
            let file = self.file(&file, copies).await.map_err(failed)?;
            parts.push(ListPart { name, file, format, columns, base: base.clone() });
        }
        Ok(parts)
    }

    /// The file at `place`, or a copy of it if it can be read only once or costs to read.
    async fn file(&self, place: &ListPlace, copies: &mut ListCopies) -> Result<ListFile, String> {
        match place {
            ListPlace::Stdin => {
                let copy = copies.file().map_err(told)?;
                blocking(move || append(&copy, std::io::stdin().lock())).await?;
            }
            ListPlace::Path(path) => {
                let local = path.clone();
                if let Some(file) = blocking(move || ListFile::local(&local)).await? {
                    return Ok(file);
                }
                // A pipe, as `--from <(command)` makes one.
                let (copy, path) = (copies.file().map_err(told)?, path.clone());
                blocking(move || append(&copy, File::open(&path)?)).await?;
            }
            ListPlace::Uri(uri) => {
                let copy = copies.file().and_then(|copy| copy.try_clone()).map_err(told)?;
                self.download(uri.as_url(), Body::written(MOST_LIST_BYTES, copy)).await?;
            }
        }
        copies.appended().map_err(told)
    }

    async fn download(&self, url: &Url, body: Body<'_>) -> Result<(), String> {
        let fetched = match object(url) {
            Some((bucket, key)) => self.objects.fetch(&bucket, &key, body).await,
            None => {
                let (hosts, authorities) = (&self.private_hosts, self.authorities.as_deref());
                let web = Web::new(hosts, authorities, self.limits)
                    .map_err(|error| format!("cannot set up HTTPS: {error}"))?;
                // A redirect must stay on the server.
                let same = |other: &Url| other.origin() == url.origin();
                web.fetch(url, same, body).await
            }
        };
        fetched.map(drop).map_err(|error| error.to_string())
    }
}

/// Where the file `key` of the inventory with its manifest at `place` is.
fn inventory_file(place: &ListPlace, key: &str) -> Result<ListPlace, String> {
    match place {
        ListPlace::Path(manifest) => {
            let manifest = std::path::absolute(manifest).map_err(|error| error.to_string())?;
            let missing =
                || format!("there is no file {key} in the folders of the manifest, which names it");
            local_file(&manifest, key).map(ListPlace::Path).ok_or_else(missing)
        }
        ListPlace::Uri(manifest) => {
            let (bucket, _) = object(manifest.as_url())
                .ok_or("an inventory is read from a bucket or from local files")?;
            let key = object_store::path::Path::parse(key).map_err(|error| error.to_string())?;
            let url = object_url(&bucket, &key).ok_or("a key of it cannot be written as a URL")?;
            url.as_str().parse().map(ListPlace::Uri).map_err(|_| "a key of it is invalid".into())
        }
        ListPlace::Stdin => Err("a manifest names files beside it: name it by its path".into()),
    }
}

/// Appends what `from` gives.
fn append(mut to: &File, from: impl Read) -> std::io::Result<()> {
    let bytes = std::io::copy(&mut from.take(MOST_LIST_BYTES + 1), &mut to)?;
    if bytes > MOST_LIST_BYTES {
        return Err(std::io::Error::other(format!("it is larger than {MOST_LIST_BYTES} bytes")));
    }
    Ok(())
}

#[allow(clippy::needless_pass_by_value, reason = "an argument of map_err")]
fn told(error: std::io::Error) -> String {
    error.to_string()
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T, String> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(|error| error.to_string()),
        Err(error) => Err(format!("reading was interrupted: {error}")),
    }
}
