//! How options name a profile.

use std::str::FromStr;

use anyhow::Result;

use crate::app::App;
use crate::domain::{GalleryName, InvalidName, ProfileId, ProfileName};
use crate::gallery::profiles::{ProfileError, find_profile};
use crate::gallery::rescore::is_of_chips;
use crate::store::{Store, choose_profile};

/// A profile as a user names it, in every command alike: by its id or the first digits of it, or by
/// `active` or `settings`.
#[derive(Debug, Clone)]
pub(super) enum ProfileArg {
    /// That of the present settings.
    Settings,
    /// One of the store.
    Stored(ProfileName),
}

impl FromStr for ProfileArg {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        if text == "settings" { Ok(Self::Settings) } else { text.parse().map(Self::Stored) }
    }
}

impl ProfileArg {
    /// The id of the profile; that of the settings may be unknown to the store.
    pub(super) async fn id(
        &self,
        app: &App,
        store: &dyn Store,
        gallery: Option<&GalleryName>,
    ) -> Result<ProfileId> {
        let name = match self {
            Self::Settings => return of_settings(app, store, gallery).await,
            Self::Stored(name) => name,
        };
        match (find_profile(store, name, gallery).await, name) {
            // Nothing was recorded under the settings yet.
            (
                Err(error @ (ProfileError::Unknown { .. } | ProfileError::NoProfile)),
                ProfileName::Prefix(prefix),
            ) => {
                let own = of_settings(app, store, gallery).await?;
                if own.as_str().starts_with(prefix) { Ok(own) } else { Err(error.into()) }
            }
            (found, _) => Ok(found?),
        }
    }

    /// The profile of `gallery` that a command is about: that of `wanted`, or else the active one.
    ///
    /// # Errors
    /// If there is none so named, or the gallery has no results of it.
    pub(super) async fn of_gallery(
        wanted: Option<&Self>,
        app: &App,
        store: &dyn Store,
        gallery: &GalleryName,
    ) -> Result<ProfileId> {
        // Names the galleries of the store if it has no such gallery.
        let active = choose_profile(store, gallery, None).await?;
        let Some(wanted) = wanted else { return Ok(active) };
        let id = wanted.id(app, store, Some(gallery)).await?;
        Ok(choose_profile(store, gallery, Some(id)).await?)
    }
}

/// The profile of the present settings. In a gallery of chips, it is that of chips.
async fn of_settings(
    app: &App,
    store: &dyn Store,
    gallery: Option<&GalleryName>,
) -> Result<ProfileId> {
    let active = match gallery {
        Some(gallery) => store.active_profile(gallery).await?,
        None => None,
    };
    let aligned = match active {
        Some(active) => is_of_chips(store, &active).await?,
        None => false,
    };
    Ok(app.profile(aligned)?.id())
}
