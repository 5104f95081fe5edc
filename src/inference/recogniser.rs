//! The recogniser: from chips to templates, distances and scores, in one forward pass.

use std::sync::Arc;

use ndarray::ArrayView2;

use super::manifest::Manifest;
use super::model::{ModelError, Models, PreparedFile, PreparedHead, self_test};
use super::plan::{DevicePlan, padded_to};
use super::prepare::{self, names};
use super::runtime::{InputShape, Network, Output, Runtime, RuntimeError};
use crate::domain::{CHIP_SIDE, Chip, Mapping, Precision, RecogniserProfile, SerFiq, Template};
use crate::quality::{self, sampled::Sampled};

/// Two embeddings with a larger cosine were computed in the same precision. Other orders of
/// summation give 1 to seven digits, bfloat16 gives 0.9999.
const SAME_PRECISION: f64 = 0.999_999;

/// The answer that was written down when the model was prepared.
const RECORDED: &str = "recorded";

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
        let PreparedFile { mut model, preparation, .. } = models.read_prepared(&manifest)?;
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
        prepare::read_bytes(&mut model, &manifest.input);
        Ok(Self {
            runtime: runtime.clone(),
            manifest,
            mapping,
            bytes: prepare::encode(&model).into(),
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
        let mut recogniser = self.open_untested(plan, &sizes)?;
        recogniser.self_test()?;
        self.compare_rows(&mut recogniser, &sizes)?;
        Ok(recogniser)
    }

    /// Opens a session as `plan` says, for batches of `sizes` (any size if empty), without a
    /// self-test: to measure what it would refuse.
    ///
    /// # Errors
    /// If the device cannot be used, or ONNX Runtime refuses the model.
    pub fn open_untested(
        &self,
        plan: &DevicePlan,
        sizes: &[usize],
    ) -> Result<Recogniser, RuntimeError> {
        let shape = |&items: &usize| InputShape {
            input: names::CHIP.into(),
            dims: [items, 3, CHIP_SIDE, CHIP_SIDE],
        };
        let shapes: Vec<InputShape> = sizes.iter().map(shape).collect();
        let network = self.runtime.open_on(self.name(), &self.bytes, plan, &shapes)?;
        Ok(Recogniser { network, model: self.clone(), sizes: sizes.to_vec() })
    }

    /// Runs batches of every size in `sizes`, whose rows differ: rows that are mixed up give
    /// another answer than alone.
    fn compare_rows(&self, recogniser: &mut Recogniser, sizes: &[usize]) -> Result<(), ModelError> {
        if sizes.is_empty() {
            return Ok(());
        }
        let chips = [0, 16, 40, 72].map(Chip::synthetic_shifted);
        let mut alone = Vec::with_capacity(chips.len());
        for chip in &chips {
            alone.extend(recogniser.answers(std::slice::from_ref(chip))?);
        }
        for &items in sizes {
            let rows: Vec<Chip> = chips.iter().cycle().take(items).cloned().collect();
            let found = recogniser.answers(&rows)?;
            for (found, alone) in found.iter().zip(alone.iter().cycle()) {
                self.compare(found, alone, "alone")?;
            }
        }
        Ok(())
    }

    fn answer(&self, embedding: &[f32], distance: f64) -> Result<NetworkAnswer, ModelError> {
        let unusable = || self_test(self.name(), "its answer to the test chip is no number".into());
        interpret(embedding, distance).ok_or_else(unusable)
    }

    /// Compares a session's answer to a chip with another answer to the same chip, called `which`.
    fn compare(
        &self,
        found: &NetworkAnswer,
        other: &NetworkAnswer,
        which: &str,
    ) -> Result<(), ModelError> {
        let wrong = |reason| Err(self_test(self.name(), reason));
        let cosine = found.template.similarity(&other.template);
        // In 32 bits, devices sum in different orders: a seventh digit, and on an H200 at most
        // 0.0004 % of the distance. TF32, which the profile rules out, is off by 0.04 % and more.
        // Lower precision differs in the fourth digit, a wrong network in the first.
        let (least, most) = match self.precision {
            Precision::Float32 => (SAME_PRECISION, 1e-4),
            Precision::Half | Precision::Bfloat16 => (0.999, 0.01),
        };
        // A device without bfloat16 computes in 32 bits and reports no error.
        if self.precision == Precision::Bfloat16 && which == RECORDED && cosine > SAME_PRECISION {
            return wrong(NOT_BFLOAT16.into());
        }
        let off = (found.distance / other.distance - 1.0).abs();
        // A comparison with NaN is false.
        if cosine > least && off < most {
            return Ok(());
        }
        wrong(format!(
            "the self-test's embedding has cosine {cosine:.7} to the one {which} (over {least}), \
                and its distance {} is off by {:.4} % (under {} %)",
            found.distance,
            100.0 * off,
            100.0 * most
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
    model: RecogniserModel,
    /// The batch sizes that the device gets; empty if any size is allowed.
    sizes: Vec<usize>,
}

impl Recogniser {
    /// Runs the chip of the self-test and compares the answer with the recorded one.
    ///
    /// # Errors
    /// If the forward pass fails, or the answer is another one.
    pub fn self_test(&mut self) -> Result<(), ModelError> {
        let found = self.answers(&[Chip::synthetic()])?;
        let head = &self.model.head;
        let recorded = self.model.answer(&head.expected_embedding, head.expected_distance)?;
        found.iter().try_for_each(|found| self.model.compare(found, &recorded, RECORDED))
    }

    fn answers(&mut self, chips: &[Chip]) -> Result<Vec<NetworkAnswer>, ModelError> {
        let outputs = self.forward(chips, &[names::EMBEDDING, names::DISTANCE])?;
        let rows = outputs[0].values.chunks_exact(self.model.head.embedding);
        rows.zip(&outputs[1].values)
            .map(|(embedding, &distance)| self.model.answer(embedding, f64::from(distance)))
            .collect()
    }

    /// Recognises a batch: one result per chip, in the same order. `None` if the network's
    /// embedding is unusable. A chip's result does not depend on its batch, except for rounding.
    ///
    /// # Errors
    /// If the forward pass fails; no chip has a result then.
    pub fn recognise(
        &mut self,
        chips: &[Chip],
    ) -> Result<Vec<Option<NetworkAnswer>>, RuntimeError> {
        let second = if self.model.sampled.is_some() { names::FEATURES } else { names::DISTANCE };
        let outputs = self.forward(chips, &[names::EMBEDDING, second])?;
        let distances: Vec<f64> = match &self.model.sampled {
            None => outputs[1].values.iter().map(|&distance| f64::from(distance)).collect(),
            Some(sampled) => {
                let shape = (chips.len(), outputs[1].values.len() / chips.len().max(1));
                let features = ArrayView2::from_shape(shape, &outputs[1].values);
                sampled.distances(features.map_err(|error| RuntimeError::Run(error.to_string()))?)
            }
        };
        let embeddings = outputs[0].values.chunks_exact(self.model.head.embedding);
        Ok(embeddings
            .zip(distances)
            .map(|(embedding, distance)| interpret(embedding, distance))
            .collect())
    }

    /// Runs the network on `chips` and fetches the outputs `wanted`. The other outputs, above all
    /// the features, stay on the device.
    fn forward(&mut self, chips: &[Chip], wanted: &[&str]) -> Result<Vec<Output>, RuntimeError> {
        let mut pixels = self.model.manifest.input.planes(chips);
        let padded = padded_to(&self.sizes, chips.len());
        pixels.resize(padded * Chip::BYTES, 0);
        let mut outputs =
            self.network.run_bytes(&[padded, 3, CHIP_SIDE, CHIP_SIDE], &pixels, wanted)?;
        let rows = chips.len() as i64;
        for (output, name) in outputs.iter_mut().zip(wanted) {
            if let Some(found) = output.shape.first_mut().filter(|found| **found == padded as i64) {
                *found = rows;
                output.values.truncate(output.values.len() / padded.max(1) * chips.len());
            }
            if output.shape.first() != Some(&rows)
                || (*name == names::EMBEDDING
                    && output.shape[1..] != [self.model.head.embedding as i64])
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
