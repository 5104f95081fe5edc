//! The images below some roots, lazily: a gallery of millions is never held in memory.
//!
//! Buckets are listed in the order of their keys, so that a listing can be taken up again after a place. A folder has no such order;
//! a listing of folders begins at its beginning.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use futures::stream::{BoxStream, StreamExt};
use object_store::ObjectMeta;
use object_store::path::Path as Key;
use tokio::sync::mpsc;
use walkdir::{DirEntry, WalkDir};

use super::root::{Bucket, object_url};
use super::{Objects, Root};
use crate::domain::{ImageUri, SourceStamp};

/// File name endings of images, lower case. What else lies in a folder is counted and left alone.
const ENDINGS: [&str; 9] = ["jpg", "jpeg", "jpe", "png", "webp", "bmp", "tif", "tiff", "gif"];

/// How far a folder is walked ahead of whoever reads the listing.
const AHEAD: usize = 256;

/// Something that could not be listed, and why.
#[derive(Debug, thiserror::Error)]
#[error("cannot list {what}: {reason}")]
pub struct ListingError {
    /// A path, or a bucket and what lies below a key in it.
    pub what: String,
    /// Why.
    pub reason: String,
}

/// One entry of a listing.
#[derive(Debug)]
pub enum Listed {
    /// An image.
    Image {
        /// Where it is.
        uri: ImageUri,
        /// The version that was listed.
        stamp: SourceStamp,
        /// Where in the listing it stands: a listing that is taken up after this place goes on with the next entry. None in folders.
        place: Option<String>,
    },
    /// Something whose name is no image's.
    Other,
    /// A folder or file that could not be looked at.
    Unlisted(ListingError),
}

/// What lies below some roots, in the order of the roots. It can be listed any number of times.
#[derive(Clone)]
pub struct Listing {
    roots: Vec<Root>,
    objects: Arc<Objects>,
}

impl Listing {
    /// A listing of `roots`: folders, single files, buckets and keys in them. Links in folders are not followed: they may lead out of
    /// the folder or in circles.
    ///
    /// # Errors
    /// If a local one does not exist, or one is of a kind that cannot be listed.
    pub fn new(roots: &[Root], objects: Arc<Objects>) -> Result<Self, ListingError> {
        let check = |root: &Root| match root {
            Root::Path(path) => path.canonicalize().map(Root::Path).map_err(|error| error.to_string()),
            Root::Bucket(..) => Ok(root.clone()),
            Root::Web(_) | Root::Inline => Err("only folders and buckets can be listed".into()),
        };
        let check = |root| check(root).map_err(|reason| ListingError { what: root.to_string(), reason });
        let all = roots.iter().map(check).collect::<Result<Vec<_>, _>>()?;
        // An image below two roots is one image.
        let repeated = |number: usize, root: &Root| {
            all.iter()
                .enumerate()
                .any(|(other, above)| other != number && lies_below(root, above) && (root != above || other < number))
        };
        let roots = all.iter().enumerate().filter(|(number, root)| !repeated(*number, root)).map(|(_, root)| root.clone());
        Ok(Self { roots: roots.collect(), objects })
    }

    /// Whether all of it is on this machine: listing it twice costs little then.
    pub fn is_local(&self) -> bool {
        self.roots.iter().all(|root| matches!(root, Root::Path(_)))
    }

    /// Whether every image has a place, after which the listing can be taken up again.
    pub fn has_places(&self) -> bool {
        !self.roots.iter().any(|root| matches!(root, Root::Path(_)))
    }

    /// The entries after `place`, or all. An error is the last item: the listing broke there, and can be taken up after the last
    /// place.
    ///
    /// # Errors
    /// If the place is none of this listing's.
    pub fn entries(&self, place: Option<&str>) -> Result<BoxStream<'static, Result<Listed, ListingError>>, ListingError> {
        let (first, mut after) = match place {
            None => (0, None),
            Some(place) => {
                let (number, key) = self.parse(place).ok_or_else(|| ListingError {
                    what: format!("on from '{place}'"),
                    reason: "it is no place in this listing; its roots must be the same and in the same order".into(),
                })?;
                (number, Some(key))
            }
        };
        let (roots, objects) = (self.roots.clone(), self.objects.clone());
        let entries =
            futures::stream::iter(roots.into_iter().enumerate().skip(first)).flat_map(move |(number, root)| match root {
                Root::Path(path) => below_path(path).map(Ok).boxed(),
                Root::Bucket(bucket, below) => below_key(&objects, number, &bucket, &below, after.take().as_ref()),
                Root::Web(_) | Root::Inline => futures::stream::empty().boxed(),
            });
        // An error is the last item, of all roots.
        let until_error = entries.scan(false, |broken, entry| {
            let ended = std::mem::replace(broken, entry.is_err());
            std::future::ready((!ended).then_some(entry))
        });
        Ok(until_error.boxed())
    }

    /// A place is the number of its root and its key.
    fn parse(&self, place: &str) -> Option<(usize, Key)> {
        let (number, key) = place.split_once(' ')?;
        let (number, key) = (number.parse().ok()?, Key::parse(key).ok()?);
        match self.roots.get(number)? {
            Root::Bucket(_, below) if key.prefix_match(below).is_some() => Some((number, key)),
            _ => None,
        }
    }
}

/// Whether listing `above` lists all that is below `root` too.
fn lies_below(root: &Root, above: &Root) -> bool {
    match (root, above) {
        // A file without an image's ending is one only where it was named itself.
        (Root::Path(root), Root::Path(above)) => {
            root == above || (root.starts_with(above) && (has_image_ending(root) || !root.is_file()))
        }
        (Root::Bucket(bucket, root), Root::Bucket(other, above)) => bucket == other && root.prefix_match(above).is_some(),
        _ => false,
    }
}

/// Whether `place` comes after `other` in the listing that both are of.
pub fn is_past(place: &str, other: &str) -> bool {
    // The number of the root, then the key.
    let parts = |place: &'_ str| {
        let (number, key) = place.split_once(' ').unwrap_or_default();
        (number.parse::<usize>().unwrap_or_default(), key.to_owned())
    };
    parts(place) > parts(other)
}

fn below_key(
    objects: &Objects,
    number: usize,
    bucket: &Bucket,
    below: &Key,
    after: Option<&Key>,
) -> BoxStream<'static, Result<Listed, ListingError>> {
    let what = Root::Bucket(bucket.clone(), below.clone()).to_string();
    let broken = move |reason| ListingError { what: what.clone(), reason };
    let (bucket, below) = (bucket.clone(), below.clone());
    match objects.list(&bucket, &below, after) {
        Ok(found) => found.map(move |meta| Ok(object(number, &bucket, &below, meta.map_err(&broken)?))).boxed(),
        Err(reason) => futures::stream::iter([Err(broken(reason))]).boxed(),
    }
}

fn object(number: usize, bucket: &Bucket, below: &Key, meta: ObjectMeta) -> Listed {
    let key = meta.location;
    // An object that was named itself is meant, whatever its ending.
    if !(has_image_ending(Path::new(key.as_ref())) || key == *below) {
        return Listed::Other;
    }
    // A tag that is no stamp would keep the object from ever being a job.
    let tag = meta.e_tag.and_then(|tag| tag.parse().ok());
    let stamp = tag.unwrap_or_else(|| SourceStamp::of(meta.size, meta.last_modified.timestamp_micros()));
    match object_url(bucket, &key).and_then(|url| url.as_str().parse().ok()) {
        Some(uri) => Listed::Image { uri, stamp, place: Some(format!("{number} {key}")) },
        None => Listed::Unlisted(ListingError { what: format!("{bucket}/{key}"), reason: "the key makes no URL".into() }),
    }
}

/// Walking a folder blocks; it does so on a thread of its own, and ends when nobody reads on.
fn below_path(path: PathBuf) -> BoxStream<'static, Listed> {
    let (sender, entries) = mpsc::channel(AHEAD);
    let walk = move || {
        for entry in WalkDir::new(path) {
            let listed = match entry {
                Ok(entry) if entry.file_type().is_dir() => continue,
                Ok(entry) => file(&entry),
                Err(error) => {
                    let what = error.path().unwrap_or(Path::new("?")).display().to_string();
                    let reason = error.io_error().map_or_else(|| error.to_string(), ToString::to_string);
                    Listed::Unlisted(ListingError { what, reason })
                }
            };
            if sender.blocking_send(listed).is_err() {
                break;
            }
        }
    };
    let walker = tokio::task::spawn_blocking(walk);
    futures::stream::unfold((entries, walker), |(mut entries, walker)| async move {
        match entries.recv().await {
            Some(listed) => Some((listed, (entries, walker))),
            None => {
                // Walking ends with the walk alone, or because nobody reads on; a panic is nothing to pass over in silence.
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

fn file(entry: &DirEntry) -> Listed {
    let path = entry.path();
    // A file that was named itself is meant, whatever its ending.
    let wanted = entry.depth() == 0 || has_image_ending(path);
    let is_image = entry.file_type().is_file() && wanted;
    if !is_image {
        return Listed::Other;
    }
    let failed = |reason: String| Listed::Unlisted(ListingError { what: path.display().to_string(), reason });
    let metadata = match entry.metadata() {
        Ok(metadata) => metadata,
        Err(error) => return failed(error.to_string()),
    };
    let modified = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok()).unwrap_or_default();
    let stamp = SourceStamp::of(metadata.len(), modified.as_nanos());
    match ImageUri::from_path(path) {
        Ok(uri) => Listed::Image { uri, stamp, place: None },
        Err(error) => failed(error.to_string()),
    }
}

fn has_image_ending(path: &Path) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str()).map(str::to_ascii_lowercase);
    ending.is_some_and(|ending| ENDINGS.contains(&ending.as_str()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::images::FetchLimits;

    fn listing(roots: &[Root]) -> Result<Listing, ListingError> {
        let second = Duration::from_secs(1);
        let limits = FetchLimits { max_bytes: 1, whole: second, connect: second, idle: second, redirects: 0 };
        Listing::new(roots, Arc::new(Objects::new([], None, limits).unwrap()))
    }

    #[tokio::test]
    async fn images_are_found_at_any_depth_and_the_rest_is_counted() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("a/b")).unwrap();
        for name in ["x.jpg", "a/y.PNG", "a/b/z.jpeg", "a/notes.txt", "a/b/noending"] {
            std::fs::write(folder.path().join(name), b"x").unwrap();
        }
        std::os::unix::fs::symlink(folder.path(), folder.path().join("a/circle")).unwrap();
        let roots = [folder.path().to_owned(), folder.path().join("a/notes.txt")].map(Root::Path);
        let listing = listing(&roots).unwrap();
        assert!(listing.is_local());
        let (mut images, mut others) = (Vec::new(), 0);
        let mut entries = listing.entries(None).unwrap();
        while let Some(entry) = entries.next().await {
            match entry.unwrap() {
                Listed::Image { uri, stamp, place } => {
                    assert!(stamp.as_str().starts_with("1-"), "{stamp:?}");
                    assert_eq!(place, None);
                    images.push(uri.to_path().unwrap().file_name().unwrap().to_str().unwrap().to_owned());
                }
                Listed::Other => others += 1,
                Listed::Unlisted(error) => panic!("{error}"),
            }
        }
        images.sort();
        assert_eq!(images, ["notes.txt", "x.jpg", "y.PNG", "z.jpeg"]);
        assert_eq!(others, 3);
    }

    #[tokio::test]
    async fn an_image_below_two_roots_is_listed_once() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("a")).unwrap();
        std::fs::write(folder.path().join("a/x.jpg"), b"x").unwrap();
        let roots = ["a", "a/x.jpg", "", ""].map(|name| Root::Path(folder.path().join(name)));
        let entries = listing(&roots).unwrap().entries(None).unwrap();
        assert_eq!(entries.count().await, 1);
        let roots = ["s3://faces/2024", "s3://faces/2024-old", "s3://faces/2024/may"].map(|root| root.parse().unwrap());
        assert_eq!(listing(&roots).unwrap().roots.len(), 2);
    }

    #[test]
    fn a_tag_that_is_no_stamp_gives_way_to_size_and_time() {
        let Root::Bucket(bucket, below) = "s3://faces".parse().unwrap() else { panic!("a bucket") };
        for (tag, expected) in [(None, "7-0"), (Some(""), "7-0"), (Some("a\nb"), "7-0"), (Some("\"9b2c\""), "\"9b2c\"")] {
            let (location, last_modified) = (Key::from("a.jpg"), Default::default());
            let meta = ObjectMeta { location, last_modified, size: 7, e_tag: tag.map(str::to_owned), version: None };
            let Listed::Image { stamp, .. } = object(0, &bucket, &below, meta) else { panic!("an image") };
            assert_eq!(stamp.as_str(), expected, "{tag:?}");
        }
    }

    #[test]
    fn a_place_comes_after_another_by_root_and_key() {
        assert!(is_past("0 b", "0 a") && is_past("10 a", "9 b") && !is_past("0 a", "0 a") && !is_past("0 b", "1 a"));
    }

    #[test]
    fn what_cannot_be_listed_is_an_error_at_once() {
        for root in ["/nowhere/at/all", "https://host/photos", "data:"] {
            let error = listing(&[root.parse().unwrap()]).err().unwrap();
            assert!(error.to_string().contains(root), "{error}");
        }
    }

    #[test]
    fn a_place_of_another_listing_is_an_error() {
        let listing = listing(&["s3://faces/2024".parse().unwrap(), Root::Path("/".into())]).unwrap();
        assert!(listing.entries(Some("0 2024/a.jpg")).is_ok());
        for place in ["", "2024/a.jpg", "0 2023/a.jpg", "0 2024-old/a.jpg", "0 2024/../a.jpg", "1 tmp", "2 2024/a.jpg"] {
            assert!(listing.entries(Some(place)).is_err(), "{place}");
        }
    }
}
