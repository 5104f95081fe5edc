//! Results are copied to a profile with another mapping: the same but for the qualities.

use std::sync::Arc;

use facefleet::domain::{
    ContentHash, JobRecord, Mapping, Outcome, OutcomeKind, Profile, ProfileId, Verdict,
};
use facefleet::quality::{cutoffs, quality};
use facefleet::store::{GallerySummary, Remap, RemapPosition, RemapStep, Store, StoredImage};

use super::{Home, a, images, opened, settled, verdicts};
use crate::support::{
    content, face, gallery, profile, record, scored, stamp, unfetched, uri, with_job,
};

fn mapping() -> Mapping {
    Mapping::MatchChance { alpha: 60.0, r: 0.85, fmr: 1e-3, data: "0123456789abcdef".into() }
}

/// Profile `a` with another mapping.
fn remapped() -> Profile {
    Profile { mapping: mapping(), ..profile("a") }
}

fn plan() -> Remap {
    Remap {
        gallery: gallery(),
        from: a(),
        to: remapped().id(),
        cutoffs: cutoffs(&mapping()),
        batch: 3,
    }
}

/// Does at most `steps` steps, and adds them up.
async fn steps(store: &Arc<dyn Store>, steps: usize) -> RemapStep {
    store.register_profile(&remapped()).await.unwrap();
    let mut total = RemapStep { next: Some(RemapPosition::default()), ..RemapStep::default() };
    for _ in 0..steps {
        let Some(position) = total.next else { break };
        let step = store.remap(&plan(), position).await.unwrap();
        total.images += step.images;
        total.copied += step.copied;
        total.faces += step.faces;
        total.next = step.next;
    }
    total
}

async fn remap(store: &Arc<dyn Store>) -> (u64, u64, u64) {
    let total = steps(store, usize::MAX).await;
    assert_eq!(total.next, None);
    (total.images, total.copied, total.faces)
}

fn under_remapped(record: JobRecord) -> JobRecord {
    JobRecord { profile: remapped().id(), ..record }
}

/// The images as they must be under the new profile, without cursors.
fn expected(images: Vec<StoredImage>) -> Vec<StoredImage> {
    let with_quality = |mut image: StoredImage| {
        image.cursor = 0;
        for face in &mut image.faces {
            face.quality = face.score.map(|score| quality(score, &mapping()));
        }
        image
    };
    images.into_iter().map(with_quality).collect()
}

async fn assert_mirrors_in_any_order(store: &Arc<dyn Store>) {
    let sorted = |mut images: Vec<StoredImage>| {
        images.iter_mut().for_each(|image| image.cursor = 0);
        images.sort_by_key(|image| image.id);
        images
    };
    let copies = sorted(images(store, remapped().id()).await);
    assert_eq!(copies, sorted(expected(images(store, a()).await)));
}

async fn assert_mirrors(store: &Arc<dyn Store>) {
    let copies = images(store, remapped().id()).await;
    let copies: Vec<_> =
        copies.into_iter().map(|image| StoredImage { cursor: 0, ..image }).collect();
    assert_eq!(copies, expected(images(store, a()).await));
}

/// Every kind of result: faces with and without scores, notes, and images without bytes.
fn records() -> Vec<JobRecord> {
    let mut faces = vec![face(80), face(30), face(0)];
    faces[1].recognition = None;
    faces[2].face.landmarks = None;
    vec![
        record("several", Outcome::Scored(faces)),
        scored("one", &[50]),
        record("empty", Outcome::NoFace),
        record("damaged", Outcome::Unreadable("cut".into())),
        with_job(unfetched("lost", Outcome::Failed("timed out".into())), |job| {
            job.expected_hash = Some(ContentHash([7; 32]));
        }),
        scored("two", &[100]),
        with_job(unfetched("two", Outcome::Refused("denied".into())), |job| {
            job.stamp = Some(stamp("v2"));
        }),
        scored("three", &[7, 8]),
    ]
}

pub async fn a_remap_changes_only_the_qualities(home: impl Home) {
    let store = opened(&home).await;
    store.record(&records()).await.unwrap();
    let before = images(&store, a()).await;
    assert_eq!(remap(&store).await, (7, 7, 7));
    assert_mirrors(&store).await;
    assert_eq!(images(&store, a()).await, before, "the first profile keeps its results");
    for name in ["one", "empty", "damaged", "two"] {
        assert!(settled(&store, remapped().id(), name, "v1").await, "{name} needs no new scan");
    }
    assert!(!settled(&store, remapped().id(), "lost", "v1").await);
    let summary = store.summary(&gallery(), &remapped().id()).await.unwrap();
    assert_eq!((summary.faces, summary.noted), (7, 1));
    let profiles = store.galleries().await.unwrap().remove(0).1;
    assert_eq!(profiles, [a(), remapped().id()], "the new profile is a shadow");
}

pub async fn a_remap_that_runs_twice_has_one_effect(home: impl Home) {
    let store = opened(&home).await;
    store.record(&records()).await.unwrap();
    remap(&store).await;
    let once = images(&store, remapped().id()).await;
    assert_eq!(remap(&store).await, (7, 0, 0));
    assert_eq!(images(&store, remapped().id()).await, once, "in the same rows");
    store.record(&[scored("four", &[20])]).await.unwrap();
    assert_eq!(remap(&store).await, (8, 1, 1), "only what is new");
    assert_mirrors(&store).await;
}

pub async fn a_remap_that_was_interrupted_goes_on(home: impl Home) {
    let store = opened(&home).await;
    store.record(&records()).await.unwrap();
    let first = steps(&store, 1).await;
    assert_eq!((first.images, first.copied), (3, 3));
    assert_eq!(remap(&store).await, (7, 4, 7 - first.faces));
    assert_mirrors(&store).await;
}

pub async fn the_parts_of_a_remap_copy_each_image_once(home: impl Home) {
    let store = opened(&home).await;
    store.record(&records()).await.unwrap();
    store.register_profile(&remapped()).await.unwrap();
    let (mut images, mut copied) = (0, 0);
    for begin in RemapPosition::parts(3) {
        let mut next = Some(begin);
        while let Some(position) = next {
            let step = store.remap(&plan(), position).await.unwrap();
            (images, copied, next) = (images + step.images, copied + step.copied, step.next);
        }
    }
    assert_eq!((images, copied), (7, 7));
    assert_mirrors_in_any_order(&store).await;
}

pub async fn a_remap_replaces_older_results_and_no_later_ones(home: impl Home) {
    let store = opened(&home).await;
    let failed = |name: &str| record(name, Outcome::Failed("reset".into()));
    store.record(&[failed("again"), scored("own", &[10])]).await.unwrap();
    remap(&store).await;
    // Under the first profile one image succeeds now, and the new profile has its own later result
    // of the other one.
    store.record(&[scored("again", &[60, 61])]).await.unwrap();
    let other = facefleet::domain::Selection { min_size_px: 0, ..crate::support::selection() };
    let own = JobRecord { selection: other, ..under_remapped(scored("own", &[77])) };
    store.record(std::slice::from_ref(&own)).await.unwrap();
    assert_eq!(remap(&store).await, (2, 1, 2));
    let of_new = images(&store, remapped().id()).await;
    let faces = |name: &str| {
        let image = of_new.iter().find(|image| image.image == uri(name)).unwrap();
        (image.outcome, image.faces.iter().filter_map(|face| face.quality).collect::<Vec<_>>())
    };
    let qualities =
        [60, 61].map(|given| quality(face(given).recognition.unwrap().score, &mapping()));
    assert_eq!(faces("again"), (OutcomeKind::Scored, qualities.to_vec()));
    assert_eq!(faces("own"), (OutcomeKind::Scored, vec![77]));
}

pub async fn a_remap_follows_the_bytes_of_an_image(home: impl Home) {
    let store = opened(&home).await;
    let old = scored("one", &[10]);
    let newer = JobRecord {
        content: content(b"newer"),
        ..with_job(scored("one", &[50]), |job| job.stamp = Some(stamp("v2")))
    };
    store.record(std::slice::from_ref(&old)).await.unwrap();
    remap(&store).await;
    store.record(std::slice::from_ref(&newer)).await.unwrap();
    assert_eq!(images(&store, remapped().id()).await, [], "new bytes supersede the copy too");
    assert_eq!(remap(&store).await, (1, 1, 1));
    assert_mirrors(&store).await;
    // The old bytes come back under the first profile: the copy of their result, too.
    let back = with_job(old, |job| job.stamp = Some(stamp("v3")));
    store.record(&[back]).await.unwrap();
    assert_eq!(images(&store, remapped().id()).await, []);
    assert_eq!(remap(&store).await, (1, 1, 0), "it becomes current again");
    let copies = images(&store, remapped().id()).await;
    let score = face(10).recognition.unwrap().score;
    assert_eq!(copies[0].faces[0].quality, Some(quality(score, &mapping())));
    let worst = store
        .extremes(&gallery(), &remapped().id(), facefleet::store::Extreme::Worst, 9)
        .await
        .unwrap();
    assert_eq!(worst.len(), 1);
}

pub async fn a_copy_with_bytes_supersedes_an_attempt_without(home: impl Home) {
    let store = opened(&home).await;
    store.register_profile(&remapped()).await.unwrap();
    store.record(&[scored("one", &[10])]).await.unwrap();
    let gone = under_remapped(unfetched("one", Outcome::Unreadable("not there".into())));
    store.record(&[gone]).await.unwrap();
    assert_eq!(images(&store, remapped().id()).await[0].outcome, OutcomeKind::Unreadable);
    assert_eq!(remap(&store).await, (1, 1, 1));
    let [image] = &images(&store, remapped().id()).await[..] else { panic!("one is current") };
    assert_eq!(image.outcome, OutcomeKind::Scored);
    assert_eq!(image.noted.as_ref().map(|note| note.outcome), Some(OutcomeKind::Unreadable));
    assert_eq!(remap(&store).await, (1, 0, 0));
}

pub async fn a_remap_of_nothing_leaves_nothing_behind(home: impl Home) {
    let store = opened(&home).await;
    assert_eq!(remap(&store).await, (0, 0, 0));
    assert_eq!(store.galleries().await.unwrap(), []);
    let summary = store.summary(&gallery(), &remapped().id()).await.unwrap();
    assert_eq!(summary, GallerySummary { histogram: vec![0; 101], ..GallerySummary::default() });
    let unknown: ProfileId = "0123456789abcdef".parse().unwrap();
    store.record(&[scored("one", &[10])]).await.unwrap();
    let never = Remap { to: unknown.clone(), ..plan() };
    let error = store.remap(&never, RemapPosition::default()).await.unwrap_err().to_string();
    assert!(error.contains(unknown.as_str()), "{error}");
}

pub async fn remaps_and_records_at_once_leave_one_result_of_each_image(home: impl Home) {
    let (one, two) = (opened(&home).await, opened(&home).await);
    let names: Vec<String> = (0..60).map(|number| format!("{number:02}")).collect();
    let all: Vec<JobRecord> = names.iter().map(|name| scored(name, &[40])).collect();
    one.record(&all).await.unwrap();
    one.register_profile(&remapped()).await.unwrap();
    let newer = names.iter().rev().map(|name| JobRecord {
        content: content(format!("newer {name}").as_bytes()),
        ..with_job(scored(name, &[50]), |job| job.stamp = Some(stamp("v2")))
    });
    let newer: Vec<JobRecord> = newer.collect();
    let (left, right, written) = tokio::join!(remap(&one), remap(&two), async {
        for batch in newer.chunks(7) {
            two.record(batch).await.unwrap();
        }
    });
    let ((images_seen, ..), ()) = (left, written);
    assert!(images_seen <= 120 && right.0 <= 120);
    remap(&one).await;
    assert_mirrors(&one).await;
    assert_eq!(images(&one, remapped().id()).await.len(), names.len());
}

pub async fn an_excluded_image_has_a_result_when_it_is_restored_after_a_remap(home: impl Home) {
    let store = opened(&home).await;
    store.record(&[scored("one", &[10]), scored("two", &[20])]).await.unwrap();
    let one = verdicts::image(&store, "one").await;
    verdicts::judge(&store, vec![(one, Verdict::Exclude)]).await;
    assert_eq!(remap(&store).await, (2, 2, 2));
    assert_eq!(images(&store, remapped().id()).await.len(), 1, "it is excluded there too");
    verdicts::judge(&store, vec![(one, Verdict::Restore)]).await;
    assert_mirrors(&store).await;
    assert_eq!(images(&store, remapped().id()).await.len(), 2);
}
