//! An image with what the caller knows of it.

use super::{ImageUri, SourceStamp, SubjectName};

/// An image, the version of it that was listed, and whose face it shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelledImage {
    /// Where it is.
    pub image: ImageUri,
    /// Its listed version; none if the source does not give one.
    pub stamp: Option<SourceStamp>,
    /// Whose face it shows, if that is known.
    pub subject: Option<SubjectName>,
}
