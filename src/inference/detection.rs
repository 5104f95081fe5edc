//! One face for all detectors: a manifest says which architecture a name stands for, and callers need not know.

use image::RgbImage;

use super::detector;
use super::manifest::Role;
use super::model::{ModelError, Models};
use super::mtcnn;
use super::runtime::{Runtime, RuntimeError};
use crate::domain::Face;

/// A detector, read and checked, of which sessions can be opened.
#[derive(Debug, Clone)]
pub enum DetectorModel {
    /// One network, one pass.
    Yunet(detector::DetectorModel),
    /// A cascade of three.
    Mtcnn(mtcnn::CascadeModel),
}

impl DetectorModel {
    /// Reads the prepared detector `name`.
    ///
    /// # Errors
    /// If there is no such model, it is no detector, or it is not prepared.
    pub fn load(models: &Models, name: &str, runtime: &Runtime) -> Result<Self, ModelError> {
        let manifest = models.manifest(name)?;
        Ok(match manifest.role {
            Role::Cascade(_) => Self::Mtcnn(mtcnn::CascadeModel::load(models, manifest, runtime)?),
            _ => Self::Yunet(detector::DetectorModel::load(models, name, runtime)?),
        })
    }

    /// Name and digest, for the profile.
    pub fn identity(&self) -> (&str, &str) {
        match self {
            Self::Yunet(model) => model.identity(),
            Self::Mtcnn(model) => model.identity(),
        }
    }

    /// Opens sessions of `threads` threads and runs them once.
    ///
    /// # Errors
    /// If ONNX Runtime refuses the model.
    pub fn open(&self, threads: usize) -> Result<Detector, ModelError> {
        Ok(match self {
            Self::Yunet(model) => Detector::Yunet(model.open(threads)?),
            Self::Mtcnn(model) => Detector::Mtcnn(Box::new(model.open(threads)?)),
        })
    }
}

/// An open detector, for one thread at a time.
#[derive(Debug)]
pub enum Detector {
    /// See [`detector`].
    Yunet(detector::Detector),
    /// See [`mtcnn`].
    Mtcnn(Box<mtcnn::Cascade>),
}

impl Detector {
    /// The faces in `image` with a confidence of at least `min_score`, best first, in the image's pixels.
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
