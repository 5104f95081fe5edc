//! Numbers as the page shows them: counts, shares that add up, percentiles.

use super::outcome_label;
use crate::domain::OutcomeKind;
use crate::store::GallerySummary;

/// The figures at the top of the page.
pub(super) struct Headline {
    pub images: String,
    pub scored: String,
    /// Faces for which the network gave no usable answer; none if there are no such faces.
    pub unscored: Option<String>,
    /// Images that keep an earlier result because the latest attempt to read them got no bytes;
    /// none if there are no such images.
    pub noted: Option<String>,
    pub any_image: bool,
    pub quality: Option<QualityFigures>,
}

/// The distribution of quality of at least one scored face.
pub(super) struct QualityFigures {
    pub median: u8,
    pub below_25: ShareOf,
    pub below_50: ShareOf,
    /// Name and value of the usual percentiles.
    pub percentiles: Vec<(&'static str, u8)>,
}

/// A part of a whole.
pub(super) struct ShareOf {
    pub percent: String,
    pub count: String,
}

impl Headline {
    pub(super) fn new(summary: &GallerySummary) -> Self {
        let images: u64 = summary.outcomes.iter().map(|(_, count)| count).sum();
        let scored: u64 = summary.histogram.iter().sum();
        let unscored = summary.faces.saturating_sub(scored);
        Self {
            images: grouped(images),
            scored: grouped(scored),
            unscored: (unscored > 0).then(|| grouped(unscored)),
            noted: (summary.noted > 0).then(|| grouped(summary.noted)),
            any_image: images > 0,
            quality: QualityFigures::new(&summary.histogram),
        }
    }
}

impl QualityFigures {
    fn new(histogram: &[u64]) -> Option<Self> {
        const PERCENTILES: [(&str, u64); 5] = [
            ("5th percentile", 5),
            ("25th percentile", 25),
            ("median", 50),
            ("75th percentile", 75),
            ("95th percentile", 95),
        ];
        let total: u64 = histogram.iter().sum();
        let below = |quality: usize| {
            let count = histogram.iter().take(quality).sum();
            ShareOf { percent: percent(count, total), count: faces(count) }
        };
        let percentiles = PERCENTILES
            .into_iter()
            .map(|(name, p)| Some((name, percentile(histogram, p)?)))
            .collect::<Option<_>>()?;
        Some(Self {
            median: percentile(histogram, 50)?,
            below_25: below(25),
            below_50: below(50),
            percentiles,
        })
    }
}

/// One outcome in the bar and in the table below it.
pub(super) struct OutcomeRow {
    pub class: &'static str,
    pub label: &'static str,
    pub meaning: &'static str,
    pub images: u64,
    pub count: String,
    pub percent: String,
}

/// A row for each outcome that occurred, in the fixed order. The percents add up to 100.0, except
/// those shown as "<0.1%".
pub(super) fn outcome_rows(outcomes: &[(OutcomeKind, u64)]) -> Vec<OutcomeRow> {
    let of = |kind| {
        outcomes.iter().filter(|(other, _)| *other == kind).map(|(_, count)| count).sum::<u64>()
    };
    let counted: Vec<(OutcomeKind, u64)> = OutcomeKind::ALL
        .into_iter()
        .map(|kind| (kind, of(kind)))
        .filter(|(_, count)| *count > 0)
        .collect();
    let counts: Vec<u64> = counted.iter().map(|(_, count)| *count).collect();
    let total = counts.iter().sum();
    std::iter::zip(counted, tenths(&counts))
        .map(|((kind, images), tenths)| OutcomeRow {
            class: kind.as_str(),
            label: outcome_label(kind),
            meaning: match kind {
                OutcomeKind::Scored => "at least one face has a quality",
                OutcomeKind::NoFace => "read, and no face in it passed the limits",
                OutcomeKind::Unreadable => "damaged, not an image of a known format, or missing",
                OutcomeKind::Refused => "forbidden by a limit or the allow-list",
                OutcomeKind::Failed => "all attempts failed",
                OutcomeKind::Erased => "erased: nothing is kept of it",
            },
            images,
            count: grouped(images),
            percent: percent_label(tenths, images, total),
        })
        .collect()
}

/// The smallest quality that at least `p` percent of the faces do not exceed (nearest rank). None
/// without a face.
pub(super) fn percentile(histogram: &[u64], p: u64) -> Option<u8> {
    let total: u64 = histogram.iter().sum();
    let rank = (u128::from(total) * u128::from(p)).div_ceil(100).max(1);
    let mut below = 0u128;
    let quality = histogram.iter().position(|&count| {
        below += u128::from(count);
        below >= rank
    })?;
    u8::try_from(quality).ok()
}

/// `1 face`, `1,234 faces`.
pub(super) fn faces(count: u64) -> String {
    format!("{} {}", grouped(count), if count == 1 { "face" } else { "faces" })
}

/// `1234567` as `1,234,567`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `count` of `total` in percent, with one decimal.
pub(super) fn percent(count: u64, total: u64) -> String {
    let tenths = (u128::from(count) * 2000 + u128::from(total)) / (2 * u128::from(total.max(1)));
    percent_label(u64::try_from(tenths).unwrap_or(1000), count, total)
}

/// A share above zero is never shown as 0.0 %, and one below the whole never as 100.0 %.
fn percent_label(tenths: u64, count: u64, total: u64) -> String {
    match tenths {
        0 if count > 0 => "<0.1%".to_owned(),
        1000.. if count < total => ">99.9%".to_owned(),
        _ => format!("{}.{}%", tenths / 10, tenths % 10),
    }
}

/// Shares of the whole in tenths of a percent that add up to 1000: all are rounded down, and the
/// missing tenths go to those that lost most (largest remainder method).
fn tenths(counts: &[u64]) -> Vec<u64> {
    let total: u128 = counts.iter().map(|&count| u128::from(count)).sum();
    if total == 0 {
        return vec![0; counts.len()];
    }
    let exact = |i: usize| u128::from(counts[i]) * 1000;
    let mut shares: Vec<u64> = (0..counts.len()).map(|i| (exact(i) / total) as u64).collect();
    let missing = 1000 - shares.iter().sum::<u64>();
    let mut losers: Vec<usize> = (0..counts.len()).collect();
    losers.sort_by_key(|&i| std::cmp::Reverse(exact(i) % total));
    losers.into_iter().take(missing as usize).for_each(|i| shares[i] += 1);
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    fn histogram(faces: &[(usize, u64)]) -> Vec<u64> {
        let mut histogram = vec![0; 101];
        faces.iter().for_each(|&(quality, count)| histogram[quality] = count);
        histogram
    }

    #[test]
    fn percentiles_are_those_found_by_hand() {
        // 0 x1, 10 x4, 60 x10, 90 x4, 100 x1: ranks 1, 5, 10, 15 and 19 of 20.
        let faces = histogram(&[(0, 1), (10, 4), (60, 10), (90, 4), (100, 1)]);
        let found: Vec<_> =
            [5, 25, 50, 75, 95].into_iter().map(|p| percentile(&faces, p)).collect();
        assert_eq!(found, [Some(0), Some(10), Some(60), Some(60), Some(90)]);
        assert_eq!(percentile(&faces, 100), Some(100));
    }

    #[test]
    fn percentiles_of_one_face_and_of_none() {
        assert_eq!(percentile(&histogram(&[(37, 1)]), 5), Some(37));
        assert_eq!(percentile(&histogram(&[(37, 1)]), 95), Some(37));
        assert_eq!(percentile(&histogram(&[]), 50), None);
        assert_eq!(percentile(&[], 50), None);
    }

    #[test]
    fn percents_of_the_outcomes_add_up() {
        for counts in [
            vec![1, 1, 1],
            vec![2, 1, 1, 1, 1, 1],
            vec![999_999, 1],
            vec![7],
            vec![u64::MAX / 2, u64::MAX / 2],
        ] {
            assert_eq!(tenths(&counts).iter().sum::<u64>(), 1000, "{counts:?}");
        }
        let rows = outcome_rows(&[
            (OutcomeKind::Failed, 1),
            (OutcomeKind::Scored, 1),
            (OutcomeKind::NoFace, 1),
        ]);
        let shown: Vec<_> = rows.iter().map(|row| (row.label, row.percent.as_str())).collect();
        assert_eq!(shown, [("scored", "33.4%"), ("no face", "33.3%"), ("failed", "33.3%")]);
    }

    #[test]
    fn rare_is_not_shown_as_never_nor_most_as_all() {
        let rows = outcome_rows(&[(OutcomeKind::Scored, 99_999), (OutcomeKind::Failed, 1)]);
        assert_eq!(rows[0].percent, ">99.9%");
        assert_eq!(rows[1].percent, "<0.1%");
        assert_eq!(percent(0, 10), "0.0%");
        assert_eq!(percent(10, 10), "100.0%");
        assert_eq!(percent(0, 0), "0.0%");
        assert_eq!(percent(1, 3), "33.3%");
        assert_eq!(percent(2, 3), "66.7%");
    }

    #[test]
    fn thousands_are_grouped() {
        let shown: Vec<_> = [0, 999, 1000, 1_234_567].into_iter().map(grouped).collect();
        assert_eq!(shown, ["0", "999", "1,000", "1,234,567"]);
    }

    #[test]
    fn shares_below_exclude_the_limit_itself() {
        let figures =
            QualityFigures::new(&histogram(&[(24, 1), (25, 1), (49, 1), (50, 1)])).unwrap();
        assert_eq!(figures.below_25.count, "1 face");
        assert_eq!(figures.below_50.count, "3 faces");
        assert_eq!(figures.below_50.percent, "75.0%");
    }
}
