//! Lists the images below some roots and in lists as a stream: a gallery of millions is never held
//! in memory.
//!
//! Buckets are listed in the order of their keys, and lists in the order of their rows, so a
//! listing can resume after a position. Folders have no such order: a listing of folders always
//! starts at its beginning.

mod bucket;
mod entry;
mod gone;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::stream::{BoxStream, Stream, StreamExt};
use object_store::path::Path as Key;
use tokio::sync::mpsc;

use super::root::Bucket;
use super::rules::Rules;
use super::walk::{Folders, ReaderGone};
use super::{Objects, Root, SurveyedLists};
use crate::domain::LabelledImage;
use bucket::BucketRoot;
pub(in crate::images) use entry::ending_of;
pub use entry::{ListingEntry, ListingError, NotListed, NotListedReason};
pub use gone::Presence;

/// Entries of a listing; an error is the last.
pub(super) type ListingEntries = BoxStream<'static, Result<ListingEntry, ListingError>>;

/// Entries that a walk of a folder buffers ahead of the reader of the listing.
const WALK_BUFFER: usize = 256;

/// The content of some roots, in the order of the roots. It can be listed any number of times.
#[derive(Clone)]
pub struct Listing {
    roots: Vec<Root>,
    rules: Rules,
    objects: Arc<Objects>,
    /// Lists come after the roots.
    lists: Option<SurveyedLists>,
}

impl Listing {
    /// A listing of `roots` (folders, single files, buckets, keys in buckets, single images on web
    /// servers) without the entries
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
            Root::Web(image) if image.is_single() => Ok(root.clone()),
            Root::Web(_) => Err("a web server does not say what is below it: name single images, \
                                 or a list of them with `scan --from`"
                .into()),
            Root::Inline => Err("only folders, buckets and lists can be listed".into()),
        };
        let check =
            |root| check(root).map_err(|reason| ListingError { what: root.to_string(), reason });
        let all = roots.iter().map(check).collect::<Result<Vec<_>, _>>()?;
        let mut seen = HashSet::with_capacity(all.len());
        let roots = all.into_iter().filter(|root| seen.insert(root.clone())).collect();
        Ok(Self { roots, rules, objects, lists: None })
    }

    /// The same with the images of `lists`, which come last.
    pub fn with_lists(self, lists: SurveyedLists) -> Self {
        Self { lists: Some(lists), ..self }
    }

    /// The lists.
    pub fn lists(&self) -> Option<&SurveyedLists> {
        self.lists.as_ref()
    }

    /// Whether all roots are on this machine. Then listing them twice costs little.
    pub fn is_local(&self) -> bool {
        self.roots.iter().all(|root| matches!(root, Root::Path(_)))
    }

    /// Whether every image has a position, so that the listing can resume after it.
    pub fn is_resumable(&self) -> bool {
        !self.roots.iter().any(|root| matches!(root, Root::Path(_)))
            && self.lists.as_ref().is_none_or(SurveyedLists::is_resumable)
    }

    /// The entries after `position`, or all entries. An error is the last item: the listing failed
    /// there, and can resume after the last position.
    ///
    /// # Errors
    /// If the position does not belong to this listing.
    pub fn entries(&self, position: Option<&str>) -> Result<ListingEntries, ListingError> {
        let unknown = |position: &str| ListingError {
            what: format!("after '{position}'"),
            reason: "this listing has no such position; resume with the same roots in the same \
                     order"
                .into(),
        };
        let after = match position {
            None => None,
            Some(text) => Some(self.parse(text).ok_or_else(|| unknown(text))?),
        };
        let row = after.as_ref().and_then(|after| match after {
            ListPosition::Row(_, row) => Some(*row),
            _ => None,
        });
        Ok(until_error(self.below_roots(after).chain(self.list_entries(row))))
    }

    /// All entries of the roots. Images that a list names are not among them.
    pub fn entries_of_roots(&self) -> ListingEntries {
        self.below_roots(None)
    }

    /// The entries of the roots after a position, or all.
    fn below_roots(&self, mut after: Option<ListPosition>) -> ListingEntries {
        let first = after.as_ref().map_or(0, |after| after.number());
        let (folders, listing, lists) = (self.folders(), self.clone(), self.lists.clone());
        let roots = self.roots.clone().into_iter().enumerate().skip(first);
        let entries = futures::stream::iter(roots).flat_map(move |(number, root)| {
            listing.root_entries(number, root, after.take(), &folders)
        });
        let without_named = entries.map(move |entry| match (&lists, entry) {
            (Some(lists), Ok(ListingEntry::Image { image, position })) => {
                lists.unless_named(image, position)
            }
            (_, entry) => entry,
        });
        without_named.boxed()
    }

    /// The folders among the roots, for one pass over the listing.
    pub(super) fn folders(&self) -> Arc<Folders> {
        let paths = self.roots.iter().filter_map(Root::path).map(Path::to_owned);
        Arc::new(Folders::new(paths, self.rules.clone()))
    }

    /// The entries of one of the roots, of which paths are canonical. `folders` are those of the
    /// same pass: a target of several links is listed once.
    pub(super) fn below(&self, root: &Root, folders: &Arc<Folders>) -> ListingEntries {
        match self.roots.iter().position(|own| own == root) {
            Some(number) => self.root_entries(number, root.clone(), None, folders),
            None => futures::stream::empty().boxed(),
        }
    }

    /// The entries of the root with this number after a position in it, or all.
    fn root_entries(
        &self,
        number: usize,
        root: Root,
        after: Option<ListPosition>,
        folders: &Arc<Folders>,
    ) -> ListingEntries {
        let name = root.to_string();
        match (root, after) {
            (Root::Path(path), _) => {
                // What is below an inner root is listed there.
                let is_outer = self.roots.iter().filter_map(Root::path);
                let is_outer = is_outer.filter(|other| other.starts_with(&path)).count() > 1;
                let entries = below_path(folders.clone(), path).map(Ok).boxed();
                if is_outer { entries } else { or_empty(entries, name, async { None }) }
            }
            (Root::Bucket(bucket, below), after) => {
                let root = Arc::new(self.objects(number, bucket, below));
                match after {
                    Some(ListPosition::Key(_, key)) => root.list(Some(&key)),
                    _ if !root.inner.is_empty() => root.list(None),
                    _ => {
                        let entries = root.clone().list(None);
                        or_empty(entries, name, async move { root.why_empty().await })
                    }
                }
            }
            (Root::Web(image), None) => {
                let position = Some(format!("{number} "));
                let entry = image.uri().map(|uri| ListingEntry::Image {
                    image: LabelledImage::new(uri, None),
                    position,
                });
                futures::stream::iter(entry.map(Ok)).boxed()
            }
            (Root::Web(_) | Root::Inline, _) => futures::stream::empty().boxed(),
        }
    }

    /// The entries of the lists after a row, or all.
    fn list_entries(&self, after: Option<u64>) -> ListingEntries {
        let (lists, number, objects) = (self.lists.clone(), self.roots.len(), self.objects.clone());
        let entries = lists.map(|lists| async move { lists.entries(number, after, objects) });
        // The lists are read once the roots are listed.
        futures::stream::iter(entries).then(|entries| entries).flatten().boxed()
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

    /// A position is the index of a root, a space, and a key; the lists come after the roots, with
    /// the index of a row.
    fn parse(&self, position: &str) -> Option<ListPosition> {
        let (number, text) = position.split_once(' ')?;
        let number = number.parse().ok()?;
        if number == self.roots.len() && self.lists.is_some() {
            return Some(ListPosition::Row(number, text.parse().ok()?));
        }
        match self.roots.get(number)? {
            Root::Bucket(_, below) => {
                let key = Key::parse(text).ok()?;
                let is_below = key.prefix_match(below).is_some();
                is_below.then_some(ListPosition::Key(number, key))
            }
            Root::Web(_) if text.is_empty() => Some(ListPosition::Single(number)),
            _ => None,
        }
    }
}

/// A position in a listing: the index of a root, and where in it.
#[derive(Debug)]
enum ListPosition {
    /// A key of a bucket.
    Key(usize, Key),
    /// The only image of the root.
    Single(usize),
    /// A row of the lists.
    Row(usize, u64),
}

impl ListPosition {
    fn number(&self) -> usize {
        match self {
            Self::Key(number, _) | Self::Single(number) | Self::Row(number, _) => *number,
        }
    }
}

/// The same entries; if there is none, one that says so, or `why`.
fn or_empty(
    entries: ListingEntries,
    name: String,
    why: impl Future<Output = Option<ListingError>> + Send + 'static,
) -> ListingEntries {
    let any = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&any);
    let entries = entries.inspect(move |_| seen.store(true, Ordering::Relaxed));
    let otherwise = async move {
        if any.load(Ordering::Relaxed) {
            return None;
        }
        Some(Ok(match why.await {
            Some(error) => ListingEntry::Failed(error),
            None => {
                let reason = NotListedReason::EmptyRoot;
                ListingEntry::NotListed(NotListed { name, uri: None, reason })
            }
        }))
    };
    let otherwise = futures::stream::once(otherwise).filter_map(std::future::ready);
    entries.chain(otherwise).boxed()
}

/// The same items up to the first error, even if others follow.
pub(super) fn until_error<T: Send + 'static>(
    items: impl Stream<Item = Result<T, ListingError>> + Send + 'static,
) -> BoxStream<'static, Result<T, ListingError>> {
    let until_error = items.scan(false, |broken, item| {
        let ended = std::mem::replace(broken, item.is_err());
        std::future::ready((!ended).then_some(item))
    });
    until_error.boxed()
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
