//! Health checks of a source: whether images that were read from it can be read again.

use tokio::time::Instant;

use super::circuit::Breaker;
use crate::domain::ImageUri;
use crate::images::{FetchError, ImageSource};

/// The result of a health check.
#[derive(Debug, Clone)]
pub(super) enum SourceHealth {
    /// Images that were read before can be read.
    Healthy,
    /// No image was read before, so that none could be read again.
    NothingRead,
    /// The source does not work: why.
    Unhealthy(String),
    /// This machine lacks a resource: which.
    Shortage(String),
}

impl Breaker {
    /// The result of a health check that began after `failed`. Concurrent calls share one check.
    pub(super) async fn check_after(
        &self,
        failed: Instant,
        images: &dyn ImageSource,
    ) -> SourceHealth {
        let mut last = self.last_check.lock().await;
        if let Some((began, health)) = &*last
            && *began >= failed
        {
            return health.clone();
        }
        let began = Instant::now();
        let health = match images.check_source(&self.source).await {
            Ok(()) => self.read_sample(images).await,
            Err(reason) => SourceHealth::Unhealthy(reason),
        };
        *last = Some((began, health.clone()));
        health
    }

    /// A health check while the breaker is open. If no image of the sample can be read, images of
    /// waiting jobs are tried.
    pub(super) async fn check_open(&self, images: &dyn ImageSource) -> SourceHealth {
        if let Err(reason) = images.check_source(&self.source).await {
            return SourceHealth::Unhealthy(reason);
        }
        let health = self.read_sample(images).await;
        let is_doubtful = match health {
            SourceHealth::Unhealthy(_) => true,
            SourceHealth::NothingRead => self.reported_outage().is_some(),
            SourceHealth::Healthy | SourceHealth::Shortage(_) => return health,
        };
        for image in self.waiting() {
            match images.check_image(&image).await {
                Ok(()) => {
                    // If the sample could not be read, it is out of date.
                    self.discard_sample();
                    return SourceHealth::Healthy;
                }
                Err(FetchError::Outage(reason)) => return SourceHealth::Unhealthy(reason),
                Err(FetchError::Shortage(reason)) => return SourceHealth::Shortage(reason),
                // The source answers, but it refuses images of the sample too.
                Err(_) if is_doubtful => {}
                Err(_) => return SourceHealth::Healthy,
            }
        }
        health
    }

    /// Reads images of the sample again: one of each part of the source must be readable.
    async fn read_sample(&self, images: &dyn ImageSource) -> SourceHealth {
        let sample = self.sample();
        if sample.is_empty() {
            return SourceHealth::NothingRead;
        }
        for part in sample {
            if let Some(unhealthy) = read_one(images, &part).await {
                return unhealthy;
            }
        }
        SourceHealth::Healthy
    }
}

/// `None` once one of `part` can be read.
async fn read_one(images: &dyn ImageSource, part: &[ImageUri]) -> Option<SourceHealth> {
    let mut last = None;
    for image in part {
        match images.check_image(image).await {
            Ok(()) => return None,
            Err(FetchError::Outage(reason)) => return Some(SourceHealth::Unhealthy(reason)),
            Err(FetchError::Shortage(reason)) => return Some(SourceHealth::Shortage(reason)),
            Err(error) => last = Some(error.to_string()),
        }
    }
    last.map(|reason| {
        SourceHealth::Unhealthy(format!(
            "images that were read before cannot be read any more: {reason}"
        ))
    })
}
