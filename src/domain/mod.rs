//! The words of the program as plain types: no I/O, no model, no database. Every other room may
//! know this one; it knows none.
//!
//! Values are parsed once, at the edge, into types that cannot hold a wrong one (a [`Template`] is
//! finite and has unit norm, an [`ImageUri`] is a URL of a scheme we fetch), and are trusted from
//! there on.

mod campaign;
mod chip;
mod device;
mod face;
mod format;
mod ids;
mod image;
mod job;
mod outcome;
mod profile;
mod sub_queue;
mod template;
mod trace;

pub use campaign::{Campaign, CampaignId, CampaignProgress, CampaignState, ListedChunk};
pub use chip::{CHIP_SIDE, Chip};
pub use device::{Device, DeviceChoice, UnknownDevice};
pub use face::{BoundingBox, Face, Faces, JobSelection, Landmarks, Point, Selection};
pub use format::{ImageKind, other_content};
pub use ids::{FaceId, ImageId};
pub use image::{ContentHash, GalleryName, ImageUri, InvalidName, SourceStamp, SubjectName};
pub use job::{Disposition, Job, JobId, Lane};
pub use outcome::{
    End, FaceResult, ImageContent, JobRecord, Outcome, OutcomeEvent, OutcomeKind, Recognition,
    Timings,
};
pub use profile::{
    AlignmentProfile, DetectorProfile, Mapping, Precision, Profile, ProfileId, RecogniserProfile,
    SerFiq,
};
pub use sub_queue::{SourceName, SourceStatus, SubQueue, SubQueueOf};
pub use template::{Template, TemplateError};
pub use trace::TraceParent;
