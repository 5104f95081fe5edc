//! Processes that are at as many runs as they may be.

use std::sync::atomic::{AtomicUsize, Ordering};

use facefleet::gallery::schedules::RUNS_AT_ONCE;
use tokio::time::{Instant, sleep};

use super::*;

const PATIENCE: Duration = Duration::from_secs(120);
/// How often a process looks for slots that are due.
const POLL: Duration = Duration::from_millis(20);

fn paced(name: &str) -> Schedule {
    let rate = Some("1/s".parse().unwrap());
    let action = ScheduleAction::Rescore { gallery: "staff".parse().unwrap(), rate };
    Schedule { action, ..schedule(name, "30 2 * * *", "UTC") }
}

fn plain(name: &str) -> Schedule {
    schedule(name, "30 2 * * *", "UTC")
}

/// Runs of these schedules, which another process is at.
struct Others {
    store: Arc<dyn Store>,
    owner: RunOwner,
    runs: Vec<RunKey>,
}

impl Others {
    async fn at(store: &Arc<dyn Store>, schedules: &[Schedule]) -> Self {
        let (owner, mut runs) = (RunOwner::new("another"), Vec::new());
        for schedule in schedules {
            let slot = past_slots(store, schedule, 2).await[0];
            store.set_schedule(schedule, Some(slot)).await.unwrap();
            let mut stored = store.schedules().await.unwrap().into_iter();
            let of = stored.find(|of| of.schedule == *schedule).unwrap();
            let plan = RunPlan { action: schedule.action.clone(), from: None };
            let run = Some(NewRun { slot, plan: Some(plan), campaign: None, error: None });
            let (skipped, owner) = (Vec::new(), owner.clone());
            let claim = SlotClaim { of, next_due: None, run, skipped, owner };
            assert!(store.claim_slots(&claim).await.unwrap());
            runs.push(RunKey { schedule: schedule.name.clone(), slot });
        }
        Self { store: store.clone(), owner, runs }
    }

    /// They are at it, so many runs that `scheduler` does not wait for any other reason.
    async fn then_run_due(&self, scheduler: &Scheduler) -> usize {
        for run in &self.runs {
            assert!(self.store.beat_run(run, &self.owner).await.unwrap());
        }
        run_due(scheduler).await
    }

    async fn end_one(&mut self) {
        let run = self.runs.pop().unwrap();
        assert!(self.store.end_run(&run, &self.owner, None).await.unwrap());
    }
}

fn names(count: usize) -> Vec<Schedule> {
    (0..count).map(|number| plain(&format!("long-{number}"))).collect()
}

pub async fn a_slot_waits_for_a_process_that_is_at_other_runs(home: impl Home) {
    let store = home.open().await;
    let mut others = Others::at(&store, &names(RUNS_AT_ONCE)).await;
    store.set_schedule(&daily(), past_slots(&store, &daily(), 2).await.pop()).await.unwrap();
    let (waits, _) = process(&store, &[daily()], blind());
    for _ in 0..3 {
        assert_eq!(others.then_run_due(&waits).await, 0, "it may be what the slot waits for");
        wait(LONG).await;
    }
    // Without a fleet there is nobody to wait for; and it is no reason to wait for itself.
    let other = plain("other");
    store.set_schedule(&other, past_slots(&store, &other, 2).await.pop()).await.unwrap();
    let alone = Scheduler::new(store.clone(), Arc::new(blind()), "me".into(), vec![other], false);
    assert_eq!(others.then_run_due(&alone).await, 1);
    assert_eq!(others.then_run_due(&waits).await, 0);
    others.end_one().await;
    wait(LONG / 2).await;
    assert_eq!(others.then_run_due(&waits).await, 0, "it has a minute from now on");
    wait(LONG).await;
    assert_eq!(others.then_run_due(&waits).await, 1);
    let runs = runs(&store).await;
    let failed = runs.iter().find(|run| run.schedule == daily().name).unwrap();
    assert_eq!(failed.error.as_deref(), Some("it sees nothing"));
}

pub async fn a_silent_run_waits_for_a_process_that_is_at_other_runs(home: impl Home) {
    let store = home.open().await;
    died(&home, &store, &daily()).await;
    let mut others = Others::at(&store, &names(RUNS_AT_ONCE)).await;
    let (waits, _) = process(&store, &[daily()], blind());
    for _ in 0..3 {
        assert_eq!(others.then_run_due(&waits).await, 0);
        wait(LONG * 60).await;
    }
    assert_eq!(others.then_run_due(&waits).await, 0);
    others.end_one().await;
    wait(LONG * 60).await;
    assert_eq!(others.then_run_due(&waits).await, 1);
}

/// Work that goes on, if it has a pace.
#[derive(Default)]
struct PacedWork {
    working: AtomicUsize,
    most: AtomicUsize,
}

#[async_trait]
impl SlotWork for PacedWork {
    async fn plan(&self, action: &ScheduleAction, _: bool) -> Result<PlannedRun, RunError> {
        let plan = RunPlan { action: action.clone(), from: None };
        Ok(PlannedRun { plan, campaign: None })
    }

    async fn can_go_on(&self, _: &RunPlan) -> Result<(), RunError> {
        Ok(())
    }

    async fn work(&self, run: &ClaimedRun, stop: CancellationToken) -> Result<WorkEnd, RunError> {
        if run.plan.is_paced() {
            stop.cancelled().await;
            return Ok(WorkEnd::Stopped);
        }
        self.most.fetch_max(self.working.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        // Long enough for others to begin, if they may.
        sleep(10 * POLL).await;
        self.working.fetch_sub(1, Ordering::SeqCst);
        Ok(WorkEnd::Done)
    }
}

pub async fn runs_that_wait_for_their_pace_take_no_room(home: impl Home) {
    let store = home.open().await;
    // By name: those with a pace are claimed first.
    let own = [paced("a"), paced("b"), plain("c"), plain("d"), plain("e")];
    for schedule in &own {
        let slot = past_slots(&store, schedule, 2).await.pop();
        store.set_schedule(schedule, slot).await.unwrap();
    }
    let work = Arc::new(PacedWork::default());
    let watching = Scheduler::new(store.clone(), work.clone(), "me".into(), own.into(), true);
    let stop = CancellationToken::new();
    let watched = tokio::spawn(watching.watch(POLL, 1, stop.clone(), |_: &ClaimedRun| {}));
    let give_up = Instant::now() + PATIENCE;
    let in_state = |runs: &[ScheduleRun], state: RunState| {
        runs.iter().filter(|run| run.state == state && !run.silent).count()
    };
    let runs = loop {
        let runs = runs(&store).await;
        if in_state(&runs, RunState::Done) == 3 {
            break runs;
        }
        assert!(Instant::now() < give_up, "{runs:?}");
        sleep(POLL).await;
    };
    assert_eq!(in_state(&runs, RunState::Running), 2, "those with a pace go on");
    assert_eq!(work.most.load(Ordering::SeqCst), 1, "one at a time");
    stop.cancel();
    watched.await.unwrap();

    // Nor do they make their process a busy one.
    let runs = [names(RUNS_AT_ONCE - 1), vec![paced("x"), paced("y")]].concat();
    let others = Others::at(&store, &runs).await;
    store.set_schedule(&daily(), past_slots(&store, &daily(), 2).await.pop()).await.unwrap();
    let (waits, _) = process(&store, &[daily()], blind());
    assert_eq!(others.then_run_due(&waits).await, 0);
    wait(LONG).await;
    assert_eq!(others.then_run_due(&waits).await, 1);
}
