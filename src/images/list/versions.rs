//! The versions of images that are known by name alone: what a listing of their folder or bucket
//! would say, so that an image which did not change is not scanned again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::spawn_blocking;

use crate::domain::{ImageUri, SourceStamp};
use crate::images::allowed::Places;
use crate::images::root::{Bucket, object};
use crate::images::walk::stamp_of_path;
use crate::images::{FetchError, Objects};

/// A bucket that fails so often in a row is not asked any more: this machine may have no
/// credentials for it, and each failure takes seconds.
const MOST_FAILURES: u32 = 8;

/// Asks for the versions of images.
pub struct ImageVersions {
    objects: Arc<Objects>,
    /// No other place is asked: a list is data, and the credentials are this machine's.
    readable: Arc<Places>,
    /// Failures in a row.
    failures: Mutex<HashMap<Bucket, u32>>,
}

impl ImageVersions {
    /// Asks `objects` for those in buckets, and no place but `readable`.
    pub fn new(objects: Arc<Objects>, readable: Arc<Places>) -> Self {
        Self { objects, readable, failures: Mutex::default() }
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
        let (bucket, key) = object(image.as_url()).filter(|_| self.readable.cover(image))?;
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

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::time::Duration;

    use super::*;
    use crate::images::FetchLimits;

    #[tokio::test]
    async fn no_place_is_asked_that_may_not_be_read() {
        rustls::crypto::ring::default_provider().install_default().ok();
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        server.set_nonblocking(true).unwrap();
        let url = format!("http://{}", server.local_addr().unwrap());
        let variables = [
            ("AWS_ENDPOINT_URL", url.as_str()),
            ("AWS_ALLOW_HTTP", "true"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "key"),
            ("AWS_SECRET_ACCESS_KEY", "secret"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let whole = Duration::from_millis(500);
        let limits = FetchLimits { max_bytes: 1, whole, connect: whole, idle: whole, redirects: 0 };
        let objects = Arc::new(Objects::new(variables, None, limits).unwrap());
        let readable = Arc::new(Places::new(&["s3://faces/2024".parse().unwrap()]));
        let versions = ImageVersions::new(objects, readable);
        for image in ["s3://faces/2023/a.jpg", "s3://other/2024/a.jpg"] {
            assert_eq!(versions.stamp(&image.parse().unwrap()).await, None);
        }
        assert!(server.accept().is_err(), "nobody connected");
        // Nobody answers, but it is asked.
        assert_eq!(versions.stamp(&"s3://faces/2024/a.jpg".parse().unwrap()).await, None);
        assert!(server.accept().is_ok());
    }
}
