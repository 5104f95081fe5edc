//! The active profile of a gallery: who made it so, and what it covered then.

use std::fmt;
use std::str::FromStr;

use super::{GalleryName, InvalidName, ProfileId, UtcTime};

/// What a profile has of a gallery, next to the active profile; of the active profile itself, next
/// to all profiles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CoverageCounts {
    /// Images with a current, final result under the active profile whose bytes came.
    pub images: u64,
    /// Of these, the ones with a current, final result of the same bytes under the profile: also
    /// those without a face.
    pub covered: u64,
    /// Active references whose primary face was scored under the active profile: searches find
    /// their subjects by them.
    pub references: u64,
    /// Of these, the ones whose primary face was not scored under the profile.
    pub lost_references: u64,
}

impl CoverageCounts {
    /// The images that the profile lacks.
    pub fn missing(&self) -> u64 {
        self.images.saturating_sub(self.covered)
    }

    /// The covered part of the images, 0 to 100; 100 if there are none.
    pub fn percent(&self) -> f64 {
        if self.images == 0 { 100.0 } else { 100.0 * self.covered as f64 / self.images as f64 }
    }
}

/// Images that a profile lacks because its attempt at them failed, by outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FailedAttempts {
    /// Missing, denied or damaged.
    pub unreadable: u64,
    /// Over a limit, or outside the allow-list.
    pub refused: u64,
    /// All attempts failed.
    pub failed: u64,
}

impl FailedAttempts {
    /// All of them.
    pub fn total(&self) -> u64 {
        self.unreadable + self.refused + self.failed
    }
}

/// That a profile was made the active one of a gallery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Activation {
    /// The gallery.
    pub gallery: GalleryName,
    /// The profile.
    pub profile: ProfileId,
    /// Who did it; none if an update of the schema noted what was shown before.
    pub by: Option<OperatorName>,
    /// Whether it was done against a refusal.
    pub forced: bool,
    /// What was found then; none if an update of the schema made the note.
    pub coverage: Option<CoverageCounts>,
    /// When.
    pub at: UtcTime,
}

/// Who runs a command: 1 to 200 characters, none of them a control character.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorName(String);

impl OperatorName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for OperatorName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for OperatorName {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        if text.is_empty() || text.chars().count() > 200 || text.chars().any(char::is_control) {
            return Err(InvalidName::new(
                "an operator's name is 1 to 200 characters, none of them a control character",
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gallery_without_images_is_covered() {
        assert_eq!(CoverageCounts::default().percent(), 100.0);
        let half = CoverageCounts { images: 4, covered: 2, ..CoverageCounts::default() };
        assert_eq!((half.percent(), half.missing()), (50.0, 2));
    }

    #[test]
    fn an_operator_has_a_name() {
        assert_eq!("ann b".parse::<OperatorName>().unwrap().as_str(), "ann b");
        for wrong in ["", "a\nb", &"x".repeat(201)] {
            assert!(wrong.parse::<OperatorName>().is_err(), "{wrong}");
        }
    }
}
