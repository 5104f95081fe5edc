//! One bulk run over a gallery, with its progress.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::{Builder, Uuid};

use super::{
    GalleryName, ImageUri, InvalidName, JobId, Lane, OutcomeKind, ProfileId, Selection, SubQueue,
    SubQueueOf,
};

/// A campaign's id: a `UUIDv7`, so ids sort by the time the campaigns began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
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
        let mut hasher = blake3::Hasher::new();
        hasher.update(self.0.as_bytes()).update(image.as_str().as_bytes());
        let hash = hasher.finalize();
        let mut random = [0; 10];
        random.copy_from_slice(&hash.as_bytes()[..10]);
        let time = self.0.as_bytes()[..6].iter().fold(0, |time, &byte| time << 8 | u64::from(byte));
        JobId(Builder::from_unix_timestamp_millis(time, &random).into_uuid())
    }
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

/// What an operator wants of a campaign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CampaignState {
    /// Its jobs are worked on.
    Running,
    /// Its jobs wait: nobody takes them.
    Paused,
    /// Its jobs are dropped, without an outcome.
    Cancelled,
}

impl CampaignState {
    /// Every state.
    pub const ALL: [Self; 3] = [Self::Running, Self::Paused, Self::Cancelled];

    /// The name in tables and on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Cancelled => "cancelled",
        }
    }
}

impl FromStr for CampaignState {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| format!("'{text}' is no state of a campaign"))
    }
}

/// One bulk run over a gallery.
#[derive(Debug, Clone, PartialEq)]
pub struct Campaign {
    /// Which.
    pub id: CampaignId,
    /// The lane of its jobs.
    pub lane: Lane,
    /// The gallery.
    pub gallery: GalleryName,
    /// The profile its results will have.
    pub profile: ProfileId,
    /// Which faces its jobs ask for; none if it began before that was kept.
    pub selection: Option<Selection>,
    /// Where its images are listed, for people: folders, buckets. Holds no secret.
    pub source: String,
    /// What an operator wants of it.
    pub state: CampaignState,
    /// Where everything listed so far is.
    pub progress: CampaignProgress,
    /// When it began, RFC 3339, UTC.
    pub started_at: String,
}

impl Campaign {
    /// Where its jobs wait.
    pub fn sub_queue(&self) -> SubQueue {
        SubQueue { lane: self.lane, of: SubQueueOf::Campaign(self.id) }
    }
}

/// How far a campaign's listing came, and where its images are. Once `listing_done`, the campaign
/// has ended when `listed` is `skipped` plus all outcomes.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct CampaignProgress {
    /// Images found so far.
    pub listed: u64,
    /// Of these, settled by an earlier run.
    pub skipped: u64,
    /// Whether everything was listed.
    pub listing_done: bool,
    /// Where the chunk that was listed last begins: a listing that resumes starts after this place.
    /// None: at the beginning.
    pub chunk_from: Option<String>,
    /// Where the chunk that was listed last ends.
    pub chunk_to: Option<String>,
    /// Jobs that ended, each counted once, by outcome. One that is tried again counts as it ended
    /// until it ends anew.
    pub outcomes: BTreeMap<OutcomeKind, u64>,
    /// Faces recorded by these.
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
}

/// A chunk of a listing, before its jobs are published.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ListedChunk {
    /// Images in it.
    pub listed: u64,
    /// Jobs of those that an earlier run settled: no job is published for them.
    pub skipped: Vec<JobId>,
    /// Where the chunk begins; none: at the beginning, or the source has no places.
    pub from: Option<String>,
    /// Where it ends.
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
        let uuid = campaign.job(&a).0;
        assert_eq!(uuid.get_version_num(), 7);
        assert_eq!(
            uuid.get_timestamp().unwrap().to_unix(),
            campaign.0.get_timestamp().unwrap().to_unix()
        );
    }
}
