//! A gallery's results: for people as one self-contained HTML page, and for spreadsheets and
//! programs as an [`export()`]. The [`Sheet`] of a search and the
//! [`CurationSheet`] of suggestions are pages, too.
//!
//! Depends on the domain and on the store, its only source of data. The pictures of faces come
//! from the caller's [`Thumbnails`].

mod curation_sheet;
mod export;
mod faces;
mod figures;
#[cfg(test)]
mod fixture;
mod histogram;
mod problems;
mod provenance;
mod sheet;

use askama::Template;
use async_trait::async_trait;

pub use curation_sheet::{CurationSheet, SheetCase, SheetView};
pub use export::{ExportError, ExportFormat, ExportOptions, export};
pub use sheet::{Sheet, SheetCandidate, SheetProbe, SheetSearch};

use crate::domain::{GalleryName, OutcomeKind, ProfileId};
use crate::store::{GallerySummary, Reading, StoreError, StoredFace};
use faces::Section;
use figures::{Headline, OutcomeRow};
use histogram::Histogram;
use problems::Problems;
use provenance::ProfileRow;

/// Source of the pictures of single faces.
#[async_trait]
pub trait Thumbnails: Send + Sync {
    /// A PNG or JPEG of `face`; none if its image is missing or has changed since it was scored.
    async fn thumbnail(&self, face: &StoredFace) -> Option<Vec<u8>>;
}

/// No pictures: the page shows a neutral shape for every face, and contains no biometric image.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoThumbnails;

#[async_trait]
impl Thumbnails for NoThumbnails {
    async fn thumbnail(&self, _face: &StoredFace) -> Option<Vec<u8>> {
        None
    }
}

/// The size of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReportOptions {
    /// How many of the worst faces to show, and as many of the best.
    pub faces_each: u32,
    /// Most images without a result that are listed by name.
    pub failures: u32,
}

impl Default for ReportOptions {
    fn default() -> Self {
        Self { faces_each: 24, failures: 100 }
    }
}

/// The content of one page.
#[derive(Template)]
#[template(path = "report/page.html")]
pub struct Report {
    gallery: String,
    profile_id: String,
    date: String,
    datetime: String,
    version: &'static str,
    headline: Headline,
    outcomes: Vec<OutcomeRow>,
    histogram: Option<Histogram>,
    sections: Vec<Section>,
    problems: Problems,
    profile: Vec<ProfileRow>,
    settings: Vec<(String, String)>,
    providers: Vec<(String, String)>,
    /// Whether the page contains the picture of a face, which makes it biometric data.
    shows_faces: bool,
}

impl Report {
    /// The page: one HTML file that loads nothing from the network and runs no script.
    ///
    /// # Errors
    /// If a value cannot be formatted.
    pub fn html(&self) -> Result<String, askama::Error> {
        self.render()
    }
}

/// Reads the content of the page of `gallery` under `profile`.
///
/// `settings` are names and values that the page shows as they are: they must not contain a secret.
///
/// # Errors
/// If the store cannot be read.
pub async fn collect(
    store: &dyn Reading,
    gallery: &GalleryName,
    profile: &ProfileId,
    thumbnails: &dyn Thumbnails,
    settings: &[(String, String)],
    options: ReportOptions,
) -> Result<Report, StoreError> {
    let summary = store.summary(gallery, profile).await?;
    let definition = store.profile(profile).await?;
    let sections =
        faces::collect(store, gallery, profile, thumbnails, &summary, options.faces_each).await?;
    let problems = problems::collect(store, gallery, profile, &summary, options.failures).await?;
    let now = jiff::Timestamp::now();
    Ok(Report {
        gallery: gallery.to_string(),
        profile_id: profile.to_string(),
        date: now.strftime("%-d %B %Y, %H:%M UTC").to_string(),
        datetime: now.strftime("%Y-%m-%dT%H:%MZ").to_string(),
        version: env!("CARGO_PKG_VERSION"),
        headline: Headline::new(&summary),
        outcomes: figures::outcome_rows(&summary.outcomes),
        histogram: Histogram::new(&summary.histogram),
        shows_faces: sections
            .iter()
            .flat_map(|section| &section.tiles)
            .any(|tile| tile.picture.is_some()),
        sections,
        problems,
        profile: definition.as_ref().map(provenance::profile_rows).unwrap_or_default(),
        settings: settings.to_vec(),
        providers: provider_rows(&summary),
    })
}

fn provider_rows(summary: &GallerySummary) -> Vec<(String, String)> {
    summary
        .providers
        .iter()
        .map(|(provider, images)| (provider.clone(), figures::grouped(*images)))
        .collect()
}

/// The outcome's name for people.
fn outcome_label(outcome: OutcomeKind) -> &'static str {
    match outcome {
        OutcomeKind::Scored => "scored",
        OutcomeKind::NoFace => "no face",
        OutcomeKind::Unreadable => "unreadable",
        OutcomeKind::Refused => "refused",
        OutcomeKind::Failed => "failed",
        OutcomeKind::Erased => "erased",
    }
}

#[cfg(test)]
mod tests;
