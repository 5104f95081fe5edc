//! Walking folders: every file is listed once, by its canonical path, or given with the reason why
//! it is not.
//!
//! The walk itself follows no link, so it cannot run in circles. A link to something that the walk
//! reaches anyway adds nothing. A link to something below the roots that a rule leaves out names it
//! explicitly: it is listed, and remembered, so that it is listed once. That is all that is
//! remembered: a gallery of millions needs no memory. What `--exclude` matches is not listed by a
//! link either: people exclude what is private.

use std::collections::HashSet;
use std::fs::{File, Metadata};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::UNIX_EPOCH;

use rustix::io::Errno;
use walkdir::{DirEntry, WalkDir};

use super::listed::{Listed, ListingError, Other, Why, ending_of};
use super::rules::{FolderRules, IGNORE_FILE, Rules};
use crate::domain::{ImageKind, ImageUri, SourceStamp};

/// The local roots of one listing, and what links brought to it. The roots are walked one after the
/// other.
pub(super) struct Folders {
    /// Canonical. What lies below two of them is the inner one's.
    roots: HashSet<PathBuf>,
    rules: Rules,
    /// What the rules other than `--exclude` leave out and a link leads to: canonical.
    linked: Mutex<HashSet<PathBuf>>,
}

/// Nobody reads the listing any more.
pub(super) struct Gone;

impl Folders {
    pub(super) fn new(roots: impl IntoIterator<Item = PathBuf>, rules: Rules) -> Self {
        Self { roots: roots.into_iter().collect(), rules, linked: Mutex::default() }
    }

    /// Gives `send` everything below one of the roots, until it says that it is `Gone`.
    pub(super) fn walk(
        &self,
        root: &Path,
        send: &mut dyn FnMut(Listed) -> Result<(), Gone>,
    ) -> Result<(), Gone> {
        if !root.is_dir() {
            return send(named(root));
        }
        let mut walk = Walk { folders: self, send, pending: vec![root.to_owned()] };
        while let Some(folder) = walk.pending.pop() {
            walk.below(&folder)?;
        }
        Ok(())
    }

    /// The root that `path` is listed below.
    fn root_of<'a>(&self, path: &'a Path) -> Option<&'a Path> {
        path.ancestors().find(|above| self.roots.contains(*above))
    }

    fn linked(&self) -> MutexGuard<'_, HashSet<PathBuf>> {
        self.linked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a walk of `root` comes to `target` by itself, or an earlier link led to it.
    fn reaches(&self, root: &Path, target: &Path) -> bool {
        let linked = self.linked();
        // What cannot be read is told by the walk.
        let mut rules: Vec<FolderRules> = root
            .ancestors()
            .filter_map(|folder| self.rules.of_folder(folder).ok().flatten())
            .collect();
        rules.reverse();
        let (mut path, mut reached) = (root.to_owned(), true);
        for name in target.strip_prefix(root).into_iter().flatten() {
            path.push(name);
            let is_dir = path != target || target.is_dir();
            let below = path.strip_prefix(root).unwrap_or(&path);
            reached = linked.contains(&path)
                || (reached && self.rules.leaving_out(below, &path, is_dir, &rules).is_none());
            if is_dir {
                rules.extend(self.rules.of_folder(&path).ok().flatten());
            }
        }
        reached
    }
}

struct Walk<'a> {
    folders: &'a Folders,
    send: &'a mut dyn FnMut(Listed) -> Result<(), Gone>,
    /// Folders to walk: the root, and those that links lead to.
    pending: Vec<PathBuf>,
}

impl Walk<'_> {
    fn below(&mut self, folder: &Path) -> Result<(), Gone> {
        let Folders { roots, rules, .. } = self.folders;
        let root = self.folders.root_of(folder).unwrap_or(folder);
        let mut own = Vec::new();
        for above in folder.ancestors().skip(1).collect::<Vec<_>>().into_iter().rev() {
            self.enter(above, &mut own)?;
        }
        let mut entries = WalkDir::new(folder).into_iter();
        while let Some(entry) = entries.next() {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    let what = error.path().unwrap_or(folder).display().to_string();
                    let reason =
                        error.io_error().map_or_else(|| error.to_string(), ToString::to_string);
                    (self.send)(Listed::Unlisted(ListingError { what, reason }))?;
                    continue;
                }
            };
            let (path, kind) = (entry.path(), entry.file_type());
            while own.last().is_some_and(|rules: &FolderRules| !path.starts_with(&rules.folder)) {
                own.pop();
            }
            if entry.depth() == 0 {
                self.enter(path, &mut own)?;
                continue;
            }
            let is_dir = kind.is_dir() || (kind.is_symlink() && path.is_dir());
            let listed_elsewhere = roots.contains(path) || self.folders.linked().contains(path);
            let rule =
                rules.leaving_out(path.strip_prefix(root).unwrap_or(path), path, is_dir, &own);
            match rule {
                _ if listed_elsewhere && kind.is_dir() => entries.skip_current_dir(),
                _ if listed_elsewhere => {}
                Some(rule) => {
                    if kind.is_dir() {
                        entries.skip_current_dir();
                    }
                    (self.send)(other(path, Why::Rule { rule, folder: kind.is_dir() }))?;
                }
                None if kind.is_dir() => self.enter(path, &mut own)?,
                None if kind.is_symlink() => self.link(path)?,
                None => self.file(&entry)?,
            }
        }
        Ok(())
    }

    /// Adds the rules that `folder` holds to those of the folders that it is in.
    fn enter(&mut self, folder: &Path, own: &mut Vec<FolderRules>) -> Result<(), Gone> {
        match self.folders.rules.of_folder(folder) {
            Ok(rules) => {
                let broken = rules.iter().flat_map(|rules| rules.broken.iter().cloned());
                broken.map(Listed::Unlisted).try_for_each(&mut *self.send)?;
                own.extend(rules);
            }
            Err(error) => (self.send)(Listed::Unlisted(error))?,
        }
        Ok(())
    }

    fn file(&mut self, entry: &DirEntry) -> Result<(), Gone> {
        let path = entry.path();
        match entry.metadata() {
            // Read already.
            Ok(metadata) if metadata.is_file() && entry.file_name() == IGNORE_FILE => Ok(()),
            Ok(metadata) => (self.send)(file(path, &metadata)),
            Err(error) => (self.send)(unlisted(path, error.to_string())),
        }
    }

    fn link(&mut self, path: &Path) -> Result<(), Gone> {
        let target = match path.canonicalize() {
            Ok(target) => target,
            Err(error) if leads_nowhere(&error) => {
                return (self.send)(other(path, Why::LinkBroken));
            }
            Err(error) => {
                return (self.send)(unlisted(
                    path,
                    format!("the link cannot be followed: {error}"),
                ));
            }
        };
        let Some(root) = self.folders.root_of(&target) else {
            return (self.send)(other(path, Why::LinkOutside(target)));
        };
        let below = target.strip_prefix(root).unwrap_or(&target);
        if let Some(rule) = self.folders.rules.excluding_target(below, target.is_dir()) {
            return (self.send)(other(path, Why::Rule { rule, folder: false }));
        }
        (self.send)(other(path, Why::LinkInside))?;
        if self.folders.reaches(root, &target) {
            return Ok(());
        }
        self.folders.linked().insert(target.clone());
        match target.metadata() {
            Ok(metadata) if metadata.is_dir() => self.pending.push(target),
            Ok(metadata) => (self.send)(file(&target, &metadata))?,
            Err(error) => (self.send)(unlisted(&target, error.to_string()))?,
        }
        Ok(())
    }
}

fn other(path: &Path, why: Why) -> Listed {
    Listed::Other(Other::file(path, why))
}

fn unlisted(path: &Path, reason: String) -> Listed {
    Listed::Unlisted(ListingError { what: path.display().to_string(), reason })
}

fn leads_nowhere(error: &std::io::Error) -> bool {
    let circle = error.raw_os_error() == Some(Errno::LOOP.raw_os_error());
    circle || matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

/// A file that was named itself: it is meant, whatever it is.
fn named(path: &Path) -> Listed {
    match path.metadata() {
        Ok(metadata) if metadata.is_file() => image(path, &metadata),
        Ok(_) => unlisted(path, "it is neither a folder nor a regular file".into()),
        Err(error) => unlisted(path, error.to_string()),
    }
}

/// A file is an image by its ending, or, if that is no image's, by its first bytes.
fn file(path: &Path, metadata: &Metadata) -> Listed {
    // Opening a pipe would wait for whoever writes into it.
    if !metadata.is_file() {
        return other(path, Why::NoFile);
    }
    if has_image_ending(path) {
        return image(path, metadata);
    }
    match first_bytes(path) {
        Ok(bytes) if is_image(path, &bytes) => image(path, metadata),
        Ok(_) => other(path, Why::NoImage(ending_of(path))),
        Err(error) => unlisted(
            path,
            format!(
                "its ending does not tell whether it is an image, and it cannot be read: {error}"
            ),
        ),
    }
}

fn image(path: &Path, metadata: &Metadata) -> Listed {
    let modified = metadata
        .modified()
        .ok()
        .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
        .unwrap_or_default();
    let stamp = SourceStamp::of(metadata.len(), modified.as_nanos());
    match ImageUri::from_path(path) {
        Ok(uri) => Listed::Image { uri, stamp, place: None },
        Err(error) => unlisted(path, error.to_string()),
    }
}

pub(super) fn has_image_ending(path: &Path) -> bool {
    path.extension()
        .and_then(|ending| ending.to_str())
        .is_some_and(|ending| ImageKind::from_ending(ending).is_some())
}

/// Whether something whose ending is no image's begins as an image does.
pub(super) fn is_image(path: &Path, bytes: &[u8]) -> bool {
    match ImageKind::sniff(bytes) {
        // Texts may begin as these do.
        Some(ImageKind::Pnm) => path.extension().is_none(),
        found => found.is_some(),
    }
}

fn first_bytes(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::with_capacity(ImageKind::SNIFF_BYTES);
    File::open(path)?.take(ImageKind::SNIFF_BYTES as u64).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
#[path = "walk/tests.rs"]
mod tests;
