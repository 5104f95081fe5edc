//! JPEGs of every make are read right or refused by name, and damaged ones are refused.

mod damage;
mod kinds;

use facefleet::vision::{DecodeError, Picture, PixelLimits};
use image::RgbImage;

fn decode(bytes: &[u8]) -> Result<RgbImage, DecodeError> {
    Picture::decode(bytes, PixelLimits { max_pixels: 100_000_000 })
        .map(|picture| picture.upright(picture.size()))
}

/// The reason for which `bytes` are unreadable.
#[track_caller]
fn reason(bytes: &[u8]) -> String {
    match decode(bytes) {
        Err(DecodeError::Unreadable(reason)) => reason,
        other => panic!("not unreadable: {:?}", other.map(|picture| picture.dimensions())),
    }
}
