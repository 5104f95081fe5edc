//! Decides how a batch changes the counts of campaigns, once for both backends.

use std::collections::BTreeMap;

use super::Recorded;
use crate::domain::{CampaignId, End, JobId, JobRecord, OutcomeKind};

/// The outcomes from which a job's count moves when the job ends again: those without faces, other
/// than `no_face`.
pub(super) const MOVING: [OutcomeKind; 3] =
    [OutcomeKind::Unreadable, OutcomeKind::Refused, OutcomeKind::Failed];

/// A job to count under an outcome; None: as skipped.
pub(super) struct JobToCount {
    pub(super) campaign: CampaignId,
    pub(super) job: JobId,
    pub(super) outcome: Option<OutcomeKind>,
}

/// A job that now counts under another outcome than before, or for the first time.
pub(super) struct Counted {
    pub(super) campaign: CampaignId,
    pub(super) job: JobId,
    /// The outcome it counted under before.
    pub(super) before: Option<OutcomeKind>,
}

/// Changes of the number of jobs under an outcome, and of their faces.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Change {
    pub(super) jobs: i64,
    pub(super) faces: i64,
}

/// How the jobs of campaigns in a batch ended.
pub(super) struct Ends(BTreeMap<(CampaignId, JobId), End>);

impl Ends {
    /// Each job once: if a batch holds a job twice, its last end counts.
    pub(super) fn of(records: &[JobRecord], recorded: &[Recorded]) -> Self {
        let of_campaign = |(record, recorded): (&JobRecord, &Recorded)| {
            Some(((record.job.campaign?, record.job.id), recorded.end(record)))
        };
        Self(records.iter().zip(recorded).filter_map(of_campaign).collect())
    }

    /// The jobs, ordered by campaign and id.
    pub(super) fn jobs(&self) -> Vec<JobToCount> {
        let job = |((campaign, job), end): (&(CampaignId, JobId), &End)| JobToCount {
            campaign: *campaign,
            job: *job,
            outcome: Some(end.outcome),
        };
        self.0.iter().map(job).collect()
    }

    /// What `counted` changes in the counts of campaigns.
    pub(super) fn changes(
        &self,
        counted: &[Counted],
    ) -> BTreeMap<(CampaignId, OutcomeKind), Change> {
        let mut changes: BTreeMap<_, Change> = BTreeMap::new();
        for Counted { campaign, job, before } in counted {
            let Some(end) = self.0.get(&(*campaign, *job)) else { continue };
            let now = changes.entry((*campaign, end.outcome)).or_default();
            now.jobs += 1;
            now.faces += i64::from(end.faces);
            if let Some(before) = before {
                changes.entry((*campaign, *before)).or_default().jobs -= 1;
            }
        }
        changes
    }
}
