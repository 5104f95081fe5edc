//! The JSON that commands print: the serde types behind `--json`, shared with exports and an API.
//! [`image::ImageView`] and [`face::FaceView`] are the one form of an image and of a face.
//!
//! The names and shapes of the fields are an interface that scripts rely on. A field may be added;
//! none is renamed, removed or given another meaning. `docs/data.md` describes them, and
//! `docs/schemas/` is generated from these types. No URI of these types holds a password or a
//! signature, except where its documentation says so. Depends on the domain, on [`crate::images`],
//! on [`crate::queue`] and on [`crate::store`]; prints nothing.

pub mod audit;
pub mod campaign;
pub mod check;
pub mod components;
pub mod curation;
pub mod device;
pub mod enrol;
pub mod erasure;
pub mod evaluation;
pub mod face;
pub mod image;
pub mod model;
pub mod not_listed;
pub mod profile;
pub mod profile_comparison;
pub mod queue;
pub mod remap;
pub mod rescore;
pub mod retention;
pub mod scan;
pub mod schedule;
#[cfg(test)]
mod schemas;
pub mod search;
pub mod subject;
pub mod threshold;
pub mod verify;
pub mod worker;

use std::collections::BTreeMap;

use crate::domain::{CampaignProgress, OutcomeKind};

/// The number of images of each outcome; outcomes that did not occur are 0.
pub type OutcomeCounts = BTreeMap<OutcomeKind, u64>;

/// The number of images of each outcome, also of those that did not occur.
pub fn outcome_counts(progress: &CampaignProgress) -> OutcomeCounts {
    let count = |kind| (kind, progress.outcomes.get(&kind).copied().unwrap_or(0));
    OutcomeKind::ALL.into_iter().map(count).collect()
}
