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

/// What follows for a missing image, and the image that it is about. None if another one of those
/// before has moved to its place: it comes later.
fn verdict(missing: &MissingImage, taken: &mut BTreeSet<ImageId>) -> Option<(ImageId, Verdict)> {
    match &missing.moved_to {
        None => Some((missing.id, Verdict::Gone)),
        Some(place) => taken.insert(place.id).then_some((place.id, Verdict::Moved(missing.id))),
    }
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
            let mut taken = BTreeSet::new();
            let given: Vec<_> =
                missing.iter().filter_map(|image| verdict(image, &mut taken)).collect();
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

/// Those that are not in their place. What moved is in its new one: otherwise, a later scan tells.
async fn not_there(listing: &Listing, missing: Vec<MissingImage>) -> Vec<MissingImage> {
    let look = |image: MissingImage| async move {
        let is_gone = listing.presence(&image.uri).await == Presence::Gone;
        let is_there = match &image.moved_to {
            Some(place) if is_gone => listing.presence(&place.uri).await == Presence::There,
            _ => true,
        };
        (is_gone && is_there).then_some(image)
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
    let (mut rows, mut taken) = (Vec::new(), BTreeSet::new());
    while rows.len() < limit {
        let page = store.missing(&query).await?;
        let Some(last) = page.last() else { break };
        query.after = Some(last.id);
        rows.extend(page.iter().filter_map(|missing| {
            let image = by_id.get(&missing.id)?;
            let (about, verdict) = verdict(missing, &mut taken)?;
            let moved_to = missing.moved_to.as_ref().map(|place| place.id);
            let other = moved_to.or(missing.copied_to).and_then(|place| by_id.get(&place));
            Some(Suggestion {
                image: shown(image),
                other: other.map(|image| shown(image)),
                evidence: Evidence::Missing {
                    since: missing.since,
                    campaign: missing.campaign,
                    moved: moved_to.is_some(),
                    copied: moved_to.is_none() && other.is_some(),
                },
                verdict: Some(verdict),
                images: vec![about],
            })
        }));
    }
    rows.truncate(limit);
    Ok(rows)
}
