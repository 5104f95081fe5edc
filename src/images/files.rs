//! `file:` URIs: local files below the roots that the operator named.

use std::collections::HashSet;
use std::fs::File;
use std::io::Read;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use super::{FetchError, ImageSource, MemoryReservation, Unlimited, fault, too_large};
use crate::domain::{ImageUri, SourceName};

/// Reads local files below some roots.
#[derive(Debug, Clone)]
pub struct FileSource {
    /// Canonical paths: links are resolved. Shared by clones, because there may be as many roots as
    /// images.
    roots: Arc<HashSet<PathBuf>>,
    /// The canonical paths, and the absolute paths as they were given.
    named: Arc<HashSet<PathBuf>>,
    /// Folders that a task is checking now.
    checking: Arc<Mutex<HashSet<String>>>,
    max_bytes: u64,
}

impl FileSource {
    /// Files below `roots` (each a folder or a single file) of at most `max_bytes`.
    ///
    /// # Errors
    /// If a root does not exist.
    pub fn new(roots: &[PathBuf], max_bytes: u64) -> std::io::Result<Self> {
        let canonical = |root: &PathBuf| {
            root.canonicalize().map_err(|error| {
                std::io::Error::new(error.kind(), format!("{}: {error}", root.display()))
            })
        };
        let named = roots.iter().filter_map(|root| std::path::absolute(root).ok());
        let canonical = roots.iter().map(canonical).collect::<Result<HashSet<_>, _>>()?;
        let named = named.chain(canonical.iter().cloned()).collect();
        Ok(Self {
            roots: Arc::new(canonical),
            named: Arc::new(named),
            checking: Arc::default(),
            max_bytes,
        })
    }

    fn check(&self, resolved: &Path) -> Result<(), FetchError> {
        if resolved.ancestors().any(|above| self.roots.contains(above)) {
            return Ok(());
        }
        Err(FetchError::Refused(
            "the file is outside the folders that may be read (setting images.allow)".into(),
        ))
    }

    /// Opens a file below a root. Returns it and the number of bytes to read.
    fn open(&self, path: &Path) -> Result<(File, u64), FetchError> {
        // Resolve the path before the check, so that neither `..` nor a link leads out of a root.
        let resolved = path.canonicalize().map_err(|error| fault::of_file(&error))?;
        self.check(&resolved)?;
        // Check the type before opening: opening a pipe blocks until it has a writer.
        let metadata = std::fs::metadata(&resolved).map_err(|error| fault::of_file(&error))?;
        if !metadata.is_file() {
            return Err(FetchError::Unreadable("the path is not a regular file".into()));
        }
        if metadata.len() > self.max_bytes {
            return Err(too_large(metadata.len(), self.max_bytes));
        }
        let file = File::open(&resolved).map_err(|error| fault::of_file(&error))?;
        // A folder of the path may have become a link since: check what was really opened.
        self.check(&opened_path(&file).unwrap_or(resolved))?;
        // Some file systems report a length of 0 for files that have content.
        let length = if metadata.len() == 0 { self.max_bytes } else { metadata.len() };
        Ok((file, length))
    }

    /// Reads at most `length` bytes: a file may grow while it is read.
    fn read(file: File, length: u64) -> Result<Vec<u8>, FetchError> {
        let known =
            usize::try_from(file.metadata().map_or(0, |metadata| metadata.len()).min(length))
                .unwrap_or(0);
        let mut bytes = Vec::with_capacity(known + 1);
        file.take(length).read_to_end(&mut bytes).map_err(|error| fault::of_file(&error))?;
        Ok(bytes)
    }
}

/// The real path of an open file, if the system provides it (Linux does).
fn opened_path(file: &File) -> Option<PathBuf> {
    std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).ok()
}

#[async_trait]
impl ImageSource for FileSource {
    async fn fetch(&self, image: &ImageUri) -> Result<Vec<u8>, FetchError> {
        self.fetch_into(image, &Unlimited).await
    }

    async fn fetch_into(
        &self,
        image: &ImageUri,
        memory: &dyn MemoryReservation,
    ) -> Result<Vec<u8>, FetchError> {
        let path = match image.to_path() {
            Some(path) => path,
            None => {
                return Err(FetchError::Refused(match image.scheme() {
                    "file" => "the URI names a host: only files of this machine are read".into(),
                    other => format!("this worker does not fetch '{other}:' URIs"),
                }));
            }
        };
        let source = self.clone();
        let (file, length) = blocking(move || source.open(&path)).await?;
        memory.take(length).await?;
        blocking(move || Self::read(file, length)).await
    }

    /// The root that contains the image. For a root that is a file: its folder.
    fn source_of(&self, image: &ImageUri) -> SourceName {
        let path = image.to_path().unwrap_or_default();
        let root =
            path.ancestors().find(|above| self.named.contains(*above)).unwrap_or(Path::new("/"));
        let folder = if root == path { root.parent().unwrap_or(root) } else { root };
        SourceName::new(folder.to_string_lossy())
    }

    /// The device number of the file system.
    async fn part_of(&self, image: &ImageUri) -> u64 {
        let Some(path) = image.to_path() else { return 0 };
        let device = tokio::task::spawn_blocking(move || {
            std::fs::metadata(path).map_or(0, |metadata| metadata.dev())
        });
        device.await.unwrap_or(0)
    }

    async fn check_image(&self, image: &ImageUri) -> Result<(), FetchError> {
        let Some(path) = image.to_path() else {
            let reason = "the URI does not name a file on this machine".to_owned();
            return Err(FetchError::Unreadable(reason));
        };
        let source = self.clone();
        blocking(move || {
            let (mut file, _) = source.open(&path)?;
            file.read(&mut [0; 512]).map(|_| ()).map_err(|error| fault::of_file(&error))
        })
        .await
    }

    /// Whether the folder of the image has any entry. The mount point of a share is empty while the
    /// share is not mounted.
    async fn has_visible_neighbours(&self, image: &ImageUri) -> bool {
        let Some(folder) = image.to_path().and_then(|path| path.parent().map(Path::to_owned))
        else {
            return false;
        };
        let seen =
            tokio::task::spawn_blocking(move || is_folder_of_something(&folder).unwrap_or(false));
        seen.await.unwrap_or(false)
    }

    /// A folder works if it has any entry.
    async fn check_source(&self, source: &SourceName) -> Result<(), String> {
        let name = source.as_str().to_owned();
        // A share that hangs blocks the thread that checks it: use one thread at most.
        if !self.checking.lock().unwrap_or_else(PoisonError::into_inner).insert(name.clone()) {
            return Err(format!("{name} has not answered yet"));
        }
        let checking = Arc::clone(&self.checking);
        let checked = tokio::task::spawn_blocking(move || {
            let found = is_folder_of_something(Path::new(&name));
            checking.lock().unwrap_or_else(PoisonError::into_inner).remove(&name);
            match found {
                // The name lost bytes that are not UTF-8, so the folder cannot be found by it.
                Err(_) if name.contains(char::REPLACEMENT_CHARACTER) => Ok(()),
                // A shortage of this machine says nothing about the folder.
                Err(error) if fault::shortage(&error).is_some() => Ok(()),
                Err(error) => Err(format!("{name} cannot be read: {error}")),
                Ok(false) => Err(format!("{name} is empty: check that its file system is mounted")),
                Ok(true) => Ok(()),
            }
        });
        checked.await.unwrap_or(Ok(()))
    }
}

fn is_folder_of_something(folder: &Path) -> std::io::Result<bool> {
    Ok(std::fs::read_dir(folder)?.next().is_some())
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, FetchError> + Send + 'static,
) -> Result<T, FetchError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| FetchError::Shortage(format!("reading was interrupted: {error}")))?
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn fetch(source: &FileSource, path: &Path) -> Result<Vec<u8>, FetchError> {
        source.fetch(&ImageUri::from_path(path).unwrap()).await
    }

    #[tokio::test]
    async fn only_files_below_a_root_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let (inside, outside) = (folder.path().join("in"), folder.path().join("out.jpg"));
        std::fs::create_dir(&inside).unwrap();
        std::fs::write(inside.join("a.jpg"), b"abc").unwrap();
        std::fs::write(&outside, b"secret").unwrap();
        std::os::unix::fs::symlink(&outside, inside.join("link.jpg")).unwrap();
        std::os::unix::fs::symlink("a.jpg", inside.join("link_inside.jpg")).unwrap();
        let source = FileSource::new(std::slice::from_ref(&inside), 10).unwrap();

        for name in ["a.jpg", "link_inside.jpg"] {
            assert_eq!(fetch(&source, &inside.join(name)).await.unwrap(), b"abc");
        }
        for path in [outside.clone(), inside.join("link.jpg"), inside.join("../out.jpg")] {
            let Err(FetchError::Refused(reason)) = fetch(&source, &path).await else {
                panic!("{}", path.display())
            };
            assert!(reason.contains("setting images.allow"), "{reason}");
        }
        let escaped: ImageUri =
            format!("file://{}/%2e%2e/out.jpg", inside.display()).parse().unwrap();
        assert!(matches!(source.fetch(&escaped).await, Err(FetchError::Refused(_))));
        assert!(matches!(
            fetch(&source, &inside.join("none.jpg")).await,
            Err(FetchError::NotFound(_))
        ));
        assert!(matches!(fetch(&source, &inside).await, Err(FetchError::Unreadable(_))));
        let web: ImageUri = "https://example.org/a.jpg".parse().unwrap();
        assert!(matches!(source.fetch(&web).await, Err(FetchError::Refused(_))));
    }

    #[test]
    fn a_folder_that_turns_into_a_link_while_it_is_read_leads_to_no_other_file() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        for (name, bytes) in [("root/place", b"inside".as_slice()), ("outside", b"secret")] {
            std::fs::create_dir_all(folder.path().join(name)).unwrap();
            std::fs::write(folder.path().join(name).join("a.jpg"), bytes).unwrap();
        }
        std::os::unix::fs::symlink(folder.path().join("outside"), root.join("link")).unwrap();
        let source = FileSource::new(std::slice::from_ref(&root), 10).unwrap();
        let done = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    for (from, to) in [
                        ("place", "aside"),
                        ("link", "place"),
                        ("place", "link"),
                        ("aside", "place"),
                    ] {
                        std::fs::rename(root.join(from), root.join(to)).unwrap();
                    }
                }
            });
            let open = |_| source.open(&root.join("place/a.jpg")).ok();
            let read = (0..5_000)
                .filter_map(open)
                .filter_map(|(file, length)| FileSource::read(file, length).ok());
            let leaked = read.filter(|bytes| bytes != b"inside").count();
            done.store(true, std::sync::atomic::Ordering::Relaxed);
            assert_eq!(leaked, 0);
        });
    }

    #[tokio::test]
    async fn a_pipe_is_refused_without_waiting() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jpg");
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        let source = FileSource::new(&[folder.path().to_owned()], 10).unwrap();
        assert!(matches!(fetch(&source, &path).await, Err(FetchError::Unreadable(_))));
    }

    #[tokio::test]
    async fn what_can_never_be_read_is_unreadable_at_once() {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("b", folder.path().join("a")).unwrap();
        std::os::unix::fs::symlink("a", folder.path().join("b")).unwrap();
        let source = FileSource::new(&[folder.path().to_owned()], 10).unwrap();
        let place = folder.path().display();
        let nul = format!("file://{place}/a%00.jpg");
        let long = format!("file://{place}/{}", "x".repeat(300));
        for uri in [nul, long, format!("file://{place}/a"), format!("file://{place}")] {
            let fetched = source.fetch(&uri.parse().unwrap()).await;
            assert!(matches!(fetched, Err(FetchError::Unreadable(_))), "{uri:.80}: {fetched:?}");
        }
    }

    #[tokio::test]
    async fn a_file_over_the_limit_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jpg");
        std::fs::write(&path, [0; 11]).unwrap();
        let source = FileSource::new(&[folder.path().to_owned()], 10).unwrap();
        let Err(FetchError::Refused(reason)) = fetch(&source, &path).await else {
            panic!("over the limit")
        };
        assert!(reason.contains("setting limits.max_bytes"), "{reason}");
        std::fs::write(&path, [0; 10]).unwrap();
        assert_eq!(fetch(&source, &path).await.unwrap().len(), 10);
    }
}
