//! Converts the templates of version 0.1, which were 32-bit floats, to 16-bit floats. `SQLite` has
//! no function for it, so migration 5 renames their table and this code copies the rows.
//!
//! It runs in the transaction of the migrations: an interrupted conversion leaves the file as it
//! was, and the next process that opens the file starts again. When all rows are copied, the old
//! table is dropped.

use half::f16;
use sqlx::SqliteConnection;

use super::insert::{self, SqliteTemplate};
use crate::store::fault::Fault;
use crate::store::halves::Halves;
use crate::store::row::row;
use crate::store::rows::corrupt;

/// Rows in memory at a time.
const CHUNK: i64 = 1024;

row! {
    /// A template of version 0.1.
    struct OldTemplate {
        face_id: i64,
        dimension: i64,
        /// Little-endian 32-bit floats.
        vector: Vec<u8>,
    }
}

impl OldTemplate {
    fn converted(&self) -> Result<SqliteTemplate, Fault> {
        let (floats, rest) = self.vector.as_chunks::<4>();
        if !rest.is_empty() {
            return Err(corrupt(format!("a template of {} bytes", self.vector.len())));
        }
        let half = |&float: &[u8; 4]| f16::from_f32(f32::from_le_bytes(float));
        let vector = Halves(floats.iter().map(half).collect());
        Ok(SqliteTemplate { face: self.face_id, dimension: self.dimension, vector })
    }
}

/// Converts the templates of version 0.1, if the file has any.
pub(super) async fn templates(connection: &mut SqliteConnection) -> Result<(), Fault> {
    let unconverted: bool = sqlx::query_scalar(include_str!("sql/has_old_templates.sql"))
        .fetch_one(&mut *connection)
        .await?;
    if !unconverted {
        return Ok(());
    }
    let (mut last, mut converted) = (i64::MIN, 0_usize);
    loop {
        let chunk: Vec<OldTemplate> = sqlx::query_as(include_str!("sql/old_templates.sql"))
            .bind(last)
            .bind(CHUNK)
            .fetch_all(&mut *connection)
            .await?;
        let Some(end) = chunk.last() else { break };
        if converted == 0 {
            tracing::info!("converting the stored templates to 16-bit floats, once");
        }
        last = end.face_id;
        converted += chunk.len();
        let rows: Vec<SqliteTemplate> =
            chunk.iter().map(OldTemplate::converted).collect::<Result<_, _>>()?;
        insert::templates(connection, &rows).await?;
    }
    sqlx::query("DROP TABLE templates_float32").execute(connection).await?;
    if converted > 0 {
        tracing::info!(templates = converted, "converted the stored templates to 16-bit floats");
    }
    Ok(())
}
