//! The index of templates: HNSW over inner products, which for unit vectors is the order of cosine
//! similarity.
//!
//! Not made with the partition: keeping such an index up to date costs several times what recording
//! costs, and building it over what is there is faster and gives the same index. So it is built
//! when the owner says so, beside whoever records.

use crate::store::fault::Fault;
use sqlx::{AssertSqlSafe, PgConnection, Row};

/// Gives each profile's templates their index if they have none; returns how many were built.
/// Another process that is at it is left alone.
pub(super) async fn build(connection: &mut PgConnection) -> Result<u32, Fault> {
    // Waiting for the lock would hold a snapshot, and the other's CREATE INDEX CONCURRENTLY would
    // wait for that.
    let lock =
        "SELECT pg_try_advisory_lock(hashtextextended('facefleet.index ' || current_schema(), 0))";
    if !sqlx::query_scalar(lock).fetch_one(&mut *connection).await? {
        return Ok(0);
    }
    // Names come quoted from the server: no statement can have its identifiers as parameters.
    let partitions = sqlx::query(
        "SELECT p.id, format('DROP INDEX CONCURRENTLY %I', 'templates_' || p.id || '_hnsw'), \
            i.indexrelid IS NOT NULL, i.indisvalid \
         FROM profiles p LEFT JOIN pg_index i ON i.indexrelid = to_regclass(format('%I', \
         'templates_' || p.id || '_hnsw')) \
         WHERE to_regclass(format('%I', 'templates_' || p.id)) IS NOT NULL ORDER BY p.id",
    )
    .fetch_all(&mut *connection)
    .await?;
    let mut built = 0;
    for partition in partitions {
        let (profile, drop, exists): (String, String, bool) =
            (partition.try_get(0)?, partition.try_get(1)?, partition.try_get(2)?);
        if exists {
            if partition.try_get(3)? {
                continue;
            }
            // What an earlier attempt left when it was broken off.
            sqlx::raw_sql(AssertSqlSafe(drop)).execute(&mut *connection).await?;
        }
        let create: Option<String> = sqlx::query_scalar(
            "SELECT format('CREATE INDEX CONCURRENTLY %I ON %I USING hnsw ((vector::halfvec(%s)) \
                halfvec_ip_ops)', \
             'templates_' || $1 || '_hnsw', 'templates_' || $1, vector_dims(vector)) FROM \
             templates WHERE profile_id = $1 LIMIT 1",
        )
        .bind(&profile)
        .fetch_optional(&mut *connection)
        .await?;
        if let Some(create) = create {
            sqlx::raw_sql(AssertSqlSafe(create)).execute(&mut *connection).await?;
            built += 1;
        }
    }
    Ok(built)
}
