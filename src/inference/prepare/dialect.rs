//! What exporters write in ways of their own, written as the operator set means it.

use super::batch_norm::{self, ScaleShift};
use super::graph::Graph;
use super::shapes::{Dim, Shapes};
use crate::inference::onnx::{NodeProto, OnnxError, TensorProto};

/// Batch normalisations of MXNet's exporter say `spatial = 0`, which asks for parameters of one
/// value per channel and position, and have one per channel: they mean per channel, as MXNet does.
/// Those that do have one per position become a product and a sum.
///
/// # Errors
/// If a normalisation was exported in training mode, or its parameters fit none.
pub fn correct_batch_norms(graph: &mut Graph, shapes: &Shapes) -> Result<(), OnnxError> {
    let mut nodes = Vec::with_capacity(graph.nodes.len());
    for mut node in std::mem::take(&mut graph.nodes) {
        if node.op_type != "BatchNormalization" {
            nodes.push(node);
            continue;
        }
        if node.int("training_mode", 0) != 0 {
            return Err(node.error(
                "was exported in training mode; export the model in evaluation \
                mode (`model.eval()`)",
            ));
        }
        let spatial = node.int("spatial", 1) != 0;
        node.attribute.retain(|attribute| attribute.name != "spatial");
        // Further outputs are of training.
        node.output.truncate(1);
        let Some(parameters) = batch_norm::scale_shift(graph, &node)? else {
            nodes.push(node);
            continue;
        };
        let channels = shapes.of(&node.input[0]).and_then(|shape| shape.get(1).copied());
        match (parameters.dims.as_slice(), channels) {
            (&[length], Some(Dim::Fixed(channels))) if i64::try_from(length) != Ok(channels) => {
                return Err(node.error(format!(
                    "has parameters for {length} channels where its input has {channels}"
                )));
            }
            (&[_], _) => nodes.push(node),
            _ if spatial => {
                return Err(node.error(format!(
                    "has parameters of shape {:?} instead of one per channel",
                    parameters.dims
                )));
            }
            _ => match (node.input.as_slice(), node.output.as_slice()) {
                ([x, ..], [output, ..]) => {
                    nodes.extend(per_position(graph, x, output, &parameters))
                }
                _ => return Err(node.error("has no output")),
            },
        }
    }
    graph.nodes = nodes;
    Ok(())
}

fn per_position(graph: &mut Graph, x: &str, output: &str, folded: &ScaleShift) -> [NodeProto; 2] {
    let part = |suffix: &str| format!("{output}.facefleet.{suffix}");
    for (suffix, values) in [("scale", &folded.scale), ("shift", &folded.shift)] {
        let values: Vec<f32> = values.iter().map(|&value| value as f32).collect();
        graph.add_constant(TensorProto::floats(&part(suffix), &folded.dims, &values));
    }
    [
        NodeProto::new("Mul", &[x, &part("scale")], &part("product")),
        NodeProto::new("Add", &[&part("product"), &part("shift")], output),
    ]
}

/// Slopes of shape `[C]`, as MXNet's exporter writes them, would apply to the last axis of [N, C,
/// H, W]. They mean the channels, and get the shape [C, 1, 1].
///
/// Where channels and columns are equally many, both readings are possible; then another node of
/// the same file decides.
///
/// # Errors
/// If the slopes fit neither.
pub fn shape_slopes(graph: &mut Graph, shapes: &Shapes) -> Result<(), OnnxError> {
    let mut flat = Vec::new();
    for (i, node) in graph.nodes.iter().enumerate().filter(|(_, node)| node.op_type == "PRelu") {
        let Some(slope) = node.input.get(1).and_then(|name| graph.constants.get(name)) else {
            continue;
        };
        let &[length] = slope.shape()?.as_slice() else { continue };
        let Some(shape) = shapes.of(&node.input[0]) else {
            if length == 1 {
                continue;
            }
            return Err(node.error(format!(
                "has slopes of shape [{length}], and its input's shape is not known; give them \
                    [{length}, 1, 1]"
            )));
        };
        if length == 1 || shape.len() < 3 {
            continue;
        }
        let fits = |dim: Dim| i64::try_from(length).is_ok_and(|length| dim == Dim::Fixed(length));
        match (fits(shape[1]), shape.last().is_some_and(|&last| fits(last))) {
            (false, false) => {
                return Err(node.error(format!(
                    "has {length} slopes, which fit neither channels nor \
                        columns of its input {shape:?}"
                )));
            }
            (channels, columns) => flat.push((i, length, shape.len(), channels, columns)),
        }
    }
    let per_channel = flat.iter().any(|&(.., channels, columns)| channels && !columns);
    for (i, length, rank, channels, columns) in flat {
        if !channels || (columns && !per_channel) {
            continue;
        }
        let name = format!("{}.facefleet.channels", graph.nodes[i].input[1]);
        if let Some(slope) = graph.constants.get(&graph.nodes[i].input[1]).cloned() {
            let mut dims = vec![1; rank - 1];
            dims[0] = length as i64;
            graph.add_constant(TensorProto { name: name.clone(), dims, ..slope });
        }
        graph.nodes[i].input[1] = name;
    }
    Ok(())
}

/// Dropout that a graph asks for at inference does not happen: its place tells the features, and
/// the closed form does the rest.
pub fn switch_off_dropout(graph: &mut Graph) {
    for node in graph.nodes.iter_mut().filter(|node| node.op_type == "Dropout") {
        // From opset 12 on the third input asks for training mode; a mask as second output is of
        // training too.
        node.input.truncate(2);
        node.output.truncate(1);
    }
}

/// The first node of a graph older than operator set 7 that broadcasts by attributes, for the
/// error.
pub fn old_broadcast(graph: &Graph) -> Option<&NodeProto> {
    let binary = |node: &&NodeProto| {
        matches!(node.op_type.as_str(), "Add" | "Sub" | "Mul" | "Div" | "PRelu" | "Pow" | "Gemm")
    };
    graph
        .nodes
        .iter()
        .filter(binary)
        .find(|node| node.attribute("broadcast").is_some() || node.attribute("axis").is_some())
}
