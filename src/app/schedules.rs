//! What schedules do: lists images for a fleet, or scores them in this process, and writes reports.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use async_trait::async_trait;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::App;
use super::fleet::host_name;
use super::session::Session;
use crate::domain::{
    Campaign, CampaignState, GalleryName, JobRate, Profile, ProfileId, RunPlan, ScheduleAction,
};
use crate::gallery::campaign::{ScanPlan, run_on_fleet};
use crate::gallery::follow::CampaignRun;
use crate::gallery::list::Images;
use crate::gallery::rescore::{
    RescoreImages, RescorePlan, RescoreWhich, is_of_chips, source_profile,
};
use crate::gallery::schedules::{ClaimedRun, PlannedRun, RunError, Scheduler, SlotWork, WorkEnd};
use crate::images::{Listing, Places, Root, Rules};
use crate::queue::JobQueue;
use crate::report::ReportOptions;
use crate::store::{ProfileChoiceError, RunOwner, Store, choose_profile};

/// What does the work of slots in this process.
struct SlotWorker {
    app: App,
    store: Arc<dyn Store>,
    /// The queue of the fleet. `None`: this process scores the images.
    queue: Option<Arc<dyn JobQueue>>,
    /// Of a worker of a fleet. `None`: of a command.
    worker: Option<SchedulingWorker>,
}

/// The worker of a fleet that runs schedules too.
pub struct SchedulingWorker {
    /// The profile of its results.
    pub profile: Profile,
    /// The places that it may read, in addition to those of the settings.
    pub roots: Vec<Root>,
}

/// The images of a run and the campaign that lists them.
struct FoundImages {
    images: Images,
    /// Whether they come in the same order each time.
    has_order: bool,
    aligned: bool,
    /// Where this process reads images.
    roots: Vec<Root>,
    /// Whether every image is known to be done.
    all_done: bool,
}

impl App {
    /// What runs the schedules of the settings in this process. `queue`: that of the fleet, if
    /// there is one.
    pub fn scheduler(
        &self,
        store: Arc<dyn Store>,
        queue: Option<Arc<dyn JobQueue>>,
        worker: Option<SchedulingWorker>,
    ) -> Scheduler {
        let name = format!("{}:{}", host_name(), std::process::id());
        let patient = queue.is_some();
        let (app, own) = (self.clone(), self.settings.schedule.clone());
        let work = Arc::new(SlotWorker { app, store: store.clone(), queue, worker });
        Scheduler { store, work, owner: RunOwner { id: Uuid::now_v7(), name }, own, patient }
    }
}

fn impossible(error: impl std::fmt::Display) -> RunError {
    RunError::Impossible(format!("{error:#}"))
}

impl From<ProfileChoiceError> for RunError {
    fn from(error: ProfileChoiceError) -> Self {
        match error {
            ProfileChoiceError::Store(error) => error.into(),
            error => Self::Impossible(error.to_string()),
        }
    }
}

#[async_trait]
impl SlotWork for SlotWorker {
    async fn plan(&self, action: &ScheduleAction) -> Result<PlannedRun, RunError> {
        let (campaign, from) = match action {
            ScheduleAction::Scan { gallery, roots, exclude, include } => {
                let roots = self.roots(roots)?;
                let profile = self.profile(false).await?;
                let plan = self.scan_plan(gallery, roots, exclude, include);
                // Fails if a folder is missing here.
                self.listing(&plan)?;
                (Some(plan.campaign(profile.id())), None)
            }
            ScheduleAction::Rescore { gallery, .. } => {
                let plan = self.rescore_plan(gallery).await?;
                (Some(plan.campaign()), Some(plan.from))
            }
            ScheduleAction::Report { gallery, .. } => {
                choose_profile(self.store.as_ref(), gallery, None).await?;
                (None, None)
            }
        };
        Ok(PlannedRun { plan: RunPlan { action: action.clone(), from }, campaign })
    }

    async fn work(&self, run: &ClaimedRun, stop: CancellationToken) -> Result<WorkEnd, RunError> {
        let RunPlan { action, from } = &run.plan;
        if let ScheduleAction::Report { gallery, out } = action {
            return self.report(gallery, out).await;
        }
        let found = match run.campaign {
            Some(id) => self.store.campaign(id).await?,
            None => None,
        };
        let campaign = found.ok_or_else(|| impossible("its campaign is not in the store"))?;
        if campaign.state == CampaignState::Cancelled {
            return Err(impossible("its campaign was cancelled"));
        }
        let progress = &campaign.progress;
        if if self.queue.is_some() { progress.listing_done } else { progress.is_complete() } {
            return Ok(WorkEnd::Done);
        }
        let images = match action {
            ScheduleAction::Rescore { rate, .. } => {
                let from = from.clone().ok_or_else(|| impossible("it has no profile to read"))?;
                self.rescored(&campaign, from, *rate).await?
            }
            ScheduleAction::Scan { gallery, roots, exclude, include } => {
                let roots = self.roots(roots)?;
                let plan = self.scan_plan(gallery, roots, exclude, include);
                let listing = self.listing(&plan)?;
                FoundImages {
                    has_order: listing.is_resumable(),
                    images: Images::Listing(Box::new(listing)),
                    aligned: false,
                    roots: plan.roots,
                    all_done: false,
                }
            }
            ScheduleAction::Report { .. } => return Ok(WorkEnd::Done),
        };
        self.list(campaign, images, stop).await
    }
}

impl SlotWorker {
    /// The roots of a scan, if this process may read them.
    fn roots(&self, roots: &[String]) -> Result<Vec<Root>, RunError> {
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

    fn scan_plan(
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

    fn listing(&self, plan: &ScanPlan) -> Result<Listing, RunError> {
        let rules = Rules::new(&plan.exclude, &plan.include).map_err(impossible)?;
        let listing = self.app.listing_by(rules, &plan.roots);
        listing.map_err(|error| RunError::NotHere(format!("{error:#}")))
    }

    /// The profile of new results, registered.
    async fn profile(&self, aligned: bool) -> Result<Profile, RunError> {
        let profile = match &self.worker {
            Some(worker) => worker.profile.clone(),
            None => self.app.profile(aligned).map_err(impossible)?,
        };
        self.store.register_profile(&profile).await?;
        Ok(profile)
    }

    async fn rescore_plan(&self, gallery: &GalleryName) -> Result<RescorePlan, RunError> {
        let store = self.store.as_ref();
        let active = choose_profile(store, gallery, None).await?;
        let profile = self.profile(is_of_chips(store, &active).await?).await?;
        let to = profile.id();
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
    async fn rescored(
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

    /// Lists the images into the fleet's queue, or scores them here.
    async fn list(
        &self,
        mut campaign: Campaign,
        found: FoundImages,
        stop: CancellationToken,
    ) -> Result<WorkEnd, RunError> {
        let (id, progress) = (campaign.id, &campaign.progress);
        if found.all_done && progress.listed == 0 {
            // Nothing is listed only to be skipped.
            self.store.end_listing(id).await?;
            return Ok(WorkEnd::Done);
        }
        // Jobs of a process that died are gone with its own queue.
        let goes_on = self.queue.is_some() && found.has_order && progress.chunk_to.is_some();
        if progress.listed > 0 && !goes_on {
            self.store.restart_listing(id).await?;
            let restarted = self.store.campaign(id).await?;
            campaign = restarted.ok_or_else(|| impossible("its campaign is gone"))?;
        }
        let selection = campaign.selection.unwrap_or_else(|| self.app.settings.selection());
        let run = CampaignRun { images: found.images, campaign, selection };
        let stopping = stop.clone();
        let Some(queue) = self.queue.clone() else {
            let session = Session::open(&self.app, &found.roots, found.aligned).await;
            let session = session.map_err(impossible)?;
            let (own, wanted) = (session.profile_id(), &run.campaign.profile);
            if own != *wanted {
                return Err(impossible(format!(
                    "its campaign is under profile {wanted}, and these settings have {own}"
                )));
            }
            let counts = session.run(run, stop, |_, _| {}).await.map_err(impossible)?;
            return match counts.progress.is_over() {
                true => Ok(WorkEnd::Done),
                false => Err(impossible(match stopping.is_cancelled() {
                    true => "interrupted: what is scored is kept, and the next run scores the rest",
                    false => "its campaign was cancelled",
                })),
            };
        };
        let store = Arc::clone(&self.store);
        let counts = run_on_fleet(run, queue, store, false, stop, |_, _| {}).await?;
        match counts.progress.listing_done {
            true => Ok(WorkEnd::Done),
            false if stopping.is_cancelled() => Ok(WorkEnd::Stopped),
            false => Err(impossible("its campaign was cancelled")),
        }
    }

    async fn report(&self, gallery: &GalleryName, out: &str) -> Result<WorkEnd, RunError> {
        let store = self.store.as_ref();
        let profile = choose_profile(store, gallery, None).await?;
        let options = ReportOptions::default();
        let html = self.app.report(store, gallery, &profile, options, true).await;
        let html = html.map_err(impossible)?;
        write_whole(Path::new(out), html.as_bytes()).map_err(impossible)?;
        Ok(WorkEnd::Done)
    }
}

/// Writes a file, whole or not at all, for its owner alone: a report contains faces.
fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let failed = || format!("Failed to write {}", path.display());
    // A link keeps pointing at the file.
    let target = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder).with_context(failed)?;
    file.write_all(bytes).with_context(failed)?;
    file.as_file().sync_all().with_context(failed)?;
    file.persist(&target).with_context(failed)?;
    Ok(())
}
