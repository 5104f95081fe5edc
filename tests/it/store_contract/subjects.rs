//! Subjects are listed, renamed, merged and removed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use facefleet::domain::{ReasonCode, ReferenceRules, ReferenceState, SetAsideReason};
use facefleet::store::{Renamed, Store, SubjectMerge, SubjectQuery, SubjectSummary};

use super::decisions::against;
use super::enrolments::{decided, enrolment, name, subject};
use super::profiles::activate;
use super::{Home, a, b, images, opened, under_b};
use crate::support::{gallery, operator, scored, uri};

/// Whatever a test waits for happens within this time.
const PATIENCE: Duration = Duration::from_secs(60);

pub async fn rename(store: &Arc<dyn Store>, from: &str, to: &str) -> Renamed {
    store.rename_subject(&gallery(), &name(from), &name(to), None, None, &operator()).await.unwrap()
}

pub async fn subjects_come_by_name_in_pages(home: impl Home) {
    let store = opened(&home).await;
    let names = ["ann", "Zoe", "Élise", "Bob", "ann 2"];
    for (place, subject) in (0_u16..).zip(names) {
        let degrees = f32::from(60 * place);
        decided(&store, &enrolment(&format!("of-{place}"), subject, 50, degrees)).await;
    }
    let mut found = Vec::new();
    loop {
        let query = SubjectQuery { gallery: gallery(), after: found.last().cloned(), limit: 2 };
        let page = store.subjects(&query).await.unwrap();
        assert!(page.iter().all(|each| (each.references, each.accepted) == (1, 1)));
        if page.is_empty() {
            break;
        }
        found.extend(page.into_iter().map(|summary| summary.name));
    }
    assert_eq!(found, ["Bob", "Zoe", "ann", "ann 2", "Élise"].map(name), "in the order of bytes");
    let elsewhere = SubjectQuery { gallery: "elsewhere".parse().unwrap(), after: None, limit: 10 };
    assert_eq!(store.subjects(&elsewhere).await.unwrap(), []);
}

pub async fn references_without_a_template_under_the_active_profile_are_told(home: impl Home) {
    let store = opened(&home).await;
    for (image, of, degrees) in [("one", "Ann", 0.0), ("two", "Ann", 40.0), ("bob", "Bob", 180.0)] {
        decided(&store, &enrolment(image, of, 50, degrees)).await;
    }
    store.record(&[under_b(scored("two", &[50]))]).await.unwrap();
    let counts = || async {
        let query = SubjectQuery { gallery: gallery(), after: None, limit: 10 };
        let all = store.subjects(&query).await.unwrap();
        all.iter().map(|each| (each.references, each.without_template)).collect::<Vec<_>>()
    };
    assert_eq!(counts().await, [(2, 0), (1, 0)], "a shadow changes nothing");
    assert!(activate(&store, gallery().as_str(), [a(), b()]).await);
    assert_eq!(counts().await, [(2, 1), (1, 1)]);
    let ann = subject(&store, "Ann").await;
    assert_eq!(ann.summary.without_template, 1);
    let told: Vec<_> =
        ann.references.iter().map(|each| (each.uri.clone(), each.has_template)).collect();
    assert_eq!(told, [(uri("one"), false), (uri("two"), true)]);
    assert!(activate(&store, gallery().as_str(), [b(), a()]).await);
    assert_eq!(counts().await, [(2, 0), (1, 0)]);
}

pub async fn a_renamed_subject_keeps_everything(home: impl Home) {
    let store = opened(&home).await;
    decided(&store, &enrolment("one", "Ann", 60, 0.0)).await;
    decided(&store, &enrolment("other", "Bob", 60, 90.0)).await;
    let before = subject(&store, "Ann").await;
    assert_eq!(rename(&store, "Ann", "Bob").await, Renamed::Taken);
    assert_eq!(subject(&store, "Ann").await, before, "nothing changed");
    assert_eq!(rename(&store, "Nobody", "Ann").await, Renamed::Unknown);
    assert_eq!(rename(&store, "Ann", "Ann").await, Renamed::Renamed);
    assert_eq!(rename(&store, "Ann", "Anne").await, Renamed::Renamed);
    let after = subject(&store, "Anne").await;
    assert_eq!(after.references, before.references);
    assert_eq!(after.summary.created_at, before.summary.created_at);
    assert_eq!(store.subject(&gallery(), &name("Ann")).await.unwrap(), None);
    let labels: Vec<_> =
        images(&store, a()).await.into_iter().map(|image| image.subject.unwrap()).collect();
    assert_eq!(labels, [name("Anne"), name("Bob")]);
    // The old name is free again.
    decided(&store, &enrolment("new", "Ann", 60, 180.0)).await;
    assert_eq!(subject(&store, "Ann").await.references.len(), 1);
}

pub async fn a_merge_chooses_the_references_anew(home: impl Home) {
    let store = opened(&home).await;
    for (image, of, quality, degrees) in [
        ("one", "Ann", 50, 0.0),
        ("two", "Ann", 60, 50.0),
        ("three", "Anne", 90, 25.0),
        ("four", "Anne", 80, -25.0),
        // Nearly the picture `one`, and better.
        ("five", "Anne", 70, 2.0),
        ("one", "Anne", 50, 0.0),
    ] {
        decided(&store, &enrolment(image, of, quality, degrees)).await;
    }
    let (ann, anne) = (subject(&store, "Ann").await, subject(&store, "Anne").await);
    assert_eq!((ann.summary.references, anne.summary.references), (2, 3));
    let rules = ReferenceRules { most: 3, margin: 5.0 };
    let merge = SubjectMerge { profile: a(), rules };
    let renamed = store
        .rename_subject(&gallery(), &name("Ann"), &name("Anne"), Some(&merge), None, &operator())
        .await
        .unwrap();
    assert_eq!(renamed, Renamed::Merged);
    assert_eq!(store.subject(&gallery(), &name("Ann")).await.unwrap(), None);
    let merged = subject(&store, "Anne").await;
    // `one` was enrolled for both.
    assert_eq!((merged.summary.accepted, merged.enrolments.len()), (5, 5));
    let state = |image: &str| {
        let found = merged.references.iter().find(|each| each.uri == crate::support::uri(image));
        found.unwrap().state
    };
    for image in ["three", "four"] {
        assert_eq!(state(image), ReferenceState::Active, "{image}");
    }
    let aside = ReferenceState::SetAside(SetAsideReason::NearlyIdentical);
    assert_eq!(state("one"), aside);
    assert_eq!(merged.summary.references, 3);
    assert!(images(&store, a()).await.iter().all(|image| image.subject == Some(name("Anne"))));
}

pub async fn an_acceptance_survives_a_merge(home: impl Home) {
    let store = opened(&home).await;
    let to_review = |record| against(record, ReasonCode::LooksLikeAnother);
    for record in [
        enrolment("one", "Ann", 60, 0.0),
        to_review(enrolment("one", "Anne", 60, 0.0)),
        to_review(enrolment("two", "Ann", 60, 90.0)),
        enrolment("two", "Anne", 60, 90.0),
        to_review(enrolment("three", "Ann", 60, 45.0)),
        to_review(enrolment("three", "Anne", 60, 45.0)),
    ] {
        decided(&store, &record).await;
    }
    let merge = SubjectMerge { profile: a(), rules: ReferenceRules { most: 3, margin: 5.0 } };
    store
        .rename_subject(&gallery(), &name("Ann"), &name("Anne"), Some(&merge), None, &operator())
        .await
        .unwrap();
    let merged = subject(&store, "Anne").await;
    let SubjectSummary { references, accepted, review, .. } = merged.summary;
    assert_eq!((references, accepted, review), (2, 2, 1), "what is a reference was accepted");
}

pub async fn a_removed_subject_is_gone_and_its_images_stay(home: impl Home) {
    let store = opened(&home).await;
    let image = decided(&store, &enrolment("one", "Ann", 60, 0.0)).await.image;
    decided(&store, &enrolment("other", "Bob", 60, 90.0)).await;
    store.record(&[scored("scanned", &[30])]).await.unwrap();
    let removed =
        store.remove_subject(&gallery(), &name("Ann"), None, &operator()).await.unwrap().unwrap();
    assert_eq!((removed.references, removed.accepted), (1, 1));
    assert_eq!(
        store.remove_subject(&gallery(), &name("Ann"), None, &operator()).await.unwrap(),
        None
    );
    assert_eq!(store.enrolments(&[image]).await.unwrap(), []);
    let found = store.reference_templates(&gallery(), &a(), None).await.unwrap();
    assert_eq!(found.len(), 1);
    let stored = images(&store, a()).await;
    assert_eq!(stored.len(), 3);
    assert_eq!(stored[0].subject, None);
    assert_eq!(stored[1].subject, Some(name("Bob")));
    // Who comes back is somebody new.
    decided(&store, &enrolment("one", "Ann", 60, 0.0)).await;
    assert_eq!(subject(&store, "Ann").await.summary.references, 1);
}

pub async fn subjects_may_be_renamed_while_they_are_enrolled(home: impl Home) {
    const IMAGES: u16 = 20;
    let (store, other) = (opened(&home).await, home.open().await);
    let renames = Arc::new(AtomicU32::new(0));
    let enrolling = tokio::spawn({
        let (renames, give_up) = (renames.clone(), Instant::now() + PATIENCE);
        async move {
            let mut image = 0;
            let renamed = || renames.load(Ordering::SeqCst) > 0 || Instant::now() >= give_up;
            while image < IMAGES || !renamed() {
                let record = enrolment(&format!("{image}"), "Ann", 50, f32::from(3 * image % 360));
                assert!(decided(&other, &record).await.enrolment.is_some());
                image += 1;
            }
            image
        }
    });
    while !enrolling.is_finished() {
        let to = name(&format!("Ann {}", renames.load(Ordering::SeqCst)));
        let done = store
            .rename_subject(&gallery(), &name("Ann"), &to, None, None, &operator())
            .await
            .unwrap();
        renames.fetch_add(u32::from(done == Renamed::Renamed), Ordering::SeqCst);
    }
    let (enrolments, renamed) = (enrolling.await.unwrap(), renames.load(Ordering::SeqCst));
    let query = SubjectQuery { gallery: gallery(), after: None, limit: 100 };
    let subjects = store.subjects(&query).await.unwrap();
    let enrolled: u64 = subjects.iter().map(|each| each.accepted + each.rejected).sum();
    assert_eq!(enrolled, u64::from(enrolments), "none is lost");
    assert!(renamed > 0 && subjects.len() <= 1 + renamed as usize);
    for image in images(&store, a()).await {
        let [enrolment] = &store.enrolments(&[image.id]).await.unwrap()[..] else {
            panic!("one enrolment")
        };
        assert_eq!(image.subject.as_ref(), Some(&enrolment.subject), "the label follows");
    }
}
