//! The rows of retention, inside its transaction.

use sqlx::FromRow;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use super::batch::PostgresTables;
use super::column;
use super::erasing::hash_list;
use crate::store::RetentionQuery;
use crate::store::erasing::{ErasureTables, TombstoneHash};
use crate::store::fault::Fault;
use crate::store::retaining::{
    AT_ONCE, DueDecisionRow, DueImageRow, DueVerdictRow, RemovedHash, RemovedTables,
    RemovedVersionRow, RetentionTables,
};

impl RemovedTables for PostgresTables<'_> {
    async fn has_any_erased(&mut self) -> Result<bool, Fault> {
        let any = "SELECT EXISTS (SELECT FROM tombstones) OR EXISTS (SELECT FROM removed_images)";
        Ok(sqlx::query_scalar(any).fetch_one(&mut *self.connection).await?)
    }

    async fn removed(&mut self, hashes: Vec<TombstoneHash>) -> Result<Vec<Vec<u8>>, Fault> {
        let found = "SELECT hash FROM removed_images WHERE hash = ANY ($1::bytea[])";
        Ok(sqlx::query_scalar(found)
            .bind(hash_list(&hashes))
            .fetch_all(&mut *self.connection)
            .await?)
    }

    async fn lift(&mut self, hashes: Vec<TombstoneHash>) -> Result<(), Fault> {
        let delete = "DELETE FROM removed_images
            WHERE hash = ANY ($1::bytea[]) OR version = ANY ($1::bytea[])";
        sqlx::query(delete).bind(hash_list(&hashes)).execute(&mut *self.connection).await?;
        Ok(())
    }
}

impl RetentionTables for PostgresTables<'_> {
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
        sqlx::query("INSERT INTO erased_images (id) SELECT unnest($1::bigint[])")
            .bind(images)
            .execute(&mut *self.connection)
            .await?;
        Ok(())
    }

    async fn chosen_versions(&mut self) -> Result<Vec<RemovedVersionRow>, Fault> {
        Ok(sqlx::query_as(include_str!("sql/removed_versions.sql"))
            .fetch_all(&mut *self.connection)
            .await?)
    }

    async fn note_removed(&mut self) -> Result<(), Fault> {
        self.run(include_str!("sql/note_removed_contents.sql")).await?;
        Ok(())
    }

    async fn leave(&mut self, hashes: Vec<RemovedHash>) -> Result<(), Fault> {
        let insert = "INSERT INTO removed_images (hash, version)
            SELECT k.hash, k.version FROM unnest($1::bytea[], $2::bytea[]) k (hash, version)
            ON CONFLICT (hash) DO UPDATE SET version = excluded.version";
        sqlx::query(insert)
            .bind(column(&hashes, |(hash, _)| hash.as_slice()))
            .bind(column(&hashes, |(_, version)| version.as_ref().map(<[u8; 32]>::as_slice)))
            .execute(&mut *self.connection)
            .await?;
        Ok(())
    }

    async fn delete_rejected(&mut self, keys: &[(i64, i64)]) -> Result<(), Fault> {
        let (subjects, images): (Vec<i64>, Vec<i64>) = keys.iter().copied().unzip();
        for delete in
            [include_str!("sql/delete_rejected.sql"), include_str!("sql/delete_rejected_jobs.sql")]
        {
            let delete = sqlx::query(delete).bind(&subjects).bind(&images);
            delete.execute(&mut *self.connection).await?;
        }
        Ok(())
    }

    async fn delete_verdicts(&mut self, gallery: i64, verdicts: &[i64]) -> Result<(), Fault> {
        sqlx::query("DELETE FROM verdicts WHERE id = ANY ($1::bigint[])")
            .bind(verdicts)
            .execute(&mut *self.connection)
            .await?;
        sqlx::query(include_str!("sql/delete_empty_curations.sql"))
            .bind(gallery)
            .execute(&mut *self.connection)
            .await?;
        Ok(())
    }

    async fn retention_counts(&mut self, run: Uuid) -> Result<Option<String>, Fault> {
        Ok(sqlx::query_scalar("SELECT counts FROM retentions WHERE id = $1")
            .bind(run)
            .fetch_optional(&mut *self.connection)
            .await?)
    }

    async fn set_retention_counts(&mut self, run: Uuid, counts: &str) -> Result<(), Fault> {
        sqlx::query("UPDATE retentions SET counts = $2 WHERE id = $1")
            .bind(run)
            .bind(counts)
            .execute(&mut *self.connection)
            .await?;
        Ok(())
    }
}

impl PostgresTables<'_> {
    /// The next rows of what is due.
    async fn due<T: for<'r> FromRow<'r, PgRow> + Send + Unpin>(
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
            .fetch_all(&mut *self.connection)
            .await?)
    }
}
