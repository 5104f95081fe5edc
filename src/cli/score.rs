//! `facefleet score`

use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::Args;
use clap::builder::{OsStringValueParser, TypedValueParser};
use futures::StreamExt;
use image::ImageFormat;

use super::interrupt::stop_on_signal;
use super::{INTERRUPTED, SOME_FAILED, not_listed, printable, say, say_json};
use crate::app::App;
use crate::domain::{Chip, FaceResult, Faces, Outcome};
use crate::gallery::not_listed::NotListedCounter;
use crate::images::{ImageToRead, ListingError, NamedEntry, NamedPlace, Sources};
use crate::inference::batcher::BatchError;
use crate::view::components::MOST_FAULTS;
use crate::view::face::FaceView;
use crate::view::image::{ImageNames, ImageView};
use crate::vision::encode_chip;
use crate::worker::Processor;
use crate::worker::analysis::Analysis;

/// Score images and print a line for each face. Stores nothing.
///
/// Folders, buckets and prefixes are listed by the rules of `scan`, and the images come in the
/// order of the listing; what is left out is counted on standard error, and -v names it. An image
/// that is named is analysed whatever its ending.
///
/// Quality is 0 to 100, and 100 is best. Score is SER-FIQ's 2/(1+e^d) of the distance d.
///
/// Exit status: 3 if an image is unreadable, refused or failed, or if there is no image below a
/// folder, bucket or prefix; 1 if a bucket cannot be listed; 130 after Ctrl-C, which finishes the
/// images in flight.
#[derive(Debug, Args)]
pub(super) struct ScoreArgs {
    #[arg(
        required = true,
        value_name = "FOLDER|IMAGE|URL",
        value_parser = OsStringValueParser::new().try_map(NamedPlace::try_from),
        help = "Image files, folders (searched at any depth), objects, buckets or prefixes in them \
            (s3://bucket/prefix, gs:, az:), and single images on web servers (https:)"
    )]
    places: Vec<NamedPlace>,
    /// Which faces to score: all, or largest.
    #[arg(long)]
    faces: Option<Faces>,
    /// The images are chips: aligned, and 112x112. Other images are refused.
    #[arg(long)]
    aligned: bool,
    /// Print one JSON object a line: each image with its faces. `image` is the name as given, or
    /// the path below the folder as given; `uri` is exact even if the name is not UTF-8.
    #[arg(long)]
    json: bool,
    /// With --json, print the templates too. They are biometric data.
    #[arg(long, requires = "json")]
    templates: bool,
    /// Write the chip of each face to this folder, as PNG.
    #[arg(long, value_name = "DIR")]
    chips: Option<PathBuf>,
}

/// An entry of the places, its image analysed.
enum ScoredEntry {
    Image(ImageToRead, Box<Analysis>),
    Other(NamedEntry),
}

impl ScoreArgs {
    pub(super) async fn run(mut self, app: App) -> Result<ExitCode> {
        let app = app.with_faces(self.faces);
        // Report what cannot be listed before the models are loaded.
        let named = app.named_images(std::mem::take(&mut self.places))?;
        let source = app.images(&named.roots())?;
        let processor = app.processor(&[], self.aligned)?;
        if let Some(folder) = &self.chips {
            std::fs::create_dir_all(folder)
                .with_context(|| format!("Failed to create {}", folder.display()))?;
        }
        let stop = stop_on_signal(|| {
            eprintln!(
                "stopping: images in flight are finished first; interrupt again to stop at once"
            );
        })?;
        let ahead = 2 * app.settings().threads() + 2;
        let entries = named.entries().take_until(stop.token().cancelled_owned());
        let results =
            entries.map(|entry| analyse_entry(&processor, &source, entry)).buffered(ahead);
        let mut results = pin!(results);
        let mut found = Found::default();
        while let Some(entry) = results.next().await {
            match entry? {
                ScoredEntry::Image(image, analysis) => {
                    self.show(found.images, &image, &analysis, &processor)?;
                    found.image(&analysis.outcome);
                }
                ScoredEntry::Other(other) => found.other(other),
            }
        }
        if !self.json {
            say(format!("profile {}", processor.profile_id()))?;
        }
        found.tell();
        Ok(match stop.is_stopped() {
            true => ExitCode::from(INTERRUPTED),
            false if found.some_failed => ExitCode::from(SOME_FAILED),
            false => ExitCode::SUCCESS,
        })
    }

    /// Prints an image and writes its chips.
    fn show(
        &self,
        number: u64,
        image: &ImageToRead,
        analysis: &Analysis,
        processor: &Processor,
    ) -> Result<()> {
        let chips = self.save_chips(number, &image.name, analysis)?;
        if self.json {
            say_json(&self.view(image, analysis, chips, processor))?;
        } else {
            print(&image.name, &analysis.outcome)?;
        }
        Ok(())
    }

    /// Writes the chips of an image's faces, if they are wanted. Returns the files, by face.
    fn save_chips(
        &self,
        number: u64,
        name: &str,
        analysis: &Analysis,
    ) -> Result<Vec<Option<PathBuf>>> {
        let save = |(index, chip): (usize, &Option<Chip>)| match (&self.chips, chip) {
            (Some(folder), Some(chip)) => save_chip(folder, number, name, index, chip).map(Some),
            _ => Ok(None),
        };
        let faces = analysis.outcome.faces().len();
        analysis.chips.iter().take(faces).enumerate().map(save).collect()
    }

    fn view(
        &self,
        image: &ImageToRead,
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
        let view = ImageView::analysed(ImageNames::from(image), profile, outcome);
        ImageView {
            provider: Some(processor.provider().to_owned()),
            timings: Some(analysis.timings),
            smallest_face_px: Some(analysis.smallest_face_px),
            faces: Some(faces),
            ..view.with_content(analysis.content.as_ref())
        }
    }
}

/// What was found: the images, and everything else.
#[derive(Default)]
struct Found {
    images: u64,
    not_listed: NotListedCounter,
    /// Places below which there is no image.
    without_image: Vec<String>,
    some_failed: bool,
}

impl Found {
    fn image(&mut self, outcome: &Outcome) {
        self.images += 1;
        self.some_failed |= !matches!(outcome, Outcome::Scored(_) | Outcome::NoFace);
    }

    fn other(&mut self, entry: NamedEntry) {
        match entry {
            NamedEntry::Image(_) => {}
            NamedEntry::NotListed(other) => {
                let text = format!("{}: {}", other.name, not_listed::reason(&other.reason));
                tracing::info!("{}", printable(&text));
                self.not_listed.count(&other);
            }
            NamedEntry::Failed(error) => {
                eprintln!("facefleet: {}", printable(&error.to_string()));
                self.some_failed = true;
            }
            NamedEntry::NoImage(name) => {
                self.without_image.push(printable(&name).into_owned());
                self.some_failed = true;
            }
        }
    }

    /// Says what was left out, and where there is no image.
    fn tell(&self) {
        let left_out = not_listed::brief(&self.not_listed);
        let places = self.without_image.join(", ");
        match (left_out, self.images) {
            (left_out, 0) if !places.is_empty() => {
                let left_out = left_out.unwrap_or_else(|| "there is nothing".to_owned());
                eprintln!("facefleet: no image found below {places}: {left_out}");
            }
            (left_out, _) => {
                if let Some(left_out) = left_out {
                    eprintln!("besides the images: {left_out} (-v names them)");
                }
                if !places.is_empty() {
                    eprintln!("facefleet: no image found below {places}");
                }
            }
        }
    }
}

async fn analyse_entry(
    processor: &Processor,
    source: &Sources,
    entry: Result<NamedEntry, ListingError>,
) -> Result<ScoredEntry, ListingError> {
    Ok(match entry? {
        NamedEntry::Image(image) => {
            let analysis = analyse(processor, source, &image).await;
            ScoredEntry::Image(image, Box::new(analysis))
        }
        other => ScoredEntry::Other(other),
    })
}

/// Analyses one image.
pub(super) async fn analyse(
    processor: &Processor,
    source: &Sources,
    image: &ImageToRead,
) -> Analysis {
    let uri = match (&image.uri, &image.missing) {
        (Some(uri), None) => uri,
        (_, reason) => {
            return Analysis::ended(Outcome::Unreadable(reason.clone().unwrap_or_default()));
        }
    };
    // An error is this image's outcome: the next images may succeed.
    let failed = |error: BatchError| Analysis::ended(Outcome::Failed(error.to_string()));
    processor.fetch_and_analyse(source, uri).await.unwrap_or_else(failed)
}

/// Prints a line for each face, or for an image without a face.
fn print(name: &str, outcome: &Outcome) -> Result<()> {
    for (index, face) in outcome.faces().iter().enumerate() {
        say(face_line(name, index, face))?;
    }
    if outcome.faces().is_empty() {
        let reason = outcome.reason().map(|reason| format!(": {reason}")).unwrap_or_default();
        say(printable(&format!("{name}  {}{reason}", outcome.kind())))?;
    }
    Ok(())
}

fn face_line(name: &str, index: usize, result: &FaceResult) -> String {
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
    let why = result.components.why(MOST_FAULTS).map(|why| format!("  why: {why}"));
    let why = why.unwrap_or_default();
    format!("{}  face {index}  {scored}  {position}{detector}{why}", printable(name))
}

fn save_chip(folder: &Path, number: u64, name: &str, index: usize, chip: &Chip) -> Result<PathBuf> {
    let target = folder.join(chip_name(number, name, index));
    std::fs::write(&target, encode_chip(chip, ImageFormat::Png)?)
        .with_context(|| format!("Failed to write {}", target.display()))?;
    Ok(target)
}

/// The file name of a chip. It has a number because two images may have the same name.
fn chip_name(number: u64, name: &str, index: usize) -> String {
    /// The longest file name that most file systems accept, bytes.
    const LONGEST: usize = 255;
    let (before, after) = (format!("{number:06}-"), format!("-{index}.png"));
    let stem = Path::new(name).file_stem().unwrap_or_default().to_string_lossy();
    let mut stem: String = stem.chars().map(|c| if c.is_control() { '_' } else { c }).collect();
    stem.truncate(stem.floor_char_boundary(LONGEST - before.len() - after.len()));
    before + &stem + &after
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_chips_are_unique_and_accepted_by_every_file_system() {
        assert_eq!(chip_name(3, "photos/a.b.jpg", 1), "000003-a.b-1.png");
        assert_eq!(chip_name(0, "a\nb.jpg", 0), "000000-a_b-0.png");
        for stem in ["x".repeat(251), "é".repeat(125), "面".repeat(83)] {
            let names = [0, 1].map(|number| chip_name(number, &format!("{stem}.jpg"), 12));
            assert_ne!(names[0], names[1]);
            assert!(names.iter().all(|name| (250..=255).contains(&name.len())), "{names:?}");
        }
        // Each byte that is not UTF-8 became a character of three bytes.
        assert!(chip_name(0, &"\u{fffd}".repeat(200), 0).len() <= 255);
        assert_eq!(chip_name(1, "s3://faces/staff/a%20b.jpg", 0), "000001-a%20b-0.png");
        assert_eq!(chip_name(2, "data:,", 0), "000002-data:,-0.png");
    }
}
