//! `facefleet schedule`, in one process.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use facefleet::app::App;
use facefleet::app::schedules::SchedulingWorker;
use facefleet::domain::{CampaignId, RunState, Schedule, ScheduleRun, UtcTime};
use facefleet::queue::JobQueue;
use facefleet::queue::memory::MemoryQueue;
use facefleet::settings::Settings;
use facefleet::store::sqlite::SqliteStore;
use facefleet::store::{Campaigns, RunKey, RunQuery, ScheduleRuns, Schedules, Store};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::schemas::assert_fits;
use super::{Run, Sandbox, number};
use crate::support::{profile, sample};

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
        let daily = "cron = '30 2 * * *'\ntimezone = 'Europe/Berlin'\ngallery = 'staff'\n";
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
    assert!(due.contains(" 02:30 +0"), "{due}");
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
    let mut killed = sandbox.command(&["schedule", "run"]).stdout(Stdio::null()).spawn().unwrap();
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
fn a_schedule_that_watches_ends_when_it_is_interrupted() {
    let sandbox = Sandbox::with_schedules();
    let mut watching = sandbox.command(&["schedule", "run", "--watch"]);
    let mut watching = watching.stdout(Stdio::piped()).spawn().unwrap();
    let began = Instant::now();
    // It defines its schedules first.
    let defined = || {
        let listed = sandbox.run(&["schedule", "list", "--json"]);
        listed.json().iter().all(|line| line["next_due"].is_string())
    };
    while !defined() {
        assert!(began.elapsed() < PATIENCE, "it defines nothing");
        std::thread::sleep(Duration::from_millis(100));
    }
    let id = watching.id().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    assert_eq!(watching.wait().unwrap().code(), Some(0));
}

/// The schedule of a worker that may read nothing, with this cron line; it was due at `next_due`.
async fn runs_of_a_blind_worker(cron: &str, next_due: UtcTime) -> Vec<ScheduleRun> {
    let sandbox = Sandbox::new();
    let table = format!(
        "[[schedule]]\nname = 'new-photos'\ncron = '{cron}'\naction = 'scan'\nroots = ['{}']\n",
        sandbox.path("photos").display()
    );
    sandbox.write("facefleet.toml", table.as_bytes());
    let settings = Settings::load(Some(&sandbox.path("facefleet.toml"))).unwrap();
    let store = sandbox.store().await;
    store.set_schedule(&settings.schedule[0], Some(next_due)).await.unwrap();
    let store: Arc<dyn Store> = Arc::new(store);
    let queue: Arc<dyn JobQueue> = Arc::new(MemoryQueue::new(16));
    let worker = SchedulingWorker { profile: profile("a"), roots: Vec::new() };
    let scheduler = App::new(settings).scheduler(store.clone(), Some(queue), Some(worker));
    scheduler.define().await.unwrap();
    scheduler.run_due(&CancellationToken::new()).await.unwrap();
    let query = RunQuery { schedule: None, running: false, limit: 9 };
    store.schedule_runs(&query).await.unwrap()
}

#[tokio::test]
async fn a_run_that_no_worker_can_list_fails_after_others_were_waited_for() {
    let ago = |seconds: i64| {
        let now = jiff::Timestamp::now().as_millisecond();
        UtcTime::from_millisecond(now - seconds * 1000).unwrap()
    };
    let runs = runs_of_a_blind_worker("30 2 * * *", ago(24 * 60 * 60)).await;
    let [run] = &runs[..] else { panic!("{runs:?}") };
    let error = run.error.as_deref().unwrap_or_default();
    assert!(run.state == RunState::Failed && run.campaign.is_none(), "{run:?}");
    assert!(error.contains("no worker may read /") && error.contains("images.allow"), "{error}");

    // The slot of this minute is left to other workers, unless it is nearly over.
    let second = jiff::Timestamp::now().as_second() % 60;
    if second > 40 {
        tokio::time::sleep(Duration::from_secs(61 - second.unsigned_abs())).await;
    }
    assert_eq!(runs_of_a_blind_worker("* * * * *", ago(59)).await, []);
}
