//! What lies below some roots, lazily: a gallery of millions is never held in memory.
//!
//! Buckets are listed in the order of their keys, so that a listing can be taken up again after a
//! place. A folder has no such order; a listing of folders begins at its beginning.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::stream::{BoxStream, StreamExt};
use object_store::ObjectMeta;
use object_store::path::Path as Key;
use tokio::sync::mpsc;

use super::listed::{Listed, ListingError, Other, Why, ending_of};
use super::root::{Bucket, object_url};
use super::rules::Rules;
use super::walk::{Folders, Gone, has_image_ending, is_image};
use super::{Objects, Root};
use crate::domain::{ImageUri, SourceStamp};

/// How far a folder is walked ahead of whoever reads the listing.
const AHEAD: usize = 256;

/// So many objects are looked into at once whose keys do not tell what they are.
const LOOKS: usize = 16;

/// What lies below some roots, in the order of the roots. It can be listed any number of times.
#[derive(Clone)]
pub struct Listing {
    roots: Vec<Root>,
    rules: Rules,
    objects: Arc<Objects>,
}

impl Listing {
    /// A listing of `roots`: folders, single files, buckets and keys in them, without what `rules`
    /// leave out. Links in folders are followed as long as they lead to something below the roots
    /// that no `--exclude` matches. Everything is listed once, below the innermost root that it is
    /// in.
    ///
    /// # Errors
    /// If a local one does not exist, or one is of a kind that cannot be listed.
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

    /// Whether all of it is on this machine: listing it twice costs little then.
    pub fn is_local(&self) -> bool {
        self.roots.iter().all(|root| matches!(root, Root::Path(_)))
    }

    /// Whether every image has a place, after which the listing can be taken up again.
    pub fn has_places(&self) -> bool {
        !self.roots.iter().any(|root| matches!(root, Root::Path(_)))
    }

    /// The entries after `place`, or all. An error is the last item: the listing broke there, and
    /// can be taken up after the last place.
    ///
    /// # Errors
    /// If the place is none of this listing's.
    pub fn entries(
        &self,
        place: Option<&str>,
    ) -> Result<BoxStream<'static, Result<Listed, ListingError>>, ListingError> {
        let (first, mut after) = match place {
            None => (0, None),
            Some(place) => {
                let (number, key) = self.parse(place).ok_or_else(|| ListingError {
                    what: format!("on from '{place}'"),
                    reason:
                        "it is no place in this listing; its roots must be the same and in the \
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
        // An error is the last item, of all roots.
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

/// Whether `place` comes after `other` in the listing that both are of.
pub fn is_past(place: &str, other: &str) -> bool {
    // The number of the root, then the key.
    let parts = |place: &'_ str| {
        let (number, key) = place.split_once(' ').unwrap_or_default();
        (number.parse::<usize>().unwrap_or_default(), key.to_owned())
    };
    parts(place) > parts(other)
}

/// A bucket, or what lies below a key in it.
struct BucketRoot {
    objects: Arc<Objects>,
    rules: Rules,
    number: usize,
    bucket: Bucket,
    below: Key,
    /// Keys of other roots, which list what lies below them.
    inner: Vec<Key>,
}

impl BucketRoot {
    fn list(
        self: Arc<Self>,
        after: Option<&Key>,
    ) -> BoxStream<'static, Result<Listed, ListingError>> {
        let what = Root::Bucket(self.bucket.clone(), self.below.clone()).to_string();
        let broken = move |reason| ListingError { what: what.clone(), reason };
        match self.objects.list(&self.bucket, &self.below, after) {
            Ok(found) => {
                let entry = move |meta: Result<ObjectMeta, String>| {
                    let (root, meta) = (self.clone(), meta.map_err(&broken));
                    async move {
                        match meta {
                            Ok(meta) => root.object(meta).await.map(Ok),
                            Err(error) => Some(Err(error)),
                        }
                    }
                };
                found.map(entry).buffered(LOOKS).filter_map(std::future::ready).boxed()
            }
            Err(reason) => futures::stream::iter([Err(broken(reason))]).boxed(),
        }
    }

    /// The entry of an object; none if it is another root's.
    async fn object(&self, meta: ObjectMeta) -> Option<Listed> {
        let key = &meta.location;
        if self.inner.iter().any(|inner| key.prefix_match(inner).is_some()) {
            return None;
        }
        let name = format!("{}/{key}", self.bucket);
        let uri: Option<ImageUri> =
            object_url(&self.bucket, key).and_then(|url| url.as_str().parse().ok());
        // An object that was named itself is meant, whatever it is.
        let why = if *key == self.below { Ok(None) } else { self.why_not(&meta).await };
        Some(match (why, uri) {
            (Err(reason), _) => Listed::Unlisted(ListingError { what: name, reason }),
            (Ok(Some(why)), uri) => Listed::Other(Other { name, uri, why }),
            (Ok(None), None) => {
                Listed::Unlisted(ListingError { what: name, reason: "the key makes no URL".into() })
            }
            (Ok(None), Some(uri)) => {
                // A tag that is no stamp would keep the object from ever being a job.
                let tag = meta.e_tag.as_ref().and_then(|tag| tag.parse().ok());
                let stamp = tag.unwrap_or_else(|| {
                    SourceStamp::of(meta.size, meta.last_modified.timestamp_micros())
                });
                Listed::Image { uri, stamp, place: Some(format!("{} {key}", self.number)) }
            }
        })
    }

    /// Why an object is not listed as an image; an error if that could not be found out. Looking
    /// into an object is a request: it is done for keys without an ending, and not for those whose
    /// ending is no image's.
    async fn why_not(&self, meta: &ObjectMeta) -> Result<Option<Why>, String> {
        let key = meta.location.as_ref();
        let below =
            Path::new(key.strip_prefix(self.below.as_ref()).unwrap_or(key).trim_start_matches('/'));
        if let Some(rule) = self.rules.leaving_out_key(below) {
            return Ok(Some(Why::Rule { rule, folder: false }));
        }
        if has_image_ending(below) {
            return Ok(None);
        }
        if below.extension().is_none() && meta.size > 0 {
            let start = self.objects.start(&self.bucket, meta).await.map_err(|error| {
                format!(
                    "its key does not tell whether it is an image, and it cannot be read: {error}"
                )
            })?;
            if is_image(below, &start) {
                return Ok(None);
            }
        }
        Ok(Some(Why::NoImage(ending_of(below))))
    }
}

/// Walking a folder blocks; it does so on a thread of its own, and ends when nobody reads on.
fn below_path(folders: Arc<Folders>, root: PathBuf) -> BoxStream<'static, Listed> {
    let (sender, entries) = mpsc::channel(AHEAD);
    // An error says that nobody reads on: that is how a walk may end.
    let walk = move || {
        folders.walk(&root, &mut |listed| sender.blocking_send(listed).map_err(|_| Gone)).ok();
    };
    let walker = tokio::task::spawn_blocking(walk);
    futures::stream::unfold((entries, walker), |(mut entries, walker)| async move {
        match entries.recv().await {
            Some(listed) => Some((listed, (entries, walker))),
            None => {
                // Walking ends with the walk alone, or because nobody reads on; a panic is nothing
                // to pass over in silence.
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
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::images::FetchLimits;

    fn listing(roots: &[Root]) -> Result<Listing, ListingError> {
        let second = Duration::from_secs(1);
        let limits = FetchLimits {
            max_bytes: 1,
            whole: second,
            connect: second,
            idle: second,
            redirects: 0,
        };
        Listing::new(
            roots,
            Rules::new(&[], &[]).unwrap(),
            Arc::new(Objects::new([], None, limits).unwrap()),
        )
    }

    fn bucket(root: &str, others: &[&str]) -> BucketRoot {
        let roots: Vec<Root> =
            [root].iter().chain(others).map(|root| root.parse().unwrap()).collect();
        let Root::Bucket(bucket, below) = roots[0].clone() else { panic!("a bucket") };
        listing(&roots).unwrap().objects(0, bucket, below)
    }

    fn meta(key: &str, tag: Option<&str>) -> ObjectMeta {
        let (location, last_modified) = (Key::from(key), Default::default());
        ObjectMeta {
            location,
            last_modified,
            size: 7,
            e_tag: tag.map(str::to_owned),
            version: None,
        }
    }

    #[tokio::test]
    async fn images_are_found_at_any_depth_and_the_rest_is_told() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("a/b")).unwrap();
        for name in ["x.jpg", "a/y.PNG", "a/b/z.jpeg", "a/notes.txt", "a/b/noending"] {
            std::fs::write(folder.path().join(name), b"x").unwrap();
        }
        std::os::unix::fs::symlink(folder.path(), folder.path().join("a/circle")).unwrap();
        let roots = [folder.path().to_owned(), folder.path().join("a/notes.txt")].map(Root::Path);
        let listing = listing(&roots).unwrap();
        assert!(listing.is_local());
        let (mut images, mut others) = (Vec::new(), Vec::new());
        let mut entries = listing.entries(None).unwrap();
        while let Some(entry) = entries.next().await {
            match entry.unwrap() {
                Listed::Image { uri, stamp, place } => {
                    assert!(stamp.as_str().starts_with("1-"), "{stamp:?}");
                    assert_eq!(place, None);
                    images.push(
                        uri.to_path().unwrap().file_name().unwrap().to_str().unwrap().to_owned(),
                    );
                }
                Listed::Other(other) => others.push(other.why),
                Listed::Unlisted(error) => panic!("{error}"),
            }
        }
        images.sort();
        assert_eq!(images, ["notes.txt", "x.jpg", "y.PNG", "z.jpeg"]);
        assert!(
            others.contains(&Why::NoImage("without ending".into()))
                && others.contains(&Why::LinkInside),
            "{others:?}"
        );
        assert_eq!(others.len(), 2);
    }

    #[tokio::test]
    async fn an_image_below_two_roots_is_listed_once() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("a")).unwrap();
        std::fs::write(folder.path().join("a/x.jpg"), b"x").unwrap();
        let roots = ["a", "a/x.jpg", "", ""].map(|name| Root::Path(folder.path().join(name)));
        let entries = listing(&roots).unwrap().entries(None).unwrap();
        assert_eq!(entries.count().await, 1);
    }

    #[tokio::test]
    async fn an_object_below_two_roots_is_the_inner_one_s() {
        let roots = ["s3://faces/2024/may", "s3://faces/2024-old", "s3://faces/2024"];
        let outer = bucket(roots[2], &roots[..2]);
        assert!(outer.object(meta("2024/may/a.jpg", None)).await.is_none());
        assert!(matches!(
            outer.object(meta("2024/mayor/a.jpg", None)).await,
            Some(Listed::Image { .. })
        ));
        let inner = bucket(roots[0], &roots[1..]);
        assert!(matches!(
            inner.object(meta("2024/may/a.jpg", None)).await,
            Some(Listed::Image { .. })
        ));
    }

    #[tokio::test]
    async fn an_object_is_judged_by_its_key_and_what_was_named_is_meant() {
        let root = bucket("s3://faces/@eaDir/2024", &[]);
        for (key, expected) in [
            ("@eaDir/2024/a.HEIC", None),
            ("@eaDir/2024/a.parquet", Some(Why::NoImage(".parquet".into()))),
            ("@eaDir/2024/@eaDir/a.jpg", Some(Why::Rule { rule: "@eaDir".into(), folder: false })),
            ("@eaDir/2024", None),
        ] {
            let why = match root.object(meta(key, None)).await.unwrap() {
                Listed::Other(other) => {
                    assert_eq!(other.name, format!("s3://faces/{key}"));
                    Some(other.why)
                }
                Listed::Image { .. } => None,
                Listed::Unlisted(error) => panic!("{error}"),
            };
            assert_eq!(why, expected, "{key}");
        }
    }

    #[tokio::test]
    async fn a_tag_that_is_no_stamp_gives_way_to_size_and_time() {
        for (tag, expected) in [
            (None, "7-0"),
            (Some(""), "7-0"),
            (Some("a\nb"), "7-0"),
            (Some("\"9b2c\""), "\"9b2c\""),
        ] {
            let listed = bucket("s3://faces", &[]).object(meta("a.jpg", tag)).await;
            let Some(Listed::Image { stamp, .. }) = listed else { panic!("an image") };
            assert_eq!(stamp.as_str(), expected, "{tag:?}");
        }
    }

    #[test]
    fn a_place_comes_after_another_by_root_and_key() {
        assert!(
            is_past("0 b", "0 a")
                && is_past("10 a", "9 b")
                && !is_past("0 a", "0 a")
                && !is_past("0 b", "1 a")
        );
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
        let listing =
            listing(&["s3://faces/2024".parse().unwrap(), Root::Path("/".into())]).unwrap();
        assert!(listing.entries(Some("0 2024/a.jpg")).is_ok());
        for place in [
            "",
            "2024/a.jpg",
            "0 2023/a.jpg",
            "0 2024-old/a.jpg",
            "0 2024/../a.jpg",
            "1 tmp",
            "2 2024/a.jpg",
        ] {
            assert!(listing.entries(Some(place)).is_err(), "{place}");
        }
    }
}
