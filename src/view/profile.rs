//! Profiles, as `profile …` prints them with `--json`.

use serde::Serialize;

use super::threshold::ThresholdsView;
use crate::domain::{
    Activation, AlignmentProfile, CoverageCounts, GalleryName, Mapping, Precision, Profile,
    ProfileDifference, ProfileId, SerFiq, UtcTime,
};
use crate::store::{GalleryProfile, ProfileCoverage, StoredProfile};

/// A profile with its galleries: a line of `profile list --json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ProfileView {
    /// Its id.
    pub profile: ProfileId,
    /// Name of the detector; null if the images are chips.
    pub detector: Option<String>,
    /// Name of the recogniser.
    pub recogniser: String,
    /// Number format of the recogniser: `float32`, `half` or `bfloat16`.
    #[cfg_attr(test, schemars(with = "String"))]
    pub precision: Precision,
    /// Estimator of SER-FIQ's distance: `closed_form` or `sampled`.
    pub ser_fiq: &'static str,
    /// What a quality means: `published`, `match_chance`, `percentile` or `fused`.
    pub mapping_kind: &'static str,
    /// When the store got to know it, RFC 3339, UTC, with milliseconds; null if it does not.
    pub registered_at: Option<UtcTime>,
    /// The galleries with results of it, by name.
    pub galleries: Vec<ProfileOfGalleryView>,
}

impl ProfileView {
    /// A profile with what galleries have of it.
    pub fn new(
        profile: &Profile,
        registered_at: Option<UtcTime>,
        galleries: Vec<ProfileOfGalleryView>,
    ) -> Self {
        let detector = match &profile.alignment {
            AlignmentProfile::Similarity { detector } => Some(detector.name.clone()),
            AlignmentProfile::None => None,
        };
        Self {
            profile: profile.id(),
            detector,
            recogniser: profile.recogniser.name.clone(),
            precision: profile.recogniser.precision,
            ser_fiq: match profile.ser_fiq {
                SerFiq::ClosedForm { .. } => "closed_form",
                SerFiq::Sampled { .. } => "sampled",
            },
            mapping_kind: match profile.mapping {
                Mapping::Logistic { .. } => "published",
                Mapping::MatchChance { .. } => "match_chance",
                Mapping::Percentile { .. } => "percentile",
                Mapping::Fused { .. } => "fused",
            },
            registered_at,
            galleries,
        }
    }

    /// A registered profile.
    pub fn stored(stored: &StoredProfile, galleries: Vec<ProfileOfGalleryView>) -> Self {
        Self::new(&stored.profile, Some(stored.registered_at), galleries)
    }
}

/// What a gallery has of a profile.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ProfileOfGalleryView {
    /// The gallery.
    pub gallery: GalleryName,
    /// Whether it is the active profile of the gallery; the others are shadows.
    pub active: bool,
    /// Images with a current result of it.
    pub images: u64,
    /// What it covers of the images of the active profile, or, if it is that profile, of the images
    /// of all profiles.
    pub coverage: ProfileCoverageView,
    /// The settings in which it differs from the active profile.
    pub differences: Vec<DifferenceView>,
}

impl ProfileOfGalleryView {
    /// What a gallery has of a profile.
    pub fn new(
        of: GalleryProfile,
        coverage: &ProfileCoverage,
        differences: Vec<DifferenceView>,
    ) -> Self {
        let GalleryProfile { gallery, active, images, .. } = of;
        Self { gallery, active, images, coverage: coverage.into(), differences }
    }
}

/// A setting in which a profile differs from the active one of a gallery.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct DifferenceView {
    /// Its place in the profile, such as `detector.max_side`.
    pub setting: String,
    /// Its value; null if it is left at its default or the profile has none.
    pub value: Option<String>,
    /// Its value in the active profile.
    pub active: Option<String>,
}

impl From<ProfileDifference> for DifferenceView {
    fn from(of: ProfileDifference) -> Self {
        let ProfileDifference { setting, value, other } = of;
        Self { setting, value, active: other }
    }
}

/// What a profile covers of the images of a gallery's active profile; the active profile itself, of
/// the images of all profiles.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ProfileCoverageView {
    /// Images with a final result under the active profile whose bytes came; for the active profile
    /// itself, under any profile.
    pub images: u64,
    /// Of these, the ones with a final result of the same bytes under this profile; for the active
    /// profile itself, of any bytes.
    pub covered: u64,
    /// The covered part, 0 to 100.
    pub percent: f64,
    /// Images that it lacks because they could not be read.
    pub unreadable: u64,
    /// Images that it lacks because they were refused.
    pub refused: u64,
    /// Images that it lacks because all attempts failed.
    pub failed: u64,
    /// Active references that searches find under the active profile; for the active profile
    /// itself, all active references.
    pub references: u64,
    /// Of these, the ones without a template under this profile.
    pub lost_references: u64,
}

impl From<&ProfileCoverage> for ProfileCoverageView {
    fn from(found: &ProfileCoverage) -> Self {
        let CoverageCounts { images, covered, references, lost_references } = found.coverage;
        Self {
            images,
            covered,
            percent: found.coverage.percent(),
            unreadable: found.attempts.unreadable,
            refused: found.attempts.refused,
            failed: found.attempts.failed,
            references,
            lost_references,
        }
    }
}

/// All that is known of a profile: the line of `profile show --json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ProfileDetailView {
    /// The profile.
    #[serde(flatten)]
    pub profile: ProfileView,
    /// Its networks.
    pub models: Vec<ProfileModelView>,
    /// Longest side of the image that the detector sees, pixels; null without a detector.
    pub max_side: Option<u32>,
    /// Most pixels of the fine copy of the image that the detector sees; null if it sees none.
    pub fine_pixels: Option<u64>,
    /// Whether the detector sees every image on a square canvas.
    pub letterbox: bool,
    /// Dropout ratio before the last layer.
    pub dropout: f64,
    /// Number of dropout masks; null for the closed form.
    pub passes: Option<u32>,
    /// From what is measured of a face to its quality.
    pub mapping: Mapping,
    /// Where similarity thresholds for its templates come from; null if none are known here.
    pub thresholds: Option<ThresholdsView>,
    /// When it was made the active profile of a gallery, the latest first.
    pub activations: Vec<ActivationView>,
}

impl ProfileDetailView {
    /// All that is known of `profile`.
    pub fn new(
        profile: &Profile,
        view: ProfileView,
        models: Vec<ProfileModelView>,
        thresholds: Option<ThresholdsView>,
        activations: Vec<ActivationView>,
    ) -> Self {
        let detector = match &profile.alignment {
            AlignmentProfile::Similarity { detector } => Some(detector),
            AlignmentProfile::None => None,
        };
        let (dropout, passes) = match profile.ser_fiq {
            SerFiq::ClosedForm { dropout } => (dropout, None),
            SerFiq::Sampled { dropout, passes, .. } => (dropout, Some(passes)),
        };
        Self {
            profile: view,
            models,
            max_side: detector.map(|detector| detector.max_side),
            fine_pixels: detector.and_then(|detector| detector.fine_pixels),
            letterbox: detector.is_some_and(|detector| detector.letterbox),
            dropout,
            passes,
            mapping: profile.mapping.clone(),
            thresholds,
            activations,
        }
    }
}

/// A network of a profile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ProfileModelView {
    /// `detector` or `recogniser`.
    pub role: &'static str,
    /// Its name.
    pub model: String,
    /// SHA-256 of the published file, hex.
    pub sha256: String,
    /// Licence of the weights; null if no manifest here is of this file.
    pub licence: Option<String>,
}

/// That a profile was made the active one of a gallery.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ActivationView {
    /// The gallery.
    pub gallery: GalleryName,
    /// When, RFC 3339, UTC, with milliseconds.
    pub at: UtcTime,
    /// Who did it; null if an update noted what was shown before.
    pub by: Option<String>,
    /// Whether it was done against a refusal.
    pub forced: bool,
    /// Images of the active profile before it, then; null if an update made the note.
    pub images: Option<u64>,
    /// Of these, the ones that it covered then.
    pub covered: Option<u64>,
    /// Active references, then.
    pub references: Option<u64>,
    /// Of these, the ones that it lost.
    pub lost_references: Option<u64>,
}

impl From<Activation> for ActivationView {
    fn from(of: Activation) -> Self {
        let Activation { gallery, by, forced, coverage, at, .. } = of;
        Self {
            gallery,
            at,
            by: by.map(|by| by.as_str().to_owned()),
            forced,
            images: coverage.map(|found| found.images),
            covered: coverage.map(|found| found.covered),
            references: coverage.map(|found| found.references),
            lost_references: coverage.map(|found| found.lost_references),
        }
    }
}

/// What `profile activate --json` prints.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ActivatedView {
    /// The gallery.
    pub gallery: GalleryName,
    /// Its active profile now.
    pub profile: ProfileId,
    /// Its active profile before.
    pub instead_of: ProfileId,
    /// Whether anything changed: false if the profile was active already.
    pub changed: bool,
    /// Whether it was done against a refusal.
    pub forced: bool,
    /// What the profile covers.
    pub coverage: ProfileCoverageView,
}

/// What `profile retire --json` prints.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct RetiredView {
    /// The profile.
    pub profile: ProfileId,
    /// The galleries in which it is retired.
    pub galleries: Vec<GalleryName>,
    /// Images with a current result of it, when the command began.
    pub images: u64,
    /// Faces of these results.
    pub face_count: u64,
    /// Images of which no other profile has a result.
    pub sole_images: u64,
    /// Active references without a template under any other profile.
    pub sole_references: u64,
    /// The subjects of these references.
    pub sole_subjects: u64,
    /// Results that were deleted, also those that were not current.
    pub deleted: u64,
    /// Whether nothing was to be deleted (`--dry-run`).
    pub dry_run: bool,
    /// Whether the run was interrupted: the same command does the rest.
    pub interrupted: bool,
}
