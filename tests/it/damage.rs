//! Prepared models that are damaged, cut, empty or another's: refused by name at start, made anew
//! by `model prepare`, never run.

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
/// A prepared file, its model, and the detector to be set for it to be opened.
const FILES: [(&str, &str, &str); 5] = [
    ("sface-2021dec.onnx", SFACE, YUNET),
    ("yunet-2023mar.onnx", YUNET, YUNET),
    ("mtcnn.p.onnx", MTCNN, MTCNN),
    ("mtcnn.r.onnx", MTCNN, MTCNN),
    ("mtcnn.o.onnx", MTCNN, MTCNN),
];

/// The models of this checkout in a folder of their own: manifests and prepared files copied,
/// published files as they are.
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

/// What every command that opens models says, which is the same.
fn refusal(models: &Path, detector: &str) -> String {
    let app = using(models, detector);
    let opened = app.processor(&[], false).map(|_| ()).expect_err("a damaged model was opened");
    let read = app.profile(false).unwrap_err();
    assert_eq!(format!("{opened:#}"), format!("{read:#}"));
    format!("{opened:#}")
}

#[track_caller]
fn assert_refused(models: &Path, (file, model, detector): (&str, &str, &str), what: &str) {
    assert_told(&refusal(models, detector), file, model, what);
}

/// As [`assert_refused`], asked of the folder alone, which takes no other model.
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
    assert_told(&refusal.to_string(), file, model, what);
}

#[track_caller]
fn assert_told(refusal: &str, file: &str, model: &str, what: &str) {
    let told = [file, &format!("`facefleet model prepare {model}`")]
        .iter()
        .all(|words| refusal.contains(words));
    assert!(told, "{file}, {what}: {refusal}");
}

fn prepared(models: &Path, file: &str) -> PathBuf {
    models.join("prepared").join(file)
}

#[test]
fn sixty_four_other_bytes_anywhere_in_a_prepared_model_are_noticed() {
    let folder = models();
    for which in FILES {
        let path = prepared(folder.path(), which.0);
        let whole = fs::read(&path).unwrap();
        let noise: Vec<u8> =
            numbers(9, 64).iter().map(|value| (value * 127.0) as i8 as u8).collect();
        // In the nodes, in weights, in what preparing wrote, in the digest itself.
        let mut places: Vec<usize> = (0..8).map(|part| part * (whole.len() - 64) / 7).collect();
        places.push(whole.len() - 200);
        for place in places {
            let mut damaged = whole.clone();
            damaged[place..place + 64].copy_from_slice(&noise);
            fs::write(&path, &damaged).unwrap();
            assert_unreadable(folder.path(), which, &format!("64 bytes at {place}"));
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
fn a_prepared_model_that_is_cut_empty_longer_or_something_else_is_refused() {
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
fn prepared_models_that_changed_places_are_refused() {
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
fn what_an_older_version_prepared_is_asked_for_by_name() {
    let folder = models();
    for which in FILES {
        let path = prepared(folder.path(), which.0);
        let whole = fs::read(&path).unwrap();
        // As they were: the version before, and no digest.
        let mut model = ModelProto::decode(whole.as_slice()).unwrap();
        model.metadata_props.truncate(1);
        let StringStringEntryProto { value, .. } = &mut model.metadata_props[0];
        assert!(value.contains("\"preparation\":3"), "{value}");
        *value = value.replace("\"preparation\":3", "\"preparation\":2");
        fs::write(&path, model.encode_to_vec()).unwrap();
        assert_unreadable(folder.path(), which, "of the version before");
        // Without its digest, a file of this version is not whole.
        model.metadata_props[0].value =
            model.metadata_props[0].value.replace("\"preparation\":2", "\"preparation\":3");
        fs::write(&path, model.encode_to_vec()).unwrap();
        assert_unreadable(folder.path(), which, "without a digest");
        fs::write(&path, &whole).unwrap();
    }
}

#[tokio::test]
async fn preparing_makes_a_damaged_model_anew_and_it_scores_as_before() {
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
fn published_files_are_checked_against_their_manifest_where_they_are_there() {
    let folder = models();
    let (own, source) = (
        folder.path().join("fetched"),
        Path::new(env!("CARGO_MANIFEST_DIR")).join("models/fetched"),
    );
    fs::remove_file(&own).unwrap();
    fs::create_dir(&own).unwrap();
    let models = using(folder.path(), MTCNN).models();
    for name in [SFACE, YUNET, MTCNN] {
        assert!(
            models.verify(name).unwrap().published.is_empty(),
            "nothing is there to be checked"
        );
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
                    matches!(&error, ModelError::Digest { path: told, .. } if *told == path),
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

/// The bytes of a prepared file with its digest made anew, as if they had been prepared so.
fn sealed(mut model: ModelProto) -> Vec<u8> {
    let Some(mut end) = model.metadata_props.pop() else { panic!("no metadata") };
    let mut bytes = model.encode_to_vec();
    end.value = blake3::hash(&bytes).to_hex().to_string();
    let mut last = ModelProto::default();
    last.metadata_props.push(end);
    bytes.extend(last.encode_to_vec());
    bytes
}

/// Sets the weights of the network in `path` to what `change` makes of each, as if a device
/// computed with others.
fn reweigh(path: &Path, change: impl Fn(f32) -> f32) {
    let mut model = ModelProto::decode(fs::read(path).unwrap().as_slice()).unwrap();
    for tensor in &mut model.graph.as_mut().unwrap().initializer {
        // Those of convolutions and layers, not the numbers that shapes are made of.
        if tensor.is_float() && tensor.dims.len() > 1 {
            let values: Vec<f32> = tensor.to_f32().unwrap().into_iter().map(&change).collect();
            tensor.raw_data = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            tensor.float_data.clear();
        }
    }
    fs::write(path, sealed(model)).unwrap();
}

#[test]
fn a_detector_that_finds_nothing_or_elsewhere_is_refused_by_its_name() {
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
        let mut said: serde_json::Value = serde_json::from_str(value).unwrap();
        let left = said["face"]["bbox"]["x"].as_f64().unwrap();
        said["face"]["bbox"]["x"] = (left + 20.0).into();
        *value = said.to_string();
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
    // Pixels of 0..1 for a network that takes 0..255.
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
