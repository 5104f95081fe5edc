//! What was erased is gone, and nothing brings it back.

use std::sync::Arc;

use facefleet::domain::{
    Campaign, CampaignId, CampaignState, ContentHash, ErasureCounts, ErasurePlace, ErasureTarget,
    JobRecord, LabelledImage, Lane, ListedChunk, Outcome, OutcomeKind, Verdict,
};
use facefleet::store::{
    Judged, NewCuration, NewErasure, Recorded, Renamed, Store, SubjectQuery, VerdictQuery,
};

use super::campaigns::begun;
use super::enrolments::{decided, enrolment, name, subject};
use super::verdicts::{curation, image, judge, log};
use super::{Home, a, b, images, opened, under_b};
use crate::support::{
    content, gallery, job, operator, scored, selection, stamp, unfetched, uri, with_job,
};

pub fn erasure(target: ErasureTarget) -> NewErasure {
    NewErasure { gallery: gallery(), target, by: "Olga".parse().unwrap() }
}

pub fn of_image(name: &str) -> NewErasure {
    erasure(ErasureTarget::Image(uri(name)))
}

pub fn of_subject(of: &str) -> NewErasure {
    erasure(ErasureTarget::Subject(name(of)))
}

pub fn with_bytes(bytes: &[u8], record: JobRecord) -> JobRecord {
    JobRecord { content: content(bytes), ..record }
}

pub fn elsewhere(record: JobRecord) -> JobRecord {
    with_job(record, |job| job.gallery = "elsewhere".parse().unwrap())
}

pub async fn are_erased(store: &Arc<dyn Store>, records: &[JobRecord]) -> Vec<bool> {
    store.record(records).await.unwrap().iter().map(Recorded::is_erased).collect()
}

pub async fn uris(store: &Arc<dyn Store>) -> Vec<String> {
    let found = images(store, a()).await.into_iter().map(|image| image.image.as_str().to_owned());
    let mut found: Vec<String> = found.collect();
    found.sort_unstable();
    found
}

pub fn counts(counts: &ErasureCounts, places: &[ErasurePlace]) -> Vec<u64> {
    places.iter().map(|place| counts.of(*place)).collect()
}

pub const OF_IMAGES: [ErasurePlace; 5] = [
    ErasurePlace::Images,
    ErasurePlace::Results,
    ErasurePlace::Faces,
    ErasurePlace::Templates,
    ErasurePlace::Kept,
];

pub async fn an_erased_image_is_gone_and_stays_gone(home: impl Home) {
    let store = opened(&home).await;
    let old = with_bytes(b"old", scored("one", &[40]));
    store.record(&[old, scored("two", &[60]), elsewhere(scored("one", &[50]))]).await.unwrap();
    let copy = with_bytes(b"one", scored("copy", &[50]));
    store.record(&[scored("one", &[50]), under_b(scored("one", &[50])), copy]).await.unwrap();

    let erasable = store.erasable(&of_image("one")).await.unwrap();
    assert_eq!(counts(&erasable.counts, &OF_IMAGES), [3, 4, 4, 4, 0]);
    let mut contents = [ContentHash::of(b"old"), ContentHash::of(b"one")];
    contents.sort_unstable_by_key(|hash| hash.0);
    let mut found = erasable.contents;
    found.sort_unstable_by_key(|hash| hash.0);
    assert_eq!(found, contents);
    assert_eq!(uris(&store).await.len(), 3, "a trial changes nothing");
    assert_eq!(store.erasures().await.unwrap(), []);

    let erased = store.erase(&of_image("one")).await.unwrap();
    assert_eq!(counts(&erased.counts, &OF_IMAGES), [3, 4, 4, 4, 0]);
    assert_eq!(uris(&store).await, [uri("two").as_str()]);
    assert_eq!(images(&store, b()).await, []);

    let again = [
        scored("one", &[50]),
        with_bytes(b"new", scored("one", &[50])),
        with_bytes(b"one", scored("third", &[50])),
        unfetched("one", Outcome::Failed("gone".into())),
        with_job(unfetched("x", Outcome::Failed("gone".into())), |job| {
            job.expected_hash = Some(ContentHash::of(b"old"));
        }),
        scored("three", &[50]),
        elsewhere(with_bytes(b"one", scored("one", &[50]))),
    ];
    let expected = [true, true, true, true, true, false, false];
    assert_eq!(are_erased(&store, &again).await, expected);
    let recorded = store.record(&again).await.unwrap();
    let stored: Vec<bool> = recorded.iter().map(|each| each.stored_image().is_none()).collect();
    assert_eq!(stored, expected, "no image is named");
    assert_eq!(uris(&store).await, [uri("three").as_str(), uri("two").as_str()]);
    let jobs = [job(Lane::Scan, "one"), job(Lane::Scan, "two")];
    assert_eq!(store.are_erased(&jobs).await.unwrap(), [true, false]);
}

pub async fn an_erasure_knows_its_contents_until_it_ends(home: impl Home) {
    let store = opened(&home).await;
    store.record(&[scored("one", &[40])]).await.unwrap();
    let first = store.erase(&of_image("one")).await.unwrap();
    let hash = ContentHash::of(b"one");
    assert_eq!(store.erased_contents(first.id).await.unwrap(), [hash]);
    // Whoever was interrupted begins again.
    let second = store.erase(&of_image("one")).await.unwrap();
    assert_eq!((second.id, &second.counts), (first.id, &first.counts));
    assert_eq!(store.erased_contents(first.id).await.unwrap(), [hash]);
    let mut removed = ErasureCounts::default();
    removed.add(ErasurePlace::Chips, 2);
    let ended = store.end_erasure(first.id, &removed).await.unwrap();
    assert_eq!(store.erased_contents(first.id).await.unwrap(), []);
    assert_eq!(
        (ended.counts.of(ErasurePlace::Chips), ended.counts.of(ErasurePlace::Images)),
        (2, 1)
    );
    assert!(ended.ended_at.is_some());
    assert_eq!(store.erasures().await.unwrap(), [ended]);
    store.rewrite().await.unwrap();
    assert_eq!(uris(&store).await, [""; 0]);
}

pub async fn an_erasure_that_finds_nothing_left_keeps_its_time(home: impl Home) {
    let store = opened(&home).await;
    store.record(&[scored("one", &[40])]).await.unwrap();
    let erased = store.erase(&of_image("one")).await.unwrap();
    store.end_erasure(erased.id, &ErasureCounts::default()).await.unwrap();
    home.change(
        "UPDATE erasures SET ended_at_ms = ended_at_ms - 864000000",
        "UPDATE erasures SET ended_at = ended_at - interval '10 days'",
    )
    .await;
    let first = store.erasures().await.unwrap().remove(0);
    let by_eve = NewErasure { by: "Eve".parse().unwrap(), ..of_image("one") };
    assert_eq!(store.erase(&by_eve).await.unwrap(), first);
    let nothing = ErasureCounts::default();
    assert_eq!(store.end_erasure(first.id, &nothing).await.unwrap(), first);
    let mut chips = ErasureCounts::default();
    chips.add(ErasurePlace::Chips, 1);
    let last = store.end_erasure(first.id, &chips).await.unwrap();
    assert!(last.ended_at > first.ended_at, "something was left");
}

pub async fn an_erased_subject_is_gone_with_its_images(home: impl Home) {
    let store = opened(&home).await;
    for (image, of, degrees) in [
        ("one", "Ann", 0.0),
        ("two", "Ann", 20.0),
        ("shared", "Ann", 40.0),
        ("shared", "Bob", 40.0),
    ] {
        decided(&store, &enrolment(image, of, 60, degrees)).await;
    }
    let labelled = with_job(scored("labelled", &[50]), |job| job.subject = Some(name("Ann")));
    store.record(&[labelled, scored("nobody's", &[30])]).await.unwrap();
    let bob = subject(&store, "Bob").await;

    let erased = store.erase(&of_subject("Ann")).await.unwrap();
    assert_eq!(counts(&erased.counts, &OF_IMAGES), [3, 3, 3, 3, 1]);
    let of_people = [ErasurePlace::Subjects, ErasurePlace::References, ErasurePlace::Decisions];
    assert_eq!(counts(&erased.counts, &of_people), [1, 3, 3]);
    assert_eq!(uris(&store).await, [uri("nobody's").as_str(), uri("shared").as_str()]);
    assert_eq!(subject(&store, "Bob").await, bob, "nobody else changes");
    let query = SubjectQuery { gallery: gallery(), after: None, limit: 10 };
    assert_eq!(store.subjects(&query).await.unwrap(), [bob.summary]);

    let again = [
        enrolment("one", "Ann", 60, 0.0),
        enrolment("new", "Ann", 60, 0.0),
        enrolment("one", "Cid", 60, 0.0),
        with_job(scored("new", &[50]), |job| job.subject = Some(name("Ann"))),
        enrolment("new", "Cid", 60, 90.0),
    ];
    assert_eq!(are_erased(&store, &again).await, [true, true, true, true, false]);
    assert_eq!(store.subject(&gallery(), &name("Ann")).await.unwrap(), None);
    // A list of images whose results are up to date names the person again.
    let labels = [(uri("nobody's"), name("Ann")), (uri("nobody's"), name("Dan"))];
    store.name_subjects(&gallery(), &a(), &labels[..1]).await.unwrap();
    assert!(images(&store, a()).await.iter().all(|image| image.subject != Some(name("Ann"))));
    store.name_subjects(&gallery(), &a(), &labels[1..]).await.unwrap();
    assert!(images(&store, a()).await.iter().any(|image| image.subject == Some(name("Dan"))));
}

pub async fn an_erased_gallery_is_gone_and_its_campaigns_are_cancelled(home: impl Home) {
    let store = opened(&home).await;
    let campaign = begun(&store).await;
    decided(&store, &enrolment("one", "Ann", 60, 0.0)).await;
    store.record(&[scored("two", &[50]), elsewhere(scored("one", &[50]))]).await.unwrap();
    let erased = store.erase(&erasure(ErasureTarget::Gallery)).await.unwrap();
    assert_eq!(counts(&erased.counts, &OF_IMAGES), [2, 2, 2, 2, 0]);
    assert_eq!(erased.counts.of(ErasurePlace::Subjects), 1);
    let galleries: Vec<String> =
        store.galleries().await.unwrap().iter().map(|(name, _)| name.to_string()).collect();
    assert_eq!(galleries, ["elsewhere"]);
    let stored = store.campaign(campaign.id).await.unwrap().unwrap();
    assert_eq!((stored.state, stored.source.as_str()), (CampaignState::Cancelled, "(erased)"));
    assert_eq!(are_erased(&store, &[scored("new", &[50])]).await, [true]);
    assert_eq!(store.galleries().await.unwrap().len(), 1);
}

pub async fn jobs_of_erased_images_count_in_their_campaign(home: impl Home) {
    let store = opened(&home).await;
    let campaign = begun(&store).await;
    let chunk = ListedChunk {
        listed: 2,
        skipped: Vec::new(),
        from: None,
        to: Some(uri("one").as_str().to_owned()),
    };
    store.note_listed(campaign.id.into(), &chunk).await.unwrap();
    store.end_listing(campaign.id.into()).await.unwrap();
    store.erase(&of_image("one")).await.unwrap();
    let of_campaign = |record: JobRecord| {
        with_job(record, |job| {
            (job.id, job.campaign) = (campaign.id.job(&job.image), Some(campaign.id));
        })
    };
    let records = ["one", "two"].map(|name| of_campaign(scored(name, &[50])));
    for _ in 0..2 {
        assert_eq!(are_erased(&store, &records).await, [true, false]);
    }
    let progress = store.campaign(campaign.id).await.unwrap().unwrap().progress;
    assert_eq!(progress.outcomes, [(OutcomeKind::Scored, 1), (OutcomeKind::Erased, 1)].into());
    assert!(progress.is_complete());
    assert_eq!(progress.chunk_to, None, "the position named it");
    let single = Campaign {
        id: CampaignId::new(),
        source: "/photos/two.jpg, /photos/three.jpg".into(),
        ..begun(&store).await
    };
    store.begin_campaign(&single, None).await.unwrap();
    store.erase(&of_image("two")).await.unwrap();
    assert_eq!(store.campaign(single.id).await.unwrap().unwrap().source, "(erased)");
    let listed = [LabelledImage::new(uri("one"), Some(stamp("v1")))];
    let listed = store.up_to_date(&gallery(), &a(), &selection(), &listed).await.unwrap();
    assert_eq!(listed, [false]);
}

pub async fn nothing_that_is_recorded_meanwhile_survives_an_erasure(home: impl Home) {
    const IMAGES: u16 = 30;
    let (store, other) = (opened(&home).await, home.open().await);
    let recording = tokio::spawn(async move {
        let mut erased = 0;
        for image in 0..IMAGES {
            let (new, scan) = (format!("new-{image}"), scored("one", &[50]));
            let records = [enrolment(&new, "Ann", 60, f32::from(image)), scan];
            erased += u16::from(other.record(&records).await.unwrap()[0].is_erased());
            tokio::task::yield_now().await;
        }
        erased
    });
    // At the beginning of the others, in their middle, or at their end.
    while images(&store, a()).await.len() < 5 {
        tokio::task::yield_now().await;
    }
    store.erase(&of_subject("Ann")).await.unwrap();
    store.erase(&of_image("one")).await.unwrap();
    let left = images(&store, a()).await.len();
    assert!(recording.await.unwrap() <= IMAGES);
    assert_eq!((left, images(&store, a()).await.len()), (0, 0));
    assert_eq!(store.subject(&gallery(), &name("Ann")).await.unwrap(), None);
}

pub async fn an_erased_name_comes_back_by_no_verdict_and_no_other_name(home: impl Home) {
    let store = opened(&home).await;
    decided(&store, &enrolment("one", "Ann", 60, 0.0)).await;
    decided(&store, &enrolment("two", "Bob", 60, 90.0)).await;
    store.erase(&of_subject("Ann")).await.unwrap();
    let (bob, two) = (subject(&store, "Bob").await, image(&store, "two").await);
    let reassign = |to: &str| curation(vec![(two, Verdict::Reassign(name(to)))]);
    assert_eq!(store.judge(&reassign("Ann")).await.unwrap(), Judged::Erased(name("Ann")));
    let rename = async |to: &str| {
        store
            .rename_subject(&gallery(), &name("Bob"), &name(to), None, None, &operator())
            .await
            .unwrap()
    };
    assert_eq!(rename("Ann").await, Renamed::Erased);
    assert_eq!((subject(&store, "Bob").await, log(&store).await), (bob, Vec::new()));
    assert_eq!(rename("Rob").await, Renamed::Renamed);
    assert!(matches!(store.judge(&reassign("Cid")).await.unwrap(), Judged::Written { .. }));
}

pub async fn an_image_that_a_verdict_gave_to_the_erased_is_erased(home: impl Home) {
    let store = opened(&home).await;
    for (image, of, degrees) in
        [("one", "Ann", 0.0), ("mistaken", "Bob", 90.0), ("two", "Bob", 60.0)]
    {
        decided(&store, &enrolment(image, of, 60, degrees)).await;
    }
    let mistaken = image(&store, "mistaken").await;
    judge(&store, vec![(mistaken, Verdict::Reassign(name("Ann")))]).await;
    let erased = store.erase(&of_subject("Ann")).await.unwrap();
    assert_eq!(counts(&erased.counts, &OF_IMAGES), [2, 2, 2, 2, 0]);
    assert_eq!(uris(&store).await, [uri("two").as_str()]);
    let two = image(&store, "two").await;
    let left: Vec<_> = subject(&store, "Bob").await.references;
    assert_eq!(left.into_iter().map(|each| each.image).collect::<Vec<_>>(), [two]);
}

pub async fn what_is_left_of_verdicts_holds_after_an_erasure(home: impl Home) {
    let store = opened(&home).await;
    decided(&store, &enrolment("one", "Bob", 60, 0.0)).await;
    decided(&store, &enrolment("two", "Ann", 60, 90.0)).await;
    let one = image(&store, "one").await;
    for to in ["Ann", "Cid", "Bob"] {
        judge(&store, vec![(one, Verdict::Reassign(name(to)))]).await;
    }
    let undone =
        log(&store).await.into_iter().find(|it| it.verdict == Verdict::Reassign(name("Bob")));
    judge(&store, vec![(one, Verdict::Undo(undone.unwrap().id))]).await;
    // Cid has it now, by the second verdict.
    let of = async |image: &str| {
        let found = images(&store, a()).await;
        found.into_iter().find(|it| it.image == uri(image)).and_then(|it| it.subject)
    };
    assert_eq!(of("one").await, Some(name("Cid")));
    store.erase(&of_subject("Ann")).await.unwrap();
    assert_eq!(of("one").await, Some(name("Cid")), "and still has it");
    let set_aside = subject(&store, "Bob").await.references;
    let cids =
        log(&store).await.into_iter().find(|it| it.verdict == Verdict::Reassign(name("Cid")));
    judge(&store, vec![(one, Verdict::Undo(cids.unwrap().id))]).await;
    assert_eq!(of("one").await, Some(name("Bob")), "the verdict for Ann is gone");
    assert_ne!(subject(&store, "Bob").await.references, set_aside, "it counts again");
}

pub async fn a_reason_with_a_longer_word_stays(home: impl Home) {
    let store = opened(&home).await;
    decided(&store, &enrolment("one", "An", 60, 0.0)).await;
    store.record(&[scored("two", &[50]), scored("three", &[50])]).await.unwrap();
    for (about, reason) in [("two", "Anna can stay"), ("three", "it is An")] {
        let verdicts = vec![(image(&store, about).await, Verdict::Exclude)];
        let new = NewCuration { reason: Some(reason.parse().unwrap()), ..curation(verdicts) };
        assert!(matches!(store.judge(&new).await.unwrap(), Judged::Written { .. }));
    }
    store.erase(&of_subject("An")).await.unwrap();
    let reasons = log(&store)
        .await
        .into_iter()
        .map(|verdict| verdict.reason.map(|it| it.as_str().to_owned()));
    let mut reasons: Vec<_> = reasons.collect();
    reasons.sort_unstable();
    assert_eq!(reasons, [None, Some("Anna can stay".to_owned())]);
}

pub async fn reasons_of_verdicts_do_not_name_the_erased(home: impl Home) {
    let store = opened(&home).await;
    decided(&store, &enrolment("one", "Ann", 60, 0.0)).await;
    store.record(&[scored("two", &[50]), scored("three", &[50])]).await.unwrap();
    let elsewhere = store.record(&[elsewhere(scored("four", &[50]))]).await.unwrap()[0].image;
    let [two, three] = [image(&store, "two").await, image(&store, "three").await];
    let because = async |about, reason: &str, new: NewCuration| {
        let verdicts = vec![(about, Verdict::Exclude)];
        let new = NewCuration { reason: Some(reason.parse().unwrap()), verdicts, ..new };
        assert!(matches!(store.judge(&new).await.unwrap(), Judged::Written { verdicts: 1, .. }));
    };
    let of =
        |gallery: &str| NewCuration { gallery: gallery.parse().unwrap(), ..curation(Vec::new()) };
    because(two, "looks like Ann", of(gallery().as_str())).await;
    because(elsewhere, "looks like Ann", of("elsewhere")).await;
    let of_three = format!("the same as {}", uri("two").as_str());
    because(three, &of_three, of(gallery().as_str())).await;
    let reasons = async || {
        let found = log(&store).await.into_iter();
        found.map(|verdict| verdict.reason.map(|it| it.as_str().to_owned())).collect::<Vec<_>>()
    };
    store.erase(&of_subject("Ann")).await.unwrap();
    assert_eq!(reasons().await, [Some(of_three), None]);
    store.erase(&of_image("two")).await.unwrap();
    assert_eq!(reasons().await, [None]);
    let there = VerdictQuery {
        gallery: "elsewhere".parse().unwrap(),
        image: None,
        curation: None,
        after: None,
        limit: 10,
    };
    let there = store.verdicts(&there).await.unwrap();
    assert!(there[0].reason.is_some(), "another gallery has its own people");
}
