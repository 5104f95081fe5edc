//! Images of the lowest quality, and the best image of each subject.

use std::cmp::Reverse;

use super::load::{CuratedGallery, CuratedImage};
use super::suggestion::{Evidence, Suggestion};
use super::{order, shown};
use crate::domain::Verdict;

/// The images of the lowest quality that nobody kept, the lowest first. An image that is all that
/// its subject has is not to be excluded without a look.
pub(super) fn lowest(gallery: &CuratedGallery, limit: usize) -> Vec<Suggestion> {
    let people = gallery.people();
    let mut images: Vec<&CuratedImage> =
        gallery.images.iter().filter(|image| !image.kept).collect();
    let key = |image: &CuratedImage| image.face.score.unwrap_or_default();
    images.sort_by(|a, b| order(key(a), key(b)).then(a.image.id.cmp(&b.image.id)));
    images.truncate(limit);
    let row = |image: &CuratedImage| {
        let subject = image.subject();
        let of_subject = subject.and_then(|subject| people.get(subject.as_str()));
        let others = of_subject.into_iter().flatten().map(|&place| &gallery.images[place]);
        let others = others.filter(|other| other.image.id != image.image.id);
        let best = others.map(CuratedImage::quality).max();
        // What somebody enrolled and a person has to review is not decided by its quality alone.
        let review = image.review.clone().filter(|_| subject.is_none());
        let is_replaceable = (subject.is_none() && review.is_none())
            || best.is_some_and(|best| best > image.quality());
        Suggestion {
            image: shown(image),
            other: None,
            evidence: Evidence::LowQuality { best, images: of_subject.map(Vec::len), review },
            verdict: is_replaceable.then_some(Verdict::Exclude),
            images: vec![image.image.id],
        }
    };
    images.into_iter().map(row).collect()
}

/// The best image of each subject, by name, where nobody kept it yet.
pub(super) fn best(gallery: &CuratedGallery, limit: usize) -> Vec<Suggestion> {
    let row = |places: Vec<usize>| {
        let images = places.iter().map(|&place| &gallery.images[place]);
        let best = images.max_by(|a, b| {
            let score = |image: &CuratedImage| image.face.score.unwrap_or_default();
            order(score(a), score(b)).then(Reverse(a.image.id).cmp(&Reverse(b.image.id)))
        })?;
        (!best.kept).then(|| Suggestion {
            image: shown(best),
            other: None,
            evidence: Evidence::BestOf(places.len()),
            verdict: Some(Verdict::Keep),
            images: vec![best.image.id],
        })
    };
    gallery.people().into_values().filter_map(row).take(limit).collect()
}
