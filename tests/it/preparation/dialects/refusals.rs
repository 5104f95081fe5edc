//! Graphs that cannot be prepared. The error names the node.

use facefleet::inference::onnx::{GraphProto, ModelProto, NodeProto, data_type};
use facefleet::inference::prepare::{self, Outputs, PrepareError, Target, prepare_recogniser};

use super::{MANIFEST_DROPOUT, check};
use crate::support::graphs::manifest;
use crate::support::networks::{
    Flattening, MobileHead, Network, View, iresnet, lresnet100e_ir, mobile_face_net, tensorflow,
    with_unit_length,
};
use crate::support::tape::Style;

fn refusal(network: &Network) -> String {
    prepare_recogniser(
        &network.file(),
        &manifest(network.size, Some(MANIFEST_DROPOUT)),
        Target::Cpu,
        Outputs::Quality,
    )
    .unwrap_err()
    .to_string()
}

#[test]
fn a_division_by_anything_but_the_length_is_refused_by_name() {
    let mut network = iresnet(Style::pytorch(11), View::Flatten);
    let embedding = network.tape.name(network.embedding).to_owned();
    network.tape.node(NodeProto::new("ReduceSum", &[&embedding], "sum").with_ints("axes", &[1]));
    network.tape.node(NodeProto::new("Sqrt", &["sum"], "root"));
    network.output =
        network.tape.same(NodeProto::new("Div", &["root"], "divided"), network.embedding);
    let refusal = refusal(&network);
    assert!(refusal.contains("Div 'divided' -> output"), "{refusal}");
}

#[test]
fn preparing_does_not_panic_on_any_number_in_a_file() {
    let networks = [
        lresnet100e_ir(Style::mxnet(), Flattening::Reshape, 0.4),
        with_unit_length(iresnet(Style::pytorch(13), View::Computed)),
        mobile_face_net(Style::pytorch(13), MobileHead::Covering),
        tensorflow(Style::pytorch(13)),
    ];
    for network in networks {
        let file = ModelProto::read(&network.file()).unwrap();
        let described = manifest(network.size, Some(MANIFEST_DROPOUT));
        let try_with = |change: &dyn Fn(&mut GraphProto)| {
            let mut model = file.clone();
            change(model.graph.as_mut().unwrap());
            // Preparing may succeed or fail, but it must return.
            drop(prepare_recogniser(
                &prepare::encode(&model),
                &described,
                Target::Cpu,
                Outputs::Quality,
            ));
        };
        let graph = file.graph.as_ref().unwrap();
        for extreme in [i64::MIN, -1, 0, i64::MAX] {
            for (n, node) in graph.node.iter().enumerate() {
                for (a, attribute) in node.attribute.iter().enumerate() {
                    try_with(&|graph| graph.node[n].attribute[a].i = extreme);
                    for i in 0..attribute.ints.len() {
                        try_with(&|graph| graph.node[n].attribute[a].ints[i] = extreme);
                    }
                }
            }
            for (c, constant) in graph.initializer.iter().enumerate() {
                for i in 0..constant.dims.len() {
                    try_with(&|graph| graph.initializer[c].dims[i] = extreme);
                }
                if constant.data_type == data_type::INT64 {
                    try_with(&|graph| {
                        let length = graph.initializer[c].raw_data.len() / 8;
                        graph.initializer[c].raw_data = extreme.to_le_bytes().repeat(length);
                    });
                }
            }
        }
    }
}

#[test]
fn a_step_after_unit_length_that_moves_the_embedding_is_refused_by_name() {
    let mut network = with_unit_length(iresnet(Style::pytorch(11), View::Flatten));
    network.output = network.tape.scalar("Mul", network.output, "scaled", 64.0);
    check(&network, MANIFEST_DROPOUT);
    network.output = network.tape.scalar("Add", network.output, "moved", 0.5);
    let refusal = refusal(&network);
    assert!(refusal.contains("'unit' (Div)") && refusal.contains("unit length"), "{refusal}");
}

#[test]
fn a_depthwise_end_is_refused_by_name() {
    let refusal = refusal(&mobile_face_net(Style::pytorch(11), MobileHead::Depthwise));
    assert!(refusal.contains("'conv_6_dw7_7' (Conv)") && refusal.contains("groups"), "{refusal}");
}

#[test]
fn an_unknown_end_is_refused_with_the_names_of_its_nodes() {
    let mut network = iresnet(Style::pytorch(11), View::Flatten);
    network.output =
        network.tape.same(NodeProto::new("Softmax", &[], "probabilities"), network.embedding);
    let refusal = refusal(&network);
    assert!(
        refusal.contains("Softmax 'probabilities' -> output") && refusal.contains("export"),
        "{refusal}"
    );
}

#[test]
fn an_end_in_integers_is_refused_by_name() {
    let mut network = iresnet(Style::pytorch(13), View::Flatten);
    let embedding = network.tape.name(network.embedding).to_owned();
    network.tape.store("step", &[], &[0.1]);
    network.tape.node(NodeProto::new("QuantizeLinear", &[&embedding, "step"], "bytes"));
    network.output = network.tape.add(
        NodeProto::new("DequantizeLinear", &["bytes", "step"], "floats"),
        &[],
        |_| unreachable!(),
    );
    let refusal = refusal(&network);
    assert!(
        refusal.contains("'floats' (DequantizeLinear)") && refusal.contains("in floats"),
        "{refusal}"
    );
}

#[test]
fn training_mode_is_refused_by_name() {
    let mut network = iresnet(Style::pytorch(14), View::Flatten);
    let training = NodeProto::new(
        "BatchNormalization",
        &["bn2_gamma", "bn2_beta", "bn2_moving_mean", "bn2_moving_var"],
        "bn9",
    );
    network.output = network.tape.same(training.with_int("training_mode", 1), network.embedding);
    let refusal = refusal(&network);
    assert!(
        refusal.contains("'bn9' (BatchNormalization)") && refusal.contains("eval"),
        "{refusal}"
    );
}

#[test]
fn an_error_about_a_node_names_it_and_its_operator() {
    let mut network = iresnet(Style::pytorch(11), View::Flatten);
    let embedding = network.embedding;
    network.output =
        network.tape.same(NodeProto::new("MatMul", &["682_bias"], "classifier"), embedding);
    let error = prepare_recogniser(
        &network.file(),
        &manifest(16, Some(MANIFEST_DROPOUT)),
        Target::Cpu,
        Outputs::Quality,
    )
    .unwrap_err();
    assert!(matches!(error, PrepareError::Onnx(_)), "{error:?}");
    assert!(error.to_string().contains("'classifier' (MatMul)"), "{error}");
}
