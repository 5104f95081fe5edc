//! Exports the results of a gallery under one profile, page by page.
//!
//! JSON Lines writes each image as an [`ImageView`]; [`table`] lays them out as a table, for CSV
//! and Parquet. While one page is written, the next is read.

mod arrow_schema;
mod csv_file;
mod parquet_file;
mod table;

use std::io::{self, BufWriter, Write};
use std::str::FromStr;

use tokio::sync::mpsc;

use self::csv_file::CsvEncoder;
use self::parquet_file::ParquetEncoder;
use self::table::{ExportScope, TabledImage};
use crate::domain::{GalleryName, OutcomeKind, ProfileId};
use crate::store::{PageFilter, PageQuery, Reading, Snapshot, StoreError, StoredImage};
use crate::view::image::ImageView;

/// Images of the first page.
const FIRST_PAGE: u32 = 256;
/// Most images of a page.
const MOST_IMAGES: u32 = 2048;
/// About as many faces shall a page have: group photos make short pages.
const PAGE_FACES: usize = 4096;
/// Pages that wait to be written, while Parquet compresses a group. One more is being written, and
/// one being read.
const WAITING_PAGES: usize = 3;

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

/// Writes the images of `gallery` under `profile`, as they are now, to `out`, and returns the
/// number of images and `out`.
///
/// Writes on another thread, and reads the next page meanwhile.
///
/// # Errors
/// If the store cannot be read or `out` cannot be written. What has been written until then stays.
pub async fn export<W: Write + Send + 'static>(
    store: &dyn Reading,
    gallery: &GalleryName,
    profile: &ProfileId,
    options: &ExportOptions,
    out: W,
) -> Result<(u64, W), ExportError> {
    let (format, templates) = (options.format, options.templates);
    let scope = ExportScope {
        gallery: gallery.clone(),
        profile: profile.clone(),
        qualities: options.filter.qualities(),
    };
    let mut query = PageQuery {
        gallery: gallery.clone(),
        profile: profile.clone(),
        outcomes: options.outcomes.clone(),
        filter: options.filter.clone(),
        notes: false,
        after: 0,
        limit: FIRST_PAGE,
        templates,
    };
    let mut snapshot = store.snapshot().await?;
    let dimension = match format {
        ExportFormat::Parquet if templates => dimension(snapshot.as_mut(), &query).await?,
        _ => None,
    };
    let (pages, waiting) = mpsc::channel(WAITING_PAGES);
    let writing = tokio::task::spawn_blocking(move || {
        write_pages(Encoder::new(format, templates, dimension, out)?, &scope, waiting)
    });
    let mut images = 0;
    loop {
        let page = snapshot.page(&query).await?;
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

/// How many components the templates of the gallery have, whether an export has any or not: all its
/// files shall have one schema. None if no face is scored.
async fn dimension(
    snapshot: &mut dyn Snapshot,
    query: &PageQuery,
) -> Result<Option<usize>, StoreError> {
    let first = PageQuery {
        outcomes: vec![OutcomeKind::Scored],
        filter: PageFilter::default(),
        limit: 1,
        ..query.clone()
    };
    let page = snapshot.page(&first).await?;
    let mut templates =
        page.iter().flat_map(|image| &image.faces).filter_map(|face| face.template.as_ref());
    Ok(templates.next().map(|template| template.as_slice().len()))
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
        page.into_iter().try_for_each(|image| encoder.write(scope, image))?;
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

/// Writes the images of an export in its format.
enum Encoder<W: Write + Send> {
    Csv(Box<CsvEncoder<W>>),
    Jsonl { out: BufWriter<W>, templates: bool },
    Parquet(Box<ParquetEncoder<W>>),
}

impl<W: Write + Send> Encoder<W> {
    fn new(
        format: ExportFormat,
        templates: bool,
        dimension: Option<usize>,
        out: W,
    ) -> io::Result<Self> {
        Ok(match format {
            ExportFormat::Csv => Self::Csv(Box::new(CsvEncoder::new(templates, out)?)),
            ExportFormat::Jsonl => {
                Self::Jsonl { out: BufWriter::with_capacity(1 << 16, out), templates }
            }
            ExportFormat::Parquet => {
                Self::Parquet(Box::new(ParquetEncoder::new(templates, dimension, out)?))
            }
        })
    }

    fn write(&mut self, scope: &ExportScope, image: StoredImage) -> io::Result<()> {
        match self {
            Self::Csv(encoder) => {
                TabledImage::new(scope, &image).rows().try_for_each(|row| encoder.write(&row))
            }
            Self::Parquet(encoder) => {
                TabledImage::new(scope, &image).rows().try_for_each(|row| encoder.write(&row))
            }
            Self::Jsonl { out, templates } => {
                let (gallery, profile) = (scope.gallery.clone(), scope.profile.clone());
                let mut image = ImageView::stored(image, gallery, profile, *templates);
                if let Some(faces) = &mut image.faces {
                    faces.retain(|face| scope.wants(face.quality));
                }
                serde_json::to_writer(&mut *out, &image)?;
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
