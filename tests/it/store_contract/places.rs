//! What somebody else has at the place of an erased image.

use std::path::Path;
use std::sync::Arc;

use facefleet::domain::{
    Campaign, CampaignId, ErasurePlace, ErasureTarget, ImageUri, JobRecord, TakenBecause,
    TakenImage,
};
use facefleet::store::Store;

use super::campaigns::begun;
use super::enrolments::{decided, enrolment, name, subject};
use super::erasing::{OF_IMAGES, are_erased, counts, erasure, of_image, of_subject, with_bytes};
use super::reapplying::{receipt, restored};
use super::verdicts::image;
use super::{Home, opened, under_b};
use crate::support::{scored, uri, with_job};

const STAYS: [ErasurePlace; 2] = [ErasurePlace::Kept, ErasurePlace::OthersThere];

/// Other versions at the place of Ann's photo `one`: Bob's, one of the same bytes as Bob's `bobs`,
/// and nobody's.
async fn others_at_one(store: &Arc<dyn Store>) {
    decided(store, &enrolment("bobs", "Bob", 60, 60.0)).await;
    decided(store, &with_bytes(b"bob", enrolment("one", "Bob", 60, 80.0))).await;
    let records = [b"bobs" as &[u8], b"nobody"].map(|bytes| with_bytes(bytes, scored("one", &[9])));
    store.record(&records).await.unwrap();
}

fn of_ann(record: JobRecord) -> JobRecord {
    with_job(record, |job| job.subject = Some(name("Ann")))
}

pub async fn what_others_have_at_an_erased_place_stays_when_it_is_erased_again(home: impl Home) {
    let store = opened(&home).await;
    decided(&store, &enrolment("one", "Ann", 60, 0.0)).await;
    let erased = store.erase(&of_subject("Ann")).await.unwrap();
    let before = receipt(&store, &erased).await;
    let store = restored(&home).await;
    decided(&store, &enrolment("one", "Ann", 60, 0.0)).await;
    others_at_one(&store).await;
    let bob = subject(&store, "Bob").await;

    let trial = store.reapplicable(&before).await.unwrap();
    let again = store.reapply(&before).await.unwrap();
    for found in [&trial.counts, &again.counts] {
        assert_eq!(counts(found, &OF_IMAGES)[0], 2, "Ann's and nobody's: {found:?}");
        assert_eq!(counts(found, &STAYS), [0, 2]);
    }
    assert_eq!(subject(&store, "Bob").await, bob);
    assert_eq!(store.remains(&again).await.unwrap(), 0, "what is Bob's is not looked for");
    let twice = store.reapply(&before).await.unwrap();
    assert_eq!(twice.counts, again.counts);
    // Also if the backup does not have the person at all.
    let store = restored(&home).await;
    let again = store.reapply(&before).await.unwrap();
    assert_eq!((counts(&again.counts, &OF_IMAGES)[0], counts(&again.counts, &STAYS)[1]), (0, 2));
    assert_eq!((subject(&store, "Bob").await, store.remains(&again).await.unwrap()), (bob, 0));
}

pub async fn an_image_that_is_erased_again_takes_nobody_elses_with_it(home: impl Home) {
    let store = opened(&home).await;
    let records =
        ["one", "older"].map(|bytes| of_ann(with_bytes(bytes.as_bytes(), scored("one", &[50]))));
    store.record(&records[..1]).await.unwrap();
    let erased = store.erase(&of_image("one")).await.unwrap();
    let before = receipt(&store, &erased).await;
    let store = restored(&home).await;
    store.record(&records).await.unwrap();
    others_at_one(&store).await;
    let bob = subject(&store, "Bob").await;
    let again = store.reapply(&before).await.unwrap();
    assert_eq!(counts(&again.counts, &OF_IMAGES)[0], 3, "Ann's two and nobody's");
    assert_eq!(counts(&again.counts, &STAYS), [0, 2]);
    assert_eq!((subject(&store, "Bob").await, store.remains(&again).await.unwrap()), (bob, 0));
}

pub async fn an_erased_person_takes_nobody_elses_bytes_from_their_places(home: impl Home) {
    let store = opened(&home).await;
    decided(&store, &enrolment("one", "Ann", 60, 0.0)).await;
    others_at_one(&store).await;
    let bob = subject(&store, "Bob").await;
    let erased = store.erase(&of_subject("Ann")).await.unwrap();
    assert_eq!(counts(&erased.counts, &OF_IMAGES)[0], 2, "Ann's and nobody's");
    assert_eq!(counts(&erased.counts, &STAYS), [0, 2]);
    assert_eq!((subject(&store, "Bob").await, store.remains(&erased).await.unwrap()), (bob, 0));
    // The place is Bob's: his photo is accepted there again.
    let again = [with_bytes(b"bob", scored("one", &[9])), of_ann(scored("other", &[9]))];
    assert_eq!(are_erased(&store, &again).await, [false, true]);
}

pub async fn an_image_that_is_named_by_its_number_leaves_what_others_have_at_its_place(
    home: impl Home,
) {
    let store = opened(&home).await;
    decided(&store, &enrolment("one", "Ann", 60, 0.0)).await;
    let ann = image(&store, "one").await;
    others_at_one(&store).await;
    store.record(&[with_bytes(b"one", scored("copy", &[50]))]).await.unwrap();
    let bob = subject(&store, "Bob").await;
    let of_place = store.erasable(&of_image("one")).await.unwrap().images;
    assert!(TakenImage::of_different_people(&of_place).is_some());
    let numbered = erasure(ErasureTarget::Numbered(ann, uri("one")));
    let taken = store.erasable(&numbered).await.unwrap().images;
    let found =
        taken.iter().map(|image| (image.uri.clone(), image.subjects.clone(), image.because));
    let mut found: Vec<_> = found.collect();
    found.sort_by_key(|(uri, subjects, _)| (uri.clone(), subjects.len()));
    let expected = [
        (uri("copy"), vec![name("Ann")], TakenBecause::Bytes),
        (uri("one"), Vec::new(), TakenBecause::Place),
        (uri("one"), vec![name("Ann")], TakenBecause::Bytes),
    ];
    assert_eq!(found, expected);
    assert_eq!(TakenImage::of_different_people(&taken), None);

    let erased = store.erase(&numbered).await.unwrap();
    assert_eq!(counts(&erased.counts, &OF_IMAGES)[0], 3);
    assert_eq!(counts(&erased.counts, &STAYS), [0, 2]);
    assert_eq!((subject(&store, "Bob").await, store.remains(&erased).await.unwrap()), (bob, 0));
    let again = [
        with_bytes(b"bob", under_b(scored("one", &[9]))),
        scored("one", &[50]),
        with_bytes(b"one", scored("other", &[50])),
    ];
    assert_eq!(are_erased(&store, &again).await, [false, true, true]);
    let before = receipt(&store, &erased).await;
    let again = store.reapply(&before).await.unwrap();
    assert_eq!(again.counts.removed(), erased.counts.removed(), "nothing is left");
}

pub async fn a_campaigns_place_that_is_named_after_an_erased_person_is_forgotten(home: impl Home) {
    let store = opened(&home).await;
    decided(&store, &enrolment("one", "Ann", 60, 0.0)).await;
    let of = async |source: &str| {
        let campaign =
            Campaign { id: CampaignId::new(), source: source.into(), ..begun(&store).await };
        store.begin_campaign(&campaign, None).await.unwrap();
        campaign.id
    };
    let source = async |id| store.campaign(id).await.unwrap().unwrap().source;
    let (hers, annas) = (of("/photos/Bob, /photos/Ann").await, of("/photos/Anna").await);
    let erased = store.erase(&of_subject("Ann")).await.unwrap();
    assert_eq!(erased.counts.of(ErasurePlace::Campaigns), 1);
    assert_eq!([source(hers).await, source(annas).await], ["(erased)", "/photos/Anna"]);
    assert_eq!(store.remains(&erased).await.unwrap(), 0);

    // Scans afterwards name her and her photo again; the same command takes them out.
    let file = ImageUri::from_path(Path::new("/photos/two.jpg")).unwrap();
    decided(&store, &at(&file, enrolment("two", "Cid", 60, 40.0))).await;
    let cid = store.erase(&of_subject("Cid")).await.unwrap();
    let later = [of("/photos/Ann/").await, of("/photos/two.jpg").await];
    for (erasure, name, id) in [(&erased, "Ann", later[0]), (&cid, "Cid", later[1])] {
        assert_eq!(store.remains(erasure).await.unwrap(), 1, "{name}");
        store.erase(&of_subject(name)).await.unwrap();
        assert_eq!(source(id).await, "(erased)");
        assert_eq!(store.remains(erasure).await.unwrap(), 0, "{name}");
    }
}

fn at(image: &ImageUri, record: JobRecord) -> JobRecord {
    with_job(record, |job| job.image = image.clone())
}
