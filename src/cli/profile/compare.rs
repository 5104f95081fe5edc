//! `facefleet profile compare`

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;

use super::super::columns::table;
use super::super::new_file::NewFile;
use super::super::{GalleryArgs, printable, say, say_json};
use super::ProfileArg;
use crate::app::App;
use crate::domain::ProfileId;
use crate::evaluate::compare::{CompareOptions, ComparedLabels, ComparisonPage, compare, sections};
use crate::evaluate::evaluation::Bootstrap;
use crate::store::Store;
use crate::view::profile_comparison::ProfileComparisonView;

/// Compare two profiles of a gallery on the same images, before one replaces the other.
///
/// Reads stored results alone: nothing is fetched or scored. Prints in one sentence whether
/// switching from OLD to NEW is advised, and why; then how the images ended under both, faces lost
/// and gained, quality and score, decisions of the enrolment's gate that change, similarities and
/// error rates at the same false match rate (FMR) by subject, and whether the most similar images
/// are the same. Estimates have 95 % intervals by bootstrap, over subjects where these are known,
/// else over images. docs/models.md has the rules of the advice.
///
/// An image counts if it has a final outcome under both: scored, no face or unreadable.
#[derive(Debug, Args)]
pub(in super::super) struct CompareProfilesArgs {
    /// The profile in use.
    old: ProfileArg,
    /// The profile that may replace it.
    new: ProfileArg,
    #[command(flatten)]
    gallery: GalleryArgs,
    /// A table `file,subject,group…` that says who is shown [default: the subjects in the store].
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    /// Folder of the files that the labels name [default: the folder of the labels].
    #[arg(long, value_name = "FOLDER", requires = "labels")]
    images: Option<PathBuf>,
    /// A column of the labels: also compare by the groups that it names. May be repeated.
    #[arg(long, value_name = "COLUMN", requires = "labels")]
    group: Vec<String>,
    /// Most images of which templates are compared; more are drawn at random.
    #[arg(long, default_value_t = 10_000, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u32).range(2..=50_000))]
    sample: u32,
    /// Replicates of the bootstrap, which gives the 95 % intervals.
    #[arg(long, default_value_t = 200, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u32).range(50..=10_000))]
    bootstrap: u32,
    /// Seed of the bootstrap and of the samples.
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,
    /// File for one self-contained HTML page with figures. It is written before anything is
    /// printed.
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

impl CompareProfilesArgs {
    pub(super) async fn run(self, app: &App) -> Result<ExitCode> {
        let read = |path: &PathBuf| ComparedLabels::read(path, self.images.as_deref(), &self.group);
        let labels = self.labels.as_ref().map(read).transpose()?;
        let store = app.filled_store().await?;
        let profiles = self.profiles(app, store.as_ref()).await?;
        let mut thresholds = [false; 2];
        for (known, id) in thresholds.iter_mut().zip(&profiles) {
            let profile = store.profile(id).await?;
            *known = profile.is_some_and(|profile| app.thresholds_of(&profile).is_some());
        }
        let settings = app.settings();
        let options = CompareOptions {
            gallery: &self.gallery.gallery,
            profiles,
            labels: labels.as_ref(),
            gate: settings.gate(),
            thresholds,
            sample: self.sample as usize,
            bootstrap: Bootstrap {
                replicates: self.bootstrap,
                seed: self.seed,
                threads: settings.threads(),
            },
        };
        let mut view = compare(store.as_ref(), &options).await?;
        store.close().await;
        if let Some(path) = &self.out {
            let page = ComparisonPage::new(&view)?;
            let html = page.html().context("Failed to render the page")?;
            NewFile::write(path, html.as_bytes())
                .with_context(|| format!("Failed to write {}", path.display()))?;
            view.out = Some(path.display().to_string());
        }
        if self.json {
            say_json(&view)?
        } else {
            print(&view)?
        }
        Ok(ExitCode::SUCCESS)
    }

    async fn profiles(&self, app: &App, store: &dyn Store) -> Result<[ProfileId; 2]> {
        let gallery = &self.gallery.gallery;
        let old = ProfileArg::of_gallery(Some(&self.old), app, store, gallery).await?;
        let new = ProfileArg::of_gallery(Some(&self.new), app, store, gallery).await?;
        Ok([old, new])
    }
}

fn print(view: &ProfileComparisonView) -> Result<()> {
    say(printable(&view.advice.sentence))?;
    for section in sections(view) {
        say(format!("\n{}", section.title))?;
        for sentence in &section.sentences {
            say(printable(sentence))?;
        }
        for cells in section.tables.iter().filter(|cells| cells.len() > 1) {
            let shown = table(cells);
            say(shown.lines().map(printable).collect::<Vec<_>>().join("\n"))?;
        }
    }
    if let Some(out) = &view.out {
        say(format!("\nwritten to {out}"))?;
    }
    Ok(())
}
