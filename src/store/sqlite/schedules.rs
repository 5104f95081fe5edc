//! Schedules, and the runs of their slots.

use async_trait::async_trait;
use serde::Serialize;
use sqlx::SqliteConnection;

use super::campaigns::begin;
use super::{SqliteStore, now_ms};
use crate::domain::{RunState, Schedule, ScheduleRun, UtcTime};
use crate::store::StoreError;
use crate::store::fault::Fault;
use crate::store::rows::{ScheduleRow, ScheduleRunRow, corrupt};
use crate::store::schedules::{
    NewRun, RunKey, RunOwner, RunQuery, ScheduleRuns, Schedules, SlotClaim, StoredSchedule,
    run_gone_ms, timing_key,
};

#[async_trait]
impl Schedules for SqliteStore {
    async fn clock(&self) -> Result<UtcTime, StoreError> {
        Ok(UtcTime::from(jiff::Timestamp::now()))
    }

    async fn set_schedule(
        &self,
        schedule: &Schedule,
        next_due: Option<UtcTime>,
    ) -> Result<(), StoreError> {
        self.answer(async {
            sqlx::query(include_str!("sql/set_schedule.sql"))
                .bind(schedule.name.as_str())
                .bind(json(schedule)?)
                .bind(timing_key(schedule))
                .bind(next_due.map(UtcTime::as_millisecond))
                .execute(&self.writer)
                .await?;
            Ok(())
        })
        .await
    }

    async fn schedules(&self) -> Result<Vec<StoredSchedule>, StoreError> {
        self.answer(async {
            let sql = "SELECT definition, next_due_ms FROM schedules ORDER BY name";
            let rows: Vec<ScheduleRow> = sqlx::query_as(sql).fetch_all(&self.readers).await?;
            rows.into_iter().map(ScheduleRow::schedule).collect()
        })
        .await
    }

    async fn claim_slots(&self, claim: &SlotClaim) -> Result<bool, StoreError> {
        let SlotClaim { of: StoredSchedule { schedule, next_due }, owner, .. } = claim;
        self.answer(async {
            let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
            let moved = sqlx::query(include_str!("sql/move_schedule.sql"))
                .bind(schedule.name.as_str())
                .bind(json(schedule)?)
                .bind(next_due.map(UtcTime::as_millisecond))
                .bind(claim.next_due.map(UtcTime::as_millisecond))
                .execute(&mut *transaction)
                .await?;
            if moved.rows_affected() == 0 {
                return Ok(false);
            }
            for &slot in &claim.skipped {
                let skipped = NewRun { slot, plan: None, campaign: None, error: None };
                insert(&mut transaction, schedule, &skipped, RunState::Skipped, owner).await?;
            }
            let mut begun = false;
            if let Some(run) = &claim.run {
                let failed = run.error.is_some();
                let state = if failed { RunState::Failed } else { RunState::Running };
                begun = insert(&mut transaction, schedule, run, state, owner).await?;
                if let Some(campaign) = run.campaign.as_ref().filter(|_| begun) {
                    begin(&mut transaction, campaign).await?;
                }
            }
            transaction.commit().await?;
            Ok(begun)
        })
        .await
    }
}

#[async_trait]
impl ScheduleRuns for SqliteStore {
    async fn take_over_run(&self, run: &RunKey, owner: &RunOwner) -> Result<bool, StoreError> {
        let now = now_ms();
        self.answer(async {
            let taken = sqlx::query(include_str!("sql/take_over_run.sql"))
                .bind(run.schedule.as_str())
                .bind(run.slot.as_millisecond())
                .bind(owner.id)
                .bind(&owner.name)
                .bind(now)
                .bind(now - run_gone_ms())
                .execute(&self.writer)
                .await?;
            Ok(taken.rows_affected() > 0)
        })
        .await
    }

    async fn beat_run(&self, run: &RunKey, owner: &RunOwner) -> Result<bool, StoreError> {
        self.set_beat(run, owner, now_ms()).await
    }

    async fn release_run(&self, run: &RunKey, owner: &RunOwner) -> Result<(), StoreError> {
        self.set_beat(run, owner, 0).await.map(drop)
    }

    async fn end_run(
        &self,
        run: &RunKey,
        owner: &RunOwner,
        error: Option<&str>,
    ) -> Result<bool, StoreError> {
        let state = if error.is_some() { RunState::Failed } else { RunState::Done };
        self.answer(async {
            let ended = sqlx::query(include_str!("sql/end_run.sql"))
                .bind(run.schedule.as_str())
                .bind(run.slot.as_millisecond())
                .bind(owner.id)
                .bind(state.as_str())
                .bind(error)
                .bind(now_ms())
                .execute(&self.writer)
                .await?;
            Ok(ended.rows_affected() > 0)
        })
        .await
    }

    async fn schedule_runs(&self, query: &RunQuery) -> Result<Vec<ScheduleRun>, StoreError> {
        self.answer(async {
            let rows: Vec<ScheduleRunRow> = sqlx::query_as(include_str!("sql/schedule_runs.sql"))
                .bind(query.schedule.as_ref().map(|name| name.as_str()))
                .bind(query.running)
                .bind(query.limit)
                .bind(now_ms() - run_gone_ms())
                .fetch_all(&self.readers)
                .await?;
            rows.into_iter().map(ScheduleRunRow::run).collect()
        })
        .await
    }
}

impl SqliteStore {
    async fn set_beat(&self, run: &RunKey, owner: &RunOwner, ms: i64) -> Result<bool, StoreError> {
        self.answer(async {
            let set = sqlx::query(include_str!("sql/beat_run.sql"))
                .bind(run.schedule.as_str())
                .bind(run.slot.as_millisecond())
                .bind(owner.id)
                .bind(ms)
                .execute(&self.writer)
                .await?;
            Ok(set.rows_affected() > 0)
        })
        .await
    }
}

/// Inserts a run. False if its slot has one.
async fn insert(
    connection: &mut SqliteConnection,
    schedule: &Schedule,
    run: &NewRun,
    state: RunState,
    owner: &RunOwner,
) -> Result<bool, Fault> {
    let inserted = sqlx::query(include_str!("sql/insert_run.sql"))
        .bind(schedule.name.as_str())
        .bind(run.slot.as_millisecond())
        .bind(run.campaign.as_ref().map(|campaign| campaign.id.0))
        .bind(state.as_str())
        .bind(run.plan.as_ref().map(json).transpose()?)
        .bind(owner.id)
        .bind(&owner.name)
        .bind(now_ms())
        .bind(&run.error)
        .execute(connection)
        .await?;
    Ok(inserted.rows_affected() > 0)
}

fn json(value: &impl Serialize) -> Result<String, Fault> {
    serde_json::to_string(value).map_err(corrupt)
}
