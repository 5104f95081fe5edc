//! The profile: everything that a score depends on, and its identity.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{FusedQuality, InvalidName, Selection};

/// The detector's part of a profile.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DetectorProfile {
    /// Name from its manifest.
    pub name: String,
    /// SHA-256 of the published file, hex.
    pub sha256: String,
    /// Longest side of the image that the detector sees, pixels. It affects the landmarks, and so
    /// the chip.
    pub max_side: u32,
    /// Most pixels of the fine copy of the image, in which the detector searches faces that are too
    /// small for `max_side`. With it, the detector also sees coarse copies for faces that are too
    /// large. `None`: the detector sees one copy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fine_pixels: Option<u64>,
    /// Whether the detector sees every image on a square canvas. It affects the landmarks of faces
    /// that the right or bottom edge of the image cuts.
    #[serde(default, skip_serializing_if = "is_false")]
    pub letterbox: bool,
}

/// Fields that were added later are not serialised if they have their default value, so that the
/// ids of older profiles do not change.
#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

/// How faces become chips.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "method", rename_all = "snake_case")]
pub enum AlignmentProfile {
    /// Least-squares similarity transform of five landmarks to the ArcFace template, 112x112,
    /// bilinear.
    Similarity {
        /// The detector that finds the landmarks.
        detector: DetectorProfile,
    },
    /// The images are already chips.
    None,
}

/// The number format of a network's computations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", try_from = "String")]
pub enum Precision {
    /// 32-bit floats, as published.
    #[default]
    Float32,
    /// 16-bit floats up to the features; the last layer and SER-FIQ stay in 32 bits.
    Half,
    /// Brain floating point: factors are rounded to 16 bits with the 8-bit exponent of 32-bit
    /// floats, and products are summed in 32 bits. Recent processors multiply these about twice as
    /// fast. Applies to all matrix products, including the last layer's.
    Bfloat16,
}

impl TryFrom<String> for Precision {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "float32" => Ok(Self::Float32),
            "half" => Ok(Self::Half),
            "bfloat16" => Ok(Self::Bfloat16),
            _ => Err(format!("unknown precision '{text}': use float32, half or bfloat16")),
        }
    }
}

impl Precision {
    fn is_float32(&self) -> bool {
        *self == Self::Float32
    }
}

/// The recogniser's part of a profile.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RecogniserProfile {
    /// Name from its manifest.
    pub name: String,
    /// SHA-256 of the published file, hex.
    pub sha256: String,
    /// The number format. Fewer than 32 bits give slightly different templates and distances.
    #[serde(default, skip_serializing_if = "Precision::is_float32")]
    pub precision: Precision,
}

/// The estimator of SER-FIQ's distance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "method", rename_all = "snake_case")]
pub enum SerFiq {
    /// The limit of infinitely many passes, in closed form.
    ClosedForm {
        /// Dropout ratio before the last layer.
        dropout: f64,
    },
    /// `passes` random dropout masks over the last layer.
    Sampled {
        /// Dropout ratio before the last layer.
        dropout: f64,
        /// Number of masks, T.
        passes: u32,
        /// Seed of the masks.
        seed: u64,
    },
}

/// The mapping from score to quality. It defines what a quality means. Its JSON form is part of the
/// profile's id, so the fields of a variant never change. The variants are distinguished by their
/// fields, so no two variants may have the same fields.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Mapping {
    /// Another value than SER-FIQ's score, and the mapping from it to quality.
    Fused {
        /// From what is measured of a face to the value.
        fused: FusedQuality,
        /// From the value to quality. It is none of this kind.
        quality: Box<Mapping>,
    },
    /// Calibrated on labelled pairs: `100 / (1 + exp(-alpha * (score - r)))` is the probability in
    /// percent that two images of one person match, if this image is the worse of the two.
    MatchChance {
        /// Steepness.
        alpha: f64,
        /// The score that maps to 50.
        r: f64,
        /// The false match rate at which a comparison counts as a match.
        fmr: f64,
        /// Fingerprint of the data it was calibrated on.
        data: String,
    },
    /// Calibrated on a gallery: the percentage of its images that are worse.
    Percentile {
        /// The scores that map to 0, to 100 and to evenly spaced qualities in between, ascending.
        scores: Vec<f64>,
        /// Fingerprint of the data it was calibrated on.
        data: String,
    },
    /// `100 / (1 + exp(-alpha * (score - r)))`, with constants of the network's publisher. It must
    /// be the last variant: its fields are also fields of another one.
    Logistic {
        /// Steepness.
        alpha: f64,
        /// The score that maps to 50.
        r: f64,
    },
}

impl Mapping {
    /// What the qualities are of, if not of SER-FIQ's score alone.
    pub fn fused(&self) -> Option<&FusedQuality> {
        match self {
            Self::Fused { fused, .. } => Some(fused),
            Self::MatchChance { .. } | Self::Percentile { .. } | Self::Logistic { .. } => None,
        }
    }
}

/// Everything that a score depends on. Results of different profiles are never compared or searched
/// together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    /// From image to chip.
    pub alignment: AlignmentProfile,
    /// From chip to embedding.
    pub recogniser: RecogniserProfile,
    /// From features to distance.
    pub ser_fiq: SerFiq,
    /// From score to quality.
    pub mapping: Mapping,
}

impl Profile {
    /// Whether its images are chips: aligned already.
    pub fn is_of_chips(&self) -> bool {
        self.alignment == AlignmentProfile::None
    }

    /// The profile's id: the first 64 bits of the BLAKE3 hash of its JSON form, whose field order
    /// is fixed by the type.
    pub fn id(&self) -> ProfileId {
        // Structs of strings and finite numbers always serialise, so the default is never used.
        let canonical = serde_json::to_string(self).unwrap_or_default();
        ProfileId::of(&canonical)
    }

    /// The id of alignment and recogniser alone. Profiles with the same `templates_id` give the
    /// same templates and similarities, though their scores and qualities may differ.
    pub fn templates_id(&self) -> ProfileId {
        ProfileId::of(
            &serde_json::to_string(&(&self.alignment, &self.recogniser)).unwrap_or_default(),
        )
    }

    /// The id without the mapping. Profiles with the same `scores_id` give the same scores and
    /// templates, though their qualities may differ.
    pub fn scores_id(&self) -> ProfileId {
        ProfileId::of(
            &serde_json::to_string(&(&self.alignment, &self.recogniser, &self.ser_fiq))
                .unwrap_or_default(),
        )
    }
}

/// The id of all that decides which chips an image has: how faces are found and aligned, and which
/// of them are wanted. It is made as the ids of profiles are. Equal ids give equal chips of the
/// same bytes, whatever recogniser, estimator and mapping there are.
pub fn chips_id(alignment: &AlignmentProfile, selection: &Selection) -> ProfileId {
    // Adding zero turns -0 into 0.
    let selection = Selection { min_score: selection.min_score + 0.0, ..*selection };
    ProfileId::of(&serde_json::to_string(&(alignment, selection)).unwrap_or_default())
}

/// The hash of a profile: 16 hex digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ProfileId(String);

impl ProfileId {
    fn of(canonical: &str) -> Self {
        Self(blake3::hash(canonical.as_bytes()).to_hex()[..16].to_owned())
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ProfileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ProfileId {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        Self::try_from(text.to_owned())
    }
}

impl TryFrom<String> for ProfileId {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, InvalidName> {
        if text.len() == 16 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            Ok(Self(text))
        } else {
            Err(InvalidName::new("a profile id is 16 lower-case hex digits"))
        }
    }
}

impl From<ProfileId> for String {
    fn from(id: ProfileId) -> Self {
        id.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Faces, FusedInput, FusedTerm};

    #[test]
    fn every_part_of_a_profile_changes_its_id() {
        let profile = Profile {
            alignment: AlignmentProfile::None,
            recogniser: RecogniserProfile {
                name: "a".into(),
                sha256: "00".into(),
                precision: Precision::Float32,
            },
            ser_fiq: SerFiq::ClosedForm { dropout: 0.4 },
            mapping: Mapping::Logistic { alpha: 130.0, r: 0.88 },
        };
        let mut other = profile.clone();
        other.mapping = Mapping::Logistic { alpha: 130.0, r: 0.89 };
        let mut sampled = profile.clone();
        sampled.ser_fiq = SerFiq::Sampled { dropout: 0.4, passes: 100, seed: 0 };
        assert_ne!(profile.id(), other.id());
        assert_ne!(profile.id(), sampled.id());
        let ids = [Precision::Float32, Precision::Half, Precision::Bfloat16].map(|precision| {
            let recogniser = RecogniserProfile { precision, ..profile.recogniser.clone() };
            let text = serde_json::to_string(&precision).unwrap();
            assert_eq!(serde_json::from_str::<Precision>(&text).unwrap(), precision);
            let other = Profile { recogniser, ..profile.clone() };
            assert_eq!(other.templates_id() == profile.templates_id(), other == profile);
            other.id()
        });
        assert!(
            ids[0] == profile.id() && ids[0] != ids[1] && ids[1] != ids[2] && ids[2] != ids[0],
            "{ids:?}"
        );
        assert_eq!(profile.id(), profile.clone().id());
        assert_eq!(profile.id().as_str().parse::<ProfileId>().unwrap(), profile.id());
        assert_eq!(profile.scores_id(), other.scores_id());
        assert_ne!(profile.scores_id(), sampled.scores_id());
        assert_eq!(profile.templates_id(), sampled.templates_id(), "SER-FIQ changes no template");
    }

    #[test]
    fn a_mapping_survives_serialisation_and_the_published_one_keeps_its_form() {
        let data = "0123456789abcdef".to_owned();
        let published = Mapping::Logistic { alpha: 130.0, r: 0.88 };
        assert_eq!(serde_json::to_string(&published).unwrap(), r#"{"alpha":130.0,"r":0.88}"#);
        for mapping in [
            published,
            Mapping::MatchChance { alpha: 90.0, r: 0.85, fmr: 1e-3, data: data.clone() },
            Mapping::Percentile { scores: vec![0.1 + 0.2, 0.9], data: data.clone() },
            Mapping::Fused {
                fused: FusedQuality {
                    intercept: 0.1 + 0.2,
                    inputs: vec![FusedTerm {
                        name: FusedInput::Norm,
                        mean: 20.0,
                        scale: 3.0,
                        coefficient: 0.1 + 0.2,
                    }],
                    data: data.clone(),
                },
                quality: Box::new(Mapping::MatchChance { alpha: 9.0, r: 0.4, fmr: 1e-3, data }),
            },
        ] {
            let text = serde_json::to_string(&mapping).unwrap();
            assert_eq!(serde_json::from_str::<Mapping>(&text).unwrap(), mapping, "{text}");
        }
    }

    #[test]
    fn chips_depend_on_detector_and_selection_alone() {
        let detector = DetectorProfile {
            name: "d".into(),
            sha256: "00".into(),
            max_side: 640,
            fine_pixels: None,
            letterbox: false,
        };
        let selection = Selection { faces: Faces::All, min_size_px: 24, min_score: 0.0 };
        let id = |detector: &DetectorProfile, selection: &Selection| {
            chips_id(&AlignmentProfile::Similarity { detector: detector.clone() }, selection)
        };
        let other = DetectorProfile { max_side: 320, ..detector.clone() };
        let largest = Selection { faces: Faces::Largest, ..selection };
        let negative = Selection { min_score: -0.0, ..selection };
        let own = id(&detector, &selection);
        assert_eq!(own, id(&detector, &negative));
        for differs in [id(&other, &selection), id(&detector, &largest)] {
            assert_ne!(own, differs);
        }
        assert_ne!(own, chips_id(&AlignmentProfile::None, &selection));
    }

    #[test]
    fn fields_added_later_do_not_change_the_ids_of_older_profiles() {
        let older = concat!(
            r#"{"alignment":{"method":"similarity","#,
            r#""detector":{"name":"d","sha256":"00","max_side":640}},"#,
            r#""recogniser":{"name":"a","sha256":"00"},"#,
            r#""ser_fiq":{"method":"closed_form","dropout":0.4},"#,
            r#""mapping":{"alpha":130.0,"r":0.88}}"#,
        );
        let mut profile: Profile = serde_json::from_str(older).unwrap();
        assert_eq!(serde_json::to_string(&profile).unwrap(), older);
        let id = profile.id();
        let AlignmentProfile::Similarity { detector } = &mut profile.alignment else {
            panic!("{profile:?}")
        };
        detector.letterbox = true;
        assert_ne!(profile.id(), id);
    }
}
