//! Schedules, and the runs of their slots.

use async_trait::async_trait;
use serde::Serialize;
use sqlx::PgConnection;

use super::campaigns::begin;
use super::results::READ_COMMITTED;
use super::{PostgresStore, READ, WRITE};
use crate::domain::{RunState, Schedule, ScheduleRun, UtcTime};
use crate::store::StoreError;
use crate::store::fault::Fault;
use crate::store::rows::{ScheduleRow, ScheduleRunRow, corrupt};
use crate::store::schedules::{
    NewRun, RUNS_KEPT, RunKey, RunOwner, RunQuery, ScheduleRuns, Schedules, SlotClaim,
    StoredSchedule, run_gone_ms, timing_key,
};

#[async_trait]
impl Schedules for PostgresStore {
    async fn clock(&self) -> Result<UtcTime, StoreError> {
        self.answer(READ, async {
            // Of the clock on the wall, not of the transaction.
            let sql = "SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint";
            let now: i64 = sqlx::query_scalar(sql).fetch_one(&self.pool).await?;
            UtcTime::from_millisecond(now).map_err(corrupt)
        })
        .await
    }

    async fn set_schedule(
        &self,
        schedule: &Schedule,
        next_due: Option<UtcTime>,
    ) -> Result<(), StoreError> {
        self.answer(WRITE, async {
            sqlx::query(include_str!("sql/set_schedule.sql"))
                .bind(schedule.name.as_str())
                .bind(json(schedule)?)
                .bind(timing_key(schedule))
                .bind(next_due.map(UtcTime::as_millisecond))
                .execute(&self.pool)
                .await?;
            Ok(())
        })
        .await
    }

    async fn schedules(&self) -> Result<Vec<StoredSchedule>, StoreError> {
        self.answer(READ, async {
            let sql = include_str!("sql/schedules.sql");
            let rows: Vec<ScheduleRow> = sqlx::query_as(sql).fetch_all(&self.pool).await?;
            Ok(ScheduleRow::schedules(rows))
        })
        .await
    }

    async fn claim_slots(&self, claim: &SlotClaim) -> Result<bool, StoreError> {
        let SlotClaim { of: StoredSchedule { schedule, next_due }, owner, .. } = claim;
        self.answer(WRITE, async {
            let mut transaction = self.pool.begin_with(READ_COMMITTED).await?;
            // The statement after it sees what the claim before this one wrote.
            sqlx::query("SELECT FROM schedules WHERE name = $1 FOR NO KEY UPDATE")
                .bind(schedule.name.as_str())
                .execute(&mut *transaction)
                .await?;
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
            let mut begun = claim.run.is_none();
            if let Some(run) = &claim.run {
                let failed = run.error.is_some();
                let state = if failed { RunState::Failed } else { RunState::Running };
                begun = insert(&mut transaction, schedule, run, state, owner).await?;
                if let Some(campaign) = run.campaign.as_ref().filter(|_| begun) {
                    begin(&mut transaction, campaign).await?;
                }
            }
            sqlx::query(include_str!("sql/delete_old_runs.sql"))
                .bind(schedule.name.as_str())
                .bind(i64::from(RUNS_KEPT))
                .execute(&mut *transaction)
                .await?;
            transaction.commit().await?;
            Ok(begun)
        })
        .await
    }
}

#[async_trait]
impl ScheduleRuns for PostgresStore {
    async fn take_over_run(&self, run: &RunKey, owner: &RunOwner) -> Result<bool, StoreError> {
        self.answer(WRITE, async {
            let taken = sqlx::query(include_str!("sql/take_over_run.sql"))
                .bind(run.schedule.as_str())
                .bind(run.slot.as_millisecond())
                .bind(owner.id)
                .bind(&owner.name)
                .bind(run_gone_ms())
                .execute(&self.pool)
                .await?;
            Ok(taken.rows_affected() > 0)
        })
        .await
    }

    async fn beat_run(&self, run: &RunKey, owner: &RunOwner) -> Result<bool, StoreError> {
        self.answer(WRITE, async {
            let noted = sqlx::query(include_str!("sql/beat_run.sql"))
                .bind(run.schedule.as_str())
                .bind(run.slot.as_millisecond())
                .bind(owner.id)
                .execute(&self.pool)
                .await?;
            Ok(noted.rows_affected() > 0)
        })
        .await
    }

    async fn release_run(
        &self,
        run: &RunKey,
        owner: &RunOwner,
        at_once: bool,
    ) -> Result<(), StoreError> {
        self.answer(WRITE, async {
            sqlx::query(include_str!("sql/release_run.sql"))
                .bind(run.schedule.as_str())
                .bind(run.slot.as_millisecond())
                .bind(owner.id)
                .bind(at_once)
                .execute(&self.pool)
                .await?;
            Ok(())
        })
        .await
    }

    async fn end_run(
        &self,
        run: &RunKey,
        owner: &RunOwner,
        error: Option<&str>,
    ) -> Result<bool, StoreError> {
        let state = if error.is_some() { RunState::Failed } else { RunState::Done };
        self.answer(WRITE, async {
            let ended = sqlx::query(include_str!("sql/end_run.sql"))
                .bind(run.schedule.as_str())
                .bind(run.slot.as_millisecond())
                .bind(owner.id)
                .bind(state.as_str())
                .bind(error)
                .execute(&self.pool)
                .await?;
            Ok(ended.rows_affected() > 0)
        })
        .await
    }

    async fn schedule_runs(&self, query: &RunQuery) -> Result<Vec<ScheduleRun>, StoreError> {
        let sql = match query.running {
            true => include_str!("sql/running_runs.sql"),
            false => include_str!("sql/schedule_runs.sql"),
        };
        self.answer(READ, async {
            let rows: Vec<ScheduleRunRow> = sqlx::query_as(sql)
                .bind(query.schedule.as_ref().map(|name| name.as_str()))
                .bind(i64::from(query.limit))
                .bind(run_gone_ms())
                .fetch_all(&self.pool)
                .await?;
            Ok(ScheduleRunRow::runs(rows))
        })
        .await
    }
}

/// Inserts a run. False if its slot has one.
async fn insert(
    connection: &mut PgConnection,
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
        .bind(&run.error)
        .execute(connection)
        .await?;
    Ok(inserted.rows_affected() > 0)
}

fn json(value: &impl Serialize) -> Result<String, Fault> {
    serde_json::to_string(value).map_err(corrupt)
}
