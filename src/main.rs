//! The `facefleet` program: parses arguments, loads settings, starts telemetry, runs the command.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use facefleet::app::App;
use facefleet::cli::Cli;
use facefleet::settings::Settings;
use facefleet::telemetry;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run(cli) {
        Ok(code) => code,
        Err(error) => facefleet::cli::fail(&error),
    }
}

fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let mut settings = Settings::load(cli.config.as_deref())?;
    cli.override_settings(&mut settings);
    telemetry::start(&settings.log)?;
    // One provider of cryptography for every connection. Fails only if there is one already.
    rustls::crypto::ring::default_provider().install_default().ok();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let ended = runtime.block_on(cli.run(App::new(settings)));
    // A blocking read of a file system that hangs must not keep the process alive.
    runtime.shutdown_timeout(Duration::from_secs(1));
    ended
}
