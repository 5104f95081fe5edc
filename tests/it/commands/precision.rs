//! `config/bfloat16.toml`: computes the same in another way, under another profile.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{Run, Sandbox};
use crate::support::{PHOTOS, sample_path};

fn checkout(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

#[test]
fn bfloat16_on_a_device_that_computes_in_32_bits_is_refused() {
    let sandbox = Sandbox::new();
    let photo = sample_path("obama.jpg");
    let mut command = sandbox.command(&["score".as_ref(), photo.as_os_str()]);
    let run = Run::of(command.env("FACEFLEET__MODELS__PRECISION", "bfloat16").output().unwrap());
    run.ended(1);
    assert!(run.err.contains("computes in 32 bits") && run.err.contains("openvino"), "{}", run.err);
    let mut command = sandbox.command(&["score".as_ref(), photo.as_os_str()]);
    let run = Run::of(command.env("FACEFLEET__MODELS__PRECISION", "bf16").output().unwrap());
    run.ended(1);
    assert!(
        run.err.contains("unknown precision 'bf16': use float32, half or bfloat16"),
        "{}",
        run.err
    );
}

/// On a processor without bfloat16 the program must say so. The test accepts both and prints which
/// it was.
#[test]
fn bfloat16_gives_templates_and_distances_close_to_those_of_32_bits() {
    let config = checkout("config/bfloat16.toml");
    if !checkout(".facefleet/runtime-openvino").exists() {
        // Setup installs it on these machines, whatever their processor.
        if cfg!(all(target_os = "linux", target_arch = "x86_64")) {
            panic!("OpenVINO is missing: run `python3 scripts/setup.py test`");
        }
        return;
    }
    let sandbox = Sandbox::new();
    // For the device of the settings.
    let prepared = sandbox.run(&["--config", config.to_str().unwrap(), "model", "prepare"]);
    prepared.ended(0);
    let photos: Vec<String> =
        PHOTOS.iter().map(|name| sample_path(name).to_str().unwrap().to_owned()).collect();
    let score = |options: &[&str]| {
        let photos = photos.iter().map(String::as_str);
        let arguments: Vec<&str> = options
            .iter()
            .copied()
            .chain(["score", "--json", "--templates"])
            .chain(photos)
            .collect();
        sandbox.run(&arguments)
    };
    let fast = score(&["--config", config.to_str().unwrap()]);
    if fast.status == Some(1) {
        println!("this processor does not multiply bfloat16: {}", fast.err);
        assert!(fast.err.contains("computes in 32 bits"), "{}", fast.err);
        return;
    }
    fast.ended(0);
    let faces = |run: &Run| {
        let face = |image: &Value| {
            image["faces"]
                .as_array()
                .unwrap()
                .iter()
                .map(|face| (image["uri"].clone(), face.clone()))
                .collect::<Vec<_>>()
        };
        run.json().iter().flat_map(face).collect::<Vec<_>>()
    };
    let (fast, exact) = (faces(&fast), faces(&score(&[])));
    assert!(exact.len() >= 6 && fast.len() == exact.len(), "{} {}", fast.len(), exact.len());
    for ((fast_uri, fast), (uri, exact)) in fast.iter().zip(&exact) {
        assert_eq!((fast_uri, &fast["box"]), (uri, &exact["box"]), "the detector keeps 32 bits");
        let error = fast["distance"].as_f64().unwrap() / exact["distance"].as_f64().unwrap() - 1.0;
        let cosine = cosine(fast, exact);
        println!("{uri}: cosine {cosine:.6}, distance {:+.3} %", 100.0 * error);
        assert!(cosine > 0.9995 && error.abs() < 0.01, "{cosine} {error}");
        assert!(cosine < 0.999_999, "these are not two precisions: {cosine}");
    }
}

/// Cosine of two faces' templates, which have unit length.
fn cosine(a: &Value, b: &Value) -> f64 {
    let template = |face: &Value| {
        face["template"].as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect::<Vec<_>>()
    };
    template(a).iter().zip(template(b)).map(|(a, b)| a * b).sum()
}
