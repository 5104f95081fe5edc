//! Prepared models that are damaged, truncated, empty or another model's. They are refused by name
//! at the start, prepared again by `model prepare`, and never run.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use facefleet::app::App;
use facefleet::inference::model::{ModelError, Models};
use facefleet::inference::onnx::{ModelProto, StringStringEntryProto};
use prost::Message;
use tempfile::TempDir;

use crate::support::graphs::numbers;
use crate::support::{app, runtime, sample};

const SFACE: &str = "sface-2021dec";
const YUNET: &str = "yunet-2023mar";
const MTCNN: &str = "mtcnn";
/// A prepared file, its model, and the detector setting with which it is opened.
const FILES: [(&str, &str, &str); 5] = [
    ("sface-2021dec.onnx", SFACE, YUNET),
    ("yunet-2023mar.onnx", YUNET, YUNET),
    ("mtcnn.p.onnx", MTCNN, MTCNN),
    ("mtcnn.r.onnx", MTCNN, MTCNN),
    ("mtcnn.o.onnx", MTCNN, MTCNN),
];

/// A folder with copies of this checkout's manifests and prepared files, and a link to the
/// published files.
pub fn models() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
    for name in [SFACE, YUNET, MTCNN] {
        fs::copy(source.join(format!("{name}.toml")), folder.path().join(format!("{name}.toml")))
            .unwrap();
    }
    fs::create_dir(folder.path().join("prepared")).unwrap();
    for (file, ..) in FILES {
        let prepared = source.join("prepared").join(file);
        fs::copy(&prepared, folder.path().join("prepared").join(file))
            .expect("the tests need the prepared models: run `make setup`");
    }
    symlink(source.join("fetched"), folder.path().join("fetched")).unwrap();
    folder
}

fn using(models: &Path, detector: &str) -> App {
    let mut settings = app().settings().clone();
    settings.models.dir = models.to_owned();
    settings.models.detector = detector.to_owned();
    App::new(settings)
}

/// The error of every command that opens models.
fn refusal(models: &Path, detector: &str) -> String {
    let app = using(models, detector);
    let opened = app.processor(&[], false).map(|_| ()).expect_err("a damaged model was opened");
    let read = app.profile(false).unwrap_err();
    assert_eq!(format!("{opened:#}"), format!("{read:#}"));
    format!("{opened:#}")
}

#[track_caller]
fn assert_refused(models: &Path, (file, model, detector): (&str, &str, &str), what: &str) {
    assert_names(&refusal(models, detector), file, model, what);
}

/// As [`assert_refused`], but reads only this model of the folder.
#[track_caller]
fn assert_unreadable(models: &Path, (file, model, _): (&str, &str, &str), what: &str) {
    let models = Models::new(models);
    let manifest = models.manifest(model).unwrap();
    let refusals: Vec<ModelError> = manifest
        .networks()
        .iter()
        .filter_map(|network| models.read_prepared(network).err())
        .collect();
    let [refusal] = &refusals[..] else { panic!("{file}, {what}: {refusals:?}") };
    assert_names(&refusal.to_string(), file, model, what);
}

#[track_caller]
fn assert_names(refusal: &str, file: &str, model: &str, what: &str) {
    let names = [file, &format!("`facefleet model prepare {model}`")]
        .iter()
        .all(|words| refusal.contains(words));
    assert!(names, "{file}, {what}: {refusal}");
}

fn prepared(models: &Path, file: &str) -> PathBuf {
    models.join("prepared").join(file)
}

#[test]
fn sixty_four_changed_bytes_anywhere_in_a_prepared_model_are_detected() {
    let folder = models();
    for which in FILES {
        let path = prepared(folder.path(), which.0);
        let whole = fs::read(&path).unwrap();
        let noise: Vec<u8> =
            numbers(9, 64).iter().map(|value| (value * 127.0) as i8 as u8).collect();
        // In the nodes, the weights, the metadata of the preparation and the digest.
        let mut offsets: Vec<usize> = (0..8).map(|part| part * (whole.len() - 64) / 7).collect();
        offsets.push(whole.len() - 200);
        for offset in offsets {
            let mut damaged = whole.clone();
            damaged[offset..offset + 64].copy_from_slice(&noise);
            fs::write(&path, &damaged).unwrap();
            assert_unreadable(folder.path(), which, &format!("64 bytes at {offset}"));
        }
        let mut flipped = whole.clone();
        flipped[whole.len() / 2] ^= 1;
        fs::write(&path, &flipped).unwrap();
        assert_unreadable(folder.path(), which, "one bit");
        assert_refused(folder.path(), which, "one bit");
        fs::write(&path, &whole).unwrap();
    }
    using(folder.path(), MTCNN).processor(&[], false).unwrap();
}

#[test]
fn a_prepared_model_that_is_truncated_empty_longer_or_another_file_is_refused() {
    let folder = models();
    for which in FILES {
        let path = prepared(folder.path(), which.0);
        let whole = fs::read(&path).unwrap();
        let longer = [&whole[..], &[0x72, 0]].concat();
        let [cut, half, nothing] = [whole.len() - 1, whole.len() / 2, 0].map(|end| &whole[..end]);
        for (bytes, what) in [
            (cut, "cut"),
            (half, "half"),
            (nothing, "empty"),
            (&longer, "longer"),
            (&b"<html>"[..], "a web page"),
        ] {
            fs::write(&path, bytes).unwrap();
            assert_unreadable(folder.path(), which, what);
        }
        fs::remove_file(&path).unwrap();
        assert_refused(folder.path(), which, "missing");
        fs::write(&path, &whole).unwrap();
    }
}

#[test]
fn swapped_prepared_models_are_refused() {
    let folder = models();
    for (a, b) in
        [(FILES[0], FILES[1]), (FILES[1], FILES[4]), (FILES[2], FILES[3]), (FILES[3], FILES[4])]
    {
        let [first, second] = [a, b].map(|(file, ..)| prepared(folder.path(), file));
        let exchange = || {
            fs::rename(&first, folder.path().join("aside")).unwrap();
            fs::rename(&second, &first).unwrap();
            fs::rename(folder.path().join("aside"), &second).unwrap();
        };
        exchange();
        let refusal = refusal(folder.path(), b.2);
        assert!(
            refusal.contains("prepared from another file")
                && refusal.contains("`facefleet model prepare"),
            "{refusal}"
        );
        exchange();
    }
}

#[test]
fn a_model_prepared_by_an_older_version_is_refused_by_name() {
    let folder = models();
    for which in FILES {
        let path = prepared(folder.path(), which.0);
        let whole = fs::read(&path).unwrap();
        // The format of the previous version, without a digest.
        let mut model = ModelProto::decode(whole.as_slice()).unwrap();
        model.metadata_props.truncate(1);
        let StringStringEntryProto { value, .. } = &mut model.metadata_props[0];
        assert!(value.contains("\"preparation\":3"), "{value}");
        *value = value.replace("\"preparation\":3", "\"preparation\":2");
        fs::write(&path, model.encode_to_vec()).unwrap();
        assert_unreadable(folder.path(), which, "of the previous version");
        // A file of this version needs a digest.
        model.metadata_props[0].value =
            model.metadata_props[0].value.replace("\"preparation\":2", "\"preparation\":3");
        fs::write(&path, model.encode_to_vec()).unwrap();
        assert_unreadable(folder.path(), which, "without a digest");
        fs::write(&path, &whole).unwrap();
    }
}

#[tokio::test]
async fn a_damaged_model_is_prepared_again_and_then_scores() {
    let folder = models();
    let models = using(folder.path(), MTCNN).models();
    for (file, model, detector) in FILES {
        let path = prepared(folder.path(), file);
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..whole.len() / 3]).unwrap();
        assert_refused(folder.path(), (file, model, detector), "a third");
        let written: Vec<bool> = models
            .prepare(model, &runtime(), false)
            .unwrap()
            .iter()
            .map(|file| file.written)
            .collect();
        assert_eq!(written.iter().filter(|written| **written).count(), 1, "{file}");
    }
    for detector in [YUNET, MTCNN] {
        let scored = using(folder.path(), detector)
            .processor(&[], false)
            .unwrap()
            .analyse(sample("obama.jpg"))
            .await
            .unwrap();
        assert!(!scored.outcome.faces().is_empty(), "{detector}");
    }
}

#[test]
fn published_files_that_exist_are_checked_against_their_manifest() {
    let folder = models();
    let (own, source) = (
        folder.path().join("fetched"),
        Path::new(env!("CARGO_MANIFEST_DIR")).join("models/fetched"),
    );
    fs::remove_file(&own).unwrap();
    fs::create_dir(&own).unwrap();
    let models = using(folder.path(), MTCNN).models();
    for name in [SFACE, YUNET, MTCNN] {
        assert!(models.verify(name).unwrap().published.is_empty(), "there is no published file");
        for network in models.manifest(name).unwrap().networks() {
            let path = own.join(&network.file);
            fs::copy(source.join(&network.file), &path).unwrap();
            let mut bytes = fs::read(&path).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::write(&path, &bytes).unwrap();
            for error in [
                models.verify(name).unwrap_err(),
                models.prepare(name, &runtime(), true).unwrap_err(),
            ] {
                assert!(
                    matches!(&error, ModelError::Digest { path: named, .. } if *named == path),
                    "{error}"
                );
            }
            bytes[middle] ^= 1;
            fs::write(&path, &bytes).unwrap();
        }
        let checked = models.verify(name).unwrap();
        assert_eq!(checked.published.len(), checked.prepared.len());
    }
}

/// The bytes of a prepared file with a new, valid digest.
fn sealed(mut model: ModelProto) -> Vec<u8> {
    let Some(mut end) = model.metadata_props.pop() else { panic!("no metadata") };
    let mut bytes = model.encode_to_vec();
    end.value = blake3::hash(&bytes).to_hex().to_string();
    let mut last = ModelProto::default();
    last.metadata_props.push(end);
    bytes.extend(last.encode_to_vec());
    bytes
}

/// Applies `change` to each weight of the network in `path`, as if a device computed wrongly.
fn reweigh(path: &Path, change: impl Fn(f32) -> f32) {
    let mut model = ModelProto::decode(fs::read(path).unwrap().as_slice()).unwrap();
    for tensor in &mut model.graph.as_mut().unwrap().initializer {
        // The weights of convolutions and layers, not the constants of shapes.
        if tensor.is_float() && tensor.dims.len() > 1 {
            let values: Vec<f32> = tensor.to_f32().unwrap().into_iter().map(&change).collect();
            tensor.raw_data = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            tensor.float_data.clear();
        }
    }
    fs::write(path, sealed(model)).unwrap();
}

#[test]
fn a_detector_that_finds_no_face_or_a_wrong_box_is_refused_by_name() {
    let folder = models();
    let refused = |detector: &str, what: &str| {
        let refusal =
            using(folder.path(), detector).processor(&[], false).map(|_| ()).expect_err(what);
        let refusal = format!("{refusal:#}");
        assert!(
            refusal.contains(&format!("'{detector}' failed its test: it found")),
            "{what}: {refusal}"
        );
    };
    for (file, _, detector) in FILES.into_iter().skip(1) {
        let path = prepared(folder.path(), file);
        let whole = fs::read(&path).unwrap();
        reweigh(&path, |value| value);
        using(folder.path(), detector).processor(&[], false).unwrap();
        for (scale, what) in [(0.0, "weights of 0"), (0.5, "halved weights")] {
            fs::write(&path, &whole).unwrap();
            reweigh(&path, |value| value * scale);
            refused(detector, &format!("{file}: {what}"));
        }
        fs::write(&path, &whole).unwrap();
    }
    for (file, detector) in [("yunet-2023mar.onnx", YUNET), ("mtcnn.o.onnx", MTCNN)] {
        let path = prepared(folder.path(), file);
        let whole = fs::read(&path).unwrap();
        let mut model = ModelProto::decode(whole.as_slice()).unwrap();
        let StringStringEntryProto { value, .. } = &mut model.metadata_props[0];
        let mut metadata: serde_json::Value = serde_json::from_str(value).unwrap();
        let left = metadata["face"]["bbox"]["x"].as_f64().unwrap();
        metadata["face"]["bbox"]["x"] = (left + 20.0).into();
        *value = metadata.to_string();
        fs::write(&path, sealed(model)).unwrap();
        refused(detector, "a face 20 pixels to the right");
        fs::write(&path, &whole).unwrap();
    }
}

#[test]
fn a_published_detector_that_does_not_find_a_face_is_not_prepared() {
    let folder = models();
    let manifest = folder.path().join("yunet-2023mar.toml");
    let text = fs::read_to_string(&manifest).unwrap();
    // Pixels of 0..1 for a network that expects 0..255.
    fs::write(
        &manifest,
        text.replace("channels = \"bgr\"", "channels = \"bgr\"\nscale = 0.00392156862"),
    )
    .unwrap();
    let error = using(folder.path(), YUNET)
        .models()
        .prepare(YUNET, &runtime(), true)
        .unwrap_err()
        .to_string();
    assert!(error.contains("'yunet-2023mar'") && error.contains("`scale`"), "{error}");
}
