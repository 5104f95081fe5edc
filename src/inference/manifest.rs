//! A model's description: `models/<name>.toml`, committed beside the weights that are not.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use sha2::{Digest, Sha256};

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

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    role: RoleName,
    #[serde(default)]
    kind: Kind,
    file: Option<PathBuf>,
    sha256: Option<String>,
    #[serde(default)]
    data: Vec<PublishedFile>,
    licence: String,
    source: String,
    input: Input,
    recogniser: Option<toml::Value>,
    cascade: Option<CascadeFiles>,
}

/// What the files are to each other.
#[derive(Deserialize, Clone, Copy, Default, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Kind {
    /// One file.
    #[default]
    Single,
    /// Three.
    Mtcnn,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CascadeFiles {
    p: PublishedFile,
    r: PublishedFile,
    o: PublishedFile,
}

/// A file and its digest.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublishedFile {
    /// A relative path is below `models/fetched/`.
    pub file: PathBuf,
    /// SHA-256, lower-case hex.
    pub sha256: String,
}

impl PublishedFile {
    fn checked(self) -> Result<Self, String> {
        let sha256 = self.sha256.to_ascii_lowercase();
        if sha256.len() != 64 || !sha256.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err("`sha256` must be 64 hex digits".into());
        }
        Ok(Self { file: self.file, sha256 })
    }
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
        let text = std::fs::read_to_string(path)
            .map_err(|source| ManifestError::Read { path: path.to_owned(), source })?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        Self::parse(&name, &text)
            .map_err(|reason| ManifestError::Invalid { path: path.to_owned(), reason })
    }

    /// Parses the text of a manifest called `name`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(name: &str, text: &str) -> Result<Self, String> {
        let file: File = toml::from_str(text).map_err(|error| error.to_string())?;
        let role = match (file.role, file.recogniser) {
            (RoleName::Detector, None) => Role::Detector,
            (RoleName::Detector, Some(_)) => {
                return Err("a detector has no [recogniser] table".into());
            }
            (RoleName::Recogniser, None) => {
                return Err("a recogniser needs a [recogniser] table".into());
            }
            (RoleName::Recogniser, Some(table)) => {
                let recogniser: RecogniserManifest =
                    table.try_into().map_err(|error: toml::de::Error| error.to_string())?;
                if recogniser.embedding == 0 {
                    return Err("`embedding` must be at least 1".into());
                }
                if file.input.width != 112 || file.input.height != 112 {
                    return Err(
                        "a recogniser's input must be 112 x 112 pixels, the size that faces \
                        are aligned to"
                            .into(),
                    );
                }
                if !(recogniser.alpha > 0.0
                    && recogniser.alpha.is_finite()
                    && recogniser.r.is_finite())
                {
                    return Err("`alpha` must be positive and `r` a number".into());
                }
                Role::Recogniser(recogniser)
            }
        };
        let Input { mean, scale, .. } = file.input;
        if !(mean.is_finite() && scale.is_finite() && scale != 0.0) {
            return Err("`mean` and `scale` must be finite and `scale` not zero".into());
        }
        let of =
            |name: String, published: PublishedFile, data: Vec<PublishedFile>, role: Role| Self {
                name,
                file: published.file,
                sha256: identity(
                    [&published.sha256].into_iter().chain(data.iter().map(|file| &file.sha256)),
                ),
                file_sha256: published.sha256,
                data,
                licence: file.licence.clone(),
                source: file.source.clone(),
                input: file.input.clone(),
                role,
            };
        match (file.kind, file.file, file.sha256, file.cascade) {
            (Kind::Single, Some(path), Some(sha256), None) => {
                let data = file
                    .data
                    .into_iter()
                    .map(PublishedFile::checked)
                    .collect::<Result<Vec<_>, _>>()?;
                Ok(of(name.to_owned(), PublishedFile { file: path, sha256 }.checked()?, data, role))
            }
            (Kind::Single, ..) => Err("it needs `file` and `sha256`, and no [cascade] \
                table"
                .into()),
            (Kind::Mtcnn, None, None, Some(CascadeFiles { p, r, o }))
                if role == Role::Detector && file.data.is_empty() =>
            {
                let network =
                    |letter: &str, published: PublishedFile, stage| -> Result<Self, String> {
                        Ok(of(
                            format!("{name}.{letter}"),
                            published.checked()?,
                            Vec::new(),
                            Role::Stage(stage),
                        ))
                    };
                let networks = [
                    network("p", p, Stage::Proposal)?,
                    network("r", r, Stage::Refinement)?,
                    network("o", o, Stage::Output)?,
                ];
                let sha256 = identity(networks.iter().map(|network| &network.sha256));
                let first = PublishedFile {
                    file: networks[0].file.clone(),
                    sha256: networks[0].sha256.clone(),
                };
                let role = Role::Cascade(Box::new(networks));
                Ok(Self { sha256, ..of(name.to_owned(), first, Vec::new(), role) })
            }
            (Kind::Mtcnn, ..) => Err(
                "`kind = \"mtcnn\"` is a detector's, with a [cascade] table of p, r and o and no \
                    `file` or `sha256` beside it"
                    .into(),
            ),
        }
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

/// One digest for all files.
fn identity<'a>(digests: impl IntoIterator<Item = &'a String>) -> String {
    let digests: Vec<&str> = digests.into_iter().map(String::as_str).collect();
    match digests.as_slice() {
        [only] => (*only).to_owned(),
        several => {
            Sha256::digest(several.concat()).iter().map(|byte| format!("{byte:02x}")).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SFACE: &str = include_str!("../../models/sface-2021dec.toml");
    const YUNET: &str = include_str!("../../models/yunet-2023mar.toml");
    const MTCNN: &str = include_str!("../../models/mtcnn.toml");

    #[test]
    fn the_manifests_of_the_default_models_are_valid() {
        let sface = Manifest::parse("sface-2021dec", SFACE).unwrap();
        assert_eq!(sface.recogniser().unwrap().embedding, 128);
        assert_eq!(Manifest::parse("yunet-2023mar", YUNET).unwrap().role, Role::Detector);
    }

    #[test]
    fn the_manifests_of_models_that_people_bring_are_valid() {
        let lresnet =
            Manifest::parse("lresnet100e-ir", include_str!("../../models/lresnet100e-ir.toml"))
                .unwrap();
        let w600k =
            Manifest::parse("w600k-r50", include_str!("../../models/w600k-r50.toml")).unwrap();
        assert_eq!((lresnet.input.mean, lresnet.input.scale), (0.0, 1.0), "its graph normalises");
        assert!(
            (w600k
                .input
                .values(&[Chip::synthetic()])
                .iter()
                .fold(0.0_f32, |most, &value| most.max(value.abs())))
                <= 1.0
        );
        assert!(w600k.licence.contains("non-commercial"), "{}", w600k.licence);
    }

    #[test]
    fn data_files_are_part_of_the_identity() {
        let data = |digit: &str| {
            format!("data = [{{ file = \"w.data\", sha256 = \"{}\" }}]\n{SFACE}", digit.repeat(64))
        };
        let (one, two) =
            (Manifest::parse("x", &data("1")).unwrap(), Manifest::parse("x", &data("2")).unwrap());
        let alone = Manifest::parse("x", SFACE).unwrap();
        assert_eq!(one.file_sha256, alone.sha256);
        assert_ne!(one.sha256, two.sha256);
        assert_ne!(one.sha256, alone.sha256);
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

    #[test]
    fn a_cascade_is_three_networks_with_one_identity() {
        let mtcnn = Manifest::parse("mtcnn", MTCNN).unwrap();
        let names: Vec<&str> =
            mtcnn.networks().iter().map(|network| network.name.as_str()).collect();
        assert_eq!(names, ["mtcnn.p", "mtcnn.r", "mtcnn.o"]);
        assert!(mtcnn.networks().iter().all(|network| network.model() == "mtcnn"));
        let mut other = MTCNN.to_owned();
        let digest = &mtcnn.networks()[2].sha256;
        other = other.replace(digest.as_str(), &"0".repeat(64));
        assert_ne!(
            Manifest::parse("mtcnn", &other).unwrap().sha256,
            mtcnn.sha256,
            "the last network is part of the identity"
        );
        let yunet = Manifest::parse("yunet", YUNET).unwrap();
        assert_eq!(yunet.networks(), std::slice::from_ref(&yunet));
    }

    #[test]
    fn a_cascade_without_its_files_is_refused() {
        let missing = MTCNN.replace("[cascade]", "[cascades]");
        assert!(Manifest::parse("x", &missing).unwrap_err().contains("cascades"));
        let error = Manifest::parse("x", &MTCNN.replace("kind = \"mtcnn\"", "")).unwrap_err();
        assert!(error.contains("[cascade]"), "{error}");
        let error =
            Manifest::parse("x", &YUNET.replace("role", "kind = \"mtcnn\"\nrole")).unwrap_err();
        assert!(error.contains("[cascade]"), "{error}");
    }
}
