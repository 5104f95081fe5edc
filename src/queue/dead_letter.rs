//! Dead letters: jobs that failed finally, and messages that are not jobs.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use super::body_head::BodyHead;
use crate::domain::{Job, JobId};

/// A dead letter.
#[derive(Debug, Clone, PartialEq)]
pub struct DeadLetter {
    /// The job as it was last delivered; `None` if the message is not a readable job.
    pub job: Option<Job>,
    /// Why it was dead-lettered.
    pub reason: String,
    /// When, RFC 3339, UTC; `None` if the message does not say.
    pub died_at: Option<String>,
    /// How often it was delivered.
    pub deliveries: u32,
    /// Why it was dead-lettered before, if it was retried; the oldest reason first.
    pub history: Vec<String>,
    /// The beginning of a body that is not a readable job; `None` if it is one.
    pub head: Option<BodyHead>,
}

/// Selects dead letters; the default selects all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeadLetterFilter {
    /// Only those of this job.
    pub job: Option<JobId>,
    /// Only those of these jobs.
    pub jobs: Option<BTreeSet<JobId>>,
    /// Only those whose reason contains this text.
    pub reason: Option<String>,
}

impl DeadLetterFilter {
    /// Whether `letter` is selected.
    pub fn matches(&self, letter: &DeadLetter) -> bool {
        let id = letter.job.as_ref().map(|job| job.id);
        self.job.is_none_or(|wanted| id == Some(wanted))
            && self.jobs.as_ref().is_none_or(|jobs| id.is_some_and(|id| jobs.contains(&id)))
            && self.reason.as_ref().is_none_or(|part| letter.reason.contains(part.as_str()))
    }
}

/// Counts `letters` by reason, the most frequent reason first.
pub fn count_by_reason(letters: &[DeadLetter]) -> Vec<(String, u64)> {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    letters.iter().for_each(|letter| *counts.entry(&letter.reason).or_default() += 1);
    let mut counts: Vec<(String, u64)> =
        counts.into_iter().map(|(reason, count)| (reason.to_owned(), count)).collect();
    counts.sort_by_key(|(_, count)| Reverse(*count));
    counts
}

/// The dead-lettered `job` with all its attempts before it. It keeps its id, so that its campaign
/// counts it once.
pub(super) fn revived(job: &Job) -> Job {
    Job { attempt: 1, ..job.clone() }
}
