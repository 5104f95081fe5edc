//! Faults on the real stack: workers are killed, servers restarted, connections cut at the worst
//! moments. After each, every job has exactly one outcome, every scored image exactly one set of
//! rows, the queues are empty and the counts add up.
//!
//! These tests have their own stack, because they stop its servers, and run one at a time.

mod cuts;
#[path = "../../../benches/null_profile.rs"]
mod null_profile;
mod outages;
mod restarts;
mod schedules;
mod workers;

use std::collections::HashSet;
use std::fs::File;
use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use facefleet::app::App;
use facefleet::domain::{
    Campaign, CampaignId, CampaignProgress, CampaignState, ImageUri, Job, Lane, ListedChunk,
    OutcomeKind,
};
use facefleet::queue::JobQueue;
use facefleet::settings::Settings;
use facefleet::store::{PageFilter, PageQuery, Store};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use self::null_profile::null_profile;
use crate::support::stack::{Database, script};

/// Whatever a test waits for happens within this time.
const PATIENCE: Duration = Duration::from_secs(180);

/// The stack of these tests, used by one test at a time, also of other processes.
pub(crate) struct Stack {
    pub(crate) queue: String,
    pub(crate) store: String,
    _turn: File,
}

/// Runs `scripts/stack.py` for this stack.
pub(crate) fn stack(arguments: &[&str]) {
    let folder = stack_folder();
    script(&[&["--dir", folder.to_str().unwrap()], arguments].concat());
}

/// The folder of the stack, in the build folder, so that each checkout has its own.
fn stack_folder() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("faults")
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

impl Stack {
    pub(crate) async fn take() -> Self {
        let turn = File::create(stack_folder().with_extension("turn")).unwrap();
        let turn = tokio::task::spawn_blocking(move || turn.lock().map(|()| turn)).await.unwrap();
        // Starts the servers that the previous test stopped.
        stack(&["up"]);
        let env = std::fs::read_to_string(stack_folder().join("env")).unwrap();
        let value = |key: &str| {
            env.lines()
                .find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
                .unwrap()
                .to_owned()
        };
        Self {
            queue: value("FACEFLEET__QUEUE__URL"),
            store: value("FACEFLEET__STORE__URL"),
            _turn: turn.unwrap(),
        }
    }

    fn queue_address(&self) -> SocketAddr {
        address(&self.queue)
    }

    fn store_address(&self) -> SocketAddr {
        address(&self.store)
    }
}

fn address(url: &str) -> SocketAddr {
    let url = url::Url::parse(url).unwrap();
    format!("{}:{}", url.host_str().unwrap(), url.port().unwrap()).parse().unwrap()
}

/// A campaign of small files, with its own queues and database.
struct Fleet {
    stack: Stack,
    queue: Arc<dyn JobQueue>,
    store: Arc<dyn Store>,
    prefix: String,
    store_url: String,
    campaign: Campaign,
    folder: TempDir,
    _database: Database,
}

impl Fleet {
    /// A campaign whose images have these names.
    async fn new(names: impl IntoIterator<Item = String>) -> Self {
        let (fleet, jobs) = Self::unpublished(names).await;
        fleet.queue.publish(jobs).await.unwrap();
        fleet
    }

    /// The same, with jobs that are not published yet.
    async fn unpublished(names: impl IntoIterator<Item = String>) -> (Self, Vec<Job>) {
        let stack = Stack::take().await;
        let database = Database::on(&stack.store).await;
        let (name, store_url) = (format!("faults-{}", CampaignId::new()), database.url.clone());
        let app = app(&stack.queue, &store_url, &name);
        let (queue, store) = (app.queue().await.unwrap(), app.store().await.unwrap());
        store.register_profile(&null_profile()).await.unwrap();
        let campaign = Campaign {
            id: CampaignId::new(),
            lane: Lane::Scan,
            gallery: "faults".parse().unwrap(),
            profile: null_profile().id(),
            selection: None,
            source: "a test".into(),
            state: CampaignState::Running,
            progress: CampaignProgress::default(),
            started_at: String::new(),
        };
        store.begin_campaign(&campaign, None).await.unwrap();
        let folder = tempfile::tempdir().unwrap();
        let mut jobs = Vec::new();
        for name in names {
            let path = folder.path().canonicalize().unwrap().join(&name);
            std::fs::write(&path, name).unwrap();
            jobs.push(job(&campaign, ImageUri::from_path(&path).unwrap()));
        }
        store
            .note_listed(
                campaign.id.into(),
                &ListedChunk { listed: jobs.len() as u64, ..ListedChunk::default() },
            )
            .await
            .unwrap();
        store.end_listing(campaign.id.into()).await.unwrap();
        (
            Self {
                stack,
                queue,
                store,
                prefix: name,
                store_url,
                campaign,
                folder,
                _database: database,
            },
            jobs,
        )
    }

    /// A worker process without a model.
    fn worker(&self) -> Worker {
        self.worker_through(&self.stack.queue, &self.store_url)
    }

    /// The same, with other addresses.
    fn worker_through(&self, queue: &str, store: &str) -> Worker {
        self.worker_with(queue, store, &[])
    }

    /// The same, with further settings.
    fn worker_with(&self, queue: &str, store: &str, settings: &[(&str, String)]) -> Worker {
        let mut command = Command::new(null_worker());
        let folder = self.folder.path().canonicalize().unwrap();
        // With the settings that a test writes there.
        command.arg(&folder).current_dir(&folder).stdout(Stdio::piped());
        command.envs([
            ("FACEFLEET__QUEUE__URL", queue),
            ("FACEFLEET__QUEUE__PREFIX", &self.prefix),
            ("FACEFLEET__STORE__URL", store),
            ("FACEFLEET__WORKER__BACKOFF_MS", "200"),
            ("FACEFLEET__WORKER__BACKOFF_MOST_MS", "1000"),
        ]);
        command.envs(settings.iter().map(|(key, value)| (key, value)));
        let mut process = command.spawn().unwrap();
        let mut output = process.stdout.take().unwrap();
        let (started, at_work) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            // It prints one line, once it is at work.
            if output.read(&mut [0; 1]).is_ok_and(|read| read > 0) {
                started.send(()).ok();
            }
        });
        Worker { process, at_work }
    }

    async fn progress(&self) -> CampaignProgress {
        self.store.campaign(self.campaign.id).await.unwrap().unwrap().progress
    }

    /// Waits until `enough` is true of the progress.
    async fn until(&self, enough: impl Fn(&CampaignProgress) -> bool) {
        let give_up = Instant::now() + PATIENCE;
        loop {
            // The database may be away during the fault.
            if let Ok(Some(campaign)) = self.store.campaign(self.campaign.id).await
                && enough(&campaign.progress)
            {
                return;
            }
            assert!(
                Instant::now() < give_up,
                "the campaign makes no progress: {:?}",
                self.store.campaign(self.campaign.id).await
            );
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits for the end, stops the workers and checks the delivery promise. Images whose names
    /// begin with one of `failed` must have failed.
    async fn ends_well(&self, workers: impl IntoIterator<Item = Worker>, failed: &[&str]) {
        self.until(CampaignProgress::is_complete).await;
        self.until_empty().await;
        for worker in workers {
            assert_eq!(worker.stop().await, Some(0), "a worker failed");
        }
        // A job that ended while its worker was disconnected is redelivered, perhaps to a worker
        // that is stopping and returns it.
        while !self.is_empty().await {
            let worker = self.worker();
            self.until_empty().await;
            assert_eq!(worker.stop().await, Some(0), "a worker failed");
        }
        let progress = self.progress().await;
        let (mut cursor, mut seen) = (0, HashSet::new());
        let mut scored = 0;
        loop {
            let query = PageQuery {
                gallery: self.campaign.gallery.clone(),
                profile: self.campaign.profile.clone(),
                outcomes: Vec::new(),
                filter: PageFilter::default(),
                notes: false,
                after: cursor,
                limit: 1000,
                templates: true,
            };
            let page = self.store.page(&query).await.unwrap();
            let Some(last) = page.last() else { break };
            cursor = last.cursor;
            for image in page {
                assert!(
                    seen.insert(image.image.clone()),
                    "{} has two current results",
                    image.image
                );
                let name = image.image.to_string();
                let name = name.rsplit('/').next().unwrap();
                let expected = if failed.iter().any(|prefix| name.starts_with(prefix)) {
                    OutcomeKind::Failed
                } else {
                    OutcomeKind::Scored
                };
                assert_eq!(image.outcome, expected, "{name}: {:?}", image.reason);
                if image.outcome == OutcomeKind::Scored {
                    scored += 1;
                    assert_eq!(image.faces.len(), 1, "{name}");
                    assert!(image.faces[0].template.is_some(), "{name}");
                }
            }
        }
        assert_eq!(seen.len() as u64, progress.listed);
        assert_eq!(progress.outcomes.get(&OutcomeKind::Scored).copied().unwrap_or(0), scored);
        assert_eq!(progress.ended(), progress.listed, "{progress:?}");
    }

    async fn is_empty(&self) -> bool {
        let status = self.queue.status().await;
        status.is_ok_and(|status| {
            status.ready.iter().all(|(_, jobs)| *jobs == 0) && status.delayed == 0
        })
    }

    /// Waits until no job is ready or delayed: the last acknowledgement follows the last commit.
    async fn until_empty(&self) {
        let give_up = Instant::now() + PATIENCE;
        loop {
            if self.is_empty().await {
                return;
            }
            assert!(
                Instant::now() < give_up,
                "the queues are not empty: {:?}",
                self.queue.status().await
            );
            sleep(Duration::from_millis(50)).await;
        }
    }
}

fn app(queue: &str, store: &str, prefix: &str) -> App {
    let mut settings = Settings::load(None).unwrap();
    settings.home = root().into();
    settings.queue.url = queue.to_owned().into();
    settings.queue.prefix = prefix.to_owned();
    settings.store.url = store.to_owned().into();
    App::new(settings)
}

fn job(campaign: &Campaign, image: ImageUri) -> Job {
    Job {
        id: campaign.id.job(&image),
        lane: Lane::Scan,
        gallery: campaign.gallery.clone(),
        image,
        profile: Some(campaign.profile.clone()),
        campaign: Some(campaign.id),
        stamp: None,
        ..crate::support::job(Lane::Scan, "")
    }
}

fn null_worker() -> PathBuf {
    // Cargo builds examples beside the tests: target/release/examples, target/release/deps/it-….
    let here = std::env::current_exe().unwrap();
    let program = here.parent().unwrap().parent().unwrap().join("examples/null_worker");
    assert!(
        program.exists(),
        "{} is missing: `cargo test` builds it, `cargo test --test it` does not",
        program.display()
    );
    program
}

/// A worker process, killed on drop.
struct Worker {
    process: Child,
    at_work: std::sync::mpsc::Receiver<()>,
}

impl Worker {
    fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Sends SIGTERM once it is at work, and waits for its exit status.
    async fn stop(mut self) -> Option<i32> {
        let stopping = move || {
            self.at_work.recv_timeout(PATIENCE).unwrap();
            assert!(
                Command::new("kill")
                    .args(["-TERM", &self.process.id().to_string()])
                    .status()
                    .unwrap()
                    .success()
            );
            self.process.wait().unwrap().code()
        };
        tokio::task::spawn_blocking(stopping).await.unwrap()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

fn names(count: usize) -> impl Iterator<Item = String> {
    (0..count).map(|number| format!("{number:05}.jpg"))
}
