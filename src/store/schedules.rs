//! Schedules, and the runs of their slots.

use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use super::StoreError;
use crate::domain::{Campaign, RunPlan, Schedule, ScheduleName, ScheduleRun, UtcTime};

/// How often a process says that it is at a run.
pub const RUN_BEAT_EVERY: Duration = Duration::from_secs(2);
/// A process that could not say so for this time stops, because another one may take its run over.
pub const RUN_LOST_AFTER: Duration = Duration::from_secs(10);
/// A run whose process has been silent for this time may be taken over.
pub const RUN_GONE_AFTER: Duration = Duration::from_secs(20);

/// Runs of a schedule that are kept after their end: those of the latest slots.
pub const RUNS_KEPT: u32 = 1000;

/// [`RUN_GONE_AFTER`] in milliseconds.
pub(super) fn run_gone_ms() -> i64 {
    i64::try_from(RUN_GONE_AFTER.as_millis()).unwrap_or(i64::MAX)
}

/// A schedule as the process that began last defined it.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredSchedule {
    /// What, when, and what becomes of missed slots.
    pub schedule: Schedule,
    /// The first slot that nobody has claimed. `None`: the schedule is off, or never due again.
    pub next_due: Option<UtcTime>,
}

/// The process that is at a run, by one claim of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunOwner {
    /// The id of the claim. If the same process claims the run once more, that is another claim.
    pub id: Uuid,
    /// The process's name, for people.
    pub name: String,
}

impl RunOwner {
    /// A new claim of the process `name`.
    pub fn new(name: &str) -> Self {
        Self { id: Uuid::now_v7(), name: name.to_owned() }
    }
}

/// Which run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunKey {
    /// The schedule.
    pub schedule: ScheduleName,
    /// The slot.
    pub slot: UtcTime,
}

/// A run to begin.
#[derive(Debug, Clone, PartialEq)]
pub struct NewRun {
    /// The slot.
    pub slot: UtcTime,
    /// What it does.
    pub plan: Option<RunPlan>,
    /// Its campaign, which begins with it.
    pub campaign: Option<Campaign>,
    /// Why it cannot be done: the run has failed.
    pub error: Option<String>,
}

/// A claim of slots.
#[derive(Debug, Clone, PartialEq)]
pub struct SlotClaim {
    /// The schedule as it was read: the claim fails if it has changed since.
    pub of: StoredSchedule,
    /// Its first slot that nobody has claimed, after this claim.
    pub next_due: Option<UtcTime>,
    /// The slot to run.
    pub run: Option<NewRun>,
    /// Slots that were missed and are not run.
    pub skipped: Vec<UtcTime>,
    /// Who claims.
    pub owner: RunOwner,
}

/// Which runs to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunQuery {
    /// Those of one schedule.
    pub schedule: Option<ScheduleName>,
    /// Only those that are running.
    pub running: bool,
    /// At most so many: the latest slots.
    pub limit: u32,
}

/// Schedules, and who claims their slots.
#[async_trait]
pub trait Schedules: Send + Sync {
    /// The time now: the server's, so that all processes have the same. Of a file, this process's.
    ///
    /// # Errors
    /// If the store cannot be reached or used.
    async fn clock(&self) -> Result<UtcTime, StoreError>;

    /// Defines a schedule. If it is new, or its timing is another than before, or it was or is off,
    /// it is due at `next_due` next; otherwise when it was.
    ///
    /// # Errors
    /// If the store cannot be reached or used.
    async fn set_schedule(
        &self,
        schedule: &Schedule,
        next_due: Option<UtcTime>,
    ) -> Result<(), StoreError>;

    /// All schedules, by name. One that this version cannot read is left out, with a warning.
    ///
    /// # Errors
    /// If the store cannot be reached or used.
    async fn schedules(&self) -> Result<Vec<StoredSchedule>, StoreError>;

    /// Claims slots, in the transaction that begins the campaign of the one to run. False if the
    /// schedule is another than the claim says, or has a run that is running, or the slot had its
    /// run: nothing begins. In the last case, the schedule is due as the claim says. Of the runs
    /// of the schedule that ended, the latest [`RUNS_KEPT`] stay.
    ///
    /// # Errors
    /// If the store cannot be reached or used, or the campaign's profile was never registered.
    async fn claim_slots(&self, claim: &SlotClaim) -> Result<bool, StoreError>;
}

/// The runs of the slots of schedules.
#[async_trait]
pub trait ScheduleRuns: Send + Sync {
    /// Takes over a running run whose process is silent. False if it is not, or another process was
    /// faster.
    ///
    /// # Errors
    /// If the store cannot be reached or used.
    async fn take_over_run(&self, run: &RunKey, owner: &RunOwner) -> Result<bool, StoreError>;

    /// Notes that `owner` is at a run. False if it is not its run any more.
    ///
    /// # Errors
    /// If the store cannot be reached or used.
    async fn beat_run(&self, run: &RunKey, owner: &RunOwner) -> Result<bool, StoreError>;

    /// Lets others take over the run of `owner`, which hands it over: at once, or after
    /// [`RUN_GONE_AFTER`].
    ///
    /// # Errors
    /// If the store cannot be reached or used.
    async fn release_run(
        &self,
        run: &RunKey,
        owner: &RunOwner,
        at_once: bool,
    ) -> Result<(), StoreError>;

    /// Ends the run of `owner`; with an error, as failed. False if it is not its run any more.
    ///
    /// # Errors
    /// If the store cannot be reached or used.
    async fn end_run(
        &self,
        run: &RunKey,
        owner: &RunOwner,
        error: Option<&str>,
    ) -> Result<bool, StoreError>;

    /// Runs, the latest slots first. One that this version cannot read is left out, with a warning.
    ///
    /// # Errors
    /// If the store cannot be reached or used.
    async fn schedule_runs(&self, query: &RunQuery) -> Result<Vec<ScheduleRun>, StoreError>;
}

/// When `schedule` is due, as a text: another text begins anew.
pub(super) fn timing_key(schedule: &Schedule) -> String {
    let timing = &schedule.timing;
    if schedule.enabled { format!("{} {}", timing.line(), timing.zone()) } else { String::new() }
}
