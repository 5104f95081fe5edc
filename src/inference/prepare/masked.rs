//! The network of the published SER-FIQ algorithm: the dropout mask is a second input. For
//! benchmarks and tests.

use super::closed_form::{append_embedding, names};
use super::graph::Graph;
use crate::inference::onnx::{Dimension, ModelProto, NodeProto, TensorProto, ValueInfoProto};
use crate::quality::Head;

const MASK: &str = "mask";

/// Appends the last layer over `features * mask`. [`add_mask_input`] turns the mask into an input.
pub fn append(graph: &mut Graph, features: &str, head: &Head) -> f64 {
    graph.rename(MASK, "mask.published");
    let effective_rank = append_embedding(graph, features, head);
    if let Some(layer) = graph.nodes.last_mut() {
        layer.input[0] = "facefleet.masked".into();
    }
    graph.nodes.push(NodeProto::new("Mul", &[names::FEATURES, MASK], "facefleet.masked"));
    // The topological order needs the mask to exist: it is a constant until the model is complete.
    graph.add_constant(TensorProto::floats(MASK, &[1], &[1.0]));
    effective_rank
}

/// Turns the constant mask into an input [N, F].
pub fn add_mask_input(model: &mut ModelProto, features: usize) {
    if let Some(graph) = &mut model.graph {
        graph.initializer.retain(|tensor| tensor.name != MASK);
        let dims = [Dimension::Param("N".into()), Dimension::Value(features as i64)];
        graph.input.push(ValueInfoProto::float(MASK, &dims));
    }
}
