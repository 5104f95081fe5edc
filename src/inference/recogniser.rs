//! The recogniser: from chips to templates, distances and scores, in one forward pass.

use std::sync::Arc;

use ndarray::ArrayView2;

use super::manifest::{InputSpec, Manifest};
use super::model::{ModelError, Models, PreparedFile, PreparedHead, self_test};
use super::plan::{DevicePlan, padded_to};
use super::prepare::{self, names};
use super::runtime::{Network, Output, Runtime, RuntimeError, ShapeRange};
use crate::domain::{CHIP_SIDE, Chip, Mapping, Precision, RecogniserProfile, SerFiq, Template};
use crate::quality::{self, sampled::Sampled};

/// Two embeddings with a larger cosine were computed in the same precision. Other orders of
/// summation give 1 to seven digits, bfloat16 gives 0.9999.
const SAME_PRECISION: f64 = 0.999_999;

const NOT_BFLOAT16: &str = "models.precision is \"bfloat16\", and this device computes in 32 bits. \
    Set runtime.device = \"openvino\" on a processor with AVX512-BF16 or AMX (docs/gpu.md), or set \
    models.precision = \"float32\"";

/// How distances are estimated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Estimator {
    /// By the graph, in closed form.
    ClosedForm,
    /// By T dropout masks over the features, on the CPU.
    Sampled {
        /// T.
        passes: u32,
        /// The seed of the masks.
        seed: u64,
    },
}

/// A recogniser whose prepared file is read and checked. Opens sessions.
#[derive(Debug, Clone)]
pub struct RecogniserModel {
    runtime: Runtime,
    manifest: Manifest,
    mapping: Mapping,
    bytes: Arc<[u8]>,
    head: PreparedHead,
    estimator: Estimator,
    sampled: Option<Arc<Sampled>>,
    precision: Precision,
}

impl RecogniserModel {
    /// Reads the prepared recogniser `name`.
    ///
    /// # Errors
    /// If no model has that name, it is not a recogniser, or it is not prepared.
    pub fn load(
        models: &Models,
        name: &str,
        runtime: &Runtime,
        estimator: Estimator,
    ) -> Result<Self, ModelError> {
        let manifest = models.manifest(name)?;
        let not_one = || ModelError::Role { name: name.to_owned(), wanted: "recogniser" };
        let mapping = manifest.recogniser().ok_or_else(not_one)?.mapping();
        let PreparedFile { bytes, model, preparation } = models.read_prepared(&manifest)?;
        let head = preparation.recogniser.ok_or_else(not_one)?;
        let sampled = match estimator {
            Estimator::ClosedForm => None,
            Estimator::Sampled { passes, seed } => {
                let unfit = |source| ModelError::Prepare {
                    name: name.to_owned(),
                    file: models.published_path(&manifest),
                    source,
                };
                let layer = prepare::read_head(&model, head.dropout).map_err(unfit)?;
                Some(Arc::new(Sampled::new(layer, passes, seed)))
            }
        };
        if !head.dropout_in_graph {
            tracing::warn!(
                model = name,
                dropout = head.dropout,
                "the graph has no dropout; the ratio comes from the manifest, and SER-FIQ is \
                    weaker if the network was trained without dropout"
            );
        }
        let precision = models.variant().precision;
        Ok(Self {
            runtime: runtime.clone(),
            manifest,
            mapping,
            bytes: bytes.into(),
            head,
            estimator,
            sampled,
            precision,
        })
    }

    /// The model's name.
    pub fn name(&self) -> &str {
        &self.manifest.name
    }

    /// The head, as recorded when the model was prepared.
    pub fn head(&self) -> &PreparedHead {
        &self.head
    }

    /// The recogniser's part of the profile, and the mapping of its manifest.
    pub fn profile(&self) -> (RecogniserProfile, SerFiq, Mapping) {
        let dropout = self.head.dropout;
        let ser_fiq = match self.estimator {
            Estimator::ClosedForm => SerFiq::ClosedForm { dropout },
            Estimator::Sampled { passes, seed } => SerFiq::Sampled { dropout, passes, seed },
        };
        let recogniser = RecogniserProfile {
            name: self.manifest.name.clone(),
            sha256: self.manifest.sha256.clone(),
            precision: self.precision,
        };
        (recogniser, ser_fiq, self.mapping.clone())
    }

    /// Opens a session with `threads` threads on the CPU and runs the self-test on it.
    ///
    /// # Errors
    /// If ONNX Runtime refuses the model, or the self-test fails.
    pub fn open(&self, threads: usize) -> Result<Recogniser, ModelError> {
        self.open_on(&DevicePlan::cpu(threads))
    }

    /// Opens a session as `plan` says and runs the self-test on it, in every batch size that the
    /// device gets. An open session does not prove that the device computes correctly.
    ///
    /// # Errors
    /// If the device cannot be used, ONNX Runtime refuses the model, or the self-test fails.
    pub fn open_on(&self, plan: &DevicePlan) -> Result<Recogniser, ModelError> {
        let sizes = plan.sizes();
        let shapes = sizes.last().map(|&max| ShapeRange {
            input: names::CHIP.into(),
            min: [1, 3, CHIP_SIDE, CHIP_SIDE],
            max: [max, 3, CHIP_SIDE, CHIP_SIDE],
        });
        let network = self.runtime.open_on(self.name(), &self.bytes, plan, shapes.as_ref())?;
        let mut recogniser = Recogniser {
            network,
            input: self.manifest.input.clone(),
            embedding: self.head.embedding,
            sampled: self.sampled.clone(),
            sizes: sizes.clone(),
        };
        let lone = if sizes.is_empty() { vec![1] } else { sizes };
        for items in lone {
            let chips = vec![Chip::synthetic(); items];
            let outputs = recogniser.forward(&chips, &[names::EMBEDDING, names::DISTANCE])?;
            for (embedding, &distance) in
                outputs[0].values.chunks_exact(self.head.embedding).zip(&outputs[1].values)
            {
                self.check(embedding, f64::from(distance))?;
            }
        }
        Ok(recogniser)
    }

    /// Compares a session's answers with those recorded when the model was prepared.
    fn check(&self, embedding: &[f32], distance: f64) -> Result<(), ModelError> {
        let expected = self.head();
        let wrong = |reason| Err(self_test(self.name(), reason));
        let templates = Template::from_embedding(embedding).and_then(|(found, _)| {
            Template::from_embedding(&expected.expected_embedding)
                .map(|(recorded, _)| found.similarity(&recorded))
        });
        // Lower precision and other matrix libraries differ in the fourth digit, a wrong network in
        // the first.
        match templates {
            // A device without bfloat16 computes in 32 bits and reports no error.
            Ok(cosine) if self.precision == Precision::Bfloat16 && cosine > SAME_PRECISION => {
                return wrong(NOT_BFLOAT16.into());
            }
            Ok(cosine) if cosine > 0.999 => {}
            Ok(cosine) => {
                return wrong(format!(
                    "the self-test's embedding has cosine {cosine:.6} to the recorded one"
                ));
            }
            Err(error) => return wrong(format!("the self-test's embedding is unusable: {error}")),
        }
        if (distance / expected.expected_distance - 1.0).abs() < 0.01 {
            return Ok(());
        }
        wrong(format!(
            "the self-test's distance is {distance}, recorded was {}",
            expected.expected_distance
        ))
    }
}

/// The network's answer for one chip.
#[derive(Debug, Clone, PartialEq)]
pub struct NetworkAnswer {
    /// The template, unit norm.
    pub template: Template,
    /// The embedding's norm before it was scaled to one.
    pub norm: f32,
    /// SER-FIQ's mean pairwise distance `d` between embeddings under dropout; 0 is best.
    pub distance: f64,
    /// `2 / (1 + e^d)`, in (0, 1]; 1 is best.
    pub score: f64,
}

/// An open recogniser, for one thread at a time.
#[derive(Debug)]
pub struct Recogniser {
    network: Network,
    input: InputSpec,
    embedding: usize,
    sampled: Option<Arc<Sampled>>,
    /// The batch sizes that the device gets; empty if any size is allowed.
    sizes: Vec<usize>,
}

impl Recogniser {
    /// Recognises a batch: one result per chip, in the same order. `None` if the network's
    /// embedding is unusable. A chip's result does not depend on its batch, except for rounding.
    ///
    /// # Errors
    /// If the forward pass fails; no chip has a result then.
    pub fn recognise(
        &mut self,
        chips: &[Chip],
    ) -> Result<Vec<Option<NetworkAnswer>>, RuntimeError> {
        let second = if self.sampled.is_some() { names::FEATURES } else { names::DISTANCE };
        let outputs = self.forward(chips, &[names::EMBEDDING, second])?;
        let distances: Vec<f64> = match &self.sampled {
            None => outputs[1].values.iter().map(|&distance| f64::from(distance)).collect(),
            Some(sampled) => {
                let shape = (chips.len(), outputs[1].values.len() / chips.len().max(1));
                let features = ArrayView2::from_shape(shape, &outputs[1].values);
                sampled.distances(features.map_err(|error| RuntimeError::Run(error.to_string()))?)
            }
        };
        let embeddings = outputs[0].values.chunks_exact(self.embedding);
        Ok(embeddings
            .zip(distances)
            .map(|(embedding, distance)| interpret(embedding, distance))
            .collect())
    }

    /// Runs the network on `chips` and fetches the outputs `wanted`. The other outputs, above all
    /// the features, stay on the device.
    fn forward(&mut self, chips: &[Chip], wanted: &[&str]) -> Result<Vec<Output>, RuntimeError> {
        let mut values = self.input.values(chips);
        let padded = padded_to(&self.sizes, chips.len());
        values.resize(padded * Chip::BYTES, 0.0);
        let mut outputs =
            self.network.run(&[(&[padded, 3, CHIP_SIDE, CHIP_SIDE], &values)], wanted)?;
        let rows = chips.len() as i64;
        for (output, name) in outputs.iter_mut().zip(wanted) {
            if let Some(found) = output.shape.first_mut().filter(|found| **found == padded as i64) {
                *found = rows;
                output.values.truncate(output.values.len() / padded.max(1) * chips.len());
            }
            if output.shape.first() != Some(&rows)
                || (*name == names::EMBEDDING && output.shape[1..] != [self.embedding as i64])
            {
                let expected = format!("{rows} rows of the model's width");
                return Err(RuntimeError::Shape {
                    output: (*name).to_owned(),
                    shape: output.shape.clone(),
                    expected,
                });
            }
        }
        Ok(outputs)
    }
}

fn interpret(embedding: &[f32], distance: f64) -> Option<NetworkAnswer> {
    let (template, norm) = Template::from_embedding(embedding).ok()?;
    let score = quality::score(distance);
    distance.is_finite().then_some(NetworkAnswer { template, norm, distance, score })
}
