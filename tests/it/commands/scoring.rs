//! How labelled photos are scored before they are evaluated: in a campaign of their own.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::{Run, Sandbox, number, outcome};
use crate::support::sample;
use crate::support::stack::CLOSED_PORT;

/// Nothing that is going to happen takes longer.
const PATIENCE: Duration = Duration::from_secs(120);

fn latest_campaign(sandbox: &Sandbox) -> Option<Value> {
    let shown = sandbox.run(&["campaign", "show", "latest", "--json"]);
    (shown.status == Some(0)).then(|| shown.json().pop().unwrap())
}

#[test]
fn photos_of_a_source_that_is_down_are_left_out_and_the_others_are_evaluated() {
    let sandbox = Sandbox::new();
    for name in ["obama.jpg", "obama2.jpg", "biden.jpg"] {
        sandbox.write(&format!("photos/{name}"), &sample(name));
    }
    let address = format!("127.0.0.1:{CLOSED_PORT}");
    let labels = format!(
        "file,subject\nobama.jpg,o\nobama2.jpg,o\nbiden.jpg,b\nhttp://{address}/far.jpg,b\n"
    );
    sandbox.write("photos/labels.csv", labels.as_bytes());
    let evaluate = || {
        let mut command = sandbox.command(&["evaluate", "photos/labels.csv"]);
        command
            .env("FACEFLEET__IMAGES__ALLOW", format!("http://{address}/"))
            .env("FACEFLEET__IMAGES__ALLOW_PRIVATE_HOSTS", "127.0.0.1")
            .env("FACEFLEET__IMAGES__OUTAGE_SECONDS", "2");
        Run::of(command.output().unwrap())
    };
    let run = evaluate();
    run.ended(3);
    assert!(
        run.out.starts_with("3 photos of 2 people") && run.out.contains("left out: 1 failed"),
        "{}",
        run.out
    );
    assert!(run.err.contains("far.jpg") && run.err.contains("does not work"), "{}", run.err);
    let campaign = latest_campaign(&sandbox).unwrap();
    assert_eq!(campaign["source"], "labels photos/labels.csv");
    assert_eq!((campaign["state"].as_str(), number(&campaign, "left")), (Some("complete"), 0));
    assert_eq!((outcome(&campaign, "scored"), outcome(&campaign, "failed")), (3, 1));

    evaluate().ended(3);
    let again = latest_campaign(&sandbox).unwrap();
    assert_eq!(number(&again, "listed"), 1, "only the photo that failed is tried again: {again}");
}

#[test]
fn an_interrupted_evaluation_keeps_what_is_scored_and_the_next_one_goes_on() {
    const PHOTOS: usize = 200;
    let sandbox = Sandbox::new();
    sandbox.fill(PHOTOS);
    let row = |number| format!("{number:04}.jpg,p{}\n", number / 2);
    let labels = "file,subject\n".to_owned() + &(0..PHOTOS).map(row).collect::<String>();
    sandbox.write("photos/labels.csv", labels.as_bytes());
    let evaluation = sandbox
        .command(&["evaluate", "photos/labels.csv"])
        .env("FACEFLEET__WORKER__THREADS", "1")
        .env("FACEFLEET__WORKER__IN_FLIGHT", "4")
        .env("FACEFLEET__WORKER__RECORD_BATCH", "4")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let give_up = Instant::now() + PATIENCE;
    while latest_campaign(&sandbox).is_none_or(|campaign| outcome(&campaign, "scored") == 0) {
        assert!(Instant::now() < give_up, "no photo is scored");
    }
    let pid = evaluation.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let run = Run::of(evaluation.wait_with_output().unwrap());
    run.ended(130);
    assert!(run.err.contains("stopping") && run.err.contains("interrupted"), "{}", run.err);
    let interrupted = latest_campaign(&sandbox).unwrap();
    assert_eq!(interrupted["state"], "cancelled");
    let scored = outcome(&interrupted, "scored");
    assert!((1..PHOTOS as u64).contains(&scored), "{interrupted}");

    let resumed = sandbox.run(&["evaluate", "photos/labels.csv", "--bootstrap", "0"]);
    resumed.ended(0);
    assert!(resumed.out.starts_with("200 photos of 100 people"), "{}", resumed.out);
    let campaign = latest_campaign(&sandbox).unwrap();
    assert_eq!(number(&campaign, "listed"), PHOTOS as u64 - scored);
}
