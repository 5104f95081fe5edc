//! Photos that an evaluation leaves out because they have no score.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::fmt;

use crate::domain::OutcomeKind;

/// Why a photo has no score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Absence {
    /// Its file is missing.
    Missing,
    /// Its job ended with this outcome. `scored` does not occur.
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
pub struct UnscoredPhoto {
    /// Its file, as the labels name it.
    pub file: String,
    /// The line of the labels that names it first.
    pub line: Option<u64>,
    /// Why it has no score.
    pub absence: Absence,
    /// The reason in words.
    pub reason: Option<String>,
}

impl fmt::Display for UnscoredPhoto {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = self.line.map(|line| format!(" (line {line})")).unwrap_or_default();
        let reason = self.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        write!(f, "{}{line}: {}{reason}", self.file, self.absence)
    }
}

/// The number of photos for each cause.
pub fn counts(photos: &[UnscoredPhoto]) -> Vec<(Absence, usize)> {
    let mut kinds: Vec<Absence> = photos.iter().map(|photo| photo.absence).collect();
    kinds.sort_unstable();
    kinds.chunk_by(|a, b| a == b).map(|equal| (equal[0], equal.len())).collect()
}

/// Why no photo has a score: the number of photos for each cause, the most frequent reason, and
/// what to do.
pub fn why_none(photos: &[UnscoredPhoto]) -> String {
    let counted: Vec<String> =
        counts(photos).iter().map(|(absence, count)| format!("{count} {absence}")).collect();
    let mut text =
        format!("none of the {} photos has a score: {}", photos.len(), counted.join(", "));
    if let Some((photo, times)) = most_frequent(photos) {
        let reason = photo.reason.as_deref().unwrap_or(match photo.absence {
            Absence::Ended(OutcomeKind::NoFace) => {
                "no face passed the limits (settings detector.min_face_px and detector.min_score); \
                    chips of 112x112 need --aligned"
            }
            _ => "no reason is recorded",
        });
        text += &format!(
            "; most often ({times} times), for example {}: {}: {reason}",
            photo.file, photo.absence
        );
    }
    text
}

/// The first photo with the most frequent reason, and the number of photos with it. Reasons that
/// differ only in digits are the same. Of equally frequent reasons, the first one wins.
fn most_frequent(photos: &[UnscoredPhoto]) -> Option<(&UnscoredPhoto, usize)> {
    let mut counted: HashMap<(Absence, String), (usize, usize)> = HashMap::new();
    for (index, photo) in photos.iter().enumerate() {
        let letters =
            photo.reason.as_deref().unwrap_or_default().replace(|c: char| c.is_ascii_digit(), "");
        counted.entry((photo.absence, letters)).or_insert((0, index)).0 += 1;
    }
    let (times, index) =
        counted.into_values().max_by_key(|(times, index)| (*times, Reverse(*index)))?;
    Some((&photos[index], times))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn photo(file: &str, absence: Absence, reason: Option<&str>) -> UnscoredPhoto {
        UnscoredPhoto {
            file: file.to_owned(),
            line: Some(2),
            absence,
            reason: reason.map(str::to_owned),
        }
    }

    #[test]
    fn why_none_names_the_counts_and_the_most_frequent_reason() {
        let refused = Absence::Ended(OutcomeKind::Refused);
        let photos = [
            photo("a.jpg", Absence::Ended(OutcomeKind::NoFace), None),
            photo("b.jpg", refused, Some("70 bytes are too many (setting limits.max_bytes)")),
            photo("c.jpg", refused, Some("800 bytes are too many (setting limits.max_bytes)")),
            photo("d.jpg", Absence::Missing, Some("there is no such file")),
        ];
        let expected = "none of the 4 photos has a score: 1 missing, 1 no_face, 2 refused; most \
                        often (2 times), for example b.jpg: refused: 70 bytes are too many \
                        (setting limits.max_bytes)";
        assert_eq!(why_none(&photos), expected);
        assert!(why_none(&photos[..1]).contains("--aligned"));
        assert_eq!(photos[3].to_string(), "d.jpg (line 2): missing: there is no such file");
    }

    #[test]
    fn the_most_frequent_reason_is_found_after_many_rare_ones() {
        let absence = Absence::Ended(OutcomeKind::Unreadable);
        let mut photos: Vec<_> = (0..200)
            .map(|number| photo("rare.jpg", absence, Some("x".repeat(number).as_str())))
            .collect();
        photos.extend(["a.jpg", "b.jpg"].map(|file| photo(file, absence, Some("not an image"))));
        let text = why_none(&photos);
        assert!(
            text.ends_with("; most often (2 times), for example a.jpg: unreadable: not an image"),
            "{text}"
        );
    }
}
