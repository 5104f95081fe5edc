//! Repairs faults that libjpeg-turbo warns about though no part of the picture is missing.
//! libjpeg-turbo reports only its last warning, so a harmless warning could hide another one. The
//! bytes that cause harmless warnings are repaired or removed before decoding.

use std::borrow::Cow;

use super::segments::{Segment, segments};

/// Most extraneous bytes after the last scan that are harmless: webcams and phones write one or
/// two.
const FEW: usize = 4;

/// Repairs the headers where the decoder would warn: an unknown revision of JFIF, an unknown colour
/// transform of an Adobe marker, bytes between segments.
pub(super) fn tidy(bytes: &[u8]) -> Cow<'_, [u8]> {
    let headers = || segments(bytes).take_while(|segment| !segment.is_scan());
    let components = headers()
        .filter(Segment::is_frame)
        .find_map(|segment| segment.parameters.get(5).copied())
        .unwrap_or(0);
    let Some(scan) = segments(bytes).find(Segment::is_scan) else { return Cow::Borrowed(bytes) };
    if scan.extraneous == 0
        && !headers()
            .any(|segment| segment.extraneous > 0 || repaired(&segment, components).is_some())
    {
        return Cow::Borrowed(bytes);
    }
    let mut tidied = vec![0xFF, 0xD8];
    for segment in headers() {
        let start = tidied.len();
        segment.append_to(&mut tidied);
        if let Some((at, value)) = repaired(&segment, components) {
            tidied[start + 4 + at] = value;
        }
    }
    tidied.extend(&bytes[scan.start..]);
    Cow::Owned(tidied)
}

/// The index in the segment's parameters of a value that is unknown to libjpeg-turbo, and the value
/// that libjpeg-turbo assumes instead.
fn repaired(segment: &Segment<'_>, components: u8) -> Option<(usize, u8)> {
    let value = |at: usize| segment.parameters.get(at).copied();
    if segment.marker == 0xE0 && segment.parameters.starts_with(b"JFIF\0") {
        return value(5).filter(|&major| major != 1).map(|_| (5, 1));
    }
    if segment.marker != 0xEE || !segment.parameters.starts_with(b"Adobe") {
        return None;
    }
    match (components, value(11)?) {
        (3, 0 | 1) | (4, 0 | 2) => None,
        (3, _) => Some((11, 1)),
        (4, _) => Some((11, 2)),
        _ => None,
    }
}

/// The number in "Corrupt JPEG data: 12 extraneous bytes before marker 0xd9".
pub(super) fn extraneous(warning: &str) -> Option<usize> {
    let (count, rest) = warning.strip_prefix("Corrupt JPEG data: ")?.split_once(' ')?;
    rest.starts_with("extraneous bytes before marker").then(|| count.parse().ok())?
}

/// True for warnings, after which libjpeg-turbo continues, other than "Corrupt JPEG data".
pub(super) fn is_warning(message: &str) -> bool {
    ["Inconsistent progression sequence", "Premature end of JPEG file", "Invalid SOS parameters"]
        .iter()
        .any(|start| message.starts_with(start))
}

/// Copies without the bytes that an encoder may append to the data of a scan: one without zeros,
/// and one without a few bytes before the end of the image.
pub(super) fn without_extraneous(bytes: &[u8], count: usize) -> Vec<Vec<u8>> {
    let mut copies = vec![without_padding(bytes)];
    if count <= FEW
        && let Some(end) = segments(bytes).find(Segment::is_end)
    {
        copies.push([&bytes[..end.start.saturating_sub(count)], &bytes[end.start..]].concat());
    }
    copies
}

/// A copy without zeros before the markers that end the data of a scan or of a restart interval.
fn without_padding(bytes: &[u8]) -> Vec<u8> {
    let mut kept = Vec::with_capacity(bytes.len());
    let mut from = 0;
    for scan in segments(bytes).filter(Segment::is_scan) {
        kept.extend(&bytes[from..scan.data_start]);
        let mut interval_start = 0;
        let data = scan.data;
        let markers = (0..data.len())
            .filter(|&at| data[at] == 0xFF && matches!(data.get(at + 1), Some(0xD0..=0xD7)));
        for end in markers.chain([data.len()]) {
            kept.extend(trimmed(&data[interval_start..end]));
            interval_start = end;
        }
        from = scan.data_start + data.len();
    }
    kept.extend(&bytes[from..]);
    kept
}

/// The data without zeros at its end. A zero after 0xFF belongs to it and stays.
fn trimmed(data: &[u8]) -> &[u8] {
    let end = data.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    let stuffed = end > 0 && data[end - 1] == 0xFF && end < data.len();
    &data[..end + usize::from(stuffed)]
}
