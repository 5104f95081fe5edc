//! Which files and folders are left out of a listing: what file servers and desktops put beside
//! photos, what the command line excludes, and what `.facefleetignore` files name. Knows paths
//! only: the same rules are for folders and for keys of buckets.
//!
//! `--exclude` stands above everything: neither a `.facefleetignore` nor a link brings back what it
//! matches. A `.facefleetignore` may bring back (`!@eaDir/`) what would be left out as rubbish.
//! `--include` says what is wanted of the rest: it brings nothing back. A link brings back what
//! these leave out.

use std::fs::{File, symlink_metadata};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};

use super::ListingError;

/// A file of this name holds rules for its folder and all below, in the syntax of `.gitignore`.
pub(super) const IGNORE_FILE: &str = ".facefleetignore";

/// No `.facefleetignore` that people write is larger.
const IGNORE_FILE_BYTES: u64 = 1 << 20;

/// What file servers, desktops and synchronisation put beside photos: thumbnails, trash cans,
/// snapshots, marks of their own. Globs of names, of files and folders alike, in any case.
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

/// A glob that cannot be used, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{option} '{glob}': {reason}")]
pub struct InvalidGlob {
    option: &'static str,
    glob: String,
    reason: String,
}

impl InvalidGlob {
    /// Why it cannot be used.
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

/// What is left out of a listing. What is named as a root is never left out.
#[derive(Debug, Clone)]
pub struct Rules {
    exclude: Gitignore,
    include: Gitignore,
    rubbish: Gitignore,
    ignore_files: bool,
}

impl Rules {
    /// Leaves out rubbish, what a `.facefleetignore` names, what one of the globs `exclude`
    /// matches, and, if there are any, every file that none of the globs `include` matches, itself
    /// or by a folder that it is in. Globs are as in a `.gitignore`, relative to the root that is
    /// listed, in any case.
    ///
    /// # Errors
    /// If a glob is none.
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

    /// The rule that leaves something out whose folder is not; `below` is its path below the root,
    /// `path` the whole of it.
    pub(super) fn leaving_out(
        &self,
        below: &Path,
        path: &Path,
        is_dir: bool,
        folders: &[FolderRules],
    ) -> Option<String> {
        if let Some(rule) = self.excluding(below, is_dir) {
            return Some(rule);
        }
        // Rules of the innermost folder stand above those of the folders that it is in.
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
        // What lies in a folder may be wanted though the folder's own name is not.
        let wanted = || self.include.matched_path_or_any_parents(below, false).is_ignore();
        (!is_dir && !self.include.is_empty() && !wanted()).then(|| "--include".to_owned())
    }

    /// The rule that leaves a file out, itself or by a folder below the root that it is in.
    pub(super) fn leaving_out_key(&self, below: &Path) -> Option<String> {
        let by_folder = folders_of(below)
            .into_iter()
            .find_map(|folder| self.leaving_out(folder, folder, true, &[]));
        by_folder.or_else(|| self.leaving_out(below, below, false, &[]))
    }

    /// The `--exclude` that leaves out what a link leads to, itself or by a folder below the root
    /// that it is in.
    pub(super) fn excluding_target(&self, below: &Path, is_dir: bool) -> Option<String> {
        let by_folder =
            folders_of(below).into_iter().find_map(|folder| self.excluding(folder, true));
        // The root itself is never left out.
        let is_root = below.as_os_str().is_empty();
        by_folder.or_else(|| if is_root { None } else { self.excluding(below, is_dir) })
    }

    /// The `--exclude` that matches.
    fn excluding(&self, below: &Path, is_dir: bool) -> Option<String> {
        match self.exclude.matched(below, is_dir) {
            Match::Ignore(glob) => Some(format!("--exclude {}", written(glob))),
            _ => None,
        }
    }

    /// The rules that `folder` holds for itself, if it holds any.
    pub(super) fn of_folder(&self, folder: &Path) -> Result<Option<FolderRules>, ListingError> {
        if self.ignore_files { FolderRules::read(folder) } else { Ok(None) }
    }
}

/// The rules of a `.facefleetignore`.
#[derive(Debug, Clone)]
pub(super) struct FolderRules {
    pub(super) folder: PathBuf,
    rules: Gitignore,
    /// Lines that are no rule. The others hold.
    pub(super) broken: Vec<ListingError>,
}

impl FolderRules {
    fn read(folder: &Path) -> Result<Option<Self>, ListingError> {
        let path = folder.join(IGNORE_FILE);
        let failed = |reason: String| ListingError { what: path.display().to_string(), reason };
        match symlink_metadata(&path) {
            // A link could lead to any file, and an error would show a line of it.
            Ok(found) if !found.is_file() => {
                return Err(failed("it is no regular file, so its rules are not read".into()));
            }
            Ok(found) if found.len() > IGNORE_FILE_BYTES => {
                return Err(failed(format!(
                    "it is larger than {IGNORE_FILE_BYTES} bytes, so its rules are not read"
                )));
            }
            Ok(_) => {}
            // Whether the folder can be read is told by whoever reads it.
            Err(_) => return Ok(None),
        }
        let mut globs = GitignoreBuilder::new(folder);
        // A class that is not closed would be read as the characters themselves, which nobody
        // means.
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
                    "line {} is no rule, and leaves nothing out: {error}",
                    number + 1
                )));
            }
        }
        let rules = globs.build().map_err(|error| failed(error.to_string()))?;
        Ok(Some(Self { folder: folder.to_owned(), rules, broken }))
    }
}

/// The folders that something is in, below the root, from the outermost.
fn folders_of(below: &Path) -> Vec<&Path> {
    let mut folders: Vec<&Path> =
        below.ancestors().skip(1).filter(|folder| !folder.as_os_str().is_empty()).collect();
    folders.reverse();
    folders
}

/// Globs that are each taken as they are written: one that begins with `#` or `!` is neither a
/// comment nor a negation.
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
            return Err(invalid(glob, "it names nothing".into()));
        }
        let line = if glob.starts_with(['#', '!']) { format!("\\{glob}") } else { glob.clone() };
        builder.add_line(None, &line).map_err(|error| invalid(glob, error.to_string()))?;
    }
    builder.build().map_err(|error| invalid("", error.to_string()))
}

/// A glob as it was given to [`globs`].
fn written(glob: &ignore::gitignore::Glob) -> &str {
    let glob = glob.original();
    if glob.starts_with("\\#") || glob.starts_with("\\!") { &glob[1..] } else { glob }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(exclude: &[&str], include: &[&str]) -> Rules {
        let owned =
            |globs: &[&str]| globs.iter().map(|glob| (*glob).to_owned()).collect::<Vec<_>>();
        Rules::new(&owned(exclude), &owned(include)).unwrap()
    }

    fn left_out(rules: &Rules, below: &str) -> Option<String> {
        rules.leaving_out_key(Path::new(below))
    }

    #[test]
    fn rubbish_of_file_servers_is_left_out_wherever_it_lies() {
        let rules = rules(&[], &[]);
        for (path, rule) in [
            ("a/@eaDir/b.jpg/SYNOPHOTO_THUMB_XL.jpg", "@eaDir"),
            ("#recycle/a.jpg", "#recycle"),
            ("b/.thumbnails/normal/a.png", ".thumbnails"),
            ("a/._b.jpg", "._*"),
            ("a/Thumbs.db", "Thumbs.db"),
            ("thumbs.DB", "Thumbs.db"),
            ("$Recycle.Bin/S-1-5/a.jpg", "$RECYCLE.BIN"),
            (".Trash-1000/files/a.jpg", ".Trash*"),
            (".Trashes/501/a.jpg", ".Trash*"),
            ("lost+found/a.jpg", "lost+found"),
            ("x/System Volume Information/a.jpg", "System Volume Information"),
            ("@Recycle/a.jpg", "@Recycle"),
            (".@__thumb/s100a.jpg", ".@__thumb"),
            (".stversions/a~20240101.jpg", ".stversions"),
            (".snapshot/daily/a.jpg", ".snapshot"),
            ("a/.DS_Store", ".DS_Store"),
        ] {
            assert_eq!(left_out(&rules, path).as_deref(), Some(rule), "{path}");
        }
        for path in [
            "a.jpg",
            ".hidden/a.jpg",
            "recycle/a.jpg",
            "trash/a.jpg",
            "a/_b.jpg",
            "eaDir/a.jpg",
            "thumbs/a.jpg",
            "#1.jpg",
        ] {
            assert_eq!(left_out(&rules, path), None, "{path}");
        }
    }

    #[test]
    fn exclude_wins_and_include_says_what_is_wanted_of_the_rest() {
        let rules = rules(
            &["*.png", "/drafts", "2023/trip/", "#1*", "!old*"],
            &["*.jpg", "*.png", "portraits"],
        );
        for (path, rule) in [
            ("a.png", Some("--exclude *.png")),
            ("portraits/a.PNG", Some("--exclude *.png")),
            ("drafts/a.jpg", Some("--exclude /drafts")),
            ("a/drafts/a.jpg", None),
            ("2023/trip/a.jpg", Some("--exclude 2023/trip/")),
            ("x/2023/trip/a.jpg", None),
            ("#1.jpg", Some("--exclude #1*")),
            ("!old.jpg", Some("--exclude !old*")),
            ("b/A.JPG", None),
            ("portraits/x/a.tif", None),
            ("b/a.tif", Some("--include")),
            ("b/._a.jpg", Some("._*")),
            ("portraits/@eaDir/a.jpg", Some("@eaDir")),
        ] {
            assert_eq!(left_out(&rules, path).as_deref(), rule, "{path}");
        }
    }

    #[test]
    fn a_glob_that_is_none_is_told_with_its_option() {
        for glob in ["a[", "{a,b", "", "/", " "] {
            let error = Rules::new(&[glob.to_owned()], &[]).unwrap_err().to_string();
            assert!(error.starts_with(&format!("--exclude '{glob}': ")), "{error}");
        }
        let error = Rules::new(&[], &["[z-a]".to_owned()]).unwrap_err().to_string();
        assert!(error.starts_with("--include '[z-a]': "), "{error}");
    }

    #[test]
    fn a_folder_s_own_rules_stand_above_those_around_it_and_bring_rubbish_back() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("inner");
        std::fs::create_dir(&inner).unwrap();
        std::fs::write(folder.path().join(IGNORE_FILE), "# trips\n*.png\n/raw/\n!@eaDir/\n")
            .unwrap();
        std::fs::write(inner.join(IGNORE_FILE), "!a.png\n").unwrap();
        let rules = rules(&[], &[]);
        let folders =
            [folder.path(), &inner].map(|folder| rules.of_folder(folder).unwrap().unwrap());
        let left_out = |below: &str, is_dir, folders: &[FolderRules]| {
            rules
                .leaving_out(Path::new(below), &folder.path().join(below), is_dir, folders)
                .is_some()
        };
        assert!(
            left_out("a.png", false, &folders[..1]) && left_out("inner/b.png", false, &folders)
        );
        assert!(
            !left_out("inner/a.png", false, &folders) && !left_out("a.jpg", false, &folders[..1])
        );
        assert!(left_out("raw", true, &folders[..1]) && !left_out("raw", false, &folders[..1]));
        assert!(!left_out("inner/raw", true, &folders) && !left_out("@eaDir", true, &folders[..1]));
    }

    #[test]
    fn rules_that_cannot_be_read_are_told_and_a_link_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let (path, secret) = (folder.path().join(IGNORE_FILE), folder.path().join("secret"));
        let rules = rules(&[], &[]);
        assert!(rules.of_folder(folder.path()).unwrap().is_none());
        std::fs::write(&path, "*.png\nraw[\n[z-a]\n*.tif\n").unwrap();
        let found = rules.of_folder(folder.path()).unwrap().unwrap();
        let broken: Vec<String> = found.broken.iter().map(ToString::to_string).collect();
        assert_eq!(broken.len(), 2, "{broken:?}");
        for (told, line) in broken.iter().zip(["line 2", "line 3"]) {
            assert!(told.contains(IGNORE_FILE) && told.contains(line), "{told}");
        }
        let left_out = |name: &str| {
            let path = folder.path().join(name);
            rules.leaving_out(Path::new(name), &path, false, std::slice::from_ref(&found)).is_some()
        };
        assert!(
            left_out("a.png") && left_out("a.tif") && !left_out("raw["),
            "the other lines hold"
        );
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&secret, "[z-a]").unwrap();
        std::os::unix::fs::symlink(&secret, &path).unwrap();
        let error = rules.of_folder(folder.path()).unwrap_err().to_string();
        assert!(error.contains("regular file") && !error.contains("z-a"), "{error}");
    }
}
