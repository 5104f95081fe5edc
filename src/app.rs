//! The composition root: the only file that names concrete backends and puts the parts together.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::domain::{AlignmentProfile, DetectorProfile, Faces, Lane, Profile};
use crate::images::{FileSource, ImageSource};
use crate::inference::batcher::Batcher;
use crate::inference::detector::DetectorModel;
use crate::inference::model::Models;
use crate::inference::recogniser::{Estimator, RecogniserModel};
use crate::inference::runtime::Runtime;
use crate::quality::calibration::Calibration;
use crate::queue::JobQueue;
use crate::queue::memory::MemoryQueue;
use crate::settings::{Method, Settings};
use crate::store::Store;
use crate::store::sqlite::SqliteStore;
use crate::vision::PixelLimits;
use crate::worker::process::Parts;
use crate::worker::vision_stage::{Finder, VisionStage};
use crate::worker::{Process, Processor, Worker, WorkerSettings};

/// The settings, and how to make the parts from them.
pub struct App {
    settings: Settings,
}

/// The models, read and not yet opened, and the profile they amount to.
struct Network {
    /// None if the images are chips.
    detector: Option<DetectorModel>,
    recogniser: RecogniserModel,
    profile: Profile,
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

    /// The same with SER-FIQ sampled by this number of passes.
    pub fn sampling(&self, passes: u32) -> Self {
        let mut settings = self.settings.clone();
        (settings.quality.method, settings.quality.passes) = (Method::Sampled, passes);
        // The calibration is that of the estimator in the settings.
        settings.quality.calibration = PathBuf::new();
        Self { settings }
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
            _ => bail!("store.url: no store is known for this kind of URL; use sqlite:FILE"),
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
    /// If its URL is of no known kind.
    pub fn queue(&self) -> Result<Arc<dyn JobQueue>> {
        match self.settings.queue.url.expose() {
            "memory:" => Ok(Arc::new(MemoryQueue::new(self.settings.queue.capacity))),
            _ => bail!("queue.url: no queue is known for this kind of URL; use memory:"),
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
        Ok(self.network(aligned)?.profile)
    }

    fn network(&self, aligned: bool) -> Result<Network> {
        let settings = &self.settings;
        let (models, runtime) = (self.models(), self.runtime()?);
        let estimator = match settings.quality.method {
            Method::ClosedForm => Estimator::ClosedForm,
            Method::Sampled => Estimator::Sampled { passes: settings.quality.passes, seed: settings.quality.seed },
        };
        let mut recogniser = RecogniserModel::load(&models, &settings.models.recogniser, &runtime, estimator)?;
        let detector = if aligned { None } else { Some(DetectorModel::load(&models, &settings.models.detector, &runtime)?) };
        let alignment = match &detector {
            None => AlignmentProfile::None,
            Some(detector) => {
                let (name, sha256) = detector.identity();
                let max_side = settings.detector.max_side;
                let detector = DetectorProfile { name: name.to_owned(), sha256: sha256.to_owned(), max_side };
                AlignmentProfile::Similarity { detector }
            }
        };
        let (recogniser_profile, ser_fiq, mapping) = recogniser.profile();
        let mut profile = Profile { alignment, recogniser: recogniser_profile, ser_fiq, mapping };
        if !settings.quality.calibration.as_os_str().is_empty() {
            let path = settings.below_home(&settings.quality.calibration);
            let mapping = Calibration::read(&path)?.mapping_for(&profile).with_context(|| path.display().to_string())?;
            recogniser = recogniser.with_mapping(mapping.clone());
            profile.mapping = mapping;
        }
        Ok(Network { detector, recogniser, profile })
    }

    /// Models opened and their threads started: what turns images below `roots` into results. With `aligned`, images are chips.
    ///
    /// # Errors
    /// If a root or a model is missing, or a self-test fails.
    pub fn processor(&self, roots: &[PathBuf], aligned: bool) -> Result<Processor> {
        let Network { detector, recogniser, profile } = self.network(aligned)?;
        let settings = &self.settings;
        let (threads, max_side) = (settings.threads(), settings.detector.max_side);
        let limits = PixelLimits { max_pixels: settings.limits.max_pixels };

        // A session of one thread for each core was the fastest layout, for both networks.
        let finder = || -> Result<Finder> {
            Ok(match &detector {
                Some(detector) => Finder::Detect { detector: detector.open(1)?, max_side },
                None => Finder::Aligned,
            })
        };
        let stages = (0..threads).map(|_| Ok(VisionStage::new(finder()?, limits))).collect::<Result<Vec<VisionStage>>>()?;
        let recognisers = (0..threads).map(|_| recogniser.open(1)).collect::<Result<Vec<_>, _>>()?;
        let images: Arc<dyn ImageSource> = Arc::new(self.images(roots)?);
        Ok(Processor::new(Parts {
            images,
            vision: Batcher::start("vision", stages, 1).context("Failed to start threads")?,
            recogniser: Batcher::start("recognise", recognisers, settings.worker.batch).context("Failed to start threads")?,
            profile,
            selection: settings.selection(),
            provider: "cpu".into(),
            attempts: settings.worker.attempts,
            held_images: 2 * threads + 2,
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
    pub fn worker(&self, queue: Arc<dyn JobQueue>, store: Arc<dyn Store>, processor: Arc<dyn Process>) -> Worker {
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
