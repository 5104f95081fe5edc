//! The self-tests refuse a device that computes something else. The devices here are a CPU, and
//! the network is changed as a faulty device would change its answers.

use std::path::Path;

use facefleet::domain::{CHIP_SIDE, Chip};
use facefleet::inference::canvas::CanvasSize;
use facefleet::inference::model::Models;
use facefleet::inference::onnx::{
    GraphProto, ModelProto, NodeProto, StringStringEntryProto, TensorProto, data_type,
};
use facefleet::inference::plan::DevicePlan;
use facefleet::inference::prepare::{self, names};
use facefleet::inference::recogniser::{Estimator, RecogniserModel};
use facefleet::inference::yunet::YunetModel;
use prost::Message;

use crate::devices::gpu_layout;
use crate::support::{app, runtime, unprepared};

const SFACE: &str = "sface-2021dec";
const YUNET: &str = "yunet-2023mar";
const DIGEST: &str = "facefleet.blake3";

fn prepared(name: &str) -> ModelProto {
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/prepared");
    ModelProto::read(&std::fs::read(models.join(format!("{name}.onnx"))).unwrap()).unwrap()
}

/// The prepared model `name` after `change`, in `folder`, with a digest that fits again.
fn changed(name: &str, folder: &Path, change: impl FnOnce(&mut GraphProto)) -> Models {
    let models = unprepared(name, folder);
    let mut model = prepared(name);
    change(model.graph.as_mut().unwrap());
    model.metadata_props.retain(|entry| entry.key != DIGEST);
    let mut bytes = model.encode_to_vec();
    let mut end = ModelProto::default();
    let value = blake3::hash(&bytes).to_hex().to_string();
    end.metadata_props = vec![StringStringEntryProto { key: DIGEST.into(), value }];
    bytes.extend(end.encode_to_vec());
    std::fs::create_dir(folder.join("prepared")).unwrap();
    std::fs::write(folder.join(format!("prepared/{name}.onnx")), bytes).unwrap();
    models
}

/// Answers of a batch come out in the order of the rows, from the last to the first. One row alone
/// is right.
fn mix_rows(graph: &mut GraphProto) {
    let input = graph.input[0].name.clone();
    let constants = [("starts", -1), ("ends", i64::MIN), ("axes", 0), ("steps", -1)];
    graph.initializer.extend(constants.map(|(name, value)| TensorProto::ints(name, &[value])));
    let readers = graph.node.iter_mut().flat_map(|node| &mut node.input);
    readers.filter(|read| **read == input).for_each(|read| "mixed".clone_into(read));
    let slice = NodeProto::new("Slice", &[&input, "starts", "ends", "axes", "steps"], "mixed");
    graph.node.insert(0, slice);
}

/// Rounds the weights of convolutions and products to the ten bits of TF32's mantissa.
fn round_weights(graph: &mut GraphProto) {
    let weights = graph.initializer.iter_mut();
    for tensor in weights.filter(|t| t.data_type == data_type::FLOAT && t.dims.len() > 1) {
        let dims: Vec<usize> = tensor.shape().unwrap();
        let ten_bits = |value: f32| f32::from_bits((value.to_bits() + 0x1000) & !0x1FFF);
        let values: Vec<f32> = tensor.to_f32().unwrap().into_iter().map(ten_bits).collect();
        *tensor = TensorProto::floats(&tensor.name, &dims, &values);
    }
}

fn open_recogniser(models: &Models, plan: &DevicePlan) -> Result<(), String> {
    let model = RecogniserModel::load(models, SFACE, &runtime(), Estimator::ClosedForm).unwrap();
    model.open_on(plan).map(drop).map_err(|error| error.to_string())
}

fn open_detector(models: &Models, plan: &DevicePlan) -> Result<(), String> {
    let size = CanvasSize::Letterbox { max_side: 320 };
    let model = YunetModel::load(models, YUNET, &runtime()).unwrap();
    model.open_on(plan, size).map(drop).map_err(|error| error.to_string())
}

#[test]
fn a_device_that_mixes_up_the_rows_of_a_batch_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let models = changed(SFACE, folder.path(), mix_rows);
    open_recogniser(&models, &DevicePlan::cpu(1)).unwrap();
    let error = open_recogniser(&models, &gpu_layout(4)).unwrap_err();
    assert!(error.contains("sface-2021dec") && error.contains("to the one alone"), "{error}");
    open_recogniser(&app().models(), &gpu_layout(4)).unwrap();

    let folder = tempfile::tempdir().unwrap();
    let models = changed(YUNET, folder.path(), mix_rows);
    open_detector(&models, &DevicePlan::cpu(1)).unwrap();
    let error = open_detector(&models, &gpu_layout(4)).unwrap_err();
    assert!(error.contains("yunet-2023mar"), "{error}");
    open_detector(&app().models(), &gpu_layout(4)).unwrap();
}

#[test]
fn the_precision_of_tf32_is_refused_in_32_bits() {
    let folder = tempfile::tempdir().unwrap();
    let models = changed(SFACE, folder.path(), round_weights);
    let error = open_recogniser(&models, &DevicePlan::cpu(1)).unwrap_err();
    assert!(error.contains("to the one recorded") && error.contains("is off by"), "{error}");
}

#[test]
fn bytes_as_input_give_the_bits_of_floats_as_input() {
    let manifest = app().models().manifest(SFACE).unwrap();
    let bytes = manifest.input.planes(&[Chip::synthetic()]);
    let mut model = prepared(SFACE);
    let dims = [1, 3, CHIP_SIDE, CHIP_SIDE];
    let wanted = [names::EMBEDDING, names::DISTANCE];
    let scaled = |&byte: &u8| (f32::from(byte) - manifest.input.mean) * manifest.input.scale;
    let floats: Vec<f32> = bytes.iter().map(scaled).collect();
    let mut network = runtime().open("floats", &prepare::encode(&model), 1).unwrap();
    let expected = network.run(&[(&dims, &floats)], &wanted).unwrap();
    prepare::read_bytes(&mut model, &manifest.input);
    let mut network = runtime().open("bytes", &prepare::encode(&model), 1).unwrap();
    assert_eq!(network.run_bytes(&dims, &bytes, &wanted).unwrap(), expected);
}
