//! One rule per operator: the shape of its output from the shapes of its inputs. `None` means
//! unknown.

use super::{Dim, Shapes, position};
use crate::inference::onnx::NodeProto;

impl Shapes {
    /// The shape of the node's first output, if it is known.
    pub(super) fn shape_after(&self, node: &NodeProto) -> Option<Vec<Dim>> {
        let x = || self.input(node, 0);
        match node.op_type.as_str() {
            "Conv" | "MaxPool" | "AveragePool" | "GlobalAveragePool" | "GlobalMaxPool" => {
                self.after_window(node)
            }
            "Abs"
            | "BatchNormalization"
            | "Cast"
            | "Clip"
            | "Dropout"
            | "Elu"
            | "Exp"
            | "HardSigmoid"
            | "HardSwish"
            | "Identity"
            | "InstanceNormalization"
            | "LeakyRelu"
            | "LpNormalization"
            | "Neg"
            | "PRelu"
            | "Reciprocal"
            | "Relu"
            | "Sigmoid"
            | "Softplus"
            | "Sqrt"
            | "Tanh" => Some(x()?.to_vec()),
            "Add" | "Sub" | "Mul" | "Div" | "Pow" | "Max" | "Min" => {
                let others = (1..node.input.len()).map(|i| self.input(node, i));
                others.fold(x().map(<[Dim]>::to_vec), |shape, other| broadcast(&shape?, other?))
            }
            "ReduceMean" | "ReduceMax" | "ReduceSum" => {
                reduce(x()?, &self.list(node, "axes", 1)?, node.int("keepdims", 1) != 0)
            }
            "Gemm" | "MatMul" => self.after_product(node),
            "Flatten" => flatten(x()?, node.int("axis", 1)),
            "Reshape" => {
                reshape(x()?, self.values(node.input.get(1)?)?, node.int("allowzero", 0) != 0)
            }
            "Transpose" => transpose(x()?, node.ints("perm")),
            "Squeeze" => squeeze(x()?, &self.list(node, "axes", 1)?),
            "Unsqueeze" => unsqueeze(x()?, &self.list(node, "axes", 1)?),
            "Concat" => self.concat(node),
            "Pad" => pad(x()?, &self.list(node, "pads", 1)?),
            _ => None,
        }
    }

    fn after_window(&self, node: &NodeProto) -> Option<Vec<Dim>> {
        let x = self.input(node, 0)?;
        match node.op_type.as_str() {
            "Conv" => {
                let weights = self.input(node, 1)?;
                window(node, x, weights.get(2..)?, Some(*weights.first()?))
            }
            "MaxPool" | "AveragePool" => {
                let kernel: Vec<Dim> =
                    node.ints("kernel_shape")?.iter().map(|&side| Dim::Fixed(side)).collect();
                window(node, x, &kernel, None)
            }
            _ => {
                let keep = |(i, &dim): (usize, &Dim)| if i < 2 { dim } else { Dim::Fixed(1) };
                Some(x.iter().enumerate().map(keep).collect())
            }
        }
    }

    fn after_product(&self, node: &NodeProto) -> Option<Vec<Dim>> {
        let (x, matrix) = (self.input(node, 0)?, self.input(node, 1)?);
        if node.op_type == "Gemm" {
            let column =
                if node.int("transB", 0) != 0 { matrix.first()? } else { matrix.get(1)? };
            let row = x.first()?;
            return (node.int("transA", 0) == 0).then(|| vec![*row, *column]);
        }
        let [.., columns] = matrix else { return None };
        (matrix.len() == 2 && x.len() >= 2).then(|| [&x[..x.len() - 1], &[*columns]].concat())
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
}

fn reduce(x: &[Dim], axes: &[i64], keep: bool) -> Option<Vec<Dim>> {
    let axes: Vec<usize> =
        axes.iter().map(|&axis| position(axis, x.len())).collect::<Option<_>>()?;
    let dims = x.iter().enumerate().filter(|(i, _)| keep || !axes.contains(i));
    Some(dims.map(|(i, dim)| if axes.contains(&i) { Dim::Fixed(1) } else { *dim }).collect())
}

fn transpose(x: &[Dim], perm: Option<&[i64]>) -> Option<Vec<Dim>> {
    match perm {
        Some(axes) => {
            axes.iter().map(|&axis| x.get(usize::try_from(axis).ok()?).copied()).collect()
        }
        None => Some(x.iter().rev().copied().collect()),
    }
}

fn pad(x: &[Dim], pads: &[i64]) -> Option<Vec<Dim>> {
    (pads.len() == 2 * x.len()).then(|| {
        let padded =
            |(i, dim): (usize, &Dim)| shifted(*dim, pads[i].saturating_add(pads[i + x.len()]));
        x.iter().enumerate().map(padded).collect()
    })
}

fn shifted(dim: Dim, by: i64) -> Dim {
    match dim {
        Dim::Fixed(value) => Dim::Fixed(value.saturating_add(by)),
        other if by == 0 => other,
        _ => Dim::Unknown,
    }
}

/// The output of a convolution or pool.
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
        // A damaged file may have any number here. Out of range means unknown.
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

/// A batch of one in the target shape stands for any batch.
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
