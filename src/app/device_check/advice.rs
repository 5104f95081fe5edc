//! The settings that follow from what was measured.

use super::Rows;
use crate::view::device::{DeviceRowView, RowVerdict};

/// A batch within this share of the fastest is as good: smaller ones fill sooner and take less
/// memory, and on a GPU two measurements of one size differed by up to 14 %.
const AS_GOOD: f64 = 0.9;

/// Adds rows of advice: for each device the batch size, and the device.
pub(super) fn add(rows: &mut Rows<'_>) {
    let rates = with_most_copies(&rows.all.iter().filter_map(rate).collect::<Vec<_>>());
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

/// A device, a batch size, and the faces a second with it.
type Rate = (String, usize, f64);

/// The rates of each device with the most copies that were measured: it runs as many.
fn with_most_copies(rates: &[(Rate, usize)]) -> Vec<Rate> {
    let most = |device: &str| {
        let of = rates.iter().filter(|((of, ..), _)| of == device);
        of.map(|(_, copies)| *copies).max()
    };
    let kept = rates.iter().filter(|((device, ..), copies)| most(device) == Some(*copies));
    kept.map(|(rate, _)| rate.clone()).collect()
}

/// The rate of a row about the recogniser, and its copies.
fn rate(row: &DeviceRowView) -> Option<(Rate, usize)> {
    let ("recogniser", Some(rate)) = (row.part, row.value) else { return None };
    let (batch, copies) = row.what.strip_prefix("batch ")?.split_once(", copies ")?;
    Some(((row.device.clone(), batch.parse().ok()?, rate), copies.parse().ok()?))
}
