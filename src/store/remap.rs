//! Copying results to a profile with another mapping: the same scores, other qualities.
//!
//! Decided once for both backends; a backend reads and writes rows.

use async_trait::async_trait;

use super::StoreError;
use super::batch::BatchTables;
use super::fault::Fault;
use super::plan::NeededIds;
use super::row::row;
use super::rows::corrupt;
use crate::domain::{GalleryName, ProfileId};

/// What to copy.
#[derive(Debug, Clone, PartialEq)]
pub struct Remap {
    /// The gallery.
    pub gallery: GalleryName,
    /// The profile of the results.
    pub from: ProfileId,
    /// The profile to copy them to. It is registered, and has the same scores.
    pub to: ProfileId,
    /// The quality of a score is the number of these that do not exceed it.
    pub cutoffs: Vec<f64>,
    /// The most results of one step.
    pub batch: u32,
}

/// How far a remap is, or a part of it. It begins at the default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RemapPosition {
    /// Which part this is, and how many there are.
    part: (i64, i64),
    /// Whether it has reached the notes, which come after the results.
    notes: bool,
    /// The last result that was looked at.
    after: i64,
}

impl RemapPosition {
    /// Where the parts of a remap begin that is done in `count` parts at once. No two parts have an
    /// image in common.
    pub fn parts(count: u32) -> Vec<Self> {
        let count = i64::from(count);
        let begin = |part| Self { part: (part, count), notes: false, after: 0 };
        (0..count).map(begin).collect()
    }

    fn has(&self, result: i64) -> bool {
        let (part, parts) = self.part;
        result.rem_euclid(parts) == part
    }
}

impl Default for RemapPosition {
    fn default() -> Self {
        Self { part: (0, 1), notes: false, after: 0 }
    }
}

/// What one step did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RemapStep {
    /// Results looked at, without notes.
    pub images: u64,
    /// Of these, the ones that were copied or became current again.
    pub copied: u64,
    /// Faces copied.
    pub faces: u64,
    /// Where the next step begins; none after the last.
    pub next: Option<RemapPosition>,
}

/// Copying results to a profile with another mapping.
#[async_trait]
pub trait Remapping: Send + Sync {
    /// In how many parts a remap is done best: one, if there is one writer.
    fn remap_parts(&self) -> u32;

    /// Copies the next results of `remap`, in one transaction: those that are current, and the
    /// notes next to them. A copy keeps everything but the quality, so a scan under the new profile
    /// finds it up to date.
    ///
    /// A result that the new profile has already stays, unless the one to copy was recorded later.
    /// A result that was superseded and is current under the old profile becomes current again.
    /// Repeating a step changes nothing, and steps may run next to workers and other remaps.
    ///
    /// # Errors
    /// If the store cannot be reached or used.
    async fn remap(&self, remap: &Remap, position: RemapPosition) -> Result<RemapStep, StoreError>;
}

row! {
    /// A result to copy, and what the new profile has of its image.
    #[derive(Debug, Default)]
    pub(super) struct CandidateRow {
        source_id: i64,
        /// It is a note.
        noted: bool,
        /// Bytes of its image came.
        has_bytes: bool,
        /// The new profile's result of the same image: its id, whether it is superseded, and
        /// whether it was recorded no earlier.
        own_id: Option<i64>,
        own_superseded: Option<bool>,
        own_later: Option<bool>,
        /// The new profile's current result of another image of the same URI: its id, whether it
        /// has bytes, and whether it was recorded later.
        current_id: Option<i64>,
        current_bytes: Option<bool>,
        current_later: Option<bool>,
    }
}

/// What a step writes.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Copies {
    /// Results to copy, with the ids of the copies.
    pub(super) pairs: Vec<(i64, i64)>,
    /// Copies that replace an older result: its faces and templates are deleted.
    pub(super) replaced: Vec<i64>,
    /// Results that become current again.
    pub(super) revived: Vec<i64>,
    /// Results without bytes that a copy with bytes supersedes.
    pub(super) superseded: Vec<i64>,
    /// Those of `superseded` that are later than the copy, and become notes next to it.
    pub(super) noted: Vec<i64>,
}

/// What to do with one candidate.
#[derive(Debug, Clone, Copy, PartialEq)]
enum CopyDecision {
    Keep,
    Revive(i64),
    /// To the row of this id if there is one.
    Copy(Option<i64>),
}

impl CandidateRow {
    fn decide(&self) -> CopyDecision {
        let current_bytes = self.current_bytes.unwrap_or(false);
        // A result without bytes stands alone, or is a note next to one with bytes.
        let fits =
            self.has_bytes || if self.noted { current_bytes } else { self.current_id.is_none() };
        match self.own_id {
            _ if !fits => CopyDecision::Keep,
            Some(own) if self.own_later == Some(true) => {
                let revive = self.has_bytes && self.own_superseded == Some(true);
                if revive { CopyDecision::Revive(own) } else { CopyDecision::Keep }
            }
            own => CopyDecision::Copy(own),
        }
    }
}

impl Copies {
    /// Decides on `candidates`; `ids` are those of new rows.
    fn new(candidates: &[CandidateRow], mut ids: impl Iterator<Item = i64>) -> Result<Self, Fault> {
        let mut copies = Self::default();
        for candidate in candidates {
            match candidate.decide() {
                CopyDecision::Keep => continue,
                CopyDecision::Revive(own) => copies.revived.push(own),
                CopyDecision::Copy(own) => {
                    copies.replaced.extend(own);
                    let id = own.or_else(|| ids.next());
                    let id = id.ok_or_else(|| corrupt("fewer new ids than rows"))?;
                    copies.pairs.push((candidate.source_id, id));
                }
            }
            if let Some(current) = candidate.current_id.filter(|_| candidate.has_bytes) {
                copies.superseded.push(current);
                let later = candidate.current_later == Some(true);
                let noted = later && candidate.current_bytes == Some(false);
                copies.noted.extend(noted.then_some(current));
            }
        }
        Ok(copies)
    }

    fn is_empty(&self) -> bool {
        self.pairs.is_empty() && self.revived.is_empty()
    }
}

/// Reads and writes the rows of a step, inside its transaction.
pub(super) trait RemapTables: BatchTables {
    /// The next current results of a gallery with a profile.
    fn results_after(
        &mut self,
        remap: &Remap,
        gallery_profile: i64,
        after: i64,
    ) -> impl Future<Output = Result<Vec<i64>, Fault>> + Send;

    /// The next notes of a gallery with a profile.
    fn notes_after(
        &mut self,
        remap: &Remap,
        gallery_profile: i64,
        after: i64,
    ) -> impl Future<Output = Result<Vec<i64>, Fault>> + Send;

    /// Locks the images of these results until the end of the transaction.
    fn lock_images(&mut self, results: &[i64]) -> impl Future<Output = Result<(), Fault>> + Send;

    /// Those of these results that are still current or notes, each with what the gallery and
    /// profile `target` has of its image.
    fn candidates(
        &mut self,
        results: &[i64],
        target: i64,
    ) -> impl Future<Output = Result<Vec<CandidateRow>, Fault>> + Send;

    /// Writes the copies to the gallery and profile `target`; returns the number of faces.
    fn write_copies(
        &mut self,
        remap: &Remap,
        target: i64,
        copies: &Copies,
    ) -> impl Future<Output = Result<u64, Fault>> + Send;
}

/// Does one step; the caller commits.
pub(super) async fn step(
    tables: &mut impl RemapTables,
    remap: &Remap,
    position: RemapPosition,
) -> Result<RemapStep, Fault> {
    let name = |profile| (remap.gallery.as_str(), ProfileId::as_str(profile));
    let Some(&source) = tables.find_scopes(&[name(&remap.from)]).await?.first() else {
        return Ok(RemapStep::default());
    };
    let RemapPosition { notes, after, .. } = position;
    let mut ids = if notes {
        tables.notes_after(remap, source.gallery_profile, after).await?
    } else {
        tables.results_after(remap, source.gallery_profile, after).await?
    };
    let Some(&last) = ids.last() else {
        let next = (!notes).then_some(RemapPosition { notes: true, after: 0, ..position });
        return Ok(RemapStep { next, ..RemapStep::default() });
    };
    ids.retain(|&id| position.has(id));
    let target = target(tables, name(&remap.to)).await?;
    tables.lock_images(&ids).await?;
    let candidates = tables.candidates(&ids, target).await?;
    let new = candidates.iter().filter(|each| each.decide() == CopyDecision::Copy(None)).count();
    let needed = NeededIds { images: 0, results: i64::try_from(new).unwrap_or(i64::MAX) };
    let copies = Copies::new(&candidates, tables.new_ids(needed).await?.results)?;
    let mut done =
        RemapStep { next: Some(RemapPosition { after: last, ..position }), ..RemapStep::default() };
    if !notes {
        done.images = ids.len() as u64;
        done.copied = (copies.pairs.len() + copies.revived.len()) as u64;
    }
    if !copies.is_empty() {
        done.faces = tables.write_copies(remap, target, &copies).await?;
        tables.touch(&[target]).await?;
    }
    Ok(done)
}

/// The id of the gallery with the new profile, which may be new.
async fn target(tables: &mut impl RemapTables, name: (&str, &str)) -> Result<i64, Fault> {
    if let Some(found) = tables.find_scopes(&[name]).await?.first() {
        return Ok(found.gallery_profile);
    }
    if let Some(unknown) = tables.unknown_profile(&[name]).await? {
        let reason = format!("its profile {unknown} was never registered");
        return Err(StoreError::Invalid(reason).into());
    }
    tables.add_scopes(&[name]).await?;
    let found = tables.find_scopes(&[name]).await?;
    let found = found.first().ok_or_else(|| corrupt("a gallery and profile that are missing"))?;
    Ok(found.gallery_profile)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WITH_BYTES: CandidateRow = CandidateRow {
        source_id: 1,
        noted: false,
        has_bytes: true,
        own_id: None,
        own_superseded: None,
        own_later: None,
        current_id: None,
        current_bytes: None,
        current_later: None,
    };

    fn copies(candidate: CandidateRow) -> Copies {
        Copies::new(&[candidate], [100].into_iter()).unwrap()
    }

    #[test]
    fn the_later_of_two_results_stays() {
        let own = |superseded, later| CandidateRow {
            own_id: Some(7),
            own_superseded: Some(superseded),
            own_later: Some(later),
            ..WITH_BYTES
        };
        assert_eq!(copies(WITH_BYTES).pairs, [(1, 100)]);
        assert_eq!(copies(own(false, true)), Copies::default());
        let older = copies(own(false, false));
        assert_eq!((&older.pairs[..], &older.replaced[..]), (&[(1, 7)][..], &[7][..]));
        assert_eq!(copies(own(true, true)).revived, [7]);
    }

    #[test]
    fn bytes_supersede_a_result_without_bytes_which_is_a_note_if_it_is_later() {
        let current = |later| CandidateRow {
            current_id: Some(9),
            current_bytes: Some(false),
            current_later: Some(later),
            ..WITH_BYTES
        };
        let earlier = copies(current(false));
        assert_eq!((&earlier.superseded[..], &earlier.noted[..]), (&[9][..], &[][..]));
        assert_eq!(copies(current(true)).noted, [9]);
    }

    #[test]
    fn a_result_without_bytes_never_hides_one_with_bytes() {
        let without = |noted, current_bytes: Option<bool>| CandidateRow {
            noted,
            has_bytes: false,
            current_id: current_bytes.map(|_| 9),
            current_bytes,
            ..WITH_BYTES
        };
        assert_eq!(copies(without(false, None)).pairs, [(1, 100)]);
        assert_eq!(copies(without(false, Some(true))), Copies::default());
        assert_eq!(copies(without(true, None)), Copies::default());
        assert_eq!(copies(without(true, Some(true))).pairs, [(1, 100)]);
        assert_eq!(copies(without(true, Some(true))).superseded, [0; 0]);
    }
}
