//! Erasing images, people and galleries so that nothing brings them back.

use async_trait::async_trait;

use super::StoreError;
use crate::domain::{
    ContentHash, Erasure, ErasureCounts, ErasureId, ErasureTarget, GalleryName, Job, OperatorName,
    TakenImage,
};

/// What is to be erased.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewErasure {
    /// The gallery.
    pub gallery: GalleryName,
    /// What of it.
    pub target: ErasureTarget,
    /// Who does it.
    pub by: OperatorName,
}

/// What an erasure would remove.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Erasable {
    /// Rows, by place.
    pub counts: ErasureCounts,
    /// The contents of the images.
    pub contents: Vec<ContentHash>,
    /// The images, if an image is to be erased.
    pub images: Vec<TakenImage>,
}

/// Erasing.
///
/// An erasure leaves a **tombstone** of each gallery, subject, URI and content that it erased: a
/// hash with a key that is this store's own. Jobs that match a tombstone end as erased
/// ([`Results::record`](super::Results::record)).
///
/// A whole erasure is [`Self::erase`], what the queue and the chip cache need
/// ([`Self::are_erased`], [`Self::erased_contents`]), [`Self::end_erasure`], [`Self::rewrite`].
/// Whoever is interrupted does all of it again: the effect is the same.
#[async_trait]
pub trait Erasures: Send + Sync {
    /// What [`Self::erase`] would remove now. Changes nothing.
    ///
    /// # Errors
    /// As [`Self::erase`].
    async fn erasable(&self, new: &NewErasure) -> Result<Erasable, StoreError>;

    /// Erases everything that the store has of a target, and leaves tombstones, in one transaction
    /// that waits for those that record. Of a subject, images that another subject has too stay.
    /// Campaigns of an erased gallery are cancelled. A target that the store does not know gets its
    /// tombstone all the same: jobs on their way may name it.
    ///
    /// # Errors
    /// If the store cannot be reached or used, or, on Postgres, the role does not own the schema.
    async fn erase(&self, new: &NewErasure) -> Result<Erasure, StoreError>;

    /// Which of `jobs` would end as erased, as far as their gallery, subject, URI and expected hash
    /// tell.
    ///
    /// # Errors
    /// If the store cannot be reached or used.
    async fn are_erased(&self, jobs: &[Job]) -> Result<Vec<bool>, StoreError>;

    /// The contents of images that an erasure removed, while it has not ended.
    ///
    /// # Errors
    /// If the store cannot be reached or used.
    async fn erased_contents(&self, id: ErasureId) -> Result<Vec<ContentHash>, StoreError>;

    /// Notes that an erasure has ended, forgets its contents, and adds what was removed outside of
    /// the store to its counts.
    ///
    /// # Errors
    /// If the store cannot be reached or used, or has no such erasure.
    async fn end_erasure(
        &self,
        id: ErasureId,
        removed: &ErasureCounts,
    ) -> Result<Erasure, StoreError>;

    /// All erasures, the latest first.
    ///
    /// # Errors
    /// If the store cannot be reached or used.
    async fn erasures(&self) -> Result<Vec<Erasure>, StoreError>;

    /// Writes the files of the store anew, without what was deleted. Nobody can record meanwhile.
    /// It takes as long as copying the store.
    ///
    /// # Errors
    /// If the store cannot be reached or used, or others use it for too long.
    async fn rewrite(&self) -> Result<(), StoreError>;
}
