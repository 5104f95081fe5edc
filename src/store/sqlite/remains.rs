//! Looks for what was erased: in rows, and in the bytes of the files.

use std::path::Path;

use async_trait::async_trait;
use uuid::Uuid;

use super::batch::SqliteTables;
use super::{SqliteStore, connect, json};
use crate::domain::{
    ContentHash, Erasure, ErasureTarget, GalleryName, ImageId, ImageUri, SearchedKind,
};
use crate::store::fault::Fault;
use crate::store::remains::{
    CampaignTextsRow, PAGE, RemainRow, RemainTables, SearchedFiles, erased_among, erasure_of,
    erasure_of_number, find_in_file, is_gallery_erased, remains,
};
use crate::store::rows::ErasureRow;
use crate::store::{Remains, StoreError};

#[async_trait]
impl Remains for SqliteStore {
    async fn erasure_of(
        &self,
        gallery: &GalleryName,
        target: &ErasureTarget,
    ) -> Result<Option<Erasure>, StoreError> {
        self.answer(async {
            let mut snapshot = self.readers.begin().await?;
            erasure_of(&mut SqliteTables(&mut snapshot), gallery, target).await
        })
        .await
    }

    async fn erasure_of_number(
        &self,
        gallery: &GalleryName,
        number: ImageId,
    ) -> Result<Option<Erasure>, StoreError> {
        self.answer(async {
            let mut snapshot = self.readers.begin().await?;
            erasure_of_number(&mut SqliteTables(&mut snapshot), gallery, number).await
        })
        .await
    }

    async fn is_known(
        &self,
        gallery: &GalleryName,
        target: &ErasureTarget,
    ) -> Result<bool, StoreError> {
        self.answer(async {
            let (uri, subject) = match target {
                ErasureTarget::Image(uri) | ErasureTarget::Numbered(_, uri) => (Some(uri), None),
                ErasureTarget::Subject(name) => (None, Some(name.as_str())),
                ErasureTarget::Gallery => (None, None),
            };
            Ok(sqlx::query_scalar(include_str!("sql/is_known.sql"))
                .bind(gallery.as_str())
                .bind(uri.map(ImageUri::as_str))
                .bind(uri.map(ImageUri::for_people))
                .bind(subject)
                .fetch_one(&self.readers)
                .await?)
        })
        .await
    }

    async fn is_gallery_erased(&self, gallery: &GalleryName) -> Result<bool, StoreError> {
        self.answer(async {
            let mut snapshot = self.readers.begin().await?;
            is_gallery_erased(&mut SqliteTables(&mut snapshot), gallery).await
        })
        .await
    }

    async fn remains(&self, erasure: &Erasure) -> Result<u64, StoreError> {
        self.answer(async {
            let mut snapshot = self.readers.begin().await?;
            remains(&mut SqliteTables(&mut snapshot), erasure).await
        })
        .await
    }

    async fn erased_among(
        &self,
        gallery: &GalleryName,
        contents: &[ContentHash],
    ) -> Result<Vec<bool>, StoreError> {
        self.answer(async {
            let mut snapshot = self.readers.begin().await?;
            erased_among(&mut SqliteTables(&mut snapshot), gallery, contents).await
        })
        .await
    }
}

impl RemainTables for SqliteTables<'_> {
    async fn erasure_with(&mut self, target: &[u8]) -> Result<Option<ErasureRow>, Fault> {
        Ok(sqlx::query_as(include_str!("sql/erasure_with.sql"))
            .bind(target)
            .fetch_optional(&mut *self.0)
            .await?)
    }

    async fn erasure_that_left(&mut self, tombstone: &[u8]) -> Result<Option<ErasureRow>, Fault> {
        Ok(sqlx::query_as(include_str!("sql/erasure_that_left.sql"))
            .bind(tombstone)
            .fetch_optional(&mut *self.0)
            .await?)
    }

    async fn held_elsewhere(
        &mut self,
        gallery: &GalleryName,
        contents: &[&ContentHash],
    ) -> Result<Vec<Vec<u8>>, Fault> {
        Ok(sqlx::query_scalar(include_str!("sql/held_elsewhere.sql"))
            .bind(gallery.as_str())
            .bind(json(contents.iter().map(|content| content.to_string())))
            .fetch_all(&mut *self.0)
            .await?)
    }

    async fn campaign_texts(
        &mut self,
        gallery: &GalleryName,
    ) -> Result<Vec<CampaignTextsRow>, Fault> {
        Ok(sqlx::query_as(include_str!("sql/campaign_texts.sql"))
            .bind(gallery.as_str())
            .fetch_all(&mut *self.0)
            .await?)
    }

    async fn tombstones_of(&mut self, erasure: Uuid) -> Result<Vec<Vec<u8>>, Fault> {
        Ok(sqlx::query_scalar("SELECT hash FROM tombstones WHERE erasure_id = ?1")
            .bind(erasure)
            .fetch_all(&mut *self.0)
            .await?)
    }

    async fn images_after(&mut self, gallery: i64, after: i64) -> Result<Vec<RemainRow>, Fault> {
        Ok(sqlx::query_as(include_str!("sql/images_after.sql"))
            .bind(gallery)
            .bind(after)
            .bind(PAGE)
            .fetch_all(&mut *self.0)
            .await?)
    }

    async fn subject_names(&mut self, gallery: i64) -> Result<Vec<String>, Fault> {
        Ok(sqlx::query_scalar(include_str!("sql/subject_names.sql"))
            .bind(gallery)
            .fetch_all(&mut *self.0)
            .await?)
    }
}

impl SqliteStore {
    /// Searches the bytes of the store at `url`, with its write-ahead log, for a text. No store of
    /// this process may be open: closing a descriptor of its file would drop its locks.
    ///
    /// # Errors
    /// If a file cannot be read.
    pub fn search_files(url: &str, text: &str) -> Result<Vec<SearchedFiles>, StoreError> {
        let file = connect::file(url)?;
        let mut searched = Vec::new();
        for (ending, kind) in [
            ("", SearchedKind::Database),
            ("-wal", SearchedKind::WriteAheadLog),
            ("-journal", SearchedKind::Journal),
            ("-shm", SearchedKind::Journal),
        ] {
            let place = format!("{}{ending}", file.display());
            let path = Path::new(&place);
            if !path.exists() {
                continue;
            }
            let failed = |error| StoreError::Unavailable(format!("{place}: {error}"));
            let found = find_in_file(path, text).map_err(failed)?;
            searched.push(SearchedFiles { kind, place, found });
        }
        Ok(searched)
    }
}

#[cfg(test)]
mod tests {
    use sqlx::Row;

    use super::*;
    use crate::store::erasing::ErasureTables;

    #[tokio::test]
    async fn images_of_the_same_bytes_are_found_by_an_index() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("faces.db").display());
        let store = SqliteStore::open(&url).await.unwrap();
        let mut writer = store.writer.acquire().await.unwrap();
        SqliteTables(&mut writer).begin_choice().await.unwrap();
        for query in [
            include_str!("sql/held_elsewhere.sql"),
            include_str!("sql/removed_contents.sql"),
            include_str!("sql/chosen_contents.sql"),
            include_str!("sql/choose_erased_contents.sql"),
            include_str!("sql/owners.sql"),
        ] {
            let explain = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {query}"));
            let plan = sqlx::query(explain).fetch_all(&mut *writer).await.unwrap();
            let steps: Vec<String> = plan.iter().map(|step| step.get("detail")).collect();
            assert!(steps.iter().any(|step| step.contains("images_by_content")), "{steps:?}");
            assert!(!steps.iter().any(|step| step.starts_with("SCAN i")), "{steps:?}");
        }
    }
}
