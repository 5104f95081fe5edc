//! The versions of objects that a list names without saying which version they have: what a listing
//! of their bucket would say, so that an image which did not change is not scanned again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::domain::{ImageUri, SourceStamp};
use crate::images::root::{Bucket, object};
use crate::images::{FetchError, Objects};

/// A bucket that fails so often in a row is not asked any more: this machine may have no
/// credentials for it, and each failure takes seconds.
const MOST_FAILURES: u32 = 8;

/// Asks for the versions of objects.
pub(super) struct ObjectVersions {
    objects: Arc<Objects>,
    /// Failures in a row.
    failures: Mutex<HashMap<Bucket, u32>>,
}

impl ObjectVersions {
    pub(super) fn new(objects: Arc<Objects>) -> Self {
        Self { objects, failures: Mutex::default() }
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
