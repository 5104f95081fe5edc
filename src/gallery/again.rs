//! Images of a gallery whose result or note has a certain outcome, to scan them again.

use std::sync::Arc;

use futures::stream::{self, StreamExt, TryStreamExt};

use super::GalleryError;
use super::cursor::CursorRange;
use super::list::{Entries, Entry, ListedImage};
use crate::domain::{GalleryName, LabelledImage, OutcomeKind, ProfileId};
use crate::images::{ImageFolders, ImageVersions, ListingError, OutsideCounts, Places};
use crate::store::{Note, PageFilter, PageQuery, Store, StoreError, StoredImage};

/// Images of a page.
const PAGE: u32 = 512;
/// Images whose version is asked for at the same time.
const VERSIONS_AT_ONCE: usize = 64;

/// Which images of a gallery are scanned again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgainQuery {
    /// The gallery.
    pub gallery: GalleryName,
    /// The profile whose results count.
    pub profile: ProfileId,
    /// Their outcomes.
    pub outcomes: Vec<OutcomeKind>,
}

/// The images that a query found.
pub struct AgainImages {
    store: Arc<dyn Store>,
    query: AgainQuery,
    versions: Arc<ImageVersions>,
    /// The cursor of the last image.
    last: i64,
    /// How many there are.
    pub images: u64,
    /// Where they are.
    pub folders: ImageFolders,
    /// Those outside of what may be read.
    pub outside: OutsideCounts,
}

impl AgainImages {
    /// Finds the images, and counts those that `allowed`, if that is known here, does not cover.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn find(
        store: Arc<dyn Store>,
        query: AgainQuery,
        allowed: Option<&Places>,
        versions: ImageVersions,
    ) -> Result<Self, StoreError> {
        let mut found = Self {
            store,
            query,
            versions: Arc::new(versions),
            last: 0,
            images: 0,
            folders: ImageFolders::default(),
            outside: OutsideCounts::default(),
        };
        loop {
            let page = found.query.page(found.store.as_ref(), found.last).await?;
            let Some(last) = page.last() else { return Ok(found) };
            found.last = last.cursor;
            for image in page.iter().filter(|image| !found.query.has_note(image)) {
                found.images += 1;
                found.folders.add(&image.image);
                if allowed.is_some_and(|allowed| !allowed.cover(&image.image)) {
                    found.outside.count(&image.image, || image.outcome.to_string());
                }
            }
        }
    }

    /// The images after the position `from`, or all. `to`: the position up to which images were
    /// listed before.
    pub(super) fn entries(
        self,
        from: Option<&str>,
        to: Option<&str>,
    ) -> Result<Entries, ListingError> {
        let Self { store, query, versions, last, .. } = self;
        let range = CursorRange::left(last, from, to, "a scan with --again")?;
        let pages = stream::try_unfold(
            (store, query, range.after),
            move |(store, query, after)| async move {
                let mut page = query.page(store.as_ref(), after).await?;
                page.retain(|image| image.cursor <= range.last);
                let Some(end) = page.last().map(|image| image.cursor) else { return Ok(None) };
                page.retain(|image| !query.has_note(image));
                let images = stream::iter(page.into_iter().map(Ok));
                Ok::<_, GalleryError>(Some((images, (store, query, end))))
            },
        );
        let entry = move |image: StoredImage| {
            let versions = Arc::clone(&versions);
            async move { Ok(entry(image, range, &versions).await) }
        };
        Ok(pages.try_flatten().map_ok(entry).try_buffered(VERSIONS_AT_ONCE).boxed())
    }
}

impl AgainQuery {
    /// What is scanned again, for people.
    pub fn source(&self) -> String {
        let outcomes: Vec<&str> = self.outcomes.iter().map(|kind| kind.as_str()).collect();
        format!("--again {}", outcomes.join(","))
    }

    /// Whether `image` is a result next to a note that is found, too: it is scanned once.
    fn has_note(&self, image: &StoredImage) -> bool {
        let found = |note: &Note| self.outcomes.contains(&note.outcome);
        // A note itself has no bytes.
        image.hash.is_some() && image.noted.as_ref().is_some_and(found)
    }

    async fn page(&self, store: &dyn Store, after: i64) -> Result<Vec<StoredImage>, StoreError> {
        let query = PageQuery {
            gallery: self.gallery.clone(),
            profile: self.profile.clone(),
            outcomes: self.outcomes.clone(),
            after,
            limit: PAGE,
            templates: false,
            filter: PageFilter::default(),
            notes: true,
        };
        store.page(&query).await
    }
}

async fn entry(image: StoredImage, range: CursorRange, versions: &ImageVersions) -> Entry {
    let position = Some(range.position(image.cursor));
    let stamp = versions.stamp_of(&image.image).await;
    let StoredImage { image, subject, expected_hash, .. } = image;
    let image = LabelledImage { image, stamp, subject, expected_hash };
    Entry::Image(ListedImage { image, position, done: None })
}
