//! Decides the enrolments of a batch inside its transaction, once for both backends: locks the
//! subjects, reads what is stored of them, decides, and writes decisions and references.
//!
//! [`EnrolmentProposal::decide`] makes the decision.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::fault::Fault;
use super::plan::Scope;
use super::rows::{DecidedRow, ReferenceRow, corrupt};
use super::{Recorded, StoreError};
use crate::domain::{
    Enrolment, EnrolmentDecision, EnrolmentProposal, ImageId, JobId, JobRecord, Lane, NewReference,
    ProfileId, ReferenceChange, ReferenceRules, ReferenceState, SetAsideReason, SubjectReference,
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

    /// The decisions about these subjects and images.
    fn decided(
        &mut self,
        keys: &[(i64, i64)],
    ) -> impl Future<Output = Result<Vec<DecidedRow>, Fault>> + Send;

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

    /// Writes references.
    fn write_references(
        &mut self,
        rows: &[NewState],
    ) -> impl Future<Output = Result<(), Fault>> + Send;
}

/// An enrolment of a batch.
struct Asked<'a> {
    /// Its index in the batch.
    index: usize,
    record: &'a JobRecord,
    proposal: &'a EnrolmentProposal,
    key: SubjectKey<'a>,
    gallery_profile: i64,
    /// Its stored image.
    image: i64,
}

/// The enrolments among `records`. Scans that name subjects do not enrol.
fn asked<'a>(records: &'a [JobRecord], scopes: &[Scope], recorded: &[Recorded]) -> Vec<Asked<'a>> {
    let parts = records.iter().zip(scopes).zip(recorded).enumerate();
    let asked = parts.filter_map(|(index, ((record, scope), recorded))| {
        let subject = record.job.subject.as_ref().filter(|_| record.job.lane == Lane::Enrol)?;
        Some(Asked {
            index,
            record,
            proposal: record.enrolment.as_ref()?,
            key: (scope.gallery, subject.as_str()),
            gallery_profile: scope.gallery_profile,
            image: recorded.image.0,
        })
    });
    asked.collect()
}

/// Decides the enrolments of a batch and puts the decisions into `recorded`.
pub(super) async fn enrol(
    tables: &mut impl EnrolmentTables,
    records: &[JobRecord],
    scopes: &[Scope],
    recorded: &mut [Recorded],
) -> Result<(), Fault> {
    let asked = asked(records, scopes, recorded);
    if asked.is_empty() {
        return Ok(());
    }
    let names: BTreeSet<SubjectKey<'_>> = asked.iter().map(|each| each.key).collect();
    let subjects = locked(tables, &names.into_iter().collect::<Vec<_>>()).await?;
    // Nearly always one.
    let mut by_profile: BTreeMap<i64, Vec<Asked<'_>>> = BTreeMap::new();
    for each in asked {
        by_profile.entry(each.gallery_profile).or_default().push(each);
    }
    for of_profile in by_profile.into_values() {
        enrol_under_profile(tables, &of_profile, &subjects, recorded).await?;
    }
    Ok(())
}

/// The ids of these subjects, which are sorted, with their rows locked; new ones are inserted.
async fn locked<'a>(
    tables: &mut impl EnrolmentTables,
    names: &[SubjectKey<'a>],
) -> Result<HashMap<SubjectKey<'a>, i64>, Fault> {
    for _ in 0..TRIES {
        tables.add_subjects(names).await?;
        let found = tables.lock_subjects(names).await?;
        if found.len() == names.len() {
            let with_name = |(place, id): (usize, i64)| Some((*names.get(place)?, id));
            let subjects = found.into_iter().map(with_name).collect::<Option<_>>();
            return subjects.ok_or_else(|| corrupt("a subject that was not asked for"));
        }
    }
    let reason = "subjects are renamed or removed while they are enrolled".to_owned();
    Err(StoreError::Unavailable(reason).into())
}

/// What is stored of the subjects, with what the batch changed so far.
struct Known {
    references: HashMap<i64, Vec<SubjectReference>>,
    decided: HashMap<(i64, i64), (JobId, Enrolment)>,
}

async fn enrol_under_profile(
    tables: &mut impl EnrolmentTables,
    asked: &[Asked<'_>],
    subjects: &HashMap<SubjectKey<'_>, i64>,
    recorded: &mut [Recorded],
) -> Result<(), Fault> {
    let Some(first) = asked.first() else { return Ok(()) };
    let subject_of = |each: &Asked<'_>| {
        subjects.get(&each.key).copied().ok_or_else(|| corrupt("a subject that was not locked"))
    };
    let keys: Vec<(i64, i64)> = asked
        .iter()
        .map(|each| Ok((subject_of(each)?, each.image)))
        .collect::<Result<_, Fault>>()?;
    let ids: BTreeSet<i64> = keys.iter().map(|(subject, _)| *subject).collect();
    let ids: Vec<i64> = ids.into_iter().collect();
    let mut known = Known { references: HashMap::new(), decided: HashMap::new() };
    for row in tables.references(&ids, first.gallery_profile, &first.record.profile).await? {
        known.references.entry(row.subject_id).or_default().push(row.reference()?);
    }
    for row in tables.decided(&keys).await? {
        known.decided.insert(row.key(), row.decided()?);
    }
    let mut changes = EnrolmentChanges::default();
    for (each, key) in asked.iter().zip(keys) {
        let job = each.record.job.id;
        let enrolment = match known.standing(job, key) {
            Some((asked_last, stored)) => {
                if asked_last != job {
                    changes.note_job(key, job);
                }
                stored
            }
            None => {
                let enrolment = known.decide(each, key, &mut changes.states);
                let ((subject, image), profile) = (key, &each.record.profile);
                let new = enrolment.clone();
                let new = NewEnrolment { subject, image, job, profile, enrolment: new };
                changes.enrolments.insert(key, new);
                enrolment
            }
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
    jobs: BTreeMap<(i64, i64), JobId>,
    states: BTreeMap<(i64, i64), ReferenceState>,
}

impl EnrolmentChanges<'_> {
    fn note_job(&mut self, key: (i64, i64), job: JobId) {
        match self.enrolments.get_mut(&key) {
            Some(new) => new.job = job,
            None => drop(self.jobs.insert(key, job)),
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
        if !self.jobs.is_empty() {
            tables.note_jobs(&self.jobs.into_iter().collect::<Vec<_>>()).await?;
        }
        Ok(())
    }
}

impl Known {
    /// The decision that stays, and the job that asked for it last: if that is `job`, or if the
    /// image was accepted. An operator may have set its reference aside since.
    fn standing(&mut self, job: JobId, key: (i64, i64)) -> Option<(JobId, Enrolment)> {
        let (asked_last, stored) = self.decided.get_mut(&key)?;
        let stays = *asked_last == job || stored.decision == EnrolmentDecision::Accepted;
        stays.then(|| (std::mem::replace(asked_last, job), stored.clone()))
    }

    /// Decides about one enrolment; notes in `states` which references change.
    fn decide(
        &mut self,
        asked: &Asked<'_>,
        key: (i64, i64),
        states: &mut BTreeMap<(i64, i64), ReferenceState>,
    ) -> Enrolment {
        let (subject, image) = key;
        let references = self.references.entry(subject).or_default();
        let (own, others): (Vec<_>, Vec<_>) =
            std::mem::take(references).into_iter().partition(|each| each.image.0 == image);
        let new = NewReference::of(asked.record);
        let decided = asked.proposal.decide(new.as_ref(), &others);
        *references = others;
        let was_active = own.iter().any(|each| each.state == ReferenceState::Active);
        match decided.change.zip(new) {
            // An operator restored it.
            _ if was_active => references.extend(own),
            None => references.extend(own),
            Some((change, new)) => {
                let mut set = |image: ImageId, state| {
                    states.insert((subject, image.0), state);
                };
                let state = match change {
                    ReferenceChange::Take => ReferenceState::Active,
                    ReferenceChange::SetAside(reason) => ReferenceState::SetAside(reason),
                    ReferenceChange::Replace(old) => {
                        let replaced = ReferenceState::SetAside(SetAsideReason::Replaced);
                        references
                            .iter_mut()
                            .filter(|each| each.image == old)
                            .for_each(|each| each.state = replaced);
                        set(old, replaced);
                        ReferenceState::Active
                    }
                };
                set(ImageId(image), state);
                references.push(SubjectReference {
                    image: ImageId(image),
                    state,
                    hash: new.hash,
                    quality: Some(new.quality),
                    template: Some(new.template),
                });
            }
        }
        self.decided.insert(key, (asked.record.job.id, decided.enrolment.clone()));
        decided.enrolment
    }
}

/// The states of the references of two subjects that become one, by image: chosen anew among the
/// active ones. What was set aside stays so; of an image of both, the active one counts.
pub(super) fn merged(
    rows: Vec<ReferenceRow>,
    rules: &ReferenceRules,
) -> Result<Vec<(ImageId, ReferenceState)>, Fault> {
    let mut by_image: BTreeMap<ImageId, SubjectReference> = BTreeMap::new();
    for row in rows {
        let reference = row.reference()?;
        let known = by_image.entry(reference.image).or_insert_with(|| reference.clone());
        if reference.state == ReferenceState::Active {
            *known = reference;
        }
    }
    let (active, aside): (Vec<_>, Vec<_>) =
        by_image.into_values().partition(|each| each.state == ReferenceState::Active);
    let mut states = rules.choose_anew(active);
    states.extend(aside.into_iter().map(|each| (each.image, each.state)));
    Ok(states)
}
