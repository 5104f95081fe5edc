//! An image has one `uri`, whoever tells of it.

use std::collections::BTreeMap;

use super::*;
use crate::support::broker::receive;

#[tokio::test(flavor = "multi_thread")]
async fn scan_and_events_and_export_join_by_uri() {
    let fleet = Fleet::new().await;
    let folder = photos();
    std::fs::write(folder.path().join("a b ü.jpg"), b"text").unwrap();
    let photos = folder.path().to_str().unwrap();
    // The worker declares the exchange of the events.
    drop(fleet.app().queue().await.unwrap());
    let (_connection, mut events) = fleet.broker.listen("events", "#").await;
    let worker =
        fleet.command(&["worker", "--root", photos], &[]).stdout(Stdio::null()).spawn().unwrap();
    let worker = Running(worker);
    let by_uri = |lines: Vec<Value>| -> BTreeMap<String, Value> {
        let key = |line: &Value| line["uri"].as_str().unwrap().to_owned();
        lines.into_iter().map(|line| (key(&line), line)).collect()
    };
    let lines = |out: &str| -> Vec<Value> {
        out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let scan = ["scan", photos, "--gallery", "staff", "--wait", "--json"];
    let (_, out, err) = fleet.run(&scan, &[]).await;
    let mut scanned = lines(&out);
    assert!(scanned.pop().unwrap().get("summary").is_some(), "{out}\n{err}");
    let scanned = by_uri(scanned);

    let export = ["export", "--gallery", "staff", "--format", "jsonl"];
    let (status, out, err) = fleet.run(&export, &[]).await;
    assert_eq!(status, Some(0), "{err}");
    let exported = by_uri(lines(&out));
    assert_eq!(exported.len(), PHOTOS.len() + 1);

    let mut announced = Vec::new();
    for _ in 0..exported.len() {
        let event: Value = serde_json::from_slice(&receive(&mut events).await.data).unwrap();
        announced.push(event["data"].clone());
    }
    let announced = by_uri(announced);
    assert!(announced.keys().eq(exported.keys()), "{announced:?}\n{exported:?}");
    assert!(scanned.keys().eq(exported.keys()), "{scanned:?}");
    for (uri, event) in &announced {
        for key in ["gallery", "image", "image_id", "outcome", "profile", "face_count"] {
            assert_eq!(event[key], exported[uri][key], "{key} of {uri}");
            assert_eq!(scanned[uri][key], exported[uri][key], "{key} of {uri}");
        }
    }
    drop(worker);
    fleet.broker.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_queue_commands_print_fits_the_schemas() {
    let fleet = Fleet::new().await;
    drop(fleet.app().queue().await.unwrap());
    let fits = |name: &str, line: &Value| {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schemas");
        let schema = std::fs::read(folder.join(format!("{name}.schema.json"))).unwrap();
        jsonschema::is_valid(&serde_json::from_slice(&schema).unwrap(), line)
    };
    let status = fleet.json(&["queue", "status", "--json"], &[]).await;
    assert!(fits("queue", &status), "{status}");
    for (command, resolved) in [("retry", json!({"retried": 0})), ("drop", json!({"dropped": 0}))] {
        let answer = fleet.json(&["queue", command, "--all", "--json"], &[]).await;
        assert!(answer == resolved && fits("resolved", &answer), "{answer}");
    }
    fleet.broker.remove().await;
}
