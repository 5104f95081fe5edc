//! Erasing an image, a person or a gallery wherever it is: in the store, among the dead letters, in
//! the chip cache. Whoever is interrupted begins again: the end is the same.

use std::collections::BTreeSet;

use super::GalleryError;
use crate::domain::{
    ContentHash, ErasedBefore, Erasure, ErasureCounts, ErasureKind, ErasurePlace, GalleryName, Job,
    Lane, SubQueue, SubQueueOf,
};
use crate::images::KeptChips;
use crate::queue::{DeadLetterFilter, JobQueue};
use crate::store::{Erasable, NewErasure, Store};

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
        let before = self.store.erasure_of(&new.gallery, &new.target).await?;
        let ended_before = before.is_some_and(|before| before.ended_at.is_some());
        let erasure = self.store.erase(new).await?;
        self.finish(&erasure, ended_before).await
    }

    /// Erases again what an erasure erased, in a store that was put back to an older state.
    ///
    /// # Errors
    /// As [`Self::erase`]. Nothing is done if the erasure
    /// [cannot](crate::store::Reapplying::can_reapply) be done again.
    pub async fn reapply(&self, before: &ErasedBefore) -> Result<Erasure, GalleryError> {
        let erasure = self.store.reapply(before).await?;
        self.finish(&erasure, true).await
    }

    /// Counts the entries of the chip cache among what would be removed.
    ///
    /// # Errors
    /// If the chip cache fails.
    pub async fn with_chips(&self, erasable: Erasable) -> Result<ErasureCounts, GalleryError> {
        let Erasable { mut counts, contents, .. } = erasable;
        if let Some(chips) = self.chips {
            counts.add(ErasurePlace::Chips, chips.count(&contents).await?);
        }
        Ok(counts)
    }

    /// Finishes the erasures that were interrupted; returns them.
    ///
    /// # Errors
    /// As [`Self::erase`].
    pub async fn resume(&self) -> Result<Vec<Erasure>, GalleryError> {
        let mut finished = Vec::new();
        for erasure in self.store.erasures().await? {
            if erasure.ended_at.is_none() {
                finished.push(self.finish(&erasure, false).await?);
            }
        }
        Ok(finished)
    }

    /// Does what is left of an erasure outside of the store. Jobs that others have taken end as
    /// erased, and their worker removes the chips that it kept of them. With `search_chips`, the
    /// chip cache is searched for what a worker could not remove, or what the store does not have.
    async fn finish(&self, erasure: &Erasure, search_chips: bool) -> Result<Erasure, GalleryError> {
        let mut removed = ErasureCounts::default();
        removed.add(ErasurePlace::DeadLetters, self.drop_dead_letters().await?);
        if let (Some(queue), ErasureKind::Gallery) = (self.queue, erasure.kind) {
            // No worker takes what waits for the active profile of a gallery that is gone.
            let of = SubQueueOf::Gallery(erasure.gallery.clone());
            queue.remove(&SubQueue { lane: Lane::Enrol, of }).await?;
        }
        if let Some(chips) = self.chips {
            let mut contents = self.store.erased_contents(erasure.id).await?;
            if search_chips {
                contents.extend(self.erased_chips(chips, &erasure.gallery).await?);
            }
            removed.add(ErasurePlace::Chips, chips.remove(&contents).await?);
        }
        Ok(self.store.end_erasure(erasure.id, &removed).await?)
    }

    /// The contents in the chip cache that were erased in a gallery, and that no other gallery has.
    pub(super) async fn erased_chips(
        &self,
        chips: &KeptChips,
        gallery: &GalleryName,
    ) -> Result<Vec<ContentHash>, GalleryError> {
        let contents = chips.contents().await?;
        let erased = self.store.erased_among(gallery, &contents).await?;
        let found = contents.into_iter().zip(erased);
        Ok(found.filter_map(|(content, erased)| erased.then_some(content)).collect())
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
