//! Erasing an image, a person or a gallery wherever it is: in the store, among the dead letters, in
//! the chip cache. Whoever is interrupted begins again: the end is the same.

use std::collections::BTreeSet;

use super::GalleryError;
use crate::domain::{
    Erasure, ErasureCounts, ErasureKind, ErasurePlace, Job, Lane, SubQueue, SubQueueOf,
};
use crate::images::KeptChips;
use crate::queue::{DeadLetterFilter, JobQueue};
use crate::store::{NewErasure, Store};

/// Where an erasure looks.
pub struct Eraser<'a> {
    /// The store.
    pub store: &'a dyn Store,
    /// The queue, if other processes share it. Jobs inside a process end as erased when they are
    /// recorded.
    pub queue: Option<&'a dyn JobQueue>,
    /// The chip cache, if there is one.
    pub chips: Option<&'a KeptChips>,
}

impl Eraser<'_> {
    /// Erases, in every place. The files of the store still have to be written anew
    /// ([`Erasures::rewrite`](crate::store::Erasures::rewrite)).
    ///
    /// # Errors
    /// If the store, the queue or the chip cache fails. Call it again.
    pub async fn erase(&self, new: &NewErasure) -> Result<Erasure, GalleryError> {
        let erasure = self.store.erase(new).await?;
        self.finish(&erasure).await
    }

    /// Finishes the erasures that were interrupted; returns them.
    ///
    /// # Errors
    /// As [`Self::erase`].
    pub async fn resume(&self) -> Result<Vec<Erasure>, GalleryError> {
        let mut finished = Vec::new();
        for erasure in self.store.erasures().await? {
            if erasure.ended_at.is_none() {
                finished.push(self.finish(&erasure).await?);
            }
        }
        Ok(finished)
    }

    /// Does what is left of an erasure outside of the store. Jobs that others have taken end as
    /// erased, and their worker removes the chips that it kept of them.
    async fn finish(&self, erasure: &Erasure) -> Result<Erasure, GalleryError> {
        let mut removed = ErasureCounts::default();
        removed.add(ErasurePlace::DeadLetters, self.drop_dead_letters().await?);
        if let (Some(queue), ErasureKind::Gallery) = (self.queue, erasure.kind) {
            // No worker takes what waits for the active profile of a gallery that is gone.
            let of = SubQueueOf::Gallery(erasure.gallery.clone());
            queue.remove(&SubQueue { lane: Lane::Enrol, of }).await?;
        }
        if let Some(chips) = self.chips {
            let contents = self.store.erased_contents(erasure.id).await?;
            removed.add(ErasurePlace::Chips, chips.remove(&contents).await?);
        }
        Ok(self.store.end_erasure(erasure.id, &removed).await?)
    }

    /// Deletes the dead letters of jobs that would end as erased.
    async fn drop_dead_letters(&self) -> Result<u64, GalleryError> {
        let Some(queue) = self.queue else { return Ok(0) };
        let erased = self.dead_letters(queue).await?;
        if erased.is_empty() {
            return Ok(0);
        }
        let jobs: BTreeSet<_> = erased.into_iter().map(|job| job.id).collect();
        let filter = DeadLetterFilter { jobs: Some(jobs), ..DeadLetterFilter::default() };
        Ok(queue.resolve_dead(&filter, false).await?)
    }

    /// The jobs of dead letters that would end as erased.
    pub(super) async fn dead_letters(
        &self,
        queue: &dyn JobQueue,
    ) -> Result<Vec<Job>, GalleryError> {
        let letters = queue.dead_letters(usize::MAX).await?;
        let jobs: Vec<Job> = letters.into_iter().filter_map(|letter| letter.job).collect();
        let erased = self.store.are_erased(&jobs).await?;
        Ok(jobs.into_iter().zip(erased).filter_map(|(job, erased)| erased.then_some(job)).collect())
    }
}
