//! Which images a re-score reads, and what recording its jobs leaves alone.

use std::slice::from_ref;
use std::sync::Arc;

use facefleet::domain::{
    ContentHash, Faces, JobId, JobRecord, Lane, Outcome, OutcomeKind, Selection, Verdict,
};
use facefleet::store::{Effect, RescoreImage, RescoreQuery, Store};

use super::enrolments::{decided, enrolment};
use super::verdicts::{image, judge};
use super::{Home, a, b, images, opened, settled, under_b};
use crate::support::{
    content, effects, gallery, operator, record, scored, selection, stamp, unfetched, uri, with_job,
};

/// All images that a re-score from `a` to `b` reads, in pages of two.
async fn read(store: &Arc<dyn Store>, selection: Selection) -> Vec<RescoreImage> {
    let (mut all, mut after) = (Vec::new(), 0);
    loop {
        let (from, to) = (a(), b());
        let query = RescoreQuery { gallery: gallery(), from, to, selection, after, limit: 2 };
        let page = store.rescore_page(&query).await.unwrap();
        assert!(page.len() <= 2);
        let Some(last) = page.last() else { return all };
        after = last.cursor;
        all.extend(page);
    }
}

/// Names and whether they are done.
fn done(images: &[RescoreImage]) -> Vec<(String, bool)> {
    let name =
        |image: &RescoreImage| image.image.to_path().unwrap().file_stem().unwrap().to_owned();
    images.iter().map(|each| (name(each).into_string().unwrap(), each.done)).collect()
}

fn named(names: &[(&str, bool)]) -> Vec<(String, bool)> {
    names.iter().map(|(name, done)| ((*name).to_owned(), *done)).collect()
}

pub async fn a_rescore_reads_every_current_image_with_bytes_once(home: impl Home) {
    let store = opened(&home).await;
    assert_eq!(read(&store, selection()).await, [], "an empty store");
    let records = [
        scored("one", &[50]),
        record("none", Outcome::NoFace),
        record("cut", Outcome::Unreadable("truncated".into())),
        unfetched("gone", Outcome::Unreadable("no such file".into())),
        record("huge", Outcome::Refused("too large".into())),
        scored("changed", &[60]),
    ];
    store.record(&records).await.unwrap();
    let newer = JobRecord { content: content(b"newer"), ..scored("changed", &[70]) };
    store.record(&[newer, under_b(scored("of b alone", &[10]))]).await.unwrap();
    let read = read(&store, selection()).await;
    let all = ["one", "none", "cut", "huge", "changed"].map(|name| (name, false));
    assert_eq!(done(&read), named(&all));
    assert!(read.is_sorted_by_key(|image| image.cursor));
    assert!(read.iter().all(|image| image.stamp == Some(stamp("v1")) && !image.superseded));
    let hashes: Vec<ContentHash> = read.iter().map(|image| image.hash).collect();
    let own = |name: &str| ContentHash::of(name.as_bytes());
    assert_eq!(hashes, [own("one"), own("none"), own("cut"), own("huge"), own("newer")]);
    assert_eq!(read[0].cursor, images(&store, a()).await[0].cursor, "cursors are those of pages");
}

pub async fn what_is_done_has_a_final_outcome_of_the_same_selection(home: impl Home) {
    let store = opened(&home).await;
    let names = ["scored", "none", "cut", "failed", "refused", "other", "gone"];
    let first = names.map(|name| scored(name, &[50]));
    store.record(&first).await.unwrap();
    let largest = Selection { faces: Faces::Largest, ..selection() };
    let second = [
        scored("scored", &[40]),
        record("none", Outcome::NoFace),
        record("cut", Outcome::Unreadable("truncated".into())),
        record("failed", Outcome::Failed("a fault".into())),
        record("refused", Outcome::Refused("too large".into())),
        JobRecord { selection: largest, ..scored("other", &[40]) },
        unfetched("gone", Outcome::Unreadable("no such file".into())),
    ];
    store.record(&second.map(under_b)).await.unwrap();
    let all = |other: bool| {
        let done = [!other, !other, !other, false, false, other, false];
        names.into_iter().zip(done).collect::<Vec<_>>()
    };
    assert_eq!(done(&read(&store, selection()).await), named(&all(false)));
    assert_eq!(done(&read(&store, largest).await), named(&all(true)));
}

pub async fn references_of_superseded_bytes_are_read_too(home: impl Home) {
    let store = opened(&home).await;
    for name in ["Ann", "Bob"] {
        decided(&store, &enrolment(name, name, 60, 0.0)).await;
    }
    store.record(&[scored("plain", &[50])]).await.unwrap();
    let newer = ["Ann", "plain"];
    let newer = newer.map(|name| JobRecord { content: content(b"new"), ..scored(name, &[70]) });
    store.record(&newer).await.unwrap();
    let found = read(&store, selection()).await;
    let superseded: Vec<_> = found.iter().map(|image| image.superseded).collect();
    assert_eq!(superseded, [true, false, false, false]);
    assert_eq!((&found[0].image, found[0].hash), (&uri("Ann"), ContentHash::of(b"Ann")));
    assert_eq!((&found[2].image, found[2].hash), (&uri("Ann"), ContentHash::of(b"new")));
    // A reference that is set aside is nobody's.
    let ann = "Ann".parse().unwrap();
    let image = store.subject(&gallery(), &ann).await.unwrap().unwrap().references[0].image;
    let aside =
        facefleet::domain::ReferenceState::SetAside(facefleet::domain::SetAsideReason::Operator);
    assert!(store.set_reference(&gallery(), &ann, image, aside, &operator()).await.unwrap());
    assert!(read(&store, selection()).await.iter().all(|image| !image.superseded));
}

pub async fn an_image_that_a_verdict_marks_as_gone_is_told(home: impl Home) {
    let store = opened(&home).await;
    let names = ["one", "two", "three"];
    store.record(&names.map(|name| scored(name, &[50]))).await.unwrap();
    let [one, two] = [image(&store, "one").await, image(&store, "two").await];
    judge(&store, vec![(one, Verdict::Gone), (two, Verdict::Exclude)]).await;
    let gone = async || -> Vec<bool> {
        read(&store, selection()).await.into_iter().map(|image| image.gone).collect()
    };
    assert_eq!(gone().await, [true, false, false], "an excluded image is there");
    judge(&store, vec![(one, Verdict::Found)]).await;
    assert_eq!(gone().await, [false; 3]);
}

pub async fn an_image_that_is_gone_keeps_the_result_that_it_has(home: impl Home) {
    let store = opened(&home).await;
    let named = with_job(scored("one", &[50]), |job| job.subject = Some("Ann".parse().unwrap()));
    store.record(&[named, scored("two", &[60])]).await.unwrap();
    let before = images(&store, a()).await;
    let rescored = |name: &str, outcome| {
        let record = under_b(unfetched(name, outcome));
        with_job(record, |job| {
            (job.lane, job.id) = (Lane::Rescore, JobId::new());
            job.expected_hash = Some(ContentHash::of(name.as_bytes()));
        })
    };
    let gone = rescored("one", Outcome::Unreadable("no such file".into()));
    let changed = rescored("two", Outcome::Refused("the image changed".into()));
    store.record(&[gone, changed]).await.unwrap();
    assert_eq!(images(&store, a()).await, before, "the subject, too");
    assert!(images(&store, b()).await.iter().all(|image| image.hash.is_none()));
    let again = read(&store, selection()).await;
    assert!(again.len() == 2 && again.iter().all(|image| !image.done), "{again:?}");
    // Once it is back, its result takes the place of the attempt.
    let back = with_job(under_b(scored("one", &[40])), |job| {
        (job.lane, job.subject) = (Lane::Rescore, None);
    });
    store.record(&[back]).await.unwrap();
    let current = images(&store, b()).await;
    let one: Vec<_> = current.iter().filter(|image| image.image == uri("one")).collect();
    assert_eq!((one.len(), one[0].hash), (1, Some(ContentHash::of(b"one"))));
    assert_eq!(one[0].subject, before[0].subject, "a label is of the image");
    assert_eq!(images(&store, a()).await, before);
}

/// The record of another job of a re-score, under `b`, from the chip cache.
fn from_chips(record: JobRecord) -> JobRecord {
    let record = with_job(record, |job| (job.lane, job.id) = (Lane::Rescore, JobId::new()));
    under_b(JobRecord { from_chips: true, ..record })
}

pub async fn what_comes_from_the_chip_cache_says_nothing_about_the_source(home: impl Home) {
    let store = opened(&home).await;
    let other_job = |record| with_job(record, |job| job.id = JobId::new());
    store.record(&[scored("one", &[50])]).await.unwrap();
    let gone = unfetched("one", Outcome::Unreadable("no such file".into()));
    let gone = with_job(gone, |job| job.stamp = Some(stamp("v2")));
    let under_both = [other_job(gone.clone()), other_job(under_b(gone))];
    store.record(&under_both).await.unwrap();
    let before = images(&store, a()).await;
    assert!(before[0].noted.is_some());

    let chips = from_chips(scored("one", &[40]));
    assert_eq!(effects(store.record(from_ref(&chips)).await), [Effect::New]);
    assert_eq!(images(&store, a()).await, before, "nobody read the image: its note stays");
    let current = images(&store, b()).await;
    assert_eq!((current.len(), current[0].hash), (1, before[0].hash), "the attempt had no result");
    assert!(read(&store, selection()).await[0].done);
    // A scan finds the same bytes in a later version of the file.
    let touched = with_job(under_b(scored("one", &[40])), |job| job.stamp = Some(stamp("v3")));
    store.record(&[touched]).await.unwrap();
    assert_eq!(effects(store.record(&[from_chips(chips)]).await), [Effect::Repeated]);
    assert!(settled(&store, b(), "one", "v3").await);
    // An attempt that failed is told like any other.
    store.record(&[scored("two", &[50])]).await.unwrap();
    let failed = from_chips(unfetched("two", Outcome::Failed("the device failed".into())));
    store.record(&[failed]).await.unwrap();
    let two = images(&store, b()).await.pop().unwrap();
    assert_eq!((two.image, two.outcome), (uri("two"), OutcomeKind::Failed));
}

pub async fn chips_of_bytes_that_are_past_change_no_current_result(home: impl Home) {
    let store = opened(&home).await;
    let old = enrolment("one", "Ann", 60, 0.0);
    decided(&store, &old).await;
    let newer = JobRecord { content: content(b"newer"), ..scored("one", &[70]) };
    store.record(from_ref(&newer)).await.unwrap();
    let chips = from_chips(JobRecord { enrolment: None, ..old });
    // Whether or not the new bytes were re-scored before.
    let first = images(&store, a()).await;
    assert_eq!(effects(store.record(from_ref(&chips)).await), [Effect::New]);
    assert_eq!((images(&store, a()).await, images(&store, b()).await), (first.clone(), Vec::new()));
    store.record(&[under_b(newer)]).await.unwrap();
    let second = images(&store, b()).await;
    assert_eq!(effects(store.record(&[from_chips(chips)]).await), [Effect::Repeated]);
    assert_eq!((images(&store, a()).await, images(&store, b()).await), (first, second));
    assert_eq!(store.summary(&gallery(), &b()).await.unwrap().faces, 1);
    // The person is found by what was enrolled.
    let references = store.reference_templates(&gallery(), &b(), None).await.unwrap();
    assert_eq!((references.len(), references[0].subject.as_str()), (1, "Ann"));
    let found = read(&store, selection()).await;
    assert!(found.len() == 2 && found.iter().all(|image| image.done), "{found:?}");
}
