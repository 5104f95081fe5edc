//! What was decided, in the order of time, without what was erased.

use std::sync::Arc;

use facefleet::domain::{
    ErasureTarget, ImageId, ReferenceRules, ReferenceState, RetentionCounts, SetAsideReason,
    SubjectChange, UtcTime, Verdict,
};
use facefleet::gallery::audit::{AuditFilter, AuditLog};
use facefleet::store::{AuditQuery, NewErasure, Store, SubjectMerge, TimePlace};
use facefleet::view::audit::{AuditKind, AuditView, SubjectEvent};

use super::super::enrolments::{decided, enrolment, name};
use super::super::verdicts::{image, judge};
use super::super::{Home, a, opened};
use crate::support::{gallery, operator};

const ALL: AuditFilter = AuditFilter { gallery: None, since: None, until: None, kinds: Vec::new() };

async fn audit(store: &Arc<dyn Store>, filter: AuditFilter) -> Vec<AuditView> {
    let mut log = AuditLog::open(store.as_ref(), filter).await.unwrap().unwrap();
    let mut events = Vec::new();
    while let Some(event) = log.next().await.unwrap() {
        events.push(event);
    }
    events
}

fn kinds(events: &[AuditView]) -> Vec<AuditKind> {
    events.iter().map(|event| event.kind).collect()
}

pub async fn events_come_in_the_order_of_time_and_in_pages(home: impl Home) {
    let store = opened(&home).await;
    for (number, of) in ["Ann", "Bob", "Cid"].into_iter().enumerate() {
        decided(&store, &enrolment(&format!("image{number}"), of, 60, 50.0 * number as f32)).await;
    }
    let one = image(&store, "image0").await;
    judge(&store, vec![(one, Verdict::Exclude)]).await;
    judge(&store, vec![(one, Verdict::Restore)]).await;
    // The second decision after the verdicts, the others at the same time before them.
    let late = "subject_id = (SELECT id FROM subjects WHERE name = 'Bob')";
    home.change(
        &format!(
            "UPDATE enrolments SET decided_at_ms = iif({late}, 9000, 1000);
             UPDATE curations SET decided_at_ms = 4000 + id"
        ),
        &format!(
            "UPDATE enrolments SET decided_at = to_timestamp(CASE WHEN {late} THEN 9 ELSE 1 END);
             UPDATE curations SET decided_at = to_timestamp(4 + id / 1000.0)"
        ),
    )
    .await;
    let run = store.begin_retention(&gallery(), &"Olga".parse().unwrap()).await.unwrap();
    store.end_retention(run, RetentionCounts::default()).await.unwrap();
    use AuditKind::{Decision, Retention, Verdict as Judged};
    let events = audit(&store, ALL).await;
    assert_eq!(kinds(&events), [Decision, Decision, Judged, Judged, Decision, Retention]);
    assert_eq!(events[2].by.as_deref(), Some("ann"));
    assert_eq!(events[2].verdict.as_ref().unwrap().verdict, "exclude");
    assert_eq!(events[4].decision.as_ref().unwrap().subject, name("Bob"));
    assert_eq!(events[5].by.as_deref(), Some("Olga"));

    // One by one.
    let mut query = AuditQuery { gallery: None, after: TimePlace::BEGIN, until: None, limit: 1 };
    let mut subjects = Vec::new();
    while let Some(next) = store.audited_decisions(&query).await.unwrap().pop() {
        query.after = next.place;
        subjects.push(next.subject);
    }
    assert_eq!(subjects, ["Ann", "Cid", "Bob"].map(name));
    query.after = TimePlace::BEGIN;
    let mut verdicts = 0;
    while let Some(next) = store.audited_verdicts(&query).await.unwrap().pop() {
        query.after = next.place;
        verdicts += 1;
    }
    assert_eq!(verdicts, 2);

    let time = |ms| Some(UtcTime::from_millisecond(ms).unwrap());
    let between = AuditFilter { since: time(1001), until: time(9000), ..ALL };
    assert_eq!(kinds(&audit(&store, between).await), [Judged, Judged]);
    let exact = AuditFilter { since: time(1000), until: time(9001), ..ALL };
    assert_eq!(audit(&store, exact).await.len(), 5);
    let of_kinds = AuditFilter { kinds: vec![Retention, Judged], ..ALL };
    assert_eq!(kinds(&audit(&store, of_kinds).await), [Judged, Judged, Retention]);
    let of_gallery = AuditFilter { gallery: Some(gallery()), ..ALL };
    assert_eq!(audit(&store, of_gallery).await.len(), 6);
    let unknown = AuditFilter { gallery: Some("unknown".parse().unwrap()), ..ALL };
    assert!(AuditLog::open(store.as_ref(), unknown).await.unwrap().is_none());
}

pub async fn who_changed_subjects_is_noted(home: impl Home) {
    let store = opened(&home).await;
    for (photo, of, degrees) in [("a", "Ann", 0.0), ("b", "Bob", 90.0), ("c", "Cid", 180.0)] {
        decided(&store, &enrolment(photo, of, 60, degrees)).await;
    }
    let (photo, gallery) = (image(&store, "a").await, gallery());
    let aside = ReferenceState::SetAside(SetAsideReason::Operator);
    for state in [aside, ReferenceState::Active] {
        assert!(
            store.set_reference(&gallery, &name("Ann"), photo, state, &operator()).await.unwrap()
        );
    }
    // Neither an unknown image nor the same name is a change.
    let unknown = ImageId(photo.0 + 1000);
    store.set_reference(&gallery, &name("Ann"), unknown, aside, &operator()).await.unwrap();
    for (from, to) in [("Ann", "Ann"), ("Ann", "Bob"), ("Dan", "Eve"), ("Ann", "Anna")] {
        let (from, to, by) = (name(from), name(to), operator());
        store.rename_subject(&gallery, &from, &to, None, None, &by).await.unwrap();
    }
    let merge = SubjectMerge { profile: a(), rules: ReferenceRules { most: 3, margin: 5.0 } };
    let (bob, cid) = (name("Bob"), name("Cid"));
    store.rename_subject(&gallery, &bob, &cid, Some(&merge), None, &operator()).await.unwrap();
    store.remove_subject(&gallery, &name("Anna"), None, &operator()).await.unwrap();
    store.remove_subject(&gallery, &name("Anna"), None, &operator()).await.unwrap();

    let of_subjects = AuditFilter { kinds: vec![AuditKind::Subject], ..ALL };
    let events = audit(&store, of_subjects.clone()).await;
    assert!(events.iter().all(|event| event.by.as_deref() == Some("Olga")));
    let told = events.iter().map(|event| {
        let SubjectEvent { change, subject, image_id } = event.subject.clone().unwrap();
        (change, subject, image_id)
    });
    // The name that a subject has now; the one that was removed has none.
    let expected = [
        (SubjectChange::SetAside, None, Some(photo)),
        (SubjectChange::Restored, None, Some(photo)),
        (SubjectChange::Renamed, None, None),
        (SubjectChange::Merged, Some(cid.clone()), None),
        (SubjectChange::Removed, None, None),
    ];
    assert_eq!(told.collect::<Vec<_>>(), expected);

    let mut query = AuditQuery { gallery: None, after: TimePlace::BEGIN, until: None, limit: 2 };
    let mut pages = Vec::new();
    loop {
        let page = store.audited_changes(&query).await.unwrap();
        let Some(last) = page.last() else { break };
        query.after = last.place;
        pages.push(page.len());
    }
    assert_eq!(pages, [2, 2, 1]);

    let erase = |target| NewErasure { gallery: gallery.clone(), target, by: operator() };
    store.erase(&erase(ErasureTarget::Subject(cid))).await.unwrap();
    let events = audit(&store, of_subjects.clone()).await;
    assert_eq!(events.len(), expected.len());
    assert!(events.iter().all(|event| event.subject.as_ref().unwrap().subject.is_none()));
    store.erase(&erase(ErasureTarget::Gallery)).await.unwrap();
    assert_eq!(audit(&store, of_subjects).await, []);
}

pub async fn the_audit_does_not_name_the_erased(home: impl Home) {
    let store = opened(&home).await;
    for (photo, of, degrees) in [("portrait-4711", "ada-4711", 0.0), ("bob", "Bob", 90.0)] {
        decided(&store, &enrolment(photo, of, 60, degrees)).await;
    }
    let (ada, bob) = (image(&store, "portrait-4711").await, image(&store, "bob").await);
    judge(&store, vec![(ada, Verdict::Exclude)]).await;
    judge(&store, vec![(bob, Verdict::Reassign(name("ada-4711")))]).await;
    let text = |events: &[AuditView]| serde_json::to_string(events).unwrap();
    assert!(text(&audit(&store, ALL).await).contains("ada-4711"));
    let target = ErasureTarget::Subject(name("ada-4711"));
    let by = "Olga".parse().unwrap();
    store.erase(&NewErasure { gallery: gallery(), target, by }).await.unwrap();
    let events = audit(&store, ALL).await;
    let text = text(&events);
    for named in ["ada-4711", "portrait", "file:", "blurred"] {
        assert!(!text.contains(named), "{named}: {text}");
    }
    let erased = events.iter().find(|event| event.kind == AuditKind::Erasure).unwrap();
    assert_eq!((erased.by.as_deref(), &erased.gallery), (Some("Olga"), &gallery()));
    assert!(
        erased.erasure.as_ref().unwrap().removed.of(facefleet::domain::ErasurePlace::Images) > 0
    );
}
