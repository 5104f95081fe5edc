//! What verdicts do a second time: pairs that are told apart, references that come back.

use facefleet::domain::{CampaignId, ReferenceRules, ReferenceState, SetAsideReason, Verdict};
use facefleet::store::{ImageKey, Judged, NewCuration};

use super::enrolments::{decided, enrolment, name, subject};
use super::verdicts::{curation, image, judge, log};
use super::*;
use crate::support::{operator, scored, with_job};

pub async fn two_images_are_told_apart_once(home: impl Home) {
    let store = opened(&home).await;
    store.record(&[scored("one", &[10]), scored("two", &[20])]).await.unwrap();
    let [one, two] = [image(&store, "one").await, image(&store, "two").await];
    judge(&store, vec![(one, Verdict::NotTheSame(two))]).await;
    let reverse = curation(vec![(two, Verdict::NotTheSame(one))]);
    let nothing = Judged::Written { curation: None, verdicts: 0, unchanged: vec![two] };
    assert_eq!(store.judge(&reverse).await.unwrap(), nothing);
    let exact = NewCuration { exact: true, ..reverse.clone() };
    assert_eq!(store.judge(&exact).await.unwrap(), Judged::Changed(two));
    let given = log(&store).await;
    assert_eq!(given.len(), 1);
    judge(&store, vec![(one, Verdict::Undo(given[0].id))]).await;
    // Of two in one curation, the first counts.
    let both = vec![(two, Verdict::NotTheSame(one)), (one, Verdict::NotTheSame(two))];
    let written = store.judge(&curation(both)).await.unwrap();
    assert!(
        matches!(&written, Judged::Written { verdicts: 1, unchanged, .. } if *unchanged == [one]),
        "{written:?}"
    );
}

pub async fn references_that_are_back_are_no_more_than_a_subject_keeps(home: impl Home) {
    let store = opened(&home).await;
    for (name, quality, degrees) in [("one", 60, 0.0), ("two", 40, 40.0), ("three", 70, 80.0)] {
        decided(&store, &enrolment(name, "Ann", quality, degrees)).await;
    }
    let states = async || {
        let references = subject(&store, "Ann").await.references.into_iter();
        references.map(|each| (each.image, each.state)).collect::<Vec<_>>()
    };
    let active = async || {
        let states = states().await.into_iter();
        let active = states.filter(|(_, state)| *state == ReferenceState::Active);
        active.map(|(image, _)| image).collect::<Vec<_>>()
    };
    let three = image(&store, "three").await;
    // While there is room, it is simply back.
    judge(&store, vec![(three, Verdict::Exclude)]).await;
    assert_eq!(active().await.len(), 2);
    judge(&store, vec![(three, Verdict::Restore)]).await;
    assert_eq!(active().await.len(), 3);

    // Another one took its place, which is worse.
    judge(&store, vec![(three, Verdict::Exclude)]).await;
    decided(&store, &enrolment("four", "Ann", 20, -40.0)).await;
    assert_eq!(active().await.len(), 3);
    judge(&store, vec![(three, Verdict::Restore)]).await;
    assert!(active().await.contains(&three), "{:?}", states().await);
    assert_eq!(active().await.len(), 3);
    let replaced = ReferenceState::SetAside(SetAsideReason::Replaced);
    assert_eq!(states().await.iter().filter(|(_, state)| *state == replaced).count(), 1);

    // Another one took its place, which is better.
    let one = image(&store, "one").await;
    judge(&store, vec![(one, Verdict::Exclude)]).await;
    decided(&store, &enrolment("five", "Ann", 99, 20.0)).await;
    let before = active().await;
    assert_eq!(before.len(), 3);
    judge(&store, vec![(one, Verdict::Restore)]).await;
    assert_eq!(active().await, before);
    let not_better = ReferenceState::SetAside(SetAsideReason::NotBetter);
    assert!(states().await.contains(&(one, not_better)), "{:?}", states().await);
}

pub async fn references_that_another_name_brings_back_are_no_more_either(home: impl Home) {
    let store = opened(&home).await;
    let active = async |of: &str| {
        let references = subject(&store, of).await.references.into_iter();
        references.filter(|each| each.state == ReferenceState::Active).count()
    };
    let rules = Some(ReferenceRules { most: 3, margin: 5.0 });
    for (image, of, degrees) in [("one", "Ann", 0.0), ("cid", "Cid", 180.0)] {
        decided(&store, &enrolment(image, of, 50, degrees)).await;
    }
    let one = image(&store, "one").await;
    judge(&store, vec![(one, Verdict::Reassign(name("Cid")))]).await;
    for (image, degrees) in [("two", 40.0), ("three", 80.0), ("four", 60.0)] {
        decided(&store, &enrolment(image, "Ann", 60, degrees)).await;
    }
    assert_eq!(active("Ann").await, 3);
    // Whoever had it by a verdict is removed.
    store
        .remove_subject(&gallery(), &name("Cid"), rules.as_ref(), &operator())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(active("Ann").await, 3, "{:?}", subject(&store, "Ann").await);
    // She gets the name that a verdict gave to an image of hers.
    let two = image(&store, "two").await;
    judge(&store, vec![(two, Verdict::Reassign(name("Anna")))]).await;
    decided(&store, &enrolment("five", "Ann", 70, 100.0)).await;
    assert_eq!(active("Ann").await, 3);
    let [ann, anna] = ["Ann", "Anna"].map(name);
    store.rename_subject(&gallery(), &ann, &anna, None, rules.as_ref(), &operator()).await.unwrap();
    assert_eq!(active("Anna").await, 3, "{:?}", subject(&store, "Anna").await);
}

pub async fn an_excluded_image_is_known_as_such(home: impl Home) {
    let store = opened(&home).await;
    let campaign = super::campaigns::begun(&store).await.id;
    let of = |id: CampaignId, record: JobRecord| {
        with_job(record, |job| (job.campaign, job.id) = (Some(id), id.job(&job.image)))
    };
    let records = [enrolment("one", "Ann", 60, 0.0), enrolment("two", "Ann", 60, 40.0)];
    store.record(&records.map(|record| of(campaign, record))).await.unwrap();
    let one = image(&store, "one").await;
    let excluded = async || {
        let known = store.history(&ImageKey::Id(one), Some(&gallery())).await.unwrap();
        known[0].excluded
    };
    let counts = async || {
        let counts = store.enrolment_counts(campaign).await.unwrap();
        (counts.accepted, counts.references, counts.ruled_out)
    };
    assert_eq!((excluded().await, counts().await), (false, (2, 2, 0)));
    judge(&store, vec![(one, Verdict::Exclude)]).await;
    assert_eq!((excluded().await, counts().await), (true, (2, 1, 1)));
    judge(&store, vec![(one, Verdict::Restore)]).await;
    assert_eq!((excluded().await, counts().await), (false, (2, 2, 0)));
}
