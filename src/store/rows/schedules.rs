//! Rows of schedules and of their runs.

use uuid::Uuid;

use super::{corrupt, parsed, time};
use crate::domain::{CampaignId, ScheduleRun, UtcTime};
use crate::store::fault::Fault;
use crate::store::row::row;
use crate::store::schedules::StoredSchedule;

row! {
    /// A schedule.
    pub(in crate::store) struct ScheduleRow {
        /// JSON.
        definition: String,
        next_due_ms: Option<i64>,
    }
}

impl ScheduleRow {
    pub(in crate::store) fn schedule(self) -> Result<StoredSchedule, Fault> {
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
        started_at_ms: i64,
        ended_at_ms: Option<i64>,
        error: Option<String>,
    }
}

impl ScheduleRunRow {
    pub(in crate::store) fn run(self) -> Result<ScheduleRun, Fault> {
        let plan = self.plan.as_deref().map(serde_json::from_str).transpose();
        Ok(ScheduleRun {
            schedule: parsed(&self.schedule)?,
            slot: time(self.slot_ms)?,
            campaign: self.campaign_id.map(CampaignId),
            state: parsed(&self.state)?,
            plan: plan.map_err(corrupt)?,
            claimed_by: self.claimed_by,
            silent: self.silent,
            started_at: time(self.started_at_ms)?,
            ended_at: optional(self.ended_at_ms)?,
            error: self.error,
        })
    }
}

fn optional(ms: Option<i64>) -> Result<Option<UtcTime>, Fault> {
    ms.map(time).transpose()
}
