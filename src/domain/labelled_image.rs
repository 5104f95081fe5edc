//! An image with its listed version, its subject and the hash of its bytes.

use super::{ContentHash, ImageUri, SourceStamp, SubjectName};

/// An image, the version of it that was listed, and whose face it shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelledImage {
    /// Where it is.
    pub image: ImageUri,
    /// Its listed version; none if the source does not give one.
    pub stamp: Option<SourceStamp>,
    /// The subject, if the caller names one.
    pub subject: Option<SubjectName>,
    /// The hash that its bytes must have, if the caller names one.
    pub expected_hash: Option<ContentHash>,
}

impl LabelledImage {
    /// An image of which only the place and the version are known.
    pub fn new(image: ImageUri, stamp: Option<SourceStamp>) -> Self {
        Self { image, stamp, subject: None, expected_hash: None }
    }
}
