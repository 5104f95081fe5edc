//! What processes do that run schedules, on both stores, with work that only notes its runs.

mod barred;
mod busy;
mod clock;
mod handover;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use barred::what_a_process_has_no_right_to_do_is_left_to_others_for_ever;
use busy::{
    a_silent_run_waits_for_a_process_that_is_at_other_runs,
    a_slot_waits_for_a_process_that_is_at_other_runs, runs_that_wait_for_their_pace_take_no_room,
};
use facefleet::domain::{
    Misfire, RunPlan, RunState, Schedule, ScheduleAction, ScheduleRun, Timing, UtcTime,
};
use facefleet::gallery::campaign::run_on_fleet;
use facefleet::gallery::follow::CampaignRun;
use facefleet::gallery::list::Images;
use facefleet::gallery::rescore::{RescoreImages, RescorePlan, RescoreWhich};
use facefleet::gallery::schedules::{
    ClaimedRun, PlannedRun, RunError, Scheduler, SlotWork, WorkEnd,
};
use facefleet::queue::memory::MemoryQueue;
use facefleet::store::{NewRun, RunKey, RunOwner, RunQuery, SlotClaim, Store};
use metrics_exporter_prometheus::PrometheusBuilder;
use tokio_util::sync::CancellationToken;

use crate::store_contract::{Home, PostgresHome, SqliteHome};
use crate::support::{gallery, profile, scored, selection};

/// After this time, a process has lost its patience with a slot.
const LONG: Duration = Duration::from_secs(61);

/// Work that is over at once. It notes its slots.
#[derive(Default)]
struct NotedWork {
    /// It cannot read what is to be read.
    blind: bool,
    /// It has no right to do it.
    barred: bool,
    /// The store or the queue is gone while it works.
    unlucky: bool,
    slots: Mutex<Vec<(String, UtcTime)>>,
}

impl NotedWork {
    fn slots(&self) -> Vec<(String, UtcTime)> {
        self.slots.lock().unwrap().clone()
    }
}

#[async_trait]
impl SlotWork for NotedWork {
    async fn plan(&self, action: &ScheduleAction, _: bool) -> Result<PlannedRun, RunError> {
        let plan = RunPlan { action: action.clone(), from: None };
        self.can_go_on(&plan).await?;
        Ok(PlannedRun { plan, campaign: None })
    }

    async fn can_go_on(&self, _: &RunPlan) -> Result<(), RunError> {
        if self.barred {
            return Err(RunError::NoRight("it may not".into()));
        }
        if self.blind { Err(RunError::NotHere("it sees nothing".into())) } else { Ok(()) }
    }

    async fn work(&self, run: &ClaimedRun, _: CancellationToken) -> Result<WorkEnd, RunError> {
        if self.unlucky {
            return Err(RunError::Later("the queue is gone".into()));
        }
        self.slots.lock().unwrap().push((run.key.schedule.clone().into(), run.key.slot));
        Ok(WorkEnd::Done)
    }
}

fn schedule(name: &str, line: &str, zone: &str) -> Schedule {
    Schedule {
        name: name.parse().unwrap(),
        timing: Timing::parse(line, zone).unwrap(),
        action: ScheduleAction::Report { gallery: "staff".parse().unwrap(), out: "/x".into() },
        misfire: Misfire::Once,
        enabled: true,
    }
}

fn daily() -> Schedule {
    schedule("daily", "30 2 * * *", "Europe/Berlin")
}

/// A process with these schedules in its settings.
fn process(
    store: &Arc<dyn Store>,
    own: &[Schedule],
    work: NotedWork,
) -> (Scheduler, Arc<NotedWork>) {
    let work = Arc::new(work);
    let scheduler = Scheduler::new(store.clone(), work.clone(), "me".into(), own.to_vec(), true);
    (scheduler, work)
}

fn blind() -> NotedWork {
    NotedWork { blind: true, ..NotedWork::default() }
}

async fn run_due(scheduler: &Scheduler) -> usize {
    scheduler.run_due(&CancellationToken::new()).await.unwrap().len()
}

async fn runs(store: &Arc<dyn Store>) -> Vec<ScheduleRun> {
    let query = RunQuery { schedule: None, running: false, limit: 100 };
    store.schedule_runs(&query).await.unwrap()
}

async fn wait(time: Duration) {
    tokio::time::pause();
    tokio::time::advance(time).await;
    tokio::time::resume();
}

/// The slots of `schedule` in the last `days`.
async fn past_slots(store: &Arc<dyn Store>, schedule: &Schedule, days: i64) -> Vec<UtcTime> {
    let now = store.clock().await.unwrap();
    let from = UtcTime::from_millisecond(now.as_millisecond() - days * 86_400_000).unwrap();
    schedule.timing.slots(from, now, 1000)
}

/// The run of a slot of `schedule` a while ago, by a process that died.
async fn died(home: &impl Home, store: &Arc<dyn Store>, schedule: &Schedule) -> RunKey {
    let slots = past_slots(store, schedule, 2).await;
    store.set_schedule(schedule, Some(slots[0])).await.unwrap();
    let mut stored = store.schedules().await.unwrap().into_iter();
    let of = stored.find(|of| of.schedule == *schedule).unwrap();
    let (owner, plan) =
        (RunOwner::new("dead"), RunPlan { action: schedule.action.clone(), from: None });
    let run = Some(NewRun { slot: slots[0], plan: Some(plan), campaign: None, error: None });
    let next_due = schedule.timing.next(store.clock().await.unwrap());
    let claim = SlotClaim { of, next_due, run, skipped: Vec::new(), owner };
    assert!(store.claim_slots(&claim).await.unwrap());
    die(home).await;
    RunKey { schedule: schedule.name.clone(), slot: slots[0] }
}

/// The process at each run has been silent for two hours.
async fn die(home: &impl Home) {
    let columns = |minus: &str, [beat, start]: [&str; 2]| {
        format!("UPDATE schedule_runs SET {beat} = {beat} - {minus}, {start} = {start} - {minus}")
    };
    let sqlite = columns("7200000", ["beat_ms", "started_at_ms"]);
    home.change(&sqlite, &columns("interval '2 hours'", ["beat", "started_at"])).await;
}

async fn a_slot_is_left_to_others_also_after_a_downtime(home: impl Home) {
    let store = home.open().await;
    let slots = past_slots(&store, &daily(), 3).await;
    store.set_schedule(&daily(), Some(slots[0])).await.unwrap();
    let (first, _) = process(&store, &[daily()], blind());
    for _ in 0..2 {
        assert_eq!(run_due(&first).await, 0, "it just began");
    }
    wait(LONG / 2).await;
    let (second, _) = process(&store, &[daily()], blind());
    assert_eq!(run_due(&first).await + run_due(&second).await, 0);
    assert_eq!(runs(&store).await, []);
    wait(LONG / 2).await;
    assert_eq!(run_due(&second).await, 0, "it began later");
    assert_eq!(run_due(&first).await, 1);
    let failed = runs(&store).await.remove(0);
    assert_eq!((failed.slot, failed.state), (*slots.last().unwrap(), RunState::Failed));
    assert_eq!(failed.error.as_deref(), Some("it sees nothing"));
}

async fn one_that_can_run_a_slot_does_so_at_once(home: impl Home) {
    let store = home.open().await;
    let slots = past_slots(&store, &daily(), 3).await;
    store.set_schedule(&daily(), Some(slots[0])).await.unwrap();
    let (first, _) = process(&store, &[daily()], blind());
    let (second, work) = process(&store, &[daily()], NotedWork::default());
    assert_eq!((run_due(&first).await, run_due(&second).await), (0, 1));
    assert_eq!(work.slots(), [("daily".to_owned(), *slots.last().unwrap())]);
    // Without a fleet there is nobody to wait for.
    store.set_schedule(&schedule("new", "0 3 * * *", "UTC"), Some(slots[0])).await.unwrap();
    let own = vec![schedule("new", "0 3 * * *", "UTC")];
    let alone = Scheduler::new(store.clone(), Arc::new(blind()), "me".into(), own, false);
    assert_eq!(run_due(&alone).await, 1);
    assert_eq!(runs(&store).await.iter().filter(|run| run.state == RunState::Failed).count(), 1);
}

async fn a_silent_run_is_left_to_others_for_an_hour(home: impl Home) {
    let store = home.open().await;
    died(&home, &store, &daily()).await;
    let (waits, _) = process(&store, &[daily()], blind());
    assert_eq!(run_due(&waits).await, 0, "it has seen the run for the first time");
    wait(LONG * 30).await;
    assert_eq!(run_due(&waits).await, 0);
    wait(LONG * 30).await;
    assert_eq!(run_due(&waits).await, 1, "it takes the run over, and has its work say why not");
}

async fn a_silent_run_is_taken_over_by_those_that_have_its_schedule(home: impl Home) {
    let store = home.open().await;
    let key = died(&home, &store, &daily()).await;
    let (other, _) = process(&store, &[schedule("other", "0 3 * * *", "UTC")], blind());
    assert_eq!(run_due(&other).await, 0);
    assert_eq!(runs(&store).await[0].claimed_by, "dead");
    let (own, work) = process(&store, &[daily()], NotedWork::default());
    assert_eq!(run_due(&own).await, 1);
    assert_eq!(work.slots(), [("daily".to_owned(), key.slot)]);
    assert_eq!(runs(&store).await[0].state, RunState::Done);
}

async fn a_run_that_kills_its_processes_fails(home: impl Home) {
    let store = home.open().await;
    let key = died(&home, &store, &daily()).await;
    for _ in 0..3 {
        assert!(store.take_over_run(&key, &RunOwner::new("victim")).await.unwrap());
        die(&home).await;
    }
    let (scheduler, work) = process(&store, &[daily()], NotedWork::default());
    assert_eq!(run_due(&scheduler).await, 1);
    assert_eq!(work.slots(), [], "it is not begun once more");
    let run = runs(&store).await.remove(0);
    let error = run.error.unwrap_or_default();
    assert!(run.state == RunState::Failed && error.contains("4 processes in a row"), "{error}");
    assert_eq!(run_due(&scheduler).await, 0);
}

async fn a_run_that_waits_for_a_backend_is_tried_again_however_often(home: impl Home) {
    let store = home.open().await;
    died(&home, &store, &daily()).await;
    let unlucky = NotedWork { unlucky: true, ..NotedWork::default() };
    let (scheduler, _) = process(&store, &[daily()], unlucky);
    for _ in 0..6 {
        assert_eq!(run_due(&scheduler).await, 1);
        assert_eq!(run_due(&scheduler).await, 0, "not at once");
        die(&home).await;
    }
    let (lucky, work) = process(&store, &[daily()], NotedWork::default());
    assert_eq!((run_due(&lucky).await, work.slots().len()), (1, 1));
}

async fn a_schedule_that_is_due_after_its_next_slot_is_put_right(home: impl Home) {
    let store = home.open().await;
    let years = store.clock().await.unwrap().as_millisecond() + 10 * 365 * 86_400_000;
    let ahead = UtcTime::from_millisecond(years).unwrap();
    let (other, off) =
        (schedule("other", "0 3 * * *", "UTC"), Schedule { enabled: false, ..daily() });
    for next_due in [Some(ahead), None] {
        // Off in between: the slot is a new one then.
        store.set_schedule(&off, None).await.unwrap();
        store.set_schedule(&daily(), next_due).await.unwrap();
        store.set_schedule(&other, Some(ahead)).await.unwrap();
        let (scheduler, _) = process(&store, &[daily()], NotedWork::default());
        let due = async |name: &str| {
            let stored = store.schedules().await.unwrap().into_iter();
            let mut stored = stored.filter(|of| of.schedule.name.as_str() == name);
            stored.next().unwrap().next_due
        };
        let before = daily().timing.next(store.clock().await.unwrap());
        assert_eq!(run_due(&scheduler).await, 0);
        let after = daily().timing.next(store.clock().await.unwrap());
        assert!([before, after].contains(&due("daily").await), "{next_due:?}");
        assert_eq!(due("other").await, Some(ahead), "it is nobody's");
        // What is right stays.
        assert_eq!(run_due(&scheduler).await, 0);
        assert!([before, after].contains(&due("daily").await));
    }
    store.set_schedule(&off, None).await.unwrap();
    let (scheduler, _) = process(&store, &[daily()], NotedWork::default());
    run_due(&scheduler).await;
    let stored = store.schedules().await.unwrap();
    assert!(stored.iter().all(|of| of.schedule.enabled || of.next_due.is_none()), "it is off");
}

async fn runs_and_overdue_slots_are_measured(home: impl Home) {
    let store = home.open().await;
    let recorder = PrometheusBuilder::new().build_recorder();
    let (handle, _guard) = (recorder.handle(), metrics::set_default_local_recorder(&recorder));
    let (other, hidden) =
        (schedule("other", "0 3 * * *", "UTC"), schedule("hidden", "0 4 * * *", "UTC"));
    let slots = past_slots(&store, &daily(), 4).await;
    store.set_schedule(&daily(), Some(slots[0])).await.unwrap();
    let (scheduler, _) = process(&store, &[daily()], NotedWork::default());
    run_due(&scheduler).await;
    let skipped = slots.len() - 1;
    let counted = |schedule: &str, result: &str, runs: usize| {
        let line = format!(
            "facefleet_schedule_runs_total{{schedule=\"{schedule}\",result=\"{result}\"}} {runs}"
        );
        let rendered = handle.render();
        assert!(rendered.contains(&line), "no {line} in {rendered}");
    };
    counted("daily", "done", 1);
    counted("daily", "skipped", skipped);
    store.set_schedule(&other, Some(slots[0])).await.unwrap();
    store.set_schedule(&hidden, Some(slots[0])).await.unwrap();
    let alone =
        Scheduler::new(store.clone(), Arc::new(blind()), "me".into(), vec![other.clone()], false);
    assert_eq!(run_due(&alone).await, 1);
    counted("other", "failed", 1);

    // A slot that this process leaves to others stays due.
    store.set_schedule(&Schedule { enabled: false, ..daily() }, None).await.unwrap();
    store.set_schedule(&daily(), Some(slots[1])).await.unwrap();
    let (watching, _) = process(&store, &[daily(), other], blind());
    let stop = CancellationToken::new();
    let watched = tokio::spawn(watching.watch(
        Duration::from_millis(20),
        1,
        stop.clone(),
        |_: &ClaimedRun| {},
    ));
    let give_up = tokio::time::Instant::now() + Duration::from_secs(60);
    let late = loop {
        let rendered = handle.render();
        let found = rendered.lines().find_map(|line| {
            line.strip_prefix("facefleet_schedule_overdue_seconds ")?.parse::<f64>().ok()
        });
        if let Some(late) = found {
            break late;
        }
        assert!(tokio::time::Instant::now() < give_up, "{rendered}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let expected = store.clock().await.unwrap().as_millisecond() - slots[1].as_millisecond();
    let expected = expected as f64 / 1000.0;
    assert!((late - expected).abs() < 60.0, "{late} is not about {expected}");
    stop.cancel();
    watched.await.unwrap();
}

#[tokio::test]
async fn a_rescore_whose_pages_cannot_be_read_is_tried_again() {
    let home = PostgresHome::new().await;
    let (pages, store) = (home.open().await, home.open().await);
    for name in ["a", "b"] {
        store.register_profile(&profile(name)).await.unwrap();
    }
    store.record(&[scored("one", &[10])]).await.unwrap();
    let plan = RescorePlan {
        gallery: gallery(),
        from: profile("a").id(),
        to: profile("b").id(),
        selection: selection(),
        which: RescoreWhich::Missing,
    };
    let campaign = plan.campaign();
    let id = campaign.id;
    let images = RescoreImages::find(pages.clone(), plan, None, None).await.unwrap();
    assert_eq!(images.missing, 1);
    pages.close().await;
    let images = Images::Rescore(Box::new(images));
    let run = CampaignRun { images, campaign, selection: selection(), claim: None };
    let (queue, stop) = (Arc::new(MemoryQueue::new(16)), CancellationToken::new());
    let listed = run_on_fleet(run, queue, store.clone(), false, stop, |_, _| {}).await;
    let error = RunError::from(listed.unwrap_err());
    assert!(matches!(error, RunError::Later(_)), "{error:?}");
    assert!(!store.campaign(id).await.unwrap().unwrap().progress.listing_done);
}

/// Runs each test on both stores.
macro_rules! on_both_stores {
    ($($test:ident)*) => {
        mod sqlite {
            use super::*;
            $(#[tokio::test] async fn $test() { super::$test(SqliteHome::new().await).await; })*
        }

        mod postgres {
            use super::*;
            $(#[tokio::test] async fn $test() { super::$test(PostgresHome::new().await).await; })*
        }
    };
}

on_both_stores! {
    a_slot_is_left_to_others_also_after_a_downtime
    one_that_can_run_a_slot_does_so_at_once
    a_slot_waits_for_a_process_that_is_at_other_runs
    a_silent_run_waits_for_a_process_that_is_at_other_runs
    runs_that_wait_for_their_pace_take_no_room
    what_a_process_has_no_right_to_do_is_left_to_others_for_ever
    a_silent_run_is_left_to_others_for_an_hour
    a_silent_run_is_taken_over_by_those_that_have_its_schedule
    a_run_that_kills_its_processes_fails
    a_run_that_waits_for_a_backend_is_tried_again_however_often
    a_schedule_that_is_due_after_its_next_slot_is_put_right
    runs_and_overdue_slots_are_measured
}
