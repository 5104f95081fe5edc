//! Pixels: bytes become a picture within limits, pictures become chips. Knows neither networks nor
//! files.

pub mod align;
mod buffer;
mod decode;
mod directory;
mod error;
mod general;
mod guard;
#[cfg(feature = "heif")]
mod heif;
mod jpeg;
mod need;
mod orientation;
pub mod picture;
mod png;
mod riff;
mod tiff;

pub use error::{DecodeError, PixelLimits};
pub use guard::guarded;
pub use need::Need;
pub use picture::{Picture, Scale, encode_chip};
