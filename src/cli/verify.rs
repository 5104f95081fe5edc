//! `facefleet verify`

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;
use clap::builder::{OsStringValueParser, TypedValueParser};

use super::compare::{NO_THRESHOLDS, primary_face, view};
use super::profile_arg::ProfileArg;
use super::score::analyse;
use super::search::{rate, short, similarity};
use super::{GalleryArgs, SOME_FAILED, printable, say, say_json};
use crate::app::App;
use crate::domain::{Faces, ProfileId, SourcedThresholds, SubjectName, counted};
use crate::gallery::search::require_searchable;
use crate::gallery::verify::{BestReference, KnownSubject};
use crate::images::NamedPlace;
use crate::view::image::ImageView;
use crate::view::threshold::{FmrView, ThresholdsView};
use crate::view::verify::{BestReferenceView, VerifyView};
use crate::worker::Process;

/// An image is not that person, or nobody can say.
const NO_MATCH: u8 = 4;
/// The false match rate where the settings have none.
const FMR: f64 = 1e-4;

/// Is it the person? Compare the primary face of each image with all references of a person.
///
/// The most similar reference counts. It is a match if that similarity exceeds the threshold of the
/// false match rate, which is the one of enrolment (setting enrol.fmr, or else 1e-4) unless --fmr
/// names another. Where no thresholds are known for the networks of the settings, the similarity
/// alone is printed.
///
/// Exit status: 0 if every image is a match; 4 if one is not, or no threshold is known; 3 if one
/// has no face to compare.
#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    /// The person's name.
    subject: SubjectName,
    /// Images: paths, or URIs (s3:, gs:, az:, https:, file:, data:).
    #[arg(
        required = true,
        value_name = "IMAGE",
        value_parser = OsStringValueParser::new().try_map(NamedPlace::try_from)
    )]
    images: Vec<NamedPlace>,
    #[command(flatten)]
    gallery: GalleryArgs,
    /// The profile of the references [default: the active one of the gallery].
    #[arg(long, value_name = "PROFILE")]
    profile: Option<ProfileArg>,
    /// The false match rate of the threshold, such as 1e-4.
    #[arg(long, value_name = "RATE", value_parser = rate, conflicts_with = "min_similarity")]
    fmr: Option<f64>,
    /// The threshold itself, -1 to 1: as similar is a match.
    #[arg(
        long,
        value_name = "SIMILARITY",
        allow_negative_numbers = true,
        value_parser = similarity
    )]
    min_similarity: Option<f64>,
    /// The images are chips: aligned, and 112x112. Other images are refused.
    #[arg(long)]
    aligned: bool,
    /// Print one JSON object a line: each image.
    #[arg(long)]
    json: bool,
}

/// What all images are compared with.
struct Verification<'a> {
    args: &'a VerifyArgs,
    profile: ProfileId,
    subject: KnownSubject,
    known: Option<SourcedThresholds>,
    /// What a match must exceed, and its false match rate.
    threshold: Option<(f64, Option<f64>)>,
}

/// An image, and the reference most similar to it; or why it has no face to compare.
struct Verified {
    name: String,
    view: ImageView,
    quality: u8,
    best: Result<BestReference, String>,
}

impl VerifyArgs {
    pub(super) async fn run(self, app: App) -> Result<ExitCode> {
        let app = app.with_faces(Some(Faces::Largest));
        let processor = app.processor(&[], self.aligned)?;
        let own = processor.profile();
        let gallery = &self.gallery.gallery;
        let store = app.filled_store().await?;
        let named = self.profile.as_ref();
        let profile = ProfileArg::of_gallery(named, &app, store.as_ref(), gallery).await?;
        require_searchable(store.as_ref(), gallery, own, &profile).await?;
        let subject = KnownSubject::read(store.as_ref(), gallery, &profile, &self.subject).await?;
        store.close().await;
        let known = app.match_thresholds(own)?;
        let threshold = self.threshold(known.as_ref(), app.settings().enrol.fmr)?;
        let verification = Verification { args: &self, profile, subject, known, threshold };
        let roots: Vec<_> = self.images.iter().filter_map(NamedPlace::readable).collect();
        let source = app.images(&roots)?;
        let (mut all_match, mut no_face) = (true, false);
        for image in self.images.iter().map(NamedPlace::image) {
            let analysis = analyse(&processor, &source, &image).await;
            let face = primary_face(&image, &analysis);
            let verified = Verified {
                name: image.name.clone(),
                view: view(&image, &analysis, &processor),
                quality: face.as_ref().map_or(0, |face| face.quality),
                best: match face {
                    Ok(face) => Ok(verification.subject.best(&face.template)),
                    Err(reason) => Err(reason.to_string()),
                },
            };
            no_face |= verified.best.is_err();
            all_match &= verification.matches(&verified) == Some(true);
            verification.tell(verified)?;
        }
        verification.tell_end()?;
        Ok(match (no_face, all_match) {
            (true, _) => ExitCode::from(SOME_FAILED),
            (false, true) => ExitCode::SUCCESS,
            (false, false) => ExitCode::from(NO_MATCH),
        })
    }

    /// What a match must exceed, and its false match rate.
    ///
    /// # Errors
    /// If a rate was asked for whose threshold is not known.
    fn threshold(
        &self,
        known: Option<&SourcedThresholds>,
        of_enrolment: f64,
    ) -> Result<Option<(f64, Option<f64>)>> {
        if let Some(least) = self.min_similarity {
            return Ok(Some((least.next_down(), None)));
        }
        match known {
            Some(SourcedThresholds { thresholds, .. }) => {
                let default = if of_enrolment > 0.0 { of_enrolment } else { FMR };
                // As in enrolment, a default that was not measured is the nearest one that was.
                let rates = thresholds.similarity.iter().map(|each| each.fmr);
                let (low, high) = rates
                    .fold((1.0_f64, 0.0_f64), |(low, high), rate| (low.min(rate), high.max(rate)));
                let fmr = self.fmr.unwrap_or_else(|| default.min(high).max(low));
                Ok(Some((thresholds.threshold_at(fmr)?.threshold, Some(fmr))))
            }
            None if self.fmr.is_some() => bail!(NO_THRESHOLDS),
            None => Ok(None),
        }
    }
}

impl Verification<'_> {
    fn matches(&self, verified: &Verified) -> Option<bool> {
        let best = verified.best.as_ref().ok()?;
        self.threshold.map(|(threshold, _)| best.similarity > threshold)
    }

    fn tell(&self, verified: Verified) -> Result<()> {
        if self.args.json {
            say_json(&self.view(verified))?;
        } else {
            say(printable(&self.line(&verified)))?;
        }
        Ok(())
    }

    fn line(&self, verified: &Verified) -> String {
        let BestReference { similarity, image, uri, quality } = match &verified.best {
            Ok(best) => best,
            // The reason names the image.
            Err(reason) => return reason.clone(),
        };
        let verdict = match self.matches(verified) {
            Some(true) => "match     ",
            Some(false) => "no match  ",
            None => "",
        };
        let fmr = self.known.as_ref().and_then(|known| known.thresholds.fmr_of(*similarity));
        let fmr = fmr.map(|fmr| format!("  FMR {}", short(fmr))).unwrap_or_default();
        let reference = uri.as_ref().map_or_else(|| image.to_string(), |uri| uri.for_people());
        format!(
            "{verdict}similarity {similarity:.4}{fmr}  quality {}  {}  (reference of quality \
             {quality}: {reference})",
            verified.quality, verified.name
        )
    }

    fn view(&self, verified: Verified) -> VerifyView {
        let matches = self.matches(&verified);
        let best = verified.best.ok();
        let fmr = self
            .known
            .as_ref()
            .zip(best.as_ref())
            .and_then(|(known, best)| known.thresholds.fmr_of(best.similarity));
        VerifyView {
            gallery: self.args.gallery.gallery.clone(),
            profile: self.profile.clone(),
            subject: self.args.subject.clone(),
            references: self.subject.references() as u64,
            threshold: self.threshold.map(|(threshold, _)| threshold),
            threshold_fmr: self.threshold.and_then(|(_, fmr)| fmr),
            matches,
            similarity: best.as_ref().map(|best| best.similarity),
            fmr: fmr.map(FmrView::from),
            reference: best
                .map(|best| BestReferenceView::new(best.image, best.uri.as_ref(), best.quality)),
            thresholds: self.known.as_ref().map(ThresholdsView::from),
            probe: verified.view,
        }
    }

    /// Prints what was compared, and by which threshold.
    fn tell_end(&self) -> Result<()> {
        if self.args.json {
            return Ok(());
        }
        let (references, VerifyArgs { subject, .. }) = (self.subject.references(), self.args);
        say(printable(&format!(
            "compared with {} of '{}' in gallery {}, profile {}",
            counted(references as u64, "reference"),
            subject.as_str(),
            self.args.gallery.gallery,
            self.profile
        )))?;
        match self.threshold {
            Some((threshold, Some(fmr))) => {
                say(format!("a match exceeds {threshold:.4}, the threshold at FMR {fmr:e}"))?;
            }
            Some((threshold, None)) => {
                say(format!("a match has a similarity of at least {threshold:.4}"))?;
            }
            None => {}
        }
        match &self.known {
            Some(known) => say(printable(&known.to_string()))?,
            None => say(NO_THRESHOLDS)?,
        }
        Ok(())
    }
}
