//! Which profile of a gallery to show.

use super::{Store, StoreError};
use crate::domain::{GalleryName, ProfileId};

/// Why there is no profile to show.
#[derive(Debug, thiserror::Error)]
pub enum ProfileChoiceError {
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store has no gallery.
    #[error("the store is empty: fill it with `facefleet scan FOLDER`")]
    EmptyStore,
    /// The gallery was erased.
    #[error(
        "gallery '{0}' was erased (`facefleet erase`): it has nothing, and its name is not used \
         again"
    )]
    Erased(GalleryName),
    /// The store has no gallery of this name.
    #[error("there is no gallery '{gallery}' in the store, only {found}")]
    Gallery {
        /// The requested gallery.
        gallery: GalleryName,
        /// The galleries of the store.
        found: String,
    },
    /// The gallery has no result of this profile.
    #[error("gallery '{gallery}' has no results of profile {profile}, only of {found}")]
    Profile {
        /// The gallery.
        gallery: GalleryName,
        /// The requested profile.
        profile: ProfileId,
        /// The profiles of its results.
        found: String,
    },
    /// The gallery has no results.
    #[error("gallery '{0}' has no results")]
    NoResults(GalleryName),
}

/// The profile `wanted`, or else the active one of the gallery.
///
/// # Errors
/// If the gallery has no result of it, or the store cannot be read.
pub async fn choose_profile(
    store: &dyn Store,
    gallery: &GalleryName,
    wanted: Option<ProfileId>,
) -> Result<ProfileId, ProfileChoiceError> {
    let galleries = store.galleries().await?;
    let Some((_, profiles)) = galleries.iter().find(|(name, _)| name == gallery) else {
        if store.is_gallery_erased(gallery).await? {
            return Err(ProfileChoiceError::Erased(gallery.clone()));
        }
        if galleries.is_empty() {
            return Err(ProfileChoiceError::EmptyStore);
        }
        let names: Vec<_> = galleries.iter().map(|(name, _)| name.as_str()).collect();
        let found = names.join(", ");
        return Err(ProfileChoiceError::Gallery { gallery: gallery.clone(), found });
    };
    match wanted {
        Some(id) if profiles.contains(&id) => Ok(id),
        Some(profile) => {
            let ids: Vec<_> = profiles.iter().map(ProfileId::as_str).collect();
            let found = ids.join(", ");
            Err(ProfileChoiceError::Profile { gallery: gallery.clone(), profile, found })
        }
        None => {
            let active = profiles.first().cloned();
            active.ok_or_else(|| ProfileChoiceError::NoResults(gallery.clone()))
        }
    }
}
