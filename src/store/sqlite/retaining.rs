//! The rows of retention, inside the transaction that holds the write lock of the file.

use sqlx::FromRow;
use sqlx::sqlite::SqliteRow;
use uuid::Uuid;

use super::batch::SqliteTables;
use super::erasing::hex_list;
use super::json;
use crate::store::RetentionQuery;
use crate::store::erasing::{ErasureTables, TombstoneHash};
use crate::store::fault::Fault;
use crate::store::retaining::{
    AT_ONCE, DueDecisionRow, DueImageRow, DueVerdictRow, RemovedHash, RemovedTables,
    RemovedVersionRow, RetentionTables,
};

impl RemovedTables for SqliteTables<'_> {
    async fn has_any_erased(&mut self) -> Result<bool, Fault> {
        let any = "SELECT EXISTS (SELECT 1 FROM tombstones)
            OR EXISTS (SELECT 1 FROM removed_images)";
        Ok(sqlx::query_scalar(any).fetch_one(&mut *self.0).await?)
    }

    async fn removed(&mut self, hashes: Vec<TombstoneHash>) -> Result<Vec<Vec<u8>>, Fault> {
        let found = "SELECT t.hash FROM json_each(?1) k
            CROSS JOIN removed_images t ON t.hash = unhex(k.value)";
        Ok(sqlx::query_scalar(found).bind(hex_list(&hashes)).fetch_all(&mut *self.0).await?)
    }

    async fn lift(&mut self, hashes: Vec<TombstoneHash>) -> Result<(), Fault> {
        let delete = "DELETE FROM removed_images
            WHERE hash IN (SELECT unhex(value) FROM json_each(?1))
                OR version IN (SELECT unhex(value) FROM json_each(?1))";
        sqlx::query(delete).bind(hex_list(&hashes)).execute(&mut *self.0).await?;
        Ok(())
    }
}

impl RetentionTables for SqliteTables<'_> {
    async fn due_images(
        &mut self,
        gallery: i64,
        query: &RetentionQuery,
    ) -> Result<Vec<DueImageRow>, Fault> {
        self.due(include_str!("sql/due_images.sql"), gallery, query).await
    }

    async fn due_rejected(
        &mut self,
        gallery: i64,
        query: &RetentionQuery,
    ) -> Result<Vec<DueDecisionRow>, Fault> {
        self.due(include_str!("sql/due_rejected.sql"), gallery, query).await
    }

    async fn due_verdicts(
        &mut self,
        gallery: i64,
        query: &RetentionQuery,
    ) -> Result<Vec<DueVerdictRow>, Fault> {
        self.due(include_str!("sql/due_verdicts.sql"), gallery, query).await
    }

    async fn choose_images(&mut self, images: &[i64]) -> Result<(), Fault> {
        self.begin_choice().await?;
        sqlx::query("INSERT INTO temp.erased_images (id) SELECT value FROM json_each(?1)")
            .bind(json(images.iter().copied()))
            .execute(&mut *self.0)
            .await?;
        Ok(())
    }

    async fn chosen_versions(&mut self) -> Result<Vec<RemovedVersionRow>, Fault> {
        Ok(sqlx::query_as(include_str!("sql/removed_versions.sql")).fetch_all(&mut *self.0).await?)
    }

    async fn note_removed(&mut self) -> Result<(), Fault> {
        self.run(include_str!("sql/note_removed_contents.sql")).await?;
        Ok(())
    }

    async fn leave(&mut self, hashes: Vec<RemovedHash>) -> Result<(), Fault> {
        let insert = "INSERT INTO removed_images (hash, version)
            SELECT unhex(value ->> 0), unhex(value ->> 1) FROM json_each(?1) WHERE true
            ON CONFLICT (hash) DO UPDATE SET version = excluded.version";
        let hex = |hash: TombstoneHash| blake3::Hash::from_bytes(hash).to_hex().to_string();
        let pair = |(hash, version): RemovedHash| serde_json::json!([hex(hash), version.map(hex)]);
        let hashes = json(hashes.into_iter().map(pair));
        sqlx::query(insert).bind(hashes).execute(&mut *self.0).await?;
        Ok(())
    }

    async fn delete_rejected(&mut self, keys: &[(i64, i64)]) -> Result<(), Fault> {
        let keys = json(keys.iter().map(|&(subject, image)| serde_json::json!([subject, image])));
        for delete in
            [include_str!("sql/delete_rejected.sql"), include_str!("sql/delete_rejected_jobs.sql")]
        {
            sqlx::query(delete).bind(&keys).execute(&mut *self.0).await?;
        }
        Ok(())
    }

    async fn delete_verdicts(&mut self, gallery: i64, verdicts: &[i64]) -> Result<(), Fault> {
        sqlx::query("DELETE FROM verdicts WHERE id IN (SELECT value FROM json_each(?1))")
            .bind(json(verdicts.iter().copied()))
            .execute(&mut *self.0)
            .await?;
        sqlx::query(include_str!("sql/delete_empty_curations.sql"))
            .bind(gallery)
            .execute(&mut *self.0)
            .await?;
        Ok(())
    }

    async fn retention_counts(&mut self, run: Uuid) -> Result<Option<String>, Fault> {
        Ok(sqlx::query_scalar("SELECT counts FROM retentions WHERE id = ?1")
            .bind(run)
            .fetch_optional(&mut *self.0)
            .await?)
    }

    async fn set_retention_counts(&mut self, run: Uuid, counts: &str) -> Result<(), Fault> {
        sqlx::query("UPDATE retentions SET counts = ?2 WHERE id = ?1")
            .bind(run)
            .bind(counts)
            .execute(&mut *self.0)
            .await?;
        Ok(())
    }
}

impl SqliteTables<'_> {
    /// The next rows of what is due.
    async fn due<T: for<'r> FromRow<'r, SqliteRow> + Send + Unpin>(
        &mut self,
        sql: &'static str,
        gallery: i64,
        query: &RetentionQuery,
    ) -> Result<Vec<T>, Fault> {
        Ok(sqlx::query_as(sql)
            .bind(gallery)
            .bind(query.before.as_millisecond())
            .bind(query.after)
            .bind(AT_ONCE)
            .fetch_all(&mut *self.0)
            .await?)
    }
}
