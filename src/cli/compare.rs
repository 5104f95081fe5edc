//! `facefleet match`

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;

use super::score::analyse;
use super::{printable, say, say_json};
use crate::app::App;
use crate::domain::{Faces, Outcome, Recognition};
use crate::view::face::MatchView;
use crate::view::image::{ImageNames, ImageView};
use crate::worker::Processor;
use crate::worker::analysis::Analysis;

/// Similarity is the cosine of the two templates, -1 to 1. The right threshold depends on the
/// network and on the false match rate that you accept.
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
        let first = analyse(&app, &processor, &self.a).await?;
        let second = analyse(&app, &processor, &self.b).await?;
        let (a, b) = (primary_face(&self.a, &first)?, primary_face(&self.b, &second)?);
        let similarity = a.template.similarity(&b.template);
        let profile = processor.profile_id();
        if self.json {
            let images = [(&self.a, &first), (&self.b, &second)]
                .map(|(path, analysis)| view(path, analysis, &processor));
            say_json(&MatchView { similarity, profile: profile.clone(), images })?;
        } else {
            say(format!("similarity {similarity:.4}"))?;
            for (path, face) in [(&self.a, a), (&self.b, b)] {
                let name = path.display().to_string();
                say(format!(
                    "quality {:>3}  score {:.4}  {}",
                    face.quality,
                    face.score,
                    printable(&name)
                ))?;
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
