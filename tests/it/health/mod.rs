//! The health of a running worker, and that it waits for lost rights: the real worker, broker and
//! database, without a model.

mod listener;
mod rights;
mod threads;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use async_trait::async_trait;
use facefleet::domain::{EnrolRules, Job, Lane, Profile, WaitReason};
use facefleet::queue::JobQueue;
use facefleet::store::Store;
use facefleet::store::sqlite::SqliteStore;
use facefleet::telemetry::metrics::Recorder;
use facefleet::telemetry::vitals::Vitals;
use facefleet::web::{self, HealthContext, HealthLimits};
use facefleet::worker::{Process, Processed, Worker, WorkerError, WorkerSettings};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::support::broker::TestBroker;
use crate::support::stack::control;
use crate::support::{profile, scored, with_job};

/// Whatever a test waits for happens within this time.
const PATIENCE: Duration = Duration::from_secs(60);

static RECORDER: LazyLock<Recorder> = LazyLock::new(|| Recorder::install().unwrap());

/// Finds one face in every image. Images named `hiccup` fail with a transient error at their first
/// attempt.
struct Scorer {
    profile: Profile,
    calls: AtomicU32,
    hiccups: AtomicU32,
}

#[async_trait]
impl Process for Scorer {
    fn profile(&self) -> &Profile {
        &self.profile
    }

    async fn process(&self, job: &Job) -> Processed {
        self.calls.fetch_add(1, Ordering::SeqCst);
        if job.image.as_str().contains("hiccup") && job.attempt == 1 {
            self.hiccups.fetch_add(1, Ordering::SeqCst);
            return Processed::Waits(WaitReason::AttemptFailed("as the test wants".into()));
        }
        let record = with_job(scored("x", &[50]), |recorded| {
            recorded.id = job.id;
            recorded.image = job.image.clone();
            recorded.attempt = job.attempt;
        });
        Processed::Ended(Box::new(record))
    }
}

async fn embedded_store() -> (TempDir, Arc<SqliteStore>) {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("faces.db").display());
    (folder, Arc::new(SqliteStore::open(&url).await.unwrap()))
}

/// A worker with its listener.
struct Running {
    address: SocketAddr,
    scorer: Arc<Scorer>,
    stop: CancellationToken,
    worker: JoinHandle<Result<(), WorkerError>>,
    served: CancellationToken,
    serving: JoinHandle<()>,
    vitals: Arc<Vitals>,
}

impl Running {
    async fn start(queue: Arc<dyn JobQueue>, store: Arc<dyn Store>) -> Self {
        let limits = HealthLimits { wait: Duration::from_secs(1), ..HealthLimits::default() };
        Self::with(queue, store, limits).await
    }

    async fn with(queue: Arc<dyn JobQueue>, store: Arc<dyn Store>, limits: HealthLimits) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let scorer = Arc::new(Scorer {
            profile: profile("a"),
            calls: AtomicU32::new(0),
            hiccups: AtomicU32::new(0),
        });
        let settings = WorkerSettings {
            lanes: Lane::ALL.to_vec(),
            in_flight: 50,
            record_batch: 8,
            backoff: Duration::from_millis(50),
            backoff_most: Duration::from_millis(500),
            drain: Duration::from_secs(2),
            enrol: EnrolRules::default(),
        };
        let vitals = Arc::new(Vitals::default());
        let worker = Worker {
            queue: queue.clone(),
            store: store.clone(),
            processor: scorer.clone(),
            settings,
            vitals: vitals.clone(),
        };
        let (stop, served) = (CancellationToken::new(), CancellationToken::new());
        let context = HealthContext {
            store,
            queue,
            recorder: RECORDER.clone(),
            vitals: vitals.clone(),
            limits,
            stopping: stop.clone(),
        };
        let serving = tokio::spawn(web::serve(listener, context, served.clone()));
        let worker = tokio::spawn(worker.run(stop.clone()));
        Self { address, scorer, stop, worker, served, serving, vitals }
    }

    /// Waits for an answer to a GET of `path` that is `status` and contains `part`.
    async fn answers(&self, path: &str, status: u16, part: &str) -> String {
        let give_up = Instant::now() + PATIENCE;
        loop {
            let (got, body) = get(self.address, path).await;
            if got == status && body.contains(part) {
                return body;
            }
            assert!(
                Instant::now() < give_up,
                "{path} answers {got} {body:?}, not {status} with {part:?}"
            );
            assert!(!self.worker.is_finished(), "the worker ended; {path} answered {got} {body:?}");
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// Stops the worker, which drains, and the listener. Both must end, the listener at once.
    async fn stop(self) {
        self.stop.cancel();
        timeout(Duration::from_secs(20), self.worker)
            .await
            .expect("the worker should stop: it drains for 2 s")
            .unwrap()
            .unwrap();
        self.served.cancel();
        timeout(Duration::from_secs(3), self.serving)
            .await
            .expect("the listener should end")
            .unwrap();
    }
}

/// Status and body of the answer to a GET.
async fn get(address: SocketAddr, path: &str) -> (u16, String) {
    let asking = async {
        let mut stream = TcpStream::connect(address).await?;
        stream
            .write_all(
                format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
                    .as_bytes(),
            )
            .await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    let answer = timeout(PATIENCE, asking).await.expect("the listener should answer").unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").expect("the answer should be HTTP");
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

/// A user of the stack's broker, deleted on drop.
struct User {
    name: String,
}

const PASSWORD: &str = "not-a-secret";

impl User {
    /// A user with every right on the queues of `broker`.
    fn new(broker: &TestBroker) -> Self {
        let user = Self { name: format!("user-{}", broker.prefix) };
        control(&["add_user", &user.name, PASSWORD]);
        user.may(".*", ".*");
        user
    }

    /// Replaces its rights to write and to read.
    fn may(&self, write: &str, read: &str) {
        control(&["set_permissions", "-p", "/", &self.name, ".*", write, read]);
    }

    /// The broker's URL for this user.
    fn url(&self, broker: &TestBroker) -> String {
        let mut url = broker.url.clone();
        url.set_username(&self.name).unwrap();
        url.set_password(Some(PASSWORD)).unwrap();
        url.into()
    }
}

impl Drop for User {
    fn drop(&mut self) {
        control(&["delete_user", &self.name]);
    }
}
