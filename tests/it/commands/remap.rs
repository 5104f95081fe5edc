//! `remap` as people run it, and what the next scan finds.

use super::{Run, Sandbox, ended, number};
use crate::support::sample;

#[test]
fn a_remapped_gallery_needs_no_new_scan() {
    let sandbox = Sandbox::new();
    sandbox.fill(120);
    sandbox.write("photos/notes.jpg", b"not a photo");
    let scanned = sandbox.scan();
    let calibrate = sandbox.run(&["calibrate", "default", "--percentiles", "--out", "c.toml"]);
    calibrate.ended(0);
    assert!(calibrate.out.contains("facefleet remap --gallery NAME"), "{}", calibrate.out);

    let remap = ["remap", "--gallery", "default", "--calibration", "c.toml", "--json"];
    let run = sandbox.run(&remap);
    run.ended(0);
    let view = &run.json()[0];
    assert_eq!(view["source_profiles"][0], scanned["profile"]);
    assert_ne!(view["profile"], scanned["profile"]);
    let counts = ["images", "copied", "up_to_date", "face_count"].map(|key| number(view, key));
    assert_eq!(counts, [121, 121, 0, 120]);
    let again = sandbox.run(&remap[..5]);
    again.ended(0);
    for told in ["0 copied with 0 faces, 121 were up to date\n", "a shadow: gallery default is"] {
        assert!(again.out.contains(told), "{told}: {}", again.out);
    }
    assert_eq!(view["active_profile"], scanned["profile"]);

    let mut scan = sandbox.command(&["scan", "photos", "--json"]);
    scan.env("FACEFLEET__QUALITY__CALIBRATION", sandbox.path("c.toml"));
    let scan = Run::of(scan.output().unwrap());
    scan.ended(0);
    let summary = scan.summary();
    assert_eq!(summary["profile"], view["profile"]);
    assert_eq!((number(&summary, "skipped"), ended(&summary)), (121, 0));
    let best = || {
        let export = sandbox.run(&["export", "--format", "jsonl"]);
        export.ended(0);
        let images = export.json();
        let faces = images.iter().filter_map(|image| image["faces"].as_array()).flatten();
        faces.filter(|face| face["quality"] == 100).count()
    };
    assert_eq!(best(), 0, "the copies are a shadow");
    let profile = view["profile"].as_str().unwrap();
    sandbox.run(&["profile", "activate", profile, "--as", "ann"]).ended(0);
    assert_eq!(best(), 120);
}

#[test]
fn a_remap_takes_every_image_from_whichever_profile_has_it() {
    let sandbox = Sandbox::new();
    sandbox.fill(120);
    sandbox.scan();
    let part = ["scan", "photos", "--exclude", "011?.jpg", "--gallery", "part"];
    sandbox.run(&part).ended(0);
    for (gallery, file) in [("default", "c.toml"), ("part", "d.toml")] {
        sandbox.run(&["calibrate", gallery, "--percentiles", "--out", file]).ended(0);
    }
    // A photo that only the shadow has, which has no other.
    sandbox.write("photos/new.jpg", &sample("obama.jpg"));
    let mut scan = sandbox.command(&["scan", "photos/new.jpg"]);
    scan.env("FACEFLEET__QUALITY__CALIBRATION", sandbox.path("c.toml"));
    Run::of(scan.output().unwrap()).ended(0);

    // Nobody reads what it prints.
    let mut remap = sandbox.command(&["remap", "--gallery", "default", "--calibration", "d.toml"]);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    assert!(remap.stdout(writer).status().unwrap().success());
    let remap = ["remap", "--gallery", "default", "--calibration", "d.toml", "--json"];
    let run = sandbox.run(&remap);
    run.ended(0);
    let view = &run.json()[0];
    assert_eq!(view["source_profiles"].as_array().unwrap().len(), 2);
    let counts = ["images", "copied", "up_to_date", "face_count"].map(|key| number(view, key));
    assert_eq!(counts, [121, 0, 121, 0]);
    let profile = view["profile"].as_str().unwrap();
    let export = sandbox.run(&["export", "--profile", profile, "--format", "jsonl"]);
    assert_eq!(export.json().len(), 121);
}

#[test]
fn a_calibration_of_another_network_is_refused_and_a_missing_one_is_named() {
    let sandbox = Sandbox::new();
    sandbox.fill(100);
    sandbox.scan();
    sandbox.run(&["calibrate", "default", "--percentiles", "--out", "c.toml"]).ended(0);
    let mut other = sandbox.command(&["scan", "photos/0000.jpg", "--gallery", "other"]);
    // Another detection size gives other scores.
    other.env("FACEFLEET__DETECTOR__MAX_SIDE", "320");
    Run::of(other.output().unwrap()).ended(0);

    let refused = sandbox.run(&["remap", "--gallery", "other", "--calibration", "c.toml"]);
    refused.ended(1);
    for words in ["c.toml", "another detector, network or method", "gallery 'other'"] {
        assert!(refused.err.contains(words), "{words}: {}", refused.err);
    }
    for (arguments, words) in [
        (&["remap"][..], "--calibration"),
        (&["remap", "--calibration", "none.toml"], "none.toml"),
        (&["remap", "--gallery", "guests", "--calibration", "c.toml"], "default, other"),
    ] {
        let run = sandbox.run(arguments);
        run.ended(1);
        assert!(run.err.contains(words), "{arguments:?}: {}", run.err);
    }
}
