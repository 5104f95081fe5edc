//! Which roots of other processes cover a root of this one. A worker reports its roots by name; a
//! scan compares them with what it lists.

use std::path::{Path, PathBuf};

use super::Root;
use super::root::object_url;

impl Root {
    /// The name by which a process reports this root: of a folder, its absolute path.
    pub fn name(&self) -> String {
        match self {
            Self::Path(path) => absolute(path).to_string_lossy().into_owned(),
            other => other.to_string(),
        }
    }

    /// The path that a folder leads to, if its own goes through a link: scans list images by that.
    pub fn resolved(&self) -> Option<String> {
        let path = self.path()?;
        let real = path.canonicalize().ok().filter(|real| *real != absolute(path))?;
        Some(real.to_string_lossy().into_owned())
    }

    /// Whether everything below `other` is below this root. Paths are compared as they are written.
    pub fn contains(&self, other: &Self) -> bool {
        match other {
            Self::Path(path) => self.path().is_some_and(|own| path.starts_with(own)),
            Self::Bucket(bucket, key) => {
                object_url(bucket, key).is_some_and(|url| self.covers(&url))
            }
            Self::Web(_) => other.to_string().parse().is_ok_and(|url| self.covers(&url)),
            Self::Inline => matches!(self, Self::Inline),
        }
    }
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_contains_itself_and_what_is_below_it() {
        let contains = |root: &str, other: &str| {
            root.parse::<Root>().unwrap().contains(&other.parse().unwrap())
        };
        for (root, other) in [
            ("/photos", "/photos"),
            ("/photos", "/photos/staff"),
            ("s3://faces", "s3://faces"),
            ("s3://faces", "s3://faces/a b"),
            ("s3://faces/a b", "s3://faces/a b/c"),
            ("https://host/img", "https://host/img/faces"),
            ("data:", "data:"),
        ] {
            assert!(contains(root, other), "{root} contains {other}");
        }
        for (root, other) in [
            ("/photos/staff", "/photos"),
            ("/photos", "/photos2"),
            ("s3://faces/a", "s3://faces"),
            ("s3://faces/a", "s3://faces/ab"),
            ("s3://faces", "gs://faces"),
            ("https://host/img", "https://host"),
            ("data:", "/photos"),
            ("/photos", "data:"),
        ] {
            assert!(!contains(root, other), "{root} contains {other}");
        }
    }

    #[test]
    fn a_folder_that_is_a_link_has_both_names() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().canonicalize().unwrap();
        std::fs::create_dir(folder.join("real")).unwrap();
        std::os::unix::fs::symlink("real", folder.join("link")).unwrap();
        let names = |name: &str| {
            let root = Root::Path(folder.join(name));
            (root.name(), root.resolved())
        };
        let shown = |name: &str| folder.join(name).display().to_string();
        assert_eq!(names("real"), (shown("real"), None));
        assert_eq!(names("link"), (shown("link"), Some(shown("real"))));
        assert_eq!((Root::Inline.name(), Root::Inline.resolved()), ("data:".into(), None));
    }
}
