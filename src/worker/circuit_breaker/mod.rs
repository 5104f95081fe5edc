//! A circuit breaker for each source of images, so that an outage is charged to the source and not
//! to its images.
//!
//! When a fetch fails and the source may be the cause, a health check decides: it reads images
//! again that were read before. If they can be read, only the image is at fault. If they cannot, or
//! if none was read before and the source does not answer, the breaker opens. While it is open, the
//! source's jobs wait in a sub-queue without an attempt being counted, and health checks are
//! repeated until one succeeds. A breaker that opens again soon waits longer before its next check.
//!
//! The images to read again are a random sample of all images that were read. A deleted folder
//! therefore is not an outage, and an unmounted share is. The sample is discarded if its images
//! cannot be read and others can.
//!
//! Outages that other workers reported count for a source from which this worker has read nothing:
//! a worker that starts during an outage does not end images as unreadable.

mod circuit;
mod health_check;
mod sample;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use self::circuit::Breaker;
use self::health_check::SourceHealth;
use crate::domain::{ImageUri, SourceName};
use crate::images::{FetchError, ImageSource};

/// The circuit breakers of all sources that a worker has met.
pub struct CircuitBreakers {
    images: Arc<dyn ImageSource>,
    /// How long jobs wait for a source in an outage before they are given up.
    longest: Duration,
    breakers: Mutex<HashMap<SourceName, Arc<Breaker>>>,
}

/// Whether a source's images may be fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum CircuitState {
    /// Fetch.
    Closed,
    /// Let the job wait. The reason of the outage.
    Open(String),
    /// End the job as failed: the outage has lasted too long. Its reason.
    GivenUp(String),
}

/// The cause of a failed fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum FailureCause {
    /// The image.
    Image,
    /// The source, with the reason.
    Source(String),
    /// This machine lacks a resource, so that the source could not be checked. Which resource.
    Machine(String),
}

/// An outage of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceOutage {
    /// The source.
    pub source: SourceName,
    /// What is wrong with it.
    pub reason: String,
    /// How long the outage has lasted.
    pub lasting: Duration,
    /// Whether its jobs end as failed instead of waiting.
    pub given_up: bool,
}

impl CircuitBreakers {
    /// Closed breakers for the sources of `images`. Jobs wait for `longest` in an outage.
    pub fn new(images: Arc<dyn ImageSource>, longest: Duration) -> Self {
        Self { images, longest, breakers: Mutex::default() }
    }

    /// The current outages, by name of the source.
    pub fn outages(&self) -> Vec<SourceOutage> {
        let mut outages: Vec<SourceOutage> =
            self.all().iter().filter_map(|breaker| breaker.outage()).collect();
        outages.sort_by(|a, b| a.source.cmp(&b.source));
        outages
    }

    /// Checks the sources whose breakers are open and whose next health check is due. Closes the
    /// breakers of those that work. Call this about once a second.
    pub async fn check_health(&self) {
        let due = self.all().into_iter().filter(|breaker| breaker.is_check_due());
        let checks = due.map(|breaker| async move {
            let health = breaker.check_open(self.images.as_ref()).await;
            breaker.note_checked(health, self.longest);
        });
        futures::future::join_all(checks).await;
    }

    /// Notes that a worker reported an outage of `source`, which has lasted for `lasting`.
    pub fn note_reported(&self, source: &SourceName, reason: &str, lasting: Duration) {
        self.of(source).note_reported(reason, lasting);
    }

    /// Waits no longer for a source in an outage: its jobs end as failed until it works.
    pub fn give_up(&self, source: &SourceName) {
        self.of(source).give_up();
    }

    /// The source of `image`, and whether to fetch from it.
    pub(super) fn state_for(&self, image: &ImageUri) -> (SourceName, CircuitState) {
        let source = self.images.source_of(image);
        // Creates no breaker: jobs may name any number of sources that do not exist.
        let breaker = self.lock().get(&source).cloned();
        let state = breaker.map_or(CircuitState::Closed, |breaker| breaker.state_for(image));
        (source, state)
    }

    /// Notes that `image` was read.
    pub(super) async fn note_read(&self, image: &ImageUri) {
        let part = self.images.part_of(image).await;
        self.of(&self.images.source_of(image)).note_read(part, image);
    }

    /// Finds the cause of a fetch that failed just now, and opens the breaker if it is the source.
    pub(super) async fn find_cause(&self, image: &ImageUri, error: &FetchError) -> FailureCause {
        let failed = Instant::now();
        let breaker = self.of(&self.images.source_of(image));
        let outage = matches!(error, FetchError::Outage(_));
        let fails_often = breaker.note_failure(outage);
        if matches!(error, FetchError::NotFound(_))
            && self.images.has_visible_neighbours(image).await
        {
            return FailureCause::Image;
        }
        let health = breaker.check_after(failed, self.images.as_ref()).await;
        let cause = match (health, outage) {
            (SourceHealth::Shortage(reason), _) => FailureCause::Machine(reason),
            (SourceHealth::Unhealthy(reason), _) => FailureCause::Source(reason),
            (SourceHealth::NothingRead, true) => FailureCause::Source(error.to_string()),
            (SourceHealth::NothingRead, false) => {
                breaker.reported_outage().map_or(FailureCause::Image, FailureCause::Source)
            }
            (SourceHealth::Healthy, true) if fails_often => {
                FailureCause::Source(format!("it answers only part of the requests: {error}"))
            }
            (SourceHealth::Healthy, _) => FailureCause::Image,
        };
        if let FailureCause::Source(reason) = &cause {
            breaker.open(reason, image);
        }
        cause
    }

    fn of(&self, source: &SourceName) -> Arc<Breaker> {
        let mut breakers = self.lock();
        breakers
            .entry(source.clone())
            .or_insert_with(|| Arc::new(Breaker::new(source.clone())))
            .clone()
    }

    fn all(&self) -> Vec<Arc<Breaker>> {
        self.lock().values().cloned().collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<SourceName, Arc<Breaker>>> {
        self.breakers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
