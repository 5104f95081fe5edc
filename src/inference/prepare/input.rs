//! The graph's input: its declared batch, the layout of its dimensions, and its element type.

use super::graph::Graph;
use super::{PrepareError, mismatch};
use crate::inference::manifest::InputSpec;
use crate::inference::onnx::{ModelProto, NodeProto, TensorProto, data_type};

/// The number of images that the graph was exported for.
pub fn declared_batch(graph: &Graph) -> i64 {
    graph.input.dims().first().copied().flatten().unwrap_or(1)
}

/// Order of the input's dimensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputLayout {
    /// [N, C, H, W].
    Nchw,
    /// [N, H, W, C], as in TensorFlow.
    Nhwc,
}

pub fn layout(graph: &Graph, width: u32, height: u32) -> Result<InputLayout, PrepareError> {
    let (width, height) = (Some(i64::from(width)), Some(i64::from(height)));
    let dims = graph.input.dims();
    let fits = |wanted: &[Option<i64>; 4]| {
        let pairs = dims.iter().zip(wanted);
        dims.len() == 4
            && pairs
                .into_iter()
                .all(|(have, want)| want.is_none() || have.is_none() || have == want)
    };
    let first = [None, Some(3), height, width];
    if dims.is_empty() || fits(&first) {
        return Ok(InputLayout::Nchw);
    }
    if fits(&[None, height, width, Some(3)]) {
        return Ok(InputLayout::Nhwc);
    }
    Err(mismatch("input [N, channels, height, width]", format!("{first:?}"), format!("{dims:?}")))
}

/// Transposes `chip`, [N, C, H, W], for a graph that reads [N, H, W, C].
pub fn transpose(graph: &mut Graph, chip: &str) {
    const TURNED: &str = "facefleet.channels_last";
    for input in
        graph.nodes.iter_mut().flat_map(|node| &mut node.input).filter(|input| *input == chip)
    {
        TURNED.clone_into(input);
    }
    graph.nodes.push(NodeProto::new("Transpose", &[chip], TURNED).with_ints("perm", &[0, 2, 3, 1]));
}

/// Makes the input of a prepared `model` bytes: the pixels as they are, in the planes of `spec`.
/// The graph itself converts, subtracts the mean and scales. A quarter of the bytes then goes to
/// the device, and the results have the same bits.
pub fn read_bytes(model: &mut ModelProto, spec: &InputSpec) {
    let Some(graph) = &mut model.graph else { return };
    let Some(input) = graph.input.first_mut() else { return };
    let pixels = input.name.clone();
    if let Some(tensor) = input.r#type.as_mut().and_then(|kind| kind.tensor_type.as_mut()) {
        tensor.elem_type = data_type::UINT8;
    }
    let named = |step: &str| format!("facefleet.pixels.{step}");
    let cast = NodeProto::new("Cast", &[&pixels], &named("float"))
        .with_int("to", i64::from(data_type::FLOAT));
    let (mut steps, mut last) = (vec![cast], named("float"));
    for (operator, value, neutral) in [("Sub", spec.mean, 0.0), ("Mul", spec.scale, 1.0)] {
        if value == neutral {
            continue;
        }
        let constant = named(&operator.to_lowercase());
        let output = format!("{constant}.done");
        graph.initializer.push(TensorProto::floats(&constant, &[1], &[value]));
        steps.push(NodeProto::new(operator, &[&last, &constant], &output));
        last = output;
    }
    let readers = graph.node.iter_mut().flat_map(|node| &mut node.input);
    readers.filter(|input| **input == pixels).for_each(|input| input.clone_from(&last));
    graph.node.splice(0..0, steps);
}
