//! What recording does to stored results: repeats, replacements, new bytes, batches, two writers.

use std::collections::BTreeSet;
use std::sync::Arc;

use facefleet::domain::{
    End, Faces, ImageContent, JobRecord, Outcome, OutcomeKind, PictureHash, Selection,
};
use facefleet::store::{Effect, Extreme, GallerySummary, PageQuery, Store, StoreError};
use tokio::sync::Barrier;

use super::{Home, a, assert_holds, b, images, opened, outcomes, settled, under_b, whole_page};
use crate::support::{
    content, effects, gallery, profile, record, scored, selection, stamp, unfetched, with_job,
};

pub async fn a_batch_of_nothing_and_a_batch_of_many_are_both_fine(home: impl Home) {
    let store = opened(&home).await;
    assert_eq!(effects(store.record(&[]).await), []);
    let records: Vec<_> =
        (0..1000).map(|number| scored(&format!("{number}"), &[(number % 101) as u8; 2])).collect();
    assert_eq!(effects(store.record(&records).await), vec![Effect::New; 1000]);
    let images = images(&store, a()).await;
    assert_eq!(images.len(), 1000);
    images.iter().zip(&records).for_each(|(image, record)| assert_holds(image, record));
}

pub async fn writing_twice_is_writing_once(home: impl Home) {
    let store = opened(&home).await;
    let records = [
        scored("one", &[10, 20]),
        record("two", Outcome::NoFace),
        record("bad", Outcome::Unreadable("cut".into())),
    ];
    assert_eq!(effects(store.record(&records).await), vec![Effect::New; 3]);
    let before = (images(&store, a()).await, store.summary(&gallery(), &a()).await.unwrap());
    assert_eq!(effects(store.record(&records).await), vec![Effect::Repeated; 3]);
    // Another job with other numbers and the same key: the first result stays.
    let again = scored("one", &[99]);
    assert_eq!(effects(store.record(&[again]).await), [Effect::Repeated]);
    assert_eq!((images(&store, a()).await, store.summary(&gallery(), &a()).await.unwrap()), before);
}

pub async fn one_batch_may_hold_an_image_more_than_once(home: impl Home) {
    let store = opened(&home).await;
    let newer = JobRecord { content: content(b"newer"), ..scored("one", &[30]) };
    let batch = [
        unfetched("one", Outcome::Failed("reset".into())),
        scored("one", &[10]),
        scored("two", &[20]),
        scored("one", &[10]),
        newer.clone(),
        under_b(newer.clone()),
    ];
    let expected =
        [Effect::New, Effect::New, Effect::New, Effect::Repeated, Effect::New, Effect::New];
    assert_eq!(effects(store.record(&batch).await), expected);
    let images_of_a = images(&store, a()).await;
    assert_eq!(images_of_a.len(), 2);
    assert_holds(&images_of_a[0], &batch[2]);
    assert_holds(&images_of_a[1], &newer);
    assert_eq!(images(&store, b()).await.len(), 1);
}

pub async fn a_batch_with_one_record_that_cannot_be_kept_writes_nothing(home: impl Home) {
    let store = opened(&home).await;
    store.record(&[unfetched("one", Outcome::Failed("reset".into()))]).await.unwrap();
    let before = images(&store, a()).await;
    let stranger =
        JobRecord { profile: profile("never registered").id(), ..scored("three", &[30]) };
    let batch = [scored("one", &[10]), scored("two", &[20]), stranger.clone()];
    let error = store.record(&batch).await.unwrap_err();
    assert!(matches!(error, StoreError::Invalid(_)), "{error:?}");
    assert!(error.to_string().contains(stranger.profile.as_str()), "{error}");
    assert_eq!(images(&store, a()).await, before);
    assert_eq!(effects(store.record(&batch[..2]).await), vec![Effect::New; 2]);
}

pub async fn a_result_that_is_not_final_is_replaced_in_its_place(home: impl Home) {
    let store = opened(&home).await;
    let refused = record("one", Outcome::Refused("too large".into()));
    store.record(&[refused, scored("two", &[20])]).await.unwrap();
    let first = images(&store, a()).await[0].cursor;
    let failed = record("one", Outcome::Failed("out of memory".into()));
    assert_eq!(effects(store.record(std::slice::from_ref(&failed)).await), [Effect::New]);
    assert_holds(&images(&store, a()).await[0], &failed);
    let at_last = scored("one", &[10]);
    assert_eq!(effects(store.record(std::slice::from_ref(&at_last)).await), [Effect::New]);
    let images = images(&store, a()).await;
    assert_eq!((images.len(), images[0].cursor), (2, first));
    assert_holds(&images[0], &at_last);
}

pub async fn a_final_result_is_replaced_under_another_selection_only(home: impl Home) {
    let store = opened(&home).await;
    store.record(&[scored("one", &[10, 20])]).await.unwrap();
    let failed = record("one", Outcome::Failed("reset".into()));
    let expected = End { outcome: OutcomeKind::Scored, reason: None, faces: 2, quality: Some(10) };
    assert_eq!(effects(store.record(&[failed]).await), [Effect::Ended(expected)]);
    let selections = [
        Selection { faces: Faces::Largest, ..selection() },
        Selection { min_size_px: 41, ..selection() },
        Selection { min_score: 0.600_000_1, ..selection() },
    ];
    for selection in selections {
        let other = JobRecord { selection, ..scored("one", &[10]) };
        assert_eq!(
            effects(store.record(std::slice::from_ref(&other)).await),
            [Effect::New],
            "{selection:?}"
        );
        assert_eq!(
            effects(store.record(std::slice::from_ref(&other)).await),
            [Effect::Repeated],
            "{selection:?}"
        );
        let images = images(&store, a()).await;
        assert_eq!(images.len(), 1);
        assert_holds(&images[0], &other);
    }
    assert_eq!(store.summary(&gallery(), &a()).await.unwrap().faces, 1);
}

pub async fn new_bytes_supersede_the_old_results_of_every_profile_in_the_gallery(home: impl Home) {
    let store = opened(&home).await;
    let elsewhere = with_job(scored("one", &[10]), |job| job.gallery = "visitors".parse().unwrap());
    store
        .record(&[scored("one", &[10]), under_b(scored("one", &[11])), elsewhere.clone()])
        .await
        .unwrap();
    let newer = JobRecord {
        content: content(b"newer"),
        ..with_job(scored("one", &[50]), |job| job.stamp = Some(stamp("v2")))
    };
    assert_eq!(effects(store.record(std::slice::from_ref(&newer)).await), [Effect::New]);

    let images_of_a = images(&store, a()).await;
    assert_eq!(images_of_a.len(), 1);
    assert_holds(&images_of_a[0], &newer);
    assert_eq!(images(&store, b()).await, []);
    let summary = store.summary(&gallery(), &a()).await.unwrap();
    assert_eq!(
        (summary.outcomes, summary.faces, summary.histogram[10]),
        (vec![(OutcomeKind::Scored, 1)], 1, 0)
    );
    assert_eq!(
        store.summary(&gallery(), &b()).await.unwrap(),
        GallerySummary { histogram: vec![0; 101], ..GallerySummary::default() }
    );
    let worst = store.extremes(&gallery(), &a(), Extreme::Worst, 10).await.unwrap();
    assert_eq!(worst.iter().map(|face| face.quality).collect::<Vec<_>>(), [Some(50)]);
    assert!(!settled(&store, a(), "one", "v1").await && settled(&store, a(), "one", "v2").await);

    let query = PageQuery { gallery: elsewhere.job.gallery.clone(), ..whole_page(a()) };
    assert_holds(&store.page(&query).await.unwrap()[0], &elsewhere);
}

pub async fn bytes_that_come_back_bring_their_result_back(home: impl Home) {
    let store = opened(&home).await;
    let old = scored("one", &[10]);
    let newer = JobRecord {
        content: content(b"newer"),
        ..with_job(scored("one", &[50]), |job| job.stamp = Some(stamp("v2")))
    };
    store.record(std::slice::from_ref(&old)).await.unwrap();
    store.record(&[newer]).await.unwrap();
    let restored = with_job(old.clone(), |job| job.stamp = Some(stamp("v3")));
    assert_eq!(effects(store.record(std::slice::from_ref(&restored)).await), [Effect::New]);
    assert_eq!(effects(store.record(&[restored]).await), [Effect::Repeated]);
    let images = images(&store, a()).await;
    assert_eq!(images.len(), 1);
    assert_holds(&images[0], &old);
    assert_eq!(store.summary(&gallery(), &a()).await.unwrap().histogram[10], 1);
    assert_eq!(store.summary(&gallery(), &a()).await.unwrap().histogram[50], 0);
    assert!(settled(&store, a(), "one", "v3").await);
    assert!(!settled(&store, a(), "one", "v2").await);
}

pub async fn bytes_supersede_a_fetch_that_failed(home: impl Home) {
    let store = opened(&home).await;
    store.record(&[unfetched("one", Outcome::Failed("timed out".into()))]).await.unwrap();
    assert_eq!(outcomes(&store, a()).await, [(OutcomeKind::Failed, 1)]);
    store.record(&[scored("one", &[10])]).await.unwrap();
    assert_eq!(outcomes(&store, a()).await, [(OutcomeKind::Scored, 1)]);
}

pub async fn a_redelivered_job_that_could_not_fetch_changes_nothing(home: impl Home) {
    let store = opened(&home).await;
    let first = scored("one", &[10]);
    let unlisted = with_job(scored("two", &[20]), |job| job.stamp = None);
    store.record(&[first.clone(), unlisted.clone()]).await.unwrap();
    let again = [
        unfetched("one", Outcome::Failed("timed out".into())),
        with_job(unfetched("two", Outcome::Unreadable("gone".into())), |job| {
            job.id = unlisted.job.id;
            job.stamp = None;
        }),
    ];
    let end = End { outcome: OutcomeKind::Scored, reason: None, faces: 1, quality: Some(20) };
    let ends = [End { quality: Some(10), ..end.clone() }, end].map(Effect::Ended);
    assert_eq!(
        effects(store.record(&again).await),
        ends,
        "another job of the same version, the same job"
    );
    assert_eq!(outcomes(&store, a()).await, [(OutcomeKind::Scored, 2)]);
}

pub async fn a_job_ends_as_it_first_ended(home: impl Home) {
    let store = opened(&home).await;
    let scored = scored("one", &[70, 30]);
    let cut = JobRecord {
        outcome: Outcome::Unreadable("it is cut off".into()),
        ..record("two", Outcome::NoFace)
    };
    store.record(&[scored.clone(), cut.clone()]).await.unwrap();
    // The bytes came again, and this time the recogniser did not work.
    let failed = |record: &JobRecord| JobRecord {
        outcome: Outcome::Failed("no memory".into()),
        ..record.clone()
    };
    let ends = [
        End { outcome: OutcomeKind::Scored, reason: None, faces: 2, quality: Some(70) },
        End {
            outcome: OutcomeKind::Unreadable,
            reason: Some("it is cut off".into()),
            faces: 0,
            quality: None,
        },
    ];
    let again = [failed(&scored), failed(&cut)];
    assert_eq!(effects(store.record(&again).await), ends.clone().map(Effect::Ended));
    // One and the same batch may hold both deliveries of a job.
    let fresh = record("three", Outcome::NoFace);
    let end = End { outcome: OutcomeKind::NoFace, reason: None, faces: 0, quality: None };
    let both = [fresh.clone(), failed(&fresh)];
    assert_eq!(effects(store.record(&both).await), [Effect::New, Effect::Ended(end)]);
    // Its bytes were replaced, and the job is delivered again: it changes nothing of the current
    // result.
    let newer = JobRecord {
        content: content(b"newer"),
        ..with_job(record("one", Outcome::NoFace), |job| job.stamp = Some(stamp("v2")))
    };
    store.record(std::slice::from_ref(&newer)).await.unwrap();
    let unfetched = JobRecord { content: None, ..failed(&scored) };
    assert_eq!(effects(store.record(&[unfetched]).await), [Effect::Ended(ends[0].clone())]);
    let current =
        images(&store, a()).await.into_iter().find(|image| image.image == newer.job.image).unwrap();
    assert_eq!(current.outcome, OutcomeKind::NoFace);
    // The same end again is a repeat.
    assert_eq!(effects(store.record(&[newer, cut]).await), vec![Effect::Repeated; 2]);
}

pub async fn a_repeat_remembers_the_new_listed_version(home: impl Home) {
    let store = opened(&home).await;
    store.record(&[scored("one", &[10])]).await.unwrap();
    let touched = with_job(scored("one", &[10]), |job| job.stamp = Some(stamp("v2")));
    assert_eq!(effects(store.record(&[touched]).await), [Effect::Repeated]);
    assert!(settled(&store, a(), "one", "v2").await);
    let unlisted = with_job(scored("one", &[10]), |job| job.stamp = None);
    assert_eq!(effects(store.record(&[unlisted]).await), [Effect::Repeated]);
    assert!(settled(&store, a(), "one", "v2").await);
}

/// A re-score from chips does not decode the image: what was known of it stays.
pub async fn what_an_image_shows_is_kept_and_added_later(home: impl Home) {
    let store = opened(&home).await;
    let shows = |record: JobRecord, picture: Option<PictureHash>| JobRecord {
        content: record.content.map(|content| ImageContent { picture, ..content }),
        ..record
    };
    let (one, two) = (PictureHash([1, 2, 3, u64::MAX]), PictureHash([4; 4]));
    let batch = [shows(scored("one", &[10]), Some(one)), shows(scored("two", &[20]), None)];
    store.record(&batch).await.unwrap();
    let pictures = async |profile| -> Vec<Option<PictureHash>> {
        images(&store, profile).await.iter().map(|image| image.picture).collect()
    };
    assert_eq!(pictures(a()).await, [Some(one), None]);
    let again = [shows(scored("one", &[10]), None), shows(scored("two", &[20]), Some(two))];
    store.record(&again.map(under_b)).await.unwrap();
    assert_eq!(pictures(a()).await, [Some(one), Some(two)]);
    assert_eq!(pictures(b()).await, [Some(one), Some(two)]);
}

/// Two tasks record the same batches at once, the second in the opposite order.
async fn record_from_two_tasks(stores: [Arc<dyn Store>; 2]) {
    let records: Vec<_> =
        (0..200).map(|number| scored(&format!("{number}"), &[(number % 101) as u8])).collect();
    let reader = Arc::clone(&stores[0]);
    let start = Arc::new(Barrier::new(2));
    let tasks = stores.into_iter().enumerate().map(|(task, store)| {
        let (mut records, start) = (records.clone(), Arc::clone(&start));
        if task == 1 {
            records.reverse();
        }
        tokio::spawn(async move {
            start.wait().await;
            let mut written = 0;
            for batch in records.chunks(10) {
                let recorded = store.record(batch).await.unwrap();
                written += recorded.iter().filter(|answer| answer.effect == Effect::New).count();
            }
            written
        })
    });
    let tasks: Vec<_> = tasks.collect();
    let mut written = 0;
    for task in tasks {
        written += task.await.unwrap();
    }
    assert_eq!(written, records.len(), "each record was written by one of the two");
    let images = images(&reader, a()).await;
    let distinct: BTreeSet<_> = images.iter().map(|image| image.image.clone()).collect();
    assert_eq!((images.len(), distinct.len()), (records.len(), records.len()));
    assert_eq!(reader.summary(&gallery(), &a()).await.unwrap().faces, records.len() as u64);
}

pub async fn an_enrolment_of_bytes_that_were_scanned_names_their_subject(home: impl Home) {
    let store = opened(&home).await;
    store.record(&[scored("one", &[10]), scored("two", &[20])]).await.unwrap();
    let subjects = async |names: [Option<&str>; 2]| {
        let stored: Vec<_> =
            images(&store, a()).await.into_iter().map(|image| image.subject).collect();
        assert_eq!(stored, names.map(|name| name.map(|name| name.parse().unwrap())));
    };
    let enrolled = |subject: &str| {
        with_job(scored("one", &[10]), |job| job.subject = Some(subject.parse().unwrap()))
    };
    for subject in ["ann", "anne"] {
        assert_eq!(
            effects(store.record(&[enrolled(subject), scored("two", &[20])]).await),
            vec![Effect::Repeated; 2]
        );
        subjects([Some(subject), None]).await;
    }
    // A later scan names no subject, and removes none.
    store.record(&[scored("one", &[10])]).await.unwrap();
    subjects([Some("anne"), None]).await;
}

pub async fn two_tasks_that_record_the_same_leave_one_set_of_rows(home: impl Home) {
    let store = opened(&home).await;
    record_from_two_tasks([Arc::clone(&store), store]).await;
}

pub async fn two_handles_that_record_the_same_leave_one_set_of_rows(home: impl Home) {
    record_from_two_tasks([opened(&home).await, opened(&home).await]).await;
}

pub async fn two_handles_see_what_the_other_wrote(home: impl Home) {
    let (one, other) = (opened(&home).await, opened(&home).await);
    one.record(&[scored("one", &[10])]).await.unwrap();
    assert!(settled(&other, a(), "one", "v1").await);
    assert_eq!(effects(other.record(&[scored("one", &[10])]).await), [Effect::Repeated]);
}
