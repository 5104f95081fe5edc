//! `facefleet profile …`

mod compare;

use std::process::ExitCode;

use anyhow::Result;
use clap::Subcommand;

use crate::app::App;

/// A profile is all that a score depends on: models, alignment, precision, estimator, mapping.
#[derive(Debug, Subcommand)]
pub(super) enum ProfileCommand {
    Compare(compare::CompareProfilesArgs),
}

impl ProfileCommand {
    pub(super) async fn run(self, app: &App) -> Result<ExitCode> {
        match self {
            Self::Compare(compare) => compare.run(app).await,
        }
    }
}
