//! `facefleet match`

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;

use super::score::analyse;
use super::{printable, say, say_json};
use crate::app::App;
use crate::domain::{Faces, MatchThresholds, MatchVerdict, Outcome, Recognition};
use crate::view::face::MatchView;
use crate::view::image::{ImageNames, ImageView};
use crate::view::threshold::MatchDecisionView;
use crate::worker::Processor;
use crate::worker::analysis::Analysis;

/// Similarity is the cosine of the two templates, -1 to 1. What counts as a match depends on the
/// network and on the false match rate (FMR) that you accept. The thresholds are those of the
/// calibration in the settings (`facefleet calibrate` measures them on your photos), or else those
/// of the model's manifest.
#[derive(Debug, Args)]
pub(super) struct MatchArgs {
    /// First image.
    a: PathBuf,
    /// Second image.
    b: PathBuf,
    /// The images are chips: aligned, and 112x112. Other images are refused.
    #[arg(long)]
    aligned: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

impl MatchArgs {
    pub(super) async fn run(self, app: App) -> Result<ExitCode> {
        let app = app.with_faces(Some(Faces::Largest));
        let processor = app.processor(&[], self.aligned)?;
        let thresholds = app.match_thresholds()?;
        let first = analyse(&app, &processor, &self.a).await?;
        let second = analyse(&app, &processor, &self.b).await?;
        let (a, b) = (primary_face(&self.a, &first)?, primary_face(&self.b, &second)?);
        let similarity = a.template.similarity(&b.template);
        let profile = processor.profile_id();
        if self.json {
            let images = [(&self.a, &first), (&self.b, &second)]
                .map(|(path, analysis)| view(path, analysis, &processor));
            let matches = thresholds.map(|(thresholds, _)| {
                let decision = |each| MatchDecisionView::new(each, similarity);
                thresholds.similarity.into_iter().map(decision).collect()
            });
            say_json(&MatchView { similarity, profile: profile.clone(), matches, images })?;
        } else {
            let thresholds = thresholds.filter(|(found, _)| !found.similarity.is_empty());
            match &thresholds {
                Some((thresholds, _)) => {
                    let verdict = verdict(&thresholds.verdict(similarity));
                    say(format!("similarity {similarity:.4}: {verdict}"))?;
                }
                None => say(format!("similarity {similarity:.4}"))?,
            }
            for (path, face) in [(&self.a, a), (&self.b, b)] {
                let name = path.display().to_string();
                say(format!(
                    "quality {:>3}  score {:.4}  {}",
                    face.quality,
                    face.score,
                    printable(&name)
                ))?;
            }
            match &thresholds {
                Some((thresholds, file)) => say(origin(thresholds, file))?,
                None => say(NO_THRESHOLDS)?,
            }
            say(format!("profile {profile}"))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn view(path: &Path, analysis: &Analysis, processor: &Processor) -> ImageView {
    let profile = processor.profile_id().clone();
    let view = ImageView::analysed(ImageNames::of_path(path), profile, &analysis.outcome);
    ImageView {
        provider: Some(processor.provider().to_owned()),
        timings: Some(analysis.timings),
        ..view.with_content(analysis.content.as_ref())
    }
}

const NO_THRESHOLDS: &str = "which similarity is a match is not known for this profile: `facefleet \
    calibrate LABELS` measures it on your own labelled photos and writes a file; name the file in \
    the setting quality.calibration";

/// The rates at which it is a match, and at which not.
fn verdict(verdict: &MatchVerdict) -> String {
    match (verdict.exceeded, verdict.missed) {
        (Some(yes), Some(no)) => format!(
            "a match at FMR {:e} (threshold {:.4}), not at {:e} ({:.4})",
            yes.fmr, yes.threshold, no.fmr, no.threshold
        ),
        (Some(yes), None) => format!(
            "a match at FMR {:e} (threshold {:.4}), the lowest rate that was measured",
            yes.fmr, yes.threshold
        ),
        (None, Some(no)) => {
            format!("no match, not even at FMR {:e} (threshold {:.4})", no.fmr, no.threshold)
        }
        (None, None) => "no threshold was measured".to_owned(),
    }
}

/// What the thresholds were measured on.
fn origin(thresholds: &MatchThresholds, file: &Path) -> String {
    let MatchThresholds { data, photos, subjects, mated, non_mated, .. } = thresholds;
    let line = format!(
        "thresholds of {}: {photos} photos of {subjects} people, {mated} mated comparisons, \
         {non_mated} non-mated, data {data}",
        file.display()
    );
    printable(&line).into_owned()
}

fn primary_face<'a>(path: &Path, analysis: &'a Analysis) -> Result<&'a Recognition> {
    match &analysis.outcome {
        Outcome::Scored(faces) => match faces.first().and_then(|face| face.recognition.as_ref()) {
            Some(recognition) => Ok(recognition),
            None => bail!("{}: its primary face could not be recognised", path.display()),
        },
        Outcome::NoFace => bail!("{}: no face found", path.display()),
        other => {
            bail!("{}: {}: {}", path.display(), other.kind(), other.reason().unwrap_or_default())
        }
    }
}
