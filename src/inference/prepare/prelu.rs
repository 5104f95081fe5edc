//! `PRelu`: the shape of its slopes, and writing it out for the CPU.

use super::graph::Graph;
use super::shapes::{Dim, Shapes};
use crate::inference::onnx::{NodeProto, OnnxError, TensorProto};

/// MXNet's exporter writes slopes of shape `[C]`, which by the operator set apply to the last axis
/// of [N, C, H, W]. They are meant for the channels, and get the shape [C, 1, 1].
///
/// If there are as many channels as columns, both readings are possible. Then another `PRelu` of
/// the same file decides.
///
/// # Errors
/// If the slopes match neither channels nor columns.
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
                "has slopes of shape [{length}], and the shape of its input is unknown; export the \
                    slopes with shape [{length}, 1, 1]"
            )));
        };
        if length == 1 || shape.len() < 3 {
            continue;
        }
        let fits = |dim: Dim| i64::try_from(length).is_ok_and(|length| dim == Dim::Fixed(length));
        match (fits(shape[1]), shape.last().is_some_and(|&last| fits(last))) {
            (false, false) => {
                return Err(node.error(format!(
                    "has {length} slopes, which match neither channels nor columns of its input \
                        {shape:?}"
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

/// Writes `PRelu(x, s)` as `Relu(x * (1 - s)) + x * s`, which ONNX Runtime fuses into two passes
/// over the data. If a slope is over 1, as `Relu(x) * (1 - s) + x * s`.
pub fn write_out(graph: &mut Graph) -> Result<(), OnnxError> {
    let mut nodes = Vec::with_capacity(graph.nodes.len());
    for node in std::mem::take(&mut graph.nodes) {
        let slope = node.input.get(1).and_then(|name| graph.constants.get(name)).cloned();
        let (Some(slope), "PRelu", [output]) =
            (slope, node.op_type.as_str(), node.output.as_slice())
        else {
            nodes.push(node);
            continue;
        };
        let part = |suffix: &str| format!("{output}.facefleet.{suffix}");
        let complement: Vec<f32> = slope.to_f32()?.iter().map(|s| 1.0 - s).collect();
        graph.add_constant(TensorProto::floats(&part("complement"), &slope.shape()?, &complement));
        let x = node.input[0].as_str();
        // Scaling by a non-negative number and Relu commute.
        let [first, second] = if complement.iter().all(|&c| c >= 0.0) {
            [
                NodeProto::new("Mul", &[x, &part("complement")], &part("complemented")),
                NodeProto::new("Relu", &[&part("complemented")], &part("positive")),
            ]
        } else {
            [
                NodeProto::new("Relu", &[x], &part("relu")),
                NodeProto::new("Mul", &[&part("relu"), &part("complement")], &part("positive")),
            ]
        };
        nodes.extend([
            first,
            second,
            NodeProto::new("Mul", &[x, &slope.name], &part("scaled")),
            NodeProto::new("Add", &[&part("positive"), &part("scaled")], output),
        ]);
    }
    graph.nodes = nodes;
    Ok(())
}
