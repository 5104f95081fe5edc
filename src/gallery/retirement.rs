//! Retires a profile: deletes what galleries have under it.

use tokio_util::sync::CancellationToken;

use super::profiles::ProfileError;
use super::rescore::is_rescore_from;
use crate::domain::{Campaign, CampaignState, GalleryName, ProfileId};
use crate::store::{RetireStep, SoleResults, Store, choose_profile};

/// A profile that may be retired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retirement {
    /// The profile.
    pub profile: ProfileId,
    /// The galleries in which it is retired.
    pub galleries: Vec<GalleryName>,
    /// Images with a current result of it.
    pub images: u64,
    /// Faces of these results.
    pub faces: u64,
    /// What these galleries have under no other profile.
    pub sole: SoleResults,
}

impl Retirement {
    /// The retirement of `profile` in a gallery, or in all that have results of it.
    ///
    /// # Errors
    /// If it is active there, a campaign that is not over or a worker that runs records under it,
    /// or the store fails.
    pub async fn new(
        store: &dyn Store,
        profile: ProfileId,
        gallery: Option<&GalleryName>,
    ) -> Result<Self, ProfileError> {
        if let Some(gallery) = gallery {
            choose_profile(store, gallery, None).await?;
        }
        let sole = SoleResults::default();
        let mut retirement = Self { profile, galleries: Vec::new(), images: 0, faces: 0, sole };
        for of in store.gallery_profiles().await? {
            let wanted = gallery.is_none_or(|gallery| *gallery == of.gallery);
            if of.profile != retirement.profile || !wanted {
                continue;
            }
            let profile = of.profile.clone();
            if of.active {
                return Err(ProfileError::Active { profile, gallery: of.gallery });
            }
            retirement.images += of.images;
            retirement.faces += store.summary(&of.gallery, &profile).await?.faces;
            let sole = store.sole_results(&of.gallery, &profile).await?;
            retirement.sole.images += sole.images;
            retirement.sole.references += sole.references;
            retirement.sole.subjects += sole.subjects;
            retirement.galleries.push(of.gallery);
        }
        retirement.require_unused(store).await?;
        Ok(retirement)
    }

    /// Whether nothing is lost that no other profile has.
    ///
    /// # Errors
    /// If something is.
    pub fn require_covered(&self) -> Result<(), ProfileError> {
        if self.sole == SoleResults::default() {
            return Ok(());
        }
        Err(ProfileError::Sole { profile: self.profile.clone(), found: self.sole })
    }

    async fn require_unused(&self, store: &dyn Store) -> Result<(), ProfileError> {
        let uses = |campaign: &Campaign| {
            campaign.profile == self.profile || is_rescore_from(campaign, &self.profile)
        };
        let records = |campaign: &Campaign| {
            uses(campaign)
                && campaign.state != CampaignState::Cancelled
                && !campaign.progress.is_over()
        };
        let profile = self.profile.clone();
        if let Some(Campaign { id, gallery, .. }) =
            store.open_campaigns().await?.into_iter().find(records)
        {
            return Err(ProfileError::InUse { profile, campaign: id, gallery });
        }
        let workers = store.workers().await?;
        let running =
            workers.iter().find(|worker| worker.live && worker.report.profile == self.profile);
        match running {
            Some(worker) => Err(ProfileError::Running { profile, worker: worker.report.name() }),
            None => Ok(()),
        }
    }

    /// Deletes everything, or until `stop` is cancelled. Calls `progress` with the number of
    /// results that were deleted after each step; returns it.
    ///
    /// # Errors
    /// If the store fails, or somebody activated the profile. What was deleted is gone, and the
    /// next run does the rest.
    pub async fn run(
        &self,
        store: &dyn Store,
        stop: &CancellationToken,
        mut progress: impl FnMut(u64),
    ) -> Result<u64, ProfileError> {
        let mut deleted = 0;
        for gallery in &self.galleries {
            let mut after = 0;
            while !stop.is_cancelled() {
                match store.retire(gallery, &self.profile, after).await? {
                    RetireStep::Deleted { results, next } => {
                        (deleted, after) = (deleted + results, next);
                        progress(deleted);
                    }
                    RetireStep::Done => break,
                    RetireStep::Active => {
                        let (profile, gallery) = (self.profile.clone(), gallery.clone());
                        return Err(ProfileError::Active { profile, gallery });
                    }
                }
            }
        }
        Ok(deleted)
    }
}
