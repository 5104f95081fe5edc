//! `BatchNormalization`: its parameters as `x * scale + shift`, and the dialect of MXNet's
//! exporter.

use super::graph::Graph;
use super::shapes::{Dim, Shapes};
use crate::inference::onnx::{NodeProto, OnnxError, TensorProto};

/// `x * scale + shift`, with parameters of shape `dims`.
#[derive(Debug)]
pub struct ScaleShift {
    pub dims: Vec<usize>,
    pub scale: Vec<f64>,
    pub shift: Vec<f64>,
}

/// The batch normalisation `node` as scale and shift, in f64. `None` if a parameter is not a
/// constant.
///
/// # Errors
/// If a parameter is damaged, or has another shape than the others.
pub fn scale_shift(graph: &Graph, node: &NodeProto) -> Result<Option<ScaleShift>, OnnxError> {
    let constants: Option<Vec<&TensorProto>> =
        node.input.iter().skip(1).map(|name| graph.constants.get(name)).collect();
    let Some([gain, bias, mean, variance]) = constants.as_deref() else { return Ok(None) };
    let dims = gain.shape()?;
    if [bias, mean, variance].iter().any(|other| other.dims != gain.dims) {
        return Err(node.error("has parameters of unequal shape"));
    }
    let epsilon = f64::from(node.float("epsilon", 1e-5));
    let wide = |tensor: &TensorProto| {
        Ok::<Vec<f64>, OnnxError>(tensor.to_f32()?.into_iter().map(f64::from).collect())
    };
    let (gain, bias, mean, variance) = (wide(gain)?, wide(bias)?, wide(mean)?, wide(variance)?);
    let scale: Vec<f64> = gain
        .iter()
        .zip(&variance)
        .map(|(gain, variance)| gain / (variance + epsilon).sqrt())
        .collect();
    let shift = bias
        .iter()
        .zip(&mean)
        .zip(&scale)
        .map(|((bias, mean), scale)| bias - mean * scale)
        .collect();
    Ok(Some(ScaleShift { dims, scale, shift }))
}

/// MXNet's exporter writes `spatial = 0`, which by the operator set means one value per channel and
/// position. Its parameters have one value per channel, and so they apply per channel. A
/// normalisation with one value per position becomes `Mul` and `Add`.
///
/// # Errors
/// If a normalisation was exported in training mode, or its parameters do not match its input.
pub fn correct_batch_norms(graph: &mut Graph, shapes: &Shapes) -> Result<(), OnnxError> {
    let mut nodes = Vec::with_capacity(graph.nodes.len());
    for mut node in std::mem::take(&mut graph.nodes) {
        if node.op_type != "BatchNormalization" {
            nodes.push(node);
            continue;
        }
        if node.int("training_mode", 0) != 0 {
            return Err(node.error(
                "was exported in training mode; export the model in evaluation mode \
                    (`model.eval()`)",
            ));
        }
        let spatial = node.int("spatial", 1) != 0;
        node.attribute.retain(|attribute| attribute.name != "spatial");
        // The other outputs exist in training mode only.
        node.output.truncate(1);
        let Some(parameters) = scale_shift(graph, &node)? else {
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
