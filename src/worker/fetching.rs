//! The bytes of a job's image, or what is to become of the job without them: an outage is its source's, a shortage this machine's.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::breaker::{Admission, Breakers, Fault};
use crate::domain::{ImageUri, Job, Outcome, SourceName};
use crate::images::{FetchError, ImageSource, Room};

/// Between tries while this machine is short of something: first, doubled each time, and in all; then the job is put back.
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

/// Why there are no bytes.
#[derive(Debug)]
pub enum Unfetched {
    /// The image ended.
    Ended(Outcome),
    /// Something passing, of this image alone.
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

    /// All bytes of the job's image, with memory for them from `room`.
    ///
    /// # Errors
    /// What is to become of the job without them.
    pub async fn fetch(&self, job: &Job, room: &dyn Room) -> Result<Vec<u8>, Unfetched> {
        let (began, mut wait) = (Instant::now(), FIRST_WAIT);
        loop {
            match self.try_once(&job.image, room).await {
                Ok(Ok(bytes)) => return Ok(bytes),
                Ok(Err(unfetched)) => return Err(unfetched),
                Err(shortage) => self.tell(&shortage),
            }
            if began.elapsed() >= IN_HAND {
                return Err(Unfetched::Local);
            }
            sleep(wait).await;
            wait = wait.saturating_mul(2).min(MOST_WAIT);
        }
    }

    /// One try. The outer error is a shortage of this machine.
    async fn try_once(&self, image: &ImageUri, room: &dyn Room) -> Result<Result<Vec<u8>, Unfetched>, String> {
        let (source, last_try) = match self.breakers.admit(image) {
            (source, Admission::Wait(reason)) => return Ok(Err(Unfetched::Held(source, reason))),
            (source, admission) => (source, admission == Admission::LastTry),
        };
        let error = match self.images.fetch_into(image, room).await {
            Ok(bytes) => {
                self.breakers.worked(image).await;
                return Ok(Ok(bytes));
            }
            Err(FetchError::Local(shortage)) => return Err(shortage),
            Err(error @ (FetchError::Unreadable(_) | FetchError::Refused(_))) => {
                return Ok(Err(Unfetched::Ended(error.outcome())));
            }
            Err(error) => error,
        };
        if last_try {
            return Ok(Err(Unfetched::Ended(given_up(error))));
        }
        match self.breakers.judge(image, &error).await {
            Fault::Local(shortage) => Err(shortage),
            Fault::Source(reason) => Ok(Err(Unfetched::Held(source, reason))),
            Fault::Image if matches!(error, FetchError::Outage(_)) => Ok(Err(Unfetched::Transient(error.to_string()))),
            Fault::Image => self.once_more(image, source, room).await,
        }
    }

    /// The source is well, and did not give the image: it may have been away for a moment only, so it is asked again.
    async fn once_more(
        &self,
        image: &ImageUri,
        source: SourceName,
        room: &dyn Room,
    ) -> Result<Result<Vec<u8>, Unfetched>, String> {
        match self.images.fetch_into(image, room).await {
            Ok(bytes) => Ok(Ok(bytes)),
            Err(FetchError::Local(shortage)) => Err(shortage),
            Err(error @ FetchError::Outage(_)) => match self.breakers.judge(image, &error).await {
                Fault::Source(reason) => Ok(Err(Unfetched::Held(source, reason))),
                Fault::Image => Ok(Err(Unfetched::Transient(error.to_string()))),
                Fault::Local(shortage) => Err(shortage),
            },
            Err(error) => Ok(Err(Unfetched::Ended(error.outcome()))),
        }
    }

    fn tell(&self, shortage: &str) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.is_none_or(|told| told.elapsed() >= TELL_AGAIN) {
            *told = Some(Instant::now());
            tracing::warn!(shortage, "this machine is short of something, and images cannot be fetched; waiting");
        }
    }
}

/// How an image ends whose source has been in trouble for too long.
fn given_up(error: FetchError) -> Outcome {
    match error {
        FetchError::Outage(reason) => {
            Outcome::Failed(format!("{reason}; its source has been in trouble for longer than images.outage_seconds"))
        }
        error => error.outcome(),
    }
}
