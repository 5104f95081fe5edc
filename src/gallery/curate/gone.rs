//! Images that are gone from their source, and those that were moved within it.

use std::collections::{BTreeSet, HashMap};

use super::load::{CuratedGallery, CuratedImage};
use super::shown;
use super::suggestion::{Evidence, Suggestion};
use super::verdicts::{CurateError, Curator, judge};
use crate::domain::{CurationId, GalleryName, ImageId, UriRoot, Verdict};
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

/// Takes the images out that are missing below `roots`. What was moved is found in its new place.
///
/// # Errors
/// If the store cannot be read or written.
pub async fn prune(
    store: &dyn Store,
    curator: &Curator,
    roots: &[UriRoot],
) -> Result<Pruned, CurateError> {
    let mut pruned = Pruned::default();
    let query = MissingQuery {
        gallery: curator.gallery.clone(),
        below: Some(roots.to_vec()),
        after: None,
        limit: PAGE,
    };
    loop {
        let missing = store.missing(&query).await?;
        let given: Vec<_> = verdicts(&missing).map(|(_, given)| given).collect();
        if given.is_empty() {
            return Ok(pruned);
        }
        let moved = given.iter().filter(|(_, verdict)| *verdict != Verdict::Gone).count() as u64;
        let gone = given.len() as u64 - moved;
        let (curation, _, _) = judge(store, curator.clone(), given, true).await?;
        pruned.curations.extend(curation);
        (pruned.gone, pruned.moved) = (pruned.gone + gone, pruned.moved + moved);
    }
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
