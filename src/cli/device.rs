//! `facefleet device`

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use clap::builder::{OsStringValueParser, TypedValueParser};

use super::new_file::NewFile;
use super::{printable, say, say_json};
use crate::app::App;
use crate::app::device_check::{CheckedDevice, DeviceCheck, check_devices};
use crate::images::Root;
use crate::view::device::{DeviceRowView, RowVerdict};

/// The photos that `make setup` fetches.
const SAMPLES: &str = ".facefleet/samples";

/// Check and measure the devices of this machine: CPU, GPUs.
///
/// Runs the self-tests on each device, compares its results with the CPU's on your photos, and
/// measures both networks: by batch size and number of copies, and on GPUs also what a change of
/// shape costs and what other kernels gain. Prints a line for each, at the end the settings that
/// follow. Nothing is stored. Exit status 1 if something is wrong. A GPU takes about five minutes.
#[derive(Debug, Args)]
pub(super) struct DeviceArgs {
    /// Devices: cpu, openvino, cuda:N, tensorrt:N, each with +half or +bfloat16 for lower precision
    /// [default: cpu, and the first of each kind that the library was built for].
    #[arg(value_name = "DEVICE")]
    devices: Vec<CheckedDevice>,
    /// A folder with photos of faces [default: the sample photos of `make setup`].
    #[arg(
        long,
        value_name = "FOLDER",
        value_parser = OsStringValueParser::new().try_map(Root::try_from)
    )]
    photos: Option<Root>,
    /// The time of each measurement, seconds.
    #[arg(long, default_value_t = 1.0, value_name = "S", value_parser = seconds)]
    seconds: f64,
    /// Print one JSON object a line.
    #[arg(long)]
    json: bool,
    /// Also write all lines as one JSON array.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.0..=60.0).contains(&seconds) => Ok(seconds),
        _ => Err("a number from 0 to 60".to_owned()),
    }
}

impl DeviceArgs {
    pub(super) async fn run(self, app: App) -> Result<ExitCode> {
        let check = DeviceCheck {
            devices: self.devices,
            photos: self
                .photos
                .unwrap_or_else(|| Root::Path(app.settings().below_home(Path::new(SAMPLES)))),
            time: Duration::from_secs_f64(self.seconds),
        };
        let mut closed = Ok(());
        let mut show = |row: &DeviceRowView| {
            if closed.is_ok() {
                closed = if self.json { say_json(row) } else { say(line(row)) };
            }
        };
        let rows = check_devices(&app, &check, &mut show).await?;
        closed?;
        if let Some(out) = &self.out {
            NewFile::write(out, &serde_json::to_vec_pretty(&rows)?)
                .with_context(|| format!("Failed to write {}", out.display()))?;
        }
        let wrong = rows.iter().any(|row| row.verdict == RowVerdict::Wrong);
        Ok(if wrong { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }
}

fn line(row: &DeviceRowView) -> String {
    let verdict = match row.verdict {
        RowVerdict::Ok => "ok",
        RowVerdict::Wrong => "WRONG",
        RowVerdict::Measured => "",
        RowVerdict::Advice => "->",
    };
    let value = match (row.value, row.unit) {
        (Some(value), Some(unit)) if value >= 100.0 || value.fract() == 0.0 => {
            format!("{value:.0} {unit}")
        }
        (Some(value), Some(unit)) => format!("{value:.1} {unit}"),
        _ => String::new(),
    };
    let memory = row.gpu_memory_mib.map(|mib| format!("[GPU memory {mib} MiB]"));
    let detail = row.detail.as_deref().map(printable).unwrap_or_default();
    let what = printable(&row.what);
    let parts = [value, detail.to_string(), memory.unwrap_or_default()];
    let rest: Vec<&str> =
        parts.iter().map(String::as_str).filter(|part| !part.is_empty()).collect();
    format!("{verdict:5} {:10} {:14} {what}: {}", row.part, row.device, rest.join("  "))
}
