//! A model's manifest: `models/<name>.toml`. The manifest is committed, the weights are not.

mod parse;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::domain::{Chip, Mapping, MatchThresholds, Profile};

/// Why a manifest cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// The file is missing or cannot be read.
    #[error("cannot read the manifest {path}: {source}")]
    Read {
        /// The manifest's path.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The content is not valid.
    #[error("the manifest {path} is not valid: {reason}")]
    Invalid {
        /// The manifest's path.
        path: PathBuf,
        /// What is wrong, and where.
        reason: String,
    },
}

/// What a model is, where it comes from, and the format of its input.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    /// The file name without `.toml`.
    pub name: String,
    /// The published ONNX file; a relative path is below `models/fetched/`. For a cascade, the file
    /// of its first network.
    pub file: PathBuf,
    /// SHA-256 of that file, lower-case hex.
    pub file_sha256: String,
    /// Further files that hold weights.
    pub data: Vec<PublishedFile>,
    /// The model's identity: the digest of its only file, or the digest of all its files' digests,
    /// concatenated as text.
    pub sha256: String,
    /// Licence of the weights.
    pub licence: String,
    /// Where the weights were published.
    pub source: String,
    /// The format of the network's input.
    pub input: InputSpec,
    /// The model's task.
    pub role: Role,
}

/// The format of a network's input: `(pixel - mean) * scale` for each 8-bit channel value.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InputSpec {
    /// In pixels; 0 if free.
    pub width: u32,
    /// In pixels; 0 if free.
    pub height: u32,
    /// Order of the channels.
    pub channels: Channels,
    /// Subtracted from each value.
    #[serde(default)]
    pub mean: f32,
    /// Factor after the subtraction.
    #[serde(default = "one")]
    pub scale: f32,
}

impl InputSpec {
    /// The network's input for `chips`, `[N, 3, 112, 112]`: one plane per channel, in the order of
    /// the channels.
    pub fn values(&self, chips: &[Chip]) -> Vec<f32> {
        let value = |pixel: u8| (f32::from(pixel) - self.mean) * self.scale;
        self.planes(chips).into_iter().map(value).collect()
    }

    /// The pixels of `chips`, `[N, 3, 112, 112]`, for a network that reads bytes: one plane per
    /// channel, in the order of the channels.
    pub fn planes(&self, chips: &[Chip]) -> Vec<u8> {
        let mut planes = Vec::with_capacity(chips.len() * Chip::BYTES);
        for chip in chips {
            let pixels = chip.pixels().as_chunks::<3>().0;
            for channel in self.channels.order() {
                planes.extend(pixels.iter().map(|pixel| pixel[channel]));
            }
        }
        planes
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
    /// The channel of an RGB pixel in each plane of the network's input.
    pub fn order(self) -> [usize; 3] {
        match self {
            Self::Rgb => [0, 1, 2],
            Self::Bgr => [2, 1, 0],
        }
    }
}

/// A model's task.
#[derive(Debug, Clone, PartialEq)]
pub enum Role {
    /// Finds faces and their landmarks: YuNet.
    Detector,
    /// Finds them with three networks in sequence: MTCNN.
    Cascade(Box<[Manifest; 3]>),
    /// One of those three networks.
    Stage(Stage),
    /// Turns chips into embeddings.
    Recogniser(RecogniserManifest),
}

/// The position of a network in a cascade.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// P-Net: proposes boxes in the whole image.
    Proposal,
    /// R-Net: refuses most of the boxes.
    Refinement,
    /// O-Net: refuses more, at a higher resolution, and places the landmarks.
    Output,
}

/// The part of a manifest for recognisers.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecogniserManifest {
    /// D, the length of the embedding.
    pub embedding: usize,
    /// The dropout ratio before the last layer, for graphs that do not state it. SER-FIQ is weaker
    /// for a network that was trained without dropout.
    pub dropout: Option<f64>,
    /// Steepness of the score-to-quality mapping.
    pub alpha: f64,
    /// The score that maps to quality 50.
    pub r: f64,
    /// Similarity thresholds and the data that they were measured on: one set for each profile of
    /// which they were measured.
    #[serde(default)]
    pub thresholds: Vec<MatchThresholds>,
}

impl RecogniserManifest {
    /// The score-to-quality mapping.
    pub fn mapping(&self) -> Mapping {
        Mapping::Logistic { alpha: self.alpha, r: self.r }
    }

    /// The similarity thresholds of the templates that `profile` gives, if they were measured.
    pub fn thresholds_for(&self, profile: &Profile) -> Option<&MatchThresholds> {
        self.thresholds.iter().find(|thresholds| thresholds.apply_to(profile))
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
    /// Reads the manifest in `path`.
    ///
    /// # Errors
    /// If the file cannot be read or is not a valid manifest.
    pub fn read(path: &Path) -> Result<Self, ManifestError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| ManifestError::Read { path: path.to_owned(), source })?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        Self::parse(&name, &text)
            .map_err(|reason| ManifestError::Invalid { path: path.to_owned(), reason })
    }

    /// The networks, one file each: a cascade's three, or this one.
    pub fn networks(&self) -> &[Self] {
        match &self.role {
            Role::Cascade(networks) => networks.as_slice(),
            _ => std::slice::from_ref(self),
        }
    }

    /// The files of this network with their digests; the ONNX file comes first.
    pub fn files(&self) -> impl Iterator<Item = (&Path, &str)> {
        let data = self.data.iter().map(|data| (data.file.as_path(), data.sha256.as_str()));
        [(self.file.as_path(), self.file_sha256.as_str())].into_iter().chain(data)
    }

    /// The model's name in commands: for a network of a cascade, the name of the cascade.
    pub fn model(&self) -> &str {
        match self.role {
            Role::Stage(_) => self.name.rsplit_once('.').map_or(&self.name, |(model, _)| model),
            _ => &self.name,
        }
    }

    /// The part for recognisers, if this is one.
    pub fn recogniser(&self) -> Option<&RecogniserManifest> {
        match &self.role {
            Role::Recogniser(recogniser) => Some(recogniser),
            Role::Detector | Role::Cascade(_) | Role::Stage(_) => None,
        }
    }
}
