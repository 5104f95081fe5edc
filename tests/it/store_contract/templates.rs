//! The templates of a gallery, many at a time, and the images that they are of.

use std::collections::{BTreeMap, BTreeSet};

use facefleet::domain::{JobRecord, Outcome, ProfileId};
use facefleet::store::{Reading, TemplateBatch};
use half::f16;
use tokio::sync::mpsc;

use super::{Home, a, b, opened, under_b};
use crate::support::{content, face, gallery, record, scored, stamp, unfetched, with_job};

/// The templates by image and index of the face, from one state of the store.
async fn templates(store: &dyn Reading, profile: &ProfileId) -> BTreeMap<(String, u32), Vec<f16>> {
    let mut snapshot = store.snapshot().await.unwrap();
    let (to, mut batches) = mpsc::channel::<TemplateBatch>(1);
    let gallery = gallery();
    let collect = async {
        let mut all: Vec<TemplateBatch> = Vec::new();
        while let Some(batch) = batches.recv().await {
            all.push(batch);
        }
        all
    };
    let (read, all) = tokio::join!(snapshot.templates(&gallery, profile, to), collect);
    read.unwrap();
    let count: usize = all.iter().map(|batch| batch.keys.len()).sum();
    assert!(all.iter().all(|batch| batch.expected == count as u64), "{all:?}");
    let cursors: BTreeSet<i64> =
        all.iter().flat_map(|batch| &batch.keys).map(|key| key.cursor()).collect();
    let cursors: Vec<i64> = cursors.into_iter().collect();
    let images = snapshot.images(&cursors).await.unwrap();
    let mut found = BTreeMap::new();
    for batch in &all {
        let dimension = batch.halves.len() / batch.keys.len();
        for (key, halves) in batch.keys.iter().zip(batch.halves.chunks(dimension)) {
            let image = images.iter().find(|image| image.cursor == key.cursor()).unwrap();
            assert!(image.faces.iter().any(|face| face.id.index == key.index()));
            let name = image.image.as_str().rsplit('/').next().unwrap().to_owned();
            found.insert((name, key.index()), halves.to_vec());
        }
    }
    assert_eq!(found.len(), count, "each once");
    found
}

pub async fn the_templates_of_a_gallery_are_those_of_its_current_scored_faces(home: impl Home) {
    let store = opened(&home).await;
    let mut unrecognised = vec![face(30), face(31)];
    unrecognised[0].recognition = None;
    let newer = JobRecord {
        content: content(b"newer"),
        ..with_job(scored("changed", &[50]), |job| job.stamp = Some(stamp("v2")))
    };
    let records = [
        scored("two", &[10, 20]),
        record("one", Outcome::Scored(unrecognised)),
        record("none", Outcome::NoFace),
        unfetched("away", Outcome::Unreadable("gone".into())),
        scored("changed", &[40, 41]),
        under_b(scored("other", &[60])),
        with_job(scored("elsewhere", &[70]), |job| job.gallery = "visitors".parse().unwrap()),
    ];
    store.record(&records).await.unwrap();
    store.record(&[newer]).await.unwrap();
    let of = |quality: u8| face(quality).recognition.unwrap().template.to_halves();
    let key = |name: &str, index| (name.to_owned(), index);
    let expected = BTreeMap::from([
        (key("two.jpg", 0), of(10)),
        (key("two.jpg", 1), of(20)),
        (key("one.jpg", 1), of(31)),
        (key("changed.jpg", 0), of(50)),
    ]);
    assert_eq!(templates(store.as_ref(), &a()).await, expected);
    assert_eq!(
        templates(store.as_ref(), &b()).await,
        BTreeMap::from([(key("other.jpg", 0), of(60))])
    );
    let unknown: ProfileId = "0123456789abcdef".parse().unwrap();
    assert_eq!(templates(store.as_ref(), &unknown).await, BTreeMap::new());
}

pub async fn templates_come_in_batches_and_end_when_nobody_wants_more(home: impl Home) {
    let store = opened(&home).await;
    let records: Vec<JobRecord> =
        (0..900).map(|number| scored(&number.to_string(), &[1, 2, 3, 4, 5, 6])).collect();
    for batch in records.chunks(300) {
        store.record(batch).await.unwrap();
    }
    assert_eq!(templates(store.as_ref(), &a()).await.len(), 5400, "more than a batch");
    let mut snapshot = store.snapshot().await.unwrap();
    let (to, mut batches) = mpsc::channel::<TemplateBatch>(1);
    let (gallery, profile) = (gallery(), a());
    let take_one = async {
        let first = batches.recv().await.unwrap();
        drop(batches);
        first.keys.len()
    };
    let (read, first) = tokio::join!(snapshot.templates(&gallery, &profile, to), take_one);
    read.unwrap();
    assert!((1..5400).contains(&first));
}
