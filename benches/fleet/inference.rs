//! With inference: throughput compared with the embedded scan's, and the latency of enrolments.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use facefleet::domain::{GalleryName, ImageUri, Lane};
use futures::StreamExt;
use tempfile::TempDir;

use super::{Bench, job};

/// Photos of a run.
const PHOTOS: usize = 400;
/// Enrolments that are timed, idle and loaded.
const ENROLMENTS: usize = 150;

impl Bench {
    /// Copies of the folder's photos, each with its own name.
    pub(super) fn photos(&self) -> Result<TempDir> {
        let folder = TempDir::new()?;
        let files = std::fs::read_dir(&self.folder)?.collect::<Result<Vec<_>, _>>()?;
        let mut files: Vec<PathBuf> =
            files.into_iter().map(|file| file.path()).filter(|path| is_photo(path)).collect();
        files.sort();
        ensure!(!files.is_empty(), "{} has no photo", self.folder.display());
        for (number, file) in files.iter().cycle().take(PHOTOS).enumerate() {
            let ending = file.extension().unwrap_or_default().to_string_lossy();
            std::fs::copy(file, folder.path().join(format!("{number:05}.{ending}")))?;
        }
        Ok(folder)
    }

    /// The ratio of the images a second of a fleet with one worker to those of the embedded scan,
    /// measured in turns.
    pub(super) fn inference(&self, photos: &Path) -> Result<f64> {
        let mut ratios = Vec::new();
        for round in 1..=3 {
            let scratch = TempDir::new()?;
            let store = format!("sqlite:{}", scratch.path().join("faces.db").display());
            let embedded = rate(self.facefleet().args(["scan", "--json"]).arg(photos).envs([
                ("FACEFLEET__QUEUE__URL", "memory:"),
                ("FACEFLEET__STORE__URL", store.as_str()),
            ]))?;
            let worker = self.worker(photos)?;
            let gallery = format!("{}-{round}", self.prefix);
            let fleet = rate(
                self.facefleet()
                    .args(["scan", "--json", "--wait", "--gallery", &gallery])
                    .arg(photos),
            )?;
            drop(worker);
            ratios.push(fleet / embedded);
            println!(
                "inference, round {round}: embedded {embedded:.1} images/s, fleet {fleet:.1} \
                    images/s, ratio {:.2}",
                fleet / embedded
            );
        }
        Ok(median(&mut ratios))
    }

    /// The ratio of the 99th percentile of an enrolment's time with a full scan lane to that with
    /// an idle worker.
    pub(super) async fn latency(&self, photos: &Path) -> Result<f64> {
        let _worker = self.worker(photos)?;
        let portraits = Portraits::new(self.folder.as_path(), photos)?;
        let idle = self.enrol(&portraits, "idle").await?;
        let mut images: Vec<ImageUri> = Vec::new();
        for file in std::fs::read_dir(photos)? {
            images.push(ImageUri::from_path(&file?.path().canonicalize()?)?);
        }
        // Ten galleries keep the lane full for longer than the enrolments need.
        for round in 0..10 {
            let gallery: GalleryName = format!("{}-load-{round}", self.prefix).parse()?;
            let jobs = images
                .iter()
                .map(|image| job(&gallery, Lane::Scan, image, None, Some(&self.profile)));
            self.queue.publish(jobs.collect()).await?;
        }
        self.wait_for_load().await?;
        let loaded = self.enrol(&portraits, "loaded").await?;
        let ready: u64 = self
            .queue
            .status()
            .await?
            .ready
            .iter()
            .filter(|(lane, _)| *lane == Lane::Scan)
            .map(|(_, jobs)| jobs)
            .sum();
        ensure!(
            ready > 0,
            "the scan lane was empty before the last enrolment: more photos are needed"
        );
        let ratio = loaded.1 / idle.1;
        println!(
            "enrolment, p50 / p99: idle {:.0} / {:.0} ms, with a full scan lane {:.0} / {:.0} ms, \
                p99 ratio {ratio:.2}",
            idle.0, idle.1, loaded.0, loaded.1
        );
        Ok(ratio)
    }

    async fn wait_for_load(&self) -> Result<()> {
        let mut events = self.queue.events().await?;
        for _ in 0..50 {
            events.next().await.context("the events ended")?;
        }
        Ok(())
    }

    /// Enrols one portrait after another. Returns the 50th and 99th percentile of the time from
    /// publishing to the event, milliseconds.
    async fn enrol(&self, portraits: &Portraits, gallery: &str) -> Result<(f64, f64)> {
        let mut events = self.queue.events().await?;
        let gallery: GalleryName = format!("{}-{gallery}", self.prefix).parse()?;
        let mut times = Vec::with_capacity(ENROLMENTS);
        for image in portraits.images.iter().cycle().take(ENROLMENTS) {
            let job = job(&gallery, Lane::Enrol, image, None, Some(&self.profile));
            let (id, started) = (job.id, Instant::now());
            self.queue.publish(vec![job]).await?;
            while events.next().await.context("the events ended")?.job != id {}
            times.push(started.elapsed().as_secs_f64() * 1000.0);
        }
        times.sort_by(f64::total_cmp);
        Ok((times[times.len() / 2], times[times.len() * 99 / 100]))
    }
}

/// Photos to enrol: those of the folder, then their copies.
struct Portraits {
    images: Vec<ImageUri>,
}

impl Portraits {
    fn new(folder: &Path, photos: &Path) -> Result<Self> {
        let mut images = Vec::new();
        for file in std::fs::read_dir(folder)?.chain(std::fs::read_dir(photos)?) {
            let path = file?.path().canonicalize()?;
            if is_photo(&path) {
                images.push(ImageUri::from_path(&path)?);
            }
        }
        images.truncate(ENROLMENTS);
        Ok(Self { images })
    }
}

fn is_photo(path: &Path) -> bool {
    path.extension().is_some_and(|ending| {
        ["jpg", "jpeg", "png"].iter().any(|photo| ending.eq_ignore_ascii_case(photo))
    })
}

/// The images a second in the last line of a scan's output.
fn rate(scan: &mut Command) -> Result<f64> {
    let output = scan.stderr(Stdio::inherit()).output()?;
    let text = String::from_utf8(output.stdout)?;
    let summary: serde_json::Value = serde_json::from_str(text.lines().last().unwrap_or_default())?;
    let summary = &summary["summary"];
    let listed = summary["listed"].as_f64().context("the scan printed no number of images")?;
    ensure!(summary["left"] == 0 && listed > 0.0, "the scan is not complete: {summary}");
    Ok(listed / summary["seconds"].as_f64().context("the scan printed no time")?)
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
