//! A store returns what was recorded, in the promised order, counted once.

use std::collections::BTreeSet;

use facefleet::domain::{
    ContentHash, Faces, GalleryName, ImageUri, JobId, JobRecord, LabelledImage, Outcome,
    OutcomeKind, Selection, Template,
};
use facefleet::store::{Effect, Extreme, GallerySummary, PageQuery, StoredFace, StoredImage};

use super::{Home, a, assert_holds, b, images, opened, settled, under_b, whole_page};
use crate::support::{
    content, effects, face, gallery, profile, record, scored, selection, stamp, template,
    unfetched, uri, with_job,
};

pub async fn everything_of_a_record_comes_back(home: impl Home) {
    let store = opened(&home).await;
    let mut faces = vec![face(80), face(30), face(0)];
    faces[1].recognition = None;
    faces[2].face.landmarks = None;
    faces[2].face.detector_score = None;
    let mut undecoded = record("undecoded", Outcome::Unreadable("not a JPEG".into()));
    undecoded.content.as_mut().unwrap().size = None;
    let records = [
        record("faces", Outcome::Scored(faces)),
        record("empty", Outcome::NoFace),
        undecoded,
        unfetched("large", Outcome::Refused("over 64 MiB".into())),
        unfetched("lost", Outcome::Failed("timed out, 3 times, 'quoted' ü".into())),
    ];
    assert_eq!(effects(store.record(&records).await), vec![Effect::New; 5]);
    let images = images(&store, a()).await;
    assert_eq!(images.len(), records.len());
    for (image, record) in images.iter().zip(&records) {
        assert_holds(image, record);
    }
}

pub async fn up_to_date_is_the_same_version_with_a_final_outcome(home: impl Home) {
    let store = opened(&home).await;
    let records = [
        scored("scored", &[10]),
        record("no-face", Outcome::NoFace),
        record("unreadable", Outcome::Unreadable("cut".into())),
        record("refused", Outcome::Refused("large".into())),
        record("failed", Outcome::Failed("reset".into())),
        with_job(scored("unlisted", &[10]), |job| job.stamp = None),
        // Its bytes never came: the next attempt may end differently.
        unfetched("away", Outcome::Unreadable("permission denied".into())),
    ];
    store.record(&records).await.unwrap();
    let v1 = |name: &str| LabelledImage::new(uri(name), Some(stamp("v1")));
    let images = vec![
        v1("failed"),
        v1("scored"),
        LabelledImage::new(uri("scored"), Some(stamp("v2"))),
        LabelledImage::new(uri("scored"), None),
        v1("never seen"),
        v1("no-face"),
        v1("scored"),
        v1("unlisted"),
        LabelledImage::new(uri("unlisted"), None),
        v1("unreadable"),
        v1("refused"),
        v1("away"),
    ];
    let expected = [false, true, false, false, false, true, true, false, false, true, false, false];
    assert_eq!(store.up_to_date(&gallery(), &a(), &selection(), &images).await.unwrap(), expected);
    assert!(store.up_to_date(&gallery(), &a(), &selection(), &[]).await.unwrap().is_empty());

    let none = vec![false; images.len()];
    let visitors: GalleryName = "visitors".parse().unwrap();
    assert_eq!(store.up_to_date(&visitors, &a(), &selection(), &images).await.unwrap(), none);
    assert_eq!(store.up_to_date(&gallery(), &b(), &selection(), &images).await.unwrap(), none);
    let largest = Selection { faces: Faces::Largest, ..selection() };
    assert_eq!(store.up_to_date(&gallery(), &a(), &largest, &images).await.unwrap(), none);
}

pub async fn an_image_is_up_to_date_only_with_the_bytes_that_are_expected(home: impl Home) {
    let store = opened(&home).await;
    let stored = scored("one", &[10]);
    let hash = stored.content.unwrap().hash;
    store.record(&[stored]).await.unwrap();
    let listed = |expected_hash| {
        let image = LabelledImage::new(uri("one"), Some(stamp("v1")));
        LabelledImage { expected_hash, ..image }
    };
    let other = ContentHash::of(b"other bytes");
    let asked = [listed(Some(hash)), listed(Some(other)), listed(None)];
    let found = store.up_to_date(&gallery(), &a(), &selection(), &asked).await.unwrap();
    assert_eq!(found, [true, false, true]);

    // Its job finds that the bytes are others: that is how it ends, and the result stays.
    let refused = unfetched("one", Outcome::Refused("other bytes".into()));
    let refused = with_job(refused, |job| job.expected_hash = Some(other));
    let recorded = store.record(std::slice::from_ref(&refused)).await.unwrap().remove(0);
    assert_eq!(recorded.end(&refused).outcome, OutcomeKind::Refused);
    let current = images(&store, a()).await;
    assert_eq!(
        current.iter().map(|image| image.outcome).collect::<Vec<_>>(),
        [OutcomeKind::Scored]
    );
    // Expected or not, an attempt that got no bytes of this version repeats the result.
    for expected in [Some(hash), None] {
        let failed = unfetched("one", Outcome::Failed("reset".into()));
        let failed = with_job(failed, |job| job.expected_hash = expected);
        let recorded = store.record(std::slice::from_ref(&failed)).await.unwrap().remove(0);
        assert_eq!(recorded.end(&failed).outcome, OutcomeKind::Scored);
    }
}

pub async fn current_images_are_given_subjects(home: impl Home) {
    let store = opened(&home).await;
    let old = scored("one", &[10]);
    let mut new = with_job(scored("one", &[20]), |job| job.stamp = Some(stamp("v2")));
    new.content.as_mut().unwrap().hash = ContentHash::of(b"new bytes");
    let away = unfetched("away", Outcome::Unreadable("permission denied".into()));
    for record in [old, new, scored("two", &[30]), away] {
        store.record(&[record]).await.unwrap();
    }
    let subjects = ["one", "away", "never seen"]
        .map(|name| (uri(name), format!("subject of {name}").parse().unwrap()));
    for _ in 0..2 {
        store.name_subjects(&gallery(), &a(), &subjects).await.unwrap();
    }
    store.name_subjects(&gallery(), &b(), &[(uri("two"), "Bob".parse().unwrap())]).await.unwrap();
    let mut found: Vec<_> = images(&store, a())
        .await
        .into_iter()
        .map(|image| (image.image, image.subject.map(|subject| subject.as_str().to_owned())))
        .collect();
    found.sort();
    let expected = [("away", None), ("one", Some("subject of one".to_owned())), ("two", None)];
    assert_eq!(found, expected.map(|(name, subject)| (uri(name), subject)));
}

pub async fn profiles_are_registered_once_and_come_back_as_they_were(home: impl Home) {
    let store = opened(&home).await;
    store.register_profile(&profile("a")).await.unwrap();
    assert_eq!(store.profile(&a()).await.unwrap(), Some(profile("a")));
    assert_eq!(store.profile(&profile("never registered").id()).await.unwrap(), None);
    assert_eq!(store.galleries().await.unwrap(), []);
}

pub async fn two_profiles_live_side_by_side(home: impl Home) {
    let store = opened(&home).await;
    let (of_a, of_b) =
        ([scored("one", &[10]), scored("two", &[20])], [under_b(scored("one", &[70, 71]))]);
    store.record(&of_a).await.unwrap();
    let before = images(&store, a()).await;
    assert_eq!(effects(store.record(&of_b).await), [Effect::New]);
    assert_eq!(images(&store, a()).await, before);
    let images = images(&store, b()).await;
    assert_eq!(images.len(), 1);
    assert_holds(&images[0], &of_b[0]);
    assert_eq!(store.extremes(&gallery(), &b(), Extreme::Worst, 9).await.unwrap().len(), 2);
    assert_eq!(store.summary(&gallery(), &a()).await.unwrap().faces, 2);
}

pub async fn galleries_come_by_name_and_their_profiles_the_active_one_first(home: impl Home) {
    let store = opened(&home).await;
    store.register_profile(&profile("c")).await.unwrap();
    let c = profile("c").id();
    let under_c = |record| JobRecord { profile: profile("c").id(), ..record };
    let visitors: GalleryName = "visitors".parse().unwrap();
    store
        .record(&[with_job(scored("one", &[10]), |job| job.gallery = visitors.clone())])
        .await
        .unwrap();
    store.record(&[scored("one", &[10])]).await.unwrap();
    store.record(&[under_b(scored("one", &[10]))]).await.unwrap();
    store.record(&[under_c(scored("one", &[10]))]).await.unwrap();
    assert_eq!(
        store.galleries().await.unwrap(),
        [(gallery(), vec![a(), c.clone(), b()]), (visitors, vec![a()])],
        "the others by the last record"
    );
    store.record(&[under_b(scored("one", &[10]))]).await.unwrap();
    let order = store.galleries().await.unwrap().remove(0).1;
    assert_eq!(order, [a(), c.clone(), b()], "a repeat records nothing");
    store.record(&[under_b(scored("two", &[10]))]).await.unwrap();
    assert_eq!(store.galleries().await.unwrap()[0].1, [a(), b(), c]);
}

pub async fn the_summary_adds_up(home: impl Home) {
    let store = opened(&home).await;
    let mut unscored = face(1);
    unscored.recognition = None;
    let mut records = vec![
        scored("0", &[0, 100]),
        scored("1", &[50, 50, 50]),
        record("2", Outcome::Scored(vec![face(7), unscored])),
        record("3", Outcome::NoFace),
    ];
    for (number, reason) in ["cut", "cut", "cut", "empty"].into_iter().enumerate() {
        records.push(record(&format!("u{number}"), Outcome::Unreadable(reason.into())));
    }
    records.push(unfetched("r", Outcome::Refused("cut".into())));
    records[3].provider = "cuda:0".into();
    store.record(&records).await.unwrap();

    let summary = store.summary(&gallery(), &a()).await.unwrap();
    let (scored, no_face, unreadable, refused) =
        (OutcomeKind::Scored, OutcomeKind::NoFace, OutcomeKind::Unreadable, OutcomeKind::Refused);
    assert_eq!(summary.outcomes, [(scored, 3), (no_face, 1), (unreadable, 4), (refused, 1)]);
    assert_eq!(
        summary.outcomes.iter().map(|(_, images)| images).sum::<u64>(),
        records.len() as u64
    );
    assert_eq!(summary.providers, [("cpu".to_owned(), 8), ("cuda:0".to_owned(), 1)]);
    assert_eq!(summary.faces, 7);
    assert_eq!(summary.histogram.len(), 101);
    assert_eq!(summary.histogram.iter().sum::<u64>(), 6);
    assert_eq!([0, 7, 50, 100].map(|quality| summary.histogram[quality]), [1, 1, 3, 1]);
    assert_eq!(summary.reasons[0], (unreadable, "cut".to_owned(), 3));
    let rest: BTreeSet<_> = summary.reasons[1..].iter().cloned().collect();
    assert_eq!(
        rest,
        BTreeSet::from([(unreadable, "empty".to_owned(), 1), (refused, "cut".to_owned(), 1)])
    );
}

pub async fn a_summary_of_nothing_is_empty(home: impl Home) {
    let store = opened(&home).await;
    let empty = GallerySummary { histogram: vec![0; 101], ..GallerySummary::default() };
    assert_eq!(store.summary(&gallery(), &a()).await.unwrap(), empty);
    assert_eq!(images(&store, a()).await, []);
    assert_eq!(store.extremes(&gallery(), &a(), Extreme::Best, 3).await.unwrap(), []);
}

pub async fn a_summary_names_the_twenty_most_frequent_reasons(home: impl Home) {
    let store = opened(&home).await;
    let mut records = Vec::new();
    for reason in 1..=25 {
        for image in 0..reason {
            records.push(unfetched(
                &format!("{reason}-{image}"),
                Outcome::Failed(format!("reason {reason}")),
            ));
        }
    }
    store.record(&records).await.unwrap();
    let reasons = store.summary(&gallery(), &a()).await.unwrap().reasons;
    let expected: Vec<_> = (6..=25)
        .rev()
        .map(|reason| (OutcomeKind::Failed, format!("reason {reason}"), reason))
        .collect();
    assert_eq!(reasons, expected);
}

pub async fn extremes_come_in_order_and_without_unscored_faces(home: impl Home) {
    let store = opened(&home).await;
    let mut unscored = face(1);
    unscored.recognition = None;
    store
        .record(&[
            scored("one", &[50, 3]),
            scored("two", &[99]),
            record("three", Outcome::Scored(vec![face(20), unscored])),
            under_b(scored("four", &[0])),
        ])
        .await
        .unwrap();
    let qualities =
        |faces: &[StoredFace]| faces.iter().filter_map(|face| face.quality).collect::<Vec<_>>();
    let worst = store.extremes(&gallery(), &a(), Extreme::Worst, 10).await.unwrap();
    assert_eq!(qualities(&worst), [3, 20, 50, 99]);
    assert_eq!((&worst[0].image, worst[0].id.index, &worst[0].template), (&uri("one"), 1, &None));
    assert_eq!(worst[0].face, face(3).face);
    assert_eq!(worst[0].hash, content(b"one").map(|content| content.hash));
    let best = store.extremes(&gallery(), &a(), Extreme::Best, 3).await.unwrap();
    assert_eq!(qualities(&best), [99, 50, 20]);
}

pub async fn pages_cover_every_image_exactly_once(home: impl Home) {
    let store = opened(&home).await;
    let mut records = Vec::new();
    for number in 0..53_u8 {
        let name = format!("{number}");
        records.push(match number % 4 {
            0 => scored(&name, &[number, number / 2]),
            1 => record(&name, Outcome::NoFace),
            2 => unfetched(&name, Outcome::Failed("reset".into())),
            _ => scored(&name, &[number]),
        });
        records.push(under_b(scored(&name, &[1])));
    }
    for batch in records.chunks(10) {
        store.record(batch).await.unwrap();
    }
    records.retain(|record| record.profile == a());
    let filters = [
        vec![],
        vec![OutcomeKind::Failed],
        vec![OutcomeKind::NoFace, OutcomeKind::Scored],
        vec![OutcomeKind::Refused],
    ];
    for (outcomes, limit) in filters.into_iter().zip([7, 3, 1000, 10]) {
        for templates in [true, false] {
            let mut query =
                PageQuery { outcomes: outcomes.clone(), limit, templates, ..whole_page(a()) };
            let mut read = Vec::new();
            loop {
                let page = store.page(&query).await.unwrap();
                assert!(page.len() <= limit as usize);
                let Some(last) = page.last() else { break };
                query.after = last.cursor;
                read.extend(page);
            }
            let wanted: Vec<_> = records
                .iter()
                .filter(|record| outcomes.is_empty() || outcomes.contains(&record.outcome.kind()))
                .collect();
            assert_eq!(read.len(), wanted.len(), "{outcomes:?}");
            for (image, record) in read.iter_mut().zip(wanted) {
                if !templates {
                    for (stored, recorded) in image.faces.iter_mut().zip(record.outcome.faces()) {
                        assert_eq!(stored.template, None);
                        stored.template = recorded
                            .recognition
                            .as_ref()
                            .map(|recognition| recognition.template.clone());
                    }
                }
                assert_holds(image, record);
            }
        }
    }
}

pub async fn templates_come_back_as_they_were(home: impl Home) {
    let store = opened(&home).await;
    for (seed, dimension) in [(1, 2), (2, 128), (3, 512)] {
        let mut wanted = face(50);
        let (template, norm) = template(seed, dimension);
        let recognition = wanted.recognition.as_mut().unwrap();
        (recognition.template, recognition.norm) = (template.clone(), norm);
        store
            .record(&[record(&format!("{dimension}"), Outcome::Scored(vec![wanted]))])
            .await
            .unwrap();
        let images = images(&store, a()).await;
        let stored = images.last().unwrap().faces[0].template.as_ref().unwrap();
        assert_eq!(stored.as_slice().len(), dimension);
        assert!(stored.similarity(&template) > 0.9999);
        // Both backends keep the same 16-bit floats, and read back the same numbers.
        assert_eq!(stored.to_halves(), template.to_halves());
        assert_eq!(*stored, Template::from_halves(&template.to_halves()).unwrap());
    }
}

pub async fn a_reopened_store_holds_everything(home: impl Home) {
    let store = opened(&home).await;
    store.record(&[scored("one", &[10, 20]), record("two", Outcome::NoFace)]).await.unwrap();
    let before = (images(&store, a()).await, store.summary(&gallery(), &a()).await.unwrap());
    store.close().await;
    assert!(
        store
            .record(&[with_job(scored("three", &[1]), |job| job.id = JobId::new())])
            .await
            .is_err()
    );
    let store = home.open().await;
    assert_eq!((images(&store, a()).await, store.summary(&gallery(), &a()).await.unwrap()), before);
    assert_eq!(store.profile(&a()).await.unwrap(), Some(profile("a")));
    assert!(settled(&store, a(), "one", "v1").await);
}

pub async fn a_snapshot_has_nothing_that_is_recorded_later(home: impl Home) {
    let store = opened(&home).await;
    store.record(&[scored("one", &[10]), scored("two", &[20])]).await.unwrap();
    let mut snapshot = store.snapshot().await.unwrap();
    let first = snapshot.page(&PageQuery { limit: 1, ..whole_page(a()) }).await.unwrap();
    let changed = JobRecord { content: content(b"other"), ..scored("one", &[99]) };
    store.record(&[changed, scored("three", &[30])]).await.unwrap();
    let after = first[0].cursor;
    let rest = snapshot.page(&PageQuery { after, ..whole_page(a()) }).await.unwrap();
    let names = |images: &[StoredImage]| -> Vec<ImageUri> {
        images.iter().map(|image| image.image.clone()).collect()
    };
    assert_eq!((names(&first), names(&rest)), (vec![uri("one")], vec![uri("two")]));
    drop(snapshot);
    let now = store.page(&whole_page(a())).await.unwrap();
    assert_eq!(names(&now), [uri("two"), uri("one"), uri("three")]);
}
