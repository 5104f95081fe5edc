//! Why a fetch failed.

use crate::domain::Outcome;

/// Why an image could not be fetched. No text contains the query of a URL: it may be a signature.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The image can never be read: it is not a regular file, or its name is impossible in its
    /// source. Retrying does not help.
    #[error("{0}")]
    Unreadable(String),
    /// The source reports that the image does not exist. Either the image is missing, or the source
    /// has changed (for example, is not mounted).
    #[error("{0}")]
    NotFound(String),
    /// The source denies this machine access. Either to this image, or because credentials have
    /// expired.
    #[error("{0}")]
    Denied(String),
    /// A limit or the allow-list forbids the image.
    #[error("{0}")]
    Refused(String),
    /// A temporary fault of the source: it does not answer, or reports that it is unavailable.
    #[error("{0}")]
    Outage(String),
    /// A temporary shortage of this machine: out of descriptors, memory or threads. Says nothing
    /// about the image or its source.
    #[error("{0}")]
    Shortage(String),
}

impl FetchError {
    /// The outcome of an image that is not retried.
    pub fn outcome(self) -> Outcome {
        match self {
            Self::Unreadable(reason) | Self::NotFound(reason) | Self::Denied(reason) => {
                Outcome::Unreadable(reason)
            }
            Self::Refused(reason) => Outcome::Refused(reason),
            Self::Outage(reason) | Self::Shortage(reason) => Outcome::Failed(reason),
        }
    }
}

pub(super) fn too_large(bytes: u64, max_bytes: u64) -> FetchError {
    FetchError::Refused(format!(
        "the image has {bytes} bytes, more than the {max_bytes} allowed (setting limits.max_bytes)"
    ))
}

/// The text of the innermost cause. The outer errors repeat it and may add URLs.
pub(super) fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
