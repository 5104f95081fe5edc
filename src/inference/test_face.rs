//! The self-test of detectors: a drawn face. When a detector is prepared, it must find the face
//! where it was drawn. When it is opened, it must find it where it found it then.

use image::{Rgb, RgbImage};

use super::model::{ModelError, self_test};
use crate::domain::{BoundingBox, Face, Point};

/// Side of the test image, in pixels.
pub const SIDE: u32 = 160;
/// Half the face's width, in pixels: the unit of the drawing. Its origin is the centre of the
/// image.
const UNIT: f32 = 48.0;
/// The least confidence of the face in the test image. `YuNet` has 0.93, MTCNN 0.9999.
pub const MIN_SCORE: f32 = 0.5;

/// An ellipse of the drawing: centre, half axes, colour. Those of [`HALF`] are drawn on both sides.
type Ellipse = (f32, f32, f32, f32, [u8; 3]);

/// From back to front: shoulders, neck, hair, face, fringe.
const HEAD: [Ellipse; 5] = [
    (0.0, 2.4, 1.7, 1.0, [60, 70, 110]),
    (0.0, 1.3, 0.5, 0.55, [180, 135, 110]),
    (0.0, -0.25, 1.15, 1.3, [50, 35, 28]),
    (0.0, 0.0, 0.95, 1.28, [214, 168, 140]),
    (0.0, -1.06, 0.8, 0.32, [50, 35, 28]),
];
/// On each side: eye socket, brow, eye, iris, lid, side of the nose, nostril.
const HALF: [Ellipse; 7] = [
    (0.4, -0.2, 0.27, 0.17, [180, 130, 108]),
    (0.4, -0.41, 0.25, 0.06, [55, 38, 30]),
    (0.4, -0.18, 0.19, 0.1, [235, 230, 225]),
    (0.4, -0.18, 0.09, 0.095, [45, 30, 25]),
    (0.4, -0.265, 0.2, 0.03, [60, 40, 35]),
    (0.14, 0.12, 0.04, 0.24, [190, 140, 115]),
    (0.11, 0.34, 0.07, 0.04, [95, 55, 45]),
];
/// Ridge of the nose, lips, the line between them, the shadow below.
const MIDDLE: [Ellipse; 4] = [
    (0.0, 0.05, 0.05, 0.25, [235, 195, 170]),
    (0.0, 0.66, 0.33, 0.1, [175, 85, 80]),
    (0.0, 0.655, 0.3, 0.025, [95, 40, 40]),
    (0.0, 0.83, 0.25, 0.05, [185, 138, 115]),
];
/// Eyes, tip of the nose, corners of the mouth.
const LANDMARKS: [(f32, f32); 5] =
    [(-0.4, -0.18), (0.4, -0.18), (0.0, 0.3), (-0.33, 0.66), (0.33, 0.66)];

/// The test image.
pub fn image() -> RgbImage {
    let mirrored = HALF.map(|(x, y, width, height, colour)| (-x, y, width, height, colour));
    let ellipses: Vec<Ellipse> = [&HEAD[..], &HALF, &mirrored, &MIDDLE].concat();
    RgbImage::from_fn(SIDE, SIDE, |x, y| {
        let unit = |pixel: u32| (pixel as f32 + 0.5 - SIDE as f32 / 2.0) / UNIT;
        let (x, y) = (unit(x), unit(y));
        let over = |below: [f32; 3], &(cx, cy, width, height, colour): &Ellipse| {
            let distance = ((x - cx) / width).powi(2) + ((y - cy) / height).powi(2);
            let cover = ((1.1 - distance) / 0.4).clamp(0.0, 1.0);
            [0, 1, 2]
                .map(|channel| below[channel] * (1.0 - cover) + f32::from(colour[channel]) * cover)
        };
        Rgb(ellipses.iter().fold([150.0, 160.0, 170.0], over).map(|value| value as u8))
    })
}

/// Places of the test image on a canvas, in pixels from the upper left corner.
pub const SHIFTS: [(u32, u32); 4] = [(0, 0), (32, 0), (0, 32), (64, 32)];

/// The test image at `shift` on a black canvas with sides of `side` pixels, which cuts off what
/// does not fit.
pub fn shifted(side: usize, shift: (u32, u32)) -> RgbImage {
    let mut canvas = RgbImage::new(side as u32, side as u32);
    image::imageops::replace(&mut canvas, &image(), shift.0.into(), shift.1.into());
    canvas
}

/// The face as it was drawn.
fn drawn() -> Face {
    let pixel = |unit: f32| SIDE as f32 / 2.0 + unit * UNIT;
    let (width, height) = (2.0 * 0.95 * UNIT, 2.0 * 1.28 * UNIT);
    Face {
        bbox: BoundingBox { x: pixel(-0.95), y: pixel(-1.28), width, height },
        landmarks: Some(LANDMARKS.map(|(x, y)| Point { x: pixel(x), y: pixel(y) })),
        detector_score: None,
    }
}

/// How far a face may be from the expected one.
struct Tolerance {
    /// The least intersection over union of the boxes.
    iou: f32,
    /// The largest mean distance of the landmarks, in distances between the eyes.
    landmarks: f32,
}

/// Each detector has its own convention for boxes and landmarks.
const TO_DRAWN_FACE: Tolerance = Tolerance { iou: 0.5, landmarks: 0.2 };
/// Other devices and larger canvases differ in the third digit, or prefer the other of two cells
/// that see the same face.
const TO_RECORDED_FACE: Tolerance = Tolerance { iou: 0.8, landmarks: 0.1 };

/// The same canvas on two devices in 32 bits.
const TO_CPU: Tolerance = Tolerance { iou: 0.99, landmarks: 0.005 };

/// The face that detector `name` found in the test image when it was prepared, to be recorded.
///
/// # Errors
/// If it found no face, several, or one that is not where it was drawn.
pub fn recorded(name: &str, mut found: Vec<Face>) -> Result<Face, ModelError> {
    compare(&drawn(), &found, &TO_DRAWN_FACE).map_err(|reason| {
        let remedy = "check `channels`, `mean` and `scale` in its manifest, and that the file is a \
            detector of that kind";
        self_test(name, format!("{reason}; {remedy}"))
    })?;
    found.pop().ok_or_else(|| self_test(name, "it found no face in the test image".into()))
}

/// The error about a prepared detector without a recorded face.
pub fn not_recorded(name: &str) -> ModelError {
    self_test(
        name,
        format!("no self-test was recorded; run `facefleet model prepare {name} --again`"),
    )
}

/// Compares what detector `name` finds in the test image with the recorded face.
///
/// # Errors
/// If it found no face, several, or another one.
pub fn check(name: &str, recorded: &Face, found: &[Face]) -> Result<(), ModelError> {
    compare(recorded, found, &TO_RECORDED_FACE).map_err(|reason| {
        let remedy =
            format!("if its manifest was changed, run `facefleet model prepare {name} --again`");
        self_test(name, format!("{reason}; {remedy}"))
    })
}

/// Compares what detector `name` finds on a device with what it finds on the CPU, on one canvas.
///
/// # Errors
/// If they differ in number or place.
pub fn check_same(name: &str, expected: &[Face], found: &[Face]) -> Result<(), ModelError> {
    let wrong = |reason| self_test(name, format!("the device is not like the CPU: {reason}"));
    if expected.len() != found.len() {
        let (there, here) = (found.len(), expected.len());
        return Err(wrong(format!("it found {there} faces where the CPU finds {here}")));
    }
    for (expected, found) in expected.iter().zip(found) {
        compare(expected, std::slice::from_ref(found), &TO_CPU).map_err(wrong)?;
    }
    Ok(())
}

fn compare(expected: &Face, found: &[Face], tolerance: &Tolerance) -> Result<(), String> {
    let [face] = found else {
        return Err(format!("it found {} faces in the test image, which shows one", found.len()));
    };
    let iou = face.bbox.iou(&expected.bbox);
    let landmarks = apart(face, expected);
    // A comparison with NaN is false.
    if iou >= tolerance.iou && landmarks <= tolerance.landmarks {
        return Ok(());
    }
    Err(format!(
        "it found the face of the test image at another position: overlap {iou:.2} (at least \
            {}), landmarks off by {landmarks:.2} of the distance between the eyes (at most {})",
        tolerance.iou, tolerance.landmarks
    ))
}

/// Mean distance of the landmarks, in distances between the eyes.
fn apart(face: &Face, expected: &Face) -> f32 {
    let (Some(found), Some(expected)) = (face.landmarks, expected.landmarks) else {
        return f32::INFINITY;
    };
    let distance = |a: Point, b: Point| (a.x - b.x).hypot(a.y - b.y);
    let sum: f32 = found.iter().zip(expected).map(|(&a, b)| distance(a, b)).sum();
    sum / 5.0 / distance(expected[0], expected[1])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moved(by: f32) -> Face {
        let mut face = Face { detector_score: Some(0.9), ..drawn() };
        face.bbox.x += by;
        face.landmarks.iter_mut().flatten().for_each(|point| point.x += by);
        face
    }

    #[test]
    fn none_several_and_one_elsewhere_are_refused_by_the_detectors_name() {
        let expected = moved(1.0);
        assert!(check("d", &expected, &[moved(0.0)]).is_ok());
        let nowhere = Face { landmarks: Some([Point { x: f32::NAN, y: 0.0 }; 5]), ..moved(0.0) };
        for found in [&[][..], &[moved(0.0), moved(9.0)], &[moved(9.0)], &[nowhere]] {
            let error = check("d", &expected, found).unwrap_err().to_string();
            assert!(error.starts_with("model 'd' failed its test: it found"), "{error}");
        }
        assert_eq!(recorded("d", vec![moved(2.0)]).unwrap(), moved(2.0));
        for found in [vec![], vec![moved(40.0)]] {
            let error = recorded("d", found).unwrap_err().to_string();
            assert!(error.contains("'d'") && error.contains("`channels`"), "{error}");
        }
    }
}
