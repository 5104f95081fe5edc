//! What a search found.

use serde::Serialize;

use super::face::FaceView;
use super::image::ImageView;
use crate::domain::{GalleryName, ProfileId};
use crate::store::{StoredFace, StoredImage};

/// The candidates for one image: a line of `search --json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct SearchView {
    /// The gallery that was searched.
    pub gallery: GalleryName,
    /// The profile of the results that were searched. Its templates can be compared with those of
    /// the probe's profile.
    pub profile: ProfileId,
    /// The number of faces that were searched: all that the gallery has under this profile.
    pub searched: u64,
    /// The image whose primary face was searched with.
    pub probe: ImageView,
    /// The most similar faces, the most similar first; null if the probe has no face to search
    /// with.
    pub candidates: Option<Vec<CandidateView>>,
}

/// A face that is similar to the probe.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct CandidateView {
    /// 1 for the most similar one.
    pub rank: u32,
    /// Cosine of the two templates, -1 to 1.
    pub similarity: f64,
    /// The face.
    pub face: FaceView,
    /// The image that it is in, without its faces.
    pub image: ImageView,
}

impl CandidateView {
    /// A face of `image`, which is stored in `gallery` under `profile`.
    pub fn new(
        rank: u32,
        similarity: f64,
        face: StoredFace,
        image: StoredImage,
        (gallery, profile): (GalleryName, ProfileId),
    ) -> Self {
        let image = ImageView::stored(image, gallery, profile, false);
        let (face, image) = (FaceView::stored(face, false), ImageView { faces: None, ..image });
        Self { rank, similarity, face, image }
    }
}
