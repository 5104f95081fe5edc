//! `facefleet score`

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use futures::StreamExt;
use image::ImageFormat;

use super::{SOME_FAILED, printable, say, say_json};
use crate::app::App;
use crate::domain::{Chip, FaceResult, Faces, ImageUri, Outcome};
use crate::inference::batcher::BatchError;
use crate::view::face::FaceView;
use crate::view::image::{ImageNames, ImageView};
use crate::vision::encode_chip;
use crate::worker::Processor;
use crate::worker::analysis::Analysis;

/// Quality is 0 to 100, and 100 is best. Score is SER-FIQ's 2/(1+e^d) of the distance d.
#[derive(Debug, Args)]
pub(super) struct ScoreArgs {
    /// Image files.
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<PathBuf>,
    /// Which faces to score: all, or largest.
    #[arg(long)]
    faces: Option<Faces>,
    /// The images are chips: aligned, and 112x112. Other images are refused.
    #[arg(long)]
    aligned: bool,
    /// Print one JSON object a line: each image with its faces. `image` is the name as given; `uri`
    /// is exact even if the name is not UTF-8.
    #[arg(long)]
    json: bool,
    /// With --json, print the templates too. They are biometric data.
    #[arg(long, requires = "json")]
    templates: bool,
    /// Write the chip of each face to this folder, as PNG.
    #[arg(long, value_name = "DIR")]
    chips: Option<PathBuf>,
}

impl ScoreArgs {
    pub(super) async fn run(self, app: App) -> Result<ExitCode> {
        let app = app.with_faces(self.faces);
        let processor = app.processor(&[], self.aligned)?;
        if let Some(folder) = &self.chips {
            std::fs::create_dir_all(folder)
                .with_context(|| format!("Failed to create {}", folder.display()))?;
        }
        let ahead = 2 * app.settings().threads() + 2;
        let work = self.images.iter().map(|path| analyse(&app, &processor, path));
        let mut results = futures::stream::iter(work).buffered(ahead);
        let mut status = ExitCode::SUCCESS;
        for (number, path) in self.images.iter().enumerate() {
            let Some(analysis) = results.next().await else { break };
            let analysis = analysis?;
            if !matches!(analysis.outcome, Outcome::Scored(_) | Outcome::NoFace) {
                status = ExitCode::from(SOME_FAILED);
            }
            let chips = self.save_chips(number, path, &analysis)?;
            if self.json {
                say_json(&self.view(path, &analysis, chips, &processor))?;
            } else {
                print(path, &analysis.outcome)?;
            }
        }
        if !self.json {
            say(format!("profile {}", processor.profile_id()))?;
        }
        Ok(status)
    }

    /// Writes the chips of an image's faces, if they are wanted. Returns the files, by face.
    fn save_chips(
        &self,
        number: usize,
        path: &Path,
        analysis: &Analysis,
    ) -> Result<Vec<Option<PathBuf>>> {
        let save = |(index, chip): (usize, &Option<Chip>)| match (&self.chips, chip) {
            (Some(folder), Some(chip)) => save_chip(folder, number, path, index, chip).map(Some),
            _ => Ok(None),
        };
        let faces = analysis.outcome.faces().len();
        analysis.chips.iter().take(faces).enumerate().map(save).collect()
    }

    fn view(
        &self,
        path: &Path,
        analysis: &Analysis,
        chips: Vec<Option<PathBuf>>,
        processor: &Processor,
    ) -> ImageView {
        let outcome = &analysis.outcome;
        let mut faces: Vec<FaceView> = Vec::with_capacity(outcome.faces().len());
        for ((index, found), chip) in (0..).zip(outcome.faces()).zip(chips) {
            let mut face = FaceView::found(index, found);
            if self.templates {
                face = face.with_template(found.recognition.as_ref());
            }
            face.chip = chip.map(|path| path.to_string_lossy().into_owned());
            faces.push(face);
        }
        let profile = processor.profile_id().clone();
        let view = ImageView::analysed(ImageNames::of_path(path), profile, outcome);
        ImageView {
            provider: Some(processor.provider().to_owned()),
            timings: Some(analysis.timings),
            smallest_face_px: Some(analysis.smallest_face_px),
            faces: Some(faces),
            ..view.with_content(analysis.content.as_ref())
        }
    }
}

/// Prints a line for each face, or for an image without a face.
fn print(path: &Path, outcome: &Outcome) -> Result<()> {
    for (index, face) in outcome.faces().iter().enumerate() {
        say(face_line(path, index, face))?;
    }
    if outcome.faces().is_empty() {
        let reason = outcome.reason().map(|reason| format!(": {reason}")).unwrap_or_default();
        let line = format!("{}  {}{reason}", path.display(), outcome.kind());
        say(printable(&line))?;
    }
    Ok(())
}

fn face_line(path: &Path, index: usize, result: &FaceResult) -> String {
    let bbox = &result.face.bbox;
    let position = format!("box {:.0},{:.0} {:.0}x{:.0}", bbox.x, bbox.y, bbox.width, bbox.height);
    let detector = result
        .face
        .detector_score
        .map(|score| format!("  detector {score:.2}"))
        .unwrap_or_default();
    let scored = match &result.recognition {
        Some(r) => {
            format!("quality {:>3}  score {:.4}  distance {:.4}", r.quality, r.score, r.distance)
        }
        None => "not scored".into(),
    };
    format!(
        "{}  face {index}  {scored}  {position}{detector}",
        printable(&path.display().to_string())
    )
}

fn save_chip(
    folder: &Path,
    number: usize,
    path: &Path,
    index: usize,
    chip: &Chip,
) -> Result<PathBuf> {
    let target = folder.join(chip_name(number, path, index));
    std::fs::write(&target, encode_chip(chip, ImageFormat::Png)?)
        .with_context(|| format!("Failed to write {}", target.display()))?;
    Ok(target)
}

/// The file name of a chip. It has a number because two images may have the same name.
fn chip_name(number: usize, path: &Path, index: usize) -> String {
    /// The longest file name that most file systems accept, bytes.
    const LONGEST: usize = 255;
    let (before, after) = (format!("{number:06}-"), format!("-{index}.png"));
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let mut stem: String = stem.chars().map(|c| if c.is_control() { '_' } else { c }).collect();
    stem.truncate(stem.floor_char_boundary(LONGEST - before.len() - after.len()));
    before + &stem + &after
}

/// Analyses one file. The file is the only root, so nothing else can be read.
pub(super) async fn analyse(app: &App, processor: &Processor, path: &Path) -> Result<Analysis> {
    let path = match path.canonicalize() {
        Ok(path) => path,
        Err(error) => return Ok(Analysis::ended(Outcome::Unreadable(error.to_string()))),
    };
    let (source, image) = (app.files(std::slice::from_ref(&path))?, ImageUri::from_path(&path)?);
    // An error is this image's outcome: the next images may succeed.
    let failed = |error: BatchError| Analysis::ended(Outcome::Failed(error.to_string()));
    Ok(processor.fetch_and_analyse(&source, &image).await.unwrap_or_else(failed))
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    use super::*;

    #[test]
    fn names_of_chips_are_unique_and_accepted_by_every_file_system() {
        assert_eq!(chip_name(3, Path::new("photos/a.b.jpg"), 1), "000003-a.b-1.png");
        assert_eq!(chip_name(0, Path::new("a\nb.jpg"), 0), "000000-a_b-0.png");
        for stem in ["x".repeat(251), "é".repeat(125), "面".repeat(83)] {
            let names =
                [0, 1].map(|number| chip_name(number, Path::new(&format!("{stem}.jpg")), 12));
            assert_ne!(names[0], names[1]);
            assert!(names.iter().all(|name| (250..=255).contains(&name.len())), "{names:?}");
        }
        // Each byte that is not UTF-8 becomes a character of three bytes.
        let bytes = [0xff; 200];
        assert!(chip_name(0, Path::new(OsStr::from_bytes(&bytes)), 0).len() <= 255);
    }
}
