//! Images that are gone from their source, and those that were moved within it.

use std::sync::Arc;

use facefleet::domain::{
    Campaign, ErasureTarget, ImageId, OutcomeKind, ReferenceState, UriRoot, Verdict,
};
use facefleet::store::{ListingKey, MissingImage, MissingQuery, NewErasure, Store};

use super::campaigns::begun;
use super::enrolments::{decided, enrolment, name, subject};
use super::verdicts::{image, judge, log};
use super::{Home, a, images, opened};
use crate::support::{content, gallery, scored, uri};

fn below(place: &str) -> Vec<UriRoot> {
    vec![UriRoot::new(&place.parse().unwrap())]
}

/// A complete listing that finds these: what it does not find is missing.
async fn listed(store: &Arc<dyn Store>, found: &[&str]) -> Vec<ImageId> {
    let campaign = begun(store).await;
    assert!(store.track_listing(campaign.id, &gallery()).await.unwrap());
    find(store, &campaign, found).await;
    end(store, &campaign).await
}

async fn find(store: &Arc<dyn Store>, campaign: &Campaign, found: &[&str]) -> u64 {
    let uris: Vec<_> = found.iter().map(|name| uri(name)).collect();
    store.note_found(campaign.id, &gallery(), &uris).await.unwrap()
}

async fn end(store: &Arc<dyn Store>, campaign: &Campaign) -> Vec<ImageId> {
    let roots = below("file:///photos");
    let (mut missing, mut after) = (Vec::new(), None);
    loop {
        let page = store.not_found(campaign.id, &roots, after, 1).await.unwrap().unwrap();
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        missing.extend(page.iter().map(|image| image.id));
    }
    store.mark_missing(campaign.id, &missing).await.unwrap();
    store.untrack_listing(campaign.id).await.unwrap();
    store.end_listing(ListingKey::from(campaign.id)).await.unwrap();
    missing
}

async fn missing(store: &Arc<dyn Store>, place: Option<&str>) -> Vec<MissingImage> {
    let below = place.map(below);
    let query = MissingQuery { gallery: gallery(), below, after: None, limit: 10 };
    let found = store.missing(&query).await.unwrap();
    let after = found.last().map(|image| image.id);
    assert_eq!(store.missing(&MissingQuery { after, ..query }).await.unwrap(), []);
    found
}

async fn shown(store: &Arc<dyn Store>) -> Vec<String> {
    let stored = images(store, a()).await;
    let mut names: Vec<String> = stored.iter().map(|image| image.image.to_string()).collect();
    names.sort_unstable();
    names
}

pub async fn what_a_complete_listing_does_not_find_is_missing(home: impl Home) {
    let store = opened(&home).await;
    let first = begun(&store).await;
    assert!(!store.track_listing(first.id, &gallery()).await.unwrap(), "there is nothing to miss");
    assert_eq!(store.not_found(first.id, &below("file:///photos"), None, 9).await.unwrap(), None);
    let names = ["one", "two", "three", "below/four"];
    store.record(&names.map(|name| scored(name, &[50]))).await.unwrap();

    let campaign = begun(&store).await;
    assert!(store.track_listing(campaign.id, &gallery()).await.unwrap());
    find(&store, &campaign, &["one"]).await;
    // It is interrupted, and goes on. What was recorded meanwhile was not there when it began.
    store.record(&[scored("new", &[50])]).await.unwrap();
    find(&store, &campaign, &["two", "new", "unknown"]).await;
    let roots = below("file:///photos/below");
    let of_root = store.not_found(campaign.id, &roots, None, 9).await.unwrap().unwrap();
    assert_eq!(of_root.iter().map(|image| &image.uri).collect::<Vec<_>>(), [&uri("below/four")]);
    let [three, four] = [image(&store, "three").await, image(&store, "below/four").await];
    assert_eq!(end(&store, &campaign).await, [three, four]);
    let found = missing(&store, None).await;
    assert_eq!(found.iter().map(|image| image.id).collect::<Vec<_>>(), [three, four]);
    assert!(found.iter().all(|image| image.campaign == campaign.id && image.moved_to.is_none()));
    assert_eq!(missing(&store, Some("file:///photos/below")).await[0].id, four);
    assert_eq!(missing(&store, Some("file:///photos/bel")).await, []);
    assert_eq!(images(&store, a()).await.len(), 5, "nothing is left out by that alone");
    let over = store.not_found(campaign.id, &roots, None, 9).await.unwrap();
    assert_eq!(over, None, "nothing is left of what it found");

    assert_eq!(listed(&store, &["one", "two", "three", "new"]).await, [], "it is known");
    let found = missing(&store, None).await;
    assert_eq!(found.iter().map(|image| image.id).collect::<Vec<_>>(), [four]);
    assert_eq!(found[0].campaign, campaign.id, "since then");
}

pub async fn a_gone_image_is_left_out_until_a_listing_finds_it(home: impl Home) {
    let store = opened(&home).await;
    decided(&store, &enrolment("one", "Ann", 60, 0.0)).await;
    store.record(&[scored("two", &[50]), scored("three", &[40])]).await.unwrap();
    let [one, two] = [image(&store, "one").await, image(&store, "two").await];
    assert_eq!(listed(&store, &["three"]).await, [one, two]);
    judge(&store, vec![(one, Verdict::Gone), (two, Verdict::Gone)]).await;
    judge(&store, vec![(two, Verdict::Exclude)]).await;
    assert_eq!(missing(&store, None).await, [], "that is decided");
    assert_eq!(shown(&store).await, ["/photos/three.jpg"]);
    let summary = store.summary(&gallery(), &a()).await.unwrap();
    assert_eq!(summary.outcomes, [(OutcomeKind::Scored, 1)]);
    assert_ne!(subject(&store, "Ann").await.references[0].state, ReferenceState::Active);
    assert_eq!(home.view("facefleet_images").await.len(), 1);

    let campaign = begun(&store).await;
    store.track_listing(campaign.id, &gallery()).await.unwrap();
    assert_eq!(find(&store, &campaign, &["one", "two", "three"]).await, 2);
    assert_eq!(find(&store, &campaign, &["one", "two", "three"]).await, 0);
    assert_eq!(end(&store, &campaign).await, []);
    assert_eq!(shown(&store).await, ["/photos/one.jpg", "/photos/three.jpg"], "two is excluded");
    assert_eq!(subject(&store, "Ann").await.references[0].state, ReferenceState::Active);
    let given = log(&store).await;
    assert_eq!((&given[0].verdict, &given[1].verdict), (&Verdict::Found, &Verdict::Found));
    let excluded = given.iter().find(|each| each.verdict == Verdict::Exclude).unwrap().id;
    judge(&store, vec![(two, Verdict::Undo(excluded))]).await;
    assert_eq!(shown(&store).await.len(), 3);
}

pub async fn a_moved_image_keeps_what_is_known_of_it(home: impl Home) {
    let store = opened(&home).await;
    decided(&store, &enrolment("one", "Ann", 60, 0.0)).await;
    store.record(&[scored("two", &[50])]).await.unwrap();
    let one = image(&store, "one").await;
    judge(&store, vec![(one, Verdict::Keep)]).await;
    // The same bytes, in two places.
    for place in ["b/moved", "c/copy"] {
        let mut moved = scored(place, &[60]);
        moved.content = content(b"one");
        moved.outcome = enrolment("one", "Ann", 60, 0.0).outcome;
        store.record(&[moved]).await.unwrap();
    }
    let moved = image(&store, "b/moved").await;
    assert_eq!(listed(&store, &["two", "b/moved", "c/copy"]).await, [one]);
    assert_eq!(missing(&store, None).await[0].moved_to, Some(moved));

    let curation = judge(&store, vec![(moved, Verdict::Moved(one))]).await;
    let names = ["/photos/b/moved.jpg", "/photos/c/copy.jpg", "/photos/two.jpg"];
    assert_eq!(shown(&store).await, names);
    assert_eq!(image(&store, "b/moved").await, one);
    assert_eq!(image(&store, "one").await, moved);
    let stored = images(&store, a()).await;
    let at = |id: ImageId| stored.iter().find(|image| image.id == id);
    assert_eq!(at(one).unwrap().subject, Some(name("Ann")));
    let ann = subject(&store, "Ann").await;
    assert_eq!((ann.references[0].image, ann.references[0].state), (one, ReferenceState::Active));
    assert_eq!(missing(&store, None).await, []);
    let curated = store.curated(&gallery()).await.unwrap();
    assert!(curated[&one].kept && !curated[&one].gone && curated[&moved].gone);
    // A listing that finds it has nothing to add.
    assert_eq!(listed(&store, &["two", "b/moved", "c/copy"]).await, []);
    assert_eq!(log(&store).await.len(), 2);

    let verdict = log(&store).await[0].clone();
    assert_eq!((verdict.curation, &verdict.verdict), (curation, &Verdict::Moved(one)));
    judge(&store, vec![(moved, Verdict::Undo(verdict.id))]).await;
    assert_eq!((image(&store, "one").await, image(&store, "b/moved").await), (one, moved));
    assert_eq!(shown(&store).await.len(), 4);
    assert_eq!(missing(&store, None).await[0].moved_to, Some(moved));
}

pub async fn only_an_image_of_the_same_bytes_without_a_past_is_a_new_place(home: impl Home) {
    let store = opened(&home).await;
    store.record(&["one", "two"].map(|name| scored(name, &[50]))).await.unwrap();
    let mut copy = scored("copy", &[50]);
    copy.content = content(b"one");
    store.record(&[copy]).await.unwrap();
    let [one, two, copy] =
        [image(&store, "one").await, image(&store, "two").await, image(&store, "copy").await];
    listed(&store, &["two", "copy"]).await;
    assert_eq!(missing(&store, None).await[0].moved_to, Some(copy));
    let other = super::verdicts::curation(vec![(two, Verdict::Moved(one))]);
    assert!(matches!(
        store.judge(&other).await.unwrap(),
        facefleet::store::Judged::Changed(image) if image == two
    ));
    judge(&store, vec![(copy, Verdict::Keep)]).await;
    assert_eq!(missing(&store, None).await[0].moved_to, None, "somebody decided about it");
}

pub async fn an_erased_image_is_not_missing(home: impl Home) {
    let store = opened(&home).await;
    store.record(&["one", "two"].map(|name| scored(name, &[50]))).await.unwrap();
    listed(&store, &["two"]).await;
    let erasure = NewErasure {
        gallery: gallery(),
        target: ErasureTarget::Image(uri("one")),
        by: "ann".parse().unwrap(),
    };
    store.erase(&erasure).await.unwrap();
    assert_eq!(missing(&store, None).await, []);
}
