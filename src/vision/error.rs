//! Errors of decoding, and limits of pictures.

/// Why an image could not be decoded or analysed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The bytes are not a complete image of a supported format.
    #[error("{0}")]
    Unreadable(String),
    /// The image is larger than allowed.
    #[error("{0}")]
    TooLarge(String),
    /// The analysis failed for a reason that is not the image's.
    #[error("{0}")]
    Failed(String),
}

/// The longest side of an image, pixels. Resizing tables take about 30 bytes for each pixel of a
/// side. Photos are much smaller.
const MOST_SIDE: u64 = 1_000_000;

/// Limits on the size of a decoded image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PixelLimits {
    /// Most pixels: width times height. Checked from the header, before memory is allocated.
    pub max_pixels: u64,
}

impl PixelLimits {
    /// Checks the size in a header.
    ///
    /// # Errors
    /// If the image has no pixels, or more than allowed.
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
                "{width}x{height}: images with a side of more than {MOST_SIDE} pixels are not \
                 supported"
            );
            return Err(DecodeError::TooLarge(reason));
        }
        if pixels == 0 {
            return Err(unreadable("the image has no pixels"));
        }
        Ok(())
    }
}

/// The error of an image that cannot be read because of `reason`.
pub(super) fn unreadable(reason: impl Into<String>) -> DecodeError {
    DecodeError::Unreadable(reason.into())
}
