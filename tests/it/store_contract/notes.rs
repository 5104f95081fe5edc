//! Records that got no bytes: notes next to the results of an image.

use std::sync::Arc;
use std::time::Duration;

use facefleet::domain::{
    ContentHash, End, JobId, JobRecord, Outcome, OutcomeKind, ProfileId, Selection,
};
use facefleet::store::{
    Effect, Extreme, GallerySummary, PageFilter, PageQuery, Store, StoredImage,
};

use super::{Home, a, assert_holds, b, images, opened, settled, under_b, whole_page};
use crate::support::{
    content, effects, gallery, record, scored, selection, stamp, unfetched, uri, with_job,
};

/// The current result of `name`; there is at most one.
async fn current(store: &Arc<dyn Store>, profile: ProfileId, name: &str) -> Option<StoredImage> {
    let mut found: Vec<_> =
        images(store, profile).await.into_iter().filter(|image| image.image == uri(name)).collect();
    assert!(found.len() <= 1, "{found:?}");
    found.pop()
}

/// Outcome and reason of its note, if it has one.
async fn note(
    store: &Arc<dyn Store>,
    profile: ProfileId,
    name: &str,
) -> Option<(OutcomeKind, String)> {
    let note = current(store, profile, name).await.expect("a result is current").noted?;
    Some((note.outcome, note.reason.unwrap()))
}

/// The next listed version of `name`, without bytes.
fn denied(name: &str) -> JobRecord {
    with_job(unfetched(name, Outcome::Refused("denied".into())), |job| {
        job.stamp = Some(stamp("v2"))
    })
}

pub async fn a_record_without_bytes_is_a_note_next_to_the_result_of_its_profile(home: impl Home) {
    let store = opened(&home).await;
    let first = scored("one", &[10]);
    store.record(&[first.clone(), under_b(scored("one", &[11]))]).await.unwrap();
    let before = store.summary(&gallery(), &a()).await.unwrap();
    assert_eq!(effects(store.record(&[denied("one")]).await), [Effect::New], "it ends its own job");
    assert_eq!(note(&store, a(), "one").await, Some((OutcomeKind::Refused, "denied".into())));
    assert_eq!(note(&store, b(), "one").await, None, "it was not an attempt of this profile");
    assert_holds(&images(&store, a()).await[0], &first);
    assert_eq!(
        store.summary(&gallery(), &a()).await.unwrap(),
        GallerySummary { noted: 1, ..before }
    );
    assert_eq!(store.extremes(&gallery(), &a(), Extreme::Worst, 10).await.unwrap().len(), 1);
    assert!(settled(&store, a(), "one", "v1").await && !settled(&store, a(), "one", "v2").await);
}

pub async fn the_latest_attempt_without_bytes_is_the_one_that_is_noted(home: impl Home) {
    let store = opened(&home).await;
    store.record(&[scored("one", &[10]), denied("one")]).await.unwrap();
    let gone =
        with_job(unfetched("one", Outcome::Unreadable("not there".into())), |job| job.stamp = None);
    assert_eq!(effects(store.record(std::slice::from_ref(&gone)).await), [Effect::New]);
    assert_eq!(note(&store, a(), "one").await, Some((OutcomeKind::Unreadable, "not there".into())));
    // The same job fails again: it has ended already.
    let end = End {
        outcome: OutcomeKind::Unreadable,
        reason: Some("not there".into()),
        faces: 0,
        quality: None,
    };
    let again = JobRecord { outcome: Outcome::Failed("timed out".into()), ..gone };
    assert_eq!(effects(store.record(&[again]).await), [Effect::Ended(end)]);
    assert_eq!(store.summary(&gallery(), &a()).await.unwrap().noted, 1);
    // Another job that fails ends as failed, although the image was missing before.
    let failed =
        with_job(unfetched("one", Outcome::Failed("timed out".into())), |job| job.stamp = None);
    let missing = unfetched("two", Outcome::Unreadable("not there".into()));
    let failed = [
        failed,
        JobRecord {
            outcome: Outcome::Failed("timed out".into()),
            ..with_job(missing.clone(), |job| job.id = JobId::new())
        },
    ];
    store.record(&[missing]).await.unwrap();
    assert_eq!(effects(store.record(&failed).await), vec![Effect::New; 2]);
    assert_eq!(note(&store, a(), "one").await, Some((OutcomeKind::Failed, "timed out".into())));
    assert_holds(&current(&store, a(), "two").await.unwrap(), &failed[1]);
}

pub async fn any_result_with_bytes_may_have_a_note(home: impl Home) {
    let store = opened(&home).await;
    for (name, first) in [
        ("none", record("none", Outcome::NoFace)),
        ("cut", record("cut", Outcome::Unreadable("cut".into()))),
        ("failed", record("failed", Outcome::Failed("no memory".into()))),
        (
            "others",
            JobRecord {
                selection: Selection { min_size_px: 7, ..selection() },
                ..scored("others", &[10])
            },
        ),
    ] {
        store.record(&[first.clone(), denied(name)]).await.unwrap();
        assert_holds(&current(&store, a(), name).await.unwrap(), &first);
        assert_eq!(note(&store, a(), name).await, Some((OutcomeKind::Refused, "denied".into())));
        // Under a profile without a result of this image, it is the result.
        let of_b = under_b(denied(name));
        store.record(std::slice::from_ref(&of_b)).await.unwrap();
        assert_holds(&current(&store, b(), name).await.unwrap(), &of_b);
        let newer = JobRecord { content: content(b"newer"), ..under_b(scored(name, &[30])) };
        store.record(std::slice::from_ref(&newer)).await.unwrap();
        assert_holds(&current(&store, b(), name).await.unwrap(), &newer);
        // The first profile has no current result any more: a record without bytes is its result.
        assert_eq!(current(&store, a(), name).await, None);
        store.record(&[denied(name)]).await.unwrap();
        assert_holds(&current(&store, a(), name).await.unwrap(), &denied(name));
        assert_eq!(note(&store, a(), name).await, None);
    }
    assert_eq!(store.summary(&gallery(), &a()).await.unwrap().noted, 0);
}

pub async fn bytes_that_come_end_the_note(home: impl Home) {
    let store = opened(&home).await;
    let newer = |name| JobRecord {
        content: content(b"newer"),
        ..with_job(scored(name, &[20]), |job| job.stamp = Some(stamp("v2")))
    };
    for (name, next) in [
        ("same", scored("same", &[10])),
        ("touched", with_job(scored("touched", &[10]), |job| job.stamp = Some(stamp("v2")))),
        (
            "selected",
            JobRecord {
                selection: Selection { min_size_px: 7, ..selection() },
                ..scored("selected", &[10])
            },
        ),
        ("newer", newer("newer")),
    ] {
        store.record(&[scored(name, &[10]), denied(name)]).await.unwrap();
        assert!(note(&store, a(), name).await.is_some());
        store.record(std::slice::from_ref(&next)).await.unwrap();
        assert_eq!(note(&store, a(), name).await, None);
        assert_eq!(store.summary(&gallery(), &a()).await.unwrap().noted, 0);
    }
    let first = newer("one");
    store
        .record(&[first.clone(), with_job(denied("one"), |job| job.stamp = Some(stamp("v3")))])
        .await
        .unwrap();
    assert!(note(&store, a(), "one").await.is_some());
    store.record(&[under_b(newer("one"))]).await.unwrap();
    assert_eq!(note(&store, a(), "one").await, None, "another profile read the same bytes");
    // A job that has ended, delivered again without its bytes, adds no note.
    let again = JobRecord { content: None, outcome: Outcome::Failed("reset".into()), ..first };
    assert!(matches!(effects(store.record(&[again]).await)[0], Effect::Ended(_)));
    assert_eq!(note(&store, a(), "one").await, None);
}

pub async fn pages_have_notes_if_they_are_asked_for(home: impl Home) {
    let store = opened(&home).await;
    let lost = unfetched("lost", Outcome::Refused("denied".into()));
    let others = [under_b(scored("two", &[5])), under_b(unfetched("three", lost.outcome.clone()))];
    store.record(&[scored("one", &[10]), scored("two", &[20]), lost]).await.unwrap();
    store.record(&others).await.unwrap();
    store.record(&[denied("one"), denied("two")]).await.unwrap();
    let (refused, failed) = ([OutcomeKind::Refused], [OutcomeKind::Failed]);
    let query = |outcomes: &[OutcomeKind], notes, after| PageQuery {
        outcomes: outcomes.to_vec(),
        notes,
        after,
        limit: 2,
        ..whole_page(a())
    };
    let mut found = Vec::new();
    let mut after = 0;
    loop {
        let page = store.page(&query(&refused, true, after)).await.unwrap();
        let Some(last) = page.last() else { break };
        assert!(page.iter().all(|image| image.hash.is_none() && image.faces.is_empty()));
        after = last.cursor;
        found.extend(page.into_iter().map(|image| (image.image, image.outcome)));
    }
    found.sort();
    let expected = ["lost", "one", "two"].map(|name| (uri(name), OutcomeKind::Refused));
    assert_eq!(found, expected);
    assert_eq!(store.page(&query(&refused, false, 0)).await.unwrap().len(), 1, "lost");
    assert!(store.page(&query(&failed, true, 0)).await.unwrap().is_empty());
    let later = Some(jiff::Timestamp::now() + Duration::from_secs(3600));
    let filter = PageFilter { since: later, ..PageFilter::default() };
    let later = PageQuery { filter, ..query(&refused, true, 0) };
    assert!(store.page(&later).await.unwrap().is_empty());
}

pub async fn the_hash_that_a_job_expected_is_kept_with_its_result(home: impl Home) {
    let store = opened(&home).await;
    let hash = Some(ContentHash([7; 32]));
    let expecting = |record| with_job(record, |job| job.expected_hash = hash);
    let lost = unfetched("lost", Outcome::Failed("timed out".into()));
    store.record(&[expecting(lost.clone()), scored("one", &[10])]).await.unwrap();
    store.record(&[expecting(denied("one"))]).await.unwrap();
    let query = PageQuery { notes: true, ..whole_page(a()) };
    let mut found: Vec<_> = store.page(&query).await.unwrap();
    found.sort_by_key(|image| (image.image.clone(), image.hash.map(|hash| hash.0)));
    let hashes: Vec<_> = found.iter().map(|image| image.expected_hash).collect();
    assert_eq!(hashes, [hash, hash, None], "lost, the note, and the result that is not of its job");
    let again = with_job(lost, |job| job.id = JobId::new());
    store.record(&[again]).await.unwrap();
    assert_eq!(current(&store, a(), "lost").await.unwrap().expected_hash, None);
}
