//! Two profiles of a gallery side by side, on the same images: what changes if a gallery switches
//! from OLD to NEW.
//!
//! Reads stored results alone. `pairing.rs` reads both profiles and pairs images and faces,
//! `sample.rs` chooses the images of which templates are read; the other modules measure one thing
//! each, and [`advice`] puts it into a sentence. The result is the view that `--json` prints, and
//! [`ComparisonPage`] shows.

pub mod advice;
mod decisions;
mod difference;
mod figures;
#[cfg(test)]
mod fixture;
mod groups;
mod measure;
mod neighbours;
mod page;
mod pairing;
mod sample;
mod sections;
mod similarity;
mod statistics;
mod subjects;

pub use page::ComparisonPage;
pub use sections::{ComparisonSection, sections};
pub use subjects::ComparedLabels;

use std::collections::HashMap;

use self::measure::Measured;
use self::pairing::{CountedResults, Pairing};
use self::subjects::SubjectsOf;
use super::dataset::DatasetError;
use super::evaluation::Bootstrap;
use super::labels::GroupError;
use crate::domain::{GalleryName, GateRules, Profile, ProfileId, SubjectName, TemplateError};
use crate::matching::MatchingError;
use crate::store::{Searched, Snapshot, StampsOf, Store, StoreError, SubjectQuery};
use crate::view::evaluation::ExamplesView;
use crate::view::profile_comparison::{PairedCoverageView, ProfileComparisonView};

/// Subjects read at a time.
const PAGE: u32 = 1000;

/// Why two profiles cannot be compared.
#[derive(Debug, thiserror::Error)]
pub enum CompareError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store has results of a profile, and no definition of it.
    #[error("unknown profile {0}: the store has no definition of it")]
    Undefined(ProfileId),
    /// Both profiles are the same.
    #[error("OLD and NEW are the same profile, {0}: name two")]
    Same(ProfileId),
    /// No image in common.
    #[error(
        "no image of gallery '{gallery}' has a final outcome under both profiles: {old} have one \
         under {old_profile}, {new} under {new_profile}"
    )]
    NoImage {
        /// The gallery.
        gallery: GalleryName,
        /// OLD.
        old_profile: ProfileId,
        /// NEW.
        new_profile: ProfileId,
        /// Images under OLD.
        old: u64,
        /// Images under NEW.
        new: u64,
    },
    /// The labels cannot be read.
    #[error(transparent)]
    Labels(#[from] DatasetError),
    /// The labels have no such column.
    #[error("{file}: {source}")]
    Group {
        /// The file.
        file: String,
        /// Why.
        source: GroupError,
    },
    /// The labels name no subjects.
    #[error("{0} is a list of pairs: a comparison of profiles needs a table file,subject,group…")]
    PairList(String),
    /// No image is labelled.
    #[error(
        "{file} names none of the {images} images that gallery '{gallery}' has under both \
         profiles; its first file is {first}: if the photos are elsewhere, name their folder with \
         --images"
    )]
    NoLabel {
        /// The labels.
        file: String,
        /// The gallery.
        gallery: GalleryName,
        /// Images under both profiles.
        images: usize,
        /// The first file of the labels.
        first: String,
    },
    /// A template cannot be compared.
    #[error(transparent)]
    Matching(#[from] MatchingError),
    /// A template cannot be read.
    #[error("the store contains a template that cannot be compared: {0}")]
    Template(#[from] TemplateError),
}

/// What to compare, and how.
#[derive(Debug)]
pub struct CompareOptions<'a> {
    /// The gallery.
    pub gallery: &'a GalleryName,
    /// OLD and NEW.
    pub profiles: [ProfileId; 2],
    /// Who is shown, if not by the store.
    pub labels: Option<&'a ComparedLabels>,
    /// The checks of the enrolment.
    pub gate: GateRules,
    /// Whether similarity thresholds are known for OLD, and for NEW.
    pub thresholds: [bool; 2],
    /// Most images of which templates are compared.
    pub sample: usize,
    /// How intervals are computed. Its seed also draws the samples.
    pub bootstrap: Bootstrap,
}

/// Compares two profiles of a gallery, from one state of the store.
///
/// # Errors
/// If the profiles are the same or unknown, no image has a final outcome under both, no image is
/// labelled, or the store cannot be read.
pub async fn compare(
    store: &dyn Store,
    options: &CompareOptions<'_>,
) -> Result<ProfileComparisonView, CompareError> {
    let [old, new] = &options.profiles;
    if old == new {
        return Err(CompareError::Same(old.clone()));
    }
    let definitions = [definition(store, old).await?, definition(store, new).await?];
    let references = active_references(store, options.gallery).await?;
    let mut snapshot = store.snapshot().await?;
    let mut subjects = SubjectsOf::new(options.labels);
    let gate = &options.gate;
    let read =
        pairing::read(snapshot.as_mut(), options.gallery, [old, new], gate, &mut subjects).await?;
    check(options, &read)?;
    let coverage = coverage(snapshot.as_mut(), options, &read, references).await?;
    let lost = examples(snapshot.as_mut(), &read.lost).await?;
    let gained = examples(snapshot.as_mut(), &read.gained).await?;
    let measured = Measured::read(snapshot.as_mut(), options, &definitions, &read).await?;
    drop(snapshot);
    measured.finish(options, &read, (coverage, [lost, gained]))
}

async fn definition(store: &dyn Store, id: &ProfileId) -> Result<Profile, CompareError> {
    store.profile(id).await?.ok_or_else(|| CompareError::Undefined(id.clone()))
}

fn check(options: &CompareOptions<'_>, read: &Pairing) -> Result<(), CompareError> {
    let [old_profile, new_profile] = options.profiles.clone();
    let (gallery, [old, new]) = (options.gallery.clone(), read.finals);
    if read.images.is_empty() {
        return Err(CompareError::NoImage { gallery, old_profile, new_profile, old, new });
    }
    match options.labels {
        Some(labels) if read.images.iter().all(|image| image.label.is_none()) => {
            let first = labels.labels.photos.first().map_or("", |label| &label.file).to_owned();
            let (file, images) = (labels.file.clone(), read.images.len());
            Err(CompareError::NoLabel { file, gallery, images, first })
        }
        _ => Ok(()),
    }
}

/// The number of active references of all subjects.
async fn active_references(store: &dyn Store, gallery: &GalleryName) -> Result<u64, StoreError> {
    let (mut after, mut count) = (None, 0);
    loop {
        let query = SubjectQuery { gallery: gallery.clone(), after, limit: PAGE };
        let page = store.subjects(&query).await?;
        let Some(last) = page.last() else { return Ok(count) };
        after = Some(last.name.clone());
        count += page.iter().map(|subject| subject.references).sum::<u64>();
    }
}

async fn coverage(
    snapshot: &mut dyn Snapshot,
    options: &CompareOptions<'_>,
    read: &Pairing,
    references: u64,
) -> Result<PairedCoverageView, StoreError> {
    let mut without = [0; 2];
    // Of each subject, how many more references have a template under OLD than under NEW.
    let mut fewer: HashMap<Option<SubjectName>, i64> = HashMap::new();
    for ((without, profile), sign) in without.iter_mut().zip(&options.profiles).zip([1, -1]) {
        let stamps = snapshot
            .template_stamps(options.gallery, profile, Searched::References, StampsOf::All)
            .await?;
        *without = references.saturating_sub(stamps.len() as u64);
        for stamp in stamps {
            *fewer.entry(stamp.subject).or_default() += sign;
        }
    }
    let lost = fewer.values().map(|&fewer| u64::try_from(fewer).unwrap_or_default()).sum();
    let both = read.images.len() as u64;
    Ok(PairedCoverageView {
        images_old: read.finals[0],
        images_new: read.finals[1],
        images_both: both,
        coverage: both as f64 / read.finals[0] as f64,
        only_old: examples(snapshot, &read.only[0]).await?,
        only_new: examples(snapshot, &read.only[1]).await?,
        references,
        references_without_old: without[0],
        references_without_new: without[1],
        references_lost: lost,
    })
}

/// The first images of what was found, for people.
async fn examples(
    snapshot: &mut dyn Snapshot,
    found: &CountedResults,
) -> Result<ExamplesView, StoreError> {
    let images = match found.first.is_empty() {
        true => Vec::new(),
        false => snapshot.images(&found.first).await?,
    };
    let examples = images.iter().map(|image| image.image.for_people()).collect();
    Ok(ExamplesView { count: found.count, examples })
}
