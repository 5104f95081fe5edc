//! Why a face is poor, as the commands tell it.

use std::io::Cursor;

use facefleet::domain::Component;
use image::{DynamicImage, ImageFormat};
use serde_json::Value;

use super::Sandbox;
use crate::support::sample;

/// A sample photo, changed, as a PNG.
fn changed(name: &str, change: impl Fn(DynamicImage) -> DynamicImage) -> Vec<u8> {
    let photo = image::load_from_memory(&sample(name)).unwrap();
    let mut bytes = Cursor::new(Vec::new());
    change(photo).write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

#[test]
fn every_command_says_why_a_face_is_poor() {
    let sandbox = Sandbox::new();
    let small = |photo: DynamicImage| photo.thumbnail(300, 300);
    sandbox.write("photos/good.png", &changed("obama.jpg", small));
    sandbox.write("photos/blurred.png", &changed("obama2.jpg", |photo| small(photo).blur(4.0)));

    let score = sandbox.run(&["score", "photos/blurred.png"]);
    score.ended(0);
    assert!(score.out.contains("why: ") && score.out.contains("blurred ("), "{}", score.out);

    sandbox.run(&["scan", "photos", "--gallery", "staff"]).ended(0);
    let show = sandbox.run(&["show", "photos/blurred.png"]);
    show.ended(0);
    assert!(show.out.contains("why: ") && show.out.contains("blurred ("), "{}", show.out);
    let report = sandbox.run(&["report", "--gallery", "staff", "--out", "report.html"]);
    report.ended(0);
    let page = std::fs::read_to_string(sandbox.path("report.html")).unwrap();
    assert!(page.contains("blurred ("), "the blurred face is the worst");

    // What `score` finds now is what `scan` recorded.
    let faces = |arguments: &[&str]| -> Vec<Value> {
        let run = sandbox.run(arguments);
        run.ended(0);
        run.json().into_iter().map(|image| image["faces"][0].clone()).collect()
    };
    let scored = faces(&["score", "photos/blurred.png", "--json"]);
    let shown = faces(&["show", "photos/blurred.png", "--json"]);
    assert_eq!(scored[0]["components"], shown[0]["components"]);
    for component in Component::all() {
        let name = component.spec().name;
        let found = &shown[0]["components"][name];
        let value = found["value"].as_f64().unwrap_or_else(|| panic!("{name} is unknown")) as f32;
        assert_eq!(found["quality"].as_u64(), Some(u64::from(component.quality(value))), "{name}");
    }
}

#[test]
fn a_chip_has_the_components_of_its_pixels_alone() {
    let sandbox = Sandbox::new();
    sandbox.write("photos/obama.jpg", &sample("obama.jpg"));
    sandbox.run(&["score", "photos/obama.jpg", "--chips", "chips"]).ended(0);
    let run = sandbox.run(&["score", "chips", "--aligned", "--json"]);
    run.ended(0);
    let of_chip = run.json()[0]["faces"][0]["components"].clone();
    let run = sandbox.run(&["score", "photos/obama.jpg", "--json"]);
    let of_photo = run.json()[0]["faces"][0]["components"].clone();
    let of_photos = ["inter_eye_distance", "crop_left", "crop_right", "cut_off", "single_face"];
    for name in Component::all().map(|component| component.spec().name) {
        if of_photos.contains(&name) || ["yaw", "pitch", "roll"].contains(&name) {
            assert!(of_chip[name].is_null() && of_photo[name].is_object(), "{name}");
        } else {
            assert_eq!(of_chip[name], of_photo[name], "{name}");
        }
    }
}
