//! Models with weights in other files.

use std::fs;
use std::path::Path;

use facefleet::inference::model::Models;
use facefleet::inference::onnx::{ModelProto, StringStringEntryProto};
use prost::Message;
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::support::networks::{Network, View, iresnet};
use crate::support::runtime;
use crate::support::tape::{Stored, Style};

const DATA: &str = "weights/all.bin";

fn network() -> Network {
    iresnet(Style { stored: Stored::External(DATA), ..Style::pytorch(13) }, View::Computed)
}

fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A folder of models with `onnx` and the data file, and a manifest that lists both.
fn folder(onnx: &[u8], data: &[u8]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir_all(folder.path().join("fetched/small/weights")).unwrap();
    fs::write(folder.path().join("fetched/small/model.onnx"), onnx).unwrap();
    fs::write(folder.path().join("fetched/small").join(DATA), data).unwrap();
    let manifest = format!(
        "role = \"recogniser\"\nfile = \"small/model.onnx\"\nsha256 = \"{}\"\nlicence \
            = \"none\"\nsource = \"a test\"\n\
         data = [{{ file = \"small/{DATA}\", sha256 = \"{}\" }}]\n\
         [input]\nwidth = 112\nheight = 112\nchannels = \"rgb\"\nmean = 127.5\nscale = 0.0078125\n\
         [recogniser]\nembedding = 16\ndropout = 0.4\nalpha = 130.0\nr = 0.88\n",
        hex(onnx),
        hex(data)
    );
    fs::write(folder.path().join("small.toml"), manifest).unwrap();
    folder
}

fn refusal(folder: &Path) -> String {
    Models::new(folder).prepare("small", &runtime(), false).unwrap_err().to_string()
}

#[test]
fn a_model_with_its_weights_in_a_second_file_is_prepared_as_if_they_were_inside() {
    let external = network();
    let folder = folder(&external.file(), &external.tape.external);
    let models = Models::new(folder.path());
    let prepared = models.prepare("small", &runtime(), false).unwrap();
    assert!(prepared[0].written);

    let inside = iresnet(Style::pytorch(13), View::Computed);
    let whole = models.published(&models.manifest("small").unwrap()).unwrap();
    let weights = |bytes: &[u8]| {
        let graph = ModelProto::read(bytes).unwrap().graph.unwrap();
        graph
            .initializer
            .iter()
            .map(|tensor| (tensor.name.clone(), tensor.to_f32().unwrap()))
            .collect::<Vec<_>>()
    };
    assert_eq!(weights(&whole), weights(&inside.file()));
    assert!(!models.prepare("small", &runtime(), false).unwrap()[0].written, "it is up to date");
}

#[test]
fn a_damaged_data_file_is_reported_although_the_model_is_prepared() {
    let external = network();
    let folder = folder(&external.file(), &external.tape.external);
    let models = Models::new(folder.path());
    models.prepare("small", &runtime(), false).unwrap();
    assert_eq!(models.verify("small").unwrap().published.len(), 2);
    let path = folder.path().join("fetched/small").join(DATA);
    let mut other = external.tape.external.clone();
    other[100] ^= 1;
    fs::write(&path, other).unwrap();
    let error = models.verify("small").unwrap_err().to_string();
    assert!(error.contains("all.bin is not the file that the manifest"), "{error}");
}

#[test]
fn another_data_file_is_refused_by_its_digest_and_a_missing_one_by_its_path() {
    let external = network();
    let folder = folder(&external.file(), &external.tape.external);
    let path = folder.path().join("fetched/small").join(DATA);
    let mut other = external.tape.external.clone();
    other[100] ^= 1;
    fs::write(&path, other).unwrap();
    assert!(
        refusal(folder.path()).contains("all.bin is not the file that the manifest"),
        "{}",
        refusal(folder.path())
    );
    fs::remove_file(&path).unwrap();
    assert!(refusal(folder.path()).contains("all.bin"), "{}", refusal(folder.path()));
    let manifest = fs::read_to_string(folder.path().join("small.toml")).unwrap();
    let unlisted: String = manifest
        .lines()
        .filter(|line| !line.starts_with("data"))
        .flat_map(|line| [line, "\n"])
        .collect();
    fs::write(folder.path().join("small.toml"), unlisted).unwrap();
    assert!(refusal(folder.path()).contains("`data`"), "{}", refusal(folder.path()));
}

/// The model with one entry of its first external tensor replaced.
fn with(key: &str, value: &str) -> Vec<u8> {
    let mut model = ModelProto::decode(network().file().as_slice()).unwrap();
    let tensor = &mut model.graph.as_mut().unwrap().initializer[0];
    tensor.external_data.retain(|entry| entry.key != key);
    tensor
        .external_data
        .push(StringStringEntryProto { key: key.to_owned(), value: value.to_owned() });
    model.encode_to_vec()
}

#[test]
fn locations_outside_the_folder_or_the_file_are_refused_by_the_tensors_name() {
    let data = network().tape.external;
    for (key, value, reason) in [
        ("location", "../model.onnx", "not a path below"),
        ("location", "/etc/passwd", "not a path below"),
        ("location", "", "not a path below"),
        ("offset", "999999999", "ends at"),
        ("offset", "18446744073709551615", "ends at"),
        ("offset", "-4", "not a number"),
        ("length", "4", "its shape needs"),
    ] {
        let refusal = refusal(folder(&with(key, value), &data).path());
        assert!(
            refusal.contains("'411_weight'") && refusal.contains(reason),
            "{key} = {value}: {refusal}"
        );
    }
    let cut = folder(&network().file(), &data[..data.len() / 2]);
    assert!(refusal(cut.path()).contains("ends at"), "{}", refusal(cut.path()));
}

#[test]
fn a_link_that_leaves_the_folder_is_refused() {
    let external = network();
    let folder = folder(&external.file(), &external.tape.external);
    let path = folder.path().join("fetched/small").join(DATA);
    let outside = folder.path().join("outside.bin");
    fs::rename(&path, &outside).unwrap();
    std::os::unix::fs::symlink(&outside, &path).unwrap();
    assert!(refusal(folder.path()).contains("leaves the folder"), "{}", refusal(folder.path()));
}

#[test]
fn a_folder_of_weights_that_is_a_link_must_not_leave_the_models_folder() {
    let external = network();
    let folder = folder(&external.file(), &external.tape.external);
    let model = folder.path().join("fetched/small");
    let (weights, inside) = (model.join("weights"), model.join("elsewhere"));
    fs::rename(&weights, &inside).unwrap();
    std::os::unix::fs::symlink("elsewhere", &weights).unwrap();
    assert!(
        Models::new(folder.path()).prepare("small", &runtime(), false).unwrap()[0].written,
        "a link inside the folder is fine"
    );

    let outside = folder.path().join("outside");
    fs::rename(&inside, &outside).unwrap();
    fs::remove_file(&weights).unwrap();
    std::os::unix::fs::symlink(&outside, &weights).unwrap();
    fs::remove_dir_all(folder.path().join("prepared")).unwrap();
    assert!(refusal(folder.path()).contains("leaves the folder"), "{}", refusal(folder.path()));
}
