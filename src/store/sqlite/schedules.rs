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
    NewRun, RUNS_KEPT, RunKey, RunOwner, RunQuery, ScheduleRuns, Schedules, SlotClaim,
    StoredSchedule, run_gone_ms, timing_key,
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
            let sql = "SELECT name, definition, next_due_ms FROM schedules ORDER BY name";
            let rows: Vec<ScheduleRow> = sqlx::query_as(sql).fetch_all(&self.readers).await?;
            Ok(ScheduleRow::schedules(rows))
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
                .bind(RUNS_KEPT)
                .execute(&mut *transaction)
                .await?;
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
                .bind(now + run_gone_ms())
                .execute(&self.writer)
                .await?;
            Ok(taken.rows_affected() > 0)
        })
        .await
    }

    async fn beat_run(&self, run: &RunKey, owner: &RunOwner) -> Result<bool, StoreError> {
        self.answer(async {
            let noted = sqlx::query(include_str!("sql/beat_run.sql"))
                .bind(run.schedule.as_str())
                .bind(run.slot.as_millisecond())
                .bind(owner.id)
                .bind(now_ms())
                .execute(&self.writer)
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
        self.answer(async {
            sqlx::query(include_str!("sql/release_run.sql"))
                .bind(run.schedule.as_str())
                .bind(run.slot.as_millisecond())
                .bind(owner.id)
                .bind(at_once)
                .execute(&self.writer)
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
        let sql = match query.running {
            true => include_str!("sql/running_runs.sql"),
            false => include_str!("sql/schedule_runs.sql"),
        };
        let now = now_ms();
        self.answer(async {
            let rows: Vec<ScheduleRunRow> = sqlx::query_as(sql)
                .bind(query.schedule.as_ref().map(|name| name.as_str()))
                .bind(query.limit)
                .bind(now - run_gone_ms())
                .bind(now + run_gone_ms())
                .fetch_all(&self.readers)
                .await?;
            Ok(ScheduleRunRow::runs(rows))
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

#[cfg(test)]
mod tests {
    use sqlx::Row;

    use super::*;

    #[tokio::test]
    async fn running_runs_and_claims_are_found_without_reading_all_runs() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("faces.db").display());
        let store = SqliteStore::open(&url).await.unwrap();
        for query in [
            include_str!("sql/running_runs.sql"),
            include_str!("sql/holds_run.sql"),
            include_str!("sql/move_schedule.sql"),
        ] {
            let explain = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {query}"));
            let plan = sqlx::query(explain).fetch_all(&store.readers).await.unwrap();
            let steps: Vec<String> = plan.iter().map(|step| step.get("detail")).collect();
            let of_runs: Vec<_> =
                steps.iter().filter(|step| step.contains("schedule_runs")).collect();
            assert!(!of_runs.is_empty(), "{steps:?}");
            assert!(of_runs.iter().all(|step| step.contains("schedule_runs_running")), "{steps:?}");
        }
    }
}
