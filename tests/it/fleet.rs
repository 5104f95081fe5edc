//! Commands, workers, broker and database together: selections, and the counts of campaigns.

mod campaigns;
mod enrol;
mod erasing;
mod lists;
mod names;
mod rescore;
mod workers;

use std::collections::BTreeMap;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use facefleet::app::App;
use facefleet::domain::{
    Campaign, CampaignId, CampaignProgress, CampaignState, EnrolRules, ImageUri, Job, JobRecord,
    Lane, ListedChunk, Outcome, OutcomeKind, Profile,
};
use facefleet::queue::JobQueue;
use facefleet::settings::Settings;
use facefleet::store::Store;
use facefleet::worker::{Process, Processed};
use futures::StreamExt;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::support::broker::TestBroker;
use crate::support::s3::S3Server;
use crate::support::stack::{Database, program};
use crate::support::{PHOTOS, face, gallery, profile, sample_path, selection, uri};

/// Whatever a test waits for happens within this time.
const PATIENCE: Duration = Duration::from_secs(120);

/// A fleet with its own queues and database.
struct Fleet {
    broker: TestBroker,
    database: Database,
    variables: Vec<(String, String)>,
}

impl Fleet {
    async fn new() -> Self {
        Self { broker: TestBroker::new(), database: Database::new().await, variables: Vec::new() }
    }

    /// The program, with these settings in addition to the fleet's.
    fn command(&self, arguments: &[&str], settings: &[(&str, &str)]) -> Command {
        let TestBroker { url, prefix } = &self.broker;
        let mut command = program(url.as_str(), prefix, &self.database.url);
        command.args(arguments).envs(self.variables.iter().cloned());
        command.env("FACEFLEET__WORKER__THREADS", "1").envs(settings.iter().copied());
        command
    }

    /// Exit status, standard output and error of the program.
    async fn run(
        &self,
        arguments: &[&str],
        settings: &[(&str, &str)],
    ) -> (Option<i32>, String, String) {
        let mut command = self.command(arguments, settings);
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    }

    /// The last line that the program prints, as JSON. It must exit with 0.
    async fn json(&self, arguments: &[&str], settings: &[(&str, &str)]) -> Value {
        let (status, out, err) = self.run(arguments, settings).await;
        assert_eq!(status, Some(0), "{arguments:?}\n{out}\n{err}");
        serde_json::from_str(out.lines().last().unwrap()).unwrap()
    }

    fn app(&self) -> App {
        let mut settings = Settings::load(None).unwrap();
        settings.home = env!("CARGO_MANIFEST_DIR").into();
        settings.queue.url = self.broker.url.as_str().to_owned().into();
        settings.queue.prefix.clone_from(&self.broker.prefix);
        settings.store.url = self.database.url.clone().into();
        App::new(settings)
    }
}

/// A worker process, killed on drop.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

impl Running {
    /// Stops it as an operator does. What it announced is acknowledged then: killed after an event,
    /// a worker may leave the job to another one.
    async fn stop(mut self) {
        let stopping = move || {
            let id = self.0.id().to_string();
            assert!(Command::new("kill").args(["-TERM", &id]).status().unwrap().success());
            self.0.wait().unwrap().code()
        };
        assert_eq!(tokio::task::spawn_blocking(stopping).await.unwrap(), Some(0));
    }
}

/// A folder of the sample photos.
fn photos() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in PHOTOS {
        std::fs::copy(sample_path(name), folder.path().join(name)).unwrap();
    }
    folder
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_with_other_settings_than_the_scanner_do_not_make_it_repeat_a_scan() {
    let fleet = Fleet::new().await;
    let folder = photos();
    let photos = folder.path().to_str().unwrap();
    let own =
        [("FACEFLEET__DETECTOR__MIN_FACE_PX", "100"), ("FACEFLEET__DETECTOR__MIN_SCORE", "0.7")];
    let worker =
        fleet.command(&["worker", "--root", photos], &own).stdout(Stdio::null()).spawn().unwrap();
    let worker = Running(worker);
    let mut summaries = Vec::new();
    for _ in 0..3 {
        let last =
            fleet.json(&["scan", photos, "--gallery", "staff", "--wait", "--json"], &[]).await;
        summaries.push((
            last["summary"]["outcomes"]["scored"].clone(),
            last["summary"]["skipped"].clone(),
        ));
    }
    let all = PHOTOS.len();
    let (first, again) = ((json!(all), json!(0)), (json!(0), json!(all)));
    assert_eq!(summaries, [first, again.clone(), again]);
    let campaign = fleet.json(&["campaign", "show", "latest", "--json"], &[]).await;
    assert_eq!(
        (&campaign["selection"]["faces"], &campaign["selection"]["min_size_px"]),
        (&json!("all"), &json!(24))
    );
    drop(worker);
    fleet.broker.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn images_that_are_denied_later_keep_their_faces_in_the_export() {
    let fleet = Fleet::new().await;
    let folder = photos();
    let photos = folder.path().to_str().unwrap();
    let worker = |root: &str| {
        Running(
            fleet.command(&["worker", "--root", root], &[]).stdout(Stdio::null()).spawn().unwrap(),
        )
    };
    let reader = worker(photos);
    fleet.json(&["scan", photos, "--gallery", "staff", "--wait", "--json"], &[]).await;
    reader.stop().await;
    let exported = async || {
        let (status, out, err) = fleet
            .run(&["export", "--gallery", "staff", "--format", "jsonl", "--templates"], &[])
            .await;
        assert_eq!(status, Some(0), "{err}");
        out.lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<Value>>()
    };
    let before = exported().await;
    assert!(
        before.len() == PHOTOS.len()
            && before.iter().all(|image| image["faces"][0]["template"].is_array())
    );

    let queue = fleet.app().queue().await.unwrap();
    let enrolment = |name: &str| {
        let image = ImageUri::from_path(&folder.path().canonicalize().unwrap().join(name)).unwrap();
        Job { image, stamp: None, profile: None, ..crate::support::job(Lane::Enrol, "") }
    };
    let mut events = queue.events().await.unwrap();
    queue.publish(PHOTOS.map(enrolment).into()).await.unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let denied = worker(elsewhere.path().to_str().unwrap());
    for _ in PHOTOS {
        let event = timeout(PATIENCE, events.next()).await.unwrap().unwrap();
        assert_eq!(event.end.outcome, OutcomeKind::Refused, "the outcome of this job");
    }
    drop(denied);
    let mut after = exported().await;
    for image in &mut after {
        assert_eq!(image["noted"].take()["outcome"], "refused");
    }
    assert_eq!(after, before);
    queue.close().await;
    fleet.broker.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_campaign_is_resumed_with_its_own_selection() {
    let server = S3Server::start();
    server.put("photos", "a.jpg", &std::fs::read(sample_path("obama.jpg")).unwrap());
    let fleet = Fleet { variables: server.variables(), ..Fleet::new().await };
    let scan = ["scan", "s3://photos/", "--gallery", "staff", "--json"];
    fleet.json(&scan, &[]).await;
    let campaign = fleet.json(&["campaign", "show", "latest", "--json"], &[]).await["campaign"]
        .as_str()
        .unwrap()
        .to_owned();
    let resume = [&scan[..], &["--resume", &campaign]].concat();
    let other =
        [("FACEFLEET__DETECTOR__MIN_FACE_PX", "30"), ("FACEFLEET__DETECTOR__FACES", "largest")];
    let (status, _, err) = fleet.run(&resume, &other).await;
    assert_eq!(status, Some(1), "{err}");
    let advice = "set detector.faces = all (it is largest here), detector.min_face_px = 24 (it is \
        30 here) to resume it";
    assert!(err.contains(advice) && !err.contains("min_score"), "{err}");
    fleet.json(&resume, &[]).await;
    fleet.broker.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn labelled_photos_are_scored_by_the_process_that_evaluates_them() {
    let fleet = Fleet::new().await;
    let folder = photos();
    let labels = folder.path().join("labels.csv");
    std::fs::write(&labels, "file,subject\nobama.jpg,o\nobama2.jpg,o\nbiden.jpg,b\n").unwrap();
    // There is no worker.
    let (status, out, err) = fleet.run(&["evaluate", labels.to_str().unwrap()], &[]).await;
    assert_eq!(status, Some(0), "{err}");
    assert!(out.starts_with("3 photos of 2 people"), "{out}");
    let campaign = fleet.json(&["campaign", "show", "latest", "--json"], &[]).await;
    assert_eq!(campaign["source"], format!("labels {}", labels.display()));
    assert_eq!(
        (&campaign["state"], &campaign["outcomes"]["scored"]),
        (&json!("complete"), &json!(3))
    );
    let status = fleet.json(&["queue", "status", "--json"], &[]).await;
    assert_eq!((&status["ready"]["scan"], &status["dead"]), (&json!(0), &json!(0)), "{status}");
    fleet.broker.remove().await;
}

/// Fails at every job while it is broken, and finds a face in each afterwards.
struct Repairable {
    profile: Profile,
    broken: AtomicBool,
}

#[async_trait]
impl Process for Repairable {
    fn profile(&self) -> &Profile {
        &self.profile
    }

    async fn process(&self, job: &Job) -> Processed {
        let outcome = match self.broken.load(Ordering::SeqCst) {
            true => Outcome::Failed("the network is broken".into()),
            false => Outcome::Scored(vec![face(50)]),
        };
        let selection = job.selection.complete(&selection());
        Processed::Ended(Box::new(JobRecord::without_content(
            job,
            &self.profile.id(),
            selection,
            "cpu",
            outcome,
        )))
    }
}

/// Waits until `enough` is true of the campaign's progress and the number of dead letters.
async fn until(
    store: &dyn Store,
    queue: &dyn JobQueue,
    id: CampaignId,
    enough: impl Fn(&CampaignProgress, u64) -> bool,
) {
    let give_up = Instant::now() + PATIENCE;
    loop {
        let progress = store.campaign(id).await.unwrap().unwrap().progress;
        let dead = queue.status().await.unwrap().dead;
        if enough(&progress, dead) {
            return;
        }
        assert!(Instant::now() < give_up, "nothing happens: {progress:?}, {dead} dead");
        sleep(Duration::from_millis(50)).await;
    }
}

/// A campaign of `count` jobs, published and completely listed.
async fn campaign(
    store: &dyn Store,
    queue: &dyn JobQueue,
    profile: &Profile,
    count: u64,
) -> (CampaignId, Vec<Job>) {
    store.register_profile(profile).await.unwrap();
    let campaign = Campaign {
        id: CampaignId::new(),
        lane: Lane::Scan,
        gallery: gallery(),
        profile: profile.id(),
        selection: Some(selection()),
        source: "a test".into(),
        state: CampaignState::Running,
        progress: CampaignProgress::default(),
        started_at: String::new(),
    };
    store.begin_campaign(&campaign, None).await.unwrap();
    let job = |number: u64| {
        let image = uri(&number.to_string());
        Job {
            id: campaign.id.job(&image),
            image,
            campaign: Some(campaign.id),
            ..crate::support::job(Lane::Scan, "")
        }
    };
    let jobs: Vec<Job> = (0..count).map(job).collect();
    let chunk = ListedChunk { listed: count, ..ListedChunk::default() };
    store.note_listed(campaign.id.into(), &chunk).await.unwrap();
    store.end_listing(campaign.id.into()).await.unwrap();
    queue.publish(jobs.clone()).await.unwrap();
    (campaign.id, jobs)
}

/// State, outcomes and jobs left of the latest campaign, as the program shows them.
async fn shown(fleet: &Fleet) -> (String, BTreeMap<String, u64>, u64) {
    let campaign = fleet.json(&["campaign", "show", "latest", "--json"], &[]).await;
    let mut outcomes: BTreeMap<String, u64> =
        serde_json::from_value(campaign["outcomes"].clone()).unwrap();
    outcomes.retain(|_, jobs| *jobs > 0);
    (campaign["state"].as_str().unwrap().to_owned(), outcomes, campaign["left"].as_u64().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn retried_dead_letters_count_in_their_campaign_with_their_new_outcomes() {
    const JOBS: u64 = 20;
    let fleet = Fleet::new().await;
    let app = fleet.app();
    let (queue, store) = (app.queue().await.unwrap(), app.store().await.unwrap());
    let processor = Arc::new(Repairable { profile: profile("a"), broken: AtomicBool::new(true) });
    let (id, jobs) = campaign(&*store, &*queue, &processor.profile, JOBS).await;
    let work = || {
        let (stop, enrol) = (CancellationToken::new(), EnrolRules::default());
        let worker = app.worker(queue.clone(), store.clone(), processor.clone(), enrol);
        (stop.clone(), tokio::spawn(worker.run(stop)))
    };
    let complete =
        |outcome: &str| ("complete".to_owned(), BTreeMap::from([(outcome.to_owned(), JOBS)]), 0);

    let (stop, worker) = work();
    until(&*store, &*queue, id, |progress, dead| progress.is_complete() && dead == JOBS).await;
    stop.cancel();
    worker.await.unwrap().unwrap();
    assert_eq!(shown(&fleet).await, complete("failed"));

    processor.broken.store(false, Ordering::SeqCst);
    let (status, out, err) = fleet.run(&["queue", "retry", "--all"], &[]).await;
    assert_eq!((status, out.as_str()), (Some(0), "20 published again\n"), "{err}");
    assert_eq!(shown(&fleet).await, complete("failed"), "they keep their outcome until they end");

    let (stop, worker) = work();
    // Some of the jobs are published twice.
    queue.publish(jobs[..5].to_vec()).await.unwrap();
    let scored =
        |progress: &CampaignProgress, _| progress.outcomes.get(&OutcomeKind::Scored) == Some(&JOBS);
    until(&*store, &*queue, id, scored).await;
    stop.cancel();
    worker.await.unwrap().unwrap();
    assert_eq!(shown(&fleet).await, complete("scored"));
    assert_eq!(queue.status().await.unwrap().dead, 0);
    queue.close().await;
    fleet.broker.remove().await;
}
