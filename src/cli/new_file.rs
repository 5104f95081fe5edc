//! Files that a command writes: whole or not at all, and for their owner alone.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use super::INTERRUPTED;
use super::interrupt::{StopOnSignal, stop_on_signal};

/// A file that takes its name when it is complete. If it is dropped before, or a signal ends the
/// process, nothing is left of it. It may contain faces or templates: only its owner may read it.
pub(super) struct NewFile {
    target: PathBuf,
    partial: Option<PartialFile>,
}

struct PartialFile {
    file: NamedTempFile,
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
        let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty());
        let partial = tempfile::Builder::new()
            .prefix(".facefleet-")
            .suffix(".partial")
            .tempfile_in(folder.unwrap_or(Path::new(".")))?;
        let (file, remove) = (partial.as_file().try_clone()?, partial.path().to_owned());
        let on_signal = stop_on_signal(move || {
            std::fs::remove_file(remove).ok();
            signal_hook::low_level::exit(i32::from(INTERRUPTED));
        })?;
        let partial = Some(PartialFile { file: partial, _on_signal: on_signal });
        Ok((Self { target, partial }, file))
    }

    /// Writes the file `path` with these bytes.
    pub(super) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
        let (new, mut file) = Self::create(path)?;
        file.write_all(bytes)?;
        new.keep(&file)
    }

    /// Gives `file`, which is complete, its name.
    pub(super) fn keep(self, file: &File) -> io::Result<()> {
        let Some(PartialFile { file: partial, .. }) = self.partial else { return Ok(()) };
        file.sync_all()?;
        partial.persist(&self.target)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
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
