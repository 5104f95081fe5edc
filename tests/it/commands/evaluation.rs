//! `evaluate`, `bias` and `calibrate` as people run them.

use super::{Run, Sandbox, number, outcome};
use crate::support::sample;

#[test]
fn labelled_photos_are_scored_once_and_evaluated_by_file_and_by_gallery() {
    let sandbox = Sandbox::new();
    for name in ["obama.jpg", "obama2.jpg", "biden.jpg", "astronaut.png", "chelsea.png"] {
        sandbox.write(&format!("photos/{name}"), &sample(name));
    }
    let labels = "file,subject,hair\nobama.jpg,b,grey\nobama2.jpg,b,grey\nbiden.jpg,j,white\n\
                  astronaut.png,e,brown\nchelsea.png,c,red\n";
    sandbox.write("photos/labels.csv", labels.as_bytes());
    let headline = "4 photos of 3 people: 1 mated comparisons, 5 non-mated; left out: 1 no_face";
    let evaluate = ["evaluate", "photos/labels.csv", "--out", "evidence"];
    for _ in 0..2 {
        let run = sandbox.run(&evaluate);
        run.ended(0);
        assert!(run.out.starts_with(headline), "{}", run.out);
        assert!(
            run.out.contains("too few non-mated comparisons"),
            "five non-mated comparisons cannot show FMR 1e-2: {}",
            run.out
        );
    }
    assert!(sandbox.path("evidence/measures.csv").exists());
    let by_gallery = sandbox.run(&["evaluate", "evaluation"]);
    by_gallery.ended(0);
    assert!(by_gallery.out.starts_with("4 photos of 3 people"), "{}", by_gallery.out);

    sandbox.write(
        "photos/pairs.txt",
        b"obama.jpg obama2.jpg 1\nobama.jpg biden.jpg 0\nbiden.jpg astronaut.png 0\n",
    );
    let pairs = sandbox.run(&["evaluate", "photos/pairs.txt"]);
    pairs.ended(0);
    assert!(
        pairs.out.starts_with("4 photos of 3 people: 1 mated comparisons, 2 non-mated"),
        "{}",
        pairs.out
    );

    let bias = sandbox.run(&["bias", "photos/labels.csv", "--group", "age"]);
    bias.ended(1);
    assert!(bias.err.contains("no column 'age'"), "{}", bias.err);
    let wrong = sandbox.run(&["evaluate", "photos/nothing.csv"]);
    wrong.ended(1);
    assert!(wrong.err.contains("neither a file nor the name of a gallery"), "{}", wrong.err);
    let unknown = sandbox.run(&["evaluate", "nothing.csv"]);
    unknown.ended(1);
    assert!(unknown.err.contains("'nothing.csv' is not a file"), "{}", unknown.err);
    let missing = sandbox.run(&["evaluate", "photos/labels.csv", "--images", "."]);
    missing.ended(1);
    assert!(
        missing.err.contains("there is no file obama.jpg") && missing.err.contains("--images"),
        "{}",
        missing.err
    );
    sandbox.write("photos/one.csv", b"file,subject\nobama.jpg,o\nobama2.jpg,o\n");
    let one = sandbox.run(&["evaluate", "photos/one.csv"]);
    one.ended(1);
    assert!(one.err.contains("no pair of photos of two people"), "{}", one.err);
}

#[test]
fn a_calibration_gives_other_qualities_under_another_profile() {
    let sandbox = Sandbox::new();
    sandbox.fill(120);
    let scanned = sandbox.scan();
    sandbox.run(&["calibrate", "default", "--percentiles", "--out", "gallery.toml"]).ended(0);
    let calibrated = |arguments: &[&str]| {
        let mut command = sandbox.command(arguments);
        command.env("FACEFLEET__QUALITY__CALIBRATION", sandbox.path("gallery.toml"));
        Run::of(command.output().unwrap())
    };
    let run = calibrated(&["scan", "photos", "--json"]);
    run.ended(0);
    let again = run.summary();
    assert_ne!(again["profile"], scanned["profile"]);
    assert_eq!(
        (number(&again, "skipped"), outcome(&again, "scored")),
        (0, 120),
        "results of the other mapping do not count"
    );
    // All photos are the same: none is worse than another, and all are as good as the best.
    assert!(
        run.json().iter().filter_map(|line| line["quality"].as_u64()).all(|quality| quality == 100),
        "{}",
        run.out
    );

    // Another detection size gives other scores, to which the calibration does not apply.
    let mut command = sandbox.command(&["scan", "photos"]);
    command
        .env("FACEFLEET__QUALITY__CALIBRATION", sandbox.path("gallery.toml"))
        .env("FACEFLEET__DETECTOR__MAX_SIDE", "320");
    let other = Run::of(command.output().unwrap());
    other.ended(1);
    assert!(other.err.contains("gallery.toml") && other.err.contains("calibrate"), "{}", other.err);
}

#[test]
fn errors_in_the_labels_are_reported_before_anything_is_scored() {
    let sandbox = Sandbox::new();
    for name in ["obama.jpg", "biden.jpg"] {
        sandbox.write(&format!("photos/{name}"), &sample(name));
    }
    sandbox.write("photos/labels.csv", b"file,subject\nobama.jpg,b\nbiden.jpg,j\n");
    sandbox
        .write("photos/spellings.csv", b"file,subject\nobama.jpg,b\n./obama.jpg,b\nbiden.jpg,j\n");
    sandbox.write("taken", b"");
    for (arguments, text) in [
        (&["bias", "photos/labels.csv"][..], "no column of groups"),
        (&["evaluate", "photos/labels.csv"], "no pair of photos of one person"),
        (&["evaluate", "photos/spellings.csv"], "obama.jpg and ./obama.jpg are the same file"),
        (&["evaluate", "photos/labels.csv", "--out", "taken"], "taken"),
    ] {
        let run = sandbox.run(arguments);
        run.ended(1);
        assert!(run.err.contains(text), "{arguments:?}: {}", run.err);
    }
    let report = sandbox.run(&["report", "--gallery", "evaluation"]);
    assert!(report.err.contains("the store is empty"), "{}", report.err);
}

#[test]
fn identification_needs_labels_and_tells_what_they_cannot_show() {
    let sandbox = Sandbox::new();
    for name in ["obama.jpg", "obama2.jpg", "biden.jpg", "astronaut.png"] {
        sandbox.write(&format!("photos/{name}"), &sample(name));
    }
    let labels = "file,subject\nobama.jpg,b\nobama2.jpg,b\nbiden.jpg,j\nastronaut.png,e\n";
    sandbox.write("photos/labels.csv", labels.as_bytes());
    let run = sandbox.run(&["evaluate", "photos/labels.csv"]);
    run.ended(0);
    for text in [
        "identification: 100 galleries of n = 1 people with one reference each; 100 mated \
         searches, 200 non-mated of 2 different photos",
        "not shown at FPIR 1e-2: 2 different photos of people who are not enrolled; 300 are needed",
        "not shown at FPIR 1e-3: ",
    ] {
        assert!(run.out.contains(text), "{text}: {}", run.out);
    }

    let pairs = b"obama.jpg obama2.jpg 1\nobama.jpg biden.jpg 0\nbiden.jpg astronaut.png 0\n";
    sandbox.write("photos/pairs.txt", pairs);
    let run = sandbox.run(&["evaluate", "photos/pairs.txt"]);
    run.ended(0);
    assert!(run.out.contains("identification: needs labels"), "{}", run.out);
    let run = sandbox.run(&["evaluate", "photos/pairs.txt", "--json"]);
    assert_eq!(run.json()[0]["identification"], serde_json::Value::Null);
}
