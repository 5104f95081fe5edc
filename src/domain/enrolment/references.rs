//! Which images stand for a subject: the best few by quality and diversity.

use std::fmt;
use std::str::FromStr;

use super::super::ImageId;
use super::decision::{NewReference, SubjectReference};
use super::reason::{EnrolmentDecision, UnknownWord};

/// Two templates of one subject that are at least this similar come from nearly the same picture:
/// another size or compression of it, or the next frame.
const NEARLY_IDENTICAL: f64 = 0.97;
/// What a similarity of 1 to another reference takes off the worth, in points of quality.
const COST_OF_LIKENESS: f64 = 50.0;

/// How many references a subject has, and when a new one replaces another.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ReferenceRules {
    /// The most active references of a subject under one profile.
    pub most: usize,
    /// How much more the references must be worth with a new one in the place of another: see
    /// [`ReferenceRules::choose`].
    pub margin: f64,
}

/// Why a reference does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SetAsideReason {
    /// An active reference has the same bytes.
    SameBytes,
    /// An active reference is nearly the same picture.
    NearlyIdentical,
    /// It is not better than the active references by the margin.
    NotBetter,
    /// A better one replaced it.
    Replaced,
    /// A person must decide about its enrolment.
    Review,
    /// An operator set it aside.
    Operator,
    /// A verdict of curation excludes its image, or gives it to another subject.
    Verdict,
}

impl SetAsideReason {
    const ALL: [Self; 7] = [
        Self::SameBytes,
        Self::NearlyIdentical,
        Self::NotBetter,
        Self::Replaced,
        Self::Review,
        Self::Operator,
        Self::Verdict,
    ];

    /// The name in tables and `--json`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::SameBytes => "same_bytes",
            Self::NearlyIdentical => "nearly_identical",
            Self::NotBetter => "not_better",
            Self::Replaced => "replaced",
            Self::Review => "review",
            Self::Operator => "operator",
            Self::Verdict => "verdict",
        }
    }
}

impl fmt::Display for SetAsideReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for SetAsideReason {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        let found = Self::ALL.into_iter().find(|reason| reason.as_str() == text);
        found.ok_or_else(|| UnknownWord(text.to_owned()))
    }
}

/// Whether a reference counts in searches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReferenceState {
    /// It stands for its subject.
    Active,
    /// It is kept, and can be restored.
    SetAside(SetAsideReason),
}

impl ReferenceState {
    /// What an operator who gives a reference this state decides about its image, if that was to
    /// be reviewed.
    pub fn review(self) -> Option<EnrolmentDecision> {
        match self {
            Self::Active => Some(EnrolmentDecision::Accepted),
            Self::SetAside(SetAsideReason::Operator) => Some(EnrolmentDecision::Rejected),
            Self::SetAside(_) => None,
        }
    }
}

/// What an accepted image changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReferenceChange {
    /// It becomes a reference.
    Take,
    /// It becomes a reference in the place of this image's.
    Replace(ImageId),
    /// It is kept aside.
    SetAside(SetAsideReason),
}

impl ReferenceRules {
    /// What the accepted image `new` changes among the `active` references of its subject. Those
    /// without a template under the profile at hand cannot be compared and do not count.
    ///
    /// References are worth the sum of their qualities (0 to 100), less 50 times each one's highest
    /// similarity to another of them. While there is room, an image is taken. Then it replaces the
    /// reference in whose place it adds the most worth, if that is at least the margin. An image
    /// with the bytes of a reference is never taken; one that is nearly identical to some can only
    /// replace them.
    pub fn choose(&self, active: &[SubjectReference], new: &NewReference) -> ReferenceChange {
        let has_bytes = |reference: &SubjectReference| {
            reference.template.is_some() && reference.hash == new.hash && new.hash.is_some()
        };
        if active.iter().any(has_bytes) {
            return ReferenceChange::SetAside(SetAsideReason::SameBytes);
        }
        let rivals: Vec<Rival<'_>> =
            active.iter().filter_map(|each| Rival::of(each, new)).collect();
        let is_like = |rival: &&Rival<'_>| rival.likeness >= NEARLY_IDENTICAL;
        let twin = rivals.iter().filter(is_like).max_by(|a, b| a.likeness.total_cmp(&b.likeness));
        if let Some(twin) = twin {
            let better = f64::from(new.quality) - twin.quality >= self.margin;
            return if better && rivals.iter().filter(is_like).count() == 1 {
                ReferenceChange::Replace(twin.image)
            } else {
                ReferenceChange::SetAside(SetAsideReason::NearlyIdentical)
            };
        }
        if rivals.len() < self.most {
            return ReferenceChange::Take;
        }
        let gains = gains(&rivals, new);
        // The first of equals: the oldest image.
        let best = gains.fold(None, |best: Option<(ImageId, f64)>, next| match best {
            Some(best) if best.1 >= next.1 => Some(best),
            _ => Some(next),
        });
        match best.filter(|(_, gain)| *gain >= self.margin) {
            Some((image, _)) => ReferenceChange::Replace(image),
            None => ReferenceChange::SetAside(SetAsideReason::NotBetter),
        }
    }

    /// Chooses anew among `references`, the best first: which are active, and why the others are
    /// not. Those without a template under the profile at hand stay active.
    pub fn choose_anew(&self, references: Vec<SubjectReference>) -> Vec<(ImageId, ReferenceState)> {
        let (mut comparable, others): (Vec<_>, Vec<_>) =
            references.into_iter().partition(|reference| reference.template.is_some());
        comparable.sort_by_key(|reference| {
            (std::cmp::Reverse(reference.quality.unwrap_or_default()), reference.image)
        });
        let mut active: Vec<SubjectReference> = others;
        let mut states: Vec<(ImageId, ReferenceState)> =
            active.iter().map(|each| (each.image, ReferenceState::Active)).collect();
        for reference in comparable {
            let Some(new) = reference.as_new() else { continue };
            let image = reference.image;
            let state = match self.choose(&active, &new) {
                ReferenceChange::Take => ReferenceState::Active,
                ReferenceChange::Replace(other) => {
                    active.retain(|each| each.image != other);
                    let replaced = ReferenceState::SetAside(SetAsideReason::Replaced);
                    states.iter_mut().filter(|(each, _)| *each == other).for_each(|state| {
                        state.1 = replaced;
                    });
                    ReferenceState::Active
                }
                ReferenceChange::SetAside(reason) => ReferenceState::SetAside(reason),
            };
            if state == ReferenceState::Active {
                active.push(reference);
            }
            states.push((image, state));
        }
        states
    }
}

/// A reference that `new` is compared with.
struct Rival<'a> {
    image: ImageId,
    quality: f64,
    reference: &'a SubjectReference,
    /// Similarity to the new image.
    likeness: f64,
}

impl<'a> Rival<'a> {
    fn of(reference: &'a SubjectReference, new: &NewReference) -> Option<Self> {
        let likeness = reference.template.as_ref()?.similarity(&new.template);
        let quality = f64::from(reference.quality?);
        Some(Self { image: reference.image, quality, reference, likeness })
    }

    fn similarity(&self, other: &Self) -> f64 {
        let templates = self.reference.template.as_ref().zip(other.reference.template.as_ref());
        templates.map_or(0.0, |(own, other)| own.similarity(other))
    }
}

/// For each rival, how much more the references are worth if `new` takes its place.
fn gains<'a>(
    rivals: &'a [Rival<'_>],
    new: &NewReference,
) -> impl Iterator<Item = (ImageId, f64)> + 'a {
    let between = |a: usize, b: usize| rivals[a].similarity(&rivals[b]);
    let mut qualities: Vec<f64> = rivals.iter().map(|rival| rival.quality).collect();
    let quality = f64::from(new.quality);
    let before = worth(&qualities, between);
    rivals.iter().enumerate().map(move |(place, old)| {
        qualities[place] = quality;
        let with_new = |a: usize, b: usize| match (a == place, b == place) {
            (true, _) => rivals[b].likeness,
            (_, true) => rivals[a].likeness,
            _ => between(a, b),
        };
        let gain = worth(&qualities, with_new) - before;
        qualities[place] = old.quality;
        (old.image, gain)
    })
}

/// What the references of these qualities are worth together; `similarity` is that of two of them,
/// by their places.
fn worth(qualities: &[f64], similarity: impl Fn(usize, usize) -> f64) -> f64 {
    let places = 0..qualities.len();
    let likeness = |place: usize| {
        let others = places.clone().filter(|&other| other != place);
        others.map(|other| similarity(place, other)).fold(0.0, f64::max)
    };
    let each = places.clone().zip(qualities);
    each.map(|(place, quality)| quality - COST_OF_LIKENESS * likeness(place)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{ContentHash, Template};

    const RULES: ReferenceRules = ReferenceRules { most: 3, margin: 5.0 };

    /// A template in a plane, `degrees` from the first axis.
    fn template(degrees: f32) -> Template {
        let (sin, cos) = degrees.to_radians().sin_cos();
        Template::from_embedding(&[cos, sin]).unwrap().0
    }

    fn reference(id: i64, quality: u8, degrees: f32) -> SubjectReference {
        SubjectReference {
            image: ImageId(id),
            state: ReferenceState::Active,
            hash: Some(ContentHash::of(&id.to_le_bytes())),
            quality: Some(quality),
            template: Some(template(degrees)),
        }
    }

    fn new(id: i64, quality: u8, degrees: f32) -> NewReference {
        reference(id, quality, degrees).as_new().unwrap()
    }

    #[test]
    fn images_are_taken_while_there_is_room() {
        let two = [reference(1, 90, 0.0), reference(2, 80, 40.0)];
        assert_eq!(RULES.choose(&[], &new(9, 1, 0.0)), ReferenceChange::Take);
        assert_eq!(RULES.choose(&two, &new(9, 1, 80.0)), ReferenceChange::Take);
    }

    #[test]
    fn the_same_bytes_and_nearly_the_same_picture_are_redundant() {
        let one = [reference(1, 50, 0.0)];
        let same = NewReference { quality: 99, ..new(1, 50, 60.0) };
        let set_aside = ReferenceChange::SetAside;
        assert_eq!(RULES.choose(&one, &same), set_aside(SetAsideReason::SameBytes));
        let near = |quality| RULES.choose(&one, &new(2, quality, 5.0));
        assert_eq!(near(54), set_aside(SetAsideReason::NearlyIdentical));
        assert_eq!(near(55), ReferenceChange::Replace(ImageId(1)), "better by the margin");
        let two = [reference(1, 50, 0.0), reference(3, 50, 6.0)];
        let between = RULES.choose(&two, &new(2, 90, 3.0));
        assert_eq!(between, set_aside(SetAsideReason::NearlyIdentical), "like both");
    }

    #[test]
    fn a_new_image_replaces_the_worst_or_most_redundant_by_a_margin() {
        // All equally different: the worst goes.
        let spread = [reference(1, 60, 0.0), reference(2, 40, 90.0), reference(3, 70, 180.0)];
        let change = |quality| RULES.choose(&spread, &new(9, quality, 270.0));
        assert_eq!(change(44), ReferenceChange::SetAside(SetAsideReason::NotBetter));
        assert_eq!(change(46), ReferenceChange::Replace(ImageId(2)));
        // 1 and 2 are alike: one of them goes, although 3 is worse.
        let alike = [reference(1, 62, 0.0), reference(2, 60, 20.0), reference(3, 58, 180.0)];
        assert_eq!(
            RULES.choose(&alike, &new(9, 60, 90.0)),
            ReferenceChange::Replace(ImageId(2)),
            "of the two that are alike, the worse one"
        );
    }

    #[test]
    fn references_of_another_profile_do_not_count() {
        let foreign =
            |id| SubjectReference { template: None, quality: None, ..reference(id, 0, 0.0) };
        let full = [foreign(1), foreign(2), foreign(3)];
        assert_eq!(RULES.choose(&full, &new(9, 10, 0.0)), ReferenceChange::Take);
        assert_eq!(RULES.choose(&full, &new(1, 10, 0.0)), ReferenceChange::Take, "the same bytes");
        let chosen = RULES.choose_anew(vec![foreign(1), reference(1, 50, 0.0)]);
        assert!(chosen.iter().all(|(_, state)| *state == ReferenceState::Active), "{chosen:?}");
    }

    #[test]
    fn choosing_anew_keeps_the_best_and_says_why_not_the_others() {
        let same_bytes = SubjectReference {
            hash: Some(ContentHash::of(&1_i64.to_le_bytes())),
            ..reference(6, 30, 0.0)
        };
        let all = vec![
            reference(5, 20, 300.0),
            reference(1, 90, 0.0),
            reference(2, 80, 90.0),
            reference(3, 70, 180.0),
            reference(4, 60, 2.0),
            same_bytes,
        ];
        let mut chosen = RULES.choose_anew(all);
        chosen.sort_by_key(|(image, _)| *image);
        let states: Vec<_> = chosen.into_iter().map(|(_, state)| state).collect();
        let aside = ReferenceState::SetAside;
        assert_eq!(
            states,
            [
                ReferenceState::Active,
                ReferenceState::Active,
                ReferenceState::Active,
                aside(SetAsideReason::NearlyIdentical),
                aside(SetAsideReason::NotBetter),
                aside(SetAsideReason::SameBytes),
            ]
        );
    }

    #[test]
    fn reasons_are_read_as_they_are_written() {
        for reason in SetAsideReason::ALL {
            assert_eq!(reason.as_str().parse(), Ok(reason));
        }
        assert!("lost".parse::<SetAsideReason>().is_err());
    }
}
