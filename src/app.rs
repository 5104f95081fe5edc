//! The composition root: the only file that names concrete backends and puts the parts together.

mod networks;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::domain::{Faces, Lane};
use crate::images::{FileSource, ImageSource};
use crate::inference::model::Models;
use crate::inference::runtime::Runtime;
use crate::queue::JobQueue;
use crate::queue::memory::MemoryQueue;
use crate::settings::Settings;
use crate::store::Store;
use crate::store::sqlite::SqliteStore;
use crate::worker::process::Parts;
use crate::worker::{Processor, Worker, WorkerSettings};

/// The settings, and how to make the parts from them.
pub struct App {
    settings: Settings,
}

impl App {
    /// An application with these settings.
    pub fn new(settings: Settings) -> Self {
        Self { settings }
    }

    /// The same with another choice of faces, if one is given.
    pub fn with_faces(mut self, faces: Option<Faces>) -> Self {
        self.settings.detector.faces = faces.unwrap_or(self.settings.detector.faces);
        self
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
        let url = &self.settings.store.url;
        match url.split(':').next() {
            Some("sqlite") => Ok(Arc::new(SqliteStore::open(url).await?)),
            _ => bail!("store.url: no store is known for this kind of URL; use sqlite:FILE"),
        }
    }

    /// The queue that the settings name.
    ///
    /// # Errors
    /// If its URL is of no known kind.
    pub fn queue(&self) -> Result<Arc<dyn JobQueue>> {
        match self.settings.queue.url.as_str() {
            "memory:" => Ok(Arc::new(MemoryQueue::new(self.settings.queue.capacity))),
            _ => bail!("queue.url: no queue is known for this kind of URL; use memory:"),
        }
    }

    /// Models opened and their threads started: what turns images below `roots` into results. With `aligned`, images are chips.
    ///
    /// # Errors
    /// If a root or a model is missing, the device of the settings cannot be used, or a self-test fails.
    pub fn processor(&self, roots: &[PathBuf], aligned: bool) -> Result<Processor> {
        let networks = self.networks(aligned)?;
        let images: Arc<dyn ImageSource> = Arc::new(self.images(roots)?);
        Ok(Processor::new(Parts {
            images,
            vision: networks.vision,
            recogniser: networks.recogniser,
            profile: networks.profile,
            selection: self.settings.selection(),
            provider: networks.device.to_string(),
            attempts: self.settings.worker.attempts,
            held_images: networks.held_images,
        }))
    }

    /// Local files below `roots`.
    ///
    /// # Errors
    /// If a root does not exist.
    pub fn images(&self, roots: &[PathBuf]) -> Result<FileSource> {
        FileSource::new(roots, self.settings.limits.max_bytes).context("Failed to open the images' folder")
    }

    /// A worker on `queue` and `store`.
    pub fn worker(&self, queue: Arc<dyn JobQueue>, store: Arc<dyn Store>, processor: Arc<Processor>) -> Worker {
        let worker = &self.settings.worker;
        let in_flight = if worker.in_flight == 0 { 24 * self.settings.threads() } else { worker.in_flight };
        let settings = WorkerSettings {
            lanes: Lane::ALL.to_vec(),
            in_flight,
            record_batch: worker.record_batch,
            backoff: Duration::from_millis(worker.backoff_ms),
            backoff_most: Duration::from_millis(worker.backoff_most_ms),
            drain: Duration::from_secs(worker.drain_seconds),
        };
        Worker { queue, store, processor, settings }
    }
}
