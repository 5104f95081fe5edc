//! Importing a recogniser that a user brings. The graph is inspected first; what it does not state
//! must be in the command. The manifest is written last, when the prepared model has passed its
//! proof.

mod error;
mod published;
mod staging;
mod text;

use std::fs;
use std::path::{Path, PathBuf};

use self::published::Published;
use self::staging::Staging;
use super::manifest::{Channels, Manifest};
use super::model::{ModelError, Models, Prepared};
use super::prepare::{Facts, inspect, names};
use super::runtime::Runtime;
use crate::domain::{Chip, Template};
pub use error::ImportError;

/// What the user states about the model, for what its graph may not state.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ImportOptions {
    /// Order of the input's colour channels.
    pub channels: Option<Channels>,
    /// Subtracted from each pixel value.
    pub mean: Option<f32>,
    /// Factor after the subtraction.
    pub scale: Option<f32>,
    /// Dropout ratio, for graphs without Dropout.
    pub dropout: Option<f64>,
    /// Steepness of the score-to-quality mapping.
    pub alpha: Option<f64>,
    /// The score that maps to quality 50.
    pub r: Option<f64>,
    /// Licence of the weights.
    pub licence: Option<String>,
    /// Where the weights come from.
    pub source: Option<String>,
}

/// A model to import.
#[derive(Debug, Clone)]
pub struct ImportRequest {
    /// The ONNX file.
    pub file: PathBuf,
    /// The model's name; by default from the file's name.
    pub name: Option<String>,
    /// What the user states about the model.
    pub options: ImportOptions,
    /// Replace a manifest of that name, and files that no other manifest names.
    pub force: bool,
}

/// A model that was imported.
#[derive(Debug)]
pub struct Imported {
    /// The model's name.
    pub name: String,
    /// The path of its manifest.
    pub manifest: PathBuf,
    /// The facts about the model and where each comes from, one per line.
    pub notes: Vec<String>,
    /// The prepared file.
    pub prepared: Prepared,
}

impl Models {
    /// Imports a recogniser: copies its files, writes its manifest, prepares and proves it. If a
    /// manifest names the file already, that manifest is used.
    ///
    /// # Errors
    /// If the model cannot be prepared, an option is missing, the name or a file's path is taken,
    /// or the proof fails.
    pub fn import(
        &self,
        import: &ImportRequest,
        runtime: &Runtime,
    ) -> Result<Imported, ImportError> {
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
        let rewrite =
            known.is_none() || (import.force && import.options != ImportOptions::default());
        self.check_free(&target, known.as_ref(), import)?;
        let (manifest, manifest_text, mut notes) = if let (Some(manifest), false) = (known, rewrite)
        {
            let text = fs::read_to_string(&target)
                .map_err(|source| ImportError::Read { path: target.clone(), source })?;
            let note = format!("known by its sha256: {} describes it", target.display());
            (manifest, text, vec![note])
        } else {
            let files = published.target_files(&name, &import.file);
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

        let prepared = self.stage(&published, &manifest, &manifest_text, rewrite, runtime)?;
        Ok(Imported { name, manifest: target, notes, prepared })
    }

    /// Writes all files into a temporary folder, prepares and proves the model there, and moves the
    /// files into the folder of models. The manifest is moved only if `rewrite` is true.
    fn stage(
        &self,
        published: &Published,
        manifest: &Manifest,
        manifest_text: &str,
        rewrite: bool,
        runtime: &Runtime,
    ) -> Result<Prepared, ImportError> {
        let name = &manifest.name;
        let staging = Staging::new(&self.dir, name)?;
        staging.write(format!("{name}.toml"), manifest_text.as_bytes())?;
        for (file, bytes, _) in published.files(manifest) {
            staging.write(Path::new("fetched").join(&file), bytes)?;
        }
        let staged = Self::new(staging.path()).prepared_as(self.variant());
        let mut prepared = staged.prepare(name, runtime, true)?;
        let Some(mut prepared) = prepared.pop() else {
            return Err(ImportError::Name(name.clone()));
        };
        check_embeddings_differ(&staged, manifest, runtime)?;

        let prepared_file =
            prepared.path.strip_prefix(staging.path()).unwrap_or(&prepared.path).to_owned();
        let mut files: Vec<PathBuf> =
            published.files(manifest).map(|(file, ..)| Path::new("fetched").join(file)).collect();
        files.push(prepared_file.clone());
        if rewrite {
            files.push(format!("{name}.toml").into());
        }
        staging.place(&files, &self.dir)?;
        prepared.path = self.dir.join(prepared_file);
        Ok(prepared)
    }

    /// The manifest that names this file: with the requested name, or with any name if the request
    /// has none.
    fn known(&self, published: &Published, import: &ImportRequest) -> Option<Manifest> {
        let names = self
            .names()
            .into_iter()
            .filter(|name| import.name.as_ref().is_none_or(|wanted| wanted == name));
        let manifests = names.filter_map(|name| self.manifest(&name).ok());
        let relative =
            |manifest: &Manifest| manifest.file.is_relative() && manifest.recogniser().is_some();
        manifests.filter(relative).find(|manifest| published.is_of(manifest))
    }

    /// Refuses a name that another model has.
    fn check_free(
        &self,
        target: &Path,
        known: Option<&Manifest>,
        import: &ImportRequest,
    ) -> Result<(), ImportError> {
        if import.force || !target.exists() {
            return Ok(());
        }
        let why = match known {
            Some(_) if import.options != ImportOptions::default() => {
                " and describes this file; leave out of the command what the manifest states"
            }
            Some(manifest) if self.published(manifest).is_ok() => {
                " and its file is in place; `facefleet model prepare` prepares it"
            }
            Some(_) => return Ok(()),
            None => " and names another file",
        };
        Err(ImportError::Exists { manifest: target.to_owned(), why })
    }

    /// Refuses to overwrite files at the paths in `manifest`. A file that another manifest names is
    /// never overwritten. A file with other content is overwritten only if `replace` is true.
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
            if !replace && has_other_content(&file, bytes) {
                return Err(ImportError::Occupied { file });
            }
        }
        Ok(())
    }
}

/// Whether `path` exists and is not a file with exactly these bytes.
fn has_other_content(path: &Path, bytes: &[u8]) -> bool {
    let same = |metadata: fs::Metadata| {
        metadata.is_file()
            && metadata.len() == bytes.len() as u64
            && fs::read(path).is_ok_and(|content| content == bytes)
    };
    fs::symlink_metadata(path).is_ok() && !fs::metadata(path).is_ok_and(same)
}

/// Refuses a model that gives the same embedding for two different chips.
fn check_embeddings_differ(
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
