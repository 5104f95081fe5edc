//! Lists on a fleet: interrupted, resumed and failed listings.

use std::process::Stdio;

use facefleet::domain::{Campaign, CampaignId, CampaignProgress, ListedChunk, OutcomeKind};
use facefleet::store::{PageFilter, PageQuery};
use serde_json::json;
use tokio::time::timeout;

use super::{Fleet, PATIENCE, Running, photos};
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
    store.begin_campaign(&died, None).await.unwrap();
    let to = Some(format!("0 {:020}", 2));
    let chunk = ListedChunk { listed: 3, to, ..Default::default() };
    store.note_listed(id.into(), &chunk).await.unwrap();
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
async fn a_scan_again_that_was_interrupted_in_its_first_chunk_ends_without_what_came_later() {
    let fleet = Fleet::new().await;
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().to_str().unwrap();
    let add = |number: u8| {
        std::fs::write(folder.path().join(format!("{number}.jpg")), [b'x', number]).unwrap();
    };
    (0..3).for_each(add);
    let worker = fleet.command(&["worker", "--root", root], &[]).stdout(Stdio::null()).spawn();
    let worker = Running(worker.unwrap());
    let wait = ["--gallery", "staff", "--fail-over", "1", "--wait", "--json"];
    let last = fleet.json(&[&["scan", root], &wait[..]].concat(), &[]).await;
    assert_eq!(last["summary"]["outcomes"]["unreadable"], json!(3));

    // Its process died after it noted its only chunk.
    let store = fleet.app().store().await.unwrap();
    let done = store.campaigns(1).await.unwrap().remove(0);
    let page = PageQuery {
        gallery: done.gallery.clone(),
        profile: done.profile.clone(),
        outcomes: vec![OutcomeKind::Unreadable],
        filter: PageFilter::default(),
        notes: false,
        after: 0,
        limit: 10,
        templates: false,
    };
    let end = store.page(&page).await.unwrap().last().unwrap().cursor;
    let (id, progress) = (CampaignId::new(), CampaignProgress::default());
    let died = Campaign { id, progress, source: "--again unreadable".into(), ..done };
    store.begin_campaign(&died, None).await.unwrap();
    let chunk =
        ListedChunk { listed: 3, to: Some(format!("{end} {end:020}")), ..Default::default() };
    store.note_listed(id.into(), &chunk).await.unwrap();
    add(3);
    fleet.json(&[&["scan", root], &wait[..]].concat(), &[]).await;

    let id = id.to_string();
    let resume = [&["scan", "--again", "unreadable", "--resume", &id], &wait[..]].concat();
    let last = timeout(PATIENCE, fleet.json(&resume, &[])).await.expect("it ends");
    let summary = &last["summary"];
    assert_eq!((&summary["listed"], &summary["outcomes"]["unreadable"]), (&json!(3), &json!(3)));
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
