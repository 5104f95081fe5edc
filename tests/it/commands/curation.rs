//! What people decide about images: `curate`.

mod gone;

use serde_json::{Value, json};

use super::schemas::assert_fits;
use super::{Run, Sandbox};
use crate::support::sample;

/// A gallery in which two people are enrolled.
fn staff() -> Sandbox {
    let sandbox = Sandbox::new();
    for name in ["obama.jpg", "obama2.jpg", "obama3.jpg", "biden.jpg"] {
        sandbox.write(&format!("photos/{name}"), &sample(name));
    }
    let list = "subject,file\nbarack,photos/obama.jpg\nbarack,photos/obama2.jpg\n\
        joe,photos/biden.jpg\n";
    sandbox.write("people.csv", list.as_bytes());
    sandbox.run(&["enrol", "--subjects", "people.csv"]).ended(0);
    sandbox.run(&["scan", "photos"]).ended(0);
    sandbox
}

fn line(run: &Run) -> Value {
    run.ended(0);
    run.json().remove(0)
}

fn exported(sandbox: &Sandbox) -> Vec<String> {
    let run = sandbox.run(&["export", "--format", "jsonl"]);
    run.ended(0);
    let name =
        |image: &Value| image["image"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    let mut names: Vec<String> = run.json().iter().map(name).collect();
    names.sort_unstable();
    names
}

#[test]
fn an_excluded_image_is_left_out_until_the_verdict_is_undone() {
    let sandbox = staff();
    let all = exported(&sandbox);
    assert_eq!(all.len(), 4);
    let search =
        |by: &str| line(&sandbox.run(&["search", "photos/obama3.jpg", "--by", by, "--json"]));
    let before = [search("face"), search("subject")];
    let exclude = ["curate", "exclude", "photos/obama.jpg", "--as", "Ann", "--reason", "blurred"];
    let done = line(&sandbox.run(&[&exclude[..], &["--json"]].concat()));
    assert_fits("curation-result", std::slice::from_ref(&done));
    assert_eq!([&done["curation_id"], &done["verdicts"]], [&json!(1), &json!(1)]);
    assert_eq!(exported(&sandbox), ["biden.jpg", "obama2.jpg", "obama3.jpg"]);
    let found = [search("face"), search("subject")];
    for (now, before) in found.iter().zip(&before) {
        let searched = before["searched"].as_u64().unwrap() - 1;
        assert_eq!(now["searched"].as_u64(), Some(searched));
        assert!(!now.to_string().contains("obama.jpg"), "{now}");
    }
    let report = sandbox.run(&["report", "--out", "report.html"]);
    report.ended(0);
    let page = std::fs::read_to_string(sandbox.path("report.html")).unwrap();
    assert!(!page.contains("obama.jpg") && page.contains("obama2.jpg"));
    let show = sandbox.run(&["show", "photos/obama.jpg"]);
    show.ended(0);
    assert!(show.out.contains("excluded by a verdict: left out of searches"), "{}", show.out);
    let shown = |photo: &str| line(&sandbox.run(&["show", photo, "--json"]))["excluded"].clone();
    assert_eq!([shown("photos/obama.jpg"), shown("photos/obama2.jpg")], [true, false]);
    let restore = sandbox.run(&["subject", "restore", "barack", "photos/obama.jpg"]);
    restore.ended(1);
    assert!(restore.err.contains("a verdict of curation"), "{}", restore.err);

    let again = sandbox.run(&exclude);
    again.ended(0);
    assert!(again.out.contains("nothing to do for image"), "{}", again.out);
    let log = sandbox.run(&["curate", "log", "--json"]);
    log.ended(0);
    assert_fits("verdict", &log.json());
    let [given] = &log.json()[..] else { panic!("{}", log.out) };
    assert_eq!([&given["verdict"], &given["by"], &given["reason"]], ["exclude", "Ann", "blurred"]);
    let text = sandbox.run(&["curate", "log", "--image", "photos/obama.jpg"]);
    text.ended(0);
    assert!(text.out.contains("by Ann at 20") && text.out.contains("\"blurred\""), "{}", text.out);
    let elsewhere = sandbox.run(&["curate", "log", "--gallery", "elsewhere"]);
    elsewhere.ended(1);
    assert!(elsewhere.err.contains("elsewhere"), "{}", elsewhere.err);

    sandbox.run(&["curate", "undo", "--curation", "1"]).ended(0);
    assert_eq!(exported(&sandbox), all);
    for (now, before) in [search("face"), search("subject")].iter().zip(&before) {
        assert_eq!(now["candidates"], before["candidates"]);
    }
    let twice = sandbox.run(&["curate", "undo", "1"]);
    twice.ended(1);
    assert!(twice.err.contains("was undone already"), "{}", twice.err);
    assert!(sandbox.run(&["curate", "log"]).out.contains("(undone by verdict 2)"));
}

#[test]
fn an_excluded_image_that_is_enrolled_is_no_reference_and_the_command_says_why() {
    let sandbox = staff();
    sandbox.run(&["curate", "exclude", "photos/obama3.jpg"]).ended(0);
    let enrolled = sandbox.run(&["enrol", "photos/obama3.jpg", "--subject", "barack"]);
    enrolled.ended(0);
    let told = "1 accepted image is no reference: a verdict excludes it";
    assert!(enrolled.out.contains(told), "{}", enrolled.out);
    assert!(!enrolled.out.contains("kept aside"), "{}", enrolled.out);
}

#[test]
fn people_say_whom_an_image_shows() {
    let sandbox = staff();
    let label = || {
        let run = sandbox.run(&["export", "--format", "jsonl", "--image", "photos/obama3.jpg"]);
        line(&run)["subject"].clone()
    };
    assert_eq!(label(), Value::Null);
    let reassign = ["curate", "reassign", "photos/obama3.jpg", "--to", "barack"];
    let told = sandbox.run(&reassign);
    told.ended(0);
    assert!(told.out.contains("1 verdict: shown as 'barack' now"), "{}", told.out);
    assert!(!told.out.contains("new subject"), "{}", told.out);
    assert_eq!(label(), "barack");
    let mistyped = sandbox.run(&["curate", "reassign", "photos/obama3.jpg", "--to", "Barak"]);
    mistyped.ended(0);
    let new = "'Barak' is a new subject of gallery default: was 'barack' meant?\n";
    assert!(mistyped.out.contains(new), "{}", mistyped.out);
    let nobody = ["curate", "reassign", "photos/obama3.jpg", "--to", "Quentin", "--json"];
    let nobody = line(&sandbox.run(&nobody));
    assert_fits("curation-result", std::slice::from_ref(&nobody));
    assert_eq!(nobody["new_subject"], json!({"subject": "Quentin", "similar_subjects": []}));
    sandbox.run(&["curate", "undo", "--curation", "3"]).ended(0);
    sandbox.run(&["curate", "undo", "--curation", "2"]).ended(0);
    assert_eq!(label(), "barack");
    sandbox.run(&["curate", "undo", "1"]).ended(0);
    assert_eq!(label(), Value::Null);
    let nobody = sandbox.run(&["curate", "keep", "photos/nobody.jpg"]);
    nobody.ended(1);
    assert!(nobody.err.contains("gallery default has no image"), "{}", nobody.err);
    let same = sandbox.run(&["curate", "not-the-same", "photos/obama.jpg", "photos/obama.jpg"]);
    same.ended(1);
    assert!(same.err.contains("both are the same image"), "{}", same.err);
}

/// The suggestions of a view, and its preview.
fn view(sandbox: &Sandbox, arguments: &[&str]) -> (Vec<Value>, Value) {
    let run = sandbox.run(&[&["curate"], arguments, &["--json"]].concat());
    run.ended(0);
    let mut lines = run.json();
    let preview = lines.pop().unwrap();
    assert_fits("curation-preview", std::slice::from_ref(&preview));
    if !lines.is_empty() {
        assert_fits("suggestion", &lines);
    }
    assert_eq!(preview["suggestions"], lines.len() as u64);
    (lines, preview)
}

#[test]
fn a_copy_is_shown_excluded_as_shown_and_brought_back() {
    let sandbox = staff();
    let photo = image::load_from_memory(&sample("obama.jpg")).unwrap();
    let (width, height) = (photo.width() * 2 / 3, photo.height() * 2 / 3);
    let small = photo.resize_exact(width, height, image::imageops::FilterType::Triangle);
    small.save(sandbox.path("photos/copy.jpg")).unwrap();
    std::fs::copy(sandbox.path("photos/biden.jpg"), sandbox.path("photos/again.jpg")).unwrap();
    sandbox.run(&["scan", "photos"]).ended(0);
    let all = exported(&sandbox);
    assert_eq!(all.len(), 6);

    let (rows, preview) = view(&sandbox, &["duplicates", "--out", "same.html"]);
    let name =
        |image: &Value| image["image"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
    let found: Vec<[String; 3]> = rows
        .iter()
        .map(|row| [name(row), name(&row["other"]), row["evidence"].as_str().unwrap().to_owned()])
        .collect();
    assert!(rows.iter().all(|row| row["suggestion"] == "exclude"));
    assert_eq!(
        found,
        [
            // Of the same bytes, the image that was recorded first stays.
            ["again.jpg", "biden.jpg", "same_bytes"],
            ["copy.jpg", "obama.jpg", "same_picture"],
        ]
    );
    let page = std::fs::read_to_string(sandbox.path("same.html")).unwrap();
    assert_eq!(page.matches("data:image/jpeg").count(), 4, "two pictures each");
    assert!(page.contains(preview["preview"].as_str().unwrap()) && !page.contains("<script"));

    // What cannot be read has its place, and says so.
    let moved = sandbox.path("photos/obama.jpg");
    std::fs::rename(&moved, sandbox.path("obama.jpg")).unwrap();
    sandbox.run(&["curate", "duplicates", "--out", "lost.html"]).ended(0);
    std::fs::rename(sandbox.path("obama.jpg"), &moved).unwrap();
    let lost = std::fs::read_to_string(sandbox.path("lost.html")).unwrap();
    assert_eq!(lost.matches("data:image/jpeg").count(), 3);
    assert_eq!(lost.matches("the image cannot be read here").count(), 1);
    let name = preview["preview"].as_str().unwrap();
    let other = sandbox.run(&["curate", "duplicates", "--limit", "1", "--apply", name]);
    other.ended(1);
    assert!(other.err.contains("the gallery changed since that preview"), "{}", other.err);
    refuses_other_names(&sandbox, name);
    let applied = sandbox.run(&["curate", "duplicates", "--apply", name, "--as", "Ann", "--json"]);
    let applied = line(&applied);
    assert_fits("curation-result", std::slice::from_ref(&applied));
    assert_eq!([&applied["curation_id"], &applied["verdicts"]], [&json!(1), &json!(2)]);
    let left = exported(&sandbox);
    assert_eq!(left, ["biden.jpg", "obama.jpg", "obama2.jpg", "obama3.jpg"]);
    assert_eq!(view(&sandbox, &["duplicates"]).0, Vec::<Value>::new());
    let text = sandbox.run(&["curate", "duplicates", "--apply", name]);
    text.ended(1);
    sandbox.run(&["curate", "undo", "--curation", "1"]).ended(0);
    assert_eq!(exported(&sandbox), all);
    assert_eq!(view(&sandbox, &["duplicates"]).1["preview"], name, "what was shown before");
}

/// `name` is a preview of duplicates.
fn refuses_other_names(sandbox: &Sandbox, name: &str) {
    let digit = if name.ends_with('0') { "1" } else { "0" };
    let mistyped = format!("{}{digit}", &name[..name.len() - 1]);
    let of_duplicates = "a preview of `facefleet curate duplicates --gallery default`";
    for (view, name, why) in [
        ("lowest", name, of_duplicates),
        ("duplicates", &mistyped, "is not the name of a preview"),
        ("duplicates", "yes", "is not the name of a preview"),
    ] {
        let refused = sandbox.run(&["curate", view, "--apply", name]);
        refused.ended(1);
        assert!(refused.err.contains(why), "{view} {name}: {}", refused.err);
    }
}

#[test]
fn each_view_prints_what_it_finds() {
    let sandbox = staff();
    let (rows, preview) = view(&sandbox, &["lowest", "--limit", "2"]);
    assert_eq!((rows.len(), &preview["view"]), (2, &json!("lowest")));
    let quality = |row: &Value| row["quality"].as_u64().unwrap();
    assert!(quality(&rows[0]) <= quality(&rows[1]));
    let (best, _) = view(&sandbox, &["best"]);
    let subjects: Vec<&str> = best.iter().map(|row| row["subject"].as_str().unwrap()).collect();
    assert_eq!(subjects, ["barack", "joe"]);
    assert_eq!(view(&sandbox, &["outliers"]).0, Vec::<Value>::new());
    assert_eq!(view(&sandbox, &["collisions"]).0, Vec::<Value>::new());
    // A list gave a photo of his another name.
    sandbox.write("list.csv", b"file,subject\nphotos/obama3.jpg,barry\n");
    sandbox.run(&["scan", "--from", "list.csv"]).ended(0);
    let (rows, _) = view(&sandbox, &["collisions"]);
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!(
        [&rows[0]["evidence"], &rows[0]["subject"], &rows[0]["subject_suggested"]],
        ["one_person", "barry", "barack"]
    );
    let text = sandbox.run(&["curate", "collisions"]);
    text.ended(0);
    assert!(text.out.contains("reassign to 'barack': image "), "{}", text.out);
    let apply = "`facefleet curate collisions --gallery default --apply ";
    assert!(text.out.contains(apply), "{}", text.out);
}
