//! Prepared files: ONNX models that say what they were made from, and end with the digest of all
//! their bytes before it.
//!
//! The digest is in the file, not beside it: a file is copied, mounted and replaced alone. It is
//! the last entry of the model's metadata, so that the file stays one that every reader of ONNX
//! takes.

use std::fs;

use prost::Message;
use serde::{Deserialize, Serialize};

use super::{ModelError, Models};
use crate::domain::Face;
use crate::inference::manifest::Manifest;
use crate::inference::onnx::{ModelProto, StringStringEntryProto};
use crate::inference::prepare::{PREPARATION, Variant};

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
    /// What the detector finds in the test image on the machine that prepared it, CPU; of a
    /// cascade, in its last network's file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub face: Option<Face>,
}

/// What preparing found of a recogniser's head, and its self-test.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PreparedHead {
    /// Dropout ratio.
    pub dropout: f64,
    /// Whether the graph itself told it; if not, the network may never have been trained with
    /// dropout.
    pub dropout_in_graph: bool,
    /// Length of the embedding, D.
    pub embedding: usize,
    /// Number of features, F.
    pub features: usize,
    /// Effective rank of the head, nu.
    pub effective_rank: f64,
    /// Embedding of [`Chip::synthetic`](crate::domain::Chip::synthetic) on the machine that
    /// prepared the model, CPU.
    pub expected_embedding: Vec<f32>,
    /// Its distance.
    pub expected_distance: f64,
    /// What half precision costs, if that is what it computes in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub half: Option<HalfError>,
}

/// How far half precision is from 32 bits, for [`Chip::synthetic`](crate::domain::Chip::synthetic).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct HalfError {
    /// Cosine between the two embeddings.
    pub cosine: f64,
    /// Relative error of the distance.
    pub distance: f64,
}

impl HalfError {
    /// What a preparation in half precision may lose at most. `SFace` keeps a cosine of 0.99999 and
    /// a distance within 0.05 % on the sample photos; what overflows somewhere is far outside.
    pub const ALLOWED: Self = Self { cosine: 0.999, distance: 0.01 };
}

/// A prepared file that was read and found whole.
#[derive(Debug)]
pub struct PreparedFile {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// The same, decoded.
    pub model: ModelProto,
    /// What it says of itself.
    pub preparation: Preparation,
}

const METADATA_KEY: &str = "facefleet";
const DIGEST_KEY: &str = "facefleet.blake3";

/// The bytes of a prepared file.
pub(super) fn encode(
    mut model: ModelProto,
    preparation: &Preparation,
) -> Result<Vec<u8>, serde_json::Error> {
    let value = serde_json::to_string(preparation)?;
    model.metadata_props.push(StringStringEntryProto { key: METADATA_KEY.into(), value });
    let mut bytes = model.encode_to_vec();
    let end = digest_of(&bytes);
    bytes.extend(end);
    Ok(bytes)
}

/// The last bytes of a prepared file: concatenated messages are merged, so they add an entry to the
/// metadata.
fn digest_of(bytes: &[u8]) -> Vec<u8> {
    let value = blake3::hash(bytes).to_hex().to_string();
    let entry = StringStringEntryProto { key: DIGEST_KEY.into(), value };
    ModelProto { metadata_props: vec![entry], ..ModelProto::default() }.encode_to_vec()
}

/// Whether these are all bytes that were written, and no others.
fn is_whole(bytes: &[u8]) -> bool {
    let length = digest_of(&[]).len();
    let parts = bytes.len().checked_sub(length).map(|end| bytes.split_at(end));
    parts.is_some_and(|(bytes, end)| digest_of(bytes) == end)
}

impl Models {
    /// The prepared model of `manifest`, checked against its own digest.
    ///
    /// # Errors
    /// If it is missing or damaged, or was prepared from another file or by another version.
    pub fn read_prepared(&self, manifest: &Manifest) -> Result<PreparedFile, ModelError> {
        let variant = self.variant_of(manifest);
        let path = self.prepared_path(&manifest.name, variant);
        let (name, shown) = (manifest.model().to_owned(), path.display());
        let not_prepared = |why: &str| ModelError::NotPrepared {
            name: name.clone(),
            variant,
            why: format!("{shown}: {why}"),
        };
        let damaged = || ModelError::Damaged { name: name.clone(), variant, file: path.clone() };
        let bytes = fs::read(&path).map_err(|error| not_prepared(&error.to_string()))?;
        let whole = is_whole(&bytes);
        let model = ModelProto::read(&bytes).map_err(|_| damaged())?;
        let preparation =
            match model.metadata(METADATA_KEY).map(serde_json::from_str::<Preparation>) {
                Some(Ok(preparation)) => preparation,
                // Files of other versions have no digest, or say other things; what is whole was
                // written by facefleet.
                None if !whole => return Err(not_prepared("damaged, or not written by facefleet")),
                _ => return Err(damaged()),
            };
        if preparation.preparation != PREPARATION {
            return Err(not_prepared("it was prepared by another version"));
        }
        if !whole {
            return Err(damaged());
        }
        if preparation.variant != variant {
            return Err(not_prepared("it is another preparation of it"));
        }
        if preparation.sha256 != manifest.sha256 {
            return Err(not_prepared("it was prepared from another file"));
        }
        let told = preparation
            .recogniser
            .as_ref()
            .filter(|head| !head.dropout_in_graph)
            .map(|head| head.dropout);
        if told.is_some() && told != manifest.recogniser().and_then(|recogniser| recogniser.dropout)
        {
            return Err(not_prepared("the manifest's dropout has changed"));
        }
        Ok(PreparedFile { bytes, model, preparation })
    }
}
