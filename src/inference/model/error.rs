//! Why a model cannot be prepared or used.

use std::path::PathBuf;

use crate::domain::Precision;
use crate::inference::manifest::ManifestError;
use crate::inference::prepare::{PrepareError, Target, Variant};
use crate::inference::runtime::RuntimeError;

/// Why a model cannot be prepared or used.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// No manifest of that name.
    #[error("there is no model '{name}': {dir} has {}", if known.is_empty() { "no \
        manifests".to_owned() } else { known.join(", ") })]
    Unknown {
        /// The name asked for.
        name: String,
        /// Where manifests are.
        dir: PathBuf,
        /// Those that are there.
        known: Vec<String>,
    },
    /// Its manifest.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The published file is not there.
    #[error(
        "the weights of '{name}' are not at {path} ({source}): run `make setup` for the default \
            models, or bring the file: \
         `facefleet model import {} --name {name}`",
        file.file_name().unwrap_or_default().display()
    )]
    NotFetched {
        /// The model.
        name: String,
        /// The file that its manifest names.
        file: PathBuf,
        /// Where the file should be.
        path: PathBuf,
        /// Why it could not be read.
        source: std::io::Error,
    },
    /// The graph reads a file that the manifest does not name.
    #[error(
        "the weights of '{name}' are in {file} too, which its manifest does not list under `data`: \
            `facefleet model import` writes it"
    )]
    Unlisted {
        /// The model.
        name: String,
        /// The file.
        file: PathBuf,
    },
    /// The published file is another one.
    #[error(
        "{path} is not the file that the manifest of '{name}' names: sha256 {found}, expected \
            {expected}"
    )]
    Digest {
        /// The model.
        name: String,
        /// The file.
        path: PathBuf,
        /// Its digest.
        found: String,
        /// The manifest's.
        expected: String,
    },
    /// The prepared file is missing or of another manifest or version.
    #[error("model '{name}' is not prepared ({why}): run `facefleet model prepare \
        {name}{}`", options(*variant))]
    NotPrepared {
        /// The model.
        name: String,
        /// The preparation that was needed.
        variant: Variant,
        /// What is wrong.
        why: String,
    },
    /// The prepared file is not the one that was written.
    #[error(
        "the prepared file {file} of model '{name}' is damaged: its bytes have not the digest that \
            was written with them. \
         `facefleet model prepare {name}{}` makes it anew from the published file",
        options(*variant)
    )]
    Damaged {
        /// The model.
        name: String,
        /// The preparation that was read.
        variant: Variant,
        /// Its file.
        file: PathBuf,
    },
    /// A detector where a recogniser is needed, or the other way round.
    #[error("model '{name}' is not a {wanted}")]
    Role {
        /// The model.
        name: String,
        /// What was needed.
        wanted: &'static str,
    },
    /// Its graph.
    #[error("model '{name}' cannot be prepared from {file}: {source}")]
    Prepare {
        /// The model.
        name: String,
        /// Its file.
        file: PathBuf,
        /// Why.
        source: PrepareError,
    },
    /// A detector that cannot look at letterboxes.
    #[error(
        "detector '{name}' looks at each image at many scales and has no letterbox: set \
            detector.letterbox = false with it \
         (environment variable FACEFLEET__DETECTOR__LETTERBOX)"
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
        /// What was found and expected.
        reason: String,
    },
    /// Writing the prepared file.
    #[error("cannot write {path}: {source}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// ONNX Runtime.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
}

/// What `facefleet model prepare` must be told for `variant`.
fn options(variant: Variant) -> String {
    let target = if variant.target == Target::Gpu { " --target gpu" } else { "" };
    let precision = if variant.precision == Precision::Half { " --half" } else { "" };
    format!("{target}{precision}")
}
