//! A model's description: `models/<name>.toml`, committed beside the weights that are not.

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
    /// The published ONNX file; a relative path is below `models/fetched/`.
    pub file: PathBuf,
    /// SHA-256 of that file, lower-case hex.
    pub sha256: String,
    /// Licence of the weights.
    pub licence: String,
    /// Where they were published.
    pub source: String,
    /// What the network wants to see.
    pub input: Input,
    /// What the model is for.
    pub role: Role,
}

/// The network's input: `(pixel - mean) * scale` for each 8-bit channel value.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Input {
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

impl Input {
    /// What the network sees of `chips`, `[N, 3, 112, 112]`: planes in the order of the channels.
    pub fn values(&self, chips: &[Chip]) -> Vec<f32> {
        let mut values = Vec::with_capacity(chips.len() * Chip::BYTES);
        for chip in chips {
            for channel in self.channels.order() {
                let plane = chip.pixels().chunks_exact(3).map(|pixel| (f32::from(pixel[channel]) - self.mean) * self.scale);
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
    /// Finds faces and their landmarks.
    Detector,
    /// Turns chips into embeddings.
    Recogniser(RecogniserManifest),
}

/// What is special to recognisers.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecogniserManifest {
    /// D, the embedding's length.
    pub embedding: usize,
    /// The dropout ratio before the last layer, for graphs that do not tell it. SER-FIQ is weaker for a network that was not trained
    /// with dropout.
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    role: RoleName,
    file: PathBuf,
    sha256: String,
    licence: String,
    source: String,
    input: Input,
    recogniser: Option<toml::Value>,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "lowercase")]
enum RoleName {
    Detector,
    Recogniser,
}

impl Manifest {
    /// Reads `path`.
    ///
    /// # Errors
    /// If it cannot be read or says something it must not.
    pub fn read(path: &Path) -> Result<Self, ManifestError> {
        let text = std::fs::read_to_string(path).map_err(|source| ManifestError::Read { path: path.to_owned(), source })?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        Self::parse(&name, &text).map_err(|reason| ManifestError::Invalid { path: path.to_owned(), reason })
    }

    /// Parses the text of a manifest called `name`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(name: &str, text: &str) -> Result<Self, String> {
        let file: File = toml::from_str(text).map_err(|error| error.to_string())?;
        let sha256 = file.sha256.to_ascii_lowercase();
        if sha256.len() != 64 || !sha256.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err("`sha256` must be 64 hex digits".into());
        }
        let role = match (file.role, file.recogniser) {
            (RoleName::Detector, None) => Role::Detector,
            (RoleName::Detector, Some(_)) => return Err("a detector has no [recogniser] table".into()),
            (RoleName::Recogniser, None) => return Err("a recogniser needs a [recogniser] table".into()),
            (RoleName::Recogniser, Some(table)) => {
                let recogniser: RecogniserManifest = table.try_into().map_err(|error: toml::de::Error| error.to_string())?;
                if recogniser.embedding == 0 {
                    return Err("`embedding` must be at least 1".into());
                }
                if file.input.width != 112 || file.input.height != 112 {
                    return Err("a recogniser's input must be 112 x 112 pixels, the size that faces are aligned to".into());
                }
                if !(recogniser.alpha > 0.0 && recogniser.alpha.is_finite() && recogniser.r.is_finite()) {
                    return Err("`alpha` must be positive and `r` a number".into());
                }
                Role::Recogniser(recogniser)
            }
        };
        let Input { mean, scale, .. } = file.input;
        if !(mean.is_finite() && scale.is_finite() && scale != 0.0) {
            return Err("`mean` and `scale` must be finite and `scale` not zero".into());
        }
        Ok(Self {
            name: name.to_owned(),
            file: file.file,
            sha256,
            licence: file.licence,
            source: file.source,
            input: file.input,
            role,
        })
    }

    /// What is special to recognisers, if this is one.
    pub fn recogniser(&self) -> Option<&RecogniserManifest> {
        match &self.role {
            Role::Recogniser(recogniser) => Some(recogniser),
            Role::Detector => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SFACE: &str = include_str!("../../models/sface-2021dec.toml");
    const YUNET: &str = include_str!("../../models/yunet-2023mar.toml");

    #[test]
    fn the_manifests_of_the_default_models_are_valid() {
        let sface = Manifest::parse("sface-2021dec", SFACE).unwrap();
        assert_eq!(sface.recogniser().unwrap().embedding, 128);
        assert_eq!(Manifest::parse("yunet-2023mar", YUNET).unwrap().role, Role::Detector);
    }

    #[test]
    fn a_typo_is_named() {
        let error = Manifest::parse("x", &SFACE.replace("alpha", "alhpa")).unwrap_err();
        assert!(error.contains("alpha"), "{error}");
        let error = Manifest::parse("x", &SFACE.replace("licence", "license")).unwrap_err();
        assert!(error.contains("license"), "{error}");
        let error = Manifest::parse("x", &SFACE.replace("width = 112", "width = 96")).unwrap_err();
        assert!(error.contains("112"), "{error}");
    }
}
