//! The `[[retention]]` tables of the settings.

use serde::de::Error;
use serde::{Deserialize, Deserializer};

use super::{Settings, SettingsError};
use crate::domain::{GalleryName, RetentionRules, ScheduleAction};

/// The most days: a hundred years.
const MOST_DAYS: f64 = 36_500.0;

/// A table as it is written. `config/default.toml` documents each key.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RetentionSection {
    gallery: String,
    // Not whole numbers: their fractions would be rounded without a word.
    images_days: Option<f64>,
    rejected_days: Option<f64>,
    verdicts_days: Option<f64>,
}

/// Reads the tables.
///
/// # Errors
/// What is wrong, with the name of the gallery.
pub(super) fn read<'de, D: Deserializer<'de>>(tables: D) -> Result<Vec<RetentionRules>, D::Error> {
    let mut all: Vec<RetentionRules> = Vec::new();
    for section in Vec::<RetentionSection>::deserialize(tables)? {
        let gallery = section.gallery.clone();
        let rules = section
            .rules()
            .map_err(|reason| D::Error::custom(format!("retention of '{gallery}': {reason}")))?;
        if all.iter().any(|other| other.gallery == rules.gallery) {
            return Err(D::Error::custom(format!(
                "two [[retention]] tables are of gallery '{gallery}': make them one"
            )));
        }
        all.push(rules);
    }
    Ok(all)
}

impl RetentionSection {
    fn rules(self) -> Result<RetentionRules, String> {
        let gallery: GalleryName = self.gallery.parse().map_err(|error| format!("{error}"))?;
        let rules = RetentionRules {
            gallery,
            images_days: days("images_days", self.images_days)?,
            rejected_days: days("rejected_days", self.rejected_days)?,
            verdicts_days: days("verdicts_days", self.verdicts_days)?,
        };
        if rules.images_days.or(rules.rejected_days).or(rules.verdicts_days).is_none() {
            return Err("set images_days, rejected_days or verdicts_days".to_owned());
        }
        Ok(rules)
    }
}

fn days(key: &str, days: Option<f64>) -> Result<Option<u32>, String> {
    match days {
        None => Ok(None),
        Some(days) if days.fract() == 0.0 && (1.0..=MOST_DAYS).contains(&days) => {
            Ok(Some(days as u32))
        }
        Some(days) => Err(format!(
            "{key} = {days}: must be a whole number of days, 1 to {MOST_DAYS}; leave it out to \
                keep everything"
        )),
    }
}

/// Whether every schedule that removes has rules.
///
/// # Errors
/// The first one that has none.
pub(super) fn check(settings: &Settings) -> Result<(), SettingsError> {
    for schedule in &settings.schedule {
        let ScheduleAction::Retention { gallery } = &schedule.action else { continue };
        if settings.rules_of(gallery).is_none() {
            return Err(SettingsError::NoRules {
                schedule: schedule.name.to_string(),
                gallery: gallery.to_string(),
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::settings::Settings;

    fn load(text: &str) -> Result<Settings, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.toml");
        std::fs::write(&path, text).unwrap();
        Settings::load(Some(&path)).map_err(|error| error.to_string())
    }

    #[test]
    fn rules_are_read_and_what_is_absent_is_kept_for_ever() {
        let text = "[[retention]]\ngallery = 'staff'\nimages_days = 90\nverdicts_days = 365\n\
            [[retention]]\ngallery = 'visitors'\nrejected_days = 30\n";
        let rules = load(text).unwrap().retention;
        let days = |place: usize| {
            let rules = &rules[place];
            (rules.images_days, rules.rejected_days, rules.verdicts_days)
        };
        assert_eq!((rules.len(), rules[1].gallery.as_str()), (2, "visitors"));
        assert_eq!(days(0), (Some(90), None, Some(365)));
        assert_eq!(days(1), (None, Some(30), None));
        assert_eq!(load("").unwrap().retention, []);
    }

    #[test]
    fn what_is_wrong_with_rules_is_said_when_the_settings_are_read() {
        for (rest, says) in [
            ("images_days = 0", "images_days = 0: must be a whole number of days"),
            ("rejected_days = -1", "rejected_days = -1"),
            ("verdicts_days = 1.5", "verdicts_days = 1.5"),
            ("images_days = 36501", "1 to 36500"),
            ("images_days = 'soon'", "soon"),
            ("images_day = 1", "images_day"),
            ("", "set images_days, rejected_days or verdicts_days"),
        ] {
            let error = load(&format!("[[retention]]\ngallery = 'staff'\n{rest}\n")).unwrap_err();
            assert!(error.contains(says), "{rest}: {error}");
        }
        let error = load("[[retention]]\nimages_days = 1\n").unwrap_err();
        assert!(error.contains("gallery"), "{error}");
        let error = load("[[retention]]\ngallery = 'a b'\nimages_days = 1\n").unwrap_err();
        assert!(error.contains("a gallery's name is"), "{error}");
        let table = "[[retention]]\ngallery = 'staff'\nimages_days = 1\n";
        let error = load(&table.repeat(2)).unwrap_err();
        assert!(error.contains("two [[retention]] tables are of gallery 'staff'"), "{error}");
    }

    #[test]
    fn a_schedule_that_removes_needs_rules() {
        let schedule = "[[schedule]]\nname = 'clean'\ncron = '0 3 * * *'\ngallery = 'staff'\n\
            action = 'retention'\n";
        let error = load(schedule).unwrap_err();
        assert!(error.contains("'clean'") && error.contains("[[retention]]"), "{error}");
        let rules = "[[retention]]\ngallery = 'staff'\nimages_days = 1\n";
        let settings = load(&format!("{schedule}{rules}")).unwrap();
        assert_eq!(settings.schedule[0].action.name(), "retention");
        let error = load(&format!("{schedule}roots = ['/x']\n{rules}")).unwrap_err();
        assert!(error.contains("roots is of action = 'scan' only"), "{error}");
    }
}
