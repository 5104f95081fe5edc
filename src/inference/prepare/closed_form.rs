//! Appends SER-FIQ's closed form (see [`crate::quality::closed_form`]) to a recogniser. One forward
//! pass then gives embedding and distance, and the features never leave the device.
//!
//! Sums over features are written as `MatMul` with a constant vector. Unlike `ReduceSum`, it is the
//! same in every operator set, and it runs in the matrix library.

use ndarray::ArrayView1;

use super::graph::Graph;
use super::{PrepareError, Target};
use crate::inference::onnx::{Dimension, NodeProto, TensorProto, ValueInfoProto, data_type};
use crate::quality::Head;
use crate::quality::closed_form::{MIN_SQUARED_NORM, jensen_factor};

/// Names of tensors in every prepared recogniser.
pub mod names {
    /// Input, [N, 3, H, W].
    pub const CHIP: &str = "chip";
    /// Output, [N, D].
    pub const EMBEDDING: &str = "embedding";
    /// Output, `[N]`.
    pub const DISTANCE: &str = "distance";
    /// Output, [N, F]. Only the sampled estimator fetches it.
    pub const FEATURES: &str = "features";
    /// Constant `A`, [D, F].
    pub const WEIGHTS: &str = "facefleet.A";
    /// Constant `c`, `[D]`.
    pub const BIAS: &str = "facefleet.c";
}

/// How the graph computes `along = A^T u`, the second product with `A`. It only affects `par`,
/// which is about `total / nu`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Along {
    /// With `A` in 32 bits.
    Floats,
    /// With `A` and the embedding in 8-bit integers: a quarter of the memory traffic, which is the
    /// cost of the second product on a CPU. The relative change of the distance is below 1e-5
    /// (tests/it/accuracy.rs).
    Bytes,
}

impl Along {
    /// From this effective rank on, `par` is so small a part that 8 bits are enough. A layer with a
    /// smaller rank is cheap anyway.
    const MIN_RANK: f64 = 64.0;

    /// The fastest way for `target` that the operator set `opset` has and that keeps the distance.
    fn of(target: Target, opset: i64, effective_rank: f64) -> Self {
        // Operator set 10 added MatMulInteger. GPUs have no kernel for it.
        let bytes = target == Target::Cpu && opset >= 10 && effective_rank >= Self::MIN_RANK;
        if bytes { Self::Bytes } else { Self::Floats }
    }
}

/// Replaces everything after `features` with the folded layer and the closed form, for `target`.
/// Returns the head's effective rank.
pub fn append(
    graph: &mut Graph,
    features: &str,
    head: &Head,
    target: Target,
) -> Result<f64, PrepareError> {
    let effective_rank = append_embedding(graph, features, head);
    let (embedding_size, feature_size) = head.weights().dim();
    let q = head.mask_variance();

    let energies: Vec<f32> =
        head.column_energies().iter().map(|energy| (q * energy) as f32).collect();
    for constant in [
        TensorProto::floats("facefleet.energies", &[feature_size, 1], &energies),
        TensorProto::floats("facefleet.ones", &[embedding_size, 1], &vec![1.0; embedding_size]),
        scalar("min", MIN_SQUARED_NORM),
        scalar("two", 2.0),
        scalar("jensen", jensen_factor(effective_rank)),
        TensorProto::ints("facefleet.flat", &[-1]),
    ] {
        graph.add_constant(constant);
    }
    graph.nodes.extend([
        // |mu|^2, at least `min`
        step("Mul", &[names::EMBEDDING, names::EMBEDDING], "embedding2"),
        step("MatMul", &["embedding2", "ones"], "norm2_raw"),
        step("Max", &["norm2_raw", "min"], "norm2"),
        // total = q sum x^2 |a|^2
        step("Mul", &[names::FEATURES, names::FEATURES], "features2"),
        step("MatMul", &["features2", "energies"], "total"),
    ]);
    match Along::of(target, graph.opset(), effective_rank) {
        Along::Floats => append_along_in_floats(graph, q, feature_size),
        Along::Bytes => append_along_in_bytes(graph, q, head),
    }
    graph.nodes.extend([
        // par = sum scale (along x)^2 / |u|^2, u in the units of `along`
        step("Mul", &["along", names::FEATURES], "scatter"),
        step("Mul", &["scatter", "scatter"], "scatter2"),
        step("MatMul", &["scatter2", "along_scale"], "par_raw"),
        step("Div", &["par_raw", "along_norm2"], "par"),
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
    graph.outputs.push(ValueInfoProto::float(
        names::FEATURES,
        &[batch(), Dimension::Value(feature_size as i64)],
    ));
    Ok(effective_rank)
}

/// `along = A^T mu`, [N, F]; `along_norm2 = |mu|^2`; `along_scale = q` for each feature.
fn append_along_in_floats(graph: &mut Graph, q: f64, feature_size: usize) {
    graph.add_constant(TensorProto::floats(
        "facefleet.along_scale",
        &[feature_size, 1],
        &vec![q as f32; feature_size],
    ));
    graph.nodes.extend([
        step("MatMul", &[names::EMBEDDING, names::WEIGHTS], "along"),
        step("Identity", &["norm2"], "along_norm2"),
    ]);
}

/// The largest 8-bit weight: half of the range. CPUs without VNNI add pairs of products in 16 bits,
/// which would overflow with the full range.
const MAX_WEIGHT: f64 = 64.0;
/// Zero in the unsigned bytes of the embedding, and the largest distance from it.
const ZERO_BYTE: f64 = 128.0;
const MAX_BYTE: f64 = 127.0;

/// `along = B^T v`, [N, F]. `B` is `A` with each column scaled to 7 bits and a sign. `v` is the
/// embedding of each face, scaled to its own largest value; that scale cancels. `along_norm2 =
/// |v|^2`, and `along_scale = q s^2` with `s` the scale of each column. Faces of one batch do not
/// depend on each other.
fn append_along_in_bytes(graph: &mut Graph, q: f64, head: &Head) {
    let (embedding_size, feature_size) = head.weights().dim();
    let (weights, peaks) = quantise_columns(head);
    let scales: Vec<f32> =
        peaks.iter().map(|peak| (q * (peak / MAX_WEIGHT).powi(2)) as f32).collect();
    let bytes = |name: &str, dims: &[usize], kind: i32, raw_data: Vec<u8>| TensorProto {
        name: format!("facefleet.{name}"),
        dims: dims.iter().map(|&dim| dim as i64).collect(),
        data_type: kind,
        raw_data,
        ..TensorProto::default()
    };
    for constant in [
        bytes("A_bytes", &[embedding_size, feature_size], data_type::INT8, weights),
        bytes("zero_byte", &[], data_type::UINT8, vec![ZERO_BYTE as u8]),
        TensorProto::floats("facefleet.along_scale", &[feature_size, 1], &scales),
        scalar("most_byte", MAX_BYTE),
        scalar("rounding", ZERO_BYTE + 0.5),
        scalar("zero", ZERO_BYTE),
        scalar("one", 1.0),
    ] {
        graph.add_constant(constant);
    }
    let peak = step("ReduceMax", &["magnitudes"], "peak_raw");
    // In operator set 18, `axes` became an input.
    let peak = if graph.opset() < 18 {
        peak.with_ints("axes", &[1])
    } else {
        graph.add_constant(TensorProto::ints("facefleet.along_axis", &[1]));
        step("ReduceMax", &["magnitudes", "along_axis"], "peak_raw")
    };
    graph.nodes.extend([
        // v = floor(127 mu / max |mu| + 1/2), as bytes around 128
        step("Abs", &[names::EMBEDDING], "magnitudes"),
        peak,
        step("Max", &["peak_raw", "min"], "peak"),
        step("Div", &[names::EMBEDDING, "peak"], "of_peak"),
        step("Mul", &["of_peak", "most_byte"], "in_bytes"),
        step("Add", &["in_bytes", "rounding"], "shifted"),
        step("Floor", &["shifted"], "rounded"),
        step("Cast", &["rounded"], "bytes").with_int("to", i64::from(data_type::UINT8)),
        // |v|^2, a whole number
        step("Sub", &["rounded", "zero"], "centred"),
        step("Mul", &["centred", "centred"], "centred2"),
        step("MatMul", &["centred2", "ones"], "along_norm2_raw"),
        step("Max", &["along_norm2_raw", "one"], "along_norm2"),
        step("MatMulInteger", &["bytes", "A_bytes", "zero_byte"], "along_sums"),
        step("Cast", &["along_sums"], "along").with_int("to", i64::from(data_type::FLOAT)),
    ]);
}

/// `A` [D, F] as signed bytes, row by row, and the largest magnitude of each of the F columns. That
/// magnitude becomes [`MAX_WEIGHT`].
fn quantise_columns(head: &Head) -> (Vec<u8>, Vec<f64>) {
    let peaks: Vec<f64> = head
        .weights()
        .columns()
        .into_iter()
        .map(|column| column.iter().map(|a| f64::from(a.abs())).fold(f64::MIN_POSITIVE, f64::max))
        .collect();
    let row = |row: ArrayView1<'_, f32>| -> Vec<u8> {
        let byte = |(&a, peak): (&f32, &f64)| {
            ((f64::from(a) / peak * MAX_WEIGHT).round() as i8).cast_unsigned()
        };
        row.iter().zip(&peaks).map(byte).collect()
    };
    let weights = head.weights().rows().into_iter().flat_map(row).collect();
    (weights, peaks)
}

fn scalar(name: &str, value: f64) -> TensorProto {
    TensorProto::floats(&format!("facefleet.{name}"), &[1], &[value as f32])
}

/// A node of the closed form. Names of inner tensors have a prefix, so that they do not collide
/// with names in the published graph.
fn step(op: &str, inputs: &[&str], output: &str) -> NodeProto {
    let full = |name: &str| match name {
        names::EMBEDDING | names::DISTANCE | names::FEATURES | names::WEIGHTS => name.to_owned(),
        inner => format!("facefleet.{inner}"),
    };
    let inputs: Vec<String> = inputs.iter().map(|name| full(name)).collect();
    NodeProto::new(op, &inputs.iter().map(String::as_str).collect::<Vec<_>>(), &full(output))
}

/// Appends the folded last layer alone, with the output `embedding`: a recogniser without quality.
/// Returns the head's effective rank.
pub fn append_embedding(graph: &mut Graph, features: &str, head: &Head) -> f64 {
    let (embedding_size, feature_size) = head.weights().dim();
    let weights: Vec<f32> = head.weights().iter().copied().collect();
    graph.rename(features, names::FEATURES);
    graph.rename(names::EMBEDDING, "embedding.published");
    graph.rename(names::DISTANCE, "distance.published");
    graph.add_constant(TensorProto::floats(
        names::WEIGHTS,
        &[embedding_size, feature_size],
        &weights,
    ));
    graph.add_constant(TensorProto::floats(names::BIAS, &[embedding_size], &head.bias().to_vec()));
    let layer =
        NodeProto::new("Gemm", &[names::FEATURES, names::WEIGHTS, names::BIAS], names::EMBEDDING)
            .with_int("transB", 1);
    graph.nodes.push(layer);
    let dims = [Dimension::Param("N".into()), Dimension::Value(embedding_size as i64)];
    graph.outputs = vec![ValueInfoProto::float(names::EMBEDDING, &dims)];
    head.effective_rank()
}
