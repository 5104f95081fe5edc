//! The active profiles of galleries, under which people are enrolled. They are read from the store
//! at intervals and cached, so that a job costs no query.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use moka::future::Cache;
use tokio::time::sleep;

use crate::domain::{GalleryName, Job, Lane, ProfileId};
use crate::store::{Profiles, StoreError};

/// An activation reaches every worker within this time.
const TIME_TO_LIVE: Duration = Duration::from_secs(2);
/// Galleries in the cache, at most.
const CAPACITY: u64 = 1024;
/// Between two attempts to read a store that cannot be read.
const RETRY: Duration = Duration::from_secs(1);

/// The active profiles of galleries.
pub(super) struct ActiveProfiles {
    store: Arc<dyn Profiles>,
    known: Cache<GalleryName, ProfileId>,
}

/// Why no active profile is known. It is not cached.
enum Unknown {
    /// The gallery has no results yet; in a moment, it may have.
    NoResults,
    /// The store cannot be read.
    Unreadable(StoreError),
}

impl ActiveProfiles {
    pub(super) fn new(store: Arc<dyn Profiles>) -> Self {
        let known = Cache::builder().max_capacity(CAPACITY).time_to_live(TIME_TO_LIVE).build();
        Self { store, known }
    }

    /// The job as it is to be done by a worker of the profile `own`: an enrolment that names no
    /// profile requires the active one of its gallery, if that is another. In a gallery without
    /// results, the profile of any worker will do.
    ///
    /// While the store cannot be read, it waits: the job's result would wait for the store, too.
    pub(super) async fn required<'a>(&self, job: &'a Job, own: &ProfileId) -> Cow<'a, Job> {
        if job.lane != Lane::Enrol || job.profile.is_some() {
            return Cow::Borrowed(job);
        }
        match self.of(&job.gallery).await {
            Some(active) if active != *own => {
                Cow::Owned(Job { profile: Some(active), ..job.clone() })
            }
            _ => Cow::Borrowed(job),
        }
    }

    /// The active profile; none if the gallery has no results.
    async fn of(&self, gallery: &GalleryName) -> Option<ProfileId> {
        let mut is_told = false;
        loop {
            // Concurrent calls for one gallery share one query.
            let known = self.known.try_get_with(gallery.clone(), self.read(gallery)).await;
            match known.as_ref().map_err(Arc::as_ref) {
                Ok(active) => return Some(active.clone()),
                Err(Unknown::NoResults) => return None,
                Err(Unknown::Unreadable(error)) if !is_told => {
                    tracing::warn!(%gallery, %error, "failed to read a gallery's active profile; \
                        its enrolments wait");
                    is_told = true;
                }
                Err(Unknown::Unreadable(_)) => {}
            }
            sleep(RETRY).await;
        }
    }

    async fn read(&self, gallery: &GalleryName) -> Result<ProfileId, Unknown> {
        let active = self.store.active_profile(gallery).await.map_err(Unknown::Unreadable)?;
        active.ok_or(Unknown::NoResults)
    }
}
