//! The composition root: the only file that names concrete backends and puts the parts together.

mod memory;
mod networks;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::domain::{Device, Faces, Lane, Profile};
use crate::images::{FetchLimits, FileSource, ImageSource, Listing, Objects, Root, Rules, Sources};
use crate::inference::model::Models;
use crate::inference::runtime::Runtime;
use crate::queue::JobQueue;
use crate::queue::memory::MemoryQueue;
use crate::queue::rabbitmq::{RabbitQueue, RabbitSettings};
use crate::settings::{Method, Settings};
use crate::store::Store;
use crate::store::postgres::PostgresStore;
use crate::store::sqlite::SqliteStore;
use crate::telemetry::vitals::Vitals;
use crate::worker::budget::Budget;
use crate::worker::fetcher::Fetcher;
use crate::worker::process::Parts;
use crate::worker::{Process, Processor, Worker, WorkerSettings};

/// The longest that closing queue and store may take.
const MOST_CLOSING: Duration = Duration::from_secs(5);

/// The settings, and how to make the parts from them.
pub struct App {
    settings: Settings,
    vitals: Arc<Vitals>,
}

impl App {
    /// An application with these settings.
    pub fn new(settings: Settings) -> Self {
        Self { settings, vitals: Arc::default() }
    }

    /// The same with another choice of faces, if one is given.
    pub fn with_faces(mut self, faces: Option<Faces>) -> Self {
        self.settings.detector.faces = faces.unwrap_or(self.settings.detector.faces);
        self
    }

    /// The same with SER-FIQ sampled by this number of passes.
    pub fn sampling(&self, passes: u32) -> Self {
        let mut settings = self.settings.clone();
        (settings.quality.method, settings.quality.passes) = (Method::Sampled, passes);
        // The calibration is that of the estimator in the settings.
        settings.quality.calibration = PathBuf::new();
        Self::new(settings)
    }

    /// The settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The model folder.
    pub fn models(&self) -> Models {
        Models::new(&self.settings.below_home(&self.settings.models.dir))
    }

    /// ONNX Runtime, loaded.
    ///
    /// # Errors
    /// If the library is missing or none.
    pub fn runtime(&self) -> Result<Runtime> {
        Ok(Runtime::load(&self.settings.below_home(&self.settings.runtime.library))?)
    }

    /// The store that the settings name.
    ///
    /// # Errors
    /// If its URL is of no known kind, or it cannot be opened.
    pub async fn store(&self) -> Result<Arc<dyn Store>> {
        let url = self.settings.store.url.expose();
        match url.split(':').next() {
            Some("sqlite") => Ok(Arc::new(SqliteStore::open(url).await?)),
            Some("postgres" | "postgresql") => {
                Ok(Arc::new(PostgresStore::open(url, self.settings.store.connections).await?))
            }
            _ => bail!(
                "store.url: no store is known for this kind of URL; use sqlite:FILE or postgres://…"
            ),
        }
    }

    /// Brings the store's schema up to date; returns how many profiles' templates got an index.
    ///
    /// # Errors
    /// As [`Self::store`].
    pub async fn migrate(&self) -> Result<u32> {
        let url = self.settings.store.url.expose();
        match self.settings.store.url.scheme() {
            "postgres" | "postgresql" => Ok(PostgresStore::migrate(url).await?),
            // Opening does it.
            _ => self.store().await.map(|_| 0),
        }
    }

    /// The folder of a store that is a file.
    pub fn store_folder(&self) -> Option<PathBuf> {
        let path = PathBuf::from(self.settings.store.url.expose().strip_prefix("sqlite:")?);
        let folder = std::path::absolute(path).ok()?.parent()?.to_owned();
        folder.is_dir().then_some(folder)
    }

    /// The queue that the settings name.
    ///
    /// # Errors
    /// If its URL is of no known kind, or the broker cannot be reached or used.
    pub async fn queue(&self) -> Result<Arc<dyn JobQueue>> {
        let queue = &self.settings.queue;
        match queue.url.scheme() {
            "memory" => Ok(Arc::new(MemoryQueue::new(queue.capacity))),
            "amqp" | "amqps" => {
                let (attempts, limit) = (self.settings.worker.attempts, queue.delivery_limit);
                if !(3..limit).contains(&attempts) {
                    bail!(
                        "worker.attempts is {attempts}, queue.delivery_limit {limit}: with a \
                            broker it takes 3 attempts to tell a job that \
                         kills its worker from those beside it, and what the broker gives up first \
                         has no outcome. Let 3 <= attempts < limit"
                    );
                }
                let settings = RabbitSettings {
                    url: queue.url.secret(),
                    prefix: queue.prefix.clone(),
                    delivery_limit: queue.delivery_limit,
                    ca_file: queue.ca_file.as_ref().map(|path| self.settings.below_home(path)),
                };
                Ok(Arc::new(RabbitQueue::connect(&settings).await?))
            }
            _ => bail!(
                "queue.url: no queue is known for this kind of URL; use memory: or \
                    amqp://user:password@host/vhost"
            ),
        }
    }

    /// Whether the queue is inside this process: then whoever lists images works on them too.
    pub fn is_embedded(&self) -> bool {
        self.settings.queue.url.scheme() == "memory"
    }

    /// All that scores of this application's settings depend on. Reads the models, opens none.
    ///
    /// # Errors
    /// If a model is missing or not prepared.
    pub fn profile(&self, aligned: bool) -> Result<Profile> {
        Ok(self.read_models(&self.plan(Device::Cpu), &self.runtime()?, aligned)?.profile)
    }

    /// Models opened and their threads started: what turns images below `roots` into results. With
    /// `aligned`, images are chips.
    ///
    /// # Errors
    /// If a root or a model is missing, the device of the settings cannot be used, or a self-test
    /// fails.
    pub fn processor(&self, roots: &[Root], aligned: bool) -> Result<Processor> {
        let networks = self.networks(aligned)?;
        self.vitals.watch(networks.vision.activity());
        self.vitals.watch(networks.recogniser.activity().iter().cloned());
        let images: Arc<dyn ImageSource> = Arc::new(self.images(roots)?);
        let budget =
            Budget::new(self.bounds(networks.device, networks.pyramid.as_ref()), networks.pyramid);
        if budget.longest_file() < self.settings.limits.max_bytes {
            tracing::warn!(
                "files of more than {} MiB are refused: limits.memory leaves no more room",
                budget.longest_file() >> 20
            );
        }
        Ok(Processor::new(Parts {
            fetcher: Fetcher::new(images, Duration::from_secs(self.settings.images.outage_seconds)),
            vision: networks.vision,
            recogniser: networks.recogniser,
            profile: networks.profile,
            selection: self.settings.selection(),
            provider: networks.device.to_string(),
            attempts: self.settings.worker.attempts,
            image_slots: networks.held_images,
            budget: Arc::new(budget),
        }))
    }

    /// Images below `roots` and wherever the settings allow.
    ///
    /// # Errors
    /// If a local root does not exist, or a setting cannot be used.
    pub fn images(&self, roots: &[Root]) -> Result<Sources> {
        let images = &self.settings.images;
        let allowed = images
            .allow
            .iter()
            .filter(|root| !root.is_empty())
            .map(|root| root.parse())
            .collect::<Result<Vec<Root>, _>>()
            .context("setting images.allow")?;
        let allowed = roots.iter().cloned().chain(allowed).collect();
        let (authorities, limits) = (self.authorities()?, self.fetch_limits());
        Ok(Sources::new(
            allowed,
            &images.allow_private_hosts,
            authorities.as_deref(),
            self.objects()?,
            limits,
        )?)
    }

    /// What lies below `roots`, all of it.
    ///
    /// # Errors
    /// If a local root does not exist, or one cannot be listed.
    pub fn listing(&self, roots: &[Root]) -> Result<Listing> {
        self.listing_by(Rules::none(), roots)
    }

    /// What lies below `roots` and is not left out by `rules`.
    ///
    /// # Errors
    /// If a local root does not exist, or one cannot be listed.
    pub fn listing_by(&self, rules: Rules, roots: &[Root]) -> Result<Listing> {
        Ok(Listing::new(roots, rules, self.objects()?)?)
    }

    /// Local files below `roots` alone.
    ///
    /// # Errors
    /// If a root does not exist.
    pub fn files(&self, roots: &[PathBuf]) -> Result<FileSource> {
        FileSource::new(roots, self.settings.limits.max_bytes)
            .context("Failed to open the images' folder")
    }

    /// The object stores of this process's environment.
    fn objects(&self) -> Result<Arc<Objects>> {
        // What is not UTF-8 is no setting of a cloud.
        let variables = std::env::vars_os()
            .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)));
        let authorities = self.authorities()?;
        Ok(Arc::new(
            Objects::new(variables, authorities.as_deref(), self.fetch_limits())
                .context("setting images.ca_file")?,
        ))
    }

    fn authorities(&self) -> Result<Option<Vec<u8>>> {
        let read = |path: &PathBuf| {
            std::fs::read(path)
                .with_context(|| format!("setting images.ca_file: {}", path.display()))
        };
        // Set to nothing is not set, as variables of a container often are.
        self.settings
            .images
            .ca_file
            .as_ref()
            .filter(|path| !path.as_os_str().is_empty())
            .map(read)
            .transpose()
    }

    fn fetch_limits(&self) -> FetchLimits {
        let images = &self.settings.images;
        FetchLimits {
            max_bytes: self.settings.limits.max_bytes,
            whole: Duration::from_millis(images.timeout_ms),
            connect: Duration::from_millis(images.connect_timeout_ms),
            idle: Duration::from_millis(images.idle_timeout_ms),
            redirects: images.redirects,
        }
    }

    /// The part of `worker.drain_seconds` that is for closing queue and store, after the jobs in
    /// hand.
    pub fn closing(&self) -> Duration {
        (Duration::from_secs(self.settings.worker.drain_seconds) / 4).min(MOST_CLOSING)
    }

    /// A worker on `queue` and `store`.
    pub fn worker(
        &self,
        queue: Arc<dyn JobQueue>,
        store: Arc<dyn Store>,
        processor: Arc<dyn Process>,
    ) -> Worker {
        let worker = &self.settings.worker;
        let in_flight =
            if worker.in_flight == 0 { 24 * self.settings.threads() } else { worker.in_flight };
        let settings = WorkerSettings {
            lanes: Lane::ALL.to_vec(),
            in_flight,
            record_batch: worker.record_batch,
            backoff: Duration::from_millis(worker.backoff_ms),
            backoff_most: Duration::from_millis(worker.backoff_most_ms),
            drain: Duration::from_secs(worker.drain_seconds).saturating_sub(self.closing()),
        };
        Worker { queue, store, processor, settings, vitals: Arc::clone(&self.vitals) }
    }
}
