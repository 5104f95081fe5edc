//! The fleet on this machine, with its servers: jobs a second without inference, the effect of a
//! pause, the latency of enrolments with a full scan lane, and the throughput with real inference
//! compared with the embedded scan's.
//!
//! Run `make bench-fleet`, or, with a stack up and its addresses in the environment, `cargo bench
//! --bench fleet [-- PART…] [--folder DIR]`. The parts are publish, plumbing, celery, pause,
//! inference and latency. Results that are compared are measured in turns in one run. It prints
//! medians and ratios, and ends with an error if a goal is missed.
#![allow(clippy::print_stdout, reason = "a benchmark prints")]

mod inference;
#[path = "../null_profile.rs"]
mod null_profile;
mod pause;
mod plumbing;
mod processes;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use facefleet::app::App;
use facefleet::domain::{
    Campaign, CampaignId, CampaignProgress, CampaignState, GalleryName, ImageUri, Job, JobId,
    JobSelection, Lane, ListedChunk, Profile,
};
use facefleet::queue::JobQueue;
use facefleet::settings::Settings;
use facefleet::store::Store;

/// Goals for the rates and ratios.
const PLUMBING_GOAL: f64 = 5_000.0;
const PUBLISH_GOAL: f64 = 20_000.0;
const INFERENCE_GOAL: f64 = 0.9;
const LATENCY_GOAL: f64 = 3.0;
/// Seconds, at most, until a pause, a resumption or a cancellation takes effect.
const PAUSE_GOAL: f64 = 5.0;

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments: Vec<String> =
        std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let folder = arguments
        .iter()
        .position(|argument| argument == "--folder")
        .map(|index| arguments.drain(index..index + 2).next_back());
    let folder =
        folder.flatten().map_or_else(|| PathBuf::from(".facefleet/samples"), PathBuf::from);
    let wanted =
        |part: &str| arguments.is_empty() || arguments.iter().any(|argument| argument == part);
    let bench = Bench::open(&folder).await?;
    let mut missed = Vec::new();
    if wanted("plumbing") || wanted("celery") {
        let ours = bench.plumbing().await?;
        goal(&mut missed, "plumbing", ours, PLUMBING_GOAL);
        if wanted("celery") {
            let celery = bench.celery()?;
            println!(
                "celery, no-op tasks, nothing recorded: {celery:.0} tasks/s; facefleet to celery: \
                    {:.2}",
                ours / celery
            );
        }
    }
    if wanted("pause") {
        let slowest = bench.pause().await?;
        if slowest > PAUSE_GOAL {
            missed.push(format!(
                "pause, resume, cancel: {slowest:.2} s, at most {PAUSE_GOAL} wanted"
            ));
        }
    }
    if wanted("inference") || wanted("latency") {
        let photos = bench.photos()?;
        if wanted("inference") {
            goal(&mut missed, "inference", bench.inference(photos.path())?, INFERENCE_GOAL);
        }
        if wanted("latency") {
            let ratio = bench.latency(photos.path()).await?;
            if ratio > LATENCY_GOAL {
                missed.push(format!("latency: {ratio:.2}, at most {LATENCY_GOAL} wanted"));
            }
        }
    }
    // Last, because it leaves jobs in the queues that the workers of other parts would process.
    if wanted("publish") {
        goal(&mut missed, "publish", bench.publish().await?, PUBLISH_GOAL);
    }
    bench.queue.close().await;
    bench.store.close().await;
    ensure!(missed.is_empty(), "missed goals:\n{}", missed.join("\n"));
    Ok(())
}

fn goal(missed: &mut Vec<String>, what: &str, got: f64, wanted: f64) {
    if got < wanted {
        missed.push(format!("{what}: {got:.2}, at least {wanted} wanted"));
    }
}

struct Bench {
    store: Arc<dyn Store>,
    queue: Arc<dyn JobQueue>,
    folder: PathBuf,
    profile: Profile,
    prefix: String,
}

impl Bench {
    async fn open(folder: &Path) -> Result<Self> {
        let mut settings = Settings::load(None)?;
        // Its own queues, so that jobs left by another run do not count.
        settings.queue.prefix = format!("bench-{}", std::process::id());
        let prefix = settings.queue.prefix.clone();
        let app = App::new(settings);
        ensure!(
            !app.is_embedded(),
            "no stack: run `make bench-fleet`, or set FACEFLEET__QUEUE__URL and \
                FACEFLEET__STORE__URL"
        );
        let profile = app.profile(false)?;
        Ok(Self {
            store: app.store().await?,
            queue: app.queue().await?,
            folder: folder.canonicalize()?,
            profile,
            prefix,
        })
    }

    async fn campaign(&self, profile: Profile) -> Result<Campaign> {
        self.store.register_profile(&profile).await?;
        let campaign = Campaign {
            id: CampaignId::new(),
            lane: Lane::Scan,
            gallery: self.prefix.parse()?,
            profile: profile.id(),
            selection: None,
            source: "benchmark".into(),
            state: CampaignState::Running,
            progress: CampaignProgress::default(),
            started_at: String::new(),
        };
        self.store.begin_campaign(&campaign, None).await?;
        Ok(campaign)
    }

    async fn note(&self, campaign: &Campaign, listed: usize) -> Result<()> {
        let chunk = ListedChunk { listed: listed as u64, ..ListedChunk::default() };
        self.store.note_listed(campaign.id.into(), &chunk).await?;
        self.store.end_listing(campaign.id.into()).await?;
        Ok(())
    }

    async fn progress(&self, campaign: &Campaign) -> Result<CampaignProgress> {
        Ok(self.store.campaign(campaign.id).await?.context("the campaign is gone")?.progress)
    }
}

fn job(
    gallery: &GalleryName,
    lane: Lane,
    image: &ImageUri,
    campaign: Option<&Campaign>,
    profile: Option<&Profile>,
) -> Job {
    Job {
        id: JobId::new(),
        lane,
        gallery: gallery.clone(),
        image: image.clone(),
        stamp: None,
        expected_hash: None,
        subject: None,
        selection: JobSelection::default(),
        profile: profile.map(Profile::id),
        campaign: campaign.map(|campaign| campaign.id),
        trace: None,
        attempt: 1,
    }
}
