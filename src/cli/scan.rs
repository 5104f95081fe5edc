//! `facefleet scan`

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Args;
use clap::builder::{OsStringValueParser, TypedValueParser};
use futures::StreamExt;
use indicatif::ProgressBar;
use tokio_util::sync::CancellationToken;

use super::progress::{ScanEnd, ScanSummary, View};
use super::{GalleryOption, interrupt, printable};
use crate::app::App;
use crate::domain::{
    Campaign, CampaignId, CampaignProgress, CampaignState, Faces, Lane, ProfileId, Selection,
};
use crate::gallery::scan::{self, Follow, Progress, Tally};
use crate::images::{Listing, ListingEntry, Root, Rules};
use crate::store::{Store, StoreError};
use crate::worker::Process;

/// Score every image below some folders or in buckets into a gallery. Run again, it does only what
/// is new.
///
/// Images that are settled already, unchanged and under the same profile, are skipped. The last
/// line accounts for every image.
///
/// A file is an image by its ending or, if that is no image's, by its first bytes; an object in a
/// bucket by its ending, and by its first bytes if it has none. All other files are counted by
/// ending; -v and --json name them. Left out, and counted too, is what file servers and desktops
/// put beside photos (@eaDir, #recycle, .thumbnails, ._*, Thumbs.db, trash cans, …), what --exclude
/// matches, what --include does not, and what a file .facefleetignore names for its folder and
/// below, in the syntax of .gitignore. In globs, capitals and small letters are the same. What is
/// named in the command itself is never left out. Links are followed as long as they lead to
/// something below the folders named, and not to what --exclude matches; every file is scanned
/// once.
///
/// With the queue in this process (the default), this process works on the images too. With a queue
/// on a broker, it lists them into the queue for `facefleet worker` processes; --wait follows them.
#[derive(Debug, Args)]
pub(super) struct Scan {
    #[arg(
        required = true,
        value_name = "FOLDER|URL",
        value_parser = OsStringValueParser::new().try_map(Root::try_from),
        help = "Folders, searched at any depth, image files, and what lies in buckets: \
            s3://bucket/prefix, gs:, az:"
    )]
    roots: Vec<Root>,
    #[command(flatten)]
    gallery: GalleryOption,
    /// Which faces of an image: all, or largest.
    #[arg(long)]
    faces: Option<Faces>,
    /// The images are chips already: aligned, and 112x112; others are refused. No detection.
    #[arg(long)]
    aligned: bool,
    /// Leave out what matches, as in a .gitignore: '*.png' anywhere, /drafts at the top, 2023/trip/
    /// a folder. May be repeated; stands above --include.
    #[arg(long, value_name = "GLOB", value_parser = valid_glob)]
    exclude: Vec<String>,
    /// Only what matches, or lies in a folder that does. May be repeated.
    #[arg(long, value_name = "GLOB", value_parser = valid_glob)]
    include: Vec<String>,
    /// With a fleet: wait until the workers have ended every image, and show how far they are.
    #[arg(long)]
    wait: bool,
    /// With a fleet: go on with a campaign whose listing was interrupted.
    #[arg(long, value_name = "CAMPAIGN")]
    resume: Option<CampaignId>,
    /// One JSON object a line: each image as it ends, what is left alone or left out, then the
    /// summary.
    #[arg(long)]
    json: bool,
}

/// A glob as it is given, if it can be used.
fn valid_glob(glob: &str) -> Result<String, String> {
    let glob = glob.to_owned();
    match Rules::new(std::slice::from_ref(&glob), &[]) {
        Ok(_) => Ok(glob),
        Err(invalid) => Err(invalid.reason().to_owned()),
    }
}

impl Scan {
    pub(super) async fn run(self, app: App) -> Result<ExitCode> {
        let app = app.with_faces(self.faces);
        // A folder that is not there is told before the models are loaded.
        let rules = Rules::new(&self.exclude, &self.include)?;
        let listing = app.listing_by(rules, &self.roots)?;
        if app.is_embedded() {
            self.run_here(app, listing).await
        } else {
            self.run_on_fleet(app, listing).await
        }
    }

    /// Lists, and works on what is listed, in this process.
    async fn run_here(self, app: App, listing: Listing) -> Result<ExitCode> {
        if self.resume.is_some() {
            bail!(
                "--resume is for fleets: the queue in this process is gone; the same scan, run \
                    again, does what is left"
            );
        }
        let (store, queue) = (app.store().await?, app.queue().await?);
        let processor = Arc::new(app.processor(&self.roots, self.aligned)?);
        store.register_profile(processor.profile()).await?;
        let campaign = self.campaign(&app, processor.profile_id().clone());
        store.begin_campaign(&campaign).await?;

        let mut view = View::new(self.json);
        let bar = view.bar();
        let stop = interrupt::stop_on_signal(move || {
            bar.suspend(|| {
                eprintln!("stopping: images in hand are finished first; once more to stop at once")
            });
        })?;
        let counting = count_ahead(listing.clone(), view.bar(), stop.clone());
        let request = scan::Scan {
            listing,
            campaign: campaign.clone(),
            selection: app.settings().selection(),
        };
        let started = Instant::now();
        // The worker ends by itself when told to stop, or early if the store is lost; then the
        // queue's news end, and so does the scan.
        let until = stop.child_token();
        let worker = tokio::spawn({
            let worker = app.worker(queue.clone(), store.clone(), processor.clone());
            let (until, queue) = (until.clone(), queue.clone());
            async move {
                let ended = worker.run(until).await;
                queue.close().await;
                ended
            }
        });
        let show = |tally: &Tally, progress: Progress<'_>| view.show(tally, &progress);
        let tally =
            scan::run(request, queue, store.clone(), Follow::EndedHere, stop.clone(), show).await;
        until.cancel();
        let worked = worker.await?;
        counting.abort();
        view.finish();
        // What this process held is gone with it.
        let ended = end_campaign(store.as_ref(), campaign.id).await;
        // If the worker failed, the scan's own error only follows from that, and so does the
        // store's.
        worked?;
        let tally = tally?;
        ended?;
        store.close().await;
        let end = if stop.is_cancelled() { ScanEnd::Interrupted } else { ScanEnd::Complete };
        self.tell_unused(&tally);
        ScanSummary { tally: &tally, campaign: &campaign, end, elapsed: started.elapsed() }
            .say(self.json)
    }

    /// Lists into the fleet's queue, and, if asked, waits for the workers.
    async fn run_on_fleet(self, app: App, listing: Listing) -> Result<ExitCode> {
        let (store, queue) = (app.store().await?, app.queue().await?);
        let profile = app.profile(self.aligned)?;
        store.register_profile(&profile).await?;
        let campaign = match self.resume {
            None => self.campaign(&app, profile.id()),
            Some(_) if !listing.is_resumable() => {
                bail!(
                    "--resume is for buckets, whose listing has an order: run the same scan of \
                        folders again, and it does what is left"
                )
            }
            Some(id) => {
                let found = store
                    .campaign(id)
                    .await?
                    .with_context(|| format!("there is no campaign {id}"))?;
                let same = (&found.gallery, &found.profile, found.source.as_str())
                    == (&self.gallery.gallery, &profile.id(), self.source().as_str());
                if !same {
                    bail!(
                        "campaign {id} lists {} into gallery {} under profile {}: name the same to \
                            resume it",
                        found.source,
                        found.gallery,
                        found.profile
                    );
                }
                let differing = found
                    .selection
                    .map(|wanted| differing(&wanted, &app.settings().selection()))
                    .unwrap_or_default();
                if !differing.is_empty() {
                    bail!(
                        "campaign {id} asks for other faces than this command: set {} to resume it",
                        differing.join(", ")
                    );
                }
                if found.state == CampaignState::Cancelled {
                    bail!(
                        "campaign {id} was cancelled: run the scan without --resume, and it does \
                            what is left"
                    );
                }
                found
            }
        };
        store.begin_campaign(&campaign).await?;
        let mut view = View::new(self.json);
        let bar = view.bar();
        let stop = interrupt::stop_on_signal(move || {
            bar.suspend(|| {
                eprintln!("stopping: what is published goes on; once more to stop at once")
            });
        })?;
        let counting = count_ahead(listing.clone(), view.bar(), stop.clone());
        let request = scan::Scan {
            listing,
            campaign: campaign.clone(),
            selection: app.settings().selection(),
        };
        let started = Instant::now();
        let follow = if self.wait { Follow::Ended } else { Follow::Published };
        let show = |tally: &Tally, progress: Progress<'_>| view.show(tally, &progress);
        let tally =
            scan::run(request, queue.clone(), store.clone(), follow, stop.clone(), show).await;
        counting.abort();
        view.finish();
        let tally = tally?;
        // What was published while it was being cancelled.
        if store
            .campaign(campaign.id)
            .await?
            .is_some_and(|found| found.state == CampaignState::Cancelled)
        {
            queue.remove(&campaign.sub_queue()).await?;
        }
        queue.close().await;
        store.close().await;
        let end = match () {
            () if stop.is_cancelled() => ScanEnd::LeftToWorkers,
            () if !self.wait => ScanEnd::Published,
            () => ScanEnd::Complete,
        };
        self.tell_unused(&tally);
        ScanSummary { tally: &tally, campaign: &campaign, end, elapsed: started.elapsed() }
            .say(self.json)
    }

    fn campaign(&self, app: &App, profile: ProfileId) -> Campaign {
        Campaign {
            id: CampaignId::new(),
            lane: Lane::Scan,
            gallery: self.gallery.gallery.clone(),
            profile,
            selection: Some(app.settings().selection()),
            source: self.source(),
            state: CampaignState::Running,
            progress: CampaignProgress::default(),
            started_at: String::new(),
        }
    }

    /// A glob that is written for another folder than the one that is scanned leaves nothing out:
    /// that is told.
    fn tell_unused(&self, tally: &Tally) {
        let unused =
            |glob: &&String| !tally.others.left_out.contains_key(&format!("--exclude {glob}"));
        // A scan that is interrupted or resumed has seen a part alone.
        for glob in self
            .exclude
            .iter()
            .filter(unused)
            .filter(|_| tally.progress.listing_done && self.resume.is_none())
        {
            let glob = printable(glob);
            eprintln!(
                "--exclude {glob} matched nothing (globs are relative to the folder or prefix that \
                    is scanned)"
            );
        }
    }

    /// What is listed: the roots, and the globs that choose what is listed of them.
    fn source(&self) -> String {
        let mut source =
            self.roots.iter().map(|root| root.to_string()).collect::<Vec<_>>().join(", ");
        for (option, globs) in [("--exclude", &self.exclude), ("--include", &self.include)] {
            for glob in globs {
                source += &format!(" {option} {glob}");
            }
        }
        source
    }
}

/// The settings to change from `own` to `wanted`.
fn differing(wanted: &Selection, own: &Selection) -> Vec<String> {
    let settings = [
        ("faces", wanted.faces.to_string(), own.faces.to_string()),
        ("min_face_px", wanted.min_size_px.to_string(), own.min_size_px.to_string()),
        ("min_score", wanted.min_score.to_string(), own.min_score.to_string()),
    ];
    let differ = settings.into_iter().filter(|(_, wanted, own)| wanted != own);
    differ
        .map(|(key, wanted, own)| format!("detector.{key} = {wanted} (it is {own} here)"))
        .collect()
}

/// Closes a campaign whose jobs were in this process, and cancels it if some of them have not
/// ended.
async fn end_campaign(store: &dyn Store, id: CampaignId) -> Result<(), StoreError> {
    if !store.campaign(id).await?.is_some_and(|found| found.progress.is_complete()) {
        store.set_campaign_state(id, CampaignState::Cancelled).await?;
    }
    store.close_campaign(id).await
}

/// Counts the images for the bar's end, beside the scan, which lists no further than the queue has
/// room. Buckets are not counted: listing them twice costs money.
fn count_ahead(
    listing: Listing,
    bar: ProgressBar,
    stop: CancellationToken,
) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        if bar.is_hidden() || !listing.is_local() {
            return;
        }
        let Ok(mut entries) = listing.entries(None) else { return };
        let mut images = 0;
        while let Some(entry) = entries.next().await {
            if stop.is_cancelled() || bar.is_finished() {
                return;
            }
            images += u64::from(matches!(entry, Ok(ListingEntry::Image { .. })));
        }
        bar.set_length(images);
    })
}
