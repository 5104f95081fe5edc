//! A story: a gallery gets a new recogniser, and everything is as it should be at each step.
//!
//! Two thousand images are scanned and people enrolled under the old one. A schedule that is due
//! re-scores them under the new one, while more images and people come under the old one, a worker
//! is killed, and in the fleet the broker restarts. Then the two are compared, the new one is
//! activated, the old one is activated again, and the new one is retired. Each step is a command
//! that people run: in processes of their own with `SQLite`, and in a fleet with `RabbitMQ` and
//! Postgres.

pub mod stage;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use facefleet::domain::{
    Campaign, CampaignId, CampaignProgress, Lane, ProfileId, RunState, Schedule, UtcTime,
};
use facefleet::settings::Settings;
use facefleet::store::postgres::PostgresStore;
use facefleet::store::sqlite::SqliteStore;
use facefleet::store::{RunQuery, Store};
use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use self::stage::{
    CROWD, EMPTY, LATE, Model, NEWCOMER, PEOPLE, Process, SHOTS, STAFF, Stage, crowd, kind, shots,
};
use crate::faults;
use crate::support::stack::Database;

/// Whatever the story waits for happens within this time.
const PATIENCE: Duration = Duration::from_secs(180);
/// An image that is gone when it is re-scored.
const GONE: &str = "0000.jpg";
/// So many images are re-scored when a worker is killed.
const KILLED_AT: u64 = 100;
/// The pace of the re-score: it must not end before what comes meanwhile has begun.
const PACE: &str = "100/s";

/// What a gallery has of a profile: images by name.
type Images = BTreeMap<String, Value>;

fn number(value: &Value, key: &str) -> u64 {
    value[key].as_u64().unwrap_or_else(|| panic!("no {key} in {value}"))
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_else(|| panic!("no {key} in {value}"))
}

fn names<'a>(people: impl IntoIterator<Item = &'a str>, numbers: usize) -> BTreeSet<String> {
    people.into_iter().flat_map(shots).chain(crowd(0..numbers)).collect()
}

fn names_of(images: &Images) -> BTreeSet<String> {
    images.keys().cloned().collect()
}

/// All that is there before the re-score, and after it.
fn first() -> BTreeSet<String> {
    names(PEOPLE.map(|(person, _)| person), CROWD)
}

fn all() -> BTreeSet<String> {
    names(PEOPLE.map(|(person, _)| person).into_iter().chain([NEWCOMER]), CROWD + LATE)
}

fn template(image: &Value) -> Vec<f64> {
    let components = image["faces"][0]["template"].as_array();
    let components = components.unwrap_or_else(|| panic!("no template in {image}"));
    components.iter().map(|component| component.as_f64().unwrap()).collect()
}

fn similarity(one: &[f64], other: &[f64]) -> f64 {
    assert_eq!(one.len(), other.len());
    one.iter().zip(other).map(|(a, b)| a * b).sum()
}

/// Every image has the outcome that it should, and a template of what it shows. `gone`: the outcome
/// of the image that is gone.
fn assert_sound(images: &Images, profile: &str, gone: &str) {
    let of_kind: Vec<Vec<f64>> =
        (1..=PEOPLE.len()).map(|number| template(&images[&format!("{number:04}.jpg")])).collect();
    for (name, image) in images {
        assert_eq!(text(image, "profile"), profile, "{name}");
        let number = name.strip_suffix(".jpg").and_then(|number| number.parse().ok());
        let expected = match number {
            Some(number) if kind(number).is_none() => "no_face",
            _ if name == GONE => gone,
            _ => "scored",
        };
        assert_eq!(text(image, "outcome"), expected, "{name}: {image}");
        let faces = image["faces"].as_array().map_or(0, Vec::len);
        assert_eq!(faces, usize::from(expected == "scored"), "{name}: {image}");
        let shown = number.filter(|_| expected == "scored").and_then(kind);
        if let Some(kind) = shown {
            // Numbers 1, 2 and 3 show the people 1, 2 and 0.
            let same = &of_kind[(kind + PEOPLE.len() - 1) % PEOPLE.len()];
            let similarity = similarity(&template(image), same);
            assert!(similarity > 0.999, "{name} shows kind {kind}: {similarity}");
        }
    }
}

/// No template of one profile is in the results of the other.
fn assert_not_mixed(old: &Images, new: &Images) {
    for (name, image) in new.iter().filter(|(_, image)| text(image, "outcome") == "scored") {
        let similarity = similarity(&template(&old[name]), &template(image));
        assert!(similarity < 0.9, "{name} has one template under both profiles: {similarity}");
    }
}

/// The candidates for everybody of `people` by a search under the settings of a model, and so of a
/// profile.
fn found(stage: &Stage, (model, profile): (Model, &str), people: &[&str]) -> Vec<Value> {
    let probes: Vec<String> = people.iter().map(|person| format!("{person}-probe.jpg")).collect();
    let probes = probes.iter().map(String::as_str);
    let answers = stage.json(model, &["search"].into_iter().chain(probes).collect::<Vec<_>>());
    assert_eq!(answers.len(), people.len());
    for (person, answer) in people.iter().zip(&answers) {
        assert_eq!(answer["candidates"][0]["subject"], *person, "{answer}");
        assert_eq!(text(answer, "profile"), profile);
    }
    answers.into_iter().map(|mut answer| answer["candidates"].take()).collect()
}

/// The gallery under the old recogniser: the profile, and what it has.
fn begin(stage: &Stage) -> (String, Images) {
    let scanned = stage.summary(Model::Old, &["scan", "photos", "--wait"]);
    let empty = (CROWD / EMPTY) as u64;
    let outcomes = json!({"scored": CROWD as u64 - empty, "no_face": empty});
    for (kind, count) in outcomes.as_object().unwrap() {
        assert_eq!(&scanned["outcomes"][kind], count, "{scanned}");
    }
    let people = PEOPLE.map(|(person, _)| person);
    let enrolled = stage.enrol(&people);
    let expected = (people.len() * SHOTS as usize) as u64;
    assert_eq!(["accepted", "listed"].map(|key| number(&enrolled, key)), [expected; 2]);
    let old = text(&scanned, "profile").to_owned();
    let images = stage.export(None);
    assert_eq!(names_of(&images), first());
    assert_sound(&images, &old, "scored");
    found(stage, (Model::Old, &old), &people);
    (old, images)
}

/// A schedule of a re-score under the new recogniser that is due now; its slot.
async fn make_due(stage: &Stage) -> CampaignId {
    let file = stage.sandbox.path("new.toml");
    let table = format!(
        "[[schedule]]\nname = 'new-model'\ncron = '0 0 1 1 *'\naction = 'rescore'\n\
         gallery = '{STAFF}'\nrate = '{PACE}'\n"
    );
    let settings = std::fs::read_to_string(&file).unwrap() + &table;
    std::fs::write(&file, settings).unwrap();
    let schedule: Schedule = Settings::load(Some(&file)).unwrap().schedule.remove(0);
    let now = stage.store.clock().await.unwrap();
    let before = UtcTime::from_millisecond(now.as_millisecond() - 400 * 86_400_000).unwrap();
    let slot = schedule.timing.slots(before, now, 1)[0];
    stage.store.set_schedule(&schedule, Some(slot)).await.unwrap();
    CampaignId::of_slot(&schedule.name, slot)
}

/// Waits until `enough` is true of the campaign.
async fn until(
    stage: &Stage,
    id: CampaignId,
    enough: impl Fn(&CampaignProgress) -> bool,
) -> CampaignProgress {
    let waiting = async {
        loop {
            if let Some(campaign) = stage.store.campaign(id).await.unwrap()
                && enough(&campaign.progress)
            {
                return campaign.progress;
            }
            sleep(Duration::from_millis(5)).await;
        }
    };
    let Ok(progress) = timeout(PATIENCE, waiting).await else {
        panic!("the re-score makes no progress: {:?}", stage.store.campaign(id).await);
    };
    progress
}

/// More images and a person come under the old recogniser.
fn more_comes(stage: &Stage) {
    std::thread::scope(|scope| {
        let enrolling = scope.spawn(|| stage.enrol(&[NEWCOMER]));
        stage.crowd_comes(CROWD..CROWD + LATE);
        let scanned = stage.summary(Model::Old, &["scan", "photos", "--wait"]);
        let counts = ["listed", "skipped"].map(|key| number(&scanned, key));
        // The image that is gone is not listed.
        assert_eq!(counts, [(CROWD + LATE - 1) as u64, CROWD as u64 - 1], "{scanned}");
        assert_eq!(number(&scanned["outcomes"], "no_face"), (LATE / EMPTY) as u64, "{scanned}");
        let enrolled = enrolling.join().unwrap();
        assert_eq!(number(&enrolled, "accepted"), SHOTS as u64, "{enrolled}");
    });
}

/// Waits until two scans and two enrolments have begun, all those of the old recogniser.
async fn more_has_begun(stage: &Stage) {
    let begun = async |lane| {
        let campaigns = of_lane(stage, lane).await;
        campaigns.iter().filter(|campaign| campaign.progress.listed > 0).count()
    };
    let waiting = async {
        while begun(Lane::Scan).await + begun(Lane::Enrol).await < 4 {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, waiting).await.expect("a scan and an enrolment begin");
}

/// The slot is re-scored though a worker is killed, and in a fleet the broker restarts. Returns the
/// processes of the new recogniser.
async fn rescore(stage: &Arc<Stage>, id: CampaignId) -> Vec<Process> {
    let workers = if stage.fleet { 2 } else { 1 };
    let mut processes: Vec<Process> = (0..workers).map(|_| stage.start(Model::New)).collect();
    until(stage, id, |progress| progress.ended() > 0).await;
    let coming = tokio::task::spawn_blocking({
        let stage = stage.clone();
        move || more_comes(&stage)
    });
    more_has_begun(stage).await;
    until(stage, id, |progress| progress.ended() >= KILLED_AT).await;
    processes.remove(0).kill();
    let left = until(stage, id, |_| true).await;
    assert!(!left.is_complete(), "it was too fast for what came meanwhile");
    if stage.fleet {
        tokio::task::block_in_place(|| {
            faults::stack(&["stop", "rabbitmq"]);
            faults::stack(&["start", "rabbitmq"]);
        });
    }
    processes.push(stage.start(Model::New));
    coming.await.unwrap();
    let progress = until(stage, id, CampaignProgress::is_complete).await;
    assert_eq!(progress.listed, progress.skipped + progress.ended(), "{progress:?}");
    processes
}

async fn of_lane(stage: &Stage, lane: Lane) -> Vec<Campaign> {
    let campaigns = stage.store.campaigns(100).await.unwrap();
    campaigns.into_iter().filter(|campaign| campaign.lane == lane).collect()
}

/// The slot had one campaign and one run, and its results are beside those of the old recogniser.
async fn check_shadow(stage: &Stage, id: CampaignId, old: &str, before: &Images) -> String {
    let [campaign] = &of_lane(stage, Lane::Rescore).await[..] else { panic!("one re-score") };
    assert_eq!(campaign.id, id);
    let query = RunQuery { schedule: None, running: false, limit: 10 };
    let ended = async {
        loop {
            let runs = stage.store.schedule_runs(&query).await.unwrap();
            if let [run] = &runs[..]
                && run.state != RunState::Running
            {
                return run.clone();
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    let run = timeout(PATIENCE, ended).await.expect("one run that ends");
    assert_eq!((run.state, run.campaign), (RunState::Done, Some(id)), "{run:?}");
    let (new, now) = (campaign.profile.to_string(), stage.export(None));
    assert_eq!(names_of(&now), all());
    assert_sound(&now, old, "scored");
    for (name, image) in before {
        assert_eq!(image["faces"], now[name]["faces"], "{name} changed");
    }
    let shadow = stage.export(Some(&new));
    assert!(names_of(&shadow).is_superset(&first()), "an image was lost");
    assert_sound(&shadow, &new, "unreadable");
    assert_not_mixed(&now, &shadow);
    new
}

/// What came meanwhile has no results of the new recogniser, or not all. Another re-score does
/// what is missing. Returns the results of both.
fn fill_up(stage: &Stage, old: &str, new: &str) -> [Images; 2] {
    let done = stage.export(Some(new));
    let rescored = stage.summary(Model::New, &["rescore", "--wait"]);
    let counts = ["listed", "skipped"].map(|key| number(&rescored, key));
    // The image that is gone is tried again.
    assert_eq!(counts, [all().len() as u64, done.len() as u64 - 1], "{rescored}");
    let both = [old, new].map(|profile| stage.export(Some(profile)));
    assert_sound(&both[0], old, "scored");
    assert_sound(&both[1], new, "unreadable");
    assert_not_mixed(&both[0], &both[1]);
    assert_eq!(both.each_ref().map(names_of), [all(), all()]);
    both
}

fn compare(stage: &Stage, old: &str, new: &str) {
    let compared = stage.json(Model::Old, &["profile", "compare", old, new]).remove(0);
    let coverage = &compared["coverage"];
    assert_eq!(number(coverage, "images_both"), all().len() as u64 - 1, "{coverage}");
}

/// Commands that name no profile show `profile` alone.
fn assert_shown(stage: &Stage, profile: &str, other: &str, images: &Images) {
    assert_eq!(&stage.export(None), images);
    stage.run(Model::Old, &["report", "--gallery", STAFF, "--out", "report.html"]).ended(0);
    let report = std::fs::read_to_string(stage.sandbox.path("report.html")).unwrap();
    assert!(report.contains(profile) && !report.contains(other));
}

/// The new recogniser is activated, and the old one again.
fn change_and_change_back(stage: &Stage, [old, new]: [&str; 2], [of_old, of_new]: [&Images; 2]) {
    let everybody: Vec<&str> = PEOPLE.iter().map(|(person, _)| *person).chain([NEWCOMER]).collect();
    let before = found(stage, (Model::Old, old), &everybody);
    assert_shown(stage, old, new, of_old);
    let activate = |profile| stage.json(Model::Old, &["profile", "activate", profile]).remove(0);
    let activated = activate(new);
    let instead = (&activated["instead_of"], &activated["forced"]);
    assert_eq!(instead, (&json!(old), &json!(false)), "{activated}");
    found(stage, (Model::New, new), &everybody);
    assert_shown(stage, new, old, of_new);
    // The old recogniser's templates are not compared with those of the new one.
    let refused = stage.run(Model::Old, &["search", "ann-probe.jpg", "--gallery", STAFF]);
    refused.ended(1);
    assert!(refused.err.contains(new), "{}", refused.err);
    activate(old);
    assert_eq!(found(stage, (Model::Old, old), &everybody), before);
    assert_shown(stage, old, new, of_old);
}

/// The new recogniser is retired: nothing of it is left, and all of the old one.
async fn retire(stage: &Stage, new: &str, of_old: &Images) {
    let gone = async {
        let profile: ProfileId = new.parse().unwrap();
        let works = async || {
            let workers = stage.store.workers().await.unwrap();
            workers.iter().any(|worker| worker.live && worker.report.profile == profile)
        };
        while works().await {
            sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(PATIENCE, gone).await.expect("the killed worker is known to be gone");
    let retired = stage.json(Model::Old, &["profile", "retire", new]).remove(0);
    assert_eq!(number(&retired, "deleted"), all().len() as u64, "{retired}");
    let left = stage.store.gallery_profiles().await.unwrap();
    let left: Vec<_> = left.iter().map(|of| of.profile.as_str()).collect();
    assert_eq!(left, [text(&of_old[GONE], "profile")]);
    assert_eq!(&stage.export(None), of_old);
    let faces = of_old.values().filter(|image| text(image, "outcome") == "scored").count();
    assert_eq!(stage.templates().await, faces as i64);
}

async fn story(stage: Stage) {
    let stage = Arc::new(stage);
    let old_worker = stage.fleet.then(|| stage.start(Model::Old));
    let (old, before) = begin(&stage);
    std::fs::remove_file(stage.sandbox.path(&format!("photos/{GONE}"))).unwrap();
    let id = make_due(&stage).await;
    let processes = rescore(&stage, id).await;
    let new = check_shadow(&stage, id, &old, &before).await;
    let [of_old, of_new] = fill_up(&stage, &old, &new);
    processes.into_iter().for_each(Process::stop);
    compare(&stage, &old, &new);
    change_and_change_back(&stage, [&old, &new], [&of_old, &of_new]);
    retire(&stage, &new, &of_old).await;
    if let Some(worker) = old_worker {
        worker.stop();
    }
    stage.store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gallery_changes_its_model_and_back_in_processes_of_one_machine() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("faces.db").display());
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&url).await.unwrap());
    story(Stage::new(store, &url, None)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gallery_changes_its_model_and_back_in_a_fleet() {
    // A stack whose broker may be restarted.
    let stack = faults::Stack::take().await;
    let database = Database::on(&stack.store).await;
    let prefix = format!("story-{}", CampaignId::new());
    let store: Arc<dyn Store> = Arc::new(PostgresStore::open(&database.url, 4).await.unwrap());
    let queue = Some((stack.queue.as_str(), prefix.as_str()));
    story(Stage::new(store, &database.url, queue)).await;
}
