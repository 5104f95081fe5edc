//! Small networks of common families, as their exporters write them.

use facefleet::inference::onnx::{NodeProto, TensorProto, data_type};

use super::arithmetic::Array;
use super::graphs::float;
use super::tape::{Id, Stored, Style, Tape};

/// A recogniser and the tensors that tests use.
pub struct Network {
    pub tape: Tape,
    pub input: Id,
    /// The input of the last layer.
    pub features: Id,
    /// The embedding, before any scaling to unit length.
    pub embedding: Id,
    /// The graph's output.
    pub output: Id,
    /// Length of the embedding.
    pub size: usize,
}

impl Network {
    pub fn file(&self) -> Vec<u8> {
        self.tape.build(&[self.output])
    }

    /// The rows of `A` and `c`, from the network's answers to unit vectors and zero.
    pub fn head(&self, features: &Array) -> (Vec<Vec<f64>>, Vec<f64>) {
        let count = features.data.len() / features.shape[0];
        let mut inputs = vec![0.0; (count + 1) * count];
        (0..count).for_each(|i| inputs[i * count + i] = 1.0);
        let shape = [&[count + 1], &features.shape[1..]].concat();
        let answers =
            self.tape.evaluate(self.features, Array::new(&shape, inputs), self.embedding).data;
        let bias = answers[count * self.size..].to_vec();
        let weights = (0..self.size)
            .map(|d| (0..count).map(|i| answers[i * self.size + d] - bias[d]).collect())
            .collect();
        (weights, bias)
    }
}

/// A residual unit as in MXNet and PyTorch: BN-Conv-BN-PRelu-Conv-BN and a shortcut.
fn unit(tape: &mut Tape, x: Id, name: &str, channels: (usize, usize), stride: usize) -> Id {
    let (from, to) = channels;
    let part = |part: &str| format!("{name}_{part}");
    let mut y = tape.batch_norm(x, &part("bn1"), from);
    y = tape.conv(y, &part("conv1"), [to, from, 3, 3], [1, 1, 1], false);
    y = tape.batch_norm(y, &part("bn2"), to);
    y = tape.prelu(y, &part("relu1"), to);
    y = tape.conv(y, &part("conv2"), [to, to, 3, 3], [stride, 1, 1], false);
    y = tape.batch_norm(y, &part("bn3"), to);
    let mut shortcut = x;
    if from != to || stride != 1 {
        shortcut = tape.conv(x, &part("conv1sc"), [to, from, 1, 1], [stride, 0, 1], false);
        shortcut = tape.batch_norm(shortcut, &part("sc"), to);
    }
    tape.sum(y, shortcut, &part("plus"))
}

/// How the features of an MXNet network are flattened.
#[derive(Debug, Clone, Copy)]
pub enum Flattening {
    Flatten,
    Reshape,
    /// The fully connected layer flattens: the exporter wrote `Gemm` on a map.
    ByGemm,
}

/// LResNet100E-IR with fewer units and channels, as MXNet exports it. The input is RGB of 0..255.
pub fn lresnet100e_ir(style: Style, flattening: Flattening, dropout: f32) -> Network {
    let (mut tape, input) = Tape::new(style, "data", [3, 112, 112]);
    let mut x = tape.same(NodeProto::new("Identity", &[], "id"), input);
    x = tape.scalar("Sub", x, "_minusscalar0", 127.5);
    x = tape.scalar("Mul", x, "_mulscalar0", 0.007_812_5);
    x = tape.conv(x, "conv0", [6, 3, 3, 3], [2, 1, 1], false);
    x = tape.batch_norm(x, "bn0", 6);
    x = tape.prelu(x, "relu0", 6);
    x = unit(&mut tape, x, "stage1_unit1", (6, 6), 2);
    x = unit(&mut tape, x, "stage1_unit2", (6, 6), 1);
    x = unit(&mut tape, x, "stage2_unit1", (6, 8), 2);
    x = unit(&mut tape, x, "stage3_unit1", (8, 8), 2);
    x = tape.batch_norm(x, "bn1", 8);
    let mut node = NodeProto::new("Dropout", &[], "dropout0");
    node.attribute.push(float("ratio", dropout));
    x = tape.same(node, x);
    let features = x;
    let flat = match flattening {
        Flattening::Flatten => NodeProto::new("Flatten", &[], "flatten0"),
        Flattening::Reshape => {
            tape.integers("flatten0_shape", &[1, -1]);
            NodeProto::new("Reshape", &["flatten0_shape"], "flatten0")
        }
        Flattening::ByGemm => NodeProto::new("Identity", &[], "flatten0"),
    };
    x = if matches!(flattening, Flattening::ByGemm) {
        tape.same(flat, x)
    } else {
        tape.flat(flat, x)
    };
    x = tape.gemm(x, "pre_fc1", 16, 8 * 49);
    let embedding = tape.batch_norm(x, "fc1", 16);
    Network { tape, input, features, embedding, output: embedding, size: 16 }
}

/// How PyTorch exports `x.view(x.size(0), -1)` and `flatten`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum View {
    Flatten,
    /// Shape, Gather, Unsqueeze, Concat, Reshape.
    Computed,
}

/// InsightFace's iresnet, with normalisations folded into convolutions. The input is -1..1. The
/// graph has no dropout.
pub fn iresnet(style: Style, view: View) -> Network {
    let opset = style.opset;
    let (mut tape, input) = Tape::new(style, "input.1", [3, 112, 112]);
    let mut x = tape.conv(input, "411", [6, 3, 3, 3], [2, 1, 1], true);
    x = tape.prelu(x, "412", 6);
    for (i, (from, to)) in [(6, 6), (6, 8), (8, 8)].into_iter().enumerate() {
        let part = |part: &str| format!("layer{}.{part}", i + 1);
        let mut y = tape.batch_norm(x, &part("bn1"), from);
        y = tape.conv(y, &part("conv1"), [to, from, 3, 3], [1, 1, 1], true);
        y = tape.prelu(y, &part("prelu"), to);
        y = tape.conv(y, &part("conv2"), [to, to, 3, 3], [2, 1, 1], true);
        let shortcut = tape.conv(x, &part("downsample"), [to, from, 1, 1], [2, 0, 1], true);
        x = tape.sum(y, shortcut, &part("add"));
    }
    x = tape.batch_norm(x, "bn2", 8);
    let features = x;
    let before = tape.name(x).to_owned();
    let node = match view {
        View::Flatten => NodeProto::new("Flatten", &[], "681").with_int("axis", 1),
        View::Computed => {
            tape.node(NodeProto::new("Shape", &[&before], "675"));
            let mut first = TensorProto::ints("676", &[0]);
            first.dims.clear();
            tape.node(constant("676", first));
            tape.node(NodeProto::new("Gather", &["675", "676"], "677").with_int("axis", 0));
            let (mut batch, rest) =
                (NodeProto::new("Unsqueeze", &["677"], "678"), TensorProto::ints("679", &[-1]));
            if opset < 13 {
                batch = batch.with_ints("axes", &[0]);
            } else {
                tape.integers("axes", &[0]);
                batch.input.push("axes".into());
            }
            tape.node(batch);
            tape.node(constant("679", rest));
            tape.node(NodeProto::new("Concat", &["678", "679"], "680").with_int("axis", 0));
            NodeProto::new("Reshape", &["680"], "681")
        }
    };
    x = tape.flat(node, x);
    x = tape.gemm(x, "682", 16, 8 * 49);
    let embedding = tape.batch_norm(x, "683", 16);
    Network { tape, input, features, embedding, output: embedding, size: 16 }
}

fn constant(name: &str, value: TensorProto) -> NodeProto {
    const TENSOR: i32 = 4;
    let mut node = NodeProto::new("Constant", &[], name);
    let mut attribute = float("value", 0.0);
    attribute.r#type = TENSOR;
    attribute.t = Some(value);
    node.attribute.push(attribute);
    node
}

/// Adds `F.normalize` after the embedding, as PyTorch exports it.
pub fn with_unit_length(mut network: Network) -> Network {
    let embedding = network.tape.name(network.embedding).to_owned();
    let tape = &mut network.tape;
    tape.node(
        NodeProto::new("ReduceL2", &[&embedding], "norm")
            .with_ints("axes", &[1])
            .with_int("keepdims", 1),
    );
    let mut clip = NodeProto::new("Clip", &["norm"], "clipped");
    let mut least = float("least", 1e-12);
    least.name = "min".into();
    clip.attribute.push(least);
    if tape.style.opset >= 11 {
        clip.attribute.clear();
        tape.store("least", &[], &[1e-12]);
        clip.input.push("least".into());
    }
    tape.node(clip);
    tape.node(NodeProto::new("Shape", &[&embedding], "shape"));
    tape.node(NodeProto::new("Expand", &["clipped", "shape"], "expanded"));
    network.output =
        tape.add(NodeProto::new("Div", &["expanded"], "unit"), &[network.embedding], |x| {
            x[0].clone()
        });
    network
}

/// The heads of a MobileFaceNet.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum MobileHead {
    /// A depthwise convolution as large as the map, its normalisation, and a 1x1 convolution.
    Pointwise,
    /// A full convolution as large as the map.
    Covering,
    /// The depthwise convolution, then a linear layer without bias.
    MatMul,
    /// The depthwise convolution alone.
    Depthwise,
}

/// MobileFaceNet with fewer stages. The input is -1..1.
pub fn mobile_face_net(style: Style, head: MobileHead) -> Network {
    let (mut tape, input) = Tape::new(style, "input", [3, 112, 112]);
    let mut x = input;
    for (i, (from, to)) in [(3, 6), (6, 8), (8, 8), (8, 8)].into_iter().enumerate() {
        let name = |part: &str| format!("conv_{i}_{part}");
        x = tape.conv(x, &name("sep"), [to, from, 1, 1], [1, 0, 1], false);
        x = tape.batch_norm(x, &name("sep_bn"), to);
        x = tape.prelu(x, &name("relu"), to);
        x = tape.conv(x, &name("dw"), [to, 1, 3, 3], [2, 1, to], false);
        x = tape.batch_norm(x, &name("dw_bn"), to);
    }
    let size = if head == MobileHead::Depthwise { 8 } else { 12 };
    let mut features = x;
    if head != MobileHead::Covering {
        x = tape.conv(x, "conv_6_dw7_7", [8, 1, 7, 7], [1, 0, 8], false);
        x = tape.batch_norm(x, "conv_6_dw7_7_bn", 8);
        features = if head == MobileHead::Depthwise { features } else { x };
    }
    let embedding = match head {
        MobileHead::Depthwise => tape.flat(NodeProto::new("Flatten", &[], "embedding"), x),
        MobileHead::Pointwise => {
            x = tape.conv(x, "linear", [size, 8, 1, 1], [1, 0, 1], true);
            x = tape.batch_norm(x, "bn", size);
            tape.flat(NodeProto::new("Flatten", &[], "embedding"), x)
        }
        MobileHead::Covering => {
            x = tape.conv(x, "linear", [size, 8, 7, 7], [1, 0, 1], false);
            let mut squeeze = NodeProto::new("Squeeze", &[], "squeezed");
            if tape.style.opset < 13 {
                squeeze = squeeze.with_ints("axes", &[2, 3]);
            } else {
                tape.integers("axes", &[2, 3]);
                squeeze.input.push("axes".into());
            }
            x = tape.flat(squeeze, x);
            tape.batch_norm(x, "embedding", size)
        }
        MobileHead::MatMul => {
            x = tape.flat(NodeProto::new("Flatten", &[], "flat"), x);
            let weights = tape.weights("linear.weight", &[size, 8], 0.0, 0.6);
            tape.node(
                NodeProto::new("Transpose", &["linear.weight"], "linear.weight.T")
                    .with_ints("perm", &[1, 0]),
            );
            let node = NodeProto::new("MatMul", &["linear.weight.T"], "product");
            x = tape.add(node, &[x], move |x| {
                let rows = x[0].data.chunks_exact(8);
                let dot = |row: &[f64], d: usize| {
                    row.iter().zip(&weights[d * 8..]).map(|(x, w)| x * w).sum()
                };
                let data = rows
                    .flat_map(|row| (0..size).map(|d| dot(row, d)).collect::<Vec<f64>>())
                    .collect();
                Array::new(&[x[0].shape[0], size], data)
            });
            tape.batch_norm(x, "embedding", size)
        }
    };
    Network { tape, input, features, embedding, output: embedding, size }
}

/// As TensorFlow's converter writes it: images of [N, H, W, C] are transposed for the convolution
/// and transposed back before the head.
pub fn tensorflow(style: Style) -> Network {
    let (mut tape, input) = Tape::new(style, "input_1:0", [112, 112, 3]);
    let turn = |x: &Array, perm: [usize; 4]| {
        let shape: Vec<usize> = perm.iter().map(|&axis| x.shape[axis]).collect();
        let mut strides = [1; 4];
        (0..3).rev().for_each(|axis| strides[axis] = strides[axis + 1] * x.shape[axis + 1]);
        let place = |i: usize| {
            let mut rest = i;
            let mut at = 0;
            for axis in (0..4).rev() {
                at += rest % shape[axis] * strides[perm[axis]];
                rest /= shape[axis];
            }
            at
        };
        let data = (0..x.data.len()).map(|i| x.data[place(i)]).collect();
        Array::new(&shape, data)
    };
    let transpose = |name: &str, perm: [i64; 4]| {
        NodeProto::new("Transpose", &[], name).with_ints("perm", &perm)
    };
    let mut x = tape
        .add(transpose("model/conv__6", [0, 3, 1, 2]), &[input], move |x| turn(x[0], [0, 3, 1, 2]));
    x = tape.conv(x, "model/conv", [6, 3, 3, 3], [8, 0, 1], true);
    x = tape.same(NodeProto::new("Identity", &[], "model/relu"), x);
    x = tape
        .add(transpose("model/flatten__8", [0, 2, 3, 1]), &[x], move |x| turn(x[0], [0, 2, 3, 1]));
    tape.integers("model/flatten/Const", &[-1, 6 * 14 * 14]);
    x = tape.flat(NodeProto::new("Reshape", &["model/flatten/Const"], "model/flatten"), x);
    let features = x;
    let embedding = tape.gemm(x, "model/dense", 12, 6 * 14 * 14);
    Network { tape, input, features, embedding, output: embedding, size: 12 }
}

/// An iresnet with 32-bit input and output and 16 bits inside.
pub fn iresnet_with_casts() -> Network {
    let style = Style { stored: Stored::Half, ..Style::pytorch(13) };
    let (mut tape, input) = Tape::new(style, "input", [3, 112, 112]);
    let cast =
        |name: &str, kind: i32| NodeProto::new("Cast", &[], name).with_int("to", i64::from(kind));
    let mut x = tape.same(cast("cast_in", data_type::FLOAT16), input);
    x = tape.conv(x, "conv", [6, 3, 3, 3], [8, 0, 1], true);
    x = tape.prelu(x, "prelu", 6);
    let features = x;
    x = tape.flat(NodeProto::new("Flatten", &[], "flat"), x);
    x = tape.gemm(x, "fc", 12, 6 * 14 * 14);
    let embedding = tape.same(cast("output", data_type::FLOAT), x);
    Network { tape, input, features, embedding, output: embedding, size: 12 }
}
