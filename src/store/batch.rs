//! The steps of recording a batch, the same in both backends: find the galleries, lock, read what
//! is stored of the images, decide, write, decide enrolments, count. [`super::plan`],
//! [`super::enrolling`] and [`super::counts`] decide; a backend only reads and writes rows.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::counts::{Change, Counted, Ends, JobToCount};
use super::encoding::selection_key;
use super::enrolling::{EnrolmentTables, enrol, lock_asked};
use super::fault::Fault;
use super::judging::VerdictTables;
use super::missing::bring_back;
use super::plan::{Item, NeededIds, NewIds, Plan, Scope, StoredVersion, decide, rounds};
use super::retaining::{RemovedTables, find_barred};
use super::rows::corrupt;
use super::{Effect, Recorded, StoreError};
use crate::domain::{CampaignId, End, GalleryName, JobRecord, Lane, OutcomeKind};

/// The name of a gallery and the id of a profile.
pub(super) type ScopeName<'a> = (&'a str, &'a str);

/// Reads and writes the rows of a batch, inside its transaction.
pub(super) trait BatchTables: EnrolmentTables + RemovedTables + VerdictTables {
    /// The ids of galleries with profiles, in the order of `names`; fewer if some are new.
    fn find_scopes(
        &mut self,
        names: &[ScopeName<'_>],
    ) -> impl Future<Output = Result<Vec<Scope>, Fault>> + Send;

    /// One of these profiles that was never registered.
    fn unknown_profile(
        &mut self,
        names: &[ScopeName<'_>],
    ) -> impl Future<Output = Result<Option<String>, Fault>> + Send;

    /// Inserts those of these galleries with profiles that are new.
    fn add_scopes(
        &mut self,
        names: &[ScopeName<'_>],
    ) -> impl Future<Output = Result<(), Fault>> + Send;

    /// Locks the batch's images until the end of the transaction.
    fn lock(&mut self, batch: &[Item<'_>]) -> impl Future<Output = Result<(), Fault>> + Send;

    /// The stored versions of each item's URI in its gallery, with their results.
    fn versions(
        &mut self,
        items: &[Item<'_>],
    ) -> impl Future<Output = Result<Vec<Vec<StoredVersion>>, Fault>> + Send;

    /// Draws ids for new rows.
    fn new_ids(&mut self, needed: NeededIds) -> impl Future<Output = Result<NewIds, Fault>> + Send;

    /// Writes a round.
    fn write(&mut self, plan: &Plan<'_>) -> impl Future<Output = Result<(), Fault>> + Send;

    /// How these results ended.
    fn ends(
        &mut self,
        results: &[i64],
    ) -> impl Future<Output = Result<HashMap<i64, End>, Fault>> + Send;

    /// Makes these galleries with profiles the ones with the latest record.
    fn touch(&mut self, gallery_profiles: &[i64])
    -> impl Future<Output = Result<(), Fault>> + Send;

    /// Counts jobs; returns those that did not count before. Jobs of an unknown campaign (it was
    /// deleted) do not count.
    fn count_jobs(
        &mut self,
        jobs: &[JobToCount],
    ) -> impl Future<Output = Result<Vec<Counted>, Fault>> + Send;

    /// Moves the count of those jobs that counted under another outcome of
    /// [`MOVING`](super::counts::MOVING); returns these.
    fn move_jobs(
        &mut self,
        jobs: &[JobToCount],
    ) -> impl Future<Output = Result<Vec<Counted>, Fault>> + Send;

    /// Adds changes to the counts of campaigns.
    fn add_counts(
        &mut self,
        changes: &BTreeMap<(CampaignId, OutcomeKind), Change>,
    ) -> impl Future<Output = Result<(), Fault>> + Send;
}

/// Records a batch; the caller commits. Of what was erased or removed, nothing is written.
pub(super) async fn record(
    tables: &mut impl BatchTables,
    records: &[JobRecord],
) -> Result<Vec<Recorded>, Fault> {
    tables.hold_off_erasures().await?;
    let recorded = match find_barred(tables, records).await? {
        Some(barred) if barred.contains(&true) => {
            let others = records.iter().zip(&barred).filter(|(_, barred)| !**barred);
            let others: Vec<JobRecord> = others.map(|(record, _)| record.clone()).collect();
            let mut written = write(tables, &others).await?.into_iter();
            let answer = |barred: bool| {
                if barred { Some(Recorded::erased()) } else { written.next() }
            };
            let answers = barred.into_iter().map(answer).collect::<Option<_>>();
            answers.ok_or_else(|| corrupt("a record without an answer"))?
        }
        _ => write(tables, records).await?,
    };
    count(tables, records, &recorded).await?;
    Ok(recorded)
}

/// Writes a batch.
async fn write(
    tables: &mut impl BatchTables,
    records: &[JobRecord],
) -> Result<Vec<Recorded>, Fault> {
    if records.is_empty() {
        return Ok(Vec::new());
    }
    let selections: Vec<String> =
        records.iter().map(|record| selection_key(&record.selection)).collect();
    let scopes = scopes(tables, records).await?;
    let item = |index: usize| Item {
        index,
        record: &records[index],
        selection: &selections[index],
        scope: scopes[index],
    };
    let batch: Vec<Item<'_>> = (0..records.len()).map(item).collect();
    tables.lock(&batch).await?;
    let asked = lock_asked(tables, records, &scopes).await?;
    let mut recorded: Vec<Option<Recorded>> = vec![None; records.len()];
    let mut found = Vec::new();
    for round in rounds(records) {
        let items: Vec<Item<'_>> = round.into_iter().map(item).collect();
        found.extend(record_round(tables, &items, &mut recorded).await?);
    }
    let mut recorded: Vec<Recorded> = recorded
        .into_iter()
        .collect::<Option<_>>()
        .ok_or_else(|| corrupt("a record without an answer"))?;
    bring_all_back(tables, records, &found).await?;
    enrol(tables, asked, &mut recorded).await?;
    let written = scopes.iter().zip(&recorded).filter(|(_, answer)| answer.effect == Effect::New);
    let touched: BTreeSet<i64> = written.map(|(scope, _)| scope.gallery_profile).collect();
    if !touched.is_empty() {
        tables.touch(&touched.into_iter().collect::<Vec<_>>()).await?;
    }
    Ok(recorded)
}

/// The ids of each record's gallery and profile.
async fn scopes(tables: &mut impl BatchTables, records: &[JobRecord]) -> Result<Vec<Scope>, Fault> {
    let names: BTreeSet<ScopeName<'_>> = records.iter().map(scope_name).collect();
    let names: Vec<ScopeName<'_>> = names.into_iter().collect();
    let mut found = tables.find_scopes(&names).await?;
    if found.len() < names.len() {
        if let Some(profile) = tables.unknown_profile(&names).await? {
            let reason = format!("its profile {profile} was never registered");
            return Err(StoreError::Invalid(reason).into());
        }
        tables.add_scopes(&names).await?;
        found = tables.find_scopes(&names).await?;
    }
    let scopes: HashMap<ScopeName<'_>, Scope> = names.into_iter().zip(found).collect();
    records
        .iter()
        .map(|record| scopes.get(&scope_name(record)).copied())
        .collect::<Option<_>>()
        .ok_or_else(|| corrupt("a gallery that was just added is missing"))
}

fn scope_name(record: &JobRecord) -> ScopeName<'_> {
    (record.job.gallery.as_str(), record.profile.as_str())
}

/// Records a round. The images that were missing and are there.
async fn record_round(
    tables: &mut impl BatchTables,
    items: &[Item<'_>],
    recorded: &mut [Option<Recorded>],
) -> Result<Vec<(usize, i64)>, Fault> {
    let versions = tables.versions(items).await?;
    let decisions: Vec<_> =
        items.iter().zip(&versions).map(|(item, stored)| decide(item, stored)).collect();
    let needed = NeededIds::of(&decisions);
    let ids = if needed.images + needed.results > 0 {
        tables.new_ids(needed).await?
    } else {
        NewIds::default()
    };
    let mut plan = Plan::new(items, &versions, &decisions, ids)?;
    let found = std::mem::take(&mut plan.found);
    tables.write(&plan).await?;
    let ended = plan.ended();
    let ends = if ended.is_empty() { HashMap::new() } else { tables.ends(&ended).await? };
    plan.answer(&ends, recorded);
    Ok(found)
}

/// Ends that these images of records are missing.
async fn bring_all_back(
    tables: &mut impl BatchTables,
    records: &[JobRecord],
    found: &[(usize, i64)],
) -> Result<(), Fault> {
    let mut images: BTreeMap<(&GalleryName, Lane), BTreeSet<i64>> = BTreeMap::new();
    for (index, image) in found {
        let job = &records[*index].job;
        images.entry((&job.gallery, job.lane)).or_default().insert(*image);
    }
    for ((gallery, lane), images) in images {
        let images: Vec<i64> = images.into_iter().collect();
        bring_back(tables, gallery, (lane, "its bytes were read again"), &images).await?;
    }
    Ok(())
}

/// Counts the ended jobs of campaigns: those that did not count before, and those that counted
/// under another outcome.
async fn count(
    tables: &mut impl BatchTables,
    records: &[JobRecord],
    recorded: &[Recorded],
) -> Result<(), Fault> {
    let ends = Ends::of(records, recorded);
    let jobs = ends.jobs();
    if jobs.is_empty() {
        return Ok(());
    }
    let mut counted = tables.count_jobs(&jobs).await?;
    if counted.len() < jobs.len() {
        counted.extend(tables.move_jobs(&jobs).await?);
    }
    let changes = ends.changes(&counted);
    if !changes.is_empty() {
        tables.add_counts(&changes).await?;
    }
    Ok(())
}
