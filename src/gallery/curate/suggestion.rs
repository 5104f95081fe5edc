//! What a view of a gallery shows: images with the evidence and a suggestion.

use crate::domain::{CampaignId, ImageId, SubjectName, UtcTime, Verdict};
use crate::store::{StoredFace, StoredImage};
use crate::view::curation::{CuratedImageView, SuggestionView};

/// What is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CurateView {
    /// Images of the lowest quality.
    Lowest,
    /// The same picture twice.
    Duplicates,
    /// Images unlike the others of their subject.
    Outliers,
    /// One person under two subjects.
    Collisions,
    /// The best image of each subject.
    Best,
    /// Images that are gone from their source.
    Gone,
}

impl CurateView {
    /// Every view.
    pub const ALL: [Self; 6] =
        [Self::Lowest, Self::Duplicates, Self::Outliers, Self::Collisions, Self::Best, Self::Gone];

    /// The command's name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lowest => "lowest",
            Self::Duplicates => "duplicates",
            Self::Outliers => "outliers",
            Self::Collisions => "collisions",
            Self::Best => "best",
            Self::Gone => "gone",
        }
    }
}

/// An image that is shown, with its primary face.
#[derive(Debug, Clone, PartialEq)]
pub struct ShownImage {
    /// The image, without faces.
    pub image: StoredImage,
    /// Its primary face, without its template.
    pub face: StoredFace,
}

/// Why an image is shown.
#[derive(Debug, Clone, PartialEq)]
pub enum Evidence {
    /// Its quality is low.
    LowQuality {
        /// The best quality among its subject's other images; none if there are none.
        best: Option<u8>,
        /// The images of its subject, with this one; none if it has no subject.
        images: Option<usize>,
        /// The subject for whom its enrolment has to be reviewed, if it has no subject.
        review: Option<SubjectName>,
    },
    /// It has the bytes of the other image.
    SameBytes,
    /// It is nearly the same picture as the other image: the similarity of the two templates.
    SamePicture(f64),
    /// It is unlike its subject's other images, of which there are so many.
    Unlike {
        /// Similarity to the mean of those.
        own: f64,
        /// Their number.
        others: usize,
        /// The similarity to the mean of the subject of the other image, which it is most like.
        other: Option<f64>,
    },
    /// Its subject and that of the other image look like one person.
    OnePerson {
        /// The similarity of the means of their images.
        similarity: f64,
        /// The similarity of the two images, the most similar ones.
        images: f64,
        /// The numbers of images of both.
        counts: (usize, usize),
    },
    /// It is the best of so many images of its subject.
    BestOf(usize),
    /// A complete listing of its source did not bring it.
    Missing {
        /// When.
        since: UtcTime,
        /// The campaign that listed.
        campaign: CampaignId,
        /// The other image has its bytes, in a new place.
        moved: bool,
        /// The other image has its bytes, and may have had them when this one was there.
        copied: bool,
    },
}

/// A row of a view.
#[derive(Debug, Clone, PartialEq)]
pub struct Suggestion {
    /// The image that it is about.
    pub image: ShownImage,
    /// The image that it is compared with.
    pub other: Option<ShownImage>,
    /// Why.
    pub evidence: Evidence,
    /// What is suggested for the image; none if a person must look.
    pub verdict: Option<Verdict>,
    /// The images that the verdict is for: nearly always the image alone.
    pub images: Vec<ImageId>,
}

impl Suggestion {
    /// The verdicts that follow it.
    pub fn verdicts(&self) -> impl Iterator<Item = (ImageId, Verdict)> {
        let each = |image: &ImageId| self.verdict.clone().map(|verdict| (*image, verdict));
        self.images.iter().filter_map(each)
    }

    /// The subject that is suggested.
    pub fn subject(&self) -> Option<&SubjectName> {
        match &self.verdict {
            Some(Verdict::Reassign(subject)) => Some(subject),
            _ => None,
        }
    }
}

impl ShownImage {
    fn view(&self) -> CuratedImageView {
        CuratedImageView::from((&self.image, &self.face))
    }
}

impl From<&Suggestion> for SuggestionView {
    fn from(suggestion: &Suggestion) -> Self {
        let mut view = Self {
            image: suggestion.image.view(),
            other: suggestion.other.as_ref().map(ShownImage::view),
            evidence: "",
            similarity: None,
            subject_similarity: None,
            subject_images: None,
            other_subject_images: None,
            best_quality: None,
            review_subject: None,
            suggestion: suggestion.verdict.as_ref().map(Verdict::as_str),
            missing_since: None,
            missing_in_campaign: None,
            subject_suggested: suggestion.subject().cloned(),
            image_ids: suggestion.images.clone(),
        };
        let count = |images: usize| Some(images as u64);
        match &suggestion.evidence {
            Evidence::LowQuality { best, images, review } => {
                view.evidence = "low_quality";
                (view.best_quality, view.subject_images) = (*best, images.and_then(count));
                view.review_subject.clone_from(review);
            }
            Evidence::SameBytes => (view.evidence, view.similarity) = ("same_bytes", Some(1.0)),
            Evidence::SamePicture(similarity) => {
                (view.evidence, view.similarity) = ("same_picture", Some(*similarity));
            }
            Evidence::Unlike { own, others, other } => {
                view.evidence = "unlike";
                (view.similarity, view.subject_similarity) = (Some(*own), *other);
                view.subject_images = count(others + 1);
            }
            Evidence::OnePerson { similarity, images, counts: (few, many) } => {
                view.evidence = "one_person";
                (view.similarity, view.subject_similarity) = (Some(*images), Some(*similarity));
                (view.subject_images, view.other_subject_images) = (count(*few), count(*many));
            }
            Evidence::BestOf(images) => {
                (view.evidence, view.subject_images) = ("best", count(*images));
            }
            Evidence::Missing { since, campaign, moved, .. } => {
                view.evidence = if *moved { "moved" } else { "missing" };
                (view.missing_since, view.missing_in_campaign) = (Some(*since), Some(*campaign));
            }
        }
        view
    }
}
