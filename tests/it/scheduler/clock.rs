//! The clock of the server jumps, and daylight saving time begins and ends. A schema ahead of
//! `pg_catalog` in the search path has the functions that tell the time.

use facefleet::store::postgres::PostgresStore;

use super::*;
use crate::support::stack::Database;

const FUNCTIONS: &str = "CREATE SCHEMA clock; \
    CREATE TABLE clock.hand (at timestamptz); INSERT INTO clock.hand VALUES (now()); \
    CREATE FUNCTION clock.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE \
        AS 'SELECT at FROM clock.hand'; \
    CREATE FUNCTION clock.now() RETURNS timestamptz LANGUAGE sql VOLATILE \
        AS 'SELECT at FROM clock.hand'; \
    ALTER TABLE schedule_runs ALTER started_at SET DEFAULT clock.now(), \
        ALTER beat SET DEFAULT clock.now()";

/// A database whose clock is set by the test.
struct Clock {
    database: Database,
    store: Arc<dyn Store>,
}

impl Clock {
    async fn new() -> Self {
        let database = Database::new().await;
        // With the schema migrated.
        PostgresStore::open(&database.url, 1).await.unwrap();
        database.run(FUNCTIONS).await;
        let url = format!("{}?options=-csearch_path=public,clock,pg_catalog", database.url);
        let store: Arc<dyn Store> = Arc::new(PostgresStore::open(&url, 2).await.unwrap());
        Self { database, store }
    }

    async fn set(&self, time: &str) {
        self.database.run(&format!("UPDATE clock.hand SET at = '{time}'")).await;
        let now = self.store.clock().await.unwrap();
        assert_eq!(now, UtcTime::from(time.parse::<jiff::Timestamp>().unwrap()));
    }

    /// Sets the clock forward, in steps, and has `scheduler` run what is due.
    async fn run_until(&self, scheduler: &Scheduler, from: &str, to: &str, minutes: i64) {
        let time = |text: &str| text.parse::<jiff::Timestamp>().unwrap();
        let mut now = time(from);
        while now <= time(to) {
            self.set(&now.to_string()).await;
            run_due(scheduler).await;
            now += jiff::SignedDuration::from_mins(minutes);
        }
    }
}

/// The slots of a schedule, without year and seconds.
fn of(work: &NotedWork, name: &str) -> Vec<String> {
    let slots = work.slots().into_iter().filter(|(schedule, _)| schedule == name);
    slots.map(|(_, slot)| slot.to_string()[5..16].to_owned()).collect()
}

#[tokio::test]
async fn daylight_saving_time_in_two_zones_loses_and_repeats_no_slot() {
    let clock = Clock::new().await;
    let own = [
        schedule("berlin", "30 2 * * *", "Europe/Berlin"),
        schedule("york", "30 1 * * *", "America/New_York"),
        schedule("york-gap", "30 2 * * *", "America/New_York"),
    ];
    let (scheduler, work) = process(&clock.store, &own, NotedWork::default());
    // 02:00 EST is 03:00 EDT on 8 March 2026: 07:00 UTC.
    clock.set("2026-03-07T00:00:00Z").await;
    scheduler.define().await.unwrap();
    clock.run_until(&scheduler, "2026-03-07T05:00:00Z", "2026-03-09T08:00:00Z", 60).await;
    assert_eq!(of(&work, "york-gap"), ["03-07T07:30", "03-08T07:00", "03-09T06:30"]);
    // 02:00 CET is 03:00 CEST on 29 March 2026: 01:00 UTC. Weeks pass in between: a slot is run.
    clock.run_until(&scheduler, "2026-03-28T00:00:00Z", "2026-03-30T02:00:00Z", 60).await;
    let berlin = of(&work, "berlin");
    let (before, march) = berlin.split_at(berlin.len() - 3);
    assert_eq!(march, ["03-28T01:30", "03-29T01:00", "03-30T00:30"], "{before:?}");
    // 03:00 CEST is 02:00 CET on 25 October, 02:00 EDT is 01:00 EST on 1 November.
    clock.run_until(&scheduler, "2026-10-24T00:00:00Z", "2026-10-26T02:00:00Z", 60).await;
    let berlin = of(&work, "berlin");
    assert_eq!(berlin[berlin.len() - 3..], ["10-24T00:30", "10-25T00:30", "10-26T01:30"]);
    clock.run_until(&scheduler, "2026-10-31T05:00:00Z", "2026-11-02T07:00:00Z", 60).await;
    let york = of(&work, "york");
    assert_eq!(york[york.len() - 3..], ["10-31T05:30", "11-01T05:30", "11-02T06:30"]);
    let failed = runs(&clock.store).await.into_iter().filter(|run| run.error.is_some()).count();
    assert_eq!(failed, 0);
}

#[tokio::test]
async fn a_clock_that_was_years_ahead_for_a_moment_stops_no_schedule() {
    let clock = Clock::new().await;
    let own = [schedule("hourly", "0 * * * *", "UTC")];
    let (scheduler, work) = process(&clock.store, &own, NotedWork::default());
    clock.set("2026-11-26T01:30:00Z").await;
    scheduler.define().await.unwrap();
    clock.run_until(&scheduler, "2026-11-26T02:00:00Z", "2026-11-26T03:30:00Z", 30).await;
    clock.set("2036-11-26T09:10:00Z").await;
    assert_eq!(run_due(&scheduler).await, 1, "the latest slot was missed");
    // A process dies at a run while the clock is wrong.
    let dead = schedule("dead", "0 0 1 1 *", "UTC");
    store_run(&clock, &dead).await;

    clock.run_until(&scheduler, "2026-11-26T03:31:00Z", "2026-11-26T06:10:00Z", 10).await;
    let expected = ["02:00", "03:00", "09:00", "04:00", "05:00", "06:00"];
    assert_eq!(of(&work, "hourly"), expected.map(|at| format!("11-26T{at}")));
    let (other, taken) = process(&clock.store, &[dead], NotedWork::default());
    assert_eq!((run_due(&other).await, taken.slots().len()), (1, 1), "its run is taken over");
    // Back by two hours: no slot comes twice.
    clock.run_until(&scheduler, "2026-11-26T04:10:00Z", "2026-11-26T07:10:00Z", 10).await;
    assert_eq!(work.slots().len(), expected.len() + 1);
    assert_eq!(of(&work, "hourly").last().unwrap(), "11-26T07:00");
}

/// Claims a slot of `schedule`, now.
async fn store_run(clock: &Clock, schedule: &Schedule) {
    clock.store.set_schedule(schedule, None).await.unwrap();
    let mut stored = clock.store.schedules().await.unwrap().into_iter();
    let of = stored.find(|of| of.schedule == *schedule).unwrap();
    let slot = clock.store.clock().await.unwrap();
    let plan = Some(RunPlan { action: schedule.action.clone(), from: None });
    let run = Some(NewRun { slot, plan, campaign: None, error: None });
    let (skipped, owner) = (Vec::new(), RunOwner::new("dead"));
    let claim = SlotClaim { of, next_due: None, run, skipped, owner };
    assert!(clock.store.claim_slots(&claim).await.unwrap());
}
