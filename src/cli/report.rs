//! `facefleet report` and `facefleet export`

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::Args;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::named_image::NamedImage;
use super::new_file::NewFile;
use super::profile_arg::ProfileArg;
use super::{GalleryArgs, say};
use crate::app::App;
use crate::domain::{ImageUri, OutcomeKind};
use crate::report::{self, ExportFormat, ExportOptions, ReportOptions};
use crate::store::{ImageKey, PageFilter};

/// Contains the histogram of quality, the worst and best faces, outcomes, failures with their
/// reasons, profile and settings.
#[derive(Debug, Args)]
pub(super) struct ReportArgs {
    #[command(flatten)]
    gallery: GalleryArgs,
    /// Profile to report [default: the active one].
    #[arg(long, value_name = "PROFILE")]
    profile: Option<ProfileArg>,
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
        let store = app.filled_store().await?;
        let (gallery, named) = (&self.gallery.gallery, self.profile.as_ref());
        let profile = ProfileArg::of_gallery(named, app, store.as_ref(), gallery).await?;
        let options = ReportOptions { faces_each: self.faces, ..ReportOptions::default() };
        let html = app.report(store.as_ref(), gallery, &profile, options, !self.no_faces).await?;
        store.close().await;
        NewFile::write(&self.out, html.as_bytes())
            .with_context(|| format!("Failed to write {}", self.out.display()))?;
        say(format!("report: {}", self.out.canonicalize().unwrap_or(self.out).display()))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// CSV and Parquet have a row for each face, JSON Lines an object for each image. docs/data.md
/// describes the columns. Conditions may be combined.
#[derive(Debug, Args)]
pub(super) struct ExportArgs {
    #[command(flatten)]
    gallery: GalleryArgs,
    /// Profile to export [default: the active one].
    #[arg(long, value_name = "PROFILE")]
    profile: Option<ProfileArg>,
    /// csv, jsonl or parquet.
    #[arg(long, default_value = "csv")]
    format: ExportFormat,
    /// File to write, instead of standard output.
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Export the templates too. They are biometric data.
    #[arg(long)]
    templates: bool,
    /// Only this image: a path, or the complete URI. May be repeated.
    #[arg(long, value_name = "PATH|URI", value_parser = NamedImage::parser())]
    image: Vec<NamedImage>,
    /// Only images with these outcomes, such as unreadable,failed.
    #[arg(long, value_name = "OUTCOME,…", value_delimiter = ',')]
    outcome: Vec<OutcomeKind>,
    /// Only faces of at least this quality.
    #[arg(long, value_name = "Q", value_parser = clap::value_parser!(u8).range(0..=100))]
    min_quality: Option<u8>,
    /// Only faces of at most this quality.
    #[arg(long, value_name = "Q", value_parser = clap::value_parser!(u8).range(0..=100))]
    max_quality: Option<u8>,
    /// Only results recorded since then: a date (UTC), or a time such as
    /// 2026-03-01T12:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<Timestamp>,
}

/// A time (RFC 3339), or the start of a day (UTC).
pub(super) fn time(text: &str) -> Result<Timestamp, String> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time);
    }
    let day = text.parse::<Date>().ok().and_then(|date| date.to_zoned_datetime(TimeZone::UTC).ok());
    // A date may be followed by anything in `Date`'s own grammar.
    let day = day.filter(|_| text.len() == "2026-03-01".len());
    day.map(|day| day.timestamp()).ok_or_else(|| {
        "not a time: use a date such as 2026-03-01, or a time with its offset such as \
            2026-03-01T12:00:00Z"
            .to_owned()
    })
}

impl ExportArgs {
    fn options(&self) -> ExportOptions {
        let uris = |image: &NamedImage| match &image.key {
            ImageKey::Uris(uris) => uris.clone(),
            ImageKey::Id(_) => Vec::new(),
        };
        let images: Vec<ImageUri> = self.image.iter().flat_map(uris).collect();
        let filter = PageFilter {
            images: (!images.is_empty()).then_some(images),
            min_quality: self.min_quality,
            max_quality: self.max_quality,
            since: self.since,
        };
        let (format, templates) = (self.format, self.templates);
        ExportOptions { format, templates, outcomes: self.outcome.clone(), filter }
    }

    pub(super) async fn run(self, app: &App) -> Result<ExitCode> {
        let qualities = self.min_quality.zip(self.max_quality);
        ensure!(
            qualities.is_none_or(|(low, high)| low <= high),
            "--min-quality is above --max-quality: no face is in between"
        );
        ensure!(
            self.format != ExportFormat::Parquet
                || self.out.is_some()
                || !std::io::stdout().is_terminal(),
            "Parquet is not text for a terminal: name a file, --out faces.parquet"
        );
        let store = app.filled_store().await?;
        let (gallery, options) = (&self.gallery.gallery, self.options());
        let named = self.profile.as_ref();
        let profile = ProfileArg::of_gallery(named, app, store.as_ref(), gallery).await?;
        let images = match &self.out {
            None => {
                let out = std::io::stdout();
                report::export(store.as_ref(), gallery, &profile, &options, out).await?.0
            }
            Some(path) => {
                let failed = || format!("Failed to write {}", path.display());
                let (new, file) = NewFile::create(path).with_context(failed)?;
                let export = report::export(store.as_ref(), gallery, &profile, &options, file);
                let (images, file) = export.await.with_context(failed)?;
                if images > 0 || self.image.is_empty() {
                    new.keep(&file).with_context(failed)?;
                }
                images
            }
        };
        store.close().await;
        ensure!(
            images > 0 || self.image.is_empty(),
            "no result of --image in gallery {gallery} under profile {profile}, or not under the \
                other conditions: `facefleet show` looks in all galleries"
        );
        Ok(ExitCode::SUCCESS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_parsed_with_their_offset_and_dates_in_utc() {
        for (text, parsed) in [
            ("2026-03-01", "2026-03-01T00:00:00Z"),
            ("2026-03-01T12:00:00Z", "2026-03-01T12:00:00Z"),
            ("2026-03-01T12:00:00.5+01:00", "2026-03-01T11:00:00.5Z"),
        ] {
            assert_eq!(time(text).unwrap().to_string(), parsed);
        }
        for text in ["", "yesterday", "2026-13-01", "2026-03-01T12:00:00", "03/01/2026"] {
            assert!(time(text).is_err(), "{text}");
        }
    }
}
