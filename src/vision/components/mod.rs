//! Measures the components of a face from its chip, its five landmarks and the size of the image.
//! [`Component`] lists them and says how each becomes 0..100.
//!
//! The regions of the chip stand in for those of ISO/IEC 29794-5, which need 98 landmarks and a
//! segmented face: `region.rs` says which ones.

mod cheeks;
mod framing;
mod luminance;
mod pose;
mod region;
mod sharpness;

use crate::domain::{Chip, Component, Components, Landmarks};
use region::FaceRegion;

/// The components of a face in an image of `size` (width and height, pixels), from its `chip` and
/// its `landmarks` (pixels of the upright image). `other_face` is the area of the largest other
/// face of the image over the area of this one, 0 if there is none.
pub fn of_face(
    chip: &Chip,
    landmarks: &Landmarks,
    size: (u32, u32),
    other_face: f32,
) -> Components {
    let region = FaceRegion::in_image(landmarks, size);
    let pose = pose::Pose::of(landmarks);
    let framing = framing::Framing::of(landmarks, size, pose.yaw);
    let mut components = of_pixels(chip, &region);
    for (component, value) in [
        (Component::InterEyeDistance, framing.inter_eye_px),
        (Component::CropLeft, framing.left),
        (Component::CropRight, framing.right),
        (Component::CutOff, region.outside()),
        (Component::SingleFace, other_face),
        (Component::Yaw, pose.yaw),
        (Component::Pitch, pose.pitch),
        (Component::Roll, pose.roll),
    ] {
        components.set(component, Some(value));
    }
    components
}

/// The components of a face that came as a chip: those of its pixels. Its size and place in an
/// image and its pose are not known.
pub fn of_chip(chip: &Chip) -> Components {
    of_pixels(chip, &FaceRegion::whole())
}

/// The components of pixels; none of a face of which hardly anything lies in the image.
fn of_pixels(chip: &Chip, region: &FaceRegion) -> Components {
    let Some(luminance) = luminance::Luminance::of(chip, region) else {
        return Components::default();
    };
    let cheeks = cheeks::Cheeks::of(chip, region);
    Components::from_iter([
        (Component::UnderExposure, Some(luminance.dark)),
        (Component::OverExposure, Some(luminance.bright)),
        (Component::DynamicRange, Some(luminance.entropy_bits)),
        (Component::LuminanceMean, Some(luminance.mean)),
        (Component::LuminanceVariance, Some(luminance.variance)),
        (Component::IlluminationUniformity, cheeks.as_ref().map(cheeks::Cheeks::uniformity)),
        (Component::NaturalColour, cheeks.as_ref().map(cheeks::Cheeks::distance_from_skin)),
        (Component::Sharpness, sharpness::sharpness(chip, region)),
    ])
}

#[cfg(test)]
mod made {
    //! Made chips, for tests.

    use crate::domain::{CHIP_SIDE, Chip};

    /// The chip whose pixel in each column and row is `pixel(column, row)`, RGB.
    pub fn chip(pixel: impl Fn(usize, usize) -> [u8; 3]) -> Chip {
        let pixel = |at: usize| pixel(at % CHIP_SIDE, at / CHIP_SIDE);
        Chip::new((0..CHIP_SIDE * CHIP_SIDE).flat_map(pixel).collect()).unwrap()
    }

    /// The same with grey pixels.
    pub fn grey(level: impl Fn(usize, usize) -> u8) -> Chip {
        chip(|x, y| [level(x, y); 3])
    }
}
