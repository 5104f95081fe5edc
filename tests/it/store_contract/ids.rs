//! The ids of images and faces: stable, and the same wherever they appear.

use facefleet::domain::{FaceId, ImageId, JobRecord, Outcome};
use facefleet::store::{Effect, Extreme, Store};

use super::{Home, a, b, images, opened, under_b};
use crate::support::{content, gallery, scored, stamp, unfetched, with_job};

async fn id(store: &dyn Store, record: &JobRecord) -> ImageId {
    store.record(std::slice::from_ref(record)).await.unwrap()[0].image
}

pub async fn an_image_has_one_id_under_every_profile(home: impl Home) {
    let store = opened(&home).await;
    let one = scored("one", &[10]);
    let first = id(&*store, &one).await;
    assert_eq!(id(&*store, &one).await, first, "a repeat");
    assert_eq!(id(&*store, &under_b(scored("one", &[20]))).await, first, "another profile");
    let newer = JobRecord { content: content(b"newer"), ..scored("one", &[30]) };
    let second = id(&*store, &newer).await;
    assert_ne!(second, first, "other bytes at the same URI");
    assert_eq!(id(&*store, &under_b(newer)).await, second);
    assert_eq!(id(&*store, &one).await, first, "the old bytes came back");
    let visitors = with_job(one, |job| job.gallery = "visitors".parse().unwrap());
    assert!(![first, second].contains(&id(&*store, &visitors).await), "another gallery");
    // The order of profiles makes no difference, nor does one batch.
    let both = [under_b(scored("two", &[10])), scored("two", &[20]), scored("three", &[1])];
    let ids: Vec<_> = store.record(&both).await.unwrap().iter().map(|one| one.image).collect();
    assert_eq!(ids[0], ids[1]);
    assert_ne!(ids[0], ids[2]);
}

pub async fn a_record_without_bytes_has_the_id_of_an_image(home: impl Home) {
    let store = opened(&home).await;
    let missing = unfetched("one", Outcome::Failed("timed out".into()));
    let without_bytes = id(&*store, &missing).await;
    assert_eq!(images(&store, a()).await[0].id, without_bytes);
    assert_eq!(id(&*store, &missing).await, without_bytes, "the same job again");
    assert_eq!(id(&*store, &under_b(missing)).await, without_bytes, "another profile");
    let one = scored("one", &[10]);
    let with_bytes = id(&*store, &one).await;
    assert_ne!(with_bytes, without_bytes);
    // A redelivery that gets no bytes repeats the result with bytes, and has its id.
    let again =
        JobRecord { content: None, outcome: Outcome::Failed("reset".into()), ..one.clone() };
    let answer = store.record(&[again]).await.unwrap().remove(0);
    assert!(matches!(answer.effect, Effect::Ended(_)), "{answer:?}");
    assert_eq!(answer.image, with_bytes);
    // A note is a record of the image without bytes.
    let denied = unfetched("one", Outcome::Refused("denied".into()));
    let denied = with_job(denied, |job| job.stamp = Some(stamp("v2")));
    assert_eq!(id(&*store, &denied).await, without_bytes);
    assert_eq!(images(&store, a()).await[0].id, with_bytes);
}

pub async fn ids_agree_in_records_pages_and_lists(home: impl Home) {
    let store = opened(&home).await;
    let records = [scored("one", &[10, 90]), scored("two", &[50]), under_b(scored("one", &[30]))];
    let recorded = store.record(&records).await.unwrap();
    let (under_a, under_b) = (images(&store, a()).await, images(&store, b()).await);
    assert_eq!(
        under_a.iter().map(|image| image.id).collect::<Vec<_>>(),
        [recorded[0].image, recorded[1].image]
    );
    assert_eq!(under_b[0].id, recorded[2].image);
    assert_eq!(under_b[0].id, under_a[0].id);
    let second = FaceId { image: recorded[0].image, index: 1 };
    assert_eq!(under_a[0].faces[1].id, second);
    assert_eq!(second.to_string().parse::<FaceId>().unwrap(), second);
    let best = store.extremes(&gallery(), &a(), Extreme::Best, 3).await.unwrap();
    let ids: Vec<_> = best.iter().map(|face| face.id).collect();
    let of = |image: usize, index| FaceId { image: recorded[image].image, index };
    assert_eq!(ids, [of(0, 1), of(1, 0), of(0, 0)]);
}
