//! The same picture twice: the same bytes, or another size, compression or cut of it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

use super::load::{CuratedGallery, CuratedImage};
use super::near_pairs::near_pairs;
use super::suggestion::{Evidence, Suggestion};
use super::{order, shown};
use crate::domain::{ContentHash, PictureHash, Verdict};

/// Two images show one picture if the similarity of their templates, less the share of the bits in
/// which their hashes differ, is at least this. Other photos of the same person differ in more
/// bits, and cuts of a picture have the more similar templates. Fitted to copies of photos of LFW
/// (docs/curation.md).
const ONE_PICTURE: f64 = 0.68;
/// Hashes that differ in more bits cannot be of one picture.
const MOST_BITS: u32 = ((1.0 - ONE_PICTURE) * PictureHash::BITS as f64) as u32;

/// A pair of one picture, by places, and the similarity of its templates.
type SamePicture = (usize, f64);

/// Images that show the same picture as a better one, the most similar first. The image with the
/// most pixels stays, or else the one with the most bytes, a reference, one with a subject, or else
/// the first.
pub(super) fn duplicates(
    gallery: &CuratedGallery,
    limit: usize,
    threads: usize,
) -> Vec<Suggestion> {
    let images = &gallery.images;
    let pairs = pairs(images, threads);
    let mut places: Vec<usize> = pairs.keys().copied().collect();
    places.sort_by_key(|&place| {
        let image = &images[place];
        let better = (image.kept, image.pixels(), image.image.bytes);
        let known = (image.reference, image.subject().is_some());
        (Reverse((better, known)), image.image.id)
    });
    // The best of all stays; what is the same as it goes; then the best of the rest.
    let mut rows: Vec<(f64, Suggestion)> = Vec::new();
    let mut gone = vec![false; images.len()];
    for place in places {
        if gone[place] {
            continue;
        }
        gone[place] = true;
        for &(other, similarity) in pairs.get(&place).into_iter().flatten() {
            let told_apart = gallery.are_told_apart(images[place].image.id, images[other].image.id);
            if !gone[other] && !images[other].kept && !told_apart {
                gone[other] = true;
                rows.push((similarity, row(&images[other], &images[place], similarity)));
            }
        }
    }
    rows.sort_by(|a, b| order(b.0, a.0).then(a.1.images.cmp(&b.1.images)));
    rows.into_iter().map(|(_, row)| row).take(limit).collect()
}

fn row(image: &CuratedImage, stays: &CuratedImage, similarity: f64) -> Suggestion {
    let same_bytes = image.image.hash.is_some() && image.image.hash == stays.image.hash;
    // Under two names, one of them is wrong: only a person can say which.
    let one_subject = image.subject().is_none() || image.subject() == stays.subject();
    // Without it, its subject may no longer be found: only a person can say which is to stay.
    let loses_reference = image.reference && !stays.reference;
    Suggestion {
        image: shown(image),
        other: Some(shown(stays)),
        evidence: match same_bytes {
            true => Evidence::SameBytes,
            false => Evidence::SamePicture(similarity),
        },
        verdict: (one_subject && !loses_reference).then_some(Verdict::Exclude),
        images: vec![image.image.id],
    }
}

/// The pairs of one picture, from both sides.
fn pairs(images: &[CuratedImage], threads: usize) -> BTreeMap<usize, Vec<SamePicture>> {
    let mut pairs: BTreeMap<usize, Vec<SamePicture>> = BTreeMap::new();
    let mut add = |one: usize, other: usize, similarity: f64| {
        for (from, to) in [(one, other), (other, one)] {
            let of_one = pairs.entry(from).or_default();
            if of_one.iter().all(|(known, _)| *known != to) {
                of_one.push((to, similarity));
            }
        }
    };
    let mut first_of: HashMap<ContentHash, Vec<usize>> = HashMap::new();
    for (place, image) in images.iter().enumerate() {
        let Some(hash) = image.image.hash else { continue };
        let same = first_of.entry(hash).or_default();
        same.iter().for_each(|&other| add(other, place, 1.0));
        same.push(place);
    }
    let hashed = images.iter().enumerate();
    let hashed = hashed.filter_map(|(place, image)| Some((place, image.image.picture?)));
    let (places, hashes): (Vec<usize>, Vec<PictureHash>) = hashed.unzip();
    let one_picture = |one: usize, other: usize, bits: u32| {
        let (one, other) = (&images[places[one]], &images[places[other]]);
        let similarity = one.template.similarity(&other.template);
        let differ = f64::from(bits) / f64::from(PictureHash::BITS);
        (similarity - differ >= ONE_PICTURE).then_some(similarity)
    };
    for (one, other, similarity) in near_pairs(&hashes, MOST_BITS, threads, &one_picture) {
        add(places[one], places[other], similarity);
    }
    pairs
}
