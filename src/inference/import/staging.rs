//! The temporary folder of an import, and the move of its files into the folder of models: all
//! files or no file.

use std::fs;
use std::io::{Error, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::ImportError;
use crate::inference::model::write_atomically;

const STAGING: &str = ".import-";

/// Folder of the replaced files until all files are moved.
const REPLACED: &str = "replaced";

/// The temporary folder. Dropping this removes it.
pub(super) struct Staging(PathBuf);

impl Staging {
    pub(super) fn new(models: &Path, name: &str) -> Result<Self, ImportError> {
        remove_abandoned(models);
        let path = models.join(format!("{STAGING}{name}-{}", std::process::id()));
        fs::create_dir_all(&path)
            .map_err(|source| ImportError::Write { path: path.clone(), source })?;
        Ok(Self(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    pub(super) fn write(&self, file: impl AsRef<Path>, bytes: &[u8]) -> Result<(), ImportError> {
        let path = self.0.join(file);
        write_atomically(&path, bytes).map_err(|source| ImportError::Write { path, source })
    }

    /// Moves `files` to `models`, in this order. If one cannot be moved, new files are removed
    /// again and replaced files are put back.
    pub(super) fn place(&self, files: &[PathBuf], models: &Path) -> Result<(), ImportError> {
        let mut moved: Vec<(PathBuf, Option<PathBuf>)> = Vec::new();
        for (i, file) in files.iter().enumerate() {
            let target = models.join(file);
            let old = self.0.join(REPLACED).join(i.to_string());
            match replace(&self.0.join(file), &target, &old) {
                Ok(replaced) => moved.push((target, replaced.then_some(old))),
                Err(source) => {
                    undo(&moved);
                    return Err(ImportError::Write { path: target, source });
                }
            }
        }
        Ok(())
    }
}

/// Moves `new` to `target`. An existing file is kept as `old`. Returns whether there was one.
fn replace(new: &Path, target: &Path, old: &Path) -> Result<bool, Error> {
    create_folder_of(target)?;
    let exists = match fs::symlink_metadata(target) {
        Ok(metadata) if metadata.is_dir() => return Err(Error::from(ErrorKind::IsADirectory)),
        Ok(_) => true,
        Err(error) if error.kind() == ErrorKind::NotFound => false,
        Err(error) => return Err(error),
    };
    if exists {
        create_folder_of(old)?;
        // With a hard link to the old file, readers always find the old or the new one. Not all
        // file systems have hard links.
        fs::hard_link(target, old).or_else(|_| fs::rename(target, old))?;
    }
    let moved = fs::rename(new, target);
    if moved.is_err() && exists {
        put_back(old, target);
    }
    moved.map(|()| exists)
}

fn create_folder_of(path: &Path) -> Result<(), Error> {
    match path.parent() {
        Some(folder) => fs::create_dir_all(folder),
        None => Ok(()),
    }
}

fn undo(moved: &[(PathBuf, Option<PathBuf>)]) {
    for (target, old) in moved.iter().rev() {
        match old {
            Some(old) => put_back(old, target),
            // Report the error of the move, not of the cleanup.
            None => {
                fs::remove_file(target).ok();
            }
        }
    }
}

fn put_back(old: &Path, target: &Path) {
    if let Err(error) = fs::rename(old, target) {
        tracing::error!(file = %target.display(), %error, "cannot put back the file that an import \
            replaced");
    }
}

/// Removes the folders of imports that were killed: those that have not changed for an hour.
fn remove_abandoned(models: &Path) {
    const HOUR: Duration = Duration::from_secs(3600);
    for entry in fs::read_dir(models).into_iter().flatten().flatten() {
        let old = entry
            .metadata()
            .and_then(|metadata| metadata.modified())
            .is_ok_and(|at| at.elapsed().is_ok_and(|age| age > HOUR));
        if old && entry.file_name().to_string_lossy().starts_with(STAGING) {
            // A failure here does not affect this import.
            fs::remove_dir_all(entry.path()).ok();
        }
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::warn!(folder = %self.0.display(), %error, "cannot remove the temporary folder \
                of an import");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn if_one_file_cannot_be_moved_those_replaced_before_are_put_back() {
        let folder = tempfile::tempdir().unwrap();
        let models = folder.path();
        let files =
            ["fetched/new.onnx", "fetched/old.onnx", "fetched/last.onnx"].map(PathBuf::from);
        // A folder blocks the last file.
        fs::create_dir_all(models.join("fetched/last.onnx")).unwrap();
        fs::write(models.join("fetched/old.onnx"), b"old").unwrap();
        let staging = Staging::new(models, "a").unwrap();
        let stage = || files.iter().for_each(|file| staging.write(file, b"new").unwrap());

        stage();
        let error = staging.place(&files, models).unwrap_err().to_string();
        assert!(error.contains("last.onnx"), "{error}");
        assert_eq!(fs::read(models.join("fetched/old.onnx")).unwrap(), b"old");
        assert!(!models.join("fetched/new.onnx").exists());

        fs::remove_dir(models.join("fetched/last.onnx")).unwrap();
        stage();
        staging.place(&files, models).unwrap();
        drop(staging);
        assert!(files.iter().all(|file| fs::read(models.join(file)).unwrap() == b"new"));
        assert_eq!(fs::read_dir(models).unwrap().count(), 1, "only `fetched` is left");
    }
}
