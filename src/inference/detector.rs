//! The detector that a manifest names, YuNet or MTCNN, behind one interface.
//!
//! Only YuNet has a letterbox, which a GPU needs. MTCNN with `detector.letterbox = true` is an
//! error. Without the letterbox, both run on the CPU whatever the device is.

use image::RgbImage;

use super::canvas::CanvasSize;
use super::manifest::Role;
use super::model::{ModelError, Models};
use super::mtcnn;
use super::plan::DevicePlan;
use super::runtime::{Runtime, RuntimeError};
use super::yunet;
use crate::domain::Face;

/// A detector whose prepared files are read and checked. Opens sessions.
#[derive(Debug, Clone)]
pub enum DetectorModel {
    /// One network, one pass over a canvas of this size.
    Yunet(yunet::YunetModel, CanvasSize),
    /// A cascade of three networks.
    Mtcnn(mtcnn::CascadeModel),
}

impl DetectorModel {
    /// Reads the prepared detector `name`, for canvases of `size`.
    ///
    /// # Errors
    /// If no model has that name, it is not a detector, it has no such canvases, or it is not
    /// prepared.
    pub fn load(
        models: &Models,
        name: &str,
        runtime: &Runtime,
        size: CanvasSize,
    ) -> Result<Self, ModelError> {
        let manifest = models.manifest(name)?;
        match (&manifest.role, size) {
            (Role::Cascade(_), CanvasSize::Letterbox { .. }) => {
                Err(ModelError::Letterbox { name: name.to_owned() })
            }
            (Role::Cascade(_), CanvasSize::Image) => {
                Ok(Self::Mtcnn(mtcnn::CascadeModel::load(models, manifest, runtime)?))
            }
            _ => Ok(Self::Yunet(yunet::YunetModel::load(models, name, runtime)?, size)),
        }
    }

    /// Name and digest, for the profile.
    pub fn identity(&self) -> (&str, &str) {
        match self {
            Self::Yunet(model, _) => model.identity(),
            Self::Mtcnn(model) => model.identity(),
        }
    }

    /// Opens a detector on the CPU, with `threads` threads per session, and runs its self-test.
    ///
    /// # Errors
    /// If ONNX Runtime refuses the model, or the self-test fails.
    pub fn open(&self, threads: usize) -> Result<Detector, ModelError> {
        Ok(match self {
            Self::Yunet(model, size) => {
                Detector::Yunet(model.open_on(&DevicePlan::cpu(threads), *size)?)
            }
            Self::Mtcnn(model) => Detector::Mtcnn(Box::new(model.open(threads)?)),
        })
    }
}

/// An open detector, for one thread at a time.
#[derive(Debug)]
pub enum Detector {
    /// See [`yunet`].
    Yunet(yunet::Yunet),
    /// See [`mtcnn`].
    Mtcnn(Box<mtcnn::Cascade>),
}

impl Detector {
    /// The faces in `image` with a confidence of at least `min_score`, best first, in pixels of the
    /// image.
    ///
    /// # Errors
    /// If a forward pass fails.
    pub fn detect(&mut self, image: &RgbImage, min_score: f32) -> Result<Vec<Face>, RuntimeError> {
        match self {
            Self::Yunet(detector) => detector.detect(image, min_score),
            Self::Mtcnn(cascade) => cascade.detect(image, min_score),
        }
    }
}
