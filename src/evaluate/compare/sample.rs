//! The images of which templates are compared: a sample that depends on the images' ids and on its
//! seed alone, so that comparisons of one profile with several others compare the same images.

use std::collections::HashMap;

use half::f16;
use ndarray::Array2;
use tokio::sync::mpsc;

use super::CompareError;
use super::pairing::PairedImage;
use crate::domain::{ProfileId, Template};
use crate::store::{Snapshot, TemplateBatch};

/// Images of one subject in a sample: more of them hardly add to what is known of other subjects,
/// and their comparisons grow with the square.
pub(super) const MOST_OF_A_SUBJECT: usize = 20;
/// Results of which templates are read at once.
const READ: usize = 5000;

/// A number that depends on `seed` and `of` alone, and looks random (the finaliser of
/// `SplitMix64`).
fn mixed(seed: u64, of: u64) -> u64 {
    let mut z = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(of ^ 0xD1B5_4A32_D192_ED03);
    z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ z >> 31
}

/// Whether the primary face has a template under both profiles.
fn is_scored(image: &PairedImage) -> bool {
    image.qualities.iter().all(Option::is_some)
}

/// Images with a scored primary face under both profiles, by index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chosen {
    /// The sample, in ascending order.
    pub images: Vec<usize>,
    /// How many images it is of.
    pub of: usize,
}

/// At most about `most` images whose subject is known: all images of some subjects, but at most
/// [`MOST_OF_A_SUBJECT`] of each.
pub(super) fn of_subjects(images: &[PairedImage], most: usize, seed: u64) -> Chosen {
    let mut by_subject: HashMap<u32, Vec<usize>> = HashMap::new();
    let mut of = 0;
    for (index, image) in images.iter().enumerate() {
        if image.has_subject && is_scored(image) {
            of += 1;
            by_subject.entry(image.unit).or_default().push(index);
        }
    }
    let id = |index: usize| images[index].id.0.cast_unsigned();
    let first = |members: &[usize]| members.iter().map(|&index| id(index)).min().unwrap_or(0);
    let mut subjects: Vec<(u64, Vec<usize>)> =
        by_subject.into_values().map(|members| (mixed(seed, first(&members)), members)).collect();
    subjects.sort_unstable();
    let mut chosen = Vec::new();
    for (_, mut members) in subjects {
        if chosen.len() >= most {
            break;
        }
        members.sort_unstable_by_key(|&index| mixed(seed, id(index)));
        members.truncate(MOST_OF_A_SUBJECT);
        chosen.extend(members);
    }
    chosen.truncate(most);
    chosen.sort_unstable();
    Chosen { images: chosen, of }
}

/// At most `most` images, whoever they show.
pub(super) fn of_images(images: &[PairedImage], most: usize, seed: u64) -> Chosen {
    let scored = images.iter().enumerate().filter(|(_, image)| is_scored(image));
    let mut ranked: Vec<(u64, usize)> =
        scored.map(|(index, image)| (mixed(seed, image.id.0.cast_unsigned()), index)).collect();
    let of = ranked.len();
    ranked.sort_unstable();
    let mut chosen: Vec<usize> = ranked.into_iter().take(most).map(|(_, index)| index).collect();
    chosen.sort_unstable();
    Chosen { images: chosen, of }
}

/// Templates of the primary faces of some images under one profile.
pub(super) struct LoadedTemplates {
    dimension: usize,
    /// The row of each image.
    rows: HashMap<usize, usize>,
    halves: Vec<f16>,
}

impl std::fmt::Debug for LoadedTemplates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LoadedTemplates({} of {} components)", self.rows.len(), self.dimension)
    }
}

impl LoadedTemplates {
    /// Reads the templates of `chosen`, whose results have these `cursors`.
    ///
    /// # Errors
    /// If the store cannot be read, or has templates of different lengths.
    pub(super) async fn read(
        snapshot: &mut dyn Snapshot,
        profile: &ProfileId,
        chosen: &[(usize, i64)],
    ) -> Result<Self, CompareError> {
        let mut found = Self { dimension: 0, rows: HashMap::new(), halves: Vec::new() };
        for part in chosen.chunks(READ) {
            let images: HashMap<i64, usize> = part.iter().map(|&(i, cursor)| (cursor, i)).collect();
            let cursors: Vec<i64> = part.iter().map(|&(_, cursor)| cursor).collect();
            let (to, mut from) = mpsc::channel(4);
            let collect = async {
                let mut batches: Vec<TemplateBatch> = Vec::new();
                while let Some(batch) = from.recv().await {
                    batches.push(batch);
                }
                batches
            };
            let (read, batches) =
                tokio::join!(snapshot.templates_of(profile, &cursors, to), collect);
            read?;
            batches.iter().for_each(|batch| found.add(batch, &images));
        }
        Ok(found)
    }

    fn add(&mut self, batch: &TemplateBatch, images: &HashMap<i64, usize>) {
        let dimension = batch.halves.len() / batch.keys.len().max(1);
        for (key, halves) in batch.keys.iter().zip(batch.halves.chunks_exact(dimension.max(1))) {
            if let Some(&image) = images.get(&key.cursor()).filter(|_| key.index() == 0) {
                self.dimension = dimension;
                self.rows.insert(image, self.rows.len());
                self.halves.extend_from_slice(halves);
            }
        }
    }

    /// The templates of images 0, 1, 2, …
    #[cfg(test)]
    pub(super) fn of(dimension: usize, halves: Vec<f16>) -> Self {
        let rows = (0..halves.len() / dimension).map(|row| (row, row)).collect();
        Self { dimension, rows, halves }
    }

    /// Number of components.
    pub(super) fn dimension(&self) -> usize {
        self.dimension
    }

    /// The template of an image as it is stored.
    pub(super) fn halves(&self, image: usize) -> Option<&[f16]> {
        let row = *self.rows.get(&image)?;
        self.halves.get(row * self.dimension..(row + 1) * self.dimension)
    }

    /// The templates of `images`, scaled to unit norm, a row for each.
    ///
    /// # Errors
    /// If one is missing, zero or not finite.
    pub(super) fn matrix(&self, images: &[usize]) -> Result<Array2<f32>, CompareError> {
        let mut matrix = Array2::zeros((images.len(), self.dimension));
        for (mut row, &image) in matrix.rows_mut().into_iter().zip(images) {
            let template = self.template(image)?;
            row.iter_mut().zip(template.as_slice()).for_each(|(to, from)| *to = *from);
        }
        Ok(matrix)
    }

    /// The template of an image.
    ///
    /// # Errors
    /// If it is missing, zero or not finite.
    pub(super) fn template(&self, image: usize) -> Result<Template, CompareError> {
        Ok(Template::from_halves(self.halves(image).unwrap_or_default())?)
    }
}

#[cfg(test)]
mod tests {
    use super::super::pairing::ReasonSet;
    use super::*;
    use crate::domain::ImageId;

    fn images(units: &[u32]) -> Vec<PairedImage> {
        let image = |(id, &unit): (i64, &u32)| PairedImage {
            id: ImageId(id),
            cursors: [id, id],
            unit,
            label: None,
            has_subject: unit < 1000,
            qualities: [Some(50), Some(50)],
            has_faces: [true; 2],
            rejected: [ReasonSet::default(); 2],
        };
        (0..).zip(units).map(image).collect()
    }

    #[test]
    fn a_sample_has_whole_subjects_and_depends_on_its_seed_alone() {
        let units: Vec<u32> = (0..300).map(|index| index / 3).collect();
        let mut images = images(&units);
        images[4].qualities[1] = None;
        let sample = of_subjects(&images, 30, 1);
        assert_eq!((sample.images.len(), sample.of), (30, 299));
        assert_eq!(sample, of_subjects(&images, 30, 1));
        assert_ne!(sample, of_subjects(&images, 30, 2));
        let mut subjects: Vec<u32> = sample.images.iter().map(|&index| units[index]).collect();
        subjects.dedup();
        assert!(subjects.len() <= 11, "{subjects:?}");
        assert_eq!(of_subjects(&images, 1000, 1).images.len(), 299);
    }

    #[test]
    fn a_subject_of_many_images_does_not_fill_the_sample() {
        let images = images(&[vec![7; 500], vec![8; 3], vec![2000; 5]].concat());
        let sample = of_subjects(&images, 1000, 1);
        assert_eq!((sample.images.len(), sample.of), (MOST_OF_A_SUBJECT + 3, 503));
        let all = of_images(&images, 100, 1);
        assert_eq!((all.images.len(), all.of), (100, 508));
        assert!(all.images.is_sorted());
    }
}
