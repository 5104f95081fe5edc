//! Enrolments: of an image, and of a campaign.

use std::collections::BTreeMap;

use serde::Serialize;

use super::OutcomeCounts;
use super::image::{ImageNames, ImageView};
use crate::domain::{
    CampaignId, Enrolment, EnrolmentDecision, GalleryName, ImageId, ProfileId, ReasonCode,
    SubjectName, ToldReason, UtcTime,
};
use crate::store::{LatestEnrolment, StoredEnrolment};

/// A decision with its reasons.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct DecisionView {
    /// What became of the enrolment.
    pub decision: EnrolmentDecision,
    /// The codes of `reasons`.
    pub codes: Vec<ReasonCode>,
    /// Why the image was not accepted, or not before an operator restored it; empty if it was.
    pub reasons: Vec<ToldReason>,
}

impl From<&Enrolment> for DecisionView {
    fn from(enrolment: &Enrolment) -> Self {
        Self {
            decision: enrolment.decision,
            codes: enrolment.reasons.iter().map(|reason| reason.code).collect(),
            reasons: enrolment.reasons.iter().map(ToldReason::from).collect(),
        }
    }
}

/// What was decided last about an image as an enrolment.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct LatestEnrolmentView {
    /// Whom it was enrolled for.
    pub subject: SubjectName,
    /// What became of it.
    pub decision: EnrolmentDecision,
    /// Why the image was not accepted, or not at once; empty if it was.
    pub codes: Vec<ReasonCode>,
}

impl From<LatestEnrolment> for LatestEnrolmentView {
    fn from(latest: LatestEnrolment) -> Self {
        let LatestEnrolment { subject, enrolment } = latest;
        let codes = enrolment.reasons.iter().map(|reason| reason.code).collect();
        Self { subject, decision: enrolment.decision, codes }
    }
}

/// A line of `enrol --json`: an image as it ends.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct EnrolledImageView {
    /// The image.
    #[serde(flatten)]
    pub image: ImageView,
    /// The decision.
    #[serde(flatten)]
    pub decision: DecisionView,
}

/// An enrolment as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct EnrolmentView {
    /// The image's URI.
    pub uri: String,
    /// The image for people.
    pub image: String,
    /// The id of the stored image.
    pub image_id: ImageId,
    /// Whom it was enrolled for.
    pub subject: SubjectName,
    /// The decision.
    #[serde(flatten)]
    pub decision: DecisionView,
    /// Whom the images that `reasons` name were accepted for: the people whom the face is like, as
    /// they are called now.
    pub like: Vec<SubjectName>,
    /// The profile under which it was decided.
    pub profile: ProfileId,
    /// When, RFC 3339, UTC, with milliseconds.
    pub decided_at: UtcTime,
}

impl EnrolmentView {
    /// An enrolment; `look_alikes` has the subjects of the images that reasons name.
    pub fn new(stored: &StoredEnrolment, look_alikes: &BTreeMap<ImageId, SubjectName>) -> Self {
        let ImageNames { uri, image } = ImageNames::from(&stored.uri);
        let like = stored.enrolment.reasons.iter().filter_map(|reason| reason.image_id);
        Self {
            uri: uri.unwrap_or_default(),
            image,
            image_id: stored.image,
            subject: stored.subject.clone(),
            decision: DecisionView::from(&stored.enrolment),
            like: like.filter_map(|image| look_alikes.get(&image).cloned()).collect(),
            profile: stored.profile.clone(),
            decided_at: stored.decided_at,
        }
    }
}

/// The last line of `enrol --json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct EnrolSummaryLine {
    /// The summary.
    pub summary: EnrolSummaryView,
}

/// What became of the images of `enrol`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct EnrolSummaryView {
    /// The gallery.
    pub gallery: GalleryName,
    /// The profile.
    pub profile: ProfileId,
    /// The active profile of the gallery at the end. People are searched under that one.
    pub active_profile: Option<ProfileId>,
    /// The campaign.
    pub campaign: CampaignId,
    /// Images listed.
    pub listed: u64,
    /// Of these, images that were accepted for their subject before.
    pub accepted_before: u64,
    /// Images that were accepted now.
    pub accepted: u64,
    /// Of these, images that are references. Most others are kept aside, because the references of
    /// their subjects are as good or nearly the same.
    pub references: u64,
    /// Accepted images that are no references, because a verdict of curation excludes them or gives
    /// them to another subject.
    pub ruled_out: u64,
    /// Images that a person has to decide about.
    pub review: u64,
    /// Images that were rejected.
    pub rejected: u64,
    /// Subjects of the images that were decided now.
    pub subjects: u64,
    /// Of these, subjects with a reference.
    pub enrolled_subjects: u64,
    /// Images that ended, by outcome.
    pub outcomes: OutcomeCounts,
    /// Images that are listed and neither skipped nor ended.
    pub left: u64,
    /// Files, folders and rows that could not be listed, and rows without a subject.
    pub unlisted: u64,
    /// How long it took.
    pub seconds: f64,
    /// Whether a signal stopped it.
    pub interrupted: bool,
}
