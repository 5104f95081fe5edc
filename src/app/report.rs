//! The report of a gallery, with the chips of its faces.

use anyhow::{Context, Result};
use async_trait::async_trait;
use image::ImageFormat;

use super::App;
use crate::domain::{ContentHash, GalleryName, ProfileId};
use crate::images::{ImageSource, Root, Sources};
use crate::report::{self, NoThumbnails, ReportOptions, Thumbnails};
use crate::store::{Store, StoredFace};
use crate::vision::{Picture, PixelLimits, encode_chip};

impl App {
    /// The report of `gallery` under `profile`, as HTML; with `faces`, with their chips.
    ///
    /// # Errors
    /// If the store fails, or a setting cannot be used.
    pub async fn report(
        &self,
        store: &dyn Store,
        gallery: &GalleryName,
        profile: &ProfileId,
        options: ReportOptions,
        faces: bool,
    ) -> Result<String> {
        let thumbnails: Box<dyn Thumbnails> =
            if faces { Box::new(Chips::new(self)?) } else { Box::new(NoThumbnails) };
        let settings = &self.settings;
        let shown = [
            ("store".to_owned(), settings.store.url.to_string()),
            ("faces wanted".to_owned(), settings.selection().to_string()),
            (
                "largest image".to_owned(),
                format!(
                    "{} pixels, {} bytes",
                    settings.limits.max_pixels, settings.limits.max_bytes
                ),
            ),
        ];
        let thumbnails = thumbnails.as_ref();
        let report = report::collect(store, gallery, profile, thumbnails, &shown, options).await?;
        report.html().context("Failed to render the report")
    }
}

/// The chips of faces, cut again from images whose content has not changed since they were scored.
pub struct Chips {
    source: Sources,
    limits: PixelLimits,
}

impl Chips {
    /// Of these settings.
    ///
    /// # Errors
    /// If a setting cannot be used.
    pub fn new(app: &App) -> Result<Self> {
        // Any local file may be read: an earlier scan was allowed to read it, and the content hash
        // shows that it is the same. Remote images must be allowed by the settings.
        let source = app.images(&[Root::Path("/".into())])?;
        Ok(Self { source, limits: PixelLimits { max_pixels: app.settings().limits.max_pixels } })
    }
}

#[async_trait]
impl Thumbnails for Chips {
    async fn thumbnail(&self, face: &StoredFace) -> Option<Vec<u8>> {
        let bytes = self.source.fetch(&face.image).await.ok()?;
        if Some(ContentHash::of(&bytes)) != face.hash {
            return None;
        }
        let picture = Picture::decode(&bytes, self.limits).ok()?;
        let chip = match &face.face.landmarks {
            Some(landmarks) => picture.chip(landmarks)?,
            None => picture.whole_as_chip()?,
        };
        encode_chip(&chip, ImageFormat::Jpeg).ok()
    }
}
