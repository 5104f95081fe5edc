//! `facefleet model import`

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, ValueEnum};

use super::{printable, say, say_json};
use crate::app::App;
use crate::inference::import::{ImportOptions, ImportRequest};
use crate::inference::manifest::Channels;
use crate::inference::model::{Models, Prepared};
use crate::view::model::{HalfView, HeadView, ImportView, PreparedView};

/// Import a recogniser of your own: write its manifest, prepare and test it.
///
/// Reads from the graph what it states, and names the option for each value that it lacks.
#[derive(Debug, Args)]
pub(super) struct ImportArgs {
    /// The ONNX file. Files of weights next to it are found.
    file: PathBuf,
    /// The model's name [default: from the file's name].
    #[arg(long)]
    name: Option<String>,
    /// Order of the input's colour channels, which no graph contains.
    #[arg(long, value_name = "ORDER")]
    channels: Option<ChannelsArg>,
    /// Subtracted from each pixel of 0..255, if the graph does not normalise.
    #[arg(long, allow_negative_numbers = true, value_parser = finite)]
    mean: Option<f32>,
    /// Factor applied after the mean is subtracted, if the graph does not normalise.
    #[arg(long, allow_negative_numbers = true, value_parser = finite)]
    scale: Option<f32>,
    /// Dropout ratio before the last layer in training, if the graph has no dropout.
    #[arg(long, value_name = "RATIO", allow_negative_numbers = true)]
    dropout: Option<f64>,
    /// Steepness of the mapping from score to quality [default: 130, as published].
    #[arg(long, allow_negative_numbers = true)]
    alpha: Option<f64>,
    /// The score that maps to quality 50 [default: 0.88, as published].
    #[arg(long, allow_negative_numbers = true)]
    r: Option<f64>,
    /// Licence of the weights, for the manifest.
    #[arg(long)]
    licence: Option<String>,
    /// Where the weights come from, for the manifest.
    #[arg(long)]
    source: Option<String>,
    /// Replace a model of the same name and its files. A file that another model's manifest names
    /// is never replaced.
    #[arg(long)]
    force: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// [`Channels`] as an argument.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum ChannelsArg {
    Rgb,
    Bgr,
}

impl From<ChannelsArg> for Channels {
    fn from(order: ChannelsArg) -> Self {
        match order {
            ChannelsArg::Rgb => Self::Rgb,
            ChannelsArg::Bgr => Self::Bgr,
        }
    }
}

/// Parses a finite number: a manifest cannot hold others.
fn finite(text: &str) -> Result<f32, String> {
    match text.parse::<f32>() {
        Ok(number) if number.is_finite() => Ok(number),
        _ => Err(format!("'{text}' is not a finite number")),
    }
}

impl ImportArgs {
    pub(super) fn run(self, app: &App, models: &Models) -> Result<()> {
        let options = ImportOptions {
            channels: self.channels.map(Channels::from),
            mean: self.mean,
            scale: self.scale,
            dropout: self.dropout,
            alpha: self.alpha,
            r: self.r,
            licence: self.licence,
            source: self.source,
        };
        let request =
            ImportRequest { file: self.file, name: self.name, options, force: self.force };
        let imported = models.import(&request, &app.runtime()?)?;
        if self.json {
            say_json(&ImportView {
                prepared: prepared_view(&imported.name, &imported.prepared),
                manifest: imported.manifest.display().to_string(),
                notes: imported.notes,
            })?;
            return Ok(());
        }
        say(format!("{}: imported, {}", imported.name, imported.manifest.display()))?;
        for note in &imported.notes {
            // Notes quote names of the ONNX file.
            say(format!("  {}", printable(note)))?;
        }
        print_prepared(&imported.name, &imported.prepared)?;
        say(format!(
            "use it: set models.recogniser = \"{0}\" (FACEFLEET__MODELS__RECOGNISER={0})",
            imported.name
        ))?;
        Ok(())
    }
}

/// What a preparation did.
pub(super) fn prepared_view(name: &str, prepared: &Prepared) -> PreparedView {
    let head = prepared.preparation.recogniser.as_ref();
    let face = prepared.preparation.face.as_ref();
    PreparedView {
        model: name.to_owned(),
        file: prepared.path.display().to_string(),
        written: prepared.written,
        detector_score: face.and_then(|face| face.detector_score),
        head: head.map(|head| HeadView {
            features: head.features,
            embedding: head.embedding,
            effective_rank: head.effective_rank,
            dropout: head.dropout,
            dropout_in_graph: head.dropout_in_graph,
            distance: head.expected_distance,
            half: head.half.map(|half| HalfView { cosine: half.cosine, distance: half.distance }),
        }),
    }
}

/// Prints what a preparation did.
pub(super) fn print_prepared(name: &str, prepared: &Prepared) -> Result<()> {
    let state = if prepared.written { "prepared" } else { "up to date" };
    say(format!("{name}: {state}, {}", prepared.path.display()))?;
    if let Some(face) = prepared.preparation.face.as_ref().filter(|_| prepared.written) {
        say(format!(
            "  self-test: finds the drawn face, confidence {:.4}",
            face.detector_score.unwrap_or_default()
        ))?;
    }
    let Some(head) = prepared.preparation.recogniser.as_ref().filter(|_| prepared.written) else {
        return Ok(());
    };
    let origin = if head.dropout_in_graph {
        "from the graph"
    } else {
        "from the manifest; the graph has none, and SER-FIQ is weaker if the network was trained \
            without"
    };
    say(format!(
        "  head: {} features -> {} dimensions, effective rank {:.1}",
        head.features, head.embedding, head.effective_rank
    ))?;
    say(format!("  dropout {} ({origin})", head.dropout))?;
    say(format!("  self-test: distance {:.6}", head.expected_distance))?;
    if let Some(half) = head.half {
        say(format!(
            "  half precision: cosine {:.6} to 32 bits, distance {:+.3} %",
            half.cosine,
            100.0 * half.distance
        ))?;
    }
    Ok(())
}
