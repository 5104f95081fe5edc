//! Photos that an evaluation goes on without, and why.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::fmt;

use crate::domain::OutcomeKind;

/// How a photo came to have no score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Absence {
    /// Its file is not there.
    Missing,
    /// It ended so; `scored` is none of them.
    Ended(OutcomeKind),
}

impl fmt::Display for Absence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("missing"),
            Self::Ended(outcome) => outcome.fmt(f),
        }
    }
}

/// A photo without a score.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// Its file, as the labels name it.
    pub file: String,
    /// The line of the labels that names it first.
    pub line: Option<u64>,
    /// How it ended.
    pub absence: Absence,
    /// Why.
    pub reason: Option<String>,
}

impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = self.line.map(|line| format!(" (line {line})")).unwrap_or_default();
        let reason = self.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        write!(f, "{}{line}: {}{reason}", self.file, self.absence)
    }
}

/// How many ended how.
pub fn counts(left_out: &[LeftOut]) -> Vec<(Absence, usize)> {
    let mut kinds: Vec<Absence> = left_out.iter().map(|photo| photo.absence).collect();
    kinds.sort_unstable();
    kinds.chunk_by(|a, b| a == b).map(|equal| (equal[0], equal.len())).collect()
}

/// Why none of the photos has a score: how many ended how, the commonest reason, and what to do.
pub fn why_none(left_out: &[LeftOut]) -> String {
    let counted: Vec<String> =
        counts(left_out).iter().map(|(absence, count)| format!("{count} {absence}")).collect();
    let mut text =
        format!("none of the {} photos has a score: {}", left_out.len(), counted.join(", "));
    if let Some((photo, times)) = commonest(left_out) {
        let reason = photo.reason.as_deref().unwrap_or(match photo.absence {
            Absence::Ended(OutcomeKind::NoFace) => {
                "no face passed the limits (settings detector.min_face_px and detector.min_score); \
                    chips of 112x112 need --aligned"
            }
            _ => "no reason is known",
        });
        text +=
            &format!("; most often, {times} times, as {}: {}: {reason}", photo.file, photo.absence);
    }
    text
}

/// The first photo of the commonest reason, and how many ended for it, whatever sizes it tells. Of
/// reasons that are as common, the first.
fn commonest(left_out: &[LeftOut]) -> Option<(&LeftOut, usize)> {
    let mut counted: HashMap<(Absence, String), (usize, usize)> = HashMap::new();
    for (place, photo) in left_out.iter().enumerate() {
        let letters =
            photo.reason.as_deref().unwrap_or_default().replace(|c: char| c.is_ascii_digit(), "");
        counted.entry((photo.absence, letters)).or_insert((0, place)).0 += 1;
    }
    let (times, place) =
        counted.into_values().max_by_key(|(times, place)| (*times, Reverse(*place)))?;
    Some((&left_out[place], times))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn photo(file: &str, absence: Absence, reason: Option<&str>) -> LeftOut {
        LeftOut { file: file.to_owned(), line: Some(2), absence, reason: reason.map(str::to_owned) }
    }

    #[test]
    fn why_none_has_a_score_names_the_counts_and_the_commonest_reason() {
        let refused = Absence::Ended(OutcomeKind::Refused);
        let photos = [
            photo("a.jpg", Absence::Ended(OutcomeKind::NoFace), None),
            photo("b.jpg", refused, Some("70 bytes are too many (setting limits.max_bytes)")),
            photo("c.jpg", refused, Some("800 bytes are too many (setting limits.max_bytes)")),
            photo("d.jpg", Absence::Missing, Some("there is no such file")),
        ];
        let expected = "none of the 4 photos has a score: 1 missing, 1 no_face, 2 refused; most \
            often, 2 times, as b.jpg: refused: 70 \
                        bytes are too many (setting limits.max_bytes)";
        assert_eq!(why_none(&photos), expected);
        assert!(why_none(&photos[..1]).contains("--aligned"));
        assert_eq!(photos[3].to_string(), "d.jpg (line 2): missing: there is no such file");
    }

    #[test]
    fn the_commonest_reason_is_found_behind_many_that_are_rare() {
        let absence = Absence::Ended(OutcomeKind::Unreadable);
        let mut photos: Vec<_> = (0..200)
            .map(|number| photo("rare.jpg", absence, Some("x".repeat(number).as_str())))
            .collect();
        photos.extend(["a.jpg", "b.jpg"].map(|file| photo(file, absence, Some("not an image"))));
        let told = why_none(&photos);
        assert!(
            told.ends_with("; most often, 2 times, as a.jpg: unreadable: not an image"),
            "{told}"
        );
    }
}
