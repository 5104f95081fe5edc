//! Exports the results of a gallery under one profile, page by page.
//!
//! An exported image is an [`ImageView`]. JSON Lines writes it as it is; [`columns`] lays it out as
//! a table.

mod columns;

use std::io::{self, BufWriter, Write};
use std::str::FromStr;

use crate::domain::{GalleryName, OutcomeKind, ProfileId};
use crate::store::{PageFilter, PageQuery, Reading, StoreError};
use crate::view::face::FaceView;
use crate::view::image::ImageView;

/// Images held in memory at a time.
const PAGE: u32 = 500;

/// The format of an export. `docs/data.md` describes the columns and fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportFormat {
    /// A table with a row for each face, which repeats the columns of its image. An image without a
    /// face has one row with empty face columns. `template`, if requested, is the base64 of
    /// little-endian 32-bit floats. A text that a spreadsheet would run as a formula begins with an
    /// apostrophe.
    Csv,
    /// JSON Lines: an [`ImageView`] for each image.
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

/// What is exported, and how.
#[derive(Debug, Clone, PartialEq)]
pub struct ExportOptions {
    /// The format.
    pub format: ExportFormat,
    /// Whether to export the templates too.
    pub templates: bool,
    /// Only images with these outcomes; empty for all.
    pub outcomes: Vec<OutcomeKind>,
    /// Further conditions. One on quality leaves out faces too.
    pub filter: PageFilter,
}

/// Writes the images of `gallery` under `profile` to `out`, page by page, and returns the number of
/// images.
///
/// Writes to `out` directly: it should not block for long.
///
/// # Errors
/// If the store cannot be read or `out` cannot be written. What has been written until then stays.
pub async fn export(
    store: &dyn Reading,
    gallery: &GalleryName,
    profile: &ProfileId,
    options: &ExportOptions,
    out: &mut (dyn Write + Send),
) -> Result<u64, ExportError> {
    let templates = options.templates;
    let mut encoder = Encoder::new(options.format, templates, out)?;
    let qualities = options.filter.qualities();
    let mut query = PageQuery {
        gallery: gallery.clone(),
        profile: profile.clone(),
        outcomes: options.outcomes.clone(),
        filter: options.filter.clone(),
        after: 0,
        limit: PAGE,
        templates,
    };
    let mut images = 0;
    loop {
        let page = store.page(&query).await?;
        let Some(last) = page.last() else { break };
        query.after = last.cursor;
        for image in page {
            let mut image = ImageView::stored(image, gallery.clone(), profile.clone(), templates);
            if let (Some(wanted), Some(faces)) = (&qualities, &mut image.faces) {
                faces.retain(|face| face.quality.is_some_and(|quality| wanted.contains(&quality)));
            }
            encoder.write(&image)?;
            images += 1;
        }
    }
    encoder.finish()?;
    Ok(images)
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

    fn write(&mut self, image: &ImageView) -> io::Result<()> {
        match self {
            Self::Csv { writer, templates } => {
                let mut row = |face: Option<&FaceView>| {
                    let cells = columns::of(*templates).map(|column| (column.cell)(image, face));
                    writer.write_record(cells)
                };
                let faces = image.faces.as_deref().unwrap_or_default();
                if faces.is_empty() {
                    row(None)?;
                }
                faces.iter().try_for_each(|face| row(Some(face)))?;
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
