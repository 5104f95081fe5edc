//! `facefleet scan`

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;

use super::progress::{ScanEnd, ScanSummary};
use super::running::{CountAhead, EndedCampaign, Fleet, RunningCampaign};
use super::scan_source::SourceArgs;
use super::{GalleryArgs, OperatorArgs, SOME_FAILED, printable};
use crate::app::App;
use crate::app::session::Session;
use crate::domain::{Campaign, CampaignId, Faces, Lane};
use crate::gallery::campaign::ScanPlan;
use crate::gallery::curate::{Curator, Pruned, prune};
use crate::gallery::follow::CampaignCounts;
use crate::gallery::takers::Wanted;
use crate::images::{Listing, Rules};
use crate::store::Store;

/// Score every image in folders, buckets or lists into a gallery. A second run scores only what is
/// new.
///
/// Images whose result is recorded already, for the same version of the image and the same profile,
/// are skipped. The last line accounts for every image.
///
/// A file is an image if it has the ending of an image or starts like one. An object in a bucket is
/// an image by its ending, and by its first bytes only if it has no ending. All other files are
/// counted by ending; -v and --json name them. Left out, and counted, are: what file servers and
/// desktops put next to photos (@eaDir, #recycle, .thumbnails, ._*, Thumbs.db, trash cans, …), what
/// --exclude matches, what --include does not match, and what a file .facefleetignore names for its
/// folder and below, in the syntax of .gitignore. Globs ignore case. What the command itself names
/// is never left out. Links are followed if they lead to something below the folders named that
/// --exclude does not match. Every file is scanned once.
///
/// With the queue in this process (the default), this process also scores the images. With a queue
/// on a broker, it publishes jobs for `facefleet worker` processes; --wait waits for them.
#[derive(Debug, Args)]
pub(super) struct ScanArgs {
    #[command(flatten)]
    source: SourceArgs,
    #[command(flatten)]
    gallery: GalleryArgs,
    /// Which faces of an image: all, or largest.
    #[arg(long)]
    faces: Option<Faces>,
    /// The images are chips: aligned faces of 112x112 pixels. No detection; others are refused.
    #[arg(long)]
    aligned: bool,
    /// Leave out what matches, as in a .gitignore: '*.png' anywhere, /drafts at the top, 2023/trip/
    /// a folder. May be repeated. Overrides --include.
    #[arg(long, value_name = "GLOB", value_parser = valid_glob)]
    exclude: Vec<String>,
    /// Only what matches, or is in a folder that matches. May be repeated.
    #[arg(long, value_name = "GLOB", value_parser = valid_glob)]
    include: Vec<String>,
    /// With a fleet: wait until the workers have ended every image, and show the progress.
    #[arg(long)]
    wait: bool,
    /// With a fleet: continue a campaign whose listing was interrupted.
    #[arg(long, value_name = "CAMPAIGN")]
    resume: Option<CampaignId>,
    /// Exit with 3 and say why if more than this share of the images, 0 to 1, end as unreadable,
    /// refused or failed. Images that are up to date do not count. 1 accepts everything.
    #[arg(long, default_value_t = 0.5, value_name = "SHARE", value_parser = share)]
    fail_over: f64,
    /// Take out what is gone: images of the gallery that are not below these folders or in these
    /// buckets any more. They are left out of searches, references, reports and exports, and stay
    /// stored. An image of the same bytes in another place is the same one, moved: it keeps its
    /// subject and its verdicts. `curate undo` undoes it; a scan that finds an image again brings
    /// it back. Nothing is taken out if something could not be listed. With a fleet, needs --wait.
    #[arg(long, conflicts_with_all = ["from", "again"])]
    prune: bool,
    #[command(flatten)]
    by: OperatorArgs,
    /// Print JSON, one object a line: each image as it ends, each file that is not listed, then the
    /// summary.
    #[arg(long)]
    json: bool,
}

/// The glob as it is given, if it is valid.
fn valid_glob(glob: &str) -> Result<String, String> {
    let glob = glob.to_owned();
    match Rules::new(std::slice::from_ref(&glob), &[]) {
        Ok(_) => Ok(glob),
        Err(invalid) => Err(invalid.reason().to_owned()),
    }
}

/// A share, 0 to 1.
pub(super) fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "use a number from 0 to 1, such as 0.1".to_owned())
}

impl ScanArgs {
    pub(super) async fn run(self, app: App) -> Result<ExitCode> {
        let app = app.with_faces(self.faces);
        if self.prune && !app.is_embedded() && !self.wait {
            bail!("with a fleet, --prune needs --wait: it comes when every image has ended");
        }
        // Report a missing folder before the models are loaded.
        let rules = Rules::new(&self.exclude, &self.include)?;
        let listing = app.listing_by(rules, &self.source.roots)?;
        let listing = self.source.with_lists(&app, listing).await?;
        let plan = ScanPlan {
            gallery: self.gallery.gallery.clone(),
            roots: self.source.roots.clone(),
            lists: self.source.list_source(listing.lists()),
            again: None,
            exclude: self.exclude.clone(),
            include: self.include.clone(),
            selection: app.settings().selection(),
        };
        if app.is_embedded() {
            self.run_here(&app, plan, listing).await
        } else {
            self.run_on_fleet(&app, plan, listing).await
        }
    }

    /// Lists and scores the images in this process.
    async fn run_here(&self, app: &App, mut plan: ScanPlan, listing: Listing) -> Result<ExitCode> {
        if self.resume.is_some() {
            bail!(
                "--resume needs a queue on a broker. Run the same scan again: it skips images that \
                    are up to date"
            );
        }
        let session = Session::open(app, &self.source.readable(), self.aligned).await?;
        plan.again = self.source.again(&plan, &session.profile_id());
        let counted = CountAhead::Listing(Box::new(listing.clone()));
        let (images, count) =
            self.source.images(app, plan.again.clone(), listing, session.store()).await?;
        let campaign = plan.campaign(session.profile_id());
        let count = count.map_or(counted, CountAhead::Known);
        let run = plan.run(campaign.clone(), images);
        let ended = RunningCampaign::run_here(session, run, count, self.json).await?;
        self.finish(app, &campaign, &ended, &plan).await
    }

    /// Publishes jobs for the fleet's workers and, with --wait, waits for them.
    async fn run_on_fleet(
        &self,
        app: &App,
        mut plan: ScanPlan,
        listing: Listing,
    ) -> Result<ExitCode> {
        let (store, queue) = (app.store().await?, app.queue().await?);
        let profile = app.profile(self.aligned)?;
        store.register_profile(&profile).await?;
        plan.again = self.source.again(&plan, &profile.id());
        let campaign = match self.resume {
            None => plan.campaign(profile.id()),
            Some(id) => {
                plan.resume(id, &profile.id(), listing.is_resumable(), store.as_ref()).await?
            }
        };
        let counted = CountAhead::Listing(Box::new(listing.clone()));
        let (images, count) =
            self.source.images(app, plan.again.clone(), listing, store.clone()).await?;
        let wanted = Wanted {
            queue: app.queue_name(),
            lane: Lane::Scan,
            profile: profile.id(),
            roots: plan.roots.iter().chain(images.folders()).cloned().collect(),
        };
        let count = count.map_or(counted, CountAhead::Known);
        let fleet = Fleet { queue, store, wanted, wait: self.wait };
        let run = plan.run(campaign.clone(), images);
        let ended = RunningCampaign::run_on_fleet(fleet, run, count, self.json).await?;
        self.finish(app, &campaign, &ended, &plan).await
    }

    /// Prints the summary; the exit status of the command.
    async fn finish(
        &self,
        app: &App,
        campaign: &Campaign,
        ended: &EndedCampaign,
        plan: &ScanPlan,
    ) -> Result<ExitCode> {
        let EndedCampaign { counts, end, elapsed } = ended;
        // A resumed scan lists a part only.
        if self.resume.is_none() {
            name_unused_globs(plan, counts);
        }
        let (end, elapsed, fail_over) = (*end, *elapsed, self.fail_over);
        // What ran has closed its store.
        let store = app.store().await?;
        let active = store.active_profile(&campaign.gallery).await?;
        let pruned = match self.prune {
            true => self.prune(app, store.as_ref(), ended).await?,
            false => None,
        };
        let retention = store.retentions().await?.iter().any(|run| {
            let removed = run.counts.images + run.counts.rejected_images;
            run.gallery == campaign.gallery && removed > 0
        });
        store.close().await;
        let incomplete = self.prune && pruned.is_none();
        let summary =
            ScanSummary { counts, campaign, active, end, elapsed, fail_over, pruned, retention };
        let status = summary.print(self.json)?;
        if incomplete && end == ScanEnd::Complete {
            eprintln!(
                "facefleet: nothing was pruned: the listing of the source is not complete, or \
                 brought no image"
            );
            return Ok(ExitCode::from(SOME_FAILED));
        }
        Ok(status)
    }

    /// Takes out what is gone below the roots. None if the scan cannot tell.
    async fn prune(
        &self,
        app: &App,
        store: &dyn Store,
        ended: &EndedCampaign,
    ) -> Result<Option<Pruned>> {
        let EndedCampaign { counts, end, .. } = ended;
        let is_complete = *end == ScanEnd::Complete && counts.progress.is_complete();
        if counts.source.is_none() || !is_complete {
            return Ok(None);
        }
        let listing = app.listing_by(Rules::none(), &self.source.roots)?;
        let gallery = self.gallery.gallery.clone();
        let reason = Some("scan --prune".parse()?);
        let curator =
            Curator { gallery, by: self.by.name()?, reason, rules: app.settings().references() };
        Ok(Some(prune(store, &curator, &listing).await?))
    }
}

/// Names the globs of --exclude that left nothing out: they may be written for another folder.
fn name_unused_globs(plan: &ScanPlan, counts: &CampaignCounts) {
    for glob in plan.unused_excludes(counts) {
        eprintln!(
            "--exclude {} matched nothing (globs are relative to the folder or prefix that is \
                scanned)",
            printable(glob)
        );
    }
}
