//! Rows of schedules and of their runs.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use uuid::Uuid;

use super::{corrupt, parsed, time};
use crate::domain::{CampaignId, ScheduleRun, UtcTime};
use crate::store::fault::Fault;
use crate::store::row::row;
use crate::store::schedules::StoredSchedule;

/// Rows that cannot be read and are named, at most.
const MOST_NAMED: usize = 1000;

row! {
    /// A schedule.
    pub(in crate::store) struct ScheduleRow {
        name: String,
        /// JSON.
        definition: String,
        next_due_ms: Option<i64>,
    }
}

impl ScheduleRow {
    /// Those of `rows` that can be read.
    pub(in crate::store) fn schedules(rows: Vec<Self>) -> Vec<StoredSchedule> {
        let read = |row: Self| readable(format!("schedule {}", row.name), row.schedule());
        rows.into_iter().filter_map(read).collect()
    }

    fn schedule(self) -> Result<StoredSchedule, Fault> {
        let schedule = serde_json::from_str(&self.definition).map_err(corrupt)?;
        Ok(StoredSchedule { schedule, next_due: optional(self.next_due_ms)? })
    }
}

row! {
    /// A run.
    pub(in crate::store) struct ScheduleRunRow {
        schedule: String,
        slot_ms: i64,
        campaign_id: Option<Uuid>,
        state: String,
        /// JSON.
        plan: Option<String>,
        claimed_by: String,
        silent: bool,
        take_overs: i64,
        started_at_ms: i64,
        ended_at_ms: Option<i64>,
        error: Option<String>,
    }
}

impl ScheduleRunRow {
    /// Those of `rows` that can be read.
    pub(in crate::store) fn runs(rows: Vec<Self>) -> Vec<ScheduleRun> {
        let name = |row: &Self| match time(row.slot_ms) {
            Ok(slot) => format!("the run of schedule {} at {slot}", row.schedule),
            Err(_) => format!("a run of schedule {}", row.schedule),
        };
        rows.into_iter().filter_map(|row| readable(name(&row), row.run())).collect()
    }

    fn run(self) -> Result<ScheduleRun, Fault> {
        let plan = self.plan.as_deref().map(serde_json::from_str).transpose();
        Ok(ScheduleRun {
            schedule: parsed(&self.schedule)?,
            slot: time(self.slot_ms)?,
            campaign: self.campaign_id.map(CampaignId),
            state: parsed(&self.state)?,
            plan: plan.map_err(corrupt)?,
            claimed_by: self.claimed_by,
            silent: self.silent,
            take_overs: u32::try_from(self.take_overs).unwrap_or(u32::MAX),
            started_at: time(self.started_at_ms)?,
            ended_at: optional(self.ended_at_ms)?,
            error: self.error,
        })
    }
}

/// A row that was read. If it cannot be, a warning names it once a process: the others are of use
/// without it.
fn readable<T>(name: String, read: Result<T, Fault>) -> Option<T> {
    static UNREADABLE: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let fault = match read {
        Ok(read) => return Some(read),
        Err(Fault::Store(error)) => error.to_string(),
        Err(fault) => format!("{fault:?}"),
    };
    let mut unreadable = UNREADABLE.lock().unwrap_or_else(PoisonError::into_inner);
    if unreadable.len() < MOST_NAMED && !unreadable.contains(&name) {
        tracing::warn!("{} is left out: {fault}", name.escape_debug());
        unreadable.insert(name);
    }
    None
}

fn optional(ms: Option<i64>) -> Result<Option<UtcTime>, Fault> {
    ms.map(time).transpose()
}
