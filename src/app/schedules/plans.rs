//! What slots list, and whether this process is the one to do it.

use std::path::Path;
use std::sync::Arc;

use super::{FoundImages, SlotWorker, impossible};
use crate::domain::{
    Campaign, GalleryName, JobRate, Lane, Profile, ProfileId, SeenWorker, WorkerReport,
};
use crate::gallery::campaign::ScanPlan;
use crate::gallery::list::Images;
use crate::gallery::rescore::{
    RescoreImages, RescorePlan, RescoreWhich, is_of_chips, source_profile,
};
use crate::gallery::schedules::RunError;
use crate::images::{Listing, Places, Root, Rules};
use crate::store::choose_profile;

impl SlotWorker {
    /// The roots of a scan, if this process may read them.
    pub(super) fn roots(&self, roots: &[String]) -> Result<Vec<Root>, RunError> {
        let parsed: Result<Vec<Root>, _> = roots.iter().map(|root| root.parse::<Root>()).collect();
        let roots = parsed.map_err(impossible)?;
        let relative = roots.iter().find(|root| root.path().is_some_and(Path::is_relative));
        if let Some(root) = relative {
            return Err(impossible(format!(
                "root {root} is a relative path: write the whole path, because other processes \
                    may be in another folder"
            )));
        }
        if let Some(worker) = &self.worker {
            let allowed = self.app.allowed(&worker.roots).map_err(impossible)?;
            let outside =
                roots.iter().find(|root| !allowed.iter().any(|allowed| allowed.contains(root)));
            if let Some(root) = outside {
                return Err(RunError::NotHere(format!(
                    "no worker may read {root}: allow it with `facefleet worker --root {root}`, or \
                        in the setting images.allow"
                )));
            }
        }
        Ok(roots)
    }

    pub(super) fn scan_plan(
        &self,
        gallery: &GalleryName,
        roots: Vec<Root>,
        exclude: &[String],
        include: &[String],
    ) -> ScanPlan {
        ScanPlan {
            gallery: gallery.clone(),
            roots,
            lists: None,
            again: None,
            exclude: exclude.to_vec(),
            include: include.to_vec(),
            selection: self.app.settings.selection(),
        }
    }

    pub(super) fn listing(&self, plan: &ScanPlan) -> Result<Listing, RunError> {
        let rules = Rules::new(&plan.exclude, &plan.include).map_err(impossible)?;
        let listing = self.app.listing_by(rules, &plan.roots);
        listing.map_err(|error| RunError::NotHere(format!("{error:#}")))
    }

    /// The profile of new results, registered.
    pub(super) async fn profile(&self, aligned: bool) -> Result<Profile, RunError> {
        let profile = match &self.worker {
            Some(worker) => worker.profile.clone(),
            None => self.app.profile(aligned).map_err(impossible)?,
        };
        self.store.register_profile(&profile).await?;
        Ok(profile)
    }

    /// Whether a scan of `gallery` is to be done under `own`. On a fleet, it is left to workers of
    /// the gallery's active profile: for a while if none runs, which may be starting.
    pub(super) async fn is_meant_to_scan(
        &self,
        gallery: &GalleryName,
        own: &ProfileId,
        last: bool,
    ) -> Result<(), RunError> {
        if self.queue.is_none() {
            return Ok(());
        }
        let active = self.store.active_profile(gallery).await?;
        let Some(active) = active.filter(|active| active != own) else { return Ok(()) };
        let takes_scans = |worker: &SeenWorker| {
            let WorkerReport { queue, profile, lanes, .. } = &worker.report;
            worker.live
                && *queue == self.app.queue_name()
                && *profile == active
                && lanes.contains(&Lane::Scan)
        };
        if last && !self.store.workers().await?.iter().any(takes_scans) {
            return Ok(());
        }
        Err(RunError::NotHere(format!(
            "profile {active} is active in gallery {gallery}, and this process has {own}: give the \
                schedule to the workers of {active}, or activate {own} with `facefleet profile \
                activate`"
        )))
    }

    pub(super) async fn rescore_plan(
        &self,
        gallery: &GalleryName,
        last: bool,
    ) -> Result<RescorePlan, RunError> {
        let store = self.store.as_ref();
        let active = choose_profile(store, gallery, None).await?;
        let profile = self.profile(is_of_chips(store, &active).await?).await?;
        let to = profile.id();
        // Another worker may have the profile that is to come.
        if active == to && self.queue.is_some() && !last {
            return Err(RunError::NotHere(format!(
                "profile {to} of this process is the active one of gallery {gallery}: a re-score \
                    is for another"
            )));
        }
        let from = source_profile(store, gallery, active, &to).await?;
        let aligned = profile.is_of_chips();
        if aligned != is_of_chips(store, &from).await? {
            return Err(RunError::NotHere(format!(
                "profile {from} of gallery {gallery} is of {}, profile {to} of this process is not",
                if aligned { "whole images" } else { "chips (--aligned)" }
            )));
        }
        let (gallery, selection) = (gallery.clone(), self.app.settings.selection());
        Ok(RescorePlan { gallery, from, to, selection, which: RescoreWhich::Missing })
    }

    /// The images of the re-score `campaign`.
    pub(super) async fn rescored(
        &self,
        campaign: &Campaign,
        from: ProfileId,
        rate: Option<JobRate>,
    ) -> Result<FoundImages, RunError> {
        let to = campaign.profile.clone();
        let definition = self.store.profile(&to).await?;
        let aligned = definition.as_ref().is_some_and(Profile::is_of_chips);
        let selection = campaign.selection.unwrap_or_else(|| self.app.settings.selection());
        let gallery = campaign.gallery.clone();
        let chips = definition.map(|profile| self.app.chips(&profile.alignment)).transpose();
        let chips = chips.map_err(impossible)?.flatten();
        let plan = RescorePlan { gallery, from, to, selection, which: RescoreWhich::Missing };
        let roots = self.worker.as_ref().map(|worker| worker.roots.clone()).unwrap_or_default();
        let allowed = self.app.allowed(&roots).map_err(impossible)?;
        let known = self.queue.is_none() || !allowed.is_empty();
        let places = known.then(|| Places::new(&allowed));
        let store = Arc::clone(&self.store);
        let mut images =
            RescoreImages::find(store, plan, places.as_ref(), chips.as_deref()).await?;
        if let Some(told) = images.outside.told(images.images) {
            let told = format!("{told}. Allow them in the setting images.allow");
            return Err(impossible(told));
        }
        if images.unasked > 0 {
            let error = "the chip cache (chips.url) cannot be asked for references whose bytes \
                their source no longer has";
            return Err(RunError::Later(error.to_owned()));
        }
        images.rate = rate;
        let all_done = images.missing == 0;
        let images = Images::Rescore(Box::new(images));
        Ok(FoundImages { images, has_order: true, aligned, roots: Vec::new(), all_done })
    }
}
