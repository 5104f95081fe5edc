//! From the results in the store to a [`SampleSet`]: matches them to the labelled photos, or takes
//! a whole gallery, and reports the photos that have no score.

mod rows;
mod stored;

use std::collections::HashSet;

pub use rows::sampled_name;
pub use stored::{closed_form_profile, gallery_scores, read_scores};

use self::rows::SampleRows;
use self::stored::read_images;
use super::evaluation::Bootstrap;
use super::labels::GroundTruth;
use super::pairs::{Comparisons, PairError};
use super::samples::{GroupColumn, SampleSet};
use super::unscored::{Absence, UnscoredPhoto, why_none};
use crate::domain::{GalleryName, ImageUri, OutcomeKind, Profile, ProfileId};
use crate::store::{Reading, StoreError, StoredImage};

/// Why photos could not be collected.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The profile is missing in the store.
    #[error("unknown profile {0}: the store has no definition of it")]
    Profile(ProfileId),
    /// No photo has a score.
    #[error("nothing to evaluate: {0}")]
    Nothing(String),
}

/// The photos of an evaluation, and those that it leaves out.
#[derive(Debug)]
pub struct Collected {
    /// The photos with a scored primary face.
    pub samples: SampleSet,
    /// Listed pairs, by index among the samples; none if every photo is compared with every other.
    pub pairs: Option<Vec<(u32, u32, bool)>>,
    /// Photos without a score. They are not part of the evaluation.
    pub unscored: Vec<UnscoredPhoto>,
    /// Photos that have no result in the store, or no subject.
    pub unknown: u64,
    /// Photos whose subject in the store, from an earlier run, differs from that of the labels. The
    /// evaluation uses the labels.
    pub renamed: u64,
}

impl Collected {
    /// Compares the listed pairs, or all photos with all, with thresholds for `fmrs`. Logs how many
    /// bootstrap replicates have no threshold at one of them.
    ///
    /// # Errors
    /// If there are too many comparisons, or none that are mated or non-mated.
    pub fn compare(&self, fmrs: &[f64], bootstrap: Bootstrap) -> Result<Comparisons, PairError> {
        let samples = &self.samples;
        let templates = samples.templates.view();
        let comparisons = match &self.pairs {
            Some(pairs) => Comparisons::listed(&templates, pairs)?,
            None => {
                let highest_fmr = fmrs.iter().copied().fold(0.0, f64::max);
                let subjects = &samples.subjects;
                Comparisons::all(&templates, subjects, highest_fmr, bootstrap.threads)?
            }
        };
        for &fmr in fmrs {
            bootstrap.warn_of_lost_replicates(&comparisons, &samples.subjects, fmr);
        }
        Ok(comparisons)
    }

    /// Whether a photo failed for a reason that may pass.
    pub fn some_failed(&self) -> bool {
        let failed = Absence::Ended(OutcomeKind::Failed);
        self.unscored.iter().any(|photo| photo.absence == failed)
    }
}

/// Reads the results of the labelled photos. `locations` has, in the order of `truth`, the URI of
/// each photo, or why it is missing.
///
/// # Errors
/// If the store cannot be read, or no photo has a score.
pub async fn labelled(
    store: &dyn Reading,
    gallery: &GalleryName,
    profile: &ProfileId,
    truth: &GroundTruth,
    locations: &[Result<ImageUri, String>],
) -> Result<Collected, CollectError> {
    let definition = definition(store, profile).await?;
    let wanted: HashSet<&ImageUri> = locations.iter().flatten().collect();
    let mut images = read_images(store, gallery, profile, Some(&wanted)).await?;
    let subjects = truth.subjects();
    let mut collector = Collector::default();
    for (index, (photo, location)) in truth.photos().into_iter().zip(locations).enumerate() {
        let (file, line) = (photo.file.to_owned(), Some(photo.line));
        match location {
            Err(reason) => collector.unscored.push(UnscoredPhoto {
                file,
                line,
                absence: Absence::Missing,
                reason: Some(reason.clone()),
            }),
            Ok(uri) => match images.remove(uri) {
                None => collector.unknown += 1,
                Some(image) => {
                    let is_other = image.subject.as_ref().zip(photo.subject);
                    collector.renamed += u64::from(is_other.is_some_and(|(a, b)| a != b));
                    collector.add(index, file, line, subjects[index].clone(), image);
                }
            },
        }
    }
    if collector.rows.is_empty() && collector.unscored.is_empty() {
        let reason = format!("the gallery '{gallery}' has no result of these photos");
        return Err(CollectError::Nothing(reason));
    }
    let (pairs, groups) = match truth {
        GroundTruth::Pairs(list) => (Some(collector.rows.pairs(list)), Vec::new()),
        GroundTruth::Labels(labels) => (None, collector.rows.groups(labels)),
    };
    collector.finish(definition, pairs, groups)
}

/// Reads the results of all images of `gallery` that have a subject.
///
/// # Errors
/// If the store cannot be read, or no such image has a score.
pub async fn gallery(
    store: &dyn Reading,
    gallery: &GalleryName,
    profile: &ProfileId,
) -> Result<Collected, CollectError> {
    let definition = definition(store, profile).await?;
    let images = read_images(store, gallery, profile, None).await?;
    let mut named: Vec<(String, StoredImage)> =
        images.into_values().map(|image| (image.image.to_string(), image)).collect();
    named.sort_unstable_by(|a, b| (&a.0, &a.1.image).cmp(&(&b.0, &b.1.image)));
    let mut collector = Collector::default();
    for (index, (name, image)) in named.into_iter().enumerate() {
        match image.subject.as_ref().map(|subject| subject.as_str().to_owned()) {
            None => collector.unknown += 1,
            Some(subject) => collector.add(index, name, None, subject, image),
        }
    }
    if collector.rows.is_empty() && collector.unscored.is_empty() {
        let reason = "no image of the gallery has a subject".to_owned();
        return Err(CollectError::Nothing(reason));
    }
    collector.finish(definition, None, Vec::new())
}

async fn definition(store: &dyn Reading, profile: &ProfileId) -> Result<Profile, CollectError> {
    store.profile(profile).await?.ok_or_else(|| CollectError::Profile(profile.clone()))
}

/// What has been collected so far.
#[derive(Default)]
struct Collector {
    rows: SampleRows,
    unscored: Vec<UnscoredPhoto>,
    unknown: u64,
    renamed: u64,
}

impl Collector {
    fn add(
        &mut self,
        index: usize,
        file: String,
        line: Option<u64>,
        subject: String,
        image: StoredImage,
    ) {
        let unscored = unscored(&file, line, &image);
        if !self.rows.add(index, file, subject, image) {
            self.unscored.push(unscored);
        }
    }

    fn finish(
        self,
        profile: Profile,
        pairs: Option<Vec<(u32, u32, bool)>>,
        groups: Vec<GroupColumn>,
    ) -> Result<Collected, CollectError> {
        let Self { rows, unscored, unknown, renamed } = self;
        if rows.is_empty() {
            return Err(CollectError::Nothing(why_none(&unscored)));
        }
        let samples = rows.samples(profile, groups);
        Ok(Collected { samples, pairs, unscored, unknown, renamed })
    }
}

/// How the evaluation lists a photo whose primary face has no score.
fn unscored(file: &str, line: Option<u64>, image: &StoredImage) -> UnscoredPhoto {
    let (outcome, reason) = match image.outcome {
        OutcomeKind::Scored => {
            (OutcomeKind::Failed, Some("its primary face could not be recognised".to_owned()))
        }
        outcome => (outcome, image.reason.clone()),
    };
    UnscoredPhoto { file: file.to_owned(), line, absence: Absence::Ended(outcome), reason }
}
