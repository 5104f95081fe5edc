//! `facefleet doctor`

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use super::{say, say_json};
use crate::app::App;
use crate::app::doctor::check_all;

/// Check runtime, models, store, queue, sources and disk.
///
/// Tries everything that a scan or a worker needs. Prints a line for each check: ok, or what is
/// wrong and what to do. Exit status 1 if something is wrong.
#[derive(Debug, Args)]
pub(super) struct DoctorArgs {
    /// The images are chips: do not check the detector.
    #[arg(long)]
    aligned: bool,
    /// Print one JSON object a line.
    #[arg(long)]
    json: bool,
}

impl DoctorArgs {
    pub(super) async fn run(self, app: App) -> Result<ExitCode> {
        let checks = check_all(&app, self.aligned).await;
        for check in &checks {
            if self.json {
                say_json(check)?;
            } else {
                let verdict = if check.ok { "ok   " } else { "WRONG" };
                say(format!("{verdict} {:8} {}", check.check, check.detail))?;
            }
        }
        let all_ok = checks.iter().all(|check| check.ok);
        Ok(if all_ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}
