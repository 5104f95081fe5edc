//! `facefleet schedule`, in one process.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use facefleet::app::App;
use facefleet::app::schedules::SchedulingWorker;
use facefleet::domain::{
    CampaignId, JobRecord, Lane, RunState, Schedule, ScheduleRun, UtcTime, WorkerReport,
};
use facefleet::gallery::schedules::Scheduler;
use facefleet::images::Root;
use facefleet::queue::JobQueue;
use facefleet::queue::memory::MemoryQueue;
use facefleet::settings::Settings;
use facefleet::store::sqlite::SqliteStore;
use facefleet::store::{Campaigns, RunKey, RunQuery, ScheduleRuns, Schedules, Store};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::schemas::assert_fits;
use super::{Run, Sandbox, number};
use crate::support::{profile, sample, scored, worker_report};

const PATIENCE: Duration = Duration::from_secs(180);

impl Sandbox {
    /// With a schedule each that scans, re-scores and reports, once a day.
    fn with_schedules() -> Self {
        let sandbox = Self::new();
        for name in ["astronaut.png", "obama.jpg", "chelsea.png"] {
            sandbox.write(&format!("photos/{name}"), &sample(name));
        }
        let folder = sandbox.folder.path().canonicalize().unwrap();
        let photos = folder.join("photos");
        let daily = "cron = '30 4 * * *'\ntimezone = 'Europe/Berlin'\ngallery = 'staff'\n";
        let settings = format!(
            "[images]\nallow = ['{0}']\n\
                [[schedule]]\nname = 'new-photos'\n{daily}action = 'scan'\nroots = ['{0}']\n\
                exclude = ['chelsea*']\n\
                [[schedule]]\nname = 'other-models'\n{daily}action = 'rescore'\nrate = '50/s'\n\
                [[schedule]]\nname = 'weekly'\n{daily}action = 'report'\nout = '{1}'\n",
            photos.display(),
            folder.join("staff.html").display()
        );
        sandbox.write("facefleet.toml", settings.as_bytes());
        sandbox
    }

    async fn store(&self) -> SqliteStore {
        let file = self.path("facefleet.db");
        SqliteStore::open(&format!("sqlite:{}", file.display())).await.unwrap()
    }

    /// Sets a schedule to be due since its last `missed` slots; returns the latest.
    async fn missed(&self, name: &str, missed: usize) -> UtcTime {
        let settings = Settings::load(Some(&self.path("facefleet.toml"))).unwrap();
        let mut schedules = settings.schedule.into_iter();
        let schedule = schedules.find(|schedule| schedule.name.as_str() == name).unwrap();
        let now = UtcTime::from(jiff::Timestamp::now());
        let week = UtcTime::from_millisecond(now.as_millisecond() - 7 * 86_400_000).unwrap();
        let slots = schedule.timing.slots(week, now, missed);
        let store = self.store().await;
        // Another timing in between: the slot is a new one then.
        let off = Schedule { enabled: false, ..schedule.clone() };
        store.set_schedule(&off, None).await.unwrap();
        store.set_schedule(&schedule, Some(slots[0])).await.unwrap();
        *slots.last().unwrap()
    }

    fn history(&self, name: &str) -> Vec<Value> {
        let run = self.run(&["schedule", "history", name, "--json"]);
        run.ended(0);
        run.json()
    }
}

fn text<'a>(line: &'a Value, key: &str) -> &'a str {
    line[key].as_str().unwrap_or_else(|| panic!("no {key} in {line}"))
}

#[tokio::test]
async fn what_is_due_is_run_once_and_has_its_campaign() {
    let sandbox = Sandbox::with_schedules();
    let first = sandbox.run(&["schedule", "run"]);
    first.ended(0);
    assert_eq!(first.out, "nothing is due\n", "a new schedule waits for its next slot");
    let listed = sandbox.run(&["schedule", "list", "--json"]).json();
    assert_fits("schedule", &listed);
    let names: Vec<_> = listed.iter().map(|line| text(line, "schedule")).collect();
    assert_eq!(names, ["new-photos", "other-models", "weekly"]);
    let due = text(&listed[0], "next_due_local");
    assert!(due.contains(" 04:30 +0"), "{due}");
    assert_eq!(listed[0]["last_run"], Value::Null);

    let slot = sandbox.missed("new-photos", 3).await;
    let run = sandbox.run(&["schedule", "run", "--json"]);
    run.ended(0);
    let runs = run.json();
    assert_fits("schedule-run", &runs);
    let id = CampaignId::of_slot(&"new-photos".parse().unwrap(), slot);
    let campaign = text(&runs[0], "campaign");
    assert_eq!((runs.len(), text(&runs[0], "state"), campaign), (1, "done", &*id.to_string()));
    let campaigns = sandbox.run(&["campaign", "list", "--json"]).json();
    assert_eq!((campaigns.len(), text(&campaigns[0], "campaign")), (1, campaign));
    assert_eq!(text(&campaigns[0], "state"), "complete");
    assert_eq!(number(&campaigns[0], "listed"), 2, "{}", campaigns[0]);
    let states: Vec<_> =
        sandbox.history("new-photos").iter().map(|run| text(run, "state").to_owned()).collect();
    assert_eq!(states, ["done", "skipped", "skipped"]);

    let again = sandbox.run(&["schedule", "run"]);
    again.ended(0);
    assert_eq!(again.out, "nothing is due\n");
    // The same slot once more, as if the clock had jumped back.
    sandbox.missed("new-photos", 1).await;
    sandbox.run(&["schedule", "run"]).ended(0);
    assert_eq!(sandbox.history("new-photos").len(), 3);
    assert_eq!(sandbox.run(&["campaign", "list", "--json"]).json().len(), 1);
}

#[test]
fn schedules_that_are_named_run_now() {
    let sandbox = Sandbox::with_schedules();
    let missing = sandbox.run(&["schedule", "run", "weekly"]);
    missing.ended(3);
    assert!(missing.out.contains("failed") && missing.out.contains("the store is empty"));
    let unknown = sandbox.run(&["schedule", "run", "monthly"]);
    unknown.ended(1);
    assert!(unknown.err.contains("the settings have no schedule 'monthly'"), "{}", unknown.err);

    sandbox.run(&["schedule", "run", "new-photos", "weekly"]).ended(0);
    let report = std::fs::read_to_string(sandbox.path("staff.html")).unwrap();
    assert!(report.contains("staff"));
    let other = [("FACEFLEET__QUALITY__METHOD", "sampled"), ("FACEFLEET__QUALITY__PASSES", "10")];
    let arguments = ["schedule", "run", "other-models", "--json"];
    let run = Run::of(sandbox.command(&arguments).envs(other).output().unwrap());
    run.ended(0);
    let campaigns = sandbox.run(&["campaign", "list", "--json"]).json();
    let rescore = &campaigns[0];
    assert_eq!((text(rescore, "lane"), text(rescore, "state")), ("rescore", "complete"));
    assert_eq!(number(&rescore["outcomes"], "scored"), 2, "{rescore}");
    assert_ne!(text(rescore, "profile"), text(&campaigns[1], "profile"));
    let history = sandbox.run(&["schedule", "history", "--limit", "2"]);
    history.ended(0);
    assert_eq!(history.out.lines().count(), 2, "{}", history.out);
    assert!(history.out.starts_with("other-models"), "{}", history.out);
    let listed = sandbox.run(&["schedule", "list"]);
    assert!(listed.out.contains("misfire once") && listed.out.contains("last: "), "{}", listed.out);
}

#[tokio::test]
async fn a_run_whose_process_is_killed_is_finished_by_another_one() {
    let sandbox = Sandbox::with_schedules();
    std::fs::remove_file(sandbox.path("photos/chelsea.png")).unwrap();
    sandbox.fill(150);
    sandbox.run(&["schedule", "run"]).ended(0);
    let slot = sandbox.missed("new-photos", 1).await;
    let name = "new-photos".parse().unwrap();
    let id = CampaignId::of_slot(&name, slot);
    let mut killed = sandbox
        .command(&["schedule", "run"])
        .envs([
            ("FACEFLEET__WORKER__THREADS", "1"),
            ("FACEFLEET__WORKER__IN_FLIGHT", "4"),
            ("FACEFLEET__WORKER__RECORD_BATCH", "4"),
        ])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let store = sandbox.store().await;
    let began = Instant::now();
    loop {
        let progress = store.campaign(id).await.unwrap().map(|campaign| campaign.progress);
        if progress.is_some_and(|progress| progress.ended() > 0) {
            break;
        }
        assert!(began.elapsed() < PATIENCE, "nothing ends");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    killed.kill().unwrap();
    killed.wait().unwrap();
    let before = store.campaign(id).await.unwrap().unwrap().progress;
    assert!(!before.is_complete(), "it was too fast to be killed in between");

    // Not before it is known that the process is gone.
    let early = sandbox.run(&["schedule", "run"]);
    assert_eq!(early.out, "nothing is due\n");
    let key = RunKey { schedule: name, slot };
    let silent = async || {
        let query = RunQuery { schedule: None, running: true, limit: 1 };
        store.schedule_runs(&query).await.unwrap()[0].silent
    };
    while !silent().await {
        assert!(began.elapsed() < PATIENCE, "{key:?} never is silent");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let run = sandbox.run(&["schedule", "run", "--json"]);
    run.ended(0);
    assert_eq!(text(&run.json()[0], "campaign"), id.to_string());
    let after = store.campaign(id).await.unwrap().unwrap().progress;
    assert!(after.is_complete(), "{after:?}");
    // 150 and two samples: each image once.
    assert_eq!((after.listed, after.skipped + after.ended()), (152, 152), "{after:?}");
    assert_eq!(sandbox.run(&["campaign", "list", "--json"]).json().len(), 1);
}

#[test]
fn a_schedule_that_watches_ends_well_when_it_is_asked_to_and_not_when_it_is_interrupted() {
    for (signal, status) in [("-TERM", 0), ("-INT", 130)] {
        ends_by(signal, status);
    }
}

fn ends_by(signal: &str, status: i32) {
    let sandbox = Sandbox::with_schedules();
    for read in ["list", "history"] {
        let run = sandbox.run(&["schedule", read]);
        run.ended(1);
        assert!(run.err.contains("the store is empty: there is no "), "{}", run.err);
        assert!(!sandbox.path("facefleet.db").exists(), "{read} creates no store");
    }
    let mut watching = sandbox.command(&["schedule", "run", "--watch"]);
    let mut watching = watching.stdout(Stdio::piped()).spawn().unwrap();
    let began = Instant::now();
    // It defines its schedules first.
    let defined = || {
        let listed = sandbox.run(&["schedule", "list", "--json"]);
        listed.status == Some(0) && listed.json().iter().all(|line| line["next_due"].is_string())
    };
    while !defined() {
        assert!(began.elapsed() < PATIENCE, "it defines nothing");
        std::thread::sleep(Duration::from_millis(100));
    }
    let id = watching.id().to_string();
    assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    assert_eq!(watching.wait().unwrap().code(), Some(status), "{signal}");
}

/// Workers of a fleet that have one schedule in their settings, due since yesterday.
struct Fleet {
    sandbox: Sandbox,
    store: Arc<dyn Store>,
}

impl Fleet {
    /// `table`: the rest of the schedule.
    async fn new(table: &str) -> Self {
        let sandbox = Sandbox::new();
        let table = format!("[[schedule]]\nname = 'new'\ncron = '30 2 * * *'\n{table}");
        let table = table.replace("PHOTOS", &sandbox.path("photos").display().to_string());
        sandbox.write("facefleet.toml", table.as_bytes());
        sandbox.write("photos/readme.txt", b"no image");
        let store: Arc<dyn Store> = Arc::new(sandbox.store().await);
        for name in ["a", "b"] {
            store.register_profile(&profile(name)).await.unwrap();
        }
        let day_ago = jiff::Timestamp::now().as_millisecond() - 86_400_000;
        let fleet = Self { sandbox, store };
        let next_due = Some(UtcTime::from_millisecond(day_ago).unwrap());
        fleet.store.set_schedule(&fleet.settings().schedule[0], next_due).await.unwrap();
        fleet
    }

    fn settings(&self) -> Settings {
        Settings::load(Some(&self.sandbox.path("facefleet.toml"))).unwrap()
    }

    /// What runs schedules in a worker of the profile `name`. It may read these places.
    fn worker(&self, name: &str, roots: &[&str]) -> Scheduler {
        let roots =
            roots.iter().map(|root| Root::Path(self.sandbox.path(root).canonicalize().unwrap()));
        let worker = SchedulingWorker { profile: profile(name), roots: roots.collect() };
        let queue: Arc<dyn JobQueue> = Arc::new(MemoryQueue::new(16));
        App::new(self.settings()).scheduler(self.store.clone(), Some(queue), Some(worker))
    }

    async fn runs(&self) -> Vec<ScheduleRun> {
        let query = RunQuery { schedule: None, running: false, limit: 9 };
        self.store.schedule_runs(&query).await.unwrap()
    }

    /// Runs what is due: nothing is, until `worker` has had patience for a minute. Returns the run.
    async fn runs_after_a_minute(&self, worker: &Scheduler) -> ScheduleRun {
        let stop = CancellationToken::new();
        worker.run_due(&stop).await.unwrap();
        assert_eq!(self.runs().await, [], "the slot is left to others");
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(61)).await;
        tokio::time::resume();
        worker.run_due(&stop).await.unwrap();
        let mut runs = self.runs().await;
        runs.retain(|run| run.state != RunState::Skipped);
        assert_eq!(runs.len(), 1, "{runs:?}");
        runs.remove(0)
    }

    /// The gallery has a result of the profile a.
    async fn with_results(self) -> Self {
        let selection = self.settings().selection();
        let one = JobRecord { selection, ..scored("one", &[10]) };
        self.store.record(&[one]).await.unwrap();
        self
    }
}

fn error(run: &ScheduleRun) -> &str {
    assert_eq!((run.state, run.campaign), (RunState::Failed, None), "{run:?}");
    run.error.as_deref().unwrap_or_default()
}

const SCAN: &str = "action = 'scan'\ngallery = 'staff'\nroots = ['PHOTOS']\n";

#[tokio::test]
async fn a_run_that_no_worker_can_list_fails_after_others_were_waited_for() {
    let fleet = Fleet::new(SCAN).await;
    let run = fleet.runs_after_a_minute(&fleet.worker("a", &[])).await;
    let error = error(&run);
    assert!(error.contains("no worker may read /") && error.contains("images.allow"), "{error}");
}

#[tokio::test]
async fn a_scan_is_not_done_under_another_profile_while_workers_of_the_active_one_run() {
    let fleet = Fleet::new(SCAN).await.with_results().await;
    let queue = App::new(fleet.settings()).queue_name();
    let active = WorkerReport { queue, ..worker_report("one") };
    fleet.store.beat(&active).await.unwrap();
    let shadow = fleet.worker("b", &["photos"]);
    let run = fleet.runs_after_a_minute(&shadow).await;
    let error = error(&run);
    assert!(error.contains("give the schedule to the workers of"), "{error}");
    assert!(error.contains(profile("a").id().as_str()), "{error}");
}

#[tokio::test]
async fn a_scan_is_done_under_another_profile_if_nobody_of_the_active_one_comes() {
    let fleet = Fleet::new(SCAN).await.with_results().await;
    // Of another fleet, and one that takes other jobs.
    let queue = App::new(fleet.settings()).queue_name();
    let idle = WorkerReport { queue, lanes: vec![Lane::Rescore], ..worker_report("two") };
    let other = WorkerReport { queue: "other".into(), ..worker_report("one") };
    for other in [other, idle] {
        fleet.store.beat(&other).await.unwrap();
    }
    let run = fleet.runs_after_a_minute(&fleet.worker("b", &["photos"])).await;
    assert_eq!(run.state, RunState::Done, "{run:?}");
    let campaign = fleet.store.campaign(run.campaign.unwrap()).await.unwrap().unwrap();
    assert_eq!(campaign.profile, profile("b").id());
}

#[tokio::test]
async fn a_worker_of_the_active_profile_scans_at_once() {
    let fleet = Fleet::new(SCAN).await.with_results().await;
    fleet.worker("a", &["photos"]).run_due(&CancellationToken::new()).await.unwrap();
    assert_eq!(fleet.runs().await[0].state, RunState::Done);
}

#[tokio::test]
async fn a_rescore_is_left_to_workers_of_another_profile_than_the_gallery_has() {
    let fleet = Fleet::new("action = 'rescore'\ngallery = 'staff'\n").await.with_results().await;
    let (old, new) = (fleet.worker("a", &["photos"]), fleet.worker("b", &["photos"]));
    let stop = CancellationToken::new();
    old.run_due(&stop).await.unwrap();
    assert_eq!(fleet.runs().await, []);
    new.run_due(&stop).await.unwrap();
    let run = fleet.runs().await.remove(0);
    let error = run.error.as_deref().unwrap_or_default();
    assert!(error.contains("Allow them in the setting images.allow"), "it tried: {run:?}");
    let campaign = fleet.store.campaign(run.campaign.unwrap()).await.unwrap().unwrap();
    assert_eq!(campaign.profile, profile("b").id());
}

#[tokio::test]
async fn a_rescore_that_nobody_else_comes_for_lists_nothing() {
    let fleet = Fleet::new("action = 'rescore'\ngallery = 'staff'\n").await.with_results().await;
    let run = fleet.runs_after_a_minute(&fleet.worker("a", &["photos"])).await;
    assert_eq!(run.state, RunState::Done, "{run:?}");
    let progress = fleet.store.campaign(run.campaign.unwrap()).await.unwrap().unwrap().progress;
    assert_eq!((progress.listed, progress.listing_done), (0, true));
}
