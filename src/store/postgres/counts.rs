//! The jobs of campaigns, each counted once.

use std::collections::BTreeMap;

use sqlx::PgConnection;
use uuid::Uuid;

use super::column;
use crate::domain::{CampaignId, OutcomeKind};
use crate::store::counts::{Change, Counted, JobToCount, MOVING};
use crate::store::fault::Fault;
use crate::store::rows::CountedRow;

type Columns = (Vec<Uuid>, Vec<Uuid>, Vec<Option<&'static str>>);

fn columns(jobs: &[JobToCount]) -> Columns {
    (
        column(jobs, |job| job.campaign.0),
        column(jobs, |job| job.job.0),
        column(jobs, |job| job.outcome.map(OutcomeKind::as_str)),
    )
}

pub(super) async fn count_jobs(
    connection: &mut PgConnection,
    jobs: &[JobToCount],
) -> Result<Vec<Counted>, Fault> {
    if jobs.is_empty() {
        return Ok(Vec::new());
    }
    let (campaigns, ids, outcomes) = columns(jobs);
    let new: Vec<CountedRow> = sqlx::query_as(include_str!("sql/count_jobs.sql"))
        .bind(campaigns)
        .bind(ids)
        .bind(outcomes)
        .fetch_all(connection)
        .await?;
    new.into_iter().map(CountedRow::counted).collect()
}

pub(super) async fn move_jobs(
    connection: &mut PgConnection,
    jobs: &[JobToCount],
) -> Result<Vec<Counted>, Fault> {
    let (campaigns, ids, outcomes) = columns(jobs);
    let moved: Vec<CountedRow> = sqlx::query_as(include_str!("sql/move_jobs.sql"))
        .bind(campaigns)
        .bind(ids)
        .bind(outcomes)
        .bind(MOVING.map(OutcomeKind::as_str).to_vec())
        .fetch_all(connection)
        .await?;
    moved.into_iter().map(CountedRow::counted).collect()
}

pub(super) async fn add(
    connection: &mut PgConnection,
    changes: &BTreeMap<(CampaignId, OutcomeKind), Change>,
) -> Result<(), Fault> {
    sqlx::query(include_str!("sql/add_counts.sql"))
        .bind(changes.keys().map(|(campaign, _)| campaign.0).collect::<Vec<_>>())
        .bind(changes.keys().map(|(_, outcome)| outcome.as_str()).collect::<Vec<_>>())
        .bind(changes.values().map(|change| change.jobs).collect::<Vec<_>>())
        .bind(changes.values().map(|change| change.faces).collect::<Vec<_>>())
        .execute(connection)
        .await?;
    Ok(())
}
