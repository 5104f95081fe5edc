//! What `evaluate`, `calibrate` and `bias` share: photos with labels, scored and read back.

use std::fs::File;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;
use futures::StreamExt;
use indicatif::{ProgressBar, ProgressStyle};

use super::interrupt::{Interrupted, stop_on_signal};
use super::report::choose_profile;
use super::{SOME_FAILED, printable};
use crate::app::App;
use crate::app::session::{Scoring, Session};
use crate::domain::{
    GalleryName, ImageUri, LabelledImage, OutcomeKind, ProfileId, SerFiq, SubjectName,
};
use crate::evaluate::bootstrap::Estimate;
use crate::evaluate::collect::{self, Collected};
use crate::evaluate::evaluation::Bootstrap;
use crate::evaluate::labels::{self, Known, Reading};
use crate::evaluate::left_out::{Absence, LeftOut, counts};
use crate::evaluate::pairs::Comparisons;
use crate::evaluate::photos::{self, PhotoLocation};
use crate::evaluate::plot::Chart;
use crate::evaluate::tables;
use crate::images::{ListingEntry, Root};
use crate::store::Store;

/// The photos, and how they are compared.
#[derive(Debug, Args)]
pub(super) struct Labelled {
    /// Photos and what is known of them: a table, a list of pairs, or the name of a gallery whose
    /// images have subjects.
    ///
    /// A table begins with the names of its columns: `file` and `subject` (or image, path …;
    /// person, id …) in any order, all others are groups. A list of pairs has a line each: `file
    /// file 1` (one person) or `file file 0` (two); or columns `file1,file2,same`; or is LFW's
    /// pairs.txt. Commas, semicolons and tabs separate; names with separators stand in quotes.
    #[arg(value_name = "LABELS|PAIRS|GALLERY")]
    data: String,
    /// Where the files of LABELS or PAIRS are, if not next to it. Files that are not there are
    /// named and left out.
    #[arg(long, value_name = "FOLDER")]
    images: Option<PathBuf>,
    /// The gallery that keeps the results of LABELS or PAIRS: the second run only reads them.
    #[arg(long, default_value = "evaluation", value_name = "NAME")]
    gallery: GalleryName,
    /// Of a GALLERY: the profile to evaluate, if not the one recorded to last with the closed form.
    #[arg(long, value_name = "ID")]
    profile: Option<ProfileId>,
    /// The photos are chips already: aligned, and 112x112; others are refused. No detection.
    #[arg(long)]
    aligned: bool,
    /// Replicates of the bootstrap over subjects that makes the 95 % intervals; 0 for none.
    #[arg(long, default_value_t = 200, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=10_000))]
    bootstrap: u32,
    /// Seed of the bootstrap and of the random measure.
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub(super) seed: u64,
}

/// What was found.
pub(super) struct Found {
    pub(super) collected: Collected,
    photos: Vec<LabelledImage>,
}

impl Found {
    /// The exit status: bad photos are outcomes, but failures may pass.
    pub(super) fn status(&self) -> ExitCode {
        let failed = Absence::Ended(OutcomeKind::Failed);
        let some_failed = self.collected.left_out.iter().any(|photo| photo.absence == failed);
        if some_failed { ExitCode::from(SOME_FAILED) } else { ExitCode::SUCCESS }
    }
}

impl Labelled {
    /// Whether the data is a file, and no gallery.
    pub(super) fn is_file(&self) -> bool {
        Path::new(&self.data).is_file()
    }

    /// What was named.
    pub(super) fn data(&self) -> &str {
        &self.data
    }

    /// The gallery that the data names.
    pub(super) fn gallery_named(&self) -> Result<GalleryName> {
        self.data
            .parse()
            .with_context(|| format!("'{}' is neither a file nor the name of a gallery", self.data))
    }

    /// The profile of a gallery that is looked at. What was sampled beside the closed form is no
    /// more recent a scan.
    pub(super) async fn profile_of(
        &self,
        store: &dyn Store,
        gallery: &GalleryName,
    ) -> Result<ProfileId> {
        let chosen = choose_profile(store, gallery, self.profile.clone()).await;
        let chosen = chosen
            .with_context(|| format!("'{}' is no file, so it should be a gallery", self.data))?;
        if self.profile.is_some() {
            return Ok(chosen);
        }
        let profiles = store
            .galleries()
            .await?
            .into_iter()
            .find(|(name, _)| name == gallery)
            .map(|(_, profiles)| profiles);
        for id in profiles.unwrap_or_default() {
            if store
                .profile(&id)
                .await?
                .is_some_and(|profile| matches!(profile.ser_fiq, SerFiq::ClosedForm { .. }))
            {
                return Ok(id);
            }
        }
        Ok(chosen)
    }

    /// What is known beside the store.
    pub(super) fn known(&self) -> Result<Reading> {
        if !self.is_file() {
            return Ok(Reading { known: Known::Gallery, assumed: None });
        }
        let path = Path::new(&self.data);
        let bytes =
            std::fs::read(path).with_context(|| format!("Failed to read {}", path.display()))?;
        let reading = labels::read(&bytes).with_context(|| path.display().to_string())?;
        if let Some(encoding) = reading.assumed {
            tracing::warn!(
                "{} is not UTF-8: read as {encoding}; if names come out wrong, save it as UTF-8",
                path.display()
            );
        }
        Ok(reading)
    }

    /// Scores what the store does not hold of what is known by `labels`, and reads everything back.
    pub(super) async fn collect(
        &self,
        app: &App,
        store: &dyn Store,
        labels: &Reading,
    ) -> Result<Found> {
        if labels.known == Known::Gallery {
            let gallery = self.gallery_named()?;
            let profile = self.profile_of(store, &gallery).await?;
            let collected = collect::read(store, &gallery, &profile, &Known::Gallery, &[]).await?;
            name_left_out(&collected.left_out);
            return Ok(Found { collected, photos: Vec::new() });
        }
        labels.known.check().with_context(|| self.data.clone())?;
        let beside = Path::new(&self.data).parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = self.images.as_deref().or(beside).unwrap_or(Path::new("."));
        let places = photos::locate(labels, folder).with_context(|| self.data.clone())?;
        let found = find_photos(app, &labels.known, &places).await?;
        let photos: Vec<LabelledImage> = found.iter().flatten().cloned().collect();
        let profile = self.score(app, &photos).await?;
        let places: Vec<Result<ImageUri, String>> =
            found.into_iter().map(|photo| photo.map(|photo| photo.image)).collect();
        let collected = collect::read(store, &self.gallery, &profile, &labels.known, &places).await;
        let collected = collected.with_context(|| self.data.clone())?;
        name_left_out(&collected.left_out);
        Ok(Found { collected, photos })
    }

    /// The scores of the same photos as another application gives them, as far as their files are
    /// known.
    pub(super) async fn other_scores(
        &self,
        app: &App,
        store: &dyn Store,
        found: &Found,
    ) -> Result<Vec<Option<f64>>> {
        if found.photos.is_empty() {
            bail!(
                "the photos of a gallery are scored by `facefleet scan`; use a file of labels to \
                    score them by another method"
            );
        }
        let profile = self.score(app, &found.photos).await?;
        Ok(collect::read_scores(store, &self.gallery, &profile, &found.collected.samples.images)
            .await?)
    }

    /// Scores the photos that are not up to date in the gallery; the profile of the results.
    async fn score(&self, app: &App, photos: &[LabelledImage]) -> Result<ProfileId> {
        let session = Session::open_for_scoring(app, &roots(photos), self.aligned).await?;
        let profile = session.profile_id();
        let bar = if std::io::stderr().is_terminal() {
            ProgressBar::new(photos.len() as u64)
        } else {
            ProgressBar::hidden()
        };
        bar.set_style(ProgressStyle::with_template("{wide_bar} {pos}/{len} scored, {eta} left")?);
        let stop = stop_on_signal({
            let bar = bar.clone();
            move || bar.suspend(|| eprintln!("stopping: photos in work are finished first"))
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
        let highest_fmr = fmrs.iter().copied().fold(0.0, f64::max);
        let samples = &collected.samples;
        let comparisons = match &collected.pairs {
            Some(pairs) => Comparisons::listed(&samples.templates.view(), pairs)?,
            None => Comparisons::all(
                &samples.templates.view(),
                &samples.subjects,
                highest_fmr,
                app.settings().threads(),
            )?,
        };
        for &fmr in fmrs {
            let (few, weak) =
                self.bootstrap(app).without_threshold(&comparisons, &samples.subjects, fmr);
            let lost =
                "replicates without a threshold are left out, and the intervals are too narrow";
            if few > 0 {
                tracing::warn!(
                    fmr,
                    few,
                    of = self.bootstrap,
                    "{lost}: they have too few pairs of two people to show this rate"
                );
            }
            if weak > 0 {
                tracing::warn!(
                    fmr,
                    weak,
                    of = self.bootstrap,
                    "{lost}: the most similar pairs of two people are those of a few; is somebody \
                        in the labels under two names?"
                );
            }
        }
        Ok(comparisons)
    }

    /// How intervals are made.
    pub(super) fn bootstrap(&self, app: &App) -> Bootstrap {
        Bootstrap { replicates: self.bootstrap, seed: self.seed, threads: app.settings().threads() }
    }
}

/// Parses a rate or a share.
pub(super) fn share(text: &str) -> Result<f64, String> {
    let share: f64 = text.parse().map_err(|_| format!("'{text}' is no number"))?;
    if (0.0..=0.5).contains(&share) { Ok(share) } else { Err("a rate or share is 0 to 0.5".into()) }
}

/// The photos at `places`, with the versions that are there now; or why one is not.
async fn find_photos(
    app: &App,
    known: &Known,
    places: &[PhotoLocation],
) -> Result<Vec<Result<LabelledImage, String>>> {
    let mut photos = Vec::with_capacity(places.len());
    for ((_, _, subject), place) in known.files().into_iter().zip(places) {
        let subject = subject.map(str::parse::<SubjectName>).transpose()?;
        photos.push(match place {
            PhotoLocation::Missing(reason) => Err(reason.clone()),
            PhotoLocation::Elsewhere(image) => {
                Ok(LabelledImage { image: image.clone(), stamp: None, subject })
            }
            PhotoLocation::File(path) => {
                match app.listing(&[Root::Path(path.clone())])?.entries(None)?.next().await {
                    Some(Ok(ListingEntry::Image { uri, stamp, .. })) => {
                        Ok(LabelledImage { image: uri, stamp: Some(stamp), subject })
                    }
                    Some(Ok(ListingEntry::Failed(error)) | Err(error)) => Err(error.to_string()),
                    Some(Ok(_)) | None => Err("it is no image file".to_owned()),
                }
            }
        });
    }
    Ok(photos)
}

/// What may be read: the files that the labels name, wherever they are, and nothing beside them.
fn roots(photos: &[LabelledImage]) -> Vec<Root> {
    photos.iter().filter_map(|photo| photo.image.to_path()).map(Root::Path).collect()
}

/// More photos than this are not named one by one.
const NAMED: usize = 10;

/// Names the photos that the evaluation goes on without.
fn name_left_out(left_out: &[LeftOut]) {
    for photo in left_out.iter().take(NAMED) {
        eprintln!("{}", printable(&photo.to_string()));
    }
    if left_out.len() > NAMED {
        eprintln!(
            "and {} more without a score (`evaluate --out FOLDER` lists them all in left-out.csv)",
            left_out.len() - NAMED
        );
    }
}

/// What is evaluated, in a line or two.
pub(super) fn headline(collected: &Collected, comparisons: &Comparisons) -> String {
    let samples = &collected.samples;
    let people = samples.subjects.iter().max().map_or(0, |last| last + 1);
    let mut line = format!(
        "{} photos of {people} people: {} pairs of one person, {} of two",
        samples.names.len(),
        comparisons.genuine().len(),
        comparisons.impostor_total()
    );
    for (absence, count) in counts(&collected.left_out) {
        line += &format!("; left out: {count} {absence}");
    }
    if collected.renamed > 0 {
        line += &format!(
            "; {} were recorded with another subject, which the gallery keeps",
            collected.renamed
        );
    }
    if collected.unknown > 0 {
        line += &format!("; {} without a result or a subject", collected.unknown);
    }
    line
}

/// `value [low, high]`.
pub(super) fn shown(estimate: Estimate, decimals: usize) -> String {
    let Estimate { value, low, high } = estimate;
    if low == value && high == value {
        return format!("{value:.decimals$}");
    }
    format!("{value:.decimals$} [{low:.decimals$}, {high:.decimals$}]")
}

/// The same, or a dash.
pub(super) fn shown_or_dash(estimate: Option<Estimate>, decimals: usize) -> String {
    estimate.map_or_else(|| "-".to_owned(), |estimate| shown(estimate, decimals))
}

/// Aligned columns, the first to the left.
pub(super) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let line = |row: &Vec<String>| {
        let cell = |(column, cell): (usize, &String)| {
            let width = widths[column];
            if column == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        };
        row.iter().enumerate().map(cell).collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// The folder that results are written to.
pub(super) struct OutFolder(PathBuf);

impl OutFolder {
    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Makes the folder, if it is not there.
    pub(super) fn create(path: &Path) -> Result<Self> {
        std::fs::create_dir_all(path)
            .with_context(|| format!("Failed to create {}", path.display()))?;
        Ok(Self(path.to_owned()))
    }

    /// Writes the file `name` with `write`.
    pub(super) fn write(
        &self,
        name: &str,
        write: impl FnOnce(&mut File) -> std::io::Result<()>,
    ) -> Result<()> {
        let path = self.0.join(name);
        let written = File::create(&path).and_then(|mut file| write(&mut file));
        written.with_context(|| format!("Failed to write {}", path.display()))
    }

    /// Writes which photos have no score, and why, if there are any.
    pub(super) fn left_out(&self, left_out: &[LeftOut]) -> Result<()> {
        if left_out.is_empty() {
            return Ok(());
        }
        self.write("left-out.csv", |file| tables::left_out(left_out, file))
    }

    /// Writes a chart as `name.svg` and `name.png`.
    pub(super) fn chart(&self, name: &str, chart: &Chart) -> Result<()> {
        let (svg, png) = (chart.svg()?, chart.png()?);
        self.write(&format!("{name}.svg"), |file| file.write_all(svg.as_bytes()))?;
        self.write(&format!("{name}.png"), |file| file.write_all(&png))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let rows =
            [vec!["a".to_owned(), "1.5".to_owned()], vec!["long".to_owned(), "12.25".to_owned()]];
        assert_eq!(table(&rows), "a       1.5\nlong  12.25");
    }
}
