//! The ranges of the settings.

use std::fmt::Display;
use std::ops::RangeBounds;

use super::{EnrolSection, Settings, SettingsError};
use crate::domain::Selection;

const POSITIVE: &str = "must be at least 1";

/// # Errors
/// The first value out of range.
pub(super) fn check(settings: &Settings) -> Result<(), SettingsError> {
    let Settings { queue, detector, quality, limits, images, enrol, worker, .. } = settings;
    within("queue.capacity", queue.capacity, 1.., POSITIVE)?;
    within(
        "queue.delivery_limit",
        queue.delivery_limit,
        5..,
        "must be at least 5: a job that kills its worker is isolated after 2",
    )?;
    within("detector.max_side", detector.max_side, 32..=16_384, "must be 32 to 16384")?;
    within(
        "detector.fine_pixels",
        detector.fine_pixels,
        ..=100_000_000,
        "must be at most 100000000: the detector needs about 100 bytes of memory for each pixel",
    )?;
    let (px, scores) = (Selection::SIZES_PX, Selection::SCORES);
    within("detector.min_face_px", detector.min_face_px, px, "must be at most 65535")?;
    within("detector.min_score", detector.min_score, scores, "must be 0.01 to 1")?;
    within("quality.passes", quality.passes, 2..=100_000, "must be 2 to 100000")?;
    within("limits.max_bytes", limits.max_bytes, 1.., POSITIVE)?;
    within("limits.max_pixels", limits.max_pixels, 1.., POSITIVE)?;
    if limits.memory != 0 {
        within(
            "limits.memory",
            limits.memory,
            256 << 20..,
            "must be 0 or at least 268435456 bytes: a thread with its networks needs 250 MB",
        )?;
    }
    within("images.timeout_ms", images.timeout_ms, 1.., POSITIVE)?;
    within("images.connect_timeout_ms", images.connect_timeout_ms, 1.., POSITIVE)?;
    within("images.idle_timeout_ms", images.idle_timeout_ms, 1.., POSITIVE)?;
    within(
        "images.outage_seconds",
        images.outage_seconds,
        1..=31_536_000,
        "must be 1 to 31536000, which is a year",
    )?;
    within("images.redirects", images.redirects, ..=20, "must be at most 20")?;
    check_enrol(enrol)?;
    within("worker.batch", worker.batch, 1..=1024, "must be 1 to 1024")?;
    within("worker.attempts", worker.attempts, 1.., POSITIVE)?;
    within("worker.record_batch", worker.record_batch, 1.., POSITIVE)?;
    within(
        "worker.schedule_poll_seconds",
        worker.schedule_poll_seconds,
        1..=30,
        "must be 1 to 30: a slot that is due for 2 minutes is missed",
    )
}

/// The same for the rules of enrolment.
fn check_enrol(enrol: &EnrolSection) -> Result<(), SettingsError> {
    const SHARE: &str = "must be 0 to 1; 0 disables the check";
    const RATING: &str = "must be 0 to 100; 0 disables the check";
    const ANGLE: &str = "must be 0 to 180 degrees; 0 disables the check";
    within("enrol.references", enrol.references, 1..=100, "must be 1 to 100")?;
    within("enrol.replace_margin", enrol.replace_margin, 0.0..=100.0, "must be 0 to 100")?;
    for (key, fmr) in [("enrol.fmr", enrol.fmr), ("enrol.look_alike_fmr", enrol.look_alike_fmr)] {
        within(key, fmr, 0.0..1.0, "must be 0 or more and below 1; 0 disables the comparison")?;
    }
    for (key, value) in [
        ("enrol.max_yaw", enrol.max_yaw),
        ("enrol.max_pitch", enrol.max_pitch),
        ("enrol.max_roll", enrol.max_roll),
    ] {
        within(key, value, 0.0..=180.0, ANGLE)?;
    }
    for (key, value) in [
        ("enrol.min_sharpness", enrol.min_sharpness),
        ("enrol.min_evenness", enrol.min_evenness),
        ("enrol.min_quality", enrol.min_quality),
    ] {
        within(key, value, 0.0..=100.0, RATING)?;
    }
    for (key, value) in [
        ("enrol.max_other_face", enrol.max_other_face),
        ("enrol.min_confidence", enrol.min_confidence),
        ("enrol.min_brightness", enrol.min_brightness),
        ("enrol.max_white", enrol.max_white),
        ("enrol.max_cut_off", enrol.max_cut_off),
    ] {
        within(key, value, 0.0..=1.0, SHARE)?;
    }
    within(
        "enrol.min_eye_distance_px",
        enrol.min_eye_distance_px,
        0.0..=65_535.0,
        "must be 0 to 65535 pixels; 0 disables the check",
    )
}

fn within<T: Copy + Display + PartialOrd>(
    key: &'static str,
    value: T,
    range: impl RangeBounds<T>,
    reason: &'static str,
) -> Result<(), SettingsError> {
    if range.contains(&value) {
        return Ok(());
    }
    Err(SettingsError::Value { key, value: value.to_string(), reason })
}
