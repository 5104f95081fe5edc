//! The proof that a prepared network computes what it should. The answers are recorded in the
//! prepared file, for the self-test of each session.

use std::sync::Arc;

use super::{HalfError, ModelError, Models, PreparedHead, self_test};
use crate::domain::{Chip, Face, Precision, Template};
use crate::inference::manifest::{Manifest, Role};
use crate::inference::mtcnn::CascadeModel;
use crate::inference::onnx::ModelProto;
use crate::inference::prepare::{self, PreparedRecogniser, names};
use crate::inference::runtime::{Output, Runtime, RuntimeError};
use crate::inference::test_face;
use crate::inference::yunet::YunetModel;
use crate::quality::closed_form::ClosedForm;

/// The smallest cosine between the embeddings of the prepared and the published network, both in
/// 32 bits.
const MIN_COSINE: f64 = 0.9999;
/// The largest relative error of the graph's distance, against the closed form in f64.
const MAX_DISTANCE_ERROR: f64 = 1e-4;

impl Models {
    /// Runs the detector `whole` on the test image and returns the face that it finds. `model` is
    /// the graph of `network`: the detector's only network, or one of a cascade. A cascade's
    /// networks before the last one only have to open; for them the result is `None`.
    pub(super) fn prove_detector(
        &self,
        whole: &Manifest,
        network: &Manifest,
        model: &ModelProto,
        runtime: &Runtime,
    ) -> Result<Option<Face>, ModelError> {
        let [before @ .., last] = whole.networks() else { return Ok(None) };
        let found = match network.role {
            Role::Stage(_) if network.name != last.name => {
                return runtime
                    .open(&network.name, &prepare::encode(model), 1)
                    .map(|_| None)
                    .map_err(Into::into);
            }
            Role::Stage(_) => {
                let read = |network| self.read_prepared(network).map(|file| Arc::from(file.bytes));
                let mut networks = before.iter().map(read).collect::<Result<Vec<_>, _>>()?;
                networks.push(prepare::encode(model).into());
                CascadeModel::find_test_face(runtime, whole, &networks)?
            }
            _ => YunetModel::find_test_face(runtime, network, model)?,
        };
        test_face::recorded(network.model(), found).map(Some)
    }
}

/// Runs the prepared recogniser on the synthetic chip. Its distance must agree with the closed form
/// in f64, and its embedding with the published network's. If it computes in half precision, both
/// must agree with `full`, the same graph in 32 bits. Returns the head with the recorded answers.
pub(super) fn prove(
    manifest: &Manifest,
    published: &[u8],
    prepared: &PreparedRecogniser,
    full: Option<&PreparedRecogniser>,
    runtime: &Runtime,
) -> Result<PreparedHead, ModelError> {
    let chip = SyntheticChip::new(manifest);
    let wanted = [names::EMBEDDING, names::DISTANCE, names::FEATURES];
    let outputs = chip.run(&prepared.model, &wanted, runtime)?;
    let [embedding, distance, features] = outputs.as_slice() else {
        return Err(chip.failed("outputs are missing"));
    };
    let distance = f64::from(distance.values.first().copied().unwrap_or(f32::NAN));
    let expected = ClosedForm::new(&prepared.head).distance(features.values.as_slice().into());
    let allowed = MAX_DISTANCE_ERROR * expected.max(1e-3);
    if (distance - expected).abs() > allowed || !distance.is_finite() {
        return Err(chip
            .failed(format!("the graph's distance is {distance}, the closed form's {expected}")));
    }
    let template = chip.template(&embedding.values)?;
    chip.compare_with_published(&template, published, prepared.precision, runtime)?;
    let mut head = PreparedHead {
        dropout: prepared.head.dropout(),
        dropout_in_graph: prepared.dropout_in_graph,
        embedding: prepared.head.bias().len(),
        features: prepared.head.weights().ncols(),
        effective_rank: prepared.effective_rank,
        expected_embedding: embedding.values.clone(),
        expected_distance: distance,
        half: None,
    };
    head.half = full.map(|full| chip.half_error(full, &head, runtime)).transpose()?;
    Ok(head)
}

/// [`Chip::synthetic`] as the input of one network.
struct SyntheticChip<'a> {
    manifest: &'a Manifest,
    values: Vec<f32>,
    shape: [usize; 4],
}

impl<'a> SyntheticChip<'a> {
    fn new(manifest: &'a Manifest) -> Self {
        let input = &manifest.input;
        Self {
            manifest,
            values: input.values(&[Chip::synthetic()]),
            shape: [1, 3, input.height as usize, input.width as usize],
        }
    }

    fn failed(&self, reason: impl Into<String>) -> ModelError {
        self_test(&self.manifest.name, reason.into())
    }

    fn run(
        &self,
        model: &ModelProto,
        wanted: &[&str],
        runtime: &Runtime,
    ) -> Result<Vec<Output>, RuntimeError> {
        let mut network = runtime.open(&self.manifest.name, &prepare::encode(model), 1)?;
        network.run(&[(&self.shape, &self.values)], wanted)
    }

    fn template(&self, embedding: &[f32]) -> Result<Template, ModelError> {
        Template::from_embedding(embedding)
            .map(|(template, _)| template)
            .map_err(|error| self.failed(error.to_string()))
    }

    /// Compares `template` with that of the published network, if ONNX Runtime runs the published
    /// file. It does not run all of them, which is one reason to prepare them.
    fn compare_with_published(
        &self,
        template: &Template,
        published: &[u8],
        precision: Precision,
        runtime: &Runtime,
    ) -> Result<(), ModelError> {
        let name = &self.manifest.name;
        let original = runtime.open(name, published, 1).and_then(|mut original| {
            let output = original.outputs().first().cloned().unwrap_or_default();
            original.run(&[(&self.shape, &self.values)], &[&output])
        });
        let outputs = match original {
            Ok(outputs) => outputs,
            Err(error) => {
                tracing::debug!(model = name, %error, "ONNX Runtime does not run the published \
                    file; the prepared network is not compared with it");
                return Ok(());
            }
        };
        let reference = self.template(outputs.first().map_or(&[][..], |output| &output.values))?;
        let cosine = template.similarity(&reference);
        let min = match precision {
            Precision::Half => HalfError::ALLOWED.cosine,
            _ => MIN_COSINE,
        };
        if cosine >= min {
            return Ok(());
        }
        Err(self.failed(format!(
            "its embedding has cosine {cosine:.6} to that of the published network"
        )))
    }

    /// How far `half` is from `full`, the same graph in 32 bits.
    fn half_error(
        &self,
        full: &PreparedRecogniser,
        half: &PreparedHead,
        runtime: &Runtime,
    ) -> Result<HalfError, ModelError> {
        let outputs = self.run(&full.model, &[names::EMBEDDING, names::DISTANCE], runtime)?;
        let template = self.template(&half.expected_embedding)?;
        let cosine = template.similarity(&self.template(&outputs[0].values)?);
        let distance = f64::from(outputs[1].values.first().copied().unwrap_or(f32::NAN));
        let error = HalfError { cosine, distance: half.expected_distance / distance - 1.0 };
        if error.cosine >= HalfError::ALLOWED.cosine
            && error.distance.abs() <= HalfError::ALLOWED.distance
        {
            return Ok(error);
        }
        Err(self.failed(format!(
            "half precision is too far from 32 bits: cosine {:.6}, distance {:+.3} %; prepare it \
                without --half",
            error.cosine,
            100.0 * error.distance
        )))
    }
}
