//! Folds constants: `DequantizeLinear` of block-quantised weights, and `Identity`, `Reshape`,
//! `Transpose`, `Squeeze`, `Unsqueeze` and `Cast` of constants, become constants.

use std::collections::HashMap;

use ndarray::ArrayD;

use super::graph::Graph;
use crate::inference::onnx::{NodeProto, OnnxError, TensorProto, data_type};

/// Folds nodes with constant inputs until there are no more. Nodes may be in any order.
pub fn fold_constants(graph: &mut Graph) -> Result<(), OnnxError> {
    loop {
        let mut folded = Vec::new();
        let mut kept = Vec::with_capacity(graph.nodes.len());
        for node in std::mem::take(&mut graph.nodes) {
            match fold(&node, &graph.constants)? {
                Some(tensor) => folded.push(tensor),
                None => kept.push(node),
            }
        }
        graph.nodes = kept;
        if folded.is_empty() {
            return Ok(());
        }
        folded.into_iter().for_each(|tensor| graph.add_constant(tensor));
    }
}

fn fold(
    node: &NodeProto,
    constants: &HashMap<String, TensorProto>,
) -> Result<Option<TensorProto>, OnnxError> {
    let constant = |i: usize| node.input.get(i).and_then(|name| constants.get(name));
    let Some(output) = node.output.first() else { return Ok(None) };
    let tensor = match (node.op_type.as_str(), constant(0), constant(1)) {
        ("DequantizeLinear", Some(values), Some(scale)) => {
            dequantize(node, values, scale, constant(2))?
        }
        ("Reshape", Some(values), Some(shape)) => reshape(node, values, shape)?,
        ("Identity", Some(values), _) => values.clone(),
        ("Transpose", Some(values), _) => transpose(node, values)?,
        ("Cast", Some(values), _) => match cast(node, values)? {
            Some(tensor) => tensor,
            None => return Ok(None),
        },
        ("Squeeze" | "Unsqueeze", Some(values), axes) => match with_other_axes(node, values, axes)?
        {
            Some(tensor) => tensor,
            None => return Ok(None),
        },
        _ => return Ok(None),
    };
    Ok(Some(TensorProto { name: output.clone(), ..tensor }))
}

/// `(values - zero_point) * scale`, with one scale for the tensor, one per index of `axis`, or one
/// per block of `block_size` indices (`DequantizeLinear`, versions 10, 13, 19 and 21).
fn dequantize(
    node: &NodeProto,
    values: &TensorProto,
    scale: &TensorProto,
    zero_point: Option<&TensorProto>,
) -> Result<TensorProto, OnnxError> {
    let shape = values.shape()?;
    let data = values.to_f32()?;
    let scales = scale.to_f32()?;
    let zeros = zero_point.map(TensorProto::to_f32).transpose()?;
    let rank = shape.len() as i64;
    let axis = node.int("axis", 1);
    let axis = usize::try_from(if axis < 0 { axis + rank } else { axis }).unwrap_or(usize::MAX);
    let block = usize::try_from(node.int("block_size", 0)).unwrap_or(0);

    // The tensor as [outer, length along the axis, inner]. There is one scale per block and (outer,
    // inner), one per index of the axis, or one for all.
    let (outer, length, inner) = match shape.get(axis) {
        Some(&length) => (
            shape[..axis].iter().product::<usize>(),
            length,
            shape[axis + 1..].iter().product::<usize>(),
        ),
        None => (1, 1, data.len()),
    };
    let blocks = if block > 0 { length.div_ceil(block) } else { length };
    let scale_index: Box<dyn Fn(usize, usize, usize) -> usize> = if scales.len() == 1 {
        Box::new(|_, _, _| 0)
    } else if block > 0 && scales.len() == outer * blocks * inner {
        Box::new(move |o, a, i| (o * blocks + a / block) * inner + i)
    } else if block == 0 && scales.len() == length {
        Box::new(|_, a, _| a)
    } else {
        return Err(scale.error(format!(
            "has {} scales, which match no quantisation of a tensor of shape {shape:?}",
            scales.len()
        )));
    };
    if zeros.as_ref().is_some_and(|zeros| zeros.len() != scales.len()) {
        return Err(scale.error("has different numbers of scales and zero points"));
    }
    let mut floats = Vec::with_capacity(data.len());
    for o in 0..outer {
        for a in 0..length {
            for i in 0..inner {
                let s = scale_index(o, a, i);
                let zero = zeros.as_ref().map_or(0.0, |zeros| zeros[s]);
                floats.push((data[(o * length + a) * inner + i] - zero) * scales[s]);
            }
        }
    }
    Ok(TensorProto::floats(&values.name, &shape, &floats))
}

fn reshape(
    node: &NodeProto,
    values: &TensorProto,
    shape: &TensorProto,
) -> Result<TensorProto, OnnxError> {
    let old = values.shape()?;
    let elements: usize = old.iter().product();
    let allow_zero = node.int("allowzero", 0) != 0;
    let mut dims = shape.to_i64()?;
    for (i, dim) in dims.iter_mut().enumerate() {
        if *dim == 0 && !allow_zero {
            *dim = old.get(i).map_or(0, |&dim| dim as i64);
        }
    }
    let fixed = dims
        .iter()
        .filter(|&&dim| dim != -1)
        .try_fold(1_i64, |product, &dim| product.checked_mul(dim))
        .unwrap_or(0);
    if let Some(free) = dims.iter_mut().find(|dim| **dim == -1) {
        *free = (elements as i64).checked_div(fixed).unwrap_or(0);
    }
    let reshaped = TensorProto { dims, ..values.clone() };
    if reshaped.shape()?.iter().product::<usize>() == elements {
        return Ok(reshaped);
    }
    Err(values
        .error(format!("has {elements} elements and cannot be reshaped to {:?}", reshaped.dims)))
}

fn transpose(node: &NodeProto, values: &TensorProto) -> Result<TensorProto, OnnxError> {
    let shape = values.shape()?;
    let axes: Vec<usize> = match node.ints("perm") {
        Some(axes) => {
            axes.iter().map(|&axis| usize::try_from(axis).unwrap_or(usize::MAX)).collect()
        }
        None => (0..shape.len()).rev().collect(),
    };
    let mut sorted = axes.clone();
    sorted.sort_unstable();
    if !sorted.into_iter().eq(0..shape.len()) {
        return Err(node.error(format!(
            "its `perm` {axes:?} does not match a tensor of shape \
            {shape:?}"
        )));
    }
    let array = ArrayD::from_shape_vec(shape, values.to_f32()?)
        .map_err(|error| values.error(error.to_string()))?;
    let turned = array.permuted_axes(axes);
    Ok(TensorProto::floats(
        &values.name,
        turned.shape(),
        &turned.iter().copied().collect::<Vec<_>>(),
    ))
}

/// Casts to floats and from integers to 64-bit integers are folded; others are not.
fn cast(node: &NodeProto, values: &TensorProto) -> Result<Option<TensorProto>, OnnxError> {
    let to = i32::try_from(node.int("to", 0)).unwrap_or(0);
    Ok(match to {
        data_type::FLOAT | data_type::FLOAT16 | data_type::BFLOAT16 | data_type::DOUBLE => {
            Some(TensorProto::floats(&values.name, &values.shape()?, &values.to_f32()?))
        }
        data_type::INT64 if !values.is_float() => Some(TensorProto {
            dims: values.dims.clone(),
            ..TensorProto::ints(&values.name, &values.to_i64()?)
        }),
        _ => None,
    })
}

fn with_other_axes(
    node: &NodeProto,
    values: &TensorProto,
    axes: Option<&TensorProto>,
) -> Result<Option<TensorProto>, OnnxError> {
    let axes = match (node.ints("axes"), axes) {
        (Some(axes), _) => axes.to_vec(),
        (None, Some(axes)) => axes.to_i64()?,
        (None, None) => return Ok(None),
    };
    let elements: usize = values.shape()?.iter().product();
    let adds = node.op_type == "Unsqueeze";
    if axes.len() > TensorProto::MAX_RANK {
        return Err(node.error(format!(
            "has {} axes, over the limit of {}",
            axes.len(),
            TensorProto::MAX_RANK
        )));
    }
    let rank = values.dims.len() as i64 + if adds { axes.len() as i64 } else { 0 };
    let axes: Vec<i64> =
        axes.iter().map(|&axis| if axis < 0 { axis.saturating_add(rank) } else { axis }).collect();
    let mut old = values.dims.iter().copied();
    let dims: Vec<i64> = if adds {
        (0..rank).filter_map(|i| if axes.contains(&i) { Some(1) } else { old.next() }).collect()
    } else {
        (0..rank).zip(old).filter(|(i, _)| !axes.contains(i)).map(|(_, dim)| dim).collect()
    };
    let changed = TensorProto { dims, ..values.clone() };
    if changed.shape()?.iter().product::<usize>() == elements {
        return Ok(Some(changed));
    }
    Err(node.error(format!("its axes {axes:?} do not match a tensor of shape {:?}", values.dims)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn int8(dims: &[i64], values: &[i8]) -> TensorProto {
        let raw_data = values.iter().map(|value| value.cast_unsigned()).collect();
        TensorProto {
            name: "w".into(),
            dims: dims.to_vec(),
            data_type: data_type::INT8,
            raw_data,
            ..TensorProto::default()
        }
    }

    #[test]
    fn blocks_take_their_own_scale_and_zero_point() {
        let node = NodeProto::new("DequantizeLinear", &["w", "s", "z"], "y")
            .with_int("axis", 1)
            .with_int("block_size", 2);
        let values = int8(&[2, 3], &[1, 2, 3, 4, 5, 6]);
        let scale = TensorProto::floats("s", &[2, 2], &[1.0, 10.0, 100.0, 1000.0]);
        let zeros = TensorProto { name: "z".into(), ..int8(&[2, 2], &[0, 1, 0, 0]) };
        let folded = dequantize(&node, &values, &scale, Some(&zeros)).unwrap();
        assert_eq!(folded.to_f32().unwrap(), [1.0, 2.0, 20.0, 400.0, 500.0, 6000.0]);
    }

    #[test]
    fn one_scale_per_channel_and_one_for_all() {
        let node = NodeProto::new("DequantizeLinear", &["w", "s"], "y").with_int("axis", 0);
        let values = int8(&[2, 2], &[1, 2, 3, 4]);
        let per_channel = TensorProto::floats("s", &[2], &[1.0, 10.0]);
        assert_eq!(
            dequantize(&node, &values, &per_channel, None).unwrap().to_f32().unwrap(),
            [1.0, 2.0, 30.0, 40.0]
        );
        let one = TensorProto::floats("s", &[], &[2.0]);
        assert_eq!(
            dequantize(&node, &values, &one, None).unwrap().to_f32().unwrap(),
            [2.0, 4.0, 6.0, 8.0]
        );
        let wrong = TensorProto::floats("s", &[3], &[1.0; 3]);
        assert!(dequantize(&node, &values, &wrong, None).is_err());
    }

    #[test]
    fn a_reshape_of_a_constant_fills_its_free_dimension() {
        let values = TensorProto::floats("w", &[2, 6], &[0.0; 12]);
        let node = NodeProto::new("Reshape", &["w", "shape"], "y");
        let reshaped = reshape(&node, &values, &TensorProto::ints("shape", &[0, -1, 3])).unwrap();
        assert_eq!(reshaped.dims, [2, 2, 3]);
        assert!(reshape(&node, &values, &TensorProto::ints("shape", &[5])).is_err());
    }

    #[test]
    fn renamed_transposed_and_cast_constants_become_what_comes_out() {
        let matrix = TensorProto::floats("w", &[2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        let constants = HashMap::from([
            ("w".to_owned(), matrix),
            ("axes".to_owned(), TensorProto::ints("axes", &[-1])),
        ]);
        let turned = fold(&NodeProto::new("Transpose", &["w"], "y"), &constants).unwrap().unwrap();
        assert_eq!((turned.name.as_str(), turned.dims.as_slice()), ("y", &[3, 2][..]));
        assert_eq!(turned.to_f32().unwrap(), [1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
        let wider =
            fold(&NodeProto::new("Unsqueeze", &["w", "axes"], "y"), &constants).unwrap().unwrap();
        assert_eq!(wider.dims, [2, 3, 1]);
        let cast =
            NodeProto::new("Cast", &["w"], "y").with_int("to", i64::from(data_type::FLOAT16));
        assert_eq!(
            fold(&cast, &constants).unwrap().unwrap().data_type,
            data_type::FLOAT,
            "all is computed in 32 bits"
        );
        assert!(fold(&NodeProto::new("Identity", &["x"], "y"), &constants).unwrap().is_none());
    }

    #[test]
    fn more_axes_than_a_tensor_can_have_are_refused() {
        let constants = HashMap::from([("w".to_owned(), TensorProto::floats("w", &[], &[1.0]))]);
        let axes: Vec<i64> = (0..65).collect();
        let error =
            fold(&NodeProto::new("Unsqueeze", &["w"], "y").with_ints("axes", &axes), &constants)
                .unwrap_err();
        assert!(error.to_string().contains("'y' (Unsqueeze): has 65 axes"), "{error}");
    }
}
