//! What a scan met and did not list as an image, counted: no file is passed over in silence.

use std::collections::BTreeMap;

use crate::images::{NotListed, NotListedReason};

/// More endings than this are counted together: some programs give every file one of its own.
const MOST_ENDINGS: usize = 200;
/// Under this name.
const OTHER_ENDINGS: &str = "other endings";
/// What is neither a file nor a folder is counted under this name.
const NO_FILE: &str = "pipes, sockets or devices";

/// Counts of what is not listed as an image.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Others {
    /// Files that are no images, by their endings.
    pub left_alone: BTreeMap<String, u64>,
    /// What rules leave out, by the rule.
    pub left_out: BTreeMap<String, LeftOut>,
    /// Links to something below the roots.
    pub links_inside: u64,
    /// Links to something outside the roots, which were not followed.
    pub links_outside: u64,
    /// The first of them, and where it leads.
    pub link_outside: Option<(String, String)>,
    /// Links that lead nowhere, or in a circle.
    pub links_broken: u64,
}

/// What a rule leaves out.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// Files.
    pub files: u64,
    /// Folders; nobody looked into them.
    pub folders: u64,
}

impl Others {
    /// Counts one more.
    pub fn count(&mut self, other: &NotListed) {
        match &other.reason {
            NotListedReason::NotAnImage(ending) => {
                let known =
                    self.left_alone.contains_key(ending) || self.left_alone.len() < MOST_ENDINGS;
                let ending = if known { ending } else { OTHER_ENDINGS };
                *self.left_alone.entry(ending.to_owned()).or_default() += 1;
            }
            NotListedReason::SpecialFile => {
                *self.left_alone.entry(NO_FILE.to_owned()).or_default() += 1
            }
            NotListedReason::Rule { rule, folder } => {
                let left_out = self.left_out.entry(rule.clone()).or_default();
                *(if *folder { &mut left_out.folders } else { &mut left_out.files }) += 1;
            }
            NotListedReason::LinkInside => self.links_inside += 1,
            NotListedReason::LinkOutside(target) => {
                self.links_outside += 1;
                self.link_outside
                    .get_or_insert_with(|| (other.name.clone(), target.display().to_string()));
            }
            NotListedReason::LinkBroken => self.links_broken += 1,
        }
    }

    /// Files that are no images.
    pub fn left_alone(&self) -> u64 {
        self.left_alone.values().sum()
    }

    /// What all rules leave out together.
    pub fn left_out(&self) -> LeftOut {
        self.left_out.values().fold(LeftOut::default(), |all, one| LeftOut {
            files: all.files + one.files,
            folders: all.folders + one.folders,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn other(why: NotListedReason) -> NotListed {
        NotListed { name: "/photos/a".into(), uri: None, reason: why }
    }

    #[test]
    fn everything_is_counted_by_its_reason() {
        let mut others = Others::default();
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
            others.count(&other(why));
        }
        assert_eq!((others.left_alone(), others.left_alone[".txt"]), (4, 2));
        assert_eq!(others.left_out(), LeftOut { files: 2, folders: 1 });
        assert_eq!((others.links_inside, others.links_outside, others.links_broken), (1, 2, 1));
        assert_eq!(others.link_outside, Some(("/photos/a".into(), "/far".into())));
    }

    #[test]
    fn endings_without_number_take_no_memory_without_end() {
        let mut others = Others::default();
        for number in 0..10_000 {
            others.count(&other(NotListedReason::NotAnImage(format!(".{number}"))));
        }
        assert_eq!((others.left_alone(), others.left_alone.len()), (10_000, MOST_ENDINGS + 1));
        assert_eq!(others.left_alone[OTHER_ENDINGS], 10_000 - MOST_ENDINGS as u64);
    }
}
