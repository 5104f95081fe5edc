//! Why bytes did not become a picture, and how large one may be.

/// Why bytes did not become a picture.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// They are no whole image of a format we read.
    #[error("{0}")]
    Unreadable(String),
    /// The image is larger than allowed.
    #[error("{0}")]
    TooLarge(String),
    /// Looking at the image broke: no fault of the image's.
    #[error("{0}")]
    Failed(String),
}

/// The longest side of an image, pixels. Tables for its resizing take about 30 bytes for each pixel
/// of a side; no photo is nearly so long.
const MOST_SIDE: u64 = 1_000_000;

/// How large an image may be once decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PixelLimits {
    /// Width times height. Checked from the header, before memory is asked for.
    pub max_pixels: u64,
}

impl PixelLimits {
    /// Checks the size that a header promises.
    ///
    /// # Errors
    /// If there are no pixels, or more than allowed.
    pub(super) fn check(self, width: u64, height: u64) -> Result<(), DecodeError> {
        let pixels = width.saturating_mul(height);
        if pixels > self.max_pixels {
            let reason = format!(
                "{width}x{height} is {pixels} pixels, more than limits.max_pixels = {} allows",
                self.max_pixels
            );
            return Err(DecodeError::TooLarge(reason));
        }
        if width.max(height) > MOST_SIDE {
            let reason = format!(
                "{width}x{height}: images with a side of more than {MOST_SIDE} pixels are not read"
            );
            return Err(DecodeError::TooLarge(reason));
        }
        if pixels == 0 {
            return Err(unreadable("the image has no pixels"));
        }
        Ok(())
    }
}

/// An image that cannot be read, for `reason`.
pub(super) fn unreadable(reason: impl Into<String>) -> DecodeError {
    DecodeError::Unreadable(reason.into())
}
