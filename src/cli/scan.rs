//! `facefleet scan`

use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, bail};
use clap::Args;
use indicatif::ProgressBar;
use tokio::task::JoinHandle;

use super::interrupt::{StopOnSignal, stop_on_signal};
use super::progress::{ScanDisplay, ScanEnd, ScanSummary};
use super::scan_source::SourceArgs;
use super::{GalleryArgs, printable};
use crate::app::App;
use crate::app::session::Session;
use crate::domain::{Campaign, CampaignId, Faces, Lane, SeenWorker};
use crate::gallery::campaign::{ScanPlan, run_on_fleet};
use crate::gallery::follow::CampaignCounts;
use crate::gallery::list::count_images;
use crate::gallery::takers::{Wanted, missing, refusal, watch};
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
fn share(text: &str) -> Result<f64, String> {
    let share = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "use a number from 0 to 1, such as 0.1".to_owned())
}

impl ScanArgs {
    pub(super) async fn run(self, app: App) -> Result<ExitCode> {
        let app = app.with_faces(self.faces);
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
        let mut scan = RunningScan::start(
            &campaign,
            count.map_or(counted, CountAhead::Known),
            self.json,
            "stopping: jobs in flight are finished first; interrupt again to stop at once",
        )?;
        let (run, stop) = (plan.run(campaign, images), scan.stop.token());
        let counts =
            session.run(run, stop, |counts, event| scan.display.show(counts, &event)).await;
        let end = if scan.stop.is_stopped() { ScanEnd::Interrupted } else { ScanEnd::Complete };
        scan.finish(app, counts, end, &plan, self).await
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
        let mut scan = RunningScan::start(
            &campaign,
            count.map_or(counted, CountAhead::Known),
            self.json,
            "stopping: published jobs stay in the queue; interrupt again to stop at once",
        )?;
        let wanted = Wanted {
            queue: app.queue_name(),
            lane: Lane::Scan,
            profile: profile.id(),
            roots: plan.roots.iter().chain(images.folders()).cloned().collect(),
        };
        let bar = scan.display.bar();
        let tell = |text: &str| bar.suspend(|| eprintln!("{}", printable(text)));
        // Before anything is published: workers would refuse it at once.
        let refusal = if self.wait { told(store.as_ref(), &wanted, refusal).await } else { None };
        let (run, stop) = (plan.run(campaign, images), scan.stop.token());
        let (queue_of_run, store_of_run) = (queue.clone(), store.clone());
        let running =
            run_on_fleet(run, queue_of_run, store_of_run, self.wait, stop, |counts, event| {
                scan.display.show(counts, &event);
            });
        let counts = tokio::select! {
            counts = running => counts,
            never = watch(store.as_ref(), &wanted, refusal, tell), if self.wait => match never {},
        };
        if let Ok(counts) = &counts {
            if !self.wait && counts.progress.left() > 0 {
                told(store.as_ref(), &wanted, missing).await;
            }
            queue.close().await;
            store.close().await;
        }
        let end = match () {
            () if scan.stop.is_stopped() => ScanEnd::LeftToWorkers,
            () if !self.wait => ScanEnd::Published,
            () => ScanEnd::Complete,
        };
        scan.finish(app, counts.map_err(Into::into), end, &plan, self).await
    }
}

/// A scan that is shown while it runs.
struct RunningScan {
    campaign: Campaign,
    display: ScanDisplay,
    stop: StopOnSignal,
    counting: JoinHandle<()>,
    started: Instant,
}

impl RunningScan {
    fn start(
        campaign: &Campaign,
        count: CountAhead,
        json: bool,
        on_stop: &'static str,
    ) -> Result<Self> {
        let display = ScanDisplay::new(json);
        let bar = display.bar();
        let stop = stop_on_signal(move || bar.suspend(|| eprintln!("{on_stop}")))?;
        let counting = tokio::spawn(count.run(display.bar()));
        Ok(Self { campaign: campaign.clone(), display, stop, counting, started: Instant::now() })
    }

    /// Prints the summary; the exit status of the command.
    async fn finish(
        self,
        app: &App,
        counts: Result<CampaignCounts>,
        end: ScanEnd,
        plan: &ScanPlan,
        args: &ScanArgs,
    ) -> Result<ExitCode> {
        self.counting.abort();
        self.display.finish();
        let counts = counts?;
        // A resumed scan lists a part only.
        if args.resume.is_none() {
            name_unused_globs(plan, &counts);
        }
        let (campaign, elapsed) = (&self.campaign, self.started.elapsed());
        let fail_over = args.fail_over;
        // What ran has closed its store.
        let store = app.store().await?;
        let active = store.active_profile(&campaign.gallery).await?;
        store.close().await;
        ScanSummary { counts: &counts, campaign, active, end, elapsed, fail_over }.print(args.json)
    }
}

/// Says what `lack` finds that workers do not have, of what the jobs need.
pub(super) async fn told(
    store: &dyn Store,
    wanted: &Wanted,
    lack: fn(&[SeenWorker], &Wanted) -> Option<String>,
) -> Option<String> {
    // Without it, the scan goes on: a store that fails is no reason to fail here.
    let found = store.workers().await.ok().and_then(|workers| lack(&workers, wanted))?;
    eprintln!("{}", printable(&found));
    Some(found)
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

/// Counts the images for the length of the bar, while the scan lists no further than the queue has
/// room.
enum CountAhead {
    /// Those of a listing. Buckets are not counted: listing them twice costs money.
    Listing(Box<Listing>),
    /// They are counted already.
    Known(u64),
}

impl CountAhead {
    async fn run(self, bar: ProgressBar) {
        match self {
            Self::Known(count) => bar.set_length(count),
            Self::Listing(listing) if !bar.is_hidden() && listing.is_local() => {
                let in_lists = listing.lists().map_or(0, |lists| lists.survey().images);
                bar.set_length(in_lists + count_images(&listing).await);
            }
            Self::Listing(_) => {}
        }
    }
}
