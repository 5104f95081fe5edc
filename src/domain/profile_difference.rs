//! In what two profiles differ, for people.

use serde_json::Value;

use super::{Mapping, Profile};

/// A setting in which two profiles differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProfileDifference {
    /// Its place in the profile, such as `detector.max_side`.
    pub setting: String,
    /// Its value; none if it is left at its default or there is none.
    pub value: Option<String>,
    /// Its value in the other profile.
    pub other: Option<String>,
}

/// The settings in which `profile` differs from `other`: all parts of a profile, whatever they are.
pub fn profile_differences(profile: &Profile, other: &Profile) -> Vec<ProfileDifference> {
    let [own, others] = [profile, other].map(settings);
    let named = |settings: &[Setting], name: &str| {
        settings.iter().find(|(other, _)| other == name).map(|(_, value)| value.clone())
    };
    let differs = |name: &str| named(&own, name) != named(&others, name);
    let mut names: Vec<&str> = own.iter().chain(&others).map(|(name, _)| name.as_str()).collect();
    let mut seen = std::collections::HashSet::new();
    names.retain(|name| seen.insert(*name));
    let is_told = |name: &&str| {
        // Another network has another file.
        let model = name.strip_suffix(".sha256").map(|part| format!("{part}.name"));
        differs(name) && !model.is_some_and(|model| differs(&model))
    };
    let mut found: Vec<ProfileDifference> = names
        .into_iter()
        .filter(is_told)
        .map(|name| ProfileDifference {
            setting: name.to_owned(),
            value: named(&own, name),
            other: named(&others, name),
        })
        .collect();
    if profile.mapping != other.mapping {
        let [value, other] = [profile, other].map(|of| of.mapping.to_string());
        let value = if value == other { value + ", of other constants" } else { value };
        let mapping = ("mapping".to_owned(), Some(value), Some(other));
        found.push(ProfileDifference { setting: mapping.0, value: mapping.1, other: mapping.2 });
    }
    found
}

/// A setting and its value.
type Setting = (String, String);

/// The settings of a profile without its mapping.
fn settings(profile: &Profile) -> Vec<Setting> {
    let mut found = Vec::new();
    // Profiles always serialise, so the default is never used.
    if let Value::Object(parts) = serde_json::to_value(profile).unwrap_or_default() {
        for (part, value) in parts.iter().filter(|(part, _)| *part != "mapping") {
            flatten(part, value, &mut found);
        }
    }
    found
}

fn flatten(name: &str, value: &Value, into: &mut Vec<Setting>) {
    match value {
        Value::Object(fields) => {
            for (field, value) in fields {
                flatten(&format!("{name}.{field}"), value, into);
            }
        }
        Value::String(text) => into.push((shown(name), short(name, text).to_owned())),
        other => into.push((shown(name), other.to_string())),
    }
}

/// The detector's settings are named without the alignment that it is part of.
fn shown(name: &str) -> String {
    name.strip_prefix("alignment.").filter(|rest| rest.contains('.')).unwrap_or(name).to_owned()
}

/// Twelve digits of a SHA-256 tell two files apart.
fn short<'a>(name: &str, text: &'a str) -> &'a str {
    if name.ends_with(".sha256") { text.get(..12).unwrap_or(text) } else { text }
}

impl std::fmt::Display for Mapping {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let data = |data: &str| data.get(..8).unwrap_or(data).to_owned();
        match self {
            Self::Logistic { alpha, r } => write!(f, "published, alpha {alpha}, r {r}"),
            Self::MatchChance { fmr, data: of, .. } => {
                write!(f, "match chance at FMR {fmr:e}, of data {}", data(of))
            }
            Self::Percentile { data: of, .. } => write!(f, "percentile, of data {}", data(of)),
            Self::Fused { fused, .. } => write!(f, "fused, of data {}", data(&fused.data)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{AlignmentProfile, DetectorProfile, Precision, RecogniserProfile, SerFiq};

    fn profile() -> Profile {
        let detector = DetectorProfile {
            name: "yunet".into(),
            sha256: "00".repeat(32),
            max_side: 640,
            fine_pixels: None,
            letterbox: false,
        };
        Profile {
            alignment: AlignmentProfile::Similarity { detector },
            recogniser: RecogniserProfile {
                name: "arcface".into(),
                sha256: "11".repeat(32),
                precision: Precision::Float32,
            },
            ser_fiq: SerFiq::ClosedForm { dropout: 0.4 },
            mapping: Mapping::Logistic { alpha: 130.0, r: 0.88 },
        }
    }

    fn told(other: &Profile) -> Vec<String> {
        let differences = profile_differences(other, &profile()).into_iter();
        differences
            .map(|ProfileDifference { setting, value, other }| {
                let [value, other] = [value, other].map(|value| value.unwrap_or("-".into()));
                format!("{setting}: {value}, not {other}")
            })
            .collect()
    }

    #[test]
    fn what_differs_is_named_with_both_values() {
        assert_eq!(told(&profile()), [""; 0]);
        let mut other = profile();
        if let AlignmentProfile::Similarity { detector } = &mut other.alignment {
            detector.max_side = 480;
        }
        assert_eq!(told(&other), ["detector.max_side: 480, not 640"]);
        let mut other = profile();
        other.recogniser.precision = Precision::Half;
        other.ser_fiq = SerFiq::Sampled { dropout: 0.4, passes: 100, seed: 0 };
        let differences = told(&other);
        assert!(differences[0].starts_with("recogniser.precision: half"), "{differences:?}");
        assert!(
            differences.contains(&"ser_fiq.method: sampled, not closed_form".into()),
            "{differences:?}"
        );
        let mut other = profile();
        (other.recogniser.name, other.recogniser.sha256) = ("r50".into(), "22".repeat(32));
        assert_eq!(told(&other), ["recogniser.name: r50, not arcface"], "no hash beside a name");
        let mut other = profile();
        other.recogniser.sha256 = "22".repeat(32);
        assert_eq!(told(&other), ["recogniser.sha256: 222222222222, not 111111111111"]);
    }

    #[test]
    fn another_mapping_is_told_by_kind_or_constants() {
        let mut other = profile();
        other.mapping = Mapping::Logistic { alpha: 130.0, r: 0.9 };
        assert_eq!(
            told(&other),
            ["mapping: published, alpha 130, r 0.9, not published, alpha 130, r 0.88"]
        );
    }
}
