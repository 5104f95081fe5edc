//! What `evaluate`, `calibrate` and `bias` share: arguments, the scoring of photos, and headlines.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};

use super::interrupt::{Interrupted, stop_on_signal};
use super::profile_arg::ProfileArg;
use super::{SOME_FAILED, printable};
use crate::app::App;
use crate::app::session::{Scoring, Session};
use crate::domain::{GalleryName, ImageUri, LabelledImage, ProfileId};
use crate::evaluate::collect::{self, Collected};
use crate::evaluate::dataset::{Dataset, LabelFile};
use crate::evaluate::evaluation::Bootstrap;
use crate::evaluate::pairs::Comparisons;
use crate::evaluate::photos;
use crate::evaluate::unscored::{UnscoredPhoto, counts};
use crate::store::Store;

/// The photos, and how they are compared.
#[derive(Debug, Args)]
pub(super) struct LabelledArgs {
    /// A table of labels, a list of pairs, or the name of a gallery whose images have subjects.
    ///
    /// The first line of a table names its columns: `file` and `subject` (or image, path …;
    /// person, id …) in any order; all other columns are groups. A list of pairs has on each line
    /// `file file 1` (the same person, mated) or `file file 0` (two people, non-mated), or it has
    /// columns `file1,file2,same`, or it is LFW's pairs.txt. Separators are commas, semicolons and
    /// tabs; put names that contain a separator in quotes.
    #[arg(value_name = "LABELS|PAIRS|GALLERY")]
    data: String,
    /// Folder of the files that LABELS or PAIRS name [default: the folder of LABELS or PAIRS].
    /// Missing files are listed and left out.
    #[arg(long, value_name = "FOLDER")]
    images: Option<PathBuf>,
    /// Gallery that keeps the results of LABELS or PAIRS: a second run only reads them.
    #[arg(long, default_value = "evaluation", value_name = "NAME")]
    gallery: GalleryName,
    /// Profile of GALLERY to evaluate [default: the active one, or, if it samples,
    /// the latest one that uses the closed form].
    #[arg(long, value_name = "PROFILE")]
    profile: Option<ProfileArg>,
    /// The photos are chips: aligned, and 112x112. There is no detection, and other images are
    /// refused.
    #[arg(long)]
    aligned: bool,
    /// Replicates of the bootstrap over subjects, which gives the 95 % intervals; 0 for no
    /// intervals.
    #[arg(long, default_value_t = 200, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u32).range(0..=10_000))]
    bootstrap: u32,
    /// Seed of the bootstrap and of the random measure.
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub(super) seed: u64,
}

/// The photos of a data set with their scores.
pub(super) struct LabelledPhotos {
    pub(super) collected: Collected,
    /// The photos of a file of labels; empty for a gallery.
    photos: Vec<LabelledImage>,
}

impl LabelledPhotos {
    /// The exit status: bad photos are outcomes, failures may pass.
    pub(super) fn status(&self) -> ExitCode {
        if self.collected.some_failed() { ExitCode::from(SOME_FAILED) } else { ExitCode::SUCCESS }
    }
}

impl LabelledArgs {
    /// The data set, read before any model is opened.
    pub(super) fn dataset(&self) -> Result<Dataset> {
        Ok(Dataset::open(&self.data)?)
    }

    /// The store of the results. It must be there for a gallery; photos of a file are scored first.
    pub(super) async fn store(&self, app: &App, dataset: &Dataset) -> Result<Arc<dyn Store>> {
        match dataset {
            Dataset::Gallery(gallery) => app
                .filled_store()
                .await
                .with_context(|| format!("'{gallery}' is not a file, so it must be a gallery")),
            Dataset::File(_) => app.store().await,
        }
    }

    /// The profile of `gallery` to evaluate.
    pub(super) async fn profile_of(
        &self,
        app: &App,
        store: &dyn Store,
        gallery: &GalleryName,
    ) -> Result<ProfileId> {
        let active = ProfileArg::of_gallery(self.profile.as_ref(), app, store, gallery)
            .await
            .with_context(|| format!("'{}' is not a file, so it must be a gallery", self.data))?;
        if self.profile.is_some() {
            return Ok(active);
        }
        Ok(collect::closed_form_profile(store, gallery).await?.unwrap_or(active))
    }

    /// Scores the photos that the store has no result of, then reads all results.
    pub(super) async fn collect(
        &self,
        app: &App,
        store: &dyn Store,
        dataset: &Dataset,
    ) -> Result<LabelledPhotos> {
        let found = match dataset {
            Dataset::Gallery(gallery) => {
                let profile = self.profile_of(app, store, gallery).await?;
                let collected = collect::gallery(store, gallery, &profile).await?;
                LabelledPhotos { collected, photos: Vec::new() }
            }
            Dataset::File(labels) => self.collect_file(app, store, labels).await?,
        };
        print_unscored(&found.collected.unscored);
        Ok(found)
    }

    async fn collect_file(
        &self,
        app: &App,
        store: &dyn Store,
        labels: &LabelFile,
    ) -> Result<LabelledPhotos> {
        let locations = labels.locate(self.images.as_deref())?;
        let listed = photos::list(&labels.truth, &locations, |root| app.listing(&[root])).await?;
        let photos: Vec<LabelledImage> = listed.iter().flatten().cloned().collect();
        let profile = self.score(app, &photos).await?;
        let images: Vec<Result<ImageUri, String>> =
            listed.into_iter().map(|photo| photo.map(|photo| photo.image)).collect();
        let collected =
            collect::labelled(store, &self.gallery, &profile, &labels.truth, &images).await;
        Ok(LabelledPhotos { collected: collected.with_context(|| self.data.clone())?, photos })
    }

    /// The scores of the same photos with the settings of `app`.
    pub(super) async fn other_scores(
        &self,
        app: &App,
        store: &dyn Store,
        found: &LabelledPhotos,
    ) -> Result<Vec<Option<f64>>> {
        if found.photos.is_empty() {
            bail!(
                "`facefleet scan` scores the photos of a gallery; use a file of labels to score \
                 them by another method"
            );
        }
        let profile = self.score(app, &found.photos).await?;
        let images = &found.collected.samples.images;
        Ok(collect::read_scores(store, &self.gallery, &profile, images).await?)
    }

    /// Scores the photos that are not up to date in the gallery; the profile of the results.
    async fn score(&self, app: &App, photos: &[LabelledImage]) -> Result<ProfileId> {
        let session = Session::open_for_scoring(app, &photos::roots(photos), self.aligned).await?;
        let profile = session.profile_id();
        let bar = if std::io::stderr().is_terminal() {
            ProgressBar::new(photos.len() as u64)
        } else {
            ProgressBar::hidden()
        };
        bar.set_style(ProgressStyle::with_template("{wide_bar} {pos}/{len} scored, {eta} left")?);
        let stop = stop_on_signal({
            let bar = bar.clone();
            move || bar.suspend(|| eprintln!("stopping: photos in flight are finished first"))
        })?;
        let scoring = Scoring {
            gallery: self.gallery.clone(),
            selection: app.settings().selection(),
            source: format!("labels {}", self.data),
            images: photos.to_vec(),
        };
        let scored = session.score(scoring, stop.token(), |done| bar.set_position(done)).await;
        bar.finish_and_clear();
        scored?;
        if stop.is_stopped() {
            return Err(Interrupted.into());
        }
        Ok(profile)
    }

    /// All comparisons, with thresholds for `fmrs`.
    pub(super) fn compare(
        &self,
        app: &App,
        collected: &Collected,
        fmrs: &[f64],
    ) -> Result<Comparisons> {
        Ok(collected.compare(fmrs, self.bootstrap(app))?)
    }

    /// How intervals are computed.
    pub(super) fn bootstrap(&self, app: &App) -> Bootstrap {
        Bootstrap { replicates: self.bootstrap, seed: self.seed, threads: app.settings().threads() }
    }
}

/// Parses a rate or a share.
pub(super) fn share(text: &str) -> Result<f64, String> {
    let share: f64 = text.parse().map_err(|_| format!("'{text}' is not a number"))?;
    if (0.0..=0.5).contains(&share) {
        Ok(share)
    } else {
        Err("a rate or share must be 0 to 0.5".into())
    }
}

/// Most photos that are listed on standard error.
const MOST_LISTED: usize = 10;

fn print_unscored(photos: &[UnscoredPhoto]) {
    for photo in photos.iter().take(MOST_LISTED) {
        eprintln!("{}", printable(&photo.to_string()));
    }
    if photos.len() > MOST_LISTED {
        eprintln!(
            "and {} more without a score (`evaluate --out FOLDER` lists them all in left-out.csv)",
            photos.len() - MOST_LISTED
        );
    }
}

/// The size of the data set, in a line.
pub(super) fn headline(collected: &Collected, comparisons: &Comparisons) -> String {
    let samples = &collected.samples;
    let people = samples.subjects.iter().max().map_or(0, |last| last + 1);
    let mut line = format!(
        "{} photos of {people} people: {} mated comparisons, {} non-mated",
        samples.names.len(),
        comparisons.mated().len(),
        comparisons.non_mated_total()
    );
    let unscored: Vec<String> = counts(&collected.unscored)
        .iter()
        .map(|(absence, count)| format!("{count} {absence}"))
        .collect();
    if !unscored.is_empty() {
        line += &format!("; left out: {}", unscored.join(", "));
    }
    if collected.renamed > 0 {
        line += &format!(
            "; the store has {} with another subject, from an earlier run",
            collected.renamed
        );
    }
    if collected.unknown > 0 {
        line += &format!("; {} without a result or a subject", collected.unknown);
    }
    line
}
