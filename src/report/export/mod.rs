//! Exports the results of a gallery under one profile, page by page.
//!
//! [`rows`] defines an exported image and face. JSON Lines writes them as they are; [`columns`]
//! lays them out as a table.

mod columns;
mod rows;

use std::io::{self, BufWriter, Write};
use std::str::FromStr;

use self::rows::{ExportedFace, ExportedImage};
use crate::domain::{GalleryName, ImageUri, ProfileId, Template};
use crate::store::{PageQuery, Reading, StoreError, StoredFace, StoredImage};

/// Images held in memory at a time.
const PAGE: u32 = 500;

/// The format of an export.
///
/// In both formats, `image` is a local path; the `file:` URI if the path is not UTF-8; for other
/// schemes the URI without password and query, because exports are passed on and a signed URL must
/// not be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportFormat {
    /// A table with a row for each face, which repeats the columns of its image. An image without a
    /// face has one row with empty face columns.
    ///
    /// `face` counts from 0, the primary face. `x,y,w,h` is its box and `width,height` the image,
    /// pixels. `template`, if requested, is the base64 of little-endian 32-bit floats. `noted_…` is
    /// the outcome of a later attempt to read the image, if that got no bytes. A text that a
    /// spreadsheet would run as a formula begins with an apostrophe.
    Csv,
    /// JSON Lines: an object for each image, with its faces in an array. `template`, if requested,
    /// is an array of numbers.
    Jsonl,
}

impl FromStr for ExportFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "csv" => Ok(Self::Csv),
            "jsonl" => Ok(Self::Jsonl),
            other => Err(format!("'{other}' is neither 'csv' nor 'jsonl'")),
        }
    }
}

/// Why an export stopped.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The output cannot be written: the disk is full, or the reader has closed it.
    #[error("the export cannot be written: {0}")]
    Write(#[from] io::Error),
}

/// Writes every image of `gallery` under `profile` to `out`, page by page, and returns the number
/// of images.
///
/// Writes to `out` directly: it should not block for long.
///
/// # Errors
/// If the store cannot be read or `out` cannot be written. What has been written until then stays.
pub async fn export(
    store: &dyn Reading,
    gallery: &GalleryName,
    profile: &ProfileId,
    format: ExportFormat,
    templates: bool,
    out: &mut (dyn Write + Send),
) -> Result<u64, ExportError> {
    let mut encoder = Encoder::new(format, templates, out)?;
    let mut query = PageQuery {
        gallery: gallery.clone(),
        profile: profile.clone(),
        outcomes: Vec::new(),
        after: 0,
        limit: PAGE,
        templates,
    };
    let mut images = 0;
    loop {
        let page = store.page(&query).await?;
        let Some(last) = page.last() else { break };
        query.after = last.cursor;
        for image in &page {
            encoder.write(&image_row(image, &query))?;
            images += 1;
        }
    }
    encoder.finish()?;
    Ok(images)
}

fn image_row<'a>(image: &'a StoredImage, query: &'a PageQuery) -> ExportedImage<'a> {
    ExportedImage {
        gallery: query.gallery.as_str(),
        image: locator(&image.image),
        image_id: image.id,
        content_hash: image.hash.map(|hash| hash.to_string()),
        bytes: image.bytes,
        outcome: image.outcome.as_str(),
        reason: image.reason.as_deref(),
        width: image.size.map(|size| size.0),
        height: image.size.map(|size| size.1),
        profile: query.profile.as_str(),
        provider: &image.provider,
        timings: image.timings,
        recorded_at: &image.recorded_at,
        noted: image.noted.as_ref(),
        faces: image.faces.iter().map(|face| face_row(face, query.templates)).collect(),
    }
}

fn face_row(face: &StoredFace, templates: bool) -> ExportedFace<'_> {
    ExportedFace {
        face: face.id.index,
        face_id: face.id.to_string(),
        bbox: face.face.bbox,
        landmarks: face.face.landmarks,
        detector_score: face.face.detector_score,
        distance: face.distance,
        score: face.score,
        quality: face.quality,
        norm: face.norm,
        template: templates.then(|| face.template.as_ref().map(Template::as_slice)),
    }
}

/// The form of a URI that names the image and contains no secret.
fn locator(image: &ImageUri) -> String {
    match image.to_path() {
        Some(path) if path.to_str().is_none() => image.as_str().to_owned(),
        _ => image.to_string(),
    }
}

#[allow(clippy::large_enum_variant, reason = "an export has one")]
enum Encoder<'a> {
    Csv { writer: Box<csv::Writer<&'a mut (dyn Write + Send)>>, templates: bool },
    Jsonl(BufWriter<&'a mut (dyn Write + Send)>),
}

impl<'a> Encoder<'a> {
    fn new(
        format: ExportFormat,
        templates: bool,
        out: &'a mut (dyn Write + Send),
    ) -> io::Result<Self> {
        match format {
            ExportFormat::Csv => {
                let mut writer = csv::Writer::from_writer(out);
                writer.write_record(columns::of(templates).map(|column| column.name))?;
                Ok(Self::Csv { writer: Box::new(writer), templates })
            }
            ExportFormat::Jsonl => Ok(Self::Jsonl(BufWriter::new(out))),
        }
    }

    fn write(&mut self, image: &ExportedImage<'_>) -> io::Result<()> {
        match self {
            Self::Csv { writer, templates } => {
                let mut row = |face: Option<&ExportedFace<'_>>| {
                    let cells = columns::of(*templates).map(|column| (column.cell)(image, face));
                    writer.write_record(cells)
                };
                if image.faces.is_empty() {
                    row(None)?;
                }
                image.faces.iter().try_for_each(|face| row(Some(face)))?;
            }
            Self::Jsonl(writer) => {
                serde_json::to_writer(&mut *writer, image)?;
                writer.write_all(b"\n")?;
            }
        }
        Ok(())
    }

    fn finish(self) -> io::Result<()> {
        match self {
            Self::Csv { mut writer, .. } => writer.flush(),
            Self::Jsonl(mut writer) => writer.flush(),
        }
    }
}

#[cfg(test)]
mod tests;
