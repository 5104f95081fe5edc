//! Files that a command writes: whole or not at all, and for their owner alone.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::exit;

use super::INTERRUPTED;
use super::interrupt::{StopOnSignal, stop_on_signal};

/// A file that takes its name when it is complete. If it is dropped before, or a signal ends the
/// process, nothing is left of it. It may contain faces or templates: only its owner may read it.
pub(super) struct NewFile {
    target: PathBuf,
    partial: Option<PartialFile>,
}

struct PartialFile {
    path: PathBuf,
    _on_signal: StopOnSignal,
}

impl NewFile {
    /// Opens the file that shall become `path`. What is there and is no regular file, such as a
    /// pipe, is written to directly.
    pub(super) fn create(path: &Path) -> io::Result<(Self, File)> {
        // A link keeps pointing at the file.
        let target = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        if target.metadata().is_ok_and(|found| !found.is_file()) {
            let file = File::options().write(true).open(&target)?;
            return Ok((Self { target, partial: None }, file));
        }
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let partial = target.with_file_name(format!(".{name}.{}.partial", std::process::id()));
        let file = private_file(&partial)?;
        let remove = partial.clone();
        let on_signal = stop_on_signal(move || {
            std::fs::remove_file(remove).ok();
            exit(i32::from(INTERRUPTED));
        })?;
        let partial = Some(PartialFile { path: partial, _on_signal: on_signal });
        Ok((Self { target, partial }, file))
    }

    /// Gives `file`, which is complete, its name.
    pub(super) fn keep(mut self, file: &File) -> io::Result<()> {
        let Some(PartialFile { path, .. }) = &self.partial else { return Ok(()) };
        file.sync_all()?;
        std::fs::rename(path, &self.target)?;
        self.partial = None;
        Ok(())
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if let Some(PartialFile { path, .. }) = &self.partial {
            std::fs::remove_file(path).ok();
        }
    }
}

/// A new or emptied file that only its owner may read.
pub(super) fn private_file(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    File::options().write(true).create(true).truncate(true).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[tokio::test]
    async fn a_file_is_whole_or_not_there_and_its_owners() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.parquet");
        let names = || -> Vec<_> {
            folder.path().read_dir().unwrap().map(|entry| entry.unwrap().file_name()).collect()
        };
        let (new, mut file) = NewFile::create(&path).unwrap();
        file.write_all(b"half").unwrap();
        assert_eq!(names().len(), 1);
        assert!(!path.exists());
        drop(new);
        assert_eq!(names().len(), 0);

        std::fs::write(&path, b"old").unwrap();
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(&path, &link).unwrap();
        let (new, mut file) = NewFile::create(&link).unwrap();
        file.write_all(b"new").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        new.keep(&file).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        assert_eq!(names().len(), 2);
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        let (_, null) = NewFile::create(Path::new("/dev/null")).unwrap();
        assert!(!null.metadata().unwrap().is_file());
    }
}
