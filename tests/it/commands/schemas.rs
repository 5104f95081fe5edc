//! One schema: what every command prints about an image is the same, by name and by `uri`, and fits
//! the schemas of the documentation.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{Run, Sandbox};
use crate::support::sample;

/// Fails unless each of `lines` fits `docs/schemas/NAME.schema.json`.
#[track_caller]
pub(super) fn assert_fits(name: &str, lines: &[Value]) {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schemas");
    let schema = std::fs::read(folder.join(format!("{name}.schema.json"))).unwrap();
    let schema: Value = serde_json::from_slice(&schema).unwrap();
    let known: BTreeSet<&String> = schema["properties"].as_object().unwrap().keys().collect();
    let validator = jsonschema::validator_for(&schema).unwrap();
    assert!(!lines.is_empty(), "{name}: nothing to validate");
    for line in lines {
        let errors: Vec<_> = validator.iter_errors(line).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{name}: {errors:?}\n{line}");
        for key in line.as_object().unwrap().keys() {
            assert!(known.contains(key), "{name}: {key} is not in the schema");
        }
    }
}

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    for name in ["astronaut.png", "obama.jpg", "chelsea.png"] {
        sandbox.write(&format!("photos/{name}"), &sample(name));
    }
    sandbox.write("photos/a b ü.jpg", b"text");
    sandbox.write("photos/notes.txt", b"text");
    sandbox
}

fn json(sandbox: &Sandbox, arguments: &[&str]) -> Vec<Value> {
    let run: Run = sandbox.run(arguments);
    run.ended(0);
    run.json()
}

/// By `uri`.
fn by_uri(lines: Vec<Value>) -> BTreeMap<String, Value> {
    let key = |line: &Value| line["uri"].as_str().unwrap().to_owned();
    lines.into_iter().map(|line| (key(&line), line)).collect()
}

#[test]
fn scan_and_export_and_show_and_score_agree_on_every_image() {
    let sandbox = sandbox();
    let mut lines = json(&sandbox, &["scan", "photos", "--json", "--gallery", "staff"]);
    let summary = lines.pop().unwrap();
    let (images, others): (Vec<_>, Vec<_>) =
        lines.into_iter().partition(|line| line.get("outcome").is_some());
    assert_fits("image", &images);
    assert_fits_not_listed(&others);
    let exported = json(&sandbox, &["export", "--gallery", "staff", "--format", "jsonl"]);
    assert_fits("image", &exported);
    let (scanned, exported) = (by_uri(images), by_uri(exported));
    assert!(scanned.keys().eq(exported.keys()) && scanned.len() == 4, "{scanned:?}\n{exported:?}");
    assert!(scanned.keys().any(|uri| uri.ends_with("/a%20b%20%C3%BC.jpg")), "{scanned:?}");

    let table = sandbox.run(&["export", "--gallery", "staff", "--templates"]);
    let rows: Vec<BTreeMap<String, String>> =
        csv::Reader::from_reader(table.out.as_bytes()).deserialize().map(Result::unwrap).collect();
    let in_table: BTreeSet<&str> = rows.iter().map(|row| row["uri"].as_str()).collect();
    assert!(in_table.iter().copied().eq(exported.keys().map(String::as_str)), "{in_table:?}");

    for (uri, scanned) in &scanned {
        let exported = &exported[uri];
        for key in ["gallery", "image", "image_id", "outcome", "reason", "profile", "face_count"] {
            assert_eq!(scanned[key], exported[key], "{key} of {uri}");
        }
        let primary = exported["faces"].get(0).map_or(&Value::Null, |face| &face["quality"]);
        assert_eq!(&scanned["quality"], primary, "{uri}");
        assert_eq!(scanned["profile"], summary["summary"]["profile"]);

        let mut shown = json(&sandbox, &["show", uri, "--json"]);
        assert_fits("known-image", &shown);
        assert_eq!(shown.len(), 1);
        let shown = shown[0].as_object_mut().unwrap();
        assert_eq!(shown.remove("state").unwrap(), "current");
        assert_eq!(shown.remove("excluded").unwrap(), false);
        assert_eq!(shown, exported.as_object().unwrap(), "show and export are the same object");
    }
}

/// What is not listed has four forms, each under its name.
#[track_caller]
fn assert_fits_not_listed(lines: &[Value]) {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schemas");
    let schema = std::fs::read(folder.join("not-listed.schema.json")).unwrap();
    let schema: Value = serde_json::from_slice(&schema).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines.iter().all(|line| validator.is_valid(line)), "{lines:?}");
}

#[test]
fn score_and_match_have_the_same_faces_as_a_scan() {
    let sandbox = sandbox();
    let scored = json(
        &sandbox,
        &["score", "--json", "--templates", "photos/obama.jpg", "photos/astronaut.png"],
    );
    assert_fits("image", &scored);
    json(&sandbox, &["scan", "photos", "--json"]);
    let exported = by_uri(json(&sandbox, &["export", "--format", "jsonl"]));
    for (uri, mut image) in by_uri(scored) {
        let exported = &exported[&uri];
        for key in ["content_hash", "bytes", "width", "height", "outcome", "profile", "face_count"]
        {
            assert_eq!(image[key], exported[key], "{key} of {uri}");
        }
        for (face, stored) in image["faces"]
            .as_array_mut()
            .unwrap()
            .iter_mut()
            .zip(exported["faces"].as_array().unwrap())
        {
            let mut stored = stored.clone();
            stored.as_object_mut().unwrap().remove("face_id").unwrap();
            face.as_object_mut().unwrap().remove("template").unwrap();
            assert_eq!(face, &stored, "{uri}");
        }
    }
    let compared = json(&sandbox, &["match", "--json", "photos/obama.jpg", "photos/astronaut.png"]);
    assert_fits("match", &compared);
    assert_fits("image", compared[0]["images"].as_array().unwrap());
    assert_eq!(compared[0]["profile"], compared[0]["images"][1]["profile"]);
}

#[test]
fn campaigns_and_checks_fit_their_schemas() {
    let sandbox = sandbox();
    let mut scanned = json(&sandbox, &["scan", "photos", "--json"]);
    assert_fits("scan-summary", &scanned.split_off(scanned.len() - 1));
    assert_fits("campaign", &json(&sandbox, &["campaign", "list", "--json"]));
    assert_fits("campaign", &json(&sandbox, &["campaign", "show", "latest", "--json"]));
    for (change, state) in [("pause", "paused"), ("resume", "complete"), ("cancel", "cancelled")] {
        let changed = json(&sandbox, &["campaign", change, "latest", "--json"]);
        assert_fits("campaign", &changed);
        assert_eq!(changed[0]["state"], state, "{change}");
    }
    assert_fits("check", &sandbox.run(&["doctor", "--json"]).json());
}

#[test]
fn evaluations_and_calibrations_fit_their_schemas() {
    let sandbox = Sandbox::new();
    sandbox.fill(120);
    let rows = (0..120).map(|number| format!("{number:04}.jpg,person{}\n", number / 2));
    let table = "file,subject\n".to_owned() + &rows.collect::<String>();
    sandbox.write("photos/labels.csv", table.as_bytes());
    assert_fits("evaluation", &json(&sandbox, &["evaluate", "photos/labels.csv", "--json"]));
    let calibrate = ["calibrate", "photos/labels.csv", "--percentiles", "--json"];
    assert_fits("calibration", &json(&sandbox, &calibrate));
    assert_fits("model", &json(&sandbox, &["model", "list", "--json"]));
}
