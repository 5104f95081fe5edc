//! `profile` as people run it: a model is changed and changed back.

use serde_json::{Value, json};

use super::schemas::assert_fits;
use super::{Run, Sandbox, number};
use crate::support::{sample, sample_path};

const PEOPLE: &str = "subject,file\nbarack,photos/obama.jpg\njoe,photos/biden.jpg\n";

/// A gallery in which two people are enrolled.
fn staff() -> Sandbox {
    let sandbox = Sandbox::new();
    for name in ["obama.jpg", "biden.jpg", "astronaut.png", "chelsea.png"] {
        sandbox.write(&format!("photos/{name}"), &sample(name));
    }
    sandbox.write("people.csv", PEOPLE.as_bytes());
    sandbox.run(&["enrol", "--subjects", "people.csv", "--gallery", "staff"]).ended(0);
    sandbox.run(&["scan", "photos", "--gallery", "staff"]).ended(0);
    sandbox
}

/// Runs a command under other settings, and with them another profile.
fn other(sandbox: &Sandbox, arguments: &[&str]) -> Run {
    let mut command = sandbox.command(arguments);
    command.env("FACEFLEET__DETECTOR__MAX_SIDE", "480");
    Run::of(command.output().unwrap())
}

fn line(run: &Run) -> Value {
    run.ended(0);
    run.json().remove(0)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn path(name: &str) -> String {
    sample_path(name).to_str().unwrap().to_owned()
}

/// Decisions and references of a person.
fn person(sandbox: &Sandbox, name: &str) -> Value {
    line(&sandbox.run(&["subject", "show", name, "--gallery", "staff", "--json"]))
}

/// A gallery with a shadow that lacks a photo.
struct Change {
    sandbox: Sandbox,
    photo: String,
    /// A search under the active profile.
    before: Value,
    people: [Value; 2],
    old: String,
    new: String,
}

impl Change {
    fn begin() -> Self {
        let sandbox = staff();
        let photo = path("obama2.jpg");
        let search = ["search", &photo, "--gallery", "staff", "--json"];
        let before = line(&sandbox.run(&search));
        assert_eq!(before["candidates"][0]["subject"], "barack");
        let people = [person(&sandbox, "barack"), person(&sandbox, "joe")];
        let scan = ["scan", "photos", "--gallery", "staff", "--exclude", "biden.jpg", "--json"];
        let scanned = other(&sandbox, &scan);
        scanned.ended(0);
        let summary = scanned.summary();
        let (old, new) = (text(&before["profile"]), text(&summary["profile"]));
        assert_ne!(new, old);
        assert_eq!(summary["active_profile"], json!(old));
        let told = other(&sandbox, &scan[..scan.len() - 1]);
        told.ended(0);
        assert!(told.out.contains(&format!("activate {new} --gallery staff")), "{}", told.out);
        Self { sandbox, photo, before, people, old, new }
    }

    fn search(&self) -> [&str; 5] {
        ["search", &self.photo, "--gallery", "staff", "--json"]
    }

    fn enrol(&self) -> [&str; 6] {
        ["enrol", &self.photo, "--subject", "barack", "--gallery", "staff"]
    }

    fn activate<'a>(&self, profile: &'a str, more: &[&'a str]) -> Run {
        let activate = ["profile", "activate", profile, "--gallery", "staff", "--as", "ann"];
        self.sandbox.run(&[&activate[..], more].concat())
    }

    fn profile_of_export(&self) -> Value {
        let export = ["export", "--gallery", "staff", "--format", "jsonl"];
        line(&self.sandbox.run(&export))["profile"].clone()
    }
}

#[test]
fn a_shadow_changes_nothing_and_other_settings_are_told_so() {
    let change = Change::begin();
    let Change { sandbox, before, people, old, new, .. } = &change;
    let unchanged = line(&sandbox.run(&change.search()));
    assert_eq!(unchanged["candidates"], before["candidates"]);
    assert_eq!([&unchanged["profile"], &change.profile_of_export()], [&json!(old), &json!(old)]);

    // The settings decide who can be searched and enrolled with them.
    let refused = other(sandbox, &change.search());
    refused.ended(1);
    for told in [old, &format!("--profile {new}"), &format!("profile activate {new}")] {
        assert!(refused.err.contains(told.as_str()), "{told}: {}", refused.err);
    }
    let shadow = other(sandbox, &[&change.search()[..], &["--profile", new]].concat());
    assert_eq!(line(&shadow)["profile"], json!(new));
    let refused = other(sandbox, &change.enrol());
    refused.ended(1);
    assert!(refused.err.contains("nobody would find whom they enrol"), "{}", refused.err);
    let wrong = other(sandbox, &[&change.enrol()[..], &["--profile", old]].concat());
    wrong.ended(1);
    assert!(wrong.err.contains("these settings enrol under profile"), "{}", wrong.err);
    assert_eq!([&person(sandbox, "barack"), &person(sandbox, "joe")], [&people[0], &people[1]]);
    other(sandbox, &[&change.enrol()[..], &["--profile", new]].concat()).ended(0);
    assert_eq!(change.profile_of_export(), json!(old), "it was told otherwise");
}

#[test]
fn a_model_is_changed_and_changed_back() {
    let change = Change::begin();
    let Change { sandbox, photo, before, people, old, new } = &change;
    // Too little is covered, and a person would be lost.
    let refused = change.activate(&new[..6], &[]);
    refused.ended(1);
    for told in ["covers 3 of 4 images", "(75.00 %)", "facefleet rescore --gallery staff"] {
        assert!(refused.err.contains(told), "{told}: {}", refused.err);
    }
    let refused = change.activate(new, &["--min-coverage", "75"]);
    refused.ended(1);
    assert!(refused.err.contains("1 of 2 active references"), "{}", refused.err);
    other(sandbox, &["scan", "photos", "--gallery", "staff"]).ended(0);
    let activated = line(&change.activate(new, &["--json"]));
    assert_fits("activated-profile", std::slice::from_ref(&activated));
    let found = ["profile", "instead_of", "changed", "forced"].map(|key| activated[key].clone());
    assert_eq!(found, [json!(new), json!(old), json!(true), json!(false)]);
    let again = change.activate(new, &[]);
    again.ended(0);
    assert!(again.out.contains("already"), "{}", again.out);

    // People are found by their old references, under the new templates.
    let after = line(&other(sandbox, &change.search()));
    assert_eq!([&after["profile"], &change.profile_of_export()], [&json!(new), &json!(new)]);
    assert_eq!(after["candidates"][0]["subject"], "barack");
    let verify = ["verify", "barack", photo, "--gallery", "staff", "--min-similarity", "0.5"];
    other(sandbox, &verify).ended(0);
    assert_eq!([&person(sandbox, "barack"), &person(sandbox, "joe")], [&people[0], &people[1]]);
    sandbox.run(&change.search()).ended(1);
    other(sandbox, &change.enrol()).ended(0);

    // And back: the photo that was enrolled meanwhile has no template there.
    let refused = change.activate(old, &[]);
    refused.ended(1);
    assert!(refused.err.contains("covers 4 of 5 images"), "{}", refused.err);
    change.activate(old, &["--force"]).ended(0);
    let as_before = line(&sandbox.run(&change.search()));
    assert_eq!(as_before["candidates"], before["candidates"]);
}

#[test]
fn profiles_are_listed_and_shown() {
    let change = Change::begin();
    let Change { sandbox, old, new, .. } = &change;
    other(sandbox, &["scan", "photos/obama.jpg", "--gallery", "guests"]).ended(0);
    let listed = sandbox.run(&["profile", "list", "--json"]);
    listed.ended(0);
    let profiles = listed.json();
    assert_fits("profile", &profiles);
    assert_eq!([&profiles[0]["profile"], &profiles[1]["profile"]], [&json!(old), &json!(new)]);
    assert_eq!(profiles[0]["detector"], "yunet-2023mar");
    let of_staff = &profiles[1]["galleries"].as_array().unwrap()[1];
    assert_eq!([&of_staff["gallery"], &of_staff["active"]], [&json!("staff"), &json!(false)]);
    let counts = ["images", "covered", "references", "lost_references"];
    assert_eq!(counts.map(|key| number(&of_staff["coverage"], key)), [4, 3, 2, 1]);
    let difference = json!([{"setting": "detector.max_side", "value": "480", "active": "640"}]);
    assert_eq!(of_staff["differences"], difference);
    let listed = sandbox.run(&["profile", "list", "--gallery", "staff"]);
    let told = "unlike the active one: detector.max_side 480 instead of 640\n";
    assert!(listed.out.contains(told), "{}", listed.out);
    let of_guests = sandbox.run(&["profile", "list", "--gallery", "guests"]);
    of_guests.ended(0);
    assert!(of_guests.out.contains("guests: active, 1 image\n"), "{}", of_guests.out);
    assert!(!of_guests.out.contains("staff"), "{}", of_guests.out);

    change.activate(new, &["--force"]).ended(0);
    let shown = line(&sandbox.run(&["profile", "show", &new[..8], "--json"]));
    assert_fits("profile-detail", std::slice::from_ref(&shown));
    assert_eq!(
        [&shown["max_side"], &shown["models"][1]["role"]],
        [&json!(480), &json!("recogniser")]
    );
    assert!(shown["models"][0]["licence"].is_string(), "{shown}");
    let activation = &shown["activations"][0];
    assert_eq!([&activation["by"], &activation["forced"]], [&json!("ann"), &json!(true)]);
    let active = sandbox.run(&["profile", "show", "active", "--gallery", "staff"]);
    active.ended(0);
    assert!(active.out.starts_with(new), "{}", active.out);
    assert!(active.out.contains("by ann, forced, covered 3 of 4 images"), "{}", active.out);
    let settings = sandbox.run(&["profile", "show", "settings"]);
    settings.ended(0);
    assert!(settings.out.starts_with(old), "{}", settings.out);
    for (arguments, told) in [
        (&["profile", "show", "active"][..], "of which gallery"),
        (
            &["profile", "show", "0000000000000000"],
            &format!("has no profile 0000000000000000, only {old}, {new}"),
        ),
        (&["profile", "list", "--gallery", "nobody"], "only guests, staff"),
    ] {
        let run = sandbox.run(arguments);
        run.ended(1);
        assert!(run.err.contains(told), "{arguments:?}: {}", run.err);
    }
}

#[test]
fn what_the_active_profile_lacks_is_told() {
    let change = Change::begin();
    let Change { sandbox, new, .. } = &change;
    change.activate(new, &["--force"]).ended(0);
    let listed = sandbox.run(&["profile", "list", "--gallery", "staff"]);
    let told = "staff: active, 3 images; lacks 1 image that other profiles have; 2 references, 1 \
        without a template\n";
    assert!(listed.out.contains(told), "{}", listed.out);
    assert_eq!(number(&person(sandbox, "joe"), "without_template"), 1);
    let joe = sandbox.run(&["subject", "show", "joe", "--gallery", "staff"]);
    let told = "1 active, 1 without a template under the active profile";
    assert!(joe.out.contains(told), "{}", joe.out);
}

#[test]
fn a_shadow_is_retired_and_can_be_scanned_again() {
    let change = Change::begin();
    let Change { sandbox, people, old, new, .. } = &change;
    let active = sandbox.run(&["profile", "retire", old, "--all-galleries"]);
    active.ended(1);
    assert!(active.err.contains("is the active one of gallery staff"), "{}", active.err);
    let retire = ["profile", "retire", new, "--gallery", "staff", "--json"];
    let dry = line(&sandbox.run(&[&retire[..], &["--dry-run"]].concat()));
    assert_fits("retired-profile", std::slice::from_ref(&dry));
    let counts = ["images", "face_count", "deleted"];
    assert_eq!(counts.map(|key| number(&dry, key)), [3, 2, 0]);
    let retired = line(&sandbox.run(&retire));
    assert_eq!(counts.map(|key| number(&retired, key)), [3, 2, 3]);
    let again = sandbox.run(&retire[..retire.len() - 1]);
    again.ended(0);
    assert!(again.out.contains("nothing to do"), "{}", again.out);
    assert_eq!([&person(sandbox, "barack"), &person(sandbox, "joe")], [&people[0], &people[1]]);
    let left = line(&sandbox.run(&["profile", "list", "--gallery", "staff", "--json"]));
    assert_eq!(left["profile"], json!(old));
    other(sandbox, &["scan", "photos", "--gallery", "staff"]).ended(0);
    change.activate(new, &[]).ended(0);
}

#[test]
fn what_no_other_profile_has_is_not_retired_without_force() {
    let change = Change::begin();
    let Change { sandbox, old, new, .. } = &change;
    change.activate(new, &["--force"]).ended(0);
    let retire = ["profile", "retire", old, "--gallery", "staff"];
    let sole = "1 image and 1 reference of 1 subject have results under no other profile";
    let refused = sandbox.run(&retire);
    refused.ended(1);
    assert!(refused.err.contains(sole) && refused.err.contains("--force"), "{}", refused.err);
    let dry = sandbox.run(&[&retire[..], &["--dry-run"]].concat());
    dry.ended(0);
    assert!(dry.out.contains(sole), "{}", dry.out);
    let dry = line(&sandbox.run(&[&retire[..], &["--dry-run", "--json"]].concat()));
    let counts = ["sole_images", "sole_references", "sole_subjects", "deleted"];
    assert_eq!(counts.map(|key| number(&dry, key)), [1, 1, 1, 0]);
    let retired = line(&sandbox.run(&[&retire[..], &["--force", "--json"]].concat()));
    assert_eq!(number(&retired, "deleted"), 4);
    assert_eq!(number(&person(sandbox, "joe"), "without_template"), 1);
}

#[test]
fn a_profile_is_named_alike_in_every_command() {
    let change = Change::begin();
    let Change { sandbox, photo, old, new, .. } = &change;
    let commands: [&[&str]; 6] = [
        &["search", photo, "--gallery", "staff", "--profile"],
        &["verify", "barack", photo, "--gallery", "staff", "--min-similarity", "0.5", "--profile"],
        &["export", "--gallery", "staff", "--profile"],
        &["report", "--gallery", "staff", "--no-faces", "--profile"],
        &["enrol", photo, "--subject", "barack", "--gallery", "staff", "--profile"],
        &["show", "photos/obama.jpg", "--gallery", "staff", "--profile"],
    ];
    for command in commands {
        for named in [&new[..6], new, "settings"] {
            let arguments = [command, &[named]].concat();
            let run = other(sandbox, &arguments);
            run.ended(0);
        }
        let unknown = other(sandbox, &[command, &["00000000"]].concat());
        unknown.ended(1);
        let told = format!("the store has no profile 00000000, only {old}, {new}");
        assert!(unknown.err.contains(&told), "{command:?}: {}", unknown.err);
        let run = sandbox.run(&[command, &["active"]].concat());
        run.ended(0);
    }
    let folder = sample_path("obama2.jpg");
    let folder = folder.parent().unwrap().to_str().unwrap();
    let rescore = ["rescore", "--gallery", "staff", "--root", "photos", "--root", folder];
    other(sandbox, &[&rescore[..], &["--from-profile", "active"]].concat()).ended(0);
    other(sandbox, &[&rescore[..], &["--from-profile", &old[..5]]].concat()).ended(0);
}

#[test]
fn another_estimator_searches_the_same_templates() {
    let sandbox = staff();
    let photo = path("obama2.jpg");
    let search = ["search", &photo, "--gallery", "staff", "--json"];
    let sampled = |arguments: &[&str]| {
        let mut command = sandbox.command(arguments);
        command.env("FACEFLEET__QUALITY__METHOD", "sampled");
        Run::of(command.output().unwrap())
    };
    let own = line(&sandbox.run(&search));
    let others = line(&sampled(&search));
    assert_eq!(others["candidates"], own["candidates"]);
    let verify = ["verify", "barack", &photo, "--gallery", "staff", "--min-similarity", "0.5"];
    sampled(&verify).ended(0);
    // A shadow with other templates: the settings' own profile needs no option.
    let change = ["scan", "photos", "--gallery", "staff", "--json"];
    let shadow = text(&other(&sandbox, &change).summary()["profile"]);
    let refused = sandbox.run(&[&search[..], &["--profile", &shadow]].concat());
    refused.ended(1);
    assert!(refused.err.contains("or leave --profile out"), "{}", refused.err);
}
