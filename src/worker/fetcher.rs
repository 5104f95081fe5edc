//! Fetches the bytes of a job's image. A failure is attributed to the image, to its source (an
//! outage) or to this machine (a shortage).

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep};

use super::circuit_breaker::{CircuitBreakers, CircuitState, FailureCause};
use crate::domain::{ImageUri, Job, Outcome, SourceName};
use crate::images::{FetchError, ImageSource, MemoryReservation};

/// Waits between tries during a shortage: the first, doubled each time up to the longest. After
/// [`SHORTAGE_TIMEOUT`] the job is deferred.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(5);
const SHORTAGE_TIMEOUT: Duration = Duration::from_secs(30);
/// Rate limit of the warning about a shortage.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// Fetches images for jobs.
pub struct Fetcher {
    images: Arc<dyn ImageSource>,
    breakers: Arc<CircuitBreakers>,
    last_logged: Mutex<Option<Instant>>,
}

/// An image's bytes, and what is reserved for them until they are decoded.
pub struct Fetched<'a, R> {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// One of the slots for images whose bytes are in memory.
    pub slot: SemaphorePermit<'a>,
    /// The memory for the bytes.
    pub room: R,
}

/// Why an image was not fetched.
#[derive(Debug)]
pub enum FetchFailure {
    /// The job ends with this outcome.
    Ended(Outcome),
    /// The source works but did not serve this image; a retry may succeed.
    Unanswered(String),
    /// The source is in an outage: its name and the reason.
    Outage(SourceName, String),
    /// This machine has lacked a resource for a while.
    Shortage,
}

impl Fetcher {
    /// A fetcher from `images`. Jobs wait for `longest_outage` for a source that does not work.
    pub fn new(images: Arc<dyn ImageSource>, longest_outage: Duration) -> Self {
        let breakers = Arc::new(CircuitBreakers::new(Arc::clone(&images), longest_outage));
        Self { images, breakers, last_logged: Mutex::default() }
    }

    /// The circuit breakers of the sources.
    pub fn breakers(&self) -> &Arc<CircuitBreakers> {
        &self.breakers
    }

    /// Fetches the bytes of the job's image, with one of `slots` and memory from `room`. Neither is
    /// held during a health check of the source or a wait for a shortage to end.
    ///
    /// # Errors
    /// See [`FetchFailure`].
    pub async fn fetch<'a, R: MemoryReservation>(
        &self,
        job: &Job,
        slots: &'a Semaphore,
        room: impl Fn() -> R + Send + Sync,
    ) -> Result<Fetched<'a, R>, FetchFailure> {
        let (began, mut wait, image) = (Instant::now(), FIRST_WAIT, &job.image);
        // A second fetch follows the first failure, as the source may have failed for a moment
        // only.
        let mut is_second = false;
        loop {
            let source = self.admit(image)?;
            let error = match self.try_once(image, slots, &room).await? {
                Ok(fetched) => return Ok(fetched),
                Err(error) => error,
            };
            let cause = match &error {
                FetchError::Unreadable(_) | FetchError::Refused(_) => {
                    return Err(FetchFailure::Ended(error.outcome()));
                }
                FetchError::Shortage(shortage) => FailureCause::Machine(shortage.clone()),
                FetchError::NotFound(_) | FetchError::Denied(_) | FetchError::Outage(_) => {
                    self.breakers.find_cause(image, &error).await
                }
            };
            match cause {
                FailureCause::Source(reason) => return Err(FetchFailure::Outage(source, reason)),
                FailureCause::Image if matches!(error, FetchError::Outage(_)) => {
                    return Err(FetchFailure::Unanswered(error.to_string()));
                }
                FailureCause::Image if is_second => {
                    return Err(FetchFailure::Ended(error.outcome()));
                }
                FailureCause::Image => {
                    is_second = true;
                    continue;
                }
                FailureCause::Machine(shortage) => self.log(&shortage),
            }
            if began.elapsed() >= SHORTAGE_TIMEOUT {
                return Err(FetchFailure::Shortage);
            }
            sleep(wait).await;
            wait = wait.saturating_mul(2).min(LONGEST_WAIT);
        }
    }

    /// The source of `image`, if its circuit breaker is closed.
    fn admit(&self, image: &ImageUri) -> Result<SourceName, FetchFailure> {
        match self.breakers.state_for(image) {
            (source, CircuitState::Closed) => Ok(source),
            (source, CircuitState::Open(reason)) => Err(FetchFailure::Outage(source, reason)),
            (source, CircuitState::GivenUp(reason)) => {
                let reason = format!(
                    "{source} does not work, and its jobs wait no longer (setting \
                        images.outage_seconds): {reason}"
                );
                Err(FetchFailure::Ended(Outcome::Failed(reason)))
            }
        }
    }

    async fn try_once<'a, R: MemoryReservation>(
        &self,
        image: &ImageUri,
        slots: &'a Semaphore,
        room: &(impl Fn() -> R + Send + Sync),
    ) -> Result<Result<Fetched<'a, R>, FetchError>, FetchFailure> {
        // The semaphore is never closed.
        let slot = slots.acquire().await.map_err(|_| FetchFailure::Shortage)?;
        let room = room();
        Ok(match self.images.fetch_into(image, &room).await {
            Ok(bytes) => {
                self.breakers.note_read(image).await;
                Ok(Fetched { bytes, slot, room })
            }
            Err(error) => Err(error),
        })
    }

    fn log(&self, shortage: &str) {
        let mut last = self.last_logged.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_none_or(|last| last.elapsed() >= LOG_INTERVAL) {
            *last = Some(Instant::now());
            tracing::warn!(shortage, "this machine lacks a resource; images are not fetched");
        }
    }
}
