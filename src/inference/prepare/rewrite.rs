//! Changes to a graph that keep what it computes.

use super::closed_form::{append_embedding, names};
use super::graph::Graph;
use crate::inference::onnx::{
    Dimension, ModelProto, NodeProto, OnnxError, TensorProto, ValueInfoProto,
};
use crate::quality::Head;

/// Frees the batch dimension of reshapes that were exported for one image, or for `batch` of them:
/// that number as first dimension becomes 0, "as in the input".
pub fn free_batch(graph: &mut Graph, batch: i64) -> Result<(), OnnxError> {
    let mut freed = Vec::new();
    for node in graph.nodes.iter_mut().filter(|node| node.op_type == "Reshape") {
        let Some(shape) = node.input.get(1).and_then(|name| graph.constants.get(name)) else {
            continue;
        };
        let mut dims = shape.to_i64()?;
        if dims.len() > 1
            && (dims[0] == 1 || dims[0] == batch)
            && dims[0] > 0
            && node.int("allowzero", 0) == 0
        {
            dims[0] = 0;
            // Where a fixed length follows, it holds for one image just as well.
            let name = format!("{}.facefleet.free", node.input[1]);
            freed.push(TensorProto::ints(&name, &dims));
            node.input[1] = name;
        }
    }
    freed.into_iter().for_each(|shape| graph.add_constant(shape));
    Ok(())
}

/// Lets a graph that reads [N, H, W, C] read `chip`, [N, C, H, W].
pub fn transpose_input(graph: &mut Graph, chip: &str) {
    const TURNED: &str = "facefleet.channels_last";
    for input in
        graph.nodes.iter_mut().flat_map(|node| &mut node.input).filter(|input| *input == chip)
    {
        TURNED.clone_into(input);
    }
    graph.nodes.push(NodeProto::new("Transpose", &[chip], TURNED).with_ints("perm", &[0, 2, 3, 1]));
}

/// `PRelu(x, s)` becomes `Relu(x * (1 - s)) + x * s`, which ONNX Runtime fuses into two passes over
/// the data, or, where a slope is over 1, `Relu(x) * (1 - s) + x * s`.
pub fn write_out_prelu(graph: &mut Graph) -> Result<(), OnnxError> {
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
        // Scaling by a positive number and cutting at zero may change places.
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

const MASK: &str = "mask";

/// The last layer over `features * mask`. The mask becomes an input with [`add_mask_input`].
pub fn append_masked(graph: &mut Graph, features: &str, head: &Head) -> f64 {
    graph.rename(MASK, "mask.published");
    let effective_rank = append_embedding(graph, features, head);
    if let Some(layer) = graph.nodes.last_mut() {
        layer.input[0] = "facefleet.masked".into();
    }
    graph.nodes.push(NodeProto::new("Mul", &[names::FEATURES, MASK], "facefleet.masked"));
    // Sorting needs to know the mask; it stands in as a constant until the model is complete.
    graph.add_constant(TensorProto::floats(MASK, &[1], &[1.0]));
    effective_rank
}

/// Turns the stand-in for the mask into an input [N, F].
pub fn add_mask_input(model: &mut ModelProto, features: usize) {
    if let Some(graph) = &mut model.graph {
        graph.initializer.retain(|tensor| tensor.name != MASK);
        let dims = [Dimension::Param("N".into()), Dimension::Value(features as i64)];
        graph.input.push(ValueInfoProto::float(MASK, &dims));
    }
}
