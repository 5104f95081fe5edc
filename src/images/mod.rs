//! Image sources: fetches images by URI and lists the images below a root; and the cache of what
//! was found in images. Depends on the domain and on the metrics only.
//!
//! Only images below a root that the operator named are fetched. Size and duration of a fetch are
//! limited. The authors of jobs are not trusted: a URI may be written to read other files, to reach
//! servers of the private network, or to keep a worker busy for ever. The operator, the environment
//! and the object stores named there are trusted.

mod address;
mod allowed;
mod aws_profile;
mod body;
mod chips;
mod cover;
mod data;
mod error;
mod fault;
mod files;
mod list;
mod listing;
mod named;
mod objects;
mod reservation;
mod root;
mod rules;
mod sources;
mod trial;
mod walk;
mod web;

pub use allowed::{ImageFolders, OutsideCounts, Places};
pub use chips::{ChipCache, ImageChips, KeptChips};
pub use error::FetchError;
pub use files::FileSource;
pub use list::{
    ImageLists, ImageVersions, ListFormat, ListPlace, ListSources, ListSurvey, SurveyedLists,
    of_uri, resolved,
};
pub use listing::{
    Listing, ListingEntry, ListingError, NotListed, NotListedReason, Presence, is_past,
};
pub use named::{ImageToRead, NamedEntry, NamedImages, NamedPlace};
pub use objects::Objects;
pub use reservation::{MemoryReservation, Unlimited};
pub use root::{Bucket, InvalidRoot, Root, WebRoot, is_location, location_for_people};
pub use rules::{InvalidGlob, Rules};
pub use sources::{Sources, SourcesError};

use std::time::Duration;

use async_trait::async_trait;

use crate::domain::{ImageUri, SourceName};
use body::Body;
use error::{innermost, too_large};

/// A source of images. Test doubles implement it too.
#[async_trait]
pub trait ImageSource: Send + Sync {
    /// All bytes of an image.
    ///
    /// # Errors
    /// See [`FetchError`].
    async fn fetch(&self, image: &ImageUri) -> Result<Vec<u8>, FetchError>;

    /// The same, but reserves the bytes in `memory` before it reads them.
    ///
    /// # Errors
    /// See [`FetchError`]. Also refused if the image can never fit in memory.
    async fn fetch_into(
        &self,
        image: &ImageUri,
        memory: &dyn MemoryReservation,
    ) -> Result<Vec<u8>, FetchError> {
        let bytes = self.fetch(image).await?;
        memory.take(bytes.len() as u64).await?;
        Ok(bytes)
    }

    /// The source that an image is in: the unit that fails and recovers as a whole.
    fn source_of(&self, image: &ImageUri) -> SourceName {
        SourceName::new(format!("{}:", image.scheme()))
    }

    /// The part of its source that an image is in, for sources whose parts fail separately, as
    /// mounted file systems do.
    async fn part_of(&self, _: &ImageUri) -> u64 {
        0
    }

    /// Checks that an image can be read. Keeps no bytes, so the caller need not reserve memory.
    ///
    /// # Errors
    /// See [`FetchError`].
    async fn check_image(&self, image: &ImageUri) -> Result<(), FetchError> {
        self.fetch(image).await.map(|_| ())
    }

    /// Whether other entries next to an image are visible. If so, a missing image is missing by
    /// itself and its source works.
    async fn has_visible_neighbours(&self, _: &ImageUri) -> bool {
        false
    }

    /// Checks whether a source works, as far as possible without one of its images.
    ///
    /// # Errors
    /// What is wrong with the source.
    async fn check_source(&self, _: &SourceName) -> Result<(), String> {
        Ok(())
    }
}

/// Limits of one fetch.
#[derive(Debug, Clone, Copy)]
pub struct FetchLimits {
    /// Most bytes of an image.
    pub max_bytes: u64,
    /// Time for the whole fetch, including redirects and repeated requests.
    pub whole: Duration,
    /// Time until a connection is established.
    pub connect: Duration,
    /// Time without a single byte.
    pub idle: Duration,
    /// Most redirects to follow.
    pub redirects: u32,
}
