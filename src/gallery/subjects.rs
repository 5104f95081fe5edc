//! The people of a gallery: found by name, renamed, merged and removed, and their references set
//! aside and restored.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::{
    EnrolmentDecision, GalleryName, ImageId, OperatorName, ProfileId, ReferenceRules,
    ReferenceState, SetAsideReason, SubjectName,
};
use crate::store::{
    ImageKey, ProfileChoiceError, Renamed, Store, StoreError, StoredEnrolment, StoredReference,
    StoredSubject, SubjectMerge, SubjectSummary, choose_profile,
};

/// Why a subject cannot be shown or changed.
#[derive(Debug, thiserror::Error)]
pub enum SubjectError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no such gallery.
    #[error(transparent)]
    Gallery(#[from] ProfileChoiceError),
    /// The gallery has no such subject.
    #[error(
        "gallery {gallery} has no subject '{}': `facefleet subject list --gallery {gallery}` \
         shows them all",
        name.as_str()
    )]
    Unknown {
        /// The gallery.
        gallery: GalleryName,
        /// The name.
        name: SubjectName,
    },
    /// Another subject has the name.
    #[error(
        "gallery {gallery} has a subject '{}' already: if both are one person, --merge makes them \
         one subject",
        name.as_str()
    )]
    Taken {
        /// The gallery.
        gallery: GalleryName,
        /// The name.
        name: SubjectName,
    },
    /// The name was erased.
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
    /// Two subjects that are to be merged do not look like one person.
    #[error(
        "'{}' and '{}' do not look like one person: their two most similar references have a \
         similarity of {similarity:.4}, and a match exceeds {threshold:.4}. If they are one person \
         all the same, add --force",
        names.0.as_str(), names.1.as_str()
    )]
    Unlike {
        /// Their names.
        names: (SubjectName, SubjectName),
        /// The highest similarity of a reference of one and one of the other.
        similarity: f64,
        /// What a match exceeds.
        threshold: f64,
    },
    /// Nothing shows whether two subjects that are to be merged look like one person.
    #[error(
        "nothing shows whether '{}' and '{}' are one person: {why}. If they are, add --force",
        names.0.as_str(), names.1.as_str()
    )]
    Uncompared {
        /// Their names.
        names: (SubjectName, SubjectName),
        /// Why they cannot be compared.
        why: &'static str,
    },
    /// The image is no reference of the subject.
    #[error(
        "the image is no reference of '{}', neither active nor set aside: `facefleet subject show` \
         lists its references",
        name.as_str()
    )]
    NoReference {
        /// The subject.
        name: SubjectName,
    },
    /// Its image was excluded, or given to another subject.
    #[error(
        "a verdict of curation excludes the image, or gives it to another subject: `facefleet \
         curate log --gallery {gallery} --image {image}` shows it, and `facefleet curate undo` \
         undoes it"
    )]
    ByVerdict {
        /// The gallery.
        gallery: GalleryName,
        /// The image.
        image: ImageId,
    },
    /// Several versions of the image are references.
    #[error("the image was enrolled with several contents: name one by its image_id ({ids})")]
    SeveralImages {
        /// Their ids.
        ids: String,
    },
}

/// Whether there is such a gallery.
///
/// # Errors
/// If there is none, or the store cannot be read.
pub async fn require_gallery(store: &dyn Store, gallery: &GalleryName) -> Result<(), SubjectError> {
    choose_profile(store, gallery, None).await?;
    Ok(())
}

/// A subject of the gallery.
///
/// # Errors
/// If there is no such gallery or subject, or the store cannot be read.
pub async fn find_subject(
    store: &dyn Store,
    gallery: &GalleryName,
    name: &SubjectName,
) -> Result<StoredSubject, SubjectError> {
    match store.subject(gallery, name).await? {
        Some(subject) => Ok(subject),
        None => Err(unknown(store, gallery, name).await?),
    }
}

/// Whom the images were accepted for that the reasons of `enrolments` name, by image: the people as
/// they are called now.
///
/// # Errors
/// If the store cannot be read.
pub async fn look_alikes_of(
    store: &dyn Store,
    enrolments: &[StoredEnrolment],
) -> Result<BTreeMap<ImageId, SubjectName>, StoreError> {
    let reasons = enrolments.iter().flat_map(|each| &each.enrolment.reasons);
    let images: BTreeSet<ImageId> = reasons.filter_map(|reason| reason.image_id).collect();
    if images.is_empty() {
        return Ok(BTreeMap::new());
    }
    let found = store.enrolments(&images.into_iter().collect::<Vec<_>>()).await?;
    let accepted =
        found.into_iter().filter(|each| each.enrolment.decision == EnrolmentDecision::Accepted);
    Ok(accepted.map(|each| (each.image, each.subject)).collect())
}

/// Why there is no such subject.
async fn unknown(
    store: &dyn Store,
    gallery: &GalleryName,
    name: &SubjectName,
) -> Result<SubjectError, SubjectError> {
    require_gallery(store, gallery).await?;
    Ok(SubjectError::Unknown { gallery: gallery.clone(), name: name.clone() })
}

/// Gives a subject another name. If there is a subject of that name, both become one with `merge`:
/// the references are chosen by its rules. `rules`: of references that count again under the new
/// name. Whether they were merged.
///
/// # Errors
/// If there is no such gallery or subject, the name is taken and `merge` is none, the new name
/// was erased, or the store cannot be written.
pub async fn rename_subject(
    store: &dyn Store,
    gallery: &GalleryName,
    (from, to): (&SubjectName, &SubjectName),
    merge: Option<SubjectMerge>,
    rules: &ReferenceRules,
    by: &OperatorName,
) -> Result<bool, SubjectError> {
    match store.rename_subject(gallery, from, to, merge.as_ref(), Some(rules), by).await? {
        Renamed::Renamed => Ok(false),
        Renamed::Merged => Ok(true),
        Renamed::Taken => Err(SubjectError::Taken { gallery: gallery.clone(), name: to.clone() }),
        Renamed::Erased => Err(SubjectError::Erased { gallery: gallery.clone(), name: to.clone() }),
        Renamed::Unknown => Err(unknown(store, gallery, from).await?),
    }
}

/// Whether two subjects may be one person: references of both match at `threshold`.
///
/// # Errors
/// If one of them does not exist, they do not match or cannot be compared, or the store cannot be
/// read.
pub async fn require_alike(
    store: &dyn Store,
    gallery: &GalleryName,
    profile: &ProfileId,
    names: (&SubjectName, &SubjectName),
    threshold: Option<f64>,
) -> Result<(), SubjectError> {
    if names.0 == names.1 {
        return Ok(());
    }
    for name in [names.0, names.1] {
        find_subject(store, gallery, name).await?;
    }
    let uncompared = |why| {
        let names = (names.0.clone(), names.1.clone());
        Err(SubjectError::Uncompared { names, why })
    };
    let Some(threshold) = threshold else {
        return uncompared("no similarity threshold is known for the profile");
    };
    let own = store.reference_templates(gallery, profile, Some(names.0)).await?;
    let others = store.reference_templates(gallery, profile, Some(names.1)).await?;
    let pairs = own.iter().flat_map(|one| others.iter().map(move |other| (one, other)));
    let best = pairs.map(|(one, other)| one.template.similarity(&other.template));
    match best.max_by(f64::total_cmp) {
        Some(similarity) if similarity > threshold => Ok(()),
        Some(similarity) => {
            let names = (names.0.clone(), names.1.clone());
            Err(SubjectError::Unlike { names, similarity, threshold })
        }
        None => uncompared("one of them has no active reference to compare"),
    }
}

/// Removes a subject with its references and enrolments. `rules`: of references of others that
/// count again. Returns what it was.
///
/// # Errors
/// If there is no such gallery or subject, or the store cannot be written.
pub async fn remove_subject(
    store: &dyn Store,
    gallery: &GalleryName,
    name: &SubjectName,
    rules: &ReferenceRules,
    by: &OperatorName,
) -> Result<SubjectSummary, SubjectError> {
    match store.remove_subject(gallery, name, Some(rules), by).await? {
        Some(removed) => Ok(removed),
        None => Err(unknown(store, gallery, name).await?),
    }
}

/// Sets the reference `image` of a subject aside, or restores it. Returns what it was.
///
/// # Errors
/// If there is no such gallery, subject or reference, the image was enrolled with several
/// contents, or the store cannot be written.
pub async fn set_reference(
    store: &dyn Store,
    gallery: &GalleryName,
    name: &SubjectName,
    image: &ImageKey,
    state: ReferenceState,
    by: &OperatorName,
) -> Result<StoredReference, SubjectError> {
    let subject = find_subject(store, gallery, name).await?;
    let is_named = |reference: &StoredReference| match image {
        ImageKey::Id(id) => reference.image == *id,
        ImageKey::Uris(uris) => uris.contains(&reference.uri),
    };
    let mut named: Vec<StoredReference> = subject.references.into_iter().filter(is_named).collect();
    if named.len() > 1 {
        let ids: Vec<String> = named.iter().map(|each| each.image.to_string()).collect();
        return Err(SubjectError::SeveralImages { ids: ids.join(", ") });
    }
    let no_reference = || SubjectError::NoReference { name: name.clone() };
    let reference = named.pop().ok_or_else(no_reference)?;
    let by_verdict = ReferenceState::SetAside(SetAsideReason::Verdict);
    if (reference.state, state) == (by_verdict, ReferenceState::Active) {
        let gallery = gallery.clone();
        return Err(SubjectError::ByVerdict { gallery, image: reference.image });
    }
    // Somebody else may have removed it since.
    match store.set_reference(gallery, name, reference.image, state, by).await? {
        true => Ok(reference),
        false => Err(no_reference()),
    }
}
