//! `Reshape`: target shapes become constants, and leave the batch free.

use super::graph::Graph;
use super::shapes::{Dim, Shapes};
use crate::inference::onnx::{OnnxError, TensorProto};

/// Frees the batch in target shapes that were exported for one image or for `batch` images: such a
/// first dimension becomes 0, "as in the input".
pub fn free_batch(graph: &mut Graph, batch: i64) -> Result<(), OnnxError> {
    let mut freed = Vec::new();
    for node in graph.nodes.iter_mut().filter(|node| node.op_type == "Reshape") {
        let Some(shape) = node.input.get(1).and_then(|name| graph.constants.get(name)) else {
            continue;
        };
        let mut dims = shape.to_i64()?;
        if dims.len() > 1
            && (dims[0] == 1 || dims[0] == batch)
            && dims[0] > 0
            && node.int("allowzero", 0) == 0
        {
            dims[0] = 0;
            // A fixed length after it is that of one image.
            let name = format!("{}.facefleet.free", node.input[1]);
            freed.push(TensorProto::ints(&name, &dims));
            node.input[1] = name;
        }
    }
    freed.into_iter().for_each(|shape| graph.add_constant(shape));
    Ok(())
}

/// Replaces target shapes that the graph computes with constants, where the result is known. The
/// batch becomes 0, "as in the input". The constants' suffix is part of prepared files.
pub fn resolve_reshapes(graph: &mut Graph, shapes: &Shapes) {
    let mut resolved = Vec::new();
    for node in graph
        .nodes
        .iter_mut()
        .filter(|node| node.op_type == "Reshape" && node.int("allowzero", 0) == 0)
    {
        let Some(name) = node.input.get(1).filter(|name| !graph.constants.contains_key(*name))
        else {
            continue;
        };
        let number = |(i, dim): (usize, &Dim)| match *dim {
            Dim::Batch if i == 0 => Some(0),
            Dim::Fixed(value) => Some(value),
            Dim::Batch | Dim::Unknown => None,
        };
        let known = shapes
            .values(name)
            .and_then(|values| values.iter().enumerate().map(number).collect::<Option<Vec<i64>>>());
        if let Some(dims) = known {
            let name = format!("{name}.facefleet.settled");
            resolved.push(TensorProto::ints(&name, &dims));
            node.input[1] = name;
        }
    }
    resolved.into_iter().for_each(|shape| graph.add_constant(shape));
}
