//! The folder of models: `DIR/<name>.toml` holds the manifests, `DIR/fetched/` the published files,
//! and `DIR/prepared/` the files that run.

mod error;
mod prepared;
mod proof;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::external;
use super::manifest::{Manifest, Role};
use super::onnx::{ModelProto, OnnxError};
use super::prepare::{self, Outputs, PREPARATION, Target, Variant};
use super::runtime::Runtime;
use crate::domain::Precision;
pub use error::ModelError;
pub use prepared::{HalfError, Preparation, PreparedFile, PreparedHead};

/// The result of [`Models::prepare`] for one network.
#[derive(Debug)]
pub struct Prepared {
    /// The prepared file.
    pub path: PathBuf,
    /// False if it was prepared before.
    pub written: bool,
    /// The record in the prepared file.
    pub preparation: Preparation,
}

/// The files of a model, all undamaged.
#[derive(Debug, Default)]
pub struct CheckedFiles {
    /// The prepared files.
    pub prepared: Vec<PathBuf>,
    /// The published files that exist.
    pub published: Vec<PathBuf>,
}

/// A folder of models.
#[derive(Debug, Clone)]
pub struct Models {
    pub(super) dir: PathBuf,
    variant: Variant,
}

impl Models {
    /// The models in `dir`, prepared for the CPU.
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.to_owned(), variant: Variant::default() }
    }

    /// The same models in another preparation.
    pub fn prepared_as(&self, variant: Variant) -> Self {
        Self { variant, ..self.clone() }
    }

    /// The preparation that is read and written.
    pub fn variant(&self) -> Variant {
        self.variant
    }

    /// The names of all manifests, sorted.
    pub fn names(&self) -> Vec<String> {
        let entries =
            fs::read_dir(&self.dir).into_iter().flatten().flatten().map(|entry| entry.path());
        let manifests =
            entries.filter(|path| path.extension().is_some_and(|extension| extension == "toml"));
        let mut names: Vec<_> =
            manifests.filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned())).collect();
        names.sort();
        names
    }

    /// The manifest of model `name`.
    ///
    /// # Errors
    /// If no manifest has that name, or it is not valid.
    pub fn manifest(&self, name: &str) -> Result<Manifest, ModelError> {
        let known = self.names();
        if !known.iter().any(|other| other == name) {
            return Err(ModelError::Unknown {
                name: name.to_owned(),
                dir: self.dir.clone(),
                known,
            });
        }
        Ok(Manifest::read(&self.manifest_path(name))?)
    }

    /// The path of the manifest of model `name`.
    pub fn manifest_path(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.toml"))
    }

    /// The path of the published file of `manifest`.
    pub fn published_path(&self, manifest: &Manifest) -> PathBuf {
        self.dir.join("fetched").join(&manifest.file)
    }

    pub(super) fn prepared_path(&self, name: &str, variant: Variant) -> PathBuf {
        let target = if variant.target == Target::Gpu { ".gpu" } else { "" };
        let precision = if variant.precision == Precision::Half { ".half" } else { "" };
        self.dir.join("prepared").join(format!("{name}{target}{precision}.onnx"))
    }

    /// The preparation of this network. Detectors have one for all devices.
    fn variant_of(&self, manifest: &Manifest) -> Variant {
        if manifest.recogniser().is_some() { self.variant.on_disk() } else { Variant::default() }
    }

    /// Reads the published file and checks its digest. Weights in other files are read, checked and
    /// copied into the model.
    ///
    /// # Errors
    /// If a file is missing or has another digest.
    pub fn published(&self, manifest: &Manifest) -> Result<Vec<u8>, ModelError> {
        let path = self.published_path(manifest);
        let name = manifest.name.clone();
        let not_fetched = |path: &Path, source| ModelError::NotFetched {
            name: name.clone(),
            file: manifest.file.clone(),
            path: path.to_owned(),
            source,
        };
        let bytes = fs::read(&path).map_err(|source| not_fetched(&path, source))?;
        check_digest(&name, &path, &bytes, &manifest.file_sha256)?;
        let unfit = |source: OnnxError| ModelError::Prepare {
            name: name.clone(),
            file: path.clone(),
            source: source.into(),
        };
        let read = |location: &Path| {
            let file = manifest.file.parent().unwrap_or(Path::new("")).join(location);
            let Some(listed) = manifest.data.iter().find(|data| data.file == file) else {
                return Err(ModelError::Unlisted { name: name.clone(), file });
            };
            let data_path = self.dir.join("fetched").join(&file);
            let folder = path.parent().unwrap_or(Path::new(""));
            let bytes = external::read(&data_path, folder)
                .map_err(|source| not_fetched(&data_path, source))?;
            check_digest(&name, &data_path, &bytes, &listed.sha256)?;
            Ok(bytes)
        };
        match external::locations(&bytes).map_err(unfit)? {
            Some((model, _)) => external::inline(model, read, unfit),
            None => Ok(bytes),
        }
    }

    /// Checks the files of model `name`: the prepared files against their own digests, and the
    /// published files, where they exist, against the manifest's. Returns their paths.
    ///
    /// # Errors
    /// If a file is damaged, or a network is not prepared.
    pub fn verify(&self, name: &str) -> Result<CheckedFiles, ModelError> {
        let manifest = self.manifest(name)?;
        let mut checked = CheckedFiles::default();
        for network in manifest.networks() {
            self.read_prepared(network)?;
            checked.prepared.push(self.prepared_path(&network.name, self.variant_of(network)));
            if self.published_path(network).exists() {
                self.published(network)?;
                checked.published.extend(network.files().map(|(file, _)| file.to_owned()));
            }
        }
        Ok(checked)
    }

    /// Prepares the networks of model `name` (one, or a cascade's three) and proves the result. A
    /// prepared recogniser must agree with the published one on the embedding (if ONNX Runtime runs
    /// the published file), and with the closed form in f64 on the distance. A detector must find
    /// the face in the test image. Skips networks that are prepared already, unless `again` is
    /// true.
    ///
    /// # Errors
    /// If a file is missing, the model cannot be prepared, or it fails the proof.
    pub fn prepare(
        &self,
        name: &str,
        runtime: &Runtime,
        again: bool,
    ) -> Result<Vec<Prepared>, ModelError> {
        let manifest = self.manifest(name)?;
        let prepare = |network| self.prepare_network(&manifest, network, runtime, again);
        manifest.networks().iter().map(prepare).collect()
    }

    /// Prepares `network`, one of the networks of the model `whole`. The networks before it are
    /// prepared already.
    fn prepare_network(
        &self,
        whole: &Manifest,
        network: &Manifest,
        runtime: &Runtime,
        again: bool,
    ) -> Result<Prepared, ModelError> {
        let variant = self.variant_of(network);
        let path = self.prepared_path(&network.name, variant);
        if !again && let Ok(file) = self.read_prepared(network) {
            return Ok(Prepared { path, written: false, preparation: file.preparation });
        }
        let published = self.published(network)?;
        let shown = self.published_path(network);
        runtime.check_versions(&shown.display().to_string(), &published)?;
        let (model, recogniser) = self.build(network, &published, variant, runtime)?;
        let face = if recogniser.is_some() {
            None
        } else {
            self.prove_detector(whole, network, &model, runtime)?
        };
        let preparation = Preparation {
            preparation: PREPARATION,
            sha256: network.sha256.clone(),
            variant,
            recogniser,
            face,
        };
        let bytes = prepared::encode(model, &preparation)
            .map_err(|error| self_test(&network.name, error.to_string()))?;
        write_atomically(&path, &bytes)
            .map_err(|source| ModelError::Write { path: path.clone(), source })?;
        Ok(Prepared { path, written: true, preparation })
    }

    /// The prepared graph of `network`, and a recogniser's head with the answers that the proof
    /// recorded.
    fn build(
        &self,
        network: &Manifest,
        published: &[u8],
        variant: Variant,
        runtime: &Runtime,
    ) -> Result<(ModelProto, Option<PreparedHead>), ModelError> {
        let unfit = |source| ModelError::Prepare {
            name: network.name.clone(),
            file: self.published_path(network),
            source,
        };
        match &network.role {
            Role::Detector => Ok((prepare::prepare_detector(published).map_err(unfit)?, None)),
            Role::Stage(stage) => {
                Ok((prepare::prepare_stage(published, *stage).map_err(unfit)?, None))
            }
            Role::Cascade(_) => {
                Err(ModelError::Role { name: network.name.clone(), wanted: "single network" })
            }
            Role::Recogniser(_) => {
                let prepare = |variant| {
                    prepare::prepare_recogniser(published, network, variant, Outputs::Quality)
                        .map_err(unfit)
                };
                let prepared = prepare(variant)?;
                let full = (variant.precision == Precision::Half)
                    .then(|| prepare(variant.target.into()))
                    .transpose()?;
                let head = proof::prove(network, published, &prepared, full.as_ref(), runtime)?;
                Ok((prepared.model, Some(head)))
            }
        }
    }
}

pub(super) fn self_test(name: &str, reason: String) -> ModelError {
    ModelError::SelfTest { name: name.to_owned(), reason }
}

/// Writes a temporary file next to `path` and renames it. A reader finds the old file or the
/// complete new one.
pub(super) fn write_atomically(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let part = path.with_extension(format!("{}.part", std::process::id()));
    let result = fs::File::create(&part).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&part, path)
    });
    if result.is_err() {
        // Report the error of the write, not of the cleanup.
        fs::remove_file(&part).ok();
    }
    result
}

fn check_digest(name: &str, path: &Path, bytes: &[u8], expected: &str) -> Result<(), ModelError> {
    let found = digest(bytes);
    if found == expected {
        return Ok(());
    }
    Err(ModelError::Digest {
        name: name.to_owned(),
        path: path.to_owned(),
        found,
        expected: expected.to_owned(),
    })
}

/// SHA-256, lower-case hex.
pub(super) fn digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
