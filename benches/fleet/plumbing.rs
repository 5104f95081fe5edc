//! Without inference: publishing, one worker without a model, and Celery for comparison.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use facefleet::domain::{GalleryName, ImageUri, Job, Lane};
use tempfile::TempDir;

use super::null_profile::null_profile;
use super::processes::null_worker;
use super::{Bench, job};

/// Jobs without inference.
const PLUMBING: usize = 20_000;
/// Jobs that are only published.
const PUBLISHED: usize = 100_000;

impl Bench {
    /// Jobs a second that are published to quorum queues and confirmed.
    pub(super) async fn publish(&self) -> Result<f64> {
        let image: ImageUri = "file:///nowhere/a.jpg".parse()?;
        let gallery: GalleryName = self.prefix.parse()?;
        let jobs: Vec<Job> =
            (0..PUBLISHED).map(|_| job(&gallery, Lane::Rescore, &image, None, None)).collect();
        let started = Instant::now();
        for chunk in jobs.chunks(10_000) {
            self.queue.publish(chunk.to_vec()).await?;
        }
        let rate = PUBLISHED as f64 / started.elapsed().as_secs_f64();
        println!("publish: {rate:.0} jobs/s, confirmed");
        Ok(rate)
    }

    /// Jobs a second through one worker process: broker, fetch of a small file, Postgres with
    /// templates, event, acknowledgement.
    pub(super) async fn plumbing(&self) -> Result<f64> {
        let folder = TempDir::new()?;
        let campaign = self.campaign(null_profile()).await?;
        let mut jobs = Vec::with_capacity(PLUMBING);
        for number in 0..PLUMBING {
            let path = folder.path().canonicalize()?.join(format!("{number}.jpg"));
            std::fs::write(&path, number.to_le_bytes())?;
            let image = ImageUri::from_path(&path)?;
            jobs.push(Job {
                id: campaign.id.job(&image),
                ..job(&campaign.gallery, Lane::Scan, &image, Some(&campaign), None)
            });
        }
        self.note(&campaign, PLUMBING).await?;
        self.queue.publish(jobs).await?;
        // Without inference, jobs in flight cost nothing, and batches form from them.
        let in_flight = [("FACEFLEET__WORKER__IN_FLIGHT", "1024")];
        let _worker = self.start(
            null_worker()?,
            &[&folder.path().canonicalize()?.to_string_lossy()],
            &in_flight,
            "at work",
        )?;
        // From the first outcome on: the start of the process does not count.
        let mut began: Option<(Instant, u64)> = None;
        let rate = loop {
            let progress = self.progress(&campaign).await?;
            match began {
                None if progress.ended() > 0 => began = Some((Instant::now(), progress.ended())),
                Some((at, first)) if progress.is_complete() => {
                    break (progress.ended() - first) as f64 / at.elapsed().as_secs_f64();
                }
                _ => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        };
        println!("plumbing: {rate:.0} jobs/s through one worker process without a model");
        Ok(rate)
    }

    pub(super) fn celery(&self) -> Result<f64> {
        let output = Command::new("python3")
            .args(["benches/celery_noop.py", "20000"])
            .stderr(Stdio::inherit())
            .output()?;
        ensure!(
            output.status.success(),
            "benches/celery_noop.py failed: run `make bench-tools` first"
        );
        let text = String::from_utf8(output.stdout)?;
        text.trim().parse().with_context(|| format!("benches/celery_noop.py printed '{text}'"))
    }
}
