//! What a person decides in curation.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::Serialize;

use super::{ImageId, InvalidName, SubjectName};

/// A verdict about an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is left out of searches, references, reports and exports.
    Exclude,
    /// It is no longer excluded, and stays as it is.
    Restore,
    /// It stays as it is: it is not suggested any more.
    Keep,
    /// It shows this subject, whatever jobs say.
    Reassign(SubjectName),
    /// It does not show what the other image shows: neither the same picture nor the same person.
    NotTheSame(ImageId),
    /// A complete listing of its source did not bring it: it is left out until one does.
    Gone,
    /// As [`Self::Gone`], and the other image, which has the same bytes, was moved to its place:
    /// the two change places. This image is at the old place from then on, and the other one
    /// keeps all that is known of it.
    Moved(ImageId),
    /// A listing brought it again: it is not gone any more.
    Found,
    /// This verdict counts no more.
    Undo(VerdictId),
}

/// A verdict's number in its store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct VerdictId(pub i64);

/// The number of a curation: the verdicts of one command, or of one preview that was applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct CurationId(pub i64);

/// Why a person decided so: 1 to 1000 characters, none of them a control character.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct VerdictReason(String);

/// What follows from the verdicts of an image.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Curated {
    /// It is left out.
    pub excluded: bool,
    /// It is gone from its source, and left out too.
    pub gone: bool,
    /// A person looked at it, and it stays.
    pub kept: bool,
    /// Whom it shows, if a verdict says so.
    pub subject: Option<SubjectName>,
    /// The images that it is not the same as, by its own verdicts.
    pub not_the_same: BTreeSet<ImageId>,
}

impl Verdict {
    /// Its name in tables and `--json`.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Exclude => "exclude",
            Self::Restore => "restore",
            Self::Keep => "keep",
            Self::Reassign(_) => "reassign",
            Self::NotTheSame(_) => "not_the_same",
            Self::Gone => "gone",
            Self::Moved(_) => "moved",
            Self::Found => "found",
            Self::Undo(_) => "undo",
        }
    }
}

impl Curated {
    /// The state after these verdicts, in their order, of which no undo took any back.
    pub fn after<'a>(verdicts: impl IntoIterator<Item = &'a Verdict>) -> Self {
        let mut state = Self::default();
        verdicts.into_iter().for_each(|verdict| state.follow(verdict));
        state
    }

    /// The state after one more verdict. An undo is none: take its verdict out instead.
    pub fn follow(&mut self, verdict: &Verdict) {
        match verdict {
            Verdict::Exclude => (self.excluded, self.kept) = (true, false),
            Verdict::Restore => (self.excluded, self.kept) = (false, true),
            Verdict::Keep => self.kept = true,
            Verdict::Reassign(subject) => self.subject = Some(subject.clone()),
            Verdict::NotTheSame(other) => {
                self.not_the_same.insert(*other);
            }
            Verdict::Gone | Verdict::Moved(_) => self.gone = true,
            Verdict::Found => self.gone = false,
            Verdict::Undo(_) => {}
        }
    }

    /// Whether searches, references, reports and exports are without it.
    pub fn is_left_out(&self) -> bool {
        self.excluded || self.gone
    }

    /// Whether `verdict` would change something about an image with this state and this subject.
    pub fn is_changed_by(&self, verdict: &Verdict, subject: Option<&SubjectName>) -> bool {
        match verdict {
            Verdict::Exclude => !self.excluded,
            Verdict::Restore => self.excluded,
            Verdict::Keep => !self.excluded && !self.kept,
            Verdict::Reassign(to) => subject != Some(to),
            Verdict::NotTheSame(other) => !self.not_the_same.contains(other),
            Verdict::Gone | Verdict::Moved(_) => !self.gone,
            Verdict::Found => self.gone,
            Verdict::Undo(_) => true,
        }
    }
}

impl VerdictReason {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for VerdictReason {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        if text.is_empty() || text.chars().count() > 1000 || text.chars().any(char::is_control) {
            return Err(InvalidName::new(
                "a reason is 1 to 1000 characters, none of them a control character",
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

macro_rules! number {
    ($name:ident, $what:literal) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidName;

            fn from_str(text: &str) -> Result<Self, InvalidName> {
                let number = text.parse().ok().filter(|number| *number > 0);
                number.map(Self).ok_or_else(|| InvalidName::new($what))
            }
        }
    };
}

number!(VerdictId, "a verdict has a number, such as 7: `facefleet curate log` shows them");
number!(CurationId, "a curation has a number, such as 7: `facefleet curate log` shows them");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_of_an_image_is_the_fold_of_its_verdicts() {
        let ann: SubjectName = "Ann".parse().unwrap();
        let all =
            [Verdict::Keep, Verdict::Reassign(ann.clone()), Verdict::Exclude, Verdict::Restore];
        let states: Vec<Curated> = (0..=all.len()).map(|end| Curated::after(&all[..end])).collect();
        assert_eq!(states[0], Curated::default());
        assert!(states[1].kept && !states[1].excluded);
        assert_eq!(states[2].subject.as_ref(), Some(&ann));
        assert!(states[3].excluded && !states[3].kept);
        assert!(!states[4].excluded && states[4].kept, "somebody looked at it");
        assert_eq!(states[4].subject, Some(ann));
    }

    #[test]
    fn what_is_so_already_is_no_change() {
        let ann: SubjectName = "Ann".parse().unwrap();
        let excluded = Curated::after(&[Verdict::Exclude]);
        assert!(!excluded.is_changed_by(&Verdict::Exclude, None));
        assert!(!excluded.is_changed_by(&Verdict::Keep, None), "restore it first");
        assert!(excluded.is_changed_by(&Verdict::Restore, None));
        let none = Curated::default();
        assert!(!none.is_changed_by(&Verdict::Restore, None));
        assert!(!none.is_changed_by(&Verdict::Reassign(ann.clone()), Some(&ann)));
        assert!(none.is_changed_by(&Verdict::Reassign(ann), None));
    }

    #[test]
    fn that_an_image_is_gone_is_apart_from_what_people_decide() {
        let gone = Curated::after(&[Verdict::Exclude, Verdict::Gone, Verdict::Restore]);
        assert!(gone.gone && !gone.excluded && gone.is_left_out());
        assert!(!gone.is_changed_by(&Verdict::Gone, None));
        assert!(!gone.is_changed_by(&Verdict::Moved(ImageId(1)), None));
        let found = Curated::after(&[Verdict::Gone, Verdict::Exclude, Verdict::Found]);
        assert!(!found.gone && found.excluded && found.is_left_out());
        assert!(!found.is_changed_by(&Verdict::Found, None));
        assert!(!Curated::after(&[Verdict::Moved(ImageId(1)), Verdict::Found]).is_left_out());
    }

    #[test]
    fn numbers_and_reasons_are_parsed() {
        assert_eq!("7".parse::<VerdictId>().unwrap(), VerdictId(7));
        assert!("0".parse::<CurationId>().is_err() && "x".parse::<CurationId>().is_err());
        assert!("blurred".parse::<VerdictReason>().is_ok());
        assert!("".parse::<VerdictReason>().is_err() && "a\nb".parse::<VerdictReason>().is_err());
    }
}
