//! How a job ended, and everything that is recorded about it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{
    CampaignId, Components, ContentHash, Enrolment, EnrolmentProposal, Face, GalleryName, ImageId,
    ImageUri, Job, JobId, Lane, PictureHash, ProfileId, Selection, Template, TraceParent,
};

/// The network's answer for one face.
#[derive(Debug, Clone, PartialEq)]
pub struct Recognition {
    /// The template, unit norm.
    pub template: Template,
    /// The embedding's norm before it was scaled to one.
    pub norm: f32,
    /// SER-FIQ's mean pairwise distance `d` between embeddings under dropout; 0 is best.
    pub distance: f64,
    /// `2 / (1 + e^d)`, in (0, 1]; 1 is best.
    pub score: f64,
    /// 0 to 100, through the profile's mapping; 100 is best.
    pub quality: u8,
}

/// A face and, if the network gave a usable answer, its template and quality.
#[derive(Debug, Clone, PartialEq)]
pub struct FaceResult {
    /// The detection.
    pub face: Face,
    /// Its components; all unknown if its landmarks coincide.
    pub components: Components,
    /// None if the network's answer for this face had no direction (NaN, infinite or zero).
    pub recognition: Option<Recognition>,
}

/// How a job ended. Exactly one per job.
#[derive(Debug, Clone, PartialEq)]
pub enum Outcome {
    /// At least one face was scored; the primary face comes first.
    Scored(Vec<FaceResult>),
    /// The image was read, and no face in it passed the limits.
    NoFace,
    /// The bytes are missing, or are not a whole image of a format we read.
    Unreadable(String),
    /// A limit or the allow-list forbids it.
    Refused(String),
    /// No retries are left.
    Failed(String),
}

/// The name of an outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum OutcomeKind {
    /// See [`Outcome::Scored`].
    Scored,
    /// See [`Outcome::NoFace`].
    NoFace,
    /// See [`Outcome::Unreadable`].
    Unreadable,
    /// See [`Outcome::Refused`].
    Refused,
    /// See [`Outcome::Failed`].
    Failed,
    /// The image, its subject or its gallery was erased: nothing was recorded.
    Erased,
}

impl OutcomeKind {
    /// Every outcome, `scored` first.
    pub const ALL: [Self; 6] =
        [Self::Scored, Self::NoFace, Self::Unreadable, Self::Refused, Self::Failed, Self::Erased];

    /// The name in messages, tables and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scored => "scored",
            Self::NoFace => "no_face",
            Self::Unreadable => "unreadable",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Erased => "erased",
        }
    }

    /// Whether the same bytes under the same profile and selection would end the same way again.
    /// The next scan retries an image whose outcome is not final (an operator may raise the limit,
    /// the fault may pass), and may then replace the outcome.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Scored | Self::NoFace | Self::Unreadable)
    }
}

impl fmt::Display for OutcomeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for OutcomeKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or_else(|| {
            format!(
                "unknown outcome '{text}': use scored, no_face, unreadable, refused, failed or \
                erased"
            )
        })
    }
}

impl Outcome {
    /// The outcome's name.
    pub fn kind(&self) -> OutcomeKind {
        match self {
            Self::Scored(_) => OutcomeKind::Scored,
            Self::NoFace => OutcomeKind::NoFace,
            Self::Unreadable(_) => OutcomeKind::Unreadable,
            Self::Refused(_) => OutcomeKind::Refused,
            Self::Failed(_) => OutcomeKind::Failed,
        }
    }

    /// Why, for the outcomes that need a reason.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Scored(_) | Self::NoFace => None,
            Self::Unreadable(reason) | Self::Refused(reason) | Self::Failed(reason) => Some(reason),
        }
    }

    /// The faces, the primary one first; empty unless scored.
    pub fn faces(&self) -> &[FaceResult] {
        match self {
            Self::Scored(faces) => faces,
            _ => &[],
        }
    }
}

/// An image whose bytes were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageContent {
    /// BLAKE3 of the bytes.
    pub hash: ContentHash,
    /// Number of bytes.
    pub bytes: u64,
    /// Width and height of the upright image, pixels; none if it could not be decoded.
    pub size: Option<(u32, u32)>,
    /// What it shows; none if it was not decoded now.
    pub picture: Option<PictureHash>,
}

/// Where the time of one job went, milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Timings {
    /// Fetching the bytes.
    pub fetch_ms: f32,
    /// Decoding, detecting and aligning, waiting for a thread included.
    pub vision_ms: f32,
    /// The forward pass, waiting for the batch included.
    pub recognise_ms: f32,
}

/// A job that has ended: everything the store keeps about it.
#[derive(Debug, Clone, PartialEq)]
pub struct JobRecord {
    /// The job.
    pub job: Job,
    /// What was read; none if no bytes came.
    pub content: Option<ImageContent>,
    /// All that the scores depend on.
    pub profile: ProfileId,
    /// Which faces were wanted.
    pub selection: Selection,
    /// How the job ended.
    pub outcome: Outcome,
    /// The execution provider that ran the recogniser (`cpu`, `cuda:0`, …).
    pub provider: String,
    /// Where the time went.
    pub timings: Timings,
    /// Whether the image was not read, because the chip cache had what was found in it.
    pub from_chips: bool,
    /// What is proposed to decide, if the job enrols its subject.
    pub enrolment: Option<EnrolmentProposal>,
}

/// An outcome in short.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// How it ended.
    pub outcome: OutcomeKind,
    /// Why.
    pub reason: Option<String>,
    /// Number of faces recorded.
    pub faces: u32,
    /// Quality of the primary face, 0 to 100.
    pub quality: Option<u8>,
}

/// A job has ended. Carries no biometric data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OutcomeEvent {
    /// The job.
    pub job: JobId,
    /// Its lane.
    pub lane: Lane,
    /// Its gallery.
    pub gallery: GalleryName,
    /// The image.
    pub image: ImageUri,
    /// The stored image. None: a worker of version 0.1 announced the event.
    pub image_id: Option<ImageId>,
    /// The campaign it counts in.
    pub campaign: Option<CampaignId>,
    /// The trace it belongs to.
    pub trace: Option<TraceParent>,
    /// The profile of the result.
    pub profile: ProfileId,
    /// How it ended.
    pub end: End,
    /// Whether the image was not read, because the chip cache had what was found in it.
    pub from_chips: bool,
    /// The decision, if the job enrols its subject.
    pub enrolment: Option<Enrolment>,
}

impl End {
    /// The end of a job whose image, subject or gallery was erased.
    pub fn erased() -> Self {
        Self { outcome: OutcomeKind::Erased, reason: None, faces: 0, quality: None }
    }
}

impl From<&Outcome> for End {
    fn from(outcome: &Outcome) -> Self {
        let faces = outcome.faces();
        Self {
            outcome: outcome.kind(),
            reason: outcome.reason().map(str::to_owned),
            faces: u32::try_from(faces.len()).unwrap_or(u32::MAX),
            quality: faces
                .first()
                .and_then(|face| face.recognition.as_ref())
                .map(|recognition| recognition.quality),
        }
    }
}

impl OutcomeEvent {
    /// The job of `record` ended with `end`, without a decision; its image is stored as `image`.
    pub fn new(record: &JobRecord, image: ImageId, end: End) -> Self {
        let job = &record.job;
        Self {
            job: job.id,
            lane: job.lane,
            gallery: job.gallery.clone(),
            image: job.image.clone(),
            image_id: Some(image),
            campaign: job.campaign,
            trace: job.trace.clone(),
            profile: record.profile.clone(),
            end,
            from_chips: record.from_chips,
            enrolment: None,
        }
    }
}

impl JobRecord {
    /// The record of `job` under `profile` that ended with `outcome` before any bytes or results
    /// came.
    pub fn without_content(
        job: &Job,
        profile: &ProfileId,
        selection: Selection,
        provider: &str,
        outcome: Outcome,
    ) -> Self {
        Self {
            job: job.clone(),
            content: None,
            profile: profile.clone(),
            selection,
            outcome,
            provider: provider.to_owned(),
            timings: Timings::default(),
            from_chips: false,
            enrolment: None,
        }
    }
}
