//! `facefleet model …`

use std::process::ExitCode;

use anyhow::Result;
use clap::{Subcommand, ValueEnum};

use super::say;
use crate::app::App;
use crate::domain::Precision;
use crate::inference::model::{Models, Prepared};
use crate::inference::prepare::{Target, Variant};

#[derive(Debug, Subcommand)]
pub(super) enum Model {
    /// Turn published ONNX files into the ones that run: constants folded, batch free, SER-FIQ's closed form in the graph.
    Prepare {
        /// Names of manifests (models/NAME.toml); all of them if none is named.
        names: Vec<String>,
        /// Prepare again what is prepared already.
        #[arg(long)]
        again: bool,
        /// What will run it: cpu, or gpu (for cuda, tensorrt and openvino).
        #[arg(long, default_value = "cpu", value_name = "KIND")]
        target: Kind,
        /// Compute the recogniser's backbone in half precision; how far that is from 32 bits is measured and printed.
        #[arg(long)]
        half: bool,
    },
    /// Show the models, where they come from and whether they are prepared.
    List,
}

/// As people name a [`Target`].
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Kind {
    Cpu,
    Gpu,
}

impl From<Kind> for Target {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Cpu => Self::Cpu,
            Kind::Gpu => Self::Gpu,
        }
    }
}

impl Model {
    pub(super) fn run(self, app: &App) -> Result<ExitCode> {
        let models = app.models();
        match self {
            Self::Prepare { names, again, target, half } => {
                let precision = if half { Precision::Half } else { Precision::Float32 };
                let models = models.prepared_as(Variant { target: target.into(), precision });
                let names = if names.is_empty() { models.names() } else { names };
                if names.is_empty() {
                    anyhow::bail!("there are no manifests in {}", app.settings().models.dir.display());
                }
                let runtime = app.runtime()?;
                for name in names {
                    print_prepared(&name, &models.prepare(&name, &runtime, again)?)?;
                }
            }
            Self::List => {
                for name in models.names() {
                    print_model(&models, &name)?;
                }
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn print_prepared(name: &str, prepared: &Prepared) -> Result<()> {
    let state = if prepared.written { "prepared" } else { "up to date" };
    say(format!("{name}: {state}, {}", prepared.path.display()))?;
    let Some(head) = prepared.preparation.recogniser.as_ref().filter(|_| prepared.written) else { return Ok(()) };
    let told = if head.dropout_in_graph {
        "from the graph"
    } else {
        "from the manifest; the graph has none, and SER-FIQ is weaker if the network was trained without"
    };
    say(format!(
        "  head: {} features -> {} dimensions, effective rank {:.1}",
        head.features, head.embedding, head.effective_rank
    ))?;
    say(format!("  dropout {} ({told})", head.dropout))?;
    say(format!("  self-test: distance {:.6}", head.expected_distance))?;
    if let Some(half) = head.half {
        say(format!("  half precision: cosine {:.6} to 32 bits, distance {:+.3} %", half.cosine, 100.0 * half.distance))?;
    }
    Ok(())
}

fn print_model(models: &Models, name: &str) -> Result<()> {
    let manifest = models.manifest(name)?;
    let role = if manifest.recogniser().is_some() { "recogniser" } else { "detector" };
    let state = match models.read_prepared(&manifest) {
        Ok(_) => "prepared".to_owned(),
        Err(error) if models.published_path(&manifest).exists() => error.to_string(),
        Err(_) => format!("not fetched: {} is missing; run `make setup`", models.published_path(&manifest).display()),
    };
    say(format!("{name}: {role}, {}\n  {}\n  sha256 {}\n  {state}", manifest.licence, manifest.source, manifest.sha256))?;
    Ok(())
}
