//! The values of small integer tensors, from which exporters compute shapes.

use super::{Dim, LONGEST, Shapes, position};
use crate::inference::onnx::NodeProto;

impl Shapes {
    /// The values of the node's first output, if they are known.
    pub(super) fn values_after(&self, node: &NodeProto) -> Option<Vec<Dim>> {
        let of = |i: usize| node.input.get(i).and_then(|name| self.values(name));
        match node.op_type.as_str() {
            "Shape" if node.attribute.is_empty() => Some(self.input(node, 0)?.to_vec()),
            "Gather" if node.int("axis", 0) == 0 => {
                let (values, indices) = (of(0)?, of(1)?);
                let pick = |index: &Dim| {
                    let Dim::Fixed(index) = *index else { return None };
                    values.get(position(index, values.len())?).copied()
                };
                indices.iter().map(pick).collect()
            }
            "Slice" => {
                let values = of(0)?;
                let end = |list: Vec<i64>| {
                    (list.len() == 1)
                        .then(|| list[0].clamp(-(values.len() as i64), values.len() as i64))
                };
                let index = |at: i64| {
                    usize::try_from(if at < 0 { at + values.len() as i64 } else { at }).ok()
                };
                let (from, to) = (
                    index(end(self.list(node, "starts", 1)?)?)?,
                    index(end(self.list(node, "ends", 2)?)?)?,
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
