//! Lists the images below some roots as a stream: a gallery of millions is never held in memory.
//!
//! Buckets are listed in the order of their keys, so a listing can resume after a position. Folders
//! have no such order: a listing of folders always starts at its beginning.

mod bucket;
mod entry;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::stream::{BoxStream, StreamExt};
use object_store::path::Path as Key;
use tokio::sync::mpsc;

use super::root::Bucket;
use super::rules::Rules;
use super::walk::{Folders, ReaderGone};
use super::{Objects, Root};
use bucket::BucketRoot;
pub(in crate::images) use entry::ending_of;
pub use entry::{ListingEntry, ListingError, NotListed, NotListedReason};

/// Entries that a walk of a folder buffers ahead of the reader of the listing.
const WALK_BUFFER: usize = 256;

/// The content of some roots, in the order of the roots. It can be listed any number of times.
#[derive(Clone)]
pub struct Listing {
    roots: Vec<Root>,
    rules: Rules,
    objects: Arc<Objects>,
}

impl Listing {
    /// A listing of `roots` (folders, single files, buckets, keys in buckets) without the entries
    /// that `rules` leave out. A link in a folder is followed if its target is below the roots and
    /// no `--exclude` matches the target. Each image is listed once, below its innermost root.
    ///
    /// # Errors
    /// If a local root does not exist, or a root is of a kind that cannot be listed.
    pub fn new(roots: &[Root], rules: Rules, objects: Arc<Objects>) -> Result<Self, ListingError> {
        let check = |root: &Root| match root {
            Root::Path(path) => {
                path.canonicalize().map(Root::Path).map_err(|error| error.to_string())
            }
            Root::Bucket(..) => Ok(root.clone()),
            Root::Web(_) | Root::Inline => Err("only folders and buckets can be listed".into()),
        };
        let check =
            |root| check(root).map_err(|reason| ListingError { what: root.to_string(), reason });
        let all = roots.iter().map(check).collect::<Result<Vec<_>, _>>()?;
        let mut seen = HashSet::with_capacity(all.len());
        let roots = all.into_iter().filter(|root| seen.insert(root.clone())).collect();
        Ok(Self { roots, rules, objects })
    }

    /// Whether all roots are on this machine. Then listing twice costs little.
    pub fn is_local(&self) -> bool {
        self.roots.iter().all(|root| matches!(root, Root::Path(_)))
    }

    /// Whether every image has a position, so that the listing can resume after it.
    pub fn is_resumable(&self) -> bool {
        !self.roots.iter().any(|root| matches!(root, Root::Path(_)))
    }

    /// The entries after `position`, or all entries. An error is the last item: the listing failed
    /// there, and can resume after the last position.
    ///
    /// # Errors
    /// If the position does not belong to this listing.
    pub fn entries(
        &self,
        position: Option<&str>,
    ) -> Result<BoxStream<'static, Result<ListingEntry, ListingError>>, ListingError> {
        let (first, mut after) = match position {
            None => (0, None),
            Some(position) => {
                let (number, key) = self.parse(position).ok_or_else(|| ListingError {
                    what: format!("after '{position}'"),
                    reason: "this listing has no such position; resume with the same roots in the \
                             same order"
                        .into(),
                })?;
                (number, Some(key))
            }
        };
        let paths = self.roots.iter().filter_map(Root::path).map(Path::to_owned);
        let folders = Arc::new(Folders::new(paths, self.rules.clone()));
        let listing = self.clone();
        let roots = self.roots.clone().into_iter().enumerate().skip(first);
        let entries = futures::stream::iter(roots).flat_map(move |(number, root)| match root {
            Root::Path(path) => below_path(folders.clone(), path).map(Ok).boxed(),
            Root::Bucket(bucket, below) => {
                Arc::new(listing.objects(number, bucket, below)).list(after.take().as_ref())
            }
            Root::Web(_) | Root::Inline => futures::stream::empty().boxed(),
        });
        // An error is the last item, even if other roots follow.
        let until_error = entries.scan(false, |broken, entry| {
            let ended = std::mem::replace(broken, entry.is_err());
            std::future::ready((!ended).then_some(entry))
        });
        Ok(until_error.boxed())
    }

    /// The objects of the root with this number.
    fn objects(&self, number: usize, bucket: Bucket, below: Key) -> BucketRoot {
        let inner = self.roots.iter().filter_map(|root| match root {
            Root::Bucket(other, key)
                if *other == bucket && *key != below && key.prefix_match(&below).is_some() =>
            {
                Some(key.clone())
            }
            _ => None,
        });
        let inner = inner.collect();
        BucketRoot {
            objects: self.objects.clone(),
            rules: self.rules.clone(),
            number,
            bucket,
            below,
            inner,
        }
    }

    /// A position is the index of a root, a space, and a key.
    fn parse(&self, position: &str) -> Option<(usize, Key)> {
        let (number, key) = position.split_once(' ')?;
        let (number, key) = (number.parse().ok()?, Key::parse(key).ok()?);
        match self.roots.get(number)? {
            Root::Bucket(_, below) if key.prefix_match(below).is_some() => Some((number, key)),
            _ => None,
        }
    }
}

/// Whether `position` comes after `other`. Both must belong to the same listing.
pub fn is_past(position: &str, other: &str) -> bool {
    let parts = |position: &'_ str| {
        let (number, key) = position.split_once(' ').unwrap_or_default();
        (number.parse::<usize>().unwrap_or_default(), key.to_owned())
    };
    parts(position) > parts(other)
}

/// Walks a folder on a blocking thread. The walk ends when its reader is dropped.
fn below_path(folders: Arc<Folders>, root: PathBuf) -> BoxStream<'static, ListingEntry> {
    let (sender, entries) = mpsc::channel(WALK_BUFFER);
    let walk = move || {
        folders
            .walk(&root, &mut |listed| sender.blocking_send(listed).map_err(|_| ReaderGone))
            .ok();
    };
    let walker = tokio::task::spawn_blocking(walk);
    futures::stream::unfold((entries, walker), |(mut entries, walker)| async move {
        match entries.recv().await {
            Some(listed) => Some((listed, (entries, walker))),
            None => {
                // Do not hide a panic of the walk: it would look like the end of the folder.
                if let Err(error) = walker.await
                    && error.is_panic()
                {
                    std::panic::resume_unwind(error.into_panic());
                }
                None
            }
        }
    })
    .boxed()
}

#[cfg(test)]
mod tests;
