//! Walks folders. Every file is listed once, under its canonical path, or reported with the reason
//! why it is not listed.
//!
//! The walk itself follows no link, so it cannot run in circles. A link to a target that the walk
//! reaches anyway adds nothing. A link to a target below the roots that a rule leaves out names the
//! target explicitly: the target is listed, and remembered so that it is listed once. Only such
//! targets are remembered, so a gallery of millions needs no memory. A target that `--exclude`
//! matches stays left out, because people exclude what is private.

use std::collections::HashSet;
use std::fs::{File, Metadata};
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::UNIX_EPOCH;

use rustix::io::Errno;
use walkdir::{DirEntry, WalkDir};

use super::listing::{ListingEntry, ListingError, NotListed, NotListedReason, ending_of};
use super::rules::{FolderRules, IGNORE_FILE, Rules};
use crate::domain::{ImageKind, ImageUri, LabelledImage, SourceStamp};

/// The local roots of one listing, and the targets that links added. The roots are walked one after
/// the other.
pub(super) struct Folders {
    /// Canonical paths. An entry below two roots belongs to the inner one.
    roots: HashSet<PathBuf>,
    rules: Rules,
    /// Canonical paths of link targets that rules other than `--exclude` leave out.
    linked: Mutex<HashSet<PathBuf>>,
}

/// The reader of the listing was dropped.
pub(super) struct ReaderGone;

impl Folders {
    pub(super) fn new(roots: impl IntoIterator<Item = PathBuf>, rules: Rules) -> Self {
        Self { roots: roots.into_iter().collect(), rules, linked: Mutex::default() }
    }

    /// Passes every entry below one of the roots to `send`. Stops at its first error.
    pub(super) fn walk(
        &self,
        root: &Path,
        send: &mut dyn FnMut(ListingEntry) -> Result<(), ReaderGone>,
    ) -> Result<(), ReaderGone> {
        if !root.is_dir() {
            return send(named(root));
        }
        let mut walk = FolderWalk { folders: self, send, pending: vec![root.to_owned()] };
        while let Some(folder) = walk.pending.pop() {
            walk.below(&folder)?;
        }
        Ok(())
    }

    /// The innermost root that contains `path`.
    fn root_of<'a>(&self, path: &'a Path) -> Option<&'a Path> {
        path.ancestors().find(|above| self.roots.contains(*above))
    }

    fn linked(&self) -> MutexGuard<'_, HashSet<PathBuf>> {
        self.linked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a walk of `root` reaches `target` without this link, or an earlier link led to it.
    fn reaches(&self, root: &Path, target: &Path) -> bool {
        let linked = self.linked();
        // The walk reports rules that cannot be read.
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
                || (reached && self.rules.left_out_by(below, &path, is_dir, &rules).is_none());
            if is_dir {
                rules.extend(self.rules.of_folder(&path).ok().flatten());
            }
        }
        reached
    }
}

struct FolderWalk<'a> {
    folders: &'a Folders,
    send: &'a mut dyn FnMut(ListingEntry) -> Result<(), ReaderGone>,
    /// Folders still to walk: the root, and targets of links.
    pending: Vec<PathBuf>,
}

impl FolderWalk<'_> {
    fn below(&mut self, folder: &Path) -> Result<(), ReaderGone> {
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
                    (self.send)(ListingEntry::Failed(ListingError { what, reason }))?;
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
                rules.left_out_by(path.strip_prefix(root).unwrap_or(path), path, is_dir, &own);
            match rule {
                _ if listed_elsewhere && kind.is_dir() => entries.skip_current_dir(),
                _ if listed_elsewhere => {}
                Some(rule) => {
                    if kind.is_dir() {
                        entries.skip_current_dir();
                    }
                    (self.send)(not_listed(
                        path,
                        NotListedReason::Rule { rule, folder: kind.is_dir() },
                    ))?;
                }
                None if kind.is_dir() => self.enter(path, &mut own)?,
                None if kind.is_symlink() => self.link(path)?,
                None => self.file(&entry)?,
            }
        }
        Ok(())
    }

    /// Appends the rules of `folder` to those of the outer folders.
    fn enter(&mut self, folder: &Path, own: &mut Vec<FolderRules>) -> Result<(), ReaderGone> {
        match self.folders.rules.of_folder(folder) {
            Ok(rules) => {
                let broken = rules.iter().flat_map(|rules| rules.broken.iter().cloned());
                broken.map(ListingEntry::Failed).try_for_each(&mut *self.send)?;
                own.extend(rules);
            }
            Err(error) => (self.send)(ListingEntry::Failed(error))?,
        }
        Ok(())
    }

    fn file(&mut self, entry: &DirEntry) -> Result<(), ReaderGone> {
        let path = entry.path();
        match entry.metadata() {
            // The rules were read when the walk entered the folder.
            Ok(metadata) if metadata.is_file() && entry.file_name() == IGNORE_FILE => Ok(()),
            Ok(metadata) => (self.send)(file(path, &metadata)),
            Err(error) => (self.send)(failed(path, error.to_string())),
        }
    }

    fn link(&mut self, path: &Path) -> Result<(), ReaderGone> {
        let target = match path.canonicalize() {
            Ok(target) => target,
            Err(error) if leads_nowhere(&error) => {
                return (self.send)(not_listed(path, NotListedReason::LinkBroken));
            }
            Err(error) => {
                return (self.send)(failed(path, format!("the link cannot be followed: {error}")));
            }
        };
        let Some(root) = self.folders.root_of(&target) else {
            return (self.send)(not_listed(path, NotListedReason::LinkOutside(target)));
        };
        let below = target.strip_prefix(root).unwrap_or(&target);
        if let Some(rule) = self.folders.rules.target_excluded_by(below, target.is_dir()) {
            return (self.send)(not_listed(path, NotListedReason::Rule { rule, folder: false }));
        }
        (self.send)(not_listed(path, NotListedReason::LinkInside))?;
        if self.folders.reaches(root, &target) {
            return Ok(());
        }
        self.folders.linked().insert(target.clone());
        match target.metadata() {
            Ok(metadata) if metadata.is_dir() => self.pending.push(target),
            Ok(metadata) => (self.send)(file(&target, &metadata))?,
            Err(error) => (self.send)(failed(&target, error.to_string()))?,
        }
        Ok(())
    }
}

fn not_listed(path: &Path, reason: NotListedReason) -> ListingEntry {
    ListingEntry::NotListed(NotListed::file(path, reason))
}

fn failed(path: &Path, reason: String) -> ListingEntry {
    ListingEntry::Failed(ListingError { what: path.display().to_string(), reason })
}

fn leads_nowhere(error: &std::io::Error) -> bool {
    let circle = error.raw_os_error() == Some(Errno::LOOP.raw_os_error());
    circle || matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

/// A root that is a file. It is listed as an image whatever its ending.
fn named(path: &Path) -> ListingEntry {
    match path.metadata() {
        Ok(metadata) if metadata.is_file() => image(path, &metadata),
        Ok(_) => failed(path, "the path is neither a folder nor a regular file".into()),
        Err(error) => failed(path, error.to_string()),
    }
}

/// A file is an image by its ending or, if the ending is not that of an image, by its first bytes.
fn file(path: &Path, metadata: &Metadata) -> ListingEntry {
    // Opening a pipe would block until it has a writer.
    if !metadata.is_file() {
        return not_listed(path, NotListedReason::SpecialFile);
    }
    if has_image_ending(path) {
        return image(path, metadata);
    }
    match first_bytes(path) {
        Ok(bytes) if is_image(path, &bytes) => image(path, metadata),
        Ok(_) => not_listed(path, NotListedReason::NotAnImage(ending_of(path))),
        Err(error) => failed(
            path,
            format!(
                "its ending is not that of an image and its first bytes cannot be read: {error}"
            ),
        ),
    }
}

fn image(path: &Path, metadata: &Metadata) -> ListingEntry {
    match ImageUri::from_path(path) {
        Ok(uri) => {
            let image = LabelledImage::new(uri, Some(stamp_of(metadata)));
            ListingEntry::Image { image, position: None }
        }
        Err(error) => failed(path, error.to_string()),
    }
}

/// The version of a file; `None` if there is no such file.
pub(super) fn stamp_of_path(path: &Path) -> Option<SourceStamp> {
    path.metadata().ok().filter(Metadata::is_file).map(|metadata| stamp_of(&metadata))
}

/// The version of a file.
pub(super) fn stamp_of(metadata: &Metadata) -> SourceStamp {
    let modified = metadata
        .modified()
        .ok()
        .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
        .unwrap_or_default();
    SourceStamp::of(metadata.len(), modified.as_nanos())
}

pub(super) fn has_image_ending(path: &Path) -> bool {
    path.extension()
        .and_then(|ending| ending.to_str())
        .is_some_and(|ending| ImageKind::from_ending(ending).is_some())
}

/// Whether a file without the ending of an image starts like an image.
pub(super) fn is_image(path: &Path, bytes: &[u8]) -> bool {
    match ImageKind::sniff(bytes) {
        // Text files may start with the same bytes.
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
mod tests;
