//! The people of a gallery.

use std::collections::BTreeMap;

use serde::Serialize;

use super::enrol::EnrolmentView;
use super::image::ImageNames;
use crate::domain::{GalleryName, ImageId, ReferenceState, SubjectChange, SubjectName, UtcTime};
use crate::store::{StoredReference, StoredSubject, SubjectSummary};

/// A line of `subject list --json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct SubjectView {
    /// The gallery.
    pub gallery: GalleryName,
    /// The person's name, as the operator names people.
    pub subject: SubjectName,
    /// When the first enrolment was decided, RFC 3339, UTC, with milliseconds.
    pub created_at: UtcTime,
    /// Active references.
    pub references: u64,
    /// Of these, the ones without a template under the active profile: searches do not find the
    /// person by them.
    pub without_template: u64,
    /// References that are set aside.
    pub set_aside: u64,
    /// Images that were accepted.
    pub accepted: u64,
    /// Images that a person has to decide about.
    pub review: u64,
    /// Images that were rejected.
    pub rejected: u64,
}

impl SubjectView {
    /// A subject of `gallery`.
    pub fn new(gallery: GalleryName, summary: SubjectSummary) -> Self {
        let SubjectSummary { name, created_at, references, set_aside, .. } = summary;
        let SubjectSummary { accepted, review, rejected, without_template, .. } = summary;
        Self {
            gallery,
            subject: name,
            created_at,
            references,
            without_template,
            set_aside,
            accepted,
            review,
            rejected,
        }
    }
}

/// What `subject show --json` prints.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct SubjectDetailView {
    /// The subject.
    #[serde(flatten)]
    pub subject: SubjectView,
    /// Its references, the active ones first.
    pub reference_images: Vec<ReferenceView>,
    /// Its enrolments, the latest first.
    pub enrolments: Vec<EnrolmentView>,
}

impl SubjectDetailView {
    /// A subject of `gallery`; `look_alikes` as for [`EnrolmentView::new`].
    pub fn new(
        gallery: GalleryName,
        stored: StoredSubject,
        look_alikes: &BTreeMap<ImageId, SubjectName>,
    ) -> Self {
        let enrolments = stored.enrolments.iter();
        Self {
            subject: SubjectView::new(gallery, stored.summary),
            reference_images: stored.references.iter().map(ReferenceView::from).collect(),
            enrolments: enrolments.map(|each| EnrolmentView::new(each, look_alikes)).collect(),
        }
    }
}

/// An image that stands for its subject, or did.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ReferenceView {
    /// The image's URI.
    pub uri: String,
    /// The image for people.
    pub image: String,
    /// The id of the stored image.
    pub image_id: ImageId,
    /// Whether it counts in searches.
    pub active: bool,
    /// Why it does not count: `same_bytes`, `nearly_identical`, `not_better`, `replaced`, `review`,
    /// `operator` or `verdict`; null if it does.
    pub set_aside: Option<&'static str>,
    /// Since when, RFC 3339, UTC, with milliseconds.
    pub since: UtcTime,
    /// Whether it has a template under the active profile, so that it can be compared with.
    pub has_template: bool,
}

impl From<&StoredReference> for ReferenceView {
    fn from(stored: &StoredReference) -> Self {
        let ImageNames { uri, image } = ImageNames::from(&stored.uri);
        let set_aside = match stored.state {
            ReferenceState::Active => None,
            ReferenceState::SetAside(reason) => Some(reason.as_str()),
        };
        Self {
            uri: uri.unwrap_or_default(),
            image,
            image_id: stored.image,
            active: set_aside.is_none(),
            set_aside,
            since: stored.since,
            has_template: stored.has_template,
        }
    }
}

/// What `subject rename`, `remove`, `set-aside` and `restore` print with `--json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct SubjectChangeView {
    /// What was done.
    pub change: SubjectChange,
    /// The name before; null unless it changed.
    pub renamed_from: Option<SubjectName>,
    /// The image of the reference; null if the change is not about one.
    pub image_id: Option<ImageId>,
    /// The subject afterwards; one that was removed, as it was.
    #[serde(flatten)]
    pub subject: SubjectView,
}
