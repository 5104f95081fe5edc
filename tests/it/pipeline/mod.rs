//! The worker with a queue, a store and the real recogniser, and with sources and processors that
//! misbehave.

mod erased;
mod limits;
mod records;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use facefleet::domain::{
    Chip, EnrolRules, Faces, ImageUri, Job, Lane, OutcomeEvent, OutcomeKind, Profile, Selection,
};
use facefleet::images::{FetchError, ImageSource};
use facefleet::inference::batcher::Batcher;
use facefleet::inference::recogniser::{Estimator, RecogniserModel};
use facefleet::queue::JobQueue;
use facefleet::queue::memory::MemoryQueue;
use facefleet::store::sqlite::SqliteStore;
use facefleet::store::{GallerySummary, PageFilter, PageQuery, Reading, SourceStatuses};
use facefleet::vision::PixelLimits;
use facefleet::worker::budget::{Budget, MemoryLimits};
use facefleet::worker::fetcher::Fetcher;
use facefleet::worker::process::Parts;
use facefleet::worker::vision_stage::{ChipExtractor, Vision, VisionStage};
use facefleet::worker::{Process, Processor, Worker, WorkerError, WorkerSettings};
use futures::StreamExt;
use futures::stream::BoxStream;
use image::{ImageFormat, RgbImage};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::support::{app, gallery, job, runtime};

const ATTEMPTS: u32 = 4;
/// Whatever a test waits for happens within this time.
const PATIENCE: Duration = Duration::from_secs(60);

/// Returns the self-test's chip after `failures` transient failures. The image `well` never fails.
struct Flaky {
    failures: u32,
    calls: AtomicU32,
}

impl Flaky {
    fn new(failures: u32) -> Arc<Self> {
        Arc::new(Self { failures, calls: AtomicU32::new(0) })
    }

    fn calls(&self) -> u32 {
        self.calls.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl ImageSource for Flaky {
    async fn fetch(&self, image: &ImageUri) -> Result<Vec<u8>, FetchError> {
        if image.as_str().contains("well") {
            return Ok(chip_file());
        }
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        if call < self.failures {
            Err(FetchError::Outage("the disk is busy".into()))
        } else {
            Ok(chip_file())
        }
    }
}

fn chip_file() -> Vec<u8> {
    let image = RgbImage::from_raw(112, 112, Chip::synthetic().pixels().to_vec()).unwrap();
    let mut bytes = std::io::Cursor::new(Vec::new());
    image.write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// A running worker.
struct Bench {
    queue: Arc<MemoryQueue>,
    store: Arc<SqliteStore>,
    profile: Profile,
    events: BoxStream<'static, OutcomeEvent>,
    stop: CancellationToken,
    worker: JoinHandle<Result<(), WorkerError>>,
    folder: TempDir,
}

/// What is left after the worker has ended.
struct Finished {
    summary: GallerySummary,
    store: Arc<SqliteStore>,
    queue: Arc<MemoryQueue>,
    _folder: TempDir,
}

/// A processor of `images`, which are chips.
fn processor(images: Arc<dyn ImageSource>, image_slots: usize) -> Processor {
    let app = app();
    let name = &app.settings().models.recogniser;
    let model =
        RecogniserModel::load(&app.models(), name, &runtime(), Estimator::ClosedForm).unwrap();
    let (recogniser, ser_fiq, mapping) = model.profile();
    let profile = Profile { recogniser, ser_fiq, mapping, ..crate::support::profile("") };
    let limits = PixelLimits { max_pixels: 1 << 20 };
    let memory = MemoryLimits { memory: 1 << 28, max_bytes: 1 << 24, limits };
    let stage = VisionStage::new(ChipExtractor::Aligned, limits);
    Processor::new(Parts {
        fetcher: Fetcher::new(images, Duration::from_secs(600)),
        vision: Vision::Whole(Batcher::start("vision", vec![stage], 1).unwrap()),
        recogniser: Batcher::start("recognise", vec![model.open(1).unwrap()], 4).unwrap(),
        chips: None,
        profile,
        selection: Selection { faces: Faces::All, min_size_px: 1, min_score: 0.5 },
        provider: "cpu".into(),
        attempts: ATTEMPTS,
        image_slots,
        budget: Arc::new(Budget::new(memory, None)),
    })
}

impl Bench {
    async fn start(images: Arc<dyn ImageSource>, in_flight: usize, image_slots: usize) -> Self {
        Self::with(Arc::new(processor(images, image_slots)), in_flight).await
    }

    async fn with(processor: Arc<dyn Process>, in_flight: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store =
            SqliteStore::open(&format!("sqlite:{}", folder.path().join("faces.db").display()))
                .await
                .unwrap();
        let (queue, store, profile) =
            (Arc::new(MemoryQueue::new(100)), Arc::new(store), processor.profile().clone());
        let settings = WorkerSettings {
            lanes: Lane::ALL.to_vec(),
            in_flight,
            record_batch: 8,
            backoff: Duration::from_millis(1),
            backoff_most: Duration::from_millis(4),
            drain: PATIENCE,
            enrol: EnrolRules::default(),
        };
        let events = queue.events().await.unwrap();
        let stop = CancellationToken::new();
        let worker = Worker {
            queue: queue.clone(),
            store: store.clone(),
            processor,
            settings,
            vitals: Arc::default(),
        };
        let worker = tokio::spawn(worker.run(stop.clone()));
        Self { queue, store, profile, events, stop, worker, folder }
    }

    async fn publish(&self, count: usize) -> Vec<Job> {
        let profile = self.profile.id();
        let make = |number: usize| Job {
            profile: Some(profile.clone()),
            ..job(Lane::Scan, &format!("photo-{number}"))
        };
        let jobs: Vec<Job> = (0..count).map(make).collect();
        self.queue.publish(jobs.clone()).await.unwrap();
        jobs
    }

    /// Lets the worker read the image `well`, so that it knows that the source works.
    async fn read_one_image(&mut self) {
        let well = Job { profile: Some(self.profile.id()), ..job(Lane::Scan, "well") };
        self.queue.publish(vec![well]).await.unwrap();
        self.outcomes(1).await;
    }

    async fn outcomes(&mut self, count: usize) -> Vec<OutcomeEvent> {
        timeout(PATIENCE, self.events.by_ref().take(count).collect())
            .await
            .expect("the outcomes should come")
    }

    /// Stops the worker. Checks that every job was settled and that there are no further outcomes.
    async fn finish(self) -> Finished {
        self.stop.cancel();
        timeout(PATIENCE, self.worker).await.expect("the worker should end").unwrap().unwrap();
        self.queue.close().await;
        let rest: Vec<_> =
            timeout(PATIENCE, self.events.collect()).await.expect("the events should end");
        assert_eq!(rest, []);
        let status = self.queue.status().await.unwrap();
        assert_eq!(
            (
                status.unsettled,
                status.delayed,
                status.ready.iter().map(|(_, count)| count).sum::<u64>()
            ),
            (Some(0), 0, 0)
        );
        let summary = self.store.summary(&gallery(), &self.profile.id()).await.unwrap();
        Finished { summary, store: self.store, queue: self.queue, _folder: self.folder }
    }
}

fn count(summary: &GallerySummary, kind: OutcomeKind) -> u64 {
    summary.outcomes.iter().filter(|(other, _)| *other == kind).map(|(_, count)| count).sum()
}

#[tokio::test]
async fn an_image_that_fails_for_a_while_is_tried_again_and_scored() {
    let source = Flaky::new(ATTEMPTS - 1);
    let mut bench = Bench::start(source.clone(), 4, 4).await;
    bench.read_one_image().await;
    let jobs = bench.publish(1).await;
    let events = bench.outcomes(1).await;
    assert_eq!(
        (events[0].job, events[0].end.outcome, events[0].end.faces),
        (jobs[0].id, OutcomeKind::Scored, 1)
    );
    assert_eq!(source.calls(), ATTEMPTS);

    let profile = bench.profile.id();
    let Finished { summary, store, queue, _folder } = bench.finish().await;
    assert_eq!((summary.faces, count(&summary, OutcomeKind::Scored)), (2, 2));
    assert_eq!(summary.outcomes.iter().map(|(_, count)| count).sum::<u64>(), 2);
    let query = PageQuery {
        gallery: gallery(),
        profile,
        outcomes: Vec::new(),
        filter: PageFilter::default(),
        notes: false,
        after: 0,
        limit: 10,
        templates: true,
    };
    let page = store.page(&query).await.unwrap();
    assert!(page[0].faces[0].template.is_some());
    let scored = page.iter().find(|image| image.image == events[0].image).unwrap();
    assert_eq!(events[0].image_id, Some(scored.id), "an event has the id of the stored image");
    assert_eq!(queue.status().await.unwrap().dead, 0);
}

#[tokio::test]
async fn an_image_that_always_fails_ends_failed_once_and_is_a_dead_letter() {
    let source = Flaky::new(u32::MAX);
    let mut bench = Bench::start(source.clone(), 4, 4).await;
    bench.read_one_image().await;
    let jobs = bench.publish(1).await;
    let events = bench.outcomes(1).await;
    assert_eq!((events[0].job, events[0].end.outcome), (jobs[0].id, OutcomeKind::Failed));
    let reason = events[0].end.reason.clone().unwrap();
    assert_eq!(reason, format!("the disk is busy (attempt {ATTEMPTS} of {ATTEMPTS})"));
    assert_eq!(source.calls(), ATTEMPTS);

    let Finished { summary, queue, .. } = bench.finish().await;
    assert_eq!(count(&summary, OutcomeKind::Failed), 1);
    assert_eq!(summary.outcomes.iter().map(|(_, count)| count).sum::<u64>(), 2);
    assert_eq!(summary.reasons, [(OutcomeKind::Failed, reason.clone(), 1)]);
    let dead = queue.dead_letters(10).await.unwrap();
    assert_eq!(dead.len(), 1);
    assert_eq!(
        (dead[0].job.as_ref().map(|job| job.id), dead[0].deliveries, &dead[0].reason),
        (Some(jobs[0].id), ATTEMPTS, &reason)
    );
}

#[tokio::test]
async fn a_source_that_does_not_answer_at_first_costs_no_image_an_attempt() {
    let source = Flaky::new(3);
    let mut bench = Bench::start(source.clone(), 8, 8).await;
    let jobs = bench.publish(40).await;
    let mut ended: Vec<_> =
        bench.outcomes(40).await.into_iter().map(|event| (event.job, event.end.outcome)).collect();
    ended.sort_by_key(|(job, _)| *job);
    assert_eq!(ended, jobs.iter().map(|job| (job.id, OutcomeKind::Scored)).collect::<Vec<_>>());
    let profile = bench.profile.id();
    let Finished { summary, store, queue, _folder } = bench.finish().await;
    assert_eq!((summary.faces, count(&summary, OutcomeKind::Scored)), (40, 40));
    assert_eq!(queue.dead_letters(10).await.unwrap(), []);
    assert_eq!(
        store.source_statuses().await.unwrap().len(),
        1,
        "the outage should be in the store"
    );
    let query = PageQuery {
        gallery: gallery(),
        profile,
        outcomes: Vec::new(),
        filter: PageFilter::default(),
        notes: false,
        after: 0,
        limit: 50,
        templates: false,
    };
    assert_eq!(store.page(&query).await.unwrap().len(), 40);
}
