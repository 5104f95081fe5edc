//! The job contract: what a job message says, version 2, as JSON. The types here belong to the
//! contract and are separate from the domain's, so that neither changes by accident with the other;
//! `docs/job.schema.json` is generated from them. Independent of any broker.
//!
//! Version 2 added `min_face_px` and `min_score`. A message of version 1 is read as one of version
//! 2 without these fields.
//!
//! **Strict on purpose.** An unknown field is refused, not ignored: if a misspelt `expected_hash`
//! were ignored, a check that the producer asked for would not happen. So update workers before
//! producers that send a new field. A new meaning of an existing field needs a new version.
//!
//! **Reasons hold no values.** A message may hold a person's name or a signed URL, and the reason
//! for its refusal is logged and listed.

mod diagnosis;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use self::diagnosis::InvalidJob;
use self::diagnosis::{diagnose, unknown_version, wrong};
use super::truncation;
use crate::domain::{CampaignId, Faces, Job, JobId, JobSelection, Lane, Selection};

/// The newest version of the contract, which [`encode`] writes.
pub const VERSION: u32 = 2;

/// The oldest version that [`decode`] reads.
const OLDEST: u32 = 1;

/// The longest job message, bytes. Jobs hold no images, and even a signed URI is far shorter.
pub const MOST_BYTES: usize = 65_536;

/// Bytes that workers may add to a message when they publish it again (omitted fields, attempts).
const ADDED: usize = 1024;

/// A job of facefleet: one image to process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, schemars(title = "facefleet job", extend("$id" = "urn:facefleet:job:2")))]
struct JobMessage {
    /// The version of this contract: 2. Version 1 is accepted too; it is the same without
    /// `min_face_px` and `min_score`.
    #[serde(default = "version")]
    #[cfg_attr(test, schemars(range(min = 1, max = 2)))]
    version: u32,
    /// The job's id, a UUID of version 7. A job that is sent twice with the same id has one
    /// outcome.
    id: Uuid,
    /// The lane, which selects the queue and with it the urgency.
    lane: LaneMessage,
    /// The gallery the result belongs to.
    #[cfg_attr(test, schemars(regex(pattern = r"^[A-Za-z0-9._-]{1,100}$")))]
    gallery: String,
    /// The image's location: an absolute URI that the workers are allowed to read. Not the image
    /// itself.
    #[cfg_attr(test, schemars(extend("format" = "uri")))]
    image: String,
    /// The source's identifier of this version of the image (an object's `ETag`), if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stamp: Option<String>,
    /// The BLAKE3 hash that the image's bytes must have, 64 hex digits; other bytes are refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(regex(pattern = r"^[0-9a-fA-F]{64}$")))]
    expected_hash: Option<String>,
    /// Whose face it is, if that is known. A job of the lane `enrol` enrols it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(length(min = 1, max = 200)))]
    subject: Option<String>,
    /// Which faces are wanted.
    #[serde(default)]
    faces: FacesMessage,
    /// Smallest face that is wanted, the shorter side of its box, pixels. Default: the worker's
    /// setting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(range(min = 0, max = 65535)))]
    min_face_px: Option<u32>,
    /// Lowest detector confidence of a wanted face. Default: the worker's setting.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(range(min = 0.01, max = 1.0)))]
    min_score: Option<f32>,
    /// The profile that the result must have. Default: the worker's own profile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(regex(pattern = r"^[0-9a-f]{16}$")))]
    profile: Option<String>,
    /// The campaign in which it counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    campaign: Option<Uuid>,
    /// Workers increment it. A producer's value is ignored.
    #[serde(default = "first_attempt")]
    #[cfg_attr(test, schemars(range(min = 1)))]
    attempt: u32,
    /// W3C `traceparent`. The AMQP header of this name works too. An invalid value is ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    trace: Option<String>,
    /// Accepted and ignored: until version 2, a retried dead letter was a new job that named the
    /// old one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retry_of: Option<Uuid>,
}

/// How urgent a job is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[cfg_attr(test, schemars(inline))]
enum LaneMessage {
    Enrol,
    Scan,
    Rescore,
}

/// Which faces are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[cfg_attr(test, schemars(inline))]
enum FacesMessage {
    #[default]
    All,
    Largest,
}

fn version() -> u32 {
    VERSION
}

fn first_attempt() -> u32 {
    1
}

/// Writes `job` as a message body.
///
/// # Errors
/// If it cannot be written as JSON.
pub fn encode(job: &Job) -> Result<Vec<u8>, InvalidJob> {
    // In the oldest version if that suffices: the next worker may support only that.
    let newer = job.selection.min_size_px.is_some() || job.selection.min_score.is_some();
    let message = JobMessage {
        version: if newer { VERSION } else { OLDEST },
        id: job.id.0,
        lane: match job.lane {
            Lane::Enrol => LaneMessage::Enrol,
            Lane::Scan => LaneMessage::Scan,
            Lane::Rescore => LaneMessage::Rescore,
        },
        gallery: job.gallery.as_str().to_owned(),
        image: job.image.as_str().to_owned(),
        stamp: job.stamp.as_ref().map(|stamp| stamp.as_str().to_owned()),
        expected_hash: job.expected_hash.map(String::from),
        subject: job.subject.as_ref().map(|subject| subject.as_str().to_owned()),
        faces: match job.selection.faces {
            Faces::All => FacesMessage::All,
            Faces::Largest => FacesMessage::Largest,
        },
        min_face_px: job.selection.min_size_px,
        min_score: job.selection.min_score,
        profile: job.profile.as_ref().map(|profile| profile.as_str().to_owned()),
        campaign: job.campaign.map(|campaign| campaign.0),
        attempt: job.attempt,
        trace: job.trace.as_ref().map(|trace| trace.as_str().to_owned()),
        retry_of: None,
    };
    serde_json::to_vec(&message).map_err(|_| InvalidJob("it cannot be written as JSON".into()))
}

/// Reads a message body as a job.
///
/// # Errors
/// If it is not a job of a supported version; the reason names the field.
pub fn decode(body: &[u8]) -> Result<Job, InvalidJob> {
    limit(body, MOST_BYTES + ADDED)?;
    let message: JobMessage = serde_json::from_slice(body).map_err(|_| diagnose(body))?;
    if !is_supported(u64::from(message.version)) {
        return Err(unknown_version(u64::from(message.version)));
    }
    if message.id.get_version_num() != 7 {
        return Err(wrong("id"));
    }
    if message.attempt == 0 {
        return Err(wrong("attempt"));
    }
    let selection = selection(&message)?;
    Ok(Job {
        id: JobId(message.id),
        lane: match message.lane {
            LaneMessage::Enrol => Lane::Enrol,
            LaneMessage::Scan => Lane::Scan,
            LaneMessage::Rescore => Lane::Rescore,
        },
        gallery: message.gallery.parse().map_err(|_| wrong("gallery"))?,
        image: message.image.parse().map_err(|_| wrong("image"))?,
        stamp: message.stamp.map(|stamp| stamp.parse().map_err(|_| wrong("stamp"))).transpose()?,
        expected_hash: message
            .expected_hash
            .map(|hash| hash.parse().map_err(|_| wrong("expected_hash")))
            .transpose()?,
        subject: message
            .subject
            .map(|subject| subject.parse().map_err(|_| wrong("subject")))
            .transpose()?,
        selection,
        profile: message
            .profile
            .map(|profile| profile.parse().map_err(|_| wrong("profile")))
            .transpose()?,
        campaign: message.campaign.map(CampaignId),
        trace: message.trace.and_then(|trace| trace.parse().ok()),
        attempt: message.attempt,
    })
}

fn selection(message: &JobMessage) -> Result<JobSelection, InvalidJob> {
    if message.min_face_px.is_some_and(|size| !Selection::SIZES_PX.contains(&size)) {
        return Err(wrong("min_face_px"));
    }
    if message.min_score.is_some_and(|score| !Selection::SCORES.contains(&score)) {
        return Err(wrong("min_score"));
    }
    let faces = match message.faces {
        FacesMessage::All => Faces::All,
        FacesMessage::Largest => Faces::Largest,
    };
    Ok(JobSelection { faces, min_size_px: message.min_face_px, min_score: message.min_score })
}

fn is_supported(version: u64) -> bool {
    (u64::from(OLDEST)..=u64::from(VERSION)).contains(&version)
}

/// The JSON Schema of a job message.
#[cfg(test)]
pub(super) fn schema() -> serde_json::Value {
    schemars::schema_for!(JobMessage).to_value()
}

/// Checks that the message of a new job is not longer than [`MOST_BYTES`].
///
/// # Errors
/// If it is longer.
pub fn check_length(body: &[u8]) -> Result<(), InvalidJob> {
    limit(body, MOST_BYTES)
}

fn limit(body: &[u8], most: usize) -> Result<(), InvalidJob> {
    if body.len() > most {
        return Err(InvalidJob(format!(
            "it has {} bytes, and a job has at most {MOST_BYTES}: jobs hold no images",
            truncation::original_length(body).unwrap_or(body.len() as u64)
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
