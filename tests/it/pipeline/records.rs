//! What the pipeline does with the records that a processor makes.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use facefleet::domain::{
    Faces, Job, JobId, JobRecord, Lane, Outcome, OutcomeKind, Profile, Selection, WaitReason,
};
use facefleet::queue::JobQueue;
use facefleet::worker::{Process, Processed, WorkerError};
use tokio::sync::Notify;
use tokio::time::timeout;

use super::{Bench, Finished, PATIENCE, count};
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

/// A processor whose device is gone from the first job on.
struct Lost(Profile, Notify);

#[async_trait]
impl Process for Lost {
    fn profile(&self) -> &Profile {
        &self.0
    }

    async fn process(&self, _: &Job) -> Processed {
        self.1.notify_one();
        Processed::Waits(WaitReason::DeviceLost("no kernel ran".into()))
    }

    async fn lost(&self) -> String {
        self.1.notified().await;
        "cuda:0 works no longer: no kernel ran".into()
    }
}

#[tokio::test]
async fn a_worker_that_lost_its_device_puts_its_jobs_back_unspent_and_ends_with_an_error() {
    let bench = Bench::with(Arc::new(Lost(profile("lost"), Notify::new())), 2).await;
    let mut published: Vec<JobId> = bench.publish(5).await.iter().map(|job| job.id).collect();
    let Bench { queue, worker, .. } = bench;
    let ended = timeout(PATIENCE, worker).await.expect("the worker should end").unwrap();
    let error = ended.expect_err("it cannot go on");
    assert!(matches!(error, WorkerError::Device(_)), "{error}");
    assert!(error.to_string().starts_with("cuda:0 works no longer: no kernel ran. "), "{error}");

    let mut consumer = queue.consume(&Lane::ALL, 5).await.unwrap();
    let mut deliveries = Vec::new();
    while deliveries.len() < published.len() {
        let delivery = timeout(PATIENCE, consumer.next()).await.expect("all come back").unwrap();
        assert_eq!(delivery.job().attempt, 1);
        deliveries.push(delivery);
    }
    let mut found: Vec<JobId> = deliveries.iter().map(|delivery| delivery.job().id).collect();
    found.sort();
    published.sort();
    assert_eq!(found, published);
    assert_eq!(queue.dead_letters(10).await.unwrap(), []);
}
