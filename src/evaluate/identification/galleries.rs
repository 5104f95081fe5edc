//! Random galleries, and the searches of each.

use ndarray::{ArrayView2, Axis};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::evaluate::bootstrap::{below, replicates};

/// Streams of random numbers below this are those of the bootstrap's draws of people.
const FIRST_STREAM: u64 = 1 << 32;
/// Similarities that a thread computes at once: 16 MB.
const BLOCK: usize = 1 << 22;
/// Look-alikes that are kept of each photo. A search that meets none of them in its gallery returns
/// no candidate at any threshold of interest.
const LOOK_ALIKES: usize = 512;

/// The photos by subject, with the look-alikes of each.
#[derive(Debug)]
pub(super) struct Population<'a> {
    templates: &'a ArrayView2<'a, f32>,
    subjects: &'a [u32],
    /// The photos of each subject.
    photos: Vec<Vec<u32>>,
    /// For each photo those of others that are most similar to it, the most similar first; only
    /// photos of people who may be enrolled.
    look_alikes: Vec<Vec<MostSimilar>>,
}

#[derive(Debug, Clone, Copy)]
struct MostSimilar {
    photo: u32,
    similarity: f32,
}

/// People of a population, of whom half of those with two photos or more are enrolled. Somebody who
/// was drawn twice is two people, who are not compared with each other.
#[derive(Debug)]
pub(super) struct Enrollable<'a, 'p> {
    population: &'p Population<'a>,
    /// The subject of each.
    people: Vec<u32>,
    /// Those with two photos or more, as indices of `people`.
    several: Vec<usize>,
}

/// A gallery of people with one reference each: for each person the photo that is their reference;
/// none if they are not enrolled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct EnrolledGallery {
    reference: Vec<Option<u32>>,
}

/// The similarities that decide searches: of mated ones with the reference of the own person, of
/// non-mated ones with the most similar reference.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct Searches {
    pub(super) mated: Vec<f32>,
    pub(super) non_mated: Vec<f32>,
}

impl<'a> Population<'a> {
    /// None if nobody has two photos, or there is nobody else.
    pub(super) fn new(
        templates: &'a ArrayView2<'a, f32>,
        subjects: &'a [u32],
        threads: usize,
    ) -> Option<Self> {
        let mut photos =
            vec![Vec::new(); subjects.iter().max().map_or(0, |&last| last as usize + 1)];
        (0..).zip(subjects).for_each(|(photo, &subject)| photos[subject as usize].push(photo));
        if photos.len() < 2 || photos.iter().all(|photos| photos.len() < 2) {
            return None;
        }
        let enrollable = photos.iter().filter(|photos| photos.len() >= 2).flatten();
        let enrollable: Vec<usize> = enrollable.map(|&photo| photo as usize).collect();
        let look_alikes = look_alikes(templates, subjects, &enrollable, threads);
        Some(Self { templates, subjects, photos, look_alikes })
    }

    /// Everybody once.
    pub(super) fn everybody(&self) -> Enrollable<'a, '_> {
        self.drawn(&vec![1.0; self.photos.len()])
    }

    /// Each subject as often as `times` says.
    pub(super) fn drawn(&self, times: &[f64]) -> Enrollable<'a, '_> {
        let copies = |(subject, &times): (u32, &f64)| std::iter::repeat_n(subject, times as usize);
        let people: Vec<u32> = (0..).zip(times).flat_map(copies).collect();
        let has_several = |person: &usize| self.photos[people[*person] as usize].len() >= 2;
        let several = (0..people.len()).filter(has_several).collect();
        Enrollable { population: self, people, several }
    }
}

/// The look-alikes of every photo among `enrollable`, without those of its own subject.
fn look_alikes(
    templates: &ArrayView2<'_, f32>,
    subjects: &[u32],
    enrollable: &[usize],
    threads: usize,
) -> Vec<Vec<MostSimilar>> {
    let candidates = templates.select(Axis(0), enrollable);
    let rows = (BLOCK / enrollable.len().max(1)).max(1);
    let blocks = subjects.len().div_ceil(rows) as u32;
    let found = replicates(blocks, threads, |block| {
        let first = block as usize * rows;
        let probes: Vec<usize> = (first..subjects.len().min(first + rows)).collect();
        let similarities = templates.select(Axis(0), &probes).dot(&candidates.t());
        let of = |(probe, row): (usize, ndarray::ArrayView1<'_, f32>)| {
            let others = enrollable.iter().zip(row);
            let others = others.filter(|(photo, _)| subjects[**photo] != subjects[probe]);
            let mut others: Vec<MostSimilar> = others
                .map(|(&photo, &similarity)| MostSimilar { photo: photo as u32, similarity })
                .collect();
            let by_similarity = |a: &MostSimilar, b: &MostSimilar| {
                b.similarity.total_cmp(&a.similarity).then(a.photo.cmp(&b.photo))
            };
            if others.len() > LOOK_ALIKES {
                others.select_nth_unstable_by(LOOK_ALIKES, by_similarity);
                others.truncate(LOOK_ALIKES);
            }
            others.sort_unstable_by(by_similarity);
            others
        };
        probes.iter().copied().zip(similarities.rows()).map(of).collect::<Vec<_>>()
    });
    found.into_iter().flatten().collect()
}

impl Enrollable<'_, '_> {
    /// References in each gallery: half of those with two photos or more.
    pub(super) fn references(&self) -> usize {
        (self.several.len() / 2).max(1)
    }

    /// The random gallery `number` of sample `sample`; 0 is the whole set.
    pub(super) fn gallery(&self, sample: u32, number: u32, seed: u64) -> EnrolledGallery {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(FIRST_STREAM * (u64::from(sample) + 1) + u64::from(number));
        let mut reference = vec![None; self.people.len()];
        let mut left = self.several.clone();
        for _ in 0..self.references().min(left.len()) {
            let person = left.swap_remove(below(&mut random, left.len()));
            let photos = &self.population.photos[self.people[person] as usize];
            reference[person] = Some(photos[below(&mut random, photos.len())]);
        }
        EnrolledGallery { reference }
    }

    /// Adds the searches of `gallery` to `searches`: all photos of all people but the references.
    pub(super) fn search(&self, gallery: &EnrolledGallery, searches: &mut Searches) {
        let Population { templates, subjects, photos, look_alikes } = self.population;
        let mut is_reference = vec![false; subjects.len()];
        gallery.photos().for_each(|photo| is_reference[photo] = true);
        for (&subject, reference) in self.people.iter().zip(&gallery.reference) {
            let own = &photos[subject as usize];
            match *reference {
                Some(reference) => {
                    let template = templates.row(reference as usize);
                    let probes = own.iter().filter(|photo| **photo != reference);
                    let similarity = |&probe: &u32| templates.row(probe as usize).dot(&template);
                    searches.mated.extend(probes.map(similarity));
                }
                None => searches.non_mated.extend(own.iter().map(|&probe| {
                    let mut nearest = look_alikes[probe as usize].iter();
                    nearest
                        .find(|other| is_reference[other.photo as usize])
                        .map_or(f32::NEG_INFINITY, |other| other.similarity)
                })),
            }
        }
    }

    /// The searches of `count` galleries of sample `sample`.
    pub(super) fn searches(&self, sample: u32, count: u32, seed: u64) -> Searches {
        let mut searches = Searches::default();
        for number in 0..count {
            self.search(&self.gallery(sample, number, seed), &mut searches);
        }
        searches
    }

    /// The different photos that are non-mated probes in one of the first `count` galleries of the
    /// whole set.
    pub(super) fn non_mated_photos(&self, count: u32, seed: u64) -> usize {
        let mut outside = vec![false; self.people.len()];
        for number in 0..count {
            let gallery = self.gallery(0, number, seed);
            let not_enrolled = gallery.reference.iter().map(Option::is_none);
            outside.iter_mut().zip(not_enrolled).for_each(|(any, now)| *any |= now);
        }
        let photos = |subject: u32| self.population.photos[subject as usize].len();
        let ever = self.people.iter().zip(outside).filter(|(_, outside)| *outside);
        ever.map(|(&subject, _)| photos(subject)).sum()
    }
}

impl EnrolledGallery {
    /// The photos that are references.
    pub(super) fn photos(&self) -> impl Iterator<Item = usize> {
        self.reference.iter().flatten().map(|&photo| photo as usize)
    }
}
