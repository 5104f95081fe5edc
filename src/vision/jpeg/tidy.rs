//! What libjpeg-turbo warns of though nothing of the picture is missing. It tells only its last
//! warning, so these must not hide another one: the bytes that they are about are mended or left
//! out before it decodes.

use std::borrow::Cow;

use super::segments::{Segment, segments};

/// So many bytes behind the last scan are an encoder's oddity (webcams and phones write one or
/// two).
const FEW: usize = 4;

/// `bytes` with what the decoder would warn of in the headers mended: an unknown revision of JFIF,
/// an unknown colour transform of Adobe's, bytes between the segments.
pub(super) fn tidy(bytes: &[u8]) -> Cow<'_, [u8]> {
    let headers = || segments(bytes).take_while(|segment| !segment.is_scan());
    let components = headers()
        .filter(Segment::is_frame)
        .find_map(|segment| segment.parameters.get(5).copied())
        .unwrap_or(0);
    let Some(scan) = segments(bytes).find(Segment::is_scan) else { return Cow::Borrowed(bytes) };
    if scan.extraneous == 0
        && !headers()
            .any(|segment| segment.extraneous > 0 || mended(&segment, components).is_some())
    {
        return Cow::Borrowed(bytes);
    }
    let mut tidied = vec![0xFF, 0xD8];
    for segment in headers() {
        let start = tidied.len();
        segment.append_to(&mut tidied);
        if let Some((at, value)) = mended(&segment, components) {
            tidied[start + 4 + at] = value;
        }
    }
    tidied.extend(&bytes[scan.start..]);
    Cow::Owned(tidied)
}

/// Where in the segment's parameters stands a value that libjpeg-turbo does not know, and the one
/// it goes on with.
fn mended(segment: &Segment<'_>, components: u8) -> Option<(usize, u8)> {
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

/// True for what libjpeg-turbo goes on after, other than "Corrupt JPEG data".
pub(super) fn is_warning(message: &str) -> bool {
    ["Inconsistent progression sequence", "Premature end of JPEG file", "Invalid SOS parameters"]
        .iter()
        .any(|start| message.starts_with(start))
}

/// Copies that lack what an encoder may have written behind the data of a scan: zeros, and a few
/// bytes before the end of the image.
pub(super) fn without_extraneous(bytes: &[u8], count: usize) -> Vec<Vec<u8>> {
    let mut copies = vec![without_padding(bytes)];
    if count <= FEW
        && let Some(end) = segments(bytes).find(Segment::is_end)
    {
        copies.push([&bytes[..end.start.saturating_sub(count)], &bytes[end.start..]].concat());
    }
    copies
}

/// Without zeros before the markers that end the data of a scan or of a restart interval.
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

/// Without zeros at the end. One that follows 0xFF belongs to it.
fn trimmed(data: &[u8]) -> &[u8] {
    let end = data.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
    let stuffed = end > 0 && data[end - 1] == 0xFF && end < data.len();
    &data[..end + usize::from(stuffed)]
}
