//! Rows of subjects, references and enrolments.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use uuid::Uuid;

use super::{corrupt, hash, parsed, time, unsigned};
use crate::domain::{
    Enrolment, ImageId, JobId, Reason, ReferenceState, SubjectReference, Template,
};
use crate::store::fault::Fault;
use crate::store::halves::Halves;
use crate::store::row::row;
use crate::store::{
    EnrolmentCounts, LookAlike, ReferenceTemplate, StoredEnrolment, StoredReference, StoredSubject,
    SubjectSummary,
};

row! {
    /// A place in a list of keys, with the row that was found for it.
    pub(in crate::store) struct SubjectIdRow {
        pub(in crate::store) place: i64,
        pub(in crate::store) id: i64,
    }
}

row! {
    /// A reference of a subject, with the face under one profile.
    pub(in crate::store) struct ReferenceRow {
        pub(in crate::store) subject_id: i64,
        image_id: i64,
        set_aside: Option<String>,
        content_hash: Vec<u8>,
        quality: Option<i16>,
        template: Option<Halves>,
    }
}

/// The state of a reference: none is active.
fn state(set_aside: Option<&str>) -> Result<ReferenceState, Fault> {
    match set_aside {
        None => Ok(ReferenceState::Active),
        Some(reason) => Ok(ReferenceState::SetAside(parsed(reason)?)),
    }
}

/// The column of a state.
pub(in crate::store) fn set_aside(state: ReferenceState) -> Option<&'static str> {
    match state {
        ReferenceState::Active => None,
        ReferenceState::SetAside(reason) => Some(reason.as_str()),
    }
}

impl ReferenceRow {
    pub(in crate::store) fn reference(self) -> Result<SubjectReference, Fault> {
        let image = ImageId(self.image_id);
        Ok(SubjectReference {
            image,
            state: state(self.set_aside.as_deref())?,
            hash: hash(&self.content_hash)?,
            quality: unsigned(self.quality)?,
            template: self.template.and_then(|halves| template(image, &halves)),
        })
    }
}

/// The template of a reference. One that cannot be read is left out and logged once: whoever is
/// enrolled meanwhile is not to blame for it, and waiting would not mend it.
fn template(image: ImageId, halves: &Halves) -> Option<Template> {
    static LOGGED: Mutex<BTreeSet<ImageId>> = Mutex::new(BTreeSet::new());
    let error = match halves.template() {
        Ok(template) => return Some(template),
        Err(error) => error,
    };
    if LOGGED.lock().unwrap_or_else(PoisonError::into_inner).insert(image) {
        tracing::error!(
            %image, %error, "the template of a reference cannot be read: faces are not compared \
                with it. Set it aside with `facefleet subject set-aside`, and enrol another image"
        );
    }
    None
}

row! {
    /// The decision of an enrolment.
    pub(in crate::store) struct DecidedRow {
        subject_id: i64,
        image_id: i64,
        job_id: Uuid,
        decision: String,
        reasons: String,
    }
}

impl DecidedRow {
    /// The subject and the image.
    pub(in crate::store) fn key(&self) -> (i64, i64) {
        (self.subject_id, self.image_id)
    }

    /// The job that asked last, and the decision.
    pub(in crate::store) fn decided(self) -> Result<(JobId, Enrolment), Fault> {
        Ok((JobId(self.job_id), enrolment(&self.decision, &self.reasons)?))
    }
}

pub(super) fn enrolment(decision: &str, reasons: &str) -> Result<Enrolment, Fault> {
    let reasons: Vec<Reason> = serde_json::from_str(reasons).map_err(corrupt)?;
    Ok(Enrolment { decision: parsed(decision)?, reasons })
}

row! {
    /// A job whose enrolment was decided, with its image. The subject is none if it was removed.
    pub(in crate::store) struct EnrolledJobRow {
        pub(in crate::store) job_id: Uuid,
        pub(in crate::store) image_id: i64,
        subject_id: Option<i64>,
        gallery_id: Option<i64>,
        name: Option<String>,
    }
}

impl EnrolledJobRow {
    /// The gallery, the name and the id of the subject.
    pub(in crate::store) fn subject(&self) -> Option<((i64, &str), i64)> {
        Some(((self.gallery_id?, self.name.as_deref()?), self.subject_id?))
    }
}

row! {
    /// An enrolment with its image.
    pub(in crate::store) struct EnrolmentRow {
        image_id: i64,
        uri: String,
        subject: String,
        job_id: Uuid,
        profile_id: String,
        decision: String,
        reasons: String,
        decided_at_ms: i64,
    }
}

impl EnrolmentRow {
    pub(in crate::store) fn enrolment(self) -> Result<StoredEnrolment, Fault> {
        Ok(StoredEnrolment {
            image: ImageId(self.image_id),
            uri: parsed(&self.uri)?,
            subject: parsed(&self.subject)?,
            job: JobId(self.job_id),
            profile: parsed(&self.profile_id)?,
            enrolment: enrolment(&self.decision, &self.reasons)?,
            decided_at: time(self.decided_at_ms)?,
        })
    }
}

row! {
    /// A subject with its counts.
    pub(in crate::store) struct SubjectRow {
        pub(in crate::store) id: i64,
        name: String,
        created_at_ms: i64,
        active: i64,
        set_aside: i64,
        accepted: i64,
        review: i64,
        rejected: i64,
        without_template: i64,
    }
}

fn count(number: i64) -> Result<u64, Fault> {
    number.try_into().map_err(corrupt)
}

impl SubjectRow {
    /// The subject with these references and enrolments.
    pub(in crate::store) fn subject(
        self,
        references: Vec<StoredReferenceRow>,
        enrolments: Vec<EnrolmentRow>,
    ) -> Result<StoredSubject, Fault> {
        let references = references.into_iter().map(StoredReferenceRow::reference);
        let enrolments = enrolments.into_iter().map(EnrolmentRow::enrolment);
        Ok(StoredSubject {
            summary: self.summary()?,
            references: references.collect::<Result<_, _>>()?,
            enrolments: enrolments.collect::<Result<_, _>>()?,
        })
    }

    pub(in crate::store) fn summary(self) -> Result<SubjectSummary, Fault> {
        Ok(SubjectSummary {
            name: parsed(&self.name)?,
            created_at: time(self.created_at_ms)?,
            references: count(self.active)?,
            set_aside: count(self.set_aside)?,
            accepted: count(self.accepted)?,
            review: count(self.review)?,
            rejected: count(self.rejected)?,
            without_template: count(self.without_template)?,
        })
    }
}

row! {
    /// A reference with its image.
    pub(in crate::store) struct StoredReferenceRow {
        image_id: i64,
        uri: String,
        set_aside: Option<String>,
        since_ms: i64,
        has_template: bool,
    }
}

impl StoredReferenceRow {
    pub(in crate::store) fn reference(self) -> Result<StoredReference, Fault> {
        Ok(StoredReference {
            image: ImageId(self.image_id),
            uri: parsed(&self.uri)?,
            state: state(self.set_aside.as_deref())?,
            since: time(self.since_ms)?,
            has_template: self.has_template,
        })
    }
}

row! {
    /// An active reference with its template.
    pub(in crate::store) struct ReferenceTemplateRow {
        subject: String,
        image_id: i64,
        quality: i16,
        template: Halves,
    }
}

/// The references whose templates can be read.
pub(in crate::store) fn reference_templates(
    rows: Vec<ReferenceTemplateRow>,
) -> Result<Vec<ReferenceTemplate>, Fault> {
    let readable = rows.into_iter().filter_map(|row| {
        let image = ImageId(row.image_id);
        let template = template(image, &row.template)?;
        Some((row.subject, image, row.quality, template))
    });
    let reference = |(subject, image, quality, template): (String, ImageId, i16, Template)| {
        let quality = quality.try_into().map_err(corrupt)?;
        Ok(ReferenceTemplate { subject: parsed(&subject)?, image, quality, template })
    };
    readable.map(reference).collect()
}

row! {
    /// The reference that is most similar to a probe.
    pub(in crate::store) struct LookAlikeRow {
        place: i64,
        image_id: i64,
        similarity: f64,
    }
}

/// The rows by their places among `probes`.
pub(in crate::store) fn look_alikes(
    probes: usize,
    rows: Vec<LookAlikeRow>,
) -> Result<Vec<Option<LookAlike>>, Fault> {
    let mut found = vec![None; probes];
    for LookAlikeRow { place, image_id, similarity } in rows {
        let of_probe = usize::try_from(place).ok().and_then(|place| found.get_mut(place));
        *of_probe.ok_or_else(|| corrupt("a probe that was not asked for"))? =
            Some(LookAlike { image: ImageId(image_id), similarity });
    }
    Ok(found)
}

row! {
    /// The enrolments of a campaign.
    pub(in crate::store) struct EnrolmentCountsRow {
        accepted: i64,
        accepted_references: i64,
        ruled_out: i64,
        review: i64,
        rejected: i64,
        subjects: i64,
        enrolled_subjects: i64,
    }
}

impl EnrolmentCountsRow {
    pub(in crate::store) fn counts(self) -> Result<EnrolmentCounts, Fault> {
        Ok(EnrolmentCounts {
            accepted: count(self.accepted)?,
            references: count(self.accepted_references)?,
            ruled_out: count(self.ruled_out)?,
            review: count(self.review)?,
            rejected: count(self.rejected)?,
            subjects: count(self.subjects)?,
            enrolled_subjects: count(self.enrolled_subjects)?,
        })
    }
}
