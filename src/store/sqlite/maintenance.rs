//! Checking and closing a store.

use async_trait::async_trait;

use super::SqliteStore;
use crate::store::{Maintenance, StoreError};

#[async_trait]
impl Maintenance for SqliteStore {
    /// Writes a row and rolls it back.
    async fn try_writing(&self) -> Result<(), StoreError> {
        self.answer(async {
            let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
            sqlx::query(include_str!("sql/trial.sql")).execute(&mut *transaction).await?;
            transaction.rollback().await?;
            Ok(())
        })
        .await
    }

    async fn close(&self) {
        // Readers first: the last connection to close, a writer, merges the write-ahead log into
        // the file and removes it.
        self.readers.close().await;
        self.writer.close().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{AlignmentProfile, Mapping, Precision, Profile, RecogniserProfile, SerFiq};
    use crate::store::{Reading, Results};

    async fn opened() -> (tempfile::TempDir, SqliteStore) {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("faces.db").display());
        let store = SqliteStore::open(&url).await.unwrap();
        (folder, store)
    }

    #[tokio::test]
    async fn the_error_names_a_full_disk() {
        let (_folder, store) = opened().await;
        // SQLite reports the same error at its page limit as on a full disk.
        sqlx::query("PRAGMA max_page_count = 1").execute(&store.writer).await.unwrap();
        let profile = Profile {
            alignment: AlignmentProfile::None,
            recogniser: RecogniserProfile {
                name: "x".repeat(1_000_000),
                sha256: "00".into(),
                precision: Precision::Float32,
            },
            ser_fiq: SerFiq::ClosedForm { dropout: 0.4 },
            mapping: Mapping::Logistic { alpha: 130.0, r: 0.88 },
        };
        let error = store.register_profile(&profile).await.unwrap_err();
        assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
        assert!(error.to_string().contains("is full: free some space"), "{error}");
        assert_eq!(store.profile(&profile.id()).await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_trial_leaves_nothing_behind_and_reports_a_file_that_cannot_be_written() {
        let (_folder, store) = opened().await;
        store.try_writing().await.unwrap();
        assert_eq!(store.galleries().await.unwrap(), []);
        let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM galleries")
            .fetch_one(&store.writer)
            .await
            .unwrap();
        assert_eq!(rows, 0);
        // SQLite reports the same error for a file that it could only open for reading.
        sqlx::query("PRAGMA query_only = ON").execute(&store.writer).await.unwrap();
        let error = store.try_writing().await.unwrap_err();
        assert!(matches!(error, StoreError::Unusable(_)), "{error:?}");
        assert!(error.to_string().contains("cannot be written"), "{error}");
    }
}
