//! The images that a re-score reads.

use async_trait::async_trait;

use super::reading::find_scope;
use super::{PostgresStore, READ};
use crate::store::encoding::selection_key;
use crate::store::profiles::final_outcomes;
use crate::store::rows::RescoreRow;
use crate::store::{RescoreImage, RescoreQuery, Rescoring, StoreError};

#[async_trait]
impl Rescoring for PostgresStore {
    async fn rescore_page(&self, query: &RescoreQuery) -> Result<Vec<RescoreImage>, StoreError> {
        self.answer(READ, async {
            let mut snapshot = self.begin_snapshot().await?;
            let from = find_scope(&mut snapshot, &query.gallery, &query.from).await?;
            let Some(from) = from else { return Ok(Vec::new()) };
            let to = find_scope(&mut snapshot, &query.gallery, &query.to).await?;
            let rows: Vec<RescoreRow> = sqlx::query_as(include_str!("sql/rescore_page.sql"))
                .bind(from)
                .bind(to)
                .bind(selection_key(&query.selection))
                .bind(final_outcomes())
                .bind(query.after)
                .bind(i64::from(query.limit))
                .fetch_all(&mut *snapshot)
                .await?;
            snapshot.commit().await?;
            rows.into_iter().map(RescoreRow::image).collect()
        })
        .await
    }
}
