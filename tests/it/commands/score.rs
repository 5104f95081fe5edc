//! `score` and `match` as people run them.

use std::path::Path;

use super::{Run, Sandbox, assert_adds_up, number, outcome};
use crate::support::sample_path;

#[test]
fn score_prints_json_lines_and_no_template_unless_asked() {
    let sandbox = Sandbox::new();
    let photos =
        ["astronaut.png", "chelsea.png"].map(|name| sample_path(name).to_str().unwrap().to_owned());
    let run = sandbox.run(&["score", "--json", &photos[0], &photos[1]]);
    run.ended(0);
    let lines = run.json();
    assert_eq!(lines.len(), 2);
    let (image, face) = (&lines[0], &lines[0]["faces"][0]);
    assert_eq!(
        (image["outcome"].as_str(), image["face_count"].as_u64()),
        (Some("scored"), Some(1))
    );
    assert_eq!(face["landmarks"].as_object().map(serde_json::Map::len), Some(5));
    let (distance, score) = (face["distance"].as_f64().unwrap(), face["score"].as_f64().unwrap());
    assert!((score - 2.0 / (1.0 + distance.exp())).abs() < 1e-9, "{distance} {score}");
    assert!(face.get("template").is_none());
    assert_eq!(lines[1]["outcome"], "no_face");

    let asked = sandbox.run(&["score", "--json", "--templates", &photos[0]]);
    asked.ended(0);
    let template = asked.json()[0]["faces"][0]["template"].take();
    assert_eq!(template.as_array().map(Vec::len), Some(128));
    assert!(!sandbox.path("facefleet.db").exists(), "nothing is stored");
}

#[test]
fn score_scores_a_photo_with_either_detector() {
    let sandbox = Sandbox::new();
    let photo = sample_path("astronaut.png");
    let with = |variables: &[(&str, &str)]| {
        let mut command =
            sandbox.command(&["score".as_ref(), "--json".as_ref(), photo.as_os_str()]);
        let run = Run::of(command.envs(variables.iter().copied()).output().unwrap());
        run.ended(0);
        let [image] = &run.json()[..] else { panic!("{}", run.out) };
        let face = &image["faces"][0];
        assert_eq!(image["outcome"], "scored", "{image}");
        assert_eq!(face["landmarks"].as_object().map(serde_json::Map::len), Some(5), "{face}");
        assert!(face["quality"].as_u64().unwrap() > 90, "{face}");
        face.clone()
    };
    let yunet = with(&[]);
    let mtcnn = with(&[
        ("FACEFLEET__MODELS__DETECTOR", "mtcnn"),
        ("FACEFLEET__DETECTOR__MIN_SCORE", "0.95"),
    ]);
    assert_ne!(yunet["box"], mtcnn["box"], "it was another detector");
    let [yunet, mtcnn] = [yunet, mtcnn].map(|face| face["score"].as_f64().unwrap());
    assert!((yunet - mtcnn).abs() < 0.01, "{yunet} {mtcnn}");
}

#[test]
fn match_prints_the_similarity_and_both_qualities() {
    let sandbox = Sandbox::new();
    let [a, b, cat] = ["obama.jpg", "obama2.jpg", "chelsea.png"]
        .map(|name| sample_path(name).to_str().unwrap().to_owned());
    let run = sandbox.run(&["match", &a, &b]);
    run.ended(0);
    let (similarity, _) = run.out.strip_prefix("similarity ").unwrap().split_once(':').unwrap();
    let similarity: f64 = similarity.parse().unwrap();
    assert!((0.4..1.0).contains(&similarity), "{similarity}");
    assert_eq!(run.out.lines().filter(|line| line.starts_with("quality ")).count(), 2);
    assert!(run.out.lines().last().unwrap().starts_with("profile "), "{}", run.out);

    let without = sandbox.run(&["match", &a, &cat]);
    without.ended(1);
    assert!(
        without.err.contains("chelsea.png") && without.err.contains("no face found"),
        "{}",
        without.err
    );
}

#[test]
fn chips_that_score_wrote_can_be_scanned_as_they_are() {
    let sandbox = Sandbox::new();
    let photos = ["astronaut.png", "obama.jpg", "biden.jpg"]
        .map(|name| sample_path(name).to_str().unwrap().to_owned());
    let scored =
        sandbox.run(&["score", "--json", "--chips", "chips", &photos[0], &photos[1], &photos[2]]);
    scored.ended(0);
    let run = sandbox.run(&["scan", "chips", "--aligned", "--json"]);
    run.ended(0);
    let summary = run.summary();
    assert_adds_up(&summary);
    assert_eq!(
        (outcome(&summary, "scored"), number(&summary, "face_count")),
        (scored.json().len() as u64, scored.json().len() as u64)
    );
    assert_eq!(scored.json().len(), 3);
    // A chip is stored without loss, so its quality is the face's.
    for image in scored.json() {
        let face = &image["faces"][0];
        let chip = Path::new(face["chip"].as_str().unwrap()).file_name().unwrap().to_str().unwrap();
        let image = run
            .json()
            .into_iter()
            .find(|line| line["image"].as_str().is_some_and(|image| image.ends_with(chip)));
        assert_eq!(image.unwrap()["quality"], face["quality"], "{chip}");
    }
}
