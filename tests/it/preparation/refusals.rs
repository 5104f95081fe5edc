//! A model that ONNX Runtime cannot run is refused with an error that names the node, the file and
//! the remedy.

use std::fs;
use std::path::Path;

use facefleet::inference::model::Models;
use facefleet::inference::onnx::ModelProto;
use facefleet::inference::prepare::{
    Outputs, Target, inspect, prepare_detector, prepare_recogniser,
};
use facefleet::inference::runtime::RuntimeError;
use prost::Message;
use sha2::{Digest, Sha256};

use crate::support::graphs::{Builder, CHANNELS, EMBEDDING, manifest};
use crate::support::networks::{Flattening, Network, lresnet100e_ir};
use crate::support::runtime;
use crate::support::tape::Style;

fn network() -> Network {
    lresnet100e_ir(Style::mxnet(), Flattening::Flatten, 0.4)
}

/// The file with node `name` changed.
fn with(
    network: &Network,
    name: &str,
    change: impl Fn(&mut facefleet::inference::onnx::NodeProto),
) -> Vec<u8> {
    let mut model = ModelProto::decode(network.file().as_slice()).unwrap();
    let node =
        model.graph.as_mut().unwrap().node.iter_mut().find(|node| node.name == name).unwrap();
    change(node);
    model.encode_to_vec()
}

/// The errors of all functions that read the file.
fn refusals(file: &[u8], size: usize) -> [String; 3] {
    let recogniser =
        prepare_recogniser(file, &manifest(size, Some(0.4)), Target::Cpu, Outputs::Quality);
    [
        recogniser.map(|_| ()).unwrap_err().to_string(),
        inspect(file).unwrap_err().to_string(),
        prepare_detector(file).unwrap_err().to_string(),
    ]
}

#[test]
fn an_unknown_operator_is_refused_by_the_name_of_its_node() {
    let network = network();
    for name in ["_minusscalar0", "relu0", "fc1"] {
        for refusal in
            refusals(&with(&network, name, |node| node.op_type = "Foo".into()), network.size)
        {
            assert!(
                refusal.starts_with(&format!("node '{name}' (Foo): neither"))
                    && refusal.contains("export"),
                "{refusal}"
            );
        }
    }
}

#[test]
fn a_node_of_a_foreign_domain_is_refused_by_its_name_and_domain() {
    let network = network();
    for (domain, op) in [("com.acme", "Sub"), ("ai.onnx.ml", "Scaler"), ("com.microsoft", "Sub")] {
        let change = |node: &mut facefleet::inference::onnx::NodeProto| {
            node.domain = domain.into();
            node.op_type = op.into();
        };
        for refusal in refusals(&with(&network, "_minusscalar0", change), network.size) {
            assert!(refusal.starts_with(&format!("node '_minusscalar0' ({op}): ")), "{refusal}");
            assert!(
                refusal.contains(&format!("'{domain}'")) == (domain != "com.microsoft"),
                "{refusal}"
            );
        }
    }
}

#[test]
fn an_operator_of_a_later_set_than_the_file_declares_is_refused_with_both_numbers() {
    let network = network();
    let file = with(&network, "relu0", |node| node.op_type = "HardSwish".into());
    for refusal in refusals(&file, network.size) {
        assert!(
            refusal.contains("'relu0' (HardSwish)")
                && refusal.contains("set 14")
                && refusal.contains("declares 8"),
            "{refusal}"
        );
    }
}

#[test]
fn an_unknown_operator_that_no_output_needs_is_no_reason_to_refuse() {
    let network = network();
    let mut model = ModelProto::decode(network.file().as_slice()).unwrap();
    let graph = model.graph.as_mut().unwrap();
    let mut node = graph.node[0].clone();
    (node.name, node.op_type, node.output) = ("aside".into(), "Foo".into(), vec!["aside".into()]);
    graph.node.push(node);
    let prepared = prepare_recogniser(
        &model.encode_to_vec(),
        &manifest(network.size, None),
        Target::Cpu,
        Outputs::Quality,
    );
    assert!(prepared.is_ok(), "{:?}", prepared.map(|_| ()).unwrap_err());
}

/// A small recogniser of this operator set and file format.
fn of_versions(opset: i64, ir_version: i64) -> Vec<u8> {
    let file =
        Builder::new(13).batch_norm("bn", CHANNELS).dropout_input(0.4).flatten().gemm().build();
    let mut model = ModelProto::decode(file.as_slice()).unwrap();
    model.opset_import[0].version = opset;
    model.ir_version = ir_version;
    model.encode_to_vec()
}

/// A folder of models with `file` as the recogniser `small`.
fn in_folder(folder: &Path, file: &[u8]) -> Models {
    let digest: String = Sha256::digest(file).iter().map(|byte| format!("{byte:02x}")).collect();
    fs::create_dir_all(folder.join("fetched")).unwrap();
    fs::write(folder.join("fetched/small.onnx"), file).unwrap();
    let manifest = format!(
        "role = \"recogniser\"\nfile = \"small.onnx\"\nsha256 = \"{digest}\"\nlicence \
            = \"none\"\nsource = \"a test\"\n\
         [input]\nwidth = 112\nheight = 112\nchannels = \"rgb\"\n\
         [recogniser]\nembedding = {EMBEDDING}\nalpha = 130.0\nr = 0.88\n"
    );
    fs::write(folder.join("small.toml"), manifest).unwrap();
    Models::new(folder)
}

#[test]
fn a_model_newer_than_onnx_runtime_is_refused_with_both_versions() {
    for (opset, ir_version, what) in [(99, 10, "operator set 99"), (21, 99, "(IR version) 99")] {
        let file = of_versions(opset, ir_version);
        let folder = tempfile::tempdir().unwrap();
        let prepared = in_folder(folder.path(), &file)
            .prepare("small", &runtime(), false)
            .unwrap_err()
            .to_string();
        // As when it is opened, or prepared by a newer library than the one that opens it.
        let served = runtime().open("small", &file, 1).unwrap_err();
        let RuntimeError::Newer { newest, found: 99, .. } = &served else { panic!("{served:?}") };
        assert!((9..99).contains(newest), "{served}");
        for refusal in [prepared, served.to_string()] {
            assert!(
                refusal.contains(what)
                    && refusal.contains("export")
                    && refusal.contains("runtime.library"),
                "{refusal}"
            );
            assert!(
                refusal.contains("small")
                    && !refusal.contains("onnxruntime_src")
                    && !refusal.contains(".cc"),
                "{refusal}"
            );
        }
    }
    let folder = tempfile::tempdir().unwrap();
    in_folder(folder.path(), &of_versions(21, 10)).prepare("small", &runtime(), false).unwrap();
}

#[test]
fn the_error_about_a_node_names_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = with(&network(), "relu0", |node| node.op_type = "Foo".into());
    let refusal = in_folder(folder.path(), &file)
        .prepare("small", &runtime(), false)
        .unwrap_err()
        .to_string();
    assert!(
        refusal.contains("fetched/small.onnx: node 'relu0' (Foo)")
            && refusal.contains("model 'small'"),
        "{refusal}"
    );
}
