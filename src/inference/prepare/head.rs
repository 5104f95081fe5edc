//! Finding the head of a recogniser by its structure, walking from the output backwards.

use ndarray::{Array1, Array2};

use super::PrepareError;
use super::graph::Graph;
use crate::inference::onnx::{NodeProto, OnnxError};

/// A recogniser's last layer, as found.
#[derive(Debug)]
pub struct FoundHead {
    /// Name of the tensor that enters the layer: the features, [N, F], after dropout (which does nothing at inference).
    pub features: String,
    /// `A`, [D, F], a batch normalisation after the layer folded in.
    pub weights: Array2<f32>,
    /// `c`, `[D]`, likewise.
    pub bias: Array1<f32>,
    /// The ratio of the dropout node in front of the layer, if the graph has one.
    pub dropout: Option<f64>,
}

const LOOKED_FOR: &str = "[Dropout ->] Flatten|Reshape|Squeeze -> Gemm | MatMul (+ Add) [-> BatchNormalization] -> output";

/// Finds `[Dropout ->] Flatten|Reshape -> Gemm | MatMul + Add [-> BatchNormalization]` before the graph's only output.
pub fn find_head(graph: &Graph) -> Result<FoundHead, PrepareError> {
    let [output] = graph.outputs.as_slice() else {
        let names: Vec<_> = graph.outputs.iter().map(|output| output.name.as_str()).collect();
        return Err(PrepareError::NoHead {
            looked_for: LOOKED_FOR,
            found: format!("{} outputs: {}", names.len(), names.join(", ")),
        });
    };
    let mut walk = Walk { graph, seen: Vec::new() };

    // Nodes that only rename, reshape or rescale to unit norm: the template is scaled to unit norm anyway.
    let mut node = walk.producer(&output.name)?;
    while matches!(node.op_type.as_str(), "Identity" | "Flatten" | "Reshape" | "Squeeze" | "LpNormalization") {
        node = walk.producer(data_input(node))?;
    }
    let norm = (node.op_type == "BatchNormalization").then_some(node);
    if norm.is_some() {
        node = walk.producer(data_input(node))?;
        while matches!(node.op_type.as_str(), "Identity" | "Reshape" | "Unsqueeze" | "Flatten") {
            node = walk.producer(data_input(node))?;
        }
    }

    let (features, mut weights, mut bias) = match node.op_type.as_str() {
        "Gemm" => gemm(graph, node)?,
        "MatMul" => {
            let weights = matmul_weights(graph, node)?;
            let bias = Array1::zeros(weights.nrows());
            (data_input(node).to_owned(), weights, bias)
        }
        "Add" => {
            let (data, constant) = match node.input.as_slice() {
                [a, b] if graph.constants.contains_key(b) => (a, b),
                [a, b] if graph.constants.contains_key(a) => (b, a),
                _ => return Err(walk.no_head()),
            };
            let product = walk.producer(data)?;
            if product.op_type != "MatMul" {
                return Err(walk.no_head());
            }
            let weights = matmul_weights(graph, product)?;
            let bias = vector(graph, constant)?;
            (data_input(product).to_owned(), weights, bias)
        }
        _ => return Err(walk.no_head()),
    };
    if let Some(norm) = norm {
        fold_batch_norm(graph, norm, &mut weights, &mut bias)?;
    }

    // Dropout stands before or after the nodes that flatten.
    let mut dropout = None;
    let mut name = features.as_str();
    while let Some(node) = graph.producer(name) {
        match node.op_type.as_str() {
            "Dropout" => {
                dropout = Some(dropout_ratio(graph, node)?);
                break;
            }
            "Flatten" | "Reshape" | "Squeeze" | "Identity" => name = data_input(node),
            _ => break,
        }
    }
    Ok(FoundHead { features, weights, bias, dropout })
}

/// Walks backwards and remembers what it saw, for the error.
struct Walk<'a> {
    graph: &'a Graph,
    seen: Vec<&'a str>,
}

impl<'a> Walk<'a> {
    fn producer(&mut self, name: &str) -> Result<&'a NodeProto, PrepareError> {
        match self.graph.producer(name) {
            Some(node) => {
                self.seen.push(&node.op_type);
                Ok(node)
            }
            None => Err(self.no_head()),
        }
    }

    fn no_head(&self) -> PrepareError {
        let mut path: Vec<&str> = self.seen.iter().rev().copied().collect();
        path.push("output");
        PrepareError::NoHead { looked_for: LOOKED_FOR, found: format!("… -> {}", path.join(" -> ")) }
    }
}

fn data_input(node: &NodeProto) -> &str {
    node.input.first().map_or("", String::as_str)
}

fn constant<'a>(graph: &'a Graph, name: &str) -> Result<&'a crate::inference::onnx::TensorProto, OnnxError> {
    let missing = || OnnxError::Tensor { name: name.to_owned(), reason: "is computed where a constant is needed".into() };
    graph.constants.get(name).ok_or_else(missing)
}

fn vector(graph: &Graph, name: &str) -> Result<Array1<f32>, OnnxError> {
    Ok(constant(graph, name)?.to_f32()?.into())
}

/// A constant matrix as [D, F].
fn matrix(graph: &Graph, name: &str, transposed: bool) -> Result<Array2<f32>, OnnxError> {
    let tensor = constant(graph, name)?;
    let shape = tensor.shape()?;
    let [rows, columns] = shape[..] else {
        return Err(tensor.error(format!("has shape {shape:?} where a matrix is needed")));
    };
    let matrix = Array2::from_shape_vec((rows, columns), tensor.to_f32()?).map_err(|error| tensor.error(error.to_string()))?;
    Ok(if transposed { matrix } else { matrix.t().as_standard_layout().into_owned() })
}

fn matmul_weights(graph: &Graph, node: &NodeProto) -> Result<Array2<f32>, OnnxError> {
    matrix(graph, node.input.get(1).map_or("", String::as_str), false)
}

/// `alpha * X * B' + beta * C`.
fn gemm(graph: &Graph, node: &NodeProto) -> Result<(String, Array2<f32>, Array1<f32>), PrepareError> {
    let [data, b, ..] = node.input.as_slice() else {
        return Err(OnnxError::Tensor { name: node.name.clone(), reason: "is a Gemm with fewer than two inputs".into() }.into());
    };
    if node.int("transA", 0) != 0 {
        return Err(OnnxError::Tensor { name: data.clone(), reason: "enters the last Gemm transposed".into() }.into());
    }
    let weights = matrix(graph, b, node.int("transB", 0) != 0)? * node.float("alpha", 1.0);
    let bias = match node.input.get(2).filter(|name| !name.is_empty()) {
        None => Array1::zeros(weights.nrows()),
        Some(name) => {
            let bias = vector(graph, name)? * node.float("beta", 1.0);
            if bias.len() == 1 { Array1::from_elem(weights.nrows(), bias[0]) } else { bias }
        }
    };
    Ok((data.clone(), weights, bias))
}

/// `y = scale * (x - mean) / sqrt(var + epsilon) + b`, folded in f64.
fn fold_batch_norm(
    graph: &Graph,
    node: &NodeProto,
    weights: &mut Array2<f32>,
    bias: &mut Array1<f32>,
) -> Result<(), PrepareError> {
    let parameter = |i: usize| -> Result<Array1<f64>, OnnxError> {
        let name = node.input.get(i).map_or("", String::as_str);
        let values = vector(graph, name)?.mapv(f64::from);
        if values.len() == weights.nrows() {
            return Ok(values);
        }
        let reason = format!("normalises {} values where the embedding has {}", values.len(), weights.nrows());
        Err(OnnxError::Tensor { name: name.to_owned(), reason })
    };
    let (scale, shift, mean, variance) = (parameter(1)?, parameter(2)?, parameter(3)?, parameter(4)?);
    let epsilon = f64::from(node.float("epsilon", 1e-5));
    for (d, mut row) in weights.rows_mut().into_iter().enumerate() {
        let factor = scale[d] / (variance[d] + epsilon).sqrt();
        row.mapv_inplace(|a| (f64::from(a) * factor) as f32);
        bias[d] = ((f64::from(bias[d]) - mean[d]) * factor + shift[d]) as f32;
    }
    Ok(())
}

/// From opset 12 on the ratio is the second input; before, an attribute. The default is 0.5.
fn dropout_ratio(graph: &Graph, node: &NodeProto) -> Result<f64, OnnxError> {
    let ratio = match node.input.get(1).filter(|name| !name.is_empty()) {
        Some(name) => vector(graph, name)?.first().copied().unwrap_or(0.5),
        None => node.float("ratio", 0.5),
    };
    // f32 0.4 is 0.4000000059…: the shortest decimal that names it is what the author wrote.
    Ok(ratio.to_string().parse().unwrap_or(f64::from(ratio)))
}
