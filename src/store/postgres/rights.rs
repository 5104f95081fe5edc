//! Checks what a worker's role may write. Each statement needs a right that recording needs, and
//! matches no row. The server checks rights, and whether it is read-only, before it reads rows: so
//! nothing is written, no id is drawn and no row is locked.

use sqlx::{PgConnection, PgPool};

use super::StoreError;
use crate::store::fault::Fault;

/// The right, the table, and a statement that needs it.
const TRIALS: [(&str, &str, &str); 47] = [
    ("INSERT", "galleries", "INSERT INTO galleries (name) SELECT NULL WHERE false"),
    (
        "INSERT",
        "gallery_profiles",
        "INSERT INTO gallery_profiles (gallery_id) SELECT NULL WHERE false",
    ),
    ("UPDATE", "gallery_profiles", "UPDATE gallery_profiles SET touched = touched WHERE false"),
    ("INSERT", "sources", "INSERT INTO sources (gallery_id) SELECT NULL WHERE false"),
    ("UPDATE", "sources", "SELECT FROM sources WHERE false FOR NO KEY UPDATE"),
    ("INSERT", "images", "INSERT INTO images (id) SELECT NULL WHERE false"),
    ("UPDATE", "images", "UPDATE images SET subject = subject WHERE false"),
    ("INSERT", "results", "INSERT INTO results (id) SELECT NULL WHERE false"),
    ("UPDATE", "results", "UPDATE results SET superseded = superseded WHERE false"),
    ("INSERT", "faces", "INSERT INTO faces (result_id) SELECT NULL WHERE false"),
    ("UPDATE", "faces", "UPDATE faces SET superseded = superseded WHERE false"),
    ("DELETE", "faces", "DELETE FROM faces WHERE false"),
    ("INSERT", "templates", "INSERT INTO templates (result_id) SELECT NULL WHERE false"),
    ("DELETE", "templates", "DELETE FROM templates WHERE false"),
    ("INSERT", "campaigns", "INSERT INTO campaigns (id) SELECT NULL WHERE false"),
    ("UPDATE", "campaigns", "UPDATE campaigns SET state = state WHERE false"),
    (
        "INSERT",
        "campaign_outcomes",
        "INSERT INTO campaign_outcomes (campaign_id) SELECT NULL WHERE false",
    ),
    ("UPDATE", "campaign_outcomes", "UPDATE campaign_outcomes SET jobs = jobs WHERE false"),
    ("INSERT", "campaign_jobs", "INSERT INTO campaign_jobs (campaign_id) SELECT NULL WHERE false"),
    ("UPDATE", "campaign_jobs", "UPDATE campaign_jobs SET outcome = outcome WHERE false"),
    ("INSERT", "source_troubles", "INSERT INTO source_troubles (name) SELECT NULL WHERE false"),
    ("UPDATE", "source_troubles", "UPDATE source_troubles SET reason = reason WHERE false"),
    ("INSERT", "workers", "INSERT INTO workers (id) SELECT NULL WHERE false"),
    ("UPDATE", "workers", "UPDATE workers SET last_seen = last_seen WHERE false"),
    ("DELETE", "workers", "DELETE FROM workers WHERE false"),
    ("INSERT", "schedules", "INSERT INTO schedules (name) SELECT NULL WHERE false"),
    ("UPDATE", "schedules", "UPDATE schedules SET timing = timing WHERE false"),
    ("INSERT", "schedule_runs", "INSERT INTO schedule_runs (schedule) SELECT NULL WHERE false"),
    ("UPDATE", "schedule_runs", "UPDATE schedule_runs SET state = state WHERE false"),
    ("DELETE", "schedule_runs", "DELETE FROM schedule_runs WHERE false"),
    ("INSERT", "subjects", "INSERT INTO subjects (gallery_id) SELECT NULL WHERE false"),
    ("UPDATE", "subjects", "UPDATE subjects SET name = name WHERE false"),
    ("DELETE", "subjects", "DELETE FROM subjects WHERE false"),
    ("INSERT", "enrolments", "INSERT INTO enrolments (subject_id) SELECT NULL WHERE false"),
    ("UPDATE", "enrolments", "UPDATE enrolments SET decision = decision WHERE false"),
    ("DELETE", "enrolments", "DELETE FROM enrolments WHERE false"),
    ("INSERT", "enrolment_jobs", "INSERT INTO enrolment_jobs (job_id) SELECT NULL WHERE false"),
    ("UPDATE", "enrolment_jobs", "UPDATE enrolment_jobs SET decision = decision WHERE false"),
    (
        "INSERT",
        "subject_references",
        "INSERT INTO subject_references (subject_id) SELECT NULL WHERE false",
    ),
    (
        "UPDATE",
        "subject_references",
        "UPDATE subject_references SET set_aside = set_aside WHERE false",
    ),
    ("DELETE", "subject_references", "DELETE FROM subject_references WHERE false"),
    ("SELECT", "erasure_key", "SELECT FROM erasure_key WHERE false"),
    ("SELECT", "tombstones", "SELECT FROM tombstones WHERE false"),
    ("SELECT", "removed_images", "SELECT FROM removed_images WHERE false"),
    ("DELETE", "removed_images", "DELETE FROM removed_images WHERE false"),
    ("SELECT", "profiles", "SELECT FROM profiles WHERE false"),
    ("SELECT", "facefleet_active_profiles", "SELECT FROM facefleet_active_profiles WHERE false"),
];

/// Rights that are queried instead of used, because using them leaves something behind.
const QUERIED: [(&str, &str, &str); 3] = [
    ("USAGE", "SEQUENCE images_id_seq", "SELECT has_sequence_privilege('images_id_seq', 'USAGE')"),
    (
        "USAGE",
        "SEQUENCE results_id_seq",
        "SELECT has_sequence_privilege('results_id_seq', 'USAGE')",
    ),
    (
        "EXECUTE",
        "FUNCTION add_profile(text, text)",
        "SELECT has_function_privilege('add_profile(text, text)', 'EXECUTE')",
    ),
];

pub(super) async fn try_all(pool: &PgPool) -> Result<(), Fault> {
    let mut transaction = pool.begin().await?;
    // During a migration or a `VACUUM FULL`, the answer is that the store is busy.
    sqlx::query("SET LOCAL lock_timeout = '2s'").execute(&mut *transaction).await?;
    let tried = try_each(&mut transaction).await;
    match tried {
        Ok(None) => Ok(transaction.rollback().await?),
        Ok(Some(missing)) => {
            transaction.rollback().await?;
            // The failed statement ended the transaction.
            let role: String =
                sqlx::query_scalar("SELECT current_user::text").fetch_one(pool).await?;
            let (right, what) = missing;
            Err(StoreError::Unusable(format!(
                "role {role} has no right to {right} on {what}: let the schema's owner run GRANT \
                    {right} ON {what} TO {role}; see docs/postgres.md"
            ))
            .into())
        }
        Err(fault) => Err(fault),
    }
}

/// The first right that is missing, and on what.
async fn try_each(
    connection: &mut PgConnection,
) -> Result<Option<(&'static str, &'static str)>, Fault> {
    for (right, what, question) in QUERIED {
        let has: bool = sqlx::query_scalar(question).fetch_one(&mut *connection).await?;
        if !has {
            return Ok(Some((right, what)));
        }
    }
    for (right, table, statement) in TRIALS {
        match sqlx::query(statement).execute(&mut *connection).await {
            Ok(_) => {}
            Err(error)
                if error
                    .as_database_error()
                    .is_some_and(|reported| reported.code().as_deref() == Some("42501")) =>
            {
                return Ok(Some((right, table)));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(None)
}
