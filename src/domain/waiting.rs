//! What a job on its way may wait for: the only definition, to which queue and workers refer.
//!
//! | Why a job waits | Where | Who brings it back | Attempt counts |
//! |---|---|---|---|
//! | all workers are busy | lane, or the campaign's sub-queue | a free worker | - |
//! | [`CampaignPaused`] | sub-queue of the campaign | workers, once it runs | no |
//! | [`OtherProfile`] | sub-queue of the profile | a worker with that profile | no |
//! | [`OtherActiveProfile`] | sub-queue of the gallery | a worker with its active profile | no |
//! | [`SourceOutage`] | sub-queue of the source | workers that can read from it | no |
//! | [`Shortage`] | delay of 30 s | the queue, in time | no |
//! | [`DeviceLost`] | delay of 1 s | the queue, in time | no |
//! | [`AttemptFailed`] | delay by [`Backoff`] | the queue, in time | yes |
//! | [`ImageUnavailable`] | longer delay by [`Backoff`] | the queue, in time | yes |
//! | its worker died or dropped it | where it was before | the queue, at once | yes |
//! | that happened twice: suspected poison | isolation queue | an otherwise idle worker | yes |
//! | it failed finally ([`Disposition::Bury`]) | dead letters | an operator | from 1 again |
//!
//! Only `RabbitMQ` has isolation queues.
//! `docs/queues.md` has this table with the names of the queues on `RabbitMQ`.
//!
//! [`CampaignPaused`]: WaitReason::CampaignPaused
//! [`OtherProfile`]: WaitReason::OtherProfile
//! [`OtherActiveProfile`]: WaitReason::OtherActiveProfile
//! [`SourceOutage`]: WaitReason::SourceOutage
//! [`Shortage`]: WaitReason::Shortage
//! [`DeviceLost`]: WaitReason::DeviceLost
//! [`AttemptFailed`]: WaitReason::AttemptFailed
//! [`ImageUnavailable`]: WaitReason::ImageUnavailable

use std::fmt;
use std::time::Duration;

use super::{CampaignId, GalleryName, Job, Lane, ProfileId, SourceName};

/// After [`WaitReason::ImageUnavailable`] the backoff is longer by this factor, up to this maximum.
const SLOW_FACTOR: u32 = 120;
const SLOW_MOST: Duration = Duration::from_secs(600);

/// Why a job has to wait instead of ending.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WaitReason {
    /// Its campaign is paused.
    CampaignPaused(CampaignId),
    /// It requires this profile, and the worker has another one.
    OtherProfile(ProfileId),
    /// It names no profile, and the active one of its gallery is not that of the worker.
    OtherActiveProfile(GalleryName),
    /// Its source has an outage.
    SourceOutage {
        /// The source.
        source: SourceName,
        /// What is wrong with it.
        reason: String,
    },
    /// This machine is short of file descriptors, memory or threads.
    Shortage,
    /// The device that runs the worker's networks works no longer, and the worker ends.
    DeviceLost(String),
    /// This attempt failed, and another one may succeed.
    AttemptFailed(String),
    /// Its source works, but did not serve this image.
    ImageUnavailable(String),
}

impl WaitReason {
    /// The wait after a shortage of this machine.
    pub const SHORTAGE: Duration = Duration::from_secs(30);
    /// The wait until another worker gets a job of a worker that lost its device.
    const DEVICE_LOST: Duration = Duration::from_secs(1);

    /// How to settle the delivery of `job`, if a first retry is to come after `backoff`.
    pub fn disposition(&self, job: &Job, backoff: Backoff) -> Disposition {
        let set_aside = |of| Disposition::SetAside(SubQueue { lane: job.lane, of });
        match self {
            Self::CampaignPaused(id) => set_aside(SubQueueOf::Campaign(*id)),
            Self::OtherProfile(id) => set_aside(SubQueueOf::Profile(id.clone())),
            Self::OtherActiveProfile(gallery) => set_aside(SubQueueOf::Gallery(gallery.clone())),
            Self::SourceOutage { source, .. } => set_aside(SubQueueOf::Source(source.clone())),
            Self::Shortage => Disposition::Defer(Self::SHORTAGE),
            Self::DeviceLost(_) => Disposition::Defer(Self::DEVICE_LOST),
            Self::AttemptFailed(_) => Disposition::Retry(backoff.after(job)),
            Self::ImageUnavailable(_) => Disposition::Retry(backoff.slow().after(job)),
        }
    }
}

impl fmt::Display for WaitReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CampaignPaused(_) => "its campaign is paused",
            Self::OtherProfile(_) => "it requires another profile",
            Self::OtherActiveProfile(_) => "another profile is active in its gallery",
            Self::Shortage => "this machine is short of file descriptors, memory or threads",
            Self::SourceOutage { reason, .. }
            | Self::DeviceLost(reason)
            | Self::AttemptFailed(reason)
            | Self::ImageUnavailable(reason) => reason,
        })
    }
}

/// How to settle a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Disposition {
    /// The job's outcome is recorded, or its campaign was cancelled: remove the job.
    Done,
    /// The attempt failed: deliver the job again after this time, as its next attempt.
    Retry(Duration),
    /// The job was not begun: deliver it again after this time, as the same attempt.
    Defer(Duration),
    /// The job has to wait for a campaign, a profile or a source: move it to this sub-queue, as the
    /// same attempt.
    SetAside(SubQueue),
    /// The job can never succeed: move it to the dead letters, with this reason.
    Bury(String),
}

/// Exponential backoff between the attempts at a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// After the first attempt; doubled after each further one.
    pub first: Duration,
    /// At most.
    pub most: Duration,
}

impl Backoff {
    /// The wait before the next attempt at `job`, less a share of up to half that differs from job
    /// to job: jobs that failed together do not come back together.
    pub fn after(self, job: &Job) -> Duration {
        let doublings = job.attempt.saturating_sub(1).min(20);
        let doubled = self.first.saturating_mul(2_u32.saturating_pow(doublings)).min(self.most);
        let [.., high, low] = *job.id.0.as_bytes();
        let jitter = f64::from(u16::from_le_bytes([high, low])) / f64::from(u16::MAX);
        doubled.mul_f64(1.0 - 0.5 * jitter)
    }

    fn slow(self) -> Self {
        Self { first: self.first.saturating_mul(SLOW_FACTOR), most: SLOW_MOST }
    }
}

/// A queue apart from its lane's, for the jobs of one campaign, profile or source. Workers consume
/// it only while those jobs may run. Jobs that wait in it cost nothing and block no other job.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SubQueue {
    /// The lane.
    pub lane: Lane,
    /// What the jobs have in common.
    pub of: SubQueueOf,
}

/// What the jobs of a sub-queue have in common.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SubQueueOf {
    /// This campaign: workers with its profile receive from it while the campaign runs.
    Campaign(CampaignId),
    /// The profile that they require: workers with that profile receive from it.
    Profile(ProfileId),
    /// Their gallery: workers with its active profile receive from it, whichever that is by then.
    Gallery(GalleryName),
    /// The source of their images: workers that can read from the source receive from it.
    Source(SourceName),
}

/// The queue's name on a broker, without the prefix. A source is represented by the first 64 bits
/// of its name's BLAKE3.
impl fmt::Display for SubQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.", self.lane)?;
        match &self.of {
            SubQueueOf::Campaign(id) => write!(f, "campaign.{id}"),
            SubQueueOf::Profile(id) => write!(f, "profile.{}", id.as_str()),
            SubQueueOf::Gallery(name) => write!(f, "gallery.{}", name.as_str()),
            SubQueueOf::Source(name) => {
                write!(f, "source.{:.16}", blake3::hash(name.as_str().as_bytes()).to_hex())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(attempt: u32) -> Job {
        Job { attempt, ..Job::sample(Lane::Rescore) }
    }

    #[test]
    fn every_sub_queue_has_its_own_name_that_a_broker_accepts() {
        let source = |name: &str| SubQueueOf::Source(SourceName::new(name));
        let profile: ProfileId = "0123456789abcdef".parse().unwrap();
        let of = [
            SubQueueOf::Campaign(CampaignId::new()),
            SubQueueOf::Profile(profile),
            SubQueueOf::Gallery("staff".parse().unwrap()),
            source("/photos"),
            source("s3://photos"),
        ];
        let names: Vec<String> =
            of.map(|of| SubQueue { lane: Lane::Scan, of }.to_string()).to_vec();
        assert!(
            names.iter().all(|name| name.split('.').count() == 3 && name.starts_with("scan.")),
            "{names:?}"
        );
        assert_eq!(names.iter().collect::<std::collections::HashSet<_>>().len(), 5);
        assert_eq!(names[3].len(), "scan.source.".len() + 16);
    }

    #[test]
    fn backoff_doubles_up_to_its_maximum_and_loses_at_most_half() {
        let backoff = Backoff { first: Duration::from_secs(1), most: Duration::from_secs(10) };
        for (attempt, full) in [(1, 1), (2, 2), (3, 4), (4, 8), (5, 10), (u32::MAX, 10)] {
            let (wait, full) = (backoff.after(&job(attempt)), Duration::from_secs(full));
            assert!(wait <= full && wait >= full / 2, "{wait:?} after attempt {attempt}");
        }
    }

    #[test]
    fn only_failed_attempts_count_and_an_unavailable_image_waits_longer() {
        let backoff = Backoff { first: Duration::from_secs(1), most: Duration::from_secs(60) };
        let settled = |reason: WaitReason| reason.disposition(&job(1), backoff);
        let campaign = CampaignId::new();
        assert_eq!(
            settled(WaitReason::CampaignPaused(campaign)),
            Disposition::SetAside(SubQueue {
                lane: Lane::Rescore,
                of: SubQueueOf::Campaign(campaign)
            })
        );
        assert_eq!(settled(WaitReason::Shortage), Disposition::Defer(Duration::from_secs(30)));
        let retry = |reason| match settled(reason) {
            Disposition::Retry(wait) => wait,
            other => panic!("{other:?}"),
        };
        assert!(retry(WaitReason::AttemptFailed("no".into())) <= Duration::from_secs(1));
        assert!(retry(WaitReason::ImageUnavailable("no".into())) >= Duration::from_secs(60));
    }
}
