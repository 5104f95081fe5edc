//! The profile of a page's scores, in words.

use crate::domain::{AlignmentProfile, FusedQuality, Mapping, Precision, Profile, SerFiq};

/// Digits of a file's digest to show: enough to distinguish models.
const SHORT_DIGEST: usize = 12;

/// One line of the profile.
pub(super) struct ProfileRow {
    pub name: &'static str,
    pub value: String,
    /// A digest to show after the value: the whole one, and its beginning.
    pub digest: Option<(String, String)>,
}

/// The lines of a profile.
pub(super) fn profile_rows(profile: &Profile) -> Vec<ProfileRow> {
    let plain = |name, value: String| ProfileRow { name, value, digest: None };
    let model = |name, value: String, sha256: &str| {
        let short = sha256.chars().take(SHORT_DIGEST).collect();
        ProfileRow { name, value, digest: Some((sha256.to_owned(), short)) }
    };
    let mut rows = match &profile.alignment {
        AlignmentProfile::Similarity { detector } => vec![
            model("Detector", detector.name.clone(), &detector.sha256),
            plain("Detector sees", {
                let canvas = if detector.letterbox { ", on a square canvas" } else { "" };
                let fine = match detector.fine_pixels {
                    None | Some(0) => String::new(),
                    Some(pixels) => format!(", and for small faces of at most {pixels} pixels"),
                };
                format!(
                    "images of at most {} px on the longest side{fine}{canvas}",
                    detector.max_side
                )
            }),
            plain("Alignment", "similarity transform of five landmarks to 112×112".to_owned()),
        ],
        AlignmentProfile::None => {
            vec![plain("Alignment", "none: the images are aligned 112×112 chips".to_owned())]
        }
    };
    rows.push(model("Recogniser", profile.recogniser.name.clone(), &profile.recogniser.sha256));
    match profile.recogniser.precision {
        Precision::Float32 => {}
        Precision::Half => {
            rows.push(plain("Precision", "half, 16 bits up to the features".to_owned()))
        }
        Precision::Bfloat16 => rows.push(plain("Precision", "bfloat16".to_owned())),
    }
    let (method, dropout) = match profile.ser_fiq {
        SerFiq::ClosedForm { dropout } => ("closed form".to_owned(), dropout),
        SerFiq::Sampled { dropout, passes, seed } => {
            (format!("sampled, {passes} passes, seed {seed}"), dropout)
        }
    };
    rows.push(plain("SER-FIQ", method));
    rows.push(plain("Dropout", dropout.to_string()));
    if let Some(fused) = profile.mapping.fused() {
        rows.push(plain("Quality", fused_row(fused)));
    }
    rows.push(plain("Mapping to quality", mapping_row(&profile.mapping)));
    rows
}

fn fused_row(fused: &FusedQuality) -> String {
    let inputs: Vec<&str> = fused.inputs.iter().map(|term| term.name.name()).collect();
    format!("fused, of {}; fitted on data {}", inputs.join(", "), fused.data)
}

fn mapping_row(mapping: &Mapping) -> String {
    match mapping {
        Mapping::Logistic { alpha, r } => format!("α = {alpha}, r = {r}"),
        Mapping::MatchChance { alpha, r, fmr, data } => {
            format!(
                "chance of a match at FMR {fmr:e}: α = {alpha:.2}, r = {r:.4}, calibrated on data \
                 {data}"
            )
        }
        Mapping::Percentile { data, .. } => {
            format!("share of images that are worse, calibrated on gallery {data}")
        }
        Mapping::Fused { quality, .. } => mapping_row(quality),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture;

    #[test]
    fn every_part_of_a_profile_has_a_line() {
        let rows = profile_rows(&fixture::profile());
        let shown: Vec<_> = rows.iter().map(|row| format!("{}: {}", row.name, row.value)).collect();
        assert_eq!(shown[0], "Detector: yunet-2023mar");
        assert_eq!(shown[3], "Recogniser: sface-2021dec");
        assert_eq!(
            shown[4..],
            ["SER-FIQ: closed form", "Dropout: 0.4", "Mapping to quality: α = 130, r = 0.88"]
        );
        assert_eq!(rows[3].digest.as_ref().unwrap().1, "fb143eea0783");
    }

    #[test]
    fn chips_have_no_detector_and_sampling_has_a_seed() {
        let profile = Profile {
            alignment: AlignmentProfile::None,
            ser_fiq: SerFiq::Sampled { dropout: 0.5, passes: 100, seed: 7 },
            ..fixture::profile()
        };
        let rows = profile_rows(&profile);
        assert!(rows.iter().all(|row| row.name != "Detector" && row.name != "Precision"));
        let mut coarse = profile;
        coarse.recogniser.precision = Precision::Bfloat16;
        assert!(
            profile_rows(&coarse)
                .iter()
                .any(|row| row.name == "Precision" && row.value == "bfloat16")
        );
        assert!(rows.iter().any(|row| row.value == "sampled, 100 passes, seed 7"));
    }
}
