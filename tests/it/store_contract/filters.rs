//! Pages of some images alone.

use std::time::Duration;

use facefleet::domain::{ImageUri, JobRecord, Outcome, OutcomeKind};
use facefleet::store::{ImageKey, PageFilter, PageQuery, Store};

use super::{Home, a, b, opened, recorded_at, under_b, whole_page};
use crate::support::{content, face, gallery, record, scored, stamp, unfetched, uri, with_job};

/// The images of all pages of two images each, by name.
async fn names(store: &dyn Store, outcomes: &[OutcomeKind], filter: &PageFilter) -> Vec<String> {
    let filter = filter.clone();
    let mut query = PageQuery { outcomes: outcomes.to_vec(), filter, limit: 2, ..whole_page(a()) };
    let mut names = Vec::new();
    loop {
        let page = store.page(&query).await.unwrap();
        assert!(page.len() <= 2);
        let Some(last) = page.last() else { return names };
        query.after = last.cursor;
        let name = |uri: &ImageUri| {
            let path = uri.to_path().unwrap();
            path.file_stem().unwrap().to_str().unwrap().to_owned()
        };
        names.extend(page.iter().map(|image| name(&image.image)));
    }
}

pub async fn pages_of_a_range_of_quality_have_images_with_such_a_face(home: impl Home) {
    let store = opened(&home).await;
    let mut unscored = face(60);
    unscored.recognition = None;
    let records = [
        scored("low", &[10, 20]),
        scored("mixed", &[90, 15]),
        record("empty", Outcome::NoFace),
        scored("middle", &[50]),
        record("part", Outcome::Scored(vec![face(0), unscored])),
        scored("high", &[100]),
        under_b(scored("low", &[99])),
    ];
    store.record(&records).await.unwrap();
    let range =
        |min_quality, max_quality| PageFilter { min_quality, max_quality, ..PageFilter::default() };
    for (low, high, expected) in [
        (Some(50), None, vec!["mixed", "middle", "high"]),
        (None, Some(15), vec!["low", "mixed", "part"]),
        (Some(16), Some(89), vec!["low", "middle"]),
        (Some(100), Some(100), vec!["high"]),
        (None, Some(0), vec!["part"]),
        (Some(91), Some(99), vec![]),
        (Some(0), None, vec!["low", "mixed", "middle", "part", "high"]),
    ] {
        assert_eq!(names(&*store, &[], &range(low, high)).await, expected, "{low:?} {high:?}");
    }
    let query = PageQuery { filter: range(Some(90), Some(95)), ..whole_page(a()) };
    let page = store.page(&query).await.unwrap();
    assert_eq!(page[0].faces.len(), 2, "all faces of the image come");
    let none = names(&*store, &[OutcomeKind::NoFace], &range(Some(0), None)).await;
    assert!(none.is_empty(), "{none:?}");
}

pub async fn pages_of_named_images_have_their_current_results(home: impl Home) {
    let store = opened(&home).await;
    let elsewhere = with_job(scored("one", &[9]), |job| job.gallery = "visitors".parse().unwrap());
    let records = [scored("one", &[10]), scored("two", &[20]), scored("three", &[30]), elsewhere];
    store.record(&records).await.unwrap();
    store.record(&[under_b(scored("one", &[40]))]).await.unwrap();
    let newer = with_job(scored("two", &[70]), |job| job.stamp = Some(stamp("v2")));
    store.record(&[JobRecord { content: content(b"newer"), ..newer }]).await.unwrap();

    let of = |images: &[&str]| PageFilter {
        images: Some(images.iter().map(|name| uri(name)).collect()),
        ..PageFilter::default()
    };
    assert_eq!(names(&*store, &[], &of(&["one"])).await, ["one"]);
    let three = of(&["three", "never seen", "two", "one", "one"]);
    assert_eq!(names(&*store, &[], &three).await.len(), 3, "a repeated name has one result");
    assert!(names(&*store, &[], &of(&["never seen"])).await.is_empty());
    assert!(names(&*store, &[OutcomeKind::Failed], &of(&["one"])).await.is_empty());
    let good = PageFilter { min_quality: Some(30), ..of(&["one", "two"]) };
    assert_eq!(names(&*store, &[], &good).await, ["two"]);

    let page = |profile| PageQuery { filter: of(&["one"]), ..whole_page(profile) };
    for (profile, quality) in [(a(), 10), (b(), 40)] {
        let found = store.page(&page(profile)).await.unwrap();
        assert_eq!((found.len(), found[0].faces[0].quality), (1, Some(quality)));
    }
    let unknown = PageQuery { gallery: "nobody".parse().unwrap(), ..page(a()) };
    assert!(store.page(&unknown).await.unwrap().is_empty());
}

pub async fn an_image_is_found_by_the_uri_that_is_shown(home: impl Home) {
    let store = opened(&home).await;
    let of = |text: &str| text.parse::<ImageUri>().unwrap();
    let at = |uri: &str| with_job(scored(uri, &[10]), |job| job.image = of(uri));
    let stored = [
        "https://host/a.jpg?sig=1",
        "https://host/a.jpg?sig=2&x=?",
        "https://host/a.jpg",
        "https://host/a.jpg2?sig=3",
        "https://host/a.jp?g",
        "https://host/b.jpg?sig=4",
    ];
    store.record(&stored.map(at)).await.unwrap();
    let found = async |images: &[&str]| {
        let images = images.iter().map(|image| of(image)).collect();
        let filter = PageFilter { images: Some(images), ..PageFilter::default() };
        let page = store.page(&PageQuery { filter, ..whole_page(a()) }).await.unwrap();
        page.iter().map(|image| image.image.as_str().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(found(&["https://host/a.jpg"]).await, stored[..3]);
    assert_eq!(found(&["https://host/b.jpg"]).await, stored[5..]);
    assert_eq!(found(&["https://host/a.jpg?sig=1"]).await, stored[..1]);
    assert!(found(&["https://host/"]).await.is_empty());
    assert!(found(&[]).await.is_empty(), "no image is not every image");
    let key = ImageKey::Uris(vec![of("https://host/a.jpg")]);
    assert_eq!(store.history(&key, None).await.unwrap().len(), 3);
}

pub async fn pages_since_a_time_have_what_was_recorded_then(home: impl Home) {
    let store = opened(&home).await;
    store.record(&[scored("old", &[10]), scored("rescored", &[20])]).await.unwrap();
    tokio::time::sleep(Duration::from_millis(30)).await;
    let failed = unfetched("failed", Outcome::Failed("reset".into()));
    store.record(&[failed, scored("new", &[30])]).await.unwrap();
    let page = store.page(&whole_page(a())).await.unwrap();
    let times: Vec<jiff::Timestamp> = page.iter().map(recorded_at).collect();
    let since = |time| PageFilter { since: Some(time), ..PageFilter::default() };
    assert_eq!(names(&*store, &[], &since(times[0])).await.len(), 4, "that very time counts");
    assert_eq!(names(&*store, &[], &since(times[2])).await, ["failed", "new"]);
    let scored = names(&*store, &[OutcomeKind::Scored], &since(times[2])).await;
    assert_eq!(scored, ["new"]);
    let later = jiff::Timestamp::now() + Duration::from_secs(3600);
    assert!(names(&*store, &[], &since(later)).await.is_empty());
    let good = PageFilter { min_quality: Some(25), ..since(times[0]) };
    assert_eq!(names(&*store, &[], &good).await, ["new"]);
    assert_eq!(store.galleries().await.unwrap(), [(gallery(), vec![a()])]);
}
