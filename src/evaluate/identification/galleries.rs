//! Random galleries, and the searches of each.

use ndarray::{ArrayView2, Axis};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::evaluate::bootstrap::{below, replicates};

/// Streams of random numbers below this are those of the bootstrap's replicates.
const FIRST_STREAM: u64 = 1 << 32;
/// Similarities that a thread computes at once: 16 MB.
const BLOCK: usize = 1 << 22;

/// A gallery of people with one reference each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct EnrolledGallery {
    /// Its index.
    number: u32,
    /// For each subject the photo that is their reference; none if they are not enrolled.
    reference: Vec<Option<u32>>,
}

/// A probe, and the similarity that decides its search: with its own person's reference if that is
/// in the gallery, else with the most similar reference.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Search {
    /// The photo.
    pub(super) probe: u32,
    /// The index of the gallery.
    pub(super) gallery: u32,
    /// A cosine.
    pub(super) similarity: f32,
}

/// Who may be enrolled: people with two photos or more.
#[derive(Debug)]
pub(super) struct Enrollable {
    /// The photos of each subject.
    photos: Vec<Vec<u32>>,
    /// Subjects with two photos or more.
    several: Vec<usize>,
}

impl Enrollable {
    /// None if there are no such people among `subjects`, those of the photos, or nobody else.
    pub(super) fn new(subjects: &[u32]) -> Option<Self> {
        let mut photos =
            vec![Vec::new(); subjects.iter().max().map_or(0, |&last| last as usize + 1)];
        (0..).zip(subjects).for_each(|(photo, &subject)| photos[subject as usize].push(photo));
        let several: Vec<usize> =
            (0..photos.len()).filter(|&subject| photos[subject].len() >= 2).collect();
        (!several.is_empty() && photos.len() >= 2).then_some(Self { photos, several })
    }

    /// References in each gallery: half of these people.
    pub(super) fn references(&self) -> usize {
        (self.several.len() / 2).max(1)
    }

    /// `count` random galleries.
    pub(super) fn galleries(&self, count: u32, seed: u64) -> Vec<EnrolledGallery> {
        let gallery = |number: u32| {
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            random.set_stream(FIRST_STREAM + u64::from(number));
            let mut reference = vec![None; self.photos.len()];
            let mut left = self.several.clone();
            for _ in 0..self.references() {
                let subject = left.swap_remove(below(&mut random, left.len()));
                let photos = &self.photos[subject];
                reference[subject] = Some(photos[below(&mut random, photos.len())]);
            }
            EnrolledGallery { number, reference }
        };
        (0..count).map(gallery).collect()
    }
}

impl EnrolledGallery {
    /// The photos that are references.
    pub(super) fn photos(&self) -> Vec<usize> {
        self.reference.iter().flatten().map(|&photo| photo as usize).collect()
    }

    /// The mated and the non-mated searches of this gallery, by probe.
    fn search(
        &self,
        templates: &ArrayView2<'_, f32>,
        subjects: &[u32],
    ) -> (Vec<Search>, Vec<Search>) {
        let (mut mated, mut strangers) = (Vec::new(), Vec::new());
        for (probe, &subject) in (0..).zip(subjects) {
            match self.reference[subject as usize] {
                None => strangers.push(probe),
                Some(reference) if reference == probe => {}
                Some(reference) => {
                    let own = templates.row(reference as usize);
                    let similarity = templates.row(probe as usize).dot(&own);
                    mated.push(Search { probe, gallery: self.number, similarity });
                }
            }
        }
        let references = templates.select(Axis(0), &self.photos());
        let mut non_mated = Vec::with_capacity(strangers.len());
        for probes in strangers.chunks((BLOCK / references.nrows().max(1)).max(1)) {
            let rows: Vec<usize> = probes.iter().map(|&probe| probe as usize).collect();
            let similarities = templates.select(Axis(0), &rows).dot(&references.t());
            let searches = probes.iter().zip(similarities.rows());
            non_mated.extend(searches.map(|(&probe, row)| Search {
                probe,
                gallery: self.number,
                similarity: row.iter().copied().fold(f32::NEG_INFINITY, f32::max),
            }));
        }
        (mated, non_mated)
    }
}

/// The mated and the non-mated searches of all `galleries`, the latter with the most similar first,
/// computed on `threads` threads.
pub(super) fn search(
    galleries: &[EnrolledGallery],
    templates: &ArrayView2<'_, f32>,
    subjects: &[u32],
    threads: usize,
) -> (Vec<Search>, Vec<Search>) {
    let searched = replicates(galleries.len() as u32, threads, |number| {
        galleries[number as usize].search(templates, subjects)
    });
    let (mut mated, mut non_mated) = (Vec::new(), Vec::new());
    for (own, others) in searched {
        mated.extend(own);
        non_mated.extend(others);
    }
    non_mated.sort_by(|a, b| b.similarity.total_cmp(&a.similarity));
    (mated, non_mated)
}
