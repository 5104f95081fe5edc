//! An image with its listed version and its subject.

use super::{ImageUri, SourceStamp, SubjectName};

/// An image, the version of it that was listed, and whose face it shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelledImage {
    /// Where it is.
    pub image: ImageUri,
    /// Its listed version; none if the source does not give one.
    pub stamp: Option<SourceStamp>,
    /// The subject, if the caller names one.
    pub subject: Option<SubjectName>,
}
