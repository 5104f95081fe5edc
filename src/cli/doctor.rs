//! `facefleet doctor`

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;
use tokio::time::timeout;

use super::say;
use crate::app::App;
use crate::domain::{DeviceChoice, SourceStatus};

/// Tries everything that a scan or a worker needs, a line each: ok, or what is wrong and what to
/// do. Exit status 1 if something is wrong.
#[derive(Debug, Args)]
pub(super) struct Doctor {
    /// The images are chips already: leaves the detector out.
    #[arg(long)]
    aligned: bool,
}

/// What does not answer within this time is called broken.
const PATIENCE: Duration = Duration::from_secs(20);
/// Below this much free space, a scan may end early.
const LEAST_FREE: u64 = 1 << 30;

impl Doctor {
    pub(super) async fn run(self, app: App) -> Result<ExitCode> {
        let checks = [
            ("runtime", runtime(&app)),
            ("models", models(&app, self.aligned)),
            ("store", in_time(store(&app)).await),
            ("queue", in_time(queue(&app)).await),
            ("sources", in_time(sources(&app)).await),
            ("disk", disk(&app)),
        ];
        let mut well = true;
        for (name, found) in checks {
            match found {
                Ok(detail) => say(format!("ok    {name:8} {detail}"))?,
                Err(error) => {
                    well = false;
                    say(format!("WRONG {name:8} {error:#}"))?;
                }
            }
        }
        Ok(if well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

async fn in_time(check: impl Future<Output = Result<String>>) -> Result<String> {
    match timeout(PATIENCE, check).await {
        Ok(found) => found,
        Err(_) => bail!(
            "no answer within {} s: is it running, and reachable from here?",
            PATIENCE.as_secs()
        ),
    }
}

fn runtime(app: &App) -> Result<String> {
    app.runtime()?;
    Ok(app.settings().below_home(&app.settings().runtime.library).display().to_string())
}

/// Opens every model on the device that would be used, which checks its prepared file and runs its
/// self-test there, and checks the files that it was prepared from.
fn models(app: &App, aligned: bool) -> Result<String> {
    let started = Instant::now();
    let processor = app.processor(&[], aligned)?;
    let opened = started.elapsed();
    let device: DeviceChoice = processor.provider().parse()?;
    let models = app.models().prepared_as(app.variant(device));
    let chosen = &app.settings().models;
    let recogniser =
        format!("{} gave the recorded template and distance of the test chip", chosen.recogniser);
    let (mut names, mut passed) = (vec![&chosen.recogniser], vec![recogniser]);
    if !aligned {
        names.push(&chosen.detector);
        passed.push(format!("{} found the drawn face where it was recorded", chosen.detector));
    }
    let (mut prepared, mut published) = (Vec::new(), Vec::new());
    for name in &names {
        let files = models.verify(name)?;
        prepared.extend(files.prepared);
        published.extend(files.published);
    }
    Ok(format!(
        "on {}, opened in {:.1} s, profile {}; self-tests passed: {}; whole by BLAKE3: {}; as \
            published, by SHA-256: {}",
        processor.provider(),
        opened.as_secs_f64(),
        processor.profile_id(),
        passed.join(", "),
        listed(&prepared),
        listed(&published),
    ))
}

fn listed(files: &[PathBuf]) -> String {
    let names: Vec<_> = files
        .iter()
        .map(|file| file.file_name().unwrap_or_default().display().to_string())
        .collect();
    if names.is_empty() { "no file is there".to_owned() } else { names.join(", ") }
}

async fn store(app: &App) -> Result<String> {
    let store = app.store().await?;
    store.try_writing().await?;
    let galleries = store.galleries().await?.len();
    store.close().await;
    Ok(format!(
        "{}, all that a worker writes may be written, {galleries} galleries",
        app.settings().store.url
    ))
}

/// What workers noted of the sources of images.
async fn sources(app: &App) -> Result<String> {
    let store = app.store().await?;
    let sources = store.source_statuses().await?;
    store.close().await;
    let troubles: Vec<String> = sources.iter().filter_map(SourceStatus::warning).collect();
    if !troubles.is_empty() {
        bail!("{}; it is tried again until it works", troubles.join("; "));
    }
    Ok("no worker has trouble with one".into())
}

async fn queue(app: &App) -> Result<String> {
    let queue = app.queue().await?;
    let status = queue.status().await?;
    queue.try_publishing().await?;
    queue.try_consuming().await?;
    queue.close().await;
    let ready: u64 = status.ready.iter().map(|(_, jobs)| jobs).sum();
    Ok(format!(
        "{}, jobs may be taken and handed over, {ready} ready, {} delayed, {} dead",
        app.settings().queue.url,
        status.delayed,
        status.dead
    ))
}

fn disk(app: &App) -> Result<String> {
    let home =
        std::path::absolute(&app.settings().home).context("Failed to find the home folder")?;
    let mut places = vec![home];
    places.extend(app.store_folder());
    let mut told = Vec::with_capacity(places.len());
    for place in places {
        let free =
            free_bytes(&place).with_context(|| format!("Failed to look at {}", place.display()))?;
        if free < LEAST_FREE {
            bail!(
                "{} has {} MiB left: make room, or results will fail to be written",
                place.display(),
                free >> 20
            );
        }
        told.push(format!("{}: {} GiB free", place.display(), free >> 30));
    }
    told.dedup();
    Ok(told.join(", "))
}

fn free_bytes(folder: &Path) -> std::io::Result<u64> {
    let found = rustix::fs::statvfs(folder)?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}
