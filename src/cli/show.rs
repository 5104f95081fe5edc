//! `facefleet show`

use std::collections::BTreeMap;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use image::ImageFormat;

use super::named_image::NamedImage;
use super::new_file::NewFile;
use super::profile_arg::ProfileArg;
use super::subject::reason_text;
use super::{printable, say, say_json};
use crate::app::App;
use crate::domain::{
    ContentHash, Enrolment, GalleryName, ImageId, ImageUri, ProfileId, SubjectName,
};
use crate::gallery::subjects::{look_alikes_of, require_gallery};
use crate::images::{ImageSource, Root};
use crate::store::{ImageKey, KnownResult, ResultState, StoredEnrolment, StoredFace};
use crate::view::components::MOST_FAULTS;
use crate::view::enrol::EnrolmentView;
use crate::view::image::{ImageNames, ImageView, KnownImageView};
use crate::vision::{Picture, PixelLimits};

/// Show what is known of one image: every gallery and profile, outcome, faces and history.
///
/// Of each profile, the current result comes first. Then come results of other bytes that the
/// image once had, and attempts to read it that got no bytes.
#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// A path, a URI, or the `image_id` of an export. (A file whose name is a number: ./7.)
    #[arg(value_name = "IMAGE", value_parser = NamedImage::parser_with_ids())]
    image: NamedImage,
    /// Show this gallery alone.
    #[arg(long, value_name = "NAME")]
    gallery: Option<GalleryName>,
    /// Show this profile alone.
    #[arg(long, value_name = "PROFILE")]
    profile: Option<ProfileArg>,
    /// Print one JSON object a line: each result.
    #[arg(long)]
    json: bool,
    /// Write the image as PNG, with the boxes and landmarks of the faces of the first current
    /// result. An image that is not local must be in images.allow, or be named by its URI.
    #[arg(long, value_name = "FILE.png")]
    picture: Option<PathBuf>,
}

impl ShowArgs {
    pub(super) async fn run(self, app: &App) -> Result<ExitCode> {
        let store = app.filled_store().await?;
        if let Some(gallery) = &self.gallery {
            require_gallery(store.as_ref(), gallery).await?;
        }
        let of_profile = match &self.profile {
            Some(named) => Some(named.id(app, store.as_ref(), self.gallery.as_ref()).await?),
            None => None,
        };
        let mut results = store.history(&self.image.key, self.gallery.as_ref()).await?;
        let mut ids: Vec<ImageId> = results.iter().map(|result| result.image.id).collect();
        ids.sort_unstable();
        ids.dedup();
        let enrolments = store.enrolments(&ids).await?;
        let look_alikes = look_alikes_of(store.as_ref(), &enrolments).await?;
        store.close().await;
        let enrolments_of =
            |image: ImageId| enrolments.iter().filter(move |each| each.image == image);
        if let Some(profile) = &of_profile {
            results.retain(|result| result.profile == *profile);
        }
        ensure!(!results.is_empty(), "{}", self.unknown(of_profile.as_ref()));
        if let Some(file) = &self.picture {
            self.draw(app, &results, file).await?;
        }
        let mut profile = None;
        for result in results {
            if self.json {
                let KnownResult { gallery, profile, state, excluded, image } = result;
                let enrolments = enrolments_of(image.id)
                    .map(|each| EnrolmentView::new(each, &look_alikes))
                    .collect();
                let image = ImageView::stored(image, gallery, profile, false);
                say_json(&KnownImageView { state, excluded, image, enrolments })?;
                continue;
            }
            let of = (result.gallery.clone(), result.profile.clone());
            if profile.as_ref() != Some(&of) {
                say(format!("gallery {}, profile {}", of.0, of.1))?;
                profile = Some(of);
            }
            say(text(&result))?;
            for enrolment in enrolments_of(result.image.id) {
                say(printable(&enrolment_line(enrolment, &look_alikes)))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Which results were looked for, and what to do.
    fn unknown(&self, profile: Option<&ProfileId>) -> String {
        let image = match &self.image.key {
            ImageKey::Uris(uris) => uris.first().map(ImageUri::for_people).unwrap_or_default(),
            ImageKey::Id(id) => format!("image {id}"),
        };
        let gallery = self.gallery.as_ref().map(|gallery| format!(" in gallery {gallery}"));
        let profile = profile.map(|profile| format!(" under profile {profile}"));
        let conditions = gallery.unwrap_or_default() + &profile.unwrap_or_default();
        format!(
            "the store has no result of {image}{conditions}: scan it, or name it by the complete \
                URI that was scanned or by its image_id"
        )
    }

    async fn draw(&self, app: &App, results: &[KnownResult], file: &Path) -> Result<()> {
        ensure!(
            file.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("png")),
            "{}: the picture is a PNG: give it a name that ends in .png",
            file.display()
        );
        let current = |result: &&KnownResult| {
            result.state == ResultState::Current && result.image.hash.is_some()
        };
        let Some(KnownResult { gallery, profile, image, .. }) = results.iter().find(current) else {
            bail!("no picture: no result is of bytes that could be read");
        };
        // A local file may be read: a scan was allowed to, and the hash shows that it is the same.
        let root = image.image.to_path().map(Root::Path).or_else(|| self.image.root.clone());
        let name = image.image.to_string();
        let bytes = fetch(app, root.as_slice(), &image.image)
            .await
            .with_context(|| format!("Failed to read {name}"))?;
        ensure!(
            Some(ContentHash::of(&bytes)) == image.hash,
            "{name} has changed since it was scored: scan it again"
        );
        let is_the_image =
            image.image.to_path().is_some_and(|image| file.canonicalize().ok() == Some(image));
        ensure!(
            !is_the_image,
            "{}: this is the image itself: give the picture another name",
            file.display()
        );
        let limits = PixelLimits { max_pixels: app.settings().limits.max_pixels };
        let picture =
            Picture::decode(&bytes, limits).with_context(|| format!("Failed to decode {name}"))?;
        let faces: Vec<_> = image.faces.iter().map(|face| face.face.clone()).collect();
        let mut png = Cursor::new(Vec::new());
        picture.marked(&faces).write_to(&mut png, ImageFormat::Png)?;
        NewFile::write(file, &png.into_inner())
            .with_context(|| format!("Failed to write {}", file.display()))?;
        if !self.json {
            let (file, count) = (file.display().to_string(), faces.len());
            let of = format!("gallery {gallery}, profile {profile}");
            say(format!("{}: faces of {of}: {count}", printable(&file)))?;
        }
        Ok(())
    }
}

async fn fetch(app: &App, roots: &[Root], image: &ImageUri) -> Result<Vec<u8>> {
    Ok(app.images(roots)?.fetch(image).await?)
}

/// A result in lines.
fn text(result: &KnownResult) -> String {
    let image = &result.image;
    let names = ImageNames::from(&image.image);
    let reason = image.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
    let mut lines = vec![format!(
        "  {} at {:.19}Z: {}{reason}",
        result.state.as_str(),
        image.recorded_at,
        image.outcome
    )];
    lines.push(format!("    image {}  {}", image.id, names.image));
    lines.push(format!("    uri {}", names.uri.unwrap_or_default()));
    if let Some(subject) = &image.subject {
        lines.push(format!("    subject {}", subject.as_str()));
    }
    if result.excluded {
        lines.push(
            "    excluded by a verdict: left out of searches, references, reports and exports \
             (`facefleet curate log`)"
                .to_owned(),
        );
    }
    if let (Some(hash), Some(bytes)) = (image.hash, image.bytes) {
        let size = image.size.map(|(width, height)| format!("{width}x{height} pixels, "));
        lines.push(format!("    {}{bytes} bytes, blake3 {hash}", size.unwrap_or_default()));
    }
    let timings = image.timings;
    lines.push(format!(
        "    by {}: fetch {:.1} ms, vision {:.1} ms, recognise {:.1} ms",
        image.provider, timings.fetch_ms, timings.vision_ms, timings.recognise_ms
    ));
    lines.extend(image.faces.iter().map(face_line));
    if let Some(note) = &image.noted {
        let reason = note.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        lines.push(format!("    but at {:.19}Z it was {}{reason}", note.at, note.outcome));
    }
    lines.iter().map(|line| printable(line)).collect::<Vec<_>>().join("\n")
}

fn enrolment_line(
    stored: &StoredEnrolment,
    look_alikes: &BTreeMap<ImageId, SubjectName>,
) -> String {
    let Enrolment { decision, reasons } = &stored.enrolment;
    let told = reasons.iter().map(|reason| format!("; {}", reason_text(reason, look_alikes)));
    let (subject, told) = (stored.subject.as_str(), told.collect::<String>());
    format!("    enrolled for {subject} at {:.19}Z: {decision}{told}", stored.decided_at)
}

fn face_line(face: &StoredFace) -> String {
    let bbox = &face.face.bbox;
    let mut line = format!("    face {}  ", face.id);
    line += &match (face.quality, face.score, face.distance, face.norm) {
        (Some(quality), Some(score), Some(distance), Some(norm)) => {
            format!(
                "quality {quality:>3}  score {score:.4}  distance {distance:.4}  norm {norm:.2}"
            )
        }
        _ => "not scored".to_owned(),
    };
    line += &format!("  box {:.0},{:.0} {:.0}x{:.0}", bbox.x, bbox.y, bbox.width, bbox.height);
    if let Some(score) = face.face.detector_score {
        line += &format!("  detector {score:.2}");
    }
    if let Some(points) = &face.face.landmarks {
        let points = points.map(|point| format!("{:.0},{:.0}", point.x, point.y));
        line += &format!("  landmarks {}", points.join(" "));
    }
    if let Some(why) = face.components.why(MOST_FAULTS) {
        line += &format!("  why: {why}");
    }
    line
}
