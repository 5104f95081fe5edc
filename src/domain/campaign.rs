//! One bulk run over a gallery, with its progress.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::{Builder, Uuid};

use super::{
    ContentHash, GalleryName, ImageUri, InvalidName, JobId, Lane, OutcomeKind, ProfileId,
    ScheduleName, Selection, SubQueue, SubQueueOf, UtcTime,
};

/// A campaign's id: a `UUIDv7`, so ids sort by the time the campaigns began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct CampaignId(pub Uuid);

impl CampaignId {
    /// A new id.
    pub fn new() -> Self {
        Self(Uuid::now_v7())
    }

    /// The id of this campaign's job on `image`: the same whenever and wherever it is made, so that
    /// a chunk of a listing may be published twice and every job still counts once. A `UUIDv7` with
    /// the campaign's time, its random bits a hash of both.
    pub fn job(self, image: &ImageUri) -> JobId {
        self.job_of(&[image.as_str().as_bytes()])
    }

    /// The id of this campaign's job on these bytes of `image`: a campaign may have a job for each
    /// of several versions of an image.
    pub fn job_on_bytes(self, image: &ImageUri, hash: ContentHash) -> JobId {
        self.job_of(&[hash.0.as_slice(), image.as_str().as_bytes()])
    }

    fn job_of(self, what: &[&[u8]]) -> JobId {
        let mut hasher = blake3::Hasher::new();
        hasher.update(self.0.as_bytes());
        for part in what {
            hasher.update(part);
        }
        let time = self.0.as_bytes()[..6].iter().fold(0, |time, &byte| time << 8 | u64::from(byte));
        JobId(uuid_of(time, &hasher))
    }

    /// The id of the campaign of a schedule's slot: the same whoever makes it, so that a slot has
    /// one campaign. A `UUIDv7` with the time of the slot, its random bits a hash of both.
    pub fn of_slot(schedule: &ScheduleName, slot: UtcTime) -> Self {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&slot.as_millisecond().to_be_bytes()).update(schedule.as_str().as_bytes());
        Self(uuid_of(u64::try_from(slot.as_millisecond()).unwrap_or_default(), &hasher))
    }
}

/// A `UUIDv7` with a time, in milliseconds since 1970, and the first bits of a hash.
fn uuid_of(time: u64, hasher: &blake3::Hasher) -> Uuid {
    let mut random = [0; 10];
    random.copy_from_slice(&hasher.finalize().as_bytes()[..10]);
    Builder::from_unix_timestamp_millis(time, &random).into_uuid()
}

impl Default for CampaignId {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for CampaignId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for CampaignId {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        text.parse().map(Self).map_err(|_| {
            InvalidName::new("a campaign's id is a UUID, as `facefleet campaign list` shows it")
        })
    }
}

/// The state in which an operator wants a campaign to be.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    strum::EnumString,
    strum::IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case", parse_err_fn = unknown_state, parse_err_ty = String)]
pub enum CampaignState {
    /// Workers process its jobs.
    Running,
    /// Its jobs wait in its sub-queue.
    Paused,
    /// Its jobs are dropped, without an outcome.
    Cancelled,
}

impl CampaignState {
    /// Every state.
    pub const ALL: [Self; 3] = [Self::Running, Self::Paused, Self::Cancelled];

    /// The name in tables and on the command line.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

fn unknown_state(text: &str) -> String {
    format!("unknown campaign state '{text}': use running, paused or cancelled")
}

/// One bulk run over a gallery.
#[derive(Debug, Clone, PartialEq)]
pub struct Campaign {
    /// Its id.
    pub id: CampaignId,
    /// The lane of its jobs.
    pub lane: Lane,
    /// The gallery.
    pub gallery: GalleryName,
    /// The profile of its results.
    pub profile: ProfileId,
    /// Which faces its jobs ask for. `None` for campaigns from before this was recorded.
    pub selection: Option<Selection>,
    /// The folders and buckets that it lists, for display. Holds no secret.
    pub source: String,
    /// The state that an operator wants.
    pub state: CampaignState,
    /// Counts of its images.
    pub progress: CampaignProgress,
    /// When it began, RFC 3339, UTC.
    pub started_at: String,
}

impl Campaign {
    /// The id of its job on `image`, which expects these bytes if there are some.
    pub fn job_on(&self, image: &ImageUri, expected: Option<ContentHash>) -> JobId {
        match expected.filter(|_| self.lane == Lane::Rescore) {
            Some(hash) => self.id.job_on_bytes(image, hash),
            None => self.id.job(image),
        }
    }

    /// The sub-queue of its jobs.
    pub fn sub_queue(&self) -> SubQueue {
        SubQueue { lane: self.lane, of: SubQueueOf::Campaign(self.id) }
    }
}

/// How far a campaign's listing came, and counts of its images. Once `listing_done`, the campaign
/// has ended when `listed` equals `skipped` plus all outcomes.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CampaignProgress {
    /// Images found so far.
    pub listed: u64,
    /// Of these, already recorded by an earlier run.
    pub skipped: u64,
    /// Whether everything was listed.
    pub listing_done: bool,
    /// The position at which the chunk that was listed last begins: a listing that resumes starts
    /// after this position. `None`: at the beginning.
    pub chunk_from: Option<String>,
    /// The position at which the chunk that was listed last ends.
    pub chunk_to: Option<String>,
    /// Why the listing failed. `None`: it did not, or it is being continued.
    pub listing_error: Option<String>,
    /// Jobs that ended, by outcome, each counted once. A retried dead letter counts under its old
    /// outcome until it ends again.
    pub outcomes: BTreeMap<OutcomeKind, u64>,
    /// Faces recorded by these jobs.
    pub faces: u64,
}

impl CampaignProgress {
    /// Jobs that ended.
    pub fn ended(&self) -> u64 {
        self.outcomes.values().sum()
    }

    /// Images that are neither skipped nor ended.
    pub fn left(&self) -> u64 {
        self.listed.saturating_sub(self.skipped + self.ended())
    }

    /// Whether everything was listed and every image is skipped or ended.
    pub fn is_complete(&self) -> bool {
        self.listing_done && self.left() == 0
    }

    /// Whether nothing more will be listed and every image is skipped or ended.
    pub fn is_over(&self) -> bool {
        (self.listing_done || self.listing_error.is_some()) && self.left() == 0
    }
}

/// A chunk of a listing, before its jobs are published.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ListedChunk {
    /// Images in it.
    pub listed: u64,
    /// Jobs whose images an earlier run already recorded: they are not published.
    pub skipped: Vec<JobId>,
    /// The position at which the chunk begins. `None`: at the beginning, or the source has no
    /// positions.
    pub from: Option<String>,
    /// The position at which it ends.
    pub to: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_campaigns_job_on_an_image_has_one_id() {
        let (campaign, other) = (CampaignId::new(), CampaignId::new());
        let (a, b): (ImageUri, ImageUri) =
            ("file:///a.jpg".parse().unwrap(), "file:///b.jpg".parse().unwrap());
        assert_eq!(campaign.job(&a), campaign.job(&a));
        assert_ne!(campaign.job(&a), campaign.job(&b));
        assert_ne!(campaign.job(&a), other.job(&a));
        let hashes = [b"a", b"b"].map(|bytes| ContentHash::of(bytes));
        let [of_a, of_b] = hashes.map(|hash| campaign.job_on_bytes(&a, hash));
        assert!(of_a != of_b && of_a != campaign.job(&a));
        let uuid = campaign.job(&a).0;
        assert_eq!(uuid.get_version_num(), 7);
        assert_eq!(
            uuid.get_timestamp().unwrap().to_unix(),
            campaign.0.get_timestamp().unwrap().to_unix()
        );
    }
    #[test]
    fn a_slots_campaign_has_one_id() {
        let [nightly, weekly]: [ScheduleName; 2] =
            ["nightly", "weekly"].map(|name| name.parse().unwrap());
        let slot = |ms| UtcTime::from_millisecond(ms).unwrap();
        let first = CampaignId::of_slot(&nightly, slot(1_790_000_000_000));
        assert_eq!(first, CampaignId::of_slot(&nightly, slot(1_790_000_000_000)));
        assert_ne!(first, CampaignId::of_slot(&weekly, slot(1_790_000_000_000)));
        assert_ne!(first, CampaignId::of_slot(&nightly, slot(1_790_000_060_000)));
        assert_eq!(first.0.get_version_num(), 7);
        assert_eq!(first.0.get_timestamp().unwrap().to_unix(), (1_790_000_000, 0));
    }
}
