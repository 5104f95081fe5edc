//! The composition root: names the concrete backends and puts the parts together.
//!
//! `backends` opens store and queue by their URLs, `sources` opens where images come from,
//! `networks` opens the models, `profiles` says what is known of them, `memory` how much memory
//! images may use, `fleet` what a worker reports of itself, [`schedules`] does what schedules say.
//! [`session`] runs a worker, a queue and a store in this process, [`doctor`] checks everything,
//! [`device_check`] checks and measures devices.

mod backends;
pub mod device_check;
pub mod doctor;
mod enrol;
mod fleet;
mod memory;
mod networks;
mod profiles;
pub mod report;
pub mod schedules;
pub mod session;
mod sources;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;

use crate::domain::{Device, EnrolRules, Faces, Lane, Profile, SourcedThresholds, ThresholdSource};
use crate::images::{ImageSource, Root};
use crate::inference::model::Models;
use crate::inference::runtime::Runtime;
use crate::quality::calibration::Calibration;
use crate::queue::JobQueue;
use crate::settings::{Method, Settings};
use crate::store::Store;
use crate::telemetry::vitals::Vitals;
use crate::worker::budget::Budget;
use crate::worker::fetcher::Fetcher;
use crate::worker::process::Parts;
use crate::worker::{Process, Processor, Worker, WorkerSettings};

/// The settings, and how to make the parts from them.
#[derive(Clone)]
pub struct App {
    settings: Settings,
    vitals: Arc<Vitals>,
}

impl App {
    /// An application with these settings.
    pub fn new(settings: Settings) -> Self {
        Self { settings, vitals: Arc::default() }
    }

    /// The same with another choice of faces, if `faces` is one.
    pub fn with_faces(mut self, faces: Option<Faces>) -> Self {
        self.settings.detector.faces = faces.unwrap_or(self.settings.detector.faces);
        self
    }

    /// The same with SER-FIQ sampled by this number of passes.
    pub fn sampling(&self, passes: u32) -> Self {
        let mut settings = self.settings.clone();
        (settings.quality.method, settings.quality.passes) = (Method::Sampled, passes);
        // The calibration of the settings is for the estimator of the settings.
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

    /// The recogniser and the detector of the settings.
    pub fn model_names(&self) -> Vec<String> {
        let models = &self.settings.models;
        vec![models.recogniser.clone(), models.detector.clone()]
    }

    /// ONNX Runtime, loaded.
    ///
    /// # Errors
    /// If the library is missing or cannot be loaded.
    pub fn runtime(&self) -> Result<Runtime> {
        Ok(Runtime::load(&self.settings.below_home(&self.settings.runtime.library))?)
    }

    /// The profile of these settings. Reads the models, opens no session.
    ///
    /// # Errors
    /// If a model is missing or not prepared.
    pub fn profile(&self, aligned: bool) -> Result<Profile> {
        Ok(self.read_models(&self.plan(Device::Cpu), &self.runtime()?, aligned)?.profile)
    }

    /// The similarity thresholds for templates of `profile`: those of the calibration in the
    /// settings, or else those that the manifest of the recogniser has for this profile. None if
    /// neither has any.
    ///
    /// # Errors
    /// If a file cannot be read, or the calibration belongs to other scores.
    pub fn match_thresholds(&self, profile: &Profile) -> Result<Option<SourcedThresholds>> {
        if let Some(calibrated) = self.calibrated_thresholds(profile)? {
            return Ok(Some(calibrated));
        }
        let (models, name) = (self.models(), &self.settings.models.recogniser);
        let manifest = models.manifest(name)?;
        let thresholds =
            manifest.recogniser().and_then(|recogniser| recogniser.thresholds_for(profile));
        Ok(thresholds.map(|thresholds| SourcedThresholds {
            source: ThresholdSource::Manifest(models.manifest_path(name)),
            thresholds: thresholds.clone(),
        }))
    }

    /// The similarity thresholds of the calibration in the settings; none if it has none.
    ///
    /// # Errors
    /// If its file cannot be read, or it belongs to other scores.
    fn calibrated_thresholds(&self, profile: &Profile) -> Result<Option<SourcedThresholds>> {
        let calibration = &self.settings.quality.calibration;
        if calibration.as_os_str().is_empty() {
            return Ok(None);
        }
        let path = self.settings.below_home(calibration);
        let thresholds = Calibration::read(&path)?.thresholds_for(profile)?.cloned();
        let source = ThresholdSource::Calibration(path);
        Ok(thresholds.map(|thresholds| SourcedThresholds { source, thresholds }))
    }

    /// The processor of images below `roots`: opens the models and starts their threads. With
    /// `aligned`, images are chips.
    ///
    /// # Errors
    /// If a root or a model is missing, the device of the settings cannot be used, or a self-test
    /// fails.
    pub fn processor(&self, roots: &[Root], aligned: bool) -> Result<Processor> {
        let outage = Duration::from_secs(self.settings.images.outage_seconds);
        self.processor_waiting(roots, aligned, outage)
    }

    /// As [`Self::processor`]; images of a source that is down for longer than `outage` fail.
    fn processor_waiting(
        &self,
        roots: &[Root],
        aligned: bool,
        outage: Duration,
    ) -> Result<Processor> {
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
        let chips = self.chips(&networks.profile.alignment)?;
        Ok(Processor::new(Parts {
            fetcher: Fetcher::new(images, outage),
            vision: networks.vision,
            recogniser: networks.recogniser,
            chips,
            profile: networks.profile,
            selection: self.settings.selection(),
            provider: networks.device.to_string(),
            attempts: self.settings.worker.attempts,
            image_slots: networks.held_images,
            budget: Arc::new(budget),
        }))
    }

    /// A worker on `queue` and `store` that decides enrolments by the rules `enrol`.
    pub fn worker(
        &self,
        queue: Arc<dyn JobQueue>,
        store: Arc<dyn Store>,
        processor: Arc<dyn Process>,
        enrol: EnrolRules,
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
            enrol,
        };
        Worker { queue, store, processor, settings, vitals: Arc::clone(&self.vitals) }
    }
}
