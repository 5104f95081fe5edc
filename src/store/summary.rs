//! Puts answers together from the rows that the backends count.

use std::collections::HashMap;

use super::fault::Fault;
use super::rows::{
    CountRow, GalleryRow, OutcomeCountRow, QualityCountRow, ReasonCountRow, corrupt, parsed,
};
use super::{GallerySummary, counts};
use crate::domain::{GalleryName, OutcomeKind, ProfileId};

/// The most reasons in a summary.
pub(super) const MOST_REASONS: i64 = 20;

/// The outcomes that have reasons.
pub(super) const WITH_REASON: [OutcomeKind; 3] = counts::MOVING;

/// What a backend counts for a summary.
#[derive(Default)]
pub(super) struct SummaryRows {
    pub(super) outcomes: Vec<OutcomeCountRow>,
    pub(super) qualities: Vec<QualityCountRow>,
    /// The most frequent reasons, in order.
    pub(super) reasons: Vec<ReasonCountRow>,
    pub(super) noted: CountRow,
}

pub(super) fn summary(rows: SummaryRows) -> Result<GallerySummary, Fault> {
    let mut summary = GallerySummary { histogram: vec![0; 101], ..GallerySummary::default() };
    let mut outcomes: HashMap<OutcomeKind, u64> = HashMap::new();
    let mut providers: HashMap<String, u64> = HashMap::new();
    for row in rows.outcomes {
        let images = u64::try_from(row.images).map_err(corrupt)?;
        *outcomes.entry(parsed(&row.outcome)?).or_default() += images;
        *providers.entry(row.provider).or_default() += images;
    }
    summary.outcomes = OutcomeKind::ALL
        .into_iter()
        .filter_map(|kind| Some((kind, *outcomes.get(&kind)?)))
        .collect();
    summary.providers = providers.into_iter().collect();
    summary.providers.sort_by(|(a, more), (b, less)| less.cmp(more).then_with(|| a.cmp(b)));
    for row in rows.qualities {
        let faces = u64::try_from(row.faces).map_err(corrupt)?;
        summary.faces += faces;
        let Some(quality) = row.quality else { continue };
        let quality = usize::try_from(quality).map_err(corrupt)?;
        if let Some(count) = summary.histogram.get_mut(quality) {
            *count = faces;
        }
    }
    for row in rows.reasons {
        let images = u64::try_from(row.images).map_err(corrupt)?;
        summary.reasons.push((parsed(&row.outcome)?, row.reason, images));
    }
    summary.noted = u64::try_from(rows.noted.count).map_err(corrupt)?;
    Ok(summary)
}

/// Groups the profiles by gallery; `rows` are sorted by gallery.
pub(super) fn galleries(rows: &[GalleryRow]) -> Result<Vec<(GalleryName, Vec<ProfileId>)>, Fault> {
    let mut galleries: Vec<(GalleryName, Vec<ProfileId>)> = Vec::new();
    for row in rows {
        let (name, profile) = (parsed(&row.name)?, parsed(&row.profile_id)?);
        match galleries.last_mut().filter(|(last, _)| *last == name) {
            Some((_, profiles)) => profiles.push(profile),
            None => galleries.push((name, vec![profile])),
        }
    }
    Ok(galleries)
}

/// `count` flags, of which those at `indexes` are true.
pub(super) fn flags(count: usize, indexes: impl IntoIterator<Item = i64>) -> Vec<bool> {
    let mut flags = vec![false; count];
    for index in indexes {
        if let Some(flag) = usize::try_from(index).ok().and_then(|index| flags.get_mut(index)) {
            *flag = true;
        }
    }
    flags
}
