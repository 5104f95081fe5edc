//! Schedules: what is done when, and the runs of it.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{CampaignId, GalleryName, InvalidName, JobRate, ProfileId, Timing, UtcTime};

/// A slot that is due for longer than this is missed.
pub const SLOT_GRACE: Duration = Duration::from_secs(120);
/// The most slots that are run after a downtime.
const MOST_CAUGHT_UP: u32 = 1000;
/// The most missed slots that are recorded; earlier ones leave no trace.
const MOST_SKIPPED: usize = 100;

/// A schedule's name: 1 to 100 letters, digits, `.`, `_` and `-`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ScheduleName(String);

impl ScheduleName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ScheduleName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        if text.is_empty() || text.len() > 100 || !text.chars().all(allowed) {
            return Err(InvalidName::new(
                "a schedule's name is 1 to 100 letters, digits, '.', '_' and '-'",
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for ScheduleName {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, InvalidName> {
        text.parse()
    }
}

impl From<ScheduleName> for String {
    fn from(name: ScheduleName) -> Self {
        name.0
    }
}

impl fmt::Display for ScheduleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// What is done at certain times.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// Its name.
    pub name: ScheduleName,
    /// When.
    pub timing: Timing,
    /// What.
    pub action: ScheduleAction,
    /// What becomes of slots that were missed.
    pub misfire: Misfire,
    /// Whether it is on.
    pub enabled: bool,
}

/// What a schedule does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum ScheduleAction {
    /// Scores what is new.
    Scan {
        /// The gallery.
        gallery: GalleryName,
        /// Folders, buckets, prefixes.
        roots: Vec<String>,
        /// Globs that leave images out.
        exclude: Vec<String>,
        /// Globs of the only images to list; empty for all.
        include: Vec<String>,
    },
    /// Scores what is missing under the profile of the process.
    Rescore {
        /// The gallery.
        gallery: GalleryName,
        /// The most images to publish in a time.
        rate: Option<JobRate>,
    },
    /// Writes the report of a gallery.
    Report {
        /// The gallery.
        gallery: GalleryName,
        /// The file.
        out: String,
    },
    /// Removes what a gallery no longer keeps, by the rules of the process's settings.
    Retention {
        /// The gallery.
        gallery: GalleryName,
    },
}

impl ScheduleAction {
    /// The name in the settings.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Scan { .. } => "scan",
            Self::Rescore { .. } => "rescore",
            Self::Report { .. } => "report",
            Self::Retention { .. } => "retention",
        }
    }

    /// The gallery.
    pub fn gallery(&self) -> &GalleryName {
        match self {
            Self::Scan { gallery, .. }
            | Self::Rescore { gallery, .. }
            | Self::Report { gallery, .. }
            | Self::Retention { gallery } => gallery,
        }
    }
}

/// What becomes of the slots that nobody ran in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Misfire {
    /// None of them is run.
    Skip,
    /// The latest is run.
    Once,
    /// The latest so many are run, one after the other.
    All(u32),
}

impl FromStr for Misfire {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let all = |number: &str| {
            number.parse().ok().filter(|number| (1..=MOST_CAUGHT_UP).contains(number))
        };
        match text {
            "skip" => Ok(Self::Skip),
            "once" => Ok(Self::Once),
            _ => text.strip_prefix("all:").and_then(all).map(Self::All).ok_or_else(|| {
                format!("misfire = '{text}': use skip, once, or all:N with N from 1 to 1000")
            }),
        }
    }
}

impl fmt::Display for Misfire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Skip => f.write_str("skip"),
            Self::Once => f.write_str("once"),
            Self::All(number) => write!(f, "all:{number}"),
        }
    }
}

impl TryFrom<String> for Misfire {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Misfire> for String {
    fn from(misfire: Misfire) -> Self {
        misfire.to_string()
    }
}

/// What becomes of the slots of a schedule that are due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DueSlots {
    /// The slot to run now.
    pub run: Option<UtcTime>,
    /// Slots that are not run. Of very many, the latest.
    pub skipped: Vec<UtcTime>,
    /// The slot to look at next. `None`: there is none.
    pub next_due: Option<UtcTime>,
}

impl Schedule {
    /// What becomes of the slots from `next_due` to `now`. `None` if nothing is due.
    pub fn due(&self, next_due: UtcTime, now: UtcTime) -> Option<DueSlots> {
        if next_due > now {
            return None;
        }
        let grace = SLOT_GRACE.as_millis() as i64;
        let late = |slot: &UtcTime| now.as_millisecond() - slot.as_millisecond() > grace;
        let wanted = match self.misfire {
            Misfire::Skip | Misfire::Once => 1,
            Misfire::All(number) => number as usize,
        };
        let mut skipped = self.timing.slots(next_due, now, MOST_SKIPPED + wanted);
        let first = match self.misfire {
            Misfire::Skip => skipped.iter().take_while(|slot| late(slot)).count(),
            Misfire::Once | Misfire::All(_) => skipped.len().saturating_sub(wanted),
        };
        let mut run = skipped.split_off(first).into_iter();
        let (run, then) = (run.next(), run.next());
        Some(DueSlots { run, skipped, next_due: then.or_else(|| self.timing.next(now)) })
    }
}

/// How a run of a schedule is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, strum::EnumString, strum::IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum RunState {
    /// A process is at it.
    Running,
    /// All its jobs are published, its report is written, or what was due is removed. What became
    /// of the jobs is the campaign's.
    Done,
    /// The slot was missed.
    Skipped,
    /// It could not be done.
    Failed,
}

impl RunState {
    /// The name in tables.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// What a run does, as it was decided when its slot was claimed. Who takes the run over does the
/// same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunPlan {
    /// What.
    pub action: ScheduleAction,
    /// The profile whose results a re-score reads.
    pub from: Option<ProfileId>,
}

impl RunPlan {
    /// Whether it publishes at a pace, and so waits most of the time.
    pub fn is_paced(&self) -> bool {
        matches!(self.action, ScheduleAction::Rescore { rate: Some(_), .. })
    }
}

/// The run of a slot.
#[derive(Debug, Clone, PartialEq)]
pub struct ScheduleRun {
    /// The schedule.
    pub schedule: ScheduleName,
    /// The slot.
    pub slot: UtcTime,
    /// Its campaign. `None`: it has none.
    pub campaign: Option<CampaignId>,
    /// How it is.
    pub state: RunState,
    /// What it does. `None`: nothing.
    pub plan: Option<RunPlan>,
    /// The process that claimed it last, for people.
    pub claimed_by: String,
    /// Whether that process has not reported itself for a while.
    pub silent: bool,
    /// How often in a row it was taken over from a process that did not hand it over.
    pub take_overs: u32,
    /// When its slot was claimed.
    pub started_at: UtcTime,
    /// When it ended.
    pub ended_at: Option<UtcTime>,
    /// Why it failed.
    pub error: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> UtcTime {
        UtcTime::from(text.parse::<jiff::Timestamp>().unwrap())
    }

    fn hourly(misfire: &str) -> Schedule {
        Schedule {
            name: "hourly".parse().unwrap(),
            timing: Timing::parse("0 * * * *", "UTC").unwrap(),
            action: ScheduleAction::Rescore { gallery: "staff".parse().unwrap(), rate: None },
            misfire: misfire.parse().unwrap(),
            enabled: true,
        }
    }

    fn hours<const N: usize>(hours: [u32; N]) -> Vec<UtcTime> {
        hours.map(|hour| time(&format!("2026-11-26T{hour:02}:00:00Z"))).into()
    }

    #[test]
    fn after_three_missed_slots_each_policy_runs_what_it_says() {
        // 01, 02 and 03 o'clock were missed.
        let (next_due, now) = (time("2026-11-26T01:00:00Z"), time("2026-11-26T03:30:00Z"));
        for (misfire, run, skipped, then) in [
            ("skip", None, hours([1, 2, 3]), 4),
            ("once", Some(3), hours([1, 2]), 4),
            ("all:1", Some(3), hours([1, 2]), 4),
            ("all:2", Some(2), hours([1]), 3),
            ("all:9", Some(1), hours([]), 2),
        ] {
            let due = hourly(misfire).due(next_due, now).unwrap();
            let run = run.map(|hour| hours([hour])[0]);
            let next_due = Some(hours([then])[0]);
            assert_eq!(due, DueSlots { run, skipped, next_due }, "{misfire}");
        }
        // One after the other.
        let due = hourly("all:2").due(hours([3])[0], now).unwrap();
        assert_eq!((due.run, due.skipped), (Some(hours([3])[0]), vec![]));
        assert_eq!(due.next_due, Some(hours([4])[0]));
    }

    #[test]
    fn a_slot_that_is_due_runs_under_each_policy_and_one_to_come_under_none() {
        let slot = hours([3])[0];
        for misfire in ["skip", "once", "all:3"] {
            let schedule = hourly(misfire);
            for now in ["2026-11-26T03:00:00Z", "2026-11-26T03:02:00Z"] {
                let due = schedule.due(slot, time(now)).unwrap();
                let expected =
                    DueSlots { run: Some(slot), skipped: vec![], next_due: Some(hours([4])[0]) };
                assert_eq!(due, expected, "{misfire}");
            }
            assert_eq!(schedule.due(slot, time("2026-11-26T02:59:59.999Z")), None);
        }
        let late = hourly("skip").due(slot, time("2026-11-26T03:02:00.001Z")).unwrap();
        assert_eq!((late.run, late.skipped), (None, vec![slot]));
    }

    #[test]
    fn a_clock_that_jumps_years_ahead_leaves_a_hundred_rows() {
        let due = hourly("once").due(time("2000-01-01T00:00:00Z"), hours([5])[0]).unwrap();
        assert_eq!((due.run, due.skipped.len()), (Some(hours([5])[0]), MOST_SKIPPED));
        assert_eq!(due.skipped.last(), hours([4]).last());
    }

    #[test]
    fn policies_and_names_are_parsed() {
        for text in ["skip", "once", "all:3"] {
            assert_eq!(text.parse::<Misfire>().unwrap().to_string(), text);
        }
        for text in ["", "all", "all:0", "all:1001", "twice"] {
            assert!(text.parse::<Misfire>().unwrap_err().contains("use skip, once"), "{text}");
        }
        for text in ["", "a b", "ü", &"x".repeat(101)] {
            assert!(text.parse::<ScheduleName>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_schedule_survives_its_json() {
        let schedule = hourly("all:3");
        let text = serde_json::to_string(&schedule).unwrap();
        assert_eq!(serde_json::from_str::<Schedule>(&text).unwrap(), schedule);
    }
}
