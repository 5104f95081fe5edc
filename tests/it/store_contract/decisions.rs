//! What a decision changes, and what it leaves as it is.

use facefleet::domain::{
    CampaignId, Enrolment, EnrolmentDecision, ImageId, JobId, JobRecord, LabelledImage, Lane,
    Outcome, Reason, ReasonCode, ReferenceRules, ReferenceState, SetAsideReason, SubjectName,
};
use facefleet::store::{LatestEnrolment, Recorded, ReviewQuery, SubjectMerge, SubjectQuery};

use super::campaigns::begun;
use super::enrolments::{decided, enrolment, name, proposed, subject};
use super::{Home, a, images, opened};
use crate::support::{content, gallery, operator, scored, stamp, uri, with_job};

fn enrolled(recorded: &Recorded) -> &Enrolment {
    recorded.enrolment.as_ref().expect("a decision")
}

fn decision(recorded: &Recorded) -> EnrolmentDecision {
    enrolled(recorded).decision
}

/// `record` with a reason against it.
pub fn against(mut record: JobRecord, code: ReasonCode) -> JobRecord {
    record.enrolment.as_mut().unwrap().reasons.push(Reason::new(code));
    record
}

/// Another job for the image of `record`, which gets no bytes.
fn unreachable(record: &JobRecord, subject: &str) -> JobRecord {
    let outcome = Outcome::Unreadable("no answer".into());
    let record = JobRecord { content: None, outcome, ..record.clone() };
    proposed(with_job(record, |job| job.id = JobId::new()), subject)
}

pub async fn only_an_accepted_image_gets_the_label_of_its_subject(home: impl Home) {
    let store = opened(&home).await;
    let labels = async || -> Vec<Option<SubjectName>> {
        images(&store, a()).await.into_iter().map(|image| image.subject).collect()
    };
    decided(&store, &enrolment("one", "Joe", 60, 0.0)).await;
    assert_eq!(labels().await, [Some(name("Joe"))]);
    for code in [ReasonCode::Blurred, ReasonCode::LooksLikeAnother] {
        decided(&store, &against(enrolment("one", "Bo", 60, 0.0), code)).await;
        assert_eq!(labels().await, [Some(name("Joe"))]);
    }
    store.remove_subject(&gallery(), &name("Bo"), None, &operator()).await.unwrap().unwrap();
    assert_eq!(labels().await, [Some(name("Joe"))]);
    decided(&store, &against(enrolment("new", "Bo", 60, 90.0), ReasonCode::Blurred)).await;
    assert_eq!(labels().await, [Some(name("Joe")), None]);
    decided(&store, &enrolment("one", "Bo", 60, 90.0)).await;
    assert_eq!(labels().await, [Some(name("Bo")), None]);
    store.remove_subject(&gallery(), &name("Bo"), None, &operator()).await.unwrap().unwrap();
    assert_eq!(labels().await, [Some(name("Joe")), None], "it is Joe's reference still");
}

pub async fn an_image_is_read_with_its_latest_enrolment(home: impl Home) {
    let store = opened(&home).await;
    let latest = async || -> Vec<Option<(String, EnrolmentDecision, Vec<ReasonCode>)>> {
        let enrolled = |latest: LatestEnrolment| {
            let codes = latest.enrolment.reasons.iter().map(|reason| reason.code).collect();
            (latest.subject.as_str().to_owned(), latest.enrolment.decision, codes)
        };
        images(&store, a()).await.into_iter().map(|image| image.enrolment.map(enrolled)).collect()
    };
    let (accepted, rejected) = (EnrolmentDecision::Accepted, EnrolmentDecision::Rejected);
    let joe = Some(("Joe".to_owned(), accepted, vec![]));
    let bo = Some(("Bo".to_owned(), rejected, vec![ReasonCode::Blurred]));
    store.record(&[scored("seen", &[50])]).await.unwrap();
    assert_eq!(latest().await, [None], "a scan does not enrol");
    decided(&store, &enrolment("one", "Joe", 60, 0.0)).await;
    assert_eq!(latest().await, [None, joe.clone()]);
    decided(&store, &against(enrolment("one", "Bo", 60, 0.0), ReasonCode::Blurred)).await;
    assert_eq!(latest().await, [None, bo]);
    store.remove_subject(&gallery(), &name("Bo"), None, &operator()).await.unwrap().unwrap();
    assert_eq!(latest().await, [None, joe]);
}

pub async fn a_decision_about_bytes_stays_when_none_come(home: impl Home) {
    let store = opened(&home).await;
    let versioned = with_job(enrolment("one", "Ann", 60, 0.0), |job| job.stamp = Some(stamp("v1")));
    let first = against(versioned, ReasonCode::LooksLikeAnother);
    let image = decided(&store, &first).await.image;
    let again = unreachable(&first, "Ann");
    let answer = decided(&store, &again).await;
    assert_eq!((answer.image, decision(&answer)), (image, EnrolmentDecision::Review));
    let ann = subject(&store, "Ann").await;
    assert_eq!(ann.enrolments.len(), 1);
    assert_eq!(ann.enrolments[0].enrolment.reasons[0].code, ReasonCode::LooksLikeAnother);
    assert_eq!(ann.enrolments[0].job, again.job.id, "the job that asked last");
    // Where nothing but a failure was known, the latest one counts.
    let missing = unreachable(&enrolment("never", "Ann", 60, 0.0), "Ann");
    decided(&store, &missing).await;
    let denied = Outcome::Unreadable("access denied".into());
    let denied = proposed(JobRecord { outcome: denied, ..unreachable(&missing, "Ann") }, "Ann");
    let answer = decided(&store, &denied).await;
    assert_eq!(enrolled(&answer).reasons[0].of.as_deref(), Some("access denied"));
}

pub async fn an_accepted_image_without_a_face_is_decided_about_again(home: impl Home) {
    let store = opened(&home).await;
    let first = enrolment("one", "Ann", 60, 0.0);
    decided(&store, &first).await;
    let listed =
        LabelledImage { subject: Some(name("Ann")), ..LabelledImage::new(uri("one"), None) };
    let known =
        async || store.accepted(&gallery(), &a(), std::slice::from_ref(&listed)).await.unwrap();
    assert_eq!(known().await, [true]);
    // A later scan wants only large faces, and finds none.
    let mut faceless = JobRecord { outcome: Outcome::NoFace, ..first };
    faceless.selection.min_size_px += 100;
    faceless.job.id = JobId::new();
    let scan = with_job(faceless.clone(), |job| job.lane = Lane::Scan);
    decided(&store, &JobRecord { enrolment: None, ..scan }).await;
    assert_eq!(known().await, [false]);
    let answer = decided(&store, &proposed(faceless, "Ann")).await;
    assert_eq!(decision(&answer), EnrolmentDecision::Rejected);
    assert_eq!(enrolled(&answer).reasons[0].code, ReasonCode::NoFace);
}

pub async fn faces_of_a_batch_are_compared_with_those_that_became_references(home: impl Home) {
    let store = opened(&home).await;
    let compared = |image: &str, subject: &str, degrees| {
        let mut record = enrolment(image, subject, 60, degrees);
        record.enrolment.as_mut().unwrap().look_alike_threshold = Some(0.5);
        record
    };
    decided(&store, &compared("ann", "Ann", 0.0)).await;
    let batch = [
        compared("not ann", "Ann", 90.0),
        compared("bob", "Bob", 95.0),
        compared("agent", "Cid", 100.0),
        compared("dan", "Dan", 180.0),
    ];
    let recorded = store.record(&batch).await.unwrap();
    let codes: Vec<Vec<(ReasonCode, Option<ImageId>)>> = recorded
        .iter()
        .map(|each| enrolled(each).reasons.iter().map(|each| (each.code, each.image_id)).collect())
        .collect();
    let like_bob = (ReasonCode::LooksLikeAnother, Some(recorded[1].image));
    assert_eq!(codes, [vec![(ReasonCode::NotTheSubject, None)], vec![], vec![like_bob], vec![]]);
}

pub async fn what_an_operator_set_aside_stays_aside(home: impl Home) {
    let store = opened(&home).await;
    let agent = against(enrolment("one", "Ann", 60, 0.0), ReasonCode::LooksLikeAnother);
    let image = decided(&store, &agent).await.image;
    let by_operator = ReferenceState::SetAside(SetAsideReason::Operator);
    assert!(
        store
            .set_reference(&gallery(), &name("Ann"), image, by_operator, &operator())
            .await
            .unwrap()
    );
    let answer = decided(&store, &enrolment("one", "Ann", 60, 0.0)).await;
    assert_eq!(decision(&answer), EnrolmentDecision::Rejected, "the operator has reviewed it");
    let states: Vec<_> =
        subject(&store, "Ann").await.references.into_iter().map(|each| each.state).collect();
    assert_eq!(states, [by_operator]);
}

pub async fn a_job_that_is_delivered_again_is_decided_once(home: impl Home) {
    let store = opened(&home).await;
    let first = enrolment("one", "Ann", 60, 0.0);
    let answer = decided(&store, &first).await;
    let (ann, anne) = (name("Ann"), name("Anne"));
    store.rename_subject(&gallery(), &ann, &anne, None, None, &operator()).await.unwrap();
    let before = subject(&store, "Anne").await;
    assert_eq!(decided(&store, &first).await.enrolment, answer.enrolment);
    assert_eq!(store.subject(&gallery(), &ann).await.unwrap(), None, "the old name stays free");
    assert_eq!(subject(&store, "Anne").await, before);
    assert_eq!(images(&store, a()).await[0].subject, Some(anne.clone()));
    // With other bytes, it is an image of whoever the subject is now.
    let newer = JobRecord {
        content: content(b"newer"),
        enrolment: enrolment("one", "Ann", 70, 20.0).enrolment,
        ..first.clone()
    };
    let image = decided(&store, &newer).await.image;
    assert_eq!(store.subject(&gallery(), &ann).await.unwrap(), None);
    assert_eq!(store.enrolments(&[image]).await.unwrap()[0].subject, anne);

    // Another job has asked since, and the rules have changed: the first one's stays decided.
    let poor = against(enrolment("poor", "Anne", 60, 10.0), ReasonCode::Blurred);
    let rejected = decided(&store, &poor).await;
    let other = with_job(poor.clone(), |job| job.id = JobId::new());
    decided(&store, &other).await;
    let looser = JobRecord { enrolment: enrolment("poor", "Anne", 60, 10.0).enrolment, ..poor };
    assert_eq!(decided(&store, &looser).await.enrolment, rejected.enrolment);

    store.remove_subject(&gallery(), &anne, None, &operator()).await.unwrap().unwrap();
    for redelivered in [newer, looser] {
        assert_eq!(decided(&store, &redelivered).await.enrolment, None, "nothing to decide");
    }
    let query = SubjectQuery { gallery: gallery(), after: None, limit: 10 };
    assert_eq!(store.subjects(&query).await.unwrap(), [], "the person does not come back");
}

pub async fn campaigns_count_the_decisions_of_their_own_jobs(home: impl Home) {
    let store = opened(&home).await;
    let campaigns = [begun(&store).await.id, begun(&store).await.id];
    let of = |place: usize, record: JobRecord| {
        let id: CampaignId = campaigns[place];
        with_job(record, |job| (job.campaign, job.id) = (Some(id), id.job(&job.image)))
    };
    let counts = async |place: usize| {
        let counts = store.enrolment_counts(campaigns[place]).await.unwrap();
        let decided = [counts.accepted, counts.review, counts.rejected];
        (decided, counts.subjects, counts.enrolled_subjects)
    };
    for place in [0, 1] {
        let good = enrolment("one", "Ann", 60, 0.0);
        let poor = against(enrolment("poor", "Bob", 60, 90.0), ReasonCode::Blurred);
        store.record(&[of(place, good), of(place, poor)]).await.unwrap();
    }
    for place in [0, 1] {
        assert_eq!(counts(place).await, ([1, 0, 1], 2, 1), "whoever asked last");
    }
    // The image is another one when its job is delivered again: the job counts once.
    let newer =
        JobRecord { content: content(b"newer"), ..of(0, enrolment("one", "Ann", 70, 20.0)) };
    decided(&store, &newer).await;
    assert_eq!(counts(0).await, ([1, 0, 1], 2, 1));
    let merge = SubjectMerge { profile: a(), rules: ReferenceRules { most: 3, margin: 5.0 } };
    store
        .rename_subject(&gallery(), &name("Bob"), &name("Ann"), Some(&merge), None, &operator())
        .await
        .unwrap();
    assert_eq!(counts(1).await, ([1, 0, 1], 1, 1));
    store.remove_subject(&gallery(), &name("Ann"), None, &operator()).await.unwrap().unwrap();
    assert_eq!(counts(0).await, ([1, 0, 1], 0, 0), "what was decided was decided");
}

pub async fn a_review_ends_with_what_the_operator_decides(home: impl Home) {
    let store = opened(&home).await;
    let to_review = |image: &str, subject: &str, degrees: f32| {
        against(enrolment(image, subject, 60, degrees), ReasonCode::LooksLikeAnother)
    };
    let batch = [
        to_review("one", "Ann", 0.0),
        to_review("two", "Bob", 40.0),
        to_review("three", "Ann", 80.0),
        enrolment("four", "Cid", 60, 160.0),
    ];
    let recorded = store.record(&batch).await.unwrap();
    let reviews = |after, limit| {
        let (store, query) = (store.clone(), ReviewQuery { gallery: gallery(), after, limit });
        async move {
            let found = store.reviews(&query).await.unwrap();
            found.into_iter().map(|each| (each.image, each.subject)).collect::<Vec<_>>()
        }
    };
    let image = |place: usize| recorded[place].image;
    let mut open = vec![(image(0), name("Ann")), (image(1), name("Bob")), (image(2), name("Ann"))];
    open.sort();
    assert_eq!(reviews(None, 10).await, open);
    assert_eq!(reviews(Some(open[0].clone()), 1).await, open[1..2]);
    let set = |place: usize, of: &str, state| {
        let (store, of, image) = (store.clone(), name(of), image(place));
        async move {
            assert!(store.set_reference(&gallery(), &of, image, state, &operator()).await.unwrap())
        }
    };
    set(0, "Ann", ReferenceState::Active).await;
    set(1, "Bob", ReferenceState::SetAside(SetAsideReason::Operator)).await;
    assert_eq!(reviews(None, 10).await, [(image(2), name("Ann"))]);
    let [ann, bob] = [subject(&store, "Ann").await, subject(&store, "Bob").await];
    assert_eq!((ann.summary.accepted, ann.summary.review, ann.summary.references), (1, 1, 1));
    assert_eq!((bob.summary.rejected, bob.summary.review, bob.summary.references), (1, 0, 0));
    let stored = store.enrolments(&[image(0)]).await.unwrap();
    assert_eq!(stored[0].enrolment.reasons[0].code, ReasonCode::LooksLikeAnother, "is told");
    let label = |place: usize| {
        let store = store.clone();
        async move {
            let found = images(&store, a()).await;
            found.into_iter().find(|each| each.id == image(place)).unwrap().subject
        }
    };
    assert_eq!((label(0).await, label(1).await), (Some(name("Ann")), None));
    // Who asks again for what was refused gets the same answer.
    let again = with_job(batch[1].clone(), |job| job.id = JobId::new());
    let answer = decided(&store, &again).await.enrolment.unwrap();
    assert_eq!(answer.decision, EnrolmentDecision::Rejected);
    // What was refused by mistake is accepted by restoring it; what the gate rejected is no
    // reference and cannot be.
    set(1, "Bob", ReferenceState::Active).await;
    let bob = subject(&store, "Bob").await;
    assert_eq!((bob.summary.accepted, bob.summary.rejected, bob.summary.references), (1, 0, 1));
    assert_eq!(label(1).await, Some(name("Bob")));
    // An accepted image that is set aside stays accepted.
    set(0, "Ann", ReferenceState::SetAside(SetAsideReason::Operator)).await;
    assert_eq!(subject(&store, "Ann").await.summary.accepted, 1);
}
