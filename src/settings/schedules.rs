//! The `[[schedule]]` tables of the settings.

use serde::de::Error;
use serde::{Deserialize, Deserializer};

use crate::domain::{
    GalleryName, JobRate, Misfire, Schedule, ScheduleAction, ScheduleName, Timing,
};

/// A table as it is written. `config/default.toml` documents each key.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ScheduleSection {
    name: String,
    cron: String,
    #[serde(default = "utc")]
    timezone: String,
    action: String,
    #[serde(default = "default_gallery")]
    gallery: String,
    roots: Option<Vec<String>>,
    exclude: Option<Vec<String>>,
    include: Option<Vec<String>>,
    rate: Option<String>,
    out: Option<String>,
    #[serde(default = "once")]
    misfire: String,
    #[serde(default = "on")]
    enabled: bool,
}

fn utc() -> String {
    "UTC".to_owned()
}

fn default_gallery() -> String {
    "default".to_owned()
}

fn once() -> String {
    Misfire::Once.to_string()
}

fn on() -> bool {
    true
}

/// Reads the tables.
///
/// # Errors
/// What is wrong, with the name of the schedule.
pub(super) fn read<'de, D: Deserializer<'de>>(tables: D) -> Result<Vec<Schedule>, D::Error> {
    let mut schedules: Vec<Schedule> = Vec::new();
    for section in Vec::<ScheduleSection>::deserialize(tables)? {
        let name = section.name.clone();
        let schedule = section
            .schedule()
            .map_err(|reason| D::Error::custom(format!("schedule '{name}': {reason}")))?;
        if schedules.iter().any(|other| other.name == schedule.name) {
            return Err(D::Error::custom(format!(
                "two schedules have the name '{name}': give each its own"
            )));
        }
        schedules.push(schedule);
    }
    Ok(schedules)
}

impl ScheduleSection {
    fn schedule(self) -> Result<Schedule, String> {
        Ok(Schedule {
            name: self.name.parse::<ScheduleName>().map_err(|error| error.to_string())?,
            timing: Timing::parse(&self.cron, &self.timezone)?,
            misfire: self.misfire.parse()?,
            enabled: self.enabled,
            action: self.action()?,
        })
    }

    fn action(self) -> Result<ScheduleAction, String> {
        let gallery: GalleryName = self.gallery.parse().map_err(|error| format!("{error}"))?;
        let rate = self.rate.as_deref().map(str::parse::<JobRate>).transpose();
        let rate = rate.map_err(|error| format!("rate: {error}"))?;
        let given = [
            ("roots", "scan", self.roots.is_some()),
            ("exclude", "scan", self.exclude.is_some()),
            ("include", "scan", self.include.is_some()),
            ("rate", "rescore", rate.is_some()),
            ("out", "report", self.out.is_some()),
        ];
        if let Some((key, action, _)) =
            given.iter().find(|(_, action, given)| *given && *action != self.action)
        {
            return Err(format!("{key} is of action = '{action}' only"));
        }
        match self.action.as_str() {
            "scan" => {
                let roots = self.roots.unwrap_or_default();
                if roots.is_empty() || roots.iter().any(String::is_empty) {
                    return Err("a scan needs roots = ['/photos', …]".to_owned());
                }
                let (exclude, include) = (self.exclude, self.include);
                let (exclude, include) = (exclude.unwrap_or_default(), include.unwrap_or_default());
                Ok(ScheduleAction::Scan { gallery, roots, exclude, include })
            }
            "rescore" => Ok(ScheduleAction::Rescore { gallery, rate }),
            "report" => match self.out.filter(|out| !out.is_empty()) {
                Some(out) => Ok(ScheduleAction::Report { gallery, out }),
                None => Err("a report needs out = '/reports/staff.html'".to_owned()),
            },
            "retention" => Ok(ScheduleAction::Retention { gallery }),
            other => Err(format!("action = '{other}': use scan, rescore, report or retention")),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::domain::{Misfire, ScheduleAction};
    use crate::settings::Settings;

    fn load(text: &str) -> Result<Settings, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.toml");
        std::fs::write(&path, text).unwrap();
        Settings::load(Some(&path)).map_err(|error| error.to_string())
    }

    const NIGHTLY: &str = "[[schedule]]\nname = 'nightly'\ncron = '30 2 * * *'\n";

    #[test]
    fn schedules_are_read_with_their_defaults() {
        let text = format!(
            "{NIGHTLY}action = 'rescore'\nrate = '50/s'\ntimezone = 'Europe/Berlin'\n\
                [[schedule]]\nname = 'new'\ncron = '0 * * * *'\naction = 'scan'\n\
                gallery = 'staff'\nroots = ['/photos']\nmisfire = 'all:3'\nenabled = false\n"
        );
        let schedules = load(&text).unwrap().schedule;
        let [nightly, new] = &schedules[..] else { panic!("{schedules:?}") };
        assert_eq!((nightly.timing.zone(), nightly.misfire), ("Europe/Berlin", Misfire::Once));
        assert!(nightly.enabled && nightly.action.gallery().as_str() == "default");
        assert_eq!((new.timing.zone(), new.misfire, new.enabled), ("UTC", Misfire::All(3), false));
        let ScheduleAction::Scan { roots, .. } = &new.action else { panic!("{new:?}") };
        assert_eq!(roots, &["/photos"]);
        assert_eq!(load("").unwrap().schedule, []);
    }

    #[test]
    fn what_is_wrong_with_a_schedule_is_said_when_the_settings_are_read() {
        for (rest, says) in [
            ("action = 'rescore'\ncolour = 'red'", "colour"),
            ("", "action"),
            ("action = 'sing'", "use scan, rescore, report or retention"),
            ("action = 'scan'", "schedule 'nightly': a scan needs roots"),
            ("action = 'report'", "needs out"),
            ("action = 'rescore'\nroots = ['/photos']", "roots is of action = 'scan' only"),
            ("action = 'rescore'\nrate = 'fast'", "such as 50/s"),
            ("action = 'rescore'\nmisfire = 'twice'", "use skip, once, or all:N"),
            ("action = 'rescore'\ntimezone = 'Mars'", "timezone = 'Mars' is unknown"),
            ("action = 'rescore'\ngallery = 'a b'", "a gallery's name is"),
        ] {
            let error = load(&format!("{NIGHTLY}{rest}\n")).unwrap_err();
            assert!(error.contains(says), "{rest}: {error}");
        }
        let often = NIGHTLY.replace("30 2", "99 2");
        let error = load(&format!("{often}action = 'rescore'\n")).unwrap_err();
        assert!(error.contains("cron = '99 2 * * *' is no cron line"), "{error}");
        let two = format!("{NIGHTLY}action = 'rescore'\n");
        let error = load(&two.repeat(2)).unwrap_err();
        assert!(error.contains("two schedules have the name 'nightly'"), "{error}");
    }
}
