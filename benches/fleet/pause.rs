//! How soon a pause, a resumption and a cancellation of a large campaign take effect.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use facefleet::domain::{Campaign, CampaignState, ImageUri, Lane};
use tempfile::TempDir;

use super::null_profile::null_profile;
use super::processes::null_worker;
use super::{Bench, job};

/// Published jobs of the campaign.
const PAUSED: u64 = 200_000;

impl Bench {
    /// Seconds until the slowest of a pause, a resumption and a cancellation of a large campaign
    /// takes effect.
    pub(super) async fn pause(&self) -> Result<f64> {
        let folder = TempDir::new()?;
        let path = folder.path().canonicalize()?.join("a.jpg");
        std::fs::write(&path, b"a")?;
        let image = ImageUri::from_path(&path)?;
        let campaign = self.campaign(null_profile()).await?;
        let sub_queue = campaign.sub_queue();
        self.note(&campaign, usize::try_from(PAUSED)?).await?;
        for _ in 0..PAUSED / 10_000 {
            let one = || job(&campaign.gallery, Lane::Scan, &image, Some(&campaign), None);
            self.queue.publish_to(&sub_queue, (0..10_000).map(|_| one()).collect()).await?;
        }
        let _worker = self.start(
            null_worker()?,
            &[&folder.path().canonicalize()?.to_string_lossy()],
            &[],
            "at work",
        )?;
        let ended = async || Ok::<_, anyhow::Error>(self.progress(&campaign).await?.ended());
        while ended().await? < 100 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let mut slowest: f64 = 0.0;
        for (what, state) in [
            ("pause", CampaignState::Paused),
            ("resume", CampaignState::Running),
            ("cancel", CampaignState::Cancelled),
        ] {
            let seconds = self.set_state(&campaign, state).await?.as_secs_f64();
            let ended = ended().await?;
            let [waiting] = self.queue.waiting(std::slice::from_ref(&sub_queue)).await?[..] else {
                bail!("the queue should count one sub-queue")
            };
            println!(
                "{what} of {PAUSED} jobs: in effect after {seconds:.2} s; {ended} have ended, \
                    {waiting} wait in the sub-queue"
            );
            slowest = slowest.max(seconds);
        }
        Ok(slowest)
    }

    /// Sets the state of `campaign`. Returns the time until it takes effect.
    async fn set_state(&self, campaign: &Campaign, state: CampaignState) -> Result<Duration> {
        let (asked, before) = (Instant::now(), self.progress(campaign).await?.ended());
        self.store.set_campaign_state(campaign.id, state).await?;
        if state == CampaignState::Cancelled {
            // As `facefleet campaign cancel` does.
            self.queue.remove(&campaign.sub_queue()).await?;
        }
        if state != CampaignState::Running {
            return self.until_nothing_ends(campaign, asked).await;
        }
        while self.progress(campaign).await?.ended() == before {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        Ok(asked.elapsed())
    }

    /// The time from `asked` to the last job of the campaign that ended. No job ends for two
    /// seconds after it.
    async fn until_nothing_ends(&self, campaign: &Campaign, asked: Instant) -> Result<Duration> {
        let (mut last, mut at) = (self.progress(campaign).await?.ended(), asked.elapsed());
        while asked.elapsed() < at + Duration::from_secs(2) {
            tokio::time::sleep(Duration::from_millis(10)).await;
            let now = self.progress(campaign).await?.ended();
            if now != last {
                (last, at) = (now, asked.elapsed());
            }
        }
        Ok(at)
    }
}
