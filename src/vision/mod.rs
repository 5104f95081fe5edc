//! Pixels: decodes bytes into pictures within limits, and cuts chips out of pictures. Depends
//! neither on networks nor on file access.

pub mod align;
mod buffer;
pub mod components;
mod decode;
mod directory;
mod error;
mod general;
mod guard;
#[cfg(feature = "heif")]
mod heif;
mod jpeg;
mod marks;
mod need;
mod orientation;
pub mod picture;
pub mod picture_hash;
mod png;
mod riff;
mod tiff;

pub use error::{DecodeError, PixelLimits};
pub use guard::guarded;
pub use need::Need;
pub use picture::{Picture, Scale, encode_chip};
