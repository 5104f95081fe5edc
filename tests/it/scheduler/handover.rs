//! A run is taken over while its process is in the middle of something.

use facefleet::domain::{Campaign, CampaignId, ListedChunk};
use facefleet::gallery::campaign::new_campaign;
use facefleet::store::postgres::PostgresStore;
use facefleet::store::{ListingKey, Listings, ScheduleRuns};
use sqlx::{Connection, PgConnection};
use tokio::time::{Instant, sleep};

use super::*;
use crate::support::stack::Database;

const PATIENCE: Duration = Duration::from_secs(120);

/// Waits until `count` connections to `database` wait for a lock.
async fn waiting(database: &Database, count: i64) {
    let mut connection = PgConnection::connect(&database.url).await.unwrap();
    let sql = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
        AND wait_event_type = 'Lock'";
    let give_up = Instant::now() + PATIENCE;
    while sqlx::query_scalar::<_, i64>(sql).fetch_one(&mut connection).await.unwrap() < count {
        assert!(Instant::now() < give_up, "nothing waits");
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chunk_that_is_being_noted_is_noted_before_another_process_has_the_run() {
    let database = Database::new().await;
    let open = async || PostgresStore::open(&database.url, 2).await.unwrap();
    let store: Arc<dyn Store> = Arc::new(open().await);
    store.register_profile(&profile("a")).await.unwrap();
    let (own, first) = (daily(), RunOwner::new("first"));
    let slot = past_slots(&store, &own, 2).await.remove(0);
    store.set_schedule(&own, Some(slot)).await.unwrap();
    let id = CampaignId::of_slot(&own.name, slot);
    let campaign = new_campaign(gallery(), profile("a").id(), selection(), "a bucket".into());
    let run = Some(NewRun {
        slot,
        plan: Some(RunPlan { action: own.action.clone(), from: None }),
        campaign: Some(Campaign { id, ..campaign }),
        error: None,
    });
    let (of, skipped) = (store.schedules().await.unwrap().remove(0), Vec::new());
    let claim = SlotClaim { of, next_due: None, run, skipped, owner: first.clone() };
    assert!(store.claim_slots(&claim).await.unwrap());
    let key = RunKey { schedule: own.name, slot };
    store.release_run(&key, &first, true).await.unwrap();

    // The chunk waits for the campaign's row, in the middle of its transaction.
    let mut connection = PgConnection::connect(&database.url).await.unwrap();
    let mut lock = connection.begin().await.unwrap();
    sqlx::query("SELECT FROM campaigns FOR NO KEY UPDATE").execute(&mut *lock).await.unwrap();
    let noting = tokio::spawn({
        let listing = ListingKey { campaign: id, claim: Some(first.id) };
        let chunk = ListedChunk { listed: 3, to: Some("0 c".into()), ..ListedChunk::default() };
        let store = open().await;
        async move { store.note_listed(listing, &chunk).await }
    });
    waiting(&database, 1).await;
    let taking = tokio::spawn({
        let store = open().await;
        async move { store.take_over_run(&key, &RunOwner::new("second")).await }
    });
    waiting(&database, 2).await;
    assert!(!taking.is_finished() && !noting.is_finished());
    lock.rollback().await.unwrap();
    noting.await.unwrap().unwrap();
    assert!(taking.await.unwrap().unwrap());
    let progress = store.campaign(id).await.unwrap().unwrap().progress;
    assert_eq!((progress.listed, progress.chunk_to.as_deref()), (3, Some("0 c")));
}
