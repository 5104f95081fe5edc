//! The settings that follow from what was measured.

use super::Rows;
use crate::view::device::{DeviceRowView, RowVerdict};

/// A batch within this share of the fastest is as good: smaller ones fill sooner and take less
/// memory.
const AS_GOOD: f64 = 0.97;

/// Adds rows of advice: for each device the batch size, and the device.
pub(super) fn add(rows: &mut Rows<'_>) {
    let rates: Vec<(String, usize, f64)> = rows.all.iter().filter_map(rate).collect();
    let mut devices: Vec<String> = rates.iter().map(|(device, ..)| device.clone()).collect();
    devices.dedup();
    let mut fastest: Option<(String, f64)> = None;
    for device in devices {
        let of: Vec<_> = rates.iter().filter(|(of, ..)| *of == device).collect();
        let most = of.iter().map(|(.., rate)| *rate).fold(0.0, f64::max);
        let good = of.iter().filter(|(.., rate)| *rate >= AS_GOOD * most);
        let Some(&&(_, batch, rate)) = good.min_by_key(|(_, batch, _)| *batch) else { continue };
        rows.add("advice", &device, "worker.batch").ends(
            RowVerdict::Advice,
            Some((batch as f64, "faces")),
            Some(format!("{rate:.0} of at most {most:.0} faces/s")),
        );
        if fastest.as_ref().is_none_or(|(_, fastest)| most > *fastest) {
            fastest = Some((device, most));
        }
    }
    let Some((fastest, rate)) = fastest else { return };
    let (device, precision) = fastest.split_once('+').unwrap_or((&fastest, "float32"));
    let letterbox = device.starts_with("cuda") || device.starts_with("tensorrt");
    let detail = format!(
        "the fastest, {rate:.0} faces/s: runtime.device = \"{device}\", models.precision = \
            \"{precision}\", detector.letterbox = {letterbox}; precision and letterbox are part of \
            the profile (docs/gpu.md)"
    );
    rows.add("advice", &fastest, "runtime.device").ends(RowVerdict::Advice, None, Some(detail));
}

/// The device, batch and rate of a row about the recogniser with the most copies.
fn rate(row: &DeviceRowView) -> Option<(String, usize, f64)> {
    let ("recogniser", Some(rate)) = (row.part, row.value) else { return None };
    let (batch, _) = row.what.strip_prefix("batch ")?.split_once(',')?;
    Some((row.device.clone(), batch.parse().ok()?, rate))
}
