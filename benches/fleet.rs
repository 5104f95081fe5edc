//! The fleet on this machine, servers and all: plumbing without inference, publishing, enrolment
//! latency beside a full scan lane, and throughput with real inference beside the embedded scan's.
//!
//! `make bench-fleet`, or, with a stack up and its addresses in the environment, `cargo bench
//! --bench fleet [-- PART…] [--folder DIR]`, with PART of publish, plumbing, celery, pause,
//! inference, latency. Everything that is compared runs in turn in one run; prints medians and
//! ratios, and ends with an error below a goal.
#![allow(clippy::print_stdout, reason = "a benchmark prints")]

mod null_profile;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use facefleet::app::App;
use facefleet::domain::{
    Campaign, CampaignId, CampaignProgress, CampaignState, GalleryName, ImageUri, Job, JobId,
    JobSelection, Lane, ListedChunk, Profile,
};
use facefleet::queue::JobQueue;
use facefleet::settings::Settings;
use facefleet::store::Store;
use futures::StreamExt;
use tempfile::TempDir;

use self::null_profile::null_profile;

/// Jobs without inference.
const PLUMBING: usize = 20_000;
/// Jobs that are only published.
const PUBLISHED: usize = 100_000;
/// Published jobs of a campaign that is paused, resumed and cancelled.
const PAUSED: u64 = 200_000;
/// Photos of a run with inference.
const PHOTOS: usize = 400;
/// Enrolments that are timed, idle and loaded.
const ENROLMENTS: usize = 150;

/// Goals, as the ratios and rates printed.
const PLUMBING_GOAL: f64 = 5_000.0;
const PUBLISH_GOAL: f64 = 20_000.0;
const INFERENCE_GOAL: f64 = 0.9;
const LATENCY_GOAL: f64 = 3.0;
/// Seconds, at most, until a pause, a resumption or a cancellation is in effect.
const PAUSE_GOAL: f64 = 5.0;

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments: Vec<String> =
        std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let folder = arguments
        .iter()
        .position(|argument| argument == "--folder")
        .map(|place| arguments.drain(place..place + 2).next_back());
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
    // Last: nobody works on what it leaves in the queues, and the other parts' workers would.
    if wanted("publish") {
        goal(&mut missed, "publish", bench.publish().await?, PUBLISH_GOAL);
    }
    bench.queue.close().await;
    bench.store.close().await;
    ensure!(missed.is_empty(), "below its goals:\n{}", missed.join("\n"));
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
        // Queues of its own: what a run left behind is not taken for this one's.
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

    /// Jobs a second into quorum queues, every one confirmed.
    async fn publish(&self) -> Result<f64> {
        let image: ImageUri = "file:///nowhere/a.jpg".parse()?;
        let gallery: GalleryName = self.prefix.parse()?;
        let jobs: Vec<Job> =
            (0..PUBLISHED).map(|_| job(&gallery, Lane::Rescore, &image, None, None)).collect();
        let started = Instant::now();
        for chunk in jobs.chunks(10_000) {
            self.queue.publish(chunk.to_vec()).await?;
        }
        let rate = PUBLISHED as f64 / started.elapsed().as_secs_f64();
        println!("publish: {rate:.0} jobs/s, confirmed");
        Ok(rate)
    }

    /// Jobs a second through one worker process: broker, fetch of a small file, Postgres with
    /// templates, event, acknowledgement.
    async fn plumbing(&self) -> Result<f64> {
        let folder = TempDir::new()?;
        let campaign = self.campaign(null_profile()).await?;
        let mut jobs = Vec::with_capacity(PLUMBING);
        for number in 0..PLUMBING {
            let path = folder.path().canonicalize()?.join(format!("{number}.jpg"));
            std::fs::write(&path, number.to_le_bytes())?;
            let image = ImageUri::from_path(&path)?;
            jobs.push(Job {
                id: campaign.id.job(&image),
                ..job(&campaign.gallery, Lane::Scan, &image, Some(&campaign), None)
            });
        }
        self.note(&campaign, PLUMBING).await?;
        self.queue.publish(jobs).await?;
        // Without inference, what a worker has in hand costs nothing, and batches form from it.
        let in_hand = [("FACEFLEET__WORKER__IN_FLIGHT", "1024")];
        let _worker = self.start(
            null_worker()?,
            &[&folder.path().canonicalize()?.to_string_lossy()],
            &in_hand,
            "at work",
        )?;
        // From the first sign of life: starting is not working.
        let mut begun: Option<(Instant, u64)> = None;
        let rate = loop {
            let progress = self.progress(&campaign).await?;
            match begun {
                None if progress.ended() > 0 => begun = Some((Instant::now(), progress.ended())),
                Some((at, first)) if progress.is_complete() => {
                    break (progress.ended() - first) as f64 / at.elapsed().as_secs_f64();
                }
                _ => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        };
        println!("plumbing: {rate:.0} jobs/s through one worker process without a model");
        Ok(rate)
    }

    /// Seconds until the slowest of a pause, a resumption and a cancellation of a large campaign is
    /// in effect.
    async fn pause(&self) -> Result<f64> {
        let folder = TempDir::new()?;
        let path = folder.path().canonicalize()?.join("a.jpg");
        std::fs::write(&path, b"a")?;
        let image = ImageUri::from_path(&path)?;
        let campaign = self.campaign(null_profile()).await?;
        let place = campaign.sub_queue();
        self.note(&campaign, usize::try_from(PAUSED)?).await?;
        for _ in 0..PAUSED / 10_000 {
            let one = || job(&campaign.gallery, Lane::Scan, &image, Some(&campaign), None);
            self.queue.publish_to(&place, (0..10_000).map(|_| one()).collect()).await?;
        }
        let _worker = self.start(
            null_worker()?,
            &[&folder.path().canonicalize()?.to_string_lossy()],
            &[],
            "at work",
        )?;
        let ended = async || Ok::<_, anyhow::Error>(self.progress(&campaign).await?.ended());
        while ended().await? < 100 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let mut slowest: f64 = 0.0;
        for (what, state) in [
            ("pause", CampaignState::Paused),
            ("resume", CampaignState::Running),
            ("cancel", CampaignState::Cancelled),
        ] {
            let (asked, before) = (Instant::now(), ended().await?);
            self.store.set_campaign_state(campaign.id, state).await?;
            if state == CampaignState::Cancelled {
                // As `facefleet campaign cancel` does.
                self.queue.remove(&place).await?;
            }
            let in_effect = if state == CampaignState::Running {
                while ended().await? == before {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                asked.elapsed()
            } else {
                self.until_nothing_ends(&campaign, asked).await?
            };
            let [waiting] = self.queue.waiting(std::slice::from_ref(&place)).await?[..] else {
                bail!("one count a place")
            };
            let (seconds, after) = (in_effect.as_secs_f64(), ended().await?);
            println!(
                "{what} of {PAUSED} jobs: in effect after {seconds:.2} s; {after} have ended, \
                    {waiting} wait at their place"
            );
            slowest = slowest.max(seconds);
        }
        Ok(slowest)
    }

    /// From `asked` on, the time until the last job of the campaign ended: none did for two
    /// seconds.
    async fn until_nothing_ends(&self, campaign: &Campaign, asked: Instant) -> Result<Duration> {
        let (mut last, mut at) = (self.progress(campaign).await?.ended(), asked.elapsed());
        while asked.elapsed() < at + Duration::from_secs(2) {
            tokio::time::sleep(Duration::from_millis(10)).await;
            let now = self.progress(campaign).await?.ended();
            if now != last {
                (last, at) = (now, asked.elapsed());
            }
        }
        Ok(at)
    }

    fn celery(&self) -> Result<f64> {
        let output = Command::new("python3")
            .args(["benches/celery_noop.py", "20000"])
            .stderr(Stdio::inherit())
            .output()?;
        ensure!(
            output.status.success(),
            "benches/celery_noop.py failed: run `make bench-tools` first"
        );
        let text = String::from_utf8(output.stdout)?;
        text.trim().parse().with_context(|| format!("benches/celery_noop.py printed '{text}'"))
    }

    /// Copies of the folder's photos, each with a name of its own.
    fn photos(&self) -> Result<TempDir> {
        let folder = TempDir::new()?;
        let files = std::fs::read_dir(&self.folder)?.collect::<Result<Vec<_>, _>>()?;
        let mut files: Vec<PathBuf> =
            files.into_iter().map(|file| file.path()).filter(|path| is_photo(path)).collect();
        files.sort();
        ensure!(!files.is_empty(), "{} has no photo", self.folder.display());
        for (number, file) in files.iter().cycle().take(PHOTOS).enumerate() {
            let ending = file.extension().unwrap_or_default().to_string_lossy();
            std::fs::copy(file, folder.path().join(format!("{number:05}.{ending}")))?;
        }
        Ok(folder)
    }

    /// Images a second of a fleet of one worker to those of the embedded scan, in turns.
    fn inference(&self, photos: &Path) -> Result<f64> {
        let mut ratios = Vec::new();
        for round in 1..=3 {
            let scratch = TempDir::new()?;
            let store = format!("sqlite:{}", scratch.path().join("faces.db").display());
            let embedded = rate(self.facefleet().args(["scan", "--json"]).arg(photos).envs([
                ("FACEFLEET__QUEUE__URL", "memory:"),
                ("FACEFLEET__STORE__URL", store.as_str()),
            ]))?;
            let worker = self.worker(photos)?;
            let gallery = format!("{}-{round}", self.prefix);
            let fleet = rate(
                self.facefleet()
                    .args(["scan", "--json", "--wait", "--gallery", &gallery])
                    .arg(photos),
            )?;
            drop(worker);
            ratios.push(fleet / embedded);
            println!(
                "inference, round {round}: embedded {embedded:.1} images/s, fleet {fleet:.1} \
                    images/s, ratio {:.2}",
                fleet / embedded
            );
        }
        Ok(median(&mut ratios))
    }

    /// The 99th percentile of an enrolment's time beside a full scan lane, to that of an idle
    /// worker.
    async fn latency(&self, photos: &Path) -> Result<f64> {
        let _worker = self.worker(photos)?;
        let portraits = Portraits::new(self.folder.as_path(), photos)?;
        let idle = self.enrol(&portraits, "idle").await?;
        let mut images: Vec<ImageUri> = Vec::new();
        for file in std::fs::read_dir(photos)? {
            images.push(ImageUri::from_path(&file?.path().canonicalize()?)?);
        }
        // Ten galleries' worth: more than the enrolments take.
        for round in 0..10 {
            let gallery: GalleryName = format!("{}-load-{round}", self.prefix).parse()?;
            let jobs = images
                .iter()
                .map(|image| job(&gallery, Lane::Scan, image, None, Some(&self.profile)));
            self.queue.publish(jobs.collect()).await?;
        }
        self.wait_for_load().await?;
        let loaded = self.enrol(&portraits, "loaded").await?;
        let ready: u64 = self
            .queue
            .status()
            .await?
            .ready
            .iter()
            .filter(|(lane, _)| *lane == Lane::Scan)
            .map(|(_, jobs)| jobs)
            .sum();
        ensure!(
            ready > 0,
            "the scan lane ran dry before the enrolments were through: more photos are needed"
        );
        let ratio = loaded.1 / idle.1;
        println!(
            "enrolment, p50 / p99: idle {:.0} / {:.0} ms, beside a full scan lane {:.0} / {:.0} \
                ms, p99 ratio {ratio:.2}",
            idle.0, idle.1, loaded.0, loaded.1
        );
        Ok(ratio)
    }

    async fn wait_for_load(&self) -> Result<()> {
        let mut news = self.queue.events().await?;
        for _ in 0..50 {
            news.next().await.context("the news ended")?;
        }
        Ok(())
    }

    /// Enrols one portrait after another; 50th and 99th percentile of the time from publishing to
    /// the event, milliseconds.
    async fn enrol(&self, portraits: &Portraits, gallery: &str) -> Result<(f64, f64)> {
        let mut news = self.queue.events().await?;
        let gallery: GalleryName = format!("{}-{gallery}", self.prefix).parse()?;
        let mut times = Vec::with_capacity(ENROLMENTS);
        for image in portraits.images.iter().cycle().take(ENROLMENTS) {
            let job = job(&gallery, Lane::Enrol, image, None, Some(&self.profile));
            let (id, started) = (job.id, Instant::now());
            self.queue.publish(vec![job]).await?;
            while news.next().await.context("the news ended")?.job != id {}
            times.push(started.elapsed().as_secs_f64() * 1000.0);
        }
        times.sort_by(f64::total_cmp);
        Ok((times[times.len() / 2], times[times.len() * 99 / 100]))
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
        self.store.begin_campaign(&campaign).await?;
        Ok(campaign)
    }

    async fn note(&self, campaign: &Campaign, listed: usize) -> Result<()> {
        let chunk = ListedChunk { listed: listed as u64, ..ListedChunk::default() };
        self.store.note_listed(campaign.id, &chunk).await?;
        self.store.end_listing(campaign.id).await?;
        Ok(())
    }

    async fn progress(&self, campaign: &Campaign) -> Result<CampaignProgress> {
        Ok(self.store.campaign(campaign.id).await?.context("the campaign is gone")?.progress)
    }

    fn facefleet(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_facefleet"));
        command.env("FACEFLEET__QUEUE__PREFIX", &self.prefix);
        command
    }

    fn worker(&self, photos: &Path) -> Result<Running> {
        let mut command = self.facefleet();
        command
            .args(["worker", "-v", "--root"])
            .arg(photos)
            .arg("--root")
            .arg(&self.folder)
            .env("FACEFLEET__SERVER__LISTEN", "");
        command.stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let told = child.stderr.take().context("no standard error")?;
        let running = Running(child);
        await_line(told, "taking jobs")?;
        Ok(running)
    }

    fn start(
        &self,
        program: PathBuf,
        arguments: &[&str],
        settings: &[(&str, &str)],
        at_work: &str,
    ) -> Result<Running> {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .envs(settings.iter().copied())
            .env("FACEFLEET__QUEUE__PREFIX", &self.prefix)
            .stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let told = child.stdout.take().context("no standard output")?;
        let running = Running(child);
        await_line(told, at_work)?;
        Ok(running)
    }
}

/// Photos to enrol: those of the folder, or of the copies where it is one itself.
struct Portraits {
    images: Vec<ImageUri>,
}

impl Portraits {
    fn new(folder: &Path, photos: &Path) -> Result<Self> {
        let mut images = Vec::new();
        for file in std::fs::read_dir(folder)?.chain(std::fs::read_dir(photos)?) {
            let path = file?.path().canonicalize()?;
            if is_photo(&path) {
                images.push(ImageUri::from_path(&path)?);
            }
        }
        images.truncate(ENROLMENTS);
        Ok(Self { images })
    }
}

fn is_photo(path: &Path) -> bool {
    path.extension().is_some_and(|ending| {
        ["jpg", "jpeg", "png"].iter().any(|photo| ending.eq_ignore_ascii_case(photo))
    })
}

/// A process that ends with its handle.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Reads until a line holds `wanted`; goes on reading on a thread of its own, so that the writer
/// never waits.
fn await_line(from: impl std::io::Read + Send + 'static, wanted: &str) -> Result<()> {
    let mut lines = BufReader::new(from).lines();
    for line in lines.by_ref() {
        if line?.contains(wanted) {
            std::thread::spawn(move || lines.for_each(drop));
            return Ok(());
        }
    }
    bail!("a process ended before it said '{wanted}'")
}

/// Images a second that a scan's last line tells.
fn rate(scan: &mut Command) -> Result<f64> {
    let output = scan.stderr(Stdio::inherit()).output()?;
    let text = String::from_utf8(output.stdout)?;
    let summary: serde_json::Value = serde_json::from_str(text.lines().last().unwrap_or_default())?;
    let summary = &summary["summary"];
    let listed = summary["listed"].as_f64().context("a scan told no number of images")?;
    ensure!(summary["left"] == 0 && listed > 0.0, "a scan did not end: {summary}");
    Ok(listed / summary["seconds"].as_f64().context("a scan told no time")?)
}

/// The worker without a model: `make bench-fleet` builds it beside this.
fn null_worker() -> Result<PathBuf> {
    let release =
        Path::new(env!("CARGO_BIN_EXE_facefleet")).parent().context("the binary has no folder")?;
    let program = release.join("examples/null_worker");
    ensure!(
        program.exists(),
        "{} is missing: run `cargo build --release --example null_worker`",
        program.display()
    );
    Ok(program)
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
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
