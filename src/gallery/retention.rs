//! Removing what a gallery keeps only for so many days: in the store, among the dead letters, in
//! the chip cache. Page by page, so that whoever records waits for a moment only. Whoever is
//! interrupted begins again: what is removed stays removed.

use std::collections::BTreeSet;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::GalleryError;
use crate::domain::{
    JobId, Lane, OperatorName, RetentionCounts, RetentionId, RetentionRule, RetentionRules,
    RetentionRun, UtcTime,
};
use crate::images::KeptChips;
use crate::queue::{DeadLetter, DeadLetterFilter, JobQueue};
use crate::store::{RemovedContent, RetentionQuery, Store};

/// Contents whose chips are removed before they are forgotten.
const CONTENTS_AT_ONCE: usize = 1000;

/// Where retention removes.
pub struct Retainer<'a> {
    /// The store.
    pub store: &'a dyn Store,
    /// The queue, if other processes share it.
    pub queue: Option<&'a dyn JobQueue>,
    /// The chip cache, if there is one.
    pub chips: Option<&'a KeptChips>,
}

impl Retainer<'_> {
    /// What is due. Changes nothing.
    ///
    /// # Errors
    /// If the store or the queue fails.
    pub async fn due(&self, rules: &RetentionRules) -> Result<RetentionCounts, GalleryError> {
        let (now, never) = (self.store.clock().await?, CancellationToken::new());
        let counts = self.each_page(rules, now, None, &never).await?;
        let dead_letters = self.dead_letters(rules, now).await?.len() as u64;
        Ok(counts.plus(RetentionCounts { dead_letters, ..RetentionCounts::default() }))
    }

    /// Removes what is due, until `stop` is cancelled. None if it was.
    ///
    /// # Errors
    /// If the store, the queue or the chip cache fails. Call it again.
    pub async fn run(
        &self,
        rules: &RetentionRules,
        by: &OperatorName,
        stop: &CancellationToken,
    ) -> Result<Option<RetentionRun>, GalleryError> {
        let now = self.store.clock().await?;
        let run = self.store.begin_retention(&rules.gallery, by).await?;
        self.each_page(rules, now, Some(run), stop).await?;
        if stop.is_cancelled() {
            return Ok(None);
        }
        let letters = self.dead_letters(rules, now).await?;
        let dead_letters = match self.queue {
            Some(queue) if !letters.is_empty() => {
                let filter = DeadLetterFilter { jobs: Some(letters), ..Default::default() };
                queue.resolve_dead(&filter, false).await?
            }
            _ => 0,
        };
        self.remove_chips().await?;
        let removed = RetentionCounts { dead_letters, ..RetentionCounts::default() };
        Ok(Some(self.store.end_retention(run, removed).await?))
    }

    /// Counts what is due, and removes it for a run.
    async fn each_page(
        &self,
        rules: &RetentionRules,
        now: UtcTime,
        run: Option<RetentionId>,
        stop: &CancellationToken,
    ) -> Result<RetentionCounts, GalleryError> {
        let mut counts = RetentionCounts::default();
        for rule in RetentionRule::ALL {
            let Some(before) = rules.due_before(rule, now) else { continue };
            let gallery = rules.gallery.clone();
            let mut query = RetentionQuery { gallery, rule, before, after: 0 };
            while !stop.is_cancelled() {
                let due = self.store.due(&query).await?;
                // Nobody waits where nothing is due.
                if let Some(run) = run
                    && due.counts != RetentionCounts::default()
                {
                    self.store.remove_due(run, &query).await?;
                }
                counts = counts.plus(due.counts);
                let Some(next) = due.next else { break };
                query.after = next;
            }
        }
        Ok(counts)
    }

    /// The dead letters of jobs that name nobody, for as long as the gallery keeps images that
    /// nobody has.
    async fn dead_letters(
        &self,
        rules: &RetentionRules,
        now: UtcTime,
    ) -> Result<BTreeSet<JobId>, GalleryError> {
        let before = rules.due_before(RetentionRule::Images, now);
        let (Some(queue), Some(before)) = (self.queue, before) else {
            return Ok(BTreeSet::new());
        };
        let letters = queue.dead_letters(usize::MAX).await?;
        Ok(letters.iter().filter_map(|letter| due_letter(letter, rules, before)).collect())
    }

    /// Removes the chips of removed images, also of runs that were interrupted. Bytes that another
    /// image has keep theirs.
    async fn remove_chips(&self) -> Result<(), GalleryError> {
        let contents = self.store.removed_contents().await?;
        for contents in contents.chunks(CONTENTS_AT_ONCE) {
            if let Some(chips) = self.chips {
                let unused: Vec<_> = contents
                    .iter()
                    .filter(|content| !content.in_use)
                    .map(|RemovedContent { hash, .. }| *hash)
                    .collect();
                chips.remove(&unused).await?;
            }
            self.store.forget_removed(contents).await?;
        }
        Ok(())
    }
}

/// The job of a dead letter that is due.
fn due_letter(letter: &DeadLetter, rules: &RetentionRules, before: UtcTime) -> Option<JobId> {
    let job = letter.job.as_ref()?;
    let died_at: Timestamp = letter.died_at.as_ref()?.parse().ok()?;
    let is_due = job.gallery == rules.gallery
        && job.subject.is_none()
        && job.lane != Lane::Enrol
        && UtcTime::from(died_at) < before;
    is_due.then_some(job.id)
}
