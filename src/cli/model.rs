//! `facefleet model …`

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Subcommand, ValueEnum};

use super::import::{ImportArgs, prepared_view, print_prepared};
use super::{printable, say, say_json};
use crate::app::App;
use crate::domain::Precision;
use crate::inference::model::Models;
use crate::inference::prepare::{Target, Variant};
use crate::view::model::ModelView;

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
        /// Print one JSON object for each network.
        #[arg(long)]
        json: bool,
    },
    Import(ImportArgs),
    /// Show the models, where they come from, and whether they are prepared.
    List {
        /// Print one JSON object a line.
        #[arg(long)]
        json: bool,
    },
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
            Self::Prepare { names, again, target, half, json } => {
                let target = target.map_or(configured.target, Target::from);
                let precision = if half { Precision::Half } else { configured.precision };
                let models = models.prepared_as(Variant { target, precision });
                let names = if names.is_empty() { app.model_names() } else { names };
                let runtime = app.runtime()?;
                for name in names {
                    for prepared in models.prepare(&name, &runtime, again)? {
                        if json {
                            say_json(&prepared_view(&name, &prepared))?;
                        } else {
                            print_prepared(&name, &prepared)?;
                        }
                    }
                }
            }
            Self::List { json } => {
                for name in models.names() {
                    let model = model_view(&models, &name)?;
                    if json { say_json(&model)? } else { print_model(&model)? }
                }
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn model_view(models: &Models, name: &str) -> Result<ModelView> {
    let manifest = models.manifest(name)?;
    let recogniser = manifest.recogniser();
    let role = if recogniser.is_some() { "recogniser" } else { "detector" };
    let unprepared = manifest
        .networks()
        .iter()
        .find_map(|network| Some((network, models.read_prepared(network).err()?)));
    let reason = match unprepared {
        None => None,
        Some((network, error)) if models.published_path(network).exists() => {
            Some(error.to_string())
        }
        Some((network, _)) => {
            let path = models.published_path(network);
            let bring = match manifest.recogniser() {
                Some(_) => format!(
                    " for a default model, or bring it: `facefleet model import {}`",
                    file_name(&path)
                ),
                None => String::new(),
            };
            Some(format!("not fetched: {} is missing; run `make setup`{bring}", path.display()))
        }
    };
    Ok(ModelView {
        model: name.to_owned(),
        role,
        prepared: reason.is_none(),
        reason,
        thresholds: recogniser.map(|recogniser| recogniser.thresholds.clone()).unwrap_or_default(),
        sha256: manifest.sha256,
        licence: manifest.licence,
        source: manifest.source,
    })
}

fn print_model(model: &ModelView) -> std::io::Result<()> {
    let ModelView { model: name, role, licence, source, sha256, reason, .. } = model;
    say(format!(
        "{name}: {role}\n  licence: {}\n  {}\n  sha256 {sha256}\n  {}",
        printable(licence),
        printable(source),
        reason.as_deref().unwrap_or("prepared")
    ))
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().display().to_string()
}
