//! Memory that a fetch reserves before it reads.

use std::time::Duration;

use async_trait::async_trait;

use super::FetchError;

/// Memory for the bytes of one image.
#[async_trait]
pub trait MemoryReservation: Send + Sync {
    /// Waits until `bytes` are available. They replace what this reservation held before.
    ///
    /// # Errors
    /// Refused, if so many bytes can never be available.
    async fn take(&self, bytes: u64) -> Result<(), FetchError>;

    /// How long this image has waited for memory so far. This time does not count against its
    /// source.
    fn waited(&self) -> Duration;
}

/// A reservation that always succeeds: for callers that know that memory is sufficient.
pub struct Unlimited;

#[async_trait]
impl MemoryReservation for Unlimited {
    async fn take(&self, _: u64) -> Result<(), FetchError> {
        Ok(())
    }

    fn waited(&self) -> Duration {
        Duration::ZERO
    }
}
