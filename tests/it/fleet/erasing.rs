//! An erasure in a fleet: dead letters, the files of Postgres, and jobs on their way.

use facefleet::domain::Disposition;

use super::*;
use crate::support::job;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_erased_is_in_no_dead_letter_and_in_no_file_of_postgres() {
    let (fleet, photos) = (Fleet::new().await, photos());
    let folder = photos.path().to_str().unwrap();
    let photo = format!("{folder}/obama.jpg");
    let worker = Running(fleet.command(&["worker", "--root", folder], &[]).spawn().unwrap());
    let scan = ["scan", folder, "--gallery", "staff", "--wait", "--json"];
    let summary = fleet.json(&scan, &[]).await["summary"].take();
    assert_eq!(summary["outcomes"]["scored"], json!(PHOTOS.len()), "{summary}");

    let queue = fleet.app().queue().await.unwrap();
    let store = fleet.app().store().await.unwrap();
    let of = |path: &str| Job {
        image: format!("file://{path}").parse().unwrap(),
        lane: Lane::Enrol,
        profile: None,
        ..job(Lane::Enrol, "x")
    };
    drop(worker);
    queue.publish(vec![of(&photo), of(&format!("{folder}/biden.jpg"))]).await.unwrap();
    let mut consumer = queue.consume(&[Lane::Enrol], 8).await.unwrap();
    for _ in 0..2 {
        let delivery = timeout(PATIENCE, consumer.next()).await.unwrap().unwrap();
        assert!(delivery.settle(Disposition::Bury("a test".into())).await.unwrap());
    }
    drop(consumer);

    let receipts = tempfile::tempdir().unwrap();
    let receipt = receipts.path().join("receipt.json");
    let receipt = receipt.to_str().unwrap();
    let erase = ["erase", "--gallery", "staff", "--image", &photo, "--receipt", receipt, "--json"];
    let erased = fleet.json(&erase, &[]).await;
    assert_eq!(erased["places"]["images"], json!(1), "{erased}");
    assert_eq!(erased["places"]["dead_letters"], json!(1), "{erased}");
    let letters = queue.dead_letters(10).await.unwrap();
    assert_eq!(letters.len(), 1, "the other person's stays");

    let verify = ["erase", "--verify", receipt, "--image", &photo, "--json"];
    let verified = fleet.json(&verify, &[]).await;
    let places = verified["places"].as_array().unwrap();
    let of_place = |name: &str| {
        let found = places.iter().find(|place| place["place"] == name);
        found.unwrap_or_else(|| panic!("{name}: {verified}"))["result"].clone()
    };
    for place in ["rows of the store", "dead letters", "sources", "pg_statistic"] {
        assert_eq!(of_place(place), "absent", "{verified}");
    }
    assert!(store.erasures().await.unwrap()[0].ended_at.is_some());

    // A job that waited, and a scan of the same folder.
    queue.publish(vec![of(&photo)]).await.unwrap();
    let _worker = Running(fleet.command(&["worker", "--root", folder], &[]).spawn().unwrap());
    let summary = fleet.json(&scan, &[]).await["summary"].take();
    assert_eq!(summary["outcomes"]["erased"], json!(1), "{summary}");
    let verified = fleet.json(&verify, &[]).await;
    assert_eq!(verified["absent"], json!(true), "{verified}");
    queue.close().await;
    store.close().await;
}
