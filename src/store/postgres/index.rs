//! The index of templates: HNSW over inner products, which order unit vectors as cosine similarity
//! does.
//!
//! It is not created with the partition: maintaining such an index costs several times what
//! recording costs. Building it over existing rows is faster and gives the same index. So the owner
//! builds it, while others record.

use sqlx::{AssertSqlSafe, PgConnection};

use crate::store::fault::Fault;
use crate::store::row::row;

row! {
    /// The partition of a profile's templates, and its index.
    struct Partition {
        profile_id: String,
        /// The statement that drops the index.
        drop_index: String,
        /// None: there is no index. False: an interrupted build left it.
        valid: Option<bool>,
    }
}

/// Builds the missing indexes of templates, one a profile; returns how many it built. If another
/// process is building, it does nothing.
pub(super) async fn build(connection: &mut PgConnection) -> Result<u32, Fault> {
    // Waiting for the lock would hold a snapshot, and the other's CREATE INDEX CONCURRENTLY would
    // wait for that.
    let lock = include_str!("sql/lock_index.sql");
    if !sqlx::query_scalar(lock).fetch_one(&mut *connection).await? {
        return Ok(0);
    }
    // The server quotes the names: identifiers cannot be parameters.
    let partitions: Vec<Partition> =
        sqlx::query_as(include_str!("sql/partitions.sql")).fetch_all(&mut *connection).await?;
    let mut built = 0;
    for Partition { profile_id, drop_index, valid } in partitions {
        match valid {
            Some(true) => continue,
            Some(false) => {
                sqlx::raw_sql(AssertSqlSafe(drop_index)).execute(&mut *connection).await?;
            }
            None => (),
        }
        let create: Option<String> = sqlx::query_scalar(include_str!("sql/create_index.sql"))
            .bind(&profile_id)
            .fetch_optional(&mut *connection)
            .await?;
        if let Some(create) = create {
            sqlx::raw_sql(AssertSqlSafe(create)).execute(&mut *connection).await?;
            built += 1;
        }
    }
    Ok(built)
}
