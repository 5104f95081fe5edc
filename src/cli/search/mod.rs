//! `facefleet search`

mod answer;
mod probe;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};
use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{Args, ValueEnum};
use futures::{StreamExt, stream};

pub(super) use self::answer::short;
use self::answer::{ProbeAnswer, SearchAnswers};
use self::probe::{Probe, ProbeName};
use super::compare::NO_THRESHOLDS;
use super::new_file::NewFile;
use super::profile_arg::ProfileArg;
use super::score::analyse;
use super::{GalleryArgs, SOME_FAILED, say_json};
use crate::app::App;
use crate::app::report::Chips;
use crate::domain::{Faces, Profile, SourcedThresholds, fmr_of_search};
use crate::gallery::search::{GallerySearch, require_searchable};
use crate::images::NamedPlace;
use crate::store::Searched;
use crate::view::search::LeastView;
use crate::worker::{Process, Processor};

/// Below every similarity.
const ANY: f64 = -2.0;

/// Find the people or the faces of a gallery that are most similar to the primary face of each
/// image, or to faces of the gallery.
///
/// If people were enrolled in the gallery, they are searched, each by its best reference; --by
/// chooses otherwise. Every reference, or every face, is compared: the answer is exact, and has the
/// candidates that were recorded a moment ago. Similarity is the cosine of two templates, -1 to 1.
/// The gallery is searched under its active profile, which must give the same templates as the
/// networks of the settings.
///
/// Exit status: 3 if an image has no face to search with.
#[derive(Debug, Args)]
pub(super) struct SearchArgs {
    #[arg(
        required = true,
        value_name = "IMAGE|FACE",
        value_parser = OsStringValueParser::new().try_map(ProbeName::try_from),
        help = "What to search with: images (paths, or URIs: s3:, gs:, az:, https:, file:, \
            data:), or ids of faces of the gallery (17-0; a file of such a name: ./17-0)"
    )]
    probes: Vec<ProbeName>,
    #[command(flatten)]
    gallery: GalleryArgs,
    /// The profile to search under [default: the active one of the gallery].
    #[arg(long, value_name = "PROFILE")]
    profile: Option<ProfileArg>,
    /// Find people, each by its best reference, or single faces [default: subject if the gallery
    /// has references that can be compared with, otherwise face].
    #[arg(long, value_enum, value_name = "KIND")]
    by: Option<By>,
    /// The number of candidates for each image.
    #[arg(
        short = 'k',
        long = "candidates",
        default_value_t = 10,
        value_name = "NUMBER",
        value_parser = clap::value_parser!(u32).range(1..=10_000)
    )]
    candidates: u32,
    /// Leave out candidates that are less similar, -1 to 1.
    #[arg(
        long,
        value_name = "SIMILARITY",
        allow_negative_numbers = true,
        value_parser = similarity
    )]
    min_similarity: Option<f64>,
    /// Leave out candidates that are no match at this false match rate, such as 1e-4.
    #[arg(long, value_name = "RATE", value_parser = rate, conflicts_with = "min_similarity")]
    fmr: Option<f64>,
    /// Leave out candidates so that, of searches for somebody who is not in the gallery, this share
    /// has any, such as 0.01.
    #[arg(
        long,
        value_name = "RATE",
        value_parser = rate,
        conflicts_with_all = ["min_similarity", "fmr"]
    )]
    fpir: Option<f64>,
    /// The images are chips: aligned, and 112x112. Other images are refused.
    #[arg(long)]
    aligned: bool,
    /// Print one JSON object a line: each image with its candidates.
    #[arg(long)]
    json: bool,
    /// Write a page with the pictures of the probes and the candidates. It is biometric data.
    #[arg(long, short, value_name = "FILE.html")]
    out: Option<PathBuf>,
}

/// What a search finds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum By {
    /// People, each by its best reference.
    Subject,
    /// Faces of the gallery.
    Face,
}

impl From<By> for Searched {
    fn from(by: By) -> Self {
        match by {
            By::Subject => Self::References,
            By::Face => Self::Faces,
        }
    }
}

pub(super) fn similarity(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(number) if (-1.0..=1.0).contains(&number) => Ok(number),
        _ => Err("a similarity is a number from -1 to 1".into()),
    }
}

pub(super) fn rate(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(rate) if rate > 0.0 && rate < 1.0 => Ok(rate),
        _ => Err("a rate is a number between 0 and 1, such as 1e-4".into()),
    }
}

/// The least similarity. A match exceeds its threshold.
fn floor(least: Option<LeastView>) -> f64 {
    match least {
        Some(LeastView { similarity, fmr: None, fpir: None }) => similarity,
        Some(LeastView { similarity, .. }) => similarity.next_up(),
        None => ANY,
    }
}

impl SearchArgs {
    pub(super) async fn run(self, app: App) -> Result<ExitCode> {
        let app = app.with_faces(Some(Faces::Largest));
        let (processor, own) = self.networks(&app)?;
        let gallery = &self.gallery.gallery;
        let store = app.filled_store().await?;
        let named = self.profile.as_ref();
        let profile = ProfileArg::of_gallery(named, &app, store.as_ref(), gallery).await?;
        require_searchable(store.as_ref(), gallery, &own, &profile).await?;
        let threads = app.settings().threads();
        if let Some(folder) = self.out.as_ref().and_then(|file| file.parent()) {
            let there = folder.as_os_str().is_empty() || folder.is_dir();
            ensure!(there, "--out: there is no folder {}", folder.display());
        }
        // First: the search holds a transaction of the store.
        let mut images = match &processor {
            Some(processor) => self.analysed(&app, processor).await?,
            None => Vec::new(),
        }
        .into_iter();
        let by = self.by.map(Searched::from);
        let mut search =
            GallerySearch::open(store.as_ref(), gallery, &profile, by, threads).await?;
        let mut probes = Vec::with_capacity(self.probes.len());
        for name in &self.probes {
            probes.extend(match name {
                ProbeName::Image(_) => images.next(),
                ProbeName::Face(id) => {
                    Some(Probe::stored(*id, &mut search, (gallery, &profile)).await?)
                }
            });
        }
        let faces = probes.iter().filter_map(|probe| probe.face.clone().ok()).collect();
        let known = app.match_thresholds(&own)?;
        let mut searched = SearchAnswers {
            gallery,
            profile: &profile,
            by: search.searched(),
            subjects: search.subjects().map(|subjects| subjects as u64),
            faces: search.faces() as u64,
            known: known.as_ref(),
            least: None,
        };
        searched.least = self.least(&searched)?;
        let (k, least) = (self.candidates as usize, floor(searched.least));
        let mut found = search.nearest(faces, k, least).await?.into_iter();
        let answers: Vec<ProbeAnswer> = probes
            .into_iter()
            .map(|probe| {
                let found = probe.face.as_ref().ok().and_then(|_| found.next());
                (probe, found)
            })
            .collect();
        drop(search);
        store.close().await;
        self.tell(&app, &searched, answers).await
    }

    /// The networks, and the profile of the probes. Faces of the gallery need no network.
    fn networks(&self, app: &App) -> Result<(Option<Processor>, Profile)> {
        if self.probes.iter().all(|probe| probe.image().is_none()) {
            return Ok((None, app.profile(self.aligned)?));
        }
        let processor = app.processor(&[], self.aligned)?;
        let profile = processor.profile().clone();
        Ok((Some(processor), profile))
    }

    /// Writes and prints the answers.
    async fn tell(
        &self,
        app: &App,
        searched: &SearchAnswers<'_>,
        answers: Vec<ProbeAnswer>,
    ) -> Result<ExitCode> {
        let some_failed = answers.iter().any(|(_, found)| found.is_none());
        if let Some(file) = &self.out {
            let sheet = searched.sheet(&answers, &Chips::new(app)?).await;
            let html = sheet.html().context("Failed to render the page")?;
            NewFile::write(file, html.as_bytes())
                .with_context(|| format!("Failed to write {}", file.display()))?;
        }
        if self.json {
            for answer in answers {
                say_json(&searched.view(answer))?;
            }
        } else {
            answers.iter().try_for_each(|answer| searched.print(answer))?;
            searched.print_end()?;
        }
        Ok(if some_failed { ExitCode::from(SOME_FAILED) } else { ExitCode::SUCCESS })
    }

    /// How similar candidates must be; none if that was not limited.
    ///
    /// # Errors
    /// If a rate was asked for whose threshold is not known.
    fn least(&self, searched: &SearchAnswers<'_>) -> Result<Option<LeastView>> {
        let (fmr, fpir, faces) = (self.fmr, self.fpir, searched.faces);
        if let Some(similarity) = self.min_similarity {
            return Ok(Some(LeastView { similarity, fmr, fpir }));
        }
        // Among no faces there is nothing to limit.
        if fmr.is_none() && (fpir.is_none() || faces == 0) {
            return Ok(None);
        }
        let Some(SourcedThresholds { thresholds, .. }) = searched.known else {
            bail!(NO_THRESHOLDS)
        };
        let threshold = match (fmr, fpir) {
            (Some(fmr), _) => thresholds.threshold_at(fmr)?,
            (_, fpir) => {
                let fpir = fpir.unwrap_or_default();
                thresholds.threshold_at_fpir(fpir, faces).with_context(|| {
                    let (each, among) = (fmr_of_search(fpir, faces), searched.searched());
                    format!("FPIR {fpir:e} among {among} takes FMR {each:.1e} for each")
                })?
            }
        };
        Ok(Some(LeastView { similarity: threshold.threshold, fmr, fpir }))
    }

    /// The images, analysed.
    async fn analysed(&self, app: &App, processor: &Processor) -> Result<Vec<Probe>> {
        let images: Vec<&NamedPlace> = self.probes.iter().filter_map(ProbeName::image).collect();
        let roots: Vec<_> = images.iter().filter_map(|image| image.readable()).collect();
        let source = app.images(&roots)?;
        let ahead = 2 * app.settings().threads() + 2;
        let (source, of) = (&source, processor);
        let probes = stream::iter(images.into_iter().map(NamedPlace::image))
            .map(|image| async move {
                let analysis = analyse(of, source, &image).await;
                Probe::analysed(&image, &analysis, of)
            })
            .buffered(ahead)
            .collect()
            .await;
        Ok(probes)
    }
}
