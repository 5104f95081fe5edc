//! `facefleet match`

use std::process::ExitCode;

use anyhow::{Result, bail};
use clap::Args;
use clap::builder::{OsStringValueParser, TypedValueParser};

use super::score::analyse;
use super::{printable, say, say_json};
use crate::app::App;
use crate::domain::{
    Faces, MatchThresholds, MatchVerdict, Outcome, Recognition, SimilarityFmr, SimilarityThreshold,
    SourcedThresholds,
};
use crate::images::{ImageToRead, NamedPlace};
use crate::view::face::MatchView;
use crate::view::image::{ImageNames, ImageView};
use crate::view::threshold::{FmrView, MatchDecisionView, ThresholdsView};
use crate::worker::analysis::Analysis;
use crate::worker::{Process, Processor};

/// Similarity is the cosine of the two templates, -1 to 1. What counts as a match depends on the
/// network and on the false match rate (FMR) that you accept. The thresholds are those of the
/// calibration in the settings (`facefleet calibrate` measures them on your photos), or else those
/// that the model's manifest has for the templates of these settings. The output says which.
#[derive(Debug, Args)]
pub(super) struct MatchArgs {
    /// First image: a path, or the URI of one image (s3:, gs:, az:, https:, file:, data:).
    #[arg(value_parser = OsStringValueParser::new().try_map(NamedPlace::try_from))]
    a: NamedPlace,
    /// Second image.
    #[arg(value_parser = OsStringValueParser::new().try_map(NamedPlace::try_from))]
    b: NamedPlace,
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
        let roots: Vec<_> =
            [&self.a, &self.b].into_iter().filter_map(NamedPlace::readable).collect();
        let source = app.images(&roots)?;
        let processor = app.processor(&[], self.aligned)?;
        let known = app.match_thresholds(processor.profile())?;
        let (image_a, image_b) = (self.a.image(), self.b.image());
        let first = analyse(&processor, &source, &image_a).await;
        let second = analyse(&processor, &source, &image_b).await;
        let (a, b) = (primary_face(&image_a, &first)?, primary_face(&image_b, &second)?);
        let similarity = a.template.similarity(&b.template);
        let profile = processor.profile_id();
        if self.json {
            let images = [(&image_a, &first), (&image_b, &second)]
                .map(|(image, analysis)| view(image, analysis, &processor));
            let decision = |each: &SimilarityThreshold| MatchDecisionView::new(*each, similarity);
            say_json(&MatchView {
                similarity,
                profile: profile.clone(),
                matches: known
                    .as_ref()
                    .map(|known| known.thresholds.similarity.iter().map(decision).collect()),
                fmr: known
                    .as_ref()
                    .and_then(|known| known.thresholds.fmr_of(similarity))
                    .map(FmrView::from),
                thresholds: known.as_ref().map(ThresholdsView::from),
                images,
            })?;
        } else {
            match &known {
                Some(SourcedThresholds { thresholds, .. }) => {
                    say(format!(
                        "similarity {similarity:.4}: {}",
                        decided(thresholds, similarity)
                    ))?;
                }
                None => say(format!("similarity {similarity:.4}"))?,
            }
            for (image, face) in [(&image_a, a), (&image_b, b)] {
                say(format!(
                    "quality {:>3}  score {:.4}  {}",
                    face.quality,
                    face.score,
                    printable(&image.name)
                ))?;
            }
            match &known {
                Some(known) => say(printable(&known.to_string()))?,
                None => say(NO_THRESHOLDS)?,
            }
            say(format!("profile {profile}"))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

pub(super) fn view(image: &ImageToRead, analysis: &Analysis, processor: &Processor) -> ImageView {
    let profile = processor.profile_id().clone();
    let view = ImageView::analysed(ImageNames::from(image), profile, &analysis.outcome);
    ImageView {
        provider: Some(processor.provider().to_owned()),
        timings: Some(analysis.timings),
        ..view.with_content(analysis.content.as_ref())
    }
}

pub(super) const NO_THRESHOLDS: &str = "which similarity is a match is not known for this \
    profile: `facefleet calibrate LABELS` measures it on your own labelled photos and writes a \
    file; name the file in the setting quality.calibration";

/// The rates at which it is a match, at which not, and its own.
fn decided(thresholds: &MatchThresholds, similarity: f64) -> String {
    let MatchVerdict { exceeded, missed } = thresholds.verdict(similarity);
    match (exceeded, missed) {
        (Some(yes), Some(no)) => {
            let own = match thresholds.fmr_of(similarity) {
                Some(SimilarityFmr::About(fmr)) => format!("; its own FMR is about {fmr:.1e}"),
                _ => String::new(),
            };
            format!(
                "a match at FMR {:e} (threshold {:.4}), not at {:e} ({:.4}){own}",
                yes.fmr, yes.threshold, no.fmr, no.threshold
            )
        }
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

pub(super) fn primary_face<'a>(
    image: &ImageToRead,
    analysis: &'a Analysis,
) -> Result<&'a Recognition> {
    let name = &image.name;
    match &analysis.outcome {
        Outcome::Scored(faces) => match faces.first().and_then(|face| face.recognition.as_ref()) {
            Some(recognition) => Ok(recognition),
            None => bail!("{name}: its primary face could not be recognised"),
        },
        Outcome::NoFace => bail!("{name}: no face found"),
        other => bail!("{name}: {}: {}", other.kind(), other.reason().unwrap_or_default()),
    }
}
