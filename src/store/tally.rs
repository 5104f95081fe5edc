//! Adding up what the backends counted or wrote: plain code, the same for all of them.

use std::collections::{BTreeMap, HashMap};

use super::{GallerySummary, Recorded};
use crate::domain::{CampaignId, End, GalleryName, JobId, JobRecord, OutcomeKind, ProfileId};

/// Reasons in a summary.
pub(super) const MOST_REASONS: i64 = 20;

/// The outcomes that have reasons.
pub(super) const WITH_REASON: [OutcomeKind; 3] =
    [OutcomeKind::Unreadable, OutcomeKind::Refused, OutcomeKind::Failed];

/// A summary from images by outcome and provider, faces by quality, and the most frequent reasons.
pub(super) fn summary(
    images: Vec<(OutcomeKind, String, u64)>,
    faces: Vec<(Option<u8>, u64)>,
    reasons: Vec<(OutcomeKind, String, u64)>,
) -> GallerySummary {
    let mut summary =
        GallerySummary { histogram: vec![0; 101], reasons, ..GallerySummary::default() };
    let (mut outcomes, mut providers) = (HashMap::new(), HashMap::new());
    for (outcome, provider, images) in images {
        *outcomes.entry(outcome).or_insert(0) += images;
        *providers.entry(provider).or_insert(0) += images;
    }
    summary.outcomes = OutcomeKind::ALL
        .into_iter()
        .filter_map(|kind| Some((kind, *outcomes.get(&kind)?)))
        .collect();
    summary.providers = providers.into_iter().collect();
    summary.providers.sort_by(|(a, more), (b, less)| less.cmp(more).then_with(|| a.cmp(b)));
    for (quality, faces) in faces {
        summary.faces += faces;
        if let Some(place) =
            quality.and_then(|quality| summary.histogram.get_mut(usize::from(quality)))
        {
            *place = faces;
        }
    }
    summary
}

/// Puts the profiles of a gallery together; `rows` are in order.
pub(super) fn galleries(rows: Vec<(GalleryName, ProfileId)>) -> Vec<(GalleryName, Vec<ProfileId>)> {
    let mut galleries: Vec<(GalleryName, Vec<ProfileId>)> = Vec::new();
    for (name, profile) in rows {
        match galleries.last_mut().filter(|(last, _)| *last == name) {
            Some((_, profiles)) => profiles.push(profile),
            None => galleries.push((name, vec![profile])),
        }
    }
    galleries
}

/// How many more jobs count under an outcome, and how many more faces.
#[derive(Default)]
pub(super) struct Counts {
    pub(super) jobs: i64,
    pub(super) faces: i64,
}

/// A job that counts in its campaign from now on: under another outcome than before, or for the
/// first time.
pub(super) struct Counted {
    pub(super) campaign: CampaignId,
    pub(super) job: JobId,
    /// The outcome it counted under before.
    pub(super) before: Option<OutcomeKind>,
}

/// The outcomes that a job's count moves from when it ends again: those without faces.
pub(super) const MOVING: [OutcomeKind; 3] = WITH_REASON;

/// How the campaigns' jobs of `records`, of which `recorded` says what became, ended: each job
/// once, as it ended last.
pub(super) fn ends(
    records: &[JobRecord],
    recorded: &[Recorded],
) -> BTreeMap<(CampaignId, JobId), End> {
    let of_campaign = |(record, recorded): (&JobRecord, &Recorded)| {
        Some(((record.campaign?, record.job), recorded.end(record)))
    };
    records.iter().zip(recorded).filter_map(of_campaign).collect()
}

/// What `counted` changes in the campaigns' counts, its jobs having ended as `ends` says.
pub(super) fn changes(
    ends: &BTreeMap<(CampaignId, JobId), End>,
    counted: &[Counted],
) -> BTreeMap<(CampaignId, OutcomeKind), Counts> {
    let mut changes: BTreeMap<_, Counts> = BTreeMap::new();
    for Counted { campaign, job, before } in counted {
        let Some(end) = ends.get(&(*campaign, *job)) else { continue };
        let now = changes.entry((*campaign, end.outcome)).or_default();
        now.jobs += 1;
        now.faces += i64::from(end.faces);
        if let Some(before) = before {
            changes.entry((*campaign, *before)).or_default().jobs -= 1;
        }
    }
    changes
}

/// Of `count` things asked for, which are among `places`.
pub(super) fn marked(count: usize, places: impl IntoIterator<Item = usize>) -> Vec<bool> {
    let mut marked = vec![false; count];
    for place in places {
        if let Some(mark) = marked.get_mut(place) {
            *mark = true;
        }
    }
    marked
}
