//! `search` as people run it.

use serde_json::Value;

use super::Sandbox;
use super::schemas::assert_fits;
use crate::support::{sample, sample_path};

fn scanned() -> Sandbox {
    let sandbox = Sandbox::new();
    for name in ["astronaut.png", "obama.jpg", "obama2.jpg", "biden.jpg", "chelsea.png"] {
        sandbox.write(&format!("photos/{name}"), &sample(name));
    }
    let list = "file,subject\nphotos/obama2.jpg,barack\n";
    sandbox.write("people.csv", list.as_bytes());
    sandbox.run(&["scan", "photos", "--gallery", "staff"]).ended(0);
    sandbox.run(&["scan", "--from", "people.csv", "--gallery", "staff"]).ended(0);
    sandbox
}

fn path(name: &str) -> String {
    sample_path(name).to_str().unwrap().to_owned()
}

/// The file names of the candidates, in order.
fn names(line: &Value) -> Vec<String> {
    let candidates = line["candidates"].as_array().unwrap();
    let name = |found: &Value| {
        found["image"]["image"].as_str().unwrap().rsplit('/').next().unwrap().to_owned()
    };
    candidates.iter().map(name).collect()
}

#[test]
fn the_most_similar_faces_come_first_and_agree_with_match() {
    let sandbox = scanned();
    let (obama, biden, cat) = (path("obama.jpg"), path("biden.jpg"), path("chelsea.png"));
    let run =
        sandbox.run(&["search", &obama, &biden, &cat, "--gallery", "staff", "-k", "3", "--json"]);
    run.ended(3);
    let lines = run.json();
    assert_fits("search", &lines);
    assert_eq!(lines.len(), 3);
    assert_eq!(names(&lines[0])[..2], ["obama.jpg", "obama2.jpg"]);
    assert_eq!(names(&lines[1])[0], "biden.jpg");
    assert_eq!(
        (&lines[2]["candidates"], &lines[2]["probe"]["outcome"]),
        (&Value::Null, &Value::from("no_face"))
    );
    let searched = lines[0]["searched"].as_u64().unwrap();
    assert!(searched >= 4, "{searched}");
    let candidates = lines[0]["candidates"].as_array().unwrap();
    assert_eq!(candidates.len(), 3);
    assert_eq!(candidates[1]["image"]["subject"], "barack");
    let compared = sandbox.run(&["match", &obama, &path("obama2.jpg"), "--json"]);
    compared.ended(0);
    let similarity = compared.json()[0]["similarity"].as_f64().unwrap();
    let found = candidates[1]["similarity"].as_f64().unwrap();
    // The store keeps 16 bits of each component.
    assert!((similarity - found).abs() < 1e-3, "{similarity} {found}");

    assert_eq!(lines[0]["thresholds"]["source"], "manifest");
    let fmr = &candidates[1]["fmr"];
    assert!(fmr["fmr"].as_f64().unwrap() <= 1e-3 && fmr["bound"] != "above", "{fmr}");

    let text = sandbox.run(&["search", &obama, "--gallery", "staff", "-k", "2"]);
    text.ended(0);
    for told in [
        "obama.jpg: quality ",
        "   2  similarity ",
        "subject barack",
        "searched ",
        "  FMR ",
        "thresholds of ",
    ] {
        assert!(text.out.contains(told), "{told}: {}", text.out);
    }
    let page = sandbox.run(&["search", &obama, &cat, "--gallery", "staff", "-o", "found.html"]);
    page.ended(3);
    let html = std::fs::read_to_string(sandbox.path("found.html")).unwrap();
    assert!(html.matches("<img src=\"data:image/").count() >= 4, "the probe and its candidates");
    assert!(html.contains("barack") && html.contains("no face found"), "{html}");

    // One probe alone is scanned in another way.
    let alone = sandbox.run(&["search", &obama, "--gallery", "staff", "-k", "3", "--json"]);
    assert_eq!(alone.json()[0]["candidates"], lines[0]["candidates"]);
}

#[test]
fn a_face_of_the_gallery_finds_the_others() {
    let sandbox = scanned();
    let by_image = sandbox.run(&["search", &path("obama.jpg"), "--gallery", "staff", "--json"]);
    by_image.ended(0);
    let line = by_image.json().remove(0);
    let (itself, next) = (&line["candidates"][0], &line["candidates"][1]);
    let id = itself["face"]["face_id"].as_str().unwrap();
    let run = sandbox.run(&["search", id, "--gallery", "staff", "--json", "-k", "2"]);
    run.ended(0);
    let by_face = run.json();
    assert_fits("search", &by_face);
    assert_eq!(by_face[0]["candidates"][0]["face"], next["face"], "not itself");
    assert_eq!(by_face[0]["candidates"].as_array().unwrap().len(), 2);
    assert_eq!(by_face[0]["probe"]["faces"][0]["face_id"], id);
    let text =
        sandbox.run(&["search", id, &path("biden.jpg"), "--gallery", "staff", "-o", "a.html"]);
    text.ended(0);
    assert!(text.out.contains(&format!("obama.jpg face {id}: quality ")), "{}", text.out);
    let html = std::fs::read_to_string(sandbox.path("a.html")).unwrap();
    assert!(html.contains(&format!("face {id}")), "{html}");
    for unknown in ["9999-0", &id.replace("-0", "-7")] {
        let run = sandbox.run(&["search", unknown, "--gallery", "staff"]);
        run.ended(1);
        assert!(run.err.contains(&format!("has no face {unknown}")), "{}", run.err);
    }
}

#[test]
fn there_are_as_many_candidates_as_asked_for_or_as_there_are() {
    let sandbox = scanned();
    let obama = path("obama.jpg");
    let search = |more: &[&str]| {
        let mut arguments = vec!["search", &obama, "--gallery", "staff", "--json"];
        arguments.extend(more);
        let run = sandbox.run(&arguments);
        run.ended(0);
        run.json().remove(0)
    };
    let all = search(&["-k", "10000"]);
    let faces = all["searched"].as_u64().unwrap();
    assert_eq!(names(&all).len() as u64, faces);
    let similarities: Vec<f64> = all["candidates"]
        .as_array()
        .unwrap()
        .iter()
        .map(|found| found["similarity"].as_f64().unwrap())
        .collect();
    assert!(similarities.is_sorted_by(|a, b| a >= b), "{similarities:?}");
    let least = similarities[1].to_string();
    assert_eq!(names(&search(&["--min-similarity", &least])).len(), 2);
    assert_eq!(names(&search(&["--min-similarity", "-0.99"])).len() as u64, faces.min(10));
}

#[test]
fn candidates_are_limited_by_the_rates_of_false_matches() {
    let sandbox = scanned();
    let obama = path("obama.jpg");
    let search = |more: &[&str]| {
        let mut arguments = vec!["search", &obama, "--gallery", "staff"];
        arguments.extend(more);
        sandbox.run(&arguments)
    };
    let line = |more: &[&str]| {
        let run = search(&[&["--json"], more].concat());
        run.ended(0);
        run.json().remove(0)
    };
    let (at_1e3, at_1e5) = (line(&["--fmr", "1e-3"]), line(&["--fmr", "1e-5"]));
    let least = |line: &Value| line["least"]["similarity"].as_f64().unwrap();
    assert!(least(&at_1e3) < least(&at_1e5), "a lower rate asks for more");
    assert_eq!((&at_1e3["least"]["fmr"], &at_1e3["least"]["fpir"]), (&1e-3.into(), &Value::Null));
    assert_eq!(names(&at_1e3), ["obama.jpg", "obama2.jpg"]);
    for line in [&at_1e3, &at_1e5] {
        let candidates = line["candidates"].as_array().unwrap();
        let exceeds = |found: &Value| found["similarity"].as_f64().unwrap() > least(line);
        assert!(candidates.iter().all(exceeds), "{line}");
    }
    // Among n faces, an FPIR of 0.01 takes an FMR of about 0.01 / n.
    let fpir = line(&["--fpir", "0.01"]);
    let faces = fpir["searched"].as_f64().unwrap();
    let same = line(&["--fmr", &(0.01 / faces).to_string()]);
    assert!((least(&fpir) - least(&same)).abs() < 1e-3, "{fpir} {same}");

    let text = search(&["--fmr", "1e-4"]);
    text.ended(0);
    assert!(text.out.contains("the threshold at FMR 1e-4"), "{}", text.out);
    for (more, status, told) in [
        (&["--fmr", "1e-12"][..], 1, "the measured rates are"),
        (&["--fpir", "1e-9"], 1, "FPIR 1e-9 among"),
        (&["--fmr", "2"], 2, "between 0 and 1"),
        (&["--fmr", "1e-3", "--fpir", "0.1"], 2, "cannot be used with"),
        (&["--fmr", "1e-3", "--min-similarity", "0.3"], 2, "cannot be used with"),
    ] {
        let run = search(more);
        run.ended(status);
        assert!(run.err.contains(told), "{more:?}: {}", run.err);
    }
}

#[test]
fn a_command_that_reads_makes_no_store() {
    let sandbox = Sandbox::new();
    sandbox.write("a.jpg", &sample("obama.jpg"));
    for command in [
        &["search", "a.jpg"][..],
        &["show", "a.jpg"],
        &["export", "--format", "csv"],
        &["report"],
        &["remap", "--calibration", "none.toml"],
    ] {
        let run = sandbox.run(command);
        run.ended(1);
        assert!(!sandbox.path("facefleet.db").exists(), "{command:?}");
        let told = run.err.contains("the store is empty: there is no facefleet.db; fill it with");
        assert!(told || command[0] == "remap", "{}", run.err);
    }
}

#[test]
fn what_cannot_be_searched_is_told() {
    let sandbox = scanned();
    let obama = path("obama.jpg");
    for (arguments, status, told) in [
        (&["search", &obama, "--gallery", "nobody"][..], 1, "no gallery 'nobody'"),
        (&["search", &obama, "-k", "0"], 2, "0 is not in 1..=10000"),
        (&["search", &obama, "--min-similarity", "2"], 2, "a number from -1 to 1"),
        (&["search"], 2, "<IMAGE|FACE>"),
        (&["search", "none.jpg", "--gallery", "staff"], 3, ""),
    ] {
        let run = sandbox.run(arguments);
        run.ended(status);
        assert!(run.err.contains(told), "{}", run.err);
    }
    let missing = sandbox.run(&["search", "none.jpg", "--gallery", "staff"]);
    assert!(missing.out.contains("none.jpg: unreadable: "), "{}", missing.out);
    let nowhere = sandbox.run(&["search", &obama, "--gallery", "staff", "-o", "nowhere/a.html"]);
    nowhere.ended(1);
    assert!(nowhere.err.contains("there is no folder nowhere"), "{}", nowhere.err);
    // A gallery without a face has no candidate.
    std::fs::create_dir(sandbox.path("empty")).unwrap();
    sandbox.write("empty/cat.png", &sample("chelsea.png"));
    sandbox.run(&["scan", "empty", "--gallery", "empty"]).ended(0);
    for more in [&["--json"][..], &["--json", "--fpir", "0.01"]] {
        let run = sandbox.run(&[&["search", &obama, "--gallery", "empty"], more].concat());
        run.ended(0);
        let line = run.json().remove(0);
        assert_eq!((&line["searched"], &line["candidates"]), (&0.into(), &serde_json::json!([])));
    }
    // Results of another network are another thing.
    let mut other = sandbox.command(&["search", &obama, "--gallery", "staff"]);
    let other = super::Run::of(other.env("FACEFLEET__MODELS__DETECTOR", "mtcnn").output().unwrap());
    other.ended(1);
    assert!(other.err.contains("whose templates cannot be compared"), "{}", other.err);
}
