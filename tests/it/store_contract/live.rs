//! An index in memory that follows the store.

use std::sync::Arc;
use std::time::Duration;

use facefleet::domain::{JobRecord, ReferenceState, SetAsideReason, Template};
use facefleet::gallery::search::{
    GallerySearch, LiveGallery, Refreshed, SearchError, SearchedFace,
};
use facefleet::store::{Searched, Store};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::enrolments::{decided, direction, enrolment, name};
use super::profiles::activate;
use super::{Home, a, b, opened, under_b};
use crate::support::{content, face, gallery, operator, profile, scored, stamp, uri, with_job};

/// Below every similarity.
const ANY: f64 = -2.0;
/// Within this time, what others recorded is searched, also on a busy machine.
const SOON: Duration = Duration::from_secs(60);

async fn live(store: &Arc<dyn Store>, searched: Searched) -> Arc<LiveGallery> {
    let of = (gallery(), None);
    Arc::new(LiveGallery::open(store.clone(), of, searched, 2).await.unwrap())
}

fn probe(template: Template) -> Vec<SearchedFace> {
    vec![SearchedFace { template, stored: None }]
}

/// The most similar subject, and how similar it is.
async fn best(live: &LiveGallery, degrees: f32) -> Option<(String, f64)> {
    let found =
        live.nearest(&profile("a"), probe(direction(degrees)), 1, ANY).await.unwrap().remove(0);
    let found = found.into_iter().next()?;
    Some((found.subject.unwrap().as_str().to_owned(), found.similarity))
}

/// Waits until the most similar subject is `expected`, with this similarity.
async fn soon(live: &LiveGallery, degrees: f32, expected: Option<(&str, f64)>) {
    let started = Instant::now();
    loop {
        // A search that began in time may see what was before.
        let is_last = started.elapsed() >= SOON;
        let found = best(live, degrees).await;
        let same = match (&found, expected) {
            (Some((subject, similarity)), Some((wanted, near))) => {
                subject == wanted && (similarity - near).abs() < 1e-3
            }
            (found, wanted) => found.is_none() && wanted.is_none(),
        };
        if same {
            return;
        }
        assert!(!is_last, "{found:?} and not {expected:?}");
        sleep(Duration::from_millis(20)).await;
    }
}

/// The enrolment again with another selection: its result is replaced.
fn scored_again(image: &str, subject: &str, degrees: f32) -> JobRecord {
    let mut again = enrolment(image, subject, 60, degrees);
    again.selection.min_size_px += 1;
    again
}

pub async fn what_others_record_is_searched_soon(home: impl Home) {
    let (ours, others) = (opened(&home).await, home.open().await);
    decided(&others, &enrolment("ann", "Ann", 50, 0.0)).await;
    let live = live(&ours, Searched::References).await;
    assert_eq!(best(&live, 0.0).await.unwrap().0, "Ann");
    let stop = CancellationToken::new();
    let following = tokio::spawn({
        let (live, stop) = (live.clone(), stop.clone());
        async move { live.follow(stop).await }
    });
    // Searches go on meanwhile, and never fail.
    let searching = tokio::spawn({
        let (live, stop) = (live.clone(), stop.clone());
        async move {
            let mut searches = 0_u32;
            while !stop.is_cancelled() {
                let found = live
                    .nearest(&profile("a"), probe(direction(45.0)), 5, ANY)
                    .await
                    .unwrap()
                    .remove(0);
                assert!(found.len() <= 2, "{found:?}");
                searches += 1;
            }
            searches
        }
    });
    decided(&others, &enrolment("bob", "Bob", 50, 90.0)).await;
    soon(&live, 90.0, Some(("Bob", 1.0))).await;
    assert_eq!((live.faces(), live.subjects()), (2, Some(2)));
    decided(&others, &scored_again("bob", "Bob", 120.0)).await;
    soon(&live, 90.0, Some(("Bob", 0.866))).await;
    soon(&live, 120.0, Some(("Bob", 1.0))).await;
    others
        .rename_subject(&gallery(), &name("Bob"), &name("Robert"), None, None, &operator())
        .await
        .unwrap();
    soon(&live, 120.0, Some(("Robert", 1.0))).await;
    others.remove_subject(&gallery(), &name("Robert"), None, &operator()).await.unwrap();
    soon(&live, 120.0, Some(("Ann", -0.5))).await;
    let image =
        others.subject(&gallery(), &name("Ann")).await.unwrap().unwrap().references[0].image;
    let aside = ReferenceState::SetAside(SetAsideReason::Operator);
    others.set_reference(&gallery(), &name("Ann"), image, aside, &operator()).await.unwrap();
    soon(&live, 0.0, None).await;
    others
        .set_reference(&gallery(), &name("Ann"), image, ReferenceState::Active, &operator())
        .await
        .unwrap();
    soon(&live, 0.0, Some(("Ann", 1.0))).await;
    stop.cancel();
    following.await.unwrap();
    assert!(searching.await.unwrap() > 0);
}

pub async fn what_this_process_changes_is_searched_at_once(home: impl Home) {
    let store = opened(&home).await;
    let live = live(&store, Searched::References).await;
    assert_eq!(live.refresh().await.unwrap(), Refreshed::default());
    assert_eq!(best(&live, 0.0).await, None, "nobody is enrolled");
    for (image, subject, degrees) in
        [("one", "Ann", 0.0), ("two", "Ann", 40.0), ("three", "Bob", 90.0)]
    {
        decided(&store, &enrolment(image, subject, 50, degrees)).await;
    }
    assert_eq!(live.refresh().await.unwrap(), Refreshed { added: 3, removed: 0 });
    let found =
        live.nearest(&profile("a"), probe(direction(30.0)), 5, ANY).await.unwrap().remove(0);
    let fresh = {
        let (store, gallery, profile) = (store.as_ref(), gallery(), a());
        let mut search = GallerySearch::open(store, &gallery, &profile, None, 2).await.unwrap();
        search.nearest(probe(direction(30.0)), 5, ANY).await.unwrap().remove(0)
    };
    assert_eq!((found.len(), &found), (2, &fresh), "each person once, by the best reference");
    assert_eq!(found[0].image.image, uri("two"));
    store.remove_subject(&gallery(), &name("Ann"), None, &operator()).await.unwrap();
    assert_eq!(live.refresh().await.unwrap(), Refreshed { added: 0, removed: 2 });
    assert_eq!(best(&live, 30.0).await.unwrap().0, "Bob");
    decided(&store, &scored_again("three", "Bob", 100.0)).await;
    assert_eq!(live.refresh().await.unwrap(), Refreshed { added: 1, removed: 1 });
    // A face of the gallery is no candidate for itself.
    let known = live
        .nearest(&profile("a"), probe(direction(100.0)), 1, ANY)
        .await
        .unwrap()
        .remove(0)
        .remove(0);
    let itself = live.face(known.face.id).await.unwrap().unwrap();
    assert_eq!(live.nearest(&profile("a"), vec![itself.searched], 5, ANY).await.unwrap(), [vec![]]);
}

pub async fn faces_are_followed_too(home: impl Home) {
    let store = opened(&home).await;
    store.record(&[scored("one", &[10, 20])]).await.unwrap();
    let live = live(&store, Searched::Faces).await;
    assert_eq!((live.faces(), live.subjects()), (2, None));
    let newer = JobRecord {
        content: content(b"newer"),
        ..with_job(scored("one", &[30]), |job| job.stamp = Some(stamp("v2")))
    };
    store.record(&[newer, scored("two", &[40, 41])]).await.unwrap();
    assert_eq!(live.refresh().await.unwrap(), Refreshed { added: 3, removed: 2 });
    for (quality, image) in [(30, "one"), (41, "two")] {
        let template = face(quality).recognition.unwrap().template;
        let found = live.nearest(&profile("a"), probe(template), 1, 0.999).await.unwrap().remove(0);
        assert_eq!(found[0].image.image, uri(image));
    }
    let gone = face(20).recognition.unwrap().template;
    assert_eq!(live.nearest(&profile("a"), probe(gone), 1, 0.999).await.unwrap(), [vec![]]);
}

pub async fn what_others_removed_is_not_found_even_before_the_index_knows(home: impl Home) {
    let (ours, others) = (opened(&home).await, home.open().await);
    for (image, subject, degrees) in [("one", "Ann", 0.0), ("two", "Bob", 90.0)] {
        decided(&others, &enrolment(image, subject, 50, degrees)).await;
    }
    // Nothing follows the store here.
    let live = live(&ours, Searched::References).await;
    assert_eq!(best(&live, 0.0).await.unwrap().0, "Ann");
    others
        .rename_subject(&gallery(), &name("Ann"), &name("Anna"), None, None, &operator())
        .await
        .unwrap();
    assert_eq!(best(&live, 0.0).await.unwrap().0, "Anna");
    decided(&others, &scored_again("two", "Bob", 60.0)).await;
    let (subject, similarity) = best(&live, 90.0).await.unwrap();
    assert!(subject == "Bob" && (similarity - 0.866).abs() < 1e-3, "{similarity}");
    others.remove_subject(&gallery(), &name("Anna"), None, &operator()).await.unwrap();
    let found = live.nearest(&profile("a"), probe(direction(0.0)), 2, ANY).await.unwrap().remove(0);
    assert_eq!(found.len(), 1, "and as many as there are");
    assert_eq!(best(&live, 0.0).await.unwrap().0, "Bob");
}

pub async fn new_references_are_added_without_a_look_at_everything(home: impl Home) {
    let (ours, others) = (opened(&home).await, home.open().await);
    decided(&others, &enrolment("one", "Ann", 50, 0.0)).await;
    let live = live(&ours, Searched::References).await;
    live.add_new().await.unwrap();
    assert_eq!((live.faces(), live.subjects()), (1, Some(1)), "each once");
    decided(&others, &enrolment("two", "Bob", 50, 90.0)).await;
    decided(&others, &enrolment("three", "Ann", 50, 40.0)).await;
    decided(&others, &scored_again("one", "Ann", -20.0)).await;
    live.add_new().await.unwrap();
    assert_eq!((live.faces(), live.subjects()), (3, Some(2)));
    assert_eq!(best(&live, 90.0).await.unwrap().0, "Bob");
    let (subject, similarity) = best(&live, -20.0).await.unwrap();
    assert!(subject == "Ann" && similarity > 0.999, "scored again: {similarity}");
    let probe = probe(direction(30.0));
    let found = live.nearest(&profile("a"), probe, 5, ANY).await.unwrap().remove(0);
    assert_eq!(found.len(), 2, "each person once");
    // A look at everything finds nothing that is new, and what is gone.
    assert_eq!(live.refresh().await.unwrap(), Refreshed::default());
    others.remove_subject(&gallery(), &name("Bob"), None, &operator()).await.unwrap();
    live.add_new().await.unwrap();
    assert_eq!(best(&live, 90.0).await.unwrap().0, "Ann", "who is gone is not found");
    assert_eq!((live.faces(), live.subjects()), (2, Some(1)));
}

/// Scans the image of an enrolment under `b`: the same face in another direction.
fn scanned_under_b(image: &str, degrees: f32) -> JobRecord {
    let mut record = scored(image, &[50]);
    let facefleet::domain::Outcome::Scored(faces) = &mut record.outcome else { panic!() };
    faces[0].recognition.as_mut().unwrap().template = direction(degrees);
    under_b(record)
}

pub async fn an_activation_switches_the_index_as_a_whole(home: impl Home) {
    let (ours, others) = (opened(&home).await, home.open().await);
    for (image, subject, degrees) in [("one", "Ann", 0.0), ("two", "Bob", 90.0)] {
        decided(&others, &enrolment(image, subject, 50, degrees)).await;
    }
    let live = live(&ours, Searched::References).await;
    let of_a = || probe(direction(0.0));
    // A shadow changes nothing.
    others.record(&[scanned_under_b("one", 180.0), scanned_under_b("two", 90.0)]).await.unwrap();
    assert_eq!(live.refresh().await.unwrap(), Refreshed::default());
    assert_eq!((live.profile(), live.faces()), (Some(a()), 2));

    let gallery = gallery();
    assert!(activate(&others, gallery.as_str(), [a(), b()]).await);
    // Nobody called for it: the search itself notices, and mixes nothing.
    let under_a = live.nearest(&profile("a"), of_a(), 2, ANY).await;
    assert!(matches!(under_a, Err(SearchError::OtherTemplates(_))), "{under_a:?}");
    assert_eq!((live.profile(), live.faces()), (Some(b()), 2));
    let found = live.nearest(&profile("b"), of_a(), 2, ANY).await.unwrap().remove(0);
    let subjects: Vec<_> = found.iter().map(|each| each.subject.clone().unwrap()).collect();
    assert_eq!(subjects, ["Bob", "Ann"].map(name));
    assert!((found[1].similarity + 1.0).abs() < 1e-3, "{}", found[1].similarity);
    let face = live.face(found[0].face.id).await.unwrap().unwrap();
    assert!(face.searched.template.similarity(&direction(90.0)) > 0.999);

    // And back, while others search; each answer is of one profile.
    let stop = CancellationToken::new();
    let searching = tokio::spawn({
        let (live, stop) = (live.clone(), stop.clone());
        async move {
            while !stop.is_cancelled() {
                for of in ["a", "b"] {
                    let found = live.nearest(&profile(of), probe(direction(0.0)), 2, ANY).await;
                    let Ok(found) = found else { continue };
                    let first = found[0][0].subject.clone().unwrap();
                    assert_eq!(first, name(if of == "a" { "Ann" } else { "Bob" }), "{of}");
                }
            }
        }
    });
    for _ in 0..5 {
        assert!(activate(&others, gallery.as_str(), [b(), a()]).await);
        live.refresh().await.unwrap();
        assert!(activate(&others, gallery.as_str(), [a(), b()]).await);
        live.refresh().await.unwrap();
    }
    stop.cancel();
    searching.await.unwrap();
    assert!(activate(&others, gallery.as_str(), [b(), a()]).await);
    assert_eq!(live.refresh().await.unwrap(), Refreshed { added: 2, removed: 2 });
    assert_eq!(best(&live, 0.0).await.unwrap().0, "Ann");
}
