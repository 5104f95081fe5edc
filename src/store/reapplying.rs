//! Doing erasures again in a store that was put back to an older state: what was erased is back,
//! and known by the keyed hashes of the receipts alone.

use std::collections::HashSet;

use async_trait::async_trait;

use super::burial::Burial;
use super::choosing::{Staying, choose};
use super::erasing::{NewErasureRow, TombstoneHash};
use super::fault::Fault;
use super::remains::{Matching, RemainTables, matching};
use super::rows::corrupt;
use super::{Erasable, StoreError};
use crate::domain::{
    ErasedBefore, Erasure, ErasureCounts, ErasureId, ErasureKind, ErasureMarks, ErasureTarget,
    SubjectName,
};

/// Whether an erasure can be done again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reapplicable {
    /// It can.
    Yes,
    /// Its hashes were made with another key, so nothing can be known by them.
    OtherKey,
    /// Its receipt does not say with which key, and nothing was found.
    Unknown,
}

/// Doing erasures again.
#[async_trait]
pub trait Reapplying: Send + Sync {
    /// What an erasure left.
    ///
    /// # Errors
    /// If the store cannot be reached or used.
    async fn erasure_marks(&self, id: ErasureId) -> Result<ErasureMarks, StoreError>;

    /// Whether an erasure can be done again here.
    ///
    /// # Errors
    /// If the store cannot be reached or used, or a hash is none.
    async fn can_reapply(&self, before: &ErasedBefore) -> Result<Reapplicable, StoreError>;

    /// What [`Self::reapply`] would remove now. Changes nothing.
    ///
    /// # Errors
    /// As [`Self::reapply`].
    async fn reapplicable(&self, before: &ErasedBefore) -> Result<Erasable, StoreError>;

    /// Erases everything that matches the hashes of an erasure, in one transaction, and leaves all
    /// its tombstones, also those of what the store does not have. An image that the erasure did
    /// not know, and that another subject has too, stays; also one at an erased URI whose bytes are
    /// somebody else's. Doing it again changes nothing.
    ///
    /// # Errors
    /// As [`Erasures::erase`](super::Erasures::erase), or if it [cannot](Self::can_reapply) be
    /// done.
    async fn reapply(&self, before: &ErasedBefore) -> Result<Erasure, StoreError>;
}

/// The hash of hex digits.
fn parsed(digits: &str) -> Result<TombstoneHash, Fault> {
    let hash = blake3::Hash::from_hex(digits);
    let damaged = |_| StoreError::Unusable(format!("'{digits}' is no hash of an erasure"));
    Ok(*hash.map_err(damaged)?.as_bytes())
}

/// The hash of its target, and all its hashes.
fn hashes(before: &ErasedBefore) -> Result<(TombstoneHash, HashSet<Vec<u8>>), Fault> {
    let target = parsed(&before.target)?;
    let left = before.marks.iter().flat_map(|marks| &marks.tombstones);
    let mut all: HashSet<Vec<u8>> =
        left.map(|mark| parsed(mark).map(Vec::from)).collect::<Result<_, Fault>>()?;
    // The place of an image that was named by its number may be somebody else's.
    if before.marks.is_none() {
        all.insert(target.to_vec());
    }
    Ok((target, all))
}

/// See [`Reapplying::erasure_marks`].
pub(super) async fn erasure_marks(
    tables: &mut impl RemainTables,
    ErasureId(id): ErasureId,
) -> Result<ErasureMarks, Fault> {
    let key = tables.erasure_key().await?.ok_or_else(|| corrupt("no key of erasures"))?;
    let hex = |hash: &Vec<u8>| hash.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut tombstones: Vec<String> = tables.tombstones_of(id).await?.iter().map(hex).collect();
    tombstones.sort_unstable();
    Ok(ErasureMarks { key: key.id(), tombstones })
}

/// See [`Reapplying::can_reapply`].
pub(super) async fn can_reapply(
    tables: &mut impl RemainTables,
    before: &ErasedBefore,
) -> Result<Reapplicable, Fault> {
    let (target, all) = hashes(before)?;
    let Some(key) = tables.erasure_key().await? else { return Ok(Reapplicable::OtherKey) };
    if let Some(marks) = &before.marks {
        let same = marks.key == key.id();
        return Ok(if same { Reapplicable::Yes } else { Reapplicable::OtherKey });
    }
    if tables.erasure_with(&target).await?.is_some() {
        return Ok(Reapplicable::Yes);
    }
    let found = matching(tables, &key, &before.gallery, &all).await?;
    let Matching { subjects, images, placed, uris, .. } = found;
    let nothing = subjects.is_empty() && images.is_empty() && placed.is_empty() && uris.is_empty();
    Ok(if nothing { Reapplicable::Unknown } else { Reapplicable::Yes })
}

/// Does an erasure again; the caller commits, or rolls back if it only wants to know. Returns the
/// erasure, with the counts of every time that it ran, and those of this time.
pub(super) async fn reapply(
    tables: &mut impl RemainTables,
    before: &ErasedBefore,
) -> Result<(Erasure, ErasureCounts), Fault> {
    tables.keep_out().await?;
    let (target, all) = hashes(before)?;
    let key = tables.erasure_key().await?.ok_or_else(|| corrupt("no key of erasures"))?;
    if before.marks.as_ref().is_some_and(|marks| marks.key != key.id()) {
        let reason = "the erasure was made with another key";
        return Err(StoreError::Unusable(reason.into()).into());
    }
    let found = matching(tables, &key, &before.gallery, &all).await?;
    let row = NewErasureRow {
        id: before.id.0,
        gallery: &before.gallery,
        kind: before.kind,
        target,
        by: &before.by,
    };
    let erasure = tables.begin_erasure(&row).await?.erasure()?;
    let mut burial = Burial {
        key,
        erasure,
        counts: ErasureCounts::default(),
        tombstones: all.iter().filter_map(|hash| hash.as_slice().try_into().ok()).collect(),
        uris: found.uris.clone(),
    };
    if let Some(gallery) = tables.find_gallery(&before.gallery).await? {
        let target = choose_again(tables, gallery, before, found, &mut burial.counts).await?;
        burial.delete(tables, gallery, target.as_ref()).await?;
    }
    burial.end(tables, &before.by).await
}

/// Chooses what was found, and counts what stays. Returns the subject or the gallery that is
/// erased, if it is there.
async fn choose_again(
    tables: &mut impl RemainTables,
    gallery: i64,
    before: &ErasedBefore,
    mut found: Matching,
    counts: &mut ErasureCounts,
) -> Result<Option<ErasureTarget>, Fault> {
    let target = match before.kind {
        ErasureKind::Gallery => Some(ErasureTarget::Gallery),
        ErasureKind::Image => None,
        ErasureKind::Subject => {
            let name = found.subjects.first().map(|name| name.parse::<SubjectName>());
            name.transpose().map_err(corrupt)?.map(ErasureTarget::Subject)
        }
    };
    let mut staying = match &target {
        Some(target) => choose(tables, gallery, target).await?,
        None => {
            tables.begin_choice().await?;
            Staying::default()
        }
    };
    if before.kind == ErasureKind::Gallery {
        return Ok(target);
    }
    // The receipt of an older version of an image has nothing but its URI.
    if before.kind == ErasureKind::Subject || before.marks.is_some() {
        staying.others.extend(found.leave_others(tables, before.kind).await?);
    }
    staying.count(counts);
    // They were erased, whoever has them in this state of the store.
    tables.choose_these(&found.images).await?;
    tables.choose_these(&found.placed).await?;
    if before.kind == ErasureKind::Image {
        tables.choose_contents(gallery).await?;
    }
    Ok(target)
}
