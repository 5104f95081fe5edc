//! What `erase --image` takes where places and bytes disagree, and which receipts it writes over.

use serde_json::{Value, json};

use super::{NAME, Staff, number, outcome, places};
use crate::support::sample;

#[test]
fn an_image_is_erased_without_those_of_others_that_swapped_names_with_it() {
    let staff = Staff::enrolled();
    let [one, other] = ["photos/obama.jpg", "photos/biden.jpg"].map(|name| staff.0.path(name));
    std::fs::write(&one, sample("biden.jpg")).unwrap();
    std::fs::write(&other, sample("obama.jpg")).unwrap();
    staff.run(&["scan", "photos", "--gallery", "staff"]).ended(0);
    let trial = staff.erase(&["--image", "photos/obama.jpg", "--dry-run", "--receipt", "t.json"]);
    let images = trial["images"].as_array().unwrap();
    let of = |image: &Value| {
        let text = |key: &str| image[key].as_str().unwrap().to_owned();
        let file = text("uri").rsplit('/').next().unwrap().to_owned();
        (file, image["subjects"].clone(), text("because"))
    };
    let mut found: Vec<_> = images.iter().map(of).collect();
    found.sort_by_key(|(file, subjects, _)| (file.clone(), subjects.to_string()));
    let expected =
        [("biden.jpg", "bytes"), ("obama.jpg", "place")].into_iter().flat_map(|(file, because)| {
            [NAME, "joe"].map(|of| (file.into(), json!([of]), because.into()))
        });
    assert_eq!(found, expected.collect::<Vec<_>>());
    let written = std::fs::read_to_string(staff.0.path("t.json")).unwrap();
    assert!(!written.contains(NAME) && !written.contains("obama"), "{written}");

    let refused = staff.run(&["erase", "--image", "photos/obama.jpg", "--gallery", "staff"]);
    refused.ended(1);
    let told = "nothing was erased: images of different people were at that place";
    assert!(refused.err.contains(told) && refused.err.contains(NAME), "{}", refused.err);
    let told =
        staff.run(&["erase", "--image", "photos/obama.jpg", "--gallery", "staff", "--dry-run"]);
    assert!(told.out.contains("of 'joe'") && told.err.contains("--whole-place"), "{}", told.out);

    let placed = |image: &&Value| image["because"] == "place" && image["subjects"][0] == NAME;
    let id = images.iter().find(placed).unwrap()["image_id"].to_string();
    let receipt = staff.erase(&["--image", &id, "--receipt", "receipt.json"]);
    assert_eq!(places(&receipt, &["images", "others_there", "subjects"]), [2, 1, 0]);
    staff.verify(&[], 0);
    let people = staff.run(&["subject", "show", "joe", "--gallery", "staff"]);
    assert!(people.out.contains("biden.jpg"), "{}", people.out);
    let again = staff.run(&["scan", "photos", "--gallery", "staff", "--json"]).summary();
    assert_eq!((outcome(&again, "erased"), number(&again, "skipped")), (1, 2));
    let rest = staff.erase(&["--image", "photos/obama.jpg", "--whole-place"]);
    assert_eq!(places(&rest, &["images"]), [4], "with those of the first time");
    assert_eq!(staff.chips(), 1);
}

#[test]
fn a_receipt_is_not_written_over_another_one() {
    let staff = Staff::enrolled();
    let first = staff.erase(&["--image", "photos/obama.jpg", "--receipt", "receipt.json"]);
    let saved = std::fs::read(staff.0.path("receipt.json")).unwrap();
    staff.0.write("notes.txt", b"nothing that I want to lose");
    for (what, file) in [
        (&["--subject", NAME][..], "receipt.json"),
        (&["--image", "photos/obama2.jpg"], "receipt.json"),
        (&["--image", "photos/obama.jpg", "--dry-run"], "receipt.json"),
        (&["--subject", "joe"], "notes.txt"),
    ] {
        let refused =
            staff.run(&[&["erase", "--gallery", "staff", "--receipt", file], what].concat());
        refused.ended(1);
        assert!(refused.err.contains("is there already"), "{what:?}: {}", refused.err);
    }
    assert_eq!(std::fs::read(staff.0.path("receipt.json")).unwrap(), saved);
    let people = staff.run(&["subject", "list", "--gallery", "staff"]);
    assert!(people.out.contains(NAME) && people.out.contains("joe"), "{}", people.out);
    // Of the same image, and nothing is left: the first time and the first operator stay.
    for _ in 0..2 {
        let again = staff.erase(&[
            "--image",
            "photos/obama.jpg",
            "--receipt",
            "receipt.json",
            "--as",
            "Eve",
        ]);
        assert_eq!([&again["ended_at"], &again["by"]], [&first["ended_at"], &first["by"]]);
        assert_eq!(again["already_erased_at"], first["ended_at"]);
    }
}
