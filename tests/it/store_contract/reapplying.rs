//! What a restored backup brought back is erased again, by the keyed hashes of its receipts.

use std::sync::Arc;

use facefleet::domain::{
    ErasedBefore, Erasure, ErasureMarks, ErasurePlace, ErasureTarget, Lane, ListedChunk, Verdict,
};
use facefleet::store::{Judged, NewCuration, Reapplicable, Recorded, Store};

use super::campaigns::begun;
use super::enrolments::{decided, enrolment, name, subject};
use super::erasing::{
    OF_IMAGES, are_erased, counts, elsewhere, erasure, of_image, of_subject, uris, with_bytes,
};
use super::verdicts::{curation, image, judge, log};
use super::{Home, opened};
use crate::support::{content, gallery, job, scored, uri, with_job};

/// Erasures are forgotten, as in a backup from before them.
pub async fn restored(home: &impl Home) -> Arc<dyn Store> {
    for table in ["tombstones", "erasure_contents", "erasures"] {
        let forget = format!("DELETE FROM {table}");
        home.change(&forget, &forget).await;
    }
    home.open().await
}

/// What the receipt of an erasure says.
pub async fn receipt(store: &Arc<dyn Store>, erasure: &Erasure) -> ErasedBefore {
    ErasedBefore {
        id: erasure.id,
        gallery: erasure.gallery.clone(),
        kind: erasure.kind,
        target: erasure.target.clone(),
        marks: Some(store.erasure_marks(erasure.id).await.unwrap()),
        by: "Rita".parse().unwrap(),
    }
}

/// Two people; an image that both have, one that is a label's alone, and a reason that names Ann.
async fn fill(store: &Arc<dyn Store>, verdict: Verdict) {
    for (image, of, degrees) in [
        ("one", "Ann", 0.0),
        ("two", "Ann", 20.0),
        ("shared", "Ann", 40.0),
        ("shared", "Bob", 40.0),
        ("bobs", "Bob", 60.0),
    ] {
        decided(store, &enrolment(image, of, 60, degrees)).await;
    }
    let labelled = with_job(scored("labelled", &[50]), |job| job.subject = Some(name("Ann")));
    store.record(&[labelled, scored("nobodys", &[30])]).await.unwrap();
    let verdicts = vec![(image(store, "nobodys").await, verdict)];
    let reason = Some("looks like Ann".parse().unwrap());
    let new = NewCuration { reason, ..curation(verdicts) };
    assert!(matches!(store.judge(&new).await.unwrap(), Judged::Written { .. }));
}

pub async fn a_person_that_came_back_is_erased_again(home: impl Home) {
    let store = opened(&home).await;
    fill(&store, Verdict::Exclude).await;
    decided(&store, &enrolment("late", "Ann", 60, 80.0)).await;
    let bob = subject(&store, "Bob").await;
    let erased = store.erase(&of_subject("Ann")).await.unwrap();
    let before = receipt(&store, &erased).await;
    let store = restored(&home).await;
    // The backup is from before the late image.
    fill(&store, Verdict::Restore).await;
    assert_eq!(store.can_reapply(&before).await.unwrap(), Reapplicable::Yes);

    let erasable = store.reapplicable(&before).await.unwrap();
    assert_eq!(counts(&erasable.counts, &OF_IMAGES), [3, 3, 3, 3, 1]);
    assert_eq!(erasable.contents.len(), 3);
    assert_eq!((store.erasures().await.unwrap(), uris(&store).await.len()), (Vec::new(), 6));

    let again = store.reapply(&before).await.unwrap();
    assert_eq!(
        (again.id, &again.target, again.by.to_string().as_str()),
        (erased.id, &erased.target, "Rita")
    );
    assert_eq!(counts(&again.counts, &OF_IMAGES), [3, 3, 3, 3, 1]);
    let of_people = [ErasurePlace::Subjects, ErasurePlace::References, ErasurePlace::Decisions];
    assert_eq!(counts(&again.counts, &of_people), [1, 3, 3]);
    assert_eq!(
        uris(&store).await,
        ["bobs", "nobodys", "shared"].map(|name| uri(name).as_str().to_owned())
    );
    assert_eq!(subject(&store, "Bob").await.references.len(), bob.references.len());
    assert!(log(&store).await.iter().all(|verdict| verdict.reason.is_none()));
    assert_eq!(store.erased_contents(again.id).await.unwrap().len(), 3);
    assert_eq!(store.remains(&again).await.unwrap(), 0);
    assert_eq!(receipt(&store, &again).await, before);
    // What the backup did not have is not accepted either.
    let late = [scored("late", &[50]), enrolment("new", "Ann", 60, 0.0), scored("other", &[50])];
    assert_eq!(are_erased(&store, &late).await, [true, true, false]);

    let twice = store.reapply(&before).await.unwrap();
    assert_eq!((twice.id, twice.counts.removed()), (again.id, again.counts.removed()));
    assert_eq!(uris(&store).await.len(), 4);
}

pub async fn a_person_that_has_another_name_in_the_backup_is_erased_by_their_images(
    home: impl Home,
) {
    let store = opened(&home).await;
    decided(&store, &enrolment("one", "Ann", 60, 0.0)).await;
    let erased = store.erase(&of_subject("Ann")).await.unwrap();
    let before = receipt(&store, &erased).await;
    let store = restored(&home).await;
    decided(&store, &enrolment("one", "Anna", 60, 0.0)).await;
    store.record(&[with_bytes(b"one", scored("copy", &[50])), scored("two", &[50])]).await.unwrap();
    let again = store.reapply(&before).await.unwrap();
    assert_eq!(counts(&again.counts, &OF_IMAGES), [2, 2, 2, 2, 0]);
    assert_eq!(uris(&store).await, [uri("two").as_str()]);
    assert_eq!(store.remains(&again).await.unwrap(), 0);
}

pub async fn an_image_and_a_gallery_that_came_back_are_erased_again(home: impl Home) {
    let store = opened(&home).await;
    let fill = async |store: &Arc<dyn Store>| {
        let copy = with_bytes(b"one", scored("copy", &[50]));
        let records = [scored("one", &[50]), copy, scored("two", &[60])];
        store.record(&records).await.unwrap();
        store.record(&[elsewhere(scored("one", &[50]))]).await.unwrap();
        let campaign = begun(store).await;
        let to = Some(uri("one").as_str().to_owned());
        let chunk = ListedChunk { listed: 1, skipped: Vec::new(), from: None, to };
        store.note_listed(campaign.id.into(), &chunk).await.unwrap();
        store.end_listing(campaign.id.into()).await.unwrap();
        campaign.id
    };
    fill(&store).await;
    let erased = store.erase(&of_image("one")).await.unwrap();
    let of_image = receipt(&store, &erased).await;
    let store = restored(&home).await;
    let campaign = fill(&store).await;
    let again = store.reapply(&of_image).await.unwrap();
    assert_eq!(counts(&again.counts, &OF_IMAGES), [2, 2, 2, 2, 0]);
    assert_eq!(again.counts.of(ErasurePlace::Campaigns), 1);
    let progress = store.campaign(campaign).await.unwrap().unwrap().progress;
    assert_eq!(progress.chunk_to, None, "the position named it");
    assert_eq!(uris(&store).await, [uri("two").as_str()]);
    assert_eq!(store.remains(&again).await.unwrap(), 0);

    let erased = store.erase(&erasure(ErasureTarget::Gallery)).await.unwrap();
    let of_gallery = receipt(&store, &erased).await;
    let store = restored(&home).await;
    fill(&store).await;
    assert!(!store.is_gallery_erased(&gallery()).await.unwrap());
    let again = store.reapply(&of_gallery).await.unwrap();
    assert_eq!(counts(&again.counts, &OF_IMAGES), [3, 3, 3, 3, 0]);
    assert_eq!(store.galleries().await.unwrap().len(), 1);
    assert!(store.is_gallery_erased(&gallery()).await.unwrap());
    assert_eq!(are_erased(&store, &[scored("new", &[50])]).await, [true]);
}

pub async fn a_receipt_that_says_nothing_here_erases_nothing(home: impl Home) {
    let store = opened(&home).await;
    fill(&store, Verdict::Exclude).await;
    let erased = store.erase(&of_subject("Ann")).await.unwrap();
    let before = receipt(&store, &erased).await;
    let store = restored(&home).await;
    fill(&store, Verdict::Restore).await;
    let of_key = |key: String| {
        let marks = before.marks.clone().map(|marks| ErasureMarks { key, ..marks });
        ErasedBefore { marks, ..before.clone() }
    };
    let other = of_key("0".repeat(64));
    assert_eq!(store.can_reapply(&other).await.unwrap(), Reapplicable::OtherKey);
    assert!(store.reapply(&other).await.is_err());
    let damaged = ErasedBefore { target: "ann".into(), ..before.clone() };
    assert!(store.can_reapply(&damaged).await.is_err());
    let unknown = ErasedBefore {
        marks: None,
        target: before.target.replace(['0', '1', '2'], "3"),
        ..before.clone()
    };
    assert_eq!(store.can_reapply(&unknown).await.unwrap(), Reapplicable::Unknown);
    assert_eq!((store.erasures().await.unwrap(), uris(&store).await.len()), (Vec::new(), 6));
    // A receipt of an older version has the name's hash alone.
    let old = ErasedBefore { marks: None, ..before };
    assert_eq!(store.can_reapply(&old).await.unwrap(), Reapplicable::Yes);
    let again = store.reapply(&old).await.unwrap();
    assert_eq!(counts(&again.counts, &OF_IMAGES), [3, 3, 3, 3, 1]);
    assert_eq!(store.can_reapply(&old).await.unwrap(), Reapplicable::Yes);
}

pub async fn nothing_that_is_recorded_meanwhile_survives_an_erasure_that_is_done_again(
    home: impl Home,
) {
    const IMAGES: u16 = 30;
    let store = opened(&home).await;
    let records = |image: u16| {
        let new = format!("new-{image}");
        [enrolment(&new, "Ann", 60, f32::from(image)), scored("one", &[50])]
    };
    store.record(&records(0)).await.unwrap();
    let erased = [
        store.erase(&of_subject("Ann")).await.unwrap(),
        store.erase(&of_image("one")).await.unwrap(),
    ];
    let before = [receipt(&store, &erased[0]).await, receipt(&store, &erased[1]).await];
    let (store, other) = (restored(&home).await, home.open().await);
    let recording = tokio::spawn(async move {
        let mut erased = 0;
        for image in 0..IMAGES {
            let recorded = other.record(&records(image)).await.unwrap();
            erased += u16::from(recorded.iter().any(Recorded::is_erased));
            tokio::task::yield_now().await;
        }
        erased
    });
    while uris(&store).await.len() < 5 {
        tokio::task::yield_now().await;
    }
    for before in &before {
        store.reapply(before).await.unwrap();
    }
    recording.await.unwrap();
    assert_eq!(uris(&store).await, [""; 0]);
    assert_eq!(store.subject(&gallery(), &name("Ann")).await.unwrap(), None);
}

pub async fn an_erased_image_is_known_by_its_number(home: impl Home) {
    let store = opened(&home).await;
    store.record(&[scored("one", &[50]), scored("two", &[50])]).await.unwrap();
    let [one, two] = [image(&store, "one").await, image(&store, "two").await];
    let erased = store.erase(&of_image("one")).await.unwrap();
    let found = store.erasure_of_number(&gallery(), one).await.unwrap();
    assert_eq!(found.map(|erasure| erasure.id), Some(erased.id));
    assert_eq!(store.erasure_of_number(&gallery(), two).await.unwrap(), None);
    let elsewhere = "elsewhere".parse().unwrap();
    assert_eq!(store.erasure_of_number(&elsewhere, one).await.unwrap(), None);
}

pub async fn whether_something_is_known_is_told_without_a_trial(home: impl Home) {
    let store = opened(&home).await;
    decided(&store, &enrolment("one", "Ann", 60, 0.0)).await;
    let labelled = with_job(scored("two", &[50]), |job| job.subject = Some(name("Lea")));
    store.record(&[labelled]).await.unwrap();
    let two = image(&store, "two").await;
    judge(&store, vec![(two, Verdict::Reassign(name("Vera")))]).await;
    let campaign = begun(&store).await;
    let to = Some(uri("listed").as_str().to_owned());
    let chunk = ListedChunk { listed: 1, skipped: Vec::new(), from: None, to };
    store.note_listed(campaign.id.into(), &chunk).await.unwrap();
    let (here, there) = (gallery(), "elsewhere".parse().unwrap());
    let known = async |target: ErasureTarget| {
        assert!(!store.is_known(&there, &target).await.unwrap());
        store.is_known(&here, &target).await.unwrap()
    };
    for of in ["Ann", "Lea", "Vera"] {
        assert!(known(ErasureTarget::Subject(name(of))).await, "{of}");
    }
    for of in ["one", "two", "listed"] {
        assert!(known(ErasureTarget::Image(uri(of))).await, "{of}");
    }
    assert!(known(ErasureTarget::Gallery).await);
    assert!(!known(ErasureTarget::Subject(name("An"))).await);
    assert!(!known(ErasureTarget::Image(uri("three"))).await);
}

pub async fn contents_that_another_gallery_has_are_no_remains(home: impl Home) {
    let store = opened(&home).await;
    store.record(&[scored("one", &[50]), scored("two", &[50])]).await.unwrap();
    store.record(&[elsewhere(scored("one", &[50]))]).await.unwrap();
    for image in ["one", "two"] {
        store.erase(&of_image(image)).await.unwrap();
    }
    let contents = [b"one" as &[u8], b"two", b"new"].map(|of| content(of).unwrap().hash);
    assert_eq!(store.erased_among(&gallery(), &contents).await.unwrap(), [false, true, false]);
    let jobs = [job(Lane::Scan, "one")];
    assert_eq!(store.are_erased(&jobs).await.unwrap(), [true], "here, it is erased all the same");
}
