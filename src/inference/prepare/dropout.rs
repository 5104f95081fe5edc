//! `Dropout`: its ratio before the last layer, and switching it off.

use super::graph::Graph;
use super::layer;
use crate::inference::onnx::{NodeProto, OnnxError};

/// Drops the inputs and outputs for training mode, so that dropout does nothing at inference. The
/// position of the node still marks the features.
pub fn switch_off(graph: &mut Graph) {
    for node in graph.nodes.iter_mut().filter(|node| node.op_type == "Dropout") {
        // From operator set 12 on, the third input enables training mode. The second output, a
        // mask, exists in training mode only.
        node.input.truncate(2);
        node.output.truncate(1);
    }
}

/// The ratio of the Dropout node before the last layer, which may come before or after the nodes
/// that flatten. `None` if the graph has no such node.
pub fn ratio_before(graph: &Graph, features: &str) -> Result<Option<f64>, OnnxError> {
    let mut name = features;
    // No path in a graph without cycles is longer.
    for _ in 0..graph.nodes.len() {
        let Some(node) = graph.producer(name) else { break };
        match node.op_type.as_str() {
            // A ratio of 0 drops nothing: the graph does not state a ratio.
            "Dropout" => return Ok(Some(ratio(graph, node)?).filter(|&ratio| ratio > 0.0)),
            "Flatten" | "Reshape" | "Squeeze" | "Identity" => {
                name = node.input.first().map_or("", String::as_str)
            }
            _ => break,
        }
    }
    Ok(None)
}

/// The ratio is the second input from operator set 12 on, and an attribute before. The default is
/// 0.5.
fn ratio(graph: &Graph, node: &NodeProto) -> Result<f64, OnnxError> {
    let ratio = match node.input.get(1).filter(|name| !name.is_empty()) {
        Some(name) => layer::constant(graph, node, name)?.to_f32()?.first().copied().unwrap_or(0.5),
        None => node.float("ratio", 0.5),
    };
    // The f32 of 0.4 is 0.4000000059…. The author meant the shortest decimal with that value.
    Ok(ratio.to_string().parse().unwrap_or(f64::from(ratio)))
}
