//! What people decided about images.

use serde::Serialize;

use super::image::ImageNames;
use crate::domain::{
    CampaignId, CurationId, GalleryName, ImageId, ProfileId, SubjectName, UtcTime, Verdict,
    VerdictId, VerdictReason,
};
use crate::store::{StoredFace, StoredImage, StoredVerdict};

/// A line of `curate log --json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct VerdictView {
    /// The verdict's number.
    pub verdict_id: VerdictId,
    /// The number of the curation that it belongs to.
    pub curation_id: CurationId,
    /// The image's URI.
    pub uri: String,
    /// The image for people.
    pub image: String,
    /// The id of the stored image.
    pub image_id: ImageId,
    /// `exclude`, `restore`, `keep`, `reassign`, `not_the_same`, `gone`, `moved`, `found` or
    /// `undo`.
    pub verdict: &'static str,
    /// The subject that the image was reassigned to.
    pub subject: Option<SubjectName>,
    /// The image that it is not the same as; of `moved`, the one that is at its place now.
    pub other_image_id: Option<ImageId>,
    /// The verdict that it undid.
    pub undoes: Option<VerdictId>,
    /// Who decided.
    pub by: String,
    /// Why.
    pub reason: Option<VerdictReason>,
    /// When, RFC 3339, UTC, with milliseconds.
    pub decided_at: UtcTime,
    /// The undo that took it back; null if it is in force.
    pub undone_by: Option<VerdictId>,
}

impl From<&StoredVerdict> for VerdictView {
    fn from(stored: &StoredVerdict) -> Self {
        let (mut subject, mut other_image_id, mut undoes) = (None, None, None);
        match &stored.verdict {
            Verdict::Reassign(to) => subject = Some(to.clone()),
            Verdict::NotTheSame(other) | Verdict::Moved(other) => other_image_id = Some(*other),
            Verdict::Undo(of) => undoes = Some(*of),
            Verdict::Exclude
            | Verdict::Restore
            | Verdict::Keep
            | Verdict::Gone
            | Verdict::Found => {}
        }
        let ImageNames { uri, image } = ImageNames::from(&stored.uri);
        Self {
            verdict_id: stored.id,
            curation_id: stored.curation,
            uri: uri.unwrap_or_default(),
            image,
            image_id: stored.image,
            verdict: stored.verdict.as_str(),
            subject,
            other_image_id,
            undoes,
            by: stored.by.to_string(),
            reason: stored.reason.clone(),
            decided_at: stored.at,
            undone_by: stored.undone_by,
        }
    }
}

/// What `curate exclude`, `restore`, `keep`, `reassign`, `not-the-same` and `undo`, and `--apply`
/// print with `--json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct CurationResultView {
    /// The gallery.
    pub gallery: GalleryName,
    /// The number of the curation; null if there was nothing to write.
    pub curation_id: Option<CurationId>,
    /// Verdicts that were written.
    pub verdicts: u64,
    /// Images about which nothing was written, because it is so already.
    pub unchanged_image_ids: Vec<ImageId>,
    /// Of `reassign`: the subject, if nobody in the gallery had this name; null otherwise.
    pub new_subject: Option<NewSubjectView>,
}

impl CurationResultView {
    /// A result without unchanged images and without a new subject.
    pub fn written(gallery: GalleryName, curation_id: Option<CurationId>, verdicts: u64) -> Self {
        let (unchanged_image_ids, new_subject) = Default::default();
        Self { gallery, curation_id, verdicts, unchanged_image_ids, new_subject }
    }
}

/// A name that nobody in the gallery had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct NewSubjectView {
    /// The name.
    pub subject: SubjectName,
    /// Names of the gallery that differ from it by a letter, or by upper and lower case.
    pub similar_subjects: Vec<SubjectName>,
}

/// An image of a suggestion.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct CuratedImageView {
    /// The image's URI.
    pub uri: String,
    /// The image for people.
    pub image: String,
    /// The id of the stored image.
    pub image_id: ImageId,
    /// Whom it shows.
    pub subject: Option<SubjectName>,
    /// The quality of its primary face, 0 to 100.
    pub quality: Option<u8>,
    /// Width, pixels.
    pub width: Option<u32>,
    /// Height, pixels.
    pub height: Option<u32>,
}

impl From<(&StoredImage, &StoredFace)> for CuratedImageView {
    fn from((image, face): (&StoredImage, &StoredFace)) -> Self {
        let names = ImageNames::from(&image.image);
        Self {
            uri: names.uri.unwrap_or_default(),
            image: names.image,
            image_id: image.id,
            subject: image.subject.clone(),
            quality: face.quality,
            width: image.size.map(|(width, _)| width),
            height: image.size.map(|(_, height)| height),
        }
    }
}

/// A line of a view of `curate --json`: an image, why it is shown, and what is suggested.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct SuggestionView {
    /// The image.
    #[serde(flatten)]
    pub image: CuratedImageView,
    /// The image that it is compared with; of `missing`, a copy that may have been there before.
    pub other: Option<CuratedImageView>,
    /// `low_quality`, `same_bytes`, `same_picture`, `unlike`, `one_person`, `best`, `missing`
    /// or `moved`: `other` has the bytes, in a new place.
    pub evidence: &'static str,
    /// `same_picture` and `one_person`: the similarity of the two images. `unlike`: that with the
    /// mean of its subject's other images.
    pub similarity: Option<f64>,
    /// `unlike`: the similarity with the mean of the other image's subject. `one_person`: of the
    /// means of both subjects.
    pub subject_similarity: Option<f64>,
    /// Images of its subject, with this one. Not of `same_bytes` and `same_picture`.
    pub subject_images: Option<u64>,
    /// `one_person`: images of the other subject.
    pub other_subject_images: Option<u64>,
    /// `low_quality`: the best quality among its subject's other images; null if it has none.
    pub best_quality: Option<u8>,
    /// `low_quality`: the subject for whom its enrolment has to be reviewed; null if it has a
    /// subject, or nothing is to review.
    pub review_subject: Option<SubjectName>,
    /// `missing` and `moved`: when a complete listing of its source did not bring it, RFC 3339.
    pub missing_since: Option<UtcTime>,
    /// `missing` and `moved`: the campaign of that listing.
    pub missing_in_campaign: Option<CampaignId>,
    /// `exclude`, `reassign`, `keep`, `gone` or `moved`; null if a person must look.
    pub suggestion: Option<&'static str>,
    /// The subject to reassign to.
    pub subject_suggested: Option<SubjectName>,
    /// The images that the suggestion is for.
    pub image_ids: Vec<ImageId>,
}

/// The last line of a view of `curate --json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct PreviewLine {
    /// The gallery.
    pub gallery: GalleryName,
    /// Its active profile.
    pub profile: ProfileId,
    /// `lowest`, `duplicates`, `outliers`, `collisions`, `best` or `gone`.
    pub view: &'static str,
    /// The name of the preview, for `--apply`.
    pub preview: String,
    /// Lines before this one.
    pub suggestions: u64,
    /// Verdicts that `--apply` gives.
    pub verdicts: u64,
}
