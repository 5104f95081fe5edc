//! Where bytes come from: fetching an image by URI and listing the images of a folder. Knows the domain only.
//!
//! What is not under a root that the operator named is not fetched, and no more bytes are read than allowed.

mod files;
mod listing;

pub use files::FileSource;
pub use listing::{Listed, Listing, ListingError};

use async_trait::async_trait;

use crate::domain::ImageUri;

/// Why an image's bytes did not come.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// It is not there, or may not be read: it will not come by trying again.
    #[error("{0}")]
    Unreadable(String),
    /// A limit or the allow-list forbids it.
    #[error("{0}")]
    Refused(String),
    /// Passing: try again.
    #[error("{0}")]
    Transient(String),
}

/// Where images are fetched from.
#[async_trait]
pub trait ImageSource: Send + Sync {
    /// All bytes of an image.
    ///
    /// # Errors
    /// See [`FetchError`].
    async fn fetch(&self, image: &ImageUri) -> Result<Vec<u8>, FetchError>;
}
