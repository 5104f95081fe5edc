//! Decides what a batch writes, once for both backends: from the records and from what the store
//! holds of their images to the rows to insert and update. Contains no SQL.
//! [`Results::record`](super::Results::record) documents the rules.

use std::collections::HashMap;
use std::vec::IntoIter;

use super::encoding::hash_key;
use super::rows::corrupt;
use super::{Effect, Recorded, fault::Fault};
use crate::domain::{
    ContentHash, End, GalleryName, ImageId, ImageUri, JobId, JobRecord, Lane, OutcomeKind,
    SubjectName,
};

/// Splits a batch into rounds that hold each gallery and URI at most once: within a round, no
/// record changes what another one finds. Nearly every batch is one round. Returns indexes into
/// `records`.
pub(super) fn rounds(records: &[JobRecord]) -> Vec<Vec<usize>> {
    let mut seen: HashMap<(&GalleryName, &ImageUri), usize> = HashMap::with_capacity(records.len());
    let mut rounds: Vec<Vec<usize>> = Vec::new();
    for (index, record) in records.iter().enumerate() {
        let round = seen.entry((&record.job.gallery, &record.job.image)).or_default();
        if *round == rounds.len() {
            rounds.push(Vec::new());
        }
        rounds[*round].push(index);
        *round += 1;
    }
    rounds
}

/// The row ids of a gallery, and of the gallery together with a profile.
#[derive(Clone, Copy)]
pub(super) struct Scope {
    pub(super) gallery: i64,
    pub(super) gallery_profile: i64,
}

/// A record of a round.
pub(super) struct Item<'a> {
    /// Its index in the batch.
    pub(super) index: usize,
    pub(super) record: &'a JobRecord,
    /// The canonical text of its selection.
    pub(super) selection: &'a str,
    pub(super) scope: Scope,
}

impl<'a> Item<'a> {
    fn hash(&self) -> &'a [u8] {
        hash_key(self.record.content.as_ref())
    }

    /// Whether its bytes are not those of its image any more. Only what comes from the chip cache
    /// may be so: nobody read the image for it. An attempt that failed has no bytes.
    fn is_past(&self, stored: &[StoredVersion]) -> bool {
        let is_current = |version: &&StoredVersion| {
            let current = version.result.as_ref().is_some_and(|result| !result.superseded);
            current && !version.hash.is_empty()
        };
        let mut current = stored.iter().filter(is_current).peekable();
        self.record.from_chips
            && self.record.content.is_some()
            && current.peek().is_some()
            && current.all(|version| version.hash != self.hash())
    }

    fn stamp(&self) -> Option<&'a str> {
        self.record.job.stamp.as_ref().map(|stamp| stamp.as_str())
    }
}

/// A stored image with the URI of an item, and one of its results.
pub(super) struct StoredVersion {
    pub(super) image: i64,
    /// Empty if no bytes came.
    pub(super) hash: Vec<u8>,
    /// A listing did not find it, or a verdict says that it is gone.
    pub(super) missing: bool,
    pub(super) result: Option<StoredResult>,
}

pub(super) struct StoredResult {
    pub(super) id: i64,
    pub(super) gallery_profile: i64,
    pub(super) superseded: bool,
    /// It is a note next to the current result of its URI.
    pub(super) noted: bool,
    pub(super) outcome: OutcomeKind,
    pub(super) selection: String,
    pub(super) stamp: Option<String>,
    pub(super) job: JobId,
}

impl StoredVersion {
    fn result_under(&self, gallery_profile: i64) -> Option<&StoredResult> {
        self.result.as_ref().filter(|result| result.gallery_profile == gallery_profile)
    }
}

impl StoredResult {
    fn is_final_for(&self, item: &Item<'_>) -> bool {
        self.outcome.is_final() && self.selection == item.selection
    }

    /// Its id, if its outcome is not the one of `item`.
    fn if_other_outcome(&self, item: &Item<'_>) -> Option<i64> {
        (self.outcome != item.record.outcome.kind()).then_some(self.id)
    }
}

/// What to do with one record.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Decision {
    /// Write no result. `restamp`: the result whose listed version changes. `ended`: the final
    /// result, if it has another outcome than the record.
    Repeat { image: i64, restamp: Option<i64>, ended: Option<i64> },
    /// The bytes of a superseded result came back: make it current.
    Revive { image: i64, result: i64, restamp: Option<i64> },
    /// Write a result: to these rows if they exist. `noted`: as a note next to the current result.
    Write { image: Option<i64>, result: Option<i64>, noted: bool },
}

/// What to do with `item`; `stored` are all versions of its URI in its gallery.
pub(super) fn decide(item: &Item<'_>, stored: &[StoredVersion]) -> Decision {
    let profile = item.scope.gallery_profile;
    let has_bytes = !item.hash().is_empty();
    let same_bytes = stored.iter().filter(|version| version.hash == item.hash());
    let own = same_bytes
        .clone()
        .find_map(|version| Some((version.image, version.result_under(profile)?)));
    // An outcome without bytes is final for its own job alone: another job is another attempt.
    let repeated = own.filter(|(_, result)| {
        result.is_final_for(item) && (has_bytes || result.job == item.record.job.id)
    });
    if let Some((image, result)) = repeated {
        // Without a look at the source, the later version is the one that is stored.
        let listed = item.stamp().filter(|_| !item.record.from_chips);
        let changed = listed.is_some() && listed != result.stamp.as_deref();
        let restamp = changed.then_some(result.id);
        return if result.superseded && has_bytes && !item.is_past(stored) {
            Decision::Revive { image, result: result.id, restamp }
        } else {
            Decision::Repeat { image, restamp, ended: result.if_other_outcome(item) }
        };
    }
    if !has_bytes && let Some((image, result)) = final_with_bytes(item, stored) {
        let ended = result.if_other_outcome(item);
        return Decision::Repeat { image, restamp: None, ended };
    }
    let noted =
        !has_bytes && with_bytes(stored, profile, None).any(|(_, result)| !result.superseded);
    Decision::Write {
        image: same_bytes.map(|version| version.image).next(),
        result: own.map(|(_, result)| result.id),
        noted,
    }
}

/// The results with bytes, or with the `expected` ones, under a profile, with their images.
fn with_bytes(
    stored: &[StoredVersion],
    profile: i64,
    expected: Option<ContentHash>,
) -> impl Iterator<Item = (i64, &StoredResult)> {
    let versions = stored.iter().filter(move |version| match expected {
        None => !version.hash.is_empty(),
        Some(expected) => version.hash == expected.0,
    });
    versions.filter_map(move |version| Some((version.image, version.result_under(profile)?)))
}

/// The final result that `item`, which got no bytes, repeats: the one of the same job, whose bytes
/// may be superseded since, or the current one of the same listed version.
fn final_with_bytes<'a>(
    item: &Item<'_>,
    stored: &'a [StoredVersion],
) -> Option<(i64, &'a StoredResult)> {
    let mut same_version = None;
    let expected = item.record.job.expected_hash;
    for (image, result) in with_bytes(stored, item.scope.gallery_profile, expected) {
        if !result.is_final_for(item) {
            continue;
        }
        if result.job == item.record.job.id {
            return Some((image, result));
        }
        if item.stamp().is_some() && item.stamp() == result.stamp.as_deref() && !result.superseded {
            same_version = same_version.or(Some((image, result)));
        }
    }
    same_version
}

/// The subject that a job names as the label of its image. Where it is decided whether the image is
/// enrolled, the decision gives the label.
pub(super) fn named_subject(record: &JobRecord) -> Option<&SubjectName> {
    let is_decided = record.job.lane == Lane::Enrol && record.enrolment.is_some();
    record.job.subject.as_ref().filter(|_| !is_decided)
}

/// The stored image whose subject `item` names.
fn subject<'a>(item: &Item<'a>, stored: &[StoredVersion]) -> Option<(i64, &'a str)> {
    let subject = named_subject(item.record)?;
    let image =
        stored.iter().find(|version| !item.hash().is_empty() && version.hash == item.hash())?;
    Some((image.image, subject.as_str()))
}

/// The current results that `item` supersedes once it is written or revived.
fn superseded_by(item: &Item<'_>, stored: &[StoredVersion]) -> Vec<i64> {
    let others =
        stored.iter().filter(|version| !item.hash().is_empty() && version.hash != item.hash());
    let current = others.filter_map(|version| {
        let result = version.result.as_ref().filter(|result| !result.superseded)?;
        let affected =
            !version.hash.is_empty() || result.gallery_profile == item.scope.gallery_profile;
        affected.then_some(result.id)
    });
    current.collect()
}

/// The notes that `item` ends: the image could be read again.
fn ended_notes(item: &Item<'_>, stored: &[StoredVersion]) -> impl Iterator<Item = i64> {
    let has_bytes = item.record.content.is_some() && !item.record.from_chips;
    let results = stored.iter().filter_map(|version| version.result.as_ref());
    results.filter(move |result| has_bytes && result.noted).map(|result| result.id)
}

/// The image of `item`, if it was missing: its bytes were read, so it is there.
fn found(item: &Item<'_>, stored: &[StoredVersion]) -> Option<i64> {
    let was_read = item.record.content.is_some() && !item.record.from_chips;
    let own = |version: &&StoredVersion| version.missing && version.hash == item.hash();
    Some(stored.iter().filter(|_| was_read).find(own)?.image)
}

/// How many ids a round needs for new rows.
#[derive(Clone, Copy)]
pub(super) struct NeededIds {
    pub(super) images: i64,
    pub(super) results: i64,
}

impl NeededIds {
    pub(super) fn of(decisions: &[Decision]) -> Self {
        let count = |wanted: fn(&Decision) -> bool| {
            let count = decisions.iter().filter(|decision| wanted(decision)).count();
            i64::try_from(count).unwrap_or(i64::MAX)
        };
        Self {
            images: count(|decision| matches!(decision, Decision::Write { image: None, .. })),
            results: count(|decision| matches!(decision, Decision::Write { result: None, .. })),
        }
    }
}

/// The ids of a round's new rows.
#[derive(Default)]
pub(super) struct NewIds {
    pub(super) images: IntoIter<i64>,
    pub(super) results: IntoIter<i64>,
}

/// A result to write, with the ids of its rows.
pub(super) struct NewResult<'a> {
    pub(super) record: &'a JobRecord,
    /// The canonical text of its selection.
    pub(super) selection: &'a str,
    pub(super) scope: Scope,
    pub(super) image: i64,
    pub(super) result: i64,
    /// It is a note next to the current result.
    pub(super) noted: bool,
}

/// What became of a record: its index in the batch, and the answer for it.
struct Answer {
    index: usize,
    recorded: Recorded,
    /// The result whose outcome is the answer.
    ended: Option<i64>,
}

/// What a round writes. Every list holds the ids of rows, and may be empty.
#[derive(Default)]
pub(super) struct Plan<'a> {
    /// Results that become superseded.
    pub(super) supersede: Vec<i64>,
    /// Results that become current again.
    pub(super) revive: Vec<i64>,
    /// Results of [`Self::new`] that become superseded once they are written: of bytes that are not
    /// those of their image any more.
    pub(super) past: Vec<i64>,
    /// Results that are replaced: their faces and templates are deleted. With their profiles.
    pub(super) clear: Vec<(i64, &'a str)>,
    /// Results that stop being notes.
    pub(super) end_notes: Vec<i64>,
    /// Results with a new listed version.
    pub(super) stamps: Vec<(i64, &'a str)>,
    /// Images with a subject that a repeat names.
    pub(super) subjects: Vec<(i64, &'a str)>,
    /// Indexes of records in the batch, with their images that were missing and are there.
    pub(super) found: Vec<(usize, i64)>,
    /// Results to write.
    pub(super) new: Vec<NewResult<'a>>,
    answers: Vec<Answer>,
}

impl<'a> Plan<'a> {
    /// The plan of a round whose items are decided, with the `ids` of its new rows.
    pub(super) fn new(
        items: &[Item<'a>],
        stored: &[Vec<StoredVersion>],
        decisions: &[Decision],
        mut ids: NewIds,
    ) -> Result<Self, Fault> {
        let mut plan = Self::default();
        for ((item, stored), &decision) in items.iter().zip(stored).zip(decisions) {
            plan.add(item, stored, decision, &mut ids)?;
        }
        Ok(plan)
    }

    fn add(
        &mut self,
        item: &Item<'a>,
        stored: &[StoredVersion],
        decision: Decision,
        ids: &mut NewIds,
    ) -> Result<(), Fault> {
        self.end_notes.extend(ended_notes(item, stored));
        self.found.extend(found(item, stored).map(|image| (item.index, image)));
        if let Decision::Repeat { restamp, .. } | Decision::Revive { restamp, .. } = decision {
            self.stamps.extend(restamp.zip(item.stamp()));
            self.subjects.extend(subject(item, stored));
        }
        let (image, effect, ended) = match decision {
            Decision::Repeat { image, ended, .. } => (image, Effect::Repeated, ended),
            Decision::Revive { image, result, .. } => {
                self.revive.push(result);
                (image, Effect::New, None)
            }
            Decision::Write { image, result, noted } => {
                let profile = item.record.profile.as_str();
                self.clear.extend(result.map(|result| (result, profile)));
                let missing = || corrupt("fewer new ids than rows");
                let image = image.or_else(|| ids.images.next()).ok_or_else(missing)?;
                let result = result.or_else(|| ids.results.next()).ok_or_else(missing)?;
                self.past.extend(item.is_past(stored).then_some(result));
                let Item { record, selection, scope, .. } = *item;
                self.new.push(NewResult { record, selection, scope, image, result, noted });
                (image, Effect::New, None)
            }
        };
        if effect == Effect::New && !item.is_past(stored) {
            self.supersede.extend(superseded_by(item, stored));
        }
        let recorded = Recorded { image: ImageId(image), effect, enrolment: None };
        self.answers.push(Answer { index: item.index, recorded, ended });
        Ok(())
    }

    /// The results whose outcome is the answer for a record.
    pub(super) fn ended(&self) -> Vec<i64> {
        self.answers.iter().filter_map(|answer| answer.ended).collect()
    }

    /// Puts the answers into `recorded`, at their records' indexes; `ends` are the outcomes of
    /// [`Self::ended`].
    pub(super) fn answer(self, ends: &HashMap<i64, End>, recorded: &mut [Option<Recorded>]) {
        for Answer { index, recorded: mut answer, ended } in self.answers {
            if let Some(end) = ended.and_then(|result| ends.get(&result)) {
                answer.effect = Effect::Ended(end.clone());
            }
            recorded[index] = Some(answer);
        }
    }
}
