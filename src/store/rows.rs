//! Rows as both backends select them, by column name, and the domain values that they make. A row
//! that makes none is [`StoreError::Corrupt`].

mod campaigns;
mod erasures;
mod faces;
mod history;
mod missing;
mod profiles;
mod rescoring;
mod retentions;
mod schedules;
mod subjects;
mod verdicts;
mod workers;

use std::collections::HashMap;
use std::fmt::Display;
use std::str::FromStr;

use half::f16;
use uuid::Uuid;

pub(super) use campaigns::{CampaignRow, CountedRow, campaigns};
pub(super) use erasures::ErasureRow;
pub(super) use faces::{FaceOfImageRow, FaceRow};
pub(super) use history::{HistoryRow, history};
pub(super) use missing::{MissingRow, NotFoundRow};
pub(super) use profiles::{
    ActivationRow, ActiveProfileRow, GalleryProfileRow, SoleResultsRow, StoredProfileRow, attempts,
    coverage,
};
pub(super) use rescoring::RescoreRow;
pub(super) use retentions::RetentionRow;
pub(super) use schedules::{ScheduleRow, ScheduleRunRow};
use subjects::enrolment;
pub(super) use subjects::{
    DecidedRow, EnrolledJobRow, EnrolmentCountsRow, EnrolmentRow, LookAlikeRow, ReferenceRow,
    ReferenceTemplateRow, StoredReferenceRow, SubjectIdRow, SubjectRow, look_alikes,
    reference_templates, set_aside,
};
pub(super) use verdicts::{JudgedImageRow, LiveVerdictRow, StoredVerdictRow};
pub(super) use workers::WorkerRow;

use super::fault::Fault;
use super::halves::Halves;
use super::plan::{Item, Scope, StoredResult, StoredVersion};
use super::row::{direct_row, row};
use super::{LatestEnrolment, Note, StoreError, StoredImage, TemplateKey, TemplateStamp};
use crate::domain::{
    ContentHash, End, ImageId, JobId, PictureHash, SourceName, SourceStatus, Timings, UtcTime,
};

pub(super) fn corrupt(error: impl Display) -> Fault {
    StoreError::Corrupt(error.to_string()).into()
}

/// A text that a domain type parses.
pub(super) fn parsed<T: FromStr<Err: Display>>(text: &str) -> Result<T, Fault> {
    text.parse().map_err(corrupt)
}

/// Milliseconds since 1970.
pub(super) fn time(ms: i64) -> Result<UtcTime, Fault> {
    UtcTime::from_millisecond(ms).map_err(corrupt)
}

/// A content hash; empty bytes: no bytes came.
fn hash(bytes: &[u8]) -> Result<Option<ContentHash>, Fault> {
    match bytes {
        [] => Ok(None),
        bytes => bytes.try_into().map(|bytes| Some(ContentHash(bytes))).map_err(corrupt),
    }
}

fn picture_hash(bytes: &[u8]) -> Result<PictureHash, Fault> {
    bytes.try_into().map(PictureHash::from_bytes).map_err(corrupt)
}

/// An optional number that is never negative.
fn unsigned<I, T: TryFrom<I, Error: Display>>(number: Option<I>) -> Result<Option<T>, Fault> {
    number.map(T::try_from).transpose().map_err(corrupt)
}

row! {
    /// A count.
    #[derive(Default)]
    pub(super) struct CountRow {
        pub(super) count: i64,
    }
}

row! {
    /// Images by outcome and provider.
    pub(super) struct OutcomeCountRow {
        pub(super) outcome: String,
        pub(super) provider: String,
        pub(super) images: i64,
    }
}

row! {
    /// Faces by quality.
    pub(super) struct QualityCountRow {
        pub(super) quality: Option<i16>,
        pub(super) faces: i64,
    }
}

row! {
    /// Images by outcome and reason.
    pub(super) struct ReasonCountRow {
        pub(super) outcome: String,
        pub(super) reason: String,
        pub(super) images: i64,
    }
}

row! {
    /// A gallery with one of its profiles.
    pub(super) struct GalleryRow {
        pub(super) name: String,
        pub(super) profile_id: String,
    }
}

direct_row! {
    /// The ids of a gallery, and of the gallery together with a profile.
    pub(super) struct ScopeRow {
        gallery_id: i64,
        gallery_profile_id: i64,
    }
}

impl From<ScopeRow> for Scope {
    fn from(row: ScopeRow) -> Self {
        Self { gallery: row.gallery_id, gallery_profile: row.gallery_profile_id }
    }
}

row! {
    /// A version of the image of an item, with one of its results.
    pub(super) struct VersionRow {
        /// The item's index in the query.
        item: i64,
        image_id: i64,
        content_hash: Vec<u8>,
        result_id: Option<i64>,
        gallery_profile_id: Option<i64>,
        superseded: Option<bool>,
        noted: Option<bool>,
        outcome: Option<String>,
        selection: Option<String>,
        stamp: Option<String>,
        job_id: Option<Uuid>,
        missing: bool,
    }
}

impl VersionRow {
    fn result(&mut self) -> Result<Option<StoredResult>, Fault> {
        let Some(id) = self.result_id else { return Ok(None) };
        let incomplete = || corrupt("a result without its columns");
        Ok(Some(StoredResult {
            id,
            gallery_profile: self.gallery_profile_id.ok_or_else(incomplete)?,
            superseded: self.superseded.ok_or_else(incomplete)?,
            noted: self.noted.ok_or_else(incomplete)?,
            outcome: parsed(self.outcome.as_deref().ok_or_else(incomplete)?)?,
            selection: self.selection.take().ok_or_else(incomplete)?,
            stamp: self.stamp.take(),
            job: JobId(self.job_id.ok_or_else(incomplete)?),
        }))
    }
}

/// The stored versions of the items' images, by item.
pub(super) fn versions(
    items: &[Item<'_>],
    rows: Vec<VersionRow>,
) -> Result<Vec<Vec<StoredVersion>>, Fault> {
    let mut versions: Vec<Vec<StoredVersion>> = items.iter().map(|_| Vec::new()).collect();
    for mut row in rows {
        let result = row.result()?;
        let of_item = usize::try_from(row.item).ok().and_then(|item| versions.get_mut(item));
        of_item.ok_or_else(|| corrupt("a version of an image that was not asked for"))?.push(
            StoredVersion {
                image: row.image_id,
                hash: row.content_hash,
                missing: row.missing,
                result,
            },
        );
    }
    Ok(versions)
}

row! {
    /// How a result ended.
    pub(super) struct EndRow {
        result_id: i64,
        outcome: String,
        reason: Option<String>,
        faces: i64,
        /// Of the primary face.
        quality: Option<i16>,
    }
}

/// The ends by result.
pub(super) fn ends(rows: Vec<EndRow>) -> Result<HashMap<i64, End>, Fault> {
    let end = |row: EndRow| {
        let end = End {
            outcome: parsed(&row.outcome)?,
            reason: row.reason,
            faces: row.faces.try_into().map_err(corrupt)?,
            quality: unsigned(row.quality)?,
        };
        Ok((row.result_id, end))
    };
    rows.into_iter().map(end).collect()
}

direct_row! {
    /// An image with its result under a profile, and a note.
    pub(super) struct ImageRow {
        result_id: i64,
        image_id: i64,
        uri: String,
        content_hash: Vec<u8>,
        bytes: Option<i64>,
        width: Option<i64>,
        height: Option<i64>,
        picture_hash: Option<Vec<u8>>,
        subject: Option<String>,
        expected_hash: Option<Vec<u8>>,
        outcome: String,
        reason: Option<String>,
        provider: String,
        fetch_ms: f32,
        vision_ms: f32,
        recognise_ms: f32,
        recorded_at_ms: i64,
        noted_outcome: Option<String>,
        noted_reason: Option<String>,
        noted_at_ms: Option<i64>,
        enrolled_subject: Option<String>,
        decision: Option<String>,
        reasons: Option<String>,
    }
}

impl ImageRow {
    pub(super) fn image(self) -> Result<StoredImage, Fault> {
        let noted = match (self.noted_outcome, self.noted_at_ms) {
            (Some(outcome), Some(at)) => {
                Some(Note { outcome: parsed(&outcome)?, reason: self.noted_reason, at: time(at)? })
            }
            _ => None,
        };
        let enrolment = match (self.enrolled_subject, self.decision, self.reasons) {
            (Some(subject), Some(decision), Some(reasons)) => Some(LatestEnrolment {
                subject: parsed(&subject)?,
                enrolment: enrolment(&decision, &reasons)?,
            }),
            _ => None,
        };
        Ok(StoredImage {
            id: ImageId(self.image_id),
            cursor: self.result_id,
            image: parsed(&self.uri)?,
            subject: self.subject.as_deref().map(parsed).transpose()?,
            hash: hash(&self.content_hash)?,
            expected_hash: hash(&self.expected_hash.unwrap_or_default())?,
            bytes: unsigned(self.bytes)?,
            size: unsigned(self.width)?.zip(unsigned(self.height)?),
            picture: self.picture_hash.as_deref().map(picture_hash).transpose()?,
            outcome: parsed(&self.outcome)?,
            reason: self.reason,
            provider: self.provider,
            timings: Timings {
                fetch_ms: self.fetch_ms,
                vision_ms: self.vision_ms,
                recognise_ms: self.recognise_ms,
            },
            recorded_at: time(self.recorded_at_ms)?,
            noted,
            enrolment,
            faces: Vec::new(),
        })
    }
}

direct_row! {
    /// A template.
    pub(super) struct TemplateRow {
        result_id: i64,
        face_index: i32,
        template: Halves,
    }
}

impl TemplateRow {
    /// Whose it is, and its numbers.
    pub(super) fn template(self) -> Result<(TemplateKey, Vec<f16>), Fault> {
        Ok((key(self.result_id, self.face_index)?, self.template.0))
    }
}

direct_row! {
    /// A template without its numbers.
    pub(super) struct TemplateStampRow {
        result_id: i64,
        face_index: i32,
        recorded: i64,
        subject: Option<String>,
    }
}

impl TemplateStampRow {
    pub(super) fn stamp(self) -> Result<TemplateStamp, Fault> {
        let subject = self.subject.as_deref().map(parsed).transpose()?;
        let key = key(self.result_id, self.face_index)?;
        Ok(TemplateStamp { key, recorded: self.recorded, subject })
    }
}

fn key(result: i64, face_index: i32) -> Result<TemplateKey, Fault> {
    let key = TemplateKey::new(result, face_index.try_into().map_err(corrupt)?);
    key.ok_or_else(|| corrupt("more results or faces than can be"))
}

/// The images of these rows with their faces, in the order of pages.
pub(super) fn images(
    images: Vec<ImageRow>,
    faces: Vec<FaceRow>,
) -> Result<Vec<StoredImage>, Fault> {
    let mut images: Vec<StoredImage> =
        images.into_iter().map(ImageRow::image).collect::<Result<_, _>>()?;
    images.sort_unstable_by_key(|image| image.cursor);
    for row in faces {
        let image = images.binary_search_by_key(&row.result_id(), |image| image.cursor);
        let image = image.ok().and_then(|index| images.get_mut(index));
        let image = image.ok_or_else(|| corrupt("a face without its image"))?;
        image.faces.push(row.face(image.id, image.image.clone(), image.hash)?);
    }
    for image in &mut images {
        image.faces.sort_unstable_by_key(|face| face.id.index);
    }
    Ok(images)
}

row! {
    /// The status of a source.
    pub(super) struct SourceRow {
        name: String,
        trouble: Option<String>,
        since_ms: i64,
    }
}

impl SourceRow {
    pub(super) fn status(self) -> Result<SourceStatus, Fault> {
        let (name, since) = (SourceName::new(self.name), time(self.since_ms)?.to_string());
        Ok(SourceStatus { name, trouble: self.trouble, since })
    }
}
