//! Where a chip cache keeps its entries: a folder, or a prefix of a bucket.

use std::fs::{DirBuilder, File};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::future::ready;
use futures::stream::{StreamExt, TryStreamExt};
use object_store::ObjectMeta;
use object_store::path::Path as Key;

use super::entry::MOST_BYTES;
use crate::domain::ContentHash;
use crate::images::root::Bucket;
use crate::images::{Body, FetchError, Objects, Root, Unlimited, fault, too_large};

/// A folder, or a prefix of a bucket.
pub(super) enum ChipPlace {
    Folder(PathBuf),
    Bucket { objects: Arc<Objects>, bucket: Bucket, prefix: Key },
}

impl ChipPlace {
    /// The place of `root`; none if nothing can be written there.
    pub(super) fn new(root: Root, objects: Arc<Objects>) -> Option<Self> {
        match root {
            Root::Path(folder) => Some(Self::Folder(folder)),
            Root::Bucket(bucket, prefix) => Some(Self::Bucket { objects, bucket, prefix }),
            Root::Web(_) | Root::Inline => None,
        }
    }

    /// The entry of this name, whose parts are hex digits; of a bounded size.
    pub(super) async fn read(&self, name: &[String; 3]) -> Result<Vec<u8>, FetchError> {
        match self {
            Self::Folder(folder) => {
                let path = path(folder, name);
                blocking(move || read_file(&path)).await
            }
            Self::Bucket { objects, bucket, prefix } => {
                let body = Body::kept(MOST_BYTES, &Unlimited);
                objects.fetch(bucket, &key(prefix, name), body).await
            }
        }
    }

    /// Writes the entry of this name: whole, or not at all.
    pub(super) async fn write(&self, name: &[String; 3], bytes: Vec<u8>) -> Result<(), FetchError> {
        match self {
            Self::Folder(folder) => {
                let path = path(folder, name);
                blocking(move || {
                    write_file(&path, &bytes)
                        .map_err(|error| FetchError::Outage(format!("{}: {error}", path.display())))
                })
                .await
            }
            Self::Bucket { objects, bucket, prefix } => {
                objects.put(bucket, &key(prefix, name), bytes).await
            }
        }
    }

    /// Removes the entries of a content under every id; returns how many there were.
    pub(super) async fn remove(&self, hash: ContentHash) -> Result<u64, FetchError> {
        self.count_entries(hash, true).await
    }

    /// How many entries of a content there are, under every id.
    pub(super) async fn count(&self, hash: ContentHash) -> Result<u64, FetchError> {
        self.count_entries(hash, false).await
    }

    async fn count_entries(&self, hash: ContentHash, remove: bool) -> Result<u64, FetchError> {
        let hash = hash.to_string();
        match self {
            Self::Folder(folder) => {
                let folder = folder.clone();
                blocking(move || {
                    count_files(&folder, &hash, remove).map_err(|error| {
                        FetchError::Outage(format!("{}: {error}", folder.display()))
                    })
                })
                .await
            }
            Self::Bucket { objects, bucket, prefix } => {
                let mut count = 0;
                for id in objects.folders(bucket, prefix).await? {
                    let parts = [&hash[..2], hash.as_str()].map(Into::into);
                    let key: Key = id.parts().chain(parts).collect();
                    match objects.stamp(bucket, &key).await {
                        Ok(_) if remove => objects.delete(bucket, &key).await?,
                        Ok(_) => {}
                        Err(FetchError::NotFound(_)) => continue,
                        Err(error) => return Err(error),
                    }
                    count += 1;
                }
                Ok(count)
            }
        }
    }

    /// The contents of all entries.
    pub(super) async fn contents(&self) -> Result<Vec<ContentHash>, FetchError> {
        let names: Vec<String> = match self {
            Self::Folder(folder) => {
                let folder = folder.clone();
                blocking(move || {
                    names(&folder, 3).map_err(|error| {
                        FetchError::Outage(format!("{}: {error}", folder.display()))
                    })
                })
                .await?
            }
            Self::Bucket { objects, bucket, prefix } => {
                let listed = objects.list(bucket, prefix, None).map_err(FetchError::Outage)?;
                let name = |object: ObjectMeta| object.location.filename().map(str::to_owned);
                let named = listed.map(|object| object.map(name).map_err(FetchError::Outage));
                named.try_filter_map(|name| ready(Ok(name))).try_collect().await?
            }
        };
        let mut contents: Vec<ContentHash> =
            names.iter().filter_map(|name| name.parse().ok()).collect();
        contents.sort_unstable_by_key(|hash| hash.0);
        contents.dedup();
        Ok(contents)
    }

    /// Whether there is an entry of this name.
    pub(super) async fn has(&self, name: &[String; 3]) -> Result<bool, FetchError> {
        match self {
            Self::Folder(folder) => {
                let path = path(folder, name);
                let failed = |error| FetchError::Outage(format!("{}: {error}", path.display()));
                tokio::fs::try_exists(&path).await.map_err(failed)
            }
            Self::Bucket { objects, bucket, prefix } => {
                match objects.stamp(bucket, &key(prefix, name)).await {
                    Ok(_) => Ok(true),
                    Err(FetchError::NotFound(_)) => Ok(false),
                    Err(error) => Err(error),
                }
            }
        }
    }
}

fn path(folder: &Path, name: &[String; 3]) -> PathBuf {
    name.iter().fold(folder.to_owned(), |path, part| path.join(part))
}

fn key(prefix: &Key, name: &[String; 3]) -> Key {
    prefix.parts().chain(name.iter().map(|part| part.as_str().into())).collect()
}

fn read_file(path: &Path) -> Result<Vec<u8>, FetchError> {
    let of_file = |error: io::Error| fault::of_file(&error);
    let file = File::open(path).map_err(of_file)?;
    let length = file.metadata().map_err(of_file)?.len();
    if length > MOST_BYTES {
        return Err(too_large(length, MOST_BYTES));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(length).unwrap_or(0));
    file.take(MOST_BYTES).read_to_end(&mut bytes).map_err(of_file)?;
    Ok(bytes)
}

/// The names of files at this depth below a folder.
fn names(folder: &Path, depth: u32) -> io::Result<Vec<String>> {
    let entries = match folder.read_dir() {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        if depth > 1 {
            found.extend(names(&entry.path(), depth - 1)?);
        } else {
            found.extend(entry.file_name().into_string());
        }
    }
    Ok(found)
}

/// The files of a content under every id; with `remove`, they are removed.
fn count_files(folder: &Path, hash: &str, remove: bool) -> io::Result<u64> {
    let ids = match folder.read_dir() {
        // Nothing was ever kept.
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(0),
        ids => ids?,
    };
    let mut count = 0;
    for id in ids {
        let path = id?.path().join(&hash[..2]).join(hash);
        let found = if remove {
            std::fs::remove_file(&path)
        } else {
            std::fs::symlink_metadata(&path).map(drop)
        };
        match found {
            Ok(()) => count += 1,
            Err(error)
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(count)
}

/// Writes a file that only its owner may read, in folders that only their owner may enter.
fn write_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let builder = || tempfile::Builder::new().prefix(".facefleet-").tempfile_in(folder);
    let mut file = match builder() {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
            builder()?
        }
        file => file?,
    };
    file.write_all(bytes)?;
    file.persist(path)?;
    Ok(())
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, FetchError> + Send + 'static,
) -> Result<T, FetchError> {
    let worked = tokio::task::spawn_blocking(work).await;
    worked.unwrap_or_else(|error| Err(FetchError::Outage(error.to_string())))
}
