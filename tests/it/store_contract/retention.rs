//! What a gallery keeps only for so many days goes, and nothing else.

mod audit;

use std::sync::Arc;

pub use audit::{
    events_come_in_the_order_of_time_and_in_pages, the_audit_does_not_name_the_erased,
    who_changed_subjects_is_noted,
};

use facefleet::domain::{
    Curated, ErasureTarget, ImageId, JobRecord, LabelledImage, Lane, Outcome, Reason, ReasonCode,
    RetentionCounts, RetentionId, RetentionRule, SubjectName, UtcTime, Verdict, VerdictId,
};
use facefleet::store::{
    DuePage, Judged, NewCuration, NewErasure, Recorded, RetentionQuery, Store, VerdictQuery,
};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::enrolments::{decided, enrolment, name, subject};
use super::verdicts::{curation, image, judge};
use super::{Home, a, images, opened, under_b};
use crate::support::{content, gallery, job, scored, stamp, unfetched, uri, with_job};

const DAY_MS: i64 = 86_400_000;

fn days_ago(days: i64) -> UtcTime {
    let now = jiff::Timestamp::now().as_millisecond();
    UtcTime::from_millisecond(now - days * DAY_MS).unwrap()
}

/// Everything is older.
fn tomorrow() -> UtcTime {
    days_ago(-1)
}

fn query(rule: RetentionRule, before: UtcTime) -> RetentionQuery {
    RetentionQuery { gallery: gallery(), rule, before, after: 0 }
}

async fn begun(store: &Arc<dyn Store>) -> RetentionId {
    store.begin_retention(&gallery(), &"Olga".parse().unwrap()).await.unwrap()
}

/// Removes everything that is due; it is what was counted before.
async fn removed(store: &Arc<dyn Store>, rule: RetentionRule, before: UtcTime) -> RetentionCounts {
    let (query, run) = (query(rule, before), begun(store).await);
    let due = store.due(&query).await.unwrap();
    assert_eq!(store.remove_due(run, &query).await.unwrap(), due, "all are on one page");
    let left = store.due(&query).await.unwrap();
    assert_eq!(left.counts, RetentionCounts::default());
    let ended = store.end_retention(run, RetentionCounts::default()).await.unwrap();
    assert_eq!(ended.counts, due.counts);
    due.counts
}

fn rejected(mut record: JobRecord) -> JobRecord {
    let reason = Reason::of_values(ReasonCode::Blurred, 12.5, 40.0);
    record.enrolment.as_mut().unwrap().reasons.push(reason);
    record
}

async fn uris(store: &Arc<dyn Store>) -> Vec<String> {
    let mut found: Vec<String> =
        images(store, a()).await.iter().map(|image| image.image.as_str().to_owned()).collect();
    found.sort_unstable();
    found
}

async fn are_erased(store: &Arc<dyn Store>, records: &[JobRecord]) -> Vec<bool> {
    store.record(records).await.unwrap().iter().map(Recorded::is_erased).collect()
}

async fn were_removed(store: &Arc<dyn Store>, image: &str, version: &str) -> bool {
    let images = [LabelledImage::new(uri(image), Some(stamp(version)))];
    store.were_removed(&gallery(), &images).await.unwrap()[0]
}

/// An image of each kind.
async fn filled(store: &Arc<dyn Store>) {
    let labelled = with_job(scored("labelled", &[50]), |job| job.subject = Some(name("Dan")));
    let elsewhere =
        with_job(scored("nobody's", &[50]), |job| job.gallery = "elsewhere".parse().unwrap());
    let missing = unfetched("missing", Outcome::Failed("gone".into()));
    let shadow = under_b(scored("nobody's", &[50]));
    let records = [scored("nobody's", &[50]), shadow, labelled, elsewhere, missing];
    store.record(&records).await.unwrap();
    decided(store, &enrolment("enrolled", "Ann", 60, 0.0)).await;
    decided(store, &rejected(enrolment("rejected", "Ann", 60, 0.0))).await;
}

pub async fn images_that_nobody_has_are_removed_and_no_scan_brings_them_back(home: impl Home) {
    let store = opened(&home).await;
    filled(&store).await;
    store.record(&[scored("reassigned", &[40])]).await.unwrap();
    let reassigned = image(&store, "reassigned").await;
    judge(&store, vec![(reassigned, Verdict::Reassign(name("Eve")))]).await;
    let not_yet = query(RetentionRule::Images, days_ago(1));
    assert_eq!(store.due(&not_yet).await.unwrap().counts, RetentionCounts::default());

    let counts = removed(&store, RetentionRule::Images, tomorrow()).await;
    assert_eq!(counts, RetentionCounts { images: 2, ..RetentionCounts::default() });
    let kept = ["enrolled", "labelled", "reassigned", "rejected"];
    assert_eq!(uris(&store).await, kept.map(|name| uri(name).as_str().to_owned()));
    assert_eq!(store.galleries().await.unwrap().len(), 2, "another gallery keeps its own");

    // A failed attempt had no bytes: another attempt is as good.
    let scans = [
        scored("nobody's", &[50]),
        under_b(scored("nobody's", &[50])),
        unfetched("missing", Outcome::Failed("gone".into())),
        scored("other", &[50]),
        with_job(scored("nobody's", &[50]), |job| job.gallery = "elsewhere".parse().unwrap()),
    ];
    assert_eq!(are_erased(&store, &scans).await, [true, true, false, false, false]);
    assert!(were_removed(&store, "nobody's", "v1").await, "a scan need not look at it");
    assert!(!were_removed(&store, "nobody's", "v2").await);
    assert!(!were_removed(&store, "other", "v1").await);
    let changed = JobRecord { content: content(b"new"), ..scored("nobody's", &[50]) };
    assert_eq!(are_erased(&store, &[changed]).await, [false], "another image");
}

pub async fn a_removed_version_beside_a_kept_one_is_not_read_again(home: impl Home) {
    let store = opened(&home).await;
    let version = |record: JobRecord, bytes: &[u8], version: &str| {
        let record = JobRecord { content: content(bytes), ..record };
        with_job(record, |job| job.stamp = Some(stamp(version)))
    };
    decided(&store, &enrolment("one", "Ann", 60, 0.0)).await;
    store.record(&[version(scored("one", &[50]), b"new", "v2")]).await.unwrap();
    assert_eq!(removed(&store, RetentionRule::Images, tomorrow()).await.images, 1);
    assert_eq!(subject(&store, "Ann").await.references.len(), 1);
    assert!(were_removed(&store, "one", "v2").await, "Ann's version does not bring it back");
    assert!(!were_removed(&store, "one", "v3").await);
    // Whoever is enrolled with it brings it back, whatever the listing then says of it.
    decided(&store, &version(enrolment("one", "Bob", 60, 0.0), b"new", "v3")).await;
    assert!(!were_removed(&store, "one", "v2").await);
    assert_eq!(are_erased(&store, &[version(scored("one", &[50]), b"new", "v2")]).await, [false]);
}

pub async fn whether_a_job_would_end_as_erased_is_told_before_its_image_is_analysed(
    home: impl Home,
) {
    let store = opened(&home).await;
    let ask = async |image: &str, bytes: &[u8], of: Option<&str>| {
        let mut job = job(Lane::Scan, image);
        job.subject = of.map(name);
        store.ends_erased(&job, content(bytes).unwrap().hash).await.unwrap()
    };
    assert_eq!(ask("one", b"one", None).await, None, "nothing was ever erased");
    store.record(&[scored("one", &[50]), scored("two", &[50])]).await.unwrap();
    let target = ErasureTarget::Image(uri("one"));
    let by = "Olga".parse().unwrap();
    store.erase(&NewErasure { gallery: gallery(), target, by }).await.unwrap();
    removed(&store, RetentionRule::Images, tomorrow()).await;
    for (image, bytes, of, ends) in [
        ("one", b"new" as &[u8], None, true),
        ("copy", b"one", Some("Ann"), true),
        ("two", b"two", None, true),
        ("two", b"two", Some("Ann"), false),
        ("two", b"new", None, false),
    ] {
        assert_eq!(ask(image, bytes, of).await, Some(ends), "{image} {of:?}");
    }
}

pub async fn an_enrolment_brings_back_what_retention_removed_and_not_what_was_erased(
    home: impl Home,
) {
    let store = opened(&home).await;
    store.record(&[scored("one", &[50]), scored("two", &[50])]).await.unwrap();
    let target = ErasureTarget::Image(uri("two"));
    let by = "Olga".parse().unwrap();
    store.erase(&NewErasure { gallery: gallery(), target, by }).await.unwrap();
    assert_eq!(removed(&store, RetentionRule::Images, tomorrow()).await.images, 1);
    assert_eq!(are_erased(&store, &[scored("one", &[50])]).await, [true]);

    // With a scan in the same batch.
    let batch =
        [scored("one", &[50]), enrolment("one", "Ann", 60, 0.0), enrolment("two", "Ann", 60, 40.0)];
    assert_eq!(are_erased(&store, &batch).await, [false, false, true]);
    assert_eq!(subject(&store, "Ann").await.summary.references, 1);
    assert!(!were_removed(&store, "one", "v1").await, "it is somebody's now");
    assert_eq!(are_erased(&store, &[under_b(scored("one", &[50]))]).await, [false]);
    assert_eq!(removed(&store, RetentionRule::Images, tomorrow()).await.images, 0);
    assert_eq!(uris(&store).await, [uri("one").as_str()]);
}

pub async fn the_latest_result_says_how_old_an_image_is(home: impl Home) {
    let store = opened(&home).await;
    let records = [scored("old", &[50]), scored("young", &[50]), under_b(scored("young", &[50]))];
    store.record(&records).await.unwrap();
    let of_a = format!(
        "gallery_profile_id = (SELECT id FROM gallery_profiles WHERE profile_id = '{}')",
        a()
    );
    home.change(
        &format!("UPDATE results SET recorded_at_ms = recorded_at_ms - 864000000 WHERE {of_a}"),
        &format!("UPDATE results SET recorded_at = recorded_at - interval '10 days' WHERE {of_a}"),
    )
    .await;
    assert_eq!(removed(&store, RetentionRule::Images, days_ago(11)).await.images, 0);
    assert_eq!(removed(&store, RetentionRule::Images, days_ago(9)).await.images, 1);
    assert_eq!(uris(&store).await, [uri("young").as_str()]);
}

pub async fn rejected_enrolments_go_with_images_that_nobody_has(home: impl Home) {
    let store = opened(&home).await;
    filled(&store).await;
    let records = [
        rejected(enrolment("labelled", "Ann", 60, 0.0)),
        rejected(enrolment("enrolled", "Bob", 60, 0.0)),
        rejected(enrolment("twice", "Ann", 60, 0.0)),
        rejected(enrolment("twice", "Bob", 60, 0.0)),
        rejected(enrolment("young", "Ann", 60, 0.0)),
        rejected(enrolment("young", "Bob", 60, 0.0)),
    ];
    store.record(&records).await.unwrap();
    let young = image(&store, "young").await;
    let which =
        format!("image_id <> {young} OR subject_id = (SELECT id FROM subjects WHERE name = 'Ann')");
    home.change(
        &format!("UPDATE enrolments SET decided_at_ms = decided_at_ms - 864000000 WHERE {which}"),
        &format!(
            "UPDATE enrolments SET decided_at = decided_at - interval '10 days' WHERE {which}"
        ),
    )
    .await;
    let counts = removed(&store, RetentionRule::Rejected, days_ago(5)).await;
    let expected = RetentionCounts { rejected: 6, rejected_images: 2, ..counts };
    assert_eq!((counts, counts.images), (expected, 0));
    let kept = ["enrolled", "labelled", "nobody's", "young"];
    let kept: Vec<String> = kept.iter().map(|name| uri(name).as_str().to_owned()).collect();
    let mut found = uris(&store).await;
    found.retain(|uri| !uri.contains("missing"));
    assert_eq!(found, kept);
    let summary = subject(&store, "Ann").await.summary;
    assert_eq!((summary.accepted, summary.rejected, summary.references), (1, 0, 1));
    assert_eq!(subject(&store, "Bob").await.summary.rejected, 1);
    let again = [scored("twice", &[60]), rejected(enrolment("rejected", "Ann", 60, 0.0))];
    assert_eq!(are_erased(&store, &again).await, [true, false]);
    assert_eq!(subject(&store, "Ann").await.summary.rejected, 1, "somebody tried again");
}

pub async fn contents_of_removed_images_are_known_until_they_are_forgotten(home: impl Home) {
    let store = opened(&home).await;
    let copy = with_job(scored("copy", &[50]), |job| job.subject = Some(name("Ann")));
    let copy = JobRecord { content: content(b"one"), ..copy };
    store.record(&[scored("one", &[50]), scored("two", &[50]), copy]).await.unwrap();
    assert_eq!(store.removed_contents().await.unwrap(), []);
    assert_eq!(removed(&store, RetentionRule::Images, tomorrow()).await.images, 2);
    let mut contents = store.removed_contents().await.unwrap();
    contents.sort_by_key(|content| content.in_use);
    let known: Vec<_> = contents.iter().map(|content| (content.hash, content.in_use)).collect();
    let hash = |bytes| content(bytes).unwrap().hash;
    assert_eq!(known, [(hash(b"two"), false), (hash(b"one"), true)]);
    store.forget_removed(&contents[..1]).await.unwrap();
    assert_eq!(store.removed_contents().await.unwrap(), contents[1..]);
}

pub async fn a_run_goes_page_by_page_and_leaves_a_line(home: impl Home) {
    let store = opened(&home).await;
    let names: Vec<String> = (0..1203).map(|number| format!("image{number}")).collect();
    let records: Vec<JobRecord> = names.iter().map(|name| scored(name, &[])).collect();
    store.record(&records).await.unwrap();
    let (mut query, run) = (query(RetentionRule::Images, tomorrow()), begun(&store).await);
    let first = store.remove_due(run, &query).await.unwrap();
    assert_eq!(first.counts.images, 1000);
    assert_eq!(images(&store, a()).await.len(), 203, "whoever is interrupted here goes on");
    query.after = first.next.unwrap();
    assert_eq!(store.remove_due(run, &query).await.unwrap().counts.images, 203);
    query.after = i64::MAX;
    assert_eq!(store.remove_due(run, &query).await.unwrap(), DuePage::default());
    let unfinished = store.retentions().await.unwrap().remove(0);
    assert_eq!((unfinished.counts.images, unfinished.ended_at), (1203, None));
    let outside = RetentionCounts { dead_letters: 2, ..RetentionCounts::default() };
    let ended = store.end_retention(run, outside).await.unwrap();
    assert_eq!((ended.counts.images, ended.counts.dead_letters), (1203, 2));
    assert_eq!((ended.by.as_str(), ended.gallery.clone()), ("Olga", gallery()));
    assert!(ended.ended_at.is_some());
    assert_eq!(store.retentions().await.unwrap(), [ended]);
}

/// A number below another.
fn below(random: &mut ChaCha8Rng, end: usize) -> usize {
    random.next_u32() as usize % end
}

/// A verdict that changes something, or an undo of one.
fn any_verdict(
    random: &mut ChaCha8Rng,
    of: &[ImageId],
    log: &[(ImageId, i64)],
) -> (ImageId, Verdict) {
    let image = of[below(random, of.len())];
    match below(random, 9) {
        0 => (image, Verdict::Exclude),
        1 => (image, Verdict::Restore),
        2 => (image, Verdict::Keep),
        3 => (image, Verdict::Reassign(name(["Ann", "Bob"][below(random, 2)]))),
        4 => (image, Verdict::NotTheSame(of[below(random, of.len())])),
        5 => (image, Verdict::Gone),
        6 => (image, Verdict::Found),
        _ if log.is_empty() => (image, Verdict::Keep),
        _ => {
            let (image, id) = log[below(random, log.len())];
            (image, Verdict::Undo(VerdictId(id)))
        }
    }
}

pub async fn what_holds_for_an_image_stays_when_old_verdicts_go(home: impl Home) {
    let store = opened(&home).await;
    let names = ["one", "two", "three"];
    store.record(&names.map(|name| scored(name, &[50]))).await.unwrap();
    let mut of = Vec::new();
    for name in names {
        of.push(image(&store, name).await);
    }
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let all =
        VerdictQuery { gallery: gallery(), image: None, curation: None, after: None, limit: 500 };
    let (mut log, mut in_total): (Vec<(ImageId, i64)>, u64) = (Vec::new(), 0);
    for round in 1..=12_i64 {
        for _ in 0..12 {
            let one = any_verdict(&mut random, &of, &log);
            let new = NewCuration { reason: None, ..curation(vec![one]) };
            match store.judge(&new).await.unwrap() {
                Judged::Written { .. } | Judged::NoVerdict(_) => {}
                refused => panic!("{refused:?}"),
            }
            let known = store.verdicts(&all).await.unwrap();
            log = known.iter().map(|verdict| (verdict.image, verdict.id.0)).collect();
        }
        // Each curation of an hour of its own, so that some are old and some are not.
        home.change(
            "UPDATE curations SET decided_at_ms = id * 3600000",
            "UPDATE curations SET decided_at = to_timestamp(id * 3600)",
        )
        .await;
        let before = store.curated(&gallery()).await.unwrap();
        let shown = states(&store).await;
        let latest = store.verdicts(&all).await.unwrap()[0].curation.0;
        let cutoff = (1 + below(&mut random, latest as usize) as i64) * 3_600_000 + 1;
        let cutoff = UtcTime::from_millisecond(cutoff).unwrap();
        let counts = removed(&store, RetentionRule::Verdicts, cutoff).await;
        assert_eq!(store.curated(&gallery()).await.unwrap(), before, "round {round}");
        assert_eq!(states(&store).await, shown, "round {round}");
        let left = store.verdicts(&all).await.unwrap();
        assert_eq!(log.len() as u64, left.len() as u64 + counts.verdicts, "round {round}");
        log = left.iter().map(|verdict| (verdict.image, verdict.id.0)).collect();
        in_total += counts.verdicts;
    }
    assert!(in_total > 20, "{in_total}: it removes something");
    // What is left decides: each one, taken away, would change something.
    removed(&store, RetentionRule::Verdicts, tomorrow()).await;
    let left = store.verdicts(&all).await.unwrap();
    let mut curated = store.curated(&gallery()).await.unwrap();
    for image in of {
        let own = left.iter().rev().filter(|verdict| verdict.image == image);
        let own: Vec<&Verdict> = own.map(|verdict| &verdict.verdict).collect();
        assert_eq!(Curated::after(own.iter().copied()), curated.remove(&image).unwrap_or_default());
        for place in 0..own.len() {
            let others = own.iter().enumerate().filter(|(other, _)| *other != place);
            let others = Curated::after(others.map(|(_, verdict)| *verdict));
            let is_default = others == Curated::after(own.iter().copied());
            assert!(!is_default, "{:?} decides nothing in {own:?}", own[place]);
        }
    }
}

/// The images that are not excluded, and whose they are.
async fn states(store: &Arc<dyn Store>) -> Vec<(ImageId, Option<SubjectName>)> {
    images(store, a()).await.into_iter().map(|image| (image.id, image.subject)).collect()
}
