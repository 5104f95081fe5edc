//! A gallery has one active profile; the others are shadows, until they are retired.

use std::sync::Arc;

use facefleet::domain::{
    CoverageCounts, FailedAttempts, GalleryName, JobRecord, Outcome, ProfileId, Verdict,
};
use facefleet::store::{
    GalleryProfile, NewActivation, ProfileCoverage, RETIRED_AT_ONCE, RetireStep, Searched,
    SoleResults, StampsOf, Store,
};

use super::enrolments::{decided, enrolment, name, subject};
use super::verdicts::{image, judge};
use super::{Home, a, b, images, opened, under_b};
use crate::support::{
    content, face, gallery, operator, profile, record, scored, stamp, unfetched, uri, with_job,
};

/// Makes a profile active; false if it may not be.
pub async fn activate(store: &Arc<dyn Store>, of: &str, [from, to]: [ProfileId; 2]) -> bool {
    let new = NewActivation {
        gallery: of.parse().unwrap(),
        profile: to,
        instead_of: from,
        coverage: CoverageCounts { images: 3, covered: 2, references: 1, lost_references: 0 },
        by: "ann".parse().unwrap(),
        forced: true,
    };
    store.activate(&new).await.unwrap()
}

async fn active(store: &Arc<dyn Store>) -> ProfileId {
    let active = store.active_profile(&gallery()).await.unwrap().unwrap();
    assert_eq!(store.galleries().await.unwrap()[0].1[0], active, "the active one comes first");
    let listed = store.gallery_profiles().await.unwrap();
    let listed: Vec<_> =
        listed.iter().filter(|each| each.gallery == gallery() && each.active).collect();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].profile, active);
    active
}

pub async fn the_first_profile_of_a_gallery_is_active_until_another_is_activated(home: impl Home) {
    let store = opened(&home).await;
    assert_eq!(store.active_profile(&gallery()).await.unwrap(), None);
    assert!(!activate(&store, gallery().as_str(), [a(), b()]).await, "there is no such gallery");
    store.record(&[scored("one", &[10]), record("two", Outcome::NoFace)]).await.unwrap();
    assert!(!activate(&store, gallery().as_str(), [a(), b()]).await, "it has no such results");
    store.record(&[under_b(scored("one", &[20]))]).await.unwrap();
    assert_eq!(active(&store).await, a(), "a record of another profile changes nothing");
    assert!(!activate(&store, gallery().as_str(), [b(), a()]).await, "another one is active");
    assert_eq!(store.activations().await.unwrap(), []);
    assert!(activate(&store, gallery().as_str(), [a(), b()]).await);
    assert_eq!(active(&store).await, b());
    assert!(!activate(&store, gallery().as_str(), [a(), b()]).await, "it was done before");
    store.record(&[scored("three", &[10])]).await.unwrap();
    assert_eq!(active(&home.open().await).await, b());
    assert!(activate(&store, gallery().as_str(), [b(), a()]).await, "and back");
    assert_eq!(active(&store).await, a());

    let known = store.activations().await.unwrap();
    let profiles: Vec<_> = known.iter().map(|each| each.profile.clone()).collect();
    assert_eq!(profiles, [a(), b()], "the latest first");
    let latest = &known[0];
    assert_eq!((&latest.gallery, latest.by.as_ref().unwrap().as_str()), (&gallery(), "ann"));
    assert!(latest.forced && latest.at >= known[1].at);
    assert_eq!(latest.coverage.unwrap().covered, 2);
    let of =
        |profile, active, images| GalleryProfile { gallery: gallery(), profile, active, images };
    assert_eq!(store.gallery_profiles().await.unwrap(), [of(a(), true, 3), of(b(), false, 1)]);
}

pub async fn of_activations_at_once_one_wins(home: impl Home) {
    let store = opened(&home).await;
    store.register_profile(&profile("c")).await.unwrap();
    let c = profile("c").id();
    let under_c = JobRecord { profile: c.clone(), ..scored("one", &[10]) };
    store.record(&[scored("one", &[10])]).await.unwrap();
    store.record(&[under_b(scored("one", &[10])), under_c]).await.unwrap();
    let others = home.open().await;
    let gallery = gallery();
    let (first, second) = tokio::join!(
        activate(&store, gallery.as_str(), [a(), b()]),
        activate(&others, gallery.as_str(), [a(), c]),
    );
    assert!(first != second, "{first} {second}");
    assert_eq!(store.activations().await.unwrap().len(), 1);
}

async fn covered(store: &Arc<dyn Store>, profile: &ProfileId) -> ProfileCoverage {
    store.coverage(&gallery(), profile).await.unwrap().unwrap()
}

fn with_bytes(record: JobRecord, bytes: &[u8]) -> JobRecord {
    let version = String::from_utf8_lossy(bytes).into_owned();
    JobRecord {
        content: content(bytes),
        ..with_job(record, |job| job.stamp = Some(stamp(&version)))
    }
}

pub async fn coverage_counts_final_results_of_the_same_bytes(home: impl Home) {
    let store = opened(&home).await;
    assert_eq!(store.coverage(&gallery(), &b()).await.unwrap(), None);
    let damaged = || Outcome::Unreadable("cut".into());
    store
        .record(&[
            scored("one", &[10]),
            scored("two", &[10, 20]),
            scored("three", &[10]),
            scored("four", &[10]),
            record("empty", Outcome::NoFace),
            record("damaged", damaged()),
            // These do not count: no bytes, or no final outcome.
            unfetched("gone", damaged()),
            record("large", Outcome::Refused("too large".into())),
        ])
        .await
        .unwrap();
    let none = covered(&store, &b()).await;
    assert_eq!((none.active, none.attempts), (a(), FailedAttempts::default()));
    let images = |images, covered| CoverageCounts { images, covered, ..CoverageCounts::default() };
    assert_eq!(none.coverage, images(6, 0));
    assert_eq!(covered(&store, &a()).await.coverage, images(6, 6));

    let under_b = |records: Vec<JobRecord>| records.into_iter().map(under_b).collect::<Vec<_>>();
    store
        .record(&under_b(vec![
            scored("one", &[10]),
            record("empty", Outcome::NoFace),
            record("damaged", damaged()),
            unfetched("two", damaged()),
            record("three", Outcome::Failed("timed out".into())),
            unfetched("four", Outcome::Refused("denied".into())),
            // Not of the active profile.
            unfetched("gone", Outcome::Failed("timed out".into())),
            scored("new", &[10]),
        ]))
        .await
        .unwrap();
    let some = covered(&store, &b()).await;
    assert_eq!(some.coverage, images(6, 3));
    assert_eq!(some.attempts, FailedAttempts { unreadable: 1, refused: 1, failed: 1 });
    assert_eq!(some.coverage.percent(), 50.0);

    // New bytes under the shadow supersede the result of the active profile: it has no bytes to
    // compare with, until it scores the new ones, too.
    store.record(&[super::under_b(with_bytes(scored("one", &[10]), b"v2"))]).await.unwrap();
    assert_eq!(covered(&store, &b()).await.coverage, images(5, 2));
    store.record(&[with_bytes(scored("one", &[10]), b"v2")]).await.unwrap();
    assert_eq!(covered(&store, &b()).await.coverage, images(6, 3));
    // The old bytes come back, and only the active profile sees them.
    store.record(&[scored("one", &[10])]).await.unwrap();
    assert_eq!(covered(&store, &b()).await.coverage, images(6, 2));
    store.record(&under_b(vec![scored("two", &[10]), scored("three", &[10])])).await.unwrap();
    let most = covered(&store, &b()).await;
    assert_eq!(most.coverage, images(6, 4));
    assert_eq!(most.attempts, FailedAttempts { refused: 1, ..FailedAttempts::default() });
}

pub async fn coverage_leaves_out_what_is_gone(home: impl Home) {
    let store = opened(&home).await;
    store.record(&["one", "two", "three"].map(|name| scored(name, &[10]))).await.unwrap();
    store.record(&[under_b(scored("one", &[10]))]).await.unwrap();
    let [two, three] = [image(&store, "two").await, image(&store, "three").await];
    judge(&store, vec![(two, Verdict::Gone), (three, Verdict::Exclude)]).await;
    let CoverageCounts { images, covered, .. } = covered(&store, &b()).await.coverage;
    assert_eq!((images, covered), (2, 1), "an excluded image counts");
}

pub async fn references_that_a_profile_lacks_are_counted(home: impl Home) {
    let store = opened(&home).await;
    for (place, subject) in (0_u16..).zip(["Ann", "Bob", "Eve"]) {
        let degrees = f32::from(60 * place);
        decided(&store, &enrolment(&format!("of-{subject}"), subject, 50, degrees)).await;
    }
    store.record(&[scored("other", &[10])]).await.unwrap();
    let references = |references, lost_references| CoverageCounts {
        images: 4,
        covered: 3 - lost_references,
        references,
        lost_references,
    };
    assert_eq!(covered(&store, &b()).await.coverage, references(3, 3));
    store.record(&[under_b(scored("of-Ann", &[50]))]).await.unwrap();
    let mut unscored = face(50);
    unscored.recognition = None;
    let unscored = record("of-Bob", Outcome::Scored(vec![unscored]));
    store.record(&[under_b(unscored)]).await.unwrap();
    let found = covered(&store, &b()).await.coverage;
    assert_eq!((found.covered, found.references, found.lost_references), (2, 3, 2));
    let bob = subject(&store, "Bob").await.references[0].image;
    let aside =
        facefleet::domain::ReferenceState::SetAside(facefleet::domain::SetAsideReason::Operator);
    assert!(store.set_reference(&gallery(), &name("Bob"), bob, aside, &operator()).await.unwrap());
    let found = covered(&store, &b()).await.coverage;
    assert_eq!((found.references, found.lost_references), (2, 1), "Bob's was set aside");
}

pub async fn the_active_profile_is_compared_with_all_profiles_together(home: impl Home) {
    let store = opened(&home).await;
    decided(&store, &enrolment("of-Ann", "Ann", 50, 0.0)).await;
    store.record(&[scored("both", &[10]), record("empty", Outcome::NoFace)]).await.unwrap();
    let failed = Outcome::Failed("timed out".into());
    let shadow = [
        scored("both", &[10]),
        scored("new", &[10]),
        with_bytes(scored("newer", &[10]), b"v2"),
        unfetched("gone", failed.clone()),
        record("failed", failed),
    ];
    store.record(&shadow.map(under_b)).await.unwrap();
    decided(&store, &under_b(enrolment("of-Bob", "Bob", 50, 90.0))).await;
    let counts = |images, covered, references, lost_references| CoverageCounts {
        images,
        covered,
        references,
        lost_references,
    };
    assert_eq!(covered(&store, &a()).await.coverage, counts(6, 3, 2, 1));
    store.record(&[scored("newer", &[10])]).await.unwrap();
    assert_eq!(covered(&store, &a()).await.coverage, counts(6, 4, 2, 1), "of whatever bytes");
}

async fn sole(store: &Arc<dyn Store>, profile: ProfileId) -> [u64; 3] {
    let SoleResults { images, references, subjects } =
        store.sole_results(&gallery(), &profile).await.unwrap();
    [images, references, subjects]
}

pub async fn what_one_profile_alone_has_is_counted(home: impl Home) {
    let store = opened(&home).await;
    assert_eq!(sole(&store, b()).await, [0, 0, 0], "there is no such gallery");
    store.record(&[scored("both", &[10]), scored("of-a", &[10])]).await.unwrap();
    let gone = Outcome::Unreadable("gone".into());
    let shadow = [scored("both", &[10]), scored("of-b", &[10]), unfetched("gone", gone)];
    store.record(&shadow.map(under_b)).await.unwrap();
    for (image, subject, degrees) in [("Ann-1", "Ann", 0.0), ("Ann-2", "Ann", 40.0)] {
        decided(&store, &under_b(enrolment(image, subject, 50, degrees))).await;
    }
    decided(&store, &under_b(enrolment("Bob-1", "Bob", 50, 180.0))).await;
    assert_eq!(sole(&store, b()).await, [4, 3, 2], "what could not be fetched is no loss");
    assert_eq!(sole(&store, a()).await, [1, 0, 0]);
    // A result without a template is one of the image, and none of the reference.
    store.record(&[record("Ann-1", Outcome::NoFace), scored("Bob-1", &[50])]).await.unwrap();
    assert_eq!(sole(&store, b()).await, [2, 2, 1]);
    // Other bytes of the image are under another profile.
    store.record(&[with_bytes(scored("of-b", &[10]), b"v2")]).await.unwrap();
    assert_eq!(sole(&store, b()).await, [1, 2, 1]);
    for reference in subject(&store, "Ann").await.references {
        let aside = facefleet::domain::ReferenceState::SetAside(
            facefleet::domain::SetAsideReason::Operator,
        );
        let set = store
            .set_reference(&gallery(), &name("Ann"), reference.image, aside, &operator())
            .await;
        assert!(set.unwrap());
    }
    assert_eq!(sole(&store, b()).await, [1, 0, 0], "searches use active references alone");
}

/// Retires until nothing is left; the results that were deleted.
async fn retire(store: &Arc<dyn Store>, of: &GalleryName, profile: &ProfileId) -> u64 {
    let (mut after, mut deleted) = (0, 0);
    loop {
        match store.retire(of, profile, after).await.unwrap() {
            RetireStep::Deleted { results, next } => (after, deleted) = (next, deleted + results),
            RetireStep::Done => return deleted,
            RetireStep::Active => panic!("it is active"),
        }
    }
}

async fn searched(store: &Arc<dyn Store>, profile: &ProfileId) -> usize {
    let mut snapshot = store.snapshot().await.unwrap();
    let of = Searched::Faces;
    snapshot.template_stamps(&gallery(), profile, of, StampsOf::All).await.unwrap().len()
}

pub async fn a_retired_profile_is_gone_and_everything_else_stays(home: impl Home) {
    let store = opened(&home).await;
    let visitors: GalleryName = "visitors".parse().unwrap();
    let of_visitors = |record| with_job(record, |job| job.gallery = visitors.clone());
    decided(&store, &enrolment("one", "Ann", 50, 0.0)).await;
    let records = |quality| {
        vec![
            scored("one", &[quality]),
            with_bytes(scored("two", &[quality]), b"v1"),
            with_bytes(scored("two", &[quality]), b"v2"),
            unfetched("two", Outcome::Failed("timed out".into())),
            record("empty", Outcome::NoFace),
        ]
    };
    store.record(&records(10)).await.unwrap();
    store.record(&[of_visitors(scored("one", &[10]))]).await.unwrap();
    let other: Vec<JobRecord> = records(20).into_iter().map(under_b).collect();
    store.record(&other).await.unwrap();
    store.record(&[under_b(of_visitors(scored("one", &[20])))]).await.unwrap();
    let before = (images(&store, a()).await, subject(&store, "Ann").await);

    assert_eq!(store.retire(&gallery(), &a(), 0).await.unwrap(), RetireStep::Active);
    let unknown = profile("unknown").id();
    assert_eq!(store.retire(&gallery(), &unknown, 0).await.unwrap(), RetireStep::Done);
    assert_eq!(retire(&store, &gallery(), &b()).await, 5);
    assert_eq!(retire(&store, &gallery(), &b()).await, 0, "repeating it changes nothing");
    assert_eq!((images(&store, a()).await, subject(&store, "Ann").await), before);
    assert_eq!(images(&store, b()).await, []);
    assert_eq!(searched(&store, &b()).await, 0);
    assert_eq!(
        store.galleries().await.unwrap(),
        [(gallery(), vec![a()]), (visitors.clone(), vec![a(), b()])],
    );
    // The last gallery: the profile stays known, and may be scanned again.
    assert_eq!(retire(&store, &visitors, &b()).await, 1);
    assert_eq!(store.profile(&b()).await.unwrap(), Some(profile("b")));
    assert_eq!(store.profiles().await.unwrap().len(), 2);
    store.register_profile(&profile("b")).await.unwrap();
    store.record(&[under_b(scored("one", &[30]))]).await.unwrap();
    let again = images(&store, b()).await;
    assert_eq!((again.len(), again[0].faces[0].quality), (1, Some(30)));
    assert_eq!(again[0].id, before.0[0].id, "images keep their ids");
    assert_eq!(active(&store).await, a());
}

pub async fn a_retirement_that_was_interrupted_goes_on(home: impl Home) {
    let store = opened(&home).await;
    let many = RETIRED_AT_ONCE + 10;
    store.record(&[scored("0", &[10])]).await.unwrap();
    let records: Vec<JobRecord> =
        (0..many).map(|number| under_b(scored(&number.to_string(), &[10]))).collect();
    store.record(&records).await.unwrap();
    let step = store.retire(&gallery(), &b(), 0).await.unwrap();
    let RetireStep::Deleted { results, .. } = step else { panic!("{step:?}") };
    assert_eq!(results, u64::from(RETIRED_AT_ONCE));
    assert_eq!(images(&store, b()).await.len(), 10);
    // Another process begins anew.
    let store = home.open().await;
    assert_eq!(retire(&store, &gallery(), &b()).await, 10);
    assert_eq!(store.galleries().await.unwrap(), [(gallery(), vec![a()])]);
    assert_eq!(images(&store, a()).await[0].image, uri("0"));
}

pub async fn a_view_names_the_active_profiles(home: impl Home) {
    let store = opened(&home).await;
    store.record(&[scored("one", &[10])]).await.unwrap();
    store.record(&[under_b(scored("one", &[10]))]).await.unwrap();
    assert!(activate(&store, gallery().as_str(), [a(), b()]).await);
    let rows = home.view("facefleet_active_profiles").await;
    assert_eq!(rows.len(), 1);
    assert_eq!(
        (&rows[0]["gallery"], &rows[0]["profile"]),
        (&gallery().as_str().into(), &b().as_str().into(),)
    );
}
