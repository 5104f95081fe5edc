//! Small recognisers as training frameworks export them: a convolution, then one of the known
//! heads.

use facefleet::inference::manifest::Manifest;
use facefleet::inference::onnx::{
    AttributeProto, Dimension, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, TensorProto,
    ValueInfoProto, data_type,
};
use prost::Message;

/// Channels of the convolution, and the features from its map of 4 x 4.
pub const CHANNELS: usize = 8;
pub const FEATURES: usize = CHANNELS * 16;
pub const EMBEDDING: usize = 12;
const KERNEL: usize = 7;

/// A graph under construction. Every step reads the tensor of the previous step.
pub struct Builder {
    nodes: Vec<NodeProto>,
    constants: Vec<TensorProto>,
    last: String,
    opset: i64,
}

/// Repeatable numbers between -1 and 1.
pub fn numbers(seed: u64, count: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let next = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1_u64 << 23) as f32 - 1.0
    };
    std::iter::repeat_with(next).take(count).collect()
}

pub fn ints(name: &str, values: &[i64]) -> AttributeProto {
    const INTS: i32 = 7;
    let mut attribute = AttributeProto::default();
    attribute.name = name.to_owned();
    attribute.ints = values.to_vec();
    attribute.r#type = INTS;
    attribute
}

pub fn float(name: &str, value: f32) -> AttributeProto {
    const FLOAT: i32 = 1;
    let mut attribute = AttributeProto::default();
    attribute.name = name.to_owned();
    attribute.f = value;
    attribute.r#type = FLOAT;
    attribute
}

impl Builder {
    /// Starts with the convolution.
    pub fn new(opset: i64) -> Self {
        let mut builder =
            Self { nodes: Vec::new(), constants: Vec::new(), last: "data".into(), opset };
        let weights = numbers(1, CHANNELS * 3 * KERNEL * KERNEL);
        builder.constant(TensorProto::floats(
            "conv.weight",
            &[CHANNELS, 3, KERNEL, KERNEL],
            &weights,
        ));
        builder.convolve();
        builder
    }

    /// Starts with a convolution whose weights are 8-bit integers with one scale per block of 4 x 7
    /// x 7. Also returns the same graph with the weights as floats.
    pub fn quantised(opset: i64) -> (Self, Self) {
        const BLOCK: usize = 4;
        let inner = 3 * KERNEL * KERNEL;
        let (blocks, count) = (CHANNELS / BLOCK, CHANNELS * inner);
        let values: Vec<i8> = numbers(2, count).iter().map(|value| (value * 127.0) as i8).collect();
        let scales: Vec<f32> =
            numbers(3, blocks * inner).iter().map(|value| 0.01 + 0.004 * value).collect();
        let floats: Vec<f32> = (0..count)
            .map(|i| f32::from(values[i]) * scales[i / (BLOCK * inner) * inner + i % inner])
            .collect();
        let start =
            || Self { nodes: Vec::new(), constants: Vec::new(), last: "data".into(), opset };

        let (mut blocked, mut plain) = (start(), start());
        let mut weights = TensorProto::default();
        weights.name = "conv.weight.int8".into();
        weights.dims = [CHANNELS, 3, KERNEL, KERNEL].map(|dim| dim as i64).to_vec();
        weights.data_type = data_type::INT8;
        weights.raw_data = values.iter().map(|value| value.cast_unsigned()).collect();
        blocked.constant(weights);
        blocked.constant(TensorProto::floats(
            "conv.weight.scale",
            &[blocks, 3, KERNEL, KERNEL],
            &scales,
        ));
        let node = NodeProto::new(
            "DequantizeLinear",
            &["conv.weight.int8", "conv.weight.scale"],
            "conv.weight",
        );
        blocked.nodes.push(node.with_int("axis", 0).with_int("block_size", BLOCK as i64));
        plain.constant(TensorProto::floats("conv.weight", &[CHANNELS, 3, KERNEL, KERNEL], &floats));
        blocked.convolve();
        plain.convolve();
        (blocked, plain)
    }

    fn constant(&mut self, tensor: TensorProto) {
        self.constants.push(tensor);
    }

    fn convolve(&mut self) {
        let mut node = NodeProto::new("Conv", &["data", "conv.weight"], "conv");
        node.attribute.push(ints("strides", &[28, 28]));
        node.attribute.push(ints("kernel_shape", &[KERNEL as i64, KERNEL as i64]));
        self.nodes.push(node);
        self.last = "conv".into();
    }

    /// Adds a node that reads the last tensor and `constants`.
    pub fn step(mut self, op_type: &str, name: &str, constants: Vec<TensorProto>) -> Self {
        let mut inputs = vec![self.last.as_str()];
        inputs.extend(constants.iter().map(|tensor| tensor.name.as_str()));
        self.nodes.push(NodeProto::new(op_type, &inputs, name));
        self.constants.extend(constants);
        self.last = name.to_owned();
        self
    }

    fn with(mut self, attribute: AttributeProto) -> Self {
        self.nodes.last_mut().unwrap().attribute.push(attribute);
        self
    }

    /// A batch normalisation of `size` channels.
    pub fn batch_norm(self, name: &str, size: usize) -> Self {
        let vector = |part: &str, seed: u64, around: f32, spread: f32| {
            let values: Vec<f32> =
                numbers(seed, size).iter().map(|value| around + spread * value).collect();
            TensorProto::floats(&format!("{name}.{part}"), &[size], &values)
        };
        let parameters = vec![
            vector("scale", 11, 1.0, 0.5),
            vector("shift", 12, 0.0, 0.3),
            vector("mean", 13, 0.0, 0.5),
            vector("var", 14, 1.0, 0.6),
        ];
        self.step("BatchNormalization", name, parameters).with(float("epsilon", 2e-5))
    }

    /// A `PRelu` with some slopes over 1.
    pub fn prelu(self) -> Self {
        let slopes: Vec<f32> = (0..CHANNELS).map(|channel| -0.3 + 0.25 * channel as f32).collect();
        self.step("PRelu", "prelu", vec![TensorProto::floats("slope", &[CHANNELS, 1, 1], &slopes)])
    }

    /// Dropout with the ratio as its second input.
    pub fn dropout_input(self, ratio: f32) -> Self {
        self.step("Dropout", "dropout", vec![TensorProto::floats("ratio", &[], &[ratio])])
    }

    /// Dropout with the ratio as an attribute.
    pub fn dropout_attribute(self, ratio: f32) -> Self {
        self.step("Dropout", "dropout", Vec::new()).with(float("ratio", ratio))
    }

    pub fn flatten(self) -> Self {
        self.step("Flatten", "flat", Vec::new())
    }

    /// A Reshape that was exported for one image.
    pub fn reshape(self) -> Self {
        self.step("Reshape", "flat", vec![TensorProto::ints("flat.shape", &[1, -1])])
    }

    /// The last layer, weights [D, F].
    pub fn gemm(mut self) -> Self {
        let weights = TensorProto::floats(
            "fc.weight",
            &[EMBEDDING, FEATURES],
            &numbers(21, EMBEDDING * FEATURES),
        );
        let bias = TensorProto::floats("fc.bias", &[EMBEDDING], &numbers(22, EMBEDDING));
        self = self.step("Gemm", "fc", vec![weights, bias]);
        let node = self.nodes.pop().unwrap();
        self.nodes.push(node.with_int("transB", 1));
        self
    }

    /// The last layer, weights [F, D], in two nodes.
    pub fn matmul_add(self) -> Self {
        let weights = TensorProto::floats(
            "fc.weight",
            &[FEATURES, EMBEDDING],
            &numbers(23, EMBEDDING * FEATURES),
        );
        let bias = TensorProto::floats("fc.bias", &[EMBEDDING], &numbers(24, EMBEDDING));
        self.step("MatMul", "product", vec![weights]).step("Add", "fc", vec![bias])
    }

    /// The file's bytes. A graph of operator set 8 lists its weights among its inputs, as old
    /// exporters did.
    pub fn build(self) -> Vec<u8> {
        let value = |dim: i64| Dimension::Value(dim);
        let mut graph = GraphProto::default();
        graph.name = "small".into();
        graph.input =
            vec![ValueInfoProto::float("data", &[value(1), value(3), value(112), value(112)])];
        let mut ir_version = 10;
        if self.opset <= 8 {
            ir_version = 3;
            let shape = |tensor: &TensorProto| {
                tensor.dims.iter().map(|&dim| value(dim)).collect::<Vec<_>>()
            };
            let mut shadows: Vec<_> = self
                .constants
                .iter()
                .map(|tensor| ValueInfoProto::float(&tensor.name, &shape(tensor)))
                .collect();
            for (shadow, tensor) in shadows.iter_mut().zip(&self.constants) {
                shadow.r#type.as_mut().unwrap().tensor_type.as_mut().unwrap().elem_type =
                    tensor.data_type;
            }
            graph.input.extend(shadows);
        }
        graph.output =
            vec![ValueInfoProto::float(&self.last, &[value(1), value(EMBEDDING as i64)])];
        graph.node = self.nodes;
        graph.initializer = self.constants;
        let mut model = ModelProto::default();
        model.ir_version = ir_version;
        model.opset_import =
            vec![OperatorSetIdProto { domain: String::new(), version: self.opset }];
        model.graph = Some(graph);
        model.encode_to_vec()
    }
}

/// A manifest for these graphs.
pub fn manifest(embedding: usize, dropout: Option<f64>) -> Manifest {
    let dropout = dropout.map(|ratio| format!("dropout = {ratio}")).unwrap_or_default();
    let text = format!(
        "role = \"recogniser\"\nfile = \"small.onnx\"\nsha256 = \"{}\"\nlicence = \"none\"\nsource \
            = \"a test\"\n\
         [input]\nwidth = 112\nheight = 112\nchannels = \"rgb\"\n\
         [recogniser]\nembedding = {embedding}\n{dropout}\nalpha = 130.0\nr = 0.88\n",
        "0".repeat(64)
    );
    Manifest::parse("small", &text).unwrap()
}
