//! A re-score beside a scan and enrolments, paused and cancelled, with one process and on a fleet.
//! The faces are made: what is tested is who waits for whom.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use facefleet::app::App;
use facefleet::domain::{
    Campaign, CampaignId, CampaignState, EnrolRules, ImageContent, Job, JobRecord, LabelledImage,
    Lane, Outcome, Profile, SubQueue,
};
use facefleet::gallery::campaign::{CampaignRef, new_campaign, run_on_fleet, set_state};
use facefleet::gallery::follow::{CampaignCounts, CampaignRun};
use facefleet::gallery::list::Images;
use facefleet::gallery::rescore::{RescoreImages, RescorePlan, RescoreWhich};
use facefleet::queue::JobQueue;
use facefleet::queue::memory::MemoryQueue;
use facefleet::settings::Settings;
use facefleet::store::postgres::PostgresStore;
use facefleet::store::sqlite::SqliteStore;
use facefleet::store::{Maintenance, Store};
use facefleet::worker::{Process, Processed};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::support::broker::TestBroker;
use crate::support::stack::Database;
use crate::support::{content, face, gallery, job, profile, scored, selection, stamp, uri};

const PATIENCE: Duration = Duration::from_secs(120);
/// Images of the gallery, of the scan and of the enrolments.
const STORED: usize = 40;
const SCANNED: usize = 400;
const ENROLLED: usize = 40;
const IN_FLIGHT: usize = 4;

/// Finds a face in every image, in its time, and notes the order.
struct Slow {
    profile: Profile,
    order: Mutex<Vec<Lane>>,
    /// Once so many images are re-scored, no job begins.
    most_rescored: watch::Sender<usize>,
}

impl Slow {
    fn order(&self) -> Vec<Lane> {
        self.order.lock().unwrap().clone()
    }

    fn rescored(&self) -> usize {
        self.order().into_iter().filter(|lane| *lane == Lane::Rescore).count()
    }
}

#[async_trait]
impl Process for Slow {
    fn profile(&self) -> &Profile {
        &self.profile
    }

    async fn process(&self, job: &Job) -> Processed {
        self.most_rescored.subscribe().wait_for(|most| self.rescored() < *most).await.unwrap();
        sleep(Duration::from_millis(10)).await;
        self.order.lock().unwrap().push(job.lane);
        let (id, selection) = (self.profile.id(), job.selection.complete(&selection()));
        let outcome = Outcome::Scored(vec![face(50)]);
        let record = JobRecord::without_content(job, &id, selection, "cpu", outcome);
        let content = content(job.image.as_str().as_bytes());
        let content = content.map(|content| ImageContent {
            hash: job.expected_hash.unwrap_or(content.hash),
            ..content
        });
        Processed::Ended(Box::new(JobRecord { content, ..record }))
    }
}

/// A gallery that is re-scored from profile `a` to `b`.
struct Stage {
    app: App,
    queue: Arc<dyn JobQueue>,
    store: Arc<dyn Store>,
    slow: Arc<Slow>,
}

impl Stage {
    async fn new(queue: Arc<dyn JobQueue>, store: Arc<dyn Store>) -> Self {
        let mut settings = Settings::load(None).unwrap();
        settings.worker.in_flight = IN_FLIGHT;
        let slow = Arc::new(Slow {
            profile: profile("b"),
            order: Mutex::default(),
            most_rescored: watch::Sender::new(usize::MAX),
        });
        for name in ["a", "b"] {
            store.register_profile(&profile(name)).await.unwrap();
        }
        let stored = (0..STORED).map(|number| scored(&format!("old-{number}"), &[40]));
        store.record(&stored.collect::<Vec<_>>()).await.unwrap();
        Self { app: App::new(settings), queue, store, slow }
    }

    fn work(&self) -> (CancellationToken, JoinHandle<()>) {
        let (stop, rules) = (CancellationToken::new(), EnrolRules::default());
        let (queue, store) = (self.queue.clone(), self.store.clone());
        let worker = self.app.worker(queue, store, self.slow.clone(), rules);
        let stopped = stop.clone();
        (stop, tokio::spawn(async move { worker.run(stopped).await.unwrap() }))
    }

    async fn rescore(&self, rate: Option<&str>) -> CampaignRun {
        let plan = RescorePlan {
            gallery: gallery(),
            from: profile("a").id(),
            to: profile("b").id(),
            selection: selection(),
            which: RescoreWhich::Missing,
        };
        let campaign = plan.campaign();
        let mut images = RescoreImages::find(self.store.clone(), plan, None, None).await.unwrap();
        images.rate = rate.map(|rate| rate.parse().unwrap());
        let images = Images::Rescore(Box::new(images));
        CampaignRun { images, campaign, selection: selection(), claim: None }
    }

    fn run(&self, run: CampaignRun) -> JoinHandle<CampaignCounts> {
        let (queue, store, stop) =
            (self.queue.clone(), self.store.clone(), CancellationToken::new());
        tokio::spawn(async move {
            let running = run_on_fleet(run, queue, store, true, stop, |_, _| {});
            timeout(PATIENCE, running).await.unwrap().unwrap()
        })
    }

    /// Waits until at least `count` images are re-scored.
    async fn rescored(&self, count: usize) {
        let enough = async {
            while self.slow.rescored() < count {
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(PATIENCE, enough).await.expect("images should be re-scored");
    }

    /// The jobs that wait for a campaign.
    async fn waiting(&self, sub_queue: &SubQueue) -> u64 {
        self.queue.waiting(std::slice::from_ref(sub_queue)).await.unwrap()[0]
    }

    /// Waits until at least `count` jobs of a campaign wait, and none is in flight: nobody takes
    /// them.
    async fn left_alone(&self, campaign: CampaignId, count: u64) {
        let sub_queue = self.campaign(campaign).await.sub_queue();
        let alone = async {
            loop {
                let waiting = self.waiting(&sub_queue).await;
                if waiting >= count && waiting == self.campaign(campaign).await.progress.left() {
                    return;
                }
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(PATIENCE, alone).await.expect("jobs should wait");
    }

    async fn campaign(&self, id: CampaignId) -> Campaign {
        self.store.campaign(id).await.unwrap().unwrap()
    }
}

fn scan() -> CampaignRun {
    let id = profile("b").id();
    let campaign = new_campaign(gallery(), id, selection(), "a test".into());
    let image = |number| LabelledImage::new(uri(&format!("new-{number}")), Some(stamp("v1")));
    let images = Images::Given((0..SCANNED).map(image).collect());
    CampaignRun { images, campaign, selection: selection(), claim: None }
}

async fn neither_waits_nor_holds_up(stage: &Stage) {
    let (rescore, scan) = (stage.rescore(None).await, scan());
    let jobs = [(rescore.campaign.sub_queue(), STORED), (scan.campaign.sub_queue(), SCANNED)];
    let (rescore, scan) = (stage.run(rescore), stage.run(scan));
    // Workers find at their start what is published.
    let published = async {
        for (sub_queue, count) in jobs {
            while stage.waiting(&sub_queue).await < count as u64 {
                sleep(Duration::from_millis(10)).await;
            }
        }
    };
    timeout(PATIENCE, published).await.expect("the jobs should be published");
    // Both have begun when the enrolments come, and go on when all of them are there.
    stage.slow.most_rescored.send_replace(2);
    let (stop, worker) = stage.work();
    stage.rescored(2).await;
    let enrolment = |number| Job {
        profile: Some(profile("b").id()),
        ..job(Lane::Enrol, &format!("person-{number}"))
    };
    stage.queue.publish((0..ENROLLED).map(enrolment).collect()).await.unwrap();
    let before = stage.slow.order().len();
    stage.slow.most_rescored.send_replace(usize::MAX);
    let (rescored, scanned) = (rescore.await.unwrap().progress, scan.await.unwrap().progress);
    assert!(rescored.is_complete() && scanned.is_complete());
    assert_eq!((rescored.ended(), rescored.skipped), (STORED as u64, 0));
    assert_eq!(scanned.ended(), SCANNED as u64);
    let order = stage.slow.order();
    let last = |lane| order.iter().rposition(|other| *other == lane).unwrap();
    assert!(last(Lane::Rescore) < last(Lane::Scan), "it is not starved: {order:?}");
    assert!(last(Lane::Enrol) < last(Lane::Scan), "{order:?}");
    let others = order[before..last(Lane::Enrol)].iter().filter(|lane| **lane != Lane::Enrol);
    let others = others.count();
    assert!(others < SCANNED / 2, "{others} other jobs before the last of {ENROLLED} enrolments");
    stop.cancel();
    worker.await.unwrap();
}

async fn may_be_paused_and_cancelled(stage: &Stage) {
    let (run, (stop, worker)) = (stage.rescore(Some("2/s")).await, stage.work());
    let id = run.campaign.id;
    let rescore = stage.run(run);
    stage.rescored(3).await;
    let set = |state| set_state(stage.store.as_ref(), CampaignRef::Id(id), state);
    set(CampaignState::Paused).await.unwrap();
    // More than a busy worker has in flight, and than is listed at once after a delay.
    stage.left_alone(id, 5).await;
    let paused = stage.slow.rescored();
    stage.left_alone(id, 7).await;
    assert_eq!(stage.slow.rescored(), paused);
    set(CampaignState::Running).await.unwrap();
    stage.rescored(paused + 1).await;
    set(CampaignState::Cancelled).await.unwrap();
    let progress = rescore.await.unwrap().progress;
    let now = stage.campaign(id).await;
    assert_eq!(now.state, CampaignState::Cancelled);
    assert_eq!(progress.listed, progress.ended() + progress.left());
    assert!(progress.ended() >= paused as u64, "{progress:?}");
    // The same again does the rest.
    stage.queue.remove(&now.sub_queue()).await.unwrap();
    let rest = stage.run(stage.rescore(None).await).await.unwrap().progress;
    assert_eq!((rest.listed, rest.left()), (STORED as u64, 0));
    assert!(rest.skipped >= progress.ended(), "{rest:?}");
    stop.cancel();
    worker.await.unwrap();
}

/// Runs a test in one process and on a fleet.
macro_rules! on_both {
    ($($test:ident)*) => {
        mod in_one_process {
            use super::*;
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $test() {
                    let folder = tempfile::tempdir().unwrap();
                    let url = format!("sqlite:{}", folder.path().join("faces.db").display());
                    let store = Arc::new(SqliteStore::open(&url).await.unwrap());
                    let queue = Arc::new(MemoryQueue::new(4096));
                    super::$test(&Stage::new(queue, store).await).await;
                }
            )*
        }

        mod on_a_fleet {
            use super::*;
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $test() {
                    let (broker, database) = (TestBroker::new(), Database::new().await);
                    let store = Arc::new(PostgresStore::open(&database.url, 4).await.unwrap());
                    let queue = Arc::new(broker.queue().await);
                    super::$test(&Stage::new(queue.clone(), store.clone()).await).await;
                    queue.close().await;
                    store.close().await;
                    broker.remove().await;
                }
            )*
        }
    };
}

on_both! {
    neither_waits_nor_holds_up
    may_be_paused_and_cancelled
}
