//! Schedules, and the runs of their slots.

use std::time::Duration;

use facefleet::domain::{
    Campaign, CampaignId, ListedChunk, Misfire, OutcomeKind, RunPlan, RunState, Schedule,
    ScheduleAction, ScheduleRun, Timing, UtcTime,
};
use facefleet::gallery::campaign::new_campaign;
use facefleet::store::{
    NewRun, RUN_BEAT_EVERY, RUN_GONE_AFTER, RunKey, RunOwner, RunQuery, SlotClaim, StoredSchedule,
};
use futures::future::join_all;
use tokio::time::{Instant, sleep};

use super::*;
use crate::support::{scored, with_job};

fn time(text: &str) -> UtcTime {
    UtcTime::from(text.parse::<jiff::Timestamp>().unwrap())
}

pub(super) fn hour(hour: u32) -> UtcTime {
    time(&format!("2026-11-26T{hour:02}:00:00Z"))
}

pub fn hourly(misfire: &str) -> Schedule {
    Schedule {
        name: "hourly".parse().unwrap(),
        timing: Timing::parse("0 * * * *", "Europe/Berlin").unwrap(),
        action: action(),
        misfire: misfire.parse().unwrap(),
        enabled: true,
    }
}

pub(super) fn action() -> ScheduleAction {
    ScheduleAction::Rescore { gallery: gallery(), rate: Some("50/s".parse().unwrap()) }
}

pub(super) fn owner(name: &str) -> RunOwner {
    RunOwner::new(name)
}

fn campaign(schedule: &Schedule, slot: UtcTime) -> Campaign {
    let campaign = new_campaign(gallery(), a(), selection(), "a schedule".into());
    Campaign { id: CampaignId::of_slot(&schedule.name, slot), ..campaign }
}

/// The claim that a process makes at `now`, after it has read `of`. `None` if nothing is due.
pub(super) fn claim(of: &StoredSchedule, now: UtcTime, owner: &RunOwner) -> Option<SlotClaim> {
    let due = of.schedule.due(of.next_due?, now)?;
    let run = due.run.map(|slot| NewRun {
        slot,
        plan: Some(RunPlan { action: of.schedule.action.clone(), from: Some(b()) }),
        campaign: Some(campaign(&of.schedule, slot)),
        error: None,
    });
    let (of, owner) = (of.clone(), owner.clone());
    Some(SlotClaim { of, next_due: due.next_due, run, skipped: due.skipped, owner })
}

pub(super) async fn stored(store: &Arc<dyn Store>) -> StoredSchedule {
    store.schedules().await.unwrap().pop().unwrap()
}

pub(super) async fn runs(store: &Arc<dyn Store>) -> Vec<ScheduleRun> {
    let query = RunQuery { schedule: None, running: false, limit: 100 };
    store.schedule_runs(&query).await.unwrap()
}

/// Slots and states, the latest first.
async fn states(store: &Arc<dyn Store>) -> Vec<(UtcTime, RunState)> {
    runs(store).await.into_iter().map(|run| (run.slot, run.state)).collect()
}

pub(super) fn key(slot: UtcTime) -> RunKey {
    RunKey { schedule: "hourly".parse().unwrap(), slot }
}

pub async fn a_schedule_keeps_its_next_slot_until_its_timing_changes(home: impl Home) {
    let store = opened(&home).await;
    assert_eq!(store.schedules().await.unwrap(), []);
    let next_due = async || stored(&store).await.next_due;
    let mut schedule = hourly("once");
    store.set_schedule(&schedule, Some(hour(3))).await.unwrap();
    assert_eq!(
        stored(&store).await,
        StoredSchedule { schedule: schedule.clone(), next_due: Some(hour(3)) }
    );
    // Another process, later.
    schedule.misfire = Misfire::All(2);
    home.open().await.set_schedule(&schedule, Some(hour(5))).await.unwrap();
    assert_eq!(
        stored(&store).await,
        StoredSchedule { schedule: schedule.clone(), next_due: Some(hour(3)) }
    );
    schedule.timing = Timing::parse("0 * * * *", "America/New_York").unwrap();
    store.set_schedule(&schedule, Some(hour(6))).await.unwrap();
    assert_eq!(next_due().await, Some(hour(6)), "another zone");
    schedule.timing = Timing::parse("30 * * * *", "America/New_York").unwrap();
    store.set_schedule(&schedule, Some(hour(7))).await.unwrap();
    assert_eq!(next_due().await, Some(hour(7)), "another line");
    schedule.enabled = false;
    store.set_schedule(&schedule, None).await.unwrap();
    assert_eq!(next_due().await, None);
    schedule.enabled = true;
    store.set_schedule(&schedule, Some(hour(9))).await.unwrap();
    assert_eq!(next_due().await, Some(hour(9)), "what was due while it was off is not missed");

    let clock = store.clock().await.unwrap().as_millisecond();
    assert!((clock - jiff::Timestamp::now().as_millisecond()).abs() < 60_000);
}

pub async fn a_slot_is_claimed_once_by_five_processes_at_once(home: impl Home) {
    let store = opened(&home).await;
    store.set_schedule(&hourly("once"), Some(hour(3))).await.unwrap();
    let handles = join_all((0..5).map(|_| home.open())).await;
    for slot in [hour(3), hour(4), hour(5)] {
        let read = stored(&store).await;
        let claims = handles.iter().enumerate().map(async |(number, handle)| {
            let owner = owner(&format!("process {number}"));
            let claimed = claim(&read, slot, &owner).unwrap();
            handle.claim_slots(&claimed).await.unwrap().then_some(owner)
        });
        let won: Vec<RunOwner> = join_all(claims).await.into_iter().flatten().collect();
        let [winner] = &won[..] else { panic!("{won:?}") };
        let run = runs(&store).await.remove(0);
        let id = CampaignId::of_slot(&"hourly".parse().unwrap(), slot);
        assert_eq!((run.slot, run.campaign, run.state), (slot, Some(id), RunState::Running));
        assert_eq!((run.claimed_by, run.silent), (winner.name.clone(), false));
        assert_eq!(run.plan, Some(RunPlan { action: action(), from: Some(b()) }));
        let begun = store.campaign(id).await.unwrap().unwrap();
        assert_eq!((begun.id, begun.source.as_str()), (id, "a schedule"));
        assert!(store.end_run(&key(slot), winner, None).await.unwrap());
        assert!(!store.end_run(&key(slot), winner, Some("again")).await.unwrap());
    }
    assert_eq!(store.campaigns(100).await.unwrap().len(), 3);
    assert_eq!(stored(&store).await.next_due, Some(hour(6)));
    assert!(states(&store).await.iter().all(|(_, state)| *state == RunState::Done));
}

pub async fn missed_slots_are_run_or_skipped_as_the_schedule_says(home: impl Home) {
    let store = opened(&home).await;
    let me = owner("me");
    // 01, 02 and 03 o'clock, and nobody was there.
    let now = time("2026-11-26T03:30:00Z");
    let (done, skipped) = (RunState::Done, RunState::Skipped);
    for (misfire, expected) in [
        ("skip", [(3, skipped), (2, skipped), (1, skipped)]),
        ("once", [(3, done), (2, skipped), (1, skipped)]),
        ("all:2", [(3, done), (2, done), (1, skipped)]),
        ("all:5", [(3, done), (2, done), (1, done)]),
    ] {
        let mut schedule = hourly(misfire);
        schedule.name = misfire.replace(':', "-").parse().unwrap();
        store.set_schedule(&schedule, Some(hour(1))).await.unwrap();
        let read = async || {
            let all = store.schedules().await.unwrap();
            all.into_iter().find(|found| found.schedule == schedule).unwrap()
        };
        let mut order = Vec::new();
        while let Some(claimed) = claim(&read().await, now, &me) {
            if store.claim_slots(&claimed).await.unwrap()
                && let Some(NewRun { slot, .. }) = claimed.run
            {
                // The next one waits for the end of this one.
                let next = claim(&read().await, now, &me);
                if let Some(next) = next {
                    assert!(!store.claim_slots(&next).await.unwrap(), "two at once");
                }
                order.push(slot);
                let run = RunKey { schedule: schedule.name.clone(), slot };
                assert!(store.end_run(&run, &me, None).await.unwrap());
            }
        }
        assert!(order.is_sorted(), "{misfire}: {order:?}");
        assert_eq!(read().await.next_due, Some(hour(4)), "{misfire}");
        let query = RunQuery { schedule: Some(schedule.name.clone()), running: false, limit: 9 };
        let runs = store.schedule_runs(&query).await.unwrap();
        let found: Vec<_> = runs.iter().map(|run| (run.slot, run.state)).collect();
        assert_eq!(found, expected.map(|(at, state)| (hour(at), state)), "{misfire}");
        assert!(runs.iter().all(|run| (run.state == done) == run.campaign.is_some()));
    }
}

pub async fn a_clock_that_jumps_back_runs_no_slot_twice(home: impl Home) {
    let store = opened(&home).await;
    let me = owner("me");
    store.set_schedule(&hourly("once"), Some(hour(3))).await.unwrap();
    let claimed = claim(&stored(&store).await, hour(3), &me).unwrap();
    assert!(store.claim_slots(&claimed).await.unwrap());
    store.end_run(&key(hour(3)), &me, None).await.unwrap();
    assert_eq!(claim(&stored(&store).await, hour(1), &me), None, "nothing is due");
    assert!(!store.claim_slots(&claimed).await.unwrap(), "what was read before");

    // The definition changes there and back while the clock is wrong: the slot is due once more.
    let other = Schedule { timing: Timing::parse("9 * * * *", "UTC").unwrap(), ..hourly("once") };
    store.set_schedule(&other, Some(hour(2))).await.unwrap();
    store.set_schedule(&hourly("once"), Some(hour(3))).await.unwrap();
    let again = claim(&stored(&store).await, hour(3), &me).unwrap();
    assert!(!store.claim_slots(&again).await.unwrap(), "it had its run");
    assert_eq!(stored(&store).await.next_due, Some(hour(4)));
    assert_eq!(states(&store).await, [(hour(3), RunState::Done)]);
}

pub async fn a_claim_of_another_definition_fails(home: impl Home) {
    let store = opened(&home).await;
    store.set_schedule(&hourly("once"), Some(hour(3))).await.unwrap();
    let claimed = claim(&stored(&store).await, hour(3), &owner("old")).unwrap();
    store.set_schedule(&hourly("skip"), Some(hour(5))).await.unwrap();
    assert!(!store.claim_slots(&claimed).await.unwrap());
    assert_eq!((runs(&store).await, store.campaigns(9).await.unwrap()), (vec![], vec![]));

    // A run that cannot be done has its reason, and no campaign.
    let mut failed = claim(&stored(&store).await, hour(3), &owner("new")).unwrap();
    failed.run = failed.run.map(|run| {
        let error = Some("there is no gallery".to_owned());
        NewRun { campaign: None, error, ..run }
    });
    assert!(store.claim_slots(&failed).await.unwrap());
    let run = runs(&store).await.remove(0);
    assert_eq!((run.state, run.error.as_deref()), (RunState::Failed, Some("there is no gallery")));
    assert!(run.ended_at.is_some() && run.campaign.is_none());

    // A campaign that cannot begin leaves nothing behind.
    let mut unknown = claim(&stored(&store).await, hour(4), &owner("new")).unwrap();
    let profile = profile("never registered").id();
    unknown.run = unknown.run.map(|run| NewRun {
        campaign: run.campaign.map(|campaign| Campaign { profile, ..campaign }),
        ..run
    });
    store.claim_slots(&unknown).await.unwrap_err();
    assert_eq!(stored(&store).await.next_due, Some(hour(4)));
    assert_eq!(runs(&store).await.len(), 1);
}

pub async fn a_run_is_taken_over_by_one_process_once_its_own_is_silent(home: impl Home) {
    let store = opened(&home).await;
    let (first, slot) = (owner("first"), hour(3));
    store.set_schedule(&hourly("once"), Some(slot)).await.unwrap();
    let claimed = claim(&stored(&store).await, slot, &first).unwrap();
    assert!(store.claim_slots(&claimed).await.unwrap());
    assert!(!store.take_over_run(&key(slot), &owner("hasty")).await.unwrap());
    // As long as it says that it is at it.
    let give_up = Instant::now() + RUN_GONE_AFTER + RUN_BEAT_EVERY;
    while Instant::now() < give_up {
        assert!(store.beat_run(&key(slot), &first).await.unwrap());
        sleep(Duration::from_millis(500)).await;
    }
    assert!(!store.take_over_run(&key(slot), &owner("hasty")).await.unwrap());
    assert!(!runs(&store).await[0].silent);

    store.release_run(&key(slot), &first, true).await.unwrap();
    assert!(runs(&store).await[0].silent);
    let handles = join_all((0..5).map(|_| home.open())).await;
    let takers = handles.iter().enumerate().map(async |(number, handle)| {
        let taker = owner(&format!("taker {number}"));
        handle.take_over_run(&key(slot), &taker).await.unwrap().then_some(taker)
    });
    let taken: Vec<RunOwner> = join_all(takers).await.into_iter().flatten().collect();
    let [taker] = &taken[..] else { panic!("{taken:?}") };
    assert_eq!(runs(&store).await[0].claimed_by, taker.name);
    // The first one finds out, and cannot end what is not its own.
    assert!(!store.beat_run(&key(slot), &first).await.unwrap());
    assert!(!store.end_run(&key(slot), &first, None).await.unwrap());
    assert!(store.end_run(&key(slot), taker, Some("no room")).await.unwrap());
    let run = runs(&store).await.remove(0);
    assert_eq!((run.state, run.error.as_deref()), (RunState::Failed, Some("no room")));
    assert!(!store.take_over_run(&key(slot), &owner("late")).await.unwrap());
    let running = RunQuery { schedule: None, running: true, limit: 9 };
    assert_eq!(store.schedule_runs(&running).await.unwrap(), []);
}

pub async fn a_listing_that_begins_anew_counts_every_image_once(home: impl Home) {
    let store = opened(&home).await;
    let campaign = campaign(&hourly("once"), hour(3));
    store.begin_campaign(&campaign, None).await.unwrap();
    let job = |name: &str| campaign.id.job(&uri(name));
    let chunk = |listed, skipped: &[&str]| ListedChunk {
        listed,
        skipped: skipped.iter().map(|name| job(name)).collect(),
        from: None,
        to: Some("c".into()),
    };
    store.note_listed(campaign.id.into(), &chunk(3, &["one"])).await.unwrap();
    let ended = with_job(scored("two", &[10]), |scored| {
        (scored.id, scored.campaign) = (job("two"), Some(campaign.id));
    });
    store.record(&[ended]).await.unwrap();

    store.restart_listing(campaign.id.into()).await.unwrap();
    let progress = async || store.campaign(campaign.id).await.unwrap().unwrap().progress;
    let restarted = progress().await;
    assert_eq!((restarted.listed, restarted.skipped, restarted.chunk_to), (0, 1, None));
    assert_eq!(restarted.outcomes[&OutcomeKind::Scored], 1);
    // The second time, what ended is up to date.
    store.note_listed(campaign.id.into(), &chunk(4, &["one", "two", "four"])).await.unwrap();
    store.end_listing(campaign.id.into()).await.unwrap();
    let progress = progress().await;
    assert_eq!((progress.listed, progress.skipped, progress.ended()), (4, 2, 1));
    assert_eq!(progress.left(), 1, "three is in the queue");
    store.restart_listing(CampaignId::new().into()).await.unwrap_err();
}
