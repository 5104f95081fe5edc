//! Campaigns: what was listed, and each job's end counted once. The counting of ends happens inside
//! the transaction that records them.

use std::collections::BTreeMap;

use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection, SqlitePool};
use uuid::Uuid;

use super::StoreError;
use super::rows::now_ms;
use crate::domain::{
    Campaign, CampaignId, CampaignProgress, CampaignState, JobId, JobRecord, ListedChunk,
    OutcomeKind,
};
use crate::store::Recorded;
use crate::store::columns::{corrupt, counted, parsed, selection, time};
use crate::store::encoding::selection_key;
use crate::store::fault::Fault;
use crate::store::tally::{self, Counted};

fn unknown(campaign: CampaignId) -> Fault {
    StoreError::Invalid(format!("there is no campaign {campaign}")).into()
}

/// Hex digits, for `unhex`: JSON has no blobs.
fn job_list(jobs: impl Iterator<Item = JobId>) -> String {
    jobs.map(|job| job.0.simple().to_string()).collect::<serde_json::Value>().to_string()
}

pub(super) async fn begin(pool: &SqlitePool, campaign: &Campaign) -> Result<(), Fault> {
    let known: bool = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM profiles WHERE id = ?1)")
        .bind(campaign.profile.as_str())
        .fetch_one(pool)
        .await?;
    if !known {
        return Err(StoreError::Invalid(format!(
            "its profile {} was never registered",
            campaign.profile
        ))
        .into());
    }
    sqlx::query(
        "INSERT INTO campaigns (id, lane, gallery, profile_id, source, state, started_at_ms, \
            selection) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) \
         ON CONFLICT (id) DO UPDATE SET closed = 0",
    )
    .bind(campaign.id.0.as_bytes().as_slice())
    .bind(campaign.lane.as_str())
    .bind(campaign.gallery.as_str())
    .bind(campaign.profile.as_str())
    .bind(&campaign.source)
    .bind(campaign.state.as_str())
    .bind(now_ms())
    .bind(campaign.selection.as_ref().map(selection_key))
    .execute(pool)
    .await?;
    Ok(())
}

pub(super) async fn note_listed(
    pool: &SqlitePool,
    campaign: CampaignId,
    chunk: &ListedChunk,
) -> Result<(), Fault> {
    let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
    let skipped: Vec<_> = chunk.skipped.iter().map(|job| (*job, None)).collect();
    let skipped = count_jobs(&mut transaction, campaign, &skipped).await?.len();
    let noted = sqlx::query(
        "UPDATE campaigns SET listed = listed + ?2, skipped = skipped + ?3, chunk_from = ?4, \
            chunk_to = ?5 WHERE id = ?1",
    )
    .bind(campaign.0.as_bytes().as_slice())
    .bind(i64::try_from(chunk.listed).unwrap_or(i64::MAX))
    .bind(i64::try_from(skipped).unwrap_or(i64::MAX))
    .bind(&chunk.from)
    .bind(&chunk.to)
    .execute(&mut *transaction)
    .await?;
    if noted.rows_affected() == 0 {
        return Err(unknown(campaign));
    }
    transaction.commit().await?;
    Ok(())
}

pub(super) async fn end_listing(pool: &SqlitePool, campaign: CampaignId) -> Result<(), Fault> {
    let ended = sqlx::query("UPDATE campaigns SET listing_done = 1 WHERE id = ?1")
        .bind(campaign.0.as_bytes().as_slice())
        .execute(pool)
        .await?;
    if ended.rows_affected() == 0 { Err(unknown(campaign)) } else { Ok(()) }
}

pub(super) async fn uncounted(
    pool: &SqlitePool,
    campaign: CampaignId,
    jobs: &[JobId],
) -> Result<Vec<JobId>, Fault> {
    let rows = sqlx::query_scalar::<_, i64>(
        "SELECT k.key FROM json_each(?2) k WHERE NOT EXISTS \
         (SELECT 1 FROM campaign_jobs WHERE campaign_id = ?1 AND job_id = unhex(k.value)) ORDER BY \
         k.key",
    )
    .bind(campaign.0.as_bytes().as_slice())
    .bind(job_list(jobs.iter().copied()))
    .fetch_all(pool)
    .await?;
    Ok(rows
        .into_iter()
        .filter_map(|place| jobs.get(usize::try_from(place).ok()?).copied())
        .collect())
}

pub(super) async fn set_state(
    pool: &SqlitePool,
    campaign: CampaignId,
    state: CampaignState,
) -> Result<bool, Fault> {
    let set = sqlx::query("UPDATE campaigns SET state = ?2, closed = 0 WHERE id = ?1")
        .bind(campaign.0.as_bytes().as_slice())
        .bind(state.as_str())
        .execute(pool)
        .await?;
    Ok(set.rows_affected() > 0)
}

pub(super) async fn close(pool: &SqlitePool, campaign: CampaignId) -> Result<(), Fault> {
    sqlx::query("UPDATE campaigns SET closed = 1 WHERE id = ?1 AND closed = 0")
        .bind(campaign.0.as_bytes().as_slice())
        .execute(pool)
        .await?;
    Ok(())
}

/// Counts the ends of the campaigns' jobs of `records`: those that did not count before, and those
/// that ended otherwise before.
pub(super) async fn count_ends(
    connection: &mut SqliteConnection,
    records: &[JobRecord],
    recorded: &[Recorded],
) -> Result<(), Fault> {
    let ends = tally::ends(records, recorded);
    let mut campaigns: BTreeMap<CampaignId, Vec<(JobId, Option<OutcomeKind>)>> = BTreeMap::new();
    for ((campaign, job), end) in &ends {
        campaigns.entry(*campaign).or_default().push((*job, Some(end.outcome)));
    }
    let mut counted = Vec::with_capacity(ends.len());
    for (campaign, jobs) in campaigns {
        let new = count_jobs(connection, campaign, &jobs).await?;
        if new.len() < jobs.len() {
            counted.extend(count_again(connection, campaign, &jobs).await?);
        }
        counted.extend(new);
    }
    for ((campaign, outcome), counts) in tally::changes(&ends, &counted) {
        sqlx::query(
            "INSERT INTO campaign_outcomes (campaign_id, outcome, jobs) VALUES (?1, ?2, ?3) \
             ON CONFLICT DO UPDATE SET jobs = jobs + excluded.jobs",
        )
        .bind(campaign.0.as_bytes().as_slice())
        .bind(outcome.as_str())
        .bind(counts.jobs)
        .execute(&mut *connection)
        .await?;
        sqlx::query("UPDATE campaigns SET faces = faces + ?2 WHERE id = ?1")
            .bind(campaign.0.as_bytes().as_slice())
            .bind(counts.faces)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// Counts `jobs`, each under an outcome or as skipped; returns those that did not count before. Of
/// a campaign that is not known (it was deleted) nothing counts.
async fn count_jobs(
    connection: &mut SqliteConnection,
    campaign: CampaignId,
    jobs: &[(JobId, Option<OutcomeKind>)],
) -> Result<Vec<Counted>, Fault> {
    let new: Vec<Uuid> = sqlx::query_scalar(
        "INSERT INTO campaign_jobs (campaign_id, job_id, outcome) \
         SELECT c.id, unhex(k.value ->> 0), k.value ->> 1 FROM campaigns c CROSS JOIN \
         json_each(?2) k WHERE c.id = ?1 \
         ON CONFLICT DO NOTHING RETURNING job_id",
    )
    .bind(campaign.0.as_bytes().as_slice())
    .bind(to_count(jobs))
    .fetch_all(connection)
    .await?;
    Ok(new.into_iter().map(|job| Counted { campaign, job: JobId(job), before: None }).collect())
}

/// Counts those of `jobs` anew that ended otherwise before.
async fn count_again(
    connection: &mut SqliteConnection,
    campaign: CampaignId,
    jobs: &[(JobId, Option<OutcomeKind>)],
) -> Result<Vec<Counted>, Fault> {
    let again = sqlx::query(
        "SELECT k.key, j.outcome FROM json_each(?2) k \
         CROSS JOIN campaign_jobs j ON j.campaign_id = ?1 AND j.job_id = unhex(k.value ->> 0) \
         WHERE j.outcome IN (SELECT value FROM json_each(?3)) AND j.outcome <> k.value ->> 1",
    )
    .bind(campaign.0.as_bytes().as_slice())
    .bind(to_count(jobs))
    .bind(serde_json::json!(tally::MOVING).to_string())
    .fetch_all(&mut *connection)
    .await?;
    let (mut moved, mut counted) =
        (Vec::with_capacity(again.len()), Vec::with_capacity(again.len()));
    for row in &again {
        let place = usize::try_from(row.try_get::<i64, _>(0)?).ok();
        let (job, outcome) = *place
            .and_then(|place| jobs.get(place))
            .ok_or_else(|| corrupt("a job that was not asked for"))?;
        moved.push((job, outcome));
        counted.push(Counted { campaign, job, before: Some(parsed(row, 1)?) });
    }
    if !moved.is_empty() {
        sqlx::query(
            "UPDATE campaign_jobs SET outcome = k.value ->> 1 FROM json_each(?2) k \
             WHERE campaign_id = ?1 AND job_id = unhex(k.value ->> 0)",
        )
        .bind(campaign.0.as_bytes().as_slice())
        .bind(to_count(&moved))
        .execute(connection)
        .await?;
    }
    Ok(counted)
}

/// As [`job_list`], each with its outcome.
fn to_count(jobs: &[(JobId, Option<OutcomeKind>)]) -> String {
    let pair = |(job, outcome): &(JobId, Option<OutcomeKind>)| {
        serde_json::json!([job.0.simple().to_string(), outcome])
    };
    jobs.iter().map(pair).collect::<serde_json::Value>().to_string()
}

pub(super) async fn one(pool: &SqlitePool, id: CampaignId) -> Result<Option<Campaign>, Fault> {
    let mut snapshot = pool.begin().await?;
    let row = sqlx::query(
        "SELECT id, lane, gallery, profile_id, source, state, listed, skipped, listing_done, \
            chunk_from, chunk_to, faces, started_at_ms, \
         selection \
         FROM campaigns WHERE id = ?1",
    )
    .bind(id.0.as_bytes().as_slice())
    .fetch_optional(&mut *snapshot)
    .await?;
    let Some(row) = row else { return Ok(None) };
    Ok(Some(with_outcomes(&mut snapshot, campaign(&row)?).await?))
}

pub(super) async fn latest(
    pool: &SqlitePool,
    limit: u32,
    open: bool,
) -> Result<Vec<Campaign>, Fault> {
    // Spelt out: the index of open campaigns serves no other condition.
    const OPEN: &str = "SELECT id, lane, gallery, profile_id, source, state, listed, skipped, \
        listing_done, chunk_from, chunk_to, faces, \
         started_at_ms, selection FROM campaigns WHERE closed = 0 ORDER BY id DESC LIMIT ?1";
    const ALL: &str = "SELECT id, lane, gallery, profile_id, source, state, listed, skipped, \
        listing_done, chunk_from, chunk_to, faces, \
         started_at_ms, selection FROM campaigns ORDER BY id DESC LIMIT ?1";
    let mut snapshot = pool.begin().await?;
    let rows =
        sqlx::query(if open { OPEN } else { ALL }).bind(limit).fetch_all(&mut *snapshot).await?;
    let mut campaigns = Vec::with_capacity(rows.len());
    for row in &rows {
        campaigns.push(with_outcomes(&mut snapshot, campaign(row)?).await?);
    }
    Ok(campaigns)
}

fn campaign(row: &SqliteRow) -> Result<Campaign, Fault> {
    Ok(Campaign {
        id: CampaignId(row.try_get(0)?),
        lane: parsed(row, 1)?,
        gallery: parsed(row, 2)?,
        profile: parsed(row, 3)?,
        selection: selection(row, 13)?,
        source: row.try_get(4)?,
        state: parsed(row, 5)?,
        progress: CampaignProgress {
            listed: counted(row, 6)?,
            skipped: counted(row, 7)?,
            listing_done: row.try_get(8)?,
            chunk_from: row.try_get(9)?,
            chunk_to: row.try_get(10)?,
            outcomes: BTreeMap::new(),
            faces: counted(row, 11)?,
        },
        started_at: time(row, 12)?,
    })
}

async fn with_outcomes(
    connection: &mut SqliteConnection,
    mut campaign: Campaign,
) -> Result<Campaign, Fault> {
    let rows = sqlx::query(
        "SELECT outcome, jobs FROM campaign_outcomes WHERE campaign_id = ?1 AND jobs > 0",
    )
    .bind(campaign.id.0.as_bytes().as_slice())
    .fetch_all(connection)
    .await?;
    for row in &rows {
        campaign.progress.outcomes.insert(parsed(row, 0)?, counted(row, 1)?);
    }
    Ok(campaign)
}
