//! `show`, and the conditions of `export`.

use std::os::unix::fs::PermissionsExt;

use super::{Run, Sandbox};
use crate::support::sample;

fn scanned() -> Sandbox {
    let sandbox = Sandbox::new();
    for name in ["astronaut.png", "obama.jpg", "chelsea.png"] {
        sandbox.write(&format!("photos/{name}"), &sample(name));
    }
    sandbox.write("photos/bad.jpg", b"text");
    sandbox.run(&["scan", "photos", "--gallery", "staff"]).ended(0);
    sandbox
}

#[track_caller]
fn ended(run: Run, status: i32) -> Run {
    run.ended(status);
    run
}

#[test]
fn show_tells_what_is_known_of_an_image_by_path_uri_and_id() {
    let sandbox = scanned();
    let by_path = ended(sandbox.run(&["show", "photos/obama.jpg", "--json"]), 0);
    let image = by_path.json().remove(0);
    let (uri, id) = (image["uri"].as_str().unwrap(), image["image_id"].to_string());
    for name in [uri, &id] {
        assert_eq!(sandbox.run(&["show", name, "--json"]).out, by_path.out, "{name}");
    }
    let text = ended(sandbox.run(&["show", "photos/obama.jpg"]), 0).out;
    for told in ["gallery staff, profile ", "current at ", ": scored", "quality ", "norm ", uri] {
        assert!(text.contains(told), "{told}: {text}");
    }
    let bad = ended(sandbox.run(&["show", "photos/bad.jpg"]), 0).out;
    assert!(bad.contains("unreadable: not an image"), "{bad}");

    // Other bytes, and another gallery.
    sandbox.write("photos/obama.jpg", &sample("obama2.jpg"));
    sandbox.run(&["scan", "photos", "--gallery", "staff"]).ended(0);
    sandbox.run(&["scan", "photos/obama.jpg", "--gallery", "visitors"]).ended(0);
    let history = ended(sandbox.run(&["show", "photos/obama.jpg", "--json"]), 0).json();
    let states: Vec<_> =
        history.iter().map(|line| (line["gallery"].as_str(), line["state"].as_str())).collect();
    assert_eq!(
        states,
        [
            (Some("staff"), Some("current")),
            (Some("staff"), Some("superseded")),
            (Some("visitors"), Some("current"))
        ]
    );
    assert_eq!(history[1]["content_hash"], image["content_hash"]);
    let one = sandbox.run(&["show", "photos/obama.jpg", "--json", "--gallery", "visitors"]);
    assert_eq!(one.json().len(), 1);

    std::fs::remove_file(sandbox.path("photos/bad.jpg")).unwrap();
    ended(sandbox.run(&["show", "photos/bad.jpg"]), 0);
    let unknown = ended(sandbox.run(&["show", "photos/none.jpg", "--gallery", "staff"]), 1);
    assert!(unknown.err.contains("/photos/none.jpg in gallery staff: scan it"), "{}", unknown.err);
}

#[test]
fn a_picture_shows_the_faces_where_they_are() {
    let sandbox = scanned();
    let run = ended(sandbox.run(&["show", "photos/obama.jpg", "--picture", "out.png"]), 0);
    assert!(run.out.contains("out.png: faces of gallery staff, profile "), "{}", run.out);
    let picture = image::open(sandbox.path("out.png")).unwrap().into_rgb8();
    let photo = image::load_from_memory(&sample("obama.jpg")).unwrap().into_rgb8();
    assert_eq!(picture.dimensions(), photo.dimensions());
    let face = sandbox.run(&["show", "photos/obama.jpg", "--json"]).json()[0]["faces"][0].take();
    let number = |value: &serde_json::Value| value.as_f64().unwrap().round() as u32;
    let (x, y) = (number(&face["box"]["x"]), number(&face["box"]["y"]));
    assert_eq!(picture.get_pixel(x, y).0, [0, 230, 0], "the corner of the box");
    let nose = &face["landmarks"]["nose"];
    assert_eq!(picture.get_pixel(number(&nose["x"]), number(&nose["y"])).0, [255, 0, 80]);
    let changed = picture.pixels().zip(photo.pixels()).filter(|(a, b)| a != b).count();
    assert!(changed < picture.pixels().len() / 2, "the rest is the photo: {changed}");
    let mode = std::fs::metadata(sandbox.path("out.png")).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0, "{mode:o}");

    let named = ended(sandbox.run(&["show", "photos/obama.jpg", "--picture", "out.jpg"]), 1);
    assert!(named.err.contains("ends in .png"), "{}", named.err);
    sandbox.write("photos/obama.jpg", &sample("biden.jpg"));
    let changed = ended(sandbox.run(&["show", "photos/obama.jpg", "--picture", "b.png"]), 1);
    assert!(changed.err.contains("has changed since it was scored"), "{}", changed.err);
    std::fs::copy(sandbox.path("photos/astronaut.png"), sandbox.path("before.png")).unwrap();
    let itself = ["show", "photos/astronaut.png", "--picture", "photos/../photos/astronaut.png"];
    let itself = ended(sandbox.run(&itself), 1);
    assert!(itself.err.contains("this is the image itself"), "{}", itself.err);
    let bytes = |name| std::fs::read(sandbox.path(name)).unwrap();
    assert_eq!(bytes("photos/astronaut.png"), bytes("before.png"));
    let unread = ended(sandbox.run(&["show", "photos/none.jpg", "--picture", "c.png"]), 1);
    assert!(!sandbox.path("c.png").exists(), "{}", unread.err);
}

#[test]
fn an_export_may_be_of_some_images_alone() {
    let sandbox = scanned();
    let export = |conditions: &[&str]| {
        let arguments =
            [&["export", "--gallery", "staff", "--format", "jsonl"], conditions].concat();
        let lines = ended(sandbox.run(&arguments), 0).json();
        let name = |line: &serde_json::Value| {
            line["image"].as_str().unwrap().rsplit('/').next().unwrap().to_owned()
        };
        let mut names: Vec<String> = lines.iter().map(name).collect();
        names.sort();
        names
    };
    assert_eq!(export(&[]).len(), 4);
    assert_eq!(export(&["--outcome", "unreadable,no_face"]), ["bad.jpg", "chelsea.png"]);
    assert_eq!(export(&["--image", "photos/obama.jpg"]), ["obama.jpg"]);
    assert_eq!(export(&["--min-quality", "1"]), ["astronaut.png", "obama.jpg"]);
    assert!(export(&["--max-quality", "0"]).is_empty());
    assert_eq!(export(&["--since", "2020-01-01"]).len(), 4);
    assert!(export(&["--since", "2999-01-01T00:00:00Z"]).is_empty());
    assert!(export(&["--image", "photos/bad.jpg", "--outcome", "unreadable"]) == ["bad.jpg"]);

    let none = ended(sandbox.run(&["export", "--gallery", "staff", "--image", "gone.jpg"]), 1);
    assert!(none.err.contains("no result of --image in gallery staff"), "{}", none.err);
    sandbox.write("before.csv", b"before");
    let kept = ["export", "--gallery", "staff", "--image", "gone.jpg", "--out", "before.csv"];
    ended(sandbox.run(&kept), 1);
    assert_eq!(std::fs::read(sandbox.path("before.csv")).unwrap(), b"before");
    let wrong = ended(sandbox.run(&["export", "--since", "yesterday"]), 2);
    assert!(wrong.err.contains("2026-03-01"), "{}", wrong.err);
    let wrong = ["export", "--gallery", "staff", "--min-quality", "9", "--max-quality", "8"];
    assert!(ended(sandbox.run(&wrong), 1).err.contains("above --max-quality"));
}
