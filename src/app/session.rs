//! A worker, a queue and a store in this process, for the length of one campaign.
//!
//! An embedded scan runs in a session. So does the scoring of labelled photos before an evaluation,
//! also where the settings name a fleet: the photos may be on this machine alone.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use super::App;
use crate::domain::{
    EnrolRules, GalleryName, Job, LabelledImage, Profile, ProfileId, Selection, WaitReason,
};
use crate::gallery::GalleryError;
use crate::gallery::campaign::{begin, close_local, new_campaign};
use crate::gallery::follow::{self, CampaignCounts, CampaignEvent, CampaignRun, FollowUntil};
use crate::gallery::list::Images;
use crate::images::Root;
use crate::store::{Store, StoreError};
use crate::worker::circuit_breaker::CircuitBreakers;
use crate::worker::{Process, Processed, Worker};

/// Longest wait of labelled photos for a source in an outage. Short, because a user waits.
const LONGEST_OUTAGE: Duration = Duration::from_secs(60);

/// A worker with its queue, its store and its models.
pub struct Session {
    worker: Worker,
}

/// Labelled images to score.
pub struct Scoring {
    /// The gallery that keeps the results.
    pub gallery: GalleryName,
    /// Which faces.
    pub selection: Selection,
    /// Where the images come from, for people.
    pub source: String,
    /// The images.
    pub images: Vec<LabelledImage>,
}

impl Session {
    /// A session that scans images below `roots`. With `aligned`, they are chips.
    ///
    /// # Errors
    /// If the store or the models cannot be opened.
    pub async fn open(app: &App, roots: &[Root], aligned: bool) -> Result<Self> {
        let store = app.store().await?;
        let processor = Arc::new(app.processor(roots, aligned)?.for_store(store.clone()));
        Ok(Self::new(app, store, processor, EnrolRules::default()))
    }

    /// A session that enrols images below `roots`.
    ///
    /// # Errors
    /// If the store, the models or the similarity thresholds cannot be opened.
    pub async fn open_for_enrolment(app: &App, roots: &[Root]) -> Result<Self> {
        let store = app.store().await?;
        let processor = Arc::new(app.processor(roots, false)?.for_store(store.clone()));
        let rules = app.enrol_rules(processor.profile())?;
        Ok(Self::new(app, store, processor, rules))
    }

    fn new(
        app: &App,
        store: Arc<dyn Store>,
        processor: Arc<dyn Process>,
        enrol: EnrolRules,
    ) -> Self {
        Self { worker: app.worker(app.local_queue(), store, processor, enrol) }
    }

    /// A session that scores labelled images below `roots`. It retries soon, and waits about a
    /// minute for a source that is down.
    ///
    /// # Errors
    /// If the store or the models cannot be opened.
    pub async fn open_for_scoring(app: &App, roots: &[Root], aligned: bool) -> Result<Self> {
        let store = app.store().await?;
        let outage = Duration::from_secs(app.settings.images.outage_seconds).min(LONGEST_OUTAGE);
        let processor = app.processor_waiting(roots, aligned, outage)?;
        let processor = Arc::new(RetriesSoon(processor));
        Ok(Self::new(app, store, processor, EnrolRules::default()))
    }

    /// The store of the results.
    pub fn store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.worker.store)
    }

    /// The profile of the results.
    pub fn profile_id(&self) -> ProfileId {
        self.worker.processor.profile().id()
    }

    /// Lists and scores the images of `run`, and ends its campaign. When `stop` is cancelled, the
    /// worker finishes the jobs in flight, and the campaign is cancelled.
    ///
    /// # Errors
    /// If a root cannot be listed, or the worker or the store fails.
    pub async fn run(
        self,
        run: CampaignRun,
        stop: CancellationToken,
        on_event: impl FnMut(&CampaignCounts, CampaignEvent<'_>),
    ) -> Result<CampaignCounts> {
        let worker = self.worker;
        let (queue, store, listing) = (worker.queue.clone(), worker.store.clone(), run.listing());
        store.register_profile(worker.processor.profile()).await?;
        begin(store.as_ref(), &run.campaign, run.claim).await?;
        // The worker ends when it is stopped, or early if it cannot use the store. It then closes
        // the queue, and following ends with the queue's events.
        let stop_worker = stop.child_token();
        let working = tokio::spawn({
            let (queue, stop_worker) = (queue.clone(), stop_worker.clone());
            async move {
                let ended = worker.run(stop_worker).await;
                queue.close().await;
                ended
            }
        });
        let until = FollowUntil::QueueClosed;
        let followed = follow::run(run, queue, store.clone(), until, stop, on_event).await;
        stop_worker.cancel();
        let worked = working.await?;
        if let Err(error) = &followed {
            // The store may be what failed.
            store.fail_listing(listing, &error.to_string()).await.ok();
        }
        // Jobs that are left are gone with the queue. A schedule's run that a store in an outage
        // ended is tried again.
        let closed = match &followed {
            Err(GalleryError::Store(StoreError::Unavailable(_))) if listing.claim.is_some() => {
                Ok(())
            }
            _ => close_local(store.as_ref(), listing).await,
        };
        // Report the worker's error first: it caused the others.
        worked?;
        let counts = followed?;
        closed?;
        store.close().await;
        Ok(counts)
    }

    /// Scores those images whose result is not recorded or not current, in a campaign of their own,
    /// and records them with their subjects. An image that fails in all attempts is an outcome, and
    /// the others go on. If all are up to date, there is no campaign. `done` is called with the
    /// number of images that are up to date or have ended.
    ///
    /// # Errors
    /// If the worker or the store fails, or somebody cancels the campaign.
    pub async fn score(
        self,
        scoring: Scoring,
        stop: CancellationToken,
        done: impl Fn(u64),
    ) -> Result<()> {
        let Scoring { gallery, selection, source, images } = scoring;
        let (store, profile) = (&self.worker.store, self.worker.processor.profile());
        store.register_profile(profile).await?;
        let up_to_date = store.up_to_date(&gallery, &profile.id(), &selection, &images).await?;
        let images: Vec<LabelledImage> = images
            .into_iter()
            .zip(&up_to_date)
            .filter_map(|(image, up_to_date)| (!up_to_date).then_some(image))
            .collect();
        let before = (up_to_date.len() - images.len()) as u64;
        done(before);
        if images.is_empty() {
            store.close().await;
            return Ok(());
        }
        let campaign = new_campaign(gallery, profile.id(), selection, source);
        let id = campaign.id;
        let run = CampaignRun { images: Images::Given(images), campaign, selection, claim: None };
        let on_event = |counts: &CampaignCounts, event: CampaignEvent<'_>| {
            if let CampaignEvent::Counted = event {
                done(before + counts.progress.skipped + counts.progress.ended());
            }
        };
        let counts = self.run(run, stop.clone(), on_event).await?;
        if !counts.progress.is_complete() && !stop.is_cancelled() {
            bail!(
                "campaign {id} was cancelled; its results are kept: run the same command again to \
                    score the rest"
            );
        }
        Ok(())
    }
}

/// Retries an image after the ordinary backoff if its working source did not serve it. Fleet
/// workers wait minutes.
struct RetriesSoon<P>(P);

#[async_trait]
impl<P: Process> Process for RetriesSoon<P> {
    fn profile(&self) -> &Profile {
        self.0.profile()
    }

    fn breakers(&self) -> Option<&Arc<CircuitBreakers>> {
        self.0.breakers()
    }

    async fn lost(&self) -> String {
        self.0.lost().await
    }

    async fn finish(&self) {
        self.0.finish().await;
    }

    async fn process(&self, job: &Job) -> Processed {
        match self.0.process(job).await {
            Processed::Waits(WaitReason::ImageUnavailable(reason)) => {
                Processed::Waits(WaitReason::AttemptFailed(reason))
            }
            processed => processed,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;
    use crate::domain::{
        AlignmentProfile, Campaign, ContentHash, Faces, ImageContent, JobRecord, Lane, Mapping,
        Outcome, OutcomeKind, Precision, RecogniserProfile, SerFiq,
    };
    use crate::queue::memory::MemoryQueue;
    use crate::store::sqlite::SqliteStore;
    use crate::store::{Campaigns, PageFilter, PageQuery, Reading};
    use crate::worker::WorkerSettings;

    const SELECTION: Selection = Selection { faces: Faces::All, min_size_px: 24, min_score: 0.5 };

    /// Finds no face. Its source does not give images whose name has "broken" in it.
    struct FakeProcessor(Profile);

    #[async_trait]
    impl Process for FakeProcessor {
        fn profile(&self) -> &Profile {
            &self.0
        }

        async fn process(&self, job: &Job) -> Processed {
            let outcome = match job.image.as_str().contains("broken") {
                true if job.attempt < 3 => {
                    let reason = WaitReason::ImageUnavailable("the disk hums".into());
                    return Processed::Waits(reason);
                }
                true => Outcome::Failed(format!("the disk hums (attempt {})", job.attempt)),
                false => Outcome::NoFace,
            };
            let hash = ContentHash::of(job.image.as_str().as_bytes());
            let content = ImageContent { hash, bytes: 1, size: Some((640, 480)), picture: None };
            let content = (outcome == Outcome::NoFace).then_some(content);
            let (id, selection) = (self.0.id(), job.selection.complete(&SELECTION));
            let record = JobRecord::without_content(job, &id, selection, "cpu", outcome);
            Processed::Ended(Box::new(JobRecord { content, ..record }))
        }
    }

    fn profile() -> Profile {
        Profile {
            alignment: AlignmentProfile::None,
            recogniser: RecogniserProfile {
                name: "a".into(),
                sha256: "00".repeat(32),
                precision: Precision::Float32,
            },
            ser_fiq: SerFiq::ClosedForm { dropout: 0.4 },
            mapping: Mapping::Logistic { alpha: 130.0, r: 0.88 },
        }
    }

    /// A store that sessions open, each for itself.
    struct Bench(tempfile::TempDir);

    impl Bench {
        async fn store(&self) -> Arc<SqliteStore> {
            let url = format!("sqlite:{}", self.0.path().join("test.db").display());
            Arc::new(SqliteStore::open(&url).await.unwrap())
        }

        async fn worker(&self) -> Worker {
            let millisecond = Duration::from_millis(1);
            let settings = WorkerSettings {
                lanes: Lane::ALL.to_vec(),
                in_flight: 2,
                record_batch: 8,
                backoff: millisecond,
                backoff_most: millisecond,
                drain: Duration::from_secs(10),
                enrol: EnrolRules::default(),
            };
            Worker {
                queue: Arc::new(MemoryQueue::new(16)),
                store: self.store().await,
                processor: Arc::new(RetriesSoon(FakeProcessor(profile()))),
                settings,
                vitals: Arc::default(),
            }
        }

        /// Scores images of these names and returns how many were done in the end.
        async fn score(&self, names: &[&str]) -> u64 {
            let worker = self.worker().await;
            let image = |name: &&str| LabelledImage {
                image: format!("file:///photos/{name}.jpg").parse().unwrap(),
                stamp: Some("v1".parse().unwrap()),
                subject: Some("Ann".parse().unwrap()),
                expected_hash: None,
            };
            let scoring = Scoring {
                gallery: "test".parse().unwrap(),
                selection: SELECTION,
                source: "labels photos.csv".into(),
                images: names.iter().map(image).collect(),
            };
            let counted = AtomicU64::new(0);
            let done = |images| counted.store(images, Ordering::Relaxed);
            Session { worker }.score(scoring, CancellationToken::new(), done).await.unwrap();
            counted.into_inner()
        }

        async fn campaigns(&self) -> Vec<Campaign> {
            self.store().await.campaigns(10).await.unwrap()
        }
    }

    #[tokio::test]
    async fn a_photo_that_fails_in_all_its_attempts_is_an_outcome_and_the_others_go_on() {
        let bench = Bench(tempfile::tempdir().unwrap());
        assert_eq!(bench.score(&["a", "broken", "c"]).await, 3);
        let query = PageQuery {
            gallery: "test".parse().unwrap(),
            profile: profile().id(),
            outcomes: Vec::new(),
            filter: PageFilter::default(),
            notes: false,
            after: 0,
            limit: 10,
            templates: false,
        };
        let page = bench.store().await.page(&query).await.unwrap();
        let subject = |image: &crate::store::StoredImage| image.subject.clone().unwrap();
        assert!(page.iter().all(|image| subject(image).as_str() == "Ann"), "{page:?}");
        let mut ends: Vec<_> =
            page.into_iter().map(|image| (image.outcome, image.reason)).collect();
        ends.sort();
        let failed = (OutcomeKind::Failed, Some("the disk hums (attempt 3)".to_owned()));
        assert_eq!(ends, [(OutcomeKind::NoFace, None), (OutcomeKind::NoFace, None), failed]);
    }

    #[tokio::test]
    async fn a_worker_whose_queue_is_closed_before_it_begins_has_nothing_to_do() {
        let bench = Bench(tempfile::tempdir().unwrap());
        let worker = bench.worker().await;
        worker.store.register_profile(&profile()).await.unwrap();
        worker.queue.close().await;
        worker.run(CancellationToken::new()).await.unwrap();
    }

    #[tokio::test]
    async fn only_photos_that_are_not_up_to_date_make_a_campaign() {
        let bench = Bench(tempfile::tempdir().unwrap());
        assert_eq!(bench.score(&["a", "b"]).await, 2);
        let [first] = &bench.campaigns().await[..] else { panic!("one campaign") };
        assert_eq!(first.source, "labels photos.csv");
        assert!(first.progress.is_complete(), "{:?}", first.progress);
        assert_eq!((first.progress.listed, first.progress.ended()), (2, 2));

        assert_eq!(bench.score(&["a", "b"]).await, 2);
        assert_eq!(bench.campaigns().await.len(), 1, "nothing was left to score");

        assert_eq!(bench.score(&["a", "b", "c"]).await, 3);
        let campaigns = bench.campaigns().await;
        assert_eq!((campaigns.len(), campaigns[0].progress.listed), (2, 1));
        assert!(bench.store().await.open_campaigns().await.unwrap().is_empty());
    }
}
