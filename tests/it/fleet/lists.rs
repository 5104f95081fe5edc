//! Lists on a fleet: interrupted, resumed and failed listings.

use std::process::Stdio;

use facefleet::domain::{Campaign, CampaignId, CampaignProgress, ListedChunk};
use serde_json::json;

use super::{Fleet, Running, photos};
use crate::support::PHOTOS;

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_list_is_resumed_after_its_last_row() {
    let fleet = Fleet::new().await;
    let folder = photos();
    let list = folder.path().join("list.txt");
    let text: String = PHOTOS.iter().map(|name| format!("{name}\n")).collect();
    std::fs::write(&list, &text).unwrap();
    let (list, root) = (list.to_str().unwrap(), folder.path().to_str().unwrap());
    let scan = ["scan", "--from", list, "--gallery", "staff", "--json"];
    let worker = fleet.command(&["worker", "--root", root], &[]).stdout(Stdio::null()).spawn();
    let worker = Running(worker.unwrap());
    fleet.json(&[&scan[..], &["--wait"]].concat(), &[]).await;

    // Another one, whose process died after it noted three rows and before it published them.
    let store = fleet.app().store().await.unwrap();
    let done = store.campaigns(1).await.unwrap().remove(0);
    let (id, gallery) = (CampaignId::new(), "other".parse().unwrap());
    let progress = CampaignProgress::default();
    let died = Campaign { id, gallery, progress, ..done };
    store.begin_campaign(&died).await.unwrap();
    let to = Some(format!("0 {:020}", 2));
    let chunk = ListedChunk { listed: 3, to, ..Default::default() };
    store.note_listed(id, &chunk).await.unwrap();
    let id = id.to_string();
    let resume =
        ["scan", "--from", list, "--gallery", "other", "--json", "--wait", "--resume", &id];
    let last = fleet.json(&resume, &[]).await;
    assert_eq!(last["summary"]["listed"], json!(PHOTOS.len()));
    assert_eq!(last["summary"]["outcomes"]["scored"], json!(PHOTOS.len()));

    // Another list of this name is another source.
    std::fs::write(list, format!("{text}more.jpg\n")).unwrap();
    let (status, _, err) = fleet.run(&resume, &[]).await;
    assert_eq!(status, Some(1), "{err}");
    assert!(err.contains("digest"), "{err}");
    // What the fleet may read is not known here, unless it is said.
    let checked = [("FACEFLEET__IMAGES__ALLOW", "s3://faces")];
    let (status, _, err) = fleet.run(&scan, &checked).await;
    assert_eq!(status, Some(1), "{err}");
    assert!(err.contains("9 of 9 images are outside of what may be read"), "{err}");
    drop(worker);
    fleet.broker.remove().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_cannot_be_listed_fails_its_campaign() {
    let server = crate::support::s3::S3Server::start();
    let fleet = Fleet { variables: server.variables(), ..Fleet::new().await };
    let scan = ["scan", "s3://missing/staff", "--gallery", "staff"];
    let (status, _, err) = fleet.run(&scan, &[]).await;
    assert_eq!(status, Some(1), "{err}");
    let shown = fleet.json(&["campaign", "show", "latest", "--json"], &[]).await;
    assert_eq!(shown["state"], json!("failed"));
    assert!(shown["reason"].as_str().unwrap().contains("no such bucket"), "{shown}");
    let (status, out, _) = fleet.run(&["campaign", "show", "latest"], &[]).await;
    assert!(status == Some(0) && out.contains("the listing failed: cannot list"), "{out}");
    let (status, _, err) = fleet.run(&["campaign", "resume", "latest"], &[]).await;
    assert!(status == Some(1) && err.contains("--resume"), "{err}");
    server.put("missing", "staff/a.jpg", b"no photo");
    let id = shown["campaign"].as_str().unwrap();
    fleet.json(&[&scan[..], &["--json", "--resume", id]].concat(), &[]).await;
    let shown = fleet.json(&["campaign", "show", "latest", "--json"], &[]).await;
    assert_eq!((&shown["state"], &shown["listed"]), (&json!("running"), &json!(1)));
    assert_eq!(shown["reason"], json!(null));
    fleet.broker.remove().await;
}
