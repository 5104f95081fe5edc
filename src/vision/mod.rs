//! Pixels: bytes become a picture within limits, pictures become chips. Knows neither networks nor files.

pub mod align;
mod jpeg;
pub mod picture;
mod riff;

pub use picture::{DecodeError, Picture, PixelLimits, Scale, encode_chip};
