//! Finds scaling to unit length, as exporters write it out.

use std::collections::HashSet;

use super::graph::Graph;
use crate::inference::onnx::NodeProto;

/// Operators between a tensor and its length or inverse length.
const BETWEEN: [&str; 19] = [
    "Abs",
    "Add",
    "Cast",
    "Clip",
    "Expand",
    "Identity",
    "Max",
    "Mul",
    "Pow",
    "Reciprocal",
    "ReduceL2",
    "ReduceSum",
    "ReduceSumSquare",
    "Shape",
    "Sqrt",
    "Squeeze",
    "Unsqueeze",
    "ConstantOfShape",
    "Reshape",
];

/// The tensor that `node` divides by its own length: `x / max(|x|, e)`, with `ReduceL2` or the root
/// of a sum of squares, or as a product with the reciprocal of either.
pub fn divided_by_its_norm<'a>(graph: &Graph, node: &'a NodeProto) -> Option<&'a str> {
    let [a, b] = node.input.as_slice() else { return None };
    match node.op_type.as_str() {
        "Div" => is_norm(graph, b, a, false).then_some(a),
        "Mul" if is_norm(graph, b, a, true) => Some(a),
        "Mul" if is_norm(graph, a, b, true) => Some(b),
        _ => None,
    }
}

/// Whether `name` is computed from `of` alone, by the root of a sum of squares (and one reciprocal,
/// if `inverse` is true).
fn is_norm(graph: &Graph, name: &str, of: &str, inverse: bool) -> bool {
    let mut waiting = vec![name];
    let mut seen = HashSet::new();
    let (mut reads, mut squares, mut sums, mut roots, mut reciprocals) = (false, 0, 0, 0, 0);
    while let Some(name) = waiting.pop() {
        if name == of {
            reads = true;
            continue;
        }
        if name.is_empty() || graph.constants.contains_key(name) || !seen.insert(name) {
            continue;
        }
        let Some(node) =
            graph.producer(name).filter(|node| BETWEEN.contains(&node.op_type.as_str()))
        else {
            return false;
        };
        match node.op_type.as_str() {
            "ReduceL2" => {
                squares += 1;
                sums += 1;
                roots += 1;
            }
            "ReduceSumSquare" => {
                squares += 1;
                sums += 1;
            }
            "ReduceSum" => sums += 1,
            "Mul" if node.input.iter().all(|input| input == of) => squares += 1,
            "Pow" if exponent(graph, node) == Some(2.0) => squares += 1,
            "Sqrt" => roots += 1,
            "Pow" if exponent(graph, node) == Some(0.5) => roots += 1,
            "Pow" if exponent(graph, node) == Some(-0.5) => {
                roots += 1;
                reciprocals += 1;
            }
            "Reciprocal" => reciprocals += 1,
            _ => {}
        }
        if matches!(node.op_type.as_str(), "ReduceL2" | "ReduceSum" | "ReduceSumSquare")
            && !along_embedding(graph, node)
        {
            return false;
        }
        waiting.extend(node.input.iter().map(String::as_str));
    }
    reads && squares == 1 && sums == 1 && roots == 1 && reciprocals == usize::from(inverse)
}

fn exponent(graph: &Graph, node: &NodeProto) -> Option<f32> {
    graph.constants.get(node.input.get(1)?)?.to_f32().ok()?.first().copied()
}

/// Whether `node` sums over dimensions of the embedding and not over the batch: its axes do not
/// include 0.
fn along_embedding(graph: &Graph, node: &NodeProto) -> bool {
    let axes = match node.ints("axes") {
        Some(axes) => axes.to_vec(),
        None => match node
            .input
            .get(1)
            .and_then(|name| graph.constants.get(name))
            .map(|axes| axes.to_i64())
        {
            Some(Ok(axes)) => axes,
            _ => return false,
        },
    };
    !axes.is_empty() && axes.iter().all(|&axis| axis != 0)
}
