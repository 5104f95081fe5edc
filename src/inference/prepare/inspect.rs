//! What the file of a recogniser states about it, before it has a manifest.

use super::graph::Graph;
use super::{PrepareError, layer, names, open, open_recogniser};
use crate::domain::CHIP_SIDE;
use crate::inference::onnx::{ModelProto, NodeProto, OnnxError};

/// The facts that a graph states.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    /// The program that wrote the file.
    pub producer: String,
    /// Version of the standard operator set.
    pub opset: i64,
    /// The input's name.
    pub input: String,
    /// Whether the graph declares its input's height and width.
    pub fixed_size: bool,
    /// The pixel values that the graph expects.
    pub pixels: Pixels,
    /// The nodes that normalise pixels.
    pub normalisation: Vec<String>,
    /// Length of the embedding.
    pub embedding: usize,
    /// Number of features.
    pub features: usize,
    /// The node of the last layer.
    pub layer: String,
    /// Dropout ratio, if the graph states it.
    pub dropout: Option<f64>,
}

/// The pixel values that a graph expects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pixels {
    /// Values of 0..255, which the graph normalises.
    Bytes,
    /// Values of 0..1, which the graph normalises.
    Fractions,
    /// Normalised values. The file does not state the normalisation.
    Unknown,
}

/// Reads the facts that `published` states.
///
/// # Errors
/// If it is not a recogniser that can be prepared.
pub fn inspect(published: &[u8]) -> Result<Facts, PrepareError> {
    let ModelProto { producer_name, producer_version, .. } = ModelProto::read(published)?;
    let mut graph = open(published)?;
    let (input, opset) = (graph.input.name.clone(), graph.opset());
    let side = i64::try_from(CHIP_SIDE).unwrap_or(i64::MAX);
    let dims = graph.input.dims();
    let sides: Vec<Option<i64>> =
        dims.iter().skip(1).filter(|&&dim| dim != Some(3)).copied().collect();
    let images =
        dims.is_empty() || (dims.len() == 4 && sides.iter().flatten().all(|&dim| dim == side));
    if !images {
        let what = format!("an input '{input}' of shape {}", shape_text(&dims));
        return Err(OnnxError::Unsupported(
            what,
            "an input of [N, 3, 112, 112]: colour images of the size that faces are aligned to",
        )
        .into());
    }
    let head = open_recogniser(&mut graph, CHIP_SIDE as u32, CHIP_SIDE as u32)?;
    let (pixels, normalisation) = normalisation(&graph);
    Ok(Facts {
        producer: format!("{producer_name} {producer_version}").trim().to_owned(),
        opset,
        input,
        fixed_size: sides.len() == 2 && sides.iter().all(Option::is_some),
        pixels,
        normalisation,
        embedding: head.bias.len(),
        features: head.weights.ncols(),
        layer: head.layer,
        dropout: head.dropout,
    })
}

fn shape_text(dims: &[Option<i64>]) -> String {
    let dims: Vec<String> =
        dims.iter().map(|dim| dim.map_or("?".into(), |dim| dim.to_string())).collect();
    format!("[{}]", dims.join(", "))
}

/// Follows the chip through affine nodes. The pixel value that they map to zero shows the range of
/// pixels that they expect.
fn normalisation(graph: &Graph) -> (Pixels, Vec<String>) {
    let (mut scale, mut shift) = (1.0, 0.0);
    let mut nodes: Vec<&NodeProto> = Vec::new();
    let mut name = names::CHIP;
    for _ in 0..graph.nodes.len() {
        let mut readers =
            graph.nodes.iter().filter(|node| node.input.iter().any(|input| input == name));
        let (Some(node), None) = (readers.next(), readers.next()) else { break };
        let Some(output) = node.output.first() else { break };
        if !matches!(node.op_type.as_str(), "Identity" | "Cast" | "Transpose") {
            let Ok(Some((step, _))) = layer::step(graph, node) else { break };
            let (factor, summand) = step.average();
            (scale, shift) = (scale * factor, shift * factor + summand);
            nodes.push(node);
        }
        name = output;
    }
    let zero = -shift / scale;
    let only_learned = nodes.iter().all(|node| node.op_type == "BatchNormalization");
    let pixels = match () {
        () if nodes.is_empty() => Pixels::Unknown,
        // The mean of pixels of 0..255 is around 100, and that of 0..1 is below 1.
        () if zero > 2.0 => Pixels::Bytes,
        // A learned normalisation of normalised values changes little.
        () if only_learned => Pixels::Unknown,
        // Networks do not scale pixels of 0..255 up.
        () if scale * 255.0 <= 16.0 => Pixels::Bytes,
        () => Pixels::Fractions,
    };
    (pixels, nodes.iter().map(|node| format!("{} '{}'", node.op_type, node.label())).collect())
}
