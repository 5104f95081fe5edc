//! People as operators see them: `subject`, `search` by subject and `verify`.

use serde_json::{Value, json};

use super::schemas::assert_fits;
use super::{Run, Sandbox};
use crate::support::{sample, sample_path};

/// A gallery in which three people are enrolled, and another face was scanned.
fn staff() -> Sandbox {
    let sandbox = Sandbox::new();
    for name in ["astronaut.png", "obama.jpg", "obama2.jpg", "biden.jpg", "chelsea.png"] {
        sandbox.write(&format!("photos/{name}"), &sample(name));
    }
    let list = "subject,file\nbarack,photos/obama.jpg\nbarack,photos/obama2.jpg\n\
        joe,photos/biden.jpg\njoe,photos/chelsea.png\n";
    sandbox.write("people.csv", list.as_bytes());
    sandbox.run(&["enrol", "--subjects", "people.csv", "--gallery", "staff"]).ended(3);
    sandbox.run(&["scan", "photos", "--gallery", "staff"]).ended(0);
    sandbox
}

fn path(name: &str) -> String {
    sample_path(name).to_str().unwrap().to_owned()
}

fn candidates(line: &Value) -> Vec<&str> {
    let found = line["candidates"].as_array().unwrap();
    found.iter().map(|found| found["subject"].as_str().unwrap_or("-")).collect()
}

fn line(run: &Run) -> Value {
    run.ended(0);
    run.json().remove(0)
}

#[test]
fn people_are_found_by_their_best_reference_and_faces_if_asked_for() {
    let sandbox = staff();
    let (obama, woman) = (path("obama3.jpg"), path("astronaut.png"));
    let search =
        |more: &[&str]| sandbox.run(&[&["search", &obama, "--gallery", "staff"], more].concat());
    let by_subject = line(&search(&["--json"]));
    assert_fits("search", std::slice::from_ref(&by_subject));
    assert_eq!(candidates(&by_subject), ["barack", "joe"], "each once");
    assert_eq!(
        [&by_subject["by"], &by_subject["searched"], &by_subject["subjects"]],
        [&json!("subject"), &json!(3), &json!(2)]
    );
    let asked = line(&search(&["--json", "--by", "subject"]));
    assert_eq!(asked["candidates"], by_subject["candidates"]);
    let best = &by_subject["candidates"][0];
    let similarity = |image: &str| {
        let run = sandbox.run(&["match", &obama, &path(image), "--json"]);
        line(&run)["similarity"].as_f64().unwrap()
    };
    let expected = similarity("obama.jpg").max(similarity("obama2.jpg"));
    assert!((best["similarity"].as_f64().unwrap() - expected).abs() < 1e-3, "{best}");
    assert_eq!(candidates(&line(&search(&["--json", "-k", "1"]))), ["barack"]);
    assert_eq!(candidates(&line(&search(&["--json", "--fmr", "1e-4"]))), ["barack"]);
    let nobody = sandbox.run(&["search", &woman, "--gallery", "staff", "--fmr", "1e-4", "--json"]);
    assert!(candidates(&line(&nobody)).is_empty());
    let by_face = line(&search(&["--json", "--by", "face", "-k", "3"]));
    assert_fits("search", std::slice::from_ref(&by_face));
    assert_eq!([&by_face["by"], &by_face["subjects"]], [&json!("face"), &Value::Null]);
    assert!(by_face["searched"].as_u64() > Some(3));

    let text = search(&["-k", "1", "--fmr", "1e-4", "--out", "found.html"]);
    text.ended(0);
    for told in [
        "   1  subject barack  similarity ",
        "reference of quality ",
        "searched 3 references of 2 subjects in gallery staff",
    ] {
        assert!(text.out.contains(told), "{told}: {}", text.out);
    }
    let page = std::fs::read_to_string(sandbox.path("found.html")).unwrap();
    assert!(page.contains("3 references of 2 subjects searched"));
    let place = |text| page.find(text).unwrap();
    assert!(place("<bdi>barack</bdi>") < place("<p class=\"values\">"));
    sandbox.run(&["scan", "photos", "--gallery", "guests"]).ended(0);
    let empty = sandbox.run(&["search", &obama, "--gallery", "guests", "--by", "subject"]);
    empty.ended(0);
    assert!(
        empty.out.contains("no subject has an active reference there that can be compared: "),
        "{}",
        empty.out
    );
    let fpir = search(&["--fpir", "1e-12"]);
    fpir.ended(1);
    assert!(fpir.err.contains("among 3 references of 2 subjects"), "{}", fpir.err);
}

#[test]
fn a_reference_is_no_candidate_for_itself() {
    let sandbox = staff();
    let search =
        |probe: &str| line(&sandbox.run(&["search", probe, "--gallery", "staff", "--json"]));
    let joe = search(&path("biden.jpg"));
    let face = joe["candidates"][0]["face"]["face_id"].as_str().unwrap().to_owned();
    assert_eq!(candidates(&joe), ["joe", "barack"]);
    let itself = search(&face);
    assert_eq!(candidates(&itself), ["barack"], "his only reference is the probe");
    // With another reference, a person is found.
    let barack = search(&path("obama.jpg"));
    let face = barack["candidates"][0]["face"]["face_id"].as_str().unwrap();
    let other = search(face);
    assert_eq!(candidates(&other), ["barack", "joe"]);
    assert_ne!(other["candidates"][0]["face"], barack["candidates"][0]["face"]);
}

#[test]
fn a_person_is_verified_by_the_best_of_all_references() {
    let sandbox = staff();
    let (obama, biden, cat) = (path("obama3.jpg"), path("biden.jpg"), path("chelsea.png"));
    let verify =
        |more: &[&str]| sandbox.run(&[&["verify", "barack", "--gallery", "staff"], more].concat());
    let yes = verify(&[&obama, "--json"]);
    yes.ended(0);
    let found = yes.json();
    assert_fits("verify", &found);
    assert_eq!([&found[0]["matches"], &found[0]["references"]], [&json!(true), &json!(2)]);
    assert_eq!(found[0]["threshold_fmr"], 1e-4);
    let searched = line(&sandbox.run(&["search", &obama, "--gallery", "staff", "--json"]));
    let best = &searched["candidates"][0];
    assert_eq!(found[0]["reference"]["image_id"], best["image"]["image_id"]);
    let difference = |a: &Value, b: &Value| a.as_f64().unwrap() - b.as_f64().unwrap();
    assert!(difference(&found[0]["similarity"], &best["similarity"]).abs() < 1e-6);

    let no = verify(&[&obama, &biden]);
    no.ended(4);
    assert!(no.out.contains("no match  similarity "), "{}", no.out);
    assert!(no.out.contains("compared with 2 references of 'barack' in gallery staff"));
    assert!(no.out.contains("the threshold at FMR 1e-4"), "{}", no.out);
    let no_face = verify(&[&obama, &cat, "--json"]);
    no_face.ended(3);
    let lines = no_face.json();
    assert_fits("verify", &lines);
    assert_eq!([&lines[0]["matches"], &lines[1]["matches"]], [&json!(true), &Value::Null]);
    verify(&[&obama, "--min-similarity", "0.99"]).ended(4);
    verify(&[&biden, "--min-similarity", "-1"]).ended(0);
    verify(&[&obama, "--fmr", "1e-30"]).ended(1);
    for (person, gallery, told) in [
        ("nobody", "staff", "gallery staff has no subject 'nobody'"),
        ("barack", "elsewhere", "no gallery 'elsewhere'"),
    ] {
        let run = sandbox.run(&["verify", person, &obama, "--gallery", gallery]);
        run.ended(1);
        assert!(run.err.contains(told), "{}", run.err);
    }
    let mut unchecked =
        sandbox.command(&["verify", "barack", &obama, "--gallery", "staff", "--json"]);
    let run = Run::of(unchecked.env("FACEFLEET__ENROL__FMR", "0").output().unwrap());
    run.ended(0);
    assert_eq!(run.json()[0]["threshold_fmr"], 1e-4, "the check of enrolment is off, this is not");
}

/// What `subject` prints for the gallery.
fn subject(sandbox: &Sandbox, more: &[&str]) -> Run {
    sandbox.run(&[&["subject"], more, &["--gallery", "staff"]].concat())
}

fn counts(line: &Value) -> [u64; 5] {
    ["references", "set_aside", "accepted", "review", "rejected"]
        .map(|key| line[key].as_u64().unwrap())
}

#[test]
fn people_are_listed_and_their_references_set_aside_and_restored() {
    let sandbox = staff();
    let subject = |more: &[&str]| subject(&sandbox, more);
    let listed = subject(&["list", "--json"]);
    listed.ended(0);
    let lines = listed.json();
    assert_fits("subject", &lines);
    assert_eq!(lines.len(), 2);
    assert_eq!((&lines[0]["subject"], counts(&lines[0])), (&json!("barack"), [2, 0, 2, 0, 0]));
    assert_eq!((&lines[1]["subject"], counts(&lines[1])), (&json!("joe"), [1, 0, 1, 0, 1]));
    let text = subject(&["list"]);
    assert!(text.out.contains("  barack\n") && text.out.contains("2 subjects in gallery staff"));

    let shown = subject(&["show", "joe"]);
    shown.ended(0);
    for told in
        ["joe in gallery staff, since ", "  reference: image ", "  rejected: image ", "NO_FACE"]
    {
        assert!(shown.out.contains(told), "{told}: {}", shown.out);
    }
    let detail = subject(&["show", "joe", "--json"]).json();
    assert_fits("subject-detail", &detail);

    let aside = subject(&["set-aside", "barack", "photos/obama.jpg", "--json"]);
    aside.ended(0);
    assert_fits("subject-change", &aside.json());
    assert_eq!(counts(&aside.json()[0]), [1, 1, 2, 0, 0]);
    let shown = subject(&["show", "barack"]);
    assert!(shown.out.contains("set aside, by an operator: image "), "{}", shown.out);
    let id = aside.json()[0]["image_id"].to_string();
    let restored = subject(&["restore", "barack", &id, "--json"]);
    assert_eq!(counts(&restored.json()[0]), [2, 0, 2, 0, 0]);
    assert_eq!(restored.json()[0]["change"], "restored");
}

#[test]
fn people_are_renamed_merged_and_removed() {
    let sandbox = staff();
    let subject = |more: &[&str]| subject(&sandbox, more);
    let taken = subject(&["rename", "joe", "barack"]);
    taken.ended(1);
    assert!(taken.err.contains("has a subject 'barack' already"), "{}", taken.err);
    let renamed = subject(&["rename", "joe", "joseph", "--json"]);
    renamed.ended(0);
    assert_fits("subject-change", &renamed.json());
    assert_eq!(renamed.json()[0]["renamed_from"], "joe");
    let label = sandbox.run(&["show", "photos/biden.jpg", "--json"]).json();
    assert_eq!(label[0]["subject"], "joseph");
    let unlike = subject(&["rename", "joseph", "barack", "--merge"]);
    unlike.ended(1);
    assert!(unlike.err.contains("do not look like one person"), "{}", unlike.err);
    let merged = subject(&["rename", "joseph", " barack ", "--merge", "--force"]);
    merged.ended(0);
    assert!(merged.out.contains("'joseph' is now part of 'barack', with 3 references"));
    let removed = subject(&["remove", "barack", "--json", "--as", "Olga"]);
    removed.ended(0);
    let audit = sandbox.run(&["audit", "--gallery", "staff", "--kind", "subject", "--json"]);
    assert_fits("audit", &audit.json());
    let noted: Vec<_> =
        audit.json().iter().map(|event| event["subject"]["change"].clone()).collect();
    assert_eq!(noted, ["renamed", "merged", "removed"]);
    assert_eq!(audit.json()[2]["by"], "Olga");
    let audit = sandbox.run(&["audit", "--kind", "subject"]);
    assert!(audit.out.contains("staff  removed a subject  by Olga"), "{}", audit.out);
    assert_eq!(counts(&removed.json()[0]), [3, 0, 3, 0, 1]);
    assert!(subject(&["list", "--json"]).json().is_empty());
    // Their images stay, and are found as faces.
    let found = line(&sandbox.run(&["search", &path("biden.jpg"), "--gallery", "staff", "--json"]));
    assert_eq!([&found["by"], &found["candidates"][0]["subject"]], [&json!("face"), &Value::Null]);

    for (arguments, told) in [
        (&["show", "joe"][..], "has no subject 'joe'"),
        (&["remove", "joe"], "has no subject 'joe'"),
        (&["rename", "joe", "x"], "has no subject 'joe'"),
    ] {
        let run = subject(arguments);
        run.ended(1);
        assert!(run.err.contains(told), "{}", run.err);
    }
    let nowhere = sandbox.run(&["subject", "list", "--gallery", "nowhere"]);
    nowhere.ended(1);
    assert!(nowhere.err.contains("no gallery 'nowhere'"), "{}", nowhere.err);
}

#[test]
fn what_is_to_be_reviewed_is_listed_until_an_operator_decides() {
    let sandbox = staff();
    let subject = |more: &[&str]| subject(&sandbox, more);
    assert!(subject(&["review"]).out.contains("0 to review in gallery staff"));
    let double =
        sandbox.run(&["enrol", "--subject", "double", &path("biden.jpg"), "--gallery", "staff"]);
    double.ended(3);
    assert!(double.out.contains("`facefleet subject review --gallery staff`"), "{}", double.out);
    let listed = subject(&["review"]);
    listed.ended(0);
    for told in ["double", "LOOKS_LIKE_ANOTHER", "1 to review", "subject restore"] {
        assert!(listed.out.contains(told), "{told}: {}", listed.out);
    }
    let open = subject(&["review", "--json"]).json();
    assert_fits("enrolment", &open);
    let id = open[0]["image_id"].to_string();
    subject(&["restore", "double", &id]).ended(0);
    assert!(subject(&["review", "--json"]).json().is_empty());
    let shown = &subject(&["show", "double", "--json"]).json()[0];
    assert_eq!([&shown["accepted"], &shown["review"], &shown["references"]], [1, 0, 1]);
}

#[test]
fn an_image_that_is_no_reference_cannot_be_set_aside() {
    let sandbox = staff();
    for image in ["photos/chelsea.png", "photos/astronaut.png", "photos/missing.jpg", "999999"] {
        let run = sandbox.run(&["subject", "set-aside", "joe", image, "--gallery", "staff"]);
        run.ended(1);
        assert!(run.err.contains("is no reference of 'joe'"), "{image}: {}", run.err);
    }
}
