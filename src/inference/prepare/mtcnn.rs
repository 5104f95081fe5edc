//! Prepares one of MTCNN's networks. The names of the outputs differ between exporters; their
//! depths do not.

use super::graph::Graph;
use super::{PRODUCER, PrepareError, mismatch, open, prelu};
use crate::inference::manifest::Stage;
use crate::inference::onnx::{Dimension, ModelProto, ValueInfoProto};

/// Names of a prepared network's outputs. The last dimension is the depth.
pub mod outputs {
    /// Corrections of a box's edges, depth 4: left, top, right, bottom.
    pub const OFFSETS: &str = "offsets";
    /// Landmarks, depth 10: five x, then five y. Only the last network has them.
    pub const LANDMARKS: &str = "landmarks";
    /// Confidence that there is no face, and that there is one; depth 2.
    pub const CONFIDENCE: &str = "confidence";
}

impl Stage {
    /// The side of the network's input in pixels; `None` if it accepts images of any size.
    fn side(self) -> Option<i64> {
        match self {
            Self::Proposal => None,
            Self::Refinement => Some(24),
            Self::Output => Some(48),
        }
    }
}

/// Prepares a network of a cascade: its outputs get the names in [`outputs`].
///
/// # Errors
/// If the file is not an ONNX model that can be prepared, or not a network of this stage with the
/// input [N, column, row, channel].
pub fn prepare_stage(published: &[u8], stage: Stage) -> Result<ModelProto, PrepareError> {
    let mut graph = open(published)?;
    let wanted = [None, stage.side(), stage.side(), Some(3)];
    if graph.input.dims() != wanted {
        let layout = "input [N, columns, rows, channels]";
        return Err(mismatch(layout, format!("{wanted:?}"), format!("{:?}", graph.input.dims())));
    }
    let input = graph.input.name.clone();
    let side = |name: &str| stage.side().map_or(Dimension::Param(name.into()), Dimension::Value);
    graph.input = ValueInfoProto::float(
        &input,
        &[Dimension::Param("N".into()), side("W"), side("H"), Dimension::Value(3)],
    );
    name_output(&mut graph, 4, outputs::OFFSETS)?;
    name_output(&mut graph, 2, outputs::CONFIDENCE)?;
    if stage == Stage::Output {
        name_output(&mut graph, 10, outputs::LANDMARKS)?;
    }
    prelu::write_out(&mut graph)?;
    Ok(graph.into_model(PRODUCER)?)
}

fn name_output(graph: &mut Graph, depth: i64, name: &'static str) -> Result<(), PrepareError> {
    let output = graph.outputs.iter().find(|output| output.dims().last() == Some(&Some(depth)));
    let Some(published) = output.map(|output| output.name.clone()) else {
        let depths: Vec<_> =
            graph.outputs.iter().map(|output| output.dims().last().copied().flatten()).collect();
        return Err(mismatch(
            name,
            format!("an output of depth {depth}"),
            format!("outputs of depths {depths:?}"),
        ));
    };
    graph.rename(&published, name);
    Ok(())
}
