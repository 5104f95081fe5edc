//! The templates of a gallery, many at a time, and the images that they are of.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use facefleet::domain::{
    JobRecord, Outcome, ProfileId, ReferenceState, SetAsideReason, SubjectName,
};
use facefleet::store::{Reading, Searched, StampsOf, Store, TemplateBatch, TemplateStamp};
use half::f16;
use tokio::sync::mpsc;

use super::enrolments::{decided, direction, enrolment, name};
use super::{Home, a, b, opened, under_b};
use crate::support::{
    content, face, gallery, operator, record, scored, stamp, unfetched, uri, with_job,
};

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

/// The stamps in the order of their keys, with the index of the face and the subject.
async fn stamps(store: &dyn Store, searched: Searched) -> Vec<TemplateStamp> {
    let mut snapshot = store.snapshot().await.unwrap();
    let mut stamps =
        snapshot.template_stamps(&gallery(), &a(), searched, StampsOf::All).await.unwrap();
    stamps.sort_by(|x, y| (x.key, &x.subject).cmp(&(y.key, &y.subject)));
    // Those of some results are the same ones.
    let some = [stamps[0].key.cursor(), i64::MAX];
    let of = snapshot
        .template_stamps(&gallery(), &a(), searched, StampsOf::Results(&some))
        .await
        .unwrap();
    let same = |stamp: &&TemplateStamp| stamp.key.cursor() == some[0];
    assert_eq!(of.len(), stamps.iter().filter(same).count());
    assert!(of.iter().all(|stamp| stamps.contains(stamp)));
    stamps
}

fn subjects(stamps: &[TemplateStamp]) -> Vec<Option<&str>> {
    stamps.iter().map(|stamp| stamp.subject.as_ref().map(SubjectName::as_str)).collect()
}

pub async fn stamps_name_the_active_references_or_all_current_faces(home: impl Home) {
    let store = opened(&home).await;
    store.record(&[scored("scanned", &[10, 20]), record("none", Outcome::NoFace)]).await.unwrap();
    for (image, subject, degrees) in
        [("one", "Ann", 0.0), ("two", "Ann", 40.0), ("three", "Bob", 90.0), ("one", "Ann 2", 0.0)]
    {
        decided(&store, &enrolment(image, subject, 50, degrees)).await;
    }
    let mut unrecognised = enrolment("blank", "Cid", 50, 180.0);
    if let Outcome::Scored(faces) = &mut unrecognised.outcome {
        faces[0].recognition = None;
    }
    decided(&store, &unrecognised).await;
    let store = store.as_ref();
    let references = stamps(store, Searched::References).await;
    // One image stands for two people.
    let ann = Some("Ann");
    assert_eq!(subjects(&references), [ann, Some("Ann 2"), ann, Some("Bob")]);
    assert_eq!(references[0].key, references[1].key);
    assert!(references.iter().all(|stamp| stamp.key.index() == 0));
    let faces = stamps(store, Searched::Faces).await;
    assert_eq!((faces.len(), subjects(&faces)), (5, vec![None; 5]));
    let unknown: ProfileId = "0123456789abcdef".parse().unwrap();
    let mut snapshot = store.snapshot().await.unwrap();
    for searched in [Searched::Faces, Searched::References] {
        let found =
            snapshot.template_stamps(&gallery(), &unknown, searched, StampsOf::All).await.unwrap();
        assert_eq!(found, []);
    }
    drop(snapshot);

    // What is set aside or removed does not count. New bytes at a URI supersede the face, and not
    // the reference.
    let two = store.subject(&gallery(), &name("Ann")).await.unwrap().unwrap();
    let two = two.references.iter().find(|each| each.uri == uri("two")).unwrap().image;
    let aside = ReferenceState::SetAside(SetAsideReason::Operator);
    store.set_reference(&gallery(), &name("Ann"), two, aside, &operator()).await.unwrap();
    store.remove_subject(&gallery(), &name("Bob"), None, &operator()).await.unwrap();
    let newer = JobRecord { content: content(b"newer"), ..scored("one", &[77]) };
    let newer = with_job(newer, |job| job.stamp = Some(stamp("v2")));
    store.record(&[newer]).await.unwrap();
    let left = stamps(store, Searched::References).await;
    assert_eq!(left, references[..2]);
    let faces = stamps(store, Searched::Faces).await;
    assert!(faces.iter().all(|stamp| stamp.key != left[0].key), "superseded");
}

pub async fn a_replaced_result_keeps_its_key_and_gets_another_stamp(home: impl Home) {
    let store = opened(&home).await;
    let before = enrolment("one", "Ann", 50, 0.0);
    decided(&store, &before).await;
    decided(&store, &enrolment("two", "Bob", 50, 90.0)).await;
    let old = stamps(store.as_ref(), Searched::References).await;
    tokio::time::sleep(Duration::from_millis(2)).await;
    // Another selection of faces: the result is not final for it.
    let mut again = enrolment("one", "Ann", 60, 30.0);
    again.selection.min_size_px += 1;
    store.record(&[again]).await.unwrap();
    let new = stamps(store.as_ref(), Searched::References).await;
    assert_eq!(new[1], old[1]);
    assert_eq!(new[0].key, old[0].key);
    assert!(new[0].recorded > old[0].recorded, "{old:?} {new:?}");

    // The templates of this result alone.
    let mut snapshot = store.snapshot().await.unwrap();
    let (to, mut batches) = mpsc::channel::<TemplateBatch>(1);
    let (profile, cursors) = (a(), [new[0].key.cursor()]);
    let (read, batch) = tokio::join!(snapshot.templates_of(&profile, &cursors, to), batches.recv());
    read.unwrap();
    let batch = batch.unwrap();
    assert_eq!(batch.keys, [new[0].key]);
    assert_eq!(batch.halves, direction(30.0).to_halves());
}
