//! Rows of profiles, and of what galleries have under them.

use super::{corrupt, parsed, time, unsigned};
use crate::domain::{Activation, CoverageCounts, FailedAttempts, OutcomeKind};
use crate::store::encoding;
use crate::store::fault::Fault;
use crate::store::profiles::{GalleryProfile, StoredProfile};
use crate::store::retirements::SoleResults;
use crate::store::row::{direct_row, row};

row! {
    /// A registered profile.
    pub(in crate::store) struct StoredProfileRow {
        id: String,
        definition: String,
        registered_at_ms: i64,
    }
}

impl StoredProfileRow {
    pub(in crate::store) fn profile(self) -> Result<StoredProfile, Fault> {
        Ok(StoredProfile {
            profile: encoding::profile(&parsed(&self.id)?, &self.definition)?,
            registered_at: time(self.registered_at_ms)?,
        })
    }
}

row! {
    /// A gallery with a profile.
    pub(in crate::store) struct GalleryProfileRow {
        gallery: String,
        profile_id: String,
        active: bool,
        images: i64,
    }
}

impl GalleryProfileRow {
    pub(in crate::store) fn gallery_profile(self) -> Result<GalleryProfile, Fault> {
        Ok(GalleryProfile {
            gallery: parsed(&self.gallery)?,
            profile: parsed(&self.profile_id)?,
            active: self.active,
            images: self.images.try_into().map_err(corrupt)?,
        })
    }
}

direct_row! {
    /// The active profile of a gallery, with the ids of the gallery and of both together.
    pub(in crate::store) struct ActiveProfileRow {
        pub(in crate::store) gallery_id: i64,
        pub(in crate::store) gallery_profile_id: i64,
        pub(in crate::store) profile_id: String,
    }
}

row! {
    /// An activation.
    pub(in crate::store) struct ActivationRow {
        gallery: String,
        profile_id: String,
        activated_by: Option<String>,
        forced: bool,
        images: Option<i64>,
        covered: Option<i64>,
        reference_count: Option<i64>,
        lost_references: Option<i64>,
        activated_at_ms: i64,
    }
}

impl ActivationRow {
    pub(in crate::store) fn activation(self) -> Result<Activation, Fault> {
        let images: Option<u64> = unsigned(self.images)?;
        let covered: Option<u64> = unsigned(self.covered)?;
        let references: Option<u64> = unsigned(self.reference_count)?;
        let lost_references: Option<u64> = unsigned(self.lost_references)?;
        let coverage = images.zip(covered).zip(references.zip(lost_references));
        Ok(Activation {
            gallery: parsed(&self.gallery)?,
            profile: parsed(&self.profile_id)?,
            by: self.activated_by.as_deref().map(parsed).transpose()?,
            forced: self.forced,
            coverage: coverage.map(|((images, covered), (references, lost_references))| {
                CoverageCounts { images, covered, references, lost_references }
            }),
            at: time(self.activated_at_ms)?,
        })
    }
}

row! {
    /// Images that a profile covers.
    pub(in crate::store) struct CoveredImagesRow {
        images: i64,
        covered: i64,
    }
}

row! {
    /// References that a profile covers.
    pub(in crate::store) struct CoveredReferencesRow {
        reference_count: i64,
        lost_references: i64,
    }
}

row! {
    /// What a gallery has under one profile alone.
    pub(in crate::store) struct SoleResultsRow {
        images: i64,
        reference_count: i64,
        subjects: i64,
    }
}

impl SoleResultsRow {
    pub(in crate::store) fn sole_results(self) -> Result<SoleResults, Fault> {
        Ok(SoleResults {
            images: self.images.try_into().map_err(corrupt)?,
            references: self.reference_count.try_into().map_err(corrupt)?,
            subjects: self.subjects.try_into().map_err(corrupt)?,
        })
    }
}

/// The coverage of these counts.
pub(in crate::store) fn coverage(
    images: &CoveredImagesRow,
    references: &CoveredReferencesRow,
) -> Result<CoverageCounts, Fault> {
    Ok(CoverageCounts {
        images: images.images.try_into().map_err(corrupt)?,
        covered: images.covered.try_into().map_err(corrupt)?,
        references: references.reference_count.try_into().map_err(corrupt)?,
        lost_references: references.lost_references.try_into().map_err(corrupt)?,
    })
}

row! {
    /// Attempts at images, by outcome.
    pub(in crate::store) struct AttemptCountRow {
        outcome: String,
        images: i64,
    }
}

/// Attempts that failed, by outcome.
pub(in crate::store) fn attempts(rows: Vec<AttemptCountRow>) -> Result<FailedAttempts, Fault> {
    let mut attempts = FailedAttempts::default();
    for AttemptCountRow { outcome, images } in rows {
        let images = u64::try_from(images).map_err(corrupt)?;
        match parsed(&outcome)? {
            OutcomeKind::Unreadable => attempts.unreadable = images,
            OutcomeKind::Refused => attempts.refused = images,
            OutcomeKind::Failed => attempts.failed = images,
            OutcomeKind::Scored | OutcomeKind::NoFace | OutcomeKind::Erased => {}
        }
    }
    Ok(attempts)
}
