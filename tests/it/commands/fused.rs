//! A fused quality as people use it: in scans and scores, evaluations and reports.

use serde_json::Value;

use super::{Run, Sandbox};
use crate::support::sample;

/// A calibration with a fused quality of four inputs. `scores` is the id of the scores.
fn calibration(scores: &str, of_norm: f64) -> String {
    format!(
        "scores_id = \"{scores}\"\n\n[mapping]\nalpha = 9.0\nr = 0.45\nfmr = 0.001\n\
         data = \"0123456789abcdef\"\n\n[fused]\nintercept = 0.5\ndata = \"0123456789abcdef\"\n\
         {}{}{}{}\n[fused.fit]\nphotos = 400\nsubjects = 100\nfolds = 10\npenalty = 1.0\n\
         fmr = 0.001\ndiscarded = 0.3\n\n[[fused.fit.pauc]]\nmeasure = \"fused quality\"\n\
         value = 0.25\nfused_less_this = 0.0\n",
        input("score", 0.88, 0.02, 0.06),
        input("norm", 10.0, 3.0, of_norm),
        input("detector_score", 0.9, 0.05, 0.02),
        input("sharpness", 60.0, 15.0, 0.05),
    )
}

fn input(name: &str, mean: f64, scale: f64, coefficient: f64) -> String {
    format!(
        "\n[[fused.inputs]]\nname = \"{name}\"\nmean = {mean}\nscale = {scale}\n\
         coefficient = {coefficient}\n"
    )
}

/// The quality of a face by the formulas of the documentation, from what is stored of it.
fn by_hand(face: &Value, of_norm: f64) -> u64 {
    let number = |value: &Value| value.as_f64().unwrap();
    let sharpness = number(&face["components"]["sharpness"]["value"]);
    let value = [
        (number(&face["score"]), 0.88, 0.02, 0.06),
        (number(&face["norm"]), 10.0, 3.0, of_norm),
        (number(&face["detector_score"]), 0.9, 0.05, 0.02),
        (100.0 * sharpness / (sharpness + 0.015), 60.0, 15.0, 0.05),
    ]
    .into_iter()
    .map(|(value, mean, scale, adds)| adds * f64::clamp((value - mean) / scale, -4.0, 4.0));
    let value = 0.5 + value.sum::<f64>();
    (100.0 / (1.0 + (-9.0 * (value - 0.45)).exp())).round() as u64
}

struct Calibrated {
    sandbox: Sandbox,
}

impl Calibrated {
    fn run(&self, file: &str, arguments: &[&str]) -> Run {
        let mut command = self.sandbox.command(arguments);
        command.env("FACEFLEET__QUALITY__CALIBRATION", self.sandbox.path(file));
        Run::of(command.output().unwrap())
    }

    /// The id of the scores of these settings, from the refusal of a calibration for others.
    fn scores(&self) -> String {
        self.sandbox.write("other.toml", calibration("0123456789abcdef", 0.03).as_bytes());
        let run = self.run("other.toml", &["scan", "photos"]);
        run.ended(1);
        let (_, rest) = run.err.split_once("the settings give scores ").expect(&run.err);
        rest[..16].to_owned()
    }
}

#[test]
fn a_fused_quality_is_computed_from_what_is_stored_and_is_part_of_the_profile() {
    let calibrated = Calibrated { sandbox: Sandbox::new() };
    let sandbox = &calibrated.sandbox;
    for name in ["obama.jpg", "biden.jpg", "astronaut.png"] {
        sandbox.write(&format!("photos/{name}"), &sample(name));
    }
    let plain = sandbox.scan();
    let scores = calibrated.scores();
    let mut profiles = vec![plain["profile"].clone()];
    for (file, of_norm) in [("fused.toml", 0.03), ("again.toml", -0.03)] {
        sandbox.write(file, calibration(&scores, of_norm).as_bytes());
        let scan = calibrated.run(file, &["scan", "photos", "--json"]);
        scan.ended(0);
        let profile = scan.summary()["profile"].clone();
        assert!(!profiles.contains(&profile), "another fused quality is another profile");
        let export = sandbox.run(&["export", "--format", "jsonl", "--profile", text(&profile)]);
        export.ended(0);
        let score = calibrated.run(file, &["score", "photos/obama.jpg", "--json"]);
        score.ended(0);
        let mut qualities = Vec::new();
        for image in export.json().iter().chain(&score.json()) {
            for face in image["faces"].as_array().unwrap() {
                assert_eq!(face["quality"].as_u64(), Some(by_hand(face, of_norm)), "{face}");
                qualities.push(face["quality"].as_u64());
            }
        }
        assert!(qualities.len() >= 4 && qualities.iter().any(|other| *other != qualities[0]));
        profiles.push(profile);
    }

    let report = ["report", "--profile", text(&profiles[1]), "--out", "report.html"];
    sandbox.run(&report).ended(0);
    let page = std::fs::read_to_string(sandbox.path("report.html")).unwrap();
    assert!(page.contains("fused, of score, norm, detector_score, sharpness"), "the report");

    let remap = ["remap", "--gallery", "default", "--calibration", "fused.toml"];
    let remap = sandbox.run(&remap);
    remap.ended(1);
    assert!(remap.err.contains("scan the images again"), "{}", remap.err);
}

#[test]
fn an_evaluation_shows_the_fused_quality_beside_the_single_measures() {
    let calibrated = Calibrated { sandbox: Sandbox::new() };
    let sandbox = &calibrated.sandbox;
    // 20 photos of 10 people: 180 non-mated comparisons show FMR 1e-2.
    let mut labels = "file,subject\n".to_owned();
    for number in 0..20 {
        let name = ["obama.jpg", "obama2.jpg", "biden.jpg", "astronaut.png"][number % 4];
        sandbox.write(&format!("photos/{number}-{name}"), &sample(name));
        labels += &format!("{number}-{name},{}\n", number / 2);
    }
    sandbox.write("photos/labels.csv", labels.as_bytes());
    sandbox.write("fused.toml", calibration(&calibrated.scores(), 0.03).as_bytes());
    let evaluate = ["evaluate", "photos/labels.csv", "--out", "evidence", "--bootstrap", "0"];
    calibrated.run("fused.toml", &evaluate).ended(0);
    let measures = std::fs::read_to_string(sandbox.path("evidence/measures.csv")).unwrap();
    let first = |name| measures.lines().position(|line| line.contains(name)).expect(name);
    assert!(first("fused quality") < first("closed form"), "{measures}");

    let fuse = sandbox.run(&["calibrate", "photos/labels.csv", "--fuse", "--out", "none.toml"]);
    fuse.ended(1);
    assert!(
        fuse.err.contains("10 people with two scored photos or more are too few"),
        "{}",
        fuse.err
    );
    assert!(!sandbox.path("none.toml").exists(), "a refusal writes no file");
}

#[test]
fn a_calibration_with_a_wrong_section_is_refused_in_words() {
    let calibrated = Calibrated { sandbox: Sandbox::new() };
    let sandbox = &calibrated.sandbox;
    sandbox.write("photos/obama.jpg", &sample("obama.jpg"));
    let right = calibration("0123456789abcdef", 0.03);
    for (found, wrong, words) in [
        ("\"norm\"", "\"beauty\"", "unknown input 'beauty': use score, norm, detector_score"),
        ("\"norm\"", "\"score\"", "[fused] has the input score twice"),
        ("scale = 3", "scale = 0", "input norm of [fused]: `scale` must be positive"),
        ("intercept", "intercepts", "intercepts"),
        ("[fused.fit]", "[fused.fits]", "missing field `photos`"),
    ] {
        assert!(right.contains(found), "{found}");
        sandbox.write("wrong.toml", right.replace(found, wrong).as_bytes());
        let run = calibrated.run("wrong.toml", &["scan", "photos"]);
        run.ended(1);
        assert!(run.err.contains("wrong.toml") && run.err.contains(words), "{words}: {}", run.err);
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}
