//! What `evaluate`, `calibrate`, `bias`, `match` and `model` write and print for programs.

use std::process::Stdio;

use serde_json::{Value, json};

use super::{Run, Sandbox};
use crate::support::sample_path;

/// `photos` of people who have two each, and `labels.csv`. All pictures are the same.
fn labelled(photos: usize) -> Sandbox {
    let sandbox = Sandbox::new();
    sandbox.fill(photos);
    let rows = (0..photos).map(|number| {
        let side = if number % 4 < 2 { "left" } else { "right" };
        format!("{number:04}.jpg,person{},{side}\n", number / 2)
    });
    let table = "file,subject,side\n".to_owned() + &rows.collect::<String>();
    sandbox.write("photos/labels.csv", table.as_bytes());
    sandbox
}

fn one(run: &Run) -> Value {
    run.ended(0);
    let mut lines = run.json();
    assert_eq!(lines.len(), 1, "{}", run.out);
    lines.remove(0)
}

#[test]
fn a_reader_that_stops_leaves_every_file() {
    let sandbox = labelled(24);
    let run = |arguments: &[&str]| {
        let mut command = sandbox.command(arguments);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    run(&["evaluate", "photos/labels.csv", "--out", "out"]);
    for name in
        ["measures.csv", "edc.csv", "identification.csv", "edc-fmr1e-2.svg", "edc-fmr1e-2.png"]
    {
        assert!(sandbox.path("out").join(name).exists(), "{name}");
    }
    let pdf = std::fs::read(sandbox.path("out/edc-fmr1e-2.pdf")).unwrap();
    assert!(pdf.starts_with(b"%PDF-1.4") && pdf.ends_with(b"%%EOF\n"));
    run(&["bias", "photos/labels.csv", "--fmr", "0.01", "--out", "groups"]);
    assert!(sandbox.path("groups/bias.csv").exists());
    assert!(sandbox.path("groups/bias-left.pdf").exists());
}

#[test]
fn gaps_of_another_tools_table_are_counted_and_named() {
    let sandbox = labelled(24);
    let mut other = "file,noise,sharpness\nstranger.jpg,1,1\n".to_owned();
    for number in 0..20 {
        let sharpness = if number < 5 { String::new() } else { number.to_string() };
        other += &format!("{number:04}.jpg,{number},{sharpness}\n");
    }
    sandbox.write("other.csv", other.as_bytes());
    let evaluate =
        ["evaluate", "photos/labels.csv", "--csv", "other.csv", "--lower-is-better", "noise"];
    let run = sandbox.run(&evaluate);
    run.ended(0);
    for sentence in [
        "20 of 24 photos have a row in the other tool's table; measures: noise (lower is better), \
         sharpness",
        "photos without a row: 4, for example 0020.jpg, 0021.jpg, 0022.jpg",
        "rows without a value of sharpness: 5, for example 0000.jpg, 0001.jpg, 0002.jpg",
        "rows that belong to no photo with a score: 1: stranger.jpg",
    ] {
        assert!(run.out.contains(sentence), "{sentence}\n{}", run.out);
    }
    let view = one(&sandbox.run(&[&evaluate[..], &["--json"]].concat()));
    assert_eq!(view["csv"]["photos_without_row"]["count"], 4);
    assert_eq!(view["csv"]["measures"][0]["lower_is_better"], true);
    assert_eq!(
        view["csv"]["measures"][1]["rows_without_value"],
        json!({ "count": 5, "examples": ["0000.jpg", "0001.jpg", "0002.jpg"] })
    );
    let wrong = sandbox.run(&[&evaluate[..5], &["loudness"]].concat());
    wrong.ended(1);
    assert!(wrong.err.contains("loudness") && wrong.err.contains("sharpness"), "{}", wrong.err);
}

#[test]
fn evaluations_are_one_json_object_with_intervals() {
    let sandbox = labelled(24);
    let view = one(&sandbox.run(&["evaluate", "photos/labels.csv", "--json", "--out", "out"]));
    let counts = ["photos", "subjects", "mated", "non_mated"].map(|key| view[key].as_u64());
    assert_eq!(counts, [24, 12, 12, 264].map(Some));
    assert_eq!((view["out"].as_str(), &view["csv"]), (Some("out"), &Value::Null));
    assert_eq!(view["not_shown"], json!([1e-3, 1e-4]));
    let point = &view["points"][0];
    assert_eq!(point["fmr"], 1e-2);
    for end in ["value", "low", "high"] {
        assert!(point["threshold"][end].as_f64().unwrap() > 0.9, "{point}");
    }
    let measure = &point["measures"][0];
    assert_eq!(measure["measure"], "closed form");
    assert_eq!(measure["edc"][1]["discarded"], 0.02);
    assert_eq!(measure["areas"][0]["up_to"], 0.2);
    // Six of twelve people are enrolled, each with one of their two photos.
    let found = &view["identification"];
    let counts = ["references", "galleries", "mated_searches", "non_mated_searches"];
    assert_eq!(counts.map(|key| found[key].as_u64()), [6, 100, 600, 1200].map(Some));
    assert_eq!((&found["non_mated_photos"], &found["points"]), (&json!(24), &json!([])));
    assert_eq!(
        found["not_shown"][1],
        json!({
            "rate": 1e-3,
            "reason": "24 different photos of people who are not enrolled; 3000 are needed"
        })
    );

    let bias = one(&sandbox.run(&["bias", "photos/labels.csv", "--fmr", "0.01", "--json"]));
    assert_eq!((bias["column"].as_str(), bias["quality"].as_u64()), (Some("side"), Some(50)));
    let groups: Vec<_> = bias["groups"].as_array().unwrap().iter().collect();
    let names: Vec<_> = groups.iter().map(|group| group["group"].as_str().unwrap()).collect();
    assert_eq!(names, ["all", "left", "right"]);
    assert!(groups[1]["discarded"]["high"].is_number() && groups[1]["images"] == 12);
}

#[test]
fn match_uses_the_thresholds_of_the_model_for_the_templates_that_they_were_measured_on() {
    let sandbox = Sandbox::new();
    let [a, b, other] = ["obama.jpg", "obama2.jpg", "biden.jpg"]
        .map(|name| sample_path(name).to_str().unwrap().to_owned());
    let run = sandbox.run(&["match", &a, &b]);
    run.ended(0);
    let first = run.out.lines().next().unwrap();
    assert!(first.contains(": a match at FMR 1e-5 (threshold 0.4801), the lowest"), "{first}");
    for text in ["sface-2021dec.toml: 3565 photos of 1269 people", "LFW", "not measured on your"] {
        assert!(run.out.contains(text), "{text}: {}", run.out);
    }
    let view = one(&sandbox.run(&["match", &a, &b, "--json"]));
    assert_eq!(view["matches"].as_array().unwrap().len(), 4);
    assert_eq!(view["fmr"], json!({ "fmr": 1e-5, "bound": "below" }));
    assert_eq!(
        (&view["thresholds"]["source"], &view["thresholds"]["subjects"]),
        (&json!("manifest"), &json!(1269))
    );
    let view = one(&sandbox.run(&["match", &a, &other, "--json"]));
    assert_eq!(view["matches"][0]["match"], false);
    assert_eq!(view["fmr"], json!({ "fmr": 1e-2, "bound": "above" }));

    // Other landmarks give other chips, and other templates.
    let with = |arguments: &[&str]| {
        let mut command = sandbox.command(arguments);
        command.env("FACEFLEET__DETECTOR__MAX_SIDE", "320");
        Run::of(command.output().unwrap())
    };
    let unknown = with(&["match", &a, &b]);
    unknown.ended(0);
    assert!(unknown.out.contains("`facefleet calibrate LABELS`"), "{}", unknown.out);
    let view = one(&with(&["match", &a, &b, "--json"]));
    assert_eq!([&view["matches"], &view["fmr"], &view["thresholds"]], [&Value::Null; 3]);
}

#[test]
fn the_thresholds_of_a_calibration_win() {
    let sandbox = labelled(100);
    let [a, b] =
        ["obama.jpg", "obama2.jpg"].map(|name| sample_path(name).to_str().unwrap().to_owned());

    let calibrate = ["calibrate", "photos/labels.csv", "--percentiles", "--out", "c.toml"];
    let run = sandbox.run(&calibrate);
    run.ended(0);
    assert!(run.out.contains("a match at FMR"), "{}", run.out);
    assert!(
        run.out.contains(
            "no threshold at FMR 1e-3: 5 of 4900 non-mated comparisons would match; 30 are needed"
        ),
        "{}",
        run.out
    );
    let view = one(&sandbox.run(&[&calibrate[..], &["--json"]].concat()));
    assert_ne!(view["profile"], view["calibrated_profile"]);
    let thresholds = &view["thresholds"];
    assert_eq!(
        (thresholds["subjects"].as_u64(), &thresholds["data"]),
        (Some(50), &view["dataset"]["data"])
    );
    assert_eq!(thresholds["similarity"][0]["fmr"], 1e-2);
    assert_eq!(thresholds["similarity"].as_array().unwrap().len(), 1);
    let left_out = view["thresholds_left_out"].as_array().unwrap();
    let rates: Vec<_> = left_out.iter().map(|each| each["rate"].as_f64().unwrap()).collect();
    assert_eq!(rates, [1e-3, 1e-4, 1e-5, 1e-6]);
    assert!(std::fs::read_to_string(sandbox.path("c.toml")).unwrap().contains("[thresholds]"));

    let calibrated = |arguments: &[&str]| {
        let mut command = sandbox.command(arguments);
        command.env("FACEFLEET__QUALITY__CALIBRATION", sandbox.path("c.toml"));
        Run::of(command.output().unwrap())
    };
    // All photos are one picture: only the same picture is similar enough.
    let no = calibrated(&["match", &a, &b]);
    no.ended(0);
    let first = no.out.lines().next().unwrap();
    assert!(first.contains(": no match, not even at FMR 1e-2 (threshold "), "{first}");
    assert!(no.out.contains("c.toml: 100 photos of 50 people"), "{}", no.out);
    let view = one(&calibrated(&["match", &a, &b, "--json"]));
    assert_eq!(
        (&view["matches"][0]["fmr"], &view["matches"][0]["match"]),
        (&json!(1e-2), &json!(false))
    );
    assert_eq!(view["thresholds"]["source"], "calibration");

    // A lower threshold, as another set of photos might have it.
    let text = std::fs::read_to_string(sandbox.path("c.toml")).unwrap();
    let (before, after) = text.split_once("[[thresholds.similarity]]").unwrap();
    let lower = "[[thresholds.similarity]]\nfmr = 0.1\nthreshold = 0.2\n\n";
    sandbox.write("c.toml", format!("{before}{lower}[[thresholds.similarity]]{after}").as_bytes());
    let yes = calibrated(&["match", &a, &b]);
    yes.ended(0);
    let first = yes.out.lines().next().unwrap();
    assert!(first.contains(": a match at FMR 1e-1 (threshold 0.2000), not at 1e-2 ("), "{first}");
    assert!(first.contains("; its own FMR is about "), "{first}");
    assert!(!yes.out.contains("not measured on your photos"), "{}", yes.out);
}

#[test]
fn models_are_json_objects() {
    let sandbox = Sandbox::new();
    let list = sandbox.run(&["model", "list", "--json"]);
    list.ended(0);
    let models = list.json();
    let sface = models.iter().find(|model| model["model"] == "sface-2021dec").unwrap();
    assert_eq!(
        (sface["role"].as_str(), sface["prepared"].as_bool()),
        (Some("recogniser"), Some(true))
    );
    assert_eq!(sface["reason"], Value::Null);
    assert_eq!(sface["thresholds"][0]["similarity"][3]["fmr"], 1e-5);
    assert_eq!(sface["sha256"].as_str().unwrap().len(), 64);
    let missing = models.iter().find(|model| model["model"] == "w600k-r50").unwrap();
    assert_eq!(missing["prepared"], false);
    assert!(missing["reason"].as_str().unwrap().contains("model import"), "{missing}");

    let prepared = sandbox.run(&["model", "prepare", "--json"]);
    prepared.ended(0);
    let networks = prepared.json();
    assert_eq!(networks.len(), 2, "{}", prepared.out);
    let head = &networks.iter().find(|each| each["model"] == "sface-2021dec").unwrap()["head"];
    assert_eq!((head["embedding"].as_u64(), head["half"].is_null()), (Some(128), true));
}
