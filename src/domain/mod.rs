//! The domain as plain types: no I/O, no model, no database. Every other module may depend on this
//! one; it depends on none.
//!
//! Values are parsed once, at the edge, into types that cannot hold an invalid value (a
//! [`Template`] is finite and has unit norm, an [`ImageUri`] is an absolute URL), and are trusted
//! from there on.

mod activation;
mod campaign;
mod chip;
mod components;
mod counted;
mod cron;
mod device;
mod enrolment;
mod erasure;
mod face;
mod format;
mod fused;
mod heartbeat;
mod ids;
mod image;
mod job;
mod job_rate;
mod labelled_image;
mod match_rate;
mod match_threshold;
mod outcome;
mod picture_hash;
mod profile;
mod profile_difference;
mod profile_name;
mod retention;
mod schedule;
mod source;
mod template;
mod trace;
mod uri_root;
mod utc_time;
mod verdict;
mod waiting;

pub use activation::{Activation, CoverageCounts, FailedAttempts, OperatorName};
pub use campaign::{Campaign, CampaignId, CampaignProgress, CampaignState, ListedChunk};
pub use chip::{AlignedFace, CHIP_SIDE, Chip};
pub use components::{BestValue, Component, ComponentSpec, Components, LEAST_GOOD};
pub use counted::{counted, one_or_many};
pub use cron::Timing;
pub use device::{Device, DeviceChoice, UnknownDevice};
pub use enrolment::{
    Decided, EnrolRules, Enrolment, EnrolmentDecision, EnrolmentProposal, GateFace, GateRules,
    NewReference, Reason, ReasonCode, ReferenceChange, ReferenceRules, ReferenceState,
    SetAsideReason, SubjectChange, SubjectReference, ToldReason,
};
pub use erasure::{
    ErasedBefore, Erasure, ErasureCounts, ErasureId, ErasureKind, ErasureMarks, ErasurePlace,
    ErasureTarget, SearchedKind, TakenBecause, TakenImage,
};
pub use face::{BoundingBox, Face, Faces, JobSelection, Landmarks, Point, Selection};
pub use format::{ImageKind, other_content};
pub use fused::{FaceMeasures, FusedInput, FusedQuality, FusedTerm};
pub use heartbeat::{SeenWorker, WorkerId, WorkerReport};
pub use ids::{FaceId, ImageId};
pub use image::{ContentHash, GalleryName, ImageUri, InvalidName, SourceStamp, SubjectName};
pub use job::{Job, JobId, Lane};
pub use job_rate::JobRate;
pub use labelled_image::LabelledImage;
pub use match_rate::{SimilarityFmr, UnknownRate, fmr_of_search, fpir_of};
pub use match_threshold::{
    MatchThresholds, MatchVerdict, SimilarityThreshold, SourcedThresholds, ThresholdSource,
};
pub use outcome::{
    End, FaceResult, ImageContent, JobRecord, Outcome, OutcomeEvent, OutcomeKind, Recognition,
    Timings,
};
pub use picture_hash::PictureHash;
pub use profile::{
    AlignmentProfile, DetectorProfile, Mapping, Precision, Profile, ProfileId, RecogniserProfile,
    SerFiq, chips_id,
};
pub use profile_difference::{ProfileDifference, profile_differences};
pub use profile_name::ProfileName;
pub use retention::{RetentionCounts, RetentionId, RetentionRule, RetentionRules, RetentionRun};
pub use schedule::{
    DueSlots, Misfire, RunPlan, RunState, SLOT_GRACE, Schedule, ScheduleAction, ScheduleName,
    ScheduleRun,
};
pub use source::{SourceName, SourceStatus};
pub use template::{Template, TemplateError};
pub use trace::TraceParent;
pub use uri_root::UriRoot;
pub use utc_time::UtcTime;
pub use verdict::{Curated, CurationId, Verdict, VerdictId, VerdictReason};
pub use waiting::{Backoff, Disposition, SubQueue, SubQueueOf, WaitReason};
