//! A model's manifest: `models/<name>.toml`. The manifest is committed, the weights are not.

mod parse;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::domain::{Chip, Mapping};

/// Why a manifest cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// The file is not there or cannot be read.
    #[error("cannot read the manifest {path}: {source}")]
    Read {
        /// Its path.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Its content.
    #[error("the manifest {path} is not valid: {reason}")]
    Invalid {
        /// Its path.
        path: PathBuf,
        /// What is wrong, and where.
        reason: String,
    },
}

/// What a model is, where it comes from and what it wants to see.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// The name: the manifest's file name without `.toml`.
    pub name: String,
    /// The published ONNX file; a relative path is below `models/fetched/`. Of a cascade, its first
    /// network's.
    pub file: PathBuf,
    /// SHA-256 of that file, lower-case hex.
    pub file_sha256: String,
    /// The files that hold weights beside it, if there are any.
    pub data: Vec<PublishedFile>,
    /// What identifies the model: the digest of its only file, or that of the digests of all its
    /// files one after the other, as text.
    pub sha256: String,
    /// Licence of the weights.
    pub licence: String,
    /// Where they were published.
    pub source: String,
    /// What the network wants to see.
    pub input: InputSpec,
    /// What the model is for.
    pub role: Role,
}

/// The network's input: `(pixel - mean) * scale` for each 8-bit channel value.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputSpec {
    /// Width, pixels; 0 if free.
    pub width: u32,
    /// Height, pixels; 0 if free.
    pub height: u32,
    /// Order of the channels.
    pub channels: Channels,
    /// Subtracted from each value.
    #[serde(default)]
    pub mean: f32,
    /// Multiplied after that.
    #[serde(default = "one")]
    pub scale: f32,
}

impl InputSpec {
    /// What the network sees of `chips`, `[N, 3, 112, 112]`: planes in the order of the channels.
    pub fn values(&self, chips: &[Chip]) -> Vec<f32> {
        let mut values = Vec::with_capacity(chips.len() * Chip::BYTES);
        for chip in chips {
            for channel in self.channels.order() {
                let plane = chip
                    .pixels()
                    .chunks_exact(3)
                    .map(|pixel| (f32::from(pixel[channel]) - self.mean) * self.scale);
                values.extend(plane);
            }
        }
        values
    }
}

fn one() -> f32 {
    1.0
}

/// Order of the colour channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Channels {
    /// Red first.
    Rgb,
    /// Blue first.
    Bgr,
}

impl Channels {
    /// For each plane of the network's input, the channel of an RGB pixel that fills it.
    pub fn order(self) -> [usize; 3] {
        match self {
            Self::Rgb => [0, 1, 2],
            Self::Bgr => [2, 1, 0],
        }
    }
}

/// What a model is for.
#[derive(Debug, Clone, PartialEq)]
pub enum Role {
    /// Finds faces and their landmarks: YuNet.
    Detector,
    /// Finds them with three networks, one after the other: MTCNN.
    Cascade(Box<[Manifest; 3]>),
    /// One of those three.
    Stage(Stage),
    /// Turns chips into embeddings.
    Recogniser(RecogniserManifest),
}

/// The place of a network in a cascade.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// P-Net: looks everywhere and proposes boxes.
    Proposal,
    /// R-Net: looks at each of them, and refuses most.
    Refinement,
    /// O-Net: looks again, larger, and finds the landmarks.
    Output,
}

/// What is special to recognisers.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecogniserManifest {
    /// D, the embedding's length.
    pub embedding: usize,
    /// The dropout ratio before the last layer, for graphs that do not tell it. SER-FIQ is weaker
    /// for a network that was not trained with dropout.
    pub dropout: Option<f64>,
    /// Steepness of the score-to-quality mapping.
    pub alpha: f64,
    /// The score that maps to quality 50.
    pub r: f64,
}

impl RecogniserManifest {
    /// The score-to-quality mapping.
    pub fn mapping(&self) -> Mapping {
        Mapping::Logistic { alpha: self.alpha, r: self.r }
    }
}

/// A published file and its digest.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublishedFile {
    /// A relative path is below `models/fetched/`.
    pub file: PathBuf,
    /// SHA-256, lower-case hex.
    pub sha256: String,
}

impl Manifest {
    /// Reads `path`.
    ///
    /// # Errors
    /// If it cannot be read or says something it must not.
    pub fn read(path: &Path) -> Result<Self, ManifestError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ManifestError::Read { path: path.to_owned(), source })?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        Self::parse(&name, &text)
            .map_err(|reason| ManifestError::Invalid { path: path.to_owned(), reason })
    }

    /// The networks, each of one file: those of a cascade, otherwise this one.
    pub fn networks(&self) -> &[Self] {
        match &self.role {
            Role::Cascade(networks) => networks.as_slice(),
            _ => std::slice::from_ref(self),
        }
    }

    /// The files of this network and their digests: the ONNX file first.
    pub fn files(&self) -> impl Iterator<Item = (&Path, &str)> {
        let data = self.data.iter().map(|data| (data.file.as_path(), data.sha256.as_str()));
        [(self.file.as_path(), self.file_sha256.as_str())].into_iter().chain(data)
    }

    /// The model that it belongs to, as commands know it: of a cascade's network, the cascade.
    pub fn model(&self) -> &str {
        match self.role {
            Role::Stage(_) => self.name.rsplit_once('.').map_or(&self.name, |(model, _)| model),
            _ => &self.name,
        }
    }

    /// What is special to recognisers, if this is one.
    pub fn recogniser(&self) -> Option<&RecogniserManifest> {
        match &self.role {
            Role::Recogniser(recogniser) => Some(recogniser),
            Role::Detector | Role::Cascade(_) | Role::Stage(_) => None,
        }
    }
}
