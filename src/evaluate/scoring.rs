//! Scores labelled photos that the store does not hold yet, as a scan does.

use std::time::Duration;

use futures::{StreamExt, TryStreamExt};

use super::collect::CollectError;
use crate::domain::{
    GalleryName, ImageUri, Job, JobId, JobRecord, Lane, Selection, SourceStamp, SubQueue,
    SubQueueOf, SubjectName,
};
use crate::store::Store;
use crate::worker::Process;
use crate::worker::process::Processed;

/// Results written in one transaction.
const CHUNK: usize = 256;
/// How often a source that does not work is looked at before it is given up, and the longest wait
/// between: about a minute in all.
const MOST_LOOKS: u32 = 10;
const LONGEST_LOOK: Duration = Duration::from_secs(10);

/// A photo to evaluate.
#[derive(Debug, Clone)]
pub struct Photo {
    /// Where it is.
    pub image: ImageUri,
    /// Its listed version.
    pub stamp: Option<SourceStamp>,
    /// Whose it is, if there is a label.
    pub subject: Option<SubjectName>,
}

/// How photos are scored.
pub struct Scoring<'a> {
    /// The gallery that keeps the results.
    pub gallery: &'a GalleryName,
    /// Which faces.
    pub selection: &'a Selection,
    /// Photos in hand at a time.
    pub ahead: usize,
    /// Wait before the second attempt at a photo; doubled for each one after.
    pub backoff: Duration,
    /// Is told how many more photos have ended.
    pub ended: &'a (dyn Fn(u64) + Sync),
}

impl Scoring<'_> {
    /// Scores those of `photos` that the gallery holds no result of. They are recorded with their
    /// subjects, so that the gallery can be evaluated by its name afterwards. A photo that is no
    /// good, or fails in all its attempts, is an outcome, and the others go on.
    ///
    /// # Errors
    /// If the store fails.
    pub async fn run(
        &self,
        photos: &[Photo],
        processor: &dyn Process,
        store: &dyn Store,
    ) -> Result<(), CollectError> {
        let profile = processor.profile();
        store.register_profile(profile).await?;
        let images: Vec<_> =
            photos.iter().map(|photo| (photo.image.clone(), photo.stamp.clone())).collect();
        let settled =
            store.up_to_date(self.gallery, &profile.id(), self.selection, &images).await?;
        (self.ended)(settled.iter().filter(|settled| **settled).count() as u64);
        let left = photos.iter().zip(settled).filter(|(_, settled)| !settled);
        let work = left.map(|(photo, _)| self.attempts(self.job(photo), processor));
        let mut records =
            futures::stream::iter(work).buffer_unordered(self.ahead.max(1)).try_chunks(CHUNK);
        while let Some(chunk) = records.next().await {
            // What came before a failure is kept.
            let (done, failed) = match chunk {
                Ok(done) => (done, None),
                Err(error) => (error.0, Some(error.1)),
            };
            store.record(&done).await?;
            (self.ended)(done.len() as u64);
            if let Some(error) = failed {
                return Err(error);
            }
        }
        Ok(())
    }

    /// Processes a job until it ends: the processor makes an outcome of the last attempt that its
    /// settings allow.
    async fn attempts(
        &self,
        mut job: Job,
        processor: &dyn Process,
    ) -> Result<JobRecord, CollectError> {
        let (mut wait, mut look_again, mut looks) = (self.backoff, self.backoff, 0);
        loop {
            match processor.process(&job).await {
                Processed::Ended(record) => return Ok(*record),
                Processed::Transient(reason) | Processed::Unanswered(reason) => {
                    tracing::debug!(image = %job.image, attempt = job.attempt, %reason, "an \
                        attempt failed");
                    tokio::time::sleep(wait).await;
                    wait *= 2;
                    job.attempt += 1;
                }
                Processed::Deferred(wait) => tokio::time::sleep(wait).await,
                // Its source does not work, which was told. Somebody waits for the evaluation: not
                // for as long as a worker would.
                Processed::SetAside {
                    sub_queue: SubQueue { of: SubQueueOf::Source(source), .. },
                    ..
                } => {
                    tokio::time::sleep(look_again).await;
                    (looks, look_again) =
                        (looks + 1, look_again.saturating_mul(2).min(LONGEST_LOOK));
                    let Some(breakers) = processor.breakers() else { continue };
                    breakers.probe().await;
                    if looks == MOST_LOOKS {
                        breakers.give_up(&source);
                    }
                }
                // It asks for no profile and belongs to no campaign.
                Processed::SetAside { .. } | Processed::Dropped => {
                    return Err(CollectError::PutBack(job.image));
                }
            }
        }
    }

    fn job(&self, photo: &Photo) -> Job {
        Job {
            id: JobId::new(),
            lane: Lane::Scan,
            gallery: self.gallery.clone(),
            image: photo.image.clone(),
            stamp: photo.stamp.clone(),
            expected_hash: None,
            subject: photo.subject.clone(),
            selection: (*self.selection).into(),
            profile: None,
            campaign: None,
            trace: None,
            attempt: 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use async_trait::async_trait;

    use super::*;
    use crate::domain::{
        AlignmentProfile, Faces, Mapping, Outcome, OutcomeKind, Precision, Profile,
        RecogniserProfile, SerFiq,
    };
    use crate::store::sqlite::SqliteStore;
    use crate::store::{PageQuery, Reading};

    /// Finds no face, and cannot read images whose name has "broken" in it.
    struct Eyes(Profile);

    #[async_trait]
    impl Process for Eyes {
        fn profile(&self) -> &Profile {
            &self.0
        }

        async fn process(&self, job: &Job) -> Processed {
            let outcome = match job.image.as_str().contains("broken") {
                true if job.attempt < 3 => return Processed::Transient("the disk hums".into()),
                true => Outcome::Failed(format!("the disk hums (attempt {})", job.attempt)),
                false => Outcome::NoFace,
            };
            let selection = job.selection.complete(&Selection {
                faces: Faces::All,
                min_size_px: 24,
                min_score: 0.5,
            });
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
    async fn a_photo_that_fails_in_all_its_attempts_is_an_outcome_and_the_others_go_on() {
        let folder = tempfile::tempdir().unwrap();
        let store =
            SqliteStore::open(&format!("sqlite:{}", folder.path().join("test.db").display()))
                .await
                .unwrap();
        let profile = Profile {
            alignment: AlignmentProfile::None,
            recogniser: RecogniserProfile {
                name: "a".into(),
                sha256: "00".repeat(32),
                precision: Precision::Float32,
            },
            ser_fiq: SerFiq::ClosedForm { dropout: 0.4 },
            mapping: Mapping::Logistic { alpha: 130.0, r: 0.88 },
        };
        let eyes = Eyes(profile);
        let photo = |name: &str| Photo {
            image: format!("file:///photos/{name}.jpg").parse().unwrap(),
            stamp: Some("v1".parse().unwrap()),
            subject: Some("Ann".parse().unwrap()),
        };
        let photos = ["a", "broken", "c"].map(photo);
        let gallery: GalleryName = "test".parse().unwrap();
        let counted = AtomicU64::new(0);
        let scoring = Scoring {
            gallery: &gallery,
            selection: &Selection { faces: Faces::All, min_size_px: 24, min_score: 0.5 },
            ahead: 2,
            backoff: Duration::from_millis(1),
            ended: &|more| {
                counted.fetch_add(more, Ordering::Relaxed);
            },
        };
        scoring.run(&photos, &eyes, &store).await.unwrap();
        assert_eq!(counted.load(Ordering::Relaxed), 3);
        let profile = eyes.0.id();
        let query = PageQuery {
            gallery,
            profile,
            outcomes: Vec::new(),
            after: 0,
            limit: 10,
            templates: false,
        };
        let mut ends: Vec<_> = store
            .page(&query)
            .await
            .unwrap()
            .into_iter()
            .map(|image| (image.outcome, image.reason))
            .collect();
        ends.sort();
        let failed = (OutcomeKind::Failed, Some("the disk hums (attempt 3)".to_owned()));
        assert_eq!(ends, [(OutcomeKind::NoFace, None), (OutcomeKind::NoFace, None), failed]);
    }
}
