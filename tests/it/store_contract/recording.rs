//! What writing does to what is there: repeats, replacements, new bytes, batches, and two who write
//! at once.

use std::collections::BTreeSet;
use std::sync::Arc;

use facefleet::domain::{End, Faces, JobId, JobRecord, Outcome, OutcomeKind, ProfileId, Selection};
use facefleet::store::{
    Extreme, GallerySummary, PageQuery, Recorded, Store, StoreError, StoredImage,
};
use tokio::sync::Barrier;

use super::{Home, a, assert_holds, b, images, opened, outcomes, settled, under_b, whole_page};
use crate::support::{content, gallery, profile, record, scored, selection, stamp, unfetched, uri};

pub async fn a_batch_of_nothing_and_a_batch_of_many_are_both_fine(home: impl Home) {
    let store = opened(&home).await;
    assert_eq!(store.record(&[]).await.unwrap(), []);
    let records: Vec<_> =
        (0..1000).map(|number| scored(&format!("{number}"), &[(number % 101) as u8; 2])).collect();
    assert_eq!(store.record(&records).await.unwrap(), vec![Recorded::New; 1000]);
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
    assert_eq!(store.record(&records).await.unwrap(), vec![Recorded::New; 3]);
    let before = (images(&store, a()).await, store.summary(&gallery(), &a()).await.unwrap());
    assert_eq!(store.record(&records).await.unwrap(), vec![Recorded::Repeated; 3]);
    // Another job, other numbers, the same key: the first result stands.
    let again = scored("one", &[99]);
    assert_eq!(store.record(&[again]).await.unwrap(), [Recorded::Repeated]);
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
    let expected = [
        Recorded::New,
        Recorded::New,
        Recorded::New,
        Recorded::Repeated,
        Recorded::New,
        Recorded::New,
    ];
    assert_eq!(store.record(&batch).await.unwrap(), expected);
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
    assert_eq!(store.record(&batch[..2]).await.unwrap(), vec![Recorded::New; 2]);
}

pub async fn a_result_that_is_not_final_is_replaced_in_its_place(home: impl Home) {
    let store = opened(&home).await;
    let refused = record("one", Outcome::Refused("too large".into()));
    store.record(&[refused, scored("two", &[20])]).await.unwrap();
    let first = images(&store, a()).await[0].cursor;
    let failed = record("one", Outcome::Failed("out of memory".into()));
    assert_eq!(store.record(std::slice::from_ref(&failed)).await.unwrap(), [Recorded::New]);
    assert_holds(&images(&store, a()).await[0], &failed);
    let at_last = scored("one", &[10]);
    assert_eq!(store.record(std::slice::from_ref(&at_last)).await.unwrap(), [Recorded::New]);
    let images = images(&store, a()).await;
    assert_eq!((images.len(), images[0].cursor), (2, first));
    assert_holds(&images[0], &at_last);
}

pub async fn a_final_result_is_replaced_under_another_selection_only(home: impl Home) {
    let store = opened(&home).await;
    store.record(&[scored("one", &[10, 20])]).await.unwrap();
    let failed = record("one", Outcome::Failed("reset".into()));
    let stands = End { outcome: OutcomeKind::Scored, reason: None, faces: 2, quality: Some(10) };
    assert_eq!(store.record(&[failed]).await.unwrap(), [Recorded::Ended(stands)]);
    let selections = [
        Selection { faces: Faces::Largest, ..selection() },
        Selection { min_size_px: 41, ..selection() },
        Selection { min_score: 0.600_000_1, ..selection() },
    ];
    for selection in selections {
        let other = JobRecord { selection, ..scored("one", &[10]) };
        assert_eq!(
            store.record(std::slice::from_ref(&other)).await.unwrap(),
            [Recorded::New],
            "{selection:?}"
        );
        assert_eq!(
            store.record(std::slice::from_ref(&other)).await.unwrap(),
            [Recorded::Repeated],
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
    let elsewhere = JobRecord { gallery: "visitors".parse().unwrap(), ..scored("one", &[10]) };
    store
        .record(&[scored("one", &[10]), under_b(scored("one", &[11])), elsewhere.clone()])
        .await
        .unwrap();
    let newer =
        JobRecord { content: content(b"newer"), stamp: Some(stamp("v2")), ..scored("one", &[50]) };
    assert_eq!(store.record(std::slice::from_ref(&newer)).await.unwrap(), [Recorded::New]);

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

    let query = PageQuery { gallery: elsewhere.gallery.clone(), ..whole_page(a()) };
    assert_holds(&store.page(&query).await.unwrap()[0], &elsewhere);
}

pub async fn bytes_that_come_back_bring_their_result_back(home: impl Home) {
    let store = opened(&home).await;
    let old = scored("one", &[10]);
    let newer =
        JobRecord { content: content(b"newer"), stamp: Some(stamp("v2")), ..scored("one", &[50]) };
    store.record(std::slice::from_ref(&old)).await.unwrap();
    store.record(&[newer]).await.unwrap();
    let restored = JobRecord { stamp: Some(stamp("v3")), ..old.clone() };
    assert_eq!(store.record(std::slice::from_ref(&restored)).await.unwrap(), [Recorded::New]);
    assert_eq!(store.record(&[restored]).await.unwrap(), [Recorded::Repeated]);
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

/// The current result of `name`; there is at most one.
async fn current(store: &Arc<dyn Store>, profile: ProfileId, name: &str) -> Option<StoredImage> {
    let mut found: Vec<_> =
        images(store, profile).await.into_iter().filter(|image| image.image == uri(name)).collect();
    assert!(found.len() <= 1, "{found:?}");
    found.pop()
}

/// Outcome and reason of the note beside it, if there is one.
async fn note(
    store: &Arc<dyn Store>,
    profile: ProfileId,
    name: &str,
) -> Option<(OutcomeKind, String)> {
    let note = current(store, profile, name).await.expect("a result is current").noted?;
    note.at.parse::<jiff::Timestamp>().unwrap();
    Some((note.outcome, note.reason.unwrap()))
}

/// The next version of `name`, whose bytes did not come.
fn denied(name: &str) -> JobRecord {
    JobRecord { stamp: Some(stamp("v2")), ..unfetched(name, Outcome::Refused("denied".into())) }
}

pub async fn what_got_no_bytes_is_noted_beside_the_result_of_its_profile(home: impl Home) {
    let store = opened(&home).await;
    let first = scored("one", &[10]);
    store.record(&[first.clone(), under_b(scored("one", &[11]))]).await.unwrap();
    let before = store.summary(&gallery(), &a()).await.unwrap();
    assert_eq!(
        store.record(&[denied("one")]).await.unwrap(),
        [Recorded::New],
        "it ends its own job"
    );
    assert_eq!(note(&store, a(), "one").await, Some((OutcomeKind::Refused, "denied".into())));
    assert_eq!(note(&store, b(), "one").await, None, "it was no attempt of this profile");
    assert_holds(&images(&store, a()).await[0], &first);
    assert_eq!(
        store.summary(&gallery(), &a()).await.unwrap(),
        GallerySummary { noted: 1, ..before }
    );
    assert_eq!(store.extremes(&gallery(), &a(), Extreme::Worst, 10).await.unwrap().len(), 1);
    assert!(settled(&store, a(), "one", "v1").await && !settled(&store, a(), "one", "v2").await);

    // The latest attempt is the one that is noted.
    let gone =
        JobRecord { stamp: None, ..unfetched("one", Outcome::Unreadable("not there".into())) };
    assert_eq!(store.record(std::slice::from_ref(&gone)).await.unwrap(), [Recorded::New]);
    assert_eq!(note(&store, a(), "one").await, Some((OutcomeKind::Unreadable, "not there".into())));
    // The same job again, and it fails: it has ended already.
    let end = End {
        outcome: OutcomeKind::Unreadable,
        reason: Some("not there".into()),
        faces: 0,
        quality: None,
    };
    let again = JobRecord { outcome: Outcome::Failed("timed out".into()), ..gone };
    assert_eq!(store.record(&[again]).await.unwrap(), [Recorded::Ended(end)]);
    assert_eq!(store.summary(&gallery(), &a()).await.unwrap().noted, 1);
    // Another job that fails has failed: that the image was not there before is no end of it.
    let failed = JobRecord { stamp: None, ..unfetched("one", Outcome::Failed("timed out".into())) };
    let missing = unfetched("two", Outcome::Unreadable("not there".into()));
    let failed = [
        failed,
        JobRecord {
            job: JobId::new(),
            outcome: Outcome::Failed("timed out".into()),
            ..missing.clone()
        },
    ];
    store.record(&[missing]).await.unwrap();
    assert_eq!(store.record(&failed).await.unwrap(), vec![Recorded::New; 2]);
    assert_eq!(note(&store, a(), "one").await, Some((OutcomeKind::Failed, "timed out".into())));
    assert_holds(&current(&store, a(), "two").await.unwrap(), &failed[1]);
}

pub async fn a_note_stands_beside_any_result_whose_bytes_came(home: impl Home) {
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
        // Of a profile without a result of this image, it is the result.
        let of_b = under_b(denied(name));
        store.record(std::slice::from_ref(&of_b)).await.unwrap();
        assert_holds(&current(&store, b(), name).await.unwrap(), &of_b);
        let newer = JobRecord { content: content(b"newer"), ..under_b(scored(name, &[30])) };
        store.record(std::slice::from_ref(&newer)).await.unwrap();
        assert_holds(&current(&store, b(), name).await.unwrap(), &newer);
        // Nothing is current under the first profile any more: what gets no bytes now is its
        // result.
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
        stamp: Some(stamp("v2")),
        content: content(b"newer"),
        ..scored(name, &[20])
    };
    for (name, next) in [
        ("same", scored("same", &[10])),
        ("touched", JobRecord { stamp: Some(stamp("v2")), ..scored("touched", &[10]) }),
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
        .record(&[first.clone(), JobRecord { stamp: Some(stamp("v3")), ..denied("one") }])
        .await
        .unwrap();
    assert!(note(&store, a(), "one").await.is_some());
    store.record(&[under_b(newer("one"))]).await.unwrap();
    assert_eq!(note(&store, a(), "one").await, None, "another profile read the same bytes");
    // A job that is over, delivered once more without its bytes, is no news.
    let again = JobRecord { content: None, outcome: Outcome::Failed("reset".into()), ..first };
    assert!(matches!(store.record(&[again]).await.unwrap()[0], Recorded::Ended(_)));
    assert_eq!(note(&store, a(), "one").await, None);
}

pub async fn a_redelivered_job_that_could_not_fetch_takes_nothing_away(home: impl Home) {
    let store = opened(&home).await;
    let first = scored("one", &[10]);
    let unlisted = JobRecord { stamp: None, ..scored("two", &[20]) };
    store.record(&[first.clone(), unlisted.clone()]).await.unwrap();
    let again = [
        unfetched("one", Outcome::Failed("timed out".into())),
        JobRecord {
            job: unlisted.job,
            stamp: None,
            ..unfetched("two", Outcome::Unreadable("gone".into()))
        },
    ];
    let end = End { outcome: OutcomeKind::Scored, reason: None, faces: 1, quality: Some(20) };
    let ends = [End { quality: Some(10), ..end.clone() }, end].map(Recorded::Ended);
    assert_eq!(
        store.record(&again).await.unwrap(),
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
    assert_eq!(store.record(&again).await.unwrap(), ends.clone().map(Recorded::Ended));
    // One and the same batch may hold both deliveries of a job.
    let fresh = record("three", Outcome::NoFace);
    let end = End { outcome: OutcomeKind::NoFace, reason: None, faces: 0, quality: None };
    let both = [fresh.clone(), failed(&fresh)];
    assert_eq!(store.record(&both).await.unwrap(), [Recorded::New, Recorded::Ended(end)]);
    // Its bytes were replaced, and the job comes once more: it takes nothing from those that are
    // there now.
    let newer = JobRecord {
        stamp: Some(stamp("v2")),
        content: content(b"newer"),
        ..record("one", Outcome::NoFace)
    };
    store.record(std::slice::from_ref(&newer)).await.unwrap();
    let unfetched = JobRecord { content: None, ..failed(&scored) };
    assert_eq!(store.record(&[unfetched]).await.unwrap(), [Recorded::Ended(ends[0].clone())]);
    let current =
        images(&store, a()).await.into_iter().find(|image| image.image == newer.image).unwrap();
    assert_eq!(current.outcome, OutcomeKind::NoFace);
    // The same end again is a plain repeat.
    assert_eq!(store.record(&[newer, cut]).await.unwrap(), vec![Recorded::Repeated; 2]);
}

pub async fn a_repeat_remembers_the_new_listed_version(home: impl Home) {
    let store = opened(&home).await;
    store.record(&[scored("one", &[10])]).await.unwrap();
    let touched = JobRecord { stamp: Some(stamp("v2")), ..scored("one", &[10]) };
    assert_eq!(store.record(&[touched]).await.unwrap(), [Recorded::Repeated]);
    assert!(settled(&store, a(), "one", "v2").await);
    let unlisted = JobRecord { stamp: None, ..scored("one", &[10]) };
    assert_eq!(store.record(&[unlisted]).await.unwrap(), [Recorded::Repeated]);
    assert!(settled(&store, a(), "one", "v2").await);
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
                let fates = store.record(batch).await.unwrap();
                written += fates.iter().filter(|fate| **fate == Recorded::New).count();
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

pub async fn an_enrolment_of_bytes_that_were_scanned_tells_their_subject(home: impl Home) {
    let store = opened(&home).await;
    store.record(&[scored("one", &[10]), scored("two", &[20])]).await.unwrap();
    let subjects = async |names: [Option<&str>; 2]| {
        let stored: Vec<_> =
            images(&store, a()).await.into_iter().map(|image| image.subject).collect();
        assert_eq!(stored, names.map(|name| name.map(|name| name.parse().unwrap())));
    };
    let enrolled = |subject: &str| JobRecord {
        subject: Some(subject.parse().unwrap()),
        ..scored("one", &[10])
    };
    for subject in ["ann", "anne"] {
        assert_eq!(
            store.record(&[enrolled(subject), scored("two", &[20])]).await.unwrap(),
            vec![Recorded::Repeated; 2]
        );
        subjects([Some(subject), None]).await;
    }
    // A scan that comes later knows no subject, and takes none away.
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
    assert_eq!(other.record(&[scored("one", &[10])]).await.unwrap(), [Recorded::Repeated]);
}
