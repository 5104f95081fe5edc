//! The command line: one file a command. Parses and prints; decides nothing.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "commands print")]

mod audit;
mod bias;
mod calibrate;
mod campaign;
mod columns;
mod compare;
mod curate;
mod device;
mod doctor;
mod enrol;
mod erase;
mod evaluate;
mod import;
mod interrupt;
mod labelled;
mod migrate;
mod missing;
mod model;
mod named_image;
mod new_file;
mod not_listed;
mod operator;
mod printable;
mod profile;
mod profile_arg;
mod progress;
mod queue;
mod remap;
mod report;
mod rescore;
mod retention;
mod running;
mod scan;
mod scan_source;
mod schedule;
mod score;
mod search;
mod show;
mod subject;
mod verify;
mod worker;

use std::io::{ErrorKind, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::error::ContextValue;
use clap::{Parser, Subcommand};
use serde::Serialize;

use self::operator::OperatorArgs;
use self::printable::printable;
use crate::app::App;
use crate::domain::GalleryName;
use crate::images::location_for_people;
use crate::settings::Settings;
use crate::telemetry;

/// Face image quality (SER-FIQ) and templates for large galleries.
///
/// Finds the faces in images and computes, in one forward pass of one network, each face's template
/// and its quality score. Every image ends in exactly one recorded outcome: scored, no face,
/// unreadable, refused or failed. What was erased ends as erased, and leaves no result.
///
/// Exit status: 0 success (unreadable and refused images are outcomes, not errors), 1 the command
/// failed, 2 wrong usage, 3 done, but some images failed, or more than half of them could not be
/// used (`scan --fail-over`), 4 no match (`verify`), 130 interrupted.
#[derive(Debug, Parser)]
#[command(name = "facefleet", version, about, long_about, max_term_width = 110)]
struct Cli {
    /// Settings file, instead of facefleet.toml in the current folder.
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Database for the results: sqlite:FILE or postgres://… (if it needs a password, set
    /// `FACEFLEET__STORE__URL` instead) [default: sqlite:facefleet.db].
    #[arg(long, global = true, value_name = "URL")]
    store: Option<String>,
    /// Log more to standard error: -v info, -vv debug.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Scan(scan::ScanArgs),
    Enrol(enrol::EnrolArgs),
    Worker(worker::WorkerArgs),
    /// Show the queue and its dead letters; retry or delete dead letters.
    #[command(subcommand)]
    Queue(queue::QueueCommand),
    /// Show, pause, resume and cancel campaigns.
    #[command(subcommand)]
    Campaign(campaign::CampaignCommand),
    Score(score::ScoreArgs),
    /// Compare the primary faces of two images: print the similarity and both qualities.
    Match(compare::MatchArgs),
    Search(search::SearchArgs),
    Verify(verify::VerifyArgs),
    /// Show the people of a gallery; rename, merge and remove them, and choose their references.
    #[command(subcommand)]
    Subject(subject::SubjectCommand),
    Erase(erase::EraseArgs),
    Retention(retention::RetentionArgs),
    Audit(audit::AuditArgs),
    /// Show what a gallery could do without, or has wrong; decide about its images, and undo it.
    #[command(subcommand)]
    Curate(curate::CurateCommand),
    /// Write the report of a gallery: one self-contained HTML file.
    Report(report::ReportArgs),
    Show(show::ShowArgs),
    /// Write the results of a gallery as CSV, JSON Lines or Parquet.
    Export(report::ExportArgs),
    Evaluate(evaluate::EvaluateArgs),
    Calibrate(calibrate::CalibrateArgs),
    Bias(bias::BiasArgs),
    Remap(remap::RemapArgs),
    Rescore(rescore::RescoreArgs),
    /// Show, compare, activate and retire the profiles of galleries.
    #[command(subcommand)]
    Profile(profile::ProfileCommand),
    /// Show and run schedules: what is done at certain times.
    #[command(subcommand)]
    Schedule(schedule::ScheduleCommand),
    Migrate(migrate::MigrateArgs),
    Doctor(doctor::DoctorArgs),
    Device(device::DeviceArgs),
    /// Import, prepare and list models.
    #[command(subcommand)]
    Model(model::ModelCommand),
}

/// The command ran, and something failed.
const SOME_FAILED: u8 = 3;
/// What shells report for a process that SIGINT ended.
const INTERRUPTED: u8 = 130;

/// The program. It is here and not in the binary, so that the commands' futures are compiled with
/// the library, on all cores.
pub fn main() -> ExitCode {
    match Cli::try_parse() {
        Ok(cli) => cli.execute().unwrap_or_else(|error| fail(&error)),
        Err(error) => refuse(&error),
    }
}

/// Prints an error of the command line, which repeats what was written, without passwords and
/// signatures; the exit status for it.
fn refuse(error: &clap::Error) -> ExitCode {
    let written = error.context().filter_map(|(_, value)| match value {
        ContextValue::String(text) => Some((text, location_for_people(text))),
        _ => None,
    });
    let secrets: Vec<_> = written.filter(|(text, shown)| text.as_str() != shown).collect();
    if secrets.is_empty() {
        error.exit();
    }
    let mut message = error.render().to_string();
    for (text, shown) in secrets {
        message = message.replace(text.as_str(), &shown);
    }
    // An error means that standard error is closed.
    write!(std::io::stderr(), "{message}").ok();
    ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(1))
}

impl Cli {
    /// Loads the settings, starts telemetry and runs the command.
    fn execute(self) -> Result<ExitCode> {
        let mut settings = Settings::load(self.config.as_deref())?;
        self.override_settings(&mut settings);
        telemetry::start(&settings.log)?;
        // One provider of cryptography for every connection. Fails only if there is one already.
        rustls::crypto::ring::default_provider().install_default().ok();
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        let ended = runtime.block_on(self.run(App::new(settings)));
        // A blocking read of a file system that hangs must not keep the process alive.
        runtime.shutdown_timeout(Duration::from_secs(1));
        ended
    }

    /// Lets options override settings.
    fn override_settings(&self, settings: &mut Settings) {
        if let Some(store) = &self.store {
            settings.store.url = store.clone().into();
        }
        match self.verbose {
            0 => {}
            1 => "warn,ort=error,lapin=off,facefleet=info".clone_into(&mut settings.log.level),
            _ => "info,facefleet=debug".clone_into(&mut settings.log.level),
        }
    }

    async fn run(self, app: App) -> Result<ExitCode> {
        match self.command {
            Command::Scan(scan) => scan.run(app).await,
            Command::Enrol(enrol) => enrol.run(app).await,
            Command::Worker(worker) => worker.run(app).await,
            Command::Queue(queue) => queue.run(&app).await,
            Command::Campaign(campaign) => campaign.run(&app).await,
            Command::Score(score) => score.run(app).await,
            Command::Match(compare) => compare.run(app).await,
            Command::Search(search) => search.run(app).await,
            Command::Verify(verify) => verify.run(app).await,
            Command::Subject(subject) => subject.run(&app).await,
            Command::Erase(erase) => erase.run(&app).await,
            Command::Retention(retention) => retention.run(&app).await,
            Command::Audit(audit) => audit.run(&app).await.map(|()| ExitCode::SUCCESS),
            Command::Curate(curate) => curate.run(&app).await,
            Command::Report(report) => report.run(&app).await,
            Command::Show(show) => show.run(&app).await,
            Command::Export(export) => export.run(&app).await,
            Command::Evaluate(evaluate) => evaluate.run(&app).await,
            Command::Calibrate(calibrate) => calibrate.run(&app).await,
            Command::Bias(bias) => bias.run(&app).await,
            Command::Remap(remap) => remap.run(&app).await,
            Command::Rescore(rescore) => rescore.run(app).await,
            Command::Profile(profile) => profile.run(&app).await,
            Command::Schedule(schedule) => schedule.run(&app).await,
            Command::Migrate(migrate) => migrate.run(&app).await,
            Command::Doctor(doctor) => doctor.run(app).await,
            Command::Device(device) => device.run(app).await,
            Command::Model(model) => model.run(&app),
        }
    }
}

/// Prints a line. Unlike `println!`, a closed pipe is an error, which [`fail`] does not report.
fn say(line: impl std::fmt::Display) -> std::io::Result<()> {
    writeln!(std::io::stdout(), "{line}")
}

/// Prints `value` as one line of JSON.
fn say_json(value: &impl Serialize) -> std::io::Result<()> {
    say(serde_json::to_string(value)?)
}

/// Prints an error and its causes; the exit status for it.
fn fail(error: &anyhow::Error) -> ExitCode {
    // `facefleet score … | head` does not fail.
    let broken_pipe = |cause: &(dyn std::error::Error + 'static)| {
        cause
            .downcast_ref::<std::io::Error>()
            .is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
    };
    if error.chain().any(broken_pipe) {
        return ExitCode::SUCCESS;
    }
    // Causes often repeat the text of what they caused.
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if !text.contains(&cause) {
            text = if text.is_empty() { cause } else { format!("{text}: {cause}") };
        }
    }
    // An error means that standard error is closed.
    writeln!(
        std::io::stderr(),
        "facefleet: {}",
        text.lines().map(printable).collect::<Vec<_>>().join("\n")
    )
    .ok();
    if error.is::<interrupt::Interrupted>() {
        return ExitCode::from(INTERRUPTED);
    }
    ExitCode::FAILURE
}

/// The gallery of a command.
#[derive(Debug, clap::Args)]
struct GalleryArgs {
    /// The gallery's name.
    #[arg(long, default_value = "default", value_name = "NAME")]
    gallery: GalleryName,
}
