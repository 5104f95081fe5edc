//! Preparing a network: from the published ONNX file to the one that runs. Constants are folded,
//! the batch becomes free, and a recogniser gets SER-FIQ's closed form. Bytes in, bytes out: this
//! module uses neither files nor ONNX Runtime.
//!
//! | file | owns |
//! |---|---|
//! | `operators` | the known operators, and the accepted operator sets |
//! | `graph` | the graph that is edited: `Constant` nodes, names, topological order |
//! | `fold` | constants: `DequantizeLinear`, `Reshape`, `Transpose`, `Squeeze`, `Cast` and others |
//! | `widen` | 16- and 64-bit floats to 32 bits; `Cast` between floats |
//! | `shapes` | the shapes of inner tensors: `rules` has one rule per operator |
//! | `input` | the declared batch, `Transpose` of the input for [N, H, W, C], pixels as bytes |
//! | `reshape` | `Reshape`: constant target shapes with a free batch |
//! | `batch_norm` | `BatchNormalization` as scale and shift; `spatial = 0` |
//! | `prelu` | `PRelu`: shape of the slopes; written out for CPUs |
//! | `dropout` | `Dropout`: its ratio, and switching it off |
//! | `head` | finds the last layer of a recogniser |
//! | `layer` | that layer (`Gemm`, `MatMul`, `Conv`) and the affine steps after it as `A x + c` |
//! | `norm` | scaling to unit length, written out (`ReduceL2`, `Div` and others) |
//! | `closed_form` | appends the folded last layer and SER-FIQ's closed form |
//! | `masked` | appends the published, masked algorithm, for benchmarks |
//! | `half` | half precision: `Cast`, and `BatchNormalization` folded into `Conv` |
//! | `mtcnn` | the outputs of MTCNN's networks |
//! | `inspect` | what a file states about a recogniser, for imports |

mod batch_norm;
mod closed_form;
mod dropout;
mod fold;
mod graph;
mod half;
mod head;
mod input;
mod inspect;
mod layer;
mod masked;
mod mtcnn;
mod norm;
mod operators;
mod prelu;
mod reshape;
mod shapes;
mod widen;

use ndarray::{Array1, Array2};
use serde::{Deserialize, Serialize};

use super::manifest::{Manifest, Role};
use super::onnx::{Dimension, ModelProto, NodeProto, OnnxError, ValueInfoProto};
use crate::domain::Precision;
use crate::quality::{Head, HeadError};
use graph::Graph;
use input::InputLayout;
use prost::Message;
use shapes::{Dim, Shapes};

pub use closed_form::names;
pub use input::read_bytes;
pub use inspect::{Facts, Pixels, inspect};
pub use mtcnn::{outputs as stage_outputs, prepare_stage};

/// Increases whenever preparing the same published file gives another result.
pub const PREPARATION: u32 = 3;

/// Why a model cannot be prepared.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// The file, a tensor or a node cannot be used.
    #[error(transparent)]
    Onnx(#[from] OnnxError),
    /// The graph does not end like a recogniser.
    #[error(
        "no recogniser's head at the end of the graph: expected {expected}; found {found}; export \
            the model up to its embedding"
    )]
    NoHead {
        /// The pattern that was searched for.
        expected: &'static str,
        /// The operators at the end of the graph.
        found: String,
    },
    /// Neither the graph nor the manifest states the dropout ratio.
    #[error(
        "the graph has no Dropout node and the manifest no `dropout`: SER-FIQ needs the ratio the \
            network was trained with; set `dropout` in the manifest (InsightFace's networks use \
            0.4)"
    )]
    NoDropout,
    /// The manifest contradicts the graph.
    #[error("the manifest says {what} = {manifest}, the model has {model}")]
    Mismatch {
        /// The value's name.
        what: &'static str,
        /// The value in the manifest.
        manifest: String,
        /// The value in the model.
        model: String,
    },
    /// The numbers of the head are not usable.
    #[error(transparent)]
    Head(#[from] HeadError),
}

/// The kind of device that the graph is written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// `PRelu` is written out: ONNX Runtime's CPU kernel for it takes almost half of SFace's time.
    #[default]
    Cpu,
    /// `PRelu` stays: GPUs fuse it, and so does `OpenVINO` (written out, it takes 1.15 times as
    /// long there).
    Gpu,
}

/// A variant of a model's preparation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Variant {
    /// The kind of device that the graph is written for.
    pub target: Target,
    /// The recogniser's precision. Detectors are small and stay in 32 bits.
    pub precision: Precision,
}

impl Variant {
    /// The variant whose file this one uses. The device rounds to [`Precision::Bfloat16`], so the
    /// graph is that of 32 bits.
    pub fn on_disk(self) -> Self {
        let precision =
            if self.precision == Precision::Bfloat16 { Precision::Float32 } else { self.precision };
        Self { precision, ..self }
    }
}

impl From<Target> for Variant {
    fn from(target: Target) -> Self {
        Self { target, precision: Precision::Float32 }
    }
}

/// The outputs of a prepared recogniser's graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outputs {
    /// `embedding`, `distance` and `features`.
    Quality,
    /// `embedding` alone, to measure the cost of the closed form.
    EmbeddingOnly,
    /// `embedding` of the features times a second input, `mask` [N, F]: the published SER-FIQ
    /// algorithm, which runs the whole network once per mask. For benchmarks and tests.
    Masked,
}

/// A prepared recogniser.
#[derive(Debug)]
pub struct PreparedRecogniser {
    /// The graph, without metadata.
    pub model: ModelProto,
    /// The last layer, for the sampled estimator and the proof.
    pub head: Head,
    /// Whether the graph states the dropout ratio.
    pub dropout_in_graph: bool,
    /// `nu`, the effective rank of the head.
    pub effective_rank: f64,
    /// The backbone's precision.
    pub precision: Precision,
}

/// Prepares a recogniser.
///
/// # Errors
/// If the file is not an ONNX model that can be prepared, the head is not found, or the manifest
/// contradicts the graph.
pub fn prepare_recogniser(
    published: &[u8],
    manifest: &Manifest,
    variant: impl Into<Variant>,
    outputs: Outputs,
) -> Result<PreparedRecogniser, PrepareError> {
    let Variant { target, precision } = variant.into();
    let Role::Recogniser(recogniser) = &manifest.role else {
        return Err(mismatch("role", "detector", "recogniser"));
    };
    let mut graph = open(published)?;
    let found = open_recogniser(&mut graph, manifest.input.width, manifest.input.height)?;
    if found.bias.len() != recogniser.embedding {
        return Err(mismatch(
            "embedding",
            recogniser.embedding.to_string(),
            found.bias.len().to_string(),
        ));
    }
    let dropout = found.dropout.or(recogniser.dropout).ok_or(PrepareError::NoDropout)?;
    let head = Head::new(found.weights, found.bias, dropout)?;

    let mut features = found.features;
    if found.flatten {
        graph.nodes.push(NodeProto::new("Flatten", &[&features], FLATTENED));
        FLATTENED.clone_into(&mut features);
    }
    if target == Target::Cpu {
        prelu::write_out(&mut graph)?;
    }
    if precision == Precision::Half {
        half::compute_in_half(&mut graph, names::CHIP, &features)?;
    }
    let effective_rank = match outputs {
        Outputs::Quality => closed_form::append(&mut graph, &features, &head, target)?,
        Outputs::EmbeddingOnly => closed_form::append_embedding(&mut graph, &features, &head),
        Outputs::Masked => masked::append(&mut graph, &features, &head),
    };
    let mut model = graph.into_model(PRODUCER)?;
    if outputs == Outputs::Masked {
        masked::add_mask_input(&mut model, head.weights().ncols());
    }
    Ok(PreparedRecogniser {
        model,
        head,
        dropout_in_graph: found.dropout.is_some(),
        effective_rank,
        precision,
    })
}

/// Prepares a detector: height, width and batch become free.
///
/// # Errors
/// If the file is not an ONNX model that can be prepared.
pub fn prepare_detector(published: &[u8]) -> Result<ModelProto, PrepareError> {
    let mut graph = open(published)?;
    let free = |name: &str| Dimension::Param(name.into());
    let input = graph.input.name.clone();
    graph.input =
        ValueInfoProto::float(&input, &[free("N"), Dimension::Value(3), free("H"), free("W")]);
    for output in &mut graph.outputs {
        let anchors = free(&format!("anchors_{}", output.name));
        let depth = output.dims().last().copied().flatten().unwrap_or(1);
        *output =
            ValueInfoProto::float(&output.name, &[free("N"), anchors, Dimension::Value(depth)]);
    }
    Ok(graph.into_model(PRODUCER)?)
}

/// The head that preparing wrote into a model: constants [`names::WEIGHTS`] and [`names::BIAS`].
///
/// # Errors
/// If a constant is missing, or their shapes do not match.
pub fn read_head(model: &ModelProto, dropout: f64) -> Result<Head, PrepareError> {
    let initializers = model.graph.iter().flat_map(|graph| &graph.initializer);
    let find = |name: &str| {
        let missing = OnnxError::Tensor {
            name: name.to_owned(),
            reason: "is not in the prepared model".into(),
        };
        initializers.clone().find(|tensor| tensor.name == name).ok_or(missing)
    };
    let (weights, bias) = (find(names::WEIGHTS)?, find(names::BIAS)?);
    let shape = weights.shape()?;
    let [rows, columns] = shape[..] else {
        return Err(weights.error(format!("has shape {shape:?}")).into());
    };
    let matrix = Array2::from_shape_vec((rows, columns), weights.to_f32()?)
        .map_err(|error| weights.error(error.to_string()))?;
    Ok(Head::new(matrix, Array1::from(bias.to_f32()?), dropout)?)
}

/// The bytes of a model file.
pub fn encode(model: &ModelProto) -> Vec<u8> {
    model.encode_to_vec()
}

/// Name of the flattened features, if preparing adds the `Flatten` node.
const FLATTENED: &str = "facefleet.flattened";

const PRODUCER: &str = "facefleet model prepare";

fn open(published: &[u8]) -> Result<Graph, PrepareError> {
    let mut graph = Graph::new(ModelProto::read(published)?)?;
    operators::accept_opset(&mut graph)?;
    graph.prune();
    operators::check_operators(&graph)?;
    widen::widen_floats(&mut graph)?;
    fold::fold_constants(&mut graph)?;
    let batch = input::declared_batch(&graph);
    reshape::free_batch(&mut graph, batch)?;
    Ok(graph)
}

/// Gives the graph its input `chip`, corrects what exporters write in their own dialect, and finds
/// the head.
fn open_recogniser(
    graph: &mut Graph,
    width: u32,
    height: u32,
) -> Result<head::FoundHead, PrepareError> {
    let layout = input::layout(graph, width, height)?;
    let batch = input::declared_batch(graph);
    let input = graph.input.name.clone();
    graph.rename(&input, names::CHIP);
    let size = |side: u32| Dimension::Value(i64::from(side));
    graph.input = ValueInfoProto::float(
        names::CHIP,
        &[Dimension::Param("N".into()), Dimension::Value(3), size(height), size(width)],
    );
    if layout == InputLayout::Nhwc {
        input::transpose(graph, names::CHIP);
    }
    let side = |side: u32| Dim::Fixed(i64::from(side));
    let shape = [Dim::Batch, Dim::Fixed(3), side(height), side(width)];
    let shapes = Shapes::infer(graph, &shape)?;
    reshape::resolve_reshapes(graph, &shapes);
    reshape::free_batch(graph, batch)?;
    batch_norm::correct_batch_norms(graph, &shapes)?;
    prelu::shape_slopes(graph, &shapes)?;
    dropout::switch_off(graph);
    head::find_head(graph, &shapes)
}

fn mismatch(
    what: &'static str,
    manifest: impl Into<String>,
    model: impl Into<String>,
) -> PrepareError {
    PrepareError::Mismatch { what, manifest: manifest.into(), model: model.into() }
}
