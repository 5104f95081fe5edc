//! The steps of retention, the same in both backends: find what is due, delete it, leave hashes.
//! And the look for these hashes before a batch is recorded.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::burial::texts;
use super::erasing::{
    ErasureKey, ErasureTables, TombstoneHash, TombstoneTables, Trace, find_erased,
};
use super::fault::Fault;
use super::row::row;
use super::rows::corrupt;
use super::{DuePage, RemovedContent, RetentionQuery};
use crate::domain::{
    ContentHash, ErasureCounts, GalleryName, Job, JobRecord, LabelledImage, RetentionCounts,
    RetentionId, RetentionRule, SourceStamp,
};

/// Images, rejected enrolments or verdicts that are looked at and removed at once: others wait for
/// as long as it takes.
pub(super) const AT_ONCE: i64 = 1000;

row! {
    /// An image.
    pub(super) struct DueImageRow {
        pub(super) id: i64,
        /// Whether nobody has it, and it is old.
        pub(super) due: bool,
    }
}

row! {
    /// A rejected enrolment that is due.
    pub(super) struct DueDecisionRow {
        pub(super) image_id: i64,
        pub(super) subject_id: i64,
        /// Nothing else ties the image to a subject.
        pub(super) alone: bool,
    }
}

row! {
    /// A verdict that is due.
    pub(super) struct DueVerdictRow {
        pub(super) id: i64,
        /// The undo that took it back.
        pub(super) undone_by: Option<i64>,
    }
}

row! {
    /// An image that is to be removed, with a listed version of it.
    pub(super) struct RemovedVersionRow {
        uri: String,
        content_hash: Vec<u8>,
        stamp: Option<String>,
    }
}

row! {
    /// The bytes of a removed image.
    pub(super) struct RemovedContentRow {
        content_hash: Vec<u8>,
        in_use: bool,
    }
}

impl RemovedContentRow {
    pub(super) fn content(self) -> Result<RemovedContent, Fault> {
        let hash = self.content_hash.try_into().map(ContentHash);
        let hash = hash.map_err(|_| corrupt("a content hash of another length"))?;
        Ok(RemovedContent { hash, in_use: self.in_use })
    }
}

/// Reads and deletes the hashes of removed images, inside a transaction.
pub(super) trait RemovedTables: TombstoneTables {
    /// Whether anything was ever erased or removed.
    fn has_any_erased(&mut self) -> impl Future<Output = Result<bool, Fault>> + Send;

    /// Which of these are hashes of removed images.
    fn removed(
        &mut self,
        hashes: Vec<TombstoneHash>,
    ) -> impl Future<Output = Result<Vec<Vec<u8>>, Fault>> + Send;

    /// Deletes hashes of removed images, with those of what listings said of them.
    fn lift(
        &mut self,
        hashes: Vec<TombstoneHash>,
    ) -> impl Future<Output = Result<(), Fault>> + Send;
}

/// The hash of a removed image; or of what a listing said of it, with the hash of the image.
pub(super) type RemovedHash = (TombstoneHash, Option<TombstoneHash>);

/// The rows that retention reads and deletes, inside its transaction.
pub(super) trait RetentionTables: ErasureTables + RemovedTables {
    /// The next images of a gallery.
    fn due_images(
        &mut self,
        gallery: i64,
        query: &RetentionQuery,
    ) -> impl Future<Output = Result<Vec<DueImageRow>, Fault>> + Send;

    /// The rejected enrolments that are due of the next images that have some.
    fn due_rejected(
        &mut self,
        gallery: i64,
        query: &RetentionQuery,
    ) -> impl Future<Output = Result<Vec<DueDecisionRow>, Fault>> + Send;

    /// The next verdicts that are due.
    fn due_verdicts(
        &mut self,
        gallery: i64,
        query: &RetentionQuery,
    ) -> impl Future<Output = Result<Vec<DueVerdictRow>, Fault>> + Send;

    /// Chooses these images, for [`ErasureTables::delete_chosen`].
    fn choose_images(&mut self, images: &[i64]) -> impl Future<Output = Result<(), Fault>> + Send;

    /// The chosen images that had bytes, once for each listed version.
    fn chosen_versions(
        &mut self,
    ) -> impl Future<Output = Result<Vec<RemovedVersionRow>, Fault>> + Send;

    /// Notes the contents of the chosen images.
    fn note_removed(&mut self) -> impl Future<Output = Result<(), Fault>> + Send;

    /// Writes hashes of removed images, and those of what listings said of each.
    fn leave(&mut self, hashes: Vec<RemovedHash>)
    -> impl Future<Output = Result<(), Fault>> + Send;

    /// Deletes rejected enrolments, by subject and image.
    fn delete_rejected(
        &mut self,
        keys: &[(i64, i64)],
    ) -> impl Future<Output = Result<(), Fault>> + Send;

    /// Deletes verdicts, and the curations that have none left.
    fn delete_verdicts(
        &mut self,
        gallery: i64,
        verdicts: &[i64],
    ) -> impl Future<Output = Result<(), Fault>> + Send;

    /// The counts of a run, as JSON.
    fn retention_counts(
        &mut self,
        run: Uuid,
    ) -> impl Future<Output = Result<Option<String>, Fault>> + Send;

    /// Writes the counts of a run.
    fn set_retention_counts(
        &mut self,
        run: Uuid,
        counts: &str,
    ) -> impl Future<Output = Result<(), Fault>> + Send;
}

/// What of a page is due.
#[derive(Default)]
struct DueRows {
    page: DuePage,
    images: Vec<i64>,
    /// By subject and image.
    rejected: Vec<(i64, i64)>,
    verdicts: Vec<i64>,
}

impl DueRows {
    fn of_images(rows: Vec<DueImageRow>) -> Self {
        let next = rows.last().map(|row| row.id);
        let images: Vec<i64> =
            rows.into_iter().filter_map(|row| row.due.then_some(row.id)).collect();
        let counts = RetentionCounts { images: images.len() as u64, ..Default::default() };
        Self { page: DuePage { counts, next }, images, ..Self::default() }
    }

    fn of_rejected(rows: &[DueDecisionRow]) -> Self {
        let alone: BTreeMap<i64, bool> = rows.iter().map(|row| (row.image_id, row.alone)).collect();
        let next = alone.keys().last().copied();
        let images: Vec<i64> =
            alone.into_iter().filter_map(|(image, alone)| alone.then_some(image)).collect();
        let counts = RetentionCounts {
            rejected: rows.len() as u64,
            rejected_images: images.len() as u64,
            ..Default::default()
        };
        let rejected = rows.iter().map(|row| (row.subject_id, row.image_id)).collect();
        Self { page: DuePage { counts, next }, images, rejected, ..Self::default() }
    }

    fn of_verdicts(rows: &[DueVerdictRow]) -> Self {
        let next = rows.last().map(|row| row.id);
        let verdicts: Vec<i64> =
            rows.iter().flat_map(|row| [Some(row.id), row.undone_by]).flatten().collect();
        let counts = RetentionCounts { verdicts: verdicts.len() as u64, ..Default::default() };
        Self { page: DuePage { counts, next }, verdicts, ..Self::default() }
    }
}

/// See [`Retention::due`](super::Retention::due).
pub(super) async fn due(
    tables: &mut impl RetentionTables,
    query: &RetentionQuery,
) -> Result<DuePage, Fault> {
    match tables.find_gallery(&query.gallery).await? {
        None => Ok(DuePage::default()),
        Some(gallery) => Ok(find(tables, gallery, query).await?.page),
    }
}

async fn find(
    tables: &mut impl RetentionTables,
    gallery: i64,
    query: &RetentionQuery,
) -> Result<DueRows, Fault> {
    Ok(match query.rule {
        RetentionRule::Images => DueRows::of_images(tables.due_images(gallery, query).await?),
        RetentionRule::Rejected => {
            DueRows::of_rejected(&tables.due_rejected(gallery, query).await?)
        }
        RetentionRule::Verdicts => {
            DueRows::of_verdicts(&tables.due_verdicts(gallery, query).await?)
        }
    })
}

/// See [`Retention::remove_due`](super::Retention::remove_due).
pub(super) async fn remove_due(
    tables: &mut impl RetentionTables,
    run: RetentionId,
    query: &RetentionQuery,
) -> Result<DuePage, Fault> {
    tables.keep_out().await?;
    tables.make_key().await?;
    let key = tables.erasure_key().await?.ok_or_else(|| corrupt("no key of erasures"))?;
    let Some(gallery) = tables.find_gallery(&query.gallery).await? else {
        return Ok(DuePage::default());
    };
    let due = find(tables, gallery, query).await?;
    if !due.rejected.is_empty() {
        tables.delete_rejected(&due.rejected).await?;
    }
    if !due.images.is_empty() {
        tables.choose_images(&due.images).await?;
        remove_chosen(tables, gallery, &query.gallery, &key).await?;
    }
    if !due.verdicts.is_empty() {
        tables.delete_verdicts(gallery, &due.verdicts).await?;
    }
    add_counts(tables, run, due.page.counts).await?;
    Ok(due.page)
}

/// Adds to the counts of a run.
pub(super) async fn add_counts(
    tables: &mut impl RetentionTables,
    RetentionId(run): RetentionId,
    counts: RetentionCounts,
) -> Result<(), Fault> {
    let before = tables.retention_counts(run).await?.ok_or_else(|| corrupt("no such run"))?;
    let before: RetentionCounts = serde_json::from_str(&before).map_err(corrupt)?;
    let counts = serde_json::to_string(&before.plus(counts)).map_err(corrupt)?;
    tables.set_retention_counts(run, &counts).await
}

/// Removes the chosen images.
async fn remove_chosen(
    tables: &mut impl RetentionTables,
    gallery: i64,
    name: &GalleryName,
    key: &ErasureKey,
) -> Result<(), Fault> {
    let name = name.as_str();
    let uris = tables.chosen_uris(gallery).await?;
    let mut hashes = BTreeMap::new();
    for RemovedVersionRow { uri, content_hash, stamp } in tables.chosen_versions().await? {
        let version = key.hash(name, Trace::Version(&content_hash, &uri));
        let listed = stamp.map(|stamp| key.hash(name, Trace::Listed(&stamp, &uri)));
        hashes.insert(version, None);
        hashes.extend(listed.map(|listed| (listed, Some(version))));
    }
    tables.note_removed().await?;
    let mut counts = ErasureCounts::default();
    tables.delete_chosen(&mut counts).await?;
    tables.forget_uris(name, &texts(&uris), &mut counts).await?;
    tables.leave(hashes.into_iter().collect()).await
}

/// Which of these records end as erased: what was erased, and images that retention removed, unless
/// the job names a subject. Such a job brings its image back. None if nothing was ever erased or
/// removed.
pub(super) async fn find_barred(
    tables: &mut impl RemovedTables,
    records: &[JobRecord],
) -> Result<Option<Vec<bool>>, Fault> {
    let jobs = records.iter().map(|record| (&record.job, record.content.map(|it| it.hash)));
    let Some(mut barred) = find_erased(tables, jobs).await? else { return Ok(None) };
    let Some(key) = tables.erasure_key().await? else { return Ok(Some(barred)) };
    let hash = |record: &JobRecord| {
        let (job, content) = (&record.job, record.content?);
        let trace = Trace::Version(&content.hash.0, job.image.as_str());
        Some(key.hash(job.gallery.as_str(), trace))
    };
    let hashes: Vec<Option<TombstoneHash>> = records
        .iter()
        .zip(&barred)
        .map(|(record, erased)| if *erased { None } else { hash(record) })
        .collect();
    let removed = known(tables, hashes.iter().flatten().copied()).await?;
    let is_enrolled = |(record, hash): (&JobRecord, &Option<TombstoneHash>)| {
        hash.filter(|hash| record.job.subject.is_some() && removed.contains(hash.as_slice()))
    };
    let back: BTreeSet<TombstoneHash> =
        records.iter().zip(&hashes).filter_map(is_enrolled).collect();
    if !back.is_empty() {
        tables.lift(back.iter().copied().collect()).await?;
    }
    for (barred, hash) in barred.iter_mut().zip(hashes) {
        *barred |=
            hash.is_some_and(|hash| removed.contains(hash.as_slice()) && !back.contains(&hash));
    }
    Ok(Some(barred))
}

/// Those of these hashes that are of removed images.
async fn known(
    tables: &mut impl RemovedTables,
    hashes: impl Iterator<Item = TombstoneHash> + Send,
) -> Result<BTreeSet<Vec<u8>>, Fault> {
    let hashes: BTreeSet<TombstoneHash> = hashes.collect();
    if hashes.is_empty() {
        return Ok(BTreeSet::new());
    }
    Ok(tables.removed(hashes.into_iter().collect()).await?.into_iter().collect())
}

/// See [`RemovedImages::were_removed`](super::RemovedImages::were_removed).
pub(super) async fn were_removed(
    tables: &mut impl RemovedTables,
    gallery: &GalleryName,
    images: &[LabelledImage],
) -> Result<Vec<bool>, Fault> {
    let none = vec![false; images.len()];
    let Some(key) = tables.erasure_key().await? else { return Ok(none) };
    let hash = |image: &LabelledImage| {
        let uri = image.image.as_str();
        let trace = match (&image.expected_hash, &image.stamp) {
            (Some(content), _) => Trace::Version(&content.0, uri),
            (None, Some(stamp)) => Trace::Listed(SourceStamp::as_str(stamp), uri),
            (None, None) => return None,
        };
        Some(key.hash(gallery.as_str(), trace))
    };
    let hashes: Vec<Option<TombstoneHash>> = images.iter().map(hash).collect();
    let removed = known(tables, hashes.iter().flatten().copied()).await?;
    let is_removed = |hash: Option<TombstoneHash>| hash.is_some_and(|it| removed.contains(&it[..]));
    Ok(hashes.into_iter().map(is_removed).collect())
}

/// See [`RemovedImages::ends_erased`](super::RemovedImages::ends_erased).
pub(super) async fn ends_erased(
    tables: &mut impl RemovedTables,
    job: &Job,
    content: ContentHash,
) -> Result<Option<bool>, Fault> {
    let Some(key) = tables.erasure_key().await? else { return Ok(None) };
    if !tables.has_any_erased().await? {
        return Ok(None);
    }
    let erased = find_erased(tables, [(job, Some(content))].into_iter()).await?;
    if erased.is_some_and(|erased| erased.contains(&true)) {
        return Ok(Some(true));
    }
    let version = key.hash(job.gallery.as_str(), Trace::Version(&content.0, job.image.as_str()));
    let removed = job.subject.is_none() && !tables.removed(vec![version]).await?.is_empty();
    Ok(Some(removed))
}
