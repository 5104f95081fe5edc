//! What the pipeline does with the records that a processor makes.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use facefleet::domain::{Faces, Job, JobId, JobRecord, Outcome, OutcomeKind, Profile, Selection};
use facefleet::queue::JobQueue;
use facefleet::worker::{Process, Processed};

use super::{Bench, Finished, count};
use crate::support::profile;

/// Finds no face in every image. The record of one image has a profile that is not in the store.
struct Strange(Profile);

#[async_trait]
impl Process for Strange {
    fn profile(&self) -> &Profile {
        &self.0
    }

    async fn process(&self, job: &Job) -> Processed {
        let strange = job.image.as_str().contains("photo-3");
        let profile = if strange { profile("never registered").id() } else { self.0.id() };
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
async fn a_record_that_the_store_rejects_is_dead_lettered_and_its_batch_is_stored() {
    let mut bench = Bench::with(Arc::new(Strange(profile("strange"))), 8).await;
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

/// Finds no face at the first delivery of a job, and fails at the second: the image has
/// disappeared.
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
async fn a_redelivered_job_is_announced_with_its_first_outcome_and_not_dead_lettered() {
    let mut bench = Bench::with(Arc::new(Fading(profile("fading"), Mutex::default())), 8).await;
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
