//! What people decide about the images of a gallery.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;

use super::StoreError;
use crate::domain::{
    Curated, CurationId, GalleryName, ImageId, ImageUri, OperatorName, ReferenceRules, SubjectName,
    UtcTime, Verdict, VerdictId, VerdictReason,
};

/// Verdicts that one person gives at once.
#[derive(Debug, Clone, PartialEq)]
pub struct NewCuration {
    /// The gallery.
    pub gallery: GalleryName,
    /// Who.
    pub by: OperatorName,
    /// Why.
    pub reason: Option<VerdictReason>,
    /// The images with their verdicts. An undo is about the image of the verdict that it undoes.
    pub verdicts: Vec<(ImageId, Verdict)>,
    /// Write all of them or nothing: a verdict that would change nothing is a refusal.
    pub exact: bool,
    /// Which references count again, where those that are back would be too many; none: all of
    /// them.
    pub rules: Option<ReferenceRules>,
}

/// What [`Curation::judge`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judged {
    /// The verdicts were written.
    Written {
        /// Their curation; none if there was nothing to write.
        curation: Option<CurationId>,
        /// How many.
        verdicts: u64,
        /// The images about which nothing was written, because it is so already.
        unchanged: Vec<ImageId>,
    },
    /// Nothing: the verdict about this image would change nothing, and all or none were wanted.
    Changed(ImageId),
    /// Nothing: the gallery has no such image.
    UnknownImage(ImageId),
    /// Nothing: the image has no such verdict, or it was undone.
    NoVerdict(VerdictId),
    /// Nothing: this subject was erased from the gallery, and no image is given to it.
    Erased(SubjectName),
}

/// Which verdicts [`Curation::verdicts`] returns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerdictQuery {
    /// The gallery.
    pub gallery: GalleryName,
    /// Only verdicts about this image.
    pub image: Option<ImageId>,
    /// Only verdicts of this curation.
    pub curation: Option<CurationId>,
    /// The previous page's last verdict; none for the first page.
    pub after: Option<VerdictId>,
    /// The most verdicts to return.
    pub limit: u32,
}

/// A verdict as it was given.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredVerdict {
    /// Its number.
    pub id: VerdictId,
    /// The curation that it belongs to.
    pub curation: CurationId,
    /// The image.
    pub image: ImageId,
    /// The URI of the image.
    pub uri: ImageUri,
    /// The verdict.
    pub verdict: Verdict,
    /// Who gave it.
    pub by: OperatorName,
    /// Why.
    pub reason: Option<VerdictReason>,
    /// When.
    pub at: UtcTime,
    /// The undo that took it back.
    pub undone_by: Option<VerdictId>,
}

/// Verdicts about images. They are only ever added; what they say of an image is applied in the
/// same transaction.
#[async_trait]
pub trait Curation: Send + Sync {
    /// Adds verdicts. Those that would change nothing are left out. An excluded image has no active
    /// reference; what it had is active again once it is not excluded. The same holds for the
    /// references of other subjects than the one that an image is reassigned to. A reference that
    /// is back where its subject has as many as it may have is chosen as if it were new.
    ///
    /// # Errors
    /// If the store cannot be reached or used.
    async fn judge(&self, new: &NewCuration) -> Result<Judged, StoreError>;

    /// Verdicts, the latest first.
    ///
    /// # Errors
    /// If the store cannot be reached or used.
    async fn verdicts(&self, query: &VerdictQuery) -> Result<Vec<StoredVerdict>, StoreError>;

    /// The images of a gallery about which verdicts are in force.
    ///
    /// # Errors
    /// If the store cannot be reached or used.
    async fn curated(
        &self,
        gallery: &GalleryName,
    ) -> Result<BTreeMap<ImageId, Curated>, StoreError>;

    /// The names of the people of a gallery: who was enrolled, and whom jobs and verdicts name.
    ///
    /// # Errors
    /// If the store cannot be reached or used.
    async fn people(&self, gallery: &GalleryName) -> Result<BTreeSet<SubjectName>, StoreError>;
}
