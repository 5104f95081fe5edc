//! Recording what jobs found.

use async_trait::async_trait;

use super::StoreError;
use crate::domain::{
    End, Enrolment, GalleryName, ImageId, ImageUri, JobRecord, LabelledImage, OutcomeKind, Profile,
    ProfileId, Selection, SubjectName,
};

/// What [`Results::record`] did with one record.
#[derive(Debug, Clone, PartialEq)]
pub struct Recorded {
    /// The stored image of the record; of a repeat, the image of the stored result. 0 if it ended
    /// as erased: see [`Self::stored_image`].
    pub image: ImageId,
    /// What changed.
    pub effect: Effect,
    /// The decision, if the record is an enrolment.
    pub enrolment: Option<Enrolment>,
}

/// What recording changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// The record was written.
    New,
    /// The same outcome was stored already; nothing changed.
    Repeated,
    /// Another outcome is final already: this one. Nothing changed.
    Ended(End),
}

impl Recorded {
    /// The answer for a record of what was erased.
    pub(super) fn erased() -> Self {
        Self { image: ImageId(0), effect: Effect::Ended(End::erased()), enrolment: None }
    }

    /// Whether nothing was recorded, because the image, its subject or its gallery was erased.
    pub fn is_erased(&self) -> bool {
        matches!(&self.effect, Effect::Ended(end) if end.outcome == OutcomeKind::Erased)
    }

    /// The stored image of the record; none if it ended as erased.
    pub fn stored_image(&self) -> Option<ImageId> {
        (!self.is_erased()).then_some(self.image)
    }

    /// How the job of `record` ended.
    pub fn end(&self, record: &JobRecord) -> End {
        match &self.effect {
            Effect::Ended(end) => end.clone(),
            Effect::New | Effect::Repeated => End::from(&record.outcome),
        }
    }
}

/// Recording what jobs found.
#[async_trait]
pub trait Results: Send + Sync {
    /// Stores `profile`, so that results can refer to it. Repeating it changes nothing.
    ///
    /// # Errors
    /// If the store cannot be reached or used.
    async fn register_profile(&self, profile: &Profile) -> Result<(), StoreError>;

    /// Writes `records` in one transaction: all or none.
    ///
    /// **Repeats.** If a record's key (gallery, image, profile) has a final outcome (see
    /// [`OutcomeKind::is_final`]) under the same selection, the record is a repeat. It changes
    /// nothing but the listed version that the store remembers. Any other record replaces the
    /// result of its key.
    ///
    /// **New bytes.** A record of new bytes at a known URI supersedes the results of the old bytes
    /// in the gallery, under every profile. Superseded results are kept, but appear in no summary,
    /// page or list. If the old bytes come back, their result becomes current again. So at most one
    /// result of a gallery, URI and profile is current.
    ///
    /// **A record without bytes supersedes nothing.** If its profile has a current result of the
    /// URI with bytes, that result stays current, whatever its bytes, outcome and selection are,
    /// and the record becomes a note next to it ([`StoredImage::noted`]). Otherwise the record is
    /// the current result, whatever results other profiles have. When bytes of the URI are recorded
    /// later, under any profile of the gallery, they end the note; they supersede a current record
    /// without bytes of their own profile. A note does not change the listed version of the result:
    /// the next scan tries the new version again.
    ///
    /// A record without bytes is a repeat if the same job has a final outcome already, or if bytes
    /// of the same listed version have one and are those that its job expects, if it expects any:
    /// [`Effect::Ended`] then says how the image ended. An
    /// outcome without bytes is final for its own job alone.
    ///
    /// **Chips.** A record with [`JobRecord::from_chips`] says nothing about the source of its
    /// image. It ends no note and changes no listed version, and if other bytes are current at its
    /// URI, its result is recorded as superseded.
    ///
    /// **Campaigns.** A record that belongs to a campaign counts there, also if it is a repeat: it
    /// counts under the stored outcome. A job counts once. If it ends again with another outcome,
    /// because it was retried or delivered twice, its count moves from the old outcome to the new
    /// one. It never moves away from `scored` and `no_face`.
    ///
    /// **Enrolments.** A record of the lane `enrol` that names a subject and carries a
    /// [`JobRecord::enrolment`] is decided about, with the subject's row locked: enrolments of one
    /// subject at the same moment wait for each other. An accepted image becomes a reference of the
    /// subject, or is set aside. What was decided about an image and a subject stays if the same
    /// job is recorded again, or if it was accepted; another job decides anew.
    ///
    /// **Erasures.** Of a record whose image, bytes, subject or gallery was erased
    /// ([`Erasures`](super::Erasures)), nothing is written, and its job ends as erased. So it is
    /// with an image that was removed ([`Retention`](super::Retention)), unless the job names a
    /// subject: the image is then back. Records, erasures and removals wait for each other.
    ///
    /// Returns one answer for each record, in their order.
    ///
    /// # Errors
    /// If the store cannot be reached or used, or refuses one record; then nothing of `records` is
    /// written.
    ///
    /// [`OutcomeKind::is_final`]: crate::domain::OutcomeKind::is_final
    /// [`StoredImage::noted`]: super::StoredImage::noted
    async fn record(&self, records: &[JobRecord]) -> Result<Vec<Recorded>, StoreError>;

    /// Which of `images` have a final outcome for this gallery, profile and selection, of this
    /// listed version and of the bytes that are expected, if any are. An image without a listed
    /// version is never up to date: without one, a change cannot be noticed.
    ///
    /// # Errors
    /// If the store cannot be reached or used.
    async fn up_to_date(
        &self,
        gallery: &GalleryName,
        profile: &ProfileId,
        selection: &Selection,
        images: &[LabelledImage],
    ) -> Result<Vec<bool>, StoreError>;

    /// Gives images their subjects: those bytes of each URI that have a current result under
    /// `profile`. An image without such a result is left alone.
    ///
    /// # Errors
    /// If the store cannot be reached or used.
    async fn name_subjects(
        &self,
        gallery: &GalleryName,
        profile: &ProfileId,
        subjects: &[(ImageUri, SubjectName)],
    ) -> Result<(), StoreError>;
}
