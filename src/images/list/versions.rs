//! The versions of images that are known by name alone: what a listing of their folder or bucket
//! would say, so that an image which did not change is not scanned again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::spawn_blocking;

use crate::domain::{ImageUri, SourceStamp};
use crate::images::root::{Bucket, object};
use crate::images::walk::stamp_of_path;
use crate::images::{FetchError, Objects};

/// A bucket that fails so often in a row is not asked any more: this machine may have no
/// credentials for it, and each failure takes seconds.
const MOST_FAILURES: u32 = 8;

/// Asks for the versions of images.
pub struct ImageVersions {
    objects: Arc<Objects>,
    /// Failures in a row.
    failures: Mutex<HashMap<Bucket, u32>>,
}

impl ImageVersions {
    /// Asks `objects` for those in buckets.
    pub fn new(objects: Arc<Objects>) -> Self {
        Self { objects, failures: Mutex::default() }
    }

    /// The version of a local file or an object; `None` if it is neither, or nobody says.
    pub async fn stamp_of(&self, image: &ImageUri) -> Option<SourceStamp> {
        match image.to_path() {
            Some(path) => spawn_blocking(move || stamp_of_path(&path)).await.ok()?,
            None => self.stamp(image).await,
        }
    }

    /// The version of an object; `None` if the image is no object, or nobody says.
    pub(super) async fn stamp(&self, image: &ImageUri) -> Option<SourceStamp> {
        let (bucket, key) = object(image.as_url())?;
        if self.failures_of(&bucket) >= MOST_FAILURES {
            return None;
        }
        match self.objects.stamp(&bucket, &key).await {
            Ok(stamp) => {
                self.set_failures(&bucket, 0);
                Some(stamp)
            }
            // Its job ends with this outcome.
            Err(FetchError::NotFound(_)) => None,
            Err(error) => {
                let failures = self.failures_of(&bucket) + 1;
                self.set_failures(&bucket, failures);
                if failures == MOST_FAILURES {
                    tracing::warn!(%bucket, %error, "the versions of its objects cannot be read \
                        here: images of the list are scanned whether or not they changed");
                }
                None
            }
        }
    }

    fn failures_of(&self, bucket: &Bucket) -> u32 {
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.get(bucket).copied().unwrap_or(0)
    }

    fn set_failures(&self, bucket: &Bucket, count: u32) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        match failures.get_mut(bucket) {
            Some(known) => *known = count,
            None if count > 0 => drop(failures.insert(bucket.clone(), count)),
            None => {}
        }
    }
}
