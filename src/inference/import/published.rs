//! The files of the model that is imported: the ONNX file, and the data files with its weights.

use std::path::{Path, PathBuf};

use super::{ImportError, text};
use crate::inference::external;
use crate::inference::manifest::{Manifest, PublishedFile};
use crate::inference::model::digest;
use crate::inference::onnx::OnnxError;

/// A published model: its ONNX file and its data files.
pub(super) struct Published {
    file: Vec<u8>,
    sha256: String,
    /// The data files: path relative to the ONNX file's folder, bytes, digest.
    data: Vec<(PathBuf, Vec<u8>, String)>,
}

impl Published {
    pub(super) fn read(path: &Path) -> Result<Self, ImportError> {
        let error = |path: &Path, source| ImportError::Read { path: path.to_owned(), source };
        // The ONNX file may be a link out of its folder: the user named it.
        let resolved = path.canonicalize().map_err(|source| error(path, source))?;
        let folder = resolved.parent().unwrap_or(Path::new("/"));
        let file = external::read(&resolved, folder).map_err(|source| error(path, source))?;
        if let Some(what) = text::other_kind(&file) {
            return Err(ImportError::Other { path: path.to_owned(), what });
        }
        let unfit =
            |source: OnnxError| ImportError::Unfit { path: path.to_owned(), source: source.into() };
        let locations = external::locations(&file)
            .map_err(unfit)?
            .map(|(_, locations)| locations)
            .unwrap_or_default();
        let folder = path.parent().unwrap_or(Path::new(""));
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        if let Some(own) = path.file_name().map(Path::new).filter(|own| locations.contains(*own)) {
            let what = format!("weights in '{}', the ONNX file itself", own.display());
            return Err(unfit(OnnxError::Unsupported(
                what,
                "its weights inside the file, or in a file of another name",
            )));
        }
        let mut data = Vec::new();
        for location in locations {
            let path = folder.join(&location);
            let bytes = external::read(&path, folder).map_err(|source| error(&path, source))?;
            let sha256 = digest(&bytes);
            data.push((location, bytes, sha256));
        }
        Ok(Self { sha256: digest(&file), file, data })
    }

    /// The model as one file, with its weights inside.
    pub(super) fn whole(&self, path: &Path) -> Result<Vec<u8>, ImportError> {
        let unfit =
            |source: OnnxError| ImportError::Unfit { path: path.to_owned(), source: source.into() };
        match external::locations(&self.file).map_err(unfit)? {
            None => Ok(self.file.clone()),
            Some((model, _)) => {
                let read = |location: &Path| {
                    let found = self.data.iter().find(|(path, ..)| path == location);
                    Ok(found.map(|(_, bytes, _)| bytes.clone()).unwrap_or_default())
                };
                external::inline(model, read, unfit)
            }
        }
    }

    /// Whether `manifest` describes exactly these files.
    pub(super) fn is_of(&self, manifest: &Manifest) -> bool {
        let digests = |files: &[PublishedFile]| {
            files.iter().map(|file| file.sha256.clone()).collect::<Vec<_>>()
        };
        let mut own: Vec<String> = self.data.iter().map(|(.., sha256)| sha256.clone()).collect();
        let mut listed = digests(&manifest.data);
        own.sort();
        listed.sort();
        let other_name = |(path, ..): &(PathBuf, Vec<u8>, String)| {
            manifest.file.file_name() != Some(path.as_os_str())
        };
        manifest.file_sha256 == self.sha256 && own == listed && self.data.iter().all(other_name)
    }

    /// The paths of the files below `fetched/` under the model name `name`, with their digests. The
    /// ONNX file comes first.
    pub(super) fn target_files(&self, name: &str, path: &Path) -> Vec<PublishedFile> {
        if self.data.is_empty() {
            return vec![PublishedFile {
                file: format!("{name}.onnx").into(),
                sha256: self.sha256.clone(),
            }];
        }
        let folder = Path::new(name);
        let file = folder.join(path.file_name().unwrap_or_default());
        let first = PublishedFile { file, sha256: self.sha256.clone() };
        let data = self.data.iter().map(|(path, _, sha256)| PublishedFile {
            file: folder.join(path),
            sha256: sha256.clone(),
        });
        [first].into_iter().chain(data).collect()
    }

    /// The files with their paths below `fetched/` as `manifest` names them: path, bytes, digest.
    pub(super) fn files<'a>(
        &'a self,
        manifest: &'a Manifest,
    ) -> impl Iterator<Item = (PathBuf, &'a [u8], &'a str)> {
        let folder = manifest.file.parent().unwrap_or(Path::new(""));
        let entry = move |(path, bytes, sha256): &'a (PathBuf, Vec<u8>, String)| {
            (folder.join(path), bytes.as_slice(), sha256.as_str())
        };
        let first = (manifest.file.clone(), self.file.as_slice(), self.sha256.as_str());
        [first].into_iter().chain(self.data.iter().map(entry))
    }
}
