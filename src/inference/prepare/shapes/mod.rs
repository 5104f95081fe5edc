//! The shapes of inner tensors, as far as they follow from the input and the weights. Unknown
//! shapes are left out.

mod rules;
mod values;

use std::collections::HashMap;

use super::graph::Graph;
use crate::inference::onnx::{NodeProto, OnnxError, data_type};

/// A dimension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dim {
    /// The number of chips in the batch.
    Batch,
    /// A fixed number.
    Fixed(i64),
    /// Unknown.
    Unknown,
}

/// The most values or dimensions that are followed. Exporters compute with shapes of a few
/// dimensions; a damaged graph may double a list in every node.
const LONGEST: usize = 64;

/// The known shapes and values of a graph's tensors.
#[derive(Debug, Default)]
pub struct Shapes {
    shapes: HashMap<String, Vec<Dim>>,
    /// Values of small integer tensors, many of which are shapes.
    values: HashMap<String, Vec<Dim>>,
}

impl Shapes {
    /// Infers the shapes in `graph`, whose input has the shape `input`.
    ///
    /// # Errors
    /// If a constant is damaged.
    pub fn infer(graph: &Graph, input: &[Dim]) -> Result<Self, OnnxError> {
        let mut shapes = Self::default();
        shapes.shapes.insert(graph.input.name.clone(), input.to_vec());
        for (name, constant) in &graph.constants {
            let shape = constant.shape()?;
            let short = shape.first().is_none_or(|&length| length <= LONGEST);
            if constant.data_type == data_type::INT64 && shape.len() <= 1 && short {
                shapes
                    .values
                    .insert(name.clone(), constant.to_i64()?.into_iter().map(Dim::Fixed).collect());
            }
            shapes.shapes.insert(
                name.clone(),
                shape.into_iter().map(|dim| Dim::Fixed(dim as i64)).collect(),
            );
        }
        // Nodes may be in any order.
        let mut waiting: Vec<&NodeProto> = graph.nodes.iter().collect();
        loop {
            let before = waiting.len();
            waiting.retain(|node| !shapes.follow(node));
            if waiting.len() == before || waiting.is_empty() {
                return Ok(shapes);
            }
        }
    }

    /// The shape of tensor `name`.
    pub fn of(&self, name: &str) -> Option<&[Dim]> {
        self.shapes.get(name).map(Vec::as_slice)
    }

    /// The values of the integer tensor `name`.
    pub fn values(&self, name: &str) -> Option<&[Dim]> {
        self.values.get(name).map(Vec::as_slice)
    }

    /// Channels, height and width of a tensor [batch, channels, height, width].
    pub fn map(&self, name: &str) -> Option<[usize; 3]> {
        let [Dim::Batch, Dim::Fixed(c), Dim::Fixed(h), Dim::Fixed(w)] = *self.of(name)? else {
            return None;
        };
        Some([usize::try_from(c).ok()?, usize::try_from(h).ok()?, usize::try_from(w).ok()?])
    }

    /// Infers shape and values of the node's first output. Returns whether the node is done.
    fn follow(&mut self, node: &NodeProto) -> bool {
        let Some(output) = node.output.first() else { return true };
        if let Some(values) = self.values_after(node).filter(|values| values.len() <= LONGEST) {
            self.values.insert(output.clone(), values);
        }
        match self.shape_after(node).filter(|shape| shape.len() <= LONGEST) {
            Some(shape) => {
                self.shapes.insert(output.clone(), shape);
                true
            }
            None => self.values.contains_key(output),
        }
    }

    /// The shape of the node's input `i`.
    fn input(&self, node: &NodeProto, i: usize) -> Option<&[Dim]> {
        node.input.get(i).and_then(|name| self.of(name))
    }

    /// A list that is an attribute in old operator sets and the input `i` in newer ones.
    fn list(&self, node: &NodeProto, attribute: &str, i: usize) -> Option<Vec<i64>> {
        if let Some(ints) = node.ints(attribute) {
            return (ints.len() <= LONGEST).then(|| ints.to_vec());
        }
        let values = node.input.get(i).and_then(|name| self.values(name))?;
        values
            .iter()
            .map(|dim| if let Dim::Fixed(value) = dim { Some(*value) } else { None })
            .collect()
    }
}

fn position(axis: i64, rank: usize) -> Option<usize> {
    let axis = if axis < 0 { axis.saturating_add(rank as i64) } else { axis };
    usize::try_from(axis).ok().filter(|&axis| axis < rank)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inference::onnx::{GraphProto, ModelProto, TensorProto, ValueInfoProto};

    #[test]
    fn lists_that_double_with_every_node_are_not_followed() {
        let names: Vec<String> = (0..=12).map(|i| format!("list{i}")).collect();
        let mut node = vec![NodeProto::new("Relu", &["data"], "y")];
        node.extend(names.windows(2).map(|pair| {
            NodeProto::new("Concat", &[&pair[0], &pair[0]], &pair[1]).with_int("axis", 0)
        }));
        let graph = GraphProto {
            node,
            initializer: vec![
                TensorProto::ints(&names[0], &[7]),
                TensorProto::ints("long", &[1; LONGEST + 1]),
            ],
            input: vec![ValueInfoProto::float("data", &[])],
            ..GraphProto::default()
        };
        let graph = Graph::new(ModelProto { graph: Some(graph), ..ModelProto::default() }).unwrap();
        let shapes = Shapes::infer(&graph, &[Dim::Batch]).unwrap();
        assert_eq!(shapes.values("list6"), Some(&[Dim::Fixed(7); 64][..]));
        assert_eq!(
            (shapes.values("list7"), shapes.values("list12"), shapes.values("long")),
            (None, None, None)
        );
        assert_eq!(shapes.of("list12"), Some(&[Dim::Fixed(1 << 12)][..]));
    }
}
