//! Reads the templates of the samples, and puts all measures together.

use std::collections::BTreeSet;

use super::advice::{ErrorRates, Findings};
use super::decisions::{cutoff_changes, gate_changes};
use super::difference::{differences, same_parts};
use super::groups::{SampledComparisons, group_changes};
use super::neighbours::neighbours;
use super::pairing::Pairing;
use super::sample::{self, Chosen, LoadedTemplates};
use super::similarity::{BothComparisons, LabelledFaces, similarities};
use super::statistics::{Bins, Units, paired_values};
use super::{CompareError, CompareOptions};
use crate::domain::Profile;
use crate::store::Snapshot;
use crate::view::evaluation::ExamplesView;
use crate::view::profile_comparison::{
    NeighboursView, OutcomePairView, PairedCoverageView, PairedFacesView, PairedSimilaritiesView,
    PairedValuesView, ProfileComparisonView, ProfileDifferenceView, SamePart,
};

/// The samples with their templates.
pub(super) struct Measured {
    differences: Vec<ProfileDifferenceView>,
    same: Vec<SamePart>,
    labelled: Chosen,
    searched: Chosen,
    templates: [LoadedTemplates; 2],
}

/// What was told of similarities, or why nothing was.
struct Similarities {
    faces: LabelledFaces,
    comparisons: Option<BothComparisons>,
    found: Result<PairedSimilaritiesView, String>,
}

impl Measured {
    /// Chooses the samples and reads their templates.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub(super) async fn read(
        snapshot: &mut dyn Snapshot,
        options: &CompareOptions<'_>,
        [old, new]: &[Profile; 2],
        read: &Pairing,
    ) -> Result<Self, CompareError> {
        let same = same_parts(old, new);
        let (most, seed) = (options.sample, options.bootstrap.seed);
        let mut labelled = sample::of_subjects(&read.images, most, seed);
        let mut searched = sample::of_images(&read.images, most, seed);
        if same.contains(&SamePart::Templates) {
            searched.images.clear();
        }
        let all: BTreeSet<usize> =
            labelled.images.iter().chain(&searched.images).copied().collect();
        let cursors = |side: usize| -> Vec<(usize, i64)> {
            all.iter().map(|&index| (index, read.images[index].cursors[side])).collect()
        };
        let [first, second] = &options.profiles;
        let templates = [
            LoadedTemplates::read(snapshot, first, &cursors(0)).await?,
            LoadedTemplates::read(snapshot, second, &cursors(1)).await?,
        ];
        let is_there = |index: &usize| templates.iter().all(|all| all.halves(*index).is_some());
        labelled.images.retain(is_there);
        searched.images.retain(is_there);
        Ok(Self { differences: differences(old, new), same, labelled, searched, templates })
    }

    /// All measures.
    ///
    /// # Errors
    /// If a template cannot be compared.
    pub(super) fn finish(
        self,
        options: &CompareOptions<'_>,
        read: &Pairing,
        (coverage, [lost, gained]): (PairedCoverageView, [ExamplesView; 2]),
    ) -> Result<ProfileComparisonView, CompareError> {
        let bootstrap = options.bootstrap;
        let similarities = self.similarities(options, read)?;
        let neighbours = self.neighbours(options, read)?;
        let groups = match options.labels {
            Some(labels) => {
                group_changes(&read.images, labels, self.sampled(&similarities), bootstrap)
            }
            None => Vec::new(),
        };
        let faces = paired_faces(read, [lost, gained], options);
        let gate = gate_changes(&read.images, bootstrap);
        let same = |part| self.same.contains(&part);
        let findings = Findings {
            images: [coverage.images_old, coverage.images_both],
            references_lost: coverage.references_lost,
            lost_and_gained: [faces.lost.count as u64, faces.gained.count as u64],
            net_lost: faces.net_lost,
            net_rejected: gate.net_rejected,
            same_templates: same(SamePart::Templates),
            thresholds: options.thresholds,
            errors: similarities.found.as_ref().ok().and_then(ErrorRates::of),
            overlap: neighbours.as_ref().map(|found| found.overlap.value),
        };
        let score = if same(SamePart::Scores) { None } else { values(read, options, false) };
        let [old, new] = options.profiles.clone();
        let without_similarities = similarities.found.as_ref().err().cloned();
        Ok(ProfileComparisonView {
            gallery: options.gallery.clone(),
            old,
            new,
            advice: findings.advice(),
            differences: self.differences,
            same: self.same,
            coverage,
            outcomes: read
                .outcomes
                .iter()
                .map(|(&(old, new), &images)| OutcomePairView { old, new, images })
                .collect(),
            faces,
            quality: values(read, options, true),
            score,
            gate,
            cutoffs: cutoff_changes(&read.images, options.gate.min_quality),
            similarities: similarities.found.ok(),
            without_similarities,
            neighbours,
            groups,
            out: None,
        })
    }

    fn similarities(
        &self,
        options: &CompareOptions<'_>,
        read: &Pairing,
    ) -> Result<Similarities, CompareError> {
        let chosen = &self.labelled.images;
        let units = Units::new(chosen.iter().map(|&index| read.images[index].unit));
        let quality = |side: usize| {
            let quality = |&index: &usize| read.images[index].qualities[side].map(f64::from);
            chosen.iter().map(quality).collect()
        };
        let faces = LabelledFaces {
            subjects: units.of_values().to_vec(),
            templates: [self.templates[0].matrix(chosen)?, self.templates[1].matrix(chosen)?],
            qualities: [quality(0), quality(1)],
            of_images: self.labelled.of,
        };
        if chosen.is_empty() {
            let reason = "no image has a subject: name a table of labels with --labels".to_owned();
            return Ok(Similarities { faces, comparisons: None, found: Err(reason) });
        }
        let compared = BothComparisons::new(&faces, options.bootstrap.threads);
        let (comparisons, found) = match compared {
            Err(error) => (None, Err(error.to_string())),
            Ok(comparisons) => {
                let found = similarities(&faces, &comparisons, options.bootstrap);
                (Some(comparisons), found.ok_or_else(|| "there is nothing to compare".to_owned()))
            }
        };
        Ok(Similarities { faces, comparisons, found })
    }

    /// None if they cannot differ.
    fn neighbours(
        &self,
        options: &CompareOptions<'_>,
        read: &Pairing,
    ) -> Result<Option<NeighboursView>, CompareError> {
        let [old, new] = &self.templates;
        neighbours(&read.images, &self.searched, [old, new], options.bootstrap)
    }

    /// The comparisons at the false match rate of the groups.
    fn sampled<'a>(&'a self, similarities: &'a Similarities) -> Option<SampledComparisons<'a>> {
        let found = similarities.found.as_ref().ok()?;
        Some(SampledComparisons {
            chosen: &self.labelled.images,
            subjects: &similarities.faces.subjects,
            comparisons: similarities.comparisons.as_ref()?,
            fmr: found.points.iter().rfind(|point| point.fmr >= 1e-3)?.fmr,
        })
    }
}

fn paired_faces(
    read: &Pairing,
    [lost, gained]: [ExamplesView; 2],
    options: &CompareOptions<'_>,
) -> PairedFacesView {
    let units = Units::new(read.images.iter().map(|image| image.unit));
    let net: Vec<f64> = read
        .images
        .iter()
        .map(|image| {
            let [old, new] = image.has_faces.map(|has| f64::from(u8::from(has)));
            old - new
        })
        .collect();
    PairedFacesView {
        old: read.face_counts[0],
        new: read.face_counts[1],
        both: read.matched,
        other_primary: read.other_primary,
        lost,
        gained,
        net_lost: units.mean(&net, options.bootstrap).into(),
    }
}

/// The qualities, or the scores, of the faces that were found under both profiles.
fn values(read: &Pairing, options: &CompareOptions<'_>, quality: bool) -> Option<PairedValuesView> {
    let units = Units::new(read.faces.iter().map(|face| face.unit));
    let [old, new] = [0, 1].map(|side| -> Vec<f64> {
        let value = |face: &super::pairing::PairedFace| match quality {
            true => f64::from(face.qualities[side]),
            false => f64::from(face.scores[side]),
        };
        read.faces.iter().map(value).collect()
    });
    let both = [&old[..], &new[..]];
    let bins = if quality { Bins::QUALITY } else { Bins::around(both) };
    paired_values(both, &units, bins, options.bootstrap)
}
