//! What was decided in galleries, in the order of time.

use async_trait::async_trait;

use super::StoreError;
use super::fault::Fault;
use super::judging::verdict;
use super::row::row;
use super::rows::{corrupt, parsed, time};
use crate::domain::{
    CurationId, EnrolmentDecision, GalleryName, ImageId, JobId, OperatorName, ProfileId, Reason,
    ReasonCode, SubjectChange, SubjectName, UtcTime, Verdict, VerdictId,
};

/// A place in the order of time; what happened in the same microsecond comes by its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimePlace {
    /// Microseconds since 1970.
    pub at_us: i64,
    /// The first number.
    pub first: i64,
    /// The second number.
    pub second: i64,
}

impl TimePlace {
    /// Before everything.
    pub const BEGIN: Self = Self { at_us: -1, first: i64::MAX, second: i64::MAX };

    /// Before everything from `time` on.
    pub fn before(time: UtcTime) -> Self {
        let at_us = time.as_millisecond().saturating_mul(1000).saturating_sub(1);
        Self { at_us, first: i64::MAX, second: i64::MAX }
    }
}

/// A page in the order of time, the oldest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditQuery {
    /// Only of this gallery.
    pub gallery: Option<GalleryName>,
    /// Only what comes after this place: the end of the previous page.
    pub after: TimePlace,
    /// Only what happened before this time.
    pub until: Option<UtcTime>,
    /// At most so many.
    pub limit: u32,
}

impl AuditQuery {
    /// Microseconds since 1970 before which things happened.
    pub(super) fn until_us(&self) -> Option<i64> {
        self.until.map(|until| until.as_millisecond().saturating_mul(1000))
    }
}

/// What was decided about an enrolment.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditedDecision {
    /// Where it is in the order of time.
    pub place: TimePlace,
    /// The gallery.
    pub gallery: GalleryName,
    /// When.
    pub at: UtcTime,
    /// For whom the image was enrolled.
    pub subject: SubjectName,
    /// The image.
    pub image: ImageId,
    /// The decision.
    pub decision: EnrolmentDecision,
    /// Why, where it was not accepted.
    pub codes: Vec<ReasonCode>,
    /// The job that asked last.
    pub job: JobId,
    /// The profile.
    pub profile: ProfileId,
}

/// A verdict that somebody gave.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditedVerdict {
    /// Where it is in the order of time.
    pub place: TimePlace,
    /// The gallery.
    pub gallery: GalleryName,
    /// When.
    pub at: UtcTime,
    /// Who.
    pub by: OperatorName,
    /// The curation that it belongs to.
    pub curation: CurationId,
    /// Its number.
    pub id: VerdictId,
    /// The image.
    pub image: ImageId,
    /// The verdict.
    pub verdict: Verdict,
    /// The undo that took it back.
    pub undone_by: Option<VerdictId>,
}

/// What an operator changed of a subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditedChange {
    /// Where it is in the order of time.
    pub place: TimePlace,
    /// The gallery.
    pub gallery: GalleryName,
    /// When.
    pub at: UtcTime,
    /// Who.
    pub by: OperatorName,
    /// What.
    pub change: SubjectChange,
    /// The subject; none if it is gone.
    pub subject: Option<SubjectName>,
    /// The image of the reference; none if it is gone, or the change is not about one.
    pub image: Option<ImageId>,
}

/// What was decided in galleries, in the order of time. Erasures, runs of retention and activations
/// are few: their own traits list them.
#[async_trait]
pub trait Audit: Send + Sync {
    /// Decisions about enrolments.
    ///
    /// # Errors
    /// If the store cannot be reached or used.
    async fn audited_decisions(
        &self,
        query: &AuditQuery,
    ) -> Result<Vec<AuditedDecision>, StoreError>;

    /// Verdicts.
    ///
    /// # Errors
    /// If the store cannot be reached or used.
    async fn audited_verdicts(&self, query: &AuditQuery)
    -> Result<Vec<AuditedVerdict>, StoreError>;

    /// Changes of subjects.
    ///
    /// # Errors
    /// If the store cannot be reached or used.
    async fn audited_changes(&self, query: &AuditQuery) -> Result<Vec<AuditedChange>, StoreError>;
}

row! {
    /// A decision.
    pub(super) struct AuditedDecisionRow {
        at_us: i64,
        gallery: String,
        subject_id: i64,
        subject: String,
        image_id: i64,
        decision: String,
        reasons: String,
        job_id: uuid::Uuid,
        profile_id: String,
    }
}

impl AuditedDecisionRow {
    pub(super) fn decision(self) -> Result<AuditedDecision, Fault> {
        let reasons: Vec<Reason> = serde_json::from_str(&self.reasons).map_err(corrupt)?;
        let (first, second) = (self.subject_id, self.image_id);
        Ok(AuditedDecision {
            place: TimePlace { at_us: self.at_us, first, second },
            gallery: parsed(&self.gallery)?,
            at: time(self.at_us.div_euclid(1000))?,
            subject: parsed(&self.subject)?,
            image: ImageId(self.image_id),
            decision: parsed(&self.decision)?,
            codes: reasons.into_iter().map(|reason| reason.code).collect(),
            job: JobId(self.job_id),
            profile: parsed(&self.profile_id)?,
        })
    }
}

row! {
    /// A verdict.
    pub(super) struct AuditedVerdictRow {
        at_us: i64,
        gallery: String,
        decided_by: String,
        curation_id: i64,
        id: i64,
        image_id: i64,
        verdict: String,
        subject: Option<String>,
        other_image_id: Option<i64>,
        undoes: Option<i64>,
        undone_by: Option<i64>,
    }
}

impl AuditedVerdictRow {
    pub(super) fn verdict(self) -> Result<AuditedVerdict, Fault> {
        let subject = self.subject.as_deref();
        let (first, second) = (self.curation_id, self.id);
        Ok(AuditedVerdict {
            place: TimePlace { at_us: self.at_us, first, second },
            gallery: parsed(&self.gallery)?,
            at: time(self.at_us.div_euclid(1000))?,
            by: parsed(&self.decided_by)?,
            curation: CurationId(self.curation_id),
            id: VerdictId(self.id),
            image: ImageId(self.image_id),
            verdict: verdict(&self.verdict, subject, self.other_image_id, self.undoes)?,
            undone_by: self.undone_by.map(VerdictId),
        })
    }
}

row! {
    /// A change of a subject.
    pub(super) struct AuditedChangeRow {
        at_us: i64,
        id: i64,
        gallery: String,
        changed_by: String,
        change: String,
        subject: Option<String>,
        image_id: Option<i64>,
    }
}

impl AuditedChangeRow {
    pub(super) fn change(self) -> Result<AuditedChange, Fault> {
        Ok(AuditedChange {
            place: TimePlace { at_us: self.at_us, first: self.id, second: 0 },
            gallery: parsed(&self.gallery)?,
            at: time(self.at_us.div_euclid(1000))?,
            by: parsed(&self.changed_by)?,
            change: parsed(&self.change)?,
            subject: self.subject.as_deref().map(parsed).transpose()?,
            image: self.image_id.map(ImageId),
        })
    }
}
