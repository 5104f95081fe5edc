//! Every command that opens models says which one is damaged and what to do, and scores nothing
//! with it.

use std::fs;

use super::{Run, Sandbox};
use crate::damage;
use crate::support::sample;

#[test]
fn a_damaged_detector_is_named_by_every_command_and_no_photo_is_scored_with_it() {
    let (sandbox, models) = (Sandbox::new(), damage::models());
    sandbox.write("photos/a.jpg", &sample("obama.jpg"));
    sandbox.write("photos/b.jpg", &sample("biden.jpg"));
    sandbox.write("photos/c.jpg", &sample("obama2.jpg"));
    sandbox.write("photos/labels.csv", b"file,subject\na.jpg,Ann\nb.jpg,Bob\nc.jpg,Ann\n");
    let run = |arguments: &[&str]| {
        Run::of(
            sandbox
                .command(arguments)
                .env("FACEFLEET__MODELS__DIR", models.path())
                .output()
                .unwrap(),
        )
    };
    let doctor = run(&["doctor"]);
    let intact = "prepared files intact (BLAKE3): sface-2021dec.onnx, yunet-2023mar.onnx;";
    assert!(doctor.out.contains(intact), "{}", doctor.out);
    assert!(doctor.out.contains("face_detection_yunet_2023mar_int8bq.onnx"), "{}", doctor.out);
    assert!(doctor.out.contains("yunet-2023mar found the drawn face"), "{}", doctor.out);

    let path = models.path().join("prepared/yunet-2023mar.onnx");
    let mut bytes = fs::read(&path).unwrap();
    // In the weights: such a detector would find no face in any photo.
    let middle = bytes.len() / 2;
    bytes[middle..middle + 64].fill(0x5A);
    fs::write(&path, &bytes).unwrap();
    for command in [
        &["scan", "photos", "--json"][..],
        &["score", "photos/a.jpg"],
        &["evaluate", "photos/labels.csv"],
        &["doctor"],
    ] {
        let run = run(command);
        assert!(run.status != Some(0), "{command:?}: {}", run.out);
        let told = run.out.clone() + &run.err;
        for words in [
            "prepared/yunet-2023mar.onnx of model 'yunet-2023mar' is damaged",
            "`facefleet model prepare yunet-2023mar`",
        ] {
            assert!(told.contains(words), "{command:?}: {told}");
        }
        assert!(!told.contains("no_face"), "{command:?}: {told}");
    }
    let list = run(&["model", "list"]);
    assert!(list.out.contains("is damaged"), "{}", list.out);
    run(&["model", "prepare", "yunet-2023mar"]).ended(0);
    let scan = run(&["scan", "photos", "--json"]);
    scan.ended(0);
    assert_eq!(super::outcome(&scan.summary(), "scored"), 3, "{}", scan.out);
}

#[test]
fn doctor_prints_its_checks_as_json_lines() {
    let sandbox = Sandbox::new();
    let run = sandbox.run(&["doctor", "--aligned", "--json"]);
    run.ended(0);
    let checks = run.json();
    let names: Vec<_> = checks.iter().map(|check| check["check"].as_str().unwrap()).collect();
    assert_eq!(names, ["runtime", "models", "store", "queue", "sources", "place", "disk"]);
    assert!(checks.iter().all(|check| check["ok"] == true && check["detail"].is_string()));

    let chips = |url: &str| {
        let mut command = sandbox.command(&["doctor", "--aligned", "--json"]);
        let run = Run::of(command.env("FACEFLEET__CHIPS__URL", url).output().unwrap());
        let found = run.json().into_iter().find(|check| check["check"] == "chips").unwrap();
        (run.status, found["ok"].clone(), found["detail"].as_str().unwrap().to_owned())
    };
    sandbox.write("file", b"no folder");
    let (status, ok, detail) = chips(sandbox.path("chips").to_str().unwrap());
    assert_eq!((status, ok), (Some(0), true.into()), "{detail}");
    let (status, ok, detail) = chips(sandbox.path("file").to_str().unwrap());
    assert_eq!((status, ok), (Some(1), false.into()), "{detail}");
    assert!(detail.contains("chips.url"), "{detail}");

    let mut command = sandbox.command(&["doctor", "--aligned", "--json"]);
    let wrong = Run::of(command.env("FACEFLEET__STORE__URL", "mysql:x").output().unwrap());
    wrong.ended(1);
    let store = wrong.json().into_iter().find(|check| check["check"] == "store").unwrap();
    assert_eq!(store["ok"], false);
    assert!(store["detail"].as_str().unwrap().contains("sqlite:FILE"), "{store}");
}
