//! Where bytes come from: fetching an image by URI and listing the images below a root. Knows the
//! domain only.
//!
//! What is not below a root that the operator named is not fetched, no more bytes are read than
//! allowed, and no fetch takes longer than allowed. Whoever writes jobs is not trusted: a URI may
//! be made to read other files, to reach this network's own servers, or to keep a worker busy for
//! ever. The operator, the environment and the object stores named there are trusted.

mod address;
mod aws_profile;
mod data;
mod fault;
mod files;
mod listed;
mod listing;
mod objects;
mod root;
mod rules;
mod sources;
mod walk;
mod web;

pub use files::FileSource;
pub use listed::{Listed, ListingError, Other, Why};
pub use listing::{Listing, is_past};
pub use objects::Objects;
pub use root::{Bucket, InvalidRoot, Root, WebRoot};
pub use rules::{InvalidGlob, Rules};
pub use sources::{Sources, SourcesError};

use std::time::Duration;

use async_trait::async_trait;

use crate::domain::{ImageUri, Outcome, SourceName};

/// Why an image's bytes did not come. No text holds a query of a URL, which may be a signature.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// It can never be read: no regular file, a name that no source has. It will not come by trying
    /// again.
    #[error("{0}")]
    Unreadable(String),
    /// Its source says that it is not there: true of the image, or of a source that is not what it
    /// was.
    #[error("{0}")]
    NotThere(String),
    /// Its source does not let this machine read it: true of the image, or of credentials that have
    /// run out.
    #[error("{0}")]
    Denied(String),
    /// A limit or the allow-list forbids it.
    #[error("{0}")]
    Refused(String),
    /// Passing, and the source's: it does not answer, or says that it cannot now.
    #[error("{0}")]
    Outage(String),
    /// Passing, and this machine's: it is out of descriptors, memory or threads. Says nothing of
    /// image or source.
    #[error("{0}")]
    Local(String),
}

impl FetchError {
    /// How an image ends that is not tried again.
    pub fn outcome(self) -> Outcome {
        match self {
            Self::Unreadable(reason) | Self::NotThere(reason) | Self::Denied(reason) => {
                Outcome::Unreadable(reason)
            }
            Self::Refused(reason) => Outcome::Refused(reason),
            Self::Outage(reason) | Self::Local(reason) => Outcome::Failed(reason),
        }
    }
}

/// Where images are fetched from.
#[async_trait]
pub trait ImageSource: Send + Sync {
    /// All bytes of an image.
    ///
    /// # Errors
    /// See [`FetchError`].
    async fn fetch(&self, image: &ImageUri) -> Result<Vec<u8>, FetchError>;

    /// The same, with memory for the bytes taken from `room` before they are read.
    ///
    /// # Errors
    /// See [`FetchError`]; refused too if there can never be room.
    async fn fetch_into(&self, image: &ImageUri, room: &dyn Room) -> Result<Vec<u8>, FetchError> {
        let bytes = self.fetch(image).await?;
        room.take(bytes.len() as u64).await?;
        Ok(bytes)
    }

    /// The source that an image is in: what fails and comes back as one.
    fn source_of(&self, image: &ImageUri) -> SourceName {
        SourceName::new(format!("{}:", image.scheme()))
    }

    /// Which part of its source an image is in, where parts come and go by themselves, as mounted
    /// file systems do.
    async fn part_of(&self, _: &ImageUri) -> u64 {
        0
    }

    /// Sees that an image can be read, and keeps nothing of it: this takes no memory that anybody
    /// has to reserve.
    ///
    /// # Errors
    /// See [`FetchError`].
    async fn touch(&self, image: &ImageUri) -> Result<(), FetchError> {
        self.fetch(image).await.map(|_| ())
    }

    /// Whether what lies beside an image can be seen. Then that it is not there is true of the
    /// image alone.
    async fn sees_around(&self, _: &ImageUri) -> bool {
        false
    }

    /// Looks whether a source is there, as far as that can be told without one of its images.
    ///
    /// # Errors
    /// What is wrong with it.
    async fn look(&self, _: &SourceName) -> Result<(), String> {
        Ok(())
    }
}

/// Memory for the bytes of one image.
#[async_trait]
pub trait Room: Send + Sync {
    /// Waits until there is room for `bytes`, in place of what was taken before.
    ///
    /// # Errors
    /// Refused, if there can never be.
    async fn take(&self, bytes: u64) -> Result<(), FetchError>;

    /// How long this image has waited for room, now included. No source is to blame for it.
    fn waited(&self) -> Duration;
}

/// Room for everything: the caller knows that it is enough.
pub struct Boundless;

#[async_trait]
impl Room for Boundless {
    async fn take(&self, _bytes: u64) -> Result<(), FetchError> {
        Ok(())
    }

    fn waited(&self) -> Duration {
        Duration::ZERO
    }
}

/// How much, and for how long, one fetch may take.
#[derive(Debug, Clone, Copy)]
pub struct FetchLimits {
    /// Bytes of an image.
    pub max_bytes: u64,
    /// The whole fetch, redirects and repeated requests included.
    pub whole: Duration,
    /// Until a connection stands.
    pub connect: Duration,
    /// Without a single byte.
    pub idle: Duration,
    /// Redirects followed.
    pub redirects: u32,
}

fn too_large(bytes: u64, max_bytes: u64) -> FetchError {
    FetchError::Refused(format!(
        "{bytes} bytes are more than the {max_bytes} allowed (setting limits.max_bytes)"
    ))
}

/// Collects the chunks of a body. Claims of its length are not trusted: no more is allocated for
/// one than [`Body::BELIEVED`].
struct Body<'a> {
    bytes: Vec<u8>,
    received: u64,
    max_bytes: u64,
    /// Where memory for the bytes comes from. None: they are counted and dropped.
    room: Option<&'a dyn Room>,
}

impl<'a> Body<'a> {
    const BELIEVED: u64 = 1 << 20;

    /// A body whose bytes are kept, in memory taken from `room`.
    fn kept(max_bytes: u64, room: &'a dyn Room) -> Self {
        Self { bytes: Vec::new(), received: 0, max_bytes, room: Some(room) }
    }

    /// A body that is read to its end without keeping any of it.
    fn dropped(max_bytes: u64) -> Self {
        Self { bytes: Vec::new(), received: 0, max_bytes, room: None }
    }

    /// Takes room for a body that claims to have `claimed` bytes; for one without a claim, for the
    /// longest.
    async fn begin(&mut self, claimed: Option<u64>) -> Result<(), FetchError> {
        if let Some(claimed) = claimed.filter(|&claimed| claimed > self.max_bytes) {
            return Err(too_large(claimed, self.max_bytes));
        }
        self.max_bytes = claimed.unwrap_or(self.max_bytes);
        if let Some(room) = self.room {
            room.take(self.max_bytes).await?;
            let at_once = usize::try_from(claimed.unwrap_or(0).min(Self::BELIEVED)).unwrap_or(0);
            self.bytes.reserve_exact(at_once);
        }
        Ok(())
    }

    fn push(&mut self, chunk: &[u8]) -> Result<(), FetchError> {
        self.received += chunk.len() as u64;
        if self.received > self.max_bytes {
            return Err(FetchError::Refused(format!(
                "it has more than the {} bytes allowed (setting limits.max_bytes)",
                self.max_bytes
            )));
        }
        if self.room.is_some() {
            self.bytes.extend_from_slice(chunk);
        }
        Ok(())
    }

    /// The bytes, in memory of their own size, for which there is room.
    async fn end(mut self) -> Result<Vec<u8>, FetchError> {
        self.bytes.shrink_to_fit();
        if let Some(room) = self.room {
            room.take(self.bytes.len() as u64).await?;
        }
        Ok(self.bytes)
    }
}

/// The text of the innermost cause: the outer ones repeat it and may add URLs.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_dropped_body_takes_no_memory_and_has_the_same_limit() {
        let mut body = Body::dropped(10 << 20);
        body.begin(None).await.unwrap();
        for _ in 0..10 {
            body.push(&[0; 1 << 20]).unwrap();
        }
        assert_eq!(body.bytes.capacity(), 0);
        let Err(FetchError::Refused(_)) = body.push(&[0]) else {
            panic!("it is longer than allowed")
        };
        assert!(Body::dropped(10).begin(Some(11)).await.is_err());
    }
}
