//! What `evaluate`, `calibrate` and `bias` share: photos with labels, scored and read back.

use std::collections::HashMap;
use std::fs::File;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use futures::StreamExt;
use indicatif::{ProgressBar, ProgressStyle};

use super::report::choose_profile;
use crate::app::App;
use crate::domain::{GalleryName, ImageUri, ProfileId, SerFiq};
use crate::evaluate::bootstrap::Estimate;
use crate::evaluate::collect::{self, Collected, Photo, Problem};
use crate::evaluate::evaluation::Bootstrap;
use crate::evaluate::labels::{Known, Labels, PairList};
use crate::evaluate::pairs::Comparisons;
use crate::evaluate::plot::Chart;
use crate::images::{Listed, Root};
use crate::store::Store;
use crate::worker::Process;

/// The photos, and how they are compared.
#[derive(Debug, Args)]
pub(super) struct Labelled {
    /// Photos and what is known of them: a table `file,subject[,group…]` (CSV), a list of pairs `file file 1` or `file file 0`, or the
    /// name of a gallery whose images have subjects.
    #[arg(value_name = "LABELS|PAIRS|GALLERY")]
    data: String,
    /// Where the files of LABELS or PAIRS are, if not next to it.
    #[arg(long, value_name = "FOLDER")]
    images: Option<PathBuf>,
    /// The gallery that keeps the results of LABELS or PAIRS: the second run only reads them.
    #[arg(long, default_value = "evaluation", value_name = "NAME")]
    gallery: GalleryName,
    /// Of a GALLERY: the profile to evaluate, if not the one recorded to last with the closed form.
    #[arg(long, value_name = "ID")]
    profile: Option<ProfileId>,
    /// The photos are chips already: 112x112, aligned. No detection.
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
    photos: Vec<Photo>,
    root: PathBuf,
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
        self.data.parse().with_context(|| format!("'{}' is neither a file nor the name of a gallery", self.data))
    }

    /// The profile of a gallery that is looked at. What was sampled beside the closed form is no more recent a scan.
    pub(super) async fn profile_of(&self, store: &dyn Store, gallery: &GalleryName) -> Result<ProfileId> {
        let chosen = choose_profile(store, gallery, self.profile.clone()).await;
        let chosen = chosen.with_context(|| format!("'{}' is no file, so it should be a gallery", self.data))?;
        if self.profile.is_some() {
            return Ok(chosen);
        }
        let profiles = store.galleries().await?.into_iter().find(|(name, _)| name == gallery).map(|(_, profiles)| profiles);
        for id in profiles.unwrap_or_default() {
            if store.profile(&id).await?.is_some_and(|profile| matches!(profile.ser_fiq, SerFiq::ClosedForm { .. })) {
                return Ok(id);
            }
        }
        Ok(chosen)
    }

    /// What is known beside the store.
    pub(super) fn known(&self) -> Result<Known> {
        if !self.is_file() {
            return Ok(Known::Gallery);
        }
        let path = Path::new(&self.data);
        let text = std::fs::read_to_string(path).with_context(|| format!("Failed to read {}", path.display()))?;
        read_labels(&text).with_context(|| path.display().to_string())
    }

    /// Scores what the store does not hold of what is `known`, and reads everything back.
    pub(super) async fn collect(&self, app: &App, store: &dyn Store, known: Known) -> Result<Found> {
        if known == Known::Gallery {
            let gallery = self.gallery_named()?;
            let profile = self.profile_of(store, &gallery).await?;
            let collected = collect::read(store, &gallery, &profile, &Known::Gallery, &[]).await?;
            name_left_out(&collected);
            return Ok(Found { collected, photos: Vec::new(), root: PathBuf::from("/") });
        }
        known.check().with_context(|| self.data.clone())?;
        let root = match &self.images {
            Some(folder) => folder.clone(),
            None => Path::new(&self.data)
                .parent()
                .filter(|folder| !folder.as_os_str().is_empty())
                .unwrap_or(Path::new("."))
                .to_owned(),
        };
        let photos = find_photos(app, &known, &root).await?;
        let processor = app.processor(&[Root::Path(root.clone())], self.aligned)?;
        self.score(app, store, &processor, &photos).await?;
        let places: Vec<ImageUri> = photos.iter().map(|photo| photo.image.clone()).collect();
        let collected = collect::read(store, &self.gallery, &processor.profile().id(), &known, &places).await?;
        name_left_out(&collected);
        Ok(Found { collected, photos, root })
    }

    /// The scores of the same photos as another application gives them, as far as their files are known.
    pub(super) async fn other_scores(&self, app: &App, store: &dyn Store, found: &Found) -> Result<Vec<Option<f64>>> {
        if found.photos.is_empty() {
            bail!("the photos of a gallery are scored by `facefleet scan`; use a file of labels to score them by another method");
        }
        let processor = app.processor(&[Root::Path(found.root.clone())], self.aligned)?;
        self.score(app, store, &processor, &found.photos).await?;
        Ok(collect::read_scores(store, &self.gallery, &processor.profile().id(), &found.collected.samples.images).await?)
    }

    async fn score(&self, app: &App, store: &dyn Store, processor: &dyn Process, photos: &[Photo]) -> Result<()> {
        let bar = if std::io::stderr().is_terminal() { ProgressBar::new(photos.len() as u64) } else { ProgressBar::hidden() };
        bar.set_style(ProgressStyle::with_template("{wide_bar} {pos}/{len} scored, {eta} left")?);
        let ahead = 24 * app.settings().threads();
        let selection = app.settings().selection();
        let ended = |images| bar.inc(images);
        let scored = collect::score(photos, &self.gallery, &selection, processor, store, ahead, &ended).await;
        bar.finish_and_clear();
        Ok(scored?)
    }

    /// All comparisons, with thresholds for `fmrs`.
    pub(super) fn compare(&self, app: &App, collected: &Collected, fmrs: &[f64]) -> Result<Comparisons> {
        let highest_fmr = fmrs.iter().copied().fold(0.0, f64::max);
        let samples = &collected.samples;
        let comparisons = match &collected.pairs {
            Some(pairs) => Comparisons::listed(&samples.templates.view(), pairs)?,
            None => Comparisons::all(&samples.templates.view(), &samples.subjects, highest_fmr, app.settings().threads())?,
        };
        for &fmr in fmrs {
            let (few, weak) = self.bootstrap(app).without_threshold(&comparisons, &samples.subjects, fmr);
            let lost = "replicates without a threshold are left out, and the intervals are too narrow";
            if few > 0 {
                tracing::warn!(fmr, few, of = self.bootstrap, "{lost}: they have too few pairs of two people to show this rate");
            }
            if weak > 0 {
                tracing::warn!(
                    fmr,
                    weak,
                    of = self.bootstrap,
                    "{lost}: the most similar pairs of two people are those of a few; is somebody in the labels under two names?"
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

/// A table begins with its header, whose first columns are named; everything else is a list of pairs.
fn read_labels(text: &str) -> Result<Known> {
    // Spreadsheets begin with it.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let header = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let first = header.split([',', ';', '\t']).next().unwrap_or_default().trim().trim_matches('"');
    if !matches!(first, "file" | "subject") {
        return Ok(Known::Pairs(PairList::read(text)?));
    }
    if !header.contains(',') {
        bail!("the columns of a table are separated by commas: file,subject, and groups if there are any");
    }
    Ok(Known::Labels(Labels::read(text.as_bytes())?))
}

async fn find_photos(app: &App, known: &Known, root: &Path) -> Result<Vec<Photo>> {
    let files: Vec<(&str, Option<&str>)> = match known {
        Known::Labels(labels) => labels.photos.iter().map(|label| (label.file.as_str(), Some(label.subject.as_str()))).collect(),
        Known::Pairs(list) => list.files.iter().map(|file| (file.as_str(), None)).collect(),
        Known::Gallery => Vec::new(),
    };
    let (mut photos, mut spellings) = (Vec::with_capacity(files.len()), HashMap::with_capacity(files.len()));
    for (file, subject) in files {
        let path = root.join(file);
        if !path.is_file() {
            bail!("there is no file {file} in {}; --images names the folder that the photos are in", root.display());
        }
        match app.listing(&[Root::Path(path)])?.entries(None)?.next().await {
            Some(Ok(Listed::Image { uri, stamp, .. })) => {
                if let Some(other) = spellings.insert(uri.clone(), file) {
                    bail!("{other} and {file} are the same file");
                }
                photos.push(Photo { image: uri, stamp: Some(stamp), subject: subject.map(str::to_owned) });
            }
            Some(Ok(Listed::Unlisted(error)) | Err(error)) => return Err(error.into()),
            Some(Ok(Listed::Other(_))) | None => bail!("{file} is no file in {}", root.display()),
        }
    }
    Ok(photos)
}

/// Names the photos that could not be scored; [`headline`] counts them.
fn name_left_out(collected: &Collected) {
    for Problem { file, outcome, reason } in &collected.problems {
        tracing::warn!(file, %outcome, reason, "a photo is left out");
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
    for (outcome, count) in &collected.left_out {
        line += &format!("; left out: {count} {outcome}");
    }
    if collected.renamed > 0 {
        line += &format!("; {} were recorded with another subject, which the gallery keeps", collected.renamed);
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
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0);
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
        std::fs::create_dir_all(path).with_context(|| format!("Failed to create {}", path.display()))?;
        Ok(Self(path.to_owned()))
    }

    /// Writes the file `name` with `write`.
    pub(super) fn write(&self, name: &str, write: impl FnOnce(&mut File) -> std::io::Result<()>) -> Result<()> {
        let path = self.0.join(name);
        let written = File::create(&path).and_then(|mut file| write(&mut file));
        written.with_context(|| format!("Failed to write {}", path.display()))
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
        let rows = [vec!["a".to_owned(), "1.5".to_owned()], vec!["long".to_owned(), "12.25".to_owned()]];
        assert_eq!(table(&rows), "a       1.5\nlong  12.25");
    }

    #[test]
    fn a_table_is_told_from_a_list_of_pairs_by_its_header() {
        for table in ["file,subject\na,A\n", "\u{feff}file,subject\r\na,A\r\n", "\n\"file\",\"subject\"\na,A\n"] {
            assert!(matches!(read_labels(table), Ok(Known::Labels(_))), "{table:?}");
        }
        for pairs in ["# LFW, pairs\na b 1\n", "\u{feff}a b 1\n", "a,1.jpg b 0\n"] {
            assert!(matches!(read_labels(pairs), Ok(Known::Pairs(_))), "{pairs:?}");
        }
        for wrong in ["file;subject\na;A\n", "file\na\n", "file\tsubject\na\tA\n"] {
            assert!(read_labels(wrong).unwrap_err().to_string().contains("commas"), "{wrong:?}");
        }
        assert!(format!("{:#}", read_labels("subject,file\nA,a\n").unwrap_err()).contains("'file'"));
    }
}
