//! Schedules: five processes claim a slot at once, and one of them is killed while it lists.

use facefleet::domain::{RunState, UtcTime};
use facefleet::store::RunQuery;
use sqlx::{Connection, PgConnection};

use super::*;

const IMAGES: usize = 3000;

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

    let often = [("FACEFLEET__WORKER__SCHEDULE_POLL_SECONDS", "1".to_owned())];
    let worker = || fleet.worker_with(&fleet.stack.queue, &fleet.store_url, &often);
    let mut workers: Vec<Worker> = (0..5).map(|_| worker()).collect();
    // The lock keeps the listing where it is.
    let mut connection = PgConnection::connect(&fleet.store_url).await.unwrap();
    let lock = hold_listing(&mut connection, id).await;
    let query = RunQuery { schedule: None, running: true, limit: 10 };
    let running = fleet.store.schedule_runs(&query).await.unwrap();
    let [run] = &running[..] else { panic!("{running:?}") };
    assert_eq!((run.slot, run.campaign), (slots[2], Some(id)));
    let lister = run.claimed_by.clone();
    let of_run = |worker: &Worker| lister.ends_with(&format!(":{}", worker.process.id()));
    let killed = workers.iter().position(of_run).expect("a worker claimed it");
    workers.remove(killed).kill();
    lock.rollback().await.unwrap();

    fleet.campaign = fleet.store.campaign(id).await.unwrap().unwrap();
    assert!(!fleet.campaign.progress.listing_done);
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

/// Locks the campaign's row while its listing is in the middle.
async fn hold_listing(
    connection: &mut PgConnection,
    id: CampaignId,
) -> sqlx::Transaction<'_, sqlx::Postgres> {
    let give_up = Instant::now() + PATIENCE;
    let mut lock = connection.begin().await.unwrap();
    loop {
        let sql = "SELECT listed, listing_done FROM campaigns WHERE id = $1 FOR NO KEY UPDATE";
        let found: Option<(i64, bool)> =
            sqlx::query_as(sql).bind(id.0).fetch_optional(&mut *lock).await.unwrap();
        assert!(found.is_none_or(|(_, done)| !done), "it was listed too fast to be held");
        if found.is_some_and(|(listed, _)| listed > 0) {
            return lock;
        }
        assert!(Instant::now() < give_up, "nobody lists");
        // Lets the listing go on.
        sqlx::raw_sql("COMMIT; BEGIN").execute(&mut *lock).await.unwrap();
        sleep(Duration::from_millis(1)).await;
    }
}
