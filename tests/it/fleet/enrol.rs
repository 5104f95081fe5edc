//! Enrolment on a fleet: the command and a producer's job, beside a scan.

use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use facefleet::domain::{
    EnrolmentDecision, GalleryName, Job, JobId, JobSelection, Lane, OutcomeEvent, ProfileId,
    SubQueue, SubQueueOf,
};
use facefleet::queue::JobQueue;
use facefleet::store::Store;
use futures::StreamExt;
use futures::stream::BoxStream;
use serde_json::Value;
use tempfile::TempDir;
use tokio::time::{sleep, timeout};

use super::{Fleet, PATIENCE, Running, photos};
use crate::support::{gallery, job, profile, sample, scored};

#[tokio::test(flavor = "multi_thread")]
async fn enrolments_are_decided_by_the_workers_and_their_events_say_how() {
    let fleet = Fleet::new().await;
    let folder = photos();
    std::fs::write(folder.path().join("obama2-again.jpg"), sample("obama2.jpg")).unwrap();
    std::fs::write(folder.path().join("chelsea.png"), sample("chelsea.png")).unwrap();
    let list = "file,subject\nobama.jpg,barack\nbiden.jpg,joe\nchelsea.png,cat\n\
        astronaut.png,eileen\n";
    std::fs::write(folder.path().join("people.csv"), list).unwrap();
    let root = folder.path().to_str().unwrap().to_owned();
    let worker = || {
        let mut worker = fleet.command(&["worker", "--root", &root], &[]);
        Running(worker.stdout(Stdio::null()).spawn().unwrap())
    };
    let _workers = [worker(), worker()];
    let scan = ["scan", &root, "--gallery", "staff", "--wait", "--json"];
    let list = format!("{root}/people.csv");
    let enrol = ["enrol", "--subjects", &list, "--gallery", "staff", "--json"];
    let (scanned, (status, out, err)) =
        tokio::join!(fleet.json(&scan, &[]), fleet.run(&enrol, &[]));
    assert_eq!(scanned["summary"]["left"], 0);
    assert_eq!(status, Some(3), "{out}\n{err}");
    let lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let summary = &lines.last().unwrap()["summary"];
    let counts = ["listed", "accepted", "review", "rejected", "left", "subjects"];
    assert_eq!(counts.map(|key| summary[key].as_u64().unwrap()), [4, 3, 0, 1, 0, 4], "{summary}");
    let cat = lines.iter().find(|line| line["decision"] == "rejected").unwrap();
    assert_eq!(cat["codes"][0], "NO_FACE");

    // Whoever publishes a job reads the decision from its event: a double agent.
    let (queue, store) = (fleet.app().queue().await.unwrap(), fleet.app().store().await.unwrap());
    let job = Job {
        id: JobId::new(),
        lane: Lane::Enrol,
        gallery: "staff".parse().unwrap(),
        image: format!("file://{}/obama2-again.jpg", folder.path().display()).parse().unwrap(),
        stamp: None,
        expected_hash: None,
        subject: Some("agent".parse().unwrap()),
        selection: JobSelection::default(),
        profile: None,
        campaign: None,
        trace: None,
        attempt: 1,
    };
    let decided = decided_twice(queue.as_ref(), &job).await;
    assert_eq!(decided[0].enrolment, decided[1].enrolment);
    let enrolment = decided[0].enrolment.as_ref().unwrap();
    assert_eq!(enrolment.decision, EnrolmentDecision::Review);
    let references =
        store.reference_templates(&job.gallery, &decided[0].profile, None).await.unwrap();
    let obama = references.iter().find(|each| each.subject.as_str() == "barack").unwrap();
    assert_eq!(enrolment.reasons[0].image_id, Some(obama.image));
    assert_eq!(references.len(), 3);
    queue.close().await;
    fleet.broker.remove().await;
}

/// The events of `job`, which is published twice: the second is as a redelivery.
async fn decided_twice(queue: &dyn JobQueue, job: &Job) -> Vec<OutcomeEvent> {
    let mut events = queue.events().await.unwrap();
    let mut decided = Vec::new();
    for _ in 0..2 {
        queue.publish(vec![job.clone()]).await.unwrap();
        let event = async {
            loop {
                let event = events.next().await.unwrap();
                if event.job == job.id {
                    return event;
                }
            }
        };
        decided.push(timeout(PATIENCE, event).await.unwrap());
    }
    decided
}

/// Settings of another profile.
const OTHER: [(&str, &str); 1] = [("FACEFLEET__DETECTOR__MAX_SIDE", "480")];

/// A fleet with sample photos, and the events of its jobs.
struct Site {
    fleet: Fleet,
    root: String,
    queue: Arc<dyn JobQueue>,
    store: Arc<dyn Store>,
    events: BoxStream<'static, OutcomeEvent>,
    _folder: TempDir,
}

impl Site {
    async fn new() -> Self {
        let (fleet, folder) = (Fleet::new().await, photos());
        let root = folder.path().to_str().unwrap().to_owned();
        let (queue, store) =
            (fleet.app().queue().await.unwrap(), fleet.app().store().await.unwrap());
        let events = queue.events().await.unwrap();
        Self { fleet, root, queue, store, events, _folder: folder }
    }

    fn worker(&self, settings: &[(&str, &str)]) -> Running {
        let mut worker = self.fleet.command(&["worker", "--root", &self.root], settings);
        Running(worker.stdout(Stdio::null()).spawn().unwrap())
    }

    /// Publishes an enrolment that names no profile.
    async fn enrol(&self, image: &str, subject: &str) -> Job {
        let job = Job {
            image: format!("file://{}/{image}", self.root).parse().unwrap(),
            subject: Some(subject.parse().unwrap()),
            profile: None,
            stamp: None,
            ..job(Lane::Enrol, image)
        };
        self.queue.publish(vec![job.clone()]).await.unwrap();
        job
    }

    /// The profile under which a job ended.
    async fn profile_of(&mut self, job: &Job) -> ProfileId {
        let event = async {
            loop {
                let event = self.events.next().await.unwrap();
                if event.job == job.id {
                    return event.profile;
                }
            }
        };
        timeout(PATIENCE, event).await.unwrap()
    }

    /// Enrols somebody again and again, until none of the workers does so under another profile:
    /// they get the jobs in turn.
    async fn enrols_under(&mut self, profile: &ProfileId) {
        let mut in_a_row = 0;
        while in_a_row < 6 {
            let joe = self.enrol("biden.jpg", "joe").await;
            in_a_row = if self.profile_of(&joe).await == *profile { in_a_row + 1 } else { 0 };
        }
    }

    /// Waits until a job waits for workers of the gallery's active profile.
    async fn one_waits_for(&self, gallery: &GalleryName) {
        let aside = SubQueue { lane: Lane::Enrol, of: SubQueueOf::Gallery(gallery.clone()) };
        let waits = async {
            while self.queue.waiting(std::slice::from_ref(&aside)).await.unwrap() != [1] {
                sleep(Duration::from_millis(50)).await;
            }
        };
        timeout(PATIENCE, waits).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_enrolment_waits_for_a_worker_of_the_active_profile() {
    let mut site = Site::new().await;
    // A gallery without results takes the profile of the first worker.
    let first = site.worker(&[]);
    let ann = site.enrol("astronaut.png", "ann").await;
    let old = site.profile_of(&ann).await;
    let gallery = &ann.gallery;
    assert_eq!(site.store.active_profile(gallery).await.unwrap().as_ref(), Some(&old));
    first.stop().await;

    // A worker of another profile sets the job aside, and records nothing under its own.
    let _other = site.worker(&OTHER);
    let barack = site.enrol("obama.jpg", "barack").await;
    site.one_waits_for(gallery).await;
    assert_eq!(site.store.galleries().await.unwrap()[0].1, std::slice::from_ref(&old));
    let _first = site.worker(&[]);
    assert_eq!(site.profile_of(&barack).await, old);

    // After an activation, it is the other way round.
    let scan = ["scan", &site.root, "--gallery", gallery.as_str(), "--wait", "--json"];
    let scanned = site.fleet.json(&scan, &OTHER).await;
    let new = scanned["summary"]["profile"].as_str().unwrap().to_owned();
    assert_eq!(scanned["summary"]["active_profile"], old.as_str());
    let activate =
        ["profile", "activate", &new, "--gallery", gallery.as_str(), "--as", "ann", "--json"];
    assert_eq!(site.fleet.json(&activate, &[]).await["changed"], true);
    let new: ProfileId = new.parse().unwrap();
    timeout(PATIENCE, site.enrols_under(&new)).await.expect("every worker knows soon");
    let references = site.store.reference_templates(gallery, &new, None).await.unwrap();
    let subjects: Vec<_> = references.iter().map(|each| each.subject.as_str()).collect();
    assert_eq!(subjects, ["ann", "barack", "joe"]);

    // Workers of a profile are in the way of its retirement.
    let retire = ["profile", "retire", old.as_str(), "--gallery", gallery.as_str()];
    let (status, _, err) = site.fleet.run(&retire, &[]).await;
    assert_eq!(status, Some(1));
    assert!(err.contains("stop the workers of this profile first"), "{err}");
    site.queue.close().await;
    site.fleet.broker.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_enrolment_that_waits_is_done_under_the_profile_that_is_active_by_then() {
    let mut site = Site::new().await;
    let first = site.worker(&[]);
    let ann = site.enrol("astronaut.png", "ann").await;
    site.profile_of(&ann).await;
    let gallery = &ann.gallery;
    first.stop().await;
    // No worker of the active profile runs, and the other one fills a shadow.
    let _other = site.worker(&OTHER);
    let barack = site.enrol("obama.jpg", "barack").await;
    site.one_waits_for(gallery).await;
    let status = site.fleet.json(&["queue", "status", "--json"], &[]).await;
    assert_eq!(status["waiting"][0]["place"], format!("gallery {gallery}"), "{status}");
    let scan = ["scan", &site.root, "--gallery", gallery.as_str(), "--wait", "--json"];
    let scanned = site.fleet.json(&scan, &OTHER).await;
    let new = scanned["summary"]["profile"].as_str().unwrap().to_owned();
    site.one_waits_for(gallery).await;
    let activate =
        ["profile", "activate", &new, "--gallery", gallery.as_str(), "--as", "ann", "--json"];
    assert_eq!(site.fleet.json(&activate, &[]).await["changed"], true);
    assert_eq!(site.profile_of(&barack).await.as_str(), new);
    site.queue.close().await;
    site.fleet.broker.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_enrolment_says_that_another_profile_became_active_meanwhile() {
    let site = Site::new().await;
    let image = format!("{}/astronaut.png", site.root);
    let gallery = gallery();
    let enrol = ["enrol", &image, "--subject", "ann", "--gallery", gallery.as_str(), "--json"];
    let switch = async {
        // The command has found that no other profile is active.
        let begun = async {
            while site.store.campaigns(1).await.unwrap().is_empty() {
                sleep(Duration::from_millis(50)).await;
            }
        };
        timeout(PATIENCE, begun).await.unwrap();
        site.store.register_profile(&profile("a")).await.unwrap();
        site.store.record(&[scored("one", &[10])]).await.unwrap();
        site.worker(&[])
    };
    let ((status, out, err), _worker) = tokio::join!(site.fleet.run(&enrol, &[]), switch);
    assert_eq!(status, Some(0), "{out}\n{err}");
    let last: Value = serde_json::from_str(out.lines().last().unwrap()).unwrap();
    let summary = &last["summary"];
    assert_eq!((&summary["accepted"], &summary["left"]), (&1.into(), &0.into()), "{summary}");
    assert_eq!(summary["active_profile"], profile("a").id().as_str(), "{summary}");
    assert_ne!(summary["profile"], summary["active_profile"]);
    site.queue.close().await;
    site.fleet.broker.remove().await;
}
