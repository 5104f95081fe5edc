//! `facefleet device` on the CPU, where everything runs but a GPU's rows.

use std::collections::BTreeSet;

use super::Sandbox;
use super::schemas::assert_fits;
use crate::support::{runtime, sample};
use facefleet::domain::Device;

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.write("photos/a.jpg", &sample("obama.jpg"));
    sandbox.write("photos/notes.txt", b"text");
    sandbox
}

#[test]
fn the_cpu_is_checked_and_measured_and_settings_follow() {
    let sandbox = sandbox();
    let arguments = ["device", "cpu", "--photos", "photos", "--seconds", "0", "--json"];
    let run = sandbox.run(&[&arguments[..], &["--out", "rows.json"]].concat());
    run.ended(0);
    let rows = run.json();
    assert_fits("device-row", &rows);
    let text = |row: &serde_json::Value, field: &str| row[field].as_str().unwrap().to_owned();
    let parts: BTreeSet<String> = rows.iter().map(|row| text(row, "part")).collect();
    let expected = ["machine", "start", "results", "recogniser", "detector", "advice"];
    assert_eq!(parts, expected.map(String::from).into());
    for row in rows.iter().filter(|row| row["part"] == "recogniser" || row["part"] == "detector") {
        assert!(row["value"].as_f64().unwrap() > 0.0, "{row}");
    }
    let repeat = rows.iter().find(|row| text(row, "what").starts_with("a second start")).unwrap();
    let repeat = text(repeat, "detail");
    let (same, all) = repeat["the same bits for ".len()..].split_once(" of ").unwrap();
    assert_eq!(format!("{same} faces"), all, "a CPU repeats its bits: {repeat}");
    let written: serde_json::Value =
        serde_json::from_slice(&std::fs::read(sandbox.path("rows.json")).unwrap()).unwrap();
    assert_eq!(written.as_array().unwrap(), &rows);
}

#[test]
fn a_device_that_is_not_there_is_a_row_and_the_others_are_measured() {
    if runtime().offers(Device::Cuda(0)) {
        return;
    }
    let sandbox = sandbox();
    let run = sandbox.run(&["device", "cuda:0", "cpu", "--photos", "photos", "--seconds", "0"]);
    run.ended(1);
    let wrong: Vec<&str> = run.out.lines().filter(|line| line.starts_with("WRONG")).collect();
    assert_eq!(wrong.len(), 1, "{}", run.out);
    assert!(wrong[0].contains("built without it"), "{}", wrong[0]);
    assert!(run.out.contains("runtime.device = \"cpu\""), "{}", run.out);
}

#[test]
fn what_cannot_be_measured_is_an_error_before_anything_is() {
    let sandbox = sandbox();
    for (arguments, told) in [
        (&["device", "gpu"][..], "unknown device 'gpu'"),
        (&["device", "auto"], "name a device, not auto"),
        (&["device", "cpu+quarter"], "unknown precision 'quarter'"),
        (&["device", "--seconds", "61"], "a number from 0 to 60"),
    ] {
        let run = sandbox.run(arguments);
        run.ended(2);
        assert!(run.err.contains(told), "{}", run.err);
    }
    std::fs::create_dir(sandbox.path("empty")).unwrap();
    sandbox.write("empty/notes.txt", b"text");
    let run = sandbox.run(&["device", "cpu", "--photos", "empty"]);
    run.ended(1);
    assert!(run.err.contains("no face in the photos of"), "{}", run.err);
}

#[test]
fn the_kubernetes_example_has_settings_that_there_are() {
    let path =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/kubernetes-gpu-worker.yaml");
    let text = std::fs::read_to_string(path).unwrap();
    let sandbox = Sandbox::new();
    let mut command = sandbox.command(&["model", "list"]);
    let mut count = 0;
    for line in text.lines().filter_map(|line| line.trim().strip_prefix("- { name: FACEFLEET")) {
        let (name, value) = line.split_once(", value: \"").unwrap();
        command.env(format!("FACEFLEET{name}"), value.split_once('"').unwrap().0);
        count += 1;
    }
    assert!(count >= 5, "{count} settings");
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
