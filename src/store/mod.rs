//! Where results, templates, profiles and campaigns are kept. Only the two backends, [`sqlite`] and
//! [`postgres`], contain SQL.
//!
//! A result's key is (gallery, image, profile); an image is a URI with a content hash. Writing a
//! result twice has the effect of writing it once.
//!
//! This module depends on the domain alone. No database type appears in a trait.

mod audit;
mod batch;
mod burial;
mod campaigns;
mod choosing;
mod counts;
mod curation;
mod encoding;
mod enrolling;
mod enrolments;
mod erasing;
mod erasures;
mod fault;
mod filter;
mod halves;
mod judging;
mod listings;
mod maintenance;
mod migrations;
mod missing;
mod plan;
pub mod postgres;
mod profile_choice;
mod profiles;
mod reading;
mod reapplying;
mod remains;
mod remap;
mod rescoring;
mod results;
mod retaining;
mod retention;
mod retirements;
mod row;
mod rows;
mod schedules;
mod sources;
pub mod sqlite;
mod subjects;
mod summary;
mod templates;
mod workers;

pub use audit::{Audit, AuditQuery, AuditedChange, AuditedDecision, AuditedVerdict, TimePlace};
pub use campaigns::{Campaigns, MOST_OPEN};
pub use curation::{Curation, Judged, NewCuration, StoredVerdict, VerdictQuery};
pub use enrolments::{
    EnrolmentCounts, Enrolments, LookAlike, LookAlikeProbe, ReferenceTemplate, ReviewQuery,
    StoredEnrolment,
};
pub use erasures::{Erasable, Erasures, NewErasure};
pub use filter::PageFilter;
pub use listings::{ListingKey, Listings};
pub use maintenance::Maintenance;
pub use missing::{MissingImage, MissingImages, MissingQuery, PlacedImage};
pub use profile_choice::{ProfileChoiceError, choose_profile};
pub use profiles::{GalleryProfile, NewActivation, ProfileCoverage, Profiles, StoredProfile};
pub use reading::{
    Extreme, GallerySummary, ImageKey, KnownResult, LatestEnrolment, MOST_RESULTS, Note, PageQuery,
    Reading, ResultState, Snapshot, StoredFace, StoredImage,
};
pub use reapplying::{Reapplicable, Reapplying};
pub use remains::{FoundText, Remains, SearchedFiles, find_in_file};
pub use remap::{Remap, RemapPosition, RemapStep, Remapping};
pub use rescoring::{RescoreImage, RescoreQuery, Rescoring};
pub use results::{Effect, Recorded, Results};
pub use retention::{DuePage, RemovedContent, RemovedImages, Retention, RetentionQuery};
pub use retirements::{RETIRED_AT_ONCE, RetireStep, Retirements, SoleResults};
pub use schedules::{
    NewRun, RUN_BEAT_EVERY, RUN_GONE_AFTER, RUN_LOST_AFTER, RUNS_KEPT, RunKey, RunOwner, RunQuery,
    ScheduleRuns, Schedules, SlotClaim, StoredSchedule,
};
pub use sources::{SOURCE_STATUS_TTL, SourceStatuses};
pub use subjects::{
    Renamed, StoredReference, StoredSubject, SubjectMerge, SubjectQuery, SubjectSummary, Subjects,
};
pub use templates::{Searched, StampsOf, TemplateBatch, TemplateKey, TemplateStamp};
pub use workers::{BEAT_EVERY, GONE_AFTER, Workers};

use crate::domain::CampaignId;

/// Everything that a backend does. A function asks for the trait that it needs.
pub trait Store:
    Results
    + Reading
    + Profiles
    + Retirements
    + Remapping
    + Rescoring
    + Campaigns
    + Listings
    + Enrolments
    + Subjects
    + Erasures
    + Remains
    + Reapplying
    + Retention
    + RemovedImages
    + Audit
    + Curation
    + MissingImages
    + Schedules
    + ScheduleRuns
    + SourceStatuses
    + Workers
    + Maintenance
{
}

impl<T> Store for T where
    T: Results
        + Reading
        + Profiles
        + Retirements
        + Remapping
        + Rescoring
        + Campaigns
        + Listings
        + Enrolments
        + Subjects
        + Erasures
        + Remains
        + Reapplying
        + Retention
        + RemovedImages
        + Audit
        + Curation
        + MissingImages
        + Schedules
        + ScheduleRuns
        + SourceStatuses
        + Workers
        + Maintenance
{
}

/// What can go wrong with a store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Temporary: the store is busy, or the connection was lost. Try again.
    #[error("the store cannot be used now: {0}")]
    Unavailable(String),
    /// Permanent: a wrong URL, a file that is not a database, a schema from a newer version.
    #[error("the store cannot be used: {0}")]
    Unusable(String),
    /// Permanent: files of the database are damaged.
    #[error("the store is damaged: {0}")]
    Damaged(String),
    /// The store refuses this record, such as one whose profile was never registered. Trying again
    /// does not help. The other records of the batch may be stored without it.
    #[error("the record cannot be stored: {0}")]
    Invalid(String),
    /// Another process has taken over the run that lists this campaign: this one stops.
    #[error("another process has taken over the run of campaign {0}")]
    TakenOver(CampaignId),
    /// A row that this version cannot read.
    #[error("the store contains a value that this version cannot read: {0}")]
    Corrupt(String),
}
