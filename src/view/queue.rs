//! The queue and its dead letters, as `queue status` and `queue dead` print them.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::domain::{GalleryName, JobId, Lane};
use crate::queue::{DeadLetter, QueueStatus};

/// Numbers of jobs by where they are: the line of `queue status --json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct QueueView {
    /// Ready to be taken, by lane.
    pub ready: BTreeMap<Lane, u64>,
    /// Jobs that wait apart from their lane.
    pub waiting: Vec<WaitingView>,
    /// Waiting for the time of their next attempt.
    pub delayed: u64,
    /// Delivered to workers and not settled; null where the broker does not say.
    pub unsettled: Option<u64>,
    /// Dead letters.
    pub dead: u64,
}

/// Jobs that wait apart from their lane.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct WaitingView {
    /// The campaign, source or profile that they wait for, or the gallery whose active profile.
    pub place: String,
    /// How many.
    pub jobs: u64,
    /// Why they wait.
    pub why: String,
}

impl QueueView {
    /// `status`, with the jobs that wait apart from their lanes.
    pub fn new(status: &QueueStatus, waiting: Vec<WaitingView>) -> Self {
        Self {
            ready: status.ready.iter().copied().collect(),
            waiting,
            delayed: status.delayed,
            unsettled: status.unsettled,
            dead: status.dead,
        }
    }
}

/// What became of dead letters: the line of `queue retry --json` and `queue drop --json`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ResolvedView {
    /// So many jobs were published again.
    Retried(u64),
    /// So many dead letters were deleted.
    Dropped(u64),
}

/// A dead letter: a line of `queue dead --json`. All fields of the job are null if the message
/// could not be read as a job; `head` and `bytes` are null if it could.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct DeadLetterView {
    /// Why the job was dead-lettered.
    pub reason: String,
    /// The job's id.
    pub job: Option<JobId>,
    /// Its lane.
    pub lane: Option<Lane>,
    /// Its gallery.
    pub gallery: Option<GalleryName>,
    /// The URI of its image, without password, query and inline bytes.
    pub uri: Option<String>,
    /// Its image, as people read it.
    pub image: Option<String>,
    /// Its last attempt.
    pub attempt: Option<u32>,
    /// The beginning of the message's body. What may be a secret is replaced.
    pub head: Option<String>,
    /// The bytes of the message's body.
    pub bytes: Option<u64>,
}

impl From<&DeadLetter> for DeadLetterView {
    fn from(letter: &DeadLetter) -> Self {
        let job = letter.job.as_ref();
        Self {
            reason: letter.reason.clone(),
            job: job.map(|job| job.id),
            lane: job.map(|job| job.lane),
            gallery: job.map(|job| job.gallery.clone()),
            uri: job.map(|job| job.image.shown().into_owned()),
            image: job.map(|job| job.image.for_people()),
            attempt: job.map(|job| job.attempt),
            head: letter.head.as_ref().map(|head| head.text.clone()),
            bytes: letter.head.as_ref().map(|head| head.bytes),
        }
    }
}
