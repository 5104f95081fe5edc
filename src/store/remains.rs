//! Looks for what was erased.

use std::collections::HashSet;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use async_trait::async_trait;
use memchr::memmem::Finder;
use uuid::Uuid;

use super::StoreError;
use super::erasing::{ErasureTables, Trace};
use super::fault::Fault;
use super::row::row;
use super::rows::ErasureRow;
use crate::domain::{ContentHash, Erasure, ErasureTarget, GalleryName};

/// Looks for what was erased. What was erased is known by its keyed hash alone, so everything that
/// a gallery has is hashed and compared.
#[async_trait]
pub trait Remains: Send + Sync {
    /// The erasure of a target; none if it was never erased in this store.
    ///
    /// # Errors
    /// If the store cannot be reached or used.
    async fn erasure_of(
        &self,
        gallery: &GalleryName,
        target: &ErasureTarget,
    ) -> Result<Option<Erasure>, StoreError>;

    /// How many images and subjects of the gallery match a tombstone of this erasure.
    ///
    /// # Errors
    /// If the store cannot be reached or used.
    async fn remains(&self, erasure: &Erasure) -> Result<u64, StoreError>;

    /// Which of these contents were erased in the gallery, by any erasure.
    ///
    /// # Errors
    /// If the store cannot be reached or used.
    async fn erased_among(
        &self,
        gallery: &GalleryName,
        contents: &[ContentHash],
    ) -> Result<Vec<bool>, StoreError>;
}

/// A place whose files were searched for a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchedFiles {
    /// A file, or a table or an index.
    pub place: String,
    /// Whether the text is there.
    pub found: bool,
}

/// Bytes that are searched at once.
const CHUNK: usize = 8 << 20;

/// Images that are read at once.
pub(super) const PAGE: i64 = 10_000;

row! {
    /// An image, and the subject that it is labelled with.
    pub(super) struct RemainRow {
        pub(super) id: i64,
        uri: String,
        content_hash: Vec<u8>,
        subject: Option<String>,
    }
}

/// Reads what may match a tombstone.
pub(super) trait RemainTables: ErasureTables {
    /// The erasure with this target.
    fn erasure_with(
        &mut self,
        target: &[u8],
    ) -> impl Future<Output = Result<Option<ErasureRow>, Fault>> + Send;

    /// The tombstones of an erasure.
    fn tombstones_of(
        &mut self,
        erasure: Uuid,
    ) -> impl Future<Output = Result<Vec<Vec<u8>>, Fault>> + Send;

    /// The next images of a gallery.
    fn images_after(
        &mut self,
        gallery: i64,
        after: i64,
    ) -> impl Future<Output = Result<Vec<RemainRow>, Fault>> + Send;

    /// The names of the subjects of a gallery.
    fn subject_names(
        &mut self,
        gallery: i64,
    ) -> impl Future<Output = Result<Vec<String>, Fault>> + Send;
}

/// See [`Remains::erasure_of`].
pub(super) async fn erasure_of(
    tables: &mut impl RemainTables,
    gallery: &GalleryName,
    target: &ErasureTarget,
) -> Result<Option<Erasure>, Fault> {
    let Some(key) = tables.erasure_key().await? else { return Ok(None) };
    let target = key.hash(gallery.as_str(), Trace::from(target));
    tables.erasure_with(&target).await?.map(ErasureRow::erasure).transpose()
}

/// See [`Remains::remains`].
pub(super) async fn remains(
    tables: &mut impl RemainTables,
    erasure: &Erasure,
) -> Result<u64, Fault> {
    let Some(key) = tables.erasure_key().await? else { return Ok(0) };
    let Some(gallery) = tables.find_gallery(&erasure.gallery).await? else { return Ok(0) };
    let tombstones: HashSet<Vec<u8>> =
        tables.tombstones_of(erasure.id.0).await?.into_iter().collect();
    let name = erasure.gallery.as_str();
    let is_erased = |trace: Trace<'_>| tombstones.contains(key.hash(name, trace).as_slice());
    let all = is_erased(Trace::Gallery);
    let mut found = 0;
    for subject in tables.subject_names(gallery).await? {
        found += u64::from(all || is_erased(Trace::Subject(&subject)));
    }
    let mut after = 0;
    loop {
        let page = tables.images_after(gallery, after).await?;
        let Some(last) = page.last() else { return Ok(found) };
        after = last.id;
        for row in &page {
            let subject =
                row.subject.as_deref().is_some_and(|name| is_erased(Trace::Subject(name)));
            found += u64::from(
                all || subject
                    || is_erased(Trace::Uri(&row.uri))
                    || is_erased(Trace::Content(&row.content_hash)),
            );
        }
    }
}

/// See [`Remains::erased_among`].
pub(super) async fn erased_among(
    tables: &mut impl RemainTables,
    gallery: &GalleryName,
    contents: &[ContentHash],
) -> Result<Vec<bool>, Fault> {
    let Some(key) = tables.erasure_key().await? else { return Ok(vec![false; contents.len()]) };
    let hash = |content: &ContentHash| key.hash(gallery.as_str(), Trace::Content(&content.0));
    let hashes: Vec<_> = contents.iter().map(hash).collect();
    let found: HashSet<Vec<u8>> = tables.tombstones(hashes.clone()).await?.into_iter().collect();
    Ok(hashes.iter().map(|hash| found.contains(hash.as_slice())).collect())
}

/// Whether a file contains a text.
///
/// # Errors
/// If it cannot be read.
pub fn file_contains(path: &Path, text: &str) -> std::io::Result<bool> {
    let text = text.as_bytes();
    let (finder, mut file) = (Finder::new(text), File::open(path)?);
    let mut window = Vec::new();
    loop {
        // What may be the beginning of the text goes with the next bytes.
        let kept = window.len().min(text.len().saturating_sub(1));
        window.drain(..window.len() - kept);
        let read = (&mut file).take(CHUNK as u64).read_to_end(&mut window)?;
        if finder.find(&window).is_some() {
            return Ok(true);
        }
        if read == 0 {
            return Ok(false);
        }
    }
}
