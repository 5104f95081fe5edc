//! Schedules and their runs.

use serde::Serialize;

use crate::domain::{CampaignId, GalleryName, RunState, ScheduleName, ScheduleRun, UtcTime};
use crate::store::StoredSchedule;

/// A schedule: a line of `schedule list --json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ScheduleView {
    /// Its name.
    pub schedule: ScheduleName,
    /// Its cron line.
    pub cron: String,
    /// The time zone of the cron line.
    pub timezone: String,
    /// `scan`, `rescore`, `report` or `retention`.
    pub action: &'static str,
    /// The gallery.
    pub gallery: GalleryName,
    /// What becomes of missed slots: `skip`, `once` or `all:N`.
    pub misfire: String,
    /// Whether it is on.
    pub enabled: bool,
    /// Whether the settings of this process have it. A process runs only schedules that its
    /// settings have.
    pub in_settings: bool,
    /// The first slot that nobody has claimed, UTC; null if it is off, or no process has begun with
    /// it.
    pub next_due: Option<UtcTime>,
    /// The same in its time zone, to the minute, with the offset.
    pub next_due_local: Option<String>,
    /// Its latest run; null if it had none.
    pub last_run: Option<ScheduleRunView>,
}

impl ScheduleView {
    /// A schedule with its latest run.
    pub fn new(stored: &StoredSchedule, in_settings: bool, last: Option<&ScheduleRun>) -> Self {
        let StoredSchedule { schedule, next_due } = stored;
        Self {
            schedule: schedule.name.clone(),
            cron: schedule.timing.line().to_owned(),
            timezone: schedule.timing.zone().to_owned(),
            action: schedule.action.name(),
            gallery: schedule.action.gallery().clone(),
            misfire: schedule.misfire.to_string(),
            enabled: schedule.enabled,
            in_settings,
            next_due: *next_due,
            next_due_local: next_due.map(|due| schedule.timing.shown(due)),
            last_run: last.map(ScheduleRunView::from),
        }
    }
}

/// The run of a slot: a line of `schedule run --json` and `schedule history --json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ScheduleRunView {
    /// The schedule.
    pub schedule: ScheduleName,
    /// The slot, UTC: when it was due, or when somebody ran it with `schedule run NAME`.
    pub slot: UtcTime,
    /// `running`; `done` if all jobs are published, the report is written or what was due is
    /// removed; `skipped` if the slot was missed; or `failed`.
    pub state: RunState,
    /// Its campaign, which has the counts; null if it has none.
    pub campaign: Option<CampaignId>,
    /// Host and process id of the process that claimed it last.
    pub claimed_by: String,
    /// Whether it is running and its process no longer reports itself: another one takes it over.
    pub silent: bool,
    /// When it was claimed, UTC.
    pub started_at: UtcTime,
    /// When it ended, UTC; null while it is running.
    pub ended_at: Option<UtcTime>,
    /// Why it failed; or null.
    pub error: Option<String>,
}

impl From<&ScheduleRun> for ScheduleRunView {
    fn from(run: &ScheduleRun) -> Self {
        Self {
            schedule: run.schedule.clone(),
            slot: run.slot,
            state: run.state,
            campaign: run.campaign,
            claimed_by: run.claimed_by.clone(),
            silent: run.silent,
            started_at: run.started_at,
            ended_at: run.ended_at,
            error: run.error.clone(),
        }
    }
}
