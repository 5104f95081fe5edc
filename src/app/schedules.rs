//! What schedules do: lists images for a fleet, or scores them in this process, writes reports, and
//! removes what galleries no longer keep.

mod plans;

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
    Campaign, CampaignState, GalleryName, Profile, RetentionRules, RunPlan, ScheduleAction,
    ScheduleName,
};
use crate::gallery::GalleryError;
use crate::gallery::campaign::run_on_fleet;
use crate::gallery::follow::CampaignRun;
use crate::gallery::list::Images;
use crate::gallery::retention::Retainer;
use crate::gallery::schedules::{ClaimedRun, PlannedRun, RunError, Scheduler, SlotWork, WorkEnd};
use crate::images::Root;
use crate::queue::JobQueue;
use crate::report::ReportOptions;
use crate::store::{ListingKey, ProfileChoiceError, Store, StoreError, choose_profile};
use crate::worker::WorkerError;

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
        Scheduler::new(store, work, name, own, patient)
    }
}

fn impossible(error: impl std::fmt::Display) -> RunError {
    RunError::Impossible(format!("{error:#}"))
}

/// The error of work: what cannot be reached now is tried again.
fn work_error(error: anyhow::Error) -> RunError {
    match error.downcast::<GalleryError>() {
        Ok(error) => error.into(),
        Err(error) => match error.downcast::<StoreError>() {
            Ok(error) => error.into(),
            Err(error) => match error.downcast::<WorkerError>() {
                Ok(WorkerError::Store(error)) => error.into(),
                Ok(error) => impossible(error),
                Err(error) => impossible(error),
            },
        },
    }
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
    async fn plan(&self, action: &ScheduleAction, last: bool) -> Result<PlannedRun, RunError> {
        let (campaign, from) = match action {
            ScheduleAction::Scan { gallery, roots, exclude, include } => {
                let roots = self.roots(roots)?;
                let profile = self.profile(false).await?.id();
                let plan = self.scan_plan(gallery, roots, exclude, include);
                // Fails if a folder is missing here.
                self.listing(&plan)?;
                self.is_meant_to_scan(gallery, &profile, last).await?;
                (Some(plan.campaign(profile)), None)
            }
            ScheduleAction::Rescore { gallery, .. } => {
                let plan = self.rescore_plan(gallery, last).await?;
                (Some(plan.campaign()), Some(plan.from))
            }
            ScheduleAction::Report { gallery, .. } => {
                choose_profile(self.store.as_ref(), gallery, None).await?;
                (None, None)
            }
            ScheduleAction::Retention { gallery } => {
                self.check_retention(gallery).await?;
                (None, None)
            }
        };
        Ok(PlannedRun { plan: RunPlan { action: action.clone(), from }, campaign })
    }

    async fn can_go_on(&self, plan: &RunPlan) -> Result<(), RunError> {
        match &plan.action {
            ScheduleAction::Scan { gallery, roots, exclude, include } => {
                let plan = self.scan_plan(gallery, self.roots(roots)?, exclude, include);
                self.listing(&plan)?;
            }
            ScheduleAction::Retention { gallery } => self.check_retention(gallery).await?,
            ScheduleAction::Rescore { .. } | ScheduleAction::Report { .. } => {}
        }
        Ok(())
    }

    async fn work(&self, run: &ClaimedRun, stop: CancellationToken) -> Result<WorkEnd, RunError> {
        let RunPlan { action, from } = &run.plan;
        if let ScheduleAction::Report { gallery, out } = action {
            return self.report(gallery, out).await;
        }
        if let ScheduleAction::Retention { gallery } = action {
            return self.retain(gallery, &run.key.schedule, &stop).await;
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
            ScheduleAction::Report { .. } | ScheduleAction::Retention { .. } => {
                return Ok(WorkEnd::Done);
            }
        };
        self.list(campaign, run.owner.id, images, stop).await
    }
}

impl SlotWorker {
    /// Lists the images into the fleet's queue, or scores them here.
    async fn list(
        &self,
        mut campaign: Campaign,
        claim: Uuid,
        found: FoundImages,
        stop: CancellationToken,
    ) -> Result<WorkEnd, RunError> {
        let (id, progress) = (campaign.id, &campaign.progress);
        let listing = ListingKey { campaign: id, claim: Some(claim) };
        if found.all_done && progress.listed == 0 {
            // Nothing is listed only to be skipped.
            self.store.end_listing(listing).await?;
            return Ok(WorkEnd::Done);
        }
        // Jobs of a process that died are gone with its own queue.
        let goes_on = self.queue.is_some() && found.has_order && progress.chunk_to.is_some();
        if progress.listed > 0 && !goes_on {
            self.store.restart_listing(listing).await?;
            let restarted = self.store.campaign(id).await?;
            campaign = restarted.ok_or_else(|| impossible("its campaign is gone"))?;
        }
        let selection = campaign.selection.unwrap_or_else(|| self.app.settings.selection());
        let claim = Some(claim);
        let run = CampaignRun { images: found.images, campaign, selection, claim };
        let stopping = stop.clone();
        let Some(queue) = self.queue.clone() else {
            let session = Session::open(&self.app, &found.roots, found.aligned).await;
            let session = session.map_err(work_error)?;
            let (own, wanted) = (session.profile_id(), &run.campaign.profile);
            if own != *wanted {
                return Err(impossible(format!(
                    "its campaign is under profile {wanted}, and these settings have {own}"
                )));
            }
            let counts = session.run(run, stop, |_, _| {}).await.map_err(work_error)?;
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

    /// What a gallery keeps only for so many days, by the settings of this process.
    fn rules(&self, gallery: &GalleryName) -> Result<&RetentionRules, RunError> {
        self.app.settings.rules_of(gallery).ok_or_else(|| {
            RunError::NotHere(format!(
                "the settings of this process have no [[retention]] table of gallery {gallery}"
            ))
        })
    }

    /// Whether this process knows the rules of a gallery, and may do what they say.
    async fn check_retention(&self, gallery: &GalleryName) -> Result<(), RunError> {
        self.rules(gallery)?;
        if self.store.may_remove().await? {
            return Ok(());
        }
        Err(RunError::NoRight(
            "the database role of this process may not remove images: run the schedule where \
                store.url is that of the schema's owner (docs/privacy.md)"
                .to_owned(),
        ))
    }

    /// Removes what a gallery no longer keeps.
    async fn retain(
        &self,
        gallery: &GalleryName,
        schedule: &ScheduleName,
        stop: &CancellationToken,
    ) -> Result<WorkEnd, RunError> {
        let rules = self.rules(gallery)?;
        let by = format!("schedule {schedule}").parse().map_err(impossible)?;
        let chips = self.app.kept_chips().map_err(impossible)?;
        let (store, queue) = (self.store.as_ref(), self.queue.as_deref());
        let retainer = Retainer { store, queue, chips: chips.as_ref() };
        match retainer.run(rules, &by, stop).await? {
            Some(_) => Ok(WorkEnd::Done),
            None => Ok(WorkEnd::Stopped),
        }
    }

    async fn report(&self, gallery: &GalleryName, out: &str) -> Result<WorkEnd, RunError> {
        let store = self.store.as_ref();
        let profile = choose_profile(store, gallery, None).await?;
        let options = ReportOptions::default();
        let html = self.app.report(store, gallery, &profile, options, true).await;
        let html = html.map_err(work_error)?;
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

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn work_that_a_store_in_an_outage_ended_is_tried_again() {
        let away = || StoreError::Unavailable("it restarts".into());
        for error in [
            anyhow::Error::from(away()),
            anyhow::Error::from(away()).context("Failed to read the faces"),
            anyhow::Error::from(GalleryError::Store(away())),
        ] {
            let error = work_error(error);
            assert!(matches!(error, RunError::Later(_)), "{error:?}");
        }
        let damaged = work_error(StoreError::Corrupt("a row".into()).into());
        assert!(matches!(damaged, RunError::Impossible(_)), "{damaged:?}");
        let full = work_error(anyhow!("no space").context("Failed to write /x"));
        assert!(
            matches!(&full, RunError::Impossible(text) if text == "Failed to write /x: no space"),
            "{full:?}"
        );
        let campaign = crate::domain::CampaignId::new();
        let taken = work_error(GalleryError::Store(StoreError::TakenOver(campaign)).into());
        assert!(matches!(taken, RunError::Lost(_)), "{taken:?}");
    }
}
