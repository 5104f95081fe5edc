//! Two profiles of a gallery side by side: what is read of both is the same in every store.

use std::sync::Arc;

use facefleet::domain::{
    FaceResult, GateRules, JobRecord, Mapping, Outcome, OutcomeKind, Profile, ProfileId,
    ReasonCode, Recognition, Template,
};
use facefleet::evaluate::compare::{CompareError, CompareOptions, compare};
use facefleet::evaluate::evaluation::Bootstrap;
use facefleet::store::Store;
use facefleet::view::profile_comparison::{ProfileComparisonView, SamePart, SwitchVerdict};

use super::enrolments::{decided, enrolment, name};
use super::{Home, a, b, opened, under_b};
use crate::support::{face, gallery, profile, record, scored, template, unfetched, uri, with_job};

const BOOTSTRAP: Bootstrap = Bootstrap { replicates: 100, seed: 1, threads: 2 };
/// People, and images of each.
const PEOPLE: u64 = 40;
const IMAGES: u64 = 5;

async fn compared(
    store: &Arc<dyn Store>,
    profiles: [ProfileId; 2],
) -> Result<ProfileComparisonView, CompareError> {
    let gallery = gallery();
    let options = CompareOptions {
        gallery: &gallery,
        profiles,
        labels: None,
        gate: GateRules { min_quality: 40.0, ..GateRules::default() },
        thresholds: [true, true],
        sample: 10_000,
        bootstrap: BOOTSTRAP,
    };
    compare(store.as_ref(), &options).await
}

/// A face of a person, whose template has this much noise.
fn noisy_face(person: u64, image: u64, noise: f32, seed: u64) -> FaceResult {
    let quality = 40 + (7 * person + 11 * image) % 50;
    let mut found = face(quality as u8);
    let (of_person, of_image) =
        (template(person + 1, 128).0, template(1000 * (seed + person) + image, 128).0);
    let mixed: Vec<f32> = of_person
        .as_slice()
        .iter()
        .zip(of_image.as_slice())
        .map(|(person, image)| person + noise * image)
        .collect();
    found.recognition.as_mut().unwrap().template = Template::from_embedding(&mixed).unwrap().0;
    found
}

/// Results of all images of all people, with this much noise.
fn people(noise: f32, seed: u64) -> Vec<JobRecord> {
    let all = (0..PEOPLE).flat_map(|person| (0..IMAGES).map(move |image| (person, image)));
    let one = |(person, image)| {
        let found = noisy_face(person, image, noise, seed);
        let result = record(&format!("{person}-{image}"), Outcome::Scored(vec![found]));
        with_job(result, |job| job.subject = Some(name(&format!("person {person}"))))
    };
    all.map(one).collect()
}

pub async fn a_profile_with_worse_templates_is_not_advised(home: impl Home) {
    let store = opened(&home).await;
    store.record(&people(0.8, 5)).await.unwrap();
    let worse: Vec<JobRecord> = people(2.0, 5).into_iter().map(under_b).collect();
    store.record(&worse).await.unwrap();

    let found = compared(&store, [a(), b()]).await.unwrap();
    let coverage = &found.coverage;
    assert_eq!((coverage.images_old, coverage.images_new, coverage.images_both), (200, 200, 200));
    assert_eq!((found.faces.old, found.faces.both, found.faces.other_primary), (200, 200, 0));
    assert_eq!(found.same, []);
    let quality = found.quality.unwrap();
    assert_eq!((quality.change.value, quality.changed_by_10.unwrap().value), (0.0, 0.0));
    let similarities = found.similarities.unwrap();
    assert_eq!((similarities.images, similarities.subjects), (200, 40));
    assert_eq!((similarities.mated, similarities.non_mated), (400, 19_500));
    assert!(similarities.separation.change.high < 0.0, "{:?}", similarities.separation);
    let point = similarities.points.iter().find(|point| point.fmr == 1e-3).unwrap();
    assert!(point.fnmr.change.low > 0.0, "{:?}", point.fnmr);
    assert!(found.neighbours.unwrap().overlap.value < 0.9);
    assert_eq!(found.advice.verdict, SwitchVerdict::NotAdvised);
    assert!(found.advice.sentence.contains("FNMR at FMR 1e-3 rises"), "{}", found.advice.sentence);

    let back = compared(&store, [b(), a()]).await.unwrap();
    assert_eq!(back.advice.verdict, SwitchVerdict::Advised, "{}", back.advice.sentence);
    assert!(back.advice.sentence.contains("FNMR at FMR 1e-3 falls"), "{}", back.advice.sentence);
}

/// Results that differ, and a reference that only OLD has a template of.
async fn record_what_differs(store: &Arc<dyn Store>) {
    let unreadable = || record("cut", Outcome::Unreadable("cut".into()));
    store
        .record(&[
            scored("both", &[50, 20]),
            scored("lost", &[60]),
            record("gained", Outcome::NoFace),
            scored("old", &[70]),
            unreadable(),
            record("failed", Outcome::Failed("timeout".into())),
            unfetched("gone", Outcome::Unreadable("missing".into())),
        ])
        .await
        .unwrap();
    let under = [
        scored("both", &[50, 90]),
        record("lost", Outcome::NoFace),
        scored("gained", &[80]),
        scored("new", &[70]),
        unreadable(),
        scored("failed", &[50]),
    ];
    store.record(&under.map(under_b)).await.unwrap();
    decided(store, &enrolment("ada", "ada", 80, 0.0)).await;
}

pub async fn what_one_of_two_profiles_lacks_is_counted_and_named(home: impl Home) {
    let store = opened(&home).await;
    record_what_differs(&store).await;
    let found = compared(&store, [a(), b()]).await.unwrap();
    let coverage = &found.coverage;
    assert_eq!((coverage.images_old, coverage.images_new, coverage.images_both), (6, 6, 4));
    let path = |name: &str| uri(name).for_people();
    assert_eq!(coverage.only_old.examples, [path("old"), path("ada")]);
    assert_eq!(coverage.only_new.examples, [path("new"), path("failed")]);
    assert_eq!(
        (coverage.references, coverage.references_without_old, coverage.references_without_new),
        (1, 0, 1)
    );
    let outcomes: Vec<_> =
        found.outcomes.iter().map(|pair| (pair.old, pair.new, pair.images)).collect();
    assert_eq!(
        outcomes,
        [
            (OutcomeKind::Scored, OutcomeKind::Scored, 1),
            (OutcomeKind::Scored, OutcomeKind::NoFace, 1),
            (OutcomeKind::NoFace, OutcomeKind::Scored, 1),
            (OutcomeKind::Unreadable, OutcomeKind::Unreadable, 1),
        ]
    );
    // The second face of `both` moved by 70 pixels.
    assert_eq!((found.faces.old, found.faces.new, found.faces.both), (3, 3, 1));
    assert_eq!(found.faces.lost.examples, [path("lost")]);
    assert_eq!(found.faces.gained.examples, [path("gained")]);
    assert_eq!(found.gate.newly_rejected_by.get(&ReasonCode::NoFace), Some(&1));
    assert_eq!(found.similarities, None);
    assert!(found.without_similarities.unwrap().contains("--labels"));
    let sentence = &found.advice.sentence;
    assert!(sentence.contains("only 66.67 % of the images"), "{sentence}");
    assert!(sentence.contains("an active reference loses its template"), "{sentence}");

    for (old, new, error) in [
        (a(), a(), "OLD and NEW are the same profile"),
        (a(), profile("c").id(), "unknown profile"),
    ] {
        let found = compared(&store, [old, new]).await.unwrap_err().to_string();
        assert!(found.contains(error), "{found}");
    }
}

pub async fn another_mapping_leaves_templates_and_scores_out(home: impl Home) {
    let store = opened(&home).await;
    let mapping = Mapping::Logistic { alpha: 100.0, r: 0.9 };
    let mapped = Profile { mapping, ..profile("a") };
    store.register_profile(&mapped).await.unwrap();
    store.record(&people(2.0, 5)).await.unwrap();
    let under_mapped = |record: JobRecord| {
        let profile = mapped.id();
        let Outcome::Scored(mut faces) = record.outcome else { panic!("a face") };
        let lower = |found: Recognition| Recognition { quality: found.quality / 2, ..found };
        faces[0].recognition = faces[0].recognition.take().map(lower);
        JobRecord { profile, outcome: Outcome::Scored(faces), ..record }
    };
    let records: Vec<JobRecord> = people(2.0, 5).into_iter().map(under_mapped).collect();
    store.record(&records).await.unwrap();

    let found = compared(&store, [a(), mapped.id()]).await.unwrap();
    assert_eq!(found.same, [SamePart::Templates, SamePart::Scores]);
    assert_eq!((found.neighbours, found.score), (None, None));
    assert!(found.differences.iter().all(|each| each.part.starts_with("mapping.")));
    assert!(found.quality.unwrap().changed_by_10.unwrap().value > 0.9);
    let cutoff = found.cutoffs[0];
    assert_eq!(found.gate.newly_rejected, cutoff.newly_discarded);
    assert!(cutoff.newly_discarded > 100 && cutoff.newly_kept == 0, "{cutoff:?}");
    assert_eq!(found.advice.verdict, SwitchVerdict::NotAdvised);
    assert!(found.advice.sentence.contains("[enrol]"), "{}", found.advice.sentence);
    for point in &found.similarities.unwrap().points {
        assert_eq!((point.fnmr.change.low, point.fnmr.change.high), (0.0, 0.0));
    }

    let other = found_no_image(&store).await;
    assert!(
        other.contains("no image of gallery 'staff' has a final outcome under both"),
        "{other}"
    );
}

/// The error of two profiles without an image in common.
async fn found_no_image(store: &Arc<dyn Store>) -> String {
    store.record(&[under_b(scored("another", &[50]))]).await.unwrap();
    compared(store, [a(), b()]).await.unwrap_err().to_string()
}
