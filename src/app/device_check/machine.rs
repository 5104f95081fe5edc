//! The machine: its GPUs, as the driver's `nvidia-smi` tells, and a start without them.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use super::{App, Rows};
use crate::domain::Device;

/// Shows nothing but GPUs that do not exist to CUDA.
const NO_GPU: (&str, &str) = ("CUDA_VISIBLE_DEVICES", "");

/// Rows about the library and the GPUs.
pub(super) fn describe(app: &App, rows: &mut Rows<'_>) -> Result<()> {
    let runtime = app.runtime()?;
    let offered = [Device::Cpu, Device::OpenVino, Device::Cuda(0), Device::TensorRt(0)]
        .into_iter()
        .filter(|&device| runtime.offers(device))
        .map(|device| device.to_string());
    let library = app.settings().below_home(&app.settings().runtime.library);
    rows.add("machine", &"", library.display().to_string())
        .found(Ok(format!("built for {}", offered.collect::<Vec<_>>().join(", "))));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    rows.add("machine", &"", "CPU").found(Ok(format!("{cores} cores")));
    let gpus = nvidia_smi("name,driver_version,memory.total");
    let found = gpus.unwrap_or_else(|| "none: there is no nvidia-smi, or it fails".to_owned());
    for gpu in found.lines() {
        rows.add("machine", &"", "GPU").found(Ok(gpu.to_owned()));
    }
    Ok(())
}

/// What `nvidia-smi` says, a line for each GPU.
fn nvidia_smi(fields: &str) -> Option<String> {
    let output = Command::new("nvidia-smi")
        .arg(format!("--query-gpu={fields}"))
        .arg("--format=csv,noheader,nounits")
        .stderr(Stdio::null())
        .output()
        .ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The memory of all GPUs in use, MiB.
pub(super) fn gpu_memory_mib() -> Option<u64> {
    let used = nvidia_smi("memory.used")?;
    used.lines().map(|line| line.trim().parse::<u64>().ok()).sum()
}

/// Starts this program on `device` in a process that sees no GPU. It must end with an error that
/// names the device.
pub(super) fn start_without_gpu(app: &App, device: Device) -> Result<String> {
    let settings = app.settings();
    let program = std::env::current_exe().context("Failed to find this program")?;
    let output = Command::new(program)
        .args(["doctor", "--aligned"])
        .env(NO_GPU.0, NO_GPU.1)
        .env("FACEFLEET__RUNTIME__DEVICE", device.to_string())
        .env("FACEFLEET__RUNTIME__LIBRARY", settings.below_home(&settings.runtime.library))
        .env("FACEFLEET__MODELS__DIR", settings.below_home(&settings.models.dir))
        .env("FACEFLEET__MODELS__RECOGNISER", &settings.models.recogniser)
        .output()
        .context("Failed to start this program")?;
    let said = String::from_utf8_lossy(&output.stdout);
    let Some(line) = said.lines().find(|line| line.starts_with("WRONG models")) else {
        bail!("it was used all the same: {said}")
    };
    ensure!(line.contains(&device.to_string()), "the error does not name it: {line}");
    Ok(line.trim_start_matches("WRONG models").trim().to_owned())
}
