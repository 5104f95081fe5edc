//! `facefleet curate lowest`, `duplicates`, `outliers`, `collisions`, `best` and `gone`.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;

use super::verdicts::tell;
use crate::app::App;
use crate::app::report::Chips;
use crate::cli::new_file::NewFile;
use crate::cli::search::similarity;
use crate::cli::{GalleryArgs, OperatorArgs, printable, say, say_json};
use crate::domain::{Verdict, VerdictReason, counted};
use crate::gallery::curate::{
    CuratePreview, CurateQuery, CurateView, Curator, Evidence, ShownImage, Suggestion, apply,
    preview,
};
use crate::report::{CurationSheet, SheetCase, SheetView};
use crate::store::{Store, choose_profile};
use crate::view::curation::{CurationResultView, PreviewLine, SuggestionView};

/// The false match rate of the threshold, where the settings have none.
const FMR: f64 = 1e-4;

/// What every view accepts.
#[derive(Debug, Args)]
pub(in crate::cli) struct ViewArgs {
    #[command(flatten)]
    gallery: GalleryArgs,
    /// The most suggestions.
    #[arg(
        long,
        default_value_t = 50,
        value_name = "NUMBER",
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    limit: u32,
    /// Give the verdicts that the preview of this name showed, with the same options: all of them,
    /// or none if the gallery changed since.
    #[arg(long, value_name = "PREVIEW")]
    apply: Option<String>,
    #[command(flatten)]
    by: OperatorArgs,
    /// Why, for --apply [default: the name of the view].
    #[arg(long, value_name = "TEXT", requires = "apply")]
    reason: Option<VerdictReason>,
    /// Write a page with the pictures side by side. It is biometric data.
    #[arg(long, short, value_name = "FILE.html", conflicts_with = "apply")]
    out: Option<PathBuf>,
    /// Print JSON, one object a line: each suggestion, then the preview; or what --apply did.
    #[arg(long)]
    json: bool,
}

/// What the views of people accept.
#[derive(Debug, Args)]
pub(in crate::cli) struct PeopleArgs {
    #[command(flatten)]
    view: ViewArgs,
    /// Two faces match above this similarity, -1 to 1 [default: that of the false match rate of
    /// enrolment (setting enrol.fmr, or else 1e-4)].
    #[arg(
        long,
        value_name = "SIMILARITY",
        allow_negative_numbers = true,
        value_parser = similarity
    )]
    min_similarity: Option<f64>,
}

impl PeopleArgs {
    pub(super) async fn run(self, app: &App, store: &dyn Store, view: CurateView) -> Result<()> {
        let threshold = match self.min_similarity {
            Some(similarity) => similarity,
            None => self.view.threshold(app, store).await?,
        };
        self.view.look(app, store, (view, threshold)).await
    }
}

impl ViewArgs {
    pub(super) async fn run(self, app: &App, store: &dyn Store, view: CurateView) -> Result<()> {
        self.look(app, store, (view, 0.0)).await
    }

    /// The similarity of a match under the active profile.
    async fn threshold(&self, app: &App, store: &dyn Store) -> Result<f64> {
        let profile = choose_profile(store, &self.gallery.gallery, None).await?;
        let profile = store.profile(&profile).await?;
        let known = profile.and_then(|profile| app.thresholds_of(&profile));
        let known = known.context(
            "no similarity thresholds are known for the active profile: use --min-similarity, or \
             measure some with `facefleet calibrate`",
        )?;
        let fmr = Some(app.settings().enrol.fmr).filter(|fmr| *fmr > 0.0).unwrap_or(FMR);
        Ok(known.thresholds.threshold_at(fmr)?.threshold)
    }

    async fn look(
        self,
        app: &App,
        store: &dyn Store,
        (view, threshold): (CurateView, f64),
    ) -> Result<()> {
        let query = CurateQuery {
            gallery: self.gallery.gallery.clone(),
            view,
            threshold,
            limit: self.limit as usize,
            threads: app.settings().threads(),
        };
        if let Some(name) = &self.apply {
            let reason = match self.reason {
                Some(reason) => reason,
                None => view.as_str().parse()?,
            };
            let gallery = query.gallery.clone();
            let curator = Curator {
                gallery: gallery.clone(),
                by: self.by.name()?,
                reason: Some(reason),
                rules: app.settings().references(),
            };
            let (curation_id, verdicts) = apply(store, &query, name, curator).await?;
            let done = format!("the suggestions of preview {name}");
            let result = CurationResultView::written(gallery, curation_id, verdicts);
            return tell(self.json, &done, &result);
        }
        let found = preview(store, &query).await?;
        if view == CurateView::Duplicates && found.not_hashed > 0 {
            tracing::warn!(
                "{} without a hash of the picture, which older versions did not keep: of these, \
                 only the same bytes are found. `facefleet rescore --all` adds it, unless it takes \
                 the faces from the chip cache",
                counted(found.not_hashed as u64, "image")
            );
        }
        if let Some(file) = &self.out {
            let html = page(app, &query, &found).await?;
            NewFile::write(file, html.as_bytes())
                .with_context(|| format!("Failed to write {}", file.display()))?;
        }
        print(&query, &found, self.json)
    }
}

/// The page of a preview.
async fn page(app: &App, query: &CurateQuery, found: &CuratePreview) -> Result<String> {
    let case = |suggestion: &Suggestion| {
        let images = [Some(&suggestion.image), suggestion.other.as_ref()];
        let images = images.into_iter().flatten();
        SheetCase {
            suggestion: format!("{}: image {}", what(suggestion), suggestion.image.image.id),
            evidence: why(&suggestion.evidence),
            images: images.map(|shown| (shown.image.clone(), shown.face.clone())).collect(),
        }
    };
    let view = SheetView {
        gallery: &query.gallery,
        profile: &found.profile,
        view: query.view.as_str(),
        preview: &found.name,
    };
    let cases = found.suggestions.iter().map(case).collect();
    let sheet = CurationSheet::new(view, cases, &Chips::new(app)?).await;
    sheet.html().context("Failed to render the page")
}

fn print(query: &CurateQuery, found: &CuratePreview, json: bool) -> Result<()> {
    for suggestion in &found.suggestions {
        if json {
            say_json(&SuggestionView::from(suggestion))?;
            continue;
        }
        for line in lines(suggestion) {
            say(printable(&line))?;
        }
    }
    let verdicts = found.verdicts().len() as u64;
    let suggestions = found.suggestions.len() as u64;
    if json {
        let (gallery, profile) = (query.gallery.clone(), found.profile.clone());
        let (view, preview) = (query.view.as_str(), found.name.clone());
        say_json(&PreviewLine { gallery, profile, view, preview, suggestions, verdicts })?;
        return Ok(());
    }
    say(format!(
        "{} with {} in gallery {}, profile {}",
        counted(suggestions, "suggestion"),
        counted(verdicts, "verdict"),
        query.gallery,
        found.profile
    ))?;
    if verdicts > 0 {
        let (view, name) = (query.view.as_str(), &found.name);
        say(format!(
            "`facefleet curate {view} --gallery {} --apply {name}`, with the same options, gives \
                them",
            query.gallery
        ))?;
    }
    Ok(())
}

/// A suggestion, for people: the image, the other one, and why.
fn lines(suggestion: &Suggestion) -> Vec<String> {
    let Suggestion { image, other, evidence, .. } = suggestion;
    let mut lines = vec![format!("{}: {}", what(suggestion), named(image))];
    if let Some(other) = other {
        lines.push(format!("  next to {}", named(other)));
    }
    lines.push(format!("  {}", why(evidence)));
    lines
}

/// What is suggested, in words.
fn what(suggestion: &Suggestion) -> String {
    let images = &suggestion.images;
    match &suggestion.verdict {
        None => "look".to_owned(),
        Some(Verdict::Reassign(subject)) if images.len() == 1 => {
            format!("reassign to '{}'", subject.as_str())
        }
        Some(Verdict::Reassign(subject)) => {
            format!("reassign {} images to '{}'", images.len(), subject.as_str())
        }
        Some(verdict) => verdict.as_str().to_owned(),
    }
}

fn named(shown: &ShownImage) -> String {
    let image = &shown.image;
    let subject = image.subject.as_ref();
    let subject = subject.map(|it| format!(" of '{}'", it.as_str())).unwrap_or_default();
    let quality = shown.face.quality.unwrap_or_default();
    format!("image {}  {}{subject}, quality {quality}", image.id, image.image.for_people())
}

/// The evidence, in words.
fn why(evidence: &Evidence) -> String {
    match evidence {
        Evidence::LowQuality { review: Some(subject), .. } => format!(
            "its enrolment as '{}' has to be reviewed: `facefleet subject review`",
            subject.as_str()
        ),
        Evidence::LowQuality { images: None, .. } => "nobody said whom it shows".to_owned(),
        Evidence::LowQuality { best: None, .. } => "the only image of its subject".to_owned(),
        Evidence::LowQuality { best: Some(best), .. } => {
            format!("the best other image of its subject has quality {best}")
        }
        Evidence::SameBytes => "the same bytes".to_owned(),
        Evidence::SamePicture(similarity) => {
            format!("the same picture: the similarity of the faces is {similarity:.4}")
        }
        Evidence::Unlike { own, others, other } => {
            let other = other.map(|it| format!(", {it:.4} with the next subject"));
            let other = other.unwrap_or_default();
            format!("similarity {own:.4} with {others} others of its subject{other}")
        }
        Evidence::OnePerson { similarity, images, counts: (few, many) } => format!(
            "their means have similarity {similarity:.4}, these two images {images:.4}; {} and {}",
            counted(*few as u64, "image"),
            counted(*many as u64, "image")
        ),
        Evidence::Missing { since, campaign, moved, copied } => {
            let bytes = match (moved, copied) {
                (true, _) => ", and its bytes are in the other place",
                (_, true) => ", and the other image is a copy that may have been there before",
                _ => "",
            };
            format!("not listed since {since:.19}Z, campaign {campaign}{bytes}")
        }
        Evidence::BestOf(1) => "the only image of its subject".to_owned(),
        Evidence::BestOf(images) => format!("the best of {images}"),
    }
}
