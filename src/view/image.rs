//! An image, as every command, export and API shows it.

use serde::Serialize;

use super::enrol::{EnrolmentView, LatestEnrolmentView};
use super::face::FaceView;
use crate::domain::{
    ContentHash, GalleryName, ImageContent, ImageId, ImageUri, Outcome, OutcomeEvent, OutcomeKind,
    ProfileId, SubjectName, Timings, UtcTime,
};
use crate::images::ImageToRead;
use crate::store::{Note, ResultState, StoredImage};

/// How an image is named: exactly for programs, and for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageNames {
    /// See [`ImageView::uri`].
    pub uri: Option<String>,
    /// See [`ImageView::image`].
    pub image: String,
}

impl From<&ImageToRead> for ImageNames {
    fn from(image: &ImageToRead) -> Self {
        let uri = image.uri.as_ref().map(|uri| uri.shown().into_owned());
        Self { uri, image: image.name.clone() }
    }
}

impl From<&ImageUri> for ImageNames {
    fn from(uri: &ImageUri) -> Self {
        Self { uri: Some(uri.shown().into_owned()), image: uri.for_people() }
    }
}

/// An image and how it ended under a profile.
///
/// A field that the command cannot know is absent. In a table, the parts of `timings` and `noted`
/// are columns of their own, `timings_fetch_ms`, `noted_reason`, and there is a row for each face.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ImageView {
    /// The gallery of the result. Absent if nothing is stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(required))]
    pub gallery: Option<GalleryName>,
    /// The image's URI, percent-encoded, without password, query and inline bytes: the same string
    /// in every command, export and event. Null if a file's name makes no URI.
    pub uri: Option<String>,
    /// The image for people: the path of a local file, with bytes that are not UTF-8 replaced (in
    /// `score` and `match` as it was written, or below the folder as that was written); the same
    /// as `uri` for any other image.
    pub image: String,
    /// The id of the stored image: one URI in one gallery, with one content hash. Absent if nothing
    /// is stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(required))]
    pub image_id: Option<ImageId>,
    /// Whose face it shows, as the operator names people; null if nobody said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<Option<SubjectName>>,
    /// BLAKE3 of the bytes, hexadecimal; null if no bytes came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_hash: Option<Option<ContentHash>>,
    /// Number of bytes; null if no bytes came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<Option<u64>>,
    /// Width of the upright image, pixels; null if it was not decoded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub width: Option<Option<u32>>,
    /// Height of the upright image, pixels; null if it was not decoded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub height: Option<Option<u32>>,
    /// How it ended.
    pub outcome: OutcomeKind,
    /// Why; null for `scored` and `no_face`.
    pub reason: Option<String>,
    /// The id of the profile: all that the scores depend on.
    pub profile: ProfileId,
    /// What ran the recogniser: `cpu`, `cuda:0`, ….
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(required))]
    pub provider: Option<String>,
    /// Where the time went.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(required))]
    pub timings: Option<Timings>,
    /// When the result was recorded, RFC 3339, UTC, with milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(required))]
    pub recorded_at: Option<UtcTime>,
    /// A later attempt to read the image that got no bytes; null if there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub noted: Option<Option<Note>>,
    /// What was decided last about the image as an enrolment; null if it was never enrolled. In a
    /// table, `codes` are one text, separated by spaces.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub enrolment: Option<Option<LatestEnrolmentView>>,
    /// `score` only: the smallest face that the detector looked for, the shorter side of its box,
    /// pixels. A smaller face may be in the image all the same. Null if no detector ran.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub smallest_face_px: Option<Option<f32>>,
    /// `scan` only, which has no `faces`: the quality of the primary face, 0 to 100; null if there
    /// is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(range(max = 100)))]
    pub quality: Option<Option<u8>>,
    /// Number of faces found.
    pub face_count: u32,
    /// The faces, the primary one first. Absent in `scan`. A filter on quality leaves faces out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schemars(required))]
    pub faces: Option<Vec<FaceView>>,
}

impl ImageView {
    /// What every command knows of an image: its names, how it ended, and under which profile.
    pub fn new(
        names: ImageNames,
        profile: ProfileId,
        outcome: OutcomeKind,
        reason: Option<String>,
        face_count: u32,
    ) -> Self {
        Self {
            gallery: None,
            uri: names.uri,
            image: names.image,
            image_id: None,
            subject: None,
            content_hash: None,
            bytes: None,
            width: None,
            height: None,
            outcome,
            reason,
            profile,
            provider: None,
            timings: None,
            recorded_at: None,
            noted: None,
            enrolment: None,
            smallest_face_px: None,
            quality: None,
            face_count,
            faces: None,
        }
    }

    /// An image that was analysed just now and is not stored. Its faces have neither templates nor
    /// chips.
    pub fn analysed(names: ImageNames, profile: ProfileId, outcome: &Outcome) -> Self {
        let faces: Vec<FaceView> =
            (0..).zip(outcome.faces()).map(|(index, face)| FaceView::found(index, face)).collect();
        let reason = outcome.reason().map(str::to_owned);
        let count = u32::try_from(faces.len()).unwrap_or(u32::MAX);
        Self { faces: Some(faces), ..Self::new(names, profile, outcome.kind(), reason, count) }
    }

    /// The same with what was read.
    pub fn with_content(self, content: Option<&ImageContent>) -> Self {
        let size = content.and_then(|content| content.size);
        Self {
            content_hash: Some(content.map(|content| content.hash)),
            bytes: Some(content.map(|content| content.bytes)),
            width: Some(size.map(|size| size.0)),
            height: Some(size.map(|size| size.1)),
            ..self
        }
    }

    /// A stored image, with the templates of its faces or without.
    pub fn stored(
        image: StoredImage,
        gallery: GalleryName,
        profile: ProfileId,
        templates: bool,
    ) -> Self {
        let names = ImageNames::from(&image.image);
        let count = u32::try_from(image.faces.len()).unwrap_or(u32::MAX);
        let face = |face| FaceView::stored(face, templates);
        Self {
            gallery: Some(gallery),
            image_id: Some(image.id),
            subject: Some(image.subject),
            content_hash: Some(image.hash),
            bytes: Some(image.bytes),
            width: Some(image.size.map(|size| size.0)),
            height: Some(image.size.map(|size| size.1)),
            provider: Some(image.provider),
            timings: Some(image.timings),
            recorded_at: Some(image.recorded_at),
            noted: Some(image.noted),
            enrolment: Some(image.enrolment.map(LatestEnrolmentView::from)),
            faces: Some(image.faces.into_iter().map(face).collect()),
            ..Self::new(names, profile, image.outcome, image.reason, count)
        }
    }
}

impl From<&OutcomeEvent> for ImageView {
    fn from(event: &OutcomeEvent) -> Self {
        let (names, end) = (ImageNames::from(&event.image), &event.end);
        Self {
            gallery: Some(event.gallery.clone()),
            image_id: event.image_id,
            quality: Some(end.quality),
            ..Self::new(names, event.profile.clone(), end.outcome, end.reason.clone(), end.faces)
        }
    }
}

/// One result of an image: a line of `show --json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct KnownImageView {
    /// Whether the result is `current`, was `superseded` by one of other bytes, or is `noted`: a
    /// later attempt to read the image that got no bytes, next to a current result.
    pub state: ResultState,
    /// Whether a verdict of curation excludes the image: it is left out of searches, references,
    /// reports and exports.
    pub excluded: bool,
    /// The image with this result.
    #[serde(flatten)]
    pub image: ImageView,
    /// The enrolments of the image, the latest first; absent without any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub enrolments: Vec<EnrolmentView>,
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    use super::*;
    use crate::images::NamedPlace;

    #[test]
    fn a_name_that_is_not_utf_8_is_exact_in_its_uri() {
        let path = OsStr::from_bytes(b"/nowhere/a\xff.jpg").to_owned();
        let names = ImageNames::from(&NamedPlace::try_from(path).unwrap().image());
        assert_eq!(names.image, "/nowhere/a\u{fffd}.jpg");
        assert_eq!(names.uri.as_deref(), Some("file:///nowhere/a%FF.jpg"));
        let uri: ImageUri = "file:///nowhere/a%FF.jpg".parse().unwrap();
        assert_eq!(ImageNames::from(&uri), names);
    }

    #[test]
    fn names_contain_no_secret_and_only_files_have_a_path() {
        let of = |uri: &str| ImageNames::from(&uri.parse::<ImageUri>().unwrap());
        assert_eq!(of("file:///a%20b/c.jpg").image, "/a b/c.jpg");
        for (written, shown) in [
            ("https://user:secret@host/a.jpg?signature=abc", "https://host/a.jpg"),
            ("s3://bucket/a%20b.jpg", "s3://bucket/a%20b.jpg"),
            ("data:image/png;base64,AAAA", "data:,"),
        ] {
            let names = of(written);
            assert_eq!((names.uri.as_deref(), names.image.as_str()), (Some(shown), shown));
        }
    }
}
