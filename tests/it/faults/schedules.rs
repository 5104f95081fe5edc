//! Schedules: five processes claim a slot at once, and one of them is killed while it lists.

use facefleet::domain::{RunState, UtcTime};
use facefleet::store::RunQuery;
use sqlx::{Connection, PgConnection};

use super::*;

const IMAGES: usize = 3000;

/// Holds every listing after its first chunk while the connection that runs this is open.
const HOLD: &str = "
    CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN PERFORM pg_advisory_xact_lock(1); RETURN NEW; END $$;
    CREATE TRIGGER hold BEFORE UPDATE OF listed ON campaigns FOR EACH ROW
    WHEN (OLD.listed > 0) EXECUTE FUNCTION hold();
    SELECT pg_advisory_lock(1)";

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_has_one_campaign_and_each_image_once_when_its_lister_is_killed() {
    let (mut fleet, _) = Fleet::unpublished(names(IMAGES)).await;
    let first = fleet.campaign.id;
    fleet.store.set_campaign_state(first, CampaignState::Cancelled).await.unwrap();
    let file = fleet.folder.path().join("facefleet.toml");
    let root = fleet.folder.path().canonicalize().unwrap();
    let table = format!(
        "[[schedule]]\nname = 'nightly'\ncron = '0 0 * * *'\naction = 'scan'\n\
            gallery = 'faults'\nroots = ['{}']\n",
        root.display()
    );
    std::fs::write(&file, table).unwrap();
    // Nobody was there for three nights.
    let schedule = Settings::load(Some(&file)).unwrap().schedule.remove(0);
    let now = fleet.store.clock().await.unwrap();
    let week = UtcTime::from_millisecond(now.as_millisecond() - 7 * 86_400_000).unwrap();
    let slots = schedule.timing.slots(week, now, 3);
    fleet.store.set_schedule(&schedule, Some(slots[0])).await.unwrap();
    let id = CampaignId::of_slot(&schedule.name, slots[2]);
    fleet.campaign.id = id;

    let often = [("FACEFLEET__WORKER__SCHEDULE_POLL_SECONDS", "1".to_owned())];
    let worker = || fleet.worker_with(&fleet.stack.queue, &fleet.store_url, &often);
    let mut lock = PgConnection::connect(&fleet.store_url).await.unwrap();
    sqlx::raw_sql(HOLD).execute(&mut lock).await.unwrap();
    let mut workers: Vec<Worker> = (0..5).map(|_| worker()).collect();
    fleet.until(|progress| progress.listed > 0).await;
    let query = RunQuery { schedule: None, running: true, limit: 10 };
    let running = fleet.store.schedule_runs(&query).await.unwrap();
    let [run] = &running[..] else { panic!("{running:?}") };
    assert_eq!((run.slot, run.campaign), (slots[2], Some(id)));
    let lister = run.claimed_by.clone();
    let of_run = |worker: &Worker| lister.ends_with(&format!(":{}", worker.process.id()));
    let killed = workers.iter().position(of_run).expect("a worker claimed it");
    workers.remove(killed).kill();
    fleet.campaign = fleet.store.campaign(id).await.unwrap().unwrap();
    assert!(!fleet.campaign.progress.listing_done);
    lock.close().await.unwrap();

    fleet.ends_well(workers, &[]).await;
    let progress = fleet.progress().await;
    assert_eq!((progress.listed, progress.left()), (IMAGES as u64, 0), "{progress:?}");
    let runs = RunQuery { running: false, ..query };
    let runs = fleet.store.schedule_runs(&runs).await.unwrap();
    let states: Vec<_> = runs.iter().map(|run| (run.slot, run.state)).collect();
    let skipped = RunState::Skipped;
    assert_eq!(states, [(slots[2], RunState::Done), (slots[1], skipped), (slots[0], skipped)]);
    assert_ne!(runs[0].claimed_by, lister);
    let campaigns = fleet.store.campaigns(10).await.unwrap();
    assert_eq!(campaigns.len(), 2, "one of the slot, one of the test: {campaigns:?}");
}
