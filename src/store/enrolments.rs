//! Enrolments: their decisions, and the references that new faces are compared with.

use async_trait::async_trait;
use half::f16;

use super::StoreError;
use crate::domain::{
    CampaignId, Enrolment, GalleryName, ImageId, ImageUri, JobId, LabelledImage, ProfileId,
    SubjectName, Template, UtcTime,
};
use crate::matching::{MatchingError, TemplateIndex};

/// The decision about an image and a subject.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredEnrolment {
    /// The image.
    pub image: ImageId,
    /// Its URI.
    pub uri: ImageUri,
    /// The subject.
    pub subject: SubjectName,
    /// The job that asked last.
    pub job: JobId,
    /// The profile under which it was decided.
    pub profile: ProfileId,
    /// The decision.
    pub enrolment: Enrolment,
    /// When it was decided.
    pub decided_at: UtcTime,
}

/// An active reference with the template of its image's primary face. `Debug` shows neither the
/// subject's name nor the template.
#[derive(Debug, Clone, PartialEq)]
pub struct ReferenceTemplate {
    /// The subject that it stands for.
    pub subject: SubjectName,
    /// Its image.
    pub image: ImageId,
    /// Quality of the face, 0 to 100.
    pub quality: u8,
    /// The template.
    pub template: Template,
}

/// A face to compare with the references of all subjects but its own.
#[derive(Debug, Clone, PartialEq)]
pub struct LookAlikeProbe {
    /// Its subject.
    pub subject: SubjectName,
    /// Its template.
    pub template: Template,
}

/// The reference of another subject that is most similar to a face.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LookAlike {
    /// Its image.
    pub image: ImageId,
    /// Cosine of the two templates.
    pub similarity: f64,
}

/// The enrolments of a campaign, by decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EnrolmentCounts {
    /// Accepted images.
    pub accepted: u64,
    /// Of these, images that are active references now.
    pub references: u64,
    /// Accepted images that are no references, because a verdict excludes them or gives them to
    /// another subject.
    pub ruled_out: u64,
    /// Images that a person must decide about.
    pub review: u64,
    /// Rejected images.
    pub rejected: u64,
    /// Subjects of all these.
    pub subjects: u64,
    /// Subjects with an active reference, of these.
    pub enrolled_subjects: u64,
}

/// Which enrolments [`Enrolments::reviews`] returns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReviewQuery {
    /// The gallery.
    pub gallery: GalleryName,
    /// The image and the subject of the previous page's last enrolment; none for the first page.
    pub after: Option<(ImageId, SubjectName)>,
    /// The most enrolments to return.
    pub limit: u32,
}

/// Enrolments. They are decided in [`Results::record`](super::Results::record).
#[async_trait]
pub trait Enrolments: Send + Sync {
    /// The active references of a gallery, or of one subject, whose images have a primary face with
    /// a template under `profile`: also those of bytes that were superseded at their URI. By
    /// subject, then by image.
    ///
    /// # Errors
    /// If the store cannot be reached or used.
    async fn reference_templates(
        &self,
        gallery: &GalleryName,
        profile: &ProfileId,
        subject: Option<&SubjectName>,
    ) -> Result<Vec<ReferenceTemplate>, StoreError>;

    /// For each probe, the most similar one of the active references of other subjects, under
    /// `profile`. Exact.
    ///
    /// # Errors
    /// If the store cannot be reached or used.
    async fn look_alikes(
        &self,
        gallery: &GalleryName,
        profile: &ProfileId,
        probes: &[LookAlikeProbe],
    ) -> Result<Vec<Option<LookAlike>>, StoreError> {
        let references = self.reference_templates(gallery, profile, None).await?;
        most_alike(&references, probes)
    }

    /// Which of `images` were accepted for the subject that they name, with the bytes of a current
    /// result under `profile` whose primary face has a template.
    ///
    /// # Errors
    /// If the store cannot be reached or used.
    async fn accepted(
        &self,
        gallery: &GalleryName,
        profile: &ProfileId,
        images: &[LabelledImage],
    ) -> Result<Vec<bool>, StoreError>;

    /// The enrolments of these images, the latest first.
    ///
    /// # Errors
    /// If the store cannot be reached or used.
    async fn enrolments(&self, images: &[ImageId]) -> Result<Vec<StoredEnrolment>, StoreError>;

    /// The enrolments that a person has to review, by image, then by subject.
    ///
    /// # Errors
    /// If the store cannot be reached or used.
    async fn reviews(&self, query: &ReviewQuery) -> Result<Vec<StoredEnrolment>, StoreError>;

    /// What was decided for the jobs of a campaign, each counted once, whoever asked later. The
    /// decisions of removed subjects still count.
    ///
    /// # Errors
    /// If the store cannot be reached or used.
    async fn enrolment_counts(&self, campaign: CampaignId) -> Result<EnrolmentCounts, StoreError>;
}

/// For each probe, the most similar reference of another subject: a scan in memory.
fn most_alike(
    references: &[ReferenceTemplate],
    probes: &[LookAlikeProbe],
) -> Result<Vec<Option<LookAlike>>, StoreError> {
    let Some(dimension) = probes.first().map(|probe| probe.template.as_slice().len()) else {
        return Ok(Vec::new());
    };
    // Templates of one profile have one length; a damaged one may have another.
    let comparable = |each: &&ReferenceTemplate| each.template.as_slice().len() == dimension;
    let references: Vec<&ReferenceTemplate> = references.iter().filter(comparable).collect();
    let invalid = |error: MatchingError| StoreError::Corrupt(error.to_string());
    let keys: Vec<u64> = (0..references.len() as u64).collect();
    let halves: Vec<f16> = references.iter().flat_map(|each| each.template.to_halves()).collect();
    let mut index = TemplateIndex::new(dimension, references.len());
    index.extend(&keys, &halves).map_err(invalid)?;
    let of = |key: u64| references[key as usize];
    probes
        .iter()
        .map(|probe| {
            // References of the probe's own subject may be the most similar ones.
            let own = references.iter().filter(|each| each.subject == probe.subject).count();
            let templates = std::slice::from_ref(&probe.template);
            let found = index.nearest(templates, own + 1, -1.1, 1).map_err(invalid)?;
            let other = found.iter().flatten().find(|each| of(each.key).subject != probe.subject);
            Ok(other
                .map(|each| LookAlike { image: of(each.key).image, similarity: each.similarity }))
        })
        .collect()
}
