//! Verdicts about images: what follows from them, and their end.

use std::collections::BTreeSet;
use std::sync::Arc;

use facefleet::domain::{
    CurationId, ImageId, JobId, Lane, OutcomeKind, ReferenceRules, ReferenceState, SetAsideReason,
    SubjectName, Verdict, VerdictId,
};
use facefleet::store::{
    Extreme, ImageKey, Judged, NewCuration, PageFilter, PageQuery, Renamed, Searched, StampsOf,
    Store, StoredVerdict, SubjectMerge, TemplateBatch, VerdictQuery,
};
use tokio::sync::mpsc;

use super::enrolments::{decided, enrolment, name, subject};
use super::subjects::rename;
use super::{Home, a, images, opened, whole_page};
use crate::support::{gallery, operator, scored, uri, with_job};

const BY_VERDICT: ReferenceState = ReferenceState::SetAside(SetAsideReason::Verdict);

pub fn curation(verdicts: Vec<(ImageId, Verdict)>) -> NewCuration {
    NewCuration {
        gallery: gallery(),
        by: "ann".parse().unwrap(),
        reason: Some("blurred".parse().unwrap()),
        verdicts,
        exact: false,
        rules: Some(ReferenceRules { most: 3, margin: 5.0 }),
    }
}

/// Gives verdicts, all of which change something.
pub async fn judge(store: &Arc<dyn Store>, verdicts: Vec<(ImageId, Verdict)>) -> CurationId {
    let count = verdicts.len() as u64;
    match store.judge(&curation(verdicts)).await.unwrap() {
        Judged::Written { curation: Some(curation), verdicts, unchanged } => {
            assert_eq!((verdicts, unchanged), (count, Vec::new()));
            curation
        }
        refused => panic!("{refused:?}"),
    }
}

pub async fn log(store: &Arc<dyn Store>) -> Vec<StoredVerdict> {
    let all =
        VerdictQuery { gallery: gallery(), image: None, curation: None, after: None, limit: 100 };
    let found = store.verdicts(&all).await.unwrap();
    let last = found.last().map(|verdict| verdict.id);
    assert_eq!(store.verdicts(&VerdictQuery { after: last, ..all }).await.unwrap(), []);
    found
}

pub async fn image(store: &Arc<dyn Store>, image: &str) -> ImageId {
    let key = ImageKey::Uris(vec![uri(image)]);
    store.history(&key, Some(&gallery())).await.unwrap()[0].image.id
}

/// The images that searches, reports and exports have, each way of reading them.
async fn shown(home: &impl Home, store: &Arc<dyn Store>) -> Vec<BTreeSet<i64>> {
    let stored = images(store, a()).await;
    let id = |cursor: i64| stored.iter().find(|image| image.cursor == cursor).map(|it| it.id.0);
    let query = PageQuery {
        filter: PageFilter { min_quality: Some(0), ..PageFilter::default() },
        ..whole_page(a())
    };
    let filtered = store.page(&query).await.unwrap();
    let uris = ["one", "two", "three"].map(uri).to_vec();
    let filter = PageFilter { images: Some(uris), ..PageFilter::default() };
    let named = store.page(&PageQuery { filter, ..whole_page(a()) }).await.unwrap();
    let worst = store.extremes(&gallery(), &a(), Extreme::Worst, 10).await.unwrap();
    let best = store.extremes(&gallery(), &a(), Extreme::Best, 10).await.unwrap();
    let mut snapshot = store.snapshot().await.unwrap();
    let stamps = snapshot
        .template_stamps(&gallery(), &a(), Searched::Faces, StampsOf::All)
        .await
        .unwrap()
        .into_iter()
        // A cursor that no page has is an image that is shown nowhere else.
        .map(|stamp| id(stamp.key.cursor()).unwrap_or(-1));
    let (to, mut batches) = mpsc::channel::<TemplateBatch>(100);
    snapshot.templates(&gallery(), &a(), to).await.unwrap();
    let mut templates = BTreeSet::new();
    while let Some(batch) = batches.recv().await {
        templates.extend(batch.keys.iter().map(|key| id(key.cursor()).unwrap_or(-1)));
    }
    let mut all = vec![
        stored.iter().map(|image| image.id.0).collect(),
        filtered.iter().map(|image| image.id.0).collect(),
        named.iter().map(|image| image.id.0).collect(),
        worst.iter().map(|face| face.id.image.0).collect(),
        best.iter().map(|face| face.id.image.0).collect(),
        stamps.collect(),
        templates,
    ];
    for view in ["facefleet_images", "facefleet_faces"] {
        let rows = home.view(view).await;
        all.push(rows.iter().map(|row| row["image_id"].as_i64().unwrap()).collect());
    }
    all
}

pub async fn an_excluded_image_is_left_out_and_still_there(home: impl Home) {
    let store = opened(&home).await;
    let records = [scored("one", &[10]), scored("two", &[20, 30]), scored("three", &[40])];
    store.record(&records).await.unwrap();
    let summary = store.summary(&gallery(), &a()).await.unwrap();
    let [one, two, three] =
        [image(&store, "one").await, image(&store, "two").await, image(&store, "three").await];
    let every = BTreeSet::from([one.0, two.0, three.0]);
    assert!(shown(&home, &store).await.iter().all(|ids| *ids == every));

    let excluded = judge(&store, vec![(two, Verdict::Exclude)]).await;
    let others = BTreeSet::from([one.0, three.0]);
    for (place, ids) in shown(&home, &store).await.iter().enumerate() {
        assert_eq!(*ids, others, "{place}");
    }
    let without = store.summary(&gallery(), &a()).await.unwrap();
    assert_eq!(without.outcomes, [(OutcomeKind::Scored, 2)]);
    assert_eq!((without.faces, without.histogram[20], without.histogram[10]), (2, 0, 1));
    let known = store.history(&ImageKey::Id(two), Some(&gallery())).await.unwrap();
    assert_eq!(known.len(), 1, "still there");
    // What is excluded stays so when it is recorded again.
    store.record(&records[1..2]).await.unwrap();
    assert_eq!(shown(&home, &store).await[0], others);

    let undo = log(&store).await[0].id;
    assert_eq!(log(&store).await[0].curation, excluded);
    judge(&store, vec![(two, Verdict::Undo(undo))]).await;
    assert!(shown(&home, &store).await.iter().all(|ids| *ids == every));
    assert_eq!(store.summary(&gallery(), &a()).await.unwrap(), summary);
}

pub async fn an_excluded_image_has_no_active_reference(home: impl Home) {
    let store = opened(&home).await;
    decided(&store, &enrolment("one", "Ann", 60, 0.0)).await;
    decided(&store, &enrolment("two", "Ann", 70, 40.0)).await;
    let one = image(&store, "one").await;
    let state = async || {
        let found = subject(&store, "Ann").await;
        found.references.into_iter().find(|each| each.image == one).unwrap().state
    };
    assert_eq!(state().await, ReferenceState::Active);
    judge(&store, vec![(one, Verdict::Exclude)]).await;
    assert_eq!(state().await, BY_VERDICT);
    let templates = store.reference_templates(&gallery(), &a(), None).await.unwrap();
    assert_eq!(templates.len(), 1);
    // Neither another enrolment of it nor the subject's reference list brings it back.
    decided(&store, &with_job(enrolment("one", "Ann", 60, 0.0), |job| job.id = new_job())).await;
    assert_eq!(state().await, BY_VERDICT);
    let active = ReferenceState::Active;
    store.set_reference(&gallery(), &name("Ann"), one, active, &operator()).await.unwrap();
    assert_eq!(state().await, BY_VERDICT);
    // An excluded image becomes nobody's reference.
    let other = with_job(scored("three", &[50]), |job| job.lane = Lane::Scan);
    store.record(&[other]).await.unwrap();
    let three = image(&store, "three").await;
    judge(&store, vec![(three, Verdict::Exclude)]).await;
    let mut new = enrolment("three", "Cid", 50, 90.0);
    new.outcome = scored("three", &[50]).outcome;
    decided(&store, &new).await;
    let cid = subject(&store, "Cid").await;
    assert!(cid.references.iter().all(|each| each.state == BY_VERDICT), "{cid:?}");

    judge(&store, vec![(one, Verdict::Restore)]).await;
    assert_eq!(state().await, ReferenceState::Active);
}

fn new_job() -> JobId {
    JobId(uuid::Uuid::now_v7())
}

pub async fn a_reassigned_image_has_its_new_subject_whatever_jobs_say(home: impl Home) {
    let store = opened(&home).await;
    decided(&store, &enrolment("one", "Ann", 60, 0.0)).await;
    decided(&store, &enrolment("two", "Bob", 60, 90.0)).await;
    let one = image(&store, "one").await;
    let label = async || {
        let stored = images(&store, a()).await;
        stored.into_iter().find(|each| each.id == one).unwrap().subject.unwrap()
    };
    judge(&store, vec![(one, Verdict::Reassign(name("Bob")))]).await;
    assert_eq!(label().await, name("Bob"));
    assert_eq!(subject(&store, "Ann").await.references[0].state, BY_VERDICT);
    let rows = home.view("facefleet_images").await;
    assert!(rows.iter().all(|row| row["subject"] == "Bob"), "{rows:?}");
    // A later job that names Ann, and a new name for Bob.
    store.name_subjects(&gallery(), &a(), &[(uri("one"), name("Ann"))]).await.unwrap();
    assert_eq!(label().await, name("Bob"));
    assert_eq!(rename(&store, "Bob", "Rob").await, Renamed::Renamed);
    assert_eq!(label().await, name("Rob"));
    assert_eq!(log(&store).await[0].verdict, Verdict::Reassign(name("Rob")));
    assert_eq!(
        store.judge(&curation(vec![(one, Verdict::Reassign(name("Rob")))])).await.unwrap(),
        Judged::Written { curation: None, verdicts: 0, unchanged: vec![one] }
    );
    let verdict = log(&store).await[0].id;
    judge(&store, vec![(one, Verdict::Undo(verdict))]).await;
    assert_eq!(label().await, name("Ann"));
    assert_eq!(subject(&store, "Ann").await.references[0].state, ReferenceState::Active);
}

pub async fn verdicts_are_kept_with_who_when_and_why(home: impl Home) {
    let store = opened(&home).await;
    store.record(&[scored("one", &[10]), scored("two", &[20])]).await.unwrap();
    let [one, two] = [image(&store, "one").await, image(&store, "two").await];
    let first = judge(
        &store,
        vec![(one, Verdict::Exclude), (two, Verdict::Keep), (one, Verdict::NotTheSame(two))],
    )
    .await;
    let given = log(&store).await;
    let found: Vec<_> = given.iter().rev().map(|each| (each.image, each.verdict.clone())).collect();
    assert_eq!(
        found,
        [(one, Verdict::Exclude), (two, Verdict::Keep), (one, Verdict::NotTheSame(two))]
    );
    for verdict in &given {
        assert_eq!((verdict.curation, verdict.by.as_str()), (first, "ann"));
        assert_eq!(verdict.reason.as_ref().map(|reason| reason.as_str()), Some("blurred"));
        assert_eq!(verdict.undone_by, None);
        assert!(verdict.uri == uri("one") || verdict.uri == uri("two"));
        let now = jiff::Timestamp::now().as_millisecond();
        assert!((verdict.at.as_millisecond() - now).abs() < 3_600_000);
    }
    let curated = store.curated(&gallery()).await.unwrap();
    assert!(curated[&one].excluded && curated[&one].not_the_same.contains(&two));
    assert!(curated[&two].kept && !curated[&two].excluded);

    let second = judge(&store, vec![(one, Verdict::Undo(given[2].id))]).await;
    let now = log(&store).await;
    assert_eq!((now.len(), now[0].curation), (4, second));
    assert_eq!(now[3].undone_by, Some(now[0].id));
    assert!(!store.curated(&gallery()).await.unwrap()[&one].excluded);
    let query = VerdictQuery {
        gallery: gallery(),
        image: Some(two),
        curation: Some(first),
        after: None,
        limit: 100,
    };
    let about_two = store.verdicts(&query).await.unwrap();
    assert_eq!(about_two, given[..2], "also what names it as the other image");
    let elsewhere = VerdictQuery { gallery: "elsewhere".parse().unwrap(), ..query };
    assert_eq!(store.verdicts(&elsewhere).await.unwrap(), []);
}

pub async fn what_cannot_be_decided_changes_nothing(home: impl Home) {
    let store = opened(&home).await;
    store.record(&[scored("one", &[10]), scored("two", &[20])]).await.unwrap();
    let elsewhere = with_job(scored("one", &[10]), |job| job.gallery = "other".parse().unwrap());
    let foreign = store.record(&[elsewhere]).await.unwrap()[0].image;
    let [one, two] = [image(&store, "one").await, image(&store, "two").await];
    judge(&store, vec![(one, Verdict::Exclude)]).await;
    let before = log(&store).await;
    let refused = async |verdicts: Vec<(ImageId, Verdict)>, exact| {
        let new = NewCuration { exact, ..curation(verdicts) };
        let judged = store.judge(&new).await.unwrap();
        assert_eq!(log(&store).await, before);
        judged
    };
    let both = vec![(two, Verdict::Exclude), (one, Verdict::Exclude)];
    assert_eq!(refused(both.clone(), true).await, Judged::Changed(one));
    let unknown = vec![(two, Verdict::Exclude), (foreign, Verdict::Exclude)];
    assert_eq!(refused(unknown, false).await, Judged::UnknownImage(foreign));
    let unknown = vec![(two, Verdict::NotTheSame(foreign))];
    assert_eq!(refused(unknown, false).await, Judged::UnknownImage(foreign));
    let none = VerdictId(before[0].id.0 + 7);
    assert_eq!(refused(vec![(one, Verdict::Undo(none))], false).await, Judged::NoVerdict(none));
    assert_eq!(images(&store, a()).await.len(), 1);
    // Without `exact`, the rest is written.
    let judged = store.judge(&curation(both)).await.unwrap();
    assert!(
        matches!(&judged, Judged::Written { verdicts: 1, unchanged, .. } if *unchanged == [one]),
        "{judged:?}"
    );
    // A verdict is undone once.
    let undo = vec![(one, Verdict::Undo(before[0].id))];
    judge(&store, undo.clone()).await;
    let again = store.judge(&curation(undo)).await.unwrap();
    assert_eq!(again, Judged::NoVerdict(before[0].id));
}

pub async fn of_verdicts_at_once_each_counts_once(home: impl Home) {
    let store = opened(&home).await;
    store.record(&[scored("one", &[10])]).await.unwrap();
    let one = image(&store, "one").await;
    let other = home.open().await;
    let new = NewCuration { exact: true, ..curation(vec![(one, Verdict::Exclude)]) };
    let (first, second) = tokio::join!(store.judge(&new), other.judge(&new));
    let mut refused: Vec<_> = [first.unwrap(), second.unwrap()]
        .into_iter()
        .filter(|judged| *judged == Judged::Changed(one))
        .collect();
    assert_eq!(refused.pop(), Some(Judged::Changed(one)));
    assert_eq!((refused.len(), log(&store).await.len()), (0, 1));
}

/// The subject that pages show.
async fn label(store: &Arc<dyn Store>, of: ImageId) -> Option<SubjectName> {
    let stored = images(store, a()).await;
    stored.into_iter().find(|each| each.id == of).unwrap().subject
}

/// The state of a reference of a subject.
async fn reference(store: &Arc<dyn Store>, of: &str, image: ImageId) -> ReferenceState {
    let found = subject(store, of).await;
    found.references.into_iter().find(|each| each.image == image).unwrap().state
}

pub async fn verdicts_follow_the_names_of_subjects_to_their_end(home: impl Home) {
    let store = opened(&home).await;
    for (image, of, degrees) in [("one", "Ann", 0.0), ("two", "Bob", 90.0), ("three", "Cid", 180.0)]
    {
        decided(&store, &enrolment(image, of, 60, degrees)).await;
    }
    let one = image(&store, "one").await;
    judge(&store, vec![(one, Verdict::Reassign(name("Bob")))]).await;
    rename(&store, "Bob", "Rob").await;
    judge(&store, vec![(one, Verdict::Reassign(name("Cid")))]).await;
    let to_cid = log(&store).await[0].id;
    judge(&store, vec![(one, Verdict::Undo(to_cid))]).await;
    assert_eq!(label(&store, one).await, Some(name("Rob")), "not the name that it had");

    // What was decided before the verdicts for a subject that is removed counts again.
    judge(&store, vec![(one, Verdict::Reassign(name("Cid")))]).await;
    store.remove_subject(&gallery(), &name("Cid"), None, &operator()).await.unwrap().unwrap();
    assert_eq!(label(&store, one).await, Some(name("Rob")));
    store.remove_subject(&gallery(), &name("Rob"), None, &operator()).await.unwrap().unwrap();
    assert_eq!(label(&store, one).await, Some(name("Ann")));
    assert_eq!(log(&store).await, [], "with the undo of one of them");
}

pub async fn a_reassignment_counts_whatever_was_decided_before(home: impl Home) {
    let store = opened(&home).await;
    decided(&store, &enrolment("one", "Ann", 60, 0.0)).await;
    let one = image(&store, "one").await;
    judge(&store, vec![(one, Verdict::Reassign(name("Bob")))]).await;
    let lost = "UPDATE images SET verdict_subject = NULL";
    home.change(lost, lost).await;
    assert_eq!(label(&store, one).await, Some(name("Ann")));
    judge(&store, vec![(one, Verdict::Reassign(name("Bob")))]).await;
    assert_eq!(label(&store, one).await, Some(name("Bob")));
    assert_eq!(reference(&store, "Ann", one).await, BY_VERDICT);
}

pub async fn references_follow_the_names_of_subjects(home: impl Home) {
    let store = opened(&home).await;
    for (image, of, degrees) in [("one", "Ann", 0.0), ("two", "Anne", 40.0), ("three", "Cid", 90.0)]
    {
        decided(&store, &enrolment(image, of, 60, degrees)).await;
    }
    let [one, two] = [image(&store, "one").await, image(&store, "two").await];
    let to = |of: &str| Verdict::Reassign(name(of));
    // Both subjects become one, and both were the other's before.
    judge(&store, vec![(two, to("Ann")), (one, to("Anne"))]).await;
    assert_eq!(reference(&store, "Anne", two).await, BY_VERDICT);
    let merge = SubjectMerge { profile: a(), rules: ReferenceRules { most: 3, margin: 5.0 } };
    store
        .rename_subject(&gallery(), &name("Anne"), &name("Ann"), Some(&merge), None, &operator())
        .await
        .unwrap();
    for image in [one, two] {
        assert_eq!(reference(&store, "Ann", image).await, ReferenceState::Active);
    }
    // A subject gets the name that a verdict gave to one of its images.
    judge(&store, vec![(one, to("Anna"))]).await;
    assert_eq!(reference(&store, "Ann", one).await, BY_VERDICT);
    rename(&store, "Ann", "Anna").await;
    assert_eq!(reference(&store, "Anna", one).await, ReferenceState::Active);
    // The subject that has an image by a verdict is removed.
    judge(&store, vec![(one, to("Cid"))]).await;
    assert_eq!(reference(&store, "Anna", one).await, BY_VERDICT);
    store.remove_subject(&gallery(), &name("Cid"), None, &operator()).await.unwrap().unwrap();
    assert_eq!(reference(&store, "Anna", one).await, ReferenceState::Active);
}

pub async fn an_excluded_image_pushes_no_reference_out(home: impl Home) {
    let store = opened(&home).await;
    for (image, quality, degrees) in [("one", 50, 0.0), ("two", 60, 40.0), ("three", 60, -40.0)] {
        decided(&store, &enrolment(image, "Ann", quality, degrees)).await;
    }
    let one = image(&store, "one").await;
    for (of, degrees, verdict) in
        [("four", 70.0, Verdict::Exclude), ("five", -70.0, Verdict::Reassign(name("Bob")))]
    {
        let new = enrolment(of, "Ann", 95, degrees);
        store.record(&[with_job(new.clone(), |job| job.lane = Lane::Scan)]).await.unwrap();
        let judged = image(&store, of).await;
        judge(&store, vec![(judged, verdict)]).await;
        decided(&store, &with_job(new, |job| job.id = new_job())).await;
        assert_eq!(reference(&store, "Ann", judged).await, BY_VERDICT, "{of}");
        assert_eq!(reference(&store, "Ann", one).await, ReferenceState::Active, "{of}");
    }
    // Without a verdict, it is better.
    decided(&store, &enrolment("six", "Ann", 95, 20.0)).await;
    assert_ne!(reference(&store, "Ann", one).await, ReferenceState::Active);
}
