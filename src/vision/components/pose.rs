//! An estimate of the pose of a head from five landmarks.
//!
//! Roll is the angle of the line through the eyes. Yaw and pitch are those with which five points
//! of an average head, seen from far away (a parallel projection, scaled), come closest to the
//! landmarks by least squares. Five points say little about depth: people differ in the length of
//! the nose, and a nose that is a pixel off in a chip turns a head by about 4 degrees. ISO/IEC
//! 29794-5 has a network instead.

use crate::domain::{Landmarks, Point};

/// The five points of an average head: x to the right of the image, y down, z towards the camera,
/// in inter-eye distances, centred.
///
/// They are ours: fitted, together with a pose for each face, to the landmarks that YuNet finds in
/// 3,565 photos of LFW (least squares; left and right mirrored; turned so that the median pitch is
/// 0). The landmarks differ from this head, in its best pose, by 0.9 pixels of a chip (root mean
/// square).
const HEAD: [(f64, f64, f64); 5] = [
    (-0.5, -0.486, -0.06),
    (0.5, -0.486, -0.06),
    (0.0, 0.026, 0.388),
    (-0.417, 0.473, -0.134),
    (0.417, 0.473, -0.134),
];

/// The largest yaw and pitch that are tried, degrees: beyond, a detector sees no two eyes.
const LARGEST: f64 = 80.0;
/// Degrees between the poses that are tried first.
const FIRST_STEP: f64 = 20.0;
/// Degrees between those that are tried last.
const LAST_STEP: f64 = 0.05;

/// A pose, degrees.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Pose {
    /// Positive if the nose points to the right of the image.
    pub yaw: f32,
    /// Positive if the nose points up.
    pub pitch: f32,
    /// Positive if the head is turned clockwise in the image; -180 to 180.
    pub roll: f32,
}

impl Pose {
    /// The pose of the head with these `landmarks`.
    pub(super) fn of(landmarks: &Landmarks) -> Self {
        let [right, left, ..] = landmarks;
        let roll = (left.y - right.y).atan2(left.x - right.x).to_degrees();
        let seen = centred(landmarks.map(|Point { x, y }| (f64::from(x), f64::from(y))));
        let (yaw, pitch) = turn(&seen);
        Self { yaw: yaw as f32, pitch: pitch as f32, roll }
    }
}

/// Yaw and pitch, degrees: the best pose of a grid, then of ever finer grids around the best one.
fn turn(seen: &[(f64, f64); 5]) -> (f64, f64) {
    let fit = |(yaw, pitch): (f64, f64)| likeness(seen, &projected(yaw, pitch));
    let steps = (LARGEST / FIRST_STEP) as i32;
    let grid = (-steps..=steps).flat_map(|yaw| (-steps..=steps).map(move |pitch| (yaw, pitch)));
    let mut best = (f64::NEG_INFINITY, (0.0, 0.0));
    let consider = |best: &mut (f64, (f64, f64)), pose: (f64, f64)| {
        let found = fit(pose);
        if found > best.0 {
            *best = (found, pose);
        }
    };
    for (yaw, pitch) in grid {
        consider(&mut best, (f64::from(yaw) * FIRST_STEP, f64::from(pitch) * FIRST_STEP));
    }
    let mut step = FIRST_STEP / 2.0;
    while step >= LAST_STEP {
        let (yaw, pitch) = best.1;
        for (across, up) in [(-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1)]
            .map(|(across, up)| (f64::from(across) * step, f64::from(up) * step))
        {
            let at = |angle: f64| angle.clamp(-LARGEST, LARGEST);
            consider(&mut best, (at(yaw + across), at(pitch + up)));
        }
        // The same step again while it leads on.
        if best.1 == (yaw, pitch) {
            step /= 2.0;
        }
    }
    best.1
}

/// The points of the head turned by `yaw`, then by `pitch` (degrees), in parallel projection.
fn projected(yaw: f64, pitch: f64) -> [(f64, f64); 5] {
    let ((sin_yaw, cos_yaw), (sin_pitch, cos_pitch)) =
        (yaw.to_radians().sin_cos(), pitch.to_radians().sin_cos());
    HEAD.map(|(x, y, z)| {
        let depth = z * cos_yaw - x * sin_yaw;
        (x * cos_yaw + z * sin_yaw, y * cos_pitch - depth * sin_pitch)
    })
}

/// How much of `seen` is `model`, scaled and rotated by least squares: 1 if all of it is.
///
/// With points as complex numbers, the least squares of `|a m - s|` leave `|s|^2 (1 - r)` with
/// `r = |sum(conj(m) s)|^2 / (|m|^2 |s|^2)`.
fn likeness(seen: &[(f64, f64); 5], model: &[(f64, f64); 5]) -> f64 {
    let (mut real, mut imaginary, mut of_model, mut of_seen) = (0.0, 0.0, 0.0, 0.0);
    for ((sx, sy), (mx, my)) in seen.iter().zip(model) {
        real += mx * sx + my * sy;
        imaginary += mx * sy - my * sx;
        of_model += mx * mx + my * my;
        of_seen += sx * sx + sy * sy;
    }
    (real * real + imaginary * imaginary) / (of_model * of_seen)
}

fn centred(points: [(f64, f64); 5]) -> [(f64, f64); 5] {
    let sum = points.iter().fold((0.0, 0.0), |sum, point| (sum.0 + point.0, sum.1 + point.1));
    points.map(|(x, y)| (x - sum.0 / 5.0, y - sum.1 / 5.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The landmarks of an average head with this pose (degrees) and inter-eye distance (pixels,
    /// from the front).
    fn landmarks(yaw: f64, pitch: f64, roll: f64, scale: f64) -> Landmarks {
        let (sin, cos) = roll.to_radians().sin_cos();
        projected(yaw, pitch).map(|(x, y)| Point {
            x: (scale * (x * cos - y * sin) + 300.0) as f32,
            y: (scale * (x * sin + y * cos) + 200.0) as f32,
        })
    }

    #[test]
    fn the_pose_of_an_average_head_is_found() {
        for (yaw, pitch, roll) in [
            (0.0, 0.0, 0.0),
            (30.0, 0.0, 0.0),
            (-60.0, 10.0, 0.0),
            (15.0, -25.0, 0.0),
            (0.0, 40.0, 20.0),
            (20.0, 0.0, -170.0),
            (-35.0, -20.0, 45.0),
        ] {
            let found = Pose::of(&landmarks(yaw, pitch, roll, 100.0));
            assert!((f64::from(found.yaw) - yaw).abs() < 0.2, "{yaw} {pitch}: {found:?}");
            assert!((f64::from(found.pitch) - pitch).abs() < 0.2, "{yaw} {pitch}: {found:?}");
        }
    }

    #[test]
    fn roll_is_the_angle_of_the_eyes() {
        for roll in [0.0_f32, 10.0, -30.0, 90.0, 179.0] {
            let found = Pose::of(&landmarks(0.0, 0.0, f64::from(roll), 35.0)).roll;
            assert!((found - roll).abs() < 0.1, "{roll}: {found}");
        }
    }

    #[test]
    fn a_face_that_looks_to_the_right_of_the_image_has_its_nose_there() {
        let front = landmarks(0.0, 0.0, 0.0, 35.0);
        let nose = |x: f32, y: f32| {
            let mut points = front;
            points[2] = Point { x: front[2].x + x, y: front[2].y + y };
            Pose::of(&points)
        };
        assert!(nose(5.0, 0.0).yaw > 10.0 && nose(-5.0, 0.0).yaw < -10.0);
        assert!(nose(0.0, -4.0).pitch > 5.0 && nose(0.0, 4.0).pitch < -5.0);
    }
}
