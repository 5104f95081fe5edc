//! Rights that a running worker loses: it reports and waits, no job loses an attempt, and it
//! continues once they are restored.

use std::collections::HashSet;
use std::process::{Command, Output};

use facefleet::domain::JobId;
use facefleet::queue::QueueError;
use facefleet::queue::rabbitmq::{RabbitQueue, RabbitSettings};
use facefleet::store::StoreError;
use facefleet::store::postgres::PostgresStore;
use sqlx::{Connection, PgConnection};

use super::*;
use crate::postgres_store::roles::{guided, url_of};
use crate::support::job;
use crate::support::proxy::Proxy;
use crate::support::stack::Database;

/// A user of the broker behind a proxy, and a role of the database.
struct Site {
    broker: TestBroker,
    user: User,
    proxy: Proxy,
    database: Database,
    /// The queue as the stack's owner, with all rights.
    admin: RabbitQueue,
}

impl Site {
    async fn new() -> Self {
        let broker = TestBroker::new();
        let user = User::new(&broker);
        let proxy =
            Proxy::to(format!("127.0.0.1:{}", broker.url.port().unwrap()).parse().unwrap()).await;
        let admin = broker.queue().await;
        Self { user, proxy, database: guided().await, admin, broker }
    }

    async fn queue(&self) -> Result<RabbitQueue, QueueError> {
        let url = self.proxy.through(&self.user.url(&self.broker)).into();
        RabbitQueue::connect(&RabbitSettings { url, ..self.broker.settings() }).await
    }

    async fn store(&self) -> Arc<dyn Store> {
        Arc::new(PostgresStore::open(url_of(&self.database, "worker").as_str(), 4).await.unwrap())
    }

    async fn worker(&self) -> Running {
        Running::start(Arc::new(self.queue().await.unwrap()), self.store().await).await
    }

    async fn publish(&self, name: &str, count: usize) -> Vec<Job> {
        let jobs: Vec<Job> =
            (0..count).map(|number| job(Lane::Scan, &format!("{name}-{number}"))).collect();
        self.admin.publish(jobs.clone()).await.unwrap();
        jobs
    }

    /// Cuts the worker's connections, because the broker caches the rights of open ones.
    fn cut(&self) {
        self.proxy.cut();
        self.proxy.restore();
    }

    /// The jobs with a result, and the highest attempt.
    async fn recorded(&self) -> (HashSet<JobId>, i64) {
        let mut connection =
            PgConnection::connect(url_of(&self.database, "worker").as_str()).await.unwrap();
        let rows: Vec<(uuid::Uuid, i64)> =
            sqlx::query_as("SELECT job_id, attempt FROM facefleet.results")
                .fetch_all(&mut connection)
                .await
                .unwrap();
        (
            rows.iter().map(|row| JobId(row.0)).collect(),
            rows.iter().map(|row| row.1).max().unwrap_or(0),
        )
    }

    /// Waits until each of `jobs` has a result and the queues are empty; nothing may be dead.
    /// Returns the highest attempt.
    async fn all_end(&self, jobs: &[Job]) -> i64 {
        let give_up = Instant::now() + PATIENCE;
        loop {
            let ((recorded, attempt), status) =
                (self.recorded().await, self.admin.status().await.unwrap());
            assert_eq!(status.dead, 0);
            let empty = status.delayed == 0 && status.ready.iter().all(|(_, count)| *count == 0);
            if empty && jobs.iter().all(|job| recorded.contains(&job.id)) {
                return attempt;
            }
            assert!(
                Instant::now() < give_up,
                "{} of {} ended; {status:?}",
                recorded.len(),
                jobs.len()
            );
            sleep(Duration::from_millis(100)).await;
        }
    }

    fn doctor(&self) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_facefleet"));
        command.args(["doctor", "--aligned"]).envs([
            ("FACEFLEET__QUEUE__URL", self.user.url(&self.broker).as_str()),
            ("FACEFLEET__QUEUE__PREFIX", &self.broker.prefix),
            ("FACEFLEET__STORE__URL", url_of(&self.database, "worker").as_str()),
            ("FACEFLEET__RUNTIME__DEVICE", "cpu"),
        ]);
        command.output().unwrap()
    }

    /// Asserts that doctor prints `verdict` for `part`, with `why`.
    fn doctor_says(&self, verdict: &str, part: &str, why: &str) {
        let said = String::from_utf8(self.doctor().stdout).unwrap();
        let line = said
            .lines()
            .find(|line| line.split_whitespace().nth(1) == Some(part))
            .expect("a line for each part");
        assert!(line.starts_with(verdict) && line.contains(why), "{line}");
    }

    async fn end(self, worker: Running) {
        worker.stop().await;
        self.broker.remove().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_may_no_longer_insert_waits_and_continues_once_it_may() {
    let site = Site::new().await;
    let worker = site.worker().await;
    worker.answers("/health/ready", 200, "ready").await;
    let mut jobs = site.publish("before", 5).await;
    site.all_end(&jobs).await;
    site.doctor_says("ok", "store", "");

    let role = site.database.role("worker");
    site.database.run(&format!("REVOKE INSERT ON facefleet.results FROM {role}")).await;
    jobs.extend(site.publish("after", 20).await);
    worker.answers("/health/ready", 503, &format!("GRANT INSERT ON results TO {role}")).await;
    worker.answers("/health/ready", 503, "a request to the store has waited").await;
    worker.answers("/metrics", 200, "facefleet_waiting_seconds{backend=\"store\"}").await;
    worker.answers("/health/live", 200, "live").await;
    site.doctor_says("WRONG", "store", "no right to INSERT on results");
    assert!(worker.vitals.oldest_job().unwrap() > Duration::from_secs(1));
    assert_eq!(site.recorded().await.0.len(), 5);

    site.database.run(&format!("GRANT INSERT ON facefleet.results TO {role}")).await;
    assert_eq!(site.all_end(&jobs).await, 1, "waiting is not an attempt");
    worker.answers("/health/ready", 200, "ready").await;
    assert_eq!(worker.scorer.calls.load(Ordering::SeqCst), 25, "each job was processed once");
    site.end(worker).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_waits_for_a_right_still_stops_in_time() {
    let site = Site::new().await;
    let worker = site.worker().await;
    worker.answers("/health/ready", 200, "ready").await;
    site.database
        .run(&format!("REVOKE INSERT ON facefleet.results FROM {}", site.database.role("worker")))
        .await;
    site.publish("one", 1).await;
    worker.answers("/health/ready", 503, "a request to the store has waited").await;
    site.end(worker).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_may_no_longer_read_its_queues_reports_it_and_continues_once_it_may() {
    let site = Site::new().await;
    let worker = site.worker().await;
    worker.answers("/health/ready", 200, "ready").await;
    site.doctor_says("ok", "queue", "");
    site.user.may(".*", "^$");
    site.cut();
    worker.answers("/health/ready", 503, "access to queue").await;
    site.doctor_says("WRONG", "queue", "give it the right to read");
    let jobs = site.publish("waiting", 20).await;
    assert_eq!(worker.scorer.calls.load(Ordering::SeqCst), 0);

    site.user.may(".*", ".*");
    assert_eq!(site.all_end(&jobs).await, 1);
    worker.answers("/health/ready", 200, "ready").await;
    site.end(worker).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_may_no_longer_publish_waits_and_continues_once_it_may() {
    let site = Site::new().await;
    let worker = site.worker().await;
    worker.answers("/health/ready", 200, "ready").await;
    site.user.may("^$", ".*");
    site.cut();
    // The outcomes of most jobs cannot be announced, and one cannot be retried.
    let mut jobs = site.publish("waiting", 20).await;
    jobs.extend(site.publish("hiccup", 1).await);
    worker.answers("/health/ready", 503, "give it the right to write").await;
    worker.answers("/health/ready", 503, "has waited for").await;
    site.doctor_says("WRONG", "queue", "give it the right to write");

    site.user.may(".*", ".*");
    assert_eq!(site.all_end(&jobs).await, 2, "the second attempt of the one that failed");
    assert_eq!(
        worker.scorer.hiccups.load(Ordering::SeqCst),
        1,
        "the job that could not be retried was not redelivered"
    );
    worker.answers("/health/ready", 200, "ready").await;
    site.end(worker).await;
}

/// The broker may close a channel before the next request is sent, as on a busy machine; lapin then
/// forgets why.
#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_to_publish_has_its_reason_also_on_a_busy_machine() {
    let site = Site::new().await;
    let queue = Arc::new(site.queue().await.unwrap());
    site.user.may("^$", ".*");
    site.cut();
    let busy = Arc::new(std::sync::atomic::AtomicBool::new(true));
    let threads: Vec<_> = (0..4 * std::thread::available_parallelism().unwrap().get())
        .map(|_| {
            let busy = busy.clone();
            std::thread::spawn(move || while busy.load(Ordering::Relaxed) {})
        })
        .collect();
    let mut checks = tokio::task::JoinSet::new();
    for _ in 0..40 {
        let queue = queue.clone();
        checks.spawn(async move { queue.try_publishing().await });
    }
    let refused = checks.join_all().await;
    busy.store(false, Ordering::Relaxed);
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    for refused in refused {
        let error = refused.unwrap_err();
        assert!(error.to_string().contains("give it the right to write"), "{error}");
    }
    site.broker.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_without_its_rights_does_not_start() {
    let site = Site::new().await;
    site.database
        .run(&format!("REVOKE DELETE ON facefleet.faces FROM {}", site.database.role("worker")))
        .await;
    let error = site.worker().await.worker.await.unwrap().unwrap_err();
    assert!(
        matches!(&error, WorkerError::Store(StoreError::Unusable(why)) if why.contains("DELETE on \
            faces")),
        "{error}"
    );
    site.database
        .run(&format!("GRANT DELETE ON facefleet.faces TO {}", site.database.role("worker")))
        .await;
    for (write, read, why) in [("^$", ".*", "access to exchange"), (".*", "^$", "access to queue")]
    {
        site.user.may(write, read);
        let error = site.worker().await.worker.await.unwrap().unwrap_err();
        assert!(
            matches!(&error, WorkerError::Queue(QueueError::Unusable(text)) if text.contains(why)),
            "{error}"
        );
    }
    site.broker.remove().await;
}
