//! Rules that leave files and folders out of a listing: those that file servers and desktops create
//! next to photos, `--exclude` globs, and `.facefleetignore` files. The rules work on paths alone,
//! so the same rules apply to folders and to keys of buckets.
//!
//! Precedence: `--exclude` overrides everything; neither a `.facefleetignore` nor a link brings
//! back what it matches. A `.facefleetignore` may bring back (`!@eaDir/`) files of file servers and
//! desktops. `--include` selects among the remaining files and brings nothing back. A link brings
//! back what `.facefleetignore`, the names of files of file servers and desktops, and `--include`
//! leave out.

use std::fs::{File, symlink_metadata};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};

use super::ListingError;

/// Name of the files with rules for their folder and all folders below, in the syntax of
/// `.gitignore`.
pub(super) const IGNORE_FILE: &str = ".facefleetignore";

/// Largest `.facefleetignore` that is read, bytes. Hand-written files are smaller.
const IGNORE_FILE_BYTES: u64 = 1 << 20;

/// Names that file servers, desktops and synchronisation programs create next to photos:
/// thumbnails, trash cans, snapshots, metadata. Globs for names of files and folders,
/// case-insensitive.
const RUBBISH: &[&str] = &[
    // Synology, QNAP, Asustor.
    "@eaDir",
    "@tmp",
    "@Recycle",
    "@Recently-Snapshot",
    "@sharesnap",
    ".@__thumb",
    "#recycle",
    "#snapshot",
    // Samba, NFS, snapshots of file systems.
    ".recycle",
    ".deleted",
    ".nfs*",
    ".smbdelete*",
    ".fuse_hidden*",
    ".snapshot",
    ".snapshots",
    "@snapshots",
    ".wdmc",
    ".zfs",
    "lost+found",
    // Linux desktops.
    ".thumbnails",
    ".thumbs",
    ".thumb",
    ".xvpics",
    ".Trash*",
    ".dtrash",
    // macOS.
    "._*",
    ".DS_Store",
    ".AppleDouble",
    ".AppleDB",
    ".AppleDesktop",
    ".TemporaryItems",
    ".Spotlight-V100",
    ".fseventsd",
    ".DocumentRevisions-V100",
    "Network Trash Folder",
    "Temporary Items",
    "__MACOSX",
    // Lightroom.
    "*.lrdata",
    // Windows.
    "Thumbs.db",
    "ehthumbs.db",
    "ehthumbs_vista.db",
    "desktop.ini",
    "$RECYCLE.BIN",
    "RECYCLER",
    "System Volume Information",
    // Syncthing, Resilio.
    ".stfolder",
    ".stversions",
    ".sync",
    ".syncthing.*.tmp",
    "~syncthing~*.tmp",
];

/// An invalid glob, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{option} '{glob}': {reason}")]
pub struct InvalidGlob {
    option: &'static str,
    glob: String,
    reason: String,
}

impl InvalidGlob {
    /// Why the glob is invalid.
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

/// The rules of a listing. A root itself is never left out.
#[derive(Debug, Clone)]
pub struct Rules {
    exclude: Gitignore,
    include: Gitignore,
    rubbish: Gitignore,
    ignore_files: bool,
}

impl Rules {
    /// Leaves out files of file servers and desktops, entries that a `.facefleetignore` names and
    /// entries that a glob of `exclude` matches. If `include` has globs, also leaves out every file
    /// that none of them matches, by its own path or by a folder that contains it. Globs are those
    /// of `.gitignore`, relative to the root that is listed, case-insensitive.
    ///
    /// # Errors
    /// If a glob is invalid.
    pub fn new(exclude: &[String], include: &[String]) -> Result<Self, InvalidGlob> {
        let rubbish = RUBBISH.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        Ok(Self {
            exclude: globs("--exclude", exclude)?,
            include: globs("--include", include)?,
            rubbish: globs("rubbish", &rubbish)?,
            ignore_files: true,
        })
    }

    /// Leaves nothing out.
    pub fn none() -> Self {
        Self {
            exclude: Gitignore::empty(),
            include: Gitignore::empty(),
            rubbish: Gitignore::empty(),
            ignore_files: false,
        }
    }

    /// The rule that leaves out an entry whose folder is not left out. `below` is the path relative
    /// to the root, `path` the full path.
    pub(super) fn left_out_by(
        &self,
        below: &Path,
        path: &Path,
        is_dir: bool,
        folders: &[FolderRules],
    ) -> Option<String> {
        if let Some(rule) = self.excluded_by(below, is_dir) {
            return Some(rule);
        }
        // The rules of inner folders override those of outer folders.
        let of_folder = folders
            .iter()
            .rev()
            .map(|folder| folder.rules.matched(path, is_dir))
            .find(|found| !found.is_none());
        match of_folder {
            Some(Match::Ignore(_)) => return Some(IGNORE_FILE.to_owned()),
            Some(Match::Whitelist(_)) => {}
            _ => {
                if let Match::Ignore(glob) =
                    self.rubbish.matched(Path::new(below.file_name()?), is_dir)
                {
                    return Some(written(glob).to_owned());
                }
            }
        }
        // `--include` is for files: a folder that does not match may contain files that do.
        let wanted = || self.include.matched_path_or_any_parents(below, false).is_ignore();
        (!is_dir && !self.include.is_empty() && !wanted()).then(|| "--include".to_owned())
    }

    /// The rule that leaves out a file, by its own path or by a folder between it and the root.
    pub(super) fn key_left_out_by(&self, below: &Path) -> Option<String> {
        let by_folder = folders_of(below)
            .into_iter()
            .find_map(|folder| self.left_out_by(folder, folder, true, &[]));
        by_folder.or_else(|| self.left_out_by(below, below, false, &[]))
    }

    /// The `--exclude` that leaves out the target of a link, by its own path or by a folder between
    /// it and the root.
    pub(super) fn target_excluded_by(&self, below: &Path, is_dir: bool) -> Option<String> {
        let by_folder =
            folders_of(below).into_iter().find_map(|folder| self.excluded_by(folder, true));
        // The root itself is never left out.
        let is_root = below.as_os_str().is_empty();
        by_folder.or_else(|| if is_root { None } else { self.excluded_by(below, is_dir) })
    }

    /// The `--exclude` that matches a path.
    fn excluded_by(&self, below: &Path, is_dir: bool) -> Option<String> {
        match self.exclude.matched(below, is_dir) {
            Match::Ignore(glob) => Some(format!("--exclude {}", written(glob))),
            _ => None,
        }
    }

    /// The rules in the `.facefleetignore` of `folder`, if it has one.
    pub(super) fn of_folder(&self, folder: &Path) -> Result<Option<FolderRules>, ListingError> {
        if self.ignore_files { FolderRules::read(folder) } else { Ok(None) }
    }
}

/// The rules of a `.facefleetignore`.
#[derive(Debug, Clone)]
pub(super) struct FolderRules {
    pub(super) folder: PathBuf,
    rules: Gitignore,
    /// Lines that are not valid rules. The other lines apply.
    pub(super) broken: Vec<ListingError>,
}

impl FolderRules {
    fn read(folder: &Path) -> Result<Option<Self>, ListingError> {
        let path = folder.join(IGNORE_FILE);
        let failed = |reason: String| ListingError { what: path.display().to_string(), reason };
        match symlink_metadata(&path) {
            // A link could lead to any file, and an error would show a line of that file.
            Ok(found) if !found.is_file() => {
                return Err(failed("it is not a regular file, so its rules are not read".into()));
            }
            Ok(found) if found.len() > IGNORE_FILE_BYTES => {
                return Err(failed(format!(
                    "it is larger than {IGNORE_FILE_BYTES} bytes, so its rules are not read"
                )));
            }
            Ok(_) => {}
            // If the folder itself cannot be read, the walk reports it.
            Err(_) => return Ok(None),
        }
        let mut globs = GitignoreBuilder::new(folder);
        // An unclosed class would match its characters literally, which is never intended.
        globs
            .case_insensitive(true)
            .map_err(|error| failed(error.to_string()))?
            .allow_unclosed_class(false);
        let file = File::open(&path).map_err(|error| failed(error.to_string()))?;
        let mut broken = Vec::new();
        for (number, line) in BufReader::new(file).lines().enumerate() {
            let line = line.map_err(|error| failed(error.to_string()))?;
            if let Err(error) = globs.add_line(None, line.trim_start_matches('\u{feff}')) {
                broken.push(failed(format!(
                    "line {} is not a valid rule and is ignored: {error}",
                    number + 1
                )));
            }
        }
        let rules = globs.build().map_err(|error| failed(error.to_string()))?;
        Ok(Some(Self { folder: folder.to_owned(), rules, broken }))
    }
}

/// The folders between the root and a path, outermost first.
fn folders_of(below: &Path) -> Vec<&Path> {
    let mut folders: Vec<&Path> =
        below.ancestors().skip(1).filter(|folder| !folder.as_os_str().is_empty()).collect();
    folders.reverse();
    folders
}

/// Compiles globs literally: a leading `#` or `!` is neither a comment nor a negation.
fn globs(option: &'static str, globs: &[String]) -> Result<Gitignore, InvalidGlob> {
    let mut builder = GitignoreBuilder::new("");
    let invalid =
        |glob: &str, reason: String| InvalidGlob { option, glob: glob.to_owned(), reason };
    builder
        .case_insensitive(true)
        .map_err(|error| invalid("", error.to_string()))?
        .allow_unclosed_class(false);
    for glob in globs {
        if glob.trim_matches(['/', ' ']).is_empty() {
            return Err(invalid(glob, "the glob matches nothing".into()));
        }
        let line = if glob.starts_with(['#', '!']) { format!("\\{glob}") } else { glob.clone() };
        builder.add_line(None, &line).map_err(|error| invalid(glob, error.to_string()))?;
    }
    builder.build().map_err(|error| invalid("", error.to_string()))
}

/// The text of a glob as it was given to [`globs`].
fn written(glob: &ignore::gitignore::Glob) -> &str {
    let glob = glob.original();
    if glob.starts_with("\\#") || glob.starts_with("\\!") { &glob[1..] } else { glob }
}

#[cfg(test)]
mod tests;
