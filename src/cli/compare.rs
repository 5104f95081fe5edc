//! `facefleet match`

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;

use super::score::analyse;
use super::{printable, say, say_json};
use crate::app::App;
use crate::domain::{Faces, Outcome, Recognition};
use crate::view::face::{MatchView, MatchedFaceView};
use crate::view::image::FileNames;
use crate::worker::Processor;

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
        let a = primary_face(&app, &processor, &self.a).await?;
        let b = primary_face(&app, &processor, &self.b).await?;
        let similarity = a.template.similarity(&b.template);
        if self.json {
            let images = [(&self.a, &a), (&self.b, &b)]
                .map(|(path, face)| MatchedFaceView::new(FileNames::new(path), face));
            say_json(&MatchView { similarity, images, profile: processor.profile_id().clone() })?;
        } else {
            say(format!("similarity {similarity:.4}"))?;
            for (path, face) in [(&self.a, &a), (&self.b, &b)] {
                let name = path.display().to_string();
                say(format!(
                    "quality {:>3}  score {:.4}  {}",
                    face.quality,
                    face.score,
                    printable(&name)
                ))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

async fn primary_face(app: &App, processor: &Processor, path: &Path) -> Result<Recognition> {
    let analysis = analyse(app, processor, path).await?;
    match analysis.outcome {
        Outcome::Scored(faces) => {
            match faces.into_iter().next().and_then(|face| face.recognition) {
                Some(recognition) => Ok(recognition),
                None => bail!("{}: its primary face could not be recognised", path.display()),
            }
        }
        Outcome::NoFace => bail!("{}: no face found", path.display()),
        other => {
            bail!("{}: {}: {}", path.display(), other.kind(), other.reason().unwrap_or_default())
        }
    }
}
