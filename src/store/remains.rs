//! Looks for what was erased.

use std::collections::{BTreeSet, HashSet};
use std::fs::File;
use std::io::Read;
use std::path::Path;

use async_trait::async_trait;
use memchr::memmem::Finder;
use uuid::Uuid;

use super::StoreError;
use super::choosing::{of_others, people_of};
use super::erasing::{ErasureKey, ErasureTables, TombstoneTables, Trace};
use super::fault::Fault;
use super::row::row;
use super::rows::ErasureRow;
use crate::domain::{
    ContentHash, Erasure, ErasureKind, ErasureTarget, GalleryName, ImageId, ImageUri, SearchedKind,
    SubjectName,
};

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

    /// The erasure of an image that had this number; none if there was none.
    ///
    /// # Errors
    /// If the store cannot be reached or used.
    async fn erasure_of_number(
        &self,
        gallery: &GalleryName,
        number: ImageId,
    ) -> Result<Option<Erasure>, StoreError>;

    /// Whether the store has something of what is to be erased.
    ///
    /// # Errors
    /// If the store cannot be reached or used.
    async fn is_known(
        &self,
        gallery: &GalleryName,
        target: &ErasureTarget,
    ) -> Result<bool, StoreError>;

    /// Whether a gallery was erased: all its jobs end as erased.
    ///
    /// # Errors
    /// If the store cannot be reached or used.
    async fn is_gallery_erased(&self, gallery: &GalleryName) -> Result<bool, StoreError>;

    /// How many images, subjects and positions of campaigns of the gallery match a tombstone of
    /// this erasure. Images at an erased URI whose bytes are somebody else's are not among them.
    ///
    /// # Errors
    /// If the store cannot be reached or used.
    async fn remains(&self, erasure: &Erasure) -> Result<u64, StoreError>;

    /// Which of these contents were erased in the gallery, by any erasure, and are in no other
    /// gallery.
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
    /// Its kind.
    pub kind: SearchedKind,
    /// A file, or a table or an index.
    pub place: String,
    /// Where the text is first; none if it is not there.
    pub found: Option<FoundText>,
}

/// Where a text is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundText {
    /// The file.
    pub file: String,
    /// Its first byte, counted from 0.
    pub offset: u64,
}

/// Bytes that are searched at once.
const CHUNK: usize = 8 << 20;

/// Images that are read at once.
pub(super) const PAGE: i64 = 10_000;

row! {
    /// An image, and the subject that it is labelled with.
    pub(super) struct RemainRow {
        pub(super) id: i64,
        pub(super) uri: String,
        pub(super) content_hash: Vec<u8>,
        subject: Option<String>,
    }
}

row! {
    /// What a campaign that has listed its images says of them.
    pub(super) struct CampaignTextsRow {
        chunk_from: Option<String>,
        chunk_to: Option<String>,
        source: String,
    }
}

/// Reads what may match a tombstone.
pub(super) trait RemainTables: ErasureTables {
    /// The erasure with this target.
    fn erasure_with(
        &mut self,
        target: &[u8],
    ) -> impl Future<Output = Result<Option<ErasureRow>, Fault>> + Send;

    /// The erasure that left this tombstone.
    fn erasure_that_left(
        &mut self,
        tombstone: &[u8],
    ) -> impl Future<Output = Result<Option<ErasureRow>, Fault>> + Send;

    /// Those of these contents that another gallery has.
    fn held_elsewhere(
        &mut self,
        gallery: &GalleryName,
        contents: &[&ContentHash],
    ) -> impl Future<Output = Result<Vec<Vec<u8>>, Fault>> + Send;

    /// What campaigns of a gallery say of their images.
    fn campaign_texts(
        &mut self,
        gallery: &GalleryName,
    ) -> impl Future<Output = Result<Vec<CampaignTextsRow>, Fault>> + Send;

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

/// See [`Remains::erasure_of_number`].
pub(super) async fn erasure_of_number(
    tables: &mut impl RemainTables,
    gallery: &GalleryName,
    ImageId(number): ImageId,
) -> Result<Option<Erasure>, Fault> {
    let Some(key) = tables.erasure_key().await? else { return Ok(None) };
    let tombstone = key.hash(gallery.as_str(), Trace::Number(number));
    tables.erasure_that_left(&tombstone).await?.map(ErasureRow::erasure).transpose()
}

/// See [`Remains::is_gallery_erased`].
pub(super) async fn is_gallery_erased(
    tables: &mut impl TombstoneTables,
    gallery: &GalleryName,
) -> Result<bool, Fault> {
    let Some(key) = tables.erasure_key().await? else { return Ok(false) };
    let tombstone = key.hash(gallery.as_str(), Trace::Gallery);
    Ok(!tables.tombstones(vec![tombstone]).await?.is_empty())
}

/// See [`Remains::remains`].
pub(super) async fn remains(
    tables: &mut impl RemainTables,
    erasure: &Erasure,
) -> Result<u64, Fault> {
    let Some(key) = tables.erasure_key().await? else { return Ok(0) };
    let tombstones = tables.tombstones_of(erasure.id.0).await?.into_iter().collect();
    let mut found = matching(tables, &key, &erasure.gallery, &tombstones).await?;
    found.leave_others(tables, erasure.kind).await?;
    let Matching { subjects, labelled, images, placed, uris } = found;
    Ok((subjects.len() + labelled + images.len() + placed.len() + uris.len()) as u64)
}

/// What a gallery has that matches tombstones.
#[derive(Default)]
pub(super) struct Matching {
    /// The names of subjects.
    pub(super) subjects: BTreeSet<String>,
    /// How many images match by their subject alone.
    pub(super) labelled: usize,
    /// Images that match by their content, or with all of their gallery.
    pub(super) images: Vec<i64>,
    /// Images that match by their URI alone.
    pub(super) placed: Vec<i64>,
    /// What campaigns name: URIs, and places with a folder that has the name of a person.
    pub(super) uris: Vec<String>,
}

/// What campaigns name of what `is_erased`: URIs, and places with a folder of a person's name.
pub(super) async fn named_by_campaigns(
    tables: &mut impl RemainTables,
    gallery: &GalleryName,
    is_erased: &(impl Fn(Trace<'_>) -> bool + Sync),
) -> Result<Vec<String>, Fault> {
    let mut named = BTreeSet::new();
    for texts in tables.campaign_texts(gallery).await? {
        let mut folders = texts.source.split(", ").flat_map(|place| place.split('/'));
        let is_name = |folder: &str| {
            let name = folder.parse::<SubjectName>();
            name.is_ok_and(|name| is_erased(Trace::Subject(name.as_str())))
        };
        if folders.any(is_name) {
            named.insert(texts.source.clone());
        }
        named.extend(texts.uris().into_iter().filter(|uri| is_erased(Trace::Uri(uri))));
    }
    Ok(named.into_iter().collect())
}

/// Compares all that a gallery has with these tombstones.
pub(super) async fn matching(
    tables: &mut impl RemainTables,
    key: &ErasureKey,
    gallery: &GalleryName,
    tombstones: &HashSet<Vec<u8>>,
) -> Result<Matching, Fault> {
    let is_erased =
        |trace: Trace<'_>| tombstones.contains(key.hash(gallery.as_str(), trace).as_slice());
    let uris = named_by_campaigns(tables, gallery, &is_erased).await?;
    let mut found = Matching { uris, ..Matching::default() };
    let Some(id) = tables.find_gallery(gallery).await? else { return Ok(found) };
    let all = is_erased(Trace::Gallery);
    let is_subject = |name: &str| all || is_erased(Trace::Subject(name));
    let names = tables.subject_names(id).await?.into_iter();
    found.subjects = names.filter(|name| is_subject(name)).collect();
    let mut after = 0;
    loop {
        let page = tables.images_after(id, after).await?;
        let Some(last) = page.last() else { return Ok(found) };
        after = last.id;
        for row in page {
            if all || is_erased(Trace::Content(&row.content_hash)) {
                found.images.push(row.id);
                continue;
            }
            let is_placed = is_erased(Trace::Uri(&row.uri));
            if is_placed {
                found.placed.push(row.id);
            }
            if let Some(name) = row.subject.filter(|name| is_subject(name)) {
                found.labelled += usize::from(!is_placed);
                found.subjects.insert(name);
            }
        }
    }
}

impl Matching {
    /// Takes out the images at an erased URI that somebody else has, and returns them. They were
    /// moved there, or are of another state of the store. The people of an erased image are those
    /// of its content.
    pub(super) async fn leave_others(
        &mut self,
        tables: &mut impl RemainTables,
        kind: ErasureKind,
    ) -> Result<BTreeSet<i64>, Fault> {
        let people = match kind {
            ErasureKind::Gallery => return Ok(BTreeSet::new()),
            ErasureKind::Subject => self.subjects.clone(),
            ErasureKind::Image if self.images.is_empty() => BTreeSet::new(),
            ErasureKind::Image => people_of(tables, &self.images).await?,
        };
        let others = of_others(tables, &self.placed, &people).await?;
        self.placed.retain(|image| !others.contains(image));
        Ok(others)
    }
}

impl CampaignTextsRow {
    /// The URIs in it; sources may name paths.
    fn uris(self) -> Vec<String> {
        let of_part = |part: &str| match part.starts_with('/') {
            true => ImageUri::from_path(Path::new(part)).ok().map(|uri| uri.as_str().to_owned()),
            false => Some(part.to_owned()),
        };
        let named: Vec<String> = self.source.split(", ").filter_map(of_part).collect();
        self.chunk_from.into_iter().chain(self.chunk_to).chain(named).collect()
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
    let hashes = contents.iter().map(hash).collect();
    let found: HashSet<Vec<u8>> = tables.tombstones(hashes).await?.into_iter().collect();
    let is_erased = |content: &&ContentHash| found.contains(hash(content).as_slice());
    let erased: Vec<&ContentHash> = contents.iter().filter(is_erased).collect();
    let held: HashSet<Vec<u8>> = match erased.is_empty() {
        true => HashSet::new(),
        false => tables.held_elsewhere(gallery, &erased).await?.into_iter().collect(),
    };
    let is_found = |content| is_erased(&content) && !held.contains(content.0.as_slice());
    Ok(contents.iter().map(is_found).collect())
}

/// Where a file first contains a text; none if it does not.
///
/// # Errors
/// If it cannot be read.
pub fn find_in_file(path: &Path, text: &str) -> std::io::Result<Option<FoundText>> {
    let text = text.as_bytes();
    let (finder, mut file) = (Finder::new(text), File::open(path)?);
    let (mut window, mut begin) = (Vec::new(), 0);
    loop {
        // What may be the beginning of the text goes with the next bytes.
        let kept = window.len().min(text.len().saturating_sub(1));
        begin += (window.len() - kept) as u64;
        window.drain(..window.len() - kept);
        let read = (&mut file).take(CHUNK as u64).read_to_end(&mut window)?;
        if let Some(place) = finder.find(&window) {
            let (file, offset) = (path.display().to_string(), begin + place as u64);
            return Ok(Some(FoundText { file, offset }));
        }
        if read == 0 {
            return Ok(None);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_text_is_found_where_it_begins_also_across_two_reads() {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let mut bytes = vec![b'.'; CHUNK + 100];
        file.write_all(&bytes).unwrap();
        assert_eq!(find_in_file(file.path(), "ada").unwrap(), None);
        for offset in [CHUNK + 50, CHUNK - 1, 0] {
            bytes[offset..offset + 3].copy_from_slice(b"ada");
            std::fs::write(file.path(), &bytes).unwrap();
            let found = find_in_file(file.path(), "ada").unwrap().unwrap();
            assert_eq!(found.offset, offset as u64);
            assert_eq!(found.file, file.path().display().to_string());
        }
    }
}
