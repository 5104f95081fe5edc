//! Finding the head of a recogniser by its structure, walking from an output backwards.

use ndarray::{Array1, Array2};

use super::PrepareError;
use super::graph::Graph;
use super::layer::{self, Layer, Step};
use super::norm;
use super::shapes::Shapes;
use crate::inference::onnx::{NodeProto, OnnxError};

/// A recogniser's last layer, as found.
#[derive(Debug)]
pub struct FoundHead {
    /// Name of the tensor that enters the layer: the features, after dropout (which does nothing at
    /// inference).
    pub features: String,
    /// Whether that tensor still has to be flattened to [N, F]: a convolution reads it, or a layer
    /// that flattens by itself.
    pub flatten: bool,
    /// `A`, [D, F], what follows the layer folded in.
    pub weights: Array2<f32>,
    /// `c`, `[D]`, likewise.
    pub bias: Array1<f32>,
    /// The ratio of the dropout node in front of the layer, if the graph has one.
    pub dropout: Option<f64>,
    /// The node of the layer: operator and name.
    pub layer: String,
}

const LOOKED_FOR: &str = "[Dropout ->] Flatten|Reshape|Squeeze -> Gemm | MatMul (+ Add) | Conv \
    that leaves one position \
                          [-> BatchNormalization] [-> normalisation to unit length] -> output";

/// Finds the last linear layer before one of the graph's outputs, with what is affine after it.
///
/// # Errors
/// If no output is an embedding, or several are.
pub fn find_head(graph: &Graph, shapes: &Shapes) -> Result<FoundHead, PrepareError> {
    let mut found = Vec::new();
    let mut error = None;
    for output in &graph.outputs {
        match find_behind(graph, shapes, &output.name) {
            Ok(head) => found.push((output.name.as_str(), head)),
            Err(reason) => error = error.or(Some(reason)),
        }
    }
    let names: Vec<&str> = graph.outputs.iter().map(|output| output.name.as_str()).collect();
    match (found.pop(), found.is_empty(), error) {
        (Some((_, head)), true, _) => Ok(head),
        (None, _, Some(error)) if names.len() == 1 => Err(error),
        _ => Err(PrepareError::NoHead {
            looked_for: LOOKED_FOR,
            found: format!("{} outputs: {}", names.len(), names.join(", ")),
        }),
    }
}

fn find_behind(graph: &Graph, shapes: &Shapes, output: &str) -> Result<FoundHead, PrepareError> {
    let mut walk = BackwardWalk { graph, seen: Vec::new() };
    let mut steps = Vec::new();
    let mut name = output;
    let node = loop {
        let node = walk.producer(name)?;
        match node.op_type.as_str() {
            // Nodes that only rename, reshape or rescale to unit length: the template is scaled to
            // unit length anyway.
            "Identity" | "Flatten" | "Reshape" | "Squeeze" | "Unsqueeze" | "Dropout" | "Cast" => {
                name = data_input(node)
            }
            "LpNormalization" => {
                drop_unit_length(&mut steps, node)?;
                name = data_input(node);
            }
            "Gemm" | "MatMul" | "Conv" => break node,
            op if computes_in_integers(op) => {
                let reason = "computes in 8-bit integers; use the model's file in floats";
                return Err(node.error(reason).into());
            }
            _ => match layer::step(graph, node)? {
                Some((step, data)) => {
                    steps.push(step);
                    name = data;
                }
                None => match norm::divided_by_its_norm(graph, node) {
                    Some(data) => {
                        drop_unit_length(&mut steps, node)?;
                        name = data;
                    }
                    None => return Err(walk.no_head()),
                },
            },
        }
    };
    let mut layer = match node.op_type.as_str() {
        "Conv" => layer::convolution(graph, shapes, node)?,
        _ => layer::product(graph, shapes, node)?,
    };
    for step in steps.iter().rev() {
        layer.apply(step)?;
    }
    let dropout = dropout_before(graph, &layer.data)?;
    let Layer { data, flatten, weights, bias } = layer;
    let narrow = |value: f64| value as f32;
    Ok(FoundHead {
        features: data,
        flatten,
        weights: weights.mapv(narrow),
        bias: bias.mapv(narrow),
        dropout,
        layer: format!("{} '{}'", node.op_type, node.label()),
    })
}

fn computes_in_integers(op: &str) -> bool {
    op.ends_with("QuantizeLinear")
        || op.starts_with("QLinear")
        || op.ends_with("Integer")
        || op == "DequantizeLinear"
}

/// Drops `node`, which scales to unit length, and the `steps` after it. That is allowed if those
/// only scale: the template is scaled to unit length anyway.
fn drop_unit_length(steps: &mut Vec<Step>, node: &NodeProto) -> Result<(), OnnxError> {
    if steps.iter().all(Step::is_plain_scale) {
        steps.clear();
        return Ok(());
    }
    Err(node.error(
        "scales the embedding to unit length before its last step; export the model up to this \
            node",
    ))
}

/// Dropout stands before or after the nodes that flatten.
fn dropout_before(graph: &Graph, features: &str) -> Result<Option<f64>, OnnxError> {
    let mut name = features;
    // A graph without cycles has no longer way.
    for _ in 0..graph.nodes.len() {
        let Some(node) = graph.producer(name) else { break };
        match node.op_type.as_str() {
            // A ratio of 0 drops nothing, and tells nothing.
            "Dropout" => return Ok(Some(dropout_ratio(graph, node)?).filter(|&ratio| ratio > 0.0)),
            "Flatten" | "Reshape" | "Squeeze" | "Identity" => name = data_input(node),
            _ => break,
        }
    }
    Ok(None)
}

/// From opset 12 on the ratio is the second input; before, an attribute. The default is 0.5.
fn dropout_ratio(graph: &Graph, node: &NodeProto) -> Result<f64, OnnxError> {
    let ratio = match node.input.get(1).filter(|name| !name.is_empty()) {
        Some(name) => layer::constant(graph, node, name)?.to_f32()?.first().copied().unwrap_or(0.5),
        None => node.float("ratio", 0.5),
    };
    // f32 0.4 is 0.4000000059…: the shortest decimal that names it is what the author wrote.
    Ok(ratio.to_string().parse().unwrap_or(f64::from(ratio)))
}

/// Walks backwards and remembers what it saw, for the error.
struct BackwardWalk<'a> {
    graph: &'a Graph,
    seen: Vec<&'a NodeProto>,
}

impl<'a> BackwardWalk<'a> {
    fn producer(&mut self, name: &str) -> Result<&'a NodeProto, PrepareError> {
        // A graph without cycles has no longer way.
        match self.graph.producer(name).filter(|_| self.seen.len() <= self.graph.nodes.len()) {
            Some(node) => {
                self.seen.push(node);
                Ok(node)
            }
            None => Err(self.no_head()),
        }
    }

    fn no_head(&self) -> PrepareError {
        let nodes =
            self.seen.iter().rev().map(|node| format!("{} '{}'", node.op_type, node.label()));
        let path: Vec<String> = nodes.chain(["output".to_owned()]).collect();
        PrepareError::NoHead {
            looked_for: LOOKED_FOR,
            found: format!("… -> {}", path.join(" -> ")),
        }
    }
}

fn data_input(node: &NodeProto) -> &str {
    node.input.first().map_or("", String::as_str)
}
