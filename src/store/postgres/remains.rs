//! Looks for what was erased: in rows, and in the bytes of the files.

use async_trait::async_trait;
use sqlx::PgConnection;
use uuid::Uuid;

use super::batch::PostgresTables;
use super::{PostgresStore, READ, erasures, uri_key};
use crate::domain::{
    ContentHash, Erasure, ErasureTarget, GalleryName, ImageId, ImageUri, SearchedKind,
};
use crate::store::fault::Fault;
use crate::store::remains::{
    CampaignTextsRow, FoundText, PAGE, RemainRow, RemainTables, SearchedFiles, erased_among,
    erasure_of, erasure_of_number, is_gallery_erased, remains,
};
use crate::store::row::row;
use crate::store::rows::ErasureRow;
use crate::store::{Remains, StoreError};

/// Bytes that are searched at once.
const CHUNK: i64 = 8 << 20;
/// Bytes of a file; a larger table has several.
const SEGMENT: i64 = 1 << 30;

row! {
    /// A table or an index, and its first file.
    struct RelationFileRow {
        place: String,
        path: Option<String>,
        bytes: i64,
        is_index: bool,
    }
}

#[async_trait]
impl Remains for PostgresStore {
    async fn erasure_of(
        &self,
        gallery: &GalleryName,
        target: &ErasureTarget,
    ) -> Result<Option<Erasure>, StoreError> {
        self.answer(READ, async {
            let mut snapshot = self.begin_snapshot().await?;
            erasure_of(&mut PostgresTables::new(&mut snapshot), gallery, target).await
        })
        .await
    }

    async fn erasure_of_number(
        &self,
        gallery: &GalleryName,
        number: ImageId,
    ) -> Result<Option<Erasure>, StoreError> {
        self.answer(READ, async {
            let mut snapshot = self.begin_snapshot().await?;
            erasure_of_number(&mut PostgresTables::new(&mut snapshot), gallery, number).await
        })
        .await
    }

    async fn is_known(
        &self,
        gallery: &GalleryName,
        target: &ErasureTarget,
    ) -> Result<bool, StoreError> {
        self.answer(READ, async {
            let (uri, subject) = match target {
                ErasureTarget::Image(uri) | ErasureTarget::Numbered(_, uri) => (Some(uri), None),
                ErasureTarget::Subject(name) => (None, Some(name.as_str())),
                ErasureTarget::Gallery => (None, None),
            };
            Ok(sqlx::query_scalar(include_str!("sql/is_known.sql"))
                .bind(gallery.as_str())
                .bind(uri.map(uri_key))
                .bind(uri.map(ImageUri::as_str))
                .bind(uri.map(ImageUri::for_people))
                .bind(subject)
                .fetch_one(&self.pool)
                .await?)
        })
        .await
    }

    async fn is_gallery_erased(&self, gallery: &GalleryName) -> Result<bool, StoreError> {
        self.answer(READ, async {
            let mut snapshot = self.begin_snapshot().await?;
            is_gallery_erased(&mut PostgresTables::new(&mut snapshot), gallery).await
        })
        .await
    }

    async fn remains(&self, erasure: &Erasure) -> Result<u64, StoreError> {
        self.answer(READ, async {
            let mut snapshot = self.begin_snapshot().await?;
            remains(&mut PostgresTables::new(&mut snapshot), erasure).await
        })
        .await
    }

    async fn erased_among(
        &self,
        gallery: &GalleryName,
        contents: &[ContentHash],
    ) -> Result<Vec<bool>, StoreError> {
        self.answer(READ, async {
            let mut snapshot = self.begin_snapshot().await?;
            erased_among(&mut PostgresTables::new(&mut snapshot), gallery, contents).await
        })
        .await
    }
}

impl RemainTables for PostgresTables<'_> {
    async fn erasure_with(&mut self, target: &[u8]) -> Result<Option<ErasureRow>, Fault> {
        Ok(sqlx::query_as(include_str!("sql/erasure_with.sql"))
            .bind(target)
            .fetch_optional(&mut *self.connection)
            .await?)
    }

    async fn erasure_that_left(&mut self, tombstone: &[u8]) -> Result<Option<ErasureRow>, Fault> {
        Ok(sqlx::query_as(include_str!("sql/erasure_that_left.sql"))
            .bind(tombstone)
            .fetch_optional(&mut *self.connection)
            .await?)
    }

    async fn held_elsewhere(
        &mut self,
        gallery: &GalleryName,
        contents: &[&ContentHash],
    ) -> Result<Vec<Vec<u8>>, Fault> {
        Ok(sqlx::query_scalar(include_str!("sql/held_elsewhere.sql"))
            .bind(gallery.as_str())
            .bind(contents.iter().map(|content| content.0.as_slice()).collect::<Vec<_>>())
            .fetch_all(&mut *self.connection)
            .await?)
    }

    async fn campaign_texts(
        &mut self,
        gallery: &GalleryName,
    ) -> Result<Vec<CampaignTextsRow>, Fault> {
        Ok(sqlx::query_as(include_str!("sql/campaign_texts.sql"))
            .bind(gallery.as_str())
            .fetch_all(&mut *self.connection)
            .await?)
    }

    async fn tombstones_of(&mut self, erasure: Uuid) -> Result<Vec<Vec<u8>>, Fault> {
        Ok(sqlx::query_scalar("SELECT hash FROM tombstones WHERE erasure_id = $1")
            .bind(erasure)
            .fetch_all(&mut *self.connection)
            .await?)
    }

    async fn images_after(&mut self, gallery: i64, after: i64) -> Result<Vec<RemainRow>, Fault> {
        Ok(sqlx::query_as(include_str!("sql/images_after.sql"))
            .bind(gallery)
            .bind(after)
            .bind(PAGE)
            .fetch_all(&mut *self.connection)
            .await?)
    }

    async fn subject_names(&mut self, gallery: i64) -> Result<Vec<String>, Fault> {
        Ok(sqlx::query_scalar(include_str!("sql/subject_names.sql"))
            .bind(gallery)
            .fetch_all(&mut *self.connection)
            .await?)
    }
}

impl PostgresStore {
    /// Searches the files of the schema's tables and indexes for a text. For a role that may read
    /// files of the server and run CHECKPOINT.
    ///
    /// # Errors
    /// If the server cannot be reached, or the role has no such right.
    pub async fn search_files(&self, text: &str) -> Result<Vec<SearchedFiles>, StoreError> {
        self.answer(erasures::LONGEST, async {
            let mut connection = self.pool.acquire().await?;
            // Writes what is in memory alone.
            sqlx::query("CHECKPOINT").execute(&mut *connection).await?;
            let files: Vec<RelationFileRow> =
                sqlx::query_as(include_str!("sql/files_of_relations.sql"))
                    .fetch_all(&mut *connection)
                    .await?;
            let mut searched = Vec::new();
            for RelationFileRow { place, path, bytes, is_index } in files {
                let Some(path) = path else { continue };
                let found = find(&mut connection, &path, bytes, text.as_bytes()).await?;
                let kind = if is_index { SearchedKind::Index } else { SearchedKind::Table };
                searched.push(SearchedFiles { kind, place, found });
            }
            Ok(searched)
        })
        .await
    }
}

/// Where the files of a table or an index first contain these bytes. A text that crosses a segment
/// is not found: rows and pages do not.
async fn find(
    connection: &mut PgConnection,
    path: &str,
    bytes: i64,
    text: &[u8],
) -> Result<Option<FoundText>, Fault> {
    let overlap = i64::try_from(text.len()).unwrap_or(0);
    for segment in 0..=(bytes / SEGMENT) {
        let file = if segment == 0 { path.to_owned() } else { format!("{path}.{segment}") };
        let end = (bytes - segment * SEGMENT).min(SEGMENT);
        let mut offset = 0;
        while offset < end {
            // Counted from 1.
            let place: i32 = sqlx::query_scalar(
                "SELECT coalesce(position($1 IN pg_read_binary_file($2, $3, $4, true)), 0)",
            )
            .bind(text)
            .bind(&file)
            .bind(offset)
            .bind(CHUNK + overlap)
            .fetch_one(&mut *connection)
            .await?;
            if place > 0 {
                let offset = u64::try_from(offset + i64::from(place) - 1).unwrap_or_default();
                return Ok(Some(FoundText { file, offset }));
            }
            offset += CHUNK;
        }
    }
    Ok(None)
}
