//! A campaign that is waited for: its last event may come after the counts say that it is complete,
//! or never.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use facefleet::domain::{JobRecord, LabelledImage, Lane, Outcome, OutcomeEvent};
use facefleet::gallery::campaign::{new_campaign, run_on_fleet};
use facefleet::gallery::follow::{CampaignCounts, CampaignEvent, CampaignRun};
use facefleet::gallery::list::Images;
use facefleet::queue::JobQueue;
use facefleet::queue::memory::MemoryQueue;
use facefleet::store::Store;
use facefleet::store::sqlite::SqliteStore;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::support::{gallery, profile, selection, stamp, uri};

const PATIENCE: Duration = Duration::from_secs(60);

/// The events that are seen of a campaign of one image, which is refused, and its last counts.
async fn followed(announces: bool) -> (usize, CampaignCounts) {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("faces.db").display());
    let store: Arc<dyn Store> = Arc::new(SqliteStore::open(&url).await.unwrap());
    let queue: Arc<dyn JobQueue> = Arc::new(MemoryQueue::new(16));
    let profile = profile("a");
    store.register_profile(&profile).await.unwrap();
    let campaign = new_campaign(gallery(), profile.id(), selection(), "a test".into());
    let mut consumer = queue.consume(&Lane::ALL, 1).await.unwrap();
    consumer.take_from(BTreeSet::from([campaign.sub_queue()]));
    let images = Images::Given(vec![LabelledImage::new(uri("a"), Some(stamp("v1")))]);
    let run = CampaignRun { images, campaign, selection: selection(), claim: None };

    let (complete, mut seen) = (watch::Sender::new(false), 0);
    let of_run = (queue.clone(), store.clone(), CancellationToken::new());
    let following =
        run_on_fleet(run, of_run.0, of_run.1, true, of_run.2, |counts, event| match event {
            CampaignEvent::Ended(_) => seen += 1,
            _ => drop(complete.send_replace(counts.progress.is_complete())),
        });
    let worker = async {
        let delivery = consumer.next().await.unwrap();
        let outcome = Outcome::Refused("as the test wants".into());
        let id = profile.id();
        let job = delivery.job();
        let record = JobRecord::without_content(job, &id, selection(), "cpu", outcome);
        let recorded = store.record(std::slice::from_ref(&record)).await.unwrap().remove(0);
        complete.subscribe().wait_for(|complete| *complete).await.unwrap();
        let event = OutcomeEvent::new(&record, recorded.image, recorded.end(&record));
        if announces {
            queue.announce(&[event]).await.unwrap();
        }
    };
    let both = async { tokio::join!(following, worker).0 };
    let counts = timeout(PATIENCE, both).await.expect("it should end").unwrap();
    (seen, counts)
}

#[tokio::test]
async fn an_event_that_comes_after_the_counts_is_seen() {
    let (seen, counts) = followed(true).await;
    assert_eq!((seen, counts.failures.images()), (1, 1));
}

#[tokio::test]
async fn an_event_that_never_comes_is_not_waited_for_without_end() {
    let (seen, counts) = followed(false).await;
    assert_eq!((seen, counts.failures.images()), (0, 1), "the store knows the reason");
}
