//! Checking and closing a store.

use async_trait::async_trait;

use super::StoreError;

/// Checking and closing a store.
#[async_trait]
pub trait Maintenance: Send + Sync {
    /// Checks that the store answers and accepts every kind of write that a worker makes, in a
    /// transaction that is rolled back. Leaves nothing behind, draws no id, and waits only a few
    /// seconds for a lock.
    ///
    /// # Errors
    /// If the store cannot be reached or used, or a right is missing: the error names the table.
    async fn try_writing(&self) -> Result<(), StoreError>;

    /// Waits for running work, then closes files and connections.
    async fn close(&self);
}
