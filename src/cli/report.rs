//! `facefleet report` and `facefleet export`

use std::fs::File;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use async_trait::async_trait;
use clap::Args;
use image::ImageFormat;

use super::new_file::{NewFile, private_file};
use super::{GalleryArgs, say};
use crate::app::App;
use crate::domain::{ContentHash, ProfileId};
use crate::images::{ImageSource, Root, Sources};
use crate::report::{self, ExportFormat, NoThumbnails, ReportOptions, Thumbnails, choose_profile};
use crate::store::StoredFace;
use crate::vision::{Picture, PixelLimits, encode_chip};

/// Contains the histogram of quality, the worst and best faces, outcomes, failures with their
/// reasons, profile and settings.
#[derive(Debug, Args)]
pub(super) struct ReportArgs {
    #[command(flatten)]
    gallery: GalleryArgs,
    /// Profile to report [default: the one with the latest result].
    #[arg(long, value_name = "ID")]
    profile: Option<ProfileId>,
    /// File to write.
    #[arg(long, short, default_value = "facefleet-report.html", value_name = "FILE")]
    out: PathBuf,
    /// How many of the worst faces to show, and as many of the best.
    #[arg(long, default_value_t = 24, value_name = "N")]
    faces: u32,
    /// Show no face: a report without biometric images, which may be passed on.
    #[arg(long)]
    no_faces: bool,
}

impl ReportArgs {
    pub(super) async fn run(self, app: &App) -> Result<ExitCode> {
        let store = app.store().await?;
        let profile = choose_profile(store.as_ref(), &self.gallery.gallery, self.profile).await?;
        let thumbnails: Box<dyn Thumbnails> =
            if self.no_faces { Box::new(NoThumbnails) } else { Box::new(Chips::new(app)?) };
        let settings = app.settings();
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
        let options = ReportOptions { faces_each: self.faces, ..ReportOptions::default() };
        let report = report::collect(
            store.as_ref(),
            &self.gallery.gallery,
            &profile,
            thumbnails.as_ref(),
            &shown,
            options,
        )
        .await?;
        let html = report.html().context("Failed to render the report")?;
        store.close().await;
        write_private(&self.out, html.as_bytes())
            .with_context(|| format!("Failed to write {}", self.out.display()))?;
        say(format!("report: {}", self.out.canonicalize().unwrap_or(self.out).display()))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// CSV and Parquet have a row for each face, JSON Lines an object for each image.
#[derive(Debug, Args)]
pub(super) struct ExportArgs {
    #[command(flatten)]
    gallery: GalleryArgs,
    /// Profile to export [default: the one with the latest result].
    #[arg(long, value_name = "ID")]
    profile: Option<ProfileId>,
    /// csv, jsonl or parquet.
    #[arg(long, default_value = "csv")]
    format: ExportFormat,
    /// File to write, instead of standard output.
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Export the templates too. They are biometric data.
    #[arg(long)]
    templates: bool,
}

impl ExportArgs {
    pub(super) async fn run(self, app: &App) -> Result<ExitCode> {
        if self.format == ExportFormat::Parquet
            && self.out.is_none()
            && std::io::stdout().is_terminal()
        {
            bail!("Parquet is no text for a terminal: name a file, --out faces.parquet");
        }
        let store = app.store().await?;
        let profile = choose_profile(store.as_ref(), &self.gallery.gallery, self.profile).await?;
        let (gallery, format, templates) = (&self.gallery.gallery, self.format, self.templates);
        match &self.out {
            None => {
                let out = std::io::stdout();
                report::export(store.as_ref(), gallery, &profile, format, templates, out).await?;
            }
            Some(path) => {
                let failed = || format!("Failed to write {}", path.display());
                let (new, file) = NewFile::create(path).with_context(failed)?;
                let (_, file): (u64, File) =
                    report::export(store.as_ref(), gallery, &profile, format, templates, file)
                        .await
                        .with_context(failed)?;
                new.keep(&file).with_context(failed)?;
            }
        }
        store.close().await;
        Ok(ExitCode::SUCCESS)
    }
}

/// The chips of faces, cut again from images whose content has not changed since they were scored.
struct Chips {
    source: Sources,
    limits: PixelLimits,
}

impl Chips {
    fn new(app: &App) -> Result<Self> {
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

fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    private_file(path)?.write_all(bytes)
}
