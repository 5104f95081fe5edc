//! Campaigns: what was listed, and each job's end counted once. The counting of ends happens inside the transaction that records
//! them.

use std::collections::{BTreeMap, HashMap};

use sqlx::postgres::PgRow;
use sqlx::{PgConnection, PgPool, Row};
use uuid::Uuid;

use super::StoreError;
use super::fault::Fault;
use super::rows::{counted, parsed, time};
use crate::domain::{Campaign, CampaignId, CampaignProgress, CampaignState, JobId, JobRecord, ListedChunk, OutcomeKind};

const COLUMNS: &str = "SELECT id, lane, gallery, profile_id, source, state, listed, skipped, listing_done, chunk_from, chunk_to, faces, \
                       (extract(epoch FROM started_at) * 1000)::bigint FROM campaigns ";

fn unknown(campaign: CampaignId) -> Fault {
    StoreError::Invalid(format!("there is no campaign {campaign}")).into()
}

fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

pub(super) async fn begin(pool: &PgPool, campaign: &Campaign) -> Result<(), Fault> {
    sqlx::query(
        "INSERT INTO campaigns (id, lane, gallery, profile_id, source, state) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
    )
    .bind(campaign.id.0)
    .bind(campaign.lane.as_str())
    .bind(campaign.gallery.as_str())
    .bind(campaign.profile.as_str())
    .bind(&campaign.source)
    .bind(campaign.state.as_str())
    .execute(pool)
    .await?;
    Ok(())
}

pub(super) async fn note_listed(pool: &PgPool, campaign: CampaignId, chunk: &ListedChunk) -> Result<(), Fault> {
    let mut transaction = pool.begin().await?;
    let skipped = count_jobs(&mut transaction, campaign, chunk.skipped.iter().copied()).await?.len();
    let noted = sqlx::query(
        "UPDATE campaigns SET listed = listed + $2, skipped = skipped + $3, chunk_from = $4, chunk_to = $5 WHERE id = $1",
    )
    .bind(campaign.0)
    .bind(number(chunk.listed))
    .bind(number(skipped as u64))
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

pub(super) async fn end_listing(pool: &PgPool, campaign: CampaignId) -> Result<(), Fault> {
    let ended = sqlx::query("UPDATE campaigns SET listing_done = true WHERE id = $1").bind(campaign.0).execute(pool).await?;
    if ended.rows_affected() == 0 { Err(unknown(campaign)) } else { Ok(()) }
}

pub(super) async fn uncounted(pool: &PgPool, campaign: CampaignId, jobs: &[JobId]) -> Result<Vec<JobId>, Fault> {
    let ids: Vec<Uuid> = jobs.iter().map(|job| job.0).collect();
    let left: Vec<Uuid> = sqlx::query_scalar(
        "SELECT k.id FROM unnest($2::uuid[]) WITH ORDINALITY AS k (id, place) WHERE NOT EXISTS \
         (SELECT 1 FROM campaign_jobs WHERE campaign_id = $1 AND job_id = k.id) ORDER BY k.place",
    )
    .bind(campaign.0)
    .bind(ids)
    .fetch_all(pool)
    .await?;
    Ok(left.into_iter().map(JobId).collect())
}

pub(super) async fn set_state(pool: &PgPool, campaign: CampaignId, state: CampaignState) -> Result<bool, Fault> {
    let set =
        sqlx::query("UPDATE campaigns SET state = $2 WHERE id = $1").bind(campaign.0).bind(state.as_str()).execute(pool).await?;
    Ok(set.rows_affected() > 0)
}

/// Counts the ends of those jobs of `records` that have not counted before in their campaigns.
pub(super) async fn count_ends(connection: &mut PgConnection, records: &[JobRecord]) -> Result<(), Fault> {
    let mut campaigns: BTreeMap<CampaignId, Vec<&JobRecord>> = BTreeMap::new();
    for record in records {
        if let Some(campaign) = record.campaign {
            campaigns.entry(campaign).or_default().push(record);
        }
    }
    for (campaign, records) in campaigns {
        let new = count_jobs(connection, campaign, records.iter().map(|record| record.job)).await?;
        let by_job: HashMap<JobId, &JobRecord> = records.iter().map(|record| (record.job, *record)).collect();
        let (mut outcomes, mut faces) = (BTreeMap::new(), 0_u64);
        for record in new.iter().filter_map(|job| by_job.get(job)) {
            *outcomes.entry(record.outcome.kind()).or_insert(0_u64) += 1;
            faces += record.outcome.faces().len() as u64;
        }
        if outcomes.is_empty() {
            continue;
        }
        let (kinds, jobs): (Vec<&str>, Vec<i64>) = outcomes.iter().map(|(kind, jobs)| (kind.as_str(), number(*jobs))).unzip();
        sqlx::query(
            "INSERT INTO campaign_outcomes (campaign_id, outcome, jobs) SELECT $1, * FROM unnest($2::text[], $3::bigint[]) \
             ON CONFLICT (campaign_id, outcome) DO UPDATE SET jobs = campaign_outcomes.jobs + excluded.jobs",
        )
        .bind(campaign.0)
        .bind(kinds)
        .bind(jobs)
        .execute(&mut *connection)
        .await?;
        sqlx::query("UPDATE campaigns SET faces = faces + $2 WHERE id = $1")
            .bind(campaign.0)
            .bind(number(faces))
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// Marks `jobs` as counted; returns those that were not before. Of a campaign that is not known (it was deleted) nothing counts.
async fn count_jobs(
    connection: &mut PgConnection,
    campaign: CampaignId,
    jobs: impl Iterator<Item = JobId>,
) -> Result<Vec<JobId>, Fault> {
    // In one order, so that two workers with the same jobs wait for each other instead of dead-locking.
    let mut ids: Vec<Uuid> = jobs.map(|job| job.0).collect();
    ids.sort_unstable();
    ids.dedup();
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let new: Vec<Uuid> = sqlx::query_scalar(
        "INSERT INTO campaign_jobs (campaign_id, job_id) \
         SELECT c.id, k.id FROM campaigns c CROSS JOIN unnest($2::uuid[]) WITH ORDINALITY AS k (id, place) WHERE c.id = $1 \
         ORDER BY k.place ON CONFLICT DO NOTHING RETURNING job_id",
    )
    .bind(campaign.0)
    .bind(ids)
    .fetch_all(connection)
    .await?;
    Ok(new.into_iter().map(JobId).collect())
}

pub(super) async fn one(pool: &PgPool, id: CampaignId) -> Result<Option<Campaign>, Fault> {
    let mut snapshot = pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    let query = sqlx::AssertSqlSafe(format!("{COLUMNS} WHERE id = $1"));
    let Some(row) = sqlx::query(query).bind(id.0).fetch_optional(&mut *snapshot).await? else { return Ok(None) };
    Ok(Some(with_outcomes(&mut snapshot, campaign(&row)?).await?))
}

pub(super) async fn latest(pool: &PgPool, limit: u32) -> Result<Vec<Campaign>, Fault> {
    let mut snapshot = pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    let query = sqlx::AssertSqlSafe(format!("{COLUMNS} ORDER BY id DESC LIMIT $1"));
    let rows = sqlx::query(query).bind(i64::from(limit)).fetch_all(&mut *snapshot).await?;
    let mut campaigns = Vec::with_capacity(rows.len());
    for row in &rows {
        campaigns.push(with_outcomes(&mut snapshot, campaign(row)?).await?);
    }
    Ok(campaigns)
}

fn campaign(row: &PgRow) -> Result<Campaign, Fault> {
    Ok(Campaign {
        id: CampaignId(row.try_get(0)?),
        lane: parsed(row, 1)?,
        gallery: parsed(row, 2)?,
        profile: parsed(row, 3)?,
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

async fn with_outcomes(connection: &mut PgConnection, mut campaign: Campaign) -> Result<Campaign, Fault> {
    let rows = sqlx::query("SELECT outcome, jobs FROM campaign_outcomes WHERE campaign_id = $1")
        .bind(campaign.id.0)
        .fetch_all(connection)
        .await?;
    for row in &rows {
        campaign.progress.outcomes.insert(parsed::<OutcomeKind>(row, 0)?, counted(row, 1)?);
    }
    Ok(campaign)
}
