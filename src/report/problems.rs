//! The images without a result, by reason and by name.

use super::figures::grouped;
use super::outcome_label;
use crate::domain::{GalleryName, OutcomeKind, ProfileId};
use crate::store::{GallerySummary, PageFilter, PageQuery, Reading, StoreError};

/// The outcomes that are listed first.
const FAILURES: [OutcomeKind; 3] =
    [OutcomeKind::Unreadable, OutcomeKind::Refused, OutcomeKind::Failed];

/// Images without a result.
pub(super) struct Problems {
    pub total: u64,
    pub total_count: String,
    pub reasons: Vec<ReasonRow>,
    pub files: Vec<ProblemFile>,
    pub listed: String,
    pub more: bool,
}

/// Images of one outcome and reason.
pub(super) struct ReasonRow {
    pub class: &'static str,
    pub outcome: &'static str,
    pub reason: String,
    pub count: String,
    #[cfg(test)]
    pub images: u64,
}

/// One image without a result.
pub(super) struct ProblemFile {
    pub class: &'static str,
    pub outcome: &'static str,
    pub path: String,
    pub reason: String,
}

/// The reasons with their counts, and up to `limit` images by name: failures first, then images
/// without a face.
pub(super) async fn collect(
    store: &dyn Reading,
    gallery: &GalleryName,
    profile: &ProfileId,
    summary: &GallerySummary,
    limit: u32,
) -> Result<Problems, StoreError> {
    let total = summary
        .outcomes
        .iter()
        .filter(|(kind, _)| *kind != OutcomeKind::Scored)
        .map(|(_, count)| count)
        .sum();
    let mut files = Vec::new();
    for outcomes in [&FAILURES[..], &[OutcomeKind::NoFace]] {
        let room = limit.saturating_sub(u32::try_from(files.len()).unwrap_or(u32::MAX));
        if total == 0 || room == 0 {
            break;
        }
        let query = PageQuery {
            gallery: gallery.clone(),
            profile: profile.clone(),
            outcomes: outcomes.to_vec(),
            filter: PageFilter::default(),
            notes: false,
            after: 0,
            limit: room,
            templates: false,
        };
        files.extend(store.page(&query).await?.into_iter().map(|image| ProblemFile {
            class: image.outcome.as_str(),
            outcome: outcome_label(image.outcome),
            path: image.image.to_string(),
            reason: image.reason.unwrap_or_default(),
        }));
    }
    let listed = files.len() as u64;
    let reasons = reason_rows(summary);
    Ok(Problems {
        total,
        total_count: grouped(total),
        reasons,
        files,
        listed: grouped(listed),
        more: listed < total,
    })
}

/// The store returns only the most frequent reasons. So each outcome ends with a row for the other
/// images, and the rows add up.
fn reason_rows(summary: &GallerySummary) -> Vec<ReasonRow> {
    let row = |kind: OutcomeKind, reason: &str, images: u64| ReasonRow {
        class: kind.as_str(),
        outcome: outcome_label(kind),
        reason: reason.to_owned(),
        count: grouped(images),
        #[cfg(test)]
        images,
    };
    let mut rows = Vec::new();
    for kind in OutcomeKind::ALL.into_iter().rev().filter(|kind| *kind != OutcomeKind::Scored) {
        let all: u64 = summary
            .outcomes
            .iter()
            .filter(|(other, _)| *other == kind)
            .map(|(_, count)| count)
            .sum();
        let reasons = || summary.reasons.iter().filter(|(other, ..)| *other == kind);
        rows.extend(reasons().map(|(_, reason, count)| row(kind, reason, *count)));
        let named: u64 = reasons().map(|(.., count)| count).sum();
        let rest = all.saturating_sub(named);
        if rest > 0 {
            let reason = match kind {
                OutcomeKind::NoFace => "no face passed the limits",
                _ if named > 0 => "other reasons",
                _ => "no reason recorded",
            };
            rows.push(row(kind, reason, rest));
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture::{self, Fixture};

    #[test]
    fn rows_of_reasons_add_up_if_the_store_returns_only_some() {
        let summary = GallerySummary {
            outcomes: vec![
                (OutcomeKind::Scored, 5),
                (OutcomeKind::NoFace, 7),
                (OutcomeKind::Unreadable, 10),
            ],
            reasons: vec![
                (OutcomeKind::Unreadable, "truncated".into(), 6),
                (OutcomeKind::Unreadable, "empty".into(), 3),
            ],
            ..GallerySummary::default()
        };
        let rows = reason_rows(&summary);
        let shown: Vec<_> =
            rows.iter().map(|row| (row.outcome, row.reason.as_str(), row.count.as_str())).collect();
        assert_eq!(
            shown,
            [
                ("unreadable", "truncated", "6"),
                ("unreadable", "empty", "3"),
                ("unreadable", "other reasons", "1"),
                ("no face", "no face passed the limits", "7")
            ]
        );
        assert_eq!(rows.iter().map(|row| row.images).sum::<u64>(), 17);
    }

    #[tokio::test]
    async fn failures_are_listed_before_images_without_a_face() {
        let mut store = Fixture::of_qualities(&[50]);
        for outcome in
            [OutcomeKind::NoFace, OutcomeKind::NoFace, OutcomeKind::Failed, OutcomeKind::Unreadable]
        {
            store.add(&format!("/p/{}.jpg", store.images.len()), outcome, Some("because"));
        }
        let summary = store.summary(&fixture::gallery(), &fixture::profile().id()).await.unwrap();
        let listed = async |limit| {
            let problems =
                collect(&store, &fixture::gallery(), &fixture::profile().id(), &summary, limit)
                    .await
                    .unwrap();
            (problems.files.iter().map(|file| file.outcome).collect::<Vec<_>>(), problems.more)
        };
        assert_eq!(listed(3).await, (vec!["failed", "unreadable", "no face"], true));
        assert_eq!(listed(100).await, (vec!["failed", "unreadable", "no face", "no face"], false));
        assert_eq!(listed(0).await, (vec![], true));
    }
}
