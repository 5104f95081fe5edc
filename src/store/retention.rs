//! Removing what a gallery keeps only for so many days.

use async_trait::async_trait;

use super::StoreError;
use crate::domain::{
    ContentHash, GalleryName, Job, LabelledImage, OperatorName, RetentionCounts, RetentionId,
    RetentionRule, RetentionRun, UtcTime,
};

/// A page of what is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetentionQuery {
    /// The gallery.
    pub gallery: GalleryName,
    /// By which rule.
    pub rule: RetentionRule,
    /// What is older is due.
    pub before: UtcTime,
    /// Where the previous page ended; 0 for the first page.
    pub after: i64,
}

/// What of a page is due, or was removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DuePage {
    /// How much.
    pub counts: RetentionCounts,
    /// Where the page ends; none if it is the last one.
    pub next: Option<i64>,
}

/// The bytes of a removed image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RemovedContent {
    /// Their hash.
    pub hash: ContentHash,
    /// Whether another image of the store has them.
    pub in_use: bool,
}

/// Retention: what nobody needs any more is removed after a time.
///
/// By [`RetentionRule::Images`], images are due that have no label of a subject, no reference and
/// no decision, and whose latest result is older. By [`RetentionRule::Rejected`], rejected
/// decisions that are older, with their image if nothing else ties it to a subject. By
/// [`RetentionRule::Verdicts`], verdicts that decide nothing any more: those that were undone, and
/// those that later ones overrule, if they and what undid or overrules them are older. What holds
/// for an image by its verdicts stays the same.
///
/// A removed image is gone with all that hangs on it, and leaves a keyed hash: jobs that name no
/// subject do not bring it back and end as erased. A job that names one does, and the hash is
/// deleted. Other bytes at its URI are another image.
#[async_trait]
pub trait Retention: Send + Sync {
    /// What is due. Changes nothing.
    ///
    /// # Errors
    /// If the store cannot be reached or used.
    async fn due(&self, query: &RetentionQuery) -> Result<DuePage, StoreError>;

    /// Removes what of a page is still due, in one transaction that waits for those that record,
    /// and adds it to the counts of a run.
    ///
    /// # Errors
    /// If the store cannot be reached or used, or, on Postgres, the role does not own the schema.
    async fn remove_due(
        &self,
        run: RetentionId,
        query: &RetentionQuery,
    ) -> Result<DuePage, StoreError>;

    /// Whether this process may remove: on Postgres, a worker's role may not.
    ///
    /// # Errors
    /// If the store cannot be reached or used.
    async fn may_remove(&self) -> Result<bool, StoreError>;

    /// Notes that somebody begins to remove what is due in a gallery.
    ///
    /// # Errors
    /// As [`Self::remove_due`].
    async fn begin_retention(
        &self,
        gallery: &GalleryName,
        by: &OperatorName,
    ) -> Result<RetentionId, StoreError>;

    /// Notes that a run has ended, and adds what was removed outside of the store to its counts.
    ///
    /// # Errors
    /// If the store cannot be reached or used, or has no such run.
    async fn end_retention(
        &self,
        run: RetentionId,
        removed: RetentionCounts,
    ) -> Result<RetentionRun, StoreError>;

    /// All runs, the latest first.
    ///
    /// # Errors
    /// If the store cannot be reached or used.
    async fn retentions(&self) -> Result<Vec<RetentionRun>, StoreError>;
}

/// Images that retention removed.
#[async_trait]
pub trait RemovedImages: Send + Sync {
    /// Which of these listed versions were removed, and are not stored again: a listing need not
    /// publish them.
    ///
    /// # Errors
    /// If the store cannot be reached or used.
    async fn were_removed(
        &self,
        gallery: &GalleryName,
        images: &[LabelledImage],
    ) -> Result<Vec<bool>, StoreError>;

    /// Whether a job whose image has this content would end as erased if it were recorded now: it
    /// need not be analysed. None if nothing was ever erased or removed in this store.
    ///
    /// # Errors
    /// If the store cannot be reached or used.
    async fn ends_erased(
        &self,
        job: &Job,
        content: ContentHash,
    ) -> Result<Option<bool>, StoreError>;

    /// The contents of removed images that may still be in the chip cache.
    ///
    /// # Errors
    /// If the store cannot be reached or used.
    async fn removed_contents(&self) -> Result<Vec<RemovedContent>, StoreError>;

    /// Forgets contents that the chip cache does not have any more.
    ///
    /// # Errors
    /// If the store cannot be reached or used.
    async fn forget_removed(&self, contents: &[RemovedContent]) -> Result<(), StoreError>;
}
