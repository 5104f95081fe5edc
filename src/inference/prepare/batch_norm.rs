//! Batch normalisations as `x * scale + shift`.

use super::graph::Graph;
use crate::inference::onnx::{NodeProto, OnnxError, TensorProto};

/// `x * scale + shift`, with parameters of this shape.
#[derive(Debug)]
pub struct ScaleShift {
    pub dims: Vec<usize>,
    pub scale: Vec<f64>,
    pub shift: Vec<f64>,
}

/// What the batch normalisation `node` computes, in f64; none if a parameter is computed.
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
