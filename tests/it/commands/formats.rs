//! Files of every format, good and bad, as the commands meet them.

use super::{Sandbox, assert_adds_up, number, outcome};
use crate::support::sample;

/// A progressive 8x8 JPEG of two components that its Adobe marker calls YCCK, which has four: a
/// decoder may panic at that.
fn two_components() -> Vec<u8> {
    let segment = |code: u8, content: &[u8]| {
        [&[0xFF, code][..], &(content.len() as u16 + 2).to_be_bytes(), content].concat()
    };
    [
        vec![0xFF, 0xD8],
        segment(0xEE, b"Adobe\0\x64\0\0\0\0\x02"),
        segment(0xDB, &[&[0][..], &[1; 64]].concat()),
        segment(0xC2, &[8, 0, 8, 0, 8, 2, 1, 0x11, 0, 2, 0x11, 0]),
        segment(0xC4, &[&[0, 1][..], &[0; 15], &[0]].concat()),
        segment(0xDA, &[2, 1, 0, 2, 0, 0, 0, 0]),
        vec![0x3F, 0xFF, 0xD9],
    ]
    .concat()
}

#[test]
fn an_image_that_breaks_its_decoder_ends_unreadable_and_the_others_are_scored() {
    let sandbox = Sandbox::new();
    sandbox.write("photos/a_bad.jpg", &two_components());
    sandbox.write("photos/b_good.jpg", &sample("obama.jpg"));
    let scored = sandbox.run(&["score", "--json", "photos/a_bad.jpg", "photos/b_good.jpg"]);
    let outcomes: Vec<_> =
        scored.json().iter().map(|line| line["outcome"].as_str().unwrap().to_owned()).collect();
    assert_eq!(outcomes, ["unreadable", "scored"], "{}", scored.err);
    assert!(!scored.err.contains("panicked"), "{}", scored.err);

    let run = sandbox.run(&["scan", "photos", "--json"]);
    let summary = run.summary();
    assert_adds_up(&summary);
    assert_eq!(
        (outcome(&summary, "unreadable"), outcome(&summary, "scored"), outcome(&summary, "failed")),
        (1, 1, 0)
    );
    assert_eq!(
        number(&sandbox.run(&["scan", "photos", "--json"]).summary(), "skipped"),
        2,
        "both are final"
    );
}

#[test]
fn labelled_photos_are_evaluated_without_the_one_that_cannot_be_read_which_is_named() {
    let sandbox = Sandbox::new();
    for name in ["obama.jpg", "obama2.jpg", "biden.jpg"] {
        sandbox.write(&format!("photos/{name}"), &sample(name));
    }
    sandbox.write("photos/bad.jpg", &two_components());
    sandbox.write(
        "photos/labels.csv",
        b"file,subject\nobama.jpg,o\nobama2.jpg,o\nbiden.jpg,b\nbad.jpg,b\n",
    );
    let run = sandbox.run(&["evaluate", "photos/labels.csv"]);
    run.ended(0);
    assert!(
        run.out.contains("3 photos of 2 people") && run.out.contains("left out: 1 unreadable"),
        "{}",
        run.out
    );
    assert!(run.err.contains("bad.jpg"), "{}", run.err);
}
