//! JPEGs of every kind are decoded correctly or refused with a reason that names the kind, and
//! damaged ones are refused.

mod damage;
mod kinds;

use facefleet::vision::{DecodeError, Picture, PixelLimits};
use image::RgbImage;

fn decode(bytes: &[u8]) -> Result<RgbImage, DecodeError> {
    Picture::decode(bytes, PixelLimits { max_pixels: 100_000_000 })
        .map(|picture| picture.upright(picture.size()))
}

/// The reason why `bytes` are unreadable.
#[track_caller]
fn reason(bytes: &[u8]) -> String {
    match decode(bytes) {
        Err(DecodeError::Unreadable(reason)) => reason,
        other => panic!("not unreadable: {:?}", other.map(|picture| picture.dimensions())),
    }
}
