//! The components of the sample photos under degradations: each component falls with its own
//! degradation and changes little with the others. The landmarks are those of the photo as it is.
#![allow(clippy::print_stdout, reason = "prints the measured numbers for --nocapture")]

use facefleet::domain::{Component, Components, Landmarks, Point};
use facefleet::vision::align::AffineTransform;
use facefleet::vision::{Picture, PixelLimits, components};
use image::imageops::{self, FilterType};
use image::{Rgb, RgbImage};

use crate::support::{app, sample};

/// Photos of one face each, sharp, well lit and in colour.
const GOOD: [&str; 4] = ["astronaut.png", "biden.jpg", "obama.jpg", "obama2.jpg"];

/// A photo and the landmarks of its face.
struct Portrait {
    name: &'static str,
    image: RgbImage,
    landmarks: Landmarks,
    /// The area of another face over that of this one.
    other_face: f32,
}

impl Portrait {
    fn components(&self) -> Components {
        let picture = Picture::from_rgb(self.image.clone());
        let chip = picture.chip(&self.landmarks).unwrap();
        components::of_face(&chip, &self.landmarks, self.image.dimensions(), self.other_face)
    }

    /// The surroundings of the face: what lies further away costs time.
    fn cropped(&self) -> Self {
        let [right, ..] = self.landmarks;
        let margin = 3.0 * self.inter_eye();
        let (x, y) = ((right.x - margin).max(0.0) as u32, (right.y - margin).max(0.0) as u32);
        let side = (7.0 * self.inter_eye()) as u32;
        self.part(x, y, side, side)
    }

    /// The part of the photo from column `x` and row `y` on.
    fn part(&self, x: u32, y: u32, width: u32, height: u32) -> Self {
        let image = imageops::crop_imm(&self.image, x, y, width, height).to_image();
        let moved = |point: Point| Point { x: point.x - x as f32, y: point.y - y as f32 };
        Self { image, landmarks: self.landmarks.map(moved), ..*self }
    }

    /// The photo turned clockwise about its centre.
    fn turned(&self, degrees: f32) -> Self {
        let (sin, cos) = f64::from(degrees).to_radians().sin_cos();
        let (width, height) = self.image.dimensions();
        let (x, y) = (f64::from(width) / 2.0, f64::from(height) / 2.0);
        let about = |xy: f64| AffineTransform {
            xx: cos,
            xy,
            x0: x - cos * x - xy * y,
            yx: -xy,
            yy: cos,
            y0: y + xy * x - cos * y,
        };
        let (there, back) = (about(-sin), about(sin));
        let pixels = back.sample(&self.image, width as usize, height as usize);
        let landmarks = self.landmarks.map(|point| {
            let (x, y) = there.apply((f64::from(point.x), f64::from(point.y)));
            Point { x: x as f32, y: y as f32 }
        });
        Self { landmarks, ..self.with(RgbImage::from_raw(width, height, pixels).unwrap()) }
    }

    /// The photo with the tip of the nose elsewhere: inter-eye distances to the right and down.
    fn with_nose(&self, right: f32, down: f32) -> Self {
        let mut landmarks = self.landmarks;
        landmarks[2].x += right * self.inter_eye();
        landmarks[2].y += down * self.inter_eye();
        Self { landmarks, ..self.with(self.image.clone()) }
    }

    /// The same with other pixels at the same places.
    fn with(&self, image: RgbImage) -> Self {
        Self { image, ..*self }
    }

    /// The distance between the eyes, pixels.
    fn inter_eye(&self) -> f32 {
        let [right, left, ..] = self.landmarks;
        (left.x - right.x).hypot(left.y - right.y)
    }

    /// Mean luma of the cheek below the eye at this place, as in [`Self::lit`].
    fn light(&self, place: f32) -> f32 {
        let [right, left, _, mouth, _] = self.landmarks;
        let side = (0.3 * self.inter_eye()) as u32;
        let x = right.x + place * (left.x - right.x) - side as f32 / 2.0;
        let y = (right.y + mouth.y) / 2.0;
        let cheek = imageops::crop_imm(&self.image, x as u32, y as u32, side, side).to_image();
        let sum: u32 = cheek.pixels().flat_map(|Rgb(pixel)| pixel.map(u32::from)).sum();
        sum as f32 / (3 * side * side) as f32
    }

    /// The same after `change` of the linear light (0 to 1) of each pixel at its place, of which 0
    /// is at the right eye and 1 at the left one.
    fn lit(&self, change: impl Fn(f32, [f32; 3]) -> [f32; 3]) -> Self {
        let [right, left, ..] = self.landmarks;
        let mut image = self.image.clone();
        for (x, _, Rgb(pixel)) in image.enumerate_pixels_mut() {
            let place = (x as f32 - right.x) / (left.x - right.x);
            let light = change(place, pixel.map(|value| decoded(f32::from(value) / 255.0)));
            *pixel = light.map(|light| (255.0 * encoded(light.clamp(0.0, 1.0))).round() as u8);
        }
        self.with(image)
    }
}

/// Linear light of an sRGB value, and back (IEC 61966-2-1).
fn decoded(value: f32) -> f32 {
    if value <= 0.04045 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
}

/// See [`decoded`].
fn encoded(light: f32) -> f32 {
    if light <= 0.003_130_8 { light * 12.92 } else { 1.055 * light.powf(1.0 / 2.4) - 0.055 }
}

async fn portraits() -> Vec<Portrait> {
    let processor = app().processor(&[], false).unwrap();
    let mut portraits = Vec::new();
    for name in GOOD {
        let bytes = sample(name);
        let limits = PixelLimits { max_pixels: 100_000_000 };
        let picture = Picture::decode(&bytes, limits).unwrap();
        let analysis = processor.analyse(bytes).await.unwrap();
        let landmarks = analysis.outcome.faces()[0].face.landmarks.unwrap();
        let image = picture.upright(picture.size());
        portraits.push(Portrait { name, image, landmarks, other_face: 0.0 }.cropped());
    }
    portraits
}

/// A way to spoil a photo, in strengths from weak to strong.
struct Degradation {
    name: &'static str,
    strengths: [f32; 5],
    spoil: fn(&Portrait, f32) -> Portrait,
    /// The components that must fall, step by step.
    own: &'static [Component],
    /// Those that may change too, because they see the same thing.
    related: &'static [Component],
}

/// The most points that a component which has nothing to do with a degradation may change by, at
/// any strength.
const LITTLE: f64 = 20.0;

const DEGRADATIONS: &[Degradation] = &[
    Degradation {
        name: "blur",
        strengths: [0.02, 0.04, 0.06, 0.08, 0.1],
        spoil: |portrait, share| {
            portrait.with(imageops::blur(&portrait.image, share * portrait.inter_eye()))
        },
        own: &[Component::Sharpness],
        // Blur averages light and shade.
        related: &[Component::LuminanceVariance],
    },
    Degradation {
        name: "downscaling",
        strengths: [0.8, 0.6, 0.4, 0.3, 0.2],
        spoil: |portrait, scale| {
            let (width, height) = portrait.image.dimensions();
            let side = |side: u32| ((side as f32 * scale).round() as u32).max(1);
            let (width, height) = (side(width), side(height));
            let image = imageops::resize(&portrait.image, width, height, FilterType::Triangle);
            let along = |value: f32| (value + 0.5) * scale - 0.5;
            let landmarks =
                portrait.landmarks.map(|Point { x, y }| Point { x: along(x), y: along(y) });
            Portrait { image, landmarks, ..*portrait }
        },
        own: &[Component::InterEyeDistance],
        related: &[Component::Sharpness],
    },
    Degradation {
        name: "darkening",
        strengths: [0.4, 0.2, 0.1, 0.05, 0.02],
        spoil: |portrait, light| portrait.lit(|_, pixel| pixel.map(|value| value * light)),
        own: &[Component::LuminanceMean, Component::UnderExposure, Component::DynamicRange],
        related: &[
            Component::LuminanceVariance,
            Component::IlluminationUniformity,
            Component::NaturalColour,
        ],
    },
    Degradation {
        name: "over-exposure",
        strengths: [1.5, 3.0, 5.0, 8.0, 16.0],
        spoil: |portrait, light| portrait.lit(|_, pixel| pixel.map(|value| value * light)),
        own: &[Component::OverExposure],
        related: &[
            Component::LuminanceMean,
            Component::UnderExposure,
            Component::DynamicRange,
            Component::LuminanceVariance,
            Component::IlluminationUniformity,
            Component::NaturalColour,
            Component::Sharpness,
        ],
    },
    Degradation {
        name: "loss of contrast",
        strengths: [0.7, 0.5, 0.3, 0.15, 0.05],
        spoil: |portrait, contrast| {
            let mean = 0.25;
            portrait.lit(|_, pixel| pixel.map(|value| mean + contrast * (value - mean)))
        },
        own: &[Component::DynamicRange],
        related: &[
            Component::LuminanceVariance,
            Component::LuminanceMean,
            Component::UnderExposure,
            Component::OverExposure,
            Component::IlluminationUniformity,
            Component::NaturalColour,
        ],
    },
    Degradation {
        name: "light from one side",
        strengths: [0.8, 0.6, 0.4, 0.2, 0.05],
        spoil: |portrait, least| {
            // Across the face, towards the side that is darker already.
            let towards_left_eye = portrait.light(1.0) < portrait.light(0.0);
            portrait.lit(|place, pixel| {
                let place = if towards_left_eye { place } else { 1.0 - place };
                let light = 1.0 - (1.0 - least) * place.clamp(0.0, 1.0);
                pixel.map(|value| value * light)
            })
        },
        own: &[Component::IlluminationUniformity],
        related: &[
            Component::LuminanceMean,
            Component::UnderExposure,
            Component::OverExposure,
            Component::DynamicRange,
            Component::LuminanceVariance,
        ],
    },
    Degradation {
        name: "colour cast",
        strengths: [0.9, 0.7, 0.5, 0.3, 0.1],
        spoil: |portrait, red| {
            // Of equal luminance for grey: less red, as much more of green and blue.
            let rest = (1.0 - 0.2126 * red) / (1.0 - 0.2126);
            portrait.lit(|_, [r, g, b]| [r * red, g * rest, b * rest])
        },
        own: &[Component::NaturalColour],
        related: &[
            Component::LuminanceMean,
            Component::LuminanceVariance,
            Component::UnderExposure,
        ],
    },
    Degradation {
        name: "turning the photo",
        strengths: [15.0, 30.0, 45.0, 60.0, 80.0],
        spoil: |portrait, degrees| portrait.turned(degrees),
        own: &[Component::Roll],
        related: &[Component::CropLeft, Component::CropRight, Component::CutOff],
    },
    Degradation {
        name: "a nose to the right",
        strengths: [0.1, 0.2, 0.3, 0.4, 0.5],
        spoil: |portrait, right| {
            // Of a head that looks to the left already, to the left.
            let yaw = portrait.components().get(Component::Yaw).unwrap();
            portrait.with_nose(right.copysign(yaw), 0.0)
        },
        own: &[Component::Yaw],
        // The chip turns with the nose, and with it what is below the eyes.
        related: &[Component::IlluminationUniformity],
    },
    Degradation {
        name: "a nose up",
        strengths: [0.1, 0.2, 0.3, 0.4, 0.5],
        spoil: |portrait, up| {
            let pitch = portrait.components().get(Component::Pitch).unwrap();
            portrait.with_nose(0.0, -up.copysign(pitch))
        },
        own: &[Component::Pitch],
        related: &[],
    },
    Degradation {
        name: "cutting the left of the photo",
        strengths: [1.0, 0.85, 0.7, 0.5, 0.35],
        spoil: |portrait, left| {
            let x = (portrait.landmarks[0].x - left * portrait.inter_eye()) as u32;
            let (width, height) = portrait.image.dimensions();
            portrait.part(x, 0, width - x, height)
        },
        own: &[Component::CropLeft, Component::CutOff],
        related: &[],
    },
    Degradation {
        name: "another face",
        strengths: [0.1, 0.2, 0.4, 0.6, 1.0],
        spoil: |portrait, other_face| Portrait {
            other_face,
            ..portrait.with(portrait.image.clone())
        },
        own: &[Component::SingleFace],
        related: &[],
    },
];

/// The 0..100 of a component.
fn rating(components: &Components, component: Component) -> f64 {
    component.rating(components.get(component).unwrap())
}

#[tokio::test]
async fn each_component_falls_with_its_own_degradation_and_little_with_the_others() {
    let mut faults = Vec::new();
    for portrait in portraits().await {
        let clean = portrait.components();
        for Degradation { name, strengths, spoil, own, related } in DEGRADATIONS {
            let spoiled = strengths.map(|strength| spoil(&portrait, strength).components());
            for component in Component::all() {
                let before = rating(&clean, component);
                let after = spoiled.map(|components| rating(&components, component));
                let line =
                    format!("{name}, {}: {component:?} {before:.1} -> {after:.1?}", portrait.name);
                println!("{line}");
                if own.contains(&component) {
                    let falls = after.windows(2).all(|pair| pair[1] <= pair[0] + 1e-9);
                    if !falls
                        || after[0] > before + 1e-9
                        || after[4] > before - before.min(40.0) / 2.0
                    {
                        faults.push(format!("does not fall: {line}"));
                    }
                } else if !related.contains(&component) {
                    let moved = after.map(|after| (after - before).abs());
                    if moved.iter().any(|moved| *moved > LITTLE) {
                        faults.push(format!("changes: {line}"));
                    }
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
