//! Tombstones, the look for them before a batch is recorded, and the rows that an erasure reads and
//! deletes ([`super::burial`] says in which order).

use std::collections::BTreeSet;

use uuid::Uuid;

use super::fault::Fault;
use super::remains::RemainRow;
use super::rows::{ErasureRow, corrupt};
use crate::domain::{
    ContentHash, ErasureCounts, ErasureKind, ErasureTarget, GalleryName, ImageUri, Job,
    OperatorName, SubjectName,
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
    /// The number of an erased image: whoever named it so names it so again.
    Number(i64),
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
            ErasureTarget::Image(uri) | ErasureTarget::Numbered(_, uri) => Self::Uri(uri.as_str()),
        }
    }
}

impl ErasureKey {
    /// The key of a row.
    pub(super) fn new(secret: &[u8]) -> Result<Self, Fault> {
        secret.try_into().map(Self).map_err(corrupt)
    }

    /// What tells this key from others, and does not reveal it.
    pub(super) fn id(&self) -> String {
        blake3::Hasher::new_keyed(&self.0).update(b"key").finalize().to_hex().to_string()
    }

    /// The hash of `trace` in a gallery.
    pub(super) fn hash(&self, gallery: &str, trace: Trace<'_>) -> TombstoneHash {
        let digits;
        let (kind, version, what) = match trace {
            Trace::Gallery => (b'g', None, &[][..]),
            Trace::Subject(name) => (b's', None, name.as_bytes()),
            Trace::Uri(uri) => (b'u', None, uri.as_bytes()),
            Trace::Content(hash) => (b'c', None, hash),
            Trace::Number(number) => {
                digits = number.to_le_bytes();
                (b'n', None, &digits[..])
            }
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

    /// The key; none in a store that was never migrated to have one.
    fn erasure_key(&mut self) -> impl Future<Output = Result<Option<ErasureKey>, Fault>> + Send;

    /// Which of these are tombstones.
    fn tombstones(
        &mut self,
        hashes: Vec<TombstoneHash>,
    ) -> impl Future<Output = Result<Vec<Vec<u8>>, Fault>> + Send;
}

/// Which of these jobs, each with the content that was found, match a tombstone. None without a
/// key.
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
    pub(super) gallery: &'a GalleryName,
    pub(super) kind: ErasureKind,
    pub(super) target: TombstoneHash,
    pub(super) by: &'a OperatorName,
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

    /// Chooses the images that a target means: that of its number, those at its URI, those of its
    /// subject, or all.
    fn choose(
        &mut self,
        gallery: i64,
        target: &ErasureTarget,
    ) -> impl Future<Output = Result<(), Fault>> + Send;

    /// Takes what another subject has out of what is chosen, and returns it.
    fn spare(&mut self, subject: &str) -> impl Future<Output = Result<Vec<i64>, Fault>> + Send;

    /// Whose these images are: images with names of subjects.
    fn owners(
        &mut self,
        images: &[i64],
    ) -> impl Future<Output = Result<Vec<(i64, String)>, Fault>> + Send;

    /// Begins to choose images, with none.
    fn begin_choice(&mut self) -> impl Future<Output = Result<(), Fault>> + Send;

    /// Chooses these images too.
    fn choose_these(&mut self, images: &[i64]) -> impl Future<Output = Result<(), Fault>> + Send;

    /// Takes these images out of what is chosen.
    fn leave_out(&mut self, images: &[i64]) -> impl Future<Output = Result<(), Fault>> + Send;

    /// Chooses the other versions at the URIs of what is chosen, and returns them.
    fn choose_versions(
        &mut self,
        gallery: i64,
    ) -> impl Future<Output = Result<Vec<i64>, Fault>> + Send;

    /// Chooses the same contents as what is chosen, elsewhere in the gallery.
    fn choose_contents(&mut self, gallery: i64) -> impl Future<Output = Result<(), Fault>> + Send;

    /// The chosen images.
    fn chosen_images(&mut self) -> impl Future<Output = Result<Vec<RemainRow>, Fault>> + Send;

    /// The numbers of the chosen images.
    fn chosen_numbers(&mut self) -> impl Future<Output = Result<Vec<i64>, Fault>> + Send;

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

    /// The reasons of curations of a gallery that contain a text.
    fn reasons_with(
        &mut self,
        gallery: i64,
        text: &str,
    ) -> impl Future<Output = Result<Vec<(i64, String)>, Fault>> + Send;

    /// Removes the reasons of these curations.
    fn clear_reasons(
        &mut self,
        curations: &[i64],
    ) -> impl Future<Output = Result<(), Fault>> + Send;

    /// Deletes a subject, and its name on images that stay.
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

    /// Makes an erasure one that has not ended, of this operator.
    fn reopen(
        &mut self,
        erasure: Uuid,
        by: &OperatorName,
    ) -> impl Future<Output = Result<(), Fault>> + Send;

    /// Writes the counts of an erasure.
    fn set_counts(
        &mut self,
        erasure: Uuid,
        counts: &ErasureCounts,
    ) -> impl Future<Output = Result<(), Fault>> + Send;
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
