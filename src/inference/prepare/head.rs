//! Finds the head of a recogniser by its structure, from an output backwards.

use ndarray::{Array1, Array2};

use super::PrepareError;
use super::dropout;
use super::graph::Graph;
use super::layer::{self, Layer, Step};
use super::norm;
use super::shapes::Shapes;
use crate::inference::onnx::{NodeProto, OnnxError};

/// The last layer of a recogniser.
#[derive(Debug)]
pub struct FoundHead {
    /// Name of the tensor that the layer reads: the features, after dropout (which does nothing at
    /// inference).
    pub features: String,
    /// Whether that tensor must be flattened to [N, F], because a convolution reads it or the layer
    /// flattens it itself.
    pub flatten: bool,
    /// `A`, [D, F], with the steps after the layer folded in.
    pub weights: Array2<f32>,
    /// `c`, `[D]`, likewise.
    pub bias: Array1<f32>,
    /// The ratio of the Dropout node before the layer, if the graph has one.
    pub dropout: Option<f64>,
    /// Operator and name of the layer's node.
    pub layer: String,
}

const PATTERN: &str = "[Dropout ->] Flatten|Reshape|Squeeze -> Gemm | MatMul (+ Add) | Conv \
    that leaves one position [-> BatchNormalization] [-> normalisation to unit length] -> output";

/// Finds the last linear layer before one of the graph's outputs, and folds the affine steps after
/// it into it.
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
            expected: PATTERN,
            found: format!("{} outputs: {}", names.len(), names.join(", ")),
        }),
    }
}

fn find_behind(graph: &Graph, shapes: &Shapes, output: &str) -> Result<FoundHead, PrepareError> {
    let mut walk = BackwardWalk { graph, visited: Vec::new() };
    let mut steps = Vec::new();
    let mut name = output;
    let node = loop {
        let node = walk.producer(name)?;
        match node.op_type.as_str() {
            // These nodes rename, reshape or cast.
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
    let dropout = dropout::ratio_before(graph, &layer.data)?;
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

/// Walks backwards, and keeps the visited nodes for the error.
struct BackwardWalk<'a> {
    graph: &'a Graph,
    visited: Vec<&'a NodeProto>,
}

impl<'a> BackwardWalk<'a> {
    fn producer(&mut self, name: &str) -> Result<&'a NodeProto, PrepareError> {
        // No path in a graph without cycles is longer.
        match self.graph.producer(name).filter(|_| self.visited.len() <= self.graph.nodes.len()) {
            Some(node) => {
                self.visited.push(node);
                Ok(node)
            }
            None => Err(self.no_head()),
        }
    }

    fn no_head(&self) -> PrepareError {
        let nodes =
            self.visited.iter().rev().map(|node| format!("{} '{}'", node.op_type, node.label()));
        let path: Vec<String> = nodes.chain(["output".to_owned()]).collect();
        PrepareError::NoHead { expected: PATTERN, found: format!("… -> {}", path.join(" -> ")) }
    }
}

fn data_input(node: &NodeProto) -> &str {
    node.input.first().map_or("", String::as_str)
}
