//! A unit of work and what may happen to it.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    CampaignId, ContentHash, GalleryName, ImageUri, JobSelection, ProfileId, SourceStamp, SubQueue,
    SubjectName, TraceParent,
};

/// A job's id: a `UUIDv7`, so ids sort by the time they were made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobId(pub Uuid);

impl JobId {
    /// A new id.
    pub fn new() -> Self {
        Self(Uuid::now_v7())
    }
}

impl Default for JobId {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why the work is done, and with it how urgent it is: somebody waits for an enrolment, nobody for
/// a re-score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lane {
    /// A person is waiting.
    Enrol,
    /// A bulk scan.
    Scan,
    /// A re-score after a model change.
    Rescore,
}

impl Lane {
    /// Every lane, the most urgent first.
    pub const ALL: [Self; 3] = [Self::Enrol, Self::Scan, Self::Rescore];

    /// The lane's name in messages, settings and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enrol => "enrol",
            Self::Scan => "scan",
            Self::Rescore => "rescore",
        }
    }
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Lane {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|lane| lane.as_str() == text)
            .ok_or_else(|| format!("'{text}' is no lane: use enrol, scan or rescore"))
    }
}

/// One image to process.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// Who it is.
    pub id: JobId,
    /// Why it is done.
    pub lane: Lane,
    /// The gallery the result belongs to.
    pub gallery: GalleryName,
    /// Where the bytes are.
    pub image: ImageUri,
    /// The version of the image that was listed, if the source tells one.
    pub stamp: Option<SourceStamp>,
    /// The hash its bytes must have; other bytes are refused.
    pub expected_hash: Option<ContentHash>,
    /// Whose face it is, if that is known.
    pub subject: Option<SubjectName>,
    /// Which faces are wanted.
    pub selection: JobSelection,
    /// The profile the result must have; a worker with another one leaves the job to its like.
    /// None: the worker's own.
    pub profile: Option<ProfileId>,
    /// The campaign it counts in.
    pub campaign: Option<CampaignId>,
    /// The trace it belongs to.
    pub trace: Option<TraceParent>,
    /// 1 for the first delivery; one more after each retry.
    pub attempt: u32,
}

/// What becomes of a delivered job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Disposition {
    /// Its outcome is recorded: forget it.
    Done,
    /// Something passing went wrong: deliver it again after this time, with the attempt counted up.
    Retry(Duration),
    /// Nothing went wrong, and it was not begun: deliver it again after this time, as if this
    /// delivery had not been.
    Defer(Duration),
    /// It is not its time (its campaign is paused, its profile is another worker's, its source does
    /// not answer): let it wait there, as if this delivery had not been.
    SetAside(SubQueue),
    /// It can never succeed: keep it among the dead letters with this reason.
    Bury(String),
}
