//! `facefleet search`

mod probe;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use clap::builder::{OsStringValueParser, TypedValueParser};
use futures::{StreamExt, stream};

use self::probe::{Probe, ProbeName};
use super::new_file::NewFile;
use super::report::Chips;
use super::score::analyse;
use super::{GalleryArgs, SOME_FAILED, printable, say, say_json};
use crate::app::App;
use crate::domain::{Faces, ProfileId};
use crate::gallery::search::{Candidate, GallerySearch, searchable_profile};
use crate::images::NamedPlace;
use crate::report::{Sheet, SheetCandidate, SheetProbe};
use crate::view::search::{CandidateView, SearchView};

/// Below every similarity.
const ANY: f64 = -2.0;

/// Find the faces of a gallery that are most similar to the primary face of each image, or to faces
/// of the gallery.
///
/// Every face of the gallery is compared: the answer is exact, and has the candidates that were
/// recorded a moment ago. Similarity is the cosine of two templates, -1 to 1. Only results of
/// networks that give the same templates as those of the settings are searched.
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
    /// The number of candidates for each image.
    #[arg(
        short = 'k',
        long = "candidates",
        default_value_t = 10,
        value_name = "NUMBER",
        value_parser = clap::value_parser!(u32).range(1..=10_000)
    )]
    candidates: u32,
    /// Leave out faces that are less similar, -1 to 1.
    #[arg(long, value_name = "SIMILARITY", allow_negative_numbers = true, value_parser = similarity)]
    min_similarity: Option<f64>,
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

fn similarity(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(number) if (-1.0..=1.0).contains(&number) => Ok(number),
        _ => Err("a similarity is a number from -1 to 1".into()),
    }
}

impl SearchArgs {
    pub(super) async fn run(self, app: App) -> Result<ExitCode> {
        let app = app.with_faces(Some(Faces::Largest));
        let own = app.profile(self.aligned)?;
        let gallery = &self.gallery.gallery;
        let store = app.filled_store().await?;
        let profile = searchable_profile(store.as_ref(), gallery, &own).await?;
        let threads = app.settings().threads();
        // The templates are read while the models are loaded and the images analysed.
        let (search, images) = tokio::join!(
            GallerySearch::open(store.as_ref(), gallery, &profile, threads),
            self.analysed(&app)
        );
        let (mut search, mut images) = (search?, images?.into_iter());
        let mut probes = Vec::with_capacity(self.probes.len());
        for name in &self.probes {
            probes.extend(match name {
                ProbeName::Image(_) => images.next(),
                ProbeName::Face(id) => {
                    Some(Probe::stored(*id, &search, (gallery, &profile), self.chips(&app)?).await?)
                }
            });
        }
        let faces = probes.iter().filter_map(|probe| probe.face.clone().ok()).collect();
        let (k, least) = (self.candidates as usize, self.min_similarity.unwrap_or(ANY));
        let mut found = search.nearest(faces, k, least).await?.into_iter();
        let found: Vec<Option<Vec<Candidate>>> = probes
            .iter()
            .map(|probe| probe.face.as_ref().ok().and_then(|_| found.next()))
            .collect();
        let some_failed = found.iter().any(Option::is_none);
        if let Some(file) = &self.out {
            self.write_sheet(&app, (&search, &profile), &probes, &found, file).await?;
        }
        for (probe, candidates) in probes.iter().zip(found) {
            if self.json {
                say_json(&self.view(probe, candidates, (&search, &profile)))?;
            } else {
                print(probe, candidates)?;
            }
        }
        if !self.json {
            let faces = search.faces();
            say(format!("searched {faces} faces of gallery {gallery}, profile {profile}"))?;
        }
        drop(search);
        store.close().await;
        Ok(if some_failed { ExitCode::from(SOME_FAILED) } else { ExitCode::SUCCESS })
    }

    /// The images, analysed. Loads no model if there are none.
    async fn analysed(&self, app: &App) -> Result<Vec<Probe>> {
        let images: Vec<&NamedPlace> = self.probes.iter().filter_map(ProbeName::image).collect();
        if images.is_empty() {
            return Ok(Vec::new());
        }
        let roots: Vec<_> = images.iter().filter_map(|image| image.readable()).collect();
        let source = app.images(&roots)?;
        let processor = app.processor(&[], self.aligned)?;
        let ahead = 2 * app.settings().threads() + 2;
        let (source, of) = (&source, &processor);
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

    /// The source of pictures of stored faces, if a page is wanted.
    fn chips(&self, app: &App) -> Result<Option<Chips>> {
        self.out.as_ref().map(|_| Chips::new(app)).transpose()
    }

    async fn write_sheet(
        &self,
        app: &App,
        (search, profile): (&GallerySearch<'_>, &ProfileId),
        probes: &[Probe],
        found: &[Option<Vec<Candidate>>],
        file: &Path,
    ) -> Result<()> {
        let probes = probes.iter().zip(found).map(|(probe, found)| sheet_probe(probe, found));
        let (gallery, searched) = (&self.gallery.gallery, search.faces() as u64);
        let sheet =
            Sheet::new(gallery, profile, searched, probes.collect(), &Chips::new(app)?).await;
        let html = sheet.html().context("Failed to render the page")?;
        NewFile::write(file, html.as_bytes())
            .with_context(|| format!("Failed to write {}", file.display()))
    }

    fn view(
        &self,
        probe: &Probe,
        candidates: Option<Vec<Candidate>>,
        (search, profile): (&GallerySearch<'_>, &ProfileId),
    ) -> SearchView {
        let gallery = &self.gallery.gallery;
        let candidate = |(rank, found): (u32, Candidate)| {
            let Candidate { similarity, face, image } = found;
            CandidateView::new(rank, similarity, face, image, (gallery.clone(), profile.clone()))
        };
        SearchView {
            gallery: gallery.clone(),
            profile: profile.clone(),
            searched: search.faces() as u64,
            probe: probe.view.clone(),
            candidates: candidates.map(|found| (1..).zip(found).map(candidate).collect()),
        }
    }
}

fn sheet_probe(probe: &Probe, found: &Option<Vec<Candidate>>) -> SheetProbe {
    let candidate = |found: &Candidate| SheetCandidate {
        similarity: found.similarity,
        face: found.face.clone(),
        subject: found.image.subject.as_ref().map(|subject| subject.as_str().to_owned()),
    };
    SheetProbe {
        name: probe.name.clone(),
        picture: probe.picture.clone(),
        face: probe.face.as_ref().map(|_| probe.quality()).map_err(Clone::clone),
        candidates: found.iter().flatten().map(candidate).collect(),
    }
}

/// Prints a probe and its candidates.
fn print(probe: &Probe, candidates: Option<Vec<Candidate>>) -> Result<()> {
    if let Err(reason) = &probe.face {
        return Ok(say(printable(reason))?);
    }
    say(format!("{}: quality {}", printable(&probe.name), probe.quality()))?;
    let candidates = candidates.unwrap_or_default();
    if candidates.is_empty() {
        say("   no candidate")?;
    }
    for (rank, Candidate { similarity, image, face }) in (1..).zip(candidates) {
        let quality = face.quality.map_or_else(|| "-".to_owned(), |quality| quality.to_string());
        let subject = image.subject.map(|subject| format!("  subject {}", subject.as_str()));
        let line = format!(
            "{rank:>4}  similarity {similarity:.4}  quality {quality:>3}  {}{}  face {}",
            image.image.for_people(),
            subject.unwrap_or_default(),
            face.id
        );
        say(printable(&line))?;
    }
    Ok(())
}
