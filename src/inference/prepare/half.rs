//! Half precision: 16-bit weights and sums in the backbone, from the chip to the features. The last
//! layer and SER-FIQ's closed form stay in 32 bits: they subtract large sums with small
//! differences.

use half::f16;

use super::batch_norm::{self, ScaleShift};
use super::graph::Graph;
use crate::inference::onnx::{NodeProto, OnnxError, TensorProto, data_type};

/// Operators with the same meaning in half precision, whose float inputs all have one type.
const SUPPORTED: [&str; 23] = [
    "Add",
    "AveragePool",
    "BatchNormalization",
    "Clip",
    "Concat",
    "Conv",
    "Div",
    "Dropout",
    "Flatten",
    "Gemm",
    "GlobalAveragePool",
    "Identity",
    "LeakyRelu",
    "MatMul",
    "MaxPool",
    "Mul",
    "PRelu",
    "Relu",
    "Reshape",
    "Sigmoid",
    "Sub",
    "Transpose",
    "Unsqueeze",
];

/// Makes everything between the tensors `chip` and `features` compute in half precision. Both stay
/// 32-bit floats.
///
/// # Errors
/// If an operator is not in the list, or a weight is too large.
pub fn compute_in_half(graph: &mut Graph, chip: &str, features: &str) -> Result<(), OnnxError> {
    if features == chip {
        return Ok(());
    }
    graph.keep_only(features);
    fold_batch_norms(graph)?;
    let halved = |name: &str| format!("{name}.facefleet.half");
    let mut nodes = std::mem::take(&mut graph.nodes);
    for node in &mut nodes {
        if !SUPPORTED.contains(&node.op_type.as_str()) {
            return Err(OnnxError::Unsupported(
                format!("the operator {} in half precision", node.op_type),
                "32-bit floats",
            ));
        }
        // The second input of Dropout, the ratio, is always a 32-bit float.
        let floats = if node.op_type == "Dropout" { 1 } else { node.input.len() };
        for input in node.input.iter_mut().take(floats) {
            match graph.constants.get(input) {
                Some(constant) if constant.data_type != data_type::FLOAT => {}
                Some(constant) => {
                    let constant = in_half(constant, &halved(input))?;
                    input.clone_from(&constant.name);
                    graph.add_constant(constant);
                }
                None if input == chip || input == features => *input = halved(input),
                None => {}
            }
        }
        for output in node.output.iter_mut().filter(|output| *output == features) {
            *output = halved(output);
        }
    }
    let cast = |from: &str, to: &str, kind: i32| {
        let node = NodeProto::new("Cast", &[from], to).with_int("to", i64::from(kind));
        // Nodes often have the name of their output, and the features' node still has it.
        NodeProto { name: format!("{to}.facefleet.cast"), ..node }
    };
    nodes.push(cast(chip, &halved(chip), data_type::FLOAT16));
    nodes.push(cast(&halved(features), features, data_type::FLOAT));
    graph.nodes = nodes;
    Ok(())
}

fn in_half(constant: &TensorProto, name: &str) -> Result<TensorProto, OnnxError> {
    let values: Vec<f16> = constant.to_f32()?.into_iter().map(f16::from_f32).collect();
    if values.iter().all(|value| value.is_finite()) {
        return Ok(TensorProto::halves(name, &constant.shape()?, &values));
    }
    Err(constant.error(
        "has values over 65504, the largest of half precision; prepare the model in 32-bit floats",
    ))
}

/// Folds batch normalisations into the convolution before them while the weights have 32 bits:
/// variances may be too small or too large for 16. A normalisation without such a convolution
/// becomes `x * scale + shift`, written as a `BatchNormalization` with mean 0 and variance 1, which
/// works for tensors of any rank.
fn fold_batch_norms(graph: &mut Graph) -> Result<(), OnnxError> {
    let norms: Vec<NodeProto> =
        graph.nodes.iter().filter(|node| node.op_type == "BatchNormalization").cloned().collect();
    for norm in norms {
        let ([x, ..], [output, ..]) = (norm.input.as_slice(), norm.output.as_slice()) else {
            continue;
        };
        let Some(ScaleShift { scale, shift, .. }) = batch_norm::scale_shift(graph, &norm)? else {
            continue;
        };
        if !fold_into_convolution(graph, x, output, &scale, &shift)? {
            write_as_scale_shift(graph, output, &scale, &shift);
        }
    }
    Ok(())
}

/// Folds the normalisation into the convolution that computes `x`, if it has no other reader.
/// Returns whether that was possible.
fn fold_into_convolution(
    graph: &mut Graph,
    x: &str,
    output: &str,
    scale: &[f64],
    shift: &[f64],
) -> Result<bool, OnnxError> {
    let readers =
        graph.nodes.iter().flat_map(|node| &node.input).filter(|input| *input == x).count();
    let Some(convolution) = graph.producer(x).filter(|node| node.op_type == "Conv" && readers == 1)
    else {
        return Ok(false);
    };
    let constant = |i: usize| convolution.input.get(i).and_then(|name| graph.constants.get(name));
    let Some(weights) = constant(1) else { return Ok(false) };
    if convolution.input.len() > 2 && constant(2).is_none() {
        return Ok(false);
    }
    let (shape, mut values) = (weights.shape()?, weights.to_f32()?);
    let biases =
        constant(2).map(TensorProto::to_f32).transpose()?.unwrap_or_else(|| vec![0.0; scale.len()]);
    if shape.first() != Some(&scale.len()) || biases.len() != scale.len() || values.is_empty() {
        return Ok(false);
    }
    let channel = values.len() / scale.len();
    for (values, scale) in values.chunks_exact_mut(channel).zip(scale) {
        values.iter_mut().for_each(|value| *value = (f64::from(*value) * scale) as f32);
    }
    let biases: Vec<f32> = biases
        .iter()
        .zip(scale.iter().zip(shift))
        .map(|(&bias, (scale, shift))| (f64::from(bias) * scale + shift) as f32)
        .collect();
    let part = |suffix: &str| format!("{output}.facefleet.{suffix}");
    graph.add_constant(TensorProto::floats(&part("weight"), &shape, &values));
    graph.add_constant(TensorProto::floats(&part("bias"), &[biases.len()], &biases));
    graph.nodes.retain(|node| {
        node.op_type != "BatchNormalization"
            || node.output.first().is_none_or(|name| name != output)
    });
    for node in
        graph.nodes.iter_mut().filter(|node| node.output.first().is_some_and(|name| name == x))
    {
        node.input.truncate(1);
        node.input.extend([part("weight"), part("bias")]);
        node.output = vec![output.to_owned()];
    }
    Ok(true)
}

fn write_as_scale_shift(graph: &mut Graph, output: &str, scale: &[f64], shift: &[f64]) {
    let part = |suffix: &str| format!("{output}.facefleet.{suffix}");
    let narrow = |values: &[f64]| values.iter().map(|&value| value as f32).collect::<Vec<_>>();
    let channels = scale.len();
    let parameters = [
        ("scale", narrow(scale)),
        ("shift", narrow(shift)),
        ("mean", vec![0.0; channels]),
        ("variance", vec![1.0; channels]),
    ];
    for (suffix, values) in &parameters {
        graph.add_constant(TensorProto::floats(&part(suffix), &[channels], values));
    }
    for node in
        graph.nodes.iter_mut().filter(|node| node.output.first().is_some_and(|name| name == output))
    {
        node.input.truncate(1);
        node.input.extend(parameters.iter().map(|(suffix, _)| part(suffix)));
        // The default epsilon, 1e-5, is far below the resolution of half precision.
        node.attribute.retain(|attribute| attribute.name != "epsilon");
    }
}
