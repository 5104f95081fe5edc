//! What was decided, as `audit --json` prints it. It has names and numbers of what the store has
//! now, and no URI, reason or template: of what was erased, it has counts.

use serde::Serialize;

use crate::domain::{
    Activation, CurationId, Erasure, ErasureCounts, ErasureId, ErasureKind, GalleryName, ImageId,
    ProfileId, RetentionCounts, RetentionId, RetentionRun, SubjectChange, SubjectName, UtcTime,
    Verdict, VerdictId,
};
use crate::store::{AuditedChange, AuditedDecision, AuditedVerdict};

/// The kind of an event.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Serialize,
    strum::Display,
    strum::EnumString,
    strum::VariantNames,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum AuditKind {
    /// It was decided about an enrolment.
    Decision,
    /// Somebody gave a verdict about an image, or undid one.
    Verdict,
    /// An operator changed a subject.
    Subject,
    /// A profile was made the active one.
    Activation,
    /// Something was erased.
    Erasure,
    /// Something was removed because it was kept for long enough.
    Retention,
}

/// An event: a line of `audit --json`. The field of its kind says what happened; the others are
/// null.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct AuditView {
    /// When, RFC 3339, UTC, with milliseconds: an erasure and a retention when they began.
    pub at: UtcTime,
    /// Its kind.
    pub kind: AuditKind,
    /// The gallery.
    pub gallery: GalleryName,
    /// Who: a person or a schedule; null if a worker decided, or an update of the schema.
    pub by: Option<String>,
    /// What was decided about an enrolment.
    pub decision: Option<DecisionEvent>,
    /// The verdict.
    pub verdict: Option<VerdictEvent>,
    /// What was changed of a subject.
    pub subject: Option<SubjectEvent>,
    /// The profile that was made active.
    pub activation: Option<ActivationEvent>,
    /// What was erased.
    pub erasure: Option<ErasureEvent>,
    /// What was removed.
    pub retention: Option<RetentionEvent>,
}

/// What was decided about an enrolment.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct DecisionEvent {
    /// For whom the image was enrolled.
    pub subject: SubjectName,
    /// The image.
    pub image_id: ImageId,
    /// `accepted`, `rejected` or `review`.
    pub decision: &'static str,
    /// Why, where it was not accepted.
    pub codes: Vec<&'static str>,
    /// The job that asked last.
    pub job: String,
    /// The profile under which it was decided.
    pub profile: ProfileId,
}

/// A verdict.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct VerdictEvent {
    /// Its number.
    pub verdict_id: VerdictId,
    /// The number of the curation that it belongs to.
    pub curation_id: CurationId,
    /// The image.
    pub image_id: ImageId,
    /// `exclude`, `restore`, `keep`, `reassign`, `not_the_same` or `undo`.
    pub verdict: &'static str,
    /// The subject that the image was reassigned to.
    pub subject: Option<SubjectName>,
    /// The image that it is not the same as.
    pub other_image_id: Option<ImageId>,
    /// The verdict that it undid.
    pub undoes: Option<VerdictId>,
    /// The undo that took it back; null if it is in force.
    pub undone_by: Option<VerdictId>,
}

/// An operator changed a subject.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct SubjectEvent {
    /// What was done.
    pub change: SubjectChange,
    /// The name that the subject has now; null if it is gone.
    pub subject: Option<SubjectName>,
    /// The image of the reference; null if it is gone, or the change is not about one.
    pub image_id: Option<ImageId>,
}

/// A profile was made the active one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ActivationEvent {
    /// The profile.
    pub profile: ProfileId,
    /// Whether it was done against a refusal.
    pub forced: bool,
}

/// Something was erased.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ErasureEvent {
    /// Its id, as in the receipt.
    pub erasure: ErasureId,
    /// What: an image, a person or the gallery.
    pub what: ErasureKind,
    /// When it ended; null if it was interrupted.
    pub ended_at: Option<UtcTime>,
    /// What was removed, by place.
    pub removed: ErasureCounts,
}

/// Something was removed because it was kept for long enough.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct RetentionEvent {
    /// The run.
    pub retention: RetentionId,
    /// When it ended; null if it was interrupted.
    pub ended_at: Option<UtcTime>,
    /// What was removed.
    pub removed: RetentionCounts,
}

impl AuditView {
    fn new(at: UtcTime, kind: AuditKind, gallery: &GalleryName, by: Option<String>) -> Self {
        let (decision, verdict, subject, activation, erasure, retention) = Default::default();
        let gallery = gallery.clone();
        Self { at, kind, gallery, by, decision, verdict, subject, activation, erasure, retention }
    }
}

impl From<AuditedDecision> for AuditView {
    fn from(event: AuditedDecision) -> Self {
        let view = Self::new(event.at, AuditKind::Decision, &event.gallery, None);
        let decision = DecisionEvent {
            subject: event.subject,
            image_id: event.image,
            decision: event.decision.as_str(),
            codes: event.codes.into_iter().map(|code| code.as_str()).collect(),
            job: event.job.to_string(),
            profile: event.profile,
        };
        Self { decision: Some(decision), ..view }
    }
}

impl From<AuditedVerdict> for AuditView {
    fn from(event: AuditedVerdict) -> Self {
        let by = Some(event.by.to_string());
        let view = Self::new(event.at, AuditKind::Verdict, &event.gallery, by);
        let name = event.verdict.as_str();
        let (mut subject, mut other_image_id, mut undoes) = (None, None, None);
        match event.verdict {
            Verdict::Reassign(to) => subject = Some(to),
            Verdict::NotTheSame(other) | Verdict::Moved(other) => other_image_id = Some(other),
            Verdict::Undo(of) => undoes = Some(of),
            Verdict::Exclude
            | Verdict::Restore
            | Verdict::Keep
            | Verdict::Gone
            | Verdict::Found => {}
        }
        let verdict = VerdictEvent {
            verdict_id: event.id,
            curation_id: event.curation,
            image_id: event.image,
            verdict: name,
            subject,
            other_image_id,
            undoes,
            undone_by: event.undone_by,
        };
        Self { verdict: Some(verdict), ..view }
    }
}

impl From<AuditedChange> for AuditView {
    fn from(event: AuditedChange) -> Self {
        let by = Some(event.by.to_string());
        let view = Self::new(event.at, AuditKind::Subject, &event.gallery, by);
        let (change, subject, image_id) = (event.change, event.subject, event.image);
        Self { subject: Some(SubjectEvent { change, subject, image_id }), ..view }
    }
}

impl From<&Activation> for AuditView {
    fn from(event: &Activation) -> Self {
        let by = event.by.as_ref().map(ToString::to_string);
        let view = Self::new(event.at, AuditKind::Activation, &event.gallery, by);
        let activation = ActivationEvent { profile: event.profile.clone(), forced: event.forced };
        Self { activation: Some(activation), ..view }
    }
}

impl From<&Erasure> for AuditView {
    fn from(event: &Erasure) -> Self {
        let by = Some(event.by.to_string());
        let view = Self::new(event.begun_at, AuditKind::Erasure, &event.gallery, by);
        let erasure = ErasureEvent {
            erasure: event.id,
            what: event.kind,
            ended_at: event.ended_at,
            removed: event.counts.clone(),
        };
        Self { erasure: Some(erasure), ..view }
    }
}

impl From<&RetentionRun> for AuditView {
    fn from(event: &RetentionRun) -> Self {
        let by = Some(event.by.to_string());
        let view = Self::new(event.begun_at, AuditKind::Retention, &event.gallery, by);
        let (retention, ended_at, removed) = (event.id, event.ended_at, event.counts);
        Self { retention: Some(RetentionEvent { retention, ended_at, removed }), ..view }
    }
}
