//! Counts what a scan does not list as an image, so that the summary accounts for every file.

use crate::images::{NotListed, NotListedReason};
use crate::view::not_listed::NotListedCounts;

/// More endings than this are counted together: some programs give every file its own ending.
const MOST_ENDINGS: usize = 200;
/// The name under which they are counted.
const OTHER_ENDINGS: &str = "other endings";
/// The name under which everything is counted that is neither a file nor a folder.
const NOT_A_FILE: &str = "pipes, sockets or devices";

/// More roots without anything below them are not named.
const MOST_EMPTY_ROOTS: usize = 5;

/// What is not listed as an image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NotListedCounter {
    /// How many of each kind.
    pub counts: NotListedCounts,
    /// The first link that leads outside the roots, and its target.
    pub link_outside: Option<(String, String)>,
    /// The first roots below which there is nothing.
    pub empty_roots: Vec<String>,
}

impl NotListedCounter {
    /// Counts `other`.
    pub fn count(&mut self, other: &NotListed) {
        match &other.reason {
            NotListedReason::NotAnImage(ending) => {
                let endings = &self.counts.left_alone;
                let known = endings.contains_key(ending) || endings.len() < MOST_ENDINGS;
                self.count_left_alone(if known { ending } else { OTHER_ENDINGS });
            }
            NotListedReason::SpecialFile => self.count_left_alone(NOT_A_FILE),
            NotListedReason::Rule { rule, folder } => self.count_left_out(rule, *folder),
            NotListedReason::LinkInside => self.counts.links.inside += 1,
            NotListedReason::LinkOutside(target) => {
                self.counts.links.outside += 1;
                self.link_outside
                    .get_or_insert_with(|| (other.name.clone(), target.display().to_string()));
            }
            NotListedReason::LinkBroken => self.counts.links.broken += 1,
            NotListedReason::Repeated => self.counts.repeated += 1,
            NotListedReason::EmptyRoot => {
                self.counts.empty_roots += 1;
                if self.empty_roots.len() < MOST_EMPTY_ROOTS {
                    self.empty_roots.push(other.name.clone());
                }
            }
        }
    }

    fn count_left_alone(&mut self, ending: &str) {
        *self.counts.left_alone.entry(ending.to_owned()).or_default() += 1;
    }

    fn count_left_out(&mut self, rule: &str, folder: bool) {
        let left_out = &mut self.counts.left_out;
        let by_rule = left_out.rules.entry(rule.to_owned()).or_default();
        if folder {
            left_out.folders += 1;
            by_rule.folders += 1;
        } else {
            left_out.files += 1;
            by_rule.files += 1;
        }
    }

    /// Files that are not images.
    pub fn left_alone(&self) -> u64 {
        self.counts.left_alone.values().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::not_listed::{LinkCounts, RuleCount};

    fn other(why: NotListedReason) -> NotListed {
        NotListed { name: "/photos/a".into(), uri: None, reason: why }
    }

    #[test]
    fn everything_is_counted_by_its_reason() {
        let mut found = NotListedCounter::default();
        let rule = |rule: &str, folder| NotListedReason::Rule { rule: rule.into(), folder };
        let no_image = |ending: &str| NotListedReason::NotAnImage(ending.into());
        for why in [
            no_image(".txt"),
            no_image(".txt"),
            no_image("without ending"),
            NotListedReason::SpecialFile,
            rule("@eaDir", true),
            rule("._*", false),
            rule("._*", false),
            NotListedReason::LinkInside,
            NotListedReason::LinkOutside("/far".into()),
            NotListedReason::LinkOutside("/farther".into()),
            NotListedReason::LinkBroken,
        ] {
            found.count(&other(why));
        }
        assert_eq!((found.left_alone(), found.counts.left_alone[".txt"]), (4, 2));
        let left_out = &found.counts.left_out;
        assert_eq!((left_out.files, left_out.folders), (2, 1));
        assert_eq!(left_out.rules["._*"], RuleCount { files: 2, folders: 0 });
        assert_eq!(found.counts.links, LinkCounts { inside: 1, outside: 2, broken: 1 });
        assert_eq!(found.link_outside, Some(("/photos/a".into(), "/far".into())));
    }

    #[test]
    fn endings_without_number_take_no_memory_without_end() {
        let mut found = NotListedCounter::default();
        for number in 0..10_000 {
            found.count(&other(NotListedReason::NotAnImage(format!(".{number}"))));
        }
        let endings = &found.counts.left_alone;
        assert_eq!((found.left_alone(), endings.len()), (10_000, MOST_ENDINGS + 1));
        assert_eq!(endings[OTHER_ENDINGS], 10_000 - MOST_ENDINGS as u64);
    }
}
