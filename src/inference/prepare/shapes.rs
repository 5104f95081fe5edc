//! Shapes of the tensors inside a graph, as far as they follow from the input's and the weights'.
//! What is not known is left out: nothing relies on a shape that is not there.

use std::collections::HashMap;

use super::graph::Graph;
use crate::inference::onnx::{NodeProto, OnnxError, TensorProto, data_type};

/// A dimension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dim {
    /// The number of chips in the batch.
    Batch,
    /// A number.
    Fixed(i64),
    /// Not known.
    Unknown,
}

/// The longest list that is followed, of values or of dimensions. Exporters compute shapes, of a
/// handful of dimensions; a damaged graph may double a list with every node.
const LONGEST: usize = 64;

/// What is known of a graph's tensors.
#[derive(Debug, Default)]
pub struct Shapes {
    shapes: HashMap<String, Vec<Dim>>,
    /// Values of small integer tensors, which often are shapes.
    values: HashMap<String, Vec<Dim>>,
}

impl Shapes {
    /// Follows the shapes through `graph`, whose input has the shape `input`.
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
        // Nodes need not be in order.
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

    /// The values of an integer tensor.
    pub fn values(&self, name: &str) -> Option<&[Dim]> {
        self.values.get(name).map(Vec::as_slice)
    }

    /// The shape of a tensor [batch, channels, height, width] without the batch.
    pub fn map(&self, name: &str) -> Option<[usize; 3]> {
        let [Dim::Batch, Dim::Fixed(c), Dim::Fixed(h), Dim::Fixed(w)] = *self.of(name)? else {
            return None;
        };
        Some([usize::try_from(c).ok()?, usize::try_from(h).ok()?, usize::try_from(w).ok()?])
    }

    /// Whether all that can be told of the node's output is told.
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

    fn input(&self, node: &NodeProto, i: usize) -> Option<&[Dim]> {
        node.input.get(i).and_then(|name| self.of(name))
    }

    /// An attribute of old operator sets that became an input.
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

    fn shape_after(&self, node: &NodeProto) -> Option<Vec<Dim>> {
        let x = self.input(node, 0);
        match node.op_type.as_str() {
            "Conv" => window(
                node,
                x?,
                self.input(node, 1)?.get(2..)?,
                Some(*self.input(node, 1)?.first()?),
            ),
            "MaxPool" | "AveragePool" => {
                let kernel: Vec<Dim> =
                    node.ints("kernel_shape")?.iter().map(|&side| Dim::Fixed(side)).collect();
                window(node, x?, &kernel, None)
            }
            "GlobalAveragePool" | "GlobalMaxPool" => {
                let keep = |(i, &dim): (usize, &Dim)| if i < 2 { dim } else { Dim::Fixed(1) };
                Some(x?.iter().enumerate().map(keep).collect())
            }
            "BatchNormalization"
            | "Cast"
            | "Clip"
            | "Dropout"
            | "Elu"
            | "HardSigmoid"
            | "HardSwish"
            | "Identity"
            | "InstanceNormalization"
            | "LeakyRelu"
            | "LpNormalization"
            | "PRelu"
            | "Relu"
            | "Sigmoid"
            | "Softplus"
            | "Sqrt"
            | "Tanh"
            | "Abs"
            | "Exp"
            | "Neg"
            | "Reciprocal" => Some(x?.to_vec()),
            "Add" | "Sub" | "Mul" | "Div" | "Pow" | "Max" | "Min" => {
                let others = (1..node.input.len()).map(|i| self.input(node, i));
                others.fold(x.map(<[Dim]>::to_vec), |shape, other| broadcast(&shape?, other?))
            }
            "ReduceMean" | "ReduceMax" | "ReduceSum" => {
                let (x, axes) = (x?, self.list(node, "axes", 1)?);
                let axes: Vec<usize> =
                    axes.iter().map(|&axis| position(axis, x.len())).collect::<Option<_>>()?;
                let kept = node.int("keepdims", 1) != 0;
                let dims = x.iter().enumerate().filter(|(i, _)| kept || !axes.contains(i));
                Some(
                    dims.map(|(i, dim)| if axes.contains(&i) { Dim::Fixed(1) } else { *dim })
                        .collect(),
                )
            }
            "Flatten" => flatten(x?, node.int("axis", 1)),
            "Reshape" => {
                reshape(x?, self.values(node.input.get(1)?)?, node.int("allowzero", 0) != 0)
            }
            "Gemm" => {
                let (rows, columns) = (x?.first()?, self.input(node, 1)?);
                let column =
                    if node.int("transB", 0) != 0 { columns.first()? } else { columns.get(1)? };
                (node.int("transA", 0) == 0).then(|| vec![*rows, *column])
            }
            "MatMul" => {
                let (x, matrix) = (x?, self.input(node, 1)?);
                let [.., columns] = matrix else { return None };
                (matrix.len() == 2 && x.len() >= 2)
                    .then(|| [&x[..x.len() - 1], &[*columns]].concat())
            }
            "Transpose" => {
                let axes: Vec<i64> = match node.ints("perm") {
                    Some(axes) => axes.to_vec(),
                    None => (0..x?.len() as i64).rev().collect(),
                };
                axes.iter().map(|&axis| x?.get(usize::try_from(axis).ok()?).copied()).collect()
            }
            "Squeeze" => squeeze(x?, &self.list(node, "axes", 1)?),
            "Unsqueeze" => unsqueeze(x?, &self.list(node, "axes", 1)?),
            "Concat" => self.concat(node),
            "Pad" => {
                let (x, pads) = (x?, self.list(node, "pads", 1)?);
                (pads.len() == 2 * x.len()).then(|| {
                    let padded = |(i, dim): (usize, &Dim)| {
                        shifted(*dim, pads[i].saturating_add(pads[i + x.len()]))
                    };
                    x.iter().enumerate().map(padded).collect()
                })
            }
            _ => None,
        }
    }

    fn concat(&self, node: &NodeProto) -> Option<Vec<Dim>> {
        let mut joined = self.input(node, 0)?.to_vec();
        let axis = position(node.int("axis", 1), joined.len())?;
        for i in 1..node.input.len() {
            joined[axis] = match (joined[axis], *self.input(node, i)?.get(axis)?) {
                (Dim::Fixed(a), Dim::Fixed(b)) => Dim::Fixed(a.saturating_add(b)),
                _ => Dim::Unknown,
            };
        }
        Some(joined)
    }

    /// Integer tensors that exporters compute shapes with.
    fn values_after(&self, node: &NodeProto) -> Option<Vec<Dim>> {
        let of = |i: usize| node.input.get(i).and_then(|name| self.values(name));
        match node.op_type.as_str() {
            "Shape" if node.attribute.is_empty() => Some(self.input(node, 0)?.to_vec()),
            "Gather" if node.int("axis", 0) == 0 => {
                let (values, places) = (of(0)?, of(1)?);
                let pick = |place: &Dim| {
                    let Dim::Fixed(place) = *place else { return None };
                    values.get(position(place, values.len())?).copied()
                };
                places.iter().map(pick).collect()
            }
            "Slice" => {
                let values = of(0)?;
                let end = |list: Vec<i64>| {
                    (list.len() == 1)
                        .then(|| list[0].clamp(-(values.len() as i64), values.len() as i64))
                };
                let place = |at: i64| {
                    usize::try_from(if at < 0 { at + values.len() as i64 } else { at }).ok()
                };
                let (from, to) = (
                    place(end(self.list(node, "starts", 1)?)?)?,
                    place(end(self.list(node, "ends", 2)?)?)?,
                );
                let steps = self.list(node, "steps", 4).unwrap_or_else(|| vec![1]);
                (steps == [1])
                    .then(|| values.get(from..to.max(from)).map(<[Dim]>::to_vec))
                    .flatten()
            }
            "Unsqueeze" | "Squeeze" | "Cast" | "Identity" => Some(of(0)?.to_vec()),
            "Concat" => {
                let parts = (0..node.input.len()).map(of).collect::<Option<Vec<_>>>()?;
                (parts.iter().map(|part| part.len()).sum::<usize>() <= LONGEST)
                    .then(|| parts.concat())
            }
            "Mul" | "Add" | "Sub" | "Div" => match (of(0)?, of(1)?) {
                ([Dim::Fixed(a)], [Dim::Fixed(b)]) => {
                    Some(vec![Dim::Fixed(match node.op_type.as_str() {
                        "Mul" => a.checked_mul(*b)?,
                        "Add" => a.checked_add(*b)?,
                        "Sub" => a.checked_sub(*b)?,
                        _ => a.checked_div(*b)?,
                    })])
                }
                _ => None,
            },
            _ => None,
        }
    }
}

/// Where reshapes take their shape from a computation whose result is known, they get it as a
/// constant. The batch becomes 0, "as in the input".
///
/// # Errors
/// If a constant is damaged.
pub fn settle_reshapes(graph: &mut Graph, shapes: &Shapes) {
    let mut settled = Vec::new();
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
            settled.push(TensorProto::ints(&name, &dims));
            node.input[1] = name;
        }
    }
    settled.into_iter().for_each(|shape| graph.add_constant(shape));
}

fn position(axis: i64, rank: usize) -> Option<usize> {
    let axis = if axis < 0 { axis.saturating_add(rank as i64) } else { axis };
    usize::try_from(axis).ok().filter(|&axis| axis < rank)
}

fn shifted(dim: Dim, by: i64) -> Dim {
    match dim {
        Dim::Fixed(value) => Dim::Fixed(value.saturating_add(by)),
        other if by == 0 => other,
        _ => Dim::Unknown,
    }
}

/// Convolutions and pools.
fn window(node: &NodeProto, x: &[Dim], kernel: &[Dim], channels: Option<Dim>) -> Option<Vec<Dim>> {
    let [batch, have, sides @ ..] = x else { return None };
    let at = |name: &str, i: usize, default: i64| {
        node.ints(name).and_then(|list| list.get(i)).copied().unwrap_or(default)
    };
    let auto = node.attribute("auto_pad").map_or(&b"NOTSET"[..], |attribute| &attribute.s);
    let side = |(i, (side, kernel)): (usize, (&Dim, &Dim))| {
        let (Dim::Fixed(side), Dim::Fixed(kernel)) = (*side, *kernel) else { return Dim::Unknown };
        let (stride, dilation) = (at("strides", i, 1).max(1), at("dilations", i, 1));
        let pads = match auto {
            b"SAME_UPPER" | b"SAME_LOWER" => {
                return Dim::Fixed(side.saturating_add(stride - 1) / stride);
            }
            b"VALID" => 0,
            _ => at("pads", i, 0).saturating_add(at("pads", i + sides.len(), 0)),
        };
        // A damaged file may say anything: what is absurd is not known.
        let covered = dilation.saturating_mul(kernel.saturating_sub(1)).saturating_add(1);
        let room = side.saturating_add(pads).saturating_sub(covered);
        let rounding = if node.int("ceil_mode", 0) != 0 { stride - 1 } else { 0 };
        if room < 0 {
            Dim::Unknown
        } else {
            Dim::Fixed((room.saturating_add(rounding) / stride).saturating_add(1))
        }
    };
    (kernel.len() == sides.len()).then(|| {
        let sides = sides.iter().zip(kernel).enumerate().map(side);
        [*batch, channels.unwrap_or(*have)].into_iter().chain(sides).collect()
    })
}

fn broadcast(a: &[Dim], b: &[Dim]) -> Option<Vec<Dim>> {
    let rank = a.len().max(b.len());
    let at = |shape: &[Dim], i: usize| {
        (i + shape.len()).checked_sub(rank).map_or(Dim::Fixed(1), |i| shape[i])
    };
    let join = |i: usize| match (at(a, i), at(b, i)) {
        (Dim::Fixed(1), other) | (other, Dim::Fixed(1)) => Some(other),
        (a, b) if a == b => Some(a),
        (Dim::Unknown, _) | (_, Dim::Unknown) => Some(Dim::Unknown),
        _ => None,
    };
    (0..rank).map(join).collect()
}

fn product(dims: &[Dim]) -> Option<i64> {
    dims.iter().try_fold(1_i64, |product, dim| {
        if let Dim::Fixed(dim) = dim { product.checked_mul(*dim) } else { None }
    })
}

fn flatten(x: &[Dim], axis: i64) -> Option<Vec<Dim>> {
    match axis {
        1 => Some(vec![*x.first()?, product(&x[1..]).map_or(Dim::Unknown, Dim::Fixed)]),
        _ => None,
    }
}

/// A batch of one that was written into the shape stands for any batch.
fn reshape(x: &[Dim], wanted: &[Dim], allow_zero: bool) -> Option<Vec<Dim>> {
    let batched = x.first() == Some(&Dim::Batch);
    let per_chip = if batched { product(&x[1..]) } else { product(x) };
    let mut dims = wanted.to_vec();
    for (i, dim) in dims.iter_mut().enumerate() {
        match *dim {
            Dim::Fixed(0) if !allow_zero => *dim = *x.get(i)?,
            Dim::Fixed(1) if i == 0 && batched => *dim = Dim::Batch,
            _ => {}
        }
    }
    let fixed: Option<i64> = dims.iter().try_fold(1_i64, |product, dim| match dim {
        Dim::Batch | Dim::Fixed(-1) => Some(product),
        Dim::Fixed(dim) => product.checked_mul(*dim),
        Dim::Unknown => None,
    });
    if let Some(free) = dims.iter().position(|dim| *dim == Dim::Fixed(-1)) {
        let (all, fixed) = (per_chip?, fixed?);
        let takes_batch = batched && !dims.contains(&Dim::Batch);
        dims[free] = match all.checked_div(fixed) {
            Some(1) if takes_batch && all == fixed => Dim::Batch,
            Some(value) if !takes_batch && value * fixed == all => Dim::Fixed(value),
            _ => Dim::Unknown,
        };
    }
    Some(dims)
}

fn squeeze(x: &[Dim], axes: &[i64]) -> Option<Vec<Dim>> {
    let axes: Vec<usize> =
        axes.iter().map(|&axis| position(axis, x.len())).collect::<Option<_>>()?;
    Some(x.iter().enumerate().filter(|(i, _)| !axes.contains(i)).map(|(_, dim)| *dim).collect())
}

fn unsqueeze(x: &[Dim], axes: &[i64]) -> Option<Vec<Dim>> {
    let rank = x.len() + axes.len();
    let axes: Vec<usize> = axes.iter().map(|&axis| position(axis, rank)).collect::<Option<_>>()?;
    let mut rest = x.iter();
    (0..rank)
        .map(|i| if axes.contains(&i) { Some(Dim::Fixed(1)) } else { rest.next().copied() })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inference::onnx::{GraphProto, ModelProto, ValueInfoProto};

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
