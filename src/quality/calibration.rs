//! A calibration: the user's mapping from scores to qualities. `facefleet calibrate` writes the
//! file, and the setting `quality.calibration` names it.
//!
//! A mapping belongs to the scores that it was measured on. The file has their id, and the mapping
//! is refused for other scores. Next to the mapping, the file says which similarity is a match, as
//! measured on the same photos. Files of before that was kept have no such thresholds. With a
//! section `[fused]`, the mapping is that of a fused quality.

mod fused;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use self::fused::FusedSection;
pub use self::fused::{FusedFit, MeasureArea};
use crate::domain::{Mapping, MatchThresholds, Profile, ProfileId};

/// The most knots of a percentile mapping.
const MAX_KNOTS: usize = 10_001;

/// Why a calibration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CalibrationError {
    /// The file is missing or cannot be read.
    #[error("cannot read the calibration {path}: {source}")]
    Read {
        /// The file's path.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The content is not valid.
    #[error("the calibration {path} is not valid: {reason}")]
    Invalid {
        /// The file's path.
        path: PathBuf,
        /// What is wrong, and where.
        reason: String,
    },
    /// The calibration belongs to other scores.
    #[error(
        "it was measured on scores {found}, and the settings give scores {expected} (another \
            detector, network or method): run `facefleet calibrate` with these settings"
    )]
    OtherScores {
        /// The scores that it was measured on.
        found: ProfileId,
        /// The scores that the settings give.
        expected: ProfileId,
    },
}

/// A mapping and the id of the scores that it maps.
#[derive(Debug, Clone, PartialEq)]
pub struct Calibration {
    /// [`Profile::scores_id`] of the scores it was measured on.
    scores_id: ProfileId,
    mapping: Mapping,
    /// What the fit of a fused quality showed. Not part of the profile.
    fit: Option<FusedFit>,
    /// Not part of the profile: they change no result.
    thresholds: Option<MatchThresholds>,
}

/// What is in the file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CalibrationFile {
    scores_id: ProfileId,
    /// From the score, or from the fused value, to quality.
    mapping: Mapping,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fused: Option<FusedSection>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    thresholds: Option<MatchThresholds>,
}

impl Calibration {
    /// A calibration for the scores of `profile`, with the similarity thresholds if they were
    /// measured.
    pub fn new(profile: &Profile, mapping: Mapping, thresholds: Option<MatchThresholds>) -> Self {
        Self { scores_id: profile.scores_id(), mapping, fit: None, thresholds }
    }

    /// The same, with what the fit of its fused quality showed.
    pub fn with_fit(self, fit: FusedFit) -> Self {
        Self { fit: Some(fit), ..self }
    }

    /// Reads the file in `path`.
    ///
    /// # Errors
    /// If it cannot be read or is not a calibration.
    pub fn read(path: &Path) -> Result<Self, CalibrationError> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| CalibrationError::Read { path: path.to_owned(), source })?;
        Self::parse(&text)
            .map_err(|reason| CalibrationError::Invalid { path: path.to_owned(), reason })
    }

    /// Parses the text of a file.
    ///
    /// # Errors
    /// The reason, in words, if the text is not a calibration.
    pub fn parse(text: &str) -> Result<Self, String> {
        let file: CalibrationFile = toml::from_str(text).map_err(|error| error.to_string())?;
        let valid = match &file.mapping {
            Mapping::Fused { .. } => {
                return Err("[mapping] is of the fused value, which has a section [fused]".into());
            }
            Mapping::Logistic { alpha, r } | Mapping::MatchChance { alpha, r, .. } => {
                *alpha > 0.0 && alpha.is_finite() && r.is_finite()
            }
            Mapping::Percentile { scores, .. } => {
                (2..=MAX_KNOTS).contains(&scores.len())
                    && scores.iter().all(|score| score.is_finite())
                    && scores.is_sorted()
            }
        };
        if !valid {
            return Err(
                "`alpha` must be positive, `r` a number and `scores` ascending numbers".into()
            );
        }
        file.thresholds.as_ref().map_or(Ok(()), MatchThresholds::check)?;
        let CalibrationFile { scores_id, mapping, fused, thresholds } = file;
        let Some(section) = fused else {
            return Ok(Self { scores_id, mapping, fit: None, thresholds });
        };
        let (fused, fit) = section.checked()?;
        let mapping = Mapping::Fused { fused, quality: Box::new(mapping) };
        Ok(Self { scores_id, mapping, fit: Some(fit), thresholds })
    }

    /// The text of the file.
    ///
    /// # Errors
    /// If a value cannot be written as TOML, or a fused quality has no fit.
    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        let (mapping, fused) = match (self.mapping.clone(), self.fit.clone()) {
            (Mapping::Fused { fused, quality }, Some(fit)) => {
                (*quality, Some(FusedSection::new(fused, fit)))
            }
            (mapping, _) => (mapping, None),
        };
        if mapping.fused().is_some() {
            return Err(serde::ser::Error::custom("a fused quality without its fit"));
        }
        let (scores_id, thresholds) = (self.scores_id.clone(), self.thresholds.clone());
        toml::to_string(&CalibrationFile { scores_id, mapping, fused, thresholds })
    }

    /// The mapping.
    pub fn mapping(&self) -> &Mapping {
        &self.mapping
    }

    /// The similarity thresholds, if the file has at least one. They hold for the templates of
    /// every profile with the scores that it was measured on.
    ///
    /// # Errors
    /// If `profile` gives other scores.
    pub fn thresholds_for(
        &self,
        profile: &Profile,
    ) -> Result<Option<&MatchThresholds>, CalibrationError> {
        self.check_scores(profile)?;
        Ok(self.thresholds.as_ref().filter(|thresholds| !thresholds.similarity.is_empty()))
    }

    /// [`Profile::scores_id`] of the scores that it was measured on.
    pub fn scores_id(&self) -> &ProfileId {
        &self.scores_id
    }

    /// The mapping, if `profile` gives the scores that it was measured on.
    ///
    /// # Errors
    /// If `profile` gives other scores.
    pub fn mapping_for(&self, profile: &Profile) -> Result<Mapping, CalibrationError> {
        self.check_scores(profile)?;
        Ok(self.mapping.clone())
    }

    fn check_scores(&self, profile: &Profile) -> Result<(), CalibrationError> {
        let expected = profile.scores_id();
        if self.scores_id == expected {
            return Ok(());
        }
        Err(CalibrationError::OtherScores { found: self.scores_id.clone(), expected })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{
        AlignmentProfile, Component, FusedInput, FusedQuality, FusedTerm, Precision,
        RecogniserProfile, SerFiq, SimilarityThreshold,
    };

    fn profile(dropout: f64) -> Profile {
        Profile {
            alignment: AlignmentProfile::None,
            recogniser: RecogniserProfile {
                name: "a".into(),
                sha256: "00".into(),
                precision: Precision::Float32,
            },
            ser_fiq: SerFiq::ClosedForm { dropout },
            mapping: Mapping::Logistic { alpha: 130.0, r: 0.88 },
        }
    }

    #[test]
    fn a_calibration_survives_its_file_to_the_last_bit() {
        let data = "0123456789abcdef".to_owned();
        for mapping in [
            Mapping::MatchChance {
                alpha: 100.0 / 3.0,
                r: 0.1 + 0.2,
                fmr: 1e-3,
                data: data.clone(),
            },
            Mapping::Percentile { scores: vec![0.1 + 0.2, 0.9, 0.9], data },
        ] {
            let calibration = Calibration::new(&profile(0.4), mapping.clone(), None);
            let again = Calibration::parse(&calibration.to_toml().unwrap()).unwrap();
            assert_eq!(again.mapping_for(&profile(0.4)).unwrap(), mapping);
        }
    }

    #[test]
    fn a_fused_quality_survives_its_file_with_its_fit_and_not_without() {
        let fused = FusedQuality {
            intercept: 0.1 + 0.2,
            inputs: vec![FusedTerm {
                name: FusedInput::Component(Component::Sharpness),
                mean: 100.0 / 3.0,
                scale: 15.0,
                coefficient: 0.01,
            }],
            data: "0123456789abcdef".into(),
        };
        let quality = Box::new(profile(0.4).mapping);
        let mapping = Mapping::Fused { fused, quality };
        let fit = FusedFit {
            photos: 400,
            subjects: 100,
            folds: 10,
            penalty: 0.3,
            fmr: 1e-3,
            discarded: 0.3,
            pauc: vec![MeasureArea {
                measure: "embedding norm".into(),
                value: 0.3,
                fused_less_this: -0.1,
                interval: Some([-0.2, -0.1 - 0.2]),
            }],
        };
        let bare = Calibration::new(&profile(0.4), mapping.clone(), None);
        assert!(bare.to_toml().is_err());
        let whole = bare.with_fit(fit);
        let text = whole.to_toml().unwrap();
        assert!(
            text.contains("[[fused.inputs]]") && text.contains("name = \"sharpness\""),
            "{text}"
        );
        let again = Calibration::parse(&text).unwrap();
        assert_eq!(again, whole);
        assert_eq!(again.mapping_for(&profile(0.4)).unwrap(), mapping);
        let nested = "scores_id = \"0123456789abcdef\"\n[mapping.fused]\nintercept = 0.5\n\
                      inputs = []\ndata = \"\"\n[mapping.quality]\nalpha = 1.0\nr = 0.5\n";
        assert!(Calibration::parse(nested).unwrap_err().contains("section [fused]"));
    }

    #[test]
    fn scores_of_another_network_are_refused() {
        let calibration = Calibration::new(&profile(0.4), profile(0.4).mapping, None);
        let error = calibration.mapping_for(&profile(0.5)).unwrap_err();
        assert!(error.to_string().contains(profile(0.5).scores_id().as_str()), "{error}");
    }

    #[test]
    fn a_mapping_that_does_not_rise_is_refused() {
        let calibration = Calibration::new(
            &profile(0.4),
            Mapping::Percentile { scores: vec![0.9, 0.8], data: String::new() },
            None,
        );
        assert!(
            Calibration::parse(&calibration.to_toml().unwrap()).unwrap_err().contains("ascending")
        );
        let calibration =
            Calibration::new(&profile(0.4), Mapping::Logistic { alpha: -1.0, r: 0.9 }, None);
        assert!(Calibration::parse(&calibration.to_toml().unwrap()).is_err());
    }

    #[test]
    fn similarity_thresholds_are_kept_and_checked_and_older_files_have_none() {
        let old = "scores_id = \"0123456789abcdef\"\n\n[mapping]\nalpha = 130.0\nr = 0.88\n";
        assert_eq!(Calibration::parse(old).unwrap().thresholds, None);

        let at = |fmr, threshold| SimilarityThreshold {
            fmr,
            threshold,
            interval: Some([threshold - 0.01, threshold + 0.1 + 0.2]),
        };
        let mut thresholds = MatchThresholds {
            templates: Some(profile(0.4).templates_id()),
            data: "0123456789abcdef".into(),
            photos: 3565,
            subjects: 1269,
            mated: 167_463,
            non_mated: 6_185_367,
            similarity: vec![at(1e-2, 0.25), at(1e-5, 0.5)],
        };
        let write = |thresholds: &MatchThresholds| {
            let mapping = profile(0.4).mapping;
            Calibration::new(&profile(0.4), mapping, Some(thresholds.clone())).to_toml().unwrap()
        };
        let again = Calibration::parse(&write(&thresholds)).unwrap();
        assert_eq!(again.thresholds_for(&profile(0.4)).unwrap(), Some(&thresholds));
        assert!(again.thresholds_for(&profile(0.5)).is_err(), "those are other scores");
        let nothing = MatchThresholds { similarity: Vec::new(), ..thresholds.clone() };
        let nothing = Calibration::parse(&write(&nothing)).unwrap();
        assert_eq!(nothing.thresholds_for(&profile(0.4)).unwrap(), None);
        assert_eq!(again.mapping_for(&profile(0.4)).unwrap(), profile(0.4).mapping);

        thresholds.similarity.reverse();
        assert!(Calibration::parse(&write(&thresholds)).unwrap_err().contains("falling `fmr`"));
    }
}
