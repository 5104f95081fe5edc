//! The jobs of campaigns, each counted once.

use std::collections::BTreeMap;

use sqlx::SqliteConnection;

use super::json;
use crate::domain::{CampaignId, OutcomeKind};
use crate::store::counts::{Change, Counted, JobToCount, MOVING};
use crate::store::fault::Fault;
use crate::store::rows::CountedRow;

pub(super) async fn count_jobs(
    connection: &mut SqliteConnection,
    jobs: &[JobToCount],
) -> Result<Vec<Counted>, Fault> {
    if jobs.is_empty() {
        return Ok(Vec::new());
    }
    let new: Vec<CountedRow> = sqlx::query_as(include_str!("sql/count_jobs.sql"))
        .bind(job_list(jobs))
        .fetch_all(connection)
        .await?;
    new.into_iter().map(CountedRow::counted).collect()
}

pub(super) async fn move_jobs(
    connection: &mut SqliteConnection,
    jobs: &[JobToCount],
) -> Result<Vec<Counted>, Fault> {
    let (jobs, moving) = (job_list(jobs), json(MOVING.map(OutcomeKind::as_str)));
    // `RETURNING` would return the new outcomes: read the old ones first.
    let moved: Vec<CountedRow> = sqlx::query_as(include_str!("sql/jobs_to_move.sql"))
        .bind(&jobs)
        .bind(&moving)
        .fetch_all(&mut *connection)
        .await?;
    if !moved.is_empty() {
        sqlx::query(include_str!("sql/move_jobs.sql"))
            .bind(&jobs)
            .bind(&moving)
            .execute(connection)
            .await?;
    }
    moved.into_iter().map(CountedRow::counted).collect()
}

pub(super) async fn add(
    connection: &mut SqliteConnection,
    changes: &BTreeMap<(CampaignId, OutcomeKind), Change>,
) -> Result<(), Fault> {
    for ((campaign, outcome), change) in changes {
        sqlx::query(include_str!("sql/add_counts.sql"))
            .bind(campaign.0)
            .bind(outcome.as_str())
            .bind(change.jobs)
            .bind(change.faces)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// A JSON array of campaign, job and outcome. JSON has no blobs: the ids are hex digits for
/// `unhex`.
fn job_list(jobs: &[JobToCount]) -> String {
    json(jobs.iter().map(|JobToCount { campaign, job, outcome }| {
        let (campaign, job) = (campaign.0.simple().to_string(), job.0.simple().to_string());
        serde_json::json!([campaign, job, outcome.map(OutcomeKind::as_str)])
    }))
}
