//! The status of the sources that images come from.

use std::time::Duration;

use async_trait::async_trait;

use super::StoreError;
use crate::domain::{SourceName, SourceStatus};

/// How long a reported outage of a source counts. Workers report it again while it lasts.
pub const SOURCE_STATUS_TTL: Duration = Duration::from_secs(120);

/// [`SOURCE_STATUS_TTL`] in milliseconds.
pub(super) fn ttl_ms() -> i64 {
    i64::try_from(SOURCE_STATUS_TTL.as_millis()).unwrap_or(i64::MAX)
}

/// The status of the sources that images come from.
#[async_trait]
pub trait SourceStatuses: Send + Sync {
    /// Reports the outage of a source, or that it works again (None). The caller repeats the report
    /// of an outage while it lasts: an outage that is not reported for [`SOURCE_STATUS_TTL`] is
    /// over.
    ///
    /// # Errors
    /// If the store cannot be reached or used.
    async fn set_source_status(
        &self,
        source: &SourceName,
        trouble: Option<&str>,
    ) -> Result<(), StoreError>;

    /// Every source for which an outage was ever reported.
    ///
    /// # Errors
    /// If the store cannot be reached or used.
    async fn source_statuses(&self) -> Result<Vec<SourceStatus>, StoreError>;
}
