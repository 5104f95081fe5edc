//! Where a chip cache keeps its entries: a folder, or a prefix of a bucket.

use std::fs::{DirBuilder, File};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use object_store::path::Path as Key;

use super::entry::MOST_BYTES;
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
