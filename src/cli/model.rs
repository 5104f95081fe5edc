//! `facefleet model …`

use std::process::ExitCode;

use anyhow::Result;
use clap::Subcommand;

use super::say;
use crate::app::App;
use crate::inference::model::{Models, Prepared};

#[derive(Debug, Subcommand)]
pub(super) enum Model {
    /// Turn published ONNX files into the ones that run: constants folded, batch free, SER-FIQ's closed form in the graph.
    Prepare {
        /// Names of manifests (models/NAME.toml); all of them if none is named.
        names: Vec<String>,
        /// Prepare again what is prepared already.
        #[arg(long)]
        again: bool,
    },
    /// Show the models, where they come from and whether they are prepared.
    List,
}

impl Model {
    pub(super) fn run(self, app: &App) -> Result<ExitCode> {
        let models = app.models();
        match self {
            Self::Prepare { names, again } => {
                let names = if names.is_empty() { models.names() } else { names };
                if names.is_empty() {
                    anyhow::bail!("there are no manifests in {}", app.settings().models.dir.display());
                }
                let runtime = app.runtime()?;
                for name in names {
                    for prepared in models.prepare(&name, &runtime, again)? {
                        print_prepared(&name, &prepared)?;
                    }
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
    Ok(())
}

fn print_model(models: &Models, name: &str) -> Result<()> {
    let manifest = models.manifest(name)?;
    let role = if manifest.recogniser().is_some() { "recogniser" } else { "detector" };
    let unprepared = manifest.networks().iter().find_map(|network| Some((network, models.read_prepared(network).err()?)));
    let state = match unprepared {
        None => "prepared".to_owned(),
        Some((network, error)) if models.published_path(network).exists() => error.to_string(),
        Some((network, _)) => format!("not fetched: {} is missing; run `make setup`", models.published_path(network).display()),
    };
    say(format!("{name}: {role}, {}\n  {}\n  sha256 {}\n  {state}", manifest.licence, manifest.source, manifest.sha256))?;
    Ok(())
}
