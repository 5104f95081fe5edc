//! Enrolments are decided where they are recorded, once, whoever records at the same moment.

use std::sync::Arc;
use std::time::Duration;

use facefleet::domain::{
    CampaignId, ContentHash, EnrolRules, EnrolmentDecision, ImageId, JobId, JobRecord,
    LabelledImage, Lane, Outcome, Reason, ReasonCode, ReferenceRules, ReferenceState,
    SetAsideReason, SubjectName, Template,
};
use facefleet::store::{LookAlikeProbe, Recorded, Store, StoredSubject};
use tokio::sync::Barrier;

use super::{Home, a, b, opened, under_b};
use crate::support::{
    content, face, gallery, operator, record, scored, stamp, unfetched, uri, with_job,
};

const RULES: ReferenceRules = ReferenceRules { most: 3, margin: 5.0 };

pub fn name(text: &str) -> SubjectName {
    text.parse().unwrap()
}

/// A template `degrees` from the first axis of a plane.
pub fn direction(degrees: f32) -> Template {
    let (sin, cos) = degrees.to_radians().sin_cos();
    let mut embedding = vec![0.0; 128];
    (embedding[0], embedding[1]) = (cos, sin);
    Template::from_embedding(&embedding).unwrap().0
}

/// The enrolment of the image `image` for `subject`, with a face of this quality and direction.
pub fn enrolment(image: &str, subject: &str, quality: u8, degrees: f32) -> JobRecord {
    let mut found = face(quality);
    found.recognition.as_mut().unwrap().template = direction(degrees);
    proposed(record(image, Outcome::Scored(vec![found])), subject)
}

/// `record` as an enrolment without reasons against it.
pub fn proposed(record: JobRecord, subject: &str) -> JobRecord {
    let rules =
        EnrolRules { references: RULES, match_threshold: Some(0.5), ..EnrolRules::default() };
    let enrolment = Some(rules.proposal(&record.outcome));
    let record = with_job(record, |job| {
        (job.lane, job.subject) = (Lane::Enrol, Some(name(subject)));
    });
    JobRecord { enrolment, ..record }
}

pub async fn decided(store: &Arc<dyn Store>, record: &JobRecord) -> Recorded {
    store.record(std::slice::from_ref(record)).await.unwrap().remove(0)
}

fn decision(recorded: &Recorded) -> EnrolmentDecision {
    recorded.enrolment.as_ref().expect("a decision").decision
}

pub async fn subject(store: &Arc<dyn Store>, of: &str) -> StoredSubject {
    store.subject(&gallery(), &name(of)).await.unwrap().expect("the subject is stored")
}

fn active(subject: &StoredSubject) -> Vec<ImageId> {
    let is_active = |state| state == ReferenceState::Active;
    subject.references.iter().filter(|each| is_active(each.state)).map(|each| each.image).collect()
}

fn states(subject: &StoredSubject) -> Vec<ReferenceState> {
    let mut references = subject.references.clone();
    references.sort_by_key(|reference| reference.image);
    references.into_iter().map(|reference| reference.state).collect()
}

const fn aside(reason: SetAsideReason) -> ReferenceState {
    ReferenceState::SetAside(reason)
}

pub async fn the_best_images_become_the_references_of_their_subject(home: impl Home) {
    let store = opened(&home).await;
    let all = [
        enrolment("one", "Ann", 60, 0.0),
        enrolment("two", "Ann", 40, 40.0),
        enrolment("three", "Ann", 70, 80.0),
        enrolment("four", "Ann", 43, 20.0),
        enrolment("five", "Ann", 90, -40.0),
    ];
    // Some in one batch, some in batches of their own.
    let mut recorded = store.record(&all[..3]).await.unwrap();
    for record in &all[3..] {
        recorded.push(decided(&store, record).await);
    }
    assert!(recorded.iter().all(|each| decision(each) == EnrolmentDecision::Accepted));
    let ann = subject(&store, "Ann").await;
    let replaced = aside(SetAsideReason::Replaced);
    let not_better = aside(SetAsideReason::NotBetter);
    let is_active = ReferenceState::Active;
    assert_eq!(states(&ann), [is_active, replaced, is_active, not_better, is_active]);
    let summary = &ann.summary;
    assert_eq!((summary.references, summary.set_aside, summary.accepted), (3, 2, 5));
    assert_eq!((summary.review, summary.rejected), (0, 0));
    let uris: Vec<_> = ann.references.iter().map(|reference| reference.uri.clone()).collect();
    assert_eq!(uris, ["one", "three", "five", "two", "four"].map(uri), "the active ones first");
    assert_eq!(ann.enrolments.len(), 5);
    assert!(ann.enrolments.iter().all(|each| each.subject == name("Ann") && each.profile == a()));
}

pub async fn a_rejected_image_is_no_reference_and_says_why(home: impl Home) {
    let store = opened(&home).await;
    let mut blurred = enrolment("blurred", "Ann", 50, 0.0);
    let reason = Reason::of_values(ReasonCode::Blurred, 12.5, 40.0);
    blurred.enrolment.as_mut().unwrap().reasons.push(reason.clone());
    let missing = unfetched("missing", Outcome::Unreadable("no such file \u{0}".into()));
    let missing = proposed(missing, "Ann");
    let batch = [blurred.clone(), missing];
    let recorded = store.record(&batch).await.unwrap();
    assert!(recorded.iter().all(|each| decision(each) == EnrolmentDecision::Rejected));
    let reasons = &recorded[0].enrolment.as_ref().unwrap().reasons;
    assert_eq!(reasons.as_slice(), std::slice::from_ref(&reason));

    let ann = subject(&store, "Ann").await;
    assert_eq!((ann.references.len(), ann.summary.rejected), (0, 2));
    let stored = store.enrolments(&[recorded[0].image, recorded[1].image]).await.unwrap();
    let of = |image| stored.iter().find(|each| each.image == image).unwrap();
    assert_eq!(of(recorded[0].image).enrolment.reasons, [reason]);
    assert_eq!(of(recorded[0].image).job, blurred.job.id);
    assert_eq!(of(recorded[1].image).enrolment.reasons[0].code, ReasonCode::Unreadable);

    // Another face of the same image, or the same one under looser settings: decided anew.
    let again = enrolment("blurred", "Ann", 50, 0.0);
    assert_eq!(decision(&decided(&store, &again).await), EnrolmentDecision::Accepted);
    let ann = subject(&store, "Ann").await;
    assert_eq!((active(&ann), ann.summary.rejected), (vec![recorded[0].image], 1));
}

pub async fn a_face_that_is_not_the_subjects_is_rejected(home: impl Home) {
    let store = opened(&home).await;
    store.record(&[enrolment("one", "Ann", 60, 0.0)]).await.unwrap();
    let other = decided(&store, &enrolment("two", "Ann", 90, 90.0)).await;
    let [reason] = &other.enrolment.as_ref().unwrap().reasons[..] else { panic!("one reason") };
    assert_eq!((reason.code, reason.asked), (ReasonCode::NotTheSubject, Some(0.5)));
    assert!(reason.found.unwrap().abs() < 1e-3);
    assert_eq!(subject(&store, "Ann").await.references.len(), 1);
    // Under another profile there is nothing to compare with, and references do not count there.
    let under_other = under_b(enrolment("three", "Ann", 50, 90.0));
    assert_eq!(decision(&decided(&store, &under_other).await), EnrolmentDecision::Accepted);
    assert_eq!(subject(&store, "Ann").await.summary.references, 2);
    for profile in [a(), b()] {
        let found = store.reference_templates(&gallery(), &profile, None).await.unwrap();
        assert_eq!(found.len(), 1);
    }
}

pub async fn what_was_decided_stays_for_its_job_and_what_was_accepted_for_all(home: impl Home) {
    let store = opened(&home).await;
    let first = enrolment("one", "Ann", 60, 0.0);
    let recorded = decided(&store, &first).await;
    let image = recorded.image;
    let before = subject(&store, "Ann").await;
    tokio::time::sleep(Duration::from_millis(5)).await;
    assert_eq!(decided(&store, &first).await.enrolment, recorded.enrolment);
    assert_eq!(subject(&store, "Ann").await, before, "not even the time changes");
    // An operator sets it aside: neither a redelivery nor another enrolment brings it back.
    let by_operator = aside(SetAsideReason::Operator);
    let set = store.set_reference(&gallery(), &name("Ann"), image, by_operator, &operator()).await;
    assert!(set.unwrap());
    decided(&store, &first).await;
    let again = enrolment("one", "Ann", 60, 0.0);
    decided(&store, &again).await;
    let after = subject(&store, "Ann").await;
    assert_eq!(states(&after), [by_operator]);
    assert_eq!(after.enrolments[0].job, again.job.id);
    assert_eq!(after.enrolments[0].decided_at, before.enrolments[0].decided_at);

    // A redelivery that finds the image gone, and one whose rules have changed since.
    let gone = JobRecord {
        content: None,
        outcome: Outcome::Failed("gone".into()),
        ..with_job(first.clone(), |_| ())
    };
    let gone = JobRecord { enrolment: proposed(gone.clone(), "Ann").enrolment, ..gone };
    let answer = decided(&store, &gone).await;
    assert_eq!((answer.image, decision(&answer)), (image, EnrolmentDecision::Accepted));
    let mut poor = enrolment("poor", "Ann", 10, 5.0);
    poor.enrolment.as_mut().unwrap().reasons.push(Reason::new(ReasonCode::LowQuality));
    let rejected = decided(&store, &poor).await;
    poor.enrolment.as_mut().unwrap().reasons.clear();
    assert_eq!(decided(&store, &poor).await.enrolment, rejected.enrolment);
    assert_eq!(subject(&store, "Ann").await.enrolments.len(), 2);
}

pub async fn the_same_bytes_and_nearly_the_same_picture_are_kept_aside(home: impl Home) {
    let store = opened(&home).await;
    let first = enrolment("one", "Ann", 60, 0.0);
    let copy = JobRecord { content: first.content, ..enrolment("copy", "Ann", 60, 0.0) };
    let near = enrolment("near", "Ann", 62, 4.0);
    let sharper = enrolment("sharper", "Ann", 70, 4.0);
    let recorded = store.record(&[first, copy, near, sharper]).await.unwrap();
    assert!(recorded.iter().all(|each| decision(each) == EnrolmentDecision::Accepted));
    let expected = [
        aside(SetAsideReason::Replaced),
        aside(SetAsideReason::SameBytes),
        aside(SetAsideReason::NearlyIdentical),
        ReferenceState::Active,
    ];
    assert_eq!(states(&subject(&store, "Ann").await), expected);
}

pub async fn an_image_to_review_is_kept_aside_until_somebody_restores_it(home: impl Home) {
    let store = opened(&home).await;
    let mut agent = enrolment("agent", "Bob", 60, 0.0);
    let reason = Reason {
        image_id: Some(ImageId(7)),
        ..Reason::of_values(ReasonCode::LooksLikeAnother, 0.9, 0.5)
    };
    agent.enrolment.as_mut().unwrap().reasons.push(reason);
    let recorded = decided(&store, &agent).await;
    assert_eq!(decision(&recorded), EnrolmentDecision::Review);
    assert_eq!(states(&subject(&store, "Bob").await), [aside(SetAsideReason::Review)]);
    let set = |state| {
        let store = store.clone();
        async move {
            store
                .set_reference(&gallery(), &name("Bob"), recorded.image, state, &operator())
                .await
                .unwrap()
        }
    };
    assert!(set(ReferenceState::Active).await);
    // It is enrolled again: it stays what the operator made of it.
    let again = with_job(agent, |job| job.id = JobId::new());
    assert_eq!(decision(&decided(&store, &again).await), EnrolmentDecision::Accepted);
    assert_eq!(states(&subject(&store, "Bob").await), [ReferenceState::Active]);
    assert!(
        !store
            .set_reference(
                &gallery(),
                &name("Nobody"),
                ImageId(1),
                ReferenceState::Active,
                &operator()
            )
            .await
            .unwrap()
    );
}

pub async fn scans_that_name_subjects_do_not_enrol(home: impl Home) {
    let store = opened(&home).await;
    let scan = with_job(enrolment("one", "Ann", 60, 0.0), |job| job.lane = Lane::Scan);
    assert_eq!(decided(&store, &scan).await.enrolment, None);
    let without_proposal = JobRecord { enrolment: None, ..enrolment("two", "Ann", 60, 0.0) };
    assert_eq!(decided(&store, &without_proposal).await.enrolment, None);
    assert_eq!(store.subject(&gallery(), &name("Ann")).await.unwrap(), None);
    // The bytes of a scan are enrolled without being written again.
    let enrolled = decided(&store, &enrolment("one", "Ann", 60, 0.0)).await;
    assert_eq!(decision(&enrolled), EnrolmentDecision::Accepted);
    assert_eq!(active(&subject(&store, "Ann").await), [enrolled.image]);
}

pub async fn enrolments_of_one_subject_at_once_wait_for_each_other(home: impl Home) {
    let store = opened(&home).await;
    let others = [home.open().await, home.open().await, home.open().await];
    // Each of four tasks enrols images of the same subjects, in another order, and one of them the
    // images of the first again.
    let tasks: u16 = 4;
    let barrier = Arc::new(Barrier::new(usize::from(tasks)));
    let stores = std::iter::once(store.clone()).chain(others);
    let running = stores.zip(0..tasks).map(|(store, task)| {
        let barrier = barrier.clone();
        tokio::spawn(async move {
            let subjects = if task % 2 == 0 { ["Ann", "Bob"] } else { ["Bob", "Ann"] };
            let of_task = task % 3;
            barrier.wait().await;
            for round in 0_u16..10 {
                let batch = subjects.map(|subject| {
                    let image = format!("{subject}-{of_task}-{round}");
                    let degrees = f32::from(7 * (3 * round + of_task) % 60);
                    let quality = 20 + u8::try_from(3 * round + of_task).unwrap();
                    enrolment(&image, subject, quality, degrees)
                });
                let recorded = store.record(&batch).await.unwrap();
                assert!(recorded.iter().all(|each| each.enrolment.is_some()));
            }
        })
    });
    for task in running.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    for of in ["Ann", "Bob"] {
        let stored = subject(&store, of).await;
        assert_eq!(stored.enrolments.len(), 30, "each image once");
        assert_eq!(stored.references.len() as u64, stored.summary.accepted);
        assert!((1..=3).contains(&stored.summary.references), "{:?}", stored.summary);
    }
}

pub async fn look_alikes_are_the_most_similar_references_of_others(home: impl Home) {
    let store = opened(&home).await;
    let recorded = store
        .record(&[
            enrolment("ann", "Ann", 60, 0.0),
            enrolment("ann-2", "Ann", 60, 20.0),
            enrolment("bob", "Bob", 60, 90.0),
            enrolment("old", "Cid", 60, 10.0),
            scored("unenrolled", &[50]),
        ])
        .await
        .unwrap();
    let set_aside = aside(SetAsideReason::Operator);
    store
        .set_reference(&gallery(), &name("Cid"), recorded[3].image, set_aside, &operator())
        .await
        .unwrap();
    let probe = |subject: &str, degrees| LookAlikeProbe {
        subject: name(subject),
        template: direction(degrees),
    };
    let probes = [probe("New", 12.0), probe("Ann", 12.0), probe("Bob", 80.0)];
    let found = store.look_alikes(&gallery(), &a(), &probes).await.unwrap();
    let expected = [(1, 8.0_f64), (2, 78.0), (1, 60.0)];
    assert_eq!(found.len(), 3);
    for (found, (image, degrees)) in found.iter().zip(expected) {
        let found = found.unwrap();
        assert_eq!(found.image, recorded[image].image);
        assert!((found.similarity - degrees.to_radians().cos()).abs() < 1e-3, "{found:?}");
    }
    assert_eq!(store.look_alikes(&gallery(), &b(), &probes).await.unwrap(), [None; 3]);
    assert!(store.look_alikes(&gallery(), &a(), &[]).await.unwrap().is_empty());
    let nobody: &[LookAlikeProbe] = &[probe("New", 0.0)];
    let elsewhere = "elsewhere".parse().unwrap();
    assert_eq!(store.look_alikes(&elsewhere, &a(), nobody).await.unwrap(), [None]);
}

pub async fn references_are_found_also_when_their_bytes_were_superseded(home: impl Home) {
    let store = opened(&home).await;
    let old = enrolment("one", "Ann", 60, 0.0);
    let new = JobRecord {
        content: content(b"newer bytes"),
        ..with_job(enrolment("one", "Ann", 70, 40.0), |job| job.stamp = Some(stamp("v2")))
    };
    let first = decided(&store, &old).await.image;
    let second = decided(&store, &new).await.image;
    let of_bob = decided(&store, &enrolment("bob", "Bob", 50, 90.0)).await.image;
    let found = store.reference_templates(&gallery(), &a(), None).await.unwrap();
    let found: Vec<_> = found
        .iter()
        .map(|each| (each.subject.as_str().to_owned(), each.image, each.quality))
        .collect();
    let ann = || "Ann".to_owned();
    assert_eq!(found, [(ann(), first, 60), (ann(), second, 70), ("Bob".into(), of_bob, 50)]);
    let of_one = store.reference_templates(&gallery(), &a(), Some(&name("Bob"))).await.unwrap();
    assert_eq!(of_one.len(), 1);
    assert!(of_one[0].template.similarity(&direction(90.0)) > 0.9999);
}

pub async fn accepted_images_are_known_by_subject_and_counted_by_campaign(home: impl Home) {
    let store = opened(&home).await;
    let campaign = super::campaigns::begun(&store).await.id;
    let of = |id: CampaignId, record: JobRecord| {
        with_job(record, |job| (job.campaign, job.id) = (Some(id), id.job(&job.image)))
    };
    let mut poor = enrolment("poor", "Bob", 10, 90.0);
    poor.enrolment.as_mut().unwrap().reasons.push(Reason::new(ReasonCode::LowQuality));
    let batch = [enrolment("one", "Ann", 60, 0.0), enrolment("two", "Ann", 60, 30.0), poor];
    let batch = batch.map(|record| of(campaign, record));
    store.record(&batch).await.unwrap();
    store.record(&batch).await.unwrap();
    store.record(&[enrolment("three", "Cid", 60, -90.0)]).await.unwrap();
    let counts = store.enrolment_counts(campaign).await.unwrap();
    assert_eq!((counts.accepted, counts.review, counts.rejected), (2, 0, 1));
    assert_eq!((counts.references, counts.subjects, counts.enrolled_subjects), (2, 2, 1));
    let none = store.enrolment_counts(CampaignId::new()).await.unwrap();
    assert_eq!(none, facefleet::store::EnrolmentCounts::default());

    let listed = |image: &str, subject: Option<&str>| LabelledImage {
        subject: subject.map(name),
        ..LabelledImage::new(uri(image), None)
    };
    let images = [
        listed("one", Some("Ann")),
        listed("one", Some("Bob")),
        listed("poor", Some("Bob")),
        listed("never seen", Some("Ann")),
        listed("two", None),
        listed("two", Some("Ann")),
    ];
    let accepted = store.accepted(&gallery(), &a(), &images).await.unwrap();
    assert_eq!(accepted, [true, false, false, false, false, true]);
    assert_eq!(store.accepted(&gallery(), &b(), &images).await.unwrap(), [false; 6]);
    // Other bytes at the URI are not the accepted ones.
    let newer = JobRecord {
        content: content(ContentHash::of(b"x").to_string().as_bytes()),
        ..with_job(scored("one", &[9]), |job| job.stamp = Some(stamp("v2")))
    };
    store.record(&[newer]).await.unwrap();
    let accepted = store.accepted(&gallery(), &a(), &images[..1]).await.unwrap();
    assert_eq!(accepted, [false]);
}
