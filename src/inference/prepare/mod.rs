//! From a published ONNX file to the one that runs: constants folded, batch free, and, for a
//! recogniser, SER-FIQ's closed form appended. Bytes in, bytes out: no files, no runtime.

mod batch_norm;
mod closed_form;
mod dialect;
mod fold;
mod graph;
mod half;
mod head;
mod inspect;
mod layer;
mod norm;
mod operators;
mod rewrite;
mod shapes;
mod stage;
mod widen;

use ndarray::{Array1, Array2};
use serde::{Deserialize, Serialize};

use super::manifest::{Manifest, Role};
use super::onnx::{Dimension, ModelProto, NodeProto, OnnxError, ValueInfoProto};
use crate::domain::Precision;
use crate::quality::{Head, HeadError};
use graph::Graph;
use prost::Message;
use shapes::{Dim, Shapes};

pub use closed_form::names;
pub use inspect::{Facts, Pixels, inspect};
pub use stage::{outputs as stage_outputs, prepare_stage};

/// Goes up whenever preparing the same published file would give another result.
pub const PREPARATION: u32 = 3;

/// Why a model could not be prepared.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// The file, or a tensor in it.
    #[error(transparent)]
    Onnx(#[from] OnnxError),
    /// The end of the graph is not that of a recogniser.
    #[error(
        "no recogniser's head at the end of the graph: looked for {looked_for}; found {found}; \
            export the model up to its embedding"
    )]
    NoHead {
        /// The pattern.
        looked_for: &'static str,
        /// The operators at the end of this graph.
        found: String,
    },
    /// Neither graph nor manifest tell the dropout ratio.
    #[error(
        "the graph has no Dropout node and the manifest no `dropout`: SER-FIQ needs the ratio the \
            network was trained with; \
         set `dropout` in the manifest (InsightFace's networks use 0.4)"
    )]
    NoDropout,
    /// The graph and the manifest contradict each other.
    #[error("the manifest says {what} = {manifest}, the model has {model}")]
    Mismatch {
        /// Which value.
        what: &'static str,
        /// In the manifest.
        manifest: String,
        /// In the model.
        model: String,
    },
    /// The head's numbers.
    #[error(transparent)]
    Head(#[from] HeadError),
}

/// What kind of device the graph is written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// `PRelu` is written out: ONNX Runtime's CPU kernel for it takes almost half of SFace's time.
    #[default]
    Cpu,
    /// `PRelu` stays: GPUs fuse it, and `OpenVINO` does too (written out, it takes 1.15 times as
    /// long there).
    Gpu,
}

/// Which preparation of a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Variant {
    /// What its graph is written for.
    pub target: Target,
    /// What a recogniser computes in; detectors are small and stay in 32 bits.
    pub precision: Precision,
}

impl Variant {
    /// The variant whose file this one runs: rounding to [`Precision::Bfloat16`] is the device's
    /// work, and its graph that of 32 bits.
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

/// What the prepared recogniser's graph computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outputs {
    /// `embedding`, `distance` and `features`.
    Quality,
    /// `embedding` alone: the yardstick for what the closed form costs.
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
    /// The last layer, for the sampled estimator and for checking.
    pub head: Head,
    /// Whether the graph itself says that it was trained with dropout.
    pub dropout_in_graph: bool,
    /// `nu`.
    pub effective_rank: f64,
    /// What the backbone computes in.
    pub precision: Precision,
}

/// Prepares a recogniser.
///
/// # Errors
/// If the file is no ONNX model that these structs cover, has no recognisable head, or contradicts
/// its manifest.
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
        rewrite::write_out_prelu(&mut graph)?;
    }
    if precision == Precision::Half {
        half::compute_in_half(&mut graph, names::CHIP, &features)?;
    }
    let effective_rank = match outputs {
        Outputs::Quality => closed_form::append(&mut graph, &features, &head, target)?,
        Outputs::EmbeddingOnly => closed_form::append_embedding(&mut graph, &features, &head),
        Outputs::Masked => rewrite::append_masked(&mut graph, &features, &head),
    };
    let mut model = graph.into_model(PRODUCER)?;
    if outputs == Outputs::Masked {
        rewrite::add_mask_input(&mut model, head.weights().ncols());
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
/// If the file is no ONNX model that these structs cover.
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
/// If they are not there or do not fit each other.
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

/// Features that the published graph does not flatten.
const FLATTENED: &str = "facefleet.flattened";

const PRODUCER: &str = "facefleet model prepare";

fn open(published: &[u8]) -> Result<Graph, PrepareError> {
    let mut graph = Graph::new(ModelProto::read(published)?)?;
    match graph.opset() {
        // All that 8 changed of 7 is that more is allowed.
        7 => graph.set_opset(8),
        old @ ..7 => {
            let place = dialect::old_broadcast(&graph).map_or_else(String::new, |node| {
                format!(" (node '{}', {}, broadcasts by attributes)", node.label(), node.op_type)
            });
            return Err(OnnxError::Unsupported(
                format!("operator set {old}{place}"),
                "operator set 8 or later",
            )
            .into());
        }
        _ => {}
    }
    graph.prune();
    operators::check_operators(&graph)?;
    widen::widen_floats(&mut graph)?;
    fold::fold_constants(&mut graph)?;
    let batch = declared_batch(&graph);
    rewrite::free_batch(&mut graph, batch)?;
    Ok(graph)
}

/// Gives the graph its input `chip`, settles what its exporter wrote in ways of its own, and finds
/// the head.
fn open_recogniser(
    graph: &mut Graph,
    width: u32,
    height: u32,
) -> Result<head::FoundHead, PrepareError> {
    let layout = input_layout(graph, width, height)?;
    let batch = declared_batch(graph);
    let input = graph.input.name.clone();
    graph.rename(&input, names::CHIP);
    let size = |side: u32| Dimension::Value(i64::from(side));
    graph.input = ValueInfoProto::float(
        names::CHIP,
        &[Dimension::Param("N".into()), Dimension::Value(3), size(height), size(width)],
    );
    if layout == InputLayout::Nhwc {
        rewrite::transpose_input(graph, names::CHIP);
    }
    let side = |side: u32| Dim::Fixed(i64::from(side));
    let shape = [Dim::Batch, Dim::Fixed(3), side(height), side(width)];
    let shapes = Shapes::infer(graph, &shape)?;
    shapes::resolve_reshapes(graph, &shapes);
    rewrite::free_batch(graph, batch)?;
    dialect::correct_batch_norms(graph, &shapes)?;
    dialect::shape_slopes(graph, &shapes)?;
    dialect::switch_off_dropout(graph);
    head::find_head(graph, &shapes)
}

/// How many images the graph was exported for.
fn declared_batch(graph: &Graph) -> i64 {
    graph.input.dims().first().copied().flatten().unwrap_or(1)
}

/// Order of the input's dimensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputLayout {
    /// [N, C, H, W].
    Nchw,
    /// [N, H, W, C], as TensorFlow has it.
    Nhwc,
}

fn input_layout(graph: &Graph, width: u32, height: u32) -> Result<InputLayout, PrepareError> {
    let (width, height) = (Some(i64::from(width)), Some(i64::from(height)));
    let dims = graph.input.dims();
    let fits = |wanted: &[Option<i64>; 4]| {
        let pairs = dims.iter().zip(wanted);
        dims.len() == 4
            && pairs
                .into_iter()
                .all(|(have, want)| want.is_none() || have.is_none() || have == want)
    };
    let first = [None, Some(3), height, width];
    if dims.is_empty() || fits(&first) {
        return Ok(InputLayout::Nchw);
    }
    if fits(&[None, height, width, Some(3)]) {
        return Ok(InputLayout::Nhwc);
    }
    Err(mismatch("input [N, channels, height, width]", format!("{first:?}"), format!("{dims:?}")))
}

fn mismatch(
    what: &'static str,
    manifest: impl Into<String>,
    model: impl Into<String>,
) -> PrepareError {
    PrepareError::Mismatch { what, manifest: manifest.into(), model: model.into() }
}
