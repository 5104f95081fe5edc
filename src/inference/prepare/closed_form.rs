//! Appending SER-FIQ's closed form (see [`crate::quality::closed_form`]) to a recogniser, so that one forward pass gives embedding
//! and distance and the features never leave the device.
//!
//! Sums over features are written as products with a constant vector: unlike `ReduceSum`, that has meant the same in every operator
//! set, and it runs in the matrix library.

use super::PrepareError;
use super::graph::Graph;
use crate::inference::onnx::{Dimension, NodeProto, TensorProto, ValueInfoProto};
use crate::quality::Head;
use crate::quality::closed_form::{MIN_SQUARED_NORM, jensen_factor};

/// Names in every prepared recogniser.
pub mod names {
    /// Input, [N, 3, H, W].
    pub const CHIP: &str = "chip";
    /// Output, [N, D].
    pub const EMBEDDING: &str = "embedding";
    /// Output, `[N]`.
    pub const DISTANCE: &str = "distance";
    /// Output, [N, F]; only fetched by the sampled estimator.
    pub const FEATURES: &str = "features";
    /// Constant `A`, [D, F].
    pub const WEIGHTS: &str = "facefleet.A";
    /// Constant `c`, `[D]`.
    pub const BIAS: &str = "facefleet.c";
}

/// Replaces what follows `features` by the folded layer and the closed form.
pub fn append(graph: &mut Graph, features: &str, head: &Head) -> Result<f64, PrepareError> {
    let effective_rank = append_embedding(graph, features, head);
    let (embedding_size, feature_size) = head.weights().dim();
    let q = head.mask_variance();

    let energies: Vec<f32> = head.column_energies().iter().map(|energy| (q * energy) as f32).collect();
    let scalar = |name: &str, value: f64| TensorProto::floats(name, &[1], &[value as f32]);
    for constant in [
        TensorProto::floats("facefleet.energies", &[feature_size, 1], &energies),
        TensorProto::floats("facefleet.q", &[feature_size, 1], &vec![q as f32; feature_size]),
        TensorProto::floats("facefleet.ones", &[embedding_size, 1], &vec![1.0; embedding_size]),
        scalar("facefleet.min", MIN_SQUARED_NORM),
        scalar("facefleet.two", 2.0),
        scalar("facefleet.jensen", jensen_factor(effective_rank)),
        TensorProto::ints("facefleet.flat", &[-1]),
    ] {
        graph.add_constant(constant);
    }
    let step = |op: &str, inputs: &[&str], output: &str| {
        // Inner tensors carry the prefix, so that they meet no name of the published graph.
        let full = |name: &str| match name {
            names::EMBEDDING | names::DISTANCE | names::FEATURES | names::WEIGHTS => name.to_owned(),
            inner => format!("facefleet.{inner}"),
        };
        let inputs: Vec<String> = inputs.iter().map(|name| full(name)).collect();
        NodeProto::new(op, &inputs.iter().map(String::as_str).collect::<Vec<_>>(), &full(output))
    };
    graph.nodes.extend([
        // |mu|^2, kept from zero
        step("Mul", &[names::EMBEDDING, names::EMBEDDING], "embedding2"),
        step("MatMul", &["embedding2", "ones"], "norm2_raw"),
        step("Max", &["norm2_raw", "min"], "norm2"),
        // total = q sum x^2 |a|^2
        step("Mul", &[names::FEATURES, names::FEATURES], "features2"),
        step("MatMul", &["features2", "energies"], "total"),
        // par = q sum x^2 (A^T mu)^2 / |mu|^2
        step("MatMul", &[names::EMBEDDING, names::WEIGHTS], "along"),
        step("Mul", &["along", names::FEATURES], "scatter"),
        step("Mul", &["scatter", "scatter"], "scatter2"),
        step("MatMul", &["scatter2", "q"], "par_raw"),
        step("Div", &["par_raw", "norm2"], "par"),
        // perp = max(total - par, 0)
        step("Sub", &["total", "par"], "perp_raw"),
        step("Relu", &["perp_raw"], "perp"),
        // d = sqrt(2 perp / (|mu|^2 + perp)) (1 - 1/(4 nu))
        step("Mul", &["perp", "two"], "perp_twice"),
        step("Add", &["norm2", "perp"], "spread"),
        step("Div", &["perp_twice", "spread"], "squared"),
        step("Sqrt", &["squared"], "root"),
        step("Mul", &["root", "jensen"], "column"),
        step("Reshape", &["column", "flat"], names::DISTANCE),
    ]);
    let batch = || Dimension::Param("N".into());
    graph.outputs.push(ValueInfoProto::float(names::DISTANCE, &[batch()]));
    graph.outputs.push(ValueInfoProto::float(names::FEATURES, &[batch(), Dimension::Value(feature_size as i64)]));
    Ok(effective_rank)
}

/// The folded last layer alone, as output `embedding`: what a plain recogniser computes. Returns the head's effective rank.
pub fn append_embedding(graph: &mut Graph, features: &str, head: &Head) -> f64 {
    let (embedding_size, feature_size) = head.weights().dim();
    let weights: Vec<f32> = head.weights().iter().copied().collect();
    graph.rename(features, names::FEATURES);
    graph.rename(names::EMBEDDING, "embedding.published");
    graph.rename(names::DISTANCE, "distance.published");
    graph.add_constant(TensorProto::floats(names::WEIGHTS, &[embedding_size, feature_size], &weights));
    graph.add_constant(TensorProto::floats(names::BIAS, &[embedding_size], &head.bias().to_vec()));
    let layer = NodeProto::new("Gemm", &[names::FEATURES, names::WEIGHTS, names::BIAS], names::EMBEDDING).with_int("transB", 1);
    graph.nodes.push(layer);
    let dims = [Dimension::Param("N".into()), Dimension::Value(embedding_size as i64)];
    graph.outputs = vec![ValueInfoProto::float(names::EMBEDDING, &dims)];
    head.effective_rank()
}
