//! Campaigns: what was listed, and each job's end counted once. The counting of ends happens inside
//! the transaction that records them.
//!
//! Locks are taken in one order everywhere, of jobs, then of counts, then of campaigns, and in each
//! of them by id.

use std::collections::BTreeMap;

use sqlx::postgres::PgRow;
use sqlx::{PgConnection, PgPool, Row};
use uuid::Uuid;

use super::StoreError;
use super::read::snapshot;
use crate::domain::{
    Campaign, CampaignId, CampaignProgress, CampaignState, JobId, JobRecord, ListedChunk,
    OutcomeKind,
};
use crate::store::Recorded;
use crate::store::columns::{counted, parsed, selection, time};
use crate::store::encoding::selection_key;
use crate::store::fault::Fault;
use crate::store::tally::{self, Counted};

fn unknown(campaign: CampaignId) -> Fault {
    StoreError::Invalid(format!("there is no campaign {campaign}")).into()
}

pub(super) async fn begin(pool: &PgPool, campaign: &Campaign) -> Result<(), Fault> {
    let known: bool = sqlx::query_scalar("SELECT EXISTS (SELECT FROM profiles WHERE id = $1)")
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
        "INSERT INTO campaigns (id, lane, gallery, profile_id, source, state, selection) VALUES \
            ($1, $2, $3, $4, $5, $6, $7) \
         ON CONFLICT (id) DO UPDATE SET closed = false",
    )
    .bind(campaign.id.0)
    .bind(campaign.lane.as_str())
    .bind(campaign.gallery.as_str())
    .bind(campaign.profile.as_str())
    .bind(&campaign.source)
    .bind(campaign.state.as_str())
    .bind(campaign.selection.as_ref().map(selection_key))
    .execute(pool)
    .await?;
    Ok(())
}

pub(super) async fn note_listed(
    pool: &PgPool,
    campaign: CampaignId,
    chunk: &ListedChunk,
) -> Result<(), Fault> {
    let mut transaction = pool.begin().await?;
    let skipped: Vec<_> = chunk.skipped.iter().map(|job| (campaign, *job, None)).collect();
    let skipped = count_jobs(&mut transaction, &skipped).await?.len();
    let noted = sqlx::query(
        "UPDATE campaigns SET listed = listed + $2, skipped = skipped + $3, chunk_from = $4, \
            chunk_to = $5 WHERE id = $1",
    )
    .bind(campaign.0)
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

pub(super) async fn end_listing(pool: &PgPool, campaign: CampaignId) -> Result<(), Fault> {
    let ended = sqlx::query("UPDATE campaigns SET listing_done = true WHERE id = $1")
        .bind(campaign.0)
        .execute(pool)
        .await?;
    if ended.rows_affected() == 0 { Err(unknown(campaign)) } else { Ok(()) }
}

pub(super) async fn uncounted(
    pool: &PgPool,
    campaign: CampaignId,
    jobs: &[JobId],
) -> Result<Vec<JobId>, Fault> {
    let left: Vec<Uuid> = sqlx::query_scalar(
        "SELECT k.job_id FROM unnest($2::uuid[]) WITH ORDINALITY k (job_id, place) WHERE NOT \
            EXISTS \
         (SELECT FROM campaign_jobs c WHERE c.campaign_id = $1 AND c.job_id = k.job_id) ORDER BY \
         k.place",
    )
    .bind(campaign.0)
    .bind(jobs.iter().map(|job| job.0).collect::<Vec<_>>())
    .fetch_all(pool)
    .await?;
    Ok(left.into_iter().map(JobId).collect())
}

pub(super) async fn set_state(
    pool: &PgPool,
    campaign: CampaignId,
    state: CampaignState,
) -> Result<bool, Fault> {
    let set = sqlx::query("UPDATE campaigns SET state = $2, closed = false WHERE id = $1")
        .bind(campaign.0)
        .bind(state.as_str())
        .execute(pool)
        .await?;
    Ok(set.rows_affected() > 0)
}

/// Counts the ends of the campaigns' jobs of `records`: those that did not count before, and those
/// that ended otherwise before.
pub(super) async fn count_ends(
    connection: &mut PgConnection,
    records: &[JobRecord],
    recorded: &[Recorded],
) -> Result<(), Fault> {
    let ends = tally::ends(records, recorded);
    let jobs: Vec<_> =
        ends.iter().map(|((campaign, job), end)| (*campaign, *job, Some(end.outcome))).collect();
    let mut counted = count_jobs(connection, &jobs).await?;
    if counted.len() < jobs.len() {
        counted.extend(count_again(connection, &jobs).await?);
    }
    let changes = tally::changes(&ends, &counted);
    if changes.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO campaign_outcomes AS o (campaign_id, outcome, jobs, faces) \
         SELECT * FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::bigint[]) ORDER BY 1, 2 \
         ON CONFLICT (campaign_id, outcome) DO UPDATE SET jobs = o.jobs + excluded.jobs, faces = \
         o.faces + excluded.faces",
    )
    .bind(changes.keys().map(|(campaign, _)| campaign.0).collect::<Vec<_>>())
    .bind(changes.keys().map(|(_, outcome)| outcome.as_str()).collect::<Vec<_>>())
    .bind(changes.values().map(|counts| counts.jobs).collect::<Vec<_>>())
    .bind(changes.values().map(|counts| counts.faces).collect::<Vec<_>>())
    .execute(connection)
    .await?;
    Ok(())
}

/// A job to be counted under an outcome; none: as skipped.
type ToCount = (CampaignId, JobId, Option<OutcomeKind>);

fn columns(jobs: &[ToCount]) -> (Vec<Uuid>, Vec<Uuid>, Vec<Option<&'static str>>) {
    (
        jobs.iter().map(|(campaign, ..)| campaign.0).collect(),
        jobs.iter().map(|(_, job, _)| job.0).collect(),
        jobs.iter().map(|(.., outcome)| outcome.map(OutcomeKind::as_str)).collect(),
    )
}

/// Counts `jobs`; returns those that did not count before. Of a campaign that is not known (it was
/// deleted) nothing counts.
async fn count_jobs(
    connection: &mut PgConnection,
    jobs: &[ToCount],
) -> Result<Vec<Counted>, Fault> {
    if jobs.is_empty() {
        return Ok(Vec::new());
    }
    let (campaigns, ids, outcomes) = columns(jobs);
    let new = sqlx::query(
        "INSERT INTO campaign_jobs (campaign_id, job_id, outcome) \
         SELECT k.campaign_id, k.job_id, k.outcome FROM unnest($1::uuid[], $2::uuid[], $3::text[]) \
         k (campaign_id, job_id, outcome) \
         JOIN campaigns c ON c.id = k.campaign_id ORDER BY 1, 2 \
         ON CONFLICT DO NOTHING RETURNING campaign_id, job_id",
    )
    .bind(campaigns)
    .bind(ids)
    .bind(outcomes)
    .fetch_all(connection)
    .await?;
    let counted = |row: &PgRow| {
        Ok(Counted {
            campaign: CampaignId(row.try_get(0)?),
            job: JobId(row.try_get(1)?),
            before: None,
        })
    };
    new.iter().map(counted).collect()
}

/// Counts those of `jobs` anew that ended otherwise before.
async fn count_again(
    connection: &mut PgConnection,
    jobs: &[ToCount],
) -> Result<Vec<Counted>, Fault> {
    let (campaigns, ids, outcomes) = columns(jobs);
    let moved = sqlx::query(
        "WITH again AS (SELECT j.campaign_id, j.job_id, j.outcome AS before, k.outcome AS now \
             FROM unnest($1::uuid[], $2::uuid[], $3::text[]) k (campaign_id, job_id, outcome) \
             JOIN campaign_jobs j ON j.campaign_id = k.campaign_id AND j.job_id = k.job_id \
             WHERE j.outcome = ANY ($4::text[]) AND j.outcome <> k.outcome ORDER BY 1, 2 FOR NO \
             KEY UPDATE OF j) \
         UPDATE campaign_jobs j SET outcome = again.now FROM again \
         WHERE j.campaign_id = again.campaign_id AND j.job_id = again.job_id RETURNING \
         again.campaign_id, again.job_id, again.before",
    )
    .bind(campaigns)
    .bind(ids)
    .bind(outcomes)
    .bind(tally::MOVING.map(OutcomeKind::as_str).to_vec())
    .fetch_all(connection)
    .await?;
    let counted = |row: &PgRow| {
        Ok(Counted {
            campaign: CampaignId(row.try_get(0)?),
            job: JobId(row.try_get(1)?),
            before: Some(parsed(row, 2)?),
        })
    };
    moved.iter().map(counted).collect()
}

pub(super) async fn one(pool: &PgPool, id: CampaignId) -> Result<Option<Campaign>, Fault> {
    let mut snapshot = snapshot(pool).await?;
    let row = sqlx::query(
        "SELECT id, lane, gallery, profile_id, source, state, listed, skipped, listing_done, \
            chunk_from, chunk_to, \
         floor(extract(epoch FROM started_at) * 1000)::bigint, selection FROM campaigns WHERE id = \
         $1",
    )
    .bind(id.0)
    .fetch_optional(&mut *snapshot)
    .await?;
    let campaigns =
        with_outcomes(&mut snapshot, row.iter().map(campaign).collect::<Result<_, _>>()?).await?;
    snapshot.commit().await?;
    Ok(campaigns.into_iter().next())
}

pub(super) async fn latest(pool: &PgPool, limit: u32, open: bool) -> Result<Vec<Campaign>, Fault> {
    // Spelt out: the index of open campaigns serves no other condition.
    const OPEN: &str = "SELECT id, lane, gallery, profile_id, source, state, listed, skipped, \
        listing_done, chunk_from, chunk_to, \
         floor(extract(epoch FROM started_at) * 1000)::bigint, selection FROM campaigns WHERE NOT \
         closed ORDER BY id DESC LIMIT $1";
    const ALL: &str = "SELECT id, lane, gallery, profile_id, source, state, listed, skipped, \
        listing_done, chunk_from, chunk_to, \
         floor(extract(epoch FROM started_at) * 1000)::bigint, selection FROM campaigns ORDER BY \
         id DESC LIMIT $1";
    let mut snapshot = snapshot(pool).await?;
    let rows = sqlx::query(if open { OPEN } else { ALL })
        .bind(i64::from(limit))
        .fetch_all(&mut *snapshot)
        .await?;
    let campaigns =
        with_outcomes(&mut snapshot, rows.iter().map(campaign).collect::<Result<_, _>>()?).await?;
    snapshot.commit().await?;
    Ok(campaigns)
}

pub(super) async fn close(pool: &PgPool, campaign: CampaignId) -> Result<(), Fault> {
    sqlx::query("UPDATE campaigns SET closed = true WHERE id = $1 AND NOT closed")
        .bind(campaign.0)
        .execute(pool)
        .await?;
    Ok(())
}

fn campaign(row: &PgRow) -> Result<Campaign, Fault> {
    Ok(Campaign {
        id: CampaignId(row.try_get(0)?),
        lane: parsed(row, 1)?,
        gallery: parsed(row, 2)?,
        profile: parsed(row, 3)?,
        selection: selection(row, 12)?,
        source: row.try_get(4)?,
        state: parsed(row, 5)?,
        progress: CampaignProgress {
            listed: counted(row, 6)?,
            skipped: counted(row, 7)?,
            listing_done: row.try_get(8)?,
            chunk_from: row.try_get(9)?,
            chunk_to: row.try_get(10)?,
            outcomes: BTreeMap::new(),
            faces: 0,
        },
        started_at: time(row, 11)?,
    })
}

async fn with_outcomes(
    connection: &mut PgConnection,
    mut campaigns: Vec<Campaign>,
) -> Result<Vec<Campaign>, Fault> {
    let rows = sqlx::query(
        "SELECT outcome, jobs, faces, campaign_id FROM campaign_outcomes WHERE campaign_id = ANY \
            ($1::uuid[]) AND jobs > 0",
    )
    .bind(campaigns.iter().map(|campaign| campaign.id.0).collect::<Vec<_>>())
    .fetch_all(connection)
    .await?;
    for row in &rows {
        let id = CampaignId(row.try_get(3)?);
        if let Some(campaign) = campaigns.iter_mut().find(|campaign| campaign.id == id) {
            campaign.progress.outcomes.insert(parsed(row, 0)?, counted(row, 1)?);
            campaign.progress.faces += counted::<_, u64>(row, 2)?;
        }
    }
    Ok(campaigns)
}
