//! The profiles of galleries: found as people name them, and activated.

use std::fmt;

use crate::domain::{CampaignId, GalleryName, OperatorName, ProfileId, ProfileName, counted};
use crate::store::{
    NewActivation, ProfileChoiceError, ProfileCoverage, SoleResults, Store, StoreError,
    choose_profile,
};

/// How often an activation is tried if others activate at the same moment.
const TRIES: usize = 3;

/// Why something cannot be done with a profile.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no such gallery, or it has no results of the profile.
    #[error(transparent)]
    Choice(#[from] ProfileChoiceError),
    /// The store has no such profile.
    #[error("the store has no profile {name}, only {found}")]
    Unknown {
        /// What was given.
        name: String,
        /// The ids of the store's profiles.
        found: String,
    },
    /// The store has no profile.
    #[error("the store has no profile: fill it with `facefleet scan FOLDER`")]
    NoProfile,
    /// Several profiles begin so.
    #[error("several profiles begin with {prefix}: {found}")]
    Ambiguous {
        /// What was given.
        prefix: String,
        /// Their ids.
        found: String,
    },
    /// The name is relative to a gallery, and none is named.
    #[error("the active profile of which gallery? Name it with --gallery")]
    NoGallery,
    /// The profile lacks images.
    #[error("{}", uncovered(.0))]
    Uncovered(Box<RefusedActivation>),
    /// Searches would not find people any more.
    #[error(
        "{} of {} active references of gallery {} have no template under profile {}: searches \
         would lose them. {}, `facefleet subject set-aside` ends references whose image is gone; \
         --force activates it as it is",
        .0.found.coverage.lost_references, .0.found.coverage.references, .0.gallery, .0.profile,
        fill(&.0.gallery)
    )]
    LosesReferences(Box<RefusedActivation>),
    /// Others activate profiles of the gallery.
    #[error("another profile of gallery {0} was activated at the same moment: try again")]
    Contended(GalleryName),
    /// The profile is shown.
    #[error(
        "profile {profile} is the active one of gallery {gallery}: activate another one first \
         (`facefleet profile activate`)"
    )]
    Active {
        /// The profile.
        profile: ProfileId,
        /// A gallery whose active profile it is.
        gallery: GalleryName,
    },
    /// A campaign records under the profile, or re-scores its images.
    #[error(
        "campaign {campaign} of gallery {gallery} records under profile {profile}, or re-scores \
         its images, and is not over: wait for its end, or, if whatever ran it was interrupted or \
         killed, end it with `facefleet campaign cancel {campaign}`"
    )]
    InUse {
        /// The profile.
        profile: ProfileId,
        /// The campaign.
        campaign: CampaignId,
        /// Its gallery.
        gallery: GalleryName,
    },
    /// It has results that no other profile has.
    #[error(
        "{} under no other profile, and would be lost. `facefleet rescore` under the settings of \
         another one does what can still be read; --force retires profile {profile} all the same",
        sole_results(.found)
    )]
    Sole {
        /// The profile.
        profile: ProfileId,
        /// What it alone has.
        found: SoleResults,
    },
    /// A worker records under the profile.
    #[error(
        "worker {worker} runs profile {profile}: stop the workers of this profile first \
         (`facefleet worker list` shows them)"
    )]
    Running {
        /// The profile.
        profile: ProfileId,
        /// Host and process id.
        worker: String,
    },
}

/// An activation that was refused.
#[derive(Debug)]
pub struct RefusedActivation {
    /// The gallery.
    pub gallery: GalleryName,
    /// The profile.
    pub profile: ProfileId,
    /// What it covers.
    pub found: ProfileCoverage,
    /// The least coverage that was asked for, percent.
    pub least_percent: f64,
}

/// What fills a gap.
fn fill(gallery: &GalleryName) -> String {
    format!(
        "`facefleet rescore --gallery {gallery}` under its settings does what can still be read"
    )
}

fn uncovered(refused: &RefusedActivation) -> String {
    let RefusedActivation { gallery, profile, found, least_percent } = refused;
    let coverage = &found.coverage;
    let attempts = match found.attempts.total() {
        0 => String::new(),
        _ => format!(
            ", and of those it lacks {} were unreadable, {} refused and {} failed",
            found.attempts.unreadable, found.attempts.refused, found.attempts.failed
        ),
    };
    format!(
        "profile {profile} covers {} of {} images of gallery {gallery} ({}), and {least_percent} % \
         are asked for{attempts}. {}; --min-coverage asks for less, --force activates it as it is",
        coverage.covered,
        coverage.images,
        Percent(coverage.percent()),
        fill(gallery)
    )
}

/// What a profile alone has, for people: "12 images and 3 references of 2 subjects have results".
pub fn sole_results(found: &SoleResults) -> String {
    let SoleResults { images, references, subjects } = *found;
    let of_people =
        || format!("{} of {}", counted(references, "reference"), counted(subjects, "subject"));
    let what = match (images, references) {
        (_, 0) => counted(images, "image"),
        (0, _) => of_people(),
        _ => format!("{} and {}", counted(images, "image"), of_people()),
    };
    let have = if images + references == 1 { "has" } else { "have" };
    format!("{what} {have} results")
}

/// A percentage for people: never rounded up to 100.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Percent(pub f64);

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(percent) = self;
        f.pad(&format!("{:.2} %", (percent * 100.0).floor() / 100.0))
    }
}

/// The id of the registered profile that `name` names; `gallery` is the one whose active profile it
/// may name.
///
/// # Errors
/// If the store has no such profile or cannot be read, or several begin so.
pub async fn find_profile(
    store: &dyn Store,
    name: &ProfileName,
    gallery: Option<&GalleryName>,
) -> Result<ProfileId, ProfileError> {
    let prefix = match name {
        ProfileName::Active => {
            let gallery = gallery.ok_or(ProfileError::NoGallery)?;
            return Ok(choose_profile(store, gallery, None).await?);
        }
        ProfileName::Prefix(prefix) => prefix,
    };
    let all = store.profiles().await?;
    let all: Vec<ProfileId> = all.iter().map(|stored| stored.profile.id()).collect();
    let found: Vec<&ProfileId> = all.iter().filter(|id| id.as_str().starts_with(prefix)).collect();
    match found[..] {
        [id] => Ok(id.clone()),
        [] if all.is_empty() => Err(ProfileError::NoProfile),
        [] => Err(ProfileError::Unknown { name: prefix.clone(), found: ids(&all) }),
        _ => Err(ProfileError::Ambiguous { prefix: prefix.clone(), found: ids(found) }),
    }
}

fn ids<'a>(profiles: impl IntoIterator<Item = &'a ProfileId>) -> String {
    let ids: Vec<&str> = profiles.into_iter().map(ProfileId::as_str).collect();
    ids.join(", ")
}

/// A profile that is to become active.
#[derive(Debug, Clone, PartialEq)]
pub struct ActivationRequest {
    /// The gallery.
    pub gallery: GalleryName,
    /// The profile.
    pub profile: ProfileId,
    /// The least coverage, percent.
    pub least_percent: f64,
    /// Whether to do it anyway.
    pub force: bool,
    /// Who asks.
    pub by: OperatorName,
}

/// What became of a request.
#[derive(Debug, Clone, PartialEq)]
pub struct Activated {
    /// Whether anything changed: false if the profile was active already.
    pub changed: bool,
    /// Whether it was done against a refusal.
    pub forced: bool,
    /// What was found before: the profile that was active, and what the new one covers.
    pub found: ProfileCoverage,
}

/// Makes a profile the active one of a gallery, in one transaction.
///
/// # Errors
/// If the gallery has no results of it, it covers too little or loses references and is not forced,
/// or the store fails. Nothing has changed then.
pub async fn activate_profile(
    store: &dyn Store,
    request: &ActivationRequest,
) -> Result<Activated, ProfileError> {
    let ActivationRequest { gallery, profile, force, .. } = request;
    choose_profile(store, gallery, Some(profile.clone())).await?;
    for _ in 0..TRIES {
        let Some(found) = store.coverage(gallery, profile).await? else {
            return Err(ProfileChoiceError::NoResults(gallery.clone()).into());
        };
        if found.active == *profile {
            return Ok(Activated { changed: false, forced: false, found });
        }
        let refusal = refusal(request, &found);
        let forced = refusal.is_some();
        if let Some(refusal) = refusal.filter(|_| !force) {
            return Err(refusal);
        }
        let new = NewActivation {
            gallery: gallery.clone(),
            profile: profile.clone(),
            instead_of: found.active.clone(),
            coverage: found.coverage,
            by: request.by.clone(),
            forced,
        };
        if store.activate(&new).await? {
            return Ok(Activated { changed: true, forced, found });
        }
    }
    Err(ProfileError::Contended(gallery.clone()))
}

/// Why the profile may not become active without force.
fn refusal(request: &ActivationRequest, found: &ProfileCoverage) -> Option<ProfileError> {
    let ActivationRequest { gallery, profile, least_percent, .. } = request;
    let refused = || {
        Box::new(RefusedActivation {
            gallery: gallery.clone(),
            profile: profile.clone(),
            found: found.clone(),
            least_percent: *least_percent,
        })
    };
    if found.coverage.percent() < *least_percent {
        return Some(ProfileError::Uncovered(refused()));
    }
    (found.coverage.lost_references > 0).then(|| ProfileError::LosesReferences(refused()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_profile_alone_has_is_told_in_singular_and_plural() {
        let told = |images, references, subjects| {
            sole_results(&SoleResults { images, references, subjects })
        };
        assert_eq!(told(12, 3, 2), "12 images and 3 references of 2 subjects have results");
        assert_eq!(told(1, 1, 1), "1 image and 1 reference of 1 subject have results");
        assert_eq!(told(1, 0, 0), "1 image has results");
        assert_eq!(told(0, 1, 1), "1 reference of 1 subject has results");
    }

    #[test]
    fn a_percentage_is_never_rounded_up() {
        for (percent, text) in [(100.0, "100.00 %"), (99.9999, "99.99 %"), (0.0, "0.00 %")] {
            assert_eq!(Percent(percent).to_string(), text);
        }
    }
}
