//! The graph's input: its declared batch, and the layout of its dimensions.

use super::graph::Graph;
use super::{PrepareError, mismatch};
use crate::inference::onnx::NodeProto;

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
