//! The worker over a queue, a store and the real recogniser, with a source of images that
//! misbehaves.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use facefleet::domain::{
    Chip, Faces, ImageUri, Job, JobId, JobRecord, Lane, Outcome, OutcomeEvent, OutcomeKind,
    Profile, Selection,
};
use facefleet::images::{FetchError, ImageSource};
use facefleet::inference::batcher::Batcher;
use facefleet::inference::recogniser::{Estimator, RecogniserModel};
use facefleet::queue::JobQueue;
use facefleet::queue::memory::MemoryQueue;
use facefleet::store::sqlite::SqliteStore;
use facefleet::store::{GallerySummary, PageQuery, Reading, SourceStatuses};
use facefleet::vision::PixelLimits;
use facefleet::worker::budget::{Bounds, Budget};
use facefleet::worker::fetching::Fetcher;
use facefleet::worker::process::Parts;
use facefleet::worker::vision_stage::{Finder, Vision, VisionStage};
use facefleet::worker::{Process, Processed, Processor, Worker, WorkerError, WorkerSettings};
use futures::StreamExt;
use futures::stream::BoxStream;
use image::{ImageFormat, RgbImage};
use tempfile::TempDir;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::support::{app, gallery, job, runtime};

const ATTEMPTS: u32 = 4;
/// Nothing that is going to happen takes longer.
const PATIENCE: Duration = Duration::from_secs(60);

/// Gives the self-test's chip, after `failures` passing failures. The image `well` it gives always.
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
            Err(FetchError::Outage("the disk hiccuped".into()))
        } else {
            Ok(chip_file())
        }
    }
}

/// Holds every fetch at a gate and tells how many are there.
struct Gated {
    gate: Semaphore,
    inside: watch::Sender<usize>,
    most: AtomicU32,
}

impl Gated {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            gate: Semaphore::new(0),
            inside: watch::Sender::new(0),
            most: AtomicU32::new(0),
        })
    }

    async fn wait_for(&self, count: usize) {
        let mut inside = self.inside.subscribe();
        timeout(PATIENCE, inside.wait_for(|&now| now == count))
            .await
            .expect("the fetches should come")
            .unwrap();
    }

    fn most(&self) -> usize {
        self.most.load(Ordering::SeqCst) as usize
    }
}

#[async_trait]
impl ImageSource for Gated {
    async fn fetch(&self, _image: &ImageUri) -> Result<Vec<u8>, FetchError> {
        self.inside.send_modify(|count| {
            *count += 1;
            self.most.fetch_max(*count as u32, Ordering::SeqCst);
        });
        self.gate.acquire().await.unwrap().forget();
        self.inside.send_modify(|count| *count -= 1);
        Ok(chip_file())
    }
}

fn chip_file() -> Vec<u8> {
    let image = RgbImage::from_raw(112, 112, Chip::synthetic().pixels().to_vec()).unwrap();
    let mut bytes = std::io::Cursor::new(Vec::new());
    image.write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// A worker at work.
struct Bench {
    queue: Arc<MemoryQueue>,
    store: Arc<SqliteStore>,
    profile: Profile,
    news: BoxStream<'static, OutcomeEvent>,
    stop: CancellationToken,
    worker: JoinHandle<Result<(), WorkerError>>,
    folder: TempDir,
}

/// What is there once the worker has ended.
struct Finished {
    summary: GallerySummary,
    store: Arc<SqliteStore>,
    queue: Arc<MemoryQueue>,
    _folder: TempDir,
}

impl Bench {
    async fn start(images: Arc<dyn ImageSource>, in_flight: usize, held_images: usize) -> Self {
        let app = app();
        let name = &app.settings().models.recogniser;
        let model =
            RecogniserModel::load(&app.models(), name, &runtime(), Estimator::ClosedForm).unwrap();
        let (recogniser, ser_fiq, mapping) = model.profile();
        let profile = Profile { recogniser, ser_fiq, mapping, ..crate::support::profile("") };
        let limits = PixelLimits { max_pixels: 1 << 20 };
        let bounds = Bounds { memory: 1 << 28, max_bytes: 1 << 24, limits };
        let stage = VisionStage::new(Finder::Aligned, limits);
        let processor = Processor::new(Parts {
            fetcher: Fetcher::new(images, Duration::from_secs(600)),
            vision: Vision::Whole(Batcher::start("vision", vec![stage], 1).unwrap()),
            recogniser: Batcher::start("recognise", vec![model.open(1).unwrap()], 4).unwrap(),
            profile,
            selection: Selection { faces: Faces::All, min_size_px: 1, min_score: 0.5 },
            provider: "cpu".into(),
            attempts: ATTEMPTS,
            held_images,
            budget: Arc::new(Budget::new(bounds, None)),
        });
        Self::with(Arc::new(processor), in_flight).await
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
        };
        let news = queue.events().await.unwrap();
        let stop = CancellationToken::new();
        let worker = Worker {
            queue: queue.clone(),
            store: store.clone(),
            processor,
            settings,
            vitals: Arc::default(),
        };
        let worker = tokio::spawn(worker.run(stop.clone()));
        Self { queue, store, profile, news, stop, worker, folder }
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

    /// Lets an image be read that always can be, so that its source is known to work.
    async fn see_it_work(&mut self) {
        let well = Job { profile: Some(self.profile.id()), ..job(Lane::Scan, "well") };
        self.queue.publish(vec![well]).await.unwrap();
        self.outcomes(1).await;
    }

    async fn outcomes(&mut self, count: usize) -> Vec<OutcomeEvent> {
        timeout(PATIENCE, self.news.by_ref().take(count).collect())
            .await
            .expect("the outcomes should come")
    }

    /// Stops the worker, checks that every job was settled and that no more than the outcomes that
    /// were read came.
    async fn finish(self) -> Finished {
        self.stop.cancel();
        timeout(PATIENCE, self.worker).await.expect("the worker should end").unwrap().unwrap();
        self.queue.close().await;
        let rest: Vec<_> =
            timeout(PATIENCE, self.news.collect()).await.expect("the news should end");
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
    bench.see_it_work().await;
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
    bench.see_it_work().await;
    let jobs = bench.publish(1).await;
    let events = bench.outcomes(1).await;
    assert_eq!((events[0].job, events[0].end.outcome), (jobs[0].id, OutcomeKind::Failed));
    let reason = events[0].end.reason.clone().unwrap();
    assert_eq!(reason, format!("the disk hiccuped (attempt {ATTEMPTS} of {ATTEMPTS})"));
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

/// Makes of every job the record of an image without a face; of one, a record that no store can
/// keep.
struct Strange(Profile);

#[async_trait]
impl Process for Strange {
    fn profile(&self) -> &Profile {
        &self.0
    }

    async fn process(&self, job: &Job) -> Processed {
        let strange = job.image.as_str().contains("photo-3");
        let profile =
            if strange { crate::support::profile("never registered").id() } else { self.0.id() };
        let selection = Selection { faces: Faces::All, min_size_px: 1, min_score: 0.5 };
        Processed::Ended(Box::new(JobRecord::without_content(
            job,
            &profile,
            selection,
            "cpu",
            Outcome::NoFace,
        )))
    }
}

#[tokio::test]
async fn a_record_that_the_store_refuses_is_buried_and_its_batch_is_kept() {
    let mut bench = Bench::with(Arc::new(Strange(crate::support::profile("strange"))), 8).await;
    let jobs = bench.publish(8).await;
    assert_eq!(bench.outcomes(7).await.len(), 7);
    let Finished { summary, queue, .. } = bench.finish().await;
    assert_eq!(count(&summary, OutcomeKind::NoFace), 7);
    let dead = queue.dead_letters(10).await.unwrap();
    assert_eq!(
        dead.iter().map(|letter| letter.job.as_ref().map(|job| job.id)).collect::<Vec<_>>(),
        [Some(jobs[3].id)]
    );
    assert!(dead[0].reason.starts_with("its outcome cannot be stored: "), "{}", dead[0].reason);
}

/// Looks into each image, and fails when it sees a job again: its image is gone.
struct Fading(Profile, Mutex<HashSet<JobId>>);

#[async_trait]
impl Process for Fading {
    fn profile(&self) -> &Profile {
        &self.0
    }

    async fn process(&self, job: &Job) -> Processed {
        let is_first = self.1.lock().unwrap().insert(job.id);
        let outcome = if is_first { Outcome::NoFace } else { Outcome::Failed("gone".into()) };
        let selection = Selection { faces: Faces::All, min_size_px: 1, min_score: 0.5 };
        Processed::Ended(Box::new(JobRecord::without_content(
            job,
            &self.0.id(),
            selection,
            "cpu",
            outcome,
        )))
    }
}

#[tokio::test]
async fn a_job_that_comes_again_is_announced_as_it_first_ended_and_not_buried() {
    let mut bench =
        Bench::with(Arc::new(Fading(crate::support::profile("fading"), Mutex::default())), 8).await;
    let jobs = bench.publish(3).await;
    let first = bench.outcomes(3).await;
    bench.queue.publish(jobs).await.unwrap();
    for event in first.into_iter().chain(bench.outcomes(3).await) {
        assert_eq!((event.end.outcome, event.end.reason), (OutcomeKind::NoFace, None));
    }
    let Finished { summary, queue, .. } = bench.finish().await;
    assert_eq!(count(&summary, OutcomeKind::NoFace), 3);
    assert_eq!(queue.dead_letters(10).await.unwrap(), []);
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
    assert_eq!(store.source_statuses().await.unwrap().len(), 1, "it was told");
    let query = PageQuery {
        gallery: gallery(),
        profile,
        outcomes: Vec::new(),
        after: 0,
        limit: 50,
        templates: false,
    };
    assert_eq!(store.page(&query).await.unwrap().len(), 40);
}

/// All that can happen without the gate has happened.
async fn settle_down() {
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn no_more_jobs_are_in_hand_than_allowed() {
    const IN_FLIGHT: usize = 7;
    let source = Gated::new();
    let mut bench = Bench::start(source.clone(), IN_FLIGHT, 1000).await;
    bench.publish(30).await;
    source.wait_for(IN_FLIGHT).await;
    settle_down().await;
    let status = bench.queue.status().await.unwrap();
    assert_eq!(status.unsettled, Some(IN_FLIGHT as u64));
    assert_eq!(status.ready.iter().map(|(_, count)| count).sum::<u64>(), 30 - IN_FLIGHT as u64);
    assert_eq!(source.most(), IN_FLIGHT);
    // One goes through, one comes after it.
    source.gate.add_permits(1);
    bench.outcomes(1).await;
    source.wait_for(IN_FLIGHT).await;
    source.gate.add_permits(29);
    bench.outcomes(29).await;
    assert_eq!(source.most(), IN_FLIGHT);
    let Finished { summary, .. } = bench.finish().await;
    assert_eq!(count(&summary, OutcomeKind::Scored), 30);
}

#[tokio::test]
async fn no_more_images_are_in_memory_than_allowed() {
    const HELD: usize = 3;
    let source = Gated::new();
    let mut bench = Bench::start(source.clone(), 20, HELD).await;
    bench.publish(25).await;
    source.wait_for(HELD).await;
    settle_down().await;
    assert_eq!(source.most(), HELD);
    source.gate.add_permits(25);
    bench.outcomes(25).await;
    assert_eq!(source.most(), HELD);
    bench.finish().await;
}

#[tokio::test]
async fn a_worker_that_is_told_to_stop_finishes_what_it_has_in_hand() {
    const IN_FLIGHT: usize = 5;
    let source = Gated::new();
    let bench = Bench::start(source.clone(), IN_FLIGHT, 1000).await;
    bench.publish(12).await;
    source.wait_for(IN_FLIGHT).await;
    bench.stop.cancel();
    settle_down().await;
    source.gate.add_permits(12);
    timeout(PATIENCE, bench.worker).await.expect("the worker should end").unwrap().unwrap();
    let status = bench.queue.status().await.unwrap();
    assert_eq!(
        (status.unsettled, status.ready.iter().map(|(_, count)| count).sum::<u64>()),
        (Some(0), 12 - IN_FLIGHT as u64)
    );
    let summary = bench.store.summary(&gallery(), &bench.profile.id()).await.unwrap();
    assert_eq!(count(&summary, OutcomeKind::Scored), IN_FLIGHT as u64);
}
