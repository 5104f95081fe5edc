//! `facefleet model …`

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Subcommand, ValueEnum};

use super::import::{ImportArgs, print_prepared};
use super::{printable, say};
use crate::app::App;
use crate::domain::Precision;
use crate::inference::model::Models;
use crate::inference::prepare::{Target, Variant};

#[derive(Debug, Subcommand)]
pub(super) enum ModelCommand {
    /// Prepare published ONNX files for running.
    ///
    /// Folds constants, frees the batch dimension and appends SER-FIQ's closed form to the
    /// recogniser's graph. Proves the result against the published network.
    Prepare {
        /// Models to prepare, by the name of their manifest (models/NAME.toml) [default: the
        /// detector and the recogniser of the settings].
        names: Vec<String>,
        /// Prepare again, even if the prepared file is up to date.
        #[arg(long)]
        again: bool,
        /// The device that will run them: cpu, or gpu (cuda, tensorrt, openvino) [default: that of
        /// the setting `runtime.device`].
        #[arg(long, value_name = "KIND")]
        target: Option<TargetArg>,
        /// Compute the recogniser's backbone in half precision, for `models.precision = "half"`.
        /// Measures and prints the difference to 32 bits.
        #[arg(long)]
        half: bool,
    },
    Import(ImportArgs),
    /// Show the models, where they come from, and whether they are prepared.
    List,
}

/// A [`Target`] as an argument.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum TargetArg {
    Cpu,
    Gpu,
}

impl From<TargetArg> for Target {
    fn from(target: TargetArg) -> Self {
        match target {
            TargetArg::Cpu => Self::Cpu,
            TargetArg::Gpu => Self::Gpu,
        }
    }
}

impl ModelCommand {
    pub(super) fn run(self, app: &App) -> Result<ExitCode> {
        let (models, configured) = (app.models(), app.variant(app.settings().runtime.device));
        match self {
            Self::Import(import) => import.run(app, &models.prepared_as(configured))?,
            Self::Prepare { names, again, target, half } => {
                let target = target.map_or(configured.target, Target::from);
                let precision = if half { Precision::Half } else { configured.precision };
                let models = models.prepared_as(Variant { target, precision });
                let names = if names.is_empty() { app.model_names() } else { names };
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

fn print_model(models: &Models, name: &str) -> Result<()> {
    let manifest = models.manifest(name)?;
    let role = if manifest.recogniser().is_some() { "recogniser" } else { "detector" };
    let unprepared = manifest
        .networks()
        .iter()
        .find_map(|network| Some((network, models.read_prepared(network).err()?)));
    let state = match unprepared {
        None => "prepared".to_owned(),
        Some((network, error)) if models.published_path(network).exists() => error.to_string(),
        Some((network, _)) => {
            let path = models.published_path(network);
            let bring = match manifest.recogniser() {
                Some(_) => format!(
                    " for a default model, or bring it: `facefleet model import {}`",
                    file_name(&path)
                ),
                None => String::new(),
            };
            format!("not fetched: {} is missing; run `make setup`{bring}", path.display())
        }
    };
    say(format!(
        "{name}: {role}\n  licence: {}\n  {}\n  sha256 {}\n  {state}",
        printable(&manifest.licence),
        printable(&manifest.source),
        manifest.sha256
    ))?;
    Ok(())
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().display().to_string()
}
