//! Open-set identification (1:N; ISO/IEC 19795-1): how often a search of a gallery misses a person
//! who is in it, at the threshold at which it seldom returns a candidate for one who is not.
//!
//! Half of the people with two photos or more are enrolled at random, each with one photo at
//! random, the reference. Their other photos are the mated probes. All photos of all other people
//! are the non-mated probes. A search returns every reference whose similarity exceeds the
//! threshold. This is repeated with other galleries, and the searches of all are counted together:
//!
//! - FPIR, the false positive identification rate: the share of the non-mated searches that return
//!   a candidate, that is, whose most similar reference exceeds the threshold.
//! - FNIR, the false negative identification rate: the share of the mated searches that do not
//!   return the probe's own person.
//!
//! A bootstrap replicate draws people and galleries anew, and weights each search by how often the
//! probe's person and its gallery were drawn. Who is enrolled is not drawn anew: the intervals are
//! too narrow.

mod galleries;

use std::collections::HashSet;

use ndarray::ArrayView2;

use self::galleries::{Enrollable, Search};
use super::bootstrap::{Estimate, draw, replicates};
use super::evaluation::Bootstrap;
use super::pairs::Weights;

/// The false positive identification rates at which thresholds are fixed.
pub const FPIRS: [f64; 2] = [1e-2, 1e-3];
/// Random galleries: one with an unlucky reference of a person with many photos decides too much
/// among fewer.
const MOST_GALLERIES: u64 = 100;
/// Random galleries of a large set, which are large.
const LEAST_GALLERIES: u64 = 10;
/// Comparisons of all galleries together beyond which there are fewer.
const COMPARISONS: u64 = 2_000_000_000;
/// Streams of random numbers from this on draw galleries; those below draw people.
const GALLERY_STREAM: u32 = 1_000_000;
/// A rate is shown with this number over it of different non-mated probes or more. Fewer cannot
/// show a rate so low (the rule of 3 of ISO/IEC 19795-1).
const RULE_OF_THREE: f64 = 3.0;

/// How well people are found in a gallery.
#[derive(Debug, Clone, PartialEq)]
pub struct Identification {
    /// People in each gallery, n. Each has one reference.
    pub references: usize,
    /// Galleries.
    pub galleries: u32,
    /// Mated searches of all galleries together.
    pub mated_searches: usize,
    /// Non-mated searches of all galleries together.
    pub non_mated_searches: usize,
    /// Different photos among the non-mated probes.
    pub non_mated_photos: usize,
    /// The results at those of [`FPIRS`] that these can show, the highest rate first.
    pub points: Vec<IdentificationPoint>,
}

/// The result at one false positive identification rate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct IdentificationPoint {
    /// The false positive identification rate (FPIR).
    pub fpir: f64,
    /// A search returns the references of a similarity over this.
    pub threshold: Estimate,
    /// The false negative identification rate (FNIR).
    pub fnir: Estimate,
}

impl Identification {
    /// Searches random galleries of `templates` (unit vectors, a row for each photo) of `subjects`
    /// (numbered from 0 without a gap). The seed of `bootstrap` also draws the galleries. None if
    /// no person has two photos, or no other person would be left.
    pub fn measure(
        templates: &ArrayView2<'_, f32>,
        subjects: &[u32],
        bootstrap: Bootstrap,
    ) -> Option<Self> {
        let enrolled = Enrollable::new(subjects)?;
        let count = gallery_count(enrolled.references(), subjects.len());
        let galleries = enrolled.galleries(count, bootstrap.seed);
        let (mated, non_mated) =
            galleries::search(&galleries, templates, subjects, bootstrap.threads);
        let photos: HashSet<u32> = non_mated.iter().map(|search| search.probe).collect();
        let shown = |fpir: &f64| shows(*fpir, photos.len());
        let fpirs: Vec<f64> = FPIRS.into_iter().filter(shown).collect();
        let at = |weights: &SearchWeights| -> Vec<(f64, f64)> {
            fpirs.iter().map(|&fpir| rates(&mated, &non_mated, fpir, weights)).collect()
        };
        let whole = at(&SearchWeights {
            people: Weights::once(subjects),
            galleries: vec![1.0; galleries.len()],
        });
        let people = subjects.iter().max().map_or(0, |&last| last as usize + 1);
        let drawn = replicates(bootstrap.replicates, bootstrap.threads, |number| {
            let seed = bootstrap.seed;
            at(&SearchWeights {
                people: Weights::new(draw(people, number, seed), subjects),
                galleries: draw(galleries.len(), GALLERY_STREAM + number, seed),
            })
        });
        let point = |(index, &fpir): (usize, &f64)| IdentificationPoint {
            fpir,
            threshold: Estimate::new(whole[index].0, drawn.iter().map(|rates| rates[index].0)),
            fnir: Estimate::new(whole[index].1, drawn.iter().map(|rates| rates[index].1)),
        };
        Some(Self {
            references: enrolled.references(),
            galleries: count,
            mated_searches: mated.len(),
            non_mated_searches: non_mated.len(),
            non_mated_photos: photos.len(),
            points: fpirs.iter().enumerate().map(point).collect(),
        })
    }

    /// The rates of [`FPIRS`] that are not shown, the highest first.
    pub fn not_shown(&self) -> impl Iterator<Item = TooFewProbes> {
        let photos = self.non_mated_photos;
        FPIRS
            .into_iter()
            .filter(move |&fpir| !shows(fpir, photos))
            .map(move |fpir| TooFewProbes { fpir, photos })
    }
}

/// Why a false positive identification rate is not shown.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("{photos} different photos of people who are not enrolled; {} are needed", needed(*.fpir))]
pub struct TooFewProbes {
    /// The rate.
    pub fpir: f64,
    /// Different photos among the non-mated probes.
    pub photos: usize,
}

/// The number of galleries of `references` people among `photos`.
fn gallery_count(references: usize, photos: usize) -> u32 {
    let affordable = COMPARISONS / (references as u64 * photos as u64).max(1);
    affordable.clamp(LEAST_GALLERIES, MOST_GALLERIES) as u32
}

/// The weight of each search: 1, or how often a bootstrap replicate drew its person and gallery.
struct SearchWeights {
    /// Of the probes.
    people: Weights,
    /// By gallery.
    galleries: Vec<f64>,
}

impl SearchWeights {
    fn of(&self, search: &Search) -> f64 {
        self.people.photo(search.probe) * self.galleries[search.gallery as usize]
    }
}

/// The different non-mated probes that can show `fpir`.
fn needed(fpir: f64) -> usize {
    (RULE_OF_THREE / fpir).round() as usize
}

fn shows(fpir: f64, non_mated_photos: usize) -> bool {
    non_mated_photos >= needed(fpir)
}

/// The lowest threshold at which the false positive identification rate is at most `fpir`, and the
/// false negative identification rate there. `non_mated` has the most similar first. Both are NaN
/// if the weights leave no search of that kind.
fn rates(mated: &[Search], non_mated: &[Search], fpir: f64, weights: &SearchWeights) -> (f64, f64) {
    let weight = |search: &Search| weights.of(search);
    let allowed = fpir * non_mated.iter().map(weight).sum::<f64>();
    let mut sum = 0.0;
    let first_over = non_mated.iter().find(|search| {
        sum += weight(search);
        // Tolerance of a thousandth of a search: the product `allowed` is rounded.
        sum > allowed + 1e-3
    });
    let Some(threshold) = first_over.map(|search| search.similarity) else {
        return (f64::NAN, f64::NAN);
    };
    let missed = mated.iter().filter(|search| search.similarity <= threshold).map(weight);
    (f64::from(threshold), missed.sum::<f64>() / mated.iter().map(weight).sum::<f64>())
}

#[cfg(test)]
mod tests;
