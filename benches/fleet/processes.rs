//! The processes of the fleet.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use super::Bench;

impl Bench {
    pub(super) fn facefleet(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_facefleet"));
        command.env("FACEFLEET__QUEUE__PREFIX", &self.prefix);
        command
    }

    pub(super) fn worker(&self, photos: &Path) -> Result<Running> {
        let mut command = self.facefleet();
        command
            .args(["worker", "-v", "--root"])
            .arg(photos)
            .arg("--root")
            .arg(&self.folder)
            .env("FACEFLEET__SERVER__LISTEN", "");
        command.stderr(Stdio::piped());
        let mut child = command.spawn()?;
        let output = child.stderr.take().context("no standard error")?;
        let running = Running(child);
        await_line(output, "consuming jobs")?;
        Ok(running)
    }

    pub(super) fn start(
        &self,
        program: PathBuf,
        arguments: &[&str],
        settings: &[(&str, &str)],
        at_work: &str,
    ) -> Result<Running> {
        let mut command = Command::new(program);
        command
            .args(arguments)
            .envs(settings.iter().copied())
            .env("FACEFLEET__QUEUE__PREFIX", &self.prefix)
            .stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let output = child.stdout.take().context("no standard output")?;
        let running = Running(child);
        await_line(output, at_work)?;
        Ok(running)
    }
}

/// A process that is killed when this is dropped.
pub(super) struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Reads until a line contains `wanted`. A thread reads the rest, so that the writer never blocks.
fn await_line(from: impl std::io::Read + Send + 'static, wanted: &str) -> Result<()> {
    let mut lines = BufReader::new(from).lines();
    for line in lines.by_ref() {
        if line?.contains(wanted) {
            std::thread::spawn(move || lines.for_each(drop));
            return Ok(());
        }
    }
    bail!("the process ended before it printed '{wanted}'")
}

/// The worker without a model, which `make bench-fleet` builds.
pub(super) fn null_worker() -> Result<PathBuf> {
    let release = Path::new(env!("CARGO_BIN_EXE_facefleet"))
        .parent()
        .context("the binary has no parent folder")?;
    let program = release.join("examples/null_worker");
    ensure!(
        program.exists(),
        "{} is missing: run `cargo build --release --example null_worker`",
        program.display()
    );
    Ok(program)
}
