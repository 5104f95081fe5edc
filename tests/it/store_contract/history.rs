//! Everything that is known of one image.

use facefleet::domain::{GalleryName, ImageId, JobRecord, Outcome, OutcomeKind};
use facefleet::store::{ImageKey, KnownResult, ResultState};

use super::{Home, a, assert_holds, b, opened, under_b};
use crate::support::{content, gallery, record, scored, stamp, unfetched, uri, with_job};

use ResultState::{Current, Noted, Superseded};

fn key(name: &str) -> ImageKey {
    ImageKey::Uris(vec![uri(name)])
}

fn states(results: &[KnownResult]) -> Vec<(String, ResultState, OutcomeKind)> {
    let state = |known: &KnownResult| (known.gallery.to_string(), known.state, known.image.outcome);
    results.iter().map(state).collect()
}

pub async fn the_history_of_an_image_has_every_gallery_profile_and_version(home: impl Home) {
    let store = opened(&home).await;
    let visitors: GalleryName = "visitors".parse().unwrap();
    let old = scored("one", &[10, 20]);
    let elsewhere = with_job(record("one", Outcome::NoFace), |job| job.gallery = visitors.clone());
    store.record(&[under_b(scored("one", &[11]))]).await.unwrap();
    store.record(&[old.clone(), elsewhere, scored("other", &[5])]).await.unwrap();
    let newer = JobRecord {
        content: content(b"newer"),
        ..with_job(scored("one", &[50]), |job| job.stamp = Some(stamp("v2")))
    };
    store.record(std::slice::from_ref(&newer)).await.unwrap();
    let denied = with_job(unfetched("one", Outcome::Refused("denied".into())), |job| {
        job.stamp = Some(stamp("v3"));
    });
    store.record(std::slice::from_ref(&denied)).await.unwrap();

    let results = store.history(&key("one"), None).await.unwrap();
    let staff = || gallery().to_string();
    let (scored, refused) = (OutcomeKind::Scored, OutcomeKind::Refused);
    assert_eq!(
        states(&results),
        [
            (staff(), Current, scored),
            (staff(), Noted, refused),
            (staff(), Superseded, scored),
            (staff(), Superseded, scored),
            (visitors.to_string(), Current, OutcomeKind::NoFace),
        ]
    );
    let profiles: Vec<_> = results.iter().map(|known| known.profile.clone()).collect();
    assert_eq!(profiles, [a(), a(), a(), b(), a()], "the profile of the latest record first");
    for (known, record) in results.iter().zip([&newer, &denied, &old]) {
        assert_holds(&without_templates(known, record), record);
    }
    let note = results[0].image.noted.as_ref().unwrap();
    assert_eq!((note.outcome, note.reason.as_deref()), (refused, Some("denied")));
    assert!(results[1..].iter().all(|known| known.image.noted.is_none()));

    let one_gallery = store.history(&key("one"), Some(&visitors)).await.unwrap();
    assert_eq!(one_gallery, results[4..]);
    let id = ImageKey::Id(results[2].image.id);
    assert_eq!(store.history(&id, None).await.unwrap(), results, "any version names the image");
}

/// `known` with the templates of `record`: a history has none.
fn without_templates(known: &KnownResult, record: &JobRecord) -> facefleet::store::StoredImage {
    let mut image = known.image.clone();
    for (stored, recorded) in image.faces.iter_mut().zip(record.outcome.faces()) {
        assert_eq!(stored.template, None);
        stored.template = recorded.recognition.as_ref().map(|found| found.template.clone());
    }
    image
}

pub async fn an_unknown_image_has_no_history(home: impl Home) {
    let store = opened(&home).await;
    store.record(&[scored("one", &[10])]).await.unwrap();
    for key in [key("two"), ImageKey::Uris(Vec::new()), ImageKey::Id(ImageId(i64::MAX))] {
        assert_eq!(store.history(&key, None).await.unwrap(), []);
    }
    let elsewhere = Some("visitors".parse().unwrap());
    assert_eq!(store.history(&key("one"), elsewhere.as_ref()).await.unwrap(), []);
    let several = ImageKey::Uris(vec![uri("two"), uri("one"), uri("one")]);
    assert_eq!(store.history(&several, None).await.unwrap().len(), 1);
}
