//! The people of a gallery, as operators see and change them.

use async_trait::async_trait;

use super::StoreError;
use super::enrolments::StoredEnrolment;
use crate::domain::{
    GalleryName, ImageId, ImageUri, OperatorName, ProfileId, ReferenceRules, ReferenceState,
    SubjectName, UtcTime,
};

/// Which subjects [`Subjects::subjects`] returns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubjectQuery {
    /// The gallery.
    pub gallery: GalleryName,
    /// The name of the previous page's last subject; none for the first page.
    pub after: Option<SubjectName>,
    /// The most subjects to return.
    pub limit: u32,
}

/// A subject with its counts. `Debug` does not show the name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubjectSummary {
    /// Its name.
    pub name: SubjectName,
    /// When its first enrolment was decided.
    pub created_at: UtcTime,
    /// Active references.
    pub references: u64,
    /// Of these, the ones without a template under the gallery's active profile: searches do not
    /// find the subject by them.
    pub without_template: u64,
    /// References that are set aside.
    pub set_aside: u64,
    /// Images that were accepted.
    pub accepted: u64,
    /// Images that a person must decide about.
    pub review: u64,
    /// Images that were rejected.
    pub rejected: u64,
}

/// A reference of a subject.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredReference {
    /// Its image.
    pub image: ImageId,
    /// The URI of the image.
    pub uri: ImageUri,
    /// Whether it counts.
    pub state: ReferenceState,
    /// Since when.
    pub since: UtcTime,
    /// Whether it has a template under the gallery's active profile.
    pub has_template: bool,
}

/// A subject with all that is stored of it.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredSubject {
    /// Its name and counts.
    pub summary: SubjectSummary,
    /// Its references, the active ones first, then by image.
    pub references: Vec<StoredReference>,
    /// Its enrolments, the latest first.
    pub enrolments: Vec<StoredEnrolment>,
}

/// How two subjects are merged.
#[derive(Debug, Clone, PartialEq)]
pub struct SubjectMerge {
    /// The profile whose templates and qualities choose the references of the merged subject.
    pub profile: ProfileId,
    /// How many there may be.
    pub rules: ReferenceRules,
}

/// What [`Subjects::rename_subject`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renamed {
    /// The subject has the new name.
    Renamed,
    /// The subject is part of the one that had the new name.
    Merged,
    /// Nothing: there is no subject of the old name.
    Unknown,
    /// Nothing: there is a subject of the new name, and no merge was asked for.
    Taken,
    /// Nothing: a subject of the new name was erased from the gallery.
    Erased,
}

/// The people of a gallery. What an operator changes of a subject is changed, and noted for the
/// audit, in one transaction with the subject's row locked.
#[async_trait]
pub trait Subjects: Send + Sync {
    /// Subjects by name.
    ///
    /// # Errors
    /// If the store cannot be reached or used.
    async fn subjects(&self, query: &SubjectQuery) -> Result<Vec<SubjectSummary>, StoreError>;

    /// One subject.
    ///
    /// # Errors
    /// If the store cannot be reached or used.
    async fn subject(
        &self,
        gallery: &GalleryName,
        name: &SubjectName,
    ) -> Result<Option<StoredSubject>, StoreError>;

    /// Gives a subject another name: itself, its references and enrolments, and the label of the
    /// images that were enrolled for it. If there is a subject of that name already, nothing
    /// changes, or with `merge` both become one: references are chosen anew among the active ones
    /// of both, and of an image that both enrolled, the decision of `to` stays unless only the
    /// other is an acceptance. References that count again under the new name, because verdicts
    /// give it their images, are chosen by `rules` where there are too many; without rules, all of
    /// them count.
    ///
    /// # Errors
    /// If the store cannot be reached or used.
    async fn rename_subject(
        &self,
        gallery: &GalleryName,
        from: &SubjectName,
        to: &SubjectName,
        merge: Option<&SubjectMerge>,
        rules: Option<&ReferenceRules>,
        by: &OperatorName,
    ) -> Result<Renamed, StoreError>;

    /// Removes a subject with its references and enrolments, and its name from the images that were
    /// enrolled for it. The images and their results stay. References of others, whose images
    /// verdicts had given to it, count again; they are chosen by `rules` where these are too many.
    /// Returns what it was; none if there is no such subject.
    ///
    /// # Errors
    /// If the store cannot be reached or used.
    async fn remove_subject(
        &self,
        gallery: &GalleryName,
        name: &SubjectName,
        rules: Option<&ReferenceRules>,
        by: &OperatorName,
    ) -> Result<Option<SubjectSummary>, StoreError>;

    /// Sets a reference of a subject aside, or restores it. Restoring may give a subject more
    /// references than the rules allow; enrolments then replace, and add none. If its image was to
    /// be reviewed, this is the review: restored, it is accepted, and labelled with the subject;
    /// set aside by an operator, it is rejected. Whether the subject has such a reference.
    ///
    /// # Errors
    /// If the store cannot be reached or used.
    async fn set_reference(
        &self,
        gallery: &GalleryName,
        name: &SubjectName,
        image: ImageId,
        state: ReferenceState,
        by: &OperatorName,
    ) -> Result<bool, StoreError>;
}
