//! Images that are gone from their source, and those that were moved within it.

use std::collections::{BTreeSet, HashMap};

use futures::stream::{self, StreamExt};

use super::load::{CuratedGallery, CuratedImage};
use super::shown;
use super::suggestion::{Evidence, Suggestion};
use super::verdicts::{CurateError, Curator, judge};
use crate::domain::{CurationId, GalleryName, ImageId, Verdict};
use crate::gallery::missing::LOOKS_AT_ONCE;
use crate::images::{Listing, Presence};
use crate::store::{MissingImage, MissingImages, MissingQuery, Store};

/// Images that are read, and judged as one curation.
const PAGE: u32 = 5000;

/// What [`prune`] did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pruned {
    /// Images that are gone.
    pub gone: u64,
    /// Images that were moved.
    pub moved: u64,
    /// The curations of the verdicts.
    pub curations: Vec<CurationId>,
}

/// What follows for missing images, each with its verdict. Only one can have moved to one place:
/// the others come later.
fn verdicts(missing: &[MissingImage]) -> impl Iterator<Item = (&MissingImage, (ImageId, Verdict))> {
    let mut taken = BTreeSet::new();
    missing.iter().filter_map(move |image| match image.moved_to {
        None => Some((image, (image.id, Verdict::Gone))),
        Some(place) => taken.insert(place).then_some((image, (place, Verdict::Moved(image.id)))),
    })
}

/// Takes the images out that are missing below the roots of `listing`, and are not there now: rules
/// may have left out what came back. What was moved is found in its new place.
///
/// # Errors
/// If the store cannot be read or written.
pub async fn prune(
    store: &dyn Store,
    curator: &Curator,
    listing: &Listing,
) -> Result<Pruned, CurateError> {
    let mut pruned = Pruned::default();
    let mut query = MissingQuery {
        gallery: curator.gallery.clone(),
        below: Some(listing.covered()),
        after: None,
        limit: PAGE,
    };
    // Of several that may have moved to one place, one does in each round.
    loop {
        let before = pruned.curations.len();
        query.after = None;
        loop {
            let missing = store.missing(&query).await?;
            let Some(last) = missing.last() else { break };
            query.after = Some(last.id);
            let missing = not_there(listing, missing).await;
            let given: Vec<_> = verdicts(&missing).map(|(_, given)| given).collect();
            if given.is_empty() {
                continue;
            }
            let moved = given.iter().filter(|(_, verdict)| *verdict != Verdict::Gone).count();
            let (moved, all) = (moved as u64, given.len() as u64);
            let (curation, _, _) = judge(store, curator.clone(), given, true).await?;
            pruned.curations.extend(curation);
            (pruned.gone, pruned.moved) = (pruned.gone + all - moved, pruned.moved + moved);
        }
        if pruned.curations.len() == before {
            return Ok(pruned);
        }
    }
}

/// Those that are not in their place.
async fn not_there(listing: &Listing, missing: Vec<MissingImage>) -> Vec<MissingImage> {
    let look = |image: MissingImage| async move {
        (listing.presence(&image.uri).await == Presence::Gone).then_some(image)
    };
    let looked = stream::iter(missing).map(look).buffered(LOOKS_AT_ONCE);
    looked.filter_map(std::future::ready).collect().await
}

/// The images that are missing, the first ones first.
pub(super) async fn missing(
    store: &dyn MissingImages,
    gallery: &GalleryName,
    images: &CuratedGallery,
    limit: usize,
) -> Result<Vec<Suggestion>, CurateError> {
    let by_id: HashMap<ImageId, &CuratedImage> =
        images.images.iter().map(|image| (image.image.id, image)).collect();
    let mut query =
        MissingQuery { gallery: gallery.clone(), below: None, after: None, limit: PAGE };
    let mut rows = Vec::new();
    while rows.len() < limit {
        let page = store.missing(&query).await?;
        let Some(last) = page.last() else { break };
        query.after = Some(last.id);
        let row = |(missing, (about, verdict)): (&MissingImage, (ImageId, Verdict))| {
            let other = missing.moved_to.and_then(|place| by_id.get(&place));
            Some(Suggestion {
                image: shown(by_id.get(&missing.id)?),
                other: other.map(|image| shown(image)),
                evidence: Evidence::Missing {
                    since: missing.since,
                    campaign: missing.campaign,
                    moved: missing.moved_to.is_some(),
                },
                verdict: Some(verdict),
                images: vec![about],
            })
        };
        rows.extend(verdicts(&page).filter_map(row));
    }
    rows.truncate(limit);
    Ok(rows)
}
