//! Opens the networks on the device that the settings choose, and starts the threads that run them.

use anyhow::{Context, Result};

use super::App;
use crate::domain::{AlignmentProfile, DetectorProfile, Device, DeviceChoice, Precision, Profile};
use crate::inference::batcher::Batcher;
use crate::inference::canvas::CanvasSize;
use crate::inference::detector::DetectorModel;
use crate::inference::plan::DevicePlan;
use crate::inference::prepare::Variant;
use crate::inference::recogniser::{Estimator, Recogniser, RecogniserModel};
use crate::inference::runtime::{Runtime, side_by_side};
use crate::quality::calibration::Calibration;
use crate::settings::Method;
use crate::telemetry::metrics;
use crate::vision::PixelLimits;
use crate::worker::pyramid::Pyramid;
use crate::worker::vision_stage::{ChipExtractor, PictureStage, Vision, VisionStage};

/// The device that `auto` tries first.
const FIRST_GPU: Device = Device::Cuda(0);

/// Networks that passed their self-tests, and their threads.
pub(super) struct Networks {
    pub vision: Vision,
    pub recogniser: Batcher<Recogniser>,
    pub profile: Profile,
    /// What runs the recogniser.
    pub device: Device,
    /// Images whose bytes or pixels may be in memory at once.
    pub held_images: usize,
    /// The scaled copies that the detector processes; none if the images are chips.
    pub pyramid: Option<Pyramid>,
}

/// Models that are read and not yet opened.
pub(super) struct ModelsRead {
    recogniser: RecogniserModel,
    /// None if the images are chips.
    detector: Option<DetectorModel>,
    pub profile: Profile,
}

impl App {
    /// The networks, opened on the device of the settings.
    ///
    /// # Errors
    /// If that device cannot be used, a model is missing, or a self-test fails. With `auto`, only
    /// if the CPU fails too.
    pub(super) fn networks(&self, aligned: bool) -> Result<Networks> {
        let runtime = self.runtime()?;
        let networks = match self.settings.runtime.device {
            DeviceChoice::Only(device) => self.networks_on(device, &runtime, aligned)?,
            DeviceChoice::Auto if runtime.offers(FIRST_GPU) => {
                self.networks_on(FIRST_GPU, &runtime, aligned).or_else(|error| {
                    tracing::warn!(
                        error = format!("{error:#}"),
                        "no GPU can be used; the networks run on the CPU"
                    );
                    self.networks_on(Device::Cpu, &runtime, aligned)
                })?
            }
            DeviceChoice::Auto => self.networks_on(Device::Cpu, &runtime, aligned)?,
        };
        let provider = networks.device.to_string();
        tracing::info!(%provider, profile = %networks.profile.id(), "the networks passed their \
            self-tests");
        metrics::provider(&provider);
        Ok(networks)
    }

    /// How the networks run on `device`.
    pub fn plan(&self, device: Device) -> DevicePlan {
        let settings = &self.settings;
        DevicePlan {
            precision: settings.models.precision,
            engines: Some(settings.below_home(&settings.runtime.engines)),
            ..DevicePlan::new(device, settings.threads(), settings.worker.batch)
        }
    }

    /// The preparation of models that `device` runs.
    pub fn variant(&self, device: DeviceChoice) -> Variant {
        match device {
            DeviceChoice::Only(device) => self.plan(device).variant(),
            // A GPU may be missing; the CPU never is.
            DeviceChoice::Auto => self.plan(Device::Cpu).variant(),
        }
    }

    fn networks_on(&self, device: Device, runtime: &Runtime, aligned: bool) -> Result<Networks> {
        // Report a missing device first: whether models are prepared for it does not matter then.
        runtime.require(device)?;
        let (settings, plan) = (&self.settings, self.plan(device));
        if plan.precision == Precision::Bfloat16 && !multiplies_bfloat16() {
            tracing::warn!(
                "this processor does not multiply bfloat16; emulated, it is slower than 32 bits"
            );
        }
        let ModelsRead { recogniser, detector, profile } =
            self.read_models(&plan, runtime, aligned)?;
        let recognisers = side_by_side(plan.sessions, |_| recogniser.open_on(&plan))?;
        let vision = self.vision(detector.as_ref(), &plan)?;
        let threads = settings.threads();
        let ahead = if matches!(vision, Vision::Split { .. }) { 2 * plan.batch } else { 0 };
        Ok(Networks {
            vision,
            recogniser: Batcher::start("recognise", recognisers, plan.batch)
                .context("Failed to start threads")?,
            profile,
            device,
            held_images: 2 * threads + 2 + ahead,
            pyramid: detector.as_ref().map(|detector| self.pyramid(detector)),
        })
    }

    /// The models that `plan` runs, and their profile.
    pub(super) fn read_models(
        &self,
        plan: &DevicePlan,
        runtime: &Runtime,
        aligned: bool,
    ) -> Result<ModelsRead> {
        let settings = &self.settings;
        let models = self.models().prepared_as(plan.variant());
        let estimator = match settings.quality.method {
            Method::ClosedForm => Estimator::ClosedForm,
            Method::Sampled => {
                Estimator::Sampled { passes: settings.quality.passes, seed: settings.quality.seed }
            }
        };
        let recogniser =
            RecogniserModel::load(&models, &settings.models.recogniser, runtime, estimator)?;
        let (max_side, letterbox) = (settings.detector.max_side, settings.detector.letterbox);
        let size = if letterbox { CanvasSize::Letterbox { max_side } } else { CanvasSize::Image };
        let load = || DetectorModel::load(&models, &settings.models.detector, runtime, size);
        let detector = (!aligned).then(load).transpose()?;

        let alignment = match &detector {
            None => AlignmentProfile::None,
            Some(model) => {
                let (name, sha256) = model.identity();
                let (name, sha256) = (name.to_owned(), sha256.to_owned());
                let fine_pixels = self.pyramid(model).fine_pixels;
                let detector = DetectorProfile { name, sha256, max_side, fine_pixels, letterbox };
                AlignmentProfile::Similarity { detector }
            }
        };
        let (recogniser_profile, ser_fiq, mapping) = recogniser.profile();
        let mut profile = Profile { alignment, recogniser: recogniser_profile, ser_fiq, mapping };
        // Treat an empty string as unset.
        if !settings.quality.calibration.as_os_str().is_empty() {
            let path = settings.below_home(&settings.quality.calibration);
            let mapping = Calibration::read(&path)?
                .mapping_for(&profile)
                .with_context(|| path.display().to_string())?;
            profile.mapping = mapping;
        }
        Ok(ModelsRead { recogniser, detector, profile })
    }

    /// The scales at which `detector` looks for faces. MTCNN has its own scales.
    fn pyramid(&self, detector: &DetectorModel) -> Pyramid {
        let settings = &self.settings.detector;
        let (fine_pixels, size) = match detector {
            DetectorModel::Yunet(_, size) => (Some(settings.fine_pixels), *size),
            DetectorModel::Mtcnn(_) => (None, CanvasSize::Image),
        };
        let tile = matches!(size, CanvasSize::Letterbox { .. }).then_some(settings.max_side);
        Pyramid { max_side: settings.max_side, fine_pixels, tile }
    }

    fn vision(&self, detector: Option<&DetectorModel>, plan: &DevicePlan) -> Result<Vision> {
        let (settings, threads) = (&self.settings, self.settings.threads());
        let limits = PixelLimits { max_pixels: settings.limits.max_pixels };
        match detector {
            // Without a letterbox, each size of image is a new input shape: then the detector runs
            // on the CPU.
            Some(detector @ DetectorModel::Yunet(model, size @ CanvasSize::Letterbox { .. }))
                if plan.padded =>
            {
                let pyramid = self.pyramid(detector);
                let stage = PictureStage { model: model.clone(), size: *size, pyramid, limits };
                Ok(Vision::Split {
                    pictures: Batcher::start("vision", vec![stage; threads], 1)
                        .context("Failed to start threads")?,
                    detector: Batcher::start(
                        "detect",
                        side_by_side(plan.sessions, |_| model.open_on(plan, *size))?,
                        plan.batch,
                    )
                    .context("Failed to start threads")?,
                })
            }
            _ => {
                let stages = side_by_side(threads, |_| {
                    let extractor = match detector {
                        Some(model) => ChipExtractor::Detect {
                            detector: model.open(1)?,
                            pyramid: self.pyramid(model),
                        },
                        None => ChipExtractor::Aligned,
                    };
                    anyhow::Ok(VisionStage::new(extractor, limits))
                })?;
                Ok(Vision::Whole(
                    Batcher::start("vision", stages, 1).context("Failed to start threads")?,
                ))
            }
        }
    }
}

/// Whether the processor multiplies bfloat16. On x86-64 the flag of AVX-512 is enough: every
/// processor with AMX has it too. Elsewhere this is not detected.
fn multiplies_bfloat16() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("avx512bf16");
    #[cfg(not(target_arch = "x86_64"))]
    true
}
