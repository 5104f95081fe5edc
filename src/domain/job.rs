//! A unit of work: one image to process.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{
    CampaignId, ContentHash, GalleryName, ImageUri, JobSelection, ProfileId, SourceStamp,
    SubjectName, TraceParent,
};

/// A job's id: a `UUIDv7`, so ids sort by the time they were made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
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

/// The kind of a job and its urgency: a caller waits for an enrolment; a re-score is the least
/// urgent.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    strum::Display,
    strum::EnumString,
    strum::IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case", parse_err_fn = unknown_lane, parse_err_ty = String)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
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
        self.into()
    }
}

fn unknown_lane(text: &str) -> String {
    format!("unknown lane '{text}': use enrol, scan or rescore")
}

/// One image to process.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// Its id. Jobs with the same id have one outcome.
    pub id: JobId,
    /// Its kind and urgency.
    pub lane: Lane,
    /// The gallery the result belongs to.
    pub gallery: GalleryName,
    /// The location of the bytes.
    pub image: ImageUri,
    /// The version of the image that was listed, if its source has versions.
    pub stamp: Option<SourceStamp>,
    /// The hash that its bytes must have; other bytes are refused.
    pub expected_hash: Option<ContentHash>,
    /// The subject, if the caller names one.
    pub subject: Option<SubjectName>,
    /// Which faces are wanted.
    pub selection: JobSelection,
    /// The profile that the result must have; a worker with another profile sets the job aside.
    /// `None`: the worker's own profile.
    pub profile: Option<ProfileId>,
    /// The campaign in which it counts.
    pub campaign: Option<CampaignId>,
    /// The trace to which it belongs.
    pub trace: Option<TraceParent>,
    /// 1 for the first attempt.
    pub attempt: u32,
}

#[cfg(test)]
impl Job {
    /// A new job of `lane`, for tests.
    pub(crate) fn sample(lane: Lane) -> Self {
        Self {
            id: JobId::new(),
            lane,
            gallery: "g".parse().unwrap(),
            image: "file:///a.jpg".parse().unwrap(),
            stamp: None,
            expected_hash: None,
            subject: None,
            selection: JobSelection::default(),
            profile: None,
            campaign: None,
            trace: None,
            attempt: 1,
        }
    }
}
