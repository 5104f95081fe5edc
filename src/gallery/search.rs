//! Search: the faces of a gallery that are most similar to others.

use std::sync::Arc;

use tokio::sync::mpsc;

use crate::domain::{FaceId, GalleryName, Profile, ProfileId, Template};
use crate::matching::{MatchingError, Neighbour, TemplateIndex};
use crate::store::{
    ImageKey, KnownResult, ProfileChoiceError, Reading, ResultState, Snapshot, StoreError,
    StoredFace, StoredImage, TemplateBatch, TemplateKey, choose_profile,
};

/// Batches that wait to be added to the index.
const WAITING_BATCHES: usize = 4;

/// Why a gallery cannot be searched.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The gallery has no results.
    #[error(transparent)]
    Profile(#[from] ProfileChoiceError),
    /// The templates of the gallery come from other networks.
    #[error(
        "gallery '{gallery}' has no templates that can be compared with those of profile {probes}: \
         its results are of {found}; scan it with the models of the settings, or search with the \
         settings that it was scanned with"
    )]
    OtherTemplates {
        /// The gallery.
        gallery: GalleryName,
        /// The profile of the probes.
        probes: ProfileId,
        /// The profiles of its results.
        found: String,
    },
    /// A template of the store, or of a probe, is not like the others.
    #[error("the templates cannot be compared: {0}")]
    Templates(#[from] MatchingError),
    /// A thread of the search ended.
    #[error("the search ended: {0}")]
    Ended(#[from] tokio::task::JoinError),
}

/// The templates of a gallery under one profile, in memory, and the state of the store that they
/// come from. It holds a transaction of the store: do not keep it open.
pub struct GallerySearch<'a> {
    gallery: GalleryName,
    profile: ProfileId,
    snapshot: Box<dyn Snapshot + 'a>,
    index: Arc<TemplateIndex<TemplateKey>>,
    threads: usize,
}

/// A face to search with.
#[derive(Debug, Clone, PartialEq)]
pub struct SearchedFace {
    /// Its template.
    pub template: Template,
    /// Which template of the gallery it is, if it is one: it is no candidate for itself.
    pub stored: Option<TemplateKey>,
}

/// A face of the gallery.
#[derive(Debug, Clone, PartialEq)]
pub struct GalleryFace {
    /// The image that it is in.
    pub image: StoredImage,
    /// The face.
    pub face: StoredFace,
    /// To search with it.
    pub searched: SearchedFace,
}

/// A face that is similar to a probe.
#[derive(Debug, Clone, PartialEq)]
pub struct SearchCandidate {
    /// Cosine of the two templates, -1 to 1.
    pub similarity: f64,
    /// The image that it is in.
    pub image: StoredImage,
    /// The face.
    pub face: StoredFace,
}

/// The profile of the gallery whose templates can be compared with those of the profile `probes`:
/// the same, or else the latest one that gives the same templates, with qualities of another
/// mapping.
///
/// # Errors
/// If there is none, or the store cannot be read.
pub async fn searchable_profile(
    store: &dyn Reading,
    gallery: &GalleryName,
    probes: &Profile,
) -> Result<ProfileId, SearchError> {
    choose_profile(store, gallery, None).await?;
    let galleries = store.galleries().await?;
    let ids = galleries.into_iter().find(|(name, _)| name == gallery).map(|(_, ids)| ids);
    let ids = ids.unwrap_or_default();
    let same = probes.id();
    if ids.contains(&same) {
        return Ok(same);
    }
    for id in &ids {
        let profile = store.profile(id).await?;
        if profile.is_some_and(|profile| profile.scores_id() == probes.scores_id()) {
            return Ok(id.clone());
        }
    }
    let found: Vec<&str> = ids.iter().map(ProfileId::as_str).collect();
    let (gallery, found) = (gallery.clone(), found.join(", "));
    Err(SearchError::OtherTemplates { gallery, probes: same, found })
}

impl<'a> GallerySearch<'a> {
    /// Reads the templates of `gallery` under `profile`. Searches use `threads` threads.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn open(
        store: &'a dyn Reading,
        gallery: &GalleryName,
        profile: &ProfileId,
        threads: usize,
    ) -> Result<Self, SearchError> {
        let mut snapshot = store.snapshot().await?;
        let (to, batches) = mpsc::channel(WAITING_BATCHES);
        let indexing = tokio::task::spawn_blocking(move || index(batches));
        let read = snapshot.templates(gallery, profile, to).await;
        // Why the index could not be built is the cause if reading ended early, too.
        let index = Arc::new(indexing.await??);
        read?;
        let (gallery, profile) = (gallery.clone(), profile.clone());
        Ok(Self { gallery, profile, snapshot, index, threads })
    }

    /// The number of faces that are searched.
    pub fn faces(&self) -> usize {
        self.index.len()
    }

    /// The face `id` of the gallery. None if it has no such face now, or the face has no template.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn face(&mut self, id: FaceId) -> Result<Option<GalleryFace>, SearchError> {
        let known = self.snapshot.history(&ImageKey::Id(id.image), Some(&self.gallery)).await?;
        let of_profile = |result: &KnownResult| {
            result.image.id == id.image
                && result.profile == self.profile
                && result.state == ResultState::Current
        };
        let Some(KnownResult { image, .. }) = known.into_iter().find(of_profile) else {
            return Ok(None);
        };
        let key = TemplateKey::new(image.cursor, id.index);
        let Some((key, template)) = key.and_then(|key| Some(key).zip(self.index.template(key)))
        else {
            return Ok(None);
        };
        let face = image.faces.iter().find(|face| face.id == id).cloned();
        let searched = SearchedFace { template, stored: Some(key) };
        Ok(face.map(|face| GalleryFace { image, face, searched }))
    }

    /// The `k` faces most similar to each probe, the most similar first, of those with a similarity
    /// of at least `least`. Exact; never fewer than `k` if the gallery has as many.
    ///
    /// # Errors
    /// If the store cannot be read, or the probes are of another profile.
    pub async fn nearest(
        &mut self,
        probes: Vec<SearchedFace>,
        k: usize,
        least: f64,
    ) -> Result<Vec<Vec<SearchCandidate>>, SearchError> {
        let (index, threads) = (self.index.clone(), self.threads);
        let (templates, stored): (Vec<Template>, Vec<Option<TemplateKey>>) =
            probes.into_iter().map(|probe| (probe.template, probe.stored)).unzip();
        // One more, for the probe itself.
        let wanted = k.saturating_add(usize::from(stored.iter().any(Option::is_some)));
        let search = move || index.nearest(&templates, wanted, least, threads);
        let mut found = tokio::task::spawn_blocking(search).await??;
        for (found, stored) in found.iter_mut().zip(stored) {
            found.retain(|neighbour| Some(neighbour.key) != stored);
            found.truncate(k);
        }
        let mut cursors: Vec<i64> = found.iter().flatten().map(|each| each.key.cursor()).collect();
        cursors.sort_unstable();
        cursors.dedup();
        let images = self.snapshot.images(&cursors).await?;
        Ok(found
            .into_iter()
            .map(|of_probe| of_probe.iter().filter_map(|each| candidate(&images, each)).collect())
            .collect())
    }
}

/// The face of a neighbour. None cannot be: both come from one state of the store.
fn candidate(images: &[StoredImage], found: &Neighbour<TemplateKey>) -> Option<SearchCandidate> {
    let place = images.binary_search_by_key(&found.key.cursor(), |image| image.cursor).ok()?;
    let image = &images[place];
    let face = image.faces.iter().find(|face| face.id.index == found.key.index())?;
    Some(SearchCandidate { similarity: found.similarity, image: image.clone(), face: face.clone() })
}

/// The index of all templates.
fn index(
    mut batches: mpsc::Receiver<TemplateBatch>,
) -> Result<TemplateIndex<TemplateKey>, MatchingError> {
    let mut index = TemplateIndex::new(0, 0);
    while let Some(batch) = batches.blocking_recv() {
        if index.is_empty() {
            let dimension = batch.halves.len() / batch.keys.len().max(1);
            let expected = usize::try_from(batch.expected).unwrap_or_default();
            index = TemplateIndex::new(dimension, expected.max(batch.keys.len()));
        }
        index.extend(&batch.keys, &batch.halves)?;
    }
    Ok(index)
}
