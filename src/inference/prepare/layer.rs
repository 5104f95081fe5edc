//! Linear layers (`Gemm`, `MatMul`, `Conv`) as `A x + c` over flattened features, and the steps
//! after them that are affine in each dimension of the embedding (`Add`, `Sub`, `Mul`, `Div`,
//! `BatchNormalization`). All in f64.

use ndarray::{Array1, Array2};

use super::batch_norm::{self, ScaleShift};
use super::graph::Graph;
use super::shapes::Shapes;
use crate::inference::onnx::{NodeProto, OnnxError, TensorProto};

/// The most weights in a last layer that is a convolution: a small kernel over a large map must not
/// fill the memory. The full convolution of `MobileFaceNet` has 13 million.
const MAX_ELEMENTS: usize = 1 << 27;

/// A linear layer.
#[derive(Debug)]
pub struct Layer {
    /// Name of the tensor that the layer reads.
    pub data: String,
    /// Whether that tensor has more dimensions than [N, F].
    pub flatten: bool,
    /// `A`, [D, F].
    pub weights: Array2<f64>,
    /// `c`, `[D]`.
    pub bias: Array1<f64>,
}

impl Layer {
    /// Folds a later step into the layer.
    ///
    /// # Errors
    /// If the step has another number of dimensions.
    pub fn apply(&mut self, step: &Step) -> Result<(), OnnxError> {
        let size = self.bias.len();
        let fits = |values: &[f64]| values.len() == 1 || values.len() == size;
        if !fits(&step.scale) || !fits(&step.shift) {
            let reason = format!(
                "has {} values where the embedding has {size}",
                step.scale.len().max(step.shift.len())
            );
            return Err(OnnxError::Node { name: step.name.clone(), op: step.op.clone(), reason });
        }
        let at = |values: &[f64], d: usize| if values.len() == 1 { values[0] } else { values[d] };
        for (d, mut row) in self.weights.rows_mut().into_iter().enumerate() {
            let factor = at(&step.scale, d);
            row.mapv_inplace(|a| a * factor);
            self.bias[d] = self.bias[d] * factor + at(&step.shift, d);
        }
        Ok(())
    }
}

/// `x * scale + shift` in each dimension. A single value applies to all of them.
#[derive(Debug)]
pub struct Step {
    name: String,
    op: String,
    scale: Vec<f64>,
    shift: Vec<f64>,
}

impl Step {
    /// Scale and shift, averaged over the dimensions.
    pub fn average(&self) -> (f64, f64) {
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
        (mean(&self.scale), mean(&self.shift))
    }

    /// Whether the step only changes the length of the embedding.
    pub fn is_plain_scale(&self) -> bool {
        let first = self.scale.first().copied().unwrap_or(0.0);
        first > 0.0
            && self.scale.iter().all(|&scale| scale == first)
            && self.shift.iter().all(|&shift| shift == 0.0)
    }
}

/// `node` as an affine step, and the tensor that it reads; `None` if it is not such a step.
///
/// # Errors
/// If a constant is damaged.
pub fn step<'a>(graph: &Graph, node: &'a NodeProto) -> Result<Option<(Step, &'a str)>, OnnxError> {
    let step = |scale, shift| Step {
        name: node.label().to_owned(),
        op: node.op_type.clone(),
        scale,
        shift,
    };
    if node.op_type == "BatchNormalization" {
        let [data, parameters @ ..] = node.input.as_slice() else { return Ok(None) };
        for name in parameters {
            check_vector(node, constant(graph, node, name)?)?;
        }
        let folded = batch_norm::scale_shift(graph, node)?;
        return Ok(
            folded.map(|ScaleShift { scale, shift, .. }| (step(scale, shift), data.as_str()))
        );
    }
    let [a, b] = node.input.as_slice() else { return Ok(None) };
    let (data, constant, swapped) =
        match (graph.constants.contains_key(a), graph.constants.contains_key(b)) {
            (false, true) => (a, b, false),
            (true, false) => (b, a, true),
            _ => return Ok(None),
        };
    let values = || vector(graph, node, constant);
    let negated = |values: Vec<f64>| values.into_iter().map(|value| -value).collect();
    Ok(match (node.op_type.as_str(), swapped) {
        ("Add", _) => Some((step(vec![1.0], values()?), data)),
        ("Sub", false) => Some((step(vec![1.0], negated(values()?)), data)),
        ("Sub", true) => Some((step(vec![-1.0], values()?), data)),
        ("Mul", _) => Some((step(values()?, vec![0.0]), data)),
        ("Div", false) => {
            Some((step(values()?.into_iter().map(|value| 1.0 / value).collect(), vec![0.0]), data))
        }
        _ => None,
    })
}

/// `Gemm` or `MatMul` as a layer.
///
/// # Errors
/// If its weights are not constants, or do not match its input.
pub fn product(graph: &Graph, shapes: &Shapes, node: &NodeProto) -> Result<Layer, OnnxError> {
    let [data, matrix, ..] = node.input.as_slice() else {
        return Err(node.error("has fewer than two inputs"));
    };
    let gemm = node.op_type == "Gemm";
    if gemm && node.int("transA", 0) != 0 {
        return Err(node.error(
            "reads the features transposed; export the last layer as a plain linear layer",
        ));
    }
    let (alpha, beta) = if gemm {
        (f64::from(node.float("alpha", 1.0)), f64::from(node.float("beta", 1.0)))
    } else {
        (1.0, 1.0)
    };
    let weights = weights(graph, node, matrix, gemm && node.int("transB", 0) != 0)? * alpha;
    let bias = match node.input.get(2).filter(|name| gemm && !name.is_empty()) {
        None => Array1::zeros(weights.nrows()),
        Some(name) => match vector(graph, node, name)?.as_slice() {
            [value] => Array1::from_elem(weights.nrows(), value * beta),
            values if values.len() == weights.nrows() => {
                values.iter().map(|value| value * beta).collect()
            }
            values => {
                return Err(node.error(format!(
                    "has {} biases for {} dimensions",
                    values.len(),
                    weights.nrows()
                )));
            }
        },
    };
    // MXNet's fully connected layer flattens its input, and so does the Gemm that its exporter
    // writes.
    let shape = shapes.of(data).unwrap_or_default();
    let flatten = match shape.len() {
        0 | 2 => false,
        4 if gemm => true,
        rank => {
            return Err(node.error(format!(
                "reads a tensor of {rank} dimensions, not [N, F]; flatten it before this node"
            )));
        }
    };
    if let Some(map) = shapes.map(data).filter(|_| flatten)
        && map.iter().try_fold(1_usize, |product, &dim| product.checked_mul(dim))
            != Some(weights.ncols())
    {
        return Err(node.error(format!(
            "has weights for {} features where its input has {map:?}",
            weights.ncols()
        )));
    }
    Ok(Layer { data: data.clone(), flatten, weights, bias })
}

/// A convolution that leaves one position, as a layer over its input map: a kernel of 1x1 over a
/// pooled map, or a kernel as large as the map.
///
/// # Errors
/// If it leaves more than one position, or has groups: a convolution by groups does not mix all
/// channels and is not a last layer.
pub fn convolution(graph: &Graph, shapes: &Shapes, node: &NodeProto) -> Result<Layer, OnnxError> {
    let [data, kernel, ..] = node.input.as_slice() else {
        return Err(node.error("has fewer than two inputs"));
    };
    let kernel = constant(graph, node, kernel)?;
    let shape = kernel.shape()?;
    let &[size, channels, rows, columns] = shape.as_slice() else {
        return Err(node.error(format!(
            "has a kernel of shape {shape:?}; the last layer must be a convolution of images"
        )));
    };
    let shape = [size, channels, rows, columns];
    let map = covered_map(shapes, node, data, shape)?;
    let weights = unroll(node, &kernel.to_f32()?, shape, map);
    let bias = match node.input.get(2).filter(|name| !name.is_empty()) {
        None => Array1::zeros(size),
        Some(name) => Array1::from(vector(graph, node, name)?),
    };
    if bias.len() != size {
        return Err(node.error(format!("has {} biases for {size} dimensions", bias.len())));
    }
    Ok(Layer { data: data.clone(), flatten: true, weights, bias })
}

/// Height and width of the map that the convolution reads. The convolution must leave one position.
fn covered_map(
    shapes: &Shapes,
    node: &NodeProto,
    data: &str,
    shape: [usize; 4],
) -> Result<[usize; 2], OnnxError> {
    let [size, channels, rows, columns] = shape;
    if node.int("group", 1) != 1 {
        return Err(node.error(
            "is a convolution by groups and mixes no channels; export the model with its last \
                linear layer",
        ));
    }
    let Some([map_channels, height, width]) = shapes.map(data) else {
        return Err(node.error(
            "is the last layer, and the shape of its input is unknown; export the model with fixed \
                height and width",
        ));
    };
    let leaves_one =
        node.output.first().and_then(|output| shapes.map(output)) == Some([size, 1, 1]);
    if map_channels != channels || !leaves_one {
        return Err(node.error(format!(
            "turns a map of {height}x{width} into more than one position; pool the map before this \
                node"
        )));
    }
    if [size, channels, rows, columns, height, width].contains(&0) {
        return Err(node.error(format!(
            "has a kernel of shape {shape:?} over a map of {height}x{width}, which holds no values"
        )));
    }
    let elements = size.saturating_mul(channels).saturating_mul(height).saturating_mul(width);
    if elements > MAX_ELEMENTS {
        return Err(node.error(format!(
            "is a linear layer of {elements} weights, over the limit of {MAX_ELEMENTS}"
        )));
    }
    if node.attribute("auto_pad").is_some_and(|attribute| attribute.s.starts_with(b"SAME"))
        && (rows, columns) != (1, 1)
    {
        return Err(node.error("pads its input by `auto_pad`; export the model with `pads`"));
    }
    Ok([height, width])
}

/// The kernel as a matrix [D, C x height x width] for the flattened map.
fn unroll(
    node: &NodeProto,
    kernel: &[f32],
    [size, channels, rows, columns]: [usize; 4],
    [height, width]: [usize; 2],
) -> Array2<f64> {
    let at = |name: &str, i: usize, default: i64| {
        node.ints(name).and_then(|list| list.get(i)).copied().unwrap_or(default)
    };
    // The position on an axis of the map that kernel element k reads; `None` in the padding.
    let position = |k: usize, axis: usize, side: usize| {
        let at =
            (k as i64).checked_mul(at("dilations", axis, 1))?.checked_sub(at("pads", axis, 0))?;
        usize::try_from(at).ok().filter(|&at| at < side)
    };
    let mut weights = Array2::zeros((size, channels * height * width));
    for (i, &value) in kernel.iter().enumerate() {
        let (column, row) = (i % columns, i / columns % rows);
        let (channel, d) = (i / (columns * rows) % channels, i / (columns * rows * channels));
        if let (Some(y), Some(x)) = (position(row, 0, height), position(column, 1, width)) {
            weights[[d, (channel * height + y) * width + x]] += f64::from(value);
        }
    }
    weights
}

/// The constant `name`, which `node` reads.
///
/// # Errors
/// If it is not a constant.
pub fn constant<'a>(
    graph: &'a Graph,
    node: &NodeProto,
    name: &str,
) -> Result<&'a TensorProto, OnnxError> {
    let computed = || {
        node.error(format!(
            "reads '{name}', which is computed where a constant is needed; export the model with \
                its weights as constants"
        ))
    };
    graph.constants.get(name).ok_or_else(computed)
}

/// A constant with at most one axis longer than 1.
fn vector(graph: &Graph, node: &NodeProto, name: &str) -> Result<Vec<f64>, OnnxError> {
    let tensor = constant(graph, node, name)?;
    check_vector(node, tensor)?;
    Ok(tensor.to_f32()?.into_iter().map(f64::from).collect())
}

fn check_vector(node: &NodeProto, tensor: &TensorProto) -> Result<(), OnnxError> {
    if tensor.dims.iter().filter(|&&dim| dim != 1).count() > 1 {
        return Err(node.error(format!(
            "reads '{}' of shape {:?} where a vector is needed",
            tensor.name, tensor.dims
        )));
    }
    Ok(())
}

/// A constant matrix, as [D, F].
fn weights(
    graph: &Graph,
    node: &NodeProto,
    name: &str,
    transposed: bool,
) -> Result<Array2<f64>, OnnxError> {
    let tensor = constant(graph, node, name)?;
    let shape = tensor.shape()?;
    let &[rows, columns] = shape.as_slice() else {
        return Err(node.error(format!("has weights of shape {shape:?} where a matrix is needed")));
    };
    if rows == 0 || columns == 0 {
        return Err(node.error(format!("has weights of shape {shape:?}, which hold no values")));
    }
    let values = tensor.to_f32()?.into_iter().map(f64::from).collect();
    let matrix = Array2::from_shape_vec((rows, columns), values)
        .map_err(|error| tensor.error(error.to_string()))?;
    Ok(if transposed { matrix } else { matrix.t().as_standard_layout().into_owned() })
}

#[cfg(test)]
mod tests {
    use super::super::shapes::Dim;
    use super::*;
    use crate::inference::onnx::{GraphProto, ModelProto, ValueInfoProto};

    #[test]
    fn a_convolution_without_values_is_refused() {
        let node = NodeProto::new("Conv", &["data", "kernel"], "y")
            .with_ints("strides", &[i64::MAX, i64::MAX]);
        let graph = GraphProto {
            node: vec![node.clone()],
            initializer: vec![TensorProto::floats("kernel", &[0, 3, 1, 1], &[])],
            input: vec![ValueInfoProto::float("data", &[])],
            ..GraphProto::default()
        };
        let graph = Graph::new(ModelProto { graph: Some(graph), ..ModelProto::default() }).unwrap();
        // The convolution leaves one position, and the number of features overflows an integer.
        let input = [Dim::Batch, Dim::Fixed(3), Dim::Fixed(i64::MAX), Dim::Fixed(i64::MAX)];
        let shapes = Shapes::infer(&graph, &input).unwrap();
        let error = convolution(&graph, &shapes, &node).unwrap_err().to_string();
        assert!(error.contains("'y' (Conv)") && error.contains("holds no values"), "{error}");
    }
}
