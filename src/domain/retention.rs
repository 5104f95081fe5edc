//! How long a gallery keeps what nobody needs any more, and what was removed for it.

use std::fmt;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{GalleryName, OperatorName, UtcTime};

const DAY_MS: i64 = 86_400_000;

/// What retention removes from a gallery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetentionRule {
    /// Verdicts that decide nothing any more.
    Verdicts,
    /// Rejected enrolments, with their image if nobody has it.
    Rejected,
    /// Images that nobody has.
    Images,
}

impl RetentionRule {
    /// Every rule, in the order in which they are applied: what one removes changes nothing for the
    /// next ones.
    pub const ALL: [Self; 3] = [Self::Verdicts, Self::Rejected, Self::Images];
}

/// For how many days a gallery keeps what; none: for ever.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct RetentionRules {
    /// The gallery.
    #[serde(skip)]
    pub gallery: GalleryName,
    /// Images that nobody has.
    pub images_days: Option<u32>,
    /// Rejected enrolments.
    pub rejected_days: Option<u32>,
    /// Verdicts that decide nothing any more.
    pub verdicts_days: Option<u32>,
}

impl RetentionRules {
    /// What is older than this is due now by a rule; none if the rule keeps everything.
    pub fn due_before(&self, rule: RetentionRule, now: UtcTime) -> Option<UtcTime> {
        let days = match rule {
            RetentionRule::Verdicts => self.verdicts_days,
            RetentionRule::Rejected => self.rejected_days,
            RetentionRule::Images => self.images_days,
        };
        let before = now.as_millisecond().saturating_sub(i64::from(days?) * DAY_MS);
        UtcTime::from_millisecond(before).ok()
    }
}

/// What retention removed, or would remove.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct RetentionCounts {
    /// Images that nobody had: a URI with the bytes it had.
    pub images: u64,
    /// Dead letters of jobs that name nobody.
    pub dead_letters: u64,
    /// Rejected enrolments.
    pub rejected: u64,
    /// Images of rejected enrolments that nobody had.
    pub rejected_images: u64,
    /// Verdicts that decided nothing any more, with the undos that took them back.
    pub verdicts: u64,
}

impl RetentionCounts {
    /// The counts of both.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            images: self.images + other.images,
            dead_letters: self.dead_letters + other.dead_letters,
            rejected: self.rejected + other.rejected,
            rejected_images: self.rejected_images + other.rejected_images,
            verdicts: self.verdicts + other.verdicts,
        }
    }
}

/// A run of retention.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct RetentionId(pub Uuid);

impl fmt::Display for RetentionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A run of retention in a gallery, as the store keeps it.
#[derive(Debug, Clone, PartialEq)]
pub struct RetentionRun {
    /// Its id.
    pub id: RetentionId,
    /// The gallery.
    pub gallery: GalleryName,
    /// Who ran it: a person or a schedule.
    pub by: OperatorName,
    /// What was removed.
    pub counts: RetentionCounts,
    /// When it began.
    pub begun_at: UtcTime,
    /// When it ended; none if it was interrupted: the next run goes on.
    pub ended_at: Option<UtcTime>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_is_older_than_the_days_of_its_rule() {
        let rules = RetentionRules {
            gallery: "staff".parse().unwrap(),
            images_days: Some(2),
            rejected_days: None,
            verdicts_days: Some(1),
        };
        let time = |ms| UtcTime::from_millisecond(ms).unwrap();
        let before = |rule| rules.due_before(rule, time(3 * DAY_MS));
        assert_eq!(before(RetentionRule::Images), Some(time(DAY_MS)));
        assert_eq!(before(RetentionRule::Rejected), None, "for ever");
        assert_eq!(before(RetentionRule::Verdicts), Some(time(2 * DAY_MS)));
    }
}
