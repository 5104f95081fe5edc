//! What retention removes, as `retention --json` prints it.

use serde::Serialize;

use crate::domain::{
    GalleryName, OperatorName, RetentionCounts, RetentionId, RetentionRules, RetentionRun, UtcTime,
};

/// What was removed from a gallery, or would be: a line of `retention --json`. It names nobody.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct RetentionView {
    /// The gallery.
    pub gallery: GalleryName,
    /// Its rules: days that are kept; null: for ever.
    pub rules: RetentionRules,
    /// Whether nothing was removed: the counts say what would be.
    pub dry_run: bool,
    /// The run; null in a trial.
    pub retention: Option<RetentionId>,
    /// Who ran it.
    pub by: String,
    /// When it began; null in a trial.
    pub begun_at: Option<UtcTime>,
    /// When it ended; null in a trial.
    pub ended_at: Option<UtcTime>,
    /// Whether the files of the store were written anew, without what was deleted.
    pub rewritten: bool,
    /// What was removed.
    pub removed: RetentionCounts,
}

impl RetentionView {
    /// What would be removed.
    pub fn of_trial(rules: &RetentionRules, by: &OperatorName, removed: RetentionCounts) -> Self {
        Self {
            gallery: rules.gallery.clone(),
            rules: rules.clone(),
            dry_run: true,
            retention: None,
            by: by.to_string(),
            begun_at: None,
            ended_at: None,
            rewritten: false,
            removed,
        }
    }

    /// A run that has ended.
    pub fn new(rules: &RetentionRules, run: &RetentionRun) -> Self {
        Self {
            gallery: run.gallery.clone(),
            rules: rules.clone(),
            dry_run: false,
            retention: Some(run.id),
            by: run.by.to_string(),
            begun_at: Some(run.begun_at),
            ended_at: run.ended_at,
            rewritten: false,
            removed: run.counts,
        }
    }
}
