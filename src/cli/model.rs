//! `facefleet model …`

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Subcommand, ValueEnum};

use super::import::{Import, print_prepared};
use super::{printable, say};
use crate::app::App;
use crate::domain::Precision;
use crate::inference::model::Models;
use crate::inference::prepare::{Target, Variant};

#[derive(Debug, Subcommand)]
pub(super) enum Model {
    /// Turn published ONNX files into the ones that run: constants folded, batch free, SER-FIQ's
    /// closed form in the graph.
    Prepare {
        /// Names of manifests (models/NAME.toml); the detector and the recogniser of the settings
        /// if none is named.
        names: Vec<String>,
        /// Prepare again what is prepared already.
        #[arg(long)]
        again: bool,
        /// What will run it: cpu, or gpu (for cuda, tensorrt and openvino); that of
        /// `runtime.device` if not given.
        #[arg(long, value_name = "KIND")]
        target: Option<Kind>,
        /// Compute the recogniser's backbone in half precision, as `models.precision` may ask too;
        /// how far that is from 32 bits is measured and printed.
        #[arg(long)]
        half: bool,
    },
    /// Take in a recogniser of your own: write its manifest, prepare and test it.
    Import(Import),
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
        let (models, wanted) = (app.models(), app.variant(app.settings().runtime.device));
        match self {
            Self::Import(import) => import.run(app, &models.prepared_as(wanted))?,
            Self::Prepare { names, again, target, half } => {
                let target = target.map_or(wanted.target, Target::from);
                let precision = if half { Precision::Half } else { wanted.precision };
                let models = models.prepared_as(Variant { target, precision });
                let chosen = &app.settings().models;
                let names = if names.is_empty() {
                    vec![chosen.recogniser.clone(), chosen.detector.clone()]
                } else {
                    names
                };
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
