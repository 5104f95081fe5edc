//! Verification: is it the person? A face is compared with all references of one subject.

use super::subjects::{SubjectError, find_subject};
use crate::domain::{GalleryName, ImageId, ImageUri, ProfileId, SubjectName, Template};
use crate::store::{ReferenceTemplate, Store};

/// Why nothing can be compared with a subject.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// There is no such subject, or the store failed.
    #[error(transparent)]
    Subject(#[from] SubjectError),
    /// The subject has no reference to compare with.
    #[error(
        "'{}' has no active reference with a template under profile {profile}: `facefleet subject \
         show` says what was set aside, and `facefleet enrol` enrols",
        name.as_str()
    )]
    NoReference {
        /// The subject.
        name: SubjectName,
        /// The profile.
        profile: ProfileId,
    },
}

/// A subject to compare with: the templates of its active references under one profile.
#[derive(Debug)]
pub struct KnownSubject {
    first: KnownReference,
    others: Vec<KnownReference>,
}

/// A reference with the URI of its image.
type KnownReference = (ReferenceTemplate, Option<ImageUri>);

/// The reference of a subject that is most similar to a face.
#[derive(Debug, Clone, PartialEq)]
pub struct BestReference {
    /// Cosine of the two templates, -1 to 1.
    pub similarity: f64,
    /// The image of the reference.
    pub image: ImageId,
    /// Its URI; none if the reference was added while it was read.
    pub uri: Option<ImageUri>,
    /// Quality of its face, 0 to 100.
    pub quality: u8,
}

impl KnownSubject {
    /// Reads the references of a subject under `profile`.
    ///
    /// # Errors
    /// If there is no such subject, it has no reference with a template under this profile, or the
    /// store cannot be read.
    pub async fn read(
        store: &dyn Store,
        gallery: &GalleryName,
        profile: &ProfileId,
        name: &SubjectName,
    ) -> Result<Self, VerifyError> {
        let subject = find_subject(store, gallery, name).await?;
        let read = store.reference_templates(gallery, profile, Some(name)).await;
        let templates = read.map_err(SubjectError::from)?;
        let uri = |image: ImageId| {
            let found = subject.references.iter().find(|reference| reference.image == image);
            found.map(|reference| reference.uri.clone())
        };
        let with_uri = |found: ReferenceTemplate| {
            let uri = uri(found.image);
            (found, uri)
        };
        let mut references = templates.into_iter().map(with_uri);
        let Some(first) = references.next() else {
            return Err(VerifyError::NoReference { name: name.clone(), profile: profile.clone() });
        };
        Ok(Self { first, others: references.collect() })
    }

    /// The number of references that faces are compared with, at least 1.
    pub fn references(&self) -> usize {
        self.others.len() + 1
    }

    /// The reference that is most similar to `template`, a template of the same networks.
    pub fn best(&self, template: &Template) -> BestReference {
        let similarity = |known: &KnownReference| known.0.template.similarity(template);
        let mut best = (similarity(&self.first), &self.first);
        for other in &self.others {
            let found = similarity(other);
            if found > best.0 {
                best = (found, other);
            }
        }
        let (similarity, (ReferenceTemplate { image, quality, .. }, uri)) = best;
        BestReference { similarity, image: *image, uri: uri.clone(), quality: *quality }
    }
}
