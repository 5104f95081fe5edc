//! `facefleet doctor`

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use clap::builder::{OsStringValueParser, TypedValueParser};

use super::{printable, say, say_json};
use crate::app::App;
use crate::app::doctor::check_all;
use crate::images::Root;

/// Check runtime, models, store, queue, sources, workers and disk.
///
/// Tries everything that a scan or a worker needs: of each place that images may come from
/// (`images.allow`, --root), it lists something and reads the first bytes of one image. Prints a
/// line for each check: ok, or what is wrong and what to do. Exit status 1 if something is wrong.
#[derive(Debug, Args)]
pub(super) struct DoctorArgs {
    /// The images are chips: do not check the detector.
    #[arg(long)]
    aligned: bool,
    /// Folders, buckets and web servers to try, in addition to those of the setting `images.allow`.
    #[arg(
        long,
        value_name = "FOLDER|URL",
        value_parser = OsStringValueParser::new().try_map(Root::try_from)
    )]
    root: Vec<Root>,
    /// Print one JSON object a line.
    #[arg(long)]
    json: bool,
}

impl DoctorArgs {
    pub(super) async fn run(self, app: App) -> Result<ExitCode> {
        let checks = check_all(&app, &self.root, self.aligned).await;
        for check in &checks {
            if self.json {
                say_json(check)?;
            } else {
                let verdict = if check.ok { "ok   " } else { "WRONG" };
                let detail = printable(&check.detail);
                say(format!("{verdict} {:8} {detail}", check.check))?;
            }
        }
        let all_ok = checks.iter().all(|check| check.ok);
        Ok(if all_ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}
