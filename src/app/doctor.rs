//! Tries everything that a scan or a worker needs.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use futures::future::join_all;
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::App;
use crate::domain::{DeviceChoice, SeenWorker, SourceStatus};
use crate::gallery::takers::differences;
use crate::images::Root;
use crate::view::check::CheckView;

/// A check that takes longer fails.
const LONGEST_CHECK: Duration = Duration::from_secs(20);
/// With less free space, a scan may run out of it.
const LEAST_FREE_BYTES: u64 = 1 << 30;

/// No place was named.
const NO_PLACE: &str = "none tried: name folders, buckets or web servers with --root, which tries \
    the credentials too";

/// Runs every check. With `aligned`, leaves the detector out. Tries the places that the settings
/// allow, and `roots`.
pub async fn check_all(app: &App, roots: &[Root], aligned: bool) -> Vec<CheckView> {
    let mut checks = vec![
        found("runtime", runtime(app)),
        found("models", models(app, aligned)),
        found("store", in_time(store(app)).await),
        found("queue", in_time(queue(app)).await),
        found("sources", in_time(sources(app)).await),
    ];
    match app.allowed(roots) {
        Ok(allowed) if allowed.is_empty() => checks.push(found("place", Ok(NO_PLACE.to_owned()))),
        Ok(allowed) => checks.extend(join_all(allowed.iter().map(|root| place(app, root))).await),
        Err(error) => checks.push(found("place", Err(error))),
    }
    if !app.settings().chips.url.is_empty() {
        checks.push(found("chips", in_time(chips(app, aligned)).await));
    }
    if !app.is_embedded() {
        checks.push(found("workers", in_time(workers(app)).await));
    }
    checks.push(found("disk", disk(app)));
    checks
}

/// Tries a place that images may come from.
async fn place(app: &App, root: &Root) -> CheckView {
    let (app, tried) = (app.clone(), root.clone());
    let trying = apart(move || async move {
        if let Some(path) = tried.path() {
            path.canonicalize().context("cannot be read")?;
        }
        // With this root alone: one that is wrong must not hide the others.
        let sources = app.images_below(vec![tried.clone()])?;
        sources.try_root(&tried).await.map_err(anyhow::Error::msg)
    });
    let CheckView { check, ok, detail } = found("place", in_time(trying).await);
    CheckView { check, ok, detail: format!("{}: {detail}", root.name()) }
}

/// The workers that run, and whether they may read the same.
async fn workers(app: &App) -> Result<String> {
    let workers = match app.missing_store() {
        Some(_) => Vec::new(),
        None => {
            let store = app.store().await?;
            let workers = store.workers().await?;
            store.close().await;
            workers
        }
    };
    let queue = app.queue_name();
    let fleet: Vec<SeenWorker> =
        workers.into_iter().filter(|worker| worker.live && worker.report.queue == queue).collect();
    let differences = differences(&fleet);
    if !differences.is_empty() {
        bail!(
            "workers of this queue have different roots: {}; start all of them with the same \
                --root and images.allow",
            differences.join("; ")
        );
    }
    let names: Vec<String> = fleet.iter().map(|worker| worker.report.name()).collect();
    Ok(match names.len() {
        0 => "none is running on this queue: start `facefleet worker`".to_owned(),
        count => format!("{count} running on this queue: {}", names.join(", ")),
    })
}

fn found(check: &'static str, found: Result<String>) -> CheckView {
    match found {
        Ok(detail) => CheckView { check, ok: true, detail },
        Err(error) => CheckView { check, ok: false, detail: format!("{error:#}") },
    }
}

async fn in_time(check: impl Future<Output = Result<String>>) -> Result<String> {
    within(LONGEST_CHECK, check).await
}

async fn within(longest: Duration, check: impl Future<Output = Result<String>>) -> Result<String> {
    match timeout(longest, check).await {
        Ok(found) => found,
        Err(_) => bail!(
            "no answer within {} s: is it running, and reachable from here?",
            longest.as_secs()
        ),
    }
}

/// Runs a check on a thread of its own: a file system that hangs blocks that thread and nothing
/// else.
async fn apart<C>(check: impl FnOnce() -> C + Send + 'static) -> Result<String>
where
    C: Future<Output = Result<String>>,
{
    let runtime = Handle::current();
    spawn_blocking(move || runtime.block_on(check())).await?
}

fn runtime(app: &App) -> Result<String> {
    app.runtime()?;
    Ok(app.settings().below_home(&app.settings().runtime.library).display().to_string())
}

/// Opens every model on the device that would be used. That checks its prepared file and runs its
/// self-test there. Then checks the files that it was prepared from.
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
        "on {}, opened in {:.1} s, profile {}; self-tests passed: {}; prepared files intact \
            (BLAKE3): {}; published files match their manifests (SHA-256): {}",
        processor.provider(),
        opened.as_secs_f64(),
        processor.profile_id(),
        passed.join(", "),
        file_names(&prepared),
        file_names(&published),
    ))
}

fn file_names(files: &[PathBuf]) -> String {
    let names: Vec<_> = files
        .iter()
        .map(|file| file.file_name().unwrap_or_default().display().to_string())
        .collect();
    if names.is_empty() { "no file".to_owned() } else { names.join(", ") }
}

async fn store(app: &App) -> Result<String> {
    if let Some(missing) = app.missing_store() {
        app.try_creating_store(&missing).await?;
        return Ok(format!(
            "there is no {} yet: the first scan or enrolment creates it, and its folder can be \
                written",
            missing.display()
        ));
    }
    let store = app.store().await?;
    store.try_writing().await?;
    let galleries = store.galleries().await?.len();
    store.close().await;
    Ok(format!(
        "{}, this role may write everything that a worker writes, {galleries} galleries",
        app.settings().store.url
    ))
}

/// The troubles of sources that workers noted.
async fn sources(app: &App) -> Result<String> {
    let sources = match app.missing_store() {
        Some(_) => Vec::new(),
        None => {
            let store = app.store().await?;
            let sources = store.source_statuses().await?;
            store.close().await;
            sources
        }
    };
    let troubles: Vec<String> = sources.iter().filter_map(SourceStatus::warning).collect();
    if !troubles.is_empty() {
        bail!("{}; workers check each source until it works", troubles.join("; "));
    }
    Ok("no outage of a source is recorded".into())
}

async fn queue(app: &App) -> Result<String> {
    let queue = app.queue().await?;
    let status = queue.status().await?;
    queue.try_publishing().await?;
    queue.try_consuming().await?;
    queue.close().await;
    let ready: u64 = status.ready.iter().map(|(_, jobs)| jobs).sum();
    Ok(format!(
        "{}, jobs may be consumed and published, {ready} ready, {} delayed, {} dead",
        app.settings().queue.url,
        status.delayed,
        status.dead
    ))
}

/// The chip cache: an entry that can be written and read.
async fn chips(app: &App, aligned: bool) -> Result<String> {
    let url = app.settings().chips.url.clone();
    let trying = apart({
        let app = app.clone();
        move || async move {
            let chips = app.chips(&app.profile(aligned)?.alignment)?;
            let chips = chips.context("setting chips.url is empty")?;
            chips.try_writing().await.map_err(anyhow::Error::msg)?;
            Ok(format!("{}: an entry was written and read", app.settings().chips.url))
        }
    });
    trying.await.with_context(|| format!("setting chips.url = {url}"))
}

fn disk(app: &App) -> Result<String> {
    let home =
        std::path::absolute(&app.settings().home).context("Failed to find the home folder")?;
    let folders = [Some(home), app.store_folder()];
    let mut details = Vec::with_capacity(folders.len());
    for folder in folders.into_iter().flatten() {
        let free = free_bytes(&folder)
            .with_context(|| format!("Failed to read the free space of {}", folder.display()))?;
        if free < LEAST_FREE_BYTES {
            bail!(
                "{} has {} MiB left: make room, or results will fail to be written",
                folder.display(),
                free >> 20
            );
        }
        details.push(format!("{}: {} GiB free", folder.display(), free >> 30));
    }
    details.dedup();
    Ok(details.join(", "))
}

fn free_bytes(folder: &Path) -> std::io::Result<u64> {
    let found = rustix::fs::statvfs(folder)?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_place_that_blocks_its_thread_is_given_up() {
        let (release, blocked) = std::sync::mpsc::channel::<()>();
        let hanging = apart(move || async move {
            // As a system call on a server that is gone.
            blocked.recv().ok();
            Ok("answered".to_owned())
        });
        let given_up = within(Duration::from_millis(50), hanging).await.unwrap_err();
        assert!(given_up.to_string().starts_with("no answer within"), "{given_up}");
        drop(release);
        let answered = apart(|| async { Ok("answered".to_owned()) });
        assert_eq!(in_time(answered).await.unwrap(), "answered");
    }
}
