//! Runs of schedules: who has them, and how long they are kept.

use std::time::Duration;

use facefleet::domain::{
    CampaignId, CampaignState, ListedChunk, RunPlan, RunState, Schedule, UtcTime,
};
use facefleet::gallery::campaign::close_local;
use facefleet::store::{
    ListingKey, NewRun, RUN_GONE_AFTER, RUNS_KEPT, RunOwner, RunQuery, SlotClaim, StoreError,
};

use super::schedules::{action, claim, hour, hourly, key, owner, runs, stored};
use super::*;

/// The store with a run of 3 o'clock, and who claimed it.
async fn claimed(home: &impl Home) -> (Arc<dyn Store>, RunOwner) {
    let (store, first) = (opened(home).await, owner("first"));
    store.set_schedule(&hourly("once"), Some(hour(3))).await.unwrap();
    let claimed = claim(&stored(&store).await, hour(3), &first).unwrap();
    assert!(store.claim_slots(&claimed).await.unwrap());
    (store, first)
}

pub async fn a_run_whose_beat_is_in_the_future_is_silent(home: impl Home) {
    let (store, first) = claimed(&home).await;
    let set_beat = async |later: Duration| {
        let seconds = later.as_secs();
        let sqlite = format!("UPDATE schedule_runs SET beat_ms = beat_ms + {seconds}000");
        let postgres = format!("UPDATE schedule_runs SET beat = beat + interval '{seconds} s'");
        home.change(&sqlite, &postgres).await;
    };
    // Clocks of two processes may differ a little.
    set_beat(RUN_GONE_AFTER / 2).await;
    assert!(!runs(&store).await[0].silent);
    assert!(!store.take_over_run(&key(hour(3)), &owner("hasty")).await.unwrap());
    set_beat(Duration::from_secs(86_400)).await;
    assert!(runs(&store).await[0].silent, "the clock was a day ahead");
    assert!(store.take_over_run(&key(hour(3)), &owner("second")).await.unwrap());
    assert!(!runs(&store).await[0].silent);
    assert!(!store.beat_run(&key(hour(3)), &first).await.unwrap());
}

pub async fn processes_that_die_at_a_run_are_counted(home: impl Home) {
    let (store, mut holder) = claimed(&home).await;
    let key = key(hour(3));
    let take_over = async || {
        let taker = owner("taker");
        assert!(store.take_over_run(&key, &taker).await.unwrap());
        (taker, runs(&store).await[0].take_overs)
    };
    let die = async || {
        let postgres = "UPDATE schedule_runs SET beat = beat - interval '1 hour'";
        home.change("UPDATE schedule_runs SET beat_ms = beat_ms - 3600000", postgres).await;
    };
    for deaths in 1..=2 {
        die().await;
        let (taker, take_overs) = take_over().await;
        assert_eq!(take_overs, deaths);
        holder = taker;
    }
    // A process that is stopped hands its runs over.
    store.release_run(&key, &holder, true).await.unwrap();
    let (holder, take_overs) = take_over().await;
    assert_eq!(take_overs, 0);
    // So does one that something is out of order for, but not at once.
    die().await;
    take_over().await;
    store.release_run(&key, &holder, false).await.unwrap();
    assert_eq!(runs(&store).await[0].take_overs, 1, "it is not its run any more");
    die().await;
    let (holder, _) = take_over().await;
    store.release_run(&key, &holder, false).await.unwrap();
    let run = runs(&store).await.remove(0);
    assert_eq!((run.take_overs, run.silent), (0, false));
}

pub async fn only_the_claim_that_a_run_has_says_how_far_its_listing_is(home: impl Home) {
    let (store, first) = claimed(&home).await;
    let campaign = CampaignId::of_slot(&hourly("once").name, hour(3));
    let of = |owner: &RunOwner| ListingKey { campaign, claim: Some(owner.id) };
    let chunk = ListedChunk { listed: 5, to: Some("0 c".into()), ..ListedChunk::default() };
    store.note_listed(of(&first), &chunk).await.unwrap();
    // The same process, once more: the task that it had before may still be at it.
    store.release_run(&key(hour(3)), &first, true).await.unwrap();
    let second = owner("first");
    assert!(store.take_over_run(&key(hour(3)), &second).await.unwrap());
    let begun = store.campaign(campaign).await.unwrap().unwrap();
    for refused in [
        store.note_listed(of(&first), &chunk).await,
        store.end_listing(of(&first)).await,
        store.fail_listing(of(&first), "too late").await,
        store.restart_listing(of(&first)).await,
        store.cancel_listing(of(&first)).await,
        store.begin_campaign(&begun, Some(first.id)).await,
    ] {
        assert!(matches!(refused, Err(StoreError::TakenOver(id)) if id == campaign), "{refused:?}");
    }
    let found = async || store.campaign(campaign).await.unwrap().unwrap();
    assert_eq!(found().await.progress.listed, 5);
    // In one process, the end of the one that lost it does not cancel what the other is at.
    close_local(store.as_ref(), of(&first)).await.unwrap();
    assert_eq!(found().await.state, CampaignState::Running);
    assert_eq!(store.open_campaigns().await.unwrap().len(), 1);
    store.note_listed(of(&second), &chunk).await.unwrap();
    let progress = found().await.progress;
    assert_eq!((progress.listed, progress.listing_done, progress.listing_error), (10, false, None));
    close_local(store.as_ref(), of(&second)).await.unwrap();
    assert_eq!(found().await.state, CampaignState::Cancelled);
    assert_eq!(store.open_campaigns().await.unwrap().len(), 0);
    // Nor is it open again for the one that lost it, but for the one that has it.
    store.begin_campaign(&begun, Some(first.id)).await.unwrap_err();
    assert_eq!(store.open_campaigns().await.unwrap().len(), 0);
    store.begin_campaign(&begun, Some(second.id)).await.unwrap();
    assert_eq!(store.open_campaigns().await.unwrap().len(), 1);
    store.end_run(&key(hour(3)), &second, None).await.unwrap();
    store.end_listing(of(&second)).await.unwrap_err();
    // No schedule lists it.
    store.note_listed(campaign.into(), &chunk).await.unwrap();
}

pub async fn old_runs_are_deleted(home: impl Home) {
    let store = opened(&home).await;
    let other = Schedule { name: "other".parse().unwrap(), ..hourly("once") };
    let at = |minute: i64| UtcTime::from_millisecond(minute * 60_000).unwrap();
    let all = i64::from(RUNS_KEPT) + 5;
    for schedule in [other, hourly("once")] {
        store.set_schedule(&schedule, Some(at(1))).await.unwrap();
        let read = store.schedules().await.unwrap();
        let of = read.into_iter().find(|found| found.schedule == schedule).unwrap();
        let me = owner("me");
        let plan = Some(RunPlan { action: action(), from: None });
        let run = Some(NewRun { slot: at(all + 1), plan, campaign: None, error: None });
        let skipped = (1..=all).map(at).collect();
        let claim = SlotClaim { of, next_due: Some(at(all + 2)), run, skipped, owner: me };
        assert!(store.claim_slots(&claim).await.unwrap());
    }
    for name in ["other", "hourly"] {
        let schedule = Some(name.parse().unwrap());
        let query = RunQuery { schedule, running: false, limit: RUNS_KEPT * 2 };
        let runs = store.schedule_runs(&query).await.unwrap();
        assert_eq!(runs.len(), RUNS_KEPT as usize + 1, "{name}: the running one counts apart");
        assert_eq!((runs[0].slot, runs[0].state), (at(all + 1), RunState::Running));
        assert_eq!(runs[RUNS_KEPT as usize].slot, at(6));
    }
}

pub async fn rows_that_cannot_be_read_are_left_out(home: impl Home) {
    let (store, _) = claimed(&home).await;
    let other = Schedule { name: "other".parse().unwrap(), ..hourly("once") };
    store.set_schedule(&other, Some(hour(4))).await.unwrap();
    let sql = "UPDATE schedules SET definition = '{' WHERE name = 'hourly'; \
        INSERT INTO schedules (name, definition, timing) VALUES ('a b', '{}', '')";
    home.change(sql, sql).await;
    let names = async || -> Vec<String> {
        let read = store.schedules().await.unwrap();
        read.into_iter().map(|stored| stored.schedule.name.into()).collect()
    };
    assert_eq!(names().await, ["other"]);
    let claim = claim(&stored(&store).await, hour(4), &owner("me")).unwrap();
    assert!(store.claim_slots(&claim).await.unwrap());
    let broken = "UPDATE schedule_runs SET plan = '{' WHERE schedule = 'hourly'";
    home.change(broken, broken).await;
    let [run] = &runs(&store).await[..] else { panic!("one run can be read") };
    assert_eq!(run.schedule.as_str(), "other");
    // Whoever has it in its settings mends it.
    store.set_schedule(&hourly("once"), Some(hour(3))).await.unwrap();
    assert_eq!(names().await, ["hourly", "other"]);
}
