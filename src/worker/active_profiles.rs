//! The active profiles of galleries, under which people are enrolled. They are read from the store
//! at intervals and cached, so that a job costs no query.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use moka::future::Cache;
use tokio::time::sleep;

use crate::domain::{GalleryName, Job, Lane, ProfileId};
use crate::store::{Store, StoreError};

/// An activation reaches every worker within this time, whether or not housekeeping can read.
const TIME_TO_LIVE: Duration = Duration::from_secs(2);
/// Galleries in the cache, at most.
const CAPACITY: u64 = 1024;
/// Between two attempts to read a store that cannot be read.
const RETRY: Duration = Duration::from_secs(1);

/// The active profiles of galleries.
pub(super) struct ActiveProfiles {
    store: Arc<dyn Store>,
    known: Cache<GalleryName, ProfileId>,
    /// The galleries from whose sub-queues this worker takes jobs.
    taken: Mutex<BTreeSet<GalleryName>>,
}

/// Why no active profile is known. It is not cached.
enum Unknown {
    /// The gallery has no results yet; in a moment, it may have.
    NoResults,
    /// The store cannot be read.
    Unreadable(StoreError),
}

impl ActiveProfiles {
    pub(super) fn new(store: Arc<dyn Store>) -> Self {
        let known = Cache::builder().max_capacity(CAPACITY).time_to_live(TIME_TO_LIVE).build();
        Self { store, known, taken: Mutex::default() }
    }

    /// Reads the active profiles of all galleries. Returns the galleries whose active profile is
    /// `own`: the worker takes the enrolments that wait for it.
    ///
    /// A gallery of which it no longer is counts as before until the next read. By then this worker
    /// does not consume the gallery's sub-queue any more: a job set aside there does not come back.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub(super) async fn read_all(
        &self,
        own: &ProfileId,
    ) -> Result<BTreeSet<GalleryName>, StoreError> {
        let galleries = self.store.galleries().await?;
        let before = std::mem::take(&mut *self.lock_taken());
        let mut taken = BTreeSet::new();
        for (gallery, profiles) in galleries {
            let Some(active) = profiles.into_iter().next() else { continue };
            if active == *own {
                taken.insert(gallery.clone());
            }
            let active = if before.contains(&gallery) { own.clone() } else { active };
            self.known.insert(gallery, active).await;
        }
        self.lock_taken().clone_from(&taken);
        Ok(taken)
    }

    fn lock_taken(&self) -> std::sync::MutexGuard<'_, BTreeSet<GalleryName>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the job is for workers of its gallery's active profile, and that is not `own`: an
    /// enrolment that names no profile. In a gallery without results, the profile of any worker
    /// will do.
    ///
    /// While the store cannot be read, it waits: the job's result would wait for the store, too.
    pub(super) async fn is_for_others(&self, job: &Job, own: &ProfileId) -> bool {
        if job.lane != Lane::Enrol || job.profile.is_some() {
            return false;
        }
        self.of(&job.gallery).await.is_some_and(|active| active != *own)
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
