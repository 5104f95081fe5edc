//! What becomes of a record, given what the store knows of its image: plain code, the same for
//! every backend. What the decisions mean is said at [`super::Store::record`].

use std::collections::HashMap;

use super::encoding::hash_key;
use crate::domain::{GalleryName, ImageUri, JobId, JobRecord, OutcomeKind, SourceStamp};

/// Splits a batch so that no round holds two records of one gallery and URI: within a round, what
/// one record does cannot change what another finds. Nearly every batch is one round.
pub(super) fn rounds(records: &[JobRecord]) -> Vec<Vec<usize>> {
    let mut seen: HashMap<(&GalleryName, &ImageUri), usize> = HashMap::with_capacity(records.len());
    let mut rounds: Vec<Vec<usize>> = Vec::new();
    for (index, record) in records.iter().enumerate() {
        let round = seen.entry((&record.gallery, &record.image)).or_default();
        if *round == rounds.len() {
            rounds.push(Vec::new());
        }
        rounds[*round].push(index);
        *round += 1;
    }
    rounds
}

/// The ids of a gallery, and of the gallery together with a profile.
#[derive(Clone, Copy)]
pub(super) struct Scope {
    pub(super) gallery: i64,
    pub(super) gallery_profile: i64,
}

/// A record of a round.
pub(super) struct Item<'a> {
    /// Its place in the batch.
    pub(super) index: usize,
    pub(super) record: &'a JobRecord,
    pub(super) selection: &'a str,
    pub(super) scope: Scope,
}

/// A version of an item's image that the store knows, and one of its results.
pub(super) struct Known {
    pub(super) image: i64,
    pub(super) hash: Vec<u8>,
    pub(super) result: Option<KnownResult>,
}

pub(super) struct KnownResult {
    pub(super) id: i64,
    pub(super) gallery_profile: i64,
    pub(super) superseded: bool,
    /// It stands beside the current result of its URI.
    pub(super) noted: bool,
    pub(super) outcome: OutcomeKind,
    pub(super) selection: String,
    pub(super) stamp: Option<String>,
    pub(super) job: JobId,
}

/// What is to be done with one record.
#[derive(Debug, PartialEq)]
pub(super) enum Fate {
    /// Nothing, except for remembering the listed version if it is a new one. `ended` is the result
    /// that stands, if that is another outcome.
    Repeat { restamp: Option<i64>, ended: Option<i64> },
    /// The bytes of an old result came back.
    Revive { result: i64, restamp: Option<i64> },
    /// Write it, to the rows that are there already; `noted`: beside the current result.
    Write { image: Option<i64>, result: Option<i64>, noted: bool },
}

pub(super) fn decide(item: &Item<'_>, known: &[Known]) -> Fate {
    let record = item.record;
    let hash = hash_key(record.content.as_ref());
    let stamp = record.stamp.as_ref().map(SourceStamp::as_str);
    let settles =
        |result: &KnownResult| result.outcome.is_final() && result.selection == item.selection;
    let of_this_profile = |known: &Known| {
        known
            .result
            .as_ref()
            .is_some_and(|result| result.gallery_profile == item.scope.gallery_profile)
    };

    let own = known
        .iter()
        .find(|known| known.hash == hash && of_this_profile(known))
        .and_then(|known| known.result.as_ref());
    // What got no bytes is final for its own job alone: another job's attempt is news, whatever
    // came of it.
    let stands = |own: &&KnownResult| !hash.is_empty() || own.job == record.job;
    if let Some(own) = own.filter(|own| settles(own)).filter(stands) {
        let restamp = (stamp.is_some() && stamp != own.stamp.as_deref()).then_some(own.id);
        let repeat = Fate::Repeat { restamp, ended: ended(own, record) };
        return if own.superseded && !hash.is_empty() {
            Fate::Revive { result: own.id, restamp }
        } else {
            repeat
        };
    }
    if hash.is_empty() {
        let settled = || {
            let with_bytes =
                known.iter().filter(|known| !known.hash.is_empty() && of_this_profile(known));
            with_bytes.filter_map(|known| known.result.as_ref().filter(|r| settles(r)))
        };
        // The job itself may have ended with bytes that others have replaced since.
        let own = settled().find(|result| result.job == record.job);
        let same_version = |result: &&KnownResult| {
            stamp.is_some() && stamp == result.stamp.as_deref() && !result.superseded
        };
        if let Some(result) = own.or_else(|| settled().find(same_version)) {
            return Fate::Repeat { restamp: None, ended: ended(result, record) };
        }
    }
    let image = known.iter().find(|known| known.hash == hash).map(|known| known.image);
    let is_current = |known: &Known| known.result.as_ref().is_some_and(|result| !result.superseded);
    let noted = hash.is_empty()
        && known
            .iter()
            .any(|known| !known.hash.is_empty() && of_this_profile(known) && is_current(known));
    Fate::Write { image, result: own.map(|own| own.id), noted }
}

fn ended(result: &KnownResult, record: &JobRecord) -> Option<i64> {
    (result.outcome != record.outcome.kind()).then_some(result.id)
}

/// The image whose subject `item` tells, if it is there already: a scan knows none, an enrolment of
/// the same bytes does.
pub(super) fn named<'a>(item: &Item<'a>, known: &[Known]) -> Option<(i64, &'a str)> {
    let (subject, hash) = (item.record.subject.as_ref()?, hash_key(item.record.content.as_ref()));
    let image = known.iter().find(|known| !hash.is_empty() && known.hash == hash)?;
    Some((image.image, subject.as_str()))
}

/// The current results that `item` supersedes once it is written or revived.
pub(super) fn outdated<'a>(
    item: &'a Item<'_>,
    known: &'a [Known],
) -> impl Iterator<Item = i64> + 'a {
    let hash = hash_key(item.record.content.as_ref());
    known.iter().filter(move |known| !hash.is_empty() && known.hash != hash).filter_map(
        move |known| {
            let result = known.result.as_ref().filter(|result| !result.superseded)?;
            (!known.hash.is_empty() || result.gallery_profile == item.scope.gallery_profile)
                .then_some(result.id)
        },
    )
}

/// The notes that `item` ends: the image could be read again.
pub(super) fn ended_notes<'a>(
    item: &'a Item<'_>,
    known: &'a [Known],
) -> impl Iterator<Item = i64> + 'a {
    let results = known.iter().filter_map(|known| known.result.as_ref());
    results.filter(|result| item.record.content.is_some() && result.noted).map(|result| result.id)
}
