//! Whether an image shows a person.

use serde::Serialize;

use super::image::{ImageNames, ImageView};
use super::threshold::{FmrView, ThresholdsView};
use crate::domain::{GalleryName, ImageId, ImageUri, ProfileId, SubjectName};

/// A line of `verify --json`: an image and the person that it is compared with.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct VerifyView {
    /// The gallery.
    pub gallery: GalleryName,
    /// The profile of the references.
    pub profile: ProfileId,
    /// Whom the image was compared with.
    pub subject: SubjectName,
    /// References that it was compared with.
    pub references: u64,
    /// What a match must exceed; null if that is not known.
    pub threshold: Option<f64>,
    /// The false match rate of that threshold; null if it is not known or was set in another way.
    pub threshold_fmr: Option<f64>,
    /// Whether the image matches the subject. Null if no threshold is known, or the image has no
    /// face to compare.
    pub matches: Option<bool>,
    /// Cosine of the templates of the image and of the most similar reference, -1 to 1; null if the
    /// image has no face to compare.
    pub similarity: Option<f64>,
    /// The false match rate of this similarity, of one comparison; null if no threshold is known.
    pub fmr: Option<FmrView>,
    /// The most similar reference; null if the image has no face to compare.
    pub reference: Option<BestReferenceView>,
    /// Which thresholds the rates come from; null if none are known for this profile.
    pub thresholds: Option<ThresholdsView>,
    /// The image whose primary face was compared.
    pub probe: ImageView,
}

/// The reference that is most similar to an image.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct BestReferenceView {
    /// The image's URI; null if the reference was added a moment ago.
    pub uri: Option<String>,
    /// The image for people.
    pub image: String,
    /// The id of the stored image.
    pub image_id: ImageId,
    /// Quality of its face, 0 to 100.
    pub quality: u8,
}

impl BestReferenceView {
    /// The reference `image` with this URI and quality.
    pub fn new(image_id: ImageId, uri: Option<&ImageUri>, quality: u8) -> Self {
        let names = uri.map(ImageNames::from);
        let (uri, image) = names.map_or((None, None), |names| (names.uri, Some(names.image)));
        let image = image.unwrap_or_else(|| format!("image {image_id}"));
        Self { uri, image, image_id, quality }
    }
}
