//! Search: the people or the faces of a gallery that are most similar to a face.

mod index;
mod live;

use std::sync::Arc;

use self::index::{FoundTemplate, SearchIndex};
pub use self::live::{LiveGallery, Refreshed};
use crate::domain::{FaceId, GalleryName, Profile, ProfileId, SubjectName, Template};
use crate::matching::MatchingError;
use crate::store::{
    ImageKey, KnownResult, PageFilter, PageQuery, ProfileChoiceError, Reading, ResultState,
    Searched, Snapshot, StampsOf, Store, StoreError, StoredFace, StoredImage, TemplateKey,
    choose_profile,
};

/// Why a gallery cannot be searched.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The gallery has no results.
    #[error(transparent)]
    Profile(#[from] ProfileChoiceError),
    /// The templates that are searched come from other networks than the probes.
    #[error("{}", other_templates(.0))]
    OtherTemplates(Box<OtherTemplates>),
    /// A template of the store, or of a probe, is not like the others.
    #[error("the templates cannot be compared: {0}")]
    Templates(#[from] MatchingError),
    /// A thread of the search ended.
    #[error("the search ended: {0}")]
    Ended(#[from] tokio::task::JoinError),
}

/// Probes that cannot be compared with what is searched.
#[derive(Debug)]
pub struct OtherTemplates {
    /// The gallery.
    pub gallery: GalleryName,
    /// The profile of the probes.
    pub probes: ProfileId,
    /// The profile that is searched under.
    pub searched: ProfileId,
    /// What the gallery has of the probes' profile.
    pub results: ProbesProfile,
}

/// What a gallery has of the profile of probes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProbesProfile {
    /// It is the active one.
    Active,
    /// It is a shadow.
    Shadow,
    /// There are no results of it.
    WithoutResults,
}

fn other_templates(other: &OtherTemplates) -> String {
    let OtherTemplates { gallery, probes, searched, results } = other;
    let choice = match results {
        ProbesProfile::Active => format!(
            "or leave --profile out: {probes}, the profile of these settings, is the active one"
        ),
        ProbesProfile::Shadow => format!(
            "--profile {probes} searches the shadow of these settings, and `facefleet profile \
             activate {probes} --gallery {gallery}` makes it the active profile"
        ),
        ProbesProfile::WithoutResults => {
            format!(
                "or scan the gallery with the models of these settings and activate that profile \
                  (`facefleet profile activate settings --gallery {gallery}`)"
            )
        }
    };
    format!(
        "gallery '{gallery}' is searched under profile {searched}, whose templates cannot be \
         compared with those of the settings, profile {probes}: search with the settings of that \
         profile (`facefleet profile show {searched}` names its models); {choice}"
    )
}

/// The templates of a gallery under one profile, in memory, and the state of the store that they
/// come from. It holds a transaction of the store: do not keep it open.
pub struct GallerySearch<'a> {
    gallery: GalleryName,
    profile: ProfileId,
    snapshot: Box<dyn Snapshot + 'a>,
    index: Arc<SearchIndex>,
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

/// A face that is similar to a probe: of the gallery, or of a subject's best reference.
#[derive(Debug, Clone, PartialEq)]
pub struct SearchCandidate {
    /// Cosine of the two templates, -1 to 1.
    pub similarity: f64,
    /// Whose face it is: the subject that the reference stands for, or the one that a job named.
    pub subject: Option<SubjectName>,
    /// The image that it is in.
    pub image: StoredImage,
    /// The face.
    pub face: StoredFace,
}

/// Whether a gallery can be searched under its profile `searched` with templates of the profile
/// `probes`: both give the same templates, whatever their estimators and mappings are.
///
/// # Errors
/// If its templates are others, or the store cannot be read.
pub async fn require_searchable(
    store: &dyn Store,
    gallery: &GalleryName,
    probes: &Profile,
    searched: &ProfileId,
) -> Result<(), SearchError> {
    let profile = store.profile(searched).await?;
    if profile.is_some_and(|profile| profile.templates_id() == probes.templates_id()) {
        return Ok(());
    }
    let own = probes.id();
    let active = choose_profile(store, gallery, None).await?;
    let results = match choose_profile(store, gallery, Some(own.clone())).await {
        Ok(_) if own == active => ProbesProfile::Active,
        Ok(_) => ProbesProfile::Shadow,
        Err(_) => ProbesProfile::WithoutResults,
    };
    let (gallery, searched) = (gallery.clone(), searched.clone());
    let other = OtherTemplates { gallery, probes: own, searched, results };
    Err(SearchError::OtherTemplates(Box::new(other)))
}

impl<'a> GallerySearch<'a> {
    /// Reads the templates of `gallery` under `profile`: of its faces, or of the references of its
    /// subjects; if that is not said, of references if there are any. Searches use `threads`
    /// threads.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn open(
        store: &'a dyn Reading,
        gallery: &GalleryName,
        profile: &ProfileId,
        searched: Option<Searched>,
        threads: usize,
    ) -> Result<Self, SearchError> {
        let mut snapshot = store.snapshot().await?;
        let stamps = match searched {
            Some(Searched::Faces) => Vec::new(),
            _ => {
                snapshot
                    .template_stamps(gallery, profile, Searched::References, StampsOf::All)
                    .await?
            }
        };
        let index = if searched == Some(Searched::References) || !stamps.is_empty() {
            SearchIndex::of_references(snapshot.as_mut(), profile, stamps).await?
        } else {
            SearchIndex::of_faces(snapshot.as_mut(), gallery, profile).await?
        };
        let (gallery, profile, index) = (gallery.clone(), profile.clone(), Arc::new(index));
        Ok(Self { gallery, profile, snapshot, index, threads })
    }

    /// What is searched.
    pub fn searched(&self) -> Searched {
        self.index.searched()
    }

    /// The number of faces, or references, that are searched.
    pub fn faces(&self) -> usize {
        self.index.len()
    }

    /// The number of subjects that are searched; none if faces are.
    pub fn subjects(&self) -> Option<usize> {
        self.index.subjects()
    }

    /// The face `id` of the gallery. None if it has no such face now, or the face has no template.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub async fn face(&mut self, id: FaceId) -> Result<Option<GalleryFace>, SearchError> {
        stored_face(self.snapshot.as_mut(), (&self.gallery, &self.profile), id).await
    }

    /// The `k` candidates most similar to each probe, the most similar first, of those with a
    /// similarity of at least `least`: faces, or subjects, each by its best reference. Exact; never
    /// fewer than `k` if there are as many.
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
        let search = move || index.nearest(&probes, k, least, threads);
        let found = tokio::task::spawn_blocking(search).await??;
        candidates(self.snapshot.as_mut(), found).await
    }
}

/// The face `id` of the current result of a gallery under a profile, if it has a template.
async fn stored_face(
    snapshot: &mut dyn Snapshot,
    (gallery, profile): (&GalleryName, &ProfileId),
    id: FaceId,
) -> Result<Option<GalleryFace>, SearchError> {
    let known = snapshot.history(&ImageKey::Id(id.image), Some(gallery)).await?;
    let of_profile = |result: &KnownResult| {
        result.image.id == id.image
            && result.profile == *profile
            && result.state == ResultState::Current
    };
    let Some(KnownResult { image, .. }) = known.into_iter().find(of_profile) else {
        return Ok(None);
    };
    // A page of this image alone.
    let query = PageQuery {
        gallery: gallery.clone(),
        profile: profile.clone(),
        outcomes: Vec::new(),
        filter: PageFilter::default(),
        notes: false,
        after: image.cursor - 1,
        limit: 1,
        templates: true,
    };
    let page = snapshot.page(&query).await?;
    let mut faces = page.into_iter().filter(|page| page.id == id.image).flat_map(|it| it.faces);
    let Some((template, face)) =
        faces.find(|face| face.id == id).and_then(|mut face| Some((face.template.take()?, face)))
    else {
        return Ok(None);
    };
    let stored = TemplateKey::new(image.cursor, id.index);
    Ok(Some(GalleryFace { image, face, searched: SearchedFace { template, stored } }))
}

/// The images of what was found.
async fn candidates(
    snapshot: &mut dyn Snapshot,
    found: Vec<Vec<FoundTemplate>>,
) -> Result<Vec<Vec<SearchCandidate>>, SearchError> {
    let mut cursors: Vec<i64> = found.iter().flatten().map(|each| each.key.cursor()).collect();
    cursors.sort_unstable();
    cursors.dedup();
    let images = snapshot.images(&cursors).await?;
    let of_probe = |of_probe: Vec<FoundTemplate>| {
        of_probe.into_iter().filter_map(|each| candidate(&images, each)).collect()
    };
    Ok(found.into_iter().map(of_probe).collect())
}

/// The face that was found; none if the store does not have it any more.
fn candidate(images: &[StoredImage], found: FoundTemplate) -> Option<SearchCandidate> {
    let FoundTemplate { key, similarity, subject } = found;
    let place = images.binary_search_by_key(&key.cursor(), |image| image.cursor).ok()?;
    let image = &images[place];
    let face = image.faces.iter().find(|face| face.id.index == key.index())?.clone();
    let subject = subject.or_else(|| image.subject.clone());
    Some(SearchCandidate { similarity, subject, image: image.clone(), face })
}
