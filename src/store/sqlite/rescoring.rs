//! The images that a re-score reads.

use async_trait::async_trait;

use super::reading::find_scope;
use super::{SqliteStore, json};
use crate::store::encoding::selection_key;
use crate::store::profiles::final_outcomes;
use crate::store::rows::RescoreRow;
use crate::store::{RescoreImage, RescoreQuery, Rescoring, StoreError};

#[async_trait]
impl Rescoring for SqliteStore {
    async fn rescore_page(&self, query: &RescoreQuery) -> Result<Vec<RescoreImage>, StoreError> {
        self.answer(async {
            let mut snapshot = self.readers.begin().await?;
            let from = find_scope(&mut snapshot, &query.gallery, &query.from).await?;
            let Some(from) = from else { return Ok(Vec::new()) };
            let to = find_scope(&mut snapshot, &query.gallery, &query.to).await?;
            let rows: Vec<RescoreRow> = sqlx::query_as(include_str!("sql/rescore_page.sql"))
                .bind(from)
                .bind(to)
                .bind(selection_key(&query.selection))
                .bind(json(final_outcomes()))
                .bind(query.after)
                .bind(query.limit)
                .fetch_all(&mut *snapshot)
                .await?;
            rows.into_iter().map(RescoreRow::image).collect()
        })
        .await
    }
}
