//! What counts as a match: similarity thresholds and the data that they were measured on.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Profile, ProfileId};

/// The most thresholds of one set.
const MOST: usize = 64;

/// The similarity threshold of one false match rate.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct SimilarityThreshold {
    /// The false match rate (FMR).
    pub fmr: f64,
    /// Two templates match if their similarity exceeds this.
    pub threshold: f64,
    /// The ends of the 95 % interval of the threshold; none if it was not computed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<[f64; 2]>,
}

/// Similarity thresholds, and what they were measured on. They do not change any result, so they
/// are not part of a profile.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct MatchThresholds {
    /// [`Profile::templates_id`] of the templates compared; none in files of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub templates: Option<ProfileId>,
    /// The data: the fingerprint of the user's photos, or the name of a data set.
    pub data: String,
    /// Photos compared.
    pub photos: u64,
    /// Subjects that they show.
    pub subjects: u64,
    /// Mated comparisons.
    pub mated: u64,
    /// Non-mated comparisons.
    pub non_mated: u64,
    /// The thresholds, that of the highest rate first.
    pub similarity: Vec<SimilarityThreshold>,
}

/// The thresholds next to a similarity.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MatchVerdict {
    /// The threshold of the lowest rate at which it is a match.
    pub exceeded: Option<SimilarityThreshold>,
    /// The threshold of the highest rate at which it is not a match.
    pub missed: Option<SimilarityThreshold>,
}

impl MatchThresholds {
    /// Whether they were measured on the templates that `profile` gives. Other templates have other
    /// similarities.
    pub fn apply_to(&self, profile: &Profile) -> bool {
        self.templates.as_ref() == Some(&profile.templates_id())
    }

    /// Checks values that were read from a file.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub fn check(&self) -> Result<(), String> {
        let similarity = &self.similarity;
        if similarity.len() > MOST {
            return Err(format!("{} similarity thresholds, {MOST} at most", similarity.len()));
        }
        let valid = |each: &SimilarityThreshold| {
            let [low, high] = each.interval.unwrap_or([each.threshold; 2]);
            each.fmr > 0.0
                && each.fmr < 1.0
                && [low, each.threshold, high].iter().all(|cosine| (-1.1..=1.1).contains(cosine))
                && low <= high
        };
        if !similarity.iter().all(valid) {
            return Err("each similarity threshold needs an `fmr` between 0 and 1, a `threshold` \
                 that is a cosine, and an `interval` of two cosines, the lower first"
                .to_owned());
        }
        let ordered = |pair: &[SimilarityThreshold]| {
            pair[0].fmr > pair[1].fmr && pair[0].threshold <= pair[1].threshold
        };
        if !similarity.windows(2).all(ordered) {
            return Err("the similarity thresholds must be in the order of falling `fmr`, and a \
                 lower rate has no lower threshold"
                .to_owned());
        }
        Ok(())
    }

    /// The thresholds next to `similarity`.
    pub fn verdict(&self, similarity: f64) -> MatchVerdict {
        // They rise, so the exceeded ones come first.
        let exceeded = self.similarity.partition_point(|each| similarity > each.threshold);
        MatchVerdict {
            exceeded: exceeded.checked_sub(1).map(|last| self.similarity[last]),
            missed: self.similarity.get(exceeded).copied(),
        }
    }
}

/// Where similarity thresholds come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ThresholdSource {
    /// The calibration of the settings, which was measured on the user's photos. Holds its path.
    Calibration(PathBuf),
    /// The manifest of the recogniser, which was measured on other photos. Holds its path.
    Manifest(PathBuf),
}

/// The similarity thresholds of the settings. Whoever is shown a decision by them is told which
/// they are: [`fmt::Display`] writes the sentence.
#[derive(Debug, Clone, PartialEq)]
pub struct SourcedThresholds {
    /// Where they come from.
    pub source: ThresholdSource,
    /// The thresholds.
    pub thresholds: MatchThresholds,
}

impl fmt::Display for SourcedThresholds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, note) = match &self.source {
            ThresholdSource::Calibration(path) => (path, ""),
            ThresholdSource::Manifest(path) => {
                (path, "; they were not measured on your photos: `facefleet calibrate` does that")
            }
        };
        let MatchThresholds { data, photos, subjects, mated, non_mated, .. } = &self.thresholds;
        write!(
            f,
            "thresholds of {}: {photos} photos of {subjects} people, {mated} mated comparisons, \
             {non_mated} non-mated, data {data}{note}",
            path.display()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn thresholds(of: &[(f64, f64)]) -> MatchThresholds {
        let similarity = of.iter().map(|&(fmr, threshold)| SimilarityThreshold {
            fmr,
            threshold,
            interval: None,
        });
        MatchThresholds {
            templates: None,
            data: "0123456789abcdef".into(),
            photos: 10,
            subjects: 5,
            mated: 5,
            non_mated: 40,
            similarity: similarity.collect(),
        }
    }

    #[test]
    fn a_similarity_is_a_match_at_every_rate_whose_threshold_it_exceeds() {
        let thresholds = thresholds(&[(1e-2, 0.28), (1e-3, 0.36), (1e-4, 0.45)]);
        let rates = |similarity| {
            let MatchVerdict { exceeded, missed } = thresholds.verdict(similarity);
            (exceeded.map(|each| each.fmr), missed.map(|each| each.fmr))
        };
        assert_eq!(rates(0.41), (Some(1e-3), Some(1e-4)));
        assert_eq!(rates(0.36), (Some(1e-2), Some(1e-3)), "it must exceed the threshold");
        assert_eq!(rates(0.1), (None, Some(1e-2)));
        assert_eq!(rates(0.9), (Some(1e-4), None));
    }

    #[test]
    fn thresholds_rise_as_the_rate_falls() {
        thresholds(&[(1e-2, 0.3), (1e-3, 0.3), (1e-4, 0.4)]).check().unwrap();
        thresholds(&[]).check().unwrap();
        for wrong in [
            &[(1e-3, 0.3), (1e-2, 0.4)][..],
            &[(1e-2, 0.4), (1e-3, 0.3)],
            &[(1e-2, f64::NAN)],
            &[(0.0, 0.3)],
            &[(1e-2, 36.0)],
        ] {
            assert!(thresholds(wrong).check().is_err(), "{wrong:?}");
        }
        let mut swapped = thresholds(&[(1e-2, 0.3)]);
        swapped.similarity[0].interval = Some([0.4, 0.2]);
        assert!(swapped.check().unwrap_err().contains("interval"));
    }
}
