//! Networks as the common exporters write them. What the prepared graph computes is compared with
//! arithmetic in f64 that does not use ONNX.

mod pixels;
mod refusals;

use facefleet::domain::Precision;
use facefleet::inference::onnx::{NodeProto, data_type};
use facefleet::inference::prepare::{self, Outputs, Target, Variant, prepare_recogniser};

use super::{CHIP_VALUES, OUTPUTS, open};
use crate::support::arithmetic::{Array, closed_form};
use crate::support::graphs::{float, manifest, numbers};
use crate::support::networks::{
    Flattening, MobileHead, Network, View, iresnet, iresnet_with_casts, lresnet100e_ir,
    mobile_face_net, tensorflow, with_unit_length,
};
use crate::support::tape::{Id, Slopes, Stored, Style, Tape};

/// The dropout ratio in the manifest, for graphs without Dropout.
const MANIFEST_DROPOUT: f64 = 0.25;

fn chips(count: usize) -> Vec<f32> {
    numbers(77, count * CHIP_VALUES)
}

/// Prepares the network and compares embedding and distance of each chip with the arithmetic, whose
/// input is `turned`: the same chips in the network's layout.
fn check_turned(network: &Network, dropout: f64, input: &[f32], turned: Array) {
    let published = network.file();
    let dropout_option = (dropout == MANIFEST_DROPOUT).then_some(MANIFEST_DROPOUT);
    let batch = turned.shape[0];
    let features = network.tape.evaluate(network.input, turned, network.features);
    let embeddings = network.tape.evaluate(network.features, features.clone(), network.embedding);
    let (weights, bias) = network.head(&features);
    for target in [Target::Cpu, Target::Gpu] {
        let prepared = prepare_recogniser(
            &published,
            &manifest(network.size, dropout_option),
            target,
            Outputs::Quality,
        )
        .unwrap();
        assert!((prepared.head.dropout() - dropout).abs() < 1e-9);
        assert_eq!(prepared.dropout_in_graph, dropout_option.is_none());
        let outputs = open(&prepare::encode(&prepared.model))
            .run(&[(&[batch, 3, 112, 112], input)], &OUTPUTS)
            .unwrap();
        for n in 0..batch {
            let row = |data: &[f64], n: usize| {
                data[n * data.len() / batch..(n + 1) * data.len() / batch].to_vec()
            };
            let expected = row(&embeddings.data, n);
            let found = &outputs[0].values[n * network.size..(n + 1) * network.size];
            let norm = expected.iter().map(|value| value * value).sum::<f64>().sqrt();
            let error = expected
                .iter()
                .zip(found)
                .map(|(a, &b)| (a - f64::from(b)).powi(2))
                .sum::<f64>()
                .sqrt();
            assert!(
                norm > 0.1 && error < 1e-5 * norm,
                "embedding of chip {n}, {target:?}: off by {error} of {norm}"
            );
            let expected = closed_form(&weights, &bias, &row(&features.data, n), dropout);
            let found = f64::from(outputs[1].values[n]);
            assert!(
                expected > 0.01 && (found / expected - 1.0).abs() < 1e-5,
                "distance {found}, expected {expected}, {target:?}"
            );
        }
    }
}

fn check(network: &Network, dropout: f64) {
    let input = chips(2);
    let turned =
        Array::new(&[2, 3, 112, 112], input.iter().map(|&value| f64::from(value)).collect());
    check_turned(network, dropout, &input, turned);
}

/// As [`check`], with pixels of 0..255.
fn check_pixels(network: &Network, dropout: f64) {
    let input: Vec<f32> =
        chips(2).into_iter().map(|value| ((value + 1.0) * 127.5).round()).collect();
    let turned =
        Array::new(&[2, 3, 112, 112], input.iter().map(|&value| f64::from(value)).collect());
    check_turned(network, dropout, &input, turned);
}

#[test]
fn lresnet100e_ir_of_the_model_zoo_is_prepared() {
    for flattening in [Flattening::Flatten, Flattening::Reshape, Flattening::ByGemm] {
        for slopes in [Slopes::Flat, Slopes::Reshaped] {
            check_pixels(&lresnet100e_ir(Style { slopes, ..Style::mxnet() }, flattening, 0.4), 0.4);
        }
    }
}

/// The smallest network around `start`: a convolution and a linear layer.
fn around(style: Style, start: impl Fn(&mut Tape, Id) -> Id) -> Network {
    let (mut tape, input) = Tape::new(style, "data", [3, 112, 112]);
    let mut x = start(&mut tape, input);
    x = tape.conv(x, "conv0", [4, 3, 7, 7], [16, 0, 1], true);
    let features = x;
    x = tape.flat(NodeProto::new("Flatten", &[], "flat"), x);
    let embedding = tape.gemm(x, "fc", 12, 4 * 49);
    Network { tape, input, features, embedding, output: embedding, size: 12 }
}

#[test]
fn a_normalisation_with_parameters_per_position_is_prepared() {
    let each = |tape: &mut Tape, x: Id| {
        let shape = [3, 112, 112];
        let names = ["gamma", "beta", "mean", "var"];
        let gain = tape.weights(names[0], &shape, 1.0, 0.5);
        let shift = tape.weights(names[1], &shape, 0.0, 0.3);
        let mean = tape.weights(names[2], &shape, 0.0, 0.3);
        let variance = tape.weights(names[3], &shape, 1.0, 0.6);
        let mut node = NodeProto::new("BatchNormalization", &names, "each").with_int("spatial", 0);
        node.attribute.push(float("epsilon", 1e-3));
        let epsilon = f64::from(1e-3_f32);
        tape.add(node, &[x], move |x| {
            let normal = |(i, value): (usize, &f64)| {
                let at = i % gain.len();
                gain[at] * (value - mean[at]) / (variance[at] + epsilon).sqrt() + shift[at]
            };
            Array::new(&x[0].shape, x[0].data.iter().enumerate().map(normal).collect())
        })
    };
    check(&around(Style::mxnet(), each), MANIFEST_DROPOUT);
}

#[test]
fn mxnets_scalars_and_weights_of_64_bits_are_prepared() {
    check_pixels(
        &lresnet100e_ir(
            Style { stored: Stored::Double, ..Style::mxnet() },
            Flattening::Flatten,
            0.4,
        ),
        0.4,
    );
}

#[test]
fn operator_set_7_is_prepared_as_8() {
    check_pixels(
        &lresnet100e_ir(Style { opset: 7, ..Style::mxnet() }, Flattening::Flatten, 0.4),
        0.4,
    );
}

#[test]
fn a_dropout_ratio_of_0_counts_as_no_dropout() {
    check_pixels(&lresnet100e_ir(Style::mxnet(), Flattening::Flatten, 0.0), MANIFEST_DROPOUT);
}

#[test]
fn iresnet_from_pytorch_is_prepared_in_every_operator_set() {
    for (opset, batch) in [(11, Some(1)), (12, None), (13, None), (14, Some(16)), (17, None)] {
        for view in [View::Flatten, View::Computed] {
            check(&iresnet(Style { batch, ..Style::pytorch(opset) }, view), MANIFEST_DROPOUT);
        }
    }
}

#[test]
fn scaling_to_unit_length_at_the_end_is_left_out() {
    for opset in [9, 11, 17] {
        check(&with_unit_length(iresnet(Style::pytorch(opset), View::Flatten)), MANIFEST_DROPOUT);
    }
}

#[test]
fn unit_length_as_a_root_of_a_sum_of_squares_is_left_out() {
    for (squared, inverse) in [("Pow", false), ("Mul", false), ("Mul", true)] {
        let mut network = iresnet(Style::pytorch(11), View::Flatten);
        let embedding = network.tape.name(network.embedding).to_owned();
        network.tape.store("two", &[], &[2.0]);
        let other = if squared == "Pow" { "two" } else { embedding.as_str() };
        network.tape.node(NodeProto::new(squared, &[&embedding, other], "squares"));
        network.tape.node(NodeProto::new("ReduceSum", &["squares"], "sum").with_ints("axes", &[1]));
        network.tape.node(NodeProto::new("Sqrt", &["sum"], "length"));
        network.tape.node(NodeProto::new("Reciprocal", &["length"], "inverse"));
        let node = if inverse {
            NodeProto::new("Mul", &["inverse"], "unit")
        } else {
            NodeProto::new("Div", &["length"], "unit")
        };
        network.output = network.tape.same(node, network.embedding);
        check(&network, MANIFEST_DROPOUT);
    }
}

#[test]
fn heads_of_mobile_face_net_are_prepared() {
    for opset in [11, 13] {
        for head in [MobileHead::Pointwise, MobileHead::Covering, MobileHead::MatMul] {
            check(&mobile_face_net(Style::pytorch(opset), head), MANIFEST_DROPOUT);
        }
    }
    let of_mxnet = Style { batch: Some(1), ..Style::mxnet() };
    check(&mobile_face_net(of_mxnet, MobileHead::Pointwise), MANIFEST_DROPOUT);
}

#[test]
fn files_of_16_bit_floats_compute_in_32() {
    for stored in [Stored::Half, Stored::Brain] {
        let kind = if stored == Stored::Half { data_type::FLOAT16 } else { data_type::BFLOAT16 };
        check(
            &with_unit_length(iresnet(
                Style { stored, kind, ..Style::pytorch(13) },
                View::Computed,
            )),
            MANIFEST_DROPOUT,
        );
    }
    check(&iresnet_with_casts(), MANIFEST_DROPOUT);
}

#[test]
fn flat_slopes_apply_to_columns_only_if_no_other_node_decides() {
    // Seven channels of 7 x 7 positions: by the operator set the slopes are those of the columns,
    // and MXNet means the channels.
    let network = |mxnet: bool| {
        let (mut tape, input) = Tape::new(Style::mxnet(), "data", [3, 112, 112]);
        let mut x = tape.conv(input, "conv0", [4, 3, 3, 3], [8, 0, 1], true);
        if mxnet {
            x = tape.prelu(x, "relu0", 4);
        }
        x = tape.conv(x, "conv1", [7, 4, 3, 3], [2, 1, 1], true);
        x = tape.prelu(x, "relu1", 7);
        let features = x;
        x = tape.flat(NodeProto::new("Flatten", &[], "flat"), x);
        let embedding = tape.gemm(x, "fc", 12, 7 * 49);
        Network { tape, input, features, embedding, output: embedding, size: 12 }
    };
    check(&network(true), MANIFEST_DROPOUT);
    let alone = network(false);
    let described = manifest(12, Some(MANIFEST_DROPOUT));
    let prepared =
        prepare_recogniser(&alone.file(), &described, Target::Gpu, Outputs::Quality).unwrap();
    let graph = prepared.model.graph.unwrap();
    let slope =
        graph.node.iter().find(|node| node.op_type == "PRelu").map(|node| node.input[1].as_str());
    assert_eq!(slope, Some("relu1_gamma"), "as the operator set reads it");
}

#[test]
fn of_several_outputs_the_embedding_is_taken() {
    let network = with_unit_length(iresnet(Style::pytorch(11), View::Flatten));
    let mut both = network.tape.build(&[network.output]);
    // AdaFace has the length as its second output: field 12 of the graph, field 7 of the model.
    // Protocol buffers merge concatenated messages.
    both.extend([0x3A, 8, 0x62, 6, 0x0A, 4]);
    both.extend(b"norm");
    let prepared = prepare_recogniser(
        &both,
        &manifest(16, Some(MANIFEST_DROPOUT)),
        Target::Cpu,
        Outputs::Quality,
    )
    .unwrap();
    assert_eq!(prepared.head.weights().nrows(), 16);
}

#[test]
fn dialects_are_prepared_in_half_precision_too() {
    let half = Variant { target: Target::Gpu, precision: Precision::Half };
    let networks = [
        lresnet100e_ir(Style::mxnet(), Flattening::ByGemm, 0.4),
        with_unit_length(iresnet(Style::pytorch(13), View::Computed)),
        mobile_face_net(Style::pytorch(13), MobileHead::Pointwise),
        iresnet_with_casts(),
        tensorflow(Style::pytorch(13)),
    ];
    for network in networks {
        let described = manifest(network.size, Some(MANIFEST_DROPOUT));
        let prepared =
            prepare_recogniser(&network.file(), &described, half, Outputs::Quality).unwrap();
        let full =
            prepare_recogniser(&network.file(), &described, Target::Cpu, Outputs::Quality).unwrap();
        let input = chips(1);
        let run = |model| {
            open(&prepare::encode(model)).run(&[(&[1, 3, 112, 112], &input)], &OUTPUTS).unwrap()
        };
        let (found, expected) = (run(&prepared.model), run(&full.model));
        let error = (found[1].values[0] / expected[1].values[0] - 1.0).abs();
        assert!(error < 1e-2, "off by {error}");
    }
}
