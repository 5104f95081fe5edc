//! One job becomes one record, or a reason to try again.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::sync::Semaphore;

use super::breaker::Breakers;
use super::budget::Budget;
use super::fetching::{Fetched, Fetcher, Unfetched};
use super::vision_stage::{Look, Seen, SeenPicture, Vision};
use crate::domain::{
    Chip, ContentHash, FaceResult, ImageContent, ImageUri, Job, JobRecord, Lane, Outcome, Profile,
    ProfileId, Selection, SubQueue, SubQueueOf, Timings,
};
use crate::images::ImageSource;
use crate::inference::batcher::{BatchError, Batcher, Priority};
use crate::inference::recogniser::Recogniser;
use crate::vision::DecodeError;

/// What came of processing a job.
#[derive(Debug)]
pub enum Processed {
    /// It ended.
    Ended(Box<JobRecord>),
    /// Something passing went wrong.
    Transient(String),
    /// Its source works, and did not give this image: the next attempt comes after a long wait.
    Unanswered(String),
    /// It cannot be done here now, through no fault of its own: put it back for this time.
    Deferred(Duration),
    /// It is not this worker's to do, or not now: let it wait there, and why.
    SetAside {
        /// Where.
        sub_queue: SubQueue,
        /// Why.
        reason: String,
    },
    /// Nobody wants it any more: its campaign was cancelled.
    Dropped,
}

/// How long a job is put back for that this machine was too short of something to fetch.
const SHORTAGE: Duration = Duration::from_secs(30);

/// How often that is told: there may be millions of them.
const TELL_AGAIN: Duration = Duration::from_secs(60);

/// What an image's bytes gave.
#[derive(Debug)]
pub struct Analysis {
    /// Hash, length and size; none if no bytes came.
    pub content: Option<ImageContent>,
    /// Scored, no face, unreadable or refused.
    pub outcome: Outcome,
    /// The aligned faces, in the order of the outcome's; `None` where landmarks fall together.
    pub chips: Vec<Option<Chip>>,
    /// The smallest face that was looked for, the shorter side of its box, pixels; none if the
    /// image was not looked at.
    pub smallest_face_px: Option<f32>,
    /// Time in the two stages.
    pub timings: Timings,
}

impl Analysis {
    /// That of an image that ended with `outcome` before its bytes were looked at.
    pub fn ended(outcome: Outcome) -> Self {
        Self {
            content: None,
            outcome,
            chips: Vec::new(),
            smallest_face_px: None,
            timings: Timings::default(),
        }
    }
}

/// How a worker turns jobs into records.
#[async_trait]
pub trait Process: Send + Sync {
    /// All that the scores depend on.
    fn profile(&self) -> &Profile;

    /// The breakers of its sources, if it has any.
    fn breakers(&self) -> Option<&Arc<Breakers>> {
        None
    }

    /// Processes a job. A job on its last attempt ends as failed instead of asking for another.
    async fn process(&self, job: &Job) -> Processed;
}

/// Everything that one job needs, shared by all jobs in hand.
pub struct Processor {
    fetcher: Fetcher,
    vision: Vision,
    recogniser: Batcher<Recogniser>,
    profile: Profile,
    profile_id: ProfileId,
    selection: Selection,
    provider: String,
    attempts: u32,
    /// Memory for images.
    budget: Arc<Budget>,
    /// Images whose bytes may be in memory at once, beside those of enrolments.
    held: Semaphore,
    /// The same for enrolments.
    held_urgent: Semaphore,
    /// When it was last told that a job wants another profile.
    told_of_another: Mutex<Option<Instant>>,
    /// Whether it was told that small faces of large images are not looked for.
    told_of_small_faces: AtomicBool,
}

/// What a [`Processor`] is made of.
pub struct Parts {
    /// Where bytes come from.
    pub fetcher: Fetcher,
    /// Decoding, detecting, aligning.
    pub vision: Vision,
    /// Recognising.
    pub recogniser: Batcher<Recogniser>,
    /// What the two stages amount to.
    pub profile: Profile,
    /// Which faces become results, where a job leaves it out.
    pub selection: Selection,
    /// The execution provider that runs the recogniser.
    pub provider: String,
    /// Deliveries of a job before it is given up.
    pub attempts: u32,
    /// Images whose bytes may be in memory at once, and as many of enrolments.
    pub held_images: usize,
    /// Memory for images.
    pub budget: Arc<Budget>,
}

impl Processor {
    /// A processor of `parts`.
    pub fn new(parts: Parts) -> Self {
        let Parts {
            fetcher,
            vision,
            recogniser,
            profile,
            selection,
            provider,
            attempts,
            held_images,
            budget,
        } = parts;
        let profile_id = profile.id();
        let (held, held_urgent) =
            (Semaphore::new(held_images.max(1)), Semaphore::new(held_images.max(1)));
        Self {
            fetcher,
            vision,
            recogniser,
            profile,
            profile_id,
            selection,
            provider,
            attempts,
            budget,
            held,
            held_urgent,
            told_of_another: Mutex::default(),
            told_of_small_faces: AtomicBool::new(false),
        }
    }

    fn tell_of_another(&self, wanted: &ProfileId) {
        let mut told = self.told_of_another.lock().unwrap_or_else(PoisonError::into_inner);
        if told.is_none_or(|told| told.elapsed() >= TELL_AGAIN) {
            *told = Some(Instant::now());
            tracing::warn!(%wanted, own = %self.profile_id, "jobs want another profile than this \
                worker has; they wait for a worker with its settings and models");
        }
    }

    /// Tells, once, of an image in which wanted faces were too small to be looked for.
    fn tell_of_small_faces(&self, picture: &SeenPicture, wanted: u32) {
        let Some(remedy) = &picture.remedy else { return };
        if self.told_of_small_faces.swap(true, Ordering::Relaxed) {
            return;
        }
        let (smallest, (width, height)) = (picture.smallest_face_px, picture.size);
        tracing::warn!(
            "faces under {smallest:.0} px are not looked for in images of {width}x{height} pixels, \
                though faces from \
             {wanted} px are wanted; set {remedy}. Said once: for other sizes see docs/faces.md"
        );
    }

    /// The execution provider that runs the recogniser.
    pub fn provider(&self) -> &str {
        &self.provider
    }

    /// Its id.
    pub fn profile_id(&self) -> &ProfileId {
        &self.profile_id
    }

    /// Which faces of a job's image become results: what the job asks for, and the worker's
    /// settings for what it leaves out.
    pub fn selection(&self, job: &Job) -> Selection {
        job.selection.complete(&self.selection)
    }

    /// Analyses bytes without a job: nothing is stored.
    ///
    /// # Errors
    /// If the stages fail; a bad image is an outcome, not an error.
    pub async fn analyse(&self, bytes: Vec<u8>) -> Result<Analysis, BatchError> {
        let length = bytes.len() as u64;
        let seen = self.look(bytes, self.selection, Priority::Bulk).await;
        self.finish(seen, length, self.selection.min_size_px, Priority::Bulk).await
    }

    /// The same with an image of `source`; one that does not come is an outcome too.
    ///
    /// # Errors
    /// If the stages fail.
    pub async fn fetch_and_analyse(
        &self,
        source: &dyn ImageSource,
        image: &ImageUri,
    ) -> Result<Analysis, BatchError> {
        let room = self.budget.file(Priority::Bulk);
        match source.fetch_into(image, &room).await {
            Ok(bytes) => self.analyse(bytes).await,
            Err(error) => Ok(Analysis::ended(error.outcome())),
        }
    }

    async fn look(
        &self,
        bytes: Vec<u8>,
        selection: Selection,
        priority: Priority,
    ) -> Result<(Seen, f32), BatchError> {
        let _room = match self.budget.picture(&bytes, priority).await {
            Ok(room) => room,
            Err(error) => {
                return Ok((Seen { hash: ContentHash::of(&bytes), picture: Err(error) }, 0.0));
            }
        };
        let started = Instant::now();
        let seen = self.vision.look(Look { bytes, selection }, priority).await?;
        Ok((seen, milliseconds(started)))
    }

    async fn finish(
        &self,
        seen: Result<(Seen, f32), BatchError>,
        bytes: u64,
        least_face_px: u32,
        priority: Priority,
    ) -> Result<Analysis, BatchError> {
        let (Seen { hash, picture }, vision_ms) = seen?;
        let mut timings = Timings { vision_ms, ..Timings::default() };
        let mut content = ImageContent { hash, bytes, size: None };
        let ended = |content, outcome, timings| {
            Ok(Analysis { timings, content: Some(content), ..Analysis::ended(outcome) })
        };
        let picture = match picture {
            Ok(picture) => picture,
            Err(DecodeError::Unreadable(reason)) => {
                return ended(content, Outcome::Unreadable(reason), timings);
            }
            Err(DecodeError::TooLarge(reason)) => {
                return ended(content, Outcome::Refused(reason), timings);
            }
            Err(DecodeError::Failed(reason)) => {
                return ended(content, Outcome::Failed(reason), timings);
            }
        };
        content.size = Some(picture.size);
        let smallest_face_px = Some(picture.smallest_face_px);
        self.tell_of_small_faces(&picture, least_face_px);
        if picture.faces.is_empty() {
            let content = Some(content);
            return Ok(Analysis {
                timings,
                content,
                smallest_face_px,
                ..Analysis::ended(Outcome::NoFace)
            });
        }
        let started = Instant::now();
        let (faces, chips): (Vec<_>, Vec<_>) = picture.faces.into_iter().unzip();
        let mut recognitions = self
            .recogniser
            .run(chips.iter().flatten().cloned().collect(), priority)
            .await?
            .into_iter();
        timings.recognise_ms = milliseconds(started);
        let results: Vec<FaceResult> = faces
            .into_iter()
            .zip(&chips)
            .map(|(face, chip)| FaceResult {
                face,
                recognition: chip.as_ref().and_then(|_| recognitions.next().flatten()),
            })
            .collect();
        let outcome = if results.iter().any(|result| result.recognition.is_some()) {
            Outcome::Scored(results)
        } else {
            Outcome::Failed("the network gave no usable embedding for any face of the image".into())
        };
        Ok(Analysis { content: Some(content), outcome, chips, smallest_face_px, timings })
    }
}

#[async_trait]
impl Process for Processor {
    fn profile(&self) -> &Profile {
        &self.profile
    }

    fn breakers(&self) -> Option<&Arc<Breakers>> {
        Some(self.fetcher.breakers())
    }

    async fn process(&self, job: &Job) -> Processed {
        if let Some(wanted) = job.profile.as_ref().filter(|wanted| **wanted != self.profile_id) {
            self.tell_of_another(wanted);
            let sub_queue = SubQueue { lane: job.lane, of: SubQueueOf::Profile(wanted.clone()) };
            return Processed::SetAside { sub_queue, reason: "it wants another profile".into() };
        }
        let ended = |outcome| {
            let record = JobRecord::without_content(
                job,
                &self.profile_id,
                self.selection(job),
                &self.provider,
                outcome,
            );
            Processed::Ended(Box::new(record))
        };
        // It was delivered more often than allowed without ever being settled: it may be what kills
        // its workers.
        if job.attempt > self.attempts {
            return ended(Outcome::Failed(format!(
                "given up after {} deliveries that never ended",
                job.attempt - 1
            )));
        }
        let again = |how: fn(String) -> Processed, reason: String| {
            if job.attempt < self.attempts {
                how(reason)
            } else {
                ended(Outcome::Failed(format!(
                    "{reason} (attempt {} of {})",
                    job.attempt, self.attempts
                )))
            }
        };

        // Somebody waits for an enrolment: it takes no turn behind a scan's images.
        let (priority, held) = match job.lane {
            Lane::Enrol => (Priority::Urgent, &self.held_urgent),
            Lane::Scan | Lane::Rescore => (Priority::Bulk, &self.held),
        };
        let started = Instant::now();
        let Fetched { bytes, permit, room } =
            match self.fetcher.fetch(job, held, || self.budget.file(priority)).await {
                Ok(fetched) => fetched,
                Err(Unfetched::Ended(outcome)) => return ended(outcome),
                Err(Unfetched::Transient(reason)) => return again(Processed::Unanswered, reason),
                Err(Unfetched::Held(source, reason)) => {
                    return Processed::SetAside {
                        sub_queue: SubQueue { lane: job.lane, of: SubQueueOf::Source(source) },
                        reason,
                    };
                }
                Err(Unfetched::Local) => return Processed::Deferred(SHORTAGE),
            };
        let fetch_ms = milliseconds(started);
        if let Some(expected) = job.expected_hash
            && ContentHash::of(&bytes) != expected
        {
            return ended(Outcome::Refused(
                "the bytes are not those that the job expects: they have another content hash"
                    .into(),
            ));
        }
        let _expected = (priority == Priority::Urgent)
            .then(|| (self.vision.expect_urgent(), self.recogniser.expect_urgent()));
        let length = bytes.len() as u64;
        let selection = self.selection(job);
        let seen = self.look(bytes, selection, priority).await;
        drop((permit, room));
        match self.finish(seen, length, selection.min_size_px, priority).await {
            Err(error) => again(Processed::Transient, error.to_string()),
            Ok(Analysis { content, outcome, timings, .. }) => {
                Processed::Ended(Box::new(JobRecord {
                    content,
                    timings: Timings { fetch_ms, ..timings },
                    ..JobRecord::without_content(
                        job,
                        &self.profile_id,
                        selection,
                        &self.provider,
                        outcome,
                    )
                }))
            }
        }
    }
}

fn milliseconds(since: Instant) -> f32 {
    since.elapsed().as_secs_f32() * 1000.0
}
