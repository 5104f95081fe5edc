//! The parts in which two profiles differ.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::domain::Profile;
use crate::view::profile_comparison::{ProfileDifferenceView, SamePart};

/// Longest value that is shown whole.
const LONGEST: usize = 24;
/// Characters that are shown of a longer one.
const SHORT: usize = 12;

/// The parts that differ, by name.
pub(super) fn differences(old: &Profile, new: &Profile) -> Vec<ProfileDifferenceView> {
    let (mut old, mut new) = (parts(old), parts(new));
    let names: Vec<String> = old.keys().chain(new.keys()).cloned().collect();
    let mut all: Vec<ProfileDifferenceView> = names
        .into_iter()
        .map(|part| {
            let (old, new) = (old.remove(&part), new.remove(&part));
            ProfileDifferenceView { part, old, new }
        })
        .filter(|difference| difference.old != difference.new)
        .collect();
    all.iter_mut().for_each(|difference| {
        difference.old = difference.old.take().map(short);
        difference.new = difference.new.take().map(short);
    });
    all.sort_unstable_by(|a, b| a.part.cmp(&b.part));
    all
}

/// What cannot differ between the results of two profiles.
pub(super) fn same_parts(old: &Profile, new: &Profile) -> Vec<SamePart> {
    let templates = (old.templates_id() == new.templates_id()).then_some(SamePart::Templates);
    let scores = (old.scores_id() == new.scores_id()).then_some(SamePart::Scores);
    templates.into_iter().chain(scores).collect()
}

/// The values of a profile's JSON form, by path.
fn parts(profile: &Profile) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    // Structs of strings and finite numbers always serialise.
    collect(String::new(), &serde_json::to_value(profile).unwrap_or_default(), &mut found);
    found
}

fn collect(path: String, value: &Value, found: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let dot = if path.is_empty() { "" } else { "." };
                collect(format!("{path}{dot}{name}"), value, found);
            }
        }
        Value::String(text) => {
            found.insert(path, text.clone());
        }
        other => {
            found.insert(path, other.to_string());
        }
    }
}

fn short(value: String) -> String {
    if value.chars().count() <= LONGEST {
        return value;
    }
    value.chars().take(SHORT).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{AlignmentProfile, Mapping, Precision, RecogniserProfile, SerFiq};

    fn profile() -> Profile {
        Profile {
            alignment: AlignmentProfile::None,
            recogniser: RecogniserProfile {
                name: "a".into(),
                sha256: "01".repeat(32),
                precision: Precision::Float32,
            },
            ser_fiq: SerFiq::ClosedForm { dropout: 0.4 },
            mapping: Mapping::Logistic { alpha: 130.0, r: 0.88 },
        }
    }

    #[test]
    fn the_parts_that_differ_are_named_with_both_values() {
        let mut new = profile();
        new.recogniser.precision = Precision::Half;
        new.recogniser.sha256 = "02".repeat(32);
        let shown: Vec<_> = differences(&profile(), &new)
            .into_iter()
            .map(|each| (each.part, each.old.unwrap_or_default(), each.new.unwrap_or_default()))
            .collect();
        let text = |parts: [&str; 3]| parts.map(str::to_owned).into();
        assert_eq!(
            shown,
            [
                text(["recogniser.precision", "", "half"]),
                text(["recogniser.sha256", "010101010101…", "020202020202…"]),
            ]
        );
        assert_eq!(same_parts(&profile(), &new), []);
    }

    #[test]
    fn another_mapping_changes_neither_templates_nor_scores() {
        let mut new = profile();
        new.mapping = Mapping::Percentile { scores: vec![0.1, 0.2], data: "d".into() };
        assert_eq!(same_parts(&profile(), &new), [SamePart::Templates, SamePart::Scores]);
        new.ser_fiq = SerFiq::ClosedForm { dropout: 0.5 };
        assert_eq!(same_parts(&profile(), &new), [SamePart::Templates]);
    }
}
