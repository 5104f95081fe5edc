//! Processes one job: it becomes a record, or it must wait or be tried again.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::sync::Semaphore;

use super::analysis::{Analyser, Analysis, milliseconds};
use super::budget::Budget;
use super::circuit_breaker::CircuitBreakers;
use super::erased::ErasedContents;
use super::fetcher::{FetchFailure, Fetched, Fetcher};
use super::vision_stage::Vision;
use crate::domain::{
    ContentHash, ImageContent, ImageUri, Job, JobRecord, Lane, Outcome, Profile, ProfileId,
    Selection, Timings, WaitReason,
};
use crate::images::{ChipCache, ImageSource};
use crate::inference::batcher::{BatchError, Batcher, Priority};
use crate::inference::recogniser::Recogniser;
use crate::store::Store;

/// The result of processing a job.
#[derive(Debug)]
pub enum Processed {
    /// The job ended.
    Ended(Box<JobRecord>),
    /// The job has to wait.
    Waits(WaitReason),
    /// The job's campaign was cancelled.
    Dropped,
}

/// Why a changed image of a re-score is tried again.
const CHANGED_UNASKED: &str = "the image changed since it was recorded, and the chip cache \
    (chips.url), which may have what was found in it, cannot be read";
/// Rate limit of the wrong-profile warning.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// Turns jobs into records.
#[async_trait]
pub trait Process: Send + Sync {
    /// All that the scores depend on.
    fn profile(&self) -> &Profile;

    /// The circuit breakers of its sources; `None` if it fetches no images.
    fn breakers(&self) -> Option<&Arc<CircuitBreakers>> {
        None
    }

    /// What keeps the chips of images; `None` if nothing does.
    fn chips(&self) -> Option<&Arc<ChipCache>> {
        None
    }

    /// Processes a job. If the last attempt fails, the job ends as failed.
    async fn process(&self, job: &Job) -> Processed;

    /// Waits until the networks work no longer, and says why. Ends only then.
    async fn lost(&self) -> String {
        std::future::pending().await
    }

    /// Waits until all that goes on after jobs ended is done.
    async fn finish(&self) {}
}

/// Processes jobs with the models of a profile. All jobs in flight share it.
pub struct Processor {
    fetcher: Fetcher,
    analyser: Analyser,
    chips: Option<Arc<ChipCache>>,
    profile: Profile,
    profile_id: ProfileId,
    selection: Selection,
    provider: String,
    attempts: u32,
    /// Slots for images whose bytes are in memory, without enrolments.
    slots: Semaphore,
    /// The same for enrolments.
    urgent_slots: Semaphore,
    /// What was erased; `None` if results are not stored.
    erased: Option<ErasedContents>,
    /// When the wrong-profile warning was last logged.
    last_warned: Mutex<Option<Instant>>,
}

/// The parts of a [`Processor`].
pub struct Parts {
    /// Fetches the bytes.
    pub fetcher: Fetcher,
    /// Decodes, detects and aligns.
    pub vision: Vision,
    /// Recognises.
    pub recogniser: Batcher<Recogniser>,
    /// Keeps what is found in the images of jobs.
    pub chips: Option<Arc<ChipCache>>,
    /// The profile of both stages.
    pub profile: Profile,
    /// Selection for jobs without one.
    pub selection: Selection,
    /// The execution provider that runs the recogniser.
    pub provider: String,
    /// Deliveries of a job before it is given up.
    pub attempts: u32,
    /// Images whose bytes may be in memory at once; as many of enrolments in addition.
    pub image_slots: usize,
    /// Memory for images.
    pub budget: Arc<Budget>,
}

impl Processor {
    /// A processor of `parts`.
    pub fn new(parts: Parts) -> Self {
        let slots = || Semaphore::new(parts.image_slots.max(1));
        Self {
            slots: slots(),
            urgent_slots: slots(),
            fetcher: parts.fetcher,
            chips: parts.chips,
            analyser: Analyser::new(
                parts.vision,
                parts.recogniser,
                parts.profile.mapping.clone(),
                parts.budget,
            ),
            profile_id: parts.profile.id(),
            profile: parts.profile,
            selection: parts.selection,
            provider: parts.provider,
            attempts: parts.attempts,
            erased: None,
            last_warned: Mutex::default(),
        }
    }

    /// With the store of its results: images that were erased there are not decoded.
    #[must_use]
    pub fn for_store(self, store: Arc<dyn Store>) -> Self {
        Self { erased: Some(ErasedContents::new(store)), ..self }
    }

    /// The execution provider that runs the recogniser.
    pub fn provider(&self) -> &str {
        &self.provider
    }

    /// The id of its profile.
    pub fn profile_id(&self) -> &ProfileId {
        &self.profile_id
    }

    /// Which faces of a job's image become results. The worker's settings complete what the job
    /// leaves out.
    pub fn selection(&self, job: &Job) -> Selection {
        job.selection.complete(&self.selection)
    }

    /// Analyses bytes without a job. Nothing is stored.
    ///
    /// # Errors
    /// If a stage fails. A bad image is an outcome.
    pub async fn analyse(&self, bytes: Vec<u8>) -> Result<Analysis, BatchError> {
        self.analyser.analyse(bytes, (), self.selection, Priority::Bulk, None).await
    }

    /// Fetches an image of `source` and analyses it without a job. Nothing is stored.
    ///
    /// # Errors
    /// If a stage fails. An image that cannot be fetched is an outcome.
    pub async fn fetch_and_analyse(
        &self,
        source: &dyn ImageSource,
        image: &ImageUri,
    ) -> Result<Analysis, BatchError> {
        let room = self.analyser.budget().file(Priority::Bulk);
        let started = Instant::now();
        let bytes = match source.fetch_into(image, &room).await {
            Ok(bytes) => bytes,
            Err(error) => return Ok(Analysis::ended(error.outcome())),
        };
        let fetch_ms = milliseconds(started);
        let selection = self.selection;
        let analysis = self.analyser.analyse(bytes, room, selection, Priority::Bulk, None).await?;
        let timings = Timings { fetch_ms, ..analysis.timings };
        Ok(Analysis { timings, ..analysis })
    }

    /// Sets a job of another profile aside, and ends a job that was delivered too often.
    fn process_without_image(&self, job: &Job) -> Option<Processed> {
        if let Some(wanted) = job.profile.as_ref().filter(|wanted| **wanted != self.profile_id) {
            self.warn_of_profile(wanted);
            return Some(Processed::Waits(WaitReason::OtherProfile(wanted.clone())));
        }
        // Each delivery ended without being settled: the job may crash its workers.
        (job.attempt > self.attempts).then(|| {
            let deliveries = job.attempt - 1;
            let reason = format!("given up after {deliveries} deliveries that never ended");
            self.ended(job, Outcome::Failed(reason))
        })
    }

    /// Fetches the job's image and analyses it.
    async fn process_image(&self, job: &Job) -> Processed {
        // An enrolment is waited for: it does not queue behind the images of scans.
        let (priority, slots) = match job.lane {
            Lane::Enrol => (Priority::Urgent, &self.urgent_slots),
            Lane::Scan | Lane::Rescore => (Priority::Bulk, &self.slots),
        };
        let started = Instant::now();
        let fetched =
            self.fetcher.fetch(job, slots, || self.analyser.budget().file(priority)).await;
        let Fetched { bytes, slot, room } = match fetched {
            Ok(fetched) => fetched,
            Err(failure) => return self.not_fetched(job, failure),
        };
        let fetch_ms = milliseconds(started);
        if let Some(ended) = self.ended_as_erased(job, &bytes).await {
            return ended;
        }
        if job.expected_hash.is_some_and(|expected| ContentHash::of(&bytes) != expected) {
            // The cache may have what was found in those bytes: later it may tell.
            if job.lane == Lane::Rescore && self.chips.as_ref().is_some_and(|chips| chips.is_down())
            {
                return self.retry(job, WaitReason::ImageUnavailable, CHANGED_UNASKED.into());
            }
            let reason = match job.lane {
                Lane::Rescore => "the image changed since it was recorded: scan it",
                Lane::Enrol | Lane::Scan => {
                    "the image changed: its content hash is not the one that the job expects"
                }
            };
            return self.ended(job, Outcome::Refused(reason.into()));
        }
        let (selection, chips) = (self.selection(job), self.chips.as_ref());
        let analysis = self.analyser.analyse(bytes, (slot, room), selection, priority, chips).await;
        self.analysed(job, analysis, fetch_ms)
    }

    /// Ends a job whose bytes were erased, or removed by retention, without a look at them. Its
    /// outcome is written only if they are allowed again before it is recorded.
    async fn ended_as_erased(&self, job: &Job, bytes: &[u8]) -> Option<Processed> {
        let hash = self.erased.as_ref()?.find(job, bytes).await?;
        let reason = "it was erased or removed when it was read, and not when it was recorded";
        let outcome = Outcome::Failed(reason.into());
        let length = bytes.len() as u64;
        let content = Some(ImageContent { hash, bytes: length, size: None, picture: None });
        let record = JobRecord { content, ..self.record(job, outcome) };
        Some(Processed::Ended(Box::new(record)))
    }

    /// Scores an image of a re-score by what the chip cache has of it. None if it has nothing.
    async fn process_chips(&self, job: &Job) -> Option<Processed> {
        let chips = self.chips.as_ref().filter(|_| job.lane == Lane::Rescore)?;
        let (hash, started) = (job.expected_hash?, Instant::now());
        // The chips of an image take no more memory than its bytes may.
        let slot = self.slots.acquire().await.ok()?;
        let found = chips.read(&self.selection(job), hash).await?;
        drop(slot);
        let fetch_ms = milliseconds(started);
        let analysis = self.analyser.analyse_chips(found, Priority::Bulk).await;
        let mut processed = self.analysed(job, analysis, fetch_ms);
        if let Processed::Ended(record) = &mut processed {
            record.from_chips = true;
        }
        Some(processed)
    }

    /// What becomes of a job whose image was analysed.
    fn analysed(
        &self,
        job: &Job,
        analysis: Result<Analysis, BatchError>,
        fetch_ms: f32,
    ) -> Processed {
        match analysis {
            Err(BatchError::Lost(reason)) => {
                Processed::Waits(WaitReason::DeviceLost(reason.to_string()))
            }
            Err(BatchError::Failed(reason)) => {
                self.retry(job, WaitReason::AttemptFailed, reason.to_string())
            }
            Ok(Analysis { content, outcome, timings, .. }) => {
                Processed::Ended(Box::new(JobRecord {
                    content,
                    timings: Timings { fetch_ms, ..timings },
                    ..self.record(job, outcome)
                }))
            }
        }
    }

    fn not_fetched(&self, job: &Job, failure: FetchFailure) -> Processed {
        match failure {
            FetchFailure::Ended(outcome) => self.ended(job, outcome),
            FetchFailure::Unanswered(reason) => {
                self.retry(job, WaitReason::ImageUnavailable, reason)
            }
            FetchFailure::Outage(source, reason) => {
                Processed::Waits(WaitReason::SourceOutage { source, reason })
            }
            FetchFailure::Shortage => Processed::Waits(WaitReason::Shortage),
        }
    }

    /// Asks for another attempt; after the last one, ends the job as failed.
    fn retry(&self, job: &Job, wait: fn(String) -> WaitReason, reason: String) -> Processed {
        if job.attempt < self.attempts {
            return Processed::Waits(wait(reason));
        }
        let reason = format!("{reason} (attempt {} of {})", job.attempt, self.attempts);
        self.ended(job, Outcome::Failed(reason))
    }

    fn ended(&self, job: &Job, outcome: Outcome) -> Processed {
        Processed::Ended(Box::new(self.record(job, outcome)))
    }

    fn record(&self, job: &Job, outcome: Outcome) -> JobRecord {
        let selection = self.selection(job);
        JobRecord::without_content(job, &self.profile_id, selection, &self.provider, outcome)
    }

    fn warn_of_profile(&self, wanted: &ProfileId) {
        let mut last = self.last_warned.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_none_or(|last| last.elapsed() >= LOG_INTERVAL) {
            *last = Some(Instant::now());
            tracing::warn!(%wanted, own = %self.profile_id, "jobs require another profile than \
                this worker's; they wait in a sub-queue for workers with that profile");
        }
    }
}

#[async_trait]
impl Process for Processor {
    fn profile(&self) -> &Profile {
        &self.profile
    }

    fn breakers(&self) -> Option<&Arc<CircuitBreakers>> {
        Some(self.fetcher.breakers())
    }

    fn chips(&self) -> Option<&Arc<ChipCache>> {
        self.chips.as_ref()
    }

    async fn process(&self, job: &Job) -> Processed {
        if let Some(processed) = self.process_without_image(job) {
            return processed;
        }
        match self.process_chips(job).await {
            Some(processed) => processed,
            None => self.process_image(job).await,
        }
    }

    async fn lost(&self) -> String {
        let reason = self.analyser.lost().await;
        format!("{} works no longer: {reason}", self.provider)
    }

    async fn finish(&self) {
        if let Some(chips) = &self.chips {
            chips.finish().await;
        }
    }
}
