//! Why a model cannot be prepared or used.

use std::path::PathBuf;

use crate::domain::Precision;
use crate::inference::manifest::ManifestError;
use crate::inference::prepare::{PrepareError, Target, Variant};
use crate::inference::runtime::RuntimeError;

/// Why a model cannot be prepared or used.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// No manifest has that name.
    #[error("there is no model '{name}': {dir} has {}", if known.is_empty() { "no \
        manifests".to_owned() } else { known.join(", ") })]
    Unknown {
        /// The requested name.
        name: String,
        /// The folder of manifests.
        dir: PathBuf,
        /// The names of its manifests.
        known: Vec<String>,
    },
    /// The manifest is not valid.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The published file is missing.
    #[error(
        "the weights of '{name}' are not at {path} ({source}): run `make setup` for the default \
            models, or bring the file: `facefleet model import {} --name {name}`",
        file.file_name().unwrap_or_default().display()
    )]
    NotFetched {
        /// The model.
        name: String,
        /// The file that its manifest names.
        file: PathBuf,
        /// Where the file should be.
        path: PathBuf,
        /// Why the file cannot be read.
        source: std::io::Error,
    },
    /// The graph reads a file that the manifest does not list.
    #[error(
        "the weights of '{name}' are in {file} too, which its manifest does not list under `data`: \
            `facefleet model import` writes a complete manifest"
    )]
    Unlisted {
        /// The model.
        name: String,
        /// The file that it reads.
        file: PathBuf,
    },
    /// A published file is not the one that the manifest names.
    #[error(
        "{path} is not the file that the manifest of '{name}' names: sha256 {found}, expected \
            {expected}"
    )]
    Digest {
        /// The model.
        name: String,
        /// The file.
        path: PathBuf,
        /// The file's digest.
        found: String,
        /// The digest in the manifest.
        expected: String,
    },
    /// The prepared file is missing, or belongs to another manifest or version.
    #[error("model '{name}' is not prepared ({why}): run `facefleet model prepare \
        {name}{}`", options(*variant))]
    NotPrepared {
        /// The model.
        name: String,
        /// The preparation that is needed.
        variant: Variant,
        /// What is wrong.
        why: String,
    },
    /// The prepared file has changed since it was written.
    #[error(
        "the prepared file {file} of model '{name}' is damaged: its digest does not match. \
            `facefleet model prepare {name}{}` prepares it again from the published file",
        options(*variant)
    )]
    Damaged {
        /// The model.
        name: String,
        /// The preparation that is damaged.
        variant: Variant,
        /// The prepared file.
        file: PathBuf,
    },
    /// The model has another task, such as a detector where a recogniser is needed.
    #[error("model '{name}' is not a {wanted}")]
    Role {
        /// The model.
        name: String,
        /// The task that is needed.
        wanted: &'static str,
    },
    /// The graph cannot be prepared.
    #[error("model '{name}' cannot be prepared from {file}: {source}")]
    Prepare {
        /// The model.
        name: String,
        /// The published file.
        file: PathBuf,
        /// Why.
        source: PrepareError,
    },
    /// The detector has no letterbox.
    #[error(
        "detector '{name}' scans each image at many scales and has no letterbox: set \
            detector.letterbox = false (environment variable FACEFLEET__DETECTOR__LETTERBOX)"
    )]
    Letterbox {
        /// The model.
        name: String,
    },
    /// The prepared graph does not compute what it should.
    #[error("model '{name}' failed its test: {reason}")]
    SelfTest {
        /// The model.
        name: String,
        /// What was found and what was expected.
        reason: String,
    },
    /// The prepared file cannot be written.
    #[error("cannot write {path}: {source}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// ONNX Runtime failed.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
}

/// The options of `facefleet model prepare` for `variant`.
fn options(variant: Variant) -> String {
    let target = if variant.target == Target::Gpu { " --target gpu" } else { "" };
    let precision = if variant.precision == Precision::Half { " --half" } else { "" };
    format!("{target}{precision}")
}
