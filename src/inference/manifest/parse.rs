//! The TOML format of a manifest and its checks.

use std::path::PathBuf;

use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::{InputSpec, Manifest, PublishedFile, RecogniserManifest, Role, Stage};
use crate::domain::{CHIP_SIDE, MatchThresholds};

/// A manifest as in its TOML file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ManifestFile {
    role: RoleName,
    #[serde(default)]
    kind: ManifestKind,
    file: Option<PathBuf>,
    sha256: Option<String>,
    #[serde(default)]
    data: Vec<PublishedFile>,
    licence: String,
    source: String,
    input: InputSpec,
    recogniser: Option<toml::Value>,
    cascade: Option<CascadeFiles>,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "lowercase")]
enum RoleName {
    Detector,
    Recogniser,
}

/// How many networks a manifest describes.
#[derive(Deserialize, Clone, Copy, Default, PartialEq)]
#[serde(rename_all = "lowercase")]
enum ManifestKind {
    /// One network.
    #[default]
    Single,
    /// MTCNN's three networks.
    Mtcnn,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CascadeFiles {
    p: PublishedFile,
    r: PublishedFile,
    o: PublishedFile,
}

impl Manifest {
    /// Parses the text of a manifest with the name `name`.
    ///
    /// # Errors
    /// The reason, in words, if the text is not a valid manifest.
    pub fn parse(name: &str, text: &str) -> Result<Self, String> {
        let mut file: ManifestFile = toml::from_str(text).map_err(|error| error.to_string())?;
        let role = file.read_role()?;
        let InputSpec { mean, scale, .. } = file.input;
        if !(mean.is_finite() && scale.is_finite() && scale != 0.0) {
            return Err("`mean` and `scale` must be finite and `scale` not zero".into());
        }
        match file.kind {
            ManifestKind::Single => file.into_single(name, role),
            ManifestKind::Mtcnn => file.into_cascade(name, &role),
        }
    }
}

impl ManifestFile {
    fn read_role(&mut self) -> Result<Role, String> {
        match (self.role, self.recogniser.take()) {
            (RoleName::Detector, None) => Ok(Role::Detector),
            (RoleName::Detector, Some(_)) => Err("a detector has no [recogniser] table".into()),
            (RoleName::Recogniser, None) => Err("a recogniser needs a [recogniser] table".into()),
            (RoleName::Recogniser, Some(table)) => {
                let recogniser: RecogniserManifest =
                    table.try_into().map_err(|error: toml::de::Error| error.to_string())?;
                self.check_recogniser(&recogniser)?;
                Ok(Role::Recogniser(recogniser))
            }
        }
    }

    fn check_recogniser(&self, recogniser: &RecogniserManifest) -> Result<(), String> {
        if recogniser.embedding == 0 {
            return Err("`embedding` must be at least 1".into());
        }
        if [self.input.width, self.input.height] != [CHIP_SIDE as u32; 2] {
            return Err("a recogniser's input must be 112 x 112 pixels, the size that faces are \
                aligned to"
                .into());
        }
        let RecogniserManifest { alpha, r, .. } = *recogniser;
        if !(alpha > 0.0 && alpha.is_finite() && r.is_finite()) {
            return Err("`alpha` must be positive and `r` a number".into());
        }
        if recogniser.thresholds.iter().any(|thresholds| thresholds.templates.is_none()) {
            return Err(
                "each [[recogniser.thresholds]] needs `templates`, the id of the templates \
                that it was measured on: `facefleet calibrate` writes it"
                    .into(),
            );
        }
        recogniser.thresholds.iter().try_for_each(MatchThresholds::check)
    }

    fn into_single(mut self, name: &str, role: Role) -> Result<Manifest, String> {
        let (Some(file), Some(sha256), None) =
            (self.file.take(), self.sha256.take(), self.cascade.take())
        else {
            return Err("it needs `file` and `sha256`, and no [cascade] table".into());
        };
        let data = std::mem::take(&mut self.data);
        let data = data.into_iter().map(PublishedFile::checked).collect::<Result<Vec<_>, _>>()?;
        Ok(self.network(name.to_owned(), PublishedFile { file, sha256 }.checked()?, data, role))
    }

    fn into_cascade(mut self, name: &str, role: &Role) -> Result<Manifest, String> {
        let own_files = self.file.is_some() || self.sha256.is_some() || !self.data.is_empty();
        let (Some(CascadeFiles { p, r, o }), false, Role::Detector) =
            (self.cascade.take(), own_files, role)
        else {
            return Err(
                "`kind = \"mtcnn\"` needs `role = \"detector\"` and a [cascade] table of p, r and \
                    o, and no `file`, `sha256` or `data`"
                    .into(),
            );
        };
        let network = |letter: &str, published: PublishedFile, stage| -> Result<Manifest, String> {
            let name = format!("{name}.{letter}");
            Ok(self.network(name, published.checked()?, Vec::new(), Role::Stage(stage)))
        };
        let networks = [
            network("p", p, Stage::Proposal)?,
            network("r", r, Stage::Refinement)?,
            network("o", o, Stage::Output)?,
        ];
        let sha256 = identity(networks.iter().map(|network| &network.sha256));
        let first =
            PublishedFile { file: networks[0].file.clone(), sha256: networks[0].sha256.clone() };
        let role = Role::Cascade(Box::new(networks));
        Ok(Manifest { sha256, ..self.network(name.to_owned(), first, Vec::new(), role) })
    }

    /// The manifest of the network in the file `published`, with weights in the files `data`.
    fn network(
        &self,
        name: String,
        published: PublishedFile,
        data: Vec<PublishedFile>,
        role: Role,
    ) -> Manifest {
        let digests = [&published.sha256].into_iter().chain(data.iter().map(|file| &file.sha256));
        Manifest {
            name,
            file: published.file,
            sha256: identity(digests),
            file_sha256: published.sha256,
            data,
            licence: self.licence.clone(),
            source: self.source.clone(),
            input: self.input.clone(),
            role,
        }
    }
}

impl PublishedFile {
    fn checked(self) -> Result<Self, String> {
        let sha256 = self.sha256.to_ascii_lowercase();
        if sha256.len() != 64 || !sha256.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err("`sha256` must be 64 hex digits".into());
        }
        Ok(Self { file: self.file, sha256 })
    }
}

/// One digest for all files: that of the only file, or of the concatenated digests.
fn identity<'a>(digests: impl IntoIterator<Item = &'a String>) -> String {
    let digests: Vec<&str> = digests.into_iter().map(String::as_str).collect();
    match digests.as_slice() {
        [only] => (*only).to_owned(),
        several => {
            Sha256::digest(several.concat()).iter().map(|byte| format!("{byte:02x}")).collect()
        }
    }
}
