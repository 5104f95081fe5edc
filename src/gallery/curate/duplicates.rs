//! The same picture twice: the same bytes, or another size, compression or cut of it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

use super::load::{CuratedGallery, CuratedImage};
use super::suggestion::{Evidence, Suggestion};
use super::{CurateError, order, shown};
use crate::domain::{Component, ContentHash, Verdict};
use crate::matching::{Neighbour, TemplateIndex};

/// Less similar templates are not looked at.
const LEAST: f64 = 0.6;
/// Similar images that are looked at.
const NEIGHBOURS: usize = 16;
/// Probes that are searched with at once: the scan of each batch goes over all templates.
const BATCH: usize = 256;

/// Two faces are of one picture from this likeness on: see [`likeness`]. This and the numbers below
/// were fitted to copies of photos of LFW (docs/curation.md).
const ONE_PICTURE: f64 = 0.876;
/// What a deviation of the light takes off the likeness, and the most deviation that counts.
const COST_OF_LIGHT: (f64, f64) = (0.03, 3.0);
/// What the lead over the next similar image adds to the likeness, and the most that counts.
const WORTH_OF_LEAD: (f64, f64) = (0.3, 0.2);
/// Measures of a face's light, and how much they deviate among copies of a picture.
const LIGHT: [(Component, f64); 4] = [
    (Component::DynamicRange, 0.0335),
    (Component::LuminanceMean, 0.004_66),
    (Component::LuminanceVariance, 0.000_86),
    (Component::IlluminationUniformity, 0.1061),
];
/// How far a face may be from where it is in the other picture, in widths and heights of it.
const MOST_MOVED: f64 = 0.06;
/// How much the share of the picture's width between the eyes may differ, as a logarithm.
const MOST_SCALED: f64 = 0.3;

/// A pair of one picture, by places, and the similarity of its templates.
type SamePicture = (usize, f64);

/// Images that show the same picture as a better one, the most similar first. The image with the
/// most pixels stays, or else the one with the most bytes, or else the first.
pub(super) fn duplicates(
    gallery: &CuratedGallery,
    limit: usize,
    threads: usize,
) -> Result<Vec<Suggestion>, CurateError> {
    let images = &gallery.images;
    let pairs = pairs(images, threads)?;
    let mut places: Vec<usize> = pairs.keys().copied().collect();
    places.sort_by_key(|&place| {
        let image = &images[place];
        let better = (Reverse(image.kept), Reverse(image.pixels()), Reverse(image.image.bytes));
        (better, image.image.id)
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
    Ok(rows.into_iter().map(|(_, row)| row).take(limit).collect())
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
fn pairs(
    images: &[CuratedImage],
    threads: usize,
) -> Result<BTreeMap<usize, Vec<SamePicture>>, CurateError> {
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
    let Some(first) = images.first() else { return Ok(pairs) };
    let dimension = first.template.as_slice().len();
    let mut index = TemplateIndex::new(dimension, images.len());
    for (place, image) in images.iter().enumerate() {
        index.extend(&[place], &image.template.to_halves())?;
    }
    let mut all: Vec<Vec<Neighbour<usize>>> = Vec::with_capacity(images.len());
    for probes in images.chunks(BATCH) {
        let templates: Vec<_> = probes.iter().map(|image| image.template.clone()).collect();
        all.extend(index.nearest(&templates, NEIGHBOURS, LEAST, threads)?);
    }
    for (place, neighbours) in all.iter().enumerate() {
        for found in neighbours.iter().filter(|found| found.key != place) {
            let next = next(neighbours, (place, found.key));
            let next = next.max(self::next(&all[found.key], (place, found.key)));
            let lead = found.similarity - next;
            let (one, other) = (&images[place], &images[found.key]);
            if likeness(one, other, found.similarity, lead) >= ONE_PICTURE && same_cut(one, other) {
                add(place, found.key, found.similarity);
            }
        }
    }
    Ok(pairs)
}

/// The similarity of the next neighbour that is not of the pair.
fn next(neighbours: &[Neighbour<usize>], (one, other): (usize, usize)) -> f64 {
    let next = neighbours.iter().find(|found| found.key != one && found.key != other);
    next.map_or(LEAST, |found| found.similarity)
}

/// The similarity of two templates, less for another light, more if no other image is as similar:
/// other photos of the same person in the same light come close to copies.
fn likeness(one: &CuratedImage, other: &CuratedImage, similarity: f64, lead: f64) -> f64 {
    let (cost, most) = COST_OF_LIGHT;
    let (worth, most_lead) = WORTH_OF_LEAD;
    let light = light(one, other).map_or(most, |light| light.min(most));
    similarity - cost * light + worth * lead.min(most_lead)
}

/// How much the light of two faces deviates; none if that is not known.
fn light(one: &CuratedImage, other: &CuratedImage) -> Option<f64> {
    let mut sum = 0.0;
    for (component, scale) in LIGHT {
        let of = |image: &CuratedImage| image.face.components.get(component).map(f64::from);
        sum += ((of(one)? - of(other)?) / scale).powi(2);
    }
    Some((sum / LIGHT.len() as f64).sqrt())
}

/// Whether the faces are in the same place of their pictures, and as large in them.
fn same_cut(one: &CuratedImage, other: &CuratedImage) -> bool {
    let (Some(one), Some(other)) = (place(one), place(other)) else { return false };
    let moved = |axis: usize| (one[axis] - other[axis]).abs() <= MOST_MOVED;
    moved(0) && moved(1) && (one[2] / other[2]).ln().abs() <= MOST_SCALED
}

/// The middle of the landmarks and the distance of the eyes, in widths and heights of the picture.
fn place(image: &CuratedImage) -> Option<[f64; 3]> {
    let (width, height) = image.image.size?;
    let (width, height) = (f64::from(width), f64::from(height));
    let landmarks = image.face.face.landmarks?;
    let x = landmarks.iter().map(|point| f64::from(point.x)).sum::<f64>() / 5.0;
    let y = landmarks.iter().map(|point| f64::from(point.y)).sum::<f64>() / 5.0;
    let [right, left, ..] = landmarks;
    let eyes = f64::from(right.x - left.x).hypot(f64::from(right.y - left.y));
    Some([x / width, y / height, eyes.max(f64::MIN_POSITIVE) / width])
}
