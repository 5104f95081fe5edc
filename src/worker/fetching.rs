//! The bytes of a job's image, or what is to become of the job without them: an outage is its
//! source's, a shortage this machine's.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep};

use super::breaker::{Admission, Breakers, Fault};
use crate::domain::{ImageUri, Job, Outcome, SourceName};
use crate::images::{FetchError, ImageSource, MemoryReservation};

/// Between tries while this machine is short of something: first, doubled each time, and in all;
/// then the job is put back.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const MOST_WAIT: Duration = Duration::from_secs(5);
const IN_HAND: Duration = Duration::from_secs(30);
/// How often a shortage is told.
const TELL_AGAIN: Duration = Duration::from_secs(60);

/// Fetches for jobs.
pub struct Fetcher {
    images: Arc<dyn ImageSource>,
    breakers: Arc<Breakers>,
    told: Mutex<Option<Instant>>,
}

/// An image's bytes, and what they hold until they are decoded.
pub struct Fetched<'a, R> {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// One of the images whose bytes may be in memory at once.
    pub permit: SemaphorePermit<'a>,
    /// The memory for them.
    pub room: R,
}

/// Why there are no bytes.
#[derive(Debug)]
pub enum Unfetched {
    /// The image ended.
    Ended(Outcome),
    /// Its source failed with this image alone, and may not for ever.
    Transient(String),
    /// Its source is in trouble: why.
    Held(SourceName, String),
    /// This machine is short of something, and has been for a while.
    Local,
}

impl Fetcher {
    /// A fetcher from `images`. An outage of a source is waited out for `longest`.
    pub fn new(images: Arc<dyn ImageSource>, longest: Duration) -> Self {
        let breakers = Arc::new(Breakers::new(Arc::clone(&images), longest));
        Self { images, breakers, told: Mutex::default() }
    }

    /// The breakers of its sources.
    pub fn breakers(&self) -> &Arc<Breakers> {
        &self.breakers
    }

    /// All bytes of the job's image, with one of `permits` and memory from `room`. While whose
    /// fault a failure is is found out, or a shortage of this machine is waited for, neither is
    /// held.
    ///
    /// # Errors
    /// What is to become of the job without them.
    pub async fn fetch<'a, R: MemoryReservation>(
        &self,
        job: &Job,
        permits: &'a Semaphore,
        room: impl Fn() -> R + Send + Sync,
    ) -> Result<Fetched<'a, R>, Unfetched> {
        let (began, mut wait, image) = (Instant::now(), FIRST_WAIT, &job.image);
        // A source that is well and did not give the image may have been away for a moment only: it
        // is asked twice.
        let mut asked_again = false;
        loop {
            let source = self.admit(image)?;
            let error = match self.try_once(image, permits, &room).await? {
                Ok(fetched) => return Ok(fetched),
                Err(error) => error,
            };
            let judged = match &error {
                FetchError::Unreadable(_) | FetchError::Refused(_) => {
                    return Err(Unfetched::Ended(error.outcome()));
                }
                FetchError::Shortage(shortage) => Fault::Local(shortage.clone()),
                FetchError::NotFound(_) | FetchError::Denied(_) | FetchError::Outage(_) => {
                    self.breakers.judge(image, &error).await
                }
            };
            match judged {
                Fault::Source(reason) => return Err(Unfetched::Held(source, reason)),
                Fault::Image if matches!(error, FetchError::Outage(_)) => {
                    return Err(Unfetched::Transient(error.to_string()));
                }
                Fault::Image if asked_again => return Err(Unfetched::Ended(error.outcome())),
                Fault::Image => {
                    asked_again = true;
                    continue;
                }
                Fault::Local(shortage) => self.tell(&shortage),
            }
            if began.elapsed() >= IN_HAND {
                return Err(Unfetched::Local);
            }
            sleep(wait).await;
            wait = wait.saturating_mul(2).min(MOST_WAIT);
        }
    }

    fn admit(&self, image: &ImageUri) -> Result<SourceName, Unfetched> {
        match self.breakers.admit(image) {
            (source, Admission::Open) => Ok(source),
            (source, Admission::Wait(reason)) => Err(Unfetched::Held(source, reason)),
            (source, Admission::GivenUp(reason)) => {
                let reason = format!(
                    "{source} does not work, and is waited for no longer (setting \
                        images.outage_seconds): {reason}"
                );
                Err(Unfetched::Ended(Outcome::Failed(reason)))
            }
        }
    }

    async fn try_once<'a, R: MemoryReservation>(
        &self,
        image: &ImageUri,
        permits: &'a Semaphore,
        room: &(impl Fn() -> R + Send + Sync),
    ) -> Result<Result<Fetched<'a, R>, FetchError>, Unfetched> {
        // Closed by nobody.
        let permit = permits.acquire().await.map_err(|_| Unfetched::Local)?;
        let room = room();
        Ok(match self.images.fetch_into(image, &room).await {
            Ok(bytes) => {
                self.breakers.worked(image).await;
                Ok(Fetched { bytes, permit, room })
            }
            Err(error) => Err(error),
        })
    }

    fn tell(&self, shortage: &str) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.is_none_or(|told| told.elapsed() >= TELL_AGAIN) {
            *told = Some(Instant::now());
            tracing::warn!(
                shortage,
                "this machine is short of something, and images cannot be fetched; waiting"
            );
        }
    }
}
