//! Taking in a recogniser that somebody brings: what its graph tells is read, what it does not tell
//! is asked for, and the manifest is written last, when the prepared model has passed its proof.

mod staging;
mod text;

use std::fs;
use std::path::{Path, PathBuf};

use self::staging::Staging;
use super::external;
use super::manifest::{Channels, Manifest, PublishedFile};
use super::model::{ModelError, Models, Prepared, digest};
use super::onnx::OnnxError;
use super::prepare::{Facts, PrepareError, inspect, names};
use super::runtime::{Runtime, RuntimeError};
use crate::domain::{Chip, Template};

/// What the one who imports a model says of it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Told {
    /// Order of the channels.
    pub channels: Option<Channels>,
    /// Subtracted from each pixel.
    pub mean: Option<f32>,
    /// Multiplied after that.
    pub scale: Option<f32>,
    /// Dropout ratio, for graphs without.
    pub dropout: Option<f64>,
    /// Steepness of the score-to-quality mapping.
    pub alpha: Option<f64>,
    /// The score that maps to quality 50.
    pub r: Option<f64>,
    /// Licence of the weights.
    pub licence: Option<String>,
    /// Where they come from.
    pub source: Option<String>,
}

/// A model to import.
#[derive(Debug, Clone)]
pub struct Import {
    /// The ONNX file.
    pub file: PathBuf,
    /// The name it gets; from the file's name if not given.
    pub name: Option<String>,
    /// What the graph may not tell.
    pub told: Told,
    /// Replace a manifest of that name, and files that no other manifest names.
    pub force: bool,
}

/// A model that was imported.
#[derive(Debug)]
pub struct Imported {
    /// Its name.
    pub name: String,
    /// Its manifest.
    pub manifest: PathBuf,
    /// What is known of it and from where, a line each.
    pub notes: Vec<String>,
    /// The prepared file.
    pub prepared: Prepared,
}

/// Why a model was not imported. Nothing of it is left behind.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The file, or one with its weights.
    #[error("cannot read {path}: {source}")]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is something else.
    #[error("{path} is no ONNX file but {what}")]
    Other {
        /// The file.
        path: PathBuf,
        /// What it is, and what to do.
        what: &'static str,
    },
    /// It cannot be prepared.
    #[error("{path} cannot be imported: {source}")]
    Unfit {
        /// The file.
        path: PathBuf,
        /// Why.
        source: PrepareError,
    },
    /// What no graph tells was not told.
    #[error("the graph does not tell all that is needed; add to the command:\n  \
        {}", .0.join("\n  "))]
    Untold(Vec<String>),
    /// A name that cannot be one.
    #[error("'{0}' is no name for a model: use letters, digits, '-' and '_' (--name)")]
    Name(String),
    /// There is such a model.
    #[error("{manifest} exists already{why}: choose another --name, or replace it with --force")]
    Exists {
        /// Its manifest.
        manifest: PathBuf,
        /// What it is.
        why: &'static str,
    },
    /// A file that it would replace is another model's.
    #[error(
        "{file} is the place of the weights of model '{owner}', and these are other weights: \
            choose another --name"
    )]
    Owned {
        /// The file.
        file: PathBuf,
        /// The model whose manifest names it.
        owner: String,
    },
    /// A file that it would replace holds something else.
    #[error(
        "{file} exists already and holds something else: choose another --name, or replace it with \
            --force"
    )]
    Occupied {
        /// The file.
        file: PathBuf,
    },
    /// The graph answers the same to everything.
    #[error(
        "the network answers the same to two different images (cosine {cosine:.6}): its weights or \
            the normalisation (--mean, --scale) \
         are wrong"
    )]
    Constant {
        /// Between the two embeddings.
        cosine: f64,
    },
    /// Writing into the folder of models.
    #[error("cannot write {path}: {source}")]
    Write {
        /// What.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Preparing and proving it.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// ONNX Runtime.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
}

/// A published file with what belongs to it.
struct Published {
    file: Vec<u8>,
    sha256: String,
    /// The data files: place relative to the ONNX file's, bytes, digest.
    data: Vec<(PathBuf, Vec<u8>, String)>,
}

impl Models {
    /// Imports a recogniser: copies its files, writes its manifest, prepares and proves it. A file
    /// that a manifest names already is put in its place.
    ///
    /// # Errors
    /// If the file cannot be served, something is not told, the name or a file's place is taken, or
    /// the proof fails.
    pub fn import(&self, import: &Import, runtime: &Runtime) -> Result<Imported, ImportError> {
        let published = Published::read(&import.file)?;
        let whole = published.whole(&import.file)?;
        runtime.check_versions(&import.file.display().to_string(), &whole)?;
        let facts = inspect(&whole)
            .map_err(|source| ImportError::Unfit { path: import.file.clone(), source })?;
        let known = self.known(&published, import);
        let name = match (&import.name, &known) {
            (Some(name), _) => name.clone(),
            (None, Some(manifest)) => manifest.name.clone(),
            (None, None) => text::name_of(&import.file),
        };
        if !text::is_name(&name) {
            return Err(ImportError::Name(name));
        }
        let target = self.dir.join(format!("{name}.toml"));
        let rewrite = known.is_none() || (import.force && import.told != Told::default());
        self.check_free(&target, known.as_ref(), import)?;
        let (manifest, manifest_text, mut notes) = if let (Some(manifest), false) = (known, rewrite)
        {
            let text = fs::read_to_string(&target)
                .map_err(|source| ImportError::Read { path: target.clone(), source })?;
            let note = format!("known by its sha256: {} describes it", target.display());
            (manifest, text, vec![note])
        } else {
            let files = published.placed(&name, &import.file);
            let (text, notes) = text::manifest(import, &facts, &files)?;
            let invalid = |reason| {
                ModelError::from(super::manifest::ManifestError::Invalid {
                    path: target.clone(),
                    reason,
                })
            };
            (Manifest::parse(&name, &text).map_err(invalid)?, text, notes)
        };
        notes.insert(0, text::file_note(&import.file, &facts));
        self.check_files(&published, &manifest, import.force || !rewrite)?;

        let staging = Staging::new(&self.dir, &name)?;
        staging.write(format!("{name}.toml"), manifest_text.as_bytes())?;
        for (file, bytes, _) in published.files(&manifest) {
            staging.write(Path::new("fetched").join(&file), bytes)?;
        }
        let staged = Self::new(staging.path()).prepared_as(self.variant());
        let mut prepared = staged.prepare(&name, runtime, true)?;
        let Some(mut prepared) = prepared.pop() else { return Err(ImportError::Name(name)) };
        check_answers(&staged, &manifest, runtime)?;

        let placed =
            prepared.path.strip_prefix(staging.path()).unwrap_or(&prepared.path).to_owned();
        let mut files: Vec<PathBuf> =
            published.files(&manifest).map(|(file, ..)| Path::new("fetched").join(file)).collect();
        files.push(placed.clone());
        if rewrite {
            files.push(format!("{name}.toml").into());
        }
        staging.place(&files, &self.dir)?;
        prepared.path = self.dir.join(placed);
        Ok(Imported { name, manifest: target, notes, prepared })
    }

    /// The manifest that names this file: of the wanted name, or of any if none is wanted.
    fn known(&self, published: &Published, import: &Import) -> Option<Manifest> {
        let names = self
            .names()
            .into_iter()
            .filter(|name| import.name.as_ref().is_none_or(|wanted| wanted == name));
        let manifests = names.filter_map(|name| self.manifest(&name).ok());
        let relative =
            |manifest: &Manifest| manifest.file.is_relative() && manifest.recogniser().is_some();
        manifests.filter(relative).find(|manifest| published.is_of(manifest))
    }

    /// Whether the name can be taken.
    fn check_free(
        &self,
        target: &Path,
        known: Option<&Manifest>,
        import: &Import,
    ) -> Result<(), ImportError> {
        if import.force || !target.exists() {
            return Ok(());
        }
        let why = match known {
            Some(_) if import.told != Told::default() => {
                " and describes this file; leave what it tells out of the command"
            }
            Some(manifest) if self.published(manifest).is_ok() => {
                " and its file is in place; `facefleet model prepare` prepares it"
            }
            Some(_) => return Ok(()),
            None => " and names another file",
        };
        Err(ImportError::Exists { manifest: target.to_owned(), why })
    }

    /// Whether the files can go where `manifest` places them. What another manifest names is never
    /// replaced; anything else that is not the same file already is replaced if `replace` says so.
    fn check_files(
        &self,
        published: &Published,
        manifest: &Manifest,
        replace: bool,
    ) -> Result<(), ImportError> {
        let fetched = self.dir.join("fetched");
        let names = self.names().into_iter().filter(|name| *name != manifest.name);
        let others: Vec<Manifest> = names.filter_map(|name| self.manifest(&name).ok()).collect();
        for (file, bytes, sha256) in published.files(manifest) {
            let file = fetched.join(file);
            let is_owner = |other: &&Manifest| {
                let mut listed = other.networks().iter().flat_map(Manifest::files);
                listed.any(|(listed, digest)| fetched.join(listed) == file && digest != sha256)
            };
            if let Some(other) = others.iter().find(is_owner) {
                return Err(ImportError::Owned { file, owner: other.name.clone() });
            }
            if !replace && holds_other(&file, bytes) {
                return Err(ImportError::Occupied { file });
            }
        }
        Ok(())
    }
}

/// Whether `path` exists and is anything but a file of these bytes.
fn holds_other(path: &Path, bytes: &[u8]) -> bool {
    let same = |metadata: fs::Metadata| {
        metadata.is_file()
            && metadata.len() == bytes.len() as u64
            && fs::read(path).is_ok_and(|there| there == bytes)
    };
    fs::symlink_metadata(path).is_ok() && !fs::metadata(path).is_ok_and(same)
}

impl Published {
    fn read(path: &Path) -> Result<Self, ImportError> {
        let error = |path: &Path, source| ImportError::Read { path: path.to_owned(), source };
        // A link to the file itself may lead anywhere: the one who imports it named it.
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
        let beside = path.parent().unwrap_or(Path::new(""));
        let beside = if beside.as_os_str().is_empty() { Path::new(".") } else { beside };
        if let Some(own) = path.file_name().map(Path::new).filter(|own| locations.contains(*own)) {
            let what = format!("weights in '{}', the ONNX file itself", own.display());
            return Err(unfit(OnnxError::Unsupported(
                what,
                "its weights inside the file, or in a file of another name",
            )));
        }
        let mut data = Vec::new();
        for location in locations {
            let path = beside.join(&location);
            let bytes = external::read(&path, beside).map_err(|source| error(&path, source))?;
            let sha256 = digest(&bytes);
            data.push((location, bytes, sha256));
        }
        Ok(Self { sha256: digest(&file), file, data })
    }

    /// The model as one file.
    fn whole(&self, path: &Path) -> Result<Vec<u8>, ImportError> {
        let unfit =
            |source: OnnxError| ImportError::Unfit { path: path.to_owned(), source: source.into() };
        match external::locations(&self.file).map_err(unfit)? {
            None => Ok(self.file.clone()),
            Some((model, _)) => {
                let read = |location: &Path| {
                    let found = self.data.iter().find(|(place, ..)| place == location);
                    Ok(found.map(|(_, bytes, _)| bytes.clone()).unwrap_or_default())
                };
                external::inline(model, read, unfit)
            }
        }
    }

    fn is_of(&self, manifest: &Manifest) -> bool {
        let digests = |files: &[PublishedFile]| {
            files.iter().map(|file| file.sha256.clone()).collect::<Vec<_>>()
        };
        let mut own: Vec<String> = self.data.iter().map(|(.., sha256)| sha256.clone()).collect();
        let mut listed = digests(&manifest.data);
        own.sort();
        listed.sort();
        let beside = |(place, ..): &(PathBuf, Vec<u8>, String)| {
            manifest.file.file_name() != Some(place.as_os_str())
        };
        manifest.file_sha256 == self.sha256 && own == listed && self.data.iter().all(beside)
    }

    /// Where the files go, relative to `fetched`, with their digests: the ONNX file first.
    fn placed(&self, name: &str, path: &Path) -> Vec<PublishedFile> {
        if self.data.is_empty() {
            return vec![PublishedFile {
                file: format!("{name}.onnx").into(),
                sha256: self.sha256.clone(),
            }];
        }
        let folder = Path::new(name);
        let file = folder.join(path.file_name().unwrap_or_default());
        let first = PublishedFile { file, sha256: self.sha256.clone() };
        let data = self.data.iter().map(|(place, _, sha256)| PublishedFile {
            file: folder.join(place),
            sha256: sha256.clone(),
        });
        [first].into_iter().chain(data).collect()
    }

    /// The files as `manifest` places them, relative to `fetched`: place, bytes, digest.
    fn files<'a>(
        &'a self,
        manifest: &'a Manifest,
    ) -> impl Iterator<Item = (PathBuf, &'a [u8], &'a str)> {
        let folder = manifest.file.parent().unwrap_or(Path::new(""));
        let place = move |(place, bytes, sha256): &'a (PathBuf, Vec<u8>, String)| {
            (folder.join(place), bytes.as_slice(), sha256.as_str())
        };
        let first = (manifest.file.clone(), self.file.as_slice(), self.sha256.as_str());
        [first].into_iter().chain(self.data.iter().map(place))
    }
}

/// The model must tell images apart.
fn check_answers(
    models: &Models,
    manifest: &Manifest,
    runtime: &Runtime,
) -> Result<(), ImportError> {
    let first = Chip::synthetic();
    let turned =
        Chip::new(first.pixels().iter().rev().copied().collect()).unwrap_or_else(Chip::synthetic);
    let input = manifest.input.values(&[first, turned]);
    let bytes = models.read_prepared(manifest)?.bytes;
    let shape = [2, 3, manifest.input.height as usize, manifest.input.width as usize];
    let results =
        runtime.open(&manifest.name, &bytes, 1)?.run(&[(&shape, &input)], &[names::EMBEDDING])?;
    let values = results.first().map_or(&[][..], |output| &output.values);
    let template = |values: &[f32]| {
        let wrong = |error| super::model::self_test(&manifest.name, format!("{error}"));
        Template::from_embedding(values).map(|(template, _)| template).map_err(wrong)
    };
    let (first, second) = values.split_at(values.len() / 2);
    let cosine = template(first)?.similarity(&template(second)?);
    if cosine < 0.999_99 { Ok(()) } else { Err(ImportError::Constant { cosine }) }
}
