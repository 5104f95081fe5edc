//! Verdicts of people about images, and their end.

use super::suggestion::CurateView;
use crate::domain::{
    CurationId, GalleryName, ImageId, OperatorName, ReferenceRules, SubjectName, Verdict,
    VerdictId, VerdictReason,
};
use crate::store::{
    ImageKey, Judged, KnownResult, NewCuration, ProfileChoiceError, ResultState, Store, StoreError,
    StoredImage, StoredVerdict, VerdictQuery, choose_profile,
};

/// Verdicts that are read at once.
const PAGE: u32 = 1000;

/// Why nothing was decided, or a gallery cannot be curated.
#[derive(Debug, thiserror::Error)]
pub enum CurateError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no such gallery, or it has no results.
    #[error(transparent)]
    Gallery(#[from] ProfileChoiceError),
    /// The gallery does not have the image.
    #[error("gallery {gallery} has no image {image}")]
    UnknownImage {
        /// The gallery.
        gallery: GalleryName,
        /// The image, for people.
        image: String,
    },
    /// The URI has several contents now, such as one that was fetched under each profile.
    #[error("the URI has several images: name one by its image_id ({0})")]
    SeveralImages(String),
    /// There is no such verdict to undo.
    #[error("gallery {0} has no verdict {1}, or it was undone already")]
    NoVerdict(GalleryName, VerdictId),
    /// There is no such curation, or all of it was undone.
    #[error("gallery {0} has no curation {1}, or all of it was undone already")]
    NoCuration(GalleryName, CurationId),
    /// The subject of a verdict was erased.
    #[error(
        "'{}' was erased from gallery {gallery} (`facefleet erase`), and the name does not come \
         back: choose another",
        name.as_str()
    )]
    Erased {
        /// The gallery.
        gallery: GalleryName,
        /// The name.
        name: SubjectName,
    },
    /// What a preview showed is not what there is.
    #[error(
        "the gallery changed since that preview, or it had other options: nothing was done. Look \
         at the preview again, with the same options"
    )]
    Changed,
    /// No view gives this name to a preview.
    #[error(
        "'{0}' is not the name of a preview of this store: nothing was done. Copy the name from \
         the last line of the view"
    )]
    NoPreview(String),
    /// It is the preview of another view, or of another gallery.
    #[error(
        "{name} is a preview of `facefleet curate {} --gallery {gallery}`: nothing was done. Apply \
         it with that command", view.as_str()
    )]
    OtherPreview {
        /// Its name.
        name: String,
        /// The view.
        view: CurateView,
        /// The gallery.
        gallery: GalleryName,
    },
    /// The templates cannot be compared.
    #[error("the templates cannot be compared: {0}")]
    Templates(#[from] crate::matching::MatchingError),
    /// A thread ended.
    #[error("the comparison ended: {0}")]
    Ended(#[from] tokio::task::JoinError),
}

/// Who decides, where and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Curator {
    /// The gallery.
    pub gallery: GalleryName,
    /// Who.
    pub by: OperatorName,
    /// Why.
    pub reason: Option<VerdictReason>,
    /// Which references count again, where there are too many.
    pub rules: ReferenceRules,
}

/// What is undone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Undone {
    /// These verdicts.
    Verdicts(Vec<VerdictId>),
    /// All verdicts of a curation that are in force.
    Curation(CurationId),
}

/// The image of a gallery that a person named.
///
/// # Errors
/// If there is none, several versions of it are current, or the store cannot be read.
pub async fn find_image(
    store: &dyn Store,
    gallery: &GalleryName,
    (key, named): (&ImageKey, &str),
) -> Result<StoredImage, CurateError> {
    let known = store.history(key, Some(gallery)).await?;
    let is_meant = |result: &KnownResult| match key {
        ImageKey::Id(id) => result.image.id == *id,
        ImageKey::Uris(_) => result.state == ResultState::Current,
    };
    let mut images: Vec<StoredImage> = Vec::new();
    for result in known.into_iter().filter(is_meant) {
        if images.iter().all(|image| image.id != result.image.id) {
            images.push(result.image);
        }
    }
    if images.len() > 1 {
        let ids: Vec<String> = images.iter().map(|image| image.id.to_string()).collect();
        return Err(CurateError::SeveralImages(ids.join(", ")));
    }
    if let Some(image) = images.pop() {
        return Ok(image);
    }
    choose_profile(store, gallery, None).await?;
    Err(CurateError::UnknownImage { gallery: gallery.clone(), image: named.to_owned() })
}

/// Adds verdicts: what was written, and about which images nothing was.
///
/// # Errors
/// If the gallery does not have an image, or the store cannot be written.
pub async fn decide(
    store: &dyn Store,
    curator: Curator,
    verdicts: Vec<(ImageId, Verdict)>,
) -> Result<(Option<CurationId>, u64, Vec<ImageId>), CurateError> {
    judge(store, curator, verdicts, false).await
}

pub(super) async fn judge(
    store: &dyn Store,
    curator: Curator,
    verdicts: Vec<(ImageId, Verdict)>,
    exact: bool,
) -> Result<(Option<CurationId>, u64, Vec<ImageId>), CurateError> {
    let Curator { gallery, by, reason, rules } = curator;
    let new =
        NewCuration { gallery: gallery.clone(), by, reason, verdicts, exact, rules: Some(rules) };
    match store.judge(&new).await? {
        Judged::Written { curation, verdicts, unchanged } => Ok((curation, verdicts, unchanged)),
        Judged::Changed(_) => Err(CurateError::Changed),
        Judged::UnknownImage(image) => {
            choose_profile(store, &gallery, None).await?;
            Err(CurateError::UnknownImage { gallery, image: image.to_string() })
        }
        Judged::NoVerdict(verdict) => Err(CurateError::NoVerdict(gallery, verdict)),
        Judged::Erased(name) => Err(CurateError::Erased { gallery, name }),
    }
}

/// Undoes verdicts. Returns the curation of the undos and their number.
///
/// # Errors
/// If there is nothing to undo, or the store cannot be written.
pub async fn undo(
    store: &dyn Store,
    curator: Curator,
    undone: Undone,
) -> Result<(Option<CurationId>, u64), CurateError> {
    let gallery = &curator.gallery;
    let (curation, wanted) = match &undone {
        Undone::Curation(curation) => (Some(*curation), None),
        Undone::Verdicts(wanted) => (None, Some(wanted)),
    };
    let may_be_undone = |verdict: &StoredVerdict| {
        verdict.undone_by.is_none() && !matches!(verdict.verdict, Verdict::Undo(_))
    };
    let mut found = Vec::new();
    let mut query =
        VerdictQuery { gallery: gallery.clone(), image: None, curation, after: None, limit: PAGE };
    loop {
        let page = store.verdicts(&query).await?;
        let Some(last) = page.last() else { break };
        query.after = Some(last.id);
        let is_wanted = |verdict: &StoredVerdict| {
            wanted.is_none_or(|wanted| wanted.contains(&verdict.id)) && may_be_undone(verdict)
        };
        found.extend(page.into_iter().filter(is_wanted));
    }
    if let Some(missing) =
        wanted.into_iter().flatten().find(|id| found.iter().all(|each| each.id != **id))
    {
        return Err(CurateError::NoVerdict(gallery.clone(), *missing));
    }
    if let Some(curation) = curation.filter(|_| found.is_empty()) {
        return Err(CurateError::NoCuration(gallery.clone(), curation));
    }
    let undos = found.iter().map(|each| (each.image, Verdict::Undo(each.id))).collect();
    let (curation, verdicts, _) = judge(store, curator, undos, true).await?;
    Ok((curation, verdicts))
}
