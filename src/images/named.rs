//! Images and places as a command names them, to be read at once. An image that is named is read
//! whatever it is called; folders, buckets and prefixes are listed as a scan lists them.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::stream::{self, BoxStream, StreamExt};

use super::list::resolved;
use super::listing::{ListingEntries, until_error};
use super::root::{InvalidRoot, object_url};
use super::{Listing, ListingEntry, ListingError, NotListed, Objects, Root, Rules};
use crate::domain::ImageUri;

/// An image, or a place of images, as a user names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedPlace {
    root: Root,
    /// The image's URI, if it says more than the root: the bytes of an inline image, or a query.
    uri: Option<ImageUri>,
}

/// One image to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageToRead {
    /// Its URI; `None` if its name makes none.
    pub uri: Option<ImageUri>,
    /// Its name for people: a path as the user wrote it, or below the folder as the user wrote
    /// that; any other URI without password and query.
    pub name: String,
    /// Why it cannot be read, if that is known already.
    pub missing: Option<String>,
}

/// What is found where a user looks.
#[derive(Debug)]
pub enum NamedEntry {
    /// An image.
    Image(ImageToRead),
    /// A file, object or folder that is not listed as an image.
    NotListed(NotListed),
    /// A folder or file that could not be read.
    Failed(ListingError),
    /// There was no image below this folder, bucket or prefix.
    NoImage(String),
}

impl TryFrom<OsString> for NamedPlace {
    type Error = InvalidRoot;

    /// As [`Root::try_from`]; an inline image (`data:image/png;base64,…`) and the URL of an image
    /// with a query are places, too.
    fn try_from(text: OsString) -> Result<Self, InvalidRoot> {
        let Some(uri) = text.to_str().and_then(single_image) else {
            return Ok(Self { root: text.try_into()?, uri: None });
        };
        if uri.scheme() == "data" {
            return Ok(Self { root: Root::Inline, uri: Some(uri) });
        }
        let mut url = uri.as_url().clone();
        url.set_query(None);
        url.set_fragment(None);
        Ok(Self { root: url.as_str().parse()?, uri: Some(uri) })
    }
}

/// The image that a URI names, if only an image can have that URI.
fn single_image(text: &str) -> Option<ImageUri> {
    let (scheme, rest) = text.split_once(':')?;
    let single = match scheme.to_ascii_lowercase().as_str() {
        "data" => !rest.is_empty(),
        "https" | "http" => rest.contains(['?', '#']),
        _ => false,
    };
    single.then(|| text.parse().ok()).flatten()
}

impl NamedPlace {
    /// Its name for people, as it was written but for a password and a query.
    pub fn name(&self) -> String {
        self.uri.as_ref().map_or_else(|| self.root.to_string(), ImageUri::for_people)
    }

    /// What naming it allows to read; `None` if it is not there.
    pub fn readable(&self) -> Option<Root> {
        match &self.root {
            Root::Path(path) => path.canonicalize().ok().map(Root::Path),
            other => Some(other.clone()),
        }
    }

    /// The image, if it is one.
    pub fn image(&self) -> ImageToRead {
        let found = match (&self.uri, &self.root) {
            (Some(uri), _) => Ok(uri.clone()),
            (None, Root::Path(path)) => return local_image(path),
            (None, Root::Bucket(_, key)) if key.is_root() => Err("it is a bucket, not an image"),
            (None, Root::Bucket(bucket, key)) => object_url(bucket, key)
                .and_then(|url| url.as_str().parse().ok())
                .ok_or("the key cannot be written as a URL"),
            (None, Root::Web(image)) => image.uri().ok_or("it is not an image's URL"),
            (None, Root::Inline) => Err("it is not an image"),
        };
        match found {
            Ok(uri) => ImageToRead::from(uri),
            Err(reason) => {
                ImageToRead { uri: None, name: self.name(), missing: Some(reason.to_owned()) }
            }
        }
    }
}

impl From<ImageUri> for ImageToRead {
    fn from(uri: ImageUri) -> Self {
        Self { name: uri.for_people(), uri: Some(uri), missing: None }
    }
}

/// The image at `path`, under its path without links.
fn local_image(path: &Path) -> ImageToRead {
    let name = path.to_string_lossy().into_owned();
    let (whole, missing) = match path.canonicalize() {
        Ok(path) => (Some(path), None),
        Err(error) => {
            (std::path::absolute(path).map(|path| resolved(&path)).ok(), Some(error.to_string()))
        }
    };
    let uri = whole.and_then(|path| ImageUri::from_path(&path).ok());
    let no_uri = uri.is_none().then(|| "its name makes no URI".to_owned());
    ImageToRead { uri, name, missing: missing.or(no_uri) }
}

/// The images that some places name or contain. What is below the places is never held in memory
/// as a whole.
pub struct NamedImages {
    places: Vec<Place>,
    listing: Listing,
    /// The local places, by their canonical paths, as they were written first.
    written: Arc<HashMap<PathBuf, PathBuf>>,
}

/// A place, looked up.
#[derive(Clone)]
enum Place {
    /// An image that was named, and what naming it allows to read.
    Image(ImageToRead, Option<Root>),
    /// A folder, bucket or prefix: its name, and the root to list.
    Listed(String, Root),
}

impl NamedImages {
    /// The images of `places`, without what `rules` leave out below them.
    ///
    /// # Errors
    /// If a place is of a kind that cannot be listed.
    pub fn new(
        places: Vec<NamedPlace>,
        rules: Rules,
        objects: Arc<Objects>,
    ) -> Result<Self, ListingError> {
        let mut written = HashMap::new();
        let mut roots = Vec::with_capacity(places.len());
        let look_up = |place: NamedPlace| {
            let root = place.readable();
            if let (Some(Root::Path(path)), Root::Path(as_written)) = (&root, &place.root) {
                written.entry(path.clone()).or_insert_with(|| as_written.clone());
            }
            // Every root is passed on: the listing says which kinds cannot be listed, and lists no
            // file that is named as well.
            roots
                .extend(root.clone().filter(|_| place.uri.is_none() || place.root != Root::Inline));
            match root {
                Some(root) if is_listed(&root) => Place::Listed(place.name(), root),
                root => Place::Image(place.image(), root),
            }
        };
        let places = places.into_iter().map(look_up).collect();
        let listing = Listing::new(&roots, rules, objects)?;
        Ok(Self { places, listing, written: Arc::new(written) })
    }

    /// What naming the places allows to read.
    pub fn roots(&self) -> Vec<Root> {
        let root = |place: &Place| match place {
            Place::Image(_, root) => root.clone(),
            Place::Listed(_, root) => Some(root.clone()),
        };
        self.places.iter().filter_map(root).collect()
    }

    /// The entries of the places, in the order of the places. A file or URL that is named comes as
    /// often as it is named, and not once more below its folder. A folder, bucket or prefix that is
    /// named again comes once. An error is the last item: a listing failed there.
    pub fn entries(&self) -> BoxStream<'static, Result<NamedEntry, ListingError>> {
        let (listing, folders) = (self.listing.clone(), self.listing.folders());
        let (written, roots) = (self.written.clone(), Arc::new(self.roots()));
        let mut listed = HashSet::new();
        let entries = stream::iter(self.places.clone()).flat_map(move |place| match place {
            Place::Image(image, _) => stream::iter([Ok(NamedEntry::Image(image))]).boxed(),
            Place::Listed(name, root) if listed.insert(root.clone()) => {
                let entries = listing.below(&root, &folders);
                or_no_image(entries, written.clone(), name, root, roots.clone())
            }
            Place::Listed(..) => stream::empty().boxed(),
        });
        until_error(entries)
    }
}

fn is_listed(root: &Root) -> bool {
    match root {
        Root::Path(path) => path.is_dir(),
        Root::Bucket(..) => true,
        Root::Web(_) | Root::Inline => false,
    }
}

/// The entries of `root` with the names that the user reads; if there is no image among them, and
/// no other of `roots` is below it, an entry that says so.
fn or_no_image(
    entries: ListingEntries,
    written: Arc<HashMap<PathBuf, PathBuf>>,
    name: String,
    root: Root,
    roots: Arc<Vec<Root>>,
) -> BoxStream<'static, Result<NamedEntry, ListingError>> {
    let found = Arc::new(AtomicBool::new(false));
    let any = Arc::clone(&found);
    let entries = entries.map(move |entry| {
        Ok(match entry? {
            ListingEntry::Image { image, .. } => {
                found.store(true, Ordering::Relaxed);
                NamedEntry::Image(as_written(image.image, &written))
            }
            ListingEntry::NotListed(other) => NamedEntry::NotListed(other),
            ListingEntry::Failed(error) => NamedEntry::Failed(error),
        })
    });
    let otherwise = async move {
        let has_inner = || roots.iter().any(|other| *other != root && root.contains(other));
        (!any.load(Ordering::Relaxed) && !has_inner()).then_some(Ok(NamedEntry::NoImage(name)))
    };
    entries.chain(stream::once(otherwise).filter_map(std::future::ready)).boxed()
}

/// The image with its path below the place that contains it, as that was written.
fn as_written(uri: ImageUri, written: &HashMap<PathBuf, PathBuf>) -> ImageToRead {
    let name = uri.to_path().and_then(|path| {
        path.ancestors().find_map(|above| {
            let (below, place) = (path.strip_prefix(above).ok()?, written.get(above)?);
            // An empty path would add a slash.
            let name = if below == Path::new("") { place.clone() } else { place.join(below) };
            Some(name.to_string_lossy().into_owned())
        })
    });
    let image = ImageToRead::from(uri);
    match name {
        Some(name) => ImageToRead { name, ..image },
        None => image,
    }
}

#[cfg(test)]
mod tests;
