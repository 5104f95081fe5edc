//! Why a model is not imported.

use std::path::PathBuf;

use crate::inference::model::ModelError;
use crate::inference::prepare::PrepareError;
use crate::inference::runtime::RuntimeError;

/// Why a model is not imported. The folder of models is then unchanged.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file, or one of its data files, cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not an ONNX file.
    #[error("{path} is not an ONNX file but {what}")]
    Other {
        /// The file.
        path: PathBuf,
        /// What the file is, and what to do.
        what: &'static str,
    },
    /// The model cannot be prepared.
    #[error("{path} cannot be imported: {source}")]
    Unfit {
        /// The file.
        path: PathBuf,
        /// Why.
        source: PrepareError,
    },
    /// Neither the graph nor the command has all that the manifest needs.
    #[error(
        "the graph does not state all that is needed; add to the command:\n  {}",
        .0.join("\n  ")
    )]
    MissingOptions(Vec<String>),
    /// The name is not allowed.
    #[error("'{0}' is not a name for a model: use letters, digits, '-' and '_' (--name)")]
    Name(String),
    /// A model of that name exists.
    #[error("{manifest} exists already{why}: choose another --name, or replace it with --force")]
    Exists {
        /// The manifest.
        manifest: PathBuf,
        /// What the manifest describes, and what to do.
        why: &'static str,
    },
    /// Another model's manifest names a file that the import would replace.
    #[error(
        "{file} holds the weights of model '{owner}', and these are other weights: choose another \
            --name"
    )]
    Owned {
        /// The file.
        file: PathBuf,
        /// The model whose manifest names it.
        owner: String,
    },
    /// A file that the import would replace has other content.
    #[error(
        "{file} exists already and has other content: choose another --name, or replace it with \
            --force"
    )]
    Occupied {
        /// The file.
        file: PathBuf,
    },
    /// The network gives the same embedding for different images.
    #[error(
        "the network gives the same embedding for two different images (cosine {cosine:.6}): its \
            weights or the normalisation (--mean, --scale) are wrong"
    )]
    Constant {
        /// The cosine between the two embeddings.
        cosine: f64,
    },
    /// A file cannot be written into the folder of models.
    #[error("cannot write {path}: {source}")]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Preparing the model, or its proof, failed.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// ONNX Runtime failed.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
}
