//! Erasures, as `erase --json` prints them.

use serde::{Deserialize, Serialize};

use crate::domain::{
    Erasure, ErasureCounts, ErasureId, ErasureKind, ErasureMarks, ErasurePlace, GalleryName,
    OperatorName, TakenImage, UtcTime,
};

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
    /// The place.
    pub place: String,
    /// What was found.
    pub result: SearchResult,
    /// Why it was not searched; null if it was.
    pub reason: Option<String>,
}

impl VerifiedPlace {
    /// A place that was searched.
    pub fn new(place: impl Into<String>, found: bool) -> Self {
        let result = if found { SearchResult::Found } else { SearchResult::Absent };
        Self { place: place.into(), result, reason: None }
    }

    /// A place that was not searched.
    pub fn skipped(place: impl Into<String>, reason: impl Into<String>) -> Self {
        let result = SearchResult::NotSearched;
        Self { place: place.into(), result, reason: Some(reason.into()) }
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
