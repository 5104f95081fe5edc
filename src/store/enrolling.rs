//! Decides the enrolments of a batch inside its transaction, once for both backends: locks the
//! subjects, reads what is stored of them, decides, and writes decisions and references.
//!
//! [`EnrolmentProposal::decide`] makes the decision.

mod known;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use known::Known;
pub(super) use known::{merged, restored};

use super::fault::Fault;
use super::plan::Scope;
use super::rows::{DecidedRow, EnrolledJobRow, ReferenceRow, corrupt};
use super::{Recorded, StoreError};
use crate::domain::{
    Enrolment, EnrolmentDecision, EnrolmentProposal, JobId, JobRecord, Lane, ProfileId,
    ReferenceState,
};

/// How often subjects are looked for that others remove at the same moment.
const TRIES: usize = 5;

/// The gallery and the name of a subject.
pub(super) type SubjectKey<'a> = (i64, &'a str);

/// A decision to write.
pub(super) struct NewEnrolment<'a> {
    pub(super) subject: i64,
    pub(super) image: i64,
    pub(super) job: JobId,
    pub(super) profile: &'a ProfileId,
    pub(super) enrolment: Enrolment,
}

/// What was decided for a job.
pub(super) struct EnrolledJob {
    pub(super) job: JobId,
    pub(super) subject: i64,
    pub(super) image: i64,
    pub(super) decision: EnrolmentDecision,
}

/// A reference to write.
#[derive(Clone, Copy)]
pub(super) struct NewState {
    pub(super) subject: i64,
    pub(super) image: i64,
    pub(super) state: ReferenceState,
}

/// Reads and writes the rows of subjects, inside a transaction.
pub(super) trait EnrolmentTables: Send {
    /// Inserts those of these subjects that are new. The names are sorted.
    fn add_subjects(
        &mut self,
        names: &[SubjectKey<'_>],
    ) -> impl Future<Output = Result<(), Fault>> + Send;

    /// Locks these subjects until the end of the transaction, in the order of their galleries and
    /// names. Returns the index of each one's name and its id; fewer if some do not exist.
    fn lock_subjects(
        &mut self,
        names: &[SubjectKey<'_>],
    ) -> impl Future<Output = Result<Vec<(usize, i64)>, Fault>> + Send;

    /// All references of these subjects, with what the gallery's results under a profile have of
    /// them.
    fn references(
        &mut self,
        subjects: &[i64],
        gallery_profile: i64,
        profile: &ProfileId,
    ) -> impl Future<Output = Result<Vec<ReferenceRow>, Fault>> + Send;

    /// Those of these jobs whose enrolments were decided.
    fn enrolled_jobs(
        &mut self,
        jobs: &[JobId],
    ) -> impl Future<Output = Result<Vec<EnrolledJobRow>, Fault>> + Send;

    /// Writes what was decided for jobs, each at most once.
    fn write_jobs(
        &mut self,
        rows: &[EnrolledJob],
    ) -> impl Future<Output = Result<(), Fault>> + Send;

    /// The decisions about these subjects and images.
    fn decided(
        &mut self,
        keys: &[(i64, i64)],
    ) -> impl Future<Output = Result<Vec<DecidedRow>, Fault>> + Send;

    /// Those of these subjects and images of which a verdict says that the image is no reference.
    fn ruled_out(
        &mut self,
        keys: &[(i64, i64)],
    ) -> impl Future<Output = Result<Vec<(i64, i64)>, Fault>> + Send;

    /// Writes decisions. What the same job rejected of other bytes is deleted.
    fn write_enrolments(
        &mut self,
        rows: &[NewEnrolment<'_>],
    ) -> impl Future<Output = Result<(), Fault>> + Send;

    /// Notes the jobs that asked last, by subject and image, where the decision stays.
    fn note_jobs(
        &mut self,
        rows: &[((i64, i64), JobId)],
    ) -> impl Future<Output = Result<(), Fault>> + Send;

    /// Labels images with the names of subjects.
    fn set_labels(
        &mut self,
        labels: &[(i64, &str)],
    ) -> impl Future<Output = Result<(), Fault>> + Send;

    /// Writes references.
    fn write_references(
        &mut self,
        rows: &[NewState],
    ) -> impl Future<Output = Result<(), Fault>> + Send;
}

/// An enrolment of a batch.
pub(super) struct Asked<'a> {
    /// Its index in the batch.
    index: usize,
    record: &'a JobRecord,
    proposal: &'a EnrolmentProposal,
    /// The subject that the job names.
    named: SubjectKey<'a>,
    gallery_profile: i64,
    /// The id and the name of the subject. They are those of an earlier decision for the job, if
    /// there is one: it may have been renamed since. None if it was removed since.
    subject: Option<(i64, String)>,
    /// The image that was decided about for this job.
    decided_image: Option<i64>,
}

/// The enrolments among `records`. Scans that name subjects do not enrol.
fn asked<'a>(records: &'a [JobRecord], scopes: &[Scope]) -> Vec<Asked<'a>> {
    let asked = records.iter().zip(scopes).enumerate().filter_map(|(index, (record, scope))| {
        let subject = record.job.subject.as_ref().filter(|_| record.job.lane == Lane::Enrol)?;
        Some(Asked {
            index,
            record,
            proposal: record.enrolment.as_ref()?,
            named: (scope.gallery, subject.as_str()),
            gallery_profile: scope.gallery_profile,
            subject: None,
            decided_image: None,
        })
    });
    asked.collect()
}

/// The enrolments of a batch, with their subjects locked; new ones are inserted. Runs before any
/// image is written, in the order of locks of those who rename subjects.
pub(super) async fn lock_asked<'a>(
    tables: &mut impl EnrolmentTables,
    records: &'a [JobRecord],
    scopes: &[Scope],
) -> Result<Vec<Asked<'a>>, Fault> {
    let mut asked = asked(records, scopes);
    for _ in 0..TRIES {
        if asked.is_empty() || try_lock(tables, &mut asked).await? {
            return Ok(asked);
        }
    }
    let reason = "subjects are renamed or removed while they are enrolled".to_owned();
    Err(StoreError::Unavailable(reason).into())
}

/// Whether all subjects were found and locked: others may change them at the same moment.
async fn try_lock(
    tables: &mut impl EnrolmentTables,
    asked: &mut [Asked<'_>],
) -> Result<bool, Fault> {
    let jobs: Vec<JobId> = asked.iter().map(|each| each.record.job.id).collect();
    let earlier: HashMap<JobId, EnrolledJobRow> = tables
        .enrolled_jobs(&jobs)
        .await?
        .into_iter()
        .map(|row| (JobId(row.job_id), row))
        .collect();
    let first = asked.iter().filter(|each| !earlier.contains_key(&each.record.job.id));
    let mut keys: BTreeSet<SubjectKey<'_>> = first.map(|each| each.named).collect();
    if !keys.is_empty() {
        tables.add_subjects(&keys.iter().copied().collect::<Vec<_>>()).await?;
    }
    keys.extend(earlier.values().filter_map(EnrolledJobRow::subject).map(|(key, _)| key));
    let keys: Vec<SubjectKey<'_>> = keys.into_iter().collect();
    let found = tables.lock_subjects(&keys).await?;
    let with_key = |(place, id): (usize, i64)| Some((*keys.get(place)?, id));
    let locked: HashMap<SubjectKey<'_>, i64> = found
        .into_iter()
        .map(with_key)
        .collect::<Option<_>>()
        .ok_or_else(|| corrupt("a subject that was not asked for"))?;
    for each in asked {
        let earlier = earlier.get(&each.record.job.id);
        each.decided_image = earlier.map(|row| row.image_id);
        let (key, expected) = match earlier.map(EnrolledJobRow::subject) {
            None => (each.named, None),
            Some(Some((key, id))) => (key, Some(id)),
            Some(None) => {
                each.subject = None;
                continue;
            }
        };
        let Some(&id) = locked.get(&key).filter(|&&id| expected.is_none_or(|it| it == id)) else {
            return Ok(false);
        };
        each.subject = Some((id, key.1.to_owned()));
    }
    Ok(true)
}

/// Decides the enrolments of a batch and puts the decisions into `recorded`. For a job of a subject
/// that was removed, nothing is decided.
pub(super) async fn enrol(
    tables: &mut impl EnrolmentTables,
    asked: Vec<Asked<'_>>,
    recorded: &mut [Recorded],
) -> Result<(), Fault> {
    // Nearly always one.
    let mut by_profile: BTreeMap<i64, Vec<Asked<'_>>> = BTreeMap::new();
    for each in asked {
        by_profile.entry(each.gallery_profile).or_default().push(each);
    }
    for of_profile in by_profile.into_values() {
        enrol_under_profile(tables, &of_profile, recorded).await?;
    }
    Ok(())
}

async fn enrol_under_profile(
    tables: &mut impl EnrolmentTables,
    asked: &[Asked<'_>],
    recorded: &mut [Recorded],
) -> Result<(), Fault> {
    let Some(first) = asked.first() else { return Ok(()) };
    let with_keys: Vec<(&Asked<'_>, (i64, i64))> = asked
        .iter()
        .filter_map(|each| {
            let (subject, _) = each.subject.as_ref()?;
            Some((each, (*subject, recorded[each.index].image.0)))
        })
        .collect();
    let keys: Vec<(i64, i64)> = with_keys.iter().map(|(_, key)| *key).collect();
    let mut known =
        Known::read(tables, &keys, first.gallery_profile, &first.record.profile).await?;
    let mut changes = EnrolmentChanges::default();
    for (each, key) in with_keys {
        let enrolment = if let Some((asks_again, stored)) = known.standing(each, key) {
            if asks_again {
                changes.note_job(each, key, &stored);
            }
            stored
        } else {
            let enrolment = known.decide(each, key, &mut changes.states);
            changes.add(each, key, &enrolment);
            enrolment
        };
        recorded[each.index].enrolment = Some(enrolment);
    }
    changes.write(tables).await
}

/// What a batch changes, by subject and image.
#[derive(Default)]
struct EnrolmentChanges<'a> {
    enrolments: BTreeMap<(i64, i64), NewEnrolment<'a>>,
    /// Decisions that stay, and who asked again.
    noted: BTreeMap<(i64, i64), JobId>,
    states: BTreeMap<(i64, i64), ReferenceState>,
    /// The subjects of accepted images, by image.
    labels: BTreeMap<i64, &'a str>,
    jobs: BTreeMap<JobId, EnrolledJob>,
}

impl<'a> EnrolmentChanges<'a> {
    /// A decision that was made for a job.
    fn add(&mut self, asked: &'a Asked<'_>, key: (i64, i64), enrolment: &Enrolment) {
        let ((subject, image), job) = (key, asked.record.job.id);
        let (profile, enrolment_to_write) = (&asked.record.profile, enrolment.clone());
        let new = NewEnrolment { subject, image, job, profile, enrolment: enrolment_to_write };
        self.enrolments.insert(key, new);
        self.answered(asked, key, enrolment);
    }

    /// A decision that stays, for another job than before.
    fn note_job(&mut self, asked: &'a Asked<'_>, key: (i64, i64), enrolment: &Enrolment) {
        let job = asked.record.job.id;
        match self.enrolments.get_mut(&key) {
            Some(new) => new.job = job,
            None => drop(self.noted.insert(key, job)),
        }
        self.answered(asked, key, enrolment);
    }

    fn answered(&mut self, asked: &'a Asked<'_>, key: (i64, i64), enrolment: &Enrolment) {
        let ((subject, image), job) = (key, asked.record.job.id);
        let decision = enrolment.decision;
        self.jobs.insert(job, EnrolledJob { job, subject, image, decision });
        // An image that is refused keeps the label that it has: it may be somebody else's.
        if let Some((_, name)) = asked.subject.as_ref()
            && decision == EnrolmentDecision::Accepted
        {
            self.labels.insert(image, name);
        }
    }

    async fn write(self, tables: &mut impl EnrolmentTables) -> Result<(), Fault> {
        let state = |((subject, image), state)| NewState { subject, image, state };
        let states: Vec<NewState> = self.states.into_iter().map(state).collect();
        if !states.is_empty() {
            tables.write_references(&states).await?;
        }
        if !self.enrolments.is_empty() {
            let enrolments: Vec<_> = self.enrolments.into_values().collect();
            tables.write_enrolments(&enrolments).await?;
        }
        if !self.noted.is_empty() {
            tables.note_jobs(&self.noted.into_iter().collect::<Vec<_>>()).await?;
        }
        if !self.labels.is_empty() {
            tables.set_labels(&self.labels.into_iter().collect::<Vec<_>>()).await?;
        }
        if !self.jobs.is_empty() {
            tables.write_jobs(&self.jobs.into_values().collect::<Vec<_>>()).await?;
        }
        Ok(())
    }
}
