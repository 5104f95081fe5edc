//! What is stored of the subjects of a batch, with what the batch changed so far.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::{Asked, EnrolmentTables};
use crate::domain::{
    Enrolment, EnrolmentDecision, ImageId, JobId, NewReference, ProfileId, ReasonCode,
    ReferenceChange, ReferenceRules, ReferenceState, SetAsideReason, SubjectReference,
};
use crate::store::fault::Fault;
use crate::store::rows::ReferenceRow;

/// References by subject; decisions by subject and image, with the job that asked last.
pub(super) struct Known {
    references: HashMap<i64, Vec<SubjectReference>>,
    decided: HashMap<(i64, i64), (JobId, Enrolment)>,
    /// Subjects and images of which a verdict says that the image is no reference.
    ruled_out: HashSet<(i64, i64)>,
}

impl Known {
    /// Reads what is stored of these subjects and images.
    pub(super) async fn read(
        tables: &mut impl EnrolmentTables,
        keys: &[(i64, i64)],
        gallery_profile: i64,
        profile: &ProfileId,
    ) -> Result<Self, Fault> {
        let subjects: BTreeSet<i64> = keys.iter().map(|(subject, _)| *subject).collect();
        let subjects: Vec<i64> = subjects.into_iter().collect();
        let mut known =
            Self { references: HashMap::new(), decided: HashMap::new(), ruled_out: HashSet::new() };
        if subjects.is_empty() {
            return Ok(known);
        }
        for row in tables.references(&subjects, gallery_profile, profile).await? {
            known.references.entry(row.subject_id).or_default().push(row.reference()?);
        }
        for row in tables.decided(keys).await? {
            known.decided.insert(row.key(), row.decided()?);
        }
        known.ruled_out.extend(tables.ruled_out(keys).await?);
        Ok(known)
    }

    /// The decision that stays, and whether another job asks for it than before. It stays for a job
    /// for which the image was decided about already; if the image was accepted, and still has a
    /// face to find the subject by (an operator may have set its reference aside since); if an
    /// operator reviewed and refused it; or if no bytes came to decide about.
    pub(super) fn standing(
        &mut self,
        asked: &Asked<'_>,
        key: (i64, i64),
    ) -> Option<(bool, Enrolment)> {
        let (record, job) = (asked.record, asked.record.job.id);
        let refused = self.is_refused(key);
        let (asked_last, stored) = self.decided.get_mut(&key)?;
        if *asked_last == job || asked.decided_image == Some(key.1) {
            return Some((false, stored.clone()));
        }
        let is_about_bytes =
            stored.reasons.iter().all(|reason| reason.code != ReasonCode::Unreadable);
        let stays = record.content.is_none() && is_about_bytes
            || NewReference::of(record).is_some() && stored.decision == EnrolmentDecision::Accepted
            || refused && stored.decision == EnrolmentDecision::Rejected;
        stays.then(|| {
            *asked_last = job;
            (true, stored.clone())
        })
    }

    /// Whether an operator set the image aside of its subject.
    fn is_refused(&self, (subject, image): (i64, i64)) -> bool {
        let by_operator = ReferenceState::SetAside(SetAsideReason::Operator);
        let mut references = self.references.get(&subject).into_iter().flatten();
        references.any(|each| each.image.0 == image && each.state == by_operator)
    }

    /// The change that a verdict leaves: what is ruled out takes no other reference's place.
    fn allowed(&self, key: (i64, i64), change: ReferenceChange) -> ReferenceChange {
        match change {
            ReferenceChange::SetAside(_) => change,
            _ if self.ruled_out.contains(&key) => {
                ReferenceChange::SetAside(SetAsideReason::Verdict)
            }
            _ => change,
        }
    }

    /// Decides about one enrolment; notes in `states` which references change.
    pub(super) fn decide(
        &mut self,
        asked: &Asked<'_>,
        key: (i64, i64),
        states: &mut BTreeMap<(i64, i64), ReferenceState>,
    ) -> Enrolment {
        let (subject, image) = key;
        let (own, mut references): (Vec<_>, Vec<_>) = self
            .references
            .remove(&subject)
            .unwrap_or_default()
            .into_iter()
            .partition(|each| each.image.0 == image);
        let new = NewReference::of(asked.record);
        let of_others = self.references.values().flatten();
        let decided = asked.proposal.decide(new.as_ref(), &references, of_others);
        // An operator restored it, or set it aside.
        let is_settled = own.iter().any(|each| match each.state {
            ReferenceState::Active => true,
            ReferenceState::SetAside(reason) => {
                matches!(reason, SetAsideReason::Operator | SetAsideReason::Verdict)
            }
        });
        let change = decided.change.map(|change| self.allowed(key, change));
        match change.zip(new) {
            _ if is_settled => references.extend(own),
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
        self.references.insert(subject, references);
        self.decided.insert(key, (asked.record.job.id, decided.enrolment.clone()));
        decided.enrolment
    }
}

/// What changes among the references of a subject, of which those of the images `back` are active
/// again, the best first: where there is no room, one is chosen as if it were new.
pub(in crate::store) fn restored(
    rows: Vec<ReferenceRow>,
    back: &BTreeSet<ImageId>,
    rules: &ReferenceRules,
) -> Result<Vec<(ImageId, ReferenceState)>, Fault> {
    let references = rows.into_iter().map(ReferenceRow::reference);
    let mut active: Vec<SubjectReference> = references.collect::<Result<_, _>>()?;
    active.retain(|each| each.state == ReferenceState::Active && each.template.is_some());
    let (mut back, mut active): (Vec<_>, Vec<_>) =
        active.into_iter().partition(|each| back.contains(&each.image));
    back.sort_by_key(|each| (Reverse(each.quality), each.image));
    let mut changes = Vec::new();
    for reference in back {
        let new = reference.as_new().filter(|_| active.len() >= rules.most);
        match new.map(|new| rules.choose(&active, &new)) {
            Some(ReferenceChange::SetAside(reason)) => {
                changes.push((reference.image, ReferenceState::SetAside(reason)));
                continue;
            }
            Some(ReferenceChange::Replace(old)) => {
                active.retain(|each| each.image != old);
                changes.push((old, ReferenceState::SetAside(SetAsideReason::Replaced)));
            }
            Some(ReferenceChange::Take) | None => {}
        }
        active.push(reference);
    }
    Ok(changes)
}

/// The states of the references of two subjects that become one, by image: chosen anew among the
/// active ones. What was set aside stays so; of an image of both, the active one counts.
pub(in crate::store) fn merged(
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
