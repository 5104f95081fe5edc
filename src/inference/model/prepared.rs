//! The format of prepared files: an ONNX model with a record of its preparation, and the digest of
//! all bytes before it at the end.
//!
//! The digest is in the file and not in another one, because a file is copied, mounted and replaced
//! alone. It is the last entry of the model's metadata, so every reader of ONNX still accepts the
//! file.

use std::fs;

use prost::Message;
use serde::{Deserialize, Serialize};

use super::{ModelError, Models};
use crate::domain::Face;
use crate::inference::manifest::Manifest;
use crate::inference::onnx::{ModelProto, StringStringEntryProto};
use crate::inference::prepare::{PREPARATION, Variant};

/// The record that preparing writes into the model's metadata.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Preparation {
    /// [`PREPARATION`] when the file was written.
    pub preparation: u32,
    /// Digest of the published file.
    pub sha256: String,
    /// The variant of the preparation.
    #[serde(default)]
    pub variant: Variant,
    /// The record of a recogniser; `None` for a detector.
    pub recogniser: Option<PreparedHead>,
    /// The face that the detector found in the test image, on the CPU of the machine that prepared
    /// it. A cascade has it in the file of its last network.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub face: Option<Face>,
}

/// The head of a recogniser, and the answers for its self-test.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PreparedHead {
    /// Dropout ratio.
    pub dropout: f64,
    /// Whether the graph states the ratio. If it does not, the network may have been trained
    /// without dropout.
    pub dropout_in_graph: bool,
    /// Length of the embedding, D.
    pub embedding: usize,
    /// Number of features, F.
    pub features: usize,
    /// Effective rank of the head, nu.
    pub effective_rank: f64,
    /// Embedding of [`Chip::synthetic`](crate::domain::Chip::synthetic), on the CPU of the machine
    /// that prepared the model.
    pub expected_embedding: Vec<f32>,
    /// Distance of the same chip.
    pub expected_distance: f64,
    /// The error of half precision, if the network computes in it.
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
    /// The largest error that a preparation in half precision may have. `SFace` keeps a cosine of
    /// 0.99999 and a distance within 0.05 % on the sample photos; a network that overflows is far
    /// outside.
    pub const ALLOWED: Self = Self { cosine: 0.999, distance: 0.01 };
}

/// A prepared file that is read and checked.
#[derive(Debug)]
pub struct PreparedFile {
    /// The file's bytes.
    pub bytes: Vec<u8>,
    /// The decoded model.
    pub model: ModelProto,
    /// The record of its preparation.
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

/// The last bytes of a prepared file. Protocol buffers merge concatenated messages, so these bytes
/// add an entry to the metadata.
fn digest_of(bytes: &[u8]) -> Vec<u8> {
    let value = blake3::hash(bytes).to_hex().to_string();
    let entry = StringStringEntryProto { key: DIGEST_KEY.into(), value };
    ModelProto { metadata_props: vec![entry], ..ModelProto::default() }.encode_to_vec()
}

/// Whether `bytes` ends with the digest of all bytes before it.
fn is_whole(bytes: &[u8]) -> bool {
    let length = digest_of(&[]).len();
    let parts = bytes.len().checked_sub(length).map(|end| bytes.split_at(end));
    parts.is_some_and(|(bytes, end)| digest_of(bytes) == end)
}

impl Models {
    /// Reads the prepared model of `manifest` and checks its digest.
    ///
    /// # Errors
    /// If the file is missing or damaged, or was prepared from another file or by another version.
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
                // Other versions wrote no digest, or another record. A file with a valid digest was
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
            return Err(not_prepared("it was prepared for another device or precision"));
        }
        if preparation.sha256 != manifest.sha256 {
            return Err(not_prepared("it was prepared from another file"));
        }
        let of_manifest = preparation
            .recogniser
            .as_ref()
            .filter(|head| !head.dropout_in_graph)
            .map(|head| head.dropout);
        if of_manifest.is_some()
            && of_manifest != manifest.recogniser().and_then(|recogniser| recogniser.dropout)
        {
            return Err(not_prepared("the manifest's dropout has changed"));
        }
        Ok(PreparedFile { bytes, model, preparation })
    }
}
