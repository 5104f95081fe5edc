//! The qualities of a gallery under another calibration, without inference. The mapping from score
//! to quality is part of the profile, so the results are copied to another profile.

use futures::{TryStreamExt, stream};
use tokio_util::sync::CancellationToken;

use crate::domain::{GalleryName, Profile, ProfileId};
use crate::quality::calibration::Calibration;
use crate::quality::cutoffs;
use crate::store::{Remap, RemapPosition, Store, StoreError};

/// Results copied in one transaction. A worker that records one of their images waits for it.
const BATCH: u32 = 4096;

/// Why a gallery cannot be remapped.
#[derive(Debug, thiserror::Error)]
pub enum RemapError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store has no gallery of this name, or it has no results.
    #[error("gallery '{gallery}' has no results; the store has {found}")]
    NoResults {
        /// The requested gallery.
        gallery: GalleryName,
        /// The galleries of the store.
        found: String,
    },
    /// The gallery has no results of the profile.
    #[error("gallery '{gallery}' has no results of profile {profile}, only of {found}")]
    NoSuchProfile {
        /// The gallery.
        gallery: GalleryName,
        /// The requested profile.
        profile: ProfileId,
        /// The profiles of its results.
        found: String,
    },
    /// The calibration was made for other scores.
    #[error(
        "the calibration was measured on scores {calibrated}, and profile {profile} of gallery \
         '{gallery}' has scores {found} (another detector, network or method): run `facefleet \
         calibrate` on results of this profile"
    )]
    OtherScores {
        /// The scores of the calibration.
        calibrated: ProfileId,
        /// The gallery.
        gallery: GalleryName,
        /// The profile of the results.
        profile: ProfileId,
        /// Its scores.
        found: ProfileId,
    },
    /// The calibration is of a fused quality.
    #[error(
        "the calibration is of a fused quality, which is computed when a face is scored: name the \
         file in quality.calibration and scan the images again"
    )]
    Fused,
    /// The results have this mapping already.
    #[error("profile {0} has the mapping of this calibration already: there is nothing to copy")]
    SameMapping(ProfileId),
}

/// A remap that may begin.
#[derive(Debug, Clone, PartialEq)]
pub struct RemapPlan {
    /// The profile of the copies.
    pub target: Profile,
    /// Results to copy: images, counted once for each profile to copy from.
    pub images: u64,
    /// One for each profile to copy from.
    remaps: Vec<Remap>,
}

/// What a remap has done so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RemapTotals {
    /// Results looked at.
    pub images: u64,
    /// Of these, the ones that were copied; the others were up to date.
    pub copied: u64,
    /// Faces copied.
    pub faces: u64,
}

impl RemapPlan {
    /// A remap of the results that `gallery` has under the profile `wanted`, or else under every
    /// profile with the scores of `calibration` and another mapping: one alone may have few of the
    /// images. Where they differ, the profile of the latest record counts.
    ///
    /// # Errors
    /// If there are no such results, or `calibration` is for other scores or of a fused quality.
    pub async fn new(
        store: &dyn Store,
        gallery: &GalleryName,
        wanted: Option<&ProfileId>,
        calibration: &Calibration,
    ) -> Result<Self, RemapError> {
        if calibration.mapping().fused().is_some() {
            return Err(RemapError::Fused);
        }
        let (sources, target) = sources(store, gallery, wanted, calibration).await?;
        let mut plan = Self { target, images: 0, remaps: Vec::new() };
        for from in sources {
            let summary = store.summary(gallery, &from).await?;
            plan.images += summary.outcomes.iter().map(|(_, images)| images).sum::<u64>();
            plan.remaps.push(Remap {
                gallery: gallery.clone(),
                from,
                to: plan.target.id(),
                cutoffs: cutoffs(&plan.target.mapping),
                batch: BATCH * store.remap_parts(),
            });
        }
        Ok(plan)
    }

    /// The profiles of the results that are copied.
    pub fn sources(&self) -> impl Iterator<Item = &ProfileId> {
        self.remaps.iter().map(|remap| &remap.from)
    }

    /// Copies everything, or until `stop` is cancelled. Calls `progress` after each step.
    ///
    /// # Errors
    /// If the store fails. What was copied stays, and the next run does the rest.
    pub async fn run(
        &self,
        store: &dyn Store,
        stop: &CancellationToken,
        mut progress: impl FnMut(RemapTotals),
    ) -> Result<RemapTotals, RemapError> {
        store.register_profile(&self.target).await?;
        let mut totals = RemapTotals::default();
        for remap in &self.remaps {
            let part = |position: RemapPosition| {
                Box::pin(stream::try_unfold(Some(position), move |next| async move {
                    let Some(position) = next.filter(|_| !stop.is_cancelled()) else {
                        return Ok(None);
                    };
                    let step = store.remap(remap, position).await?;
                    let next = step.next;
                    Ok::<_, StoreError>(Some((step, next)))
                }))
            };
            let parts = RemapPosition::parts(store.remap_parts());
            let mut steps = stream::select_all(parts.into_iter().map(part));
            while let Some(step) = steps.try_next().await? {
                totals.images += step.images;
                totals.copied += step.copied;
                totals.faces += step.faces;
                progress(totals);
            }
        }
        Ok(totals)
    }
}

/// The profiles of the results to copy, the active one last, and the profile of the
/// copies.
async fn sources(
    store: &dyn Store,
    gallery: &GalleryName,
    wanted: Option<&ProfileId>,
    calibration: &Calibration,
) -> Result<(Vec<ProfileId>, Profile), RemapError> {
    let galleries = store.galleries().await?;
    let Some((_, ids)) = galleries.iter().find(|(name, ids)| name == gallery && !ids.is_empty())
    else {
        let names: Vec<&str> = galleries.iter().map(|(name, _)| name.as_str()).collect();
        let found = if names.is_empty() { "no gallery".to_owned() } else { names.join(", ") };
        return Err(RemapError::NoResults { gallery: gallery.clone(), found });
    };
    if let Some(id) = wanted.filter(|id| !ids.contains(id)) {
        let found: Vec<&str> = ids.iter().map(ProfileId::as_str).collect();
        let (gallery, profile, found) = (gallery.clone(), id.clone(), found.join(", "));
        return Err(RemapError::NoSuchProfile { gallery, profile, found });
    }
    let (mut sources, mut target, mut other) = (Vec::new(), None, None);
    for id in ids.iter().rev().filter(|id| wanted.is_none_or(|wanted| wanted == *id)) {
        let Some(profile) = store.profile(id).await? else { continue };
        if profile.scores_id() != *calibration.scores_id() {
            other = Some(profile);
            continue;
        }
        if profile.mapping != *calibration.mapping() {
            sources.push(id.clone());
        }
        target = Some(Profile { mapping: calibration.mapping().clone(), ..profile });
    }
    match (target, other) {
        (Some(target), _) if sources.is_empty() => Err(RemapError::SameMapping(target.id())),
        (Some(target), _) => Ok((sources, target)),
        (None, Some(profile)) => Err(RemapError::OtherScores {
            calibrated: calibration.scores_id().clone(),
            gallery: gallery.clone(),
            profile: profile.id(),
            found: profile.scores_id(),
        }),
        (None, None) => Err(RemapError::NoResults {
            gallery: gallery.clone(),
            found: "no profile of it".into(),
        }),
    }
}
