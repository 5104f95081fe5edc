//! Views of a gallery suggest verdicts, which are applied as they were shown.

use std::sync::Arc;

use facefleet::domain::{
    ImageId, JobId, JobRecord, Lane, Outcome, PictureHash, Reason, ReasonCode, ReferenceRules,
    Verdict,
};
use facefleet::gallery::curate::{
    CurateError, CuratePreview, CurateQuery, CurateView, Curator, Evidence, Undone, apply, decide,
    newcomer, preview, undo,
};
use facefleet::store::Store;

use super::enrolments::{decided, direction, name, proposed};
use super::{Home, a, images, opened};
use crate::support::{face, gallery, record, with_job};

/// A scanned photo of somebody, whose face has this direction.
fn photo(image: &str, subject: &str, quality: u8, degrees: f32) -> JobRecord {
    let mut found = face(quality);
    found.recognition.as_mut().unwrap().template = direction(degrees);
    let photo = with_job(record(image, Outcome::Scored(vec![found])), |job| {
        (job.lane, job.subject) = (Lane::Scan, Some(name(subject)));
    });
    showing(photo, image, 0)
}

/// What the photo `picture` shows, with `bits` bits of its hash turned.
fn showing(mut photo: JobRecord, picture: &str, bits: u32) -> JobRecord {
    let mut hash = PictureHash::from_bytes(*blake3::hash(picture.as_bytes()).as_bytes());
    hash.0[0] ^= (1 << bits) - 1;
    photo.content.as_mut().unwrap().picture = Some(hash);
    photo
}

/// A copy of the photo `of`, half as wide and high.
fn halved(photo: JobRecord, of: &str) -> JobRecord {
    let mut photo = showing(photo, of, 4);
    let content = photo.content.as_mut().unwrap();
    content.size = content.size.map(|(width, height)| (width / 2, height / 2));
    photo
}

fn query(view: CurateView, limit: usize) -> CurateQuery {
    CurateQuery { gallery: gallery(), view, threshold: 0.8, limit, threads: 2 }
}

async fn look(store: &Arc<dyn Store>, view: CurateView) -> CuratePreview {
    preview(store.as_ref(), &query(view, 100)).await.unwrap()
}

fn by_ann() -> Curator {
    let rules = ReferenceRules { most: 3, margin: 5.0 };
    Curator { gallery: gallery(), by: "ann".parse().unwrap(), reason: None, rules }
}

async fn give(store: &Arc<dyn Store>, verdicts: Vec<(ImageId, Verdict)>) {
    let (curation, _, unchanged) = decide(store.as_ref(), by_ann(), verdicts).await.unwrap();
    assert!(curation.is_some() && unchanged.is_empty());
}

/// Records photos, in this order.
async fn recorded(store: &Arc<dyn Store>, photos: &[JobRecord]) -> Vec<ImageId> {
    let mut ids = Vec::new();
    for photo in photos {
        ids.push(decided(store, photo).await.image);
    }
    ids
}

pub async fn a_preview_is_applied_exactly_and_undone_as_a_whole(home: impl Home) {
    let store = opened(&home).await;
    let photos = [
        photo("one", "Ann", 10, 0.0),
        photo("two", "Ann", 60, 40.0),
        photo("three", "Bob", 20, 80.0),
        photo("four", "Cid", 30, 120.0),
        photo("five", "Cid", 40, 160.0),
    ];
    let ids = recorded(&store, &photos).await;
    let lowest = query(CurateView::Lowest, 3);
    let shown = preview(store.as_ref(), &lowest).await.unwrap();
    let suggested: Vec<ImageId> = shown.suggestions.iter().map(|row| row.image.image.id).collect();
    assert_eq!(suggested, [ids[0], ids[2], ids[3]], "the lowest quality first");
    // Bob has no other image: nobody excludes it without a look.
    assert_eq!(shown.verdicts(), [(ids[0], Verdict::Exclude), (ids[3], Verdict::Exclude)]);
    assert_eq!(preview(store.as_ref(), &lowest).await.unwrap(), shown, "the same name");

    let (curation, count) = apply(store.as_ref(), &lowest, &shown.name, by_ann()).await.unwrap();
    assert_eq!(count, 2);
    let left: Vec<ImageId> = images(&store, a()).await.iter().map(|image| image.id).collect();
    assert_eq!(left, [ids[1], ids[2], ids[4]]);
    let again = apply(store.as_ref(), &lowest, &shown.name, by_ann()).await;
    assert!(matches!(again, Err(CurateError::Changed)), "{again:?}");

    let whole = Undone::Curation(curation.unwrap());
    let (_, undone) = undo(store.as_ref(), by_ann(), whole.clone()).await.unwrap();
    assert_eq!((undone, images(&store, a()).await.len()), (2, 5));
    assert_eq!(preview(store.as_ref(), &lowest).await.unwrap(), shown);
    let twice = undo(store.as_ref(), by_ann(), whole).await;
    assert!(matches!(twice, Err(CurateError::NoCuration(..))), "{twice:?}");
}

pub async fn a_preview_of_a_gallery_that_changed_does_nothing(home: impl Home) {
    let store = opened(&home).await;
    recorded(&store, &[photo("one", "Ann", 10, 0.0), photo("two", "Ann", 60, 40.0)]).await;
    let lowest = query(CurateView::Lowest, 1);
    let shown = preview(store.as_ref(), &lowest).await.unwrap();
    // Another limit is another preview.
    let other = apply(store.as_ref(), &query(CurateView::Lowest, 2), &shown.name, by_ann()).await;
    assert!(matches!(other, Err(CurateError::Changed)), "{other:?}");
    // The suggested image gets another subject.
    let one = shown.suggestions[0].image.image.id;
    give(&store, vec![(one, Verdict::Reassign(name("Bob")))]).await;
    let changed = apply(store.as_ref(), &lowest, &shown.name, by_ann()).await;
    assert!(matches!(changed, Err(CurateError::Changed)), "{changed:?}");
    // A lower one comes.
    let shown = preview(store.as_ref(), &lowest).await.unwrap();
    recorded(&store, &[photo("three", "Ann", 5, 80.0)]).await;
    let changed = apply(store.as_ref(), &lowest, &shown.name, by_ann()).await;
    assert!(matches!(changed, Err(CurateError::Changed)), "{changed:?}");
    assert_eq!(images(&store, a()).await.len(), 3);
}

pub async fn the_same_picture_twice_is_suggested_until_it_is_decided(home: impl Home) {
    let store = opened(&home).await;
    let copy = halved(photo("copy", "Ann", 50, 0.0), "big");
    let mut bytes = photo("bytes", "Ann", 50, 0.0);
    bytes.content = photo("big", "Ann", 50, 0.0).content;
    // Much the same template, and a picture that differs in too many bits: another photo.
    let later = showing(photo("later", "Ann", 50, 25.0), "big", 63);
    let photos =
        [photo("big", "Ann", 50, 0.0), copy, bytes, later, photo("other", "Ann", 50, 90.0)];
    let ids = recorded(&store, &photos).await;
    let found = look(&store, CurateView::Duplicates).await;
    let rows: Vec<_> = found
        .suggestions
        .iter()
        .map(|row| (row.image.image.id, row.other.as_ref().unwrap().image.id, row.evidence.clone()))
        .collect();
    assert_eq!(rows.len(), 2, "{rows:?}");
    assert!(rows.iter().all(|(_, stays, _)| *stays == ids[0]), "the largest stays");
    assert!(rows.iter().any(|(id, _, evidence)| *id == ids[2] && *evidence == Evidence::SameBytes));
    let expected = [(ids[1], Verdict::Exclude), (ids[2], Verdict::Exclude)];
    let mut verdicts = found.verdicts();
    verdicts.sort_by_key(|(id, _)| *id);
    assert_eq!(verdicts, expected);

    give(&store, vec![(ids[0], Verdict::NotTheSame(ids[1])), (ids[2], Verdict::Keep)]).await;
    let left = look(&store, CurateView::Duplicates).await;
    let pairs: Vec<_> =
        left.suggestions.iter().map(|row| (row.image.image.id, row.other.is_some())).collect();
    assert!(!pairs.iter().any(|(id, _)| *id == ids[2]), "{pairs:?}");
    give(&store, vec![(ids[1], Verdict::NotTheSame(ids[2]))]).await;
    // The kept copy stays, and what has its bytes goes.
    let left = look(&store, CurateView::Duplicates).await;
    let [row] = &left.suggestions[..] else { panic!("{left:?}") };
    assert_eq!(row.image.image.id, ids[0]);
    give(&store, vec![(ids[0], Verdict::Keep)]).await;
    assert_eq!(look(&store, CurateView::Duplicates).await.suggestions, []);
}

pub async fn an_image_unlike_its_subject_is_suggested_until_it_is_decided(home: impl Home) {
    let store = opened(&home).await;
    let photos = [
        photo("one", "Ann", 50, 0.0),
        photo("two", "Ann", 50, 5.0),
        photo("three", "Ann", 50, 10.0),
        photo("wrong", "Ann", 50, 90.0),
        photo("bob", "Bob", 50, 92.0),
        photo("nobody", "Ann", 50, 180.0),
    ];
    let ids = recorded(&store, &photos).await;
    let found = look(&store, CurateView::Outliers).await;
    let mut verdicts = found.verdicts();
    verdicts.sort_by_key(|(id, _)| *id);
    assert_eq!(
        verdicts,
        [(ids[3], Verdict::Reassign(name("Bob"))), (ids[5], Verdict::Exclude)],
        "{found:?}"
    );
    give(&store, vec![(ids[3], Verdict::Reassign(name("Bob")))]).await;
    give(&store, vec![(ids[5], Verdict::Exclude)]).await;
    assert_eq!(look(&store, CurateView::Outliers).await.suggestions, []);
    // Who restores it has looked at it.
    give(&store, vec![(ids[5], Verdict::Restore)]).await;
    assert_eq!(look(&store, CurateView::Outliers).await.suggestions, []);
}

pub async fn two_subjects_of_one_person_are_suggested_until_they_are_told_apart(home: impl Home) {
    let store = opened(&home).await;
    let photos = [
        photo("one", "Ann", 50, 0.0),
        photo("two", "Ann", 50, 20.0),
        photo("three", "Anne", 50, 12.0),
        photo("other", "Bob", 50, 120.0),
    ];
    let ids = recorded(&store, &photos).await;
    let found = look(&store, CurateView::Collisions).await;
    assert_eq!(found.verdicts(), [(ids[2], Verdict::Reassign(name("Ann")))]);
    let row = &found.suggestions[0];
    assert_eq!(row.other.as_ref().unwrap().image.id, ids[1], "the most similar one");
    assert!(matches!(row.evidence, Evidence::OnePerson { counts: (1, 2), .. }), "{row:?}");
    // Any two images of both tell them apart.
    give(&store, vec![(ids[0], Verdict::NotTheSame(ids[2]))]).await;
    assert_eq!(look(&store, CurateView::Collisions).await.suggestions, []);
}

pub async fn each_subject_has_a_best_image(home: impl Home) {
    let store = opened(&home).await;
    let photos = [
        photo("one", "Ann", 50, 0.0),
        photo("two", "Ann", 70, 40.0),
        photo("three", "Bob", 20, 80.0),
    ];
    let ids = recorded(&store, &photos).await;
    let found = look(&store, CurateView::Best).await;
    let rows: Vec<_> =
        found.suggestions.iter().map(|row| (row.image.image.id, row.evidence.clone())).collect();
    assert_eq!(rows, [(ids[1], Evidence::BestOf(2)), (ids[2], Evidence::BestOf(1))]);
    assert_eq!(found.verdicts(), [(ids[1], Verdict::Keep), (ids[2], Verdict::Keep)]);
    // What is kept is not suggested again, but for a better one.
    give(&store, found.verdicts()).await;
    assert_eq!(look(&store, CurateView::Best).await.suggestions, []);
    let better = recorded(&store, &[photo("four", "Bob", 90, 85.0)]).await;
    assert_eq!(look(&store, CurateView::Best).await.verdicts(), [(better[0], Verdict::Keep)]);
}

pub async fn an_image_of_several_pairs_gets_one_verdict(home: impl Home) {
    let store = opened(&home).await;
    let photos = [
        photo("one", "Ann", 50, 0.0),
        photo("two", "Ann", 50, 0.0),
        photo("three", "Ann", 50, 0.0),
        photo("four", "Anne", 50, 12.0),
        photo("five", "Anne", 50, 12.0),
        photo("six", "Anna", 50, 17.0),
    ];
    let ids = recorded(&store, &photos).await;
    let mut verdicts = look(&store, CurateView::Collisions).await.verdicts();
    verdicts.sort_by_key(|(id, _)| *id);
    let to = |of: &str| Verdict::Reassign(name(of));
    // The means of Anna and Anne are the most similar ones: Anna is not Ann's as well.
    assert_eq!(verdicts, [(ids[3], to("Ann")), (ids[4], to("Ann")), (ids[5], to("Anne"))]);
}

pub async fn what_was_decided_is_in_no_pair_of_subjects(home: impl Home) {
    let store = opened(&home).await;
    let photos = [
        photo("one", "Ann", 50, 0.0),
        photo("two", "Ann", 50, 20.0),
        photo("three", "Ann", 50, 10.0),
        photo("four", "Anne", 50, 12.0),
        photo("five", "Anne", 50, 12.0),
    ];
    let ids = recorded(&store, &photos).await;
    give(&store, vec![(ids[3], Verdict::Keep)]).await;
    let found = look(&store, CurateView::Collisions).await;
    assert_eq!(found.verdicts(), [(ids[4], Verdict::Reassign(name("Ann")))]);
    // Bob then has one image, whom a person named, and Anne one, which a person kept.
    give(&store, vec![(ids[4], Verdict::Reassign(name("Bob")))]).await;
    assert_eq!(look(&store, CurateView::Collisions).await.suggestions, []);
}

pub async fn a_reference_is_excluded_by_nobody_but_a_person(home: impl Home) {
    let store = opened(&home).await;
    let small = halved(photo("small", "Ann", 50, 0.0), "big");
    recorded(&store, &[photo("big", "Ann", 50, 0.0), small.clone()]).await;
    let verdicts = async || look(&store, CurateView::Duplicates).await.verdicts().len();
    assert_eq!(verdicts().await, 1);
    let enrolled = with_job(proposed(small, "Ann"), |job| job.id = JobId::new());
    recorded(&store, &[enrolled]).await;
    let found = look(&store, CurateView::Duplicates).await;
    assert_eq!((found.suggestions.len(), found.verdicts().len()), (1, 0));
    // Once the better one is the reference, the other can go.
    let better = proposed(photo("big", "Ann", 90, 0.0), "Ann");
    recorded(&store, &[better]).await;
    assert_eq!(verdicts().await, 1);
}

pub async fn of_two_equal_copies_the_better_known_one_stays(home: impl Home) {
    let store = opened(&home).await;
    let copy = |image: &str| {
        let mut copy = photo(image, "Ann", 50, 0.0);
        copy.content.clone_from(&photo("first", "Ann", 50, 0.0).content);
        copy
    };
    let unnamed = with_job(copy("first"), |job| job.subject = None);
    recorded(&store, &[unnamed, copy("named")]).await;
    let goes = async || {
        let found = look(&store, CurateView::Duplicates).await;
        let [row] = &found.suggestions[..] else { panic!("{found:?}") };
        assert_eq!(row.verdict, Some(Verdict::Exclude));
        row.image.image.image.for_people()
    };
    assert!(goes().await.ends_with("first.jpg"), "the one that has a subject stays");
    recorded(&store, &[proposed(copy("first"), "Ann")]).await;
    assert!(goes().await.ends_with("named.jpg"), "the reference stays");
}

pub async fn what_has_to_be_reviewed_is_not_excluded_for_its_quality(home: impl Home) {
    let store = opened(&home).await;
    let mut review = proposed(photo("like bob", "Ann", 20, 1.0), "Ann");
    let reason = Reason::of_values(ReasonCode::LooksLikeAnother, 0.9, 0.5);
    review.enrolment.as_mut().unwrap().reasons.push(reason);
    let plain = with_job(photo("plain", "Ann", 10, 90.0), |job| job.subject = None);
    recorded(&store, &[review, plain]).await;
    let found = look(&store, CurateView::Lowest).await;
    let row = |place: usize| {
        let row = &found.suggestions[place];
        let Evidence::LowQuality { review, .. } = &row.evidence else { panic!("{row:?}") };
        (row.image.image.subject.is_some(), review.clone(), row.verdict.clone())
    };
    assert_eq!(row(0), (false, None, Some(Verdict::Exclude)));
    assert_eq!(row(1), (false, Some(name("Ann")), None), "{found:?}");
}

pub async fn the_name_of_another_preview_is_refused_as_such(home: impl Home) {
    let store = opened(&home).await;
    recorded(&store, &[photo("one", "Ann", 10, 0.0), photo("two", "Ann", 60, 40.0)]).await;
    let shown = look(&store, CurateView::Best).await.name;
    let refused = async |name: &str| {
        let lowest = query(CurateView::Lowest, 100);
        apply(store.as_ref(), &lowest, name, by_ann()).await.unwrap_err()
    };
    let other = refused(&shown).await;
    let expected = (CurateView::Best, gallery());
    assert!(
        matches!(&other, CurateError::OtherPreview { name, view, gallery }
            if *name == shown && (*view, gallery.clone()) == expected),
        "{other:?}"
    );
    let own = look(&store, CurateView::Lowest).await.name;
    let digit = if own.ends_with('0') { "1" } else { "0" };
    let mistyped = format!("{}{digit}", &own[..own.len() - 1]);
    for name in [&mistyped[..], &own[1..], "", "näme", &format!("{own}0")] {
        let wrong = refused(name).await;
        assert!(matches!(&wrong, CurateError::NoPreview(_)), "{name}: {wrong:?}");
    }
    apply(store.as_ref(), &query(CurateView::Lowest, 100), &own, by_ann()).await.unwrap();
}

pub async fn a_name_that_nobody_has_is_new(home: impl Home) {
    let store = opened(&home).await;
    let photos = [
        photo("one", "Barack", 10, 0.0),
        proposed(photo("two", "Joe", 60, 40.0), "Joe"),
        photo("three", "Zoe", 10, 90.0),
    ];
    let ids = recorded(&store, &photos).await;
    give(&store, vec![(ids[2], Verdict::Reassign(name("Zoë")))]).await;
    let new = async |name: &str| {
        newcomer(store.as_ref(), &gallery(), &name.parse().unwrap()).await.unwrap()
    };
    for known in ["Barack", "Joe", "Zoe", "Zoë"] {
        assert_eq!(new(known).await, None, "{known}");
    }
    assert_eq!(new("barak").await, Some(vec![name("Barack")]));
    assert_eq!(new("Somebody").await, Some(Vec::new()));
}
