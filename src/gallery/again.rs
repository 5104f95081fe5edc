//! Images of a gallery whose result has a certain outcome, to scan them again.

use std::sync::Arc;

use futures::stream::{self, StreamExt, TryStreamExt};

use super::list::{Entries, ListedImage};
use crate::domain::{GalleryName, LabelledImage, OutcomeKind, ProfileId};
use crate::images::{ListingError, OutsideCounts, Places};
use crate::store::{PageFilter, PageQuery, Store, StoreError, StoredImage};

/// Images of a page.
const PAGE: u32 = 512;

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
    /// The cursor of the last image. What is recorded later has a higher one, and a scan must not
    /// find what it records itself.
    last: i64,
    /// How many there are.
    pub images: u64,
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
    ) -> Result<Self, StoreError> {
        let mut found =
            Self { store, query, last: 0, images: 0, outside: OutsideCounts::default() };
        loop {
            let page = found.query.page(found.store.as_ref(), found.last).await?;
            let Some(last) = page.last() else { return Ok(found) };
            found.last = last.cursor;
            found.images += page.len() as u64;
            for image in &page {
                if allowed.is_some_and(|allowed| !allowed.cover(&image.image)) {
                    found.outside.count(&image.image, || image.outcome.to_string());
                }
            }
        }
    }

    /// The images after a position, or all.
    pub(super) fn entries(self, position: Option<&str>) -> Result<Entries, ListingError> {
        let unknown = |position: &str| ListingError {
            what: format!("after '{position}'"),
            reason: "a scan with --again has no such position".into(),
        };
        let (last, after) = match position {
            None => (self.last, 0),
            Some(position) => {
                let parts = position
                    .split_once(' ')
                    .and_then(|(last, after)| Some((last.parse().ok()?, after.parse().ok()?)));
                parts.ok_or_else(|| unknown(position))?
            }
        };
        let Self { store, query, .. } = self;
        let pages =
            stream::try_unfold((store, query, after), move |(store, query, after)| async move {
                let mut page =
                    query.page(store.as_ref(), after).await.map_err(|error| failed(&error))?;
                page.retain(|image| image.cursor <= last);
                let Some(end) = page.last().map(|image| image.cursor) else { return Ok(None) };
                let images = page.into_iter().map(move |image| Ok(entry(image, last)));
                Ok(Some((stream::iter(images), (store, query, end))))
            });
        Ok(pages.try_flatten().boxed())
    }
}

impl AgainQuery {
    /// What is scanned again, for people.
    pub fn source(&self) -> String {
        let outcomes: Vec<&str> = self.outcomes.iter().map(|kind| kind.as_str()).collect();
        format!("--again {}", outcomes.join(","))
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
        };
        store.page(&query).await
    }
}

fn entry(image: StoredImage, last: i64) -> super::list::Entry {
    // Without a version, it is never up to date.
    let subject = image.subject;
    let position = Some(format!("{last} {:020}", image.cursor));
    let image = LabelledImage { subject, ..LabelledImage::new(image.image, None) };
    super::list::Entry::Image(ListedImage { image, position })
}

fn failed(error: &StoreError) -> ListingError {
    ListingError { what: "the images of the gallery".into(), reason: error.to_string() }
}
