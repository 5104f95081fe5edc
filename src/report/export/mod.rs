//! Exports the results of a gallery under one profile, page by page.
//!
//! [`rows`] defines an exported image and face, which JSON Lines writes as they are; [`table`] lays
//! them out as a table, for CSV and Parquet. While one page is written, the next is read.

mod arrow_schema;
mod csv_file;
mod parquet_file;
mod rows;
mod table;

use std::io::{self, BufWriter, Write};
use std::str::FromStr;

use tokio::sync::mpsc;

use self::csv_file::CsvEncoder;
use self::parquet_file::ParquetEncoder;
use self::rows::{ExportedFace, ExportedImage};
use self::table::{ExportScope, TabledImage, locator};
use crate::domain::{GalleryName, ProfileId, Template};
use crate::store::{PageQuery, Reading, StoreError, StoredFace, StoredImage};

/// Images of the first page.
const FIRST_PAGE: u32 = 256;
/// Most images of a page.
const MOST_IMAGES: u32 = 2048;
/// About as many faces shall a page have: group photos make short pages.
const PAGE_FACES: usize = 4096;
/// Pages that wait to be written. One more is being written, and one being read.
const WAITING_PAGES: usize = 1;

/// The format of an export.
///
/// In all formats, `image` is a local path; the `file:` URI if the path is not UTF-8; for other
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
    /// The table of [`Self::Csv`] as Parquet, with numbers, times and nulls as what they are.
    /// `template`, if requested, is a list of 32-bit floats.
    Parquet,
}

impl FromStr for ExportFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "csv" => Ok(Self::Csv),
            "jsonl" => Ok(Self::Jsonl),
            "parquet" => Ok(Self::Parquet),
            other => Err(format!("'{other}' is not 'csv', 'jsonl' or 'parquet'")),
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

/// Writes every image of `gallery` under `profile` to `out`, and returns the number of images and
/// `out`.
///
/// Writes on another thread, and reads the next page meanwhile.
///
/// # Errors
/// If the store cannot be read or `out` cannot be written. What has been written until then stays.
pub async fn export<W: Write + Send + 'static>(
    store: &dyn Reading,
    gallery: &GalleryName,
    profile: &ProfileId,
    format: ExportFormat,
    templates: bool,
    out: W,
) -> Result<(u64, W), ExportError> {
    let scope = ExportScope { gallery: gallery.clone(), profile: profile.clone() };
    let (pages, waiting) = mpsc::channel(WAITING_PAGES);
    let writing = tokio::task::spawn_blocking(move || {
        write_pages(Encoder::new(format, templates, out)?, &scope, waiting)
    });
    let mut query = PageQuery {
        gallery: gallery.clone(),
        profile: profile.clone(),
        outcomes: Vec::new(),
        after: 0,
        limit: FIRST_PAGE,
        templates,
    };
    let mut images = 0;
    loop {
        let page = store.page(&query).await?;
        let end = page.is_empty();
        if let Some(last) = page.last() {
            query.after = last.cursor;
            query.limit = next_limit(&page, query.limit);
            images += page.len() as u64;
        }
        // An error means that writing failed; its result says why.
        if pages.send(page).await.is_err() || end {
            break;
        }
    }
    match writing.await {
        Ok(Ok(Some(out))) => Ok((images, out)),
        Ok(Ok(None)) => Err(io::Error::other("the pages ended too early").into()),
        Ok(Err(error)) => Err(error.into()),
        Err(error) => Err(io::Error::other(error).into()),
    }
}

/// Writes pages until an empty one, the end. None: no end came, because reading failed; the output
/// is left without its end.
fn write_pages<W: Write + Send>(
    mut encoder: Encoder<W>,
    scope: &ExportScope,
    mut pages: mpsc::Receiver<Vec<StoredImage>>,
) -> io::Result<Option<W>> {
    while let Some(page) = pages.blocking_recv() {
        if page.is_empty() {
            return encoder.finish().map(Some);
        }
        page.iter().try_for_each(|image| encoder.write(scope, image))?;
    }
    Ok(None)
}

/// How many images to read after `page`, for which `limit` were asked.
fn next_limit(page: &[StoredImage], limit: u32) -> u32 {
    let faces: usize = page.iter().map(|image| image.faces.len()).sum();
    match faces {
        faces if faces > PAGE_FACES => (limit / 2).max(1),
        faces if faces <= PAGE_FACES / 2 => (limit * 2).min(MOST_IMAGES),
        _ => limit,
    }
}

fn image_row<'a>(
    scope: &'a ExportScope,
    image: &'a StoredImage,
    templates: bool,
) -> ExportedImage<'a> {
    ExportedImage {
        gallery: scope.gallery.as_str(),
        image: locator(&image.image),
        image_id: image.id,
        content_hash: image.hash.map(|hash| hash.to_string()),
        bytes: image.bytes,
        outcome: image.outcome.as_str(),
        reason: image.reason.as_deref(),
        width: image.size.map(|size| size.0),
        height: image.size.map(|size| size.1),
        profile: scope.profile.as_str(),
        provider: &image.provider,
        timings: image.timings,
        recorded_at: &image.recorded_at,
        noted: image.noted.as_ref(),
        faces: image.faces.iter().map(|face| face_row(face, templates)).collect(),
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

/// Writes the images of an export in its format.
enum Encoder<W: Write + Send> {
    Csv(Box<CsvEncoder<W>>),
    Jsonl { out: BufWriter<W>, templates: bool },
    Parquet(Box<ParquetEncoder<W>>),
}

impl<W: Write + Send> Encoder<W> {
    fn new(format: ExportFormat, templates: bool, out: W) -> io::Result<Self> {
        Ok(match format {
            ExportFormat::Csv => Self::Csv(Box::new(CsvEncoder::new(templates, out)?)),
            ExportFormat::Jsonl => {
                Self::Jsonl { out: BufWriter::with_capacity(1 << 16, out), templates }
            }
            ExportFormat::Parquet => Self::Parquet(Box::new(ParquetEncoder::new(templates, out)?)),
        })
    }

    fn write(&mut self, scope: &ExportScope, image: &StoredImage) -> io::Result<()> {
        match self {
            Self::Csv(encoder) => {
                TabledImage::new(scope, image).rows().try_for_each(|row| encoder.write(&row))
            }
            Self::Parquet(encoder) => {
                TabledImage::new(scope, image).rows().try_for_each(|row| encoder.write(&row))
            }
            Self::Jsonl { out, templates } => {
                serde_json::to_writer(&mut *out, &image_row(scope, image, *templates))?;
                out.write_all(b"\n")
            }
        }
    }

    fn finish(self) -> io::Result<W> {
        match self {
            Self::Csv(encoder) => encoder.finish(),
            Self::Parquet(encoder) => encoder.finish(),
            Self::Jsonl { out, .. } => out.into_inner().map_err(io::IntoInnerError::into_error),
        }
    }
}

#[cfg(test)]
mod tests;
