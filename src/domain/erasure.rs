//! What is erased, and what an erasure removed.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{GalleryName, ImageId, ImageUri, OperatorName, SubjectName, UtcTime};

/// An erasure. Erasing the same thing again goes on with the same erasure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ErasureId(pub Uuid);

impl fmt::Display for ErasureId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What is erased of a gallery. `Debug` shows no name of a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ErasureTarget {
    /// A person with all their images, other than those that another subject has too.
    Subject(SubjectName),
    /// All images that were at a URI, and the same bytes at other URIs.
    Image(ImageUri),
    /// The image of this number, at this URI, and the same bytes at other URIs; of the other
    /// versions at its URI, those that nobody else has.
    Numbered(ImageId, ImageUri),
    /// Everything.
    Gallery,
}

impl ErasureTarget {
    /// Its kind.
    pub fn kind(&self) -> ErasureKind {
        match self {
            Self::Subject(_) => ErasureKind::Subject,
            Self::Image(_) | Self::Numbered(..) => ErasureKind::Image,
            Self::Gallery => ErasureKind::Gallery,
        }
    }

    /// The name or the URI that may be found where it was stored; none for a whole gallery.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Subject(name) => Some(name.as_str()),
            Self::Image(uri) | Self::Numbered(_, uri) => Some(uri.as_str()),
            Self::Gallery => None,
        }
    }
}

/// The kind of what is erased.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    strum::Display,
    strum::EnumString,
    strum::IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum ErasureKind {
    /// A person.
    Subject,
    /// An image.
    Image,
    /// A gallery.
    Gallery,
}

/// Where an erasure looks.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, strum::Display,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum ErasurePlace {
    /// Rows of images: a URI with the bytes it had.
    Images,
    /// Results and notes of images, under every profile.
    Results,
    /// Faces.
    Faces,
    /// Templates.
    Templates,
    /// References of subjects.
    References,
    /// Decisions about enrolments.
    Decisions,
    /// What was decided for single jobs.
    EnrolmentJobs,
    /// What people decided about images.
    Verdicts,
    /// Subjects.
    Subjects,
    /// The subject's name on images that stay.
    Labels,
    /// Activations of profiles, of an erased gallery.
    Activations,
    /// Campaigns whose position or error named an image.
    Campaigns,
    /// Reports of outages that named an image.
    Outages,
    /// Dead letters.
    DeadLetters,
    /// Entries of the chip cache.
    Chips,
    /// Images that stay, because another subject has them too.
    Kept,
    /// Images that stay at the place of an erased one, because their bytes are somebody else's.
    OthersThere,
}

impl ErasurePlace {
    /// Every place, in the order in which receipts list them.
    pub const ALL: [Self; 17] = [
        Self::Images,
        Self::Results,
        Self::Faces,
        Self::Templates,
        Self::References,
        Self::Decisions,
        Self::EnrolmentJobs,
        Self::Verdicts,
        Self::Subjects,
        Self::Labels,
        Self::Activations,
        Self::Campaigns,
        Self::Outages,
        Self::DeadLetters,
        Self::Chips,
        Self::Kept,
        Self::OthersThere,
    ];

    /// The places that count what stays.
    pub const STAYS: [Self; 2] = [Self::Kept, Self::OthersThere];

    /// The places that count what is removed, in the same order.
    pub fn removed() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(|place| !Self::STAYS.contains(place))
    }

    /// What is counted there, in words: "image" or "images".
    pub fn words(self, count: u64) -> String {
        let many = self.to_string().replace('_', " ");
        match many.strip_suffix('s') {
            Some(one) if count == 1 => one.to_owned(),
            _ => many,
        }
    }
}

/// The kind of a place that is searched for something that was erased.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, strum::Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum SearchedKind {
    /// Images, subjects and positions of campaigns, as the store reads them.
    Rows,
    /// Dead letters of the queue.
    DeadLetters,
    /// Entries of the chip cache.
    Chips,
    /// What was noted of the erasure itself.
    Erasure,
    /// The files of the store, where they were not searched.
    StoreFiles,
    /// The file of a `SQLite` store.
    Database,
    /// Its write-ahead log.
    WriteAheadLog,
    /// Its journal, or the index of its log.
    Journal,
    /// A table of Postgres, or what is stored apart from its rows.
    Table,
    /// An index of Postgres.
    Index,
    /// A file that was named, such as a report.
    File,
}

/// How many things an erasure removed, by place; `kept` and `others_there` count what stays.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ErasureCounts(BTreeMap<ErasurePlace, u64>);

impl ErasureCounts {
    /// Adds to the count of a place.
    pub fn add(&mut self, place: ErasurePlace, count: u64) {
        *self.0.entry(place).or_default() += count;
    }

    /// Sets the count of a place.
    pub fn set(&mut self, place: ErasurePlace, count: u64) {
        self.0.insert(place, count);
    }

    /// The count of a place.
    pub fn of(&self, place: ErasurePlace) -> u64 {
        self.0.get(&place).copied().unwrap_or(0)
    }

    /// The counts of what was removed, without zeros.
    pub fn removed(&self) -> Vec<(ErasurePlace, u64)> {
        let all = self.0.iter().map(|(place, count)| (*place, *count));
        all.filter(|(place, count)| !ErasurePlace::STAYS.contains(place) && *count > 0).collect()
    }

    /// The counts of both.
    #[must_use]
    pub fn plus(mut self, other: &Self) -> Self {
        other.0.iter().for_each(|(place, count)| self.add(*place, *count));
        self
    }
}

/// An image that the erasure of an image would take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct TakenImage {
    /// Its number.
    pub image_id: ImageId,
    /// Its URI.
    #[cfg_attr(test, schemars(with = "String"))]
    pub uri: ImageUri,
    /// Who has its bytes, here or in another image of the gallery.
    pub subjects: Vec<SubjectName>,
    /// Why it would be taken.
    pub because: TakenBecause,
}

/// Why an erasure would take an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, strum::Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum TakenBecause {
    /// It is, or was, at the named place.
    Place,
    /// It has the bytes of what is erased.
    Bytes,
}

impl TakenImage {
    /// Two of these images that are taken for their place alone, although they are of different
    /// people.
    pub fn of_different_people(images: &[Self]) -> Option<(&Self, &Self)> {
        let placed = || {
            let of_people =
                |image: &&Self| image.because == TakenBecause::Place && !image.subjects.is_empty();
            images.iter().filter(of_people)
        };
        placed().find_map(|one| {
            let is_another = |other: &&Self| {
                !other.subjects.iter().any(|subject| one.subjects.contains(subject))
            };
            placed().find(is_another).map(|other| (one, other))
        })
    }
}

/// What an erasure left in its store: it tells what was erased to whoever has the store's key, and
/// nothing to others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ErasureMarks {
    /// Tells the store's key from others.
    pub key: String,
    /// The keyed hashes of the name, the URIs and the contents that were erased, hex digits.
    pub tombstones: Vec<String>,
}

/// An erasure that is done again, in a store that was put back to an older state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErasedBefore {
    /// Its id.
    pub id: ErasureId,
    /// The gallery.
    pub gallery: GalleryName,
    /// The kind of what was erased.
    pub kind: ErasureKind,
    /// The keyed hash of what was erased, hex digits.
    pub target: String,
    /// What it left; none if its receipt is of an older facefleet.
    pub marks: Option<ErasureMarks>,
    /// Who does it again.
    pub by: OperatorName,
}

/// An erasure, as the store keeps it.
#[derive(Debug, Clone, PartialEq)]
pub struct Erasure {
    /// Its id.
    pub id: ErasureId,
    /// The gallery.
    pub gallery: GalleryName,
    /// The kind of what was erased.
    pub kind: ErasureKind,
    /// The keyed hash of what was erased, hex digits.
    pub target: String,
    /// Who did it.
    pub by: OperatorName,
    /// What was removed, every time that it ran taken together.
    pub counts: ErasureCounts,
    /// When it began.
    pub begun_at: UtcTime,
    /// When it last ended; none if it never did.
    pub ended_at: Option<UtcTime>,
}
