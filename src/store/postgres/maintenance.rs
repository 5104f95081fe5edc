//! Checking and closing a store.

use async_trait::async_trait;

use super::{PostgresStore, TRIAL, rights};
use crate::store::{Maintenance, StoreError};

#[async_trait]
impl Maintenance for PostgresStore {
    async fn try_writing(&self) -> Result<(), StoreError> {
        self.answer(TRIAL, rights::try_all(&self.pool)).await
    }

    async fn close(&self) {
        self.pool.close().await;
    }
}
