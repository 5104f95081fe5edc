//! What a search found.

use serde::Serialize;

use super::face::FaceView;
use super::image::ImageView;
use super::threshold::{FmrView, ThresholdsView};
use crate::domain::{GalleryName, ProfileId, SimilarityFmr, SubjectName};
use crate::store::{Searched, StoredFace, StoredImage};

/// The candidates for one image: a line of `search --json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct SearchView {
    /// The gallery that was searched.
    pub gallery: GalleryName,
    /// The profile of the results that were searched. Its templates can be compared with those of
    /// the probe's profile.
    pub profile: ProfileId,
    /// What was searched.
    pub by: SearchedView,
    /// The number of faces, or references, that were searched: all that the gallery has under this
    /// profile.
    pub searched: u64,
    /// The number of subjects that were searched; null if faces were.
    pub subjects: Option<u64>,
    /// How similar a candidate must be; null if that was not limited.
    pub least: Option<LeastView>,
    /// Which thresholds the false match rates come from; null if none are known for this profile.
    pub thresholds: Option<ThresholdsView>,
    /// The image whose primary face was searched with, or the face of the gallery.
    pub probe: ImageView,
    /// The most similar faces, or subjects, the most similar first; null if the probe has no face
    /// to search with.
    pub candidates: Option<Vec<CandidateView>>,
}

/// What a search finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum SearchedView {
    /// Faces of the gallery.
    Face,
    /// Subjects, each by its best reference.
    Subject,
}

impl From<Searched> for SearchedView {
    fn from(searched: Searched) -> Self {
        match searched {
            Searched::Faces => Self::Face,
            Searched::References => Self::Subject,
        }
    }
}

/// How similar a candidate must be.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct LeastView {
    /// The least similarity. With `fmr` or `fpir`, a candidate must exceed it.
    pub similarity: f64,
    /// The false match rate that it was set by; null if it was set in another way.
    pub fmr: Option<f64>,
    /// The false positive identification rate that it was set by: of searches for somebody who is
    /// not in the gallery, the share with a candidate. Null if it was set in another way.
    pub fpir: Option<f64>,
}

/// A face that is similar to the probe: that of a subject's best reference, or one of the gallery.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct CandidateView {
    /// 1 for the most similar one.
    pub rank: u32,
    /// The subject; of a face, the one that a job named, or null.
    pub subject: Option<SubjectName>,
    /// Cosine of the two templates, -1 to 1.
    pub similarity: f64,
    /// The false match rate of this similarity; null if no threshold is known.
    pub fmr: Option<FmrView>,
    /// The face.
    pub face: FaceView,
    /// The image that it is in, without its faces.
    pub image: ImageView,
}

impl CandidateView {
    /// A face of `image`, which is stored in `gallery` under `profile`.
    pub fn new(
        (rank, subject): (u32, Option<SubjectName>),
        (similarity, fmr): (f64, Option<SimilarityFmr>),
        face: StoredFace,
        image: StoredImage,
        (gallery, profile): (GalleryName, ProfileId),
    ) -> Self {
        let image = ImageView::stored(image, gallery, profile, false);
        let (face, image) = (FaceView::stored(face, false), ImageView { faces: None, ..image });
        Self { rank, subject, similarity, fmr: fmr.map(FmrView::from), face, image }
    }
}
