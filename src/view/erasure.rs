//! Erasures, as `erase --json` prints them.

use serde::{Deserialize, Serialize};

use crate::domain::{
    Erasure, ErasureCounts, ErasureId, ErasureKind, ErasureMarks, ErasurePlace, GalleryName,
    OperatorName, SearchedKind, TakenImage, UtcTime,
};
use crate::store::{FoundText, SearchedFiles};

/// The receipt of an erasure: the line of `erase --json`, and what `--receipt` writes. It holds no
/// name of a person and no URI. Keep it as long as backups from before the erasure: `--reapply`
/// needs it once one of them was restored.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ErasureReceipt {
    /// The version of this form: 1.
    pub version: u32,
    /// Whether nothing was erased: the counts say what would be.
    pub dry_run: bool,
    /// The erasure; null in a trial.
    pub erasure: Option<ErasureId>,
    /// The gallery.
    pub gallery: GalleryName,
    /// What was erased of it.
    pub kind: ErasureKind,
    /// The hash of the image or the person, with a key that only the store has; null in a trial.
    pub target: Option<String>,
    /// Who did it.
    pub by: String,
    /// When it began; null in a trial.
    pub begun_at: Option<UtcTime>,
    /// When everything was erased; null in a trial.
    pub ended_at: Option<UtcTime>,
    /// When it had ended before, if nothing was left of it this time; null otherwise.
    pub already_erased_at: Option<UtcTime>,
    /// Whether the files of the store were written anew, without what was deleted.
    pub rewritten: bool,
    /// What was removed, by place; every place where an erasure looks is there. `kept` counts
    /// images that stay, because another subject has them too, and `others_there` those that stay
    /// at an erased place, because their bytes are somebody else's.
    pub places: ErasureCounts,
    /// What the erasure left in the store: keyed hashes of all that it erased; null in a trial.
    pub marks: Option<ErasureMarks>,
    /// In a trial for an image, every image that would be taken, and why; null otherwise, and in
    /// what `--receipt` writes.
    pub images: Option<Vec<TakenImage>>,
}

/// What `erase --reapply` did: its line with `--json`, and what `--receipt` then writes. It serves
/// as the receipt of all these erasures.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ReappliedErasures {
    /// The version of this form: 1.
    pub version: u32,
    /// Whether nothing was erased: the counts say what would be.
    pub dry_run: bool,
    /// The receipt of each erasure.
    pub receipts: Vec<ErasureReceipt>,
    /// What was removed by all of them, by place.
    pub places: ErasureCounts,
}

impl ReappliedErasures {
    /// With the receipt of each erasure.
    pub fn new(dry_run: bool, receipts: Vec<ErasureReceipt>) -> Self {
        let nothing = complete(&ErasureCounts::default());
        let places = receipts.iter().fold(nothing, |sum, receipt| sum.plus(&receipt.places));
        Self { version: 1, dry_run, receipts, places }
    }
}

/// The counts with every place.
fn complete(counts: &ErasureCounts) -> ErasureCounts {
    let mut complete = ErasureCounts::default();
    ErasurePlace::ALL.into_iter().for_each(|place| complete.add(place, counts.of(place)));
    complete
}

impl ErasureReceipt {
    /// The receipt of a trial.
    pub fn of_trial(
        gallery: GalleryName,
        kind: ErasureKind,
        by: &OperatorName,
        counts: &ErasureCounts,
    ) -> Self {
        Self {
            version: 1,
            dry_run: true,
            erasure: None,
            gallery,
            kind,
            target: None,
            by: by.to_string(),
            begun_at: None,
            ended_at: None,
            already_erased_at: None,
            rewritten: false,
            places: complete(counts),
            marks: None,
            images: None,
        }
    }

    /// The receipt of an erasure that has ended, with what it left; and the erasure as it was
    /// before, if there was one.
    pub fn new(
        erasure: Erasure,
        marks: ErasureMarks,
        before: Option<&Erasure>,
        rewritten: bool,
    ) -> Self {
        let same = |before: &&Erasure| before.counts.removed() == erasure.counts.removed();
        Self {
            version: 1,
            dry_run: false,
            erasure: Some(erasure.id),
            gallery: erasure.gallery,
            kind: erasure.kind,
            target: Some(erasure.target),
            by: erasure.by.to_string(),
            begun_at: Some(erasure.begun_at),
            ended_at: erasure.ended_at,
            already_erased_at: before.filter(same).and_then(|before| before.ended_at),
            rewritten,
            places: complete(&erasure.counts),
            marks: Some(marks),
            images: None,
        }
    }
}

/// What a search for something that was erased found in one place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, strum::Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum SearchResult {
    /// It is not there.
    Absent,
    /// It is there.
    Found,
    /// The place was not searched.
    NotSearched,
}

/// A place that was searched for something that was erased.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct VerifiedPlace {
    /// Its kind.
    pub kind: SearchedKind,
    /// The place: what is searched, or the name of a file, a table or an index.
    pub place: String,
    /// What was found.
    pub result: SearchResult,
    /// Of `rows`, `dead_letters` and `chips`: how many were found; null for others.
    pub count: Option<u64>,
    /// The file in which it was found: of Postgres, below its data folder; null otherwise.
    pub file: Option<String>,
    /// The first byte in that file, counted from 0; null otherwise.
    pub offset: Option<u64>,
    /// Why it was not searched; null if it was.
    pub reason: Option<String>,
}

impl VerifiedPlace {
    fn new(kind: SearchedKind, place: impl Into<String>, result: SearchResult) -> Self {
        let (count, file, offset, reason) = Default::default();
        Self { kind, place: place.into(), result, count, file, offset, reason }
    }

    /// A place that was searched for things that are counted.
    pub fn counted(kind: SearchedKind, place: impl Into<String>, count: u64) -> Self {
        let result = if count > 0 { SearchResult::Found } else { SearchResult::Absent };
        Self { count: Some(count), ..Self::new(kind, place, result) }
    }

    /// A place that was not searched.
    pub fn skipped(
        kind: SearchedKind,
        place: impl Into<String>,
        reason: impl Into<String>,
    ) -> Self {
        let reason = Some(reason.into());
        Self { reason, ..Self::new(kind, place, SearchResult::NotSearched) }
    }

    /// An erasure that did not end.
    pub fn unfinished() -> Self {
        let reason = Some("it was interrupted: run the same command again".to_owned());
        Self { reason, ..Self::new(SearchedKind::Erasure, "erasure", SearchResult::Found) }
    }
}

impl From<SearchedFiles> for VerifiedPlace {
    fn from(SearchedFiles { kind, place, found }: SearchedFiles) -> Self {
        let result = if found.is_some() { SearchResult::Found } else { SearchResult::Absent };
        let (file, offset) = found.map(|FoundText { file, offset }| (file, offset)).unzip();
        Self { file, offset, ..Self::new(kind, place, result) }
    }
}

/// Whether what was erased is absent: the line of `erase --verify --json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct VerifiedErasureView {
    /// The erasure.
    pub erasure: ErasureId,
    /// Whether it was found nowhere.
    pub absent: bool,
    /// Each place.
    pub places: Vec<VerifiedPlace>,
}

/// What a receipt says of itself, to verify it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ReadReceipt {
    /// The version of its form.
    pub version: u32,
    /// The erasure; none in a trial.
    pub erasure: Option<ErasureId>,
    /// The gallery.
    pub gallery: GalleryName,
    /// What was erased of it.
    pub kind: ErasureKind,
    /// The keyed hash of what was erased; none in a trial.
    pub target: Option<String>,
    /// What the erasure left; an older facefleet did not write it.
    pub marks: Option<ErasureMarks>,
}

/// What a file of receipts holds.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum ReceiptFile {
    /// What `--reapply` wrote.
    Reapplied {
        /// The receipts.
        receipts: Vec<ReadReceipt>,
    },
    /// A receipt.
    Single(ReadReceipt),
}
