//! `facefleet report` and `facefleet export`

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use async_trait::async_trait;
use clap::Args;
use image::ImageFormat;

use super::{GalleryOption, say};
use crate::app::App;
use crate::domain::{ContentHash, GalleryName, ProfileId};
use crate::images::{ImageSource, Root, Sources};
use crate::report::{self, ExportFormat, NoThumbnails, ReportOptions, Thumbnails};
use crate::store::{Reading, StoredFace};
use crate::vision::{Picture, PixelLimits, encode_chip};

/// Histogram of quality, worst and best faces, outcomes, failures with their reasons, profile and
/// settings.
#[derive(Debug, Args)]
pub(super) struct ReportCommand {
    #[command(flatten)]
    gallery: GalleryOption,
    /// Profile to report, if not the one recorded to last.
    #[arg(long, value_name = "ID")]
    profile: Option<ProfileId>,
    /// File to write.
    #[arg(long, short, default_value = "facefleet-report.html", value_name = "FILE")]
    out: PathBuf,
    /// Faces among the worst, and as many among the best.
    #[arg(long, default_value_t = 24, value_name = "N")]
    faces: u32,
    /// Show nobody: a report without biometric images, to be passed on.
    #[arg(long)]
    no_faces: bool,
}

impl ReportCommand {
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

/// One row a face as CSV, or one object an image as JSON lines.
#[derive(Debug, Args)]
pub(super) struct Export {
    #[command(flatten)]
    gallery: GalleryOption,
    /// Profile to export, if not the one recorded to last.
    #[arg(long, value_name = "ID")]
    profile: Option<ProfileId>,
    /// csv or jsonl.
    #[arg(long, default_value = "csv")]
    format: ExportFormat,
    /// File to write, instead of standard output.
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Export the templates too. They are biometric data.
    #[arg(long)]
    templates: bool,
}

impl Export {
    pub(super) async fn run(self, app: &App) -> Result<ExitCode> {
        let store = app.store().await?;
        let profile = choose_profile(store.as_ref(), &self.gallery.gallery, self.profile).await?;
        let mut out: Box<dyn Write + Send> = match &self.out {
            None => Box::new(std::io::stdout()),
            Some(path) => Box::new(
                private_file(path)
                    .with_context(|| format!("Failed to create {}", path.display()))?,
            ),
        };
        let mut buffered = BufWriter::new(&mut out);
        report::export(
            store.as_ref(),
            &self.gallery.gallery,
            &profile,
            self.format,
            self.templates,
            &mut buffered,
        )
        .await?;
        buffered.flush()?;
        store.close().await;
        Ok(ExitCode::SUCCESS)
    }
}

/// The profile asked for, or the gallery's latest; says what there is if there is none.
pub(super) async fn choose_profile(
    store: &dyn Reading,
    gallery: &GalleryName,
    wanted: Option<ProfileId>,
) -> Result<ProfileId> {
    let galleries = store.galleries().await?;
    let Some((_, profiles)) = galleries.iter().find(|(name, _)| name == gallery) else {
        if galleries.is_empty() {
            bail!("the store is empty: fill it with `facefleet scan FOLDER`");
        }
        let names: Vec<_> = galleries.iter().map(|(name, _)| name.as_str()).collect();
        bail!("there is no gallery '{gallery}' in the store, only {}", names.join(", "));
    };
    let ids: Vec<_> = profiles.iter().map(ProfileId::as_str).collect();
    match wanted {
        Some(id) if profiles.contains(&id) => Ok(id),
        Some(id) => {
            bail!("gallery '{gallery}' has no results of profile {id}, only of {}", ids.join(", "))
        }
        None => {
            profiles.first().cloned().with_context(|| format!("gallery '{gallery}' has no results"))
        }
    }
}

/// The faces as the recogniser saw them, cut again from images that are still the ones that were
/// scored.
struct Chips {
    source: Sources,
    limits: PixelLimits,
}

impl Chips {
    fn new(app: &App) -> Result<Self> {
        // The store names files that an earlier scan was allowed to read; the content hash proves
        // that they are the same. What is elsewhere needs the settings' leave.
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

/// Only its owner may read what holds faces or templates.
fn private_file(path: &Path) -> std::io::Result<std::fs::File> {
    use std::os::unix::fs::OpenOptionsExt;
    std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    private_file(path)?.write_all(bytes)
}
