//! A network in two forms at once: as the nodes of an ONNX file in an exporter's style, and as
//! plain arithmetic in f64 that does not use ONNX. The arithmetic gives the expected values of the
//! file.

use facefleet::inference::onnx::{
    Dimension, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, StringStringEntryProto,
    TensorProto, ValueInfoProto, data_type,
};
use half::{bf16, f16};
use prost::Message;

use super::arithmetic::{Array, convolve};
use super::graphs::{float, ints, numbers};

type Arithmetic = Box<dyn Fn(&[&Array]) -> Array>;

/// A tensor of the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Id(usize);

/// How weights are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    Single,
    Half,
    Brain,
    Double,
    /// In another file with this name.
    External(&'static str),
}

/// The shape of `PRelu`'s slopes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slopes {
    /// [C, 1, 1].
    Shaped,
    /// `[C]`.
    Flat,
    /// `[C]`, and a `Reshape` of them.
    Reshaped,
}

/// The conventions of an exporter.
#[derive(Debug, Clone)]
pub struct Style {
    pub opset: i64,
    pub ir_version: i64,
    /// Whether weights are listed as inputs too.
    pub shadows: bool,
    /// Whether `BatchNormalization` has `spatial = 0`.
    pub spatial: bool,
    pub slopes: Slopes,
    pub stored: Stored,
    /// Element type of the input and output.
    pub kind: i32,
    /// The declared batch; `None` if it is free.
    pub batch: Option<i64>,
}

impl Style {
    /// PyTorch's exporter.
    pub fn pytorch(opset: i64) -> Self {
        Self {
            opset,
            ir_version: 6,
            shadows: false,
            spatial: false,
            slopes: Slopes::Shaped,
            stored: Stored::Single,
            kind: data_type::FLOAT,
            batch: Some(1),
        }
    }

    /// MXNet's exporter.
    pub fn mxnet() -> Self {
        Self {
            ir_version: 3,
            shadows: true,
            spatial: true,
            slopes: Slopes::Flat,
            ..Self::pytorch(8)
        }
    }
}

/// The network.
pub struct Tape {
    pub style: Style,
    nodes: Vec<NodeProto>,
    constants: Vec<TensorProto>,
    names: Vec<String>,
    steps: Vec<(Vec<Id>, Arithmetic)>,
    input_shape: Vec<i64>,
    /// The content of the other file.
    pub external: Vec<u8>,
    seed: u64,
}

impl Tape {
    /// A network with an input of these dimensions besides the batch, in any order.
    pub fn new(style: Style, input: &str, shape: [i64; 3]) -> (Self, Id) {
        let never: Arithmetic = Box::new(|_| panic!("the input is given"));
        let tape = Self {
            style,
            nodes: Vec::new(),
            constants: Vec::new(),
            names: vec![input.to_owned()],
            steps: vec![(Vec::new(), never)],
            input_shape: shape.to_vec(),
            external: Vec::new(),
            seed: 100,
        };
        (tape, Id(0))
    }

    pub fn name(&self, id: Id) -> &str {
        &self.names[id.0]
    }

    /// Adds `node`, whose first inputs are `inputs`, with its arithmetic.
    pub fn add(
        &mut self,
        node: NodeProto,
        inputs: &[Id],
        arithmetic: impl Fn(&[&Array]) -> Array + 'static,
    ) -> Id {
        let mut node = node;
        let names: Vec<String> = inputs.iter().map(|&id| self.name(id).to_owned()).collect();
        node.input.splice(0..0, names);
        self.names.push(node.output[0].clone());
        self.nodes.push(node);
        self.steps.push((inputs.to_vec(), Box::new(arithmetic)));
        Id(self.names.len() - 1)
    }

    /// Adds a node without arithmetic.
    pub fn node(&mut self, node: NodeProto) {
        self.nodes.push(node);
    }

    /// The value of `wanted` if `given` has the value `value`.
    pub fn evaluate(&self, given: Id, value: Array, wanted: Id) -> Array {
        let mut values: Vec<Option<Array>> = vec![None; given.0];
        values.push(Some(value));
        for (inputs, arithmetic) in &self.steps[given.0 + 1..=wanted.0] {
            let arguments: Option<Vec<&Array>> =
                inputs.iter().map(|id| values[id.0].as_ref()).collect();
            let value = arguments.map(|arguments| arithmetic(&arguments));
            values.push(value);
        }
        values[wanted.0].take().expect("it depends on what is given")
    }

    /// Stores repeatable weights around `around`, and returns them as they are stored.
    pub fn weights(&mut self, name: &str, shape: &[usize], around: f32, spread: f32) -> Vec<f64> {
        self.seed += 1;
        let values = numbers(self.seed, shape.iter().product());
        let values = values.into_iter().map(|value| around + spread * value).collect::<Vec<f32>>();
        self.store(name, shape, &values)
    }

    /// Stores a constant in the style's format, and returns its values in that format.
    pub fn store(&mut self, name: &str, shape: &[usize], values: &[f32]) -> Vec<f64> {
        let mut tensor = TensorProto::floats(name, shape, values);
        let mut stored: Vec<f64> = values.iter().map(|&value| f64::from(value)).collect();
        match self.style.stored {
            Stored::Single => {}
            Stored::Half => {
                let halves: Vec<f16> = values.iter().map(|&value| f16::from_f32(value)).collect();
                tensor = TensorProto::halves(name, shape, &halves);
                stored = halves.into_iter().map(f64::from).collect();
            }
            Stored::Brain => {
                let brains: Vec<bf16> = values.iter().map(|&value| bf16::from_f32(value)).collect();
                tensor.data_type = data_type::BFLOAT16;
                tensor.raw_data = brains.iter().flat_map(|value| value.to_le_bytes()).collect();
                stored = brains.into_iter().map(f64::from).collect();
            }
            Stored::Double => {
                tensor.data_type = data_type::DOUBLE;
                tensor.raw_data = stored.iter().flat_map(|value| value.to_le_bytes()).collect();
            }
            Stored::External(file) => {
                let entry = |key: &str, value: String| StringStringEntryProto {
                    key: key.to_owned(),
                    value,
                };
                tensor.external_data = vec![
                    entry("location", file.to_owned()),
                    entry("offset", self.external.len().to_string()),
                    entry("length", tensor.raw_data.len().to_string()),
                ];
                tensor.data_location = 1;
                self.external.append(&mut tensor.raw_data);
            }
        }
        self.constants.push(tensor);
        stored
    }

    /// Stores integers, which are always in the ONNX file.
    pub fn integers(&mut self, name: &str, values: &[i64]) {
        self.constants.push(TensorProto::ints(name, values));
    }

    /// A convolution by a kernel of `shape`. `window` is stride, padding on each side, and groups.
    pub fn conv(
        &mut self,
        x: Id,
        name: &str,
        shape: [usize; 4],
        window: [usize; 3],
        bias: bool,
    ) -> Id {
        let [stride, pad, groups] = window;
        let [size, channels, rows, columns] = shape;
        let spread = 1.7 / ((channels * rows * columns) as f32).sqrt();
        let kernel = self.weights(&format!("{name}_weight"), &shape, 0.0, spread);
        let mut inputs = vec![format!("{name}_weight")];
        let mut biases = vec![0.0; size];
        if bias {
            inputs.push(format!("{name}_bias"));
            biases = self.weights(&format!("{name}_bias"), &[size], 0.0, 0.3);
        }
        let mut node =
            NodeProto::new("Conv", &inputs.iter().map(String::as_str).collect::<Vec<_>>(), name);
        let pair = |value: usize| [value as i64, value as i64];
        node.attribute.extend([
            ints("dilations", &[1, 1]),
            ints("kernel_shape", &[rows as i64, columns as i64]),
            ints("pads", &[pair(pad), pair(pad)].concat()),
            ints("strides", &pair(stride)),
        ]);
        let node = node.with_int("group", groups as i64);
        self.add(node, &[x], move |x| convolve(x[0], &kernel, &biases, shape, window))
    }

    pub fn batch_norm(&mut self, x: Id, name: &str, size: usize) -> Id {
        let part = |part: &str| format!("{name}_{part}");
        let gain = self.weights(&part("gamma"), &[size], 1.0, 0.5);
        let shift = self.weights(&part("beta"), &[size], 0.0, 0.3);
        let mean = self.weights(&part("moving_mean"), &[size], 0.0, 0.3);
        let variance = self.weights(&part("moving_var"), &[size], 1.0, 0.6);
        let inputs = ["gamma", "beta", "moving_mean", "moving_var"].map(part);
        let mut node =
            NodeProto::new("BatchNormalization", &inputs.each_ref().map(String::as_str), name);
        node.attribute.extend([float("epsilon", 2e-5), float("momentum", 0.9)]);
        if self.style.spatial {
            node = node.with_int("spatial", 0);
        }
        let epsilon = f64::from(2e-5_f32);
        self.add(node, &[x], move |x| {
            x[0].map(|c, value| {
                gain[c] * (value - mean[c]) / (variance[c] + epsilon).sqrt() + shift[c]
            })
        })
    }

    pub fn prelu(&mut self, x: Id, name: &str, size: usize) -> Id {
        let mut slope = format!("{name}_gamma");
        let shape: &[usize] =
            if self.style.slopes == Slopes::Shaped { &[size, 1, 1] } else { &[size] };
        let slopes = self.weights(&slope, shape, 0.25, 0.4);
        if self.style.slopes == Slopes::Reshaped {
            let (target, reshaped) = (format!("{name}_shape"), format!("{name}_reshaped"));
            self.integers(&target, &[1, -1, 1, 1]);
            self.node(NodeProto::new("Reshape", &[&slope, &target], &reshaped));
            slope = reshaped;
        }
        let node = NodeProto::new("PRelu", &[&slope], name);
        self.add(node, &[x], move |x| {
            x[0].map(|c, value| if value < 0.0 { slopes[c] * value } else { value })
        })
    }

    /// `Add`, `Sub`, `Mul` or `Div` with one number.
    pub fn scalar(&mut self, op: &'static str, x: Id, name: &str, value: f32) -> Id {
        let constant = format!("{name}_scalar");
        let value = self.store(&constant, &[1], &[value])[0];
        let node = NodeProto::new(op, &[&constant], name);
        self.add(node, &[x], move |x| {
            x[0].map(|_, x| match op {
                "Add" => x + value,
                "Sub" => x - value,
                "Mul" => x * value,
                _ => x / value,
            })
        })
    }

    pub fn sum(&mut self, a: Id, b: Id, name: &str) -> Id {
        self.add(NodeProto::new("Add", &[], name), &[a, b], |x| {
            let data = x[0].data.iter().zip(&x[1].data).map(|(a, b)| a + b).collect();
            Array::new(&x[0].shape, data)
        })
    }

    /// A node that does not change the values.
    pub fn same(&mut self, node: NodeProto, x: Id) -> Id {
        self.add(node, &[x], |x| x[0].clone())
    }

    /// A node that flattens a map to [N, F].
    pub fn flat(&mut self, node: NodeProto, x: Id) -> Id {
        self.add(node, &[x], |x| {
            let batch = x[0].shape[0];
            Array::new(&[batch, x[0].data.len() / batch], x[0].data.clone())
        })
    }

    /// `Gemm` with `transB` and a bias.
    pub fn gemm(&mut self, x: Id, name: &str, size: usize, features: usize) -> Id {
        let spread = 1.7 / (features as f32).sqrt();
        let weights = self.weights(&format!("{name}_weight"), &[size, features], 0.0, spread);
        let bias = self.weights(&format!("{name}_bias"), &[size], 0.0, 0.3);
        let mut node =
            NodeProto::new("Gemm", &[&format!("{name}_weight"), &format!("{name}_bias")], name)
                .with_int("transB", 1);
        node.attribute.extend([float("alpha", 1.0), float("beta", 1.0)]);
        self.add(node, &[x], move |x| {
            let rows = x[0].data.chunks_exact(features);
            let dot = |row: &[f64], d: usize| {
                row.iter().zip(&weights[d * features..]).map(|(x, w)| x * w).sum::<f64>()
            };
            let data = rows
                .flat_map(|row| (0..size).map(|d| dot(row, d) + bias[d]).collect::<Vec<_>>())
                .collect();
            Array::new(&[x[0].shape[0], size], data)
        })
    }

    /// The file's bytes, with these outputs.
    pub fn build(&self, outputs: &[Id]) -> Vec<u8> {
        let mut graph = GraphProto::default();
        graph.name = "network".into();
        let batch =
            self.style.batch.map_or_else(|| Dimension::Param("None".into()), Dimension::Value);
        let dims: Vec<Dimension> = [batch.clone()]
            .into_iter()
            .chain(self.input_shape.iter().map(|&dim| Dimension::Value(dim)))
            .collect();
        let typed = |name: &str, dims: &[Dimension], kind: i32| {
            let mut value = ValueInfoProto::float(name, dims);
            value.r#type.as_mut().unwrap().tensor_type.as_mut().unwrap().elem_type = kind;
            value
        };
        graph.input = vec![typed(&self.names[0], &dims, self.style.kind)];
        if self.style.shadows {
            for tensor in &self.constants {
                let dims: Vec<Dimension> =
                    tensor.dims.iter().map(|&dim| Dimension::Value(dim)).collect();
                graph.input.push(typed(&tensor.name, &dims, tensor.data_type));
            }
        }
        // The declared length is symbolic, as in many exported files.
        let dims = [batch, Dimension::Param("length".into())];
        graph.output = outputs
            .iter()
            .map(|&output| typed(self.name(output), &dims, self.style.kind))
            .collect();
        graph.node = self.nodes.clone();
        graph.initializer = self.constants.clone();
        let mut model = ModelProto::default();
        model.ir_version = self.style.ir_version;
        model.opset_import =
            vec![OperatorSetIdProto { domain: String::new(), version: self.style.opset }];
        model.graph = Some(graph);
        model.encode_to_vec()
    }
}
