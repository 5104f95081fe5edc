//! Images that are gone from their source, and those that were moved within it.

use std::sync::Arc;

use facefleet::domain::{
    Campaign, ErasureTarget, ImageId, JobId, JobRecord, Outcome, OutcomeKind, ReferenceRules,
    ReferenceState, UriRoot, Verdict,
};
use facefleet::gallery::curate::{CurateQuery, CurateView, Curator, apply, preview};
use facefleet::store::{Judged, ListingKey, MissingImage, MissingQuery, NewErasure, Store};

use super::campaigns::begun;
use super::enrolments::{decided, enrolment, name, subject};
use super::verdicts::{curation, image, judge, log};
use super::{Home, a, images, opened};
use crate::support::{content, gallery, scored, unfetched, uri, with_job};

fn below(place: &str) -> Vec<UriRoot> {
    vec![UriRoot::new(&place.parse().unwrap())]
}

/// A complete listing that finds these: what it does not find is missing.
async fn listed(store: &Arc<dyn Store>, found: &[&str]) -> Vec<ImageId> {
    listed_with(store, found, &[]).await
}

/// As [`listed`], and the listing brings these, which are new.
async fn listed_with(store: &Arc<dyn Store>, found: &[&str], new: &[JobRecord]) -> Vec<ImageId> {
    let campaign = tracked(store).await;
    find(store, &campaign, found).await;
    store.record(new).await.unwrap();
    end(store, &campaign).await
}

/// A listing that begins.
async fn tracked(store: &Arc<dyn Store>) -> Campaign {
    let campaign = begun(store).await;
    assert!(store.track_listing(campaign.id, &gallery()).await.unwrap());
    campaign
}

/// The bytes of another image, in this place.
fn copy(place: &str, of: &str) -> JobRecord {
    JobRecord { content: content(of.as_bytes()), ..scored(place, &[50]) }
}

/// The place that each missing image moved to, and the place of another copy.
async fn places(store: &Arc<dyn Store>) -> Vec<(Option<ImageId>, Option<ImageId>)> {
    let found = missing(store, None).await.into_iter();
    found.map(|image| (image.moved_to.map(|place| place.id), image.copied_to)).collect()
}

async fn find(store: &Arc<dyn Store>, campaign: &Campaign, found: &[&str]) -> u64 {
    let uris: Vec<_> = found.iter().map(|name| uri(name)).collect();
    store.note_found(campaign, &uris).await.unwrap()
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
    store.untrack_listing(campaign.id, true).await.unwrap();
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
    let none = store.not_found(first.id, &below("file:///photos"), None, 9).await.unwrap();
    assert_eq!(none, Some(Vec::new()), "also if it goes on after an interruption");
    store.untrack_listing(first.id, true).await.unwrap();
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
    let moved = ["b/moved", "c/copy"].map(|place| {
        let outcome = enrolment("one", "Ann", 60, 0.0).outcome;
        JobRecord { outcome, ..copy(place, "one") }
    });
    assert_eq!(listed_with(&store, &["two"], &moved).await, [one]);
    let moved = image(&store, "b/moved").await;
    let place = missing(&store, None).await[0].moved_to.clone().unwrap();
    assert_eq!((place.id, place.uri), (moved, uri("b/moved")));

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
    assert_eq!(places(&store).await, [(Some(moved), None)]);
}

pub async fn only_an_image_of_the_same_bytes_without_a_past_is_a_new_place(home: impl Home) {
    let store = opened(&home).await;
    store.record(&["one", "two"].map(|name| scored(name, &[50]))).await.unwrap();
    listed_with(&store, &["two"], &[copy("copy", "one")]).await;
    let [one, two, place] =
        [image(&store, "one").await, image(&store, "two").await, image(&store, "copy").await];
    assert_eq!(places(&store).await, [(Some(place), None)]);
    let query = MissingQuery {
        gallery: gallery(),
        below: Some(below("file:///photos/one.jpg")),
        after: None,
        limit: 9,
    };
    let elsewhere = store.missing(&query).await.unwrap();
    assert_eq!((&elsewhere[0].moved_to, elsewhere[0].copied_to), (&None, Some(place)));

    // What was decided since somebody looked is seen where the verdict is written.
    let refuses = async |about: ImageId| {
        let verdict = curation(vec![(about, Verdict::Moved(one))]);
        assert_eq!(store.judge(&verdict).await.unwrap(), Judged::Changed(about));
    };
    refuses(two).await;
    judge(&store, vec![(place, Verdict::Keep)]).await;
    assert_eq!(places(&store).await, [(None, Some(place))], "somebody decided about it");
    refuses(place).await;
    let keep = log(&store).await[0].id;
    judge(&store, vec![(place, Verdict::Undo(keep))]).await;
    let enrolled = JobRecord { content: content(b"one"), ..enrolment("copy", "Ann", 50, 0.0) };
    decided(&store, &enrolled).await;
    let lost = "UPDATE images SET subject = NULL";
    home.change(lost, lost).await;
    assert_eq!(places(&store).await, [(None, Some(place))], "it is somebody's reference");
    refuses(place).await;
}

pub async fn a_copy_that_was_there_with_the_missing_image_is_no_new_place(home: impl Home) {
    let store = opened(&home).await;
    let records = [scored("one", &[50]), copy("old", "one"), scored("two", &[50])];
    store.record(&records).await.unwrap();
    let old = image(&store, "old").await;
    listed(&store, &["one", "old", "two"]).await;
    listed(&store, &["old", "two"]).await;
    assert_eq!(places(&store).await, [(None, Some(old))]);
    listed_with(&store, &["one", "old", "two"], &[]).await;

    // A listing that failed, one that was cancelled and one of a new folder alone recorded the new
    // places, before a complete one misses the images.
    for (round, found) in [("failed", &["two"][..]), ("stopped", &["two"]), ("new", &[])] {
        store.record(&[scored(round, &[50])]).await.unwrap();
        listed(&store, &["one", "old", "two", "failed", "stopped", "new"]).await;
        let campaign = tracked(&store).await;
        find(&store, &campaign, found).await;
        let place = format!("{round}/place");
        store.record(&[copy(&place, round)]).await.unwrap();
        match round {
            "stopped" => store.cancel_listing(ListingKey::from(campaign.id)).await.unwrap(),
            _ => store.untrack_listing(campaign.id, round == "new").await.unwrap(),
        }
        listed(&store, &["one", "old", "two", &place]).await;
        let place = image(&store, &place).await;
        assert!(places(&store).await.contains(&(Some(place), None)), "{round}");
        listed(&store, &["one", "old", "two", "failed", "stopped", "new"]).await;
    }
    // What an image that was gone comes back to is a new place, too.
    let gone = image(&store, "new").await;
    listed(&store, &["one", "old", "two", "new/place"]).await;
    judge(&store, vec![(gone, Verdict::Gone)]).await;
    let there = image(&store, "new/place").await;
    assert_eq!(listed(&store, &["one", "old", "two", "new"]).await, [there]);
    assert!(places(&store).await.contains(&(Some(gone), None)));
}

pub async fn what_is_read_or_up_to_date_is_not_gone(home: impl Home) {
    let store = opened(&home).await;
    let ann = enrolment("one", "Ann", 60, 0.0);
    decided(&store, &ann).await;
    store.record(&[scored("two", &[50]), scored("three", &[40])]).await.unwrap();
    let [one, two] = [image(&store, "one").await, image(&store, "two").await];
    let lost = async || {
        listed(&store, &["three"]).await;
        judge(&store, vec![(one, Verdict::Gone), (two, Verdict::Gone)]).await;
        assert_eq!(shown(&store).await.len(), 1);
    };
    lost().await;
    let again =
        |record: &JobRecord| with_job(record.clone(), |job| job.id = JobId(uuid::Uuid::now_v7()));
    // Nobody read the image for these.
    let chips = JobRecord { from_chips: true, ..again(&scored("two", &[50])) };
    let unread = unfetched("two", Outcome::Failed("a timeout".into()));
    store.record(&[chips, again(&unread)]).await.unwrap();
    assert_eq!(shown(&store).await.len(), 1);
    let other = JobRecord { content: content(b"other"), ..again(&scored("four", &[50])) };
    store.record(&[again(&ann), again(&scored("two", &[50])), other]).await.unwrap();
    let names = ["one", "two", "three", "four"].map(|name| uri(name).for_people().to_string());
    let mut found = shown(&store).await;
    assert!(names.iter().all(|name| found.contains(name)), "{found:?}");
    assert_eq!(missing(&store, None).await, []);
    assert_eq!(subject(&store, "Ann").await.references[0].state, ReferenceState::Active);
    let mut given = log(&store).await;
    given.truncate(2);
    let mut by: Vec<_> = given.iter().map(|each| (each.by.as_str(), &each.verdict)).collect();
    by.sort_unstable_by_key(|(by, _)| *by);
    assert_eq!(by, [("enrol", &Verdict::Found), ("scan", &Verdict::Found)]);

    // A list is no listing of a place: its campaign is not tracked.
    listed(&store, &["three", "four"]).await;
    judge(&store, vec![(one, Verdict::Gone), (two, Verdict::Gone)]).await;
    assert_eq!(find(&store, &begun(&store).await, &["two", "unknown"]).await, 1);
    found = shown(&store).await;
    assert_eq!(found.len(), 3, "{found:?}");
    // So is one whose mark was removed between a look and the verdict.
    home.change("DELETE FROM missing_images", "DELETE FROM missing_images").await;
    assert_eq!(find(&store, &begun(&store).await, &["one"]).await, 1);
}

pub async fn a_listing_that_failed_marks_nothing_and_finds_what_is_back(home: impl Home) {
    let store = opened(&home).await;
    store.record(&["one", "two", "three"].map(|name| scored(name, &[50]))).await.unwrap();
    let one = image(&store, "one").await;
    listed(&store, &["two", "three"]).await;
    judge(&store, vec![(one, Verdict::Gone)]).await;
    let campaign = tracked(&store).await;
    find(&store, &campaign, &["two"]).await;
    store.untrack_listing(campaign.id, false).await.unwrap();
    assert_eq!(find(&store, &campaign, &["one"]).await, 1);
    let roots = below("file:///photos");
    assert_eq!(store.not_found(campaign.id, &roots, None, 9).await.unwrap(), None);
    // It begins anew.
    assert!(store.track_listing(campaign.id, &gallery()).await.unwrap());
    find(&store, &campaign, &["one", "two"]).await;
    assert_eq!(end(&store, &campaign).await, [image(&store, "three").await]);
}

pub async fn what_a_view_of_many_missing_images_suggests_can_be_applied(home: impl Home) {
    let store = opened(&home).await;
    // Two of the same bytes, further from each other than what is read at once.
    let made: Vec<JobRecord> = (0..5001).map(|n| scored(&format!("{n}"), &[50])).collect();
    let all = [vec![copy("first", "x")], made, vec![copy("last", "x"), scored("kept", &[50])]];
    for records in all.concat().chunks(500) {
        store.record(records).await.unwrap();
    }
    let campaign = tracked(&store).await;
    find(&store, &campaign, &["kept"]).await;
    store.record(&[copy("new", "x")]).await.unwrap();
    let roots = below("file:///photos");
    let found = store.not_found(campaign.id, &roots, None, 9000).await.unwrap().unwrap();
    let found: Vec<ImageId> = found.into_iter().map(|image| image.id).collect();
    assert_eq!(found.len(), 5003);
    store.mark_missing(campaign.id, &found).await.unwrap();
    let query = CurateQuery {
        gallery: gallery(),
        view: CurateView::Gone,
        threshold: 0.8,
        limit: 9000,
        threads: 2,
    };
    let curator = || Curator {
        gallery: gallery(),
        by: "ann".parse().unwrap(),
        reason: None,
        rules: ReferenceRules { most: 3, margin: 5.0 },
    };
    for suggested in [5002, 1] {
        let shown = preview(store.as_ref(), &query).await.unwrap();
        assert_eq!(shown.verdicts().len(), suggested);
        let (_, given) = apply(store.as_ref(), &query, &shown.name, curator()).await.unwrap();
        assert_eq!(given, suggested as u64);
    }
    assert_eq!(shown(&store).await, ["/photos/kept.jpg", "/photos/new.jpg"]);
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
