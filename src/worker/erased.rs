//! Whether an image would end as erased, asked before it is decoded.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::domain::{ContentHash, Job};
use crate::store::Store;

/// How long the store is not asked again once it has nothing that was erased, or does not answer.
const ASK_AGAIN: Duration = Duration::from_secs(10);

/// What a store knows of erased and removed images. Recording decides in any case: this saves the
/// analysis of what would leave no result.
pub(super) struct ErasedContents {
    store: Arc<dyn Store>,
    quiet_until: Mutex<Option<Instant>>,
}

impl ErasedContents {
    pub(super) fn new(store: Arc<dyn Store>) -> Self {
        Self { store, quiet_until: Mutex::default() }
    }

    /// Whether a job whose image has these bytes would end as erased: then with their hash.
    pub(super) async fn find(&self, job: &Job, bytes: &[u8]) -> Option<ContentHash> {
        let quiet = *self.quiet_until.lock().unwrap_or_else(PoisonError::into_inner);
        if quiet.is_some_and(|until| Instant::now() < until) {
            return None;
        }
        let content = ContentHash::of(bytes);
        if let Ok(Some(erased)) = self.store.ends_erased(job, content).await {
            return erased.then_some(content);
        }
        let until = Instant::now() + ASK_AGAIN;
        *self.quiet_until.lock().unwrap_or_else(PoisonError::into_inner) = Some(until);
        None
    }
}
