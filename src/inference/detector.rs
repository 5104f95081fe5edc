//! One face for all detectors: a manifest says which architecture a name stands for, and callers
//! need not know.
//!
//! Only YuNet has a letterbox, and with it a place on a GPU; MTCNN with `detector.letterbox` is an
//! error, and without it runs on the CPU whatever the device, as YuNet does then.

use image::RgbImage;

use super::canvas::CanvasSize;
use super::manifest::Role;
use super::model::{ModelError, Models};
use super::mtcnn;
use super::plan::DevicePlan;
use super::runtime::{Runtime, RuntimeError};
use super::yunet;
use crate::domain::Face;

/// A detector, read and checked, of which sessions can be opened.
#[derive(Debug, Clone)]
pub enum DetectorModel {
    /// One network, one pass over a canvas of this size.
    Yunet(yunet::YunetModel, CanvasSize),
    /// A cascade of three.
    Mtcnn(mtcnn::CascadeModel),
}

impl DetectorModel {
    /// Reads the prepared detector `name`, which is to look at canvases of `size`.
    ///
    /// # Errors
    /// If there is no such model, it is no detector or has no such canvases, or it is not prepared.
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

    /// Opens sessions of `threads` threads on the CPU and runs them once.
    ///
    /// # Errors
    /// If ONNX Runtime refuses the model.
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
    /// The faces in `image` with a confidence of at least `min_score`, best first, in the image's
    /// pixels.
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
