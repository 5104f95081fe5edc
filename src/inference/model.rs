//! Models on disk: `DIR/<name>.toml` describes, `DIR/fetched/` holds what was published, `DIR/prepared/` what runs.

mod error;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::external;
use super::manifest::{Manifest, Role};
use super::onnx::{ModelProto, OnnxError, StringStringEntryProto};
use super::prepare::{self, Outputs, PREPARATION, Target, Variant};
use super::runtime::Runtime;
use crate::domain::{Chip, Precision, Template};
use crate::quality::closed_form::ClosedForm;
pub use error::ModelError;

/// What preparing wrote into the model's metadata.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Preparation {
    /// [`PREPARATION`] at the time.
    pub preparation: u32,
    /// Digest of the published file.
    pub sha256: String,
    /// What it is prepared for.
    #[serde(default)]
    pub variant: Variant,
    /// What it says of a recogniser; none for a detector.
    pub recogniser: Option<PreparedHead>,
}

/// What preparing found of a recogniser's head, and its self-test.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PreparedHead {
    /// Dropout ratio.
    pub dropout: f64,
    /// Whether the graph itself told it; if not, the network may never have been trained with dropout.
    pub dropout_in_graph: bool,
    /// Length of the embedding, D.
    pub embedding: usize,
    /// Number of features, F.
    pub features: usize,
    /// Effective rank of the head, nu.
    pub effective_rank: f64,
    /// Embedding of [`Chip::synthetic`] on the machine that prepared the model, CPU.
    pub expected_embedding: Vec<f32>,
    /// Its distance.
    pub expected_distance: f64,
    /// What half precision costs, if that is what it computes in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub half: Option<HalfError>,
}

/// How far half precision is from 32 bits, for [`Chip::synthetic`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct HalfError {
    /// Cosine between the two embeddings.
    pub cosine: f64,
    /// Relative error of the distance.
    pub distance: f64,
}

impl HalfError {
    /// What a preparation in half precision may lose at most. `SFace` keeps a cosine of 0.99999 and a distance within 0.05 % on the sample
    /// photos; what overflows somewhere is far outside.
    pub const ALLOWED: Self = Self { cosine: 0.999, distance: 0.01 };
}

/// What [`Models::prepare`] did.
#[derive(Debug)]
pub struct Prepared {
    /// The file that runs.
    pub path: PathBuf,
    /// False if it was there already.
    pub written: bool,
    /// What it says of itself.
    pub preparation: Preparation,
}

/// A folder of models.
#[derive(Debug, Clone)]
pub struct Models {
    pub(super) dir: PathBuf,
    variant: Variant,
}

const METADATA_KEY: &str = "facefleet";

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
        let entries = fs::read_dir(&self.dir).into_iter().flatten().flatten().map(|entry| entry.path());
        let manifests = entries.filter(|path| path.extension().is_some_and(|extension| extension == "toml"));
        let mut names: Vec<_> = manifests.filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned())).collect();
        names.sort();
        names
    }

    /// The manifest of model `name`.
    ///
    /// # Errors
    /// If there is none, or it is not valid.
    pub fn manifest(&self, name: &str) -> Result<Manifest, ModelError> {
        let known = self.names();
        if !known.iter().any(|other| other == name) {
            return Err(ModelError::Unknown { name: name.to_owned(), dir: self.dir.clone(), known });
        }
        Ok(Manifest::read(&self.dir.join(format!("{name}.toml")))?)
    }

    /// Where the published file of `manifest` is.
    pub fn published_path(&self, manifest: &Manifest) -> PathBuf {
        self.dir.join("fetched").join(&manifest.file)
    }

    pub(super) fn prepared_path(&self, name: &str, variant: Variant) -> PathBuf {
        let target = if variant.target == Target::Gpu { ".gpu" } else { "" };
        let precision = if variant.precision == Precision::Half { ".half" } else { "" };
        self.dir.join("prepared").join(format!("{name}{target}{precision}.onnx"))
    }

    /// The preparation of this network: those of detectors have one for all devices.
    fn variant_of(&self, manifest: &Manifest) -> Variant {
        if manifest.recogniser().is_some() { self.variant.on_disk() } else { Variant::default() }
    }

    /// Reads the published file and checks its digest. Weights that are in other files are read, checked and put inside.
    ///
    /// # Errors
    /// If a file is not there or another one.
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
        let unfit = |source: OnnxError| ModelError::Prepare { name: name.clone(), source: source.into() };
        let read = |location: &Path| {
            let file = manifest.file.parent().unwrap_or(Path::new("")).join(location);
            let Some(listed) = manifest.data.iter().find(|data| data.file == file) else {
                return Err(ModelError::Unlisted { name: name.clone(), file });
            };
            let beside = self.dir.join("fetched").join(&file);
            let folder = path.parent().unwrap_or(Path::new(""));
            let bytes = external::read(&beside, folder).map_err(|source| not_fetched(&beside, source))?;
            check_digest(&name, &beside, &bytes, &listed.sha256)?;
            Ok(bytes)
        };
        match external::locations(&bytes).map_err(unfit)? {
            Some((model, _)) => external::inline(model, read, unfit),
            None => Ok(bytes),
        }
    }

    /// Prepares the networks of model `name` (one, or a cascade's three) and proves the result: the prepared network must agree with
    /// the published one on the embedding (where ONNX Runtime runs that at all), and its distance with the closed form computed in
    /// f64. Does nothing if it is done already.
    ///
    /// # Errors
    /// If the model is not there, cannot be prepared, or fails the proof.
    pub fn prepare(&self, name: &str, runtime: &Runtime, again: bool) -> Result<Vec<Prepared>, ModelError> {
        let manifest = self.manifest(name)?;
        manifest.networks().iter().map(|network| self.prepare_network(network, runtime, again)).collect()
    }

    fn prepare_network(&self, manifest: &Manifest, runtime: &Runtime, again: bool) -> Result<Prepared, ModelError> {
        let name = manifest.name.as_str();
        let variant = self.variant_of(manifest);
        let path = self.prepared_path(name, variant);
        if !again && let Ok((_, preparation)) = self.read_prepared(manifest) {
            return Ok(Prepared { path, written: false, preparation });
        }
        let published = self.published(manifest)?;
        let unfit = |source| ModelError::Prepare { name: name.to_owned(), source };
        let (mut model, recogniser) = match &manifest.role {
            Role::Detector => (prepare::prepare_detector(&published).map_err(unfit)?, None),
            Role::Stage(stage) => (prepare::prepare_stage(&published, *stage).map_err(unfit)?, None),
            Role::Cascade(_) => return Err(ModelError::Role { name: name.to_owned(), wanted: "single network" }),
            Role::Recogniser(_) => {
                let prepare = |variant| prepare::prepare_recogniser(&published, manifest, variant, Outputs::Quality);
                let prepared = prepare(variant).map_err(unfit)?;
                let mut head = PreparedHead {
                    dropout: prepared.head.dropout(),
                    dropout_in_graph: prepared.dropout_in_graph,
                    embedding: prepared.head.bias().len(),
                    features: prepared.head.weights().ncols(),
                    effective_rank: prepared.effective_rank,
                    expected_embedding: Vec::new(),
                    expected_distance: 0.0,
                    half: None,
                };
                (head.expected_embedding, head.expected_distance) = prove(manifest, &published, &prepared, runtime)?;
                if variant.precision == Precision::Half {
                    let full = prepare(variant.target.into()).map_err(unfit)?;
                    head.half = Some(half_error(manifest, &full, &head, runtime)?);
                }
                (prepared.model, Some(head))
            }
        };
        let preparation = Preparation { preparation: PREPARATION, sha256: manifest.sha256.clone(), variant, recogniser };
        let value = serde_json::to_string(&preparation).map_err(|error| self_test(name, error.to_string()))?;
        model.metadata_props.push(StringStringEntryProto { key: METADATA_KEY.into(), value });
        let bytes = prepare::encode(&model);
        if preparation.recogniser.is_none() {
            // That it opens is all there is to prove before it sees an image.
            runtime.open(name, &bytes, 1)?;
        }
        write_atomically(&path, &bytes).map_err(|source| ModelError::Write { path: path.clone(), source })?;
        Ok(Prepared { path, written: true, preparation })
    }

    /// The prepared model of `manifest`: its bytes and what they say of themselves.
    ///
    /// # Errors
    /// If it is missing, or was prepared from another file or by another version.
    pub fn read_prepared(&self, manifest: &Manifest) -> Result<(Vec<u8>, Preparation), ModelError> {
        let variant = self.variant_of(manifest);
        let not_prepared = |why: String| ModelError::NotPrepared { name: manifest.model().to_owned(), variant, why };
        let path = self.prepared_path(&manifest.name, variant);
        let bytes = fs::read(&path).map_err(|error| not_prepared(format!("{}: {error}", path.display())))?;
        let model = ModelProto::read(&bytes).map_err(|error| not_prepared(error.to_string()))?;
        let text = model.metadata(METADATA_KEY).ok_or_else(|| not_prepared("the file was not written by facefleet".into()))?;
        let preparation: Preparation = serde_json::from_str(text).map_err(|error| not_prepared(error.to_string()))?;
        if preparation.preparation != PREPARATION {
            return Err(not_prepared("it was prepared by another version".into()));
        }
        if preparation.variant != variant {
            return Err(not_prepared(format!("{} is another preparation of it", path.display())));
        }
        if preparation.sha256 != manifest.sha256 {
            return Err(not_prepared("it was prepared from another file".into()));
        }
        let told = preparation.recogniser.as_ref().filter(|head| !head.dropout_in_graph).map(|head| head.dropout);
        if told.is_some() && told != manifest.recogniser().and_then(|recogniser| recogniser.dropout) {
            return Err(not_prepared("the manifest's dropout has changed".into()));
        }
        Ok((bytes, preparation))
    }
}

/// Runs the synthetic chip and compares. Returns its embedding and distance.
fn prove(
    manifest: &Manifest,
    published: &[u8],
    prepared: &prepare::PreparedRecogniser,
    runtime: &Runtime,
) -> Result<(Vec<f32>, f64), ModelError> {
    let name = &manifest.name;
    let wrong = |reason: String| self_test(name, reason);
    let chip = Chip::synthetic();
    let input = manifest.input.values(std::slice::from_ref(&chip));
    let shape = [1, 3, manifest.input.height as usize, manifest.input.width as usize];

    let mut network = runtime.open(name, &prepare::encode(&prepared.model), 1)?;
    let outputs = [prepare::names::EMBEDDING, prepare::names::DISTANCE, prepare::names::FEATURES];
    let results = network.run(&[(&shape, &input)], &outputs)?;
    let [embedding, distance, features] = results.as_slice() else {
        return Err(wrong("outputs are missing".into()));
    };
    let distance = f64::from(distance.values.first().copied().unwrap_or(f32::NAN));
    let expected = ClosedForm::new(&prepared.head).distance(features.values.as_slice().into());
    if (distance - expected).abs() > 1e-4 * expected.max(1e-3) || !distance.is_finite() {
        return Err(wrong(format!("the graph's distance is {distance}, the closed form's {expected}")));
    }
    let (template, _) = Template::from_embedding(&embedding.values).map_err(|error| wrong(error.to_string()))?;

    // Some published files do not run as they are (that is why they are prepared); those that do must agree.
    let original = runtime.open(name, published, 1).and_then(|mut original| {
        let output = original.outputs().first().cloned().unwrap_or_default();
        original.run(&[(&shape, &input)], &[&output])
    });
    match original {
        Ok(results) => {
            let reference = results.first().map_or(&[][..], |output| &output.values);
            let (reference, _) = Template::from_embedding(reference).map_err(|error| wrong(error.to_string()))?;
            let cosine = template.similarity(&reference);
            // In half precision it is held against the prepared graph of 32 bits, with a tolerance of its own.
            let least = if prepared.precision == Precision::Half { HalfError::ALLOWED.cosine } else { 0.9999 };
            if cosine < least {
                return Err(wrong(format!("its embedding has cosine {cosine:.6} to that of the published network")));
            }
        }
        Err(error) => tracing::debug!(model = name, %error, "the published file does not run as it is; not compared with it"),
    }
    Ok((embedding.values.clone(), distance))
}

/// Holds what half precision gave for the synthetic chip against `full`, the same graph in 32 bits.
fn half_error(
    manifest: &Manifest,
    full: &prepare::PreparedRecogniser,
    half: &PreparedHead,
    runtime: &Runtime,
) -> Result<HalfError, ModelError> {
    let name = &manifest.name;
    let input = manifest.input.values(&[Chip::synthetic()]);
    let shape = [1, 3, manifest.input.height as usize, manifest.input.width as usize];
    let mut network = runtime.open(name, &prepare::encode(&full.model), 1)?;
    let results = network.run(&[(&shape, &input)], &[prepare::names::EMBEDDING, prepare::names::DISTANCE])?;
    let template = |embedding: &[f32]| {
        Template::from_embedding(embedding).map(|(template, _)| template).map_err(|error| self_test(name, error.to_string()))
    };
    let cosine = template(&half.expected_embedding)?.similarity(&template(&results[0].values)?);
    let distance = f64::from(results[1].values.first().copied().unwrap_or(f32::NAN));
    let error = HalfError { cosine, distance: half.expected_distance / distance - 1.0 };
    if error.cosine >= HalfError::ALLOWED.cosine && error.distance.abs() <= HalfError::ALLOWED.distance {
        return Ok(error);
    }
    let reason = format!(
        "half precision is too far from 32 bits: cosine {:.6}, distance {:+.3} %; prepare it without --half",
        error.cosine,
        100.0 * error.distance
    );
    Err(self_test(name, reason))
}

pub(super) fn self_test(name: &str, reason: String) -> ModelError {
    ModelError::SelfTest { name: name.to_owned(), reason }
}

/// Writes beside the target and renames, so that a reader sees the old file or the whole new one.
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
        // The error of the write is the one to report.
        fs::remove_file(&part).ok();
    }
    result
}

fn check_digest(name: &str, path: &Path, bytes: &[u8], expected: &str) -> Result<(), ModelError> {
    let found = digest(bytes);
    if found == expected {
        return Ok(());
    }
    Err(ModelError::Digest { name: name.to_owned(), path: path.to_owned(), found, expected: expected.to_owned() })
}

/// SHA-256, lower-case hex.
pub(super) fn digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
