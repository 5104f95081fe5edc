//! The steps of an erasure, the same in both backends: choose the images, leave tombstones, delete
//! rows, note what was deleted. And the look for tombstones before a batch is recorded.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::erasures::NewErasure;
use super::fault::Fault;
use super::rows::{ErasureRow, corrupt};
use crate::domain::{
    ContentHash, Erasure, ErasureCounts, ErasureId, ErasurePlace, ErasureTarget, GalleryName,
    ImageUri, Job, SubjectName,
};

/// A hash with the key of the store.
pub(super) type TombstoneHash = [u8; 32];

/// The key of a store's tombstones.
pub(super) struct ErasureKey([u8; 32]);

/// What a tombstone may stand for, in its gallery.
#[derive(Clone, Copy)]
pub(super) enum Trace<'a> {
    Gallery,
    Subject(&'a str),
    Uri(&'a str),
    Content(&'a [u8]),
    /// An image: these bytes at this URI.
    Version(&'a [u8], &'a str),
    /// What a listing says of the version at a URI.
    Listed(&'a str, &'a str),
}

impl<'a> From<&'a ErasureTarget> for Trace<'a> {
    fn from(target: &'a ErasureTarget) -> Self {
        match target {
            ErasureTarget::Gallery => Self::Gallery,
            ErasureTarget::Subject(name) => Self::Subject(name.as_str()),
            ErasureTarget::Image(uri) => Self::Uri(uri.as_str()),
        }
    }
}

impl ErasureKey {
    /// The key of a row.
    pub(super) fn new(secret: &[u8]) -> Result<Self, Fault> {
        secret.try_into().map(Self).map_err(corrupt)
    }

    /// The hash of `trace` in a gallery.
    pub(super) fn hash(&self, gallery: &str, trace: Trace<'_>) -> TombstoneHash {
        let (kind, version, what) = match trace {
            Trace::Gallery => (b'g', None, &[][..]),
            Trace::Subject(name) => (b's', None, name.as_bytes()),
            Trace::Uri(uri) => (b'u', None, uri.as_bytes()),
            Trace::Content(hash) => (b'c', None, hash),
            Trace::Version(hash, uri) => (b'v', Some(hash), uri.as_bytes()),
            Trace::Listed(stamp, uri) => (b'l', Some(stamp.as_bytes()), uri.as_bytes()),
        };
        let mut hasher = blake3::Hasher::new_keyed(&self.0);
        // The length keeps the end of the gallery's name apart from what follows.
        hasher.update(&[kind]).update(&(gallery.len() as u64).to_le_bytes());
        hasher.update(gallery.as_bytes());
        if let Some(version) = version {
            hasher.update(&(version.len() as u64).to_le_bytes()).update(version);
        }
        *hasher.update(what).finalize().as_bytes()
    }
}

/// Reads tombstones, inside a transaction.
pub(super) trait TombstoneTables: Send {
    /// Keeps erasures from beginning until the end of the transaction; waits for one that is under
    /// way.
    fn hold_off_erasures(&mut self) -> impl Future<Output = Result<(), Fault>> + Send;

    /// The key; none if nothing was ever erased.
    fn erasure_key(&mut self) -> impl Future<Output = Result<Option<ErasureKey>, Fault>> + Send;

    /// Which of these are tombstones.
    fn tombstones(
        &mut self,
        hashes: Vec<TombstoneHash>,
    ) -> impl Future<Output = Result<Vec<Vec<u8>>, Fault>> + Send;
}

/// Which of these jobs, each with the content that was found, match a tombstone. None if nothing
/// was ever erased.
pub(super) async fn find_erased<'a>(
    tables: &mut impl TombstoneTables,
    jobs: impl Iterator<Item = (&'a Job, Option<ContentHash>)> + Send,
) -> Result<Option<Vec<bool>>, Fault> {
    let Some(key) = tables.erasure_key().await? else { return Ok(None) };
    let of_job = |(job, content): (&'a Job, Option<ContentHash>)| -> Vec<TombstoneHash> {
        let contents = content.into_iter().chain(job.expected_hash);
        let hash = |trace: Trace<'_>| key.hash(job.gallery.as_str(), trace);
        let mut hashes = vec![hash(Trace::Gallery), hash(Trace::Uri(job.image.as_str()))];
        hashes.extend(job.subject.iter().map(|name| hash(Trace::Subject(name.as_str()))));
        hashes.extend(contents.map(|content| hash(Trace::Content(&content.0))));
        hashes
    };
    let hashes: Vec<Vec<TombstoneHash>> = jobs.map(of_job).collect();
    let all: BTreeSet<TombstoneHash> = hashes.iter().flatten().copied().collect();
    let found: BTreeSet<Vec<u8>> =
        tables.tombstones(all.into_iter().collect()).await?.into_iter().collect();
    let is_erased = |hash: &TombstoneHash| found.contains(hash.as_slice());
    Ok(Some(hashes.iter().map(|of_job| of_job.iter().any(is_erased)).collect()))
}

/// A row of an erasure to write.
pub(super) struct NewErasureRow<'a> {
    pub(super) id: Uuid,
    pub(super) new: &'a NewErasure,
    pub(super) target: TombstoneHash,
}

/// The rows that an erasure reads and deletes, inside its transaction.
pub(super) trait ErasureTables: TombstoneTables {
    /// Waits for all that record, and keeps others from it until the end of the transaction.
    fn keep_out(&mut self) -> impl Future<Output = Result<(), Fault>> + Send;

    /// Makes a key unless there is one.
    fn make_key(&mut self) -> impl Future<Output = Result<(), Fault>> + Send;

    /// Writes an erasure, or finds the one of the same target.
    fn begin_erasure(
        &mut self,
        row: &NewErasureRow<'_>,
    ) -> impl Future<Output = Result<ErasureRow, Fault>> + Send;

    /// The id of a gallery.
    fn find_gallery(
        &mut self,
        gallery: &GalleryName,
    ) -> impl Future<Output = Result<Option<i64>, Fault>> + Send;

    /// Chooses the images of a target: those that are meant, all versions at their URIs, and the
    /// same contents elsewhere in the gallery; without those that another subject has. Returns how
    /// many of these there are.
    fn choose(
        &mut self,
        gallery: i64,
        target: &ErasureTarget,
    ) -> impl Future<Output = Result<u64, Fault>> + Send;

    /// The URIs of the chosen images that no other image of the gallery has.
    fn chosen_uris(
        &mut self,
        gallery: i64,
    ) -> impl Future<Output = Result<Vec<String>, Fault>> + Send;

    /// The contents of the chosen images that no other image of the gallery has.
    fn chosen_contents(
        &mut self,
        gallery: i64,
    ) -> impl Future<Output = Result<Vec<Vec<u8>>, Fault>> + Send;

    /// Writes tombstones.
    fn bury(
        &mut self,
        erasure: Uuid,
        hashes: Vec<TombstoneHash>,
    ) -> impl Future<Output = Result<(), Fault>> + Send;

    /// Notes the contents of the chosen images.
    fn note_contents(&mut self, erasure: Uuid) -> impl Future<Output = Result<(), Fault>> + Send;

    /// Deletes the chosen images with all that hangs on them.
    fn delete_chosen(
        &mut self,
        counts: &mut ErasureCounts,
    ) -> impl Future<Output = Result<(), Fault>> + Send;

    /// Deletes a subject, its name on images that stay, and reasons of verdicts that name it.
    fn delete_subject(
        &mut self,
        gallery: i64,
        name: &str,
        counts: &mut ErasureCounts,
    ) -> impl Future<Output = Result<(), Fault>> + Send;

    /// Deletes a gallery that has no images any more, and cancels its campaigns.
    fn delete_gallery(
        &mut self,
        gallery: i64,
        name: &str,
        counts: &mut ErasureCounts,
    ) -> impl Future<Output = Result<(), Fault>> + Send;

    /// Takes URIs and paths out of campaigns and curations of the gallery, and out of reports of
    /// outages.
    fn forget_uris(
        &mut self,
        gallery: &str,
        uris: &[String],
        counts: &mut ErasureCounts,
    ) -> impl Future<Output = Result<(), Fault>> + Send;

    /// Writes the counts of an erasure.
    fn set_counts(
        &mut self,
        erasure: Uuid,
        counts: &ErasureCounts,
    ) -> impl Future<Output = Result<(), Fault>> + Send;
}

/// Erases; the caller commits, or rolls back if it only wants to know. Returns the erasure, with
/// the counts of every time that it ran, and those of this time.
pub(super) async fn erase(
    tables: &mut impl ErasureTables,
    new: &NewErasure,
) -> Result<(Erasure, ErasureCounts), Fault> {
    tables.keep_out().await?;
    tables.make_key().await?;
    let key = tables.erasure_key().await?.ok_or_else(|| corrupt("no key of erasures"))?;
    let name = new.gallery.as_str();
    let target = key.hash(name, Trace::from(&new.target));
    let row = NewErasureRow { id: Uuid::now_v7(), new, target };
    let erasure = tables.begin_erasure(&row).await?.erasure()?;
    let ErasureId(id) = erasure.id;
    let mut counts = ErasureCounts::default();
    let mut tombstones = BTreeSet::from([target]);
    let mut uris: Vec<String> = match &new.target {
        ErasureTarget::Image(uri) => vec![uri.as_str().to_owned()],
        _ => Vec::new(),
    };
    if let Some(gallery) = tables.find_gallery(&new.gallery).await? {
        counts.add(ErasurePlace::Kept, tables.choose(gallery, &new.target).await?);
        // The tombstone of a gallery covers all its images.
        if new.target != ErasureTarget::Gallery {
            uris.extend(tables.chosen_uris(gallery).await?);
            let contents = tables.chosen_contents(gallery).await?;
            tombstones.extend(uris.iter().map(|uri| key.hash(name, Trace::Uri(uri))));
            tombstones.extend(contents.iter().map(|hash| key.hash(name, Trace::Content(hash))));
        }
        tables.note_contents(id).await?;
        delete(tables, gallery, new, &mut counts).await?;
    }
    tables.forget_uris(name, &texts(&uris), &mut counts).await?;
    tables.bury(id, tombstones.into_iter().collect()).await?;
    // What stays is counted anew each time.
    let mut total = erasure.counts.clone().plus(&counts);
    total.set(ErasurePlace::Kept, counts.of(ErasurePlace::Kept));
    tables.set_counts(id, &total).await?;
    Ok((Erasure { counts: total, ..erasure }, counts))
}

/// How images are named in texts: by URI, and files by their path.
pub(super) fn texts(uris: &[String]) -> Vec<String> {
    let path = |uri: &String| uri.parse().ok().map(|uri: ImageUri| uri.for_people());
    uris.iter().flat_map(|uri| [Some(uri.clone()), path(uri)]).flatten().collect()
}

/// Deletes the chosen images, and the subject or the gallery.
async fn delete(
    tables: &mut impl ErasureTables,
    gallery: i64,
    new: &NewErasure,
    counts: &mut ErasureCounts,
) -> Result<(), Fault> {
    tables.delete_chosen(counts).await?;
    match &new.target {
        ErasureTarget::Image(_) => Ok(()),
        ErasureTarget::Subject(name) => tables.delete_subject(gallery, name.as_str(), counts).await,
        ErasureTarget::Gallery => {
            tables.delete_gallery(gallery, new.gallery.as_str(), counts).await
        }
    }
}

/// Those of these subjects that were not erased.
pub(super) async fn without_erased<'a>(
    tables: &mut impl TombstoneTables,
    gallery: &GalleryName,
    labels: &'a [(ImageUri, SubjectName)],
) -> Result<Vec<&'a (ImageUri, SubjectName)>, Fault> {
    let names: Vec<&SubjectName> = labels.iter().map(|(_, name)| name).collect();
    let erased = erased_names(tables, gallery, &names).await?;
    Ok(labels.iter().filter(|(_, name)| !erased.contains(&name)).collect())
}

/// Those of these names of subjects that were erased.
pub(super) async fn erased_names<'a>(
    tables: &mut impl TombstoneTables,
    gallery: &GalleryName,
    names: &[&'a SubjectName],
) -> Result<Vec<&'a SubjectName>, Fault> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let Some(key) = tables.erasure_key().await? else { return Ok(Vec::new()) };
    let hash = |name: &SubjectName| key.hash(gallery.as_str(), Trace::Subject(name.as_str()));
    let hashes: BTreeSet<TombstoneHash> = names.iter().map(|name| hash(name)).collect();
    let found = tables.tombstones(hashes.into_iter().collect()).await?;
    let is_erased = |name| found.iter().any(|found| found.as_slice() == hash(name).as_slice());
    Ok(names.iter().copied().filter(|name| is_erased(name)).collect())
}
