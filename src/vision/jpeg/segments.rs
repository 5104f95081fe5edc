//! Splits a JPEG file into segments (ITU-T T.81, annex B) without decoding their content.

use memchr::memchr;

const START_OF_IMAGE: u8 = 0xD8;
const START_OF_SCAN: u8 = 0xDA;
const END_OF_IMAGE: u8 = 0xD9;

/// A marker, and the bytes that follow it up to the next marker.
#[derive(Debug, Clone, Copy)]
pub(super) struct Segment<'a> {
    /// The second byte of the marker.
    pub(super) marker: u8,
    /// Offset of the marker in the file.
    pub(super) start: usize,
    /// Bytes before this marker that belong to no segment.
    pub(super) extraneous: usize,
    /// The parameters, without their length. Empty if the marker has none.
    pub(super) parameters: &'a [u8],
    /// The entropy-coded data after a scan's header, restart markers included. Empty for other
    /// segments.
    pub(super) data: &'a [u8],
    /// Offset of `data` in the file.
    pub(super) data_start: usize,
}

impl Segment<'_> {
    pub(super) fn is_scan(&self) -> bool {
        self.marker == START_OF_SCAN
    }

    /// Whether this is a frame header, which defines the kind of JPEG. The codes 0xC4, 0xC8 and
    /// 0xCC lie in the same range but are not frame headers.
    pub(super) fn is_frame(&self) -> bool {
        matches!(self.marker, 0xC0..=0xCF) && !matches!(self.marker, 0xC4 | 0xC8 | 0xCC)
    }

    pub(super) fn is_end(&self) -> bool {
        self.marker == END_OF_IMAGE
    }

    /// Appends the marker and the parameters, without the data of a scan and without padding.
    pub(super) fn append_to(&self, bytes: &mut Vec<u8>) {
        bytes.extend([0xFF, self.marker]);
        if has_parameters(self.marker) {
            bytes.extend(((self.parameters.len() + 2) as u16).to_be_bytes());
            bytes.extend(self.parameters);
        }
    }
}

/// False for TEM, restart markers and the end of the image: these have no length field.
fn has_parameters(marker: u8) -> bool {
    !matches!(marker, 0x01 | 0xD0..=0xD7 | END_OF_IMAGE)
}

/// Iterator over the segments after the start of the image, up to its end or to the first invalid
/// segment.
#[derive(Debug, Clone)]
pub(super) struct Segments<'a> {
    bytes: &'a [u8],
    at: usize,
}

pub(super) fn segments(bytes: &[u8]) -> Segments<'_> {
    // A file that does not start like a JPEG has no segments.
    let at = if bytes.starts_with(&[0xFF, START_OF_IMAGE]) { 2 } else { bytes.len() };
    Segments { bytes, at }
}

impl<'a> Iterator for Segments<'a> {
    type Item = Segment<'a>;

    fn next(&mut self) -> Option<Segment<'a>> {
        let from = self.at;
        self.at = self.bytes.len();
        // A marker is 0xFF, possibly repeated as padding, and a code. 0xFF followed by 0 is data.
        let (start, code_at) = next_marker(self.bytes, from, |code| code != 0)?;
        let mut segment = Segment {
            marker: self.bytes[code_at],
            start,
            extraneous: start - from,
            parameters: &[],
            data: &[],
            data_start: 0,
        };
        let rest = &self.bytes[code_at + 1..];
        if segment.is_end() {
            return Some(segment);
        }
        if !has_parameters(segment.marker) {
            self.at = code_at + 1;
            return Some(segment);
        }
        let &[high, low, ..] = rest else { return None };
        let length = usize::from(u16::from_be_bytes([high, low]));
        segment.parameters = rest.get(2..length)?;
        self.at = code_at + 1 + length;
        if segment.is_scan() {
            let end =
                next_marker(self.bytes, self.at, |code| !matches!(code, 0x00 | 0x01 | 0xD0..=0xD7));
            let end = end.map_or(self.bytes.len(), |(start, _)| start);
            segment.data = &self.bytes[self.at..end];
            segment.data_start = self.at;
            self.at = end;
        }
        Some(segment)
    }
}

/// The offset of the next marker whose code is `wanted`, and the offset of its code.
fn next_marker(bytes: &[u8], mut at: usize, wanted: impl Fn(u8) -> bool) -> Option<(usize, usize)> {
    loop {
        let start = at + memchr(0xFF, bytes.get(at..)?)?;
        let code_at = start + bytes[start..].iter().position(|&byte| byte != 0xFF)?;
        if wanted(bytes[code_at]) {
            return Some((start, code_at));
        }
        at = code_at + 1;
    }
}

/// True if the end-of-image marker follows the last scan. The marker of a thumbnail inside a
/// segment does not count. False for a file that is not a JPEG.
pub(super) fn is_complete(bytes: &[u8]) -> bool {
    segments(bytes).last().is_some_and(|segment| segment.is_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded() -> Vec<u8> {
        let image = image::RgbImage::from_fn(64, 48, |x, y| {
            image::Rgb([(x * 4) as u8, (y * 5) as u8, (x * y) as u8])
        });
        let mut bytes = std::io::Cursor::new(Vec::new());
        image.write_to(&mut bytes, image::ImageFormat::Jpeg).unwrap();
        bytes.into_inner()
    }

    #[test]
    fn a_complete_file_is_complete_and_every_truncated_one_is_not() {
        let bytes = encoded();
        assert!(is_complete(&bytes));
        for cut in 0..bytes.len() {
            assert!(!is_complete(&bytes[..cut]), "cut at {cut}");
        }
    }

    #[test]
    fn trailing_bytes_do_not_matter_and_a_thumbnails_end_does_not_count() {
        let bytes = encoded();
        assert!(is_complete(&[&bytes[..], b"appended by a camera"].concat()));
        // An APP1 segment that contains a complete small JPEG, then the truncated picture.
        let header = [&[0xFF, 0xE1][..], &(bytes.len() as u16 + 2).to_be_bytes(), &bytes].concat();
        let nested = [&bytes[..2], &header, &bytes[2..bytes.len() - 2]].concat();
        assert!(!is_complete(&nested));
        assert!(is_complete(&[&nested[..], &[0xFF, 0xD9]].concat()));
    }
}
