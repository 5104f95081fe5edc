//! Widens graphs with 16- or 64-bit floats, or with several widths, to 32 bits: weights are
//! converted, and `Cast` between floats is removed.

use std::collections::HashMap;

use super::graph::Graph;
use crate::inference::onnx::{NodeProto, OnnxError, TensorProto, ValueInfoProto, data_type};

/// Makes every float of the graph a 32-bit float. The input may also be integers (pixels) if the
/// graph casts them to floats first.
///
/// # Errors
/// If a weight is damaged, or the input has another type.
pub fn widen_floats(graph: &mut Graph) -> Result<(), OnnxError> {
    for constant in graph.constants.values_mut() {
        widen(constant)?;
    }
    for attribute in graph.nodes.iter_mut().flat_map(|node| &mut node.attribute) {
        if let Some(tensor) = &mut attribute.t {
            widen(tensor)?;
        }
    }
    check_input(graph)?;
    for output in &mut graph.outputs {
        declare_float(output);
    }
    remove_casts(graph);
    Ok(())
}

fn widen(tensor: &mut TensorProto) -> Result<(), OnnxError> {
    if tensor.is_float() && tensor.data_type != data_type::FLOAT {
        *tensor = TensorProto::floats(&tensor.name, &tensor.shape()?, &tensor.to_f32()?);
    }
    Ok(())
}

fn declare_float(value: &mut ValueInfoProto) {
    let tensor = value.r#type.as_mut().and_then(|kind| kind.tensor_type.as_mut());
    if let Some(tensor) = tensor.filter(|tensor| is_float(tensor.elem_type)) {
        tensor.elem_type = data_type::FLOAT;
    }
}

fn is_float(kind: i32) -> bool {
    matches!(kind, data_type::FLOAT | data_type::FLOAT16 | data_type::BFLOAT16 | data_type::DOUBLE)
}

fn check_input(graph: &Graph) -> Result<(), OnnxError> {
    let kind = graph.input.elem_type();
    if kind == 0 || is_float(kind) {
        return Ok(());
    }
    // Pixels as integers. The prepared graph gets floats, and the cast is removed.
    let mut readers = graph.nodes.iter().filter(|node| node.input.contains(&graph.input.name));
    match readers.find(|node| node.op_type != "Cast") {
        None => Ok(()),
        Some(node) => Err(node.error(format!(
            "reads integers (element type {kind}) from the input; export the model with a float \
                input"
        ))),
    }
}

/// Removes casts from floats to floats, except for outputs of the graph. Casts from integers stay.
fn remove_casts(graph: &mut Graph) {
    let casts: Vec<(String, String)> = graph
        .nodes
        .iter()
        .filter(|node| {
            node.op_type == "Cast" && i32::try_from(node.int("to", 0)).is_ok_and(is_float)
        })
        .filter_map(|node| Some((node.input.first()?.clone(), node.output.first()?.clone())))
        .collect();
    let floats: Vec<bool> = casts.iter().map(|(from, _)| holds_floats(graph, from)).collect();
    let removed: HashMap<String, String> = casts
        .iter()
        .zip(floats)
        .filter(|((_, to), floats)| {
            *floats && graph.outputs.iter().all(|output| output.name != *to)
        })
        .map(|((from, to), _)| (to.clone(), from.clone()))
        .collect();
    graph.nodes.retain(|node| {
        node.op_type != "Cast" || !node.output.iter().any(|output| removed.contains_key(output))
    });
    for input in graph.nodes.iter_mut().flat_map(|node| &mut node.input) {
        // No chain of casts is longer. In a damaged graph, two casts may read each other.
        for _ in 0..removed.len() {
            let Some(from) = removed.get(input) else { break };
            input.clone_from(from);
        }
    }
    for node in graph
        .nodes
        .iter_mut()
        .filter(|node| node.op_type == "Cast" && is_float(node.int("to", 0) as i32))
    {
        for attribute in node.attribute.iter_mut().filter(|attribute| attribute.name == "to") {
            attribute.i = i64::from(data_type::FLOAT);
        }
    }
}

/// Whether tensor `name` holds floats, from the operator that computes it. Operators that move data
/// have their input's type.
fn holds_floats(graph: &Graph, name: &str) -> bool {
    let mut name = name;
    // A damaged graph may have cycles.
    for _ in 0..=graph.nodes.len() {
        if name == graph.input.name {
            return true;
        }
        if let Some(constant) = graph.constants.get(name) {
            return constant.is_float();
        }
        let Some(node) = graph.producer(name) else { return false };
        match output_type(node) {
            OutputType::Float => return true,
            OutputType::Other => return false,
            OutputType::SameAsInput => name = node.input.first().map_or("", String::as_str),
        }
    }
    false
}

enum OutputType {
    Float,
    Other,
    SameAsInput,
}

fn output_type(node: &NodeProto) -> OutputType {
    match node.op_type.as_str() {
        "Cast" if i32::try_from(node.int("to", 0)).is_ok_and(is_float) => OutputType::Float,
        "Cast" | "Shape" | "Size" | "ArgMax" | "ArgMin" | "NonZero" | "Equal" | "Less"
        | "LessOrEqual" | "Greater" | "GreaterOrEqual" | "Not" | "And" | "Or"
        | "QuantizeLinear" | "ConstantOfShape" | "Where" => OutputType::Other,
        "Add" | "Sub" | "Mul" | "Div" | "Identity" | "Reshape" | "Flatten" | "Squeeze"
        | "Unsqueeze" | "Transpose" | "Concat" | "Gather" | "Slice" | "Expand" | "Pad" | "Max"
        | "Min" | "Abs" | "Neg" => OutputType::SameAsInput,
        _ => OutputType::Float,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inference::onnx::{GraphProto, ModelProto};

    #[test]
    fn casts_that_read_each_other_come_to_an_end() {
        let to_float = |from, to| {
            NodeProto::new("Cast", &[from], to).with_int("to", i64::from(data_type::FLOAT))
        };
        let node = vec![
            NodeProto::new("Add", &["data", "a"], "sum"),
            to_float("a", "b"),
            to_float("b", "a"),
        ];
        let input = vec![ValueInfoProto::float("data", &[])];
        let output = vec![ValueInfoProto::float("sum", &[])];
        let graph = GraphProto { node, input, output, ..GraphProto::default() };
        let mut graph =
            Graph::new(ModelProto { graph: Some(graph), ..ModelProto::default() }).unwrap();
        widen_floats(&mut graph).unwrap();
        let error = graph.into_model("test").unwrap_err().to_string();
        assert!(error.contains("no node computes it"), "{error}");
    }
}
