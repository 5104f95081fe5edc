//! What `search` searches with: images, and faces of the gallery.

use std::ffi::OsString;

use anyhow::{Result, anyhow};
use image::ImageFormat;

use crate::cli::compare::{primary_face, view};
use crate::domain::{Chip, FaceId, GalleryName, ProfileId};
use crate::gallery::search::{GalleryFace, GallerySearch, SearchedFace};
use crate::images::{ImageToRead, NamedPlace};
use crate::report::Thumbnails;
use crate::store::StoredFace;
use crate::view::image::ImageView;
use crate::vision::encode_chip;
use crate::worker::Processor;
use crate::worker::analysis::Analysis;

/// A probe as a user names it.
#[derive(Debug, Clone)]
pub(super) enum ProbeName {
    Image(NamedPlace),
    Face(FaceId),
}

impl TryFrom<OsString> for ProbeName {
    type Error = <NamedPlace as TryFrom<OsString>>::Error;

    fn try_from(text: OsString) -> Result<Self, Self::Error> {
        match text.to_str().and_then(|text| text.parse().ok()) {
            Some(id) => Ok(Self::Face(id)),
            None => NamedPlace::try_from(text).map(Self::Image),
        }
    }
}

impl ProbeName {
    pub(super) fn image(&self) -> Option<&NamedPlace> {
        match self {
            Self::Image(image) => Some(image),
            Self::Face(_) => None,
        }
    }
}

/// Where the picture of a probe comes from.
enum PictureSource {
    /// The chip of the image; none if it has no face.
    Chip(Option<Chip>),
    /// The image of this face.
    Stored(Box<StoredFace>),
}

/// An image or a face to search with.
pub(super) struct Probe {
    /// For people.
    pub(super) name: String,
    /// The image with the face alone.
    pub(super) view: ImageView,
    source: PictureSource,
    /// What to search with, or why there is nothing.
    pub(super) face: Result<SearchedFace, String>,
}

impl Probe {
    /// The primary face of an image.
    pub(super) fn analysed(image: &ImageToRead, analysis: &Analysis, of: &Processor) -> Self {
        let face = primary_face(image, analysis)
            .map(|found| SearchedFace { template: found.template.clone(), stored: None });
        Self {
            name: image.name.clone(),
            view: view(image, analysis, of),
            source: PictureSource::Chip(analysis.chips.first().cloned().flatten()),
            face: face.map_err(|reason| reason.to_string()),
        }
    }

    /// A face of the gallery that is searched.
    ///
    /// # Errors
    /// If the gallery has no such face.
    pub(super) async fn stored(
        id: FaceId,
        search: &mut GallerySearch<'_>,
        (gallery, profile): (&GalleryName, &ProfileId),
    ) -> Result<Self> {
        let found = search.face(id).await?.ok_or_else(|| {
            anyhow!(
                "gallery {gallery} has no face {id} with a template under profile {profile}; \
                 `facefleet show` and exports print the ids"
            )
        })?;
        let GalleryFace { mut image, face, searched } = found;
        image.faces = vec![face.clone()];
        Ok(Self {
            name: format!("{} face {id}", image.image.for_people()),
            view: ImageView::stored(image, gallery.clone(), profile.clone(), false),
            source: PictureSource::Stored(Box::new(face)),
            face: Ok(searched),
        })
    }

    /// The face as PNG or JPEG; that of a stored face comes from `thumbnails`.
    pub(super) async fn picture(&self, thumbnails: &dyn Thumbnails) -> Option<Vec<u8>> {
        match &self.source {
            PictureSource::Chip(chip) => encode_chip(chip.as_ref()?, ImageFormat::Png).ok(),
            PictureSource::Stored(face) => thumbnails.thumbnail(face).await,
        }
    }

    /// The quality of the face; 0 if there is none.
    pub(super) fn quality(&self) -> u8 {
        let face = self.view.faces.iter().flatten().next();
        face.and_then(|face| face.quality).unwrap_or_default()
    }
}
